"""An activation's record as code: what would break a network, where it is not finite, what else it claims."""

import contextlib
import inspect
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from harness.bounds.activation_bound import FORMULA_ERRORS, ActivationBound
from harness.checks.activations.activation_subject import GridPoints
from harness.checks.activations.z_grid import in_words, stretches
from harness.named_objects import import_attribute
from harness.verdict.report import Finding
from harness.wording import distinct_digits
from reference.activations import Activation, get_activation
from reference.arithmetics.companion import first_line
from reference.arithmetics.tangent import Tangent
from reference.measured import MeasuredSlope
from reference.namespaces import NUMPY

SHAPES = ((3, 4), (0,), ())

ONE_FOR_ALL = "one slope for all z, which broadcasts"

ELEMENTWISE = "each entry must depend on the same entry of z alone"

NOT_REPEATABLE = "answers differently when called twice with the same z: it must depend on z alone"

SAMPLED = 24  # points at which an array is compared with its entries, one by one


def find_activation(name: str | Activation) -> Activation:
    """A record, a registered one by its name, or the one that ``module:attribute`` names.

    Raises
    ------
    ValueError
        When there is none, or it is something else.
    """
    if not isinstance(name, str) or ":" not in name:
        return get_activation(name)
    found = import_attribute(name)
    if not isinstance(found, Activation):
        raise ValueError(f"{name} is of type {type(found).__name__}, but an Activation is needed")
    return found


def misconduct_and_notes(f: Activation, z: np.ndarray) -> tuple[list[str], list[str]]:
    """What breaks a network, and what is only worth knowing."""
    misconduct, notes = _changed_arguments(f, z), at_infinity(f)
    for shape in SHAPES:
        try:
            wrong = _wrong_shapes(f, np.resize([-1.5, -0.5, 0.25, 2.0], shape))
        except FORMULA_ERRORS as reason:
            wrong = [f"cannot take an array of shape {shape} ({first_line(reason)})"]
        broadcasts = all(line.endswith(ONE_FOR_ALL) for line in wrong)
        if broadcasts or len(shape) < 2:  # networks have matrices
            notes += wrong
        else:
            misconduct += wrong
    (of_nan,) = _or_nan(f, np.array([np.nan]))
    if not np.isnan(of_nan):
        notes.append(f"NaN becomes {of_nan:g}: a network that has diverged would look sound")
    return misconduct, notes


def _changed_arguments(f: Activation, z: np.ndarray) -> list[str]:
    given, a = z.copy(), np.array(f(z.copy()))
    f(given)
    misconduct = [] if np.array_equal(given, z) else ["value changes its argument z in place"]
    given_z, given_a = z.copy(), a.copy()
    f.slope(given_z, given_a)
    for name, after, before in (("z", given_z, z), ("a", given_a, a)):
        if not np.array_equal(after, before, equal_nan=True):
            misconduct.append(f"slope changes its argument {name} in place")
    return misconduct


def _wrong_shapes(f: Activation, z: np.ndarray) -> list[str]:
    a = f(z.copy())
    shapes = {"value": np.shape(a), "slope": np.shape(f.slope(z.copy(), a))}
    advice = {("slope", ()): ONE_FOR_ALL}
    return [
        f"{part} has shape {got} for z of shape {z.shape}: {advice.get((part, got), 'it must keep the shape of z')}"
        for part, got in shapes.items()
        if got != z.shape
    ]


def not_elementwise(part: str, function: Callable[[np.ndarray], Any], z: np.ndarray, error: np.ndarray) -> list[str]:
    """Whether entries depend on their neighbours: those of the whole array are not those of its reverse, or alone.

    Or on its shape: a square matrix is one that a transposition does not change.
    """
    picked, side = np.linspace(0, len(z) - 1, SAMPLED).astype(int), math.isqrt(len(z))
    square = z[: side * side].reshape(side, side)

    def differs(others: np.ndarray, i: np.ndarray) -> np.ndarray:
        return i[np.isfinite(whole[i]) & ~(np.abs(whole[i] - others) <= 2.0 * error[i])]

    whole, again = (np.broadcast_to(function(z.copy()), z.shape) for _ in range(2))
    if not np.array_equal(whole, again, equal_nan=True):
        return [f"{part} {NOT_REPEATABLE}"]
    try:
        reverse = np.broadcast_to(function(z[::-1].copy()), z.shape)[::-1]
        alone = np.array([np.ravel(function(z[i : i + 1].copy()))[0] for i in picked])
    except FORMULA_ERRORS as reason:
        return [f"{part} is not elementwise: it cannot take one entry of z alone ({first_line(reason)}); {ELEMENTWISE}"]
    wrong, how = {*differs(reverse[picked], picked), *differs(alone, picked)}, "it depends on the rest of the array"
    if not wrong:
        with contextlib.suppress(*FORMULA_ERRORS):  # what a formula does to the shape is told elsewhere
            matrix = np.broadcast_to(function(square.copy()), square.shape).ravel()
            wrong, how = {*differs(matrix, np.arange(square.size))}, f"it is another in a matrix of {side} by {side}"
    return [f"{part} is not elementwise: at z = {z[i]:.6g} {how}; {ELEMENTWISE}" for i in sorted(wrong)[:1]]


