"""Finite differences of values: a second opinion on the increments, from the function's values alone.

In float64 the values are JAX's own, so that neither the interpreter's rules nor JAX's derivative rules take part.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import chain, islice

import numpy as np

from harness.checks.traced.one_sided import NO_MATTER
from harness.checks.traced.real_coordinates import Estimate, UnitVectors, combine
from harness.checks.traced.true_slopes import ProgramAtPoint
from reference.arithmetics.many_directions import constant
from reference.arithmetics.roundoff import UNIT_ROUNDOFF
from reference.traced.program import Traced, lifted

STENCIL = (1.0, -1.0, 0.5, -0.5, 0.25, -0.25)
WIDTHS = (1.6e-2, 1e-3, 5e-5)
"""Step sizes, in units of the argument. The one with the smallest estimate of its error is used."""

NOISE_ROUNDINGS = 64.0
"""A value is taken to be good to so many u of the largest value."""

Values = Callable[[Iterable[np.ndarray]], np.ndarray]


def values_by(function: Traced, program: ProgramAtPoint) -> Values:
    """The function at several points, (points, outputs): JAX's own values in float64, the interpreter's in less."""
    if program.coarsest > UNIT_ROUNDOFF["float64"]:
        return lambda points: _by_interpreter(function, program, iter(points))

    def by_jax(point: np.ndarray) -> np.ndarray:
        return program.outputs.vector(function(*(x[0] for x in program.inputs.arrays(point[None]))))

    return lambda points: np.array(list(map(by_jax, points)))


def _by_interpreter(function: Traced, program: ProgramAtPoint, points: Iterator[np.ndarray]) -> np.ndarray:
    """All points in one run of the program that `jax.vmap` makes for so many, if that keeps the function's values.

    The first point is `program.point`, whose values are known.
    """
    some = list(islice(points, program.chunk + 1))
    if len(some) <= program.chunk:
        with suppress(Exception):  # a primitive that cannot be mapped, or one of the user's own
            mapped = function.mapped(len(some)).program
            arrays = [constant(lifted(x)) for x in program.inputs.wide_arrays(np.array(some))]
            found = program.outputs.vector([y.value for y in program.run()(mapped, *arrays)], lead=1)
            if np.allclose(found[0], program.value(), rtol=NO_MATTER, atol=0.0, equal_nan=True):
                return found
    return np.array(list(map(program.value, chain(some, points))))


@np.errstate(all="ignore")
def differences(
    function: Traced,
    program: ProgramAtPoint,
    chosen: np.ndarray,
    weights: np.ndarray,
    value_error: np.ndarray,
    *,
    has_black_box: bool,
) -> Estimate:
    """Central differences, twice extrapolated (Richardson), along some inputs: (combinations, chosen).

    `value_error` is what JAX's values may be off by. A black box may compute in the program's own precision, so that
    its values have that precision's noise.
    """
    directions = UnitVectors(chosen, program.inputs.size)
    units = np.array([program.unit_along(directions[k]) for k in range(len(directions))])
    steps = units[:, None] * np.array(WIDTHS)
    points = (program.point + t * h * directions[k] for k, row in enumerate(steps) for h in row for t in STENCIL)
    here, *found = values_by(function, program)(chain([program.point], points))
    by_jax = program.coarsest <= UNIT_ROUNDOFF["float64"]
    rounding = float(value_error[np.isfinite(value_error)].max(initial=0.0)) if by_jax else 0.0
    unit = program.coarsest if has_black_box else UNIT_ROUNDOFF["float64"]
    noise = max(rounding, NOISE_ROUNDINGS * unit * np.abs(here[np.isfinite(here)]).max(initial=0.0))
    found = np.reshape(found, (*steps.shape, len(STENCIL), program.outputs.size))
    h = steps[..., None]
    far, middle, near = ((found[:, :, i] - found[:, :, i + 1]) / (2.0 * h * STENCIL[i]) for i in (0, 2, 4))
    first, second = (4.0 * near - middle) / 3.0, (4.0 * middle - far) / 3.0
    errors = np.nan_to_num(np.abs(first - second) + 8.0 * noise / h, nan=np.inf)
    best = np.argmin(errors, axis=1)[:, None]
    slopes, errors = (np.take_along_axis(x, best, axis=1)[:, 0] for x in ((16.0 * first - second) / 15.0, errors))
    slopes, errors = combine(weights, np.where(np.isfinite(errors), slopes, np.nan)), combine(np.abs(weights), errors)
    return Estimate(slopes, np.where(np.isnan(slopes), np.inf, errors))
