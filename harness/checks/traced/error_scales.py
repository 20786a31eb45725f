"""How large an error of a derivative is small, and when a bound is too wide to decide anything.

A bound decides something if it is small beside the largest derivative of its block. Where a program cannot do better,
it also decides if it is small beside T/|x|, where T is the size of the terms that make up f: 1 - tanh(x)² at x = 20 has
terms of size 1 and a derivative of 3e-17, which is less than a rounding of these terms. A program that amplifies its
roundings seems to have terms without limit, so that its bounds would accept anything: `correct_digits` sees to it.
"""

from typing import Any

import numpy as np

from harness.bounds.program_bound import SMALLEST
from harness.bounds.tolerances import ABSOLUTE, MEANINGLESS, NEGLIGIBLE, SPREAD_FACTOR
from harness.checks.random_directions import random_directions
from harness.checks.traced.program_at_point import ProgramAtPoint
from harness.checks.traced.real_coordinates import combine
from reference.arithmetics.array_pieces import in_pieces

ZERO_IS_COARSER = {"float64": 1.0, "float32": 1e2, "float16": 1e4, "bfloat16": 1e4}
"""A block of derivatives counts as zero in float64 below 1e-5 of the largest one (`NEGLIGIBLE`), and below so many
times as much in coarse types, where zero is computed as a few roundings of what cancels in it."""

UNDERFLOW = {"float64": 1e-240, "float32": SMALLEST, "float16": 2.0**-24, "bfloat16": SMALLEST}
"""The error that underflow may leave in the place of zero. In float64 it is that of increments, which are 6e-61 times
the slopes, so that slopes below 1e-247 underflow."""

NOTHING = {"float64": 1e-220, "float32": 1e-30, "float16": 1e-30, "bfloat16": 1e-30}
"""The size that errors are compared with where all derivatives are zero: above what underflow leaves, and far below any
derivative that somebody has a use for."""

DIRECTIONS_AROUND = 8
"""Random directions whose slopes show how large derivatives are: enough for a root mean square to a factor of two."""

TERMS = 1.0
"""Terms that cancel count up to this size beside f's own. With it, the lost tail of tanh(x) - 1 is small, and in no
doubt; without a limit, so would be all derivatives of (1e8 + x) - 1e8."""

EVERYWHERE = slice(None)  # all inputs, in the place of the numbers of some


@np.errstate(all="ignore")
def terms_over_arguments(
    weights: np.ndarray, values: np.ndarray, error: np.ndarray, program: ProgramAtPoint, inputs: Any = EVERYWHERE
) -> np.ndarray:
    """The size of the function's terms over the size of its arguments, T/max(1, |x|): (combinations, inputs).

    T = |w|·(|f| + E/(16 u)) with E the rounding errors of the values f: (1e8 + x) - 1e8 is off by some u·1e8, which
    shows terms of about 1e8.
    """
    terms = np.abs(values) + error / (SPREAD_FACTOR * program.coarsest)
    of_combinations = np.abs(weights) @ np.where(np.isfinite(terms), terms, 0.0)

    def over_size(terms: np.ndarray, x: np.ndarray) -> np.ndarray:
        return terms / np.where(np.isfinite(x), np.maximum(1.0, np.abs(x)), np.inf)

    return in_pieces(over_size, of_combinations[:, None], program.point[inputs])


@np.errstate(all="ignore")
def scale_of_terms(
    weights: np.ndarray, values: np.ndarray, error: np.ndarray, program: ProgramAtPoint, inputs: Any = EVERYWHERE
) -> np.ndarray:
    """These terms times `ABSOLUTE`/`MEANINGLESS`: (combinations · inputs,).

    A comparison takes an error for small below `MEANINGLESS` times a size. With this size, that is `ABSOLUTE` times the
    terms.
    """
    scale = terms_over_arguments(weights, values, error, program, inputs).ravel()
    scale *= ABSOLUTE[program.precision] / MEANINGLESS[program.precision]
    return scale


@np.errstate(all="ignore")
def scale_around(program: ProgramAtPoint, rows: np.ndarray) -> np.ndarray:
    """A size for where f and all of its terms vanish, as those of a determinant at the zero matrix: (rows · inputs,).

    The root mean square of derivatives at four points as far away as the arguments are large. Of functions that grow,
    such as exp, the point with the smallest derivatives counts.
    """
    along = random_directions(DIRECTIONS_AROUND, program.inputs.size, program.seed + 5)
    reach = np.where(program.point == 0.0, 1.0, np.abs(program.point)) * along[:2]
    points = (program.point + move for move in (*reach, *-reach))
    slopes = [combine(rows, program.changes(along, program.run(), point)) for point in points]
    # Σᵢ gᵢ dᵢ, with dᵢ around ±1 at random, has a mean square of about Σᵢ gᵢ²
    around = np.sqrt(np.square(slopes).mean(axis=-1) / program.inputs.size).min(axis=0)
    around = np.where(np.isfinite(around), around, 0.0)
    return np.repeat(NEGLIGIBLE * ZERO_IS_COARSER[program.precision] * around, program.inputs.size)


def ordinary_size(largest: float, precision: str) -> float:
    """A size of the derivative that is not small: blocks that vanish beside it are compared absolutely.

    It is no fixed number such as 1, as it is for costs: those of f(x) = 1e-30 x are all tiny, and right or wrong.
    """
    if precision == "float64":
        return largest or NOTHING[precision]
    return max(ZERO_IS_COARSER[precision] * largest, NOTHING[precision])
