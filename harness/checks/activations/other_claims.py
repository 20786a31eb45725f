"""What a record reports beside its slope: a curvature, derivatives in its parameters, a slope that is a surrogate.

Each further claim is checked as the slope of a record of its own: the curvature is the slope of the slope, and da/dβ at
some z is the slope of a as a function of β.
"""

import inspect
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from harness.bounds.activation_bound import FORMULA_ERRORS
from harness.checks.activations.slope_answers import CLAIMED
from harness.checks.activations.z_grid import Notation, grid
from harness.facts.fact import note
from harness.facts.kinds import Kind
from harness.verdict.report import Report
from reference.activations import Activation
from reference.arithmetics.tangent import Tangent
from reference.namespaces import NUMPY

WORST_FIRST = ("disagree", "inconclusive", "agree")

AT = (-2.5, -0.5, 0.75, 3.0)  # the z at which derivatives in a parameter are checked
NEARBY = 4.0  # a parameter is checked from a quarter of its usual value to four times that


class OtherClaim(NamedTuple):
    """A claim beside the slope: its name, the record whose slope it is, and the names to report it in."""

    name: str
    record: Activation
    notation: Notation


def list_other_claims(f: Activation) -> list[OtherClaim]:
    """The claims beside the slope."""
    claims = []
    if f.curvature is not None:
        claims.append(OtherClaim("curvature", _slope_as_value(f, f.curvature), Notation("curvature", "f''")))
    for name, derivative in f.parameters.items():
        notation = Notation("derivative", f"da/d{name}", name)
        claims += [OtherClaim(f"d/d{name} at z = {z:g}", _in_parameter(f, name, derivative, z), notation) for z in AT]
    return claims


def _slope_as_value(f: Activation, curvature: Callable[[Any, Any], Any]) -> Activation:
    return Activation(
        f"{f.name}'",
        value=lambda xp, z: f.slope(z, f.value(xp, z)),
        slope=lambda z, a: curvature(z, f(z)),
        kinks=f.kinks,
    )


def _in_parameter(f: Activation, name: str, derivative: Callable[[Any, Any, Any], Any], z: float) -> Activation:
    """f(z) as a function of a parameter, constant beyond `NEARBY` times its usual value.

    A parameter may be invalid elsewhere, such as at zero where it divides.
    """
    low, high = _range_of(f, name)

    def value(xp: Any, p: Any) -> Any:
        return f.value(xp, z + 0.0 * p, **{name: xp.where(p < low, low, xp.where(p > high, high, p))})

    def slope(p: Any, a: Any) -> Any:
        inside = np.where(p < low, low, np.where(p > high, high, p))
        return np.where((p < low) | (p > high), 0.0, derivative(z + 0.0 * p, a, inside))

    return Activation(f"{f.name} as a function of {name}", value, slope, kinks=(low, high))


def _range_of(f: Activation, name: str) -> tuple[float, float]:
    try:
        usual = float(inspect.signature(f.value).parameters[name].default)
    except (KeyError, TypeError, ValueError):
        raise ValueError(
            f"activation {f.name!r}: value must have a keyword {name!r} with a number by default, as in "
            f"value=lambda xp, z, {name}=1.0: ..."
        ) from None
    low, high = sorted((usual / NEARBY, usual * NEARBY)) if usual else (-1.0, 1.0)
    return low, high


def add_claim(report: Report, name: str, other: Report) -> Report:
    """A report with that on another claim of the same record."""
    agrees = [note(Kind.PART_AGREES, name)] if other.verdict == "agree" else []
    return replace(
        report,
        verdict=min(report.verdict, other.verdict, key=WORST_FIRST.index),
        outliers=(*report.outliers, *([name] if CLAIMED in other.outliers else [])),
        findings=(*report.findings, *(replace(finding, source=name) for finding in other.findings)),
        facts=(*report.facts, *other.reasons, *agrees),
        details=report.details | {name: other.to_dict()},
        seconds=report.seconds + other.seconds,
    )


def excuse_surrogate(report: Report) -> Report:
    """A report on a slope that is no derivative on purpose: where it differs is a note, and accuses nobody."""
    about_slope = [finding for finding in report.findings if finding.source == CLAIMED]
    if not about_slope:
        return report
    others = tuple(finding for finding in report.findings if finding.source != CLAIMED)
    return replace(
        report,
        verdict="disagree" if others or report.reasons else "agree",
        outliers=tuple(name for name in report.outliers if name != CLAIMED),
        findings=others,
        facts=(*report.facts, *(note(Kind.SURROGATE, *one.fact.where, **one.fact.data) for one in about_slope)),
    )


def add_second_derivative(report: Report, f: Activation) -> Report:
    """A report with f'' on the grid, computed from the reported slope with tangents."""
    z = grid(f)
    with np.errstate(all="ignore"):
        try:
            slope = f.slope(Tangent(z, 1.0), f.value(NUMPY, Tangent(z, 1.0)))
        except FORMULA_ERRORS:
            return report.with_facts(note(Kind.SECOND_DERIVATIVE))
    second = np.broadcast_to(slope.slope if isinstance(slope, Tangent) else 0.0, z.shape)
    finite = np.where(np.isfinite(second), np.abs(second), -1.0)
    largest = int(finite.argmax())
    values = {"z": z.tolist(), "second derivative": second.tolist()}
    fact = note(Kind.SECOND_DERIVATIVE, f"z = {z[largest]:.6g}", largest=float(finite[largest]))
    return replace(report, facts=(*report.facts, fact), details=report.details | {"order 2": values})