def _or_nan(function: Callable[[np.ndarray], Any], z: np.ndarray) -> np.ndarray:
    try:
        return np.broadcast_to(function(z.copy()), z.shape)
    except FORMULA_ERRORS:  # one that is not elementwise may need more entries
        return np.full(z.shape, np.nan)


def other_values(points: GridPoints, bound: ActivationBound, answers: dict[str, MeasuredSlope]) -> list[str]:
    """Oracles under which the formula has another value than in NumPy: it branches on the kind of array."""
    lines = []
    for name, answer in answers.items():
        allowed = (1.0 + max(1.0, answer.roundings)) * bound.value + answer.value_error
        difference = np.abs(answer.value - points.a)
        apart = np.isfinite(points.a) & np.isfinite(answer.value) & np.isfinite(allowed) & ~(difference <= allowed)
        if apart.any():
            i = int(np.where(apart, difference, -1.0).argmax())
            lines.append(
                f"the value is not the same under {name}: {float(answer.value[i])!r} instead of {float(points.a[i])!r} "
                f"at z = {points.z[i]:.6g}, for {in_words(stretches(points.z, apart))}"
            )
    return lines


def not_finite(points: GridPoints, slopes: dict[str, MeasuredSlope]) -> list[str]:
    """Where the value or the slope, as claimed or by JAX, is not finite, and whether it could be."""
    lines, balls, by_jax = [], slopes.get("ball"), "JAX's slope of the formula"
    exact = {"value": balls.value, "slope": balls.slope, by_jax: balls.slope} if balls else {}
    parts = {"value": points.a, "slope": points.slope}
    if "jax" in slopes:
        parts[by_jax] = np.where(points.judged & ~points.at_seams, slopes["jax"].slope, 0.0)
    for part, computed in parts.items():
        broken = ~np.isfinite(computed)
        if broken.any():
            line = f"{part} is not finite for {in_words(stretches(points.z, broken))}"
            avoidable = broken & np.isfinite(exact.get(part, computed))
            if avoidable.any():
                i = np.flatnonzero(avoidable)[0]
                line += f", though it could be: {exact[part][i] + 0.0:.6g} at z = {points.z[i]:.6g}"
            lines.append(line)
    return lines


def slope_at_minus_zero(points: GridPoints) -> list[str]:
    """Whether another slope is claimed at z = -0.0 than at 0.0, as only a convention at a kink may."""
    usual = float(points.slope[np.searchsorted(points.z, 0.0)])
    if points.at_minus_zero == usual:
        return []
    here, there = distinct_digits(points.at_minus_zero, usual)
    return [f"slope is {here} at z = -0.0, and {there} at 0.0, which is the same number"]


def value_at_minus_zero(points: GridPoints, bound: ActivationBound, jumps: Sequence[float]) -> list[str]:
    """Whether the value at z = -0.0 is another than at 0.0, although it does not jump there."""
    zero = np.searchsorted(points.z, 0.0)
    a, usual = float(_or_nan(points.f, np.array([-0.0]))[0]), float(points.a[zero])
    if not np.isfinite(usual) or abs(a - usual) <= 2.0 * bound.value[zero] or (0.0 in jumps and np.isfinite(a)):
        return []
    here, there = distinct_digits(a, usual)
    return [f"value is {here} at z = -0.0, and {there} at 0.0, which is the same number"]


FAR = np.array([1e10, 1e40, 1e70, 1e100, 1e130])
"""|z| at which the exact value and slope are looked at, to see what they tend to."""

SETTLED = 1e-9
"""A number that changes less, or a power of z that does, has a limit; what is less than its square tends to 0."""


def at_infinity(f: Activation) -> list[str]:
    """What value and slope are at z = ±inf, where a network that overflows asks for them, and what they tend to.

    A value that is the same far out, such as 0 for 1/2 + arctan(z)/π, is right. No verdict follows, for silu, gelu and
    mish of PyTorch and JAX are NaN there, too. Without balls, nothing is known.
    """
    from reference.oracles import ball_arithmetic  # here, because flint takes a while to load

    lines = []
    for side in (-1.0, 1.0):
        try:
            exact, z = ball_arithmetic.slope(f, side * FAR), np.array([side * np.inf])
            a, before = np.broadcast_to(f(z.copy()), z.shape), float(np.ravel(f(side * FAR[-1:]))[0])
            there = float(a[0]), float(np.ravel(f.slope(z.copy(), a.copy()))[0])
        except FORMULA_ERRORS:
            continue
        limits = [_limit(exact.value, exact.value_error), _limit(exact.slope, exact.error)]
        said = [
            " and tends to ".join((f"{part} is {told[0]}", told[1]))
            for part, number, limit, far in zip(("value", "slope"), there, limits, (before, np.nan))
            if not (np.isnan(limit) or number in (limit, far) or abs(number - limit) <= SETTLED * abs(limit))
            and (told := distinct_digits(number, limit))
        ]
        lines += [f"at z = {z[0]:g}, {', '.join(said)}"] if said else []
    return lines


