"""Check the derivatives of any function that JAX traces: its rules, the user's and JAX's own, against its values.

The program is run primitive by primitive with exact increments (`harness.checks.traced.truth`), and what JAX says in
reverse and in forward mode (`harness.checks.traced.modes`) has to be the same within what rounding can move.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import numpy as np

from harness.bounds.tolerances import MEANT
from harness.checks.traced.arguments import Arguments, in_32_bits, require
from harness.checks.traced.asking import NOT_FINITE, Check
from harness.checks.traced.culprits import Met, beside_the_numbers, find_culprits, rules_alone
from harness.checks.traced.modes.programs import alike, coarsest_type, equations_in, is_read
from harness.checks.traced.subject import DIFFERENCES, INCREMENTS, MODES, REFERENCE, consensus
from harness.checks.traced.truth import Truth
from harness.progress import bar_after
from harness.sources.conduct import settings_kept
from harness.verdict.judging import judge
from harness.verdict.report import Report
from harness.wording import first_few
from reference.arithmetics.companion import first_line
from reference.switches import settings
from reference.traced.contracting import product_units
from reference.traced.eagerly import eagerly, values_of
from reference.traced.program import CUSTOM_RULES, Equation, Traced, function_of
from reference.traced.rounding import COARSE

PATIENCE = 2.0
"""Seconds after which a bar shows how far the check is."""

SOLVERS_TOLD = 1e-10
"""What the tolerance of a solver moves is told from here on, beside the largest derivative."""


NOT_REPEATABLE = {
    how: f"f answers differently each time that it is {how}: randomness or state outside its arguments"
    for how in ("traced", "called")
}

NOT_IN_64_BITS = "checked in the 32 bits that JAX has here, for f does not run in 64"

FIRST_ORDER_IS_NOT_CHECKED = "order=2 compares the derivatives of JAX's gradient, and not the gradient: order=1 does"


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
    with settings(has_64_bits or arguments.needs_64_bits), bar_after(PATIENCE) as progress:
        what = arguments.function, arguments.leaves, arguments.names, lambda: arguments.outputs, trusted
        try:
            check = Check(*what, order, seed)
        except TypeError as reason:  # perhaps of types that are mixed in 64 bits alone
            if has_64_bits or not arguments.needs_64_bits:
                raise
            with settings(False):
                report = check_derivatives(
                    f, *in_32_bits(args), order=order, modes=modes, argnums=argnums, reference=reference, trust=trust,
                    seed=seed, budget=budget,
                )  # fmt: skip
            return replace(report, notes=(*report.notes, f"{NOT_IN_64_BITS}: {first_line(reason)}"))
        check.truth.progress = progress
        check.deadline = started + (np.inf if budget is None else budget)
        check.ask(modes, None if reference is None else arguments.flat(reference(*args)))
        subject = check.subject
        met = Met(check)
        subject.type_name = _type_of(check)
        subject.notes = _notes(check, arguments, met)
        subject.notes += [FIRST_ORDER_IS_NOT_CHECKED] if order == 2 else _of_dependence(check)
        subject.details = {"devices": list(map(_name, check.traced.devices)), "product_bits": _bits_of_products(check)}
        unchecked = _nobody_checked(check, modes)
        subject.doubts = [*check.doubts, *unchecked]
        if check.by_solvers > SOLVERS_TOLD:
            subject.hint = "a solver in f stops at a tolerance that hides the digits; check it with a smaller one"
        differing = _differing(check)
        subject.is_repeatable = not set(NOT_REPEATABLE.values()) & set(differing)
        changed = [f"f changes its argument {name} in place" for name in arguments.changed()]
        subject.misconduct = [*changed, *differing]
        if order == 1 and not subject.misconduct:
            subject.misconduct, told = _ways_apart(check)
            subject.notes += told
        _name_rules(check, met, order, partial(Check, *what))
        _require_met(trust, check)
        report = _judged(check, started)
        return replace(report, decided_share=0.0) if unchecked else report


def _name_rules(check: Check, met: Met, order: int, of_first_order: Callable[[], Check]) -> None:
    """Whose rule it is, where something is wrong; and which rules are off alone, where nothing shows of it."""
    subject = check.subject
    if any(pair.disagrees for pair in (*check.pairs, *check.ends)):
        subject.name_culprits(find_culprits(check, met.equations, of_first_order if order == 2 else None))
    elif order == 1 and met.has_rules and (hidden := beside_the_numbers(check)):
        culprits = find_culprits(check, met.equations)
        subject.name_culprits(culprits)
        by = f"; by {culprits[0].rule}" if culprits else ""
        subject.misconduct = [*subject.misconduct, *(f"{what}{by}" for what in hidden)]
    else:
        alone = rules_alone(check, met.equations)
        if alone:  # whatever digits are lost, it may be the rule that loses them
            check.answers = [replace(answer, note="") for answer in check.answers]
        if check.truth.coarsest > COARSE:  # of the whole, hardly a digit is known
            subject.doubts = [*subject.doubts, *alone]
        else:
            subject.notes = [*subject.notes, *alone]


def _judged(check: Check, started: float) -> Report:
    """The verdict; where points lie outside of the domain, that on the rest beside it."""
    subject, verdict = check.subject, consensus(check.answers, check.pairs, check.ends)
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
    if is_alike and not any(eq.name in CUSTOM_RULES for eq in equations_in(again)):
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


BARS = {
    frozenset({"derived"}): "derived bounds on rounding errors",
    frozenset({"spread"}): "spread of randomly rounded runs, an estimate",
    frozenset({"derived", "spread"}): "derived bounds on rounding errors where these are narrow enough, else the "
    "spread of randomly rounded runs",
    frozenset({"lent"}): "they lie within those of the increments, and need none of their own",
}
"""What error bars are, in words."""


def _error_bars(check: Check) -> list[str]:
    bits, told = _bits_of_products(check), []
    coarsest = f"{bits} bits" if bits else _type_of(check)
    for kinds, words in BARS.items():
        of_jax = [name for name, own in check.bars.items() if own == kinds and name != INCREMENTS]
        of_program = [INCREMENTS] if check.bars.get(INCREMENTS) == kinds else []
        sources = {}
        for precision, names in ((coarsest, of_jax), ("float64", of_program)):
            sources[precision] = [*sources.get(precision, ()), *names]
        told += [f"error bars of {', '.join(names)}, in {of}: {words}" for of, names in sources.items() if names]
    return told


def _bits_of_products(check: Check) -> int | None:
    """How many bits of its operands the coarsest matrix product uses; None where it uses all that they have."""
    coarsest = max((unit for eq in equations_in(check.truth.program) for unit in product_units(eq)), default=0.0)
    return round(-np.log2(coarsest)) if coarsest else None


def _name(device: Any) -> str:
    return f"{device.platform}:{device.id}"


def _of_devices(check: Check) -> list[str]:
    """Where JAX has computed, if not on the CPU alone, and what the device makes of matrix products."""
    devices, bits, told = check.traced.devices, _bits_of_products(check), []
    if len(devices) > 1 or devices[0] != jax.devices("cpu")[0]:
        kinds = ", ".join(dict.fromkeys(device.device_kind for device in devices))
        told.append(f"JAX computed on {first_few(devices, 4, name=_name)} ({kinds}), the increments on the CPU")
    if bits:
        told.append(f"matrix products use {bits} bits of each number: the error bars allow for that")
    return told


def _in_float64(check: Check) -> list[str]:
    """In a coarse type: for which modes the program run in float64 counts, and where it cannot be run so, why."""
    counts = {name: mask for name, mask in (check.subject.by_meaning | check.ends_by_meaning).items() if mask.any()}
    told = []
    if counts:
        told.append(
            f"where JAX's own answers in {_type_of(check)} tell less, the programs of {' and '.join(counts)} count as "
            f"they run in float64: a right rule may be off there by {MEANT[check.precision]:.1e} of the largest of its "
            "block, and by what another rounding of its constants moves"
        )
    told += [
        f"{name} is judged in {_type_of(check)} alone, and not as its program would run in float64: {reason}"
        for name in check.meanings
        if isinstance(reason := check.known_meaning(name), str) and reason
    ]
    return told


def _type_of(check: Check) -> str:
    """The name of the coarsest type that f computes in."""
    return coarsest_type(check.truth.program) or check.precision


def _of_dependence(check: Check) -> list[str]:
    """What f does not depend on, as a loss that was detached does not."""
    unused = [name for name, used in zip(check.inputs.names, is_read(check.truth.program)) if not used]
    told = [f"f does not use {first_few(unused, 6)}"] if unused else []
    known = [answer for answer in check.answers if answer.name != DIFFERENCES and np.isfinite(answer.error).all()]
    slopes = [*(answer.gradient for answer in known), *(slope for pair in check.ends for slope in pair.gradients)]
    if INCREMENTS in [answer.name for answer in known] and not any(map(np.any, slopes)):
        told.append("every derivative is zero" + (" at this point" if len(unused) < len(check.inputs.names) else ""))
    return told


def _notes(check: Check, arguments: Arguments, met: Met) -> list[str]:
    """What else is worth knowing of the way to this answer."""
    truth, told = check.truth, [*_error_bars(check), *_in_float64(check), *_of_devices(check)]
    if check.by_solvers > SOLVERS_TOLD:
        told.append(
            f"a solver stops at its tolerance: a finer one moves JAX's answers by up to {check.by_solvers:.1e} of the "
            "largest, and the error bars hold four times that"
        )
    if check.has_kink:
        told.append("a kink at this point: JAX's convention lies between the slopes on both sides where it agrees")
    if check.contradicted:
        told.append("increments contradict differences and JAX in some entries: differences count there")
    if met.constant:
        places = first_few([f"{name} (line {line} of {file})" for name, file, line in met.constant], 6)
        told.append(f"no derivative goes through {places}: what comes out counts as constant")
    if arguments.left_out:
        told.append(f"no derivative is taken of {first_few(arguments.left_out, 6)}")
    if check.traced.has_effects:
        told.append("f prints or calls back: that happens each time that f runs in here, which is often")
    told += [
        f"run by NumPy, the program of {name} has the right derivative: XLA's machine code may compute a number twice, "
        "each time with other roundings"
        for name in sorted(check.off_when_compiled)
    ]
    if truth.differenced:
        told.append(f"differenced as black boxes: {', '.join(sorted(truth.differenced))}")
    if truth.taken_as_they_are:
        told.append(f"taken as they are, and not checked: {', '.join(sorted(truth.taken_as_they_are))}")
    if not truth.turns_phases:
        told.append("compared are combinations of the outputs that free phases of complex vectors do not change")
    if any(np.iscomplexobj(leaf) for leaf in check.leaves):
        told.append("complex arguments: of JAX's gradient g, Re g and -Im g are the slopes in real and imaginary part")
    return told
