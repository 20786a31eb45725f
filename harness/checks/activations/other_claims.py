"""What a record reports beside its slope: a curvature, derivatives in its parameters, a slope that is a surrogate.

Each further claim is checked as the slope of a record of its own, by the same code:

    curvature f''(z)    the slope of a record whose value is f'(z)
    da/dβ at each z     the slope of a record whose value is f(z; β), differentiated in β instead of z

For the second, every arithmetic gets z as a constant and β as the variable (`_held_and_moved`). So the swish z σ(β z)
is checked at each z for ∂/∂β = z² σ'(β z), by JAX, balls and differences as they are.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from harness.bounds.activation_bound import FORMULA_ERRORS
from harness.checks.activations.formulas import OverTorch, as_written, runs_in_torch
from harness.checks.activations.slope_answers import CLAIMED
from harness.checks.activations.z_grid import OF_Z, Notation, grid
from harness.exit_codes import worst_verdict
from harness.facts.fact import note
from harness.facts.kinds import Kind
from harness.verdict.report import Report
from reference.activations import Activation
from reference.arithmetics.increments import Increment
from reference.arithmetics.tangent import Tangent
from reference.namespaces import NUMPY, Namespace

PARAMETER_FACTOR = 4.0
"""A parameter is checked at its usual value, at a quarter of that, and at four times that: at β = 1 alone β and β² are
the same."""


class OtherClaim(NamedTuple):
    """A claim beside the slope: its name, the record whose slope it is, and the names to report it in."""

    name: str
    record: Activation
    notation: Notation
    is_usual: bool = True  # with other parameters, kinks lie elsewhere, and only a wrong derivative matters
    has_own_kinks: bool = False  # as a curvature of an elu has, which cannot declare them


def list_other_claims(f: Activation) -> list[OtherClaim]:
    """The claims beside the slope."""
    claims = []
    if f.curvature is not None:
        notation = Notation("curvature", "f''")
        claims.append(OtherClaim("curvature", _slope_as_value(f, f.curvature), notation, has_own_kinks=True))
    for at, where in _places_of_slope(f):
        elsewhere = Activation(f.name, partial(f.value, **at), partial(f.slope, **at), kinks=f.kinks)
        claims.append(OtherClaim(f"slope{where}", as_written(elsewhere), OF_Z, is_usual=False))
    for name, derivative in f.parameters.items():
        notation = Notation(f"derivative in {name}", f"da/d{name}")
        for at, where in _places(f, name, derivative):
            claims.append(OtherClaim(f"d/d{name}{where}", _in_parameter(f, name, derivative, at), notation, not where))
    return claims


def _slope_as_value(f: Activation, curvature: Callable[[Any, Any], Any]) -> Activation:
    """The record with the reported slope for its value and the reported curvature for its slope."""
    slope_of = Activation(
        f"{f.name}'",
        value=lambda xp, z: f.slope(z, f.value(xp, z)),
        slope=lambda z, a: curvature(z, f(z)),
        kinks=f.kinks,
    )
    return as_written(slope_of)


# -- parameters --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class InParameter(OverTorch):
    """f as a function of z whose "slope" is its derivative in a parameter p: only p is moved, at each z by itself.

    ``moved(z, step)``, by which differences are made, is f(z; p + step) and not f(z + step; p).
    """

    formula: Callable[[Any, Any, Any], Any] = field(kw_only=True)  # formula(xp, z, p)
    usual: float = field(kw_only=True)  # the value of p

    def moved(self, z: Any, step: Any) -> Any:
        try:
            return self.formula(NUMPY, z, self.usual + step)
        except FORMULA_ERRORS:  # a formula may need a number for p, as `if p > 0` does
            pairs = zip(z[:, np.newaxis], self.usual + step)
            return np.array([np.ravel(self.formula(NUMPY, *pair))[0] for pair in pairs])


def _in_parameter(f: Activation, name: str, derivative: Callable[..., Any], at: Mapping[str, float]) -> InParameter:
    """The record of the derivative in one parameter, with all parameters at the given values."""
    takes_one = _takes_one(derivative)

    def slope(z: Any, a: Any) -> Any:
        return derivative(z, a, at[name]) if takes_one else derivative(z, a, **at)

    kinks = f.parameter_kinks.get(name, f.kinks)
    plain = as_written(Activation(f.name, f.value, slope, kinks=kinks))

    def formula(xp: Any, z: Any, p: Any) -> Any:
        return plain.value(xp, z, **{**at, name: p})

    def value(xp: Any, z: Any) -> Any:
        return formula(xp, *_held_and_moved(xp, z, at[name]))

    title = f"{f.name} as a function of {name}"
    # a formula that runs in torch calls torch by itself, and takes of xp only its name
    tensors = partial(value, Namespace("torch", np)) if runs_in_torch(plain) else None
    return InParameter(title, value, plain.slope, kinks=kinks, formula=formula, usual=at[name], tensors=tensors)


def _held_and_moved(xp: Any, z: Any, p: float) -> tuple[Any, Any]:
    """z as a constant, and p with what z carries to be differentiated.

    A tangent or an increment lends p what it carries. Elsewhere p + (z - constant z) has the value p and the derivative
    of z.
    """
    if isinstance(z, (Tangent, Increment)):
        return type(z).lift(z.value), type(z)(p, z.companion)
    if xp.name == "jax":
        from jax.lax import stop_gradient

        return stop_gradient(z), p + (z - stop_gradient(z))
    if xp.name == "balls":
        from reference.arithmetics.balls import values

        return values(z), p + (z - values(z))
    if xp.name == "torch":
        return z.detach(), p + (z - z.detach())
    if xp.name == "complex":
        return (real := np.real(np.asarray(z))), p + (z - real)
    return z, p


def _places(f: Activation, name: str, derivative: Callable[..., Any]) -> Iterator[tuple[dict[str, float], str]]:
    """The values of all parameters at which a derivative is checked, and what distinguishes them from the usual ones.

    A derivative that takes all parameters is checked where all are moved, in different directions.
    """
    usual = {each: _usual(f, each) for each in f.parameters}
    moved = [name] if _takes_one(derivative) else [name, *(each for each in usual if each != name)]
    yield usual, ""
    yield from _moved(usual, moved)


def _places_of_slope(f: Activation) -> Iterator[tuple[dict[str, float], str]]:
    """Where a slope that takes parameters by name, as (z, a, beta=1.0), is checked beside their usual values.

    At β = 1 alone, the slopes σ(βz) (1 + βz σ(-βz)) and σ(βz) (1 + z σ(-βz)) of swish are the same.
    """
    try:
        takes = inspect.signature(f.slope).parameters
    except (TypeError, ValueError):  # no Python function: it takes z and a alone
        return
    if moved := [name for name in f.parameters if name in takes]:
        yield from _moved({name: _usual(f, name) for name in moved}, moved)


def _moved(usual: Mapping[str, float], moved: Sequence[str]) -> Iterator[tuple[dict[str, float], str]]:
    """Some parameters away from their usual values, and what distinguishes the place."""
    ends = {name: (usual[name] / PARAMETER_FACTOR, usual[name] * PARAMETER_FACTOR) for name in moved}
    ends = {name: pair if usual[name] else (-1.0, 1.0) for name, pair in ends.items()}  # on both sides of zero
    # twice: every second parameter low and the others high, then the other way round
    for side in (0, 1):
        at = {name: ends[name][(side + i) % 2] for i, name in enumerate(moved)}
        yield {**usual, **at}, f" at {', '.join(f'{name} = {value:g}' for name, value in at.items())}"


def _takes_one(derivative: Callable[..., Any]) -> bool:
    """Whether a derivative takes its own parameter alone, as (z, a, β), or all by name, as (z, a, *, alpha, beta)."""
    kinds = inspect.signature(derivative).parameters.values()
    return not any(each.kind in (each.KEYWORD_ONLY, each.VAR_KEYWORD) for each in kinds)


def _usual(f: Activation, name: str) -> float:
    """A parameter's value by default."""
    try:
        return float(inspect.signature(f.value).parameters[name].default)
    except (KeyError, TypeError, ValueError):
        raise ValueError(
            f"activation {f.name!r}: value must have a keyword {name!r} with a number by default, as in "
            f"value=lambda xp, z, {name}=1.0: ..."
        ) from None