def _limit(numbers: np.ndarray, error: np.ndarray | float) -> float:
    """What the numbers at `FAR` tend to: a limit, or infinity where they grow as a power of z; NaN where neither is."""
    size, last = np.abs(numbers), float(numbers[-1])
    if not np.all(np.isfinite(numbers) & (error <= SETTLED * np.maximum(size, SETTLED))):
        return np.nan
    if (size[2:] <= SETTLED**2).all():
        return 0.0
    if (np.abs(np.diff(numbers)[2:]) <= SETTLED * size[-1]).all():
        return last
    powers = np.diff(np.log(size)) / np.diff(np.log(FAR)) if size.all() else np.zeros(1)
    grows = powers[-1] > SETTLED and np.ptp(powers[1:]) <= SETTLED and (np.sign(numbers) == np.sign(last)).all()
    return float(np.copysign(np.inf, last)) if grows else np.nan


# -- what a record claims beside its slope -----------------------------------------------------------------------------

AT = (-2.5, -0.5, 0.75, 3.0)
"""The z at which derivatives with respect to a parameter are checked, each as a function of that parameter."""


NEARBY = 4.0
"""A parameter is looked at from a quarter of its usual value to four times that."""


def other_claims(f: Activation) -> list[tuple[str, Activation]]:
    """The claims beside the slope, each as the slope of a record of its own: what is checked of one serves all.

    The curvature is the slope of the slope; da/dβ at some z is the slope of a as a function of β.
    """
    claims = []
    if f.curvature is not None:
        claims.append(("curvature", _derivative_of(f, f.curvature)))
    for name, derivative in f.parameters.items():
        claims += [(f"d/d{name} at z = {z:g}", _in_parameter(f, name, derivative, z)) for z in AT]
    return claims


def about_claim(what: str, finding: Finding) -> Finding:
    """A finding about such a claim, in the words of the record: a parameter is not called z."""
    where, said, name = finding.where, finding.diagnosis, what.partition("d/d")[2].partition(" ")[0]
    if not name:  # the curvature: its slope is f'', and its value f'
        said = said.replace("f'(", "f''(").replace("f(", "f'(").replace("times the slope", "times the curvature")
        return replace(finding, source=what, where=where.replace("f'(", "f''("), diagnosis=said)
    blocks = tuple(block.replace(" z ", f" {name} ").replace("z = ", f"{name} = ") for block in finding.blocks)
    said = re.sub(r"\bz\b", name, said.replace("pre-activation", "parameter").replace("slope", "derivative"))
    return replace(finding, source=what, where=where.replace("f'(", f"da/d{name}("), blocks=blocks, diagnosis=said)


def _derivative_of(f: Activation, curvature: Callable[[Any, Any], Any]) -> Activation:
    return Activation(
        f"{f.name}'",
        value=lambda xp, z: f.slope(z, f.value(xp, z)),
        slope=lambda z, a: curvature(z, f(z)),
        kinks=f.kinks,
    )


def _in_parameter(f: Activation, name: str, derivative: Callable[[Any, Any, Any], Any], z: float) -> Activation:
    """f(z) as a function of a parameter, which stands still beyond `NEARBY` times its usual value, up or down."""
    low, high = _range_of(f, name)

    def value(xp: Any, p: Any) -> Any:
        return f.value(xp, z + 0.0 * p, **{name: xp.where(p < low, low, xp.where(p > high, high, p))})

    def slope(p: Any, a: Any) -> Any:
        inside = np.where(p < low, low, np.where(p > high, high, p))
        return np.where((p < low) | (p > high), 0.0, derivative(z + 0.0 * p, a, inside))

    return Activation(f"{f.name} as a function of {name}", value, slope, kinks=(low, high))


def _range_of(f: Activation, name: str) -> tuple[float, float]:
    """Where a parameter is looked at: what it may be elsewhere, such as zero where it divides, is not known."""
    try:
        usual = float(inspect.signature(f.value).parameters[name].default)
    except (KeyError, TypeError, ValueError):
        raise ValueError(
            f"activation {f.name!r}: value must have a keyword {name!r} with a number by default, as in "
            f"value=lambda xp, z, {name}=1.0: ..."
        ) from None
    low, high = sorted((usual / NEARBY, usual * NEARBY)) if usual else (-1.0, 1.0)
    return low, high


def curvatures(f: Activation, z: np.ndarray) -> np.ndarray | None:
    """f'' at each z, from the claimed slope by carried derivatives; None where it does not take them."""
    try:
        slope = f.slope(Tangent(z, 1.0), f.value(NUMPY, Tangent(z, 1.0)))
        return np.broadcast_to(slope.slope if isinstance(slope, Tangent) else 0.0, z.shape)
    except FORMULA_ERRORS:
        return None
