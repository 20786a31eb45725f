"""Check the derivatives of any function that JAX traces: its rules, the user's and JAX's own, against its values.

The traced program is run primitive by primitive with exact increments, which use no derivative rule. JAX's derivatives
in reverse and in forward mode have to be the same within what rounding can move. A check goes through frozen values:

    trace_case           f at its arguments, traced: a Case
    compare_derivatives  measure the point, evaluate the modes, find the true derivatives, compare: a Comparison
    find_impurities      arguments that f changes, and values that depend on how f is run: facts
    find_blame           check each rule alone, to name culprits or to find errors that the whole hides: a Blame
    judge_comparison     the verdict and its facts: a Report

Where a rule sees which tangents are zero, each argument and each output follows by itself (`symbolic_zeros`).
"""

import time
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import numpy as np

from harness.checks.traced.culprits import Blame, find_blame
from harness.checks.traced.derivative_case import Case, trace_case
from harness.checks.traced.derivative_comparison import Comparison, compare_derivatives
from harness.checks.traced.derivative_report import judge_comparison, note_everything
from harness.checks.traced.equations_met import meet_equations
from harness.checks.traced.function_arguments import Arguments, in_32_bits, require
from harness.checks.traced.function_values import find_changes_between_calls, find_values_by_way_of_running
from harness.checks.traced.inputs_at_kinks import find_no_derivative
from harness.checks.traced.jax_modes import MODES
from harness.checks.traced.symbolic_zeros import parts_alone, takes_symbolic_zeros
from harness.facts.fact import Fact, note, wrong
from harness.facts.kinds import Kind
from harness.progress import progress_bar
from harness.sources.process_state import settings_kept
from harness.verdict.comparison import require_accuracy
from harness.verdict.report import Report
from reference.arithmetics.companion import first_line
from reference.jax_settings import settings
from reference.traced.equations import Equation
from reference.traced.rule_origins import name_of

PATIENCE = 2.0  # seconds after which a bar shows how far the check is: most checks end before, and print nothing


@np.errstate(all="ignore")  # infinities and NaN are judged as other numbers are
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
        Seconds. After that, no more of more than a thousand inputs are looked at one by one, no more rules are tried to
        find the culprit, and no more arguments by themselves where a rule sees symbolic zeros.
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
            if report.verdict == "agree" and order == 1 and takes_symbolic_zeros(case):
                report = _report_on_parts(case, modes, arguments, started, deadline) or report
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
    facts = note_everything(comparison, arguments, met, at_kinks)
    if comparison.everywhere:
        facts += comparison.everywhere.facts(comparison.examined, comparison.case.inputs.size)
    blame = find_blame(comparison, met, deadline, trace) if is_repeatable else Blame()
    return judge_comparison(comparison, [*facts, *impurities], blame, started, is_repeatable=is_repeatable)


def _report_on_parts(
    case: Case, modes: Sequence[str], arguments: Arguments, started: float, deadline: float
) -> Report | None:
    """The verdict on the first argument, or output, that disagrees by itself; None where none does."""
    for name, part in parts_alone(case):
        if time.perf_counter() > deadline:
            break
        comparison = compare_derivatives(part, modes, deadline=deadline)
        if comparison.disagreeing:
            report = report_on(comparison, arguments, lambda part=part: part, started, deadline)
            return report.with_facts(note(Kind.SYMBOLIC_ZEROS, name))
    return None


def find_impurities(comparison: Comparison, arguments: Arguments) -> list[Fact]:
    """Arguments that f changes, values that change from call to call, and values that depend on how f is run."""
    changed = [wrong(Kind.ARGUMENT_CHANGED, "f", argument=name) for name in arguments.changed()]
    found = changed + find_changes_between_calls(comparison)
    # an f that changes has no value to compare, and the "values" of a check of second order are JAX's gradient
    return found if found or comparison.case.order == 2 else find_values_by_way_of_running(comparison)


def _require_met(trust: Sequence[str], comparison: Comparison) -> None:
    """Refuse a trusted name that nothing in the program has: a misspelt one would leave its rule in the verdict."""
    known = comparison.obstacles.taken_as_they_are | comparison.case.trusted_rules
    unmet = [name for name in trust if name not in known]
    if unmet:
        raise ValueError(f"trust names {', '.join(unmet)}, but the program has no rule and no primitive of that name")
