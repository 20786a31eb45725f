"""The slope of one activation by every oracle, each with its own error: truncation, or the radius of a ball."""

import contextlib
from collections.abc import Callable
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from harness.checks.activations.bounds import FORMULA_ERRORS, require_same, rounding_bounds
from harness.checks.activations.kinks import TINY
from reference.activations import Activation
from reference.arithmetics.companion import first_line
from reference.arithmetics.increments import Increment
from reference.arithmetics.tangent import Tangent
from reference.measured import NotApplicable
from reference.namespaces import NUMPY
from reference.oracles import black_box
from reference.oracles.complex_step import COMPLEX, TRUNCATION, Analytic
from reference.oracles.complex_step import ROUNDINGS as COMPLEX_ROUNDINGS
from reference.oracles.complex_step import STEP as COMPLEX_STEP
from reference.oracles.finite_difference import ROUNDINGS, STEP

NARROWER = 10.0 ** -np.arange(6)
"""Widths of plain differences, beside the one for smooth functions; at the last, rounding still leaves seven digits."""


class Slopes(NamedTuple):
    """An oracle's values and slopes at each z, with its own errors, and how many roundings of the formula it takes."""

    value: np.ndarray
    slope: np.ndarray
    error: np.ndarray
    roundings: float = 1.0
    value_error: np.ndarray | float = 0.0
    note: str = ""


SlopeSource = Callable[[Activation, np.ndarray], Slopes]


def by_jax(f: Activation, z: np.ndarray) -> Slopes:
    """Reverse mode in float64."""
    import jax.numpy as jnp

    from reference.oracles.jax_gradient import fixed_settings

    with fixed_settings():
        value, slope = (np.array(answer) for answer in _jax_program(f)(jnp.asarray(z)))
    return Slopes(value, slope, np.zeros_like(z))


@lru_cache(maxsize=8)
def _jax_program(f: Activation) -> Any:
    import jax
    import jax.numpy as jnp

    from reference.oracles.jax_gradient import JAX

    def value_and_slope(z):
        a, pull_back = jax.vjp(lambda z: f.value(JAX, z), z)
        return a, pull_back(jnp.ones_like(a))[0]

    return jax.jit(value_and_slope)


def by_complex_step(f: Activation, z: np.ndarray) -> Slopes:
    """Im f(z + ih)/h, where the formula is analytic; it is continued by the piece on which z lies."""
    try:
        a = _complex_value(f, z)
    except NotApplicable:  # perhaps at some z only, as |z| is at 0
        a = _complex_values_one_by_one(f, z)
    slope = np.imag(a) / COMPLEX_STEP
    error = np.where(np.isfinite(slope), TRUNCATION, np.inf)
    return Slopes(np.real(a), slope, error, COMPLEX_ROUNDINGS, TRUNCATION)


def _complex_value(f: Activation, z: np.ndarray) -> np.ndarray:
    a = f.value(COMPLEX, (z + 1j * COMPLEX_STEP).view(Analytic))
    return np.broadcast_to(np.asarray(a, dtype=complex), z.shape)


def _complex_values_one_by_one(f: Activation, z: np.ndarray) -> np.ndarray:
    answers, refused = np.full(z.shape, complex(np.nan, np.nan)), NotApplicable()
    for i in range(z.size):
        try:
            answers[i : i + 1] = _complex_value(f, z[i : i + 1])
        except NotApplicable as reason:
            refused = reason
    if np.isnan(answers).all():
        raise refused
    return answers


def by_differences(f: Activation, z: np.ndarray) -> Slopes:
    """Central differences by increments, which lose no digits; their error is the gap between both sides or widths."""
    try:
        (slope, gap), (twice_as_wide, _) = (_central(f, z, width) for width in (STEP, 2.0 * STEP))
    except FORMULA_ERRORS as reason:
        return _by_plain_differences(f, z, first_line(reason))
    return Slopes(f(z.copy()), slope, _known(slope, gap + np.abs(twice_as_wide - slope)), ROUNDINGS)


def _central(f: Activation, z: np.ndarray, width: float) -> tuple[np.ndarray, np.ndarray]:
    ahead, behind = _change(f, z, width), _change(f, z, -width)
    return (ahead - behind) / (2.0 * width), np.abs(ahead + behind) / width


def _change(f: Activation, z: np.ndarray, step: float) -> np.ndarray:
    a = f.value(NUMPY, Increment(z, np.full_like(z, step)))
    require_same(a.value if isinstance(a, Increment) else a, f(z.copy()))
    return np.broadcast_to(a.change if isinstance(a, Increment) else 0.0, z.shape)


def _by_plain_differences(f: Activation, z: np.ndarray, why: str) -> Slopes:
    noise = rounding_bounds(f, z).value
    slope, error = np.array([_plain_difference(f, *point) for point in zip(z, noise)]).T
    note = f"differences of plain values, since increments cannot pass ({why})"
    return Slopes(f(z.copy()), slope, _known(slope, error), ROUNDINGS, note=note)


