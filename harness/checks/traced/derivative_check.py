"""Check the derivatives of any function that JAX traces: its rules, the user's and JAX's own, against its values.

The program is run primitive by primitive with exact increments (`harness.checks.traced.true_slopes`). What JAX answers
in reverse and in forward mode (`harness.checks.traced.jax_modes`) has to be the same within what rounding can move.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import numpy as np

from harness.checks.traced.culprits import Met, beside_the_numbers, find_culprits, rules_alone
from harness.checks.traced.derivative_case import NOT_FINITE, Check
from harness.checks.traced.derivative_notes import SOLVERS_TOLD, details_of, notes_of, type_of
from harness.checks.traced.derivative_subject import MODES, REFERENCE, consensus
from harness.checks.traced.function_arguments import Arguments, in_32_bits, require
from harness.checks.traced.nan_origin import where_not_finite
from harness.checks.traced.traced_programs import alike, has_rules
from harness.checks.traced.true_slopes import Truth
from harness.facts.fact import plain
from harness.progress import progress_bar
from harness.sources.process_state import settings_kept
from harness.verdict.consensus import Consensus
from harness.verdict.judgement import judge
from harness.verdict.report import Report
from reference.arithmetics.companion import first_line
from reference.jax_settings import settings
from reference.traced.eagerly import eagerly, values_of
from reference.traced.program import Equation, Traced, function_of
from reference.traced.rounding import COARSE

PATIENCE = 2.0
"""Seconds after which a bar shows how far the check is."""

NOT_REPEATABLE = {
    how: f"f answers differently each time that it is {how}: randomness or state outside its arguments"
    for how in ("traced", "called")
}

NOT_IN_64_BITS = "checked in the 32 bits that JAX has here, for f does not run in 64"


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
) -> Report:
    """Are the derivatives that JAX has of f the derivatives of f?

    Compared are ∂(w·f)/∂x, for every output or for random combinations w of many, in reverse mode, in forward mode, and
    by exact increments through the traced program, in float64, whatever the precision of f.

    Parameters
    ----------
    f : callable
        A function that JAX can trace, of any trees of arrays; returns any tree of arrays.
    *args : trees of arrays
        Where to check. Floating and complex leaves are differentiated in their own precision; Python's numbers are
        float64. Integers, truth values, random keys, `None` and whatever is no array are left alone.
    order : 1 or 2
        2 checks the derivatives of JAX's gradient, and not this itself: forward over reverse, and reverse over reverse.
    modes : some of "reverse" and "forward"
    argnums : int, or several, optional
        The arguments to differentiate; by default all.
    reference : callable, optional
        ``reference(*args)``: the gradient of an f that returns one real number, in the arguments that are
        differentiated (a tuple of trees where these are several); judged beside JAX's modes.
    trust : names of functions
        Custom rules that are no derivatives on purpose, such as a straight-through rounding: taken as they are, and all
        the rest is checked against the program with that rule.
    seed : int
        Of the combinations, directions and random roundings.
    budget : float, optional
        Seconds after which, of more than a thousand inputs, no more are looked at one by one, and no more equations for
        whose rule it is.

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
    arguments = Arguments(f, args, argnums)

    def trusted(equation: Equation) -> bool:
        return function_of(equation).name in trust

    has_64_bits = bool(jax.config.read("jax_enable_x64"))
    with settings(has_64_bits or arguments.needs_64_bits), progress_bar(PATIENCE) as progress:
        what = arguments.function, arguments.leaves, arguments.names, lambda: arguments.outputs, trusted
        check, not_in_64_bits = None, ""
        try:
            check = Check(*what, order, seed)
        except TypeError as reason:  # perhaps of types that are mixed in 64 bits alone
            if has_64_bits or not arguments.needs_64_bits:
                raise
            not_in_64_bits = f"{NOT_IN_64_BITS}: {first_line(reason)}"
        if check is None:  # what is raised now is no consequence of that
            with settings(False):
                report = check_derivatives(
                    f, *in_32_bits(args), order=order, modes=modes, argnums=argnums, reference=reference, trust=trust,
                    seed=seed, budget=budget,
                )  # fmt: skip
            return report.with_facts(plain(not_in_64_bits))
        check.truth.progress = progress
        check.deadline = started + (np.inf if budget is None else budget)
        check.ask(modes, None if reference is None else arguments.flat(reference(*args)))
        subject = check.subject
        met = Met(check)
        subject.type_name = type_of(check)
        subject.notes = notes_of(check, arguments, met, order)
        subject.details = details_of(check)
        unchecked = _nobody_checked(check, modes)
        subject.doubts = [*check.doubts, *unchecked]
        if check.by_solvers > SOLVERS_TOLD:
            subject.hint = "a solver in f stops at a tolerance that hides the digits; check it with a smaller one"
        differing = _differing(check)
        is_repeatable = not set(NOT_REPEATABLE.values()) & set(differing)
        changed = [f"f changes its argument {name} in place" for name in arguments.changed()]
        subject.misconduct = [*changed, *differing]
        if order == 1 and not subject.misconduct:
            subject.misconduct, told = _ways_apart(check)
            subject.notes += told
        if is_repeatable:
            _name_rules(check, met, order, partial(Check, *what))
        _require_met(trust, check)
        report = _judged(check, started, is_repeatable)
        return replace(report, decided_share=0.0) if unchecked else report


