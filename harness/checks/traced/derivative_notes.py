"""What is worth knowing of the way to an answer: error bars, devices, what counted, what f does and does not use."""

from typing import Any

import jax
import numpy as np

from harness.bounds.tolerances import MEANT
from harness.checks.traced.culprits import Met
from harness.checks.traced.derivative_case import Check
from harness.checks.traced.derivative_subject import DIFFERENCES, INCREMENTS
from harness.checks.traced.function_arguments import Arguments
from harness.checks.traced.side_effects import Outside
from harness.checks.traced.traced_programs import coarsest_type, equations_in, is_read
from harness.wording import first_few
from reference.traced.equations import product_units

SOLVERS_TOLD = 1e-10
"""What the tolerance of a solver moves is told from here on, beside the largest derivative."""

FIRST_ORDER_IS_NOT_CHECKED = "order=2 compares the derivatives of JAX's gradient, and not the gradient: order=1 does"

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
    coarsest = f"{bits} bits" if bits else type_of(check)
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
            f"where JAX's own answers in {type_of(check)} tell less, the programs of {' and '.join(counts)} count as "
            f"they run in float64: a right rule may be off there by {MEANT[check.precision]:.1e} of the largest of its "
            "block, and by what another rounding of its constants moves"
        )
    told += [
        f"{name} is judged in {type_of(check)} alone, and not as its program would run in float64: {reason}"
        for name in check.meanings
        if isinstance(reason := check.known_meaning(name), str) and reason
    ]
    return told


def type_of(check: Check) -> str:
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


def _of_side_effects(outside: Outside) -> list[str]:
    changed = outside.changed()
    if not changed:
        return []
    kept = ", and what is kept there is a traced array, of no use afterwards" if outside.keeps_traced() else ""
    when = "JAX runs such a line when it traces f, and not each time that f runs"
    return [f"f changes {first_few(changed, 6)}, which no argument holds: {when}{kept}"]


def notes_of(check: Check, arguments: Arguments, met: Met, order: int) -> list[str]:
    """All that is told of one check, in the order of a report."""
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
    if given := np.flatnonzero(np.isnan(check.subject.point)).tolist():
        told.append(f"{first_few(given, 3, name=check.inputs.label)}: NaN was given")
    told += _of_side_effects(arguments.outside)
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
    return told + ([FIRST_ORDER_IS_NOT_CHECKED] if order == 2 else _of_dependence(check))


def details_of(check: Check) -> dict[str, Any]:
    """The devices that JAX computed on, and how many bits their products have, as data."""
    return {"devices": list(map(_name, check.traced.devices)), "product_bits": _bits_of_products(check)}