def _plain_difference(f: Activation, z: float, noise: float) -> black_box.Difference:
    """At the width that leaves the smallest error: wide where the formula is smooth, narrow near a kink.

    An estimate can be small by chance where the formula varies within the width; the next narrower one has to agree.
    """
    widths = black_box.STEP * max(1.0, abs(z)) * NARROWER
    found = [_difference_at(f, z, width, noise) for width in widths]
    confirmed = [(d.derivative, d.error + abs(d.derivative - n.derivative)) for d, n in pairwise(found)]
    return black_box.Difference(*min(confirmed, key=lambda pair: pair[1] if np.isfinite(pair[1]) else np.inf))


def _difference_at(f: Activation, z: float, width: float, noise: float) -> black_box.Difference:
    found = black_box.difference(lambda t: f(np.array([z + t])), width, noise)
    furthest = abs(z) + 4.0 * width
    moved = black_box.UNIT_ROUNDOFF * furthest * abs(found.derivative)  # z + t is rounded, however exact f may be
    return found._replace(error=found.error + black_box.NOISE_GAIN * moved / width)


def _known(slope: np.ndarray, error: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(slope) & np.isfinite(error), error, np.inf)


def by_balls(f: Activation, z: np.ndarray) -> Slopes:
    """Certified enclosures, with the precision doubled where they are wide; at a kink they stay as wide as the jump."""
    from reference.oracles.ball_arithmetic import BITS, DOUBLINGS

    answer = np.full((4, z.size), np.nan)  # value, its error, slope, its error
    wide, bits = np.arange(z.size), BITS
    for _ in range(DOUBLINGS + 1):
        answer[:, wide] = _enclosures(f, z[wide], bits)
        sharp = answer[3, wide] <= np.maximum(2.0**-52 * np.abs(answer[2, wide]), TINY)  # a midpoint, rounded
        wide, bits = wide[~sharp], 2 * bits
        if not wide.size:
            break
    value, value_error, slope, error = answer
    return Slopes(value, slope, _known(slope, error), 0.0, value_error)


def _enclosures(f: Activation, z: np.ndarray, bits: int) -> np.ndarray:
    from reference.arithmetics.balls import BALLS, Balls, exact, precision, slopes, values, variables

    with precision(bits):
        a = np.broadcast_to(np.asarray(exact(f.value(BALLS, variables(exact(z))))), z.shape).view(Balls)
        return np.array([part for balls in (values(a), slopes(a)) for part in _midpoints_and_reach(balls)])


def _midpoints_and_reach(balls: Any) -> tuple[np.ndarray, np.ndarray]:
    from flint import arb

    middle = np.array([float(ball.mid()) for ball in balls])
    reach = [float((ball - arb(m)).abs_upper()) for ball, m in zip(balls, middle.tolist())]
    return middle, np.nextafter(reach, np.inf)


ORACLES: dict[str, SlopeSource] = {
    "jax": by_jax,
    "complex-step": by_complex_step,
    "finite-difference": by_differences,
    "ball": by_balls,
}
"""One of each kind of the gradient sources in `harness.sources.table` that need no slope by hand."""


def slope_function(f: Activation, z: np.ndarray) -> Callable[[np.ndarray], np.ndarray] | None:
    """The slope from the formula, to be evaluated often and anywhere: by the cheapest way that works on a grid z.

    Where the value has overflowed there is no slope, whatever the rules of differentiation make of it: NaN.
    """

    def by_tangent(z: np.ndarray) -> np.ndarray:
        a = f.value(NUMPY, Tangent(z, 1.0))
        require_same(a.value if isinstance(a, Tangent) else a, f(z.copy()))
        return np.broadcast_to(a.slope if isinstance(a, Tangent) else 0.0, z.shape)

    ways = [by_tangent, *(lambda z, by=by: by(f, z).slope for by in (by_complex_step, by_jax, by_balls))]
    for way in ways:
        with contextlib.suppress(*FORMULA_ERRORS):
            way(z)
            return lambda z, way=way: np.where(np.isfinite(f(z.copy())), way(z), np.nan)
    return None


def ask_oracles(f: Activation, z: np.ndarray) -> tuple[dict[str, Slopes], dict[str, str]]:
    """What every oracle answers, and why others cannot."""
    answers, left_out = {}, {}
    for name, oracle in ORACLES.items():
        try:
            with np.errstate(all="ignore"):
                answer = oracle(f, z)
            if np.shape(answer.slope) != z.shape:
                raise ValueError(f"the slopes of {z.size} numbers have shape {np.shape(answer.slope)}")
        except FORMULA_ERRORS as reason:
            left_out[name] = first_line(reason)
        else:
            answers[name] = answer
    return answers, left_out