# -- reports -----------------------------------------------------------------------------------------------------------


def add_claim(report: Report, claim: OtherClaim, other: Report) -> Report:
    """A report with that on another claim of the same record: the worse verdict of both, and the findings of both."""
    # with unusual parameters only a wrong derivative is news: kinks lie elsewhere, and formulas may be undefined
    if not claim.is_usual and other.verdict != "agree" and CLAIMED not in other.outliers:
        return report
    name = claim.name

    def named(source: str) -> str:
        return name if source == CLAIMED else source

    agrees = [note(Kind.PART_RIGHT, name)] if other.verdict == "agree" else []
    reasons = [fact for fact in other.reasons if fact not in report.facts]
    return replace(
        report,
        verdict=worst_verdict((report.verdict, other.verdict)),
        outliers=tuple(dict.fromkeys((*report.outliers, *map(named, other.outliers)))),
        findings=(*report.findings, *(replace(each, source=named(each.source)) for each in other.findings)),
        facts=(*report.facts, *reasons, *agrees),
        details=report.details | {name: other.to_dict()},
        seconds=report.seconds + other.seconds,
    )


def excuse_surrogate(report: Report) -> Report:
    """A report on a slope that is no derivative on purpose: where it differs is a note, and accuses nobody."""
    about_slope = [finding for finding in report.findings if finding.source == CLAIMED]
    # a surrogate that happens to be the derivative needs no excuse
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
    # the largest that is finite
    finite = np.where(np.isfinite(second), np.abs(second), -1.0)
    largest = int(finite.argmax())
    fact = note(Kind.SECOND_DERIVATIVE, f"z = {z[largest]:.6g}", largest=float(finite[largest]))
    values = {"z": z.tolist(), "second derivative": second.tolist()}
    return replace(report.with_facts(fact), details=report.details | {"order 2": values})
