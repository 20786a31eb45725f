"""Check the derivatives of any function that JAX traces: its rules, the user's and JAX's own, against its values.

The traced program is run primitive by primitive with exact increments, which use no derivative rule. JAX's derivatives
in reverse and in forward mode have to be the same within what rounding can move. A check goes through frozen values:

    trace_case           f at its arguments, traced: a Case
    compare_derivatives  measure the point, evaluate the modes, find the true derivatives, compare: a Comparison
    find_impurities      arguments that f changes, and values that depend on how f is run: facts
    find_blame           check each rule alone, to name culprits or to find errors that the whole hides: a Blame
    judge                the verdict and its facts: a Report
"""

import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np

from harness.checks.traced.culprits import find_culprits, find_hidden_culprits
from harness.checks.traced.derivative_case import REFERENCE, Case, trace_case
from harness.checks.traced.derivative_comparison import Comparison, compare_derivatives
from harness.checks.traced.derivative_notes import SOLVERS_NOTED, details_of, note_everything, type_of
from harness.checks.traced.derivative_subject import TracedDerivatives, find_outliers
from harness.checks.traced.equations_met import Met, find_nan_origin, meet_equations
from harness.checks.traced.function_arguments import Arguments, in_32_bits, require
from harness.checks.traced.function_values import (
    find_changes_between_calls,
    find_unsound_modes,
    find_values_by_way_of_running,
    find_values_changed_by_modes,
)
from harness.checks.traced.inputs_at_kinks import find_no_derivative
from harness.checks.traced.jax_modes import MODES
from harness.checks.traced.lone_equations import Culprit
from harness.facts.fact import Fact, Severity, doubt, note, wrong
from harness.facts.kinds import Kind
from harness.progress import progress_bar
from harness.sources.process_state import settings_kept
from harness.verdict.comparison import require_accuracy
from harness.verdict.consensus import Consensus
from harness.verdict.judgement import judge
from harness.verdict.report import Report
from reference.arithmetics.companion import first_line
from reference.jax_settings import settings
from reference.traced.equations import Equation
from reference.traced.rule_origins import name_of

MOST_NAMED = 4  # rules that a printed report names, of many that are wrong; `details["culprits"]` has all of them

PATIENCE = 2.0  # seconds after which a bar shows how far the check is: most checks end before, and print nothing


class Blame(NamedTuple):
    """Which rules are wrong, and what that means for the verdict."""

    facts: tuple[Fact, ...] = ()  # wrong by themselves: they decide the verdict where all derivatives agree
    culprits: tuple[Fact, ...] = ()  # part of the explanation of each difference that was found
    origins: tuple[Fact, ...] = ()  # the operations that make NaN of finite numbers
    details: dict[str, Any] = {}  # noqa: RUF012  never written to
    explains_lost_digits: bool = False  # whether a rule that is wrong alone may be what loses digits of the whole


