"""What is worth knowing beside a verdict: error bounds, devices, what was compared, what f does and does not use."""

from collections.abc import Iterator, Sequence
from typing import Any

import jax
import numpy as np

from harness.bounds.tolerances import MEANT, SOLVERS_FACTOR
from harness.checks.traced.derivative_case import DIFFERENCES, INCREMENTS
from harness.checks.traced.derivative_comparison import Comparison
from harness.checks.traced.equations_met import Met
from harness.checks.traced.function_arguments import Arguments
from harness.checks.traced.reported_derivatives import comparable_runs
from harness.checks.traced.traced_programs import coarsest_type, is_read
from harness.facts.fact import Fact, note
from harness.facts.kinds import Kind
from reference.traced.equations import equations_in, product_units

SOLVERS_NOTED = 1e-10
"""What the tolerance of a solver moves is noted from here on, as a share of the largest derivative: less is
rounding."""


def note_everything(
    comparison: Comparison, arguments: Arguments, met: Met, at_kinks: Sequence[Fact] = ()
) -> list[Fact]:
    """The notes on a check, in the order of a report, with what is known of kinks where inputs move together."""
    case, point, obstacles = comparison.case, comparison.point, comparison.obstacles
    taken = obstacles.taken_as_they_are | case.trusted_rules
    slopes = [found for found in (comparison.look.true.slopes, comparison.directional.slopes) if found]
    places = [f"{name} (line {line} of {file})" for name, file, line in met.constant]
    nan_given = np.flatnonzero(np.isnan(comparison.look.coordinates.point)).tolist()
    solvers = {"moved": comparison.by_solvers, "factor": SOLVERS_FACTOR}
    facts: list[tuple[Any, Fact]] = [
        (comparison.by_solvers > SOLVERS_NOTED, note(Kind.SOLVER_TOLERANCE, **solvers)),
        (not at_kinks and any(found.has_kink for found in slopes), note(Kind.KINK)),
        (comparison.is_contradicted, note(Kind.INCREMENTS_CONTRADICTED)),
        (places, note(Kind.DERIVATIVE_ENDS, *places, functions=[place.name for place in met.constant])),
        (arguments.left_out, note(Kind.NOT_DIFFERENTIATED, *arguments.left_out)),
        (arguments.settings, note(Kind.HELD_FIXED, *arguments.settings)),
        (nan_given, note(Kind.NAN_GIVEN, *map(comparison.look.coordinates.inputs.label, nan_given))),
        (case.traced.has_effects, note(Kind.CALLBACK)),
        (obstacles.differenced, note(Kind.BLACK_BOX, *sorted(obstacles.differenced))),
        (taken, note(Kind.TRUSTED_RULE, *sorted(taken))),
        (not point.program.turns_phases, note(Kind.FREE_PHASES)),
        (any(np.iscomplexobj(leaf) for leaf in case.leaves), note(Kind.COMPLEX_CONVENTION)),
        (case.order == 2, note(Kind.FIRST_ORDER_UNCHECKED)),
    ]
    noted = [*_error_bounds(comparison), *_in_float64(comparison), *_devices(comparison)]
    noted += [*at_kinks, *(fact for holds, fact in facts if holds)]
    has_kink = any(fact.kind in (Kind.KINK, Kind.NO_SLOPE) for fact in noted)
    # the gradient of a linear function depends on nothing, and that is worth no note
    return noted if case.order == 2 else [*noted, *_dependence(comparison, has_kink=has_kink)]


def type_of(comparison: Comparison) -> str:
    """The name of the coarsest type that f computes in."""
    return coarsest_type(comparison.case.program) or comparison.point.program.precision


def details_of(comparison: Comparison) -> dict[str, Any]:
    """The devices that JAX computed on, and how many bits of its operands a matrix product uses (None: all)."""
    devices = [f"{device.platform}:{device.id}" for device in comparison.case.traced.devices]
    return {"devices": devices, "product_bits": _product_bits(comparison)}


def _error_bounds(comparison: Comparison) -> Iterator[Fact]:
    """One fact for all sources whose error bounds are alike."""
    bits = _product_bits(comparison)
    coarsest = f"{bits} bits" if bits else type_of(comparison)
    sources: dict[tuple[str, ...], dict[str, None]] = {}  # by precision and kinds of bound: the names, in order
    slopes = [found for found in (comparison.look.true.slopes, comparison.directional.slopes) if found]
    found = {report.name: (coarsest, report.bound_kinds) for report in comparison.reports if report.bound_kinds}
    found[INCREMENTS] = "float64", frozenset().union(*(s.bound_kinds for s in slopes))
    for name, (precision, kinds) in found.items():
        sources.setdefault((precision, *sorted(kinds)), {})[name] = None
    for (precision, *kinds), names in sources.items():
        yield note(Kind.ERROR_BOUNDS, *names, precision=precision, bounds=kinds)


def _product_bits(comparison: Comparison) -> int | None:
    """The bits of its operands that the coarsest matrix product keeps; None where all are."""
    units = [unit for eq in equations_in(comparison.case.program) for unit in product_units(eq)]
    return round(-np.log2(max(units))) if any(units) else None


def _in_float64(comparison: Comparison) -> Iterator[Fact]:
    """For which modes the evaluation in float64 is compared; and where there is none, why."""
    look, point, narrow = comparison.look, comparison.point, type_of(comparison)
    masks = {**look.replaced, **comparison.directional.replaced}
    if compared := [name for name, mask in masks.items() if mask.any()]:
        share = MEANT[point.program.precision]
        yield note(Kind.FLOAT64_EVALUATION, *compared, type=narrow, share=share)
    for report in comparison.reports:
        reason = comparable_runs(report, comparison.obstacles, point.program.coarsest)
        if isinstance(reason, Fact):
            data = {"source": report.name, "type": narrow, "because": reason.data["because"]}
            yield note(Kind.OWN_PRECISION_ONLY, *reason.where, **data)


def _devices(comparison: Comparison) -> Iterator[Fact]:
    """Where JAX has computed, if not on the CPU alone, and how coarsely the device multiplies matrices."""
    devices, details = comparison.case.traced.devices, details_of(comparison)
    if len(devices) > 1 or devices[0] != jax.devices("cpu")[0]:
        yield note(Kind.ON_DEVICE, *details["devices"], library="JAX")
    if details["product_bits"]:
        yield note(Kind.PRODUCT_BITS, bits=details["product_bits"])


def _dependence(comparison: Comparison, *, has_kink: bool) -> Iterator[Fact]:
    """What f does not depend on, as a loss that was detached does not depend on its parameters.

    At a kink there is no derivative that could be zero.
    """
    names: Sequence[str] = comparison.case.inputs.names
    unused = [name for name, is_used in zip(names, is_read(comparison.case.program)) if not is_used]
    if unused:
        yield note(Kind.UNUSED_ARGUMENT, *unused)
    # differences know some inputs alone; increments know all, or a zero among them may be an unknown derivative
    known = [a for a in comparison.answers if a.name != DIFFERENCES and np.isfinite(a.error).all()]
    slopes = [
        *(a.gradient for a in known),
        *(slope for pair in comparison.directional.pairs for slope in pair.gradients),
    ]
    if INCREMENTS in [answer.name for answer in known] and not any(map(np.any, slopes)) and not has_kink:
        yield note(Kind.ZERO_DERIVATIVE, is_local=len(unused) < len(names))