def _name_rules(check: Check, met: Met, order: int, of_first_order: Callable[[], Check]) -> None:
    """Whose rule it is, where something is wrong; and which rules are off alone, where nothing shows of it."""
    subject = check.subject
    if any(pair.disagrees for pair in (*check.pairs, *check.ends)):
        culprits = find_culprits(check, met.equations, of_first_order if order == 2 else None)
        subject.name_culprits(culprits)
        if not culprits:
            subject.not_finite = where_not_finite(check)
    elif order == 1 and met.has_rules and (hidden := beside_the_numbers(check)):
        culprits = find_culprits(check, met.equations)
        subject.name_culprits(culprits)
        by = f"; by {culprits[0].rule}" if culprits else ""
        subject.misconduct = [*subject.misconduct, *(f"{what}{by}" for what in hidden)]
    else:
        alone = rules_alone(check, met.equations)
        if alone:  # whatever digits are lost, it may be the rule that loses them
            check.answers = [replace(answer, notes=()) for answer in check.answers]
        if check.truth.coarsest > COARSE:  # of the whole, hardly a digit is known
            subject.doubts = [*subject.doubts, *alone]
        else:
            subject.notes = [*subject.notes, *alone]


def _judged(check: Check, started: float, is_repeatable: bool) -> Report:
    """The verdict; where points lie outside of the domain, that on the rest beside it.

    Nobody is wrong about a function that is another each time.
    """
    subject, verdict = check.subject, consensus(check.answers, check.pairs, check.ends)
    verdict = verdict if is_repeatable else Consensus((), (), tie=False)
    compared = check.answers, check.pairs, check.ends, verdict, check.left_out, started
    report = judge(subject, *compared)
    if report.verdict == "inconclusive" and check.outside.any() and not check.is_large:
        subject.chosen = subject.chosen & ~check.outside
        subject.doubts = [doubt for doubt in subject.doubts if not doubt.endswith(NOT_FINITE)]
        verdict = judge(subject, *compared).verdict if subject.chosen.any() else "nowhere"
        report = replace(report, details=report.details | {"where_defined": verdict})
    return report


def _nobody_checked(check: Check, modes: Sequence[str]) -> list[str]:
    """A doubt where nothing of JAX's took part, so that nothing was checked."""
    if any(answer.name in (*MODES, REFERENCE) for answer in check.answers) or check.ends:
        return []
    return [f"JAX has no derivative in {' or '.join(modes)} mode here, so there was nothing to check"]


def _require_met(trust: Sequence[str], check: Check) -> None:
    unmet = [name for name in trust if name not in check.truth.taken_as_they_are]
    if unmet:
        raise ValueError(f"trust names {', '.join(unmet)}, but the program calls no custom rule of that name")


@np.errstate(all="ignore")
def _differing(check: Check) -> list[str]:
    """What is another each time that it is traced, or run, by its values; nothing where all is well."""
    reverse = [mode for mode in check.asked if mode.name == "reverse" and mode.name not in check.left_out]
    again = Traced(lambda *x: check.function(*x), *check.leaves).program
    is_alike = alike(check.traced.program, again)
    if not is_alike:
        others = check.leaves, check.inputs, check.outputs, check.truth.trusted
        here, once_more, found = (
            Truth(program, *others).value() for program in (check.truth.program, check.truth.program, again)
        )
        if not np.array_equal(here, found, equal_nan=True):
            return [NOT_REPEATABLE["traced" if np.array_equal(here, once_more, equal_nan=True) else "called"]]
    if is_alike and not has_rules(again):
        return []  # what has no rules of its own has the derivative of its program
    another = check.mode("reverse")
    if any(not mode.is_alike(another) and not mode.answers_alike(another, check.weights) for mode in reverse):
        return ["the derivative rule answers differently each time that it is traced"]
    return []


@np.errstate(all="ignore")
def _ways_apart(check: Check) -> tuple[list[str], list[str]]:
    """Where f's values run eagerly or mapped are others than compiled: against the truth, and as notes."""
    compiled, truth, error = check.values
    wrong, notes = [], []
    for way, found in _other_ways(check):
        if isinstance(found, str):
            notes.append(f"f cannot be {way}, says JAX: {found}")
            continue
        values = check.outputs.vector(found)
        apart = ~((np.abs(values - compiled) <= 2.0 * error) | (values == compiled) | np.isnan(compiled))
        if not apart.any():
            continue
        contradicts = apart & np.isfinite(truth) & np.isfinite(error) & ~(np.abs(values - truth) <= error)
        at = int(np.argmax(contradicts if contradicts.any() else apart))
        said = f"{check.outputs.label(at)} is {values[at]:.6g} where f is {way}, and {compiled[at]:.6g} compiled"
        (wrong if contradicts.any() else notes).append(said)
    return wrong, notes


def _other_ways(check: Check) -> Iterator[tuple[str, Any]]:
    """The function's values when it is not compiled as a whole: run eagerly, and mapped over a batch.

    Where JAX cannot map it, its reason in the place of the values. Derivatives are compiled and mapped when a `Mode` is
    asked for several at once.
    """
    yield "run eagerly", eagerly(check.function, *map(jax.device_put, check.leaves))
    try:
        stacks = [np.stack([x, x]) for x in check.leaves]
        yield "mapped by jax.vmap", [y[1] for y in values_of(check.traced.mapped(2).program, *stacks)]
    except Exception as reason:  # noqa: BLE001  a primitive without a rule for batches, or one of the user's own
        yield "mapped by jax.vmap", first_line(reason)