@settings_kept
def check_derivatives(
    f: Callable[..., Any],
    *args: Any,
    order: int = 1,
    modes: Sequence[str] = MODES,
    argnums: int | Sequence[int] | None = None,
    reference: Callable[..., Any] | None = None,
    trust: Sequence[str] = (),
    seed: int = 0,
    budget: float | None = None,
    accuracy: float = 0.0,
) -> Report:
    """Check JAX's derivatives of f, by its rules and those of the user, against f's own values.

    Compared are ∂(w·f)/∂x, for every output or for random combinations w of many, in reverse mode, in forward mode, and
    by exact increments through the traced program, in float64, whatever the precision of f.

    Parameters
    ----------
    f : callable
        A function that JAX can trace, of any trees of arrays; returns any tree of arrays.
    *args : trees of arrays
        The point to check at. Floating and complex leaves are differentiated in their own precision; Python's numbers
        are float64. Integers, truth values, random keys, `None` and whatever is no array are left alone, and so are
        Python's numbers in an argument that holds functions, too, where they are settings.
    order : 1 or 2
        2 checks the derivatives of JAX's gradient, forward over reverse and reverse over reverse, and not the gradient.
    modes : some of "reverse" and "forward"
    argnums : int, or several, optional
        The arguments to differentiate; by default all.
    reference : callable, optional
        ``reference(*args)`` is the gradient of an f that returns one real number, with respect to the differentiated
        arguments (a tuple of trees for several). It is judged beside JAX's modes.
    trust : names of functions and primitives
        Custom rules that are no derivatives on purpose, such as a straight-through rounding, and primitives whose
        values do not show their derivatives. They are taken as they are, and the rest is checked against the program
        with them.
    seed : int
        Draws the combinations, directions and random roundings.
    budget : float, optional
        Seconds. After that, no more of more than a thousand inputs are looked at one by one, and no more rules are
        tried to find the culprit.
    accuracy : float
        Errors below this share of the largest derivative in their block are accepted, as a solver's tolerance leaves
        them; the report says how large they are, and larger ones are wrong.

    Returns
    -------
    Report
        The sources "reverse" and "forward" are JAX's. "inconclusive" where the function jumps or is not finite; where
        outputs are rightly NaN, ``details["where_defined"]`` is the verdict on the others, or "nowhere".

    Raises
    ------
    TypeError, ValueError
        When there is nothing to differentiate, or f cannot be traced.
    """
    started = time.perf_counter()
    require(f, order, modes, trust, reference, seed, budget)
    accuracy = require_accuracy(accuracy)
    arguments = Arguments(f, args, argnums)
    deadline = started + (np.inf if budget is None else budget)

    def is_trusted(equation: Equation) -> bool:
        return name_of(equation) in trust

    has_64_bits = bool(jax.config.read("jax_enable_x64"))
    needs_64_bits = arguments.needs_64_bits and not has_64_bits
    with settings(has_64_bits or needs_64_bits), progress_bar(PATIENCE) as progress, warnings.catch_warnings():
        if needs_64_bits:  # JAX warns of types that meet in 64 bits alone
            warnings.simplefilter("ignore", FutureWarning)
        trace = partial(
            trace_case, arguments.function, arguments.leaves, arguments.names, lambda: arguments.outputs,
            trusted=is_trusted, seed=seed, progress=progress, accuracy=accuracy,
        )  # fmt: skip
        case, failed = None, ""
        try:
            case = trace(order=order)
        except Exception as reason:
            # an f written for 32 bits may start a scan with a float32 array, which no float64 element may turn wider
            if not needs_64_bits:
                raise
            failed = first_line(reason)
        if case:
            gradient = None if reference is None else arguments.flat(reference(*args))
            comparison = compare_derivatives(case, modes, gradient, deadline)
            report = report_on(comparison, arguments, trace, started, deadline)
            _require_met(trust, comparison)
            return report
    # outside of `except`, so that an error in 32 bits is not shown as a consequence of the one in 64
    with settings(False):
        report = check_derivatives(
            f, *in_32_bits(args), order=order, modes=modes, argnums=argnums, reference=reference, trust=trust,
            seed=seed, budget=budget, accuracy=accuracy,
        )  # fmt: skip
    return report.with_facts(note(Kind.IN_32_BITS, message=failed))


def report_on(
    comparison: Comparison, arguments: Arguments, trace: Callable[..., Case], started: float, deadline: float
) -> Report:
    """The verdict on compared derivatives, with what f does beside them, and whose rule is wrong."""
    impurities, met = find_impurities(comparison, arguments), meet_equations(comparison.case)
    # where f changes from call to call, a difference between two runs of it is no error of a rule
    is_repeatable = not any(fact.kind == Kind.NOT_REPEATABLE for fact in impurities)
    at_kinks = find_no_derivative(comparison.point, comparison.look, met) if is_repeatable else []
    noted = note_everything(comparison, arguments, met, at_kinks)
    facts = [*comparison.facts, *_nothing_checked(comparison), *noted]
    if comparison.everywhere:
        facts += comparison.everywhere.facts(comparison.examined, comparison.case.inputs.size)
    blame = find_blame(comparison, met, deadline, trace) if is_repeatable else Blame()
    return _judge(comparison, [*facts, *impurities, *blame.facts], blame, started, is_repeatable=is_repeatable)


def find_impurities(comparison: Comparison, arguments: Arguments) -> list[Fact]:
    """Arguments that f changes, values that change from call to call, and values that depend on how f is run."""
    changed = [wrong(Kind.ARGUMENT_CHANGED, "f", argument=name) for name in arguments.changed()]
    found = changed + find_changes_between_calls(comparison)
    # an f that changes has no value to compare, and the "values" of a check of second order are JAX's gradient
    return found if found or comparison.case.order == 2 else find_values_by_way_of_running(comparison)


def find_blame(comparison: Comparison, met: Met, deadline: float, trace: Callable[..., Case]) -> Blame:
    """Whose rule it is where something is wrong; else which rules are wrong although the whole does not show it."""
    case = comparison.case
    if comparison.disagreeing:
        culprits = find_culprits(comparison, met.operands, deadline, trace if case.order == 2 else None)
        # 0 · inf is NaN although every rule is right: then the operation that made the infinity explains it
        return _blame(culprits, origins=() if culprits else _nan_origin(comparison))
    unsound = []
    if case.order == 1 and met.has_rules:  # JAX's own rules are linear, and keep the value
        unsound = find_unsound_modes(comparison) + find_values_changed_by_modes(comparison)
    if unsound:
        culprits = find_culprits(comparison, met.operands, deadline)
        by = {"rule": culprits[0].name, "place": culprits[0].where} if culprits else {}
        found = [replace(fact, data={**fact.data, **by}) for fact in unsound]
        return _blame(culprits)._replace(facts=tuple(found))
    return _blame_hidden(comparison, find_hidden_culprits(case, met.operands, deadline))


def _blame_hidden(comparison: Comparison, hidden: Sequence[tuple[Culprit, bool | None]]) -> Blame:
    """The blame for rules that are wrong although the whole agrees, each with whether f uses what is wrong."""
    # where a solver's tolerance had to be allowed for in the whole, it may be what a rule alone is off by
    in_use = Severity.DOUBT if comparison.is_within_tolerance else Severity.WRONG
    by_use = {True: in_use, None: Severity.DOUBT, False: Severity.NOTE}
    severities = [by_use[is_in_use] for _, is_in_use in hidden]
    facts = tuple(fact for (c, _), s in zip(hidden, severities) for fact in c.facts(Kind.HIDDEN_RULE, s))
    details = {"culprits": [vars(culprit) for culprit, is_in_use in hidden if is_in_use is not False]}
    return Blame(facts, details=details if details["culprits"] else {}, explains_lost_digits=bool(hidden))


def _blame(culprits: Sequence[Culprit], origins: tuple[Fact, ...] = ()) -> Blame:
    """The culprits are part of every explanation, the first with its mistakes; all of them are data."""
    named = [fact for i, c in enumerate(culprits[:MOST_NAMED]) for fact in (c.facts() if i == 0 else c.facts()[:1])]
    return Blame((), tuple(named), origins, {"culprits": [vars(culprit) for culprit in culprits]})


def _nan_origin(comparison: Comparison) -> tuple[Fact, ...]:
    """Where NaN begins in the modes that disagree and report it."""
    names = {name for pair in comparison.pairs if pair.disagrees for name in (pair.first, pair.second)}
    names &= {answer.name for answer in comparison.answers if not np.isfinite(answer.gradient).all()}
    modes = [mode for mode in comparison.look.plan.modes if mode.name in names]
    return find_nan_origin(comparison.case.program, modes)


def _judge(
    comparison: Comparison, facts: Sequence[Fact], blame: Blame, started: float, *, is_repeatable: bool
) -> Report:
    """The verdict; where outputs are rightly NaN, the verdict on all others is in its details."""
    subject, answers, pairs = _subject(comparison, facts, blame), comparison.answers, comparison.pairs
    if blame.explains_lost_digits:  # the wrong rule is reported: notes of the digits that it loses would repeat it
        answers = [replace(answer, notes=()) for answer in answers]
    along = comparison.directional.pairs
    consensus = find_outliers(answers, pairs, along) if is_repeatable else Consensus((), (), tie=False)
    compared = answers, pairs, along, consensus, comparison.missing, started
    report = judge(subject, *compared)
    is_outside = comparison.look.is_outside
    if report.verdict == "inconclusive" and is_outside.any() and not comparison.case.is_large:
        # log at (-1, 2) is NaN in the first entry: no doubt about the derivative in the second
        rest = tuple(fact for fact in facts if fact.kind != Kind.VALUE_NOT_FINITE)
        inside = replace(subject, to_judge=subject.to_judge & ~is_outside, facts=rest)
        verdict = judge(inside, *compared).verdict if inside.to_judge.any() else "nowhere"
        report = replace(report, details=report.details | {"where_defined": verdict})
    if comparison.everywhere:
        report = comparison.everywhere.add_to(report, comparison.examined, comparison.case.inputs.size)
    return replace(report, decided_share=0.0) if _nothing_checked(comparison) else report


def _subject(comparison: Comparison, facts: Sequence[Fact], blame: Blame) -> TracedDerivatives:
    """What is judged."""
    return TracedDerivatives(
        comparison.look,
        comparison.look.coordinates.examined & bool(comparison.examined.size),
        tuple(facts),
        details_of(comparison) | blame.details,
        directions=comparison.directional.names,
        type_name=type_of(comparison),
        culprits=blame.culprits,
        origins=blame.origins,
        has_solver=comparison.by_solvers > SOLVERS_NOTED,
        in_steps=comparison.in_steps,
    )


def _nothing_checked(comparison: Comparison) -> list[Fact]:
    """A doubt where neither JAX nor a reference has reported a derivative, so that nothing was checked."""
    if any(a.name in (*MODES, REFERENCE) for a in comparison.answers) or comparison.directional.pairs:
        return []
    modes = [mode.name for mode in comparison.look.plan.modes]
    return [doubt(Kind.NOTHING_CHECKED, *(modes if set(modes) <= set(comparison.missing) else ()))]


def _require_met(trust: Sequence[str], comparison: Comparison) -> None:
    """Refuse a trusted name that nothing in the program has: a misspelt one would leave its rule in the verdict."""
    known = comparison.obstacles.taken_as_they_are | comparison.case.trusted_rules
    unmet = [name for name in trust if name not in known]
    if unmet:
        raise ValueError(f"trust names {', '.join(unmet)}, but the program has no rule and no primitive of that name")
