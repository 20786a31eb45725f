"""The one kind of function that all drop-ins check: of real arrays, with the derivatives that a library reports."""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

import jax
import numpy as np

from harness.drop_in.fallback import ACCURACY, ORIGINAL_TOLERANCE

LINEARITY_FACTORS = (-(2.0**20), 2.0**-10)
"""A derivative is linear in the vector that it is applied to: that of c·v is c times that of v. Each factor c finds
other rules that are not: the sign finds those that take |v|, the large one those that clip v or square it, the small
one those that drop small numbers. Powers of two, so that a linear rule scales without rounding."""

OUTPUTS = "outputs"  # what the caller's own function answers; of a derivative of it, `output_name` is another

Arrays = Sequence[np.ndarray]
"""Real arrays in float64. A complex array is its real and its imaginary part, along an axis of their own."""


@lru_cache(maxsize=256)
def drawn_weights(purpose: str, shape: tuple[int, ...]) -> np.ndarray:
    """Random numbers of either sign and of sizes from 0.5 to 1.5: none is so small that it hides an entry.

    With signs alone, two errors of one size would cancel half of the time. They are the same in each call, and others
    for each purpose. The seed is no small number, as a caller's may be: with w = x, Σ w·x/|x| has the gradient 0.
    """
    rng = np.random.default_rng([*b"harness", *purpose.encode()])
    drawn = rng.uniform(0.5, 1.5, size=shape) * rng.choice([-1.0, 1.0], size=shape)
    drawn.setflags(write=False)
    return drawn


def largest_of(arrays: Iterable[np.ndarray | None]) -> float:
    """The largest number of some arrays in size; 0 without any."""
    return max((float(np.max(np.abs(a), initial=0.0)) for a in arrays if a is not None), default=0.0)


def relative_difference(found: Arrays, of: Arrays) -> float:
    """The largest |found - of| in an array over the largest |of| in it, of all arrays, where both are finite.

    An array whose largest is below 1e-7 of that of all counts as that large. It may be rounding alone: a difference of
    `ACCURACY` of the largest is `ORIGINAL_TOLERANCE` of it.
    """
    if all(map(np.array_equal, found, of)):  # as most are
        return 0.0
    least, shares = ACCURACY / ORIGINAL_TOLERANCE * largest_of(of), [0.0]
    for a, b in zip(found, of):
        off = float(np.max(np.abs(a - b), initial=0.0, where=np.isfinite(a) & np.isfinite(b)))
        size = max(least, float(np.max(np.abs(b), initial=0.0, where=np.isfinite(b))))
        shares.append(off / size if size else float(off > 0.0))
    return max(shares)


def parts_of(x: Any) -> np.ndarray:
    """The real and the imaginary part of a complex array along a new first axis; a real array as it is."""
    x = np.asarray(x)
    return np.stack([x.real, x.imag]) if np.iscomplexobj(x) else x


def whole_of(parts: Any, like: Any) -> np.ndarray:
    """The array that `parts_of` took apart, complex if `like` is; zeros for a cotangent that is missing."""
    if parts is None:
        return np.zeros_like(like)
    return np.asarray(parts[0] + 1j * parts[1] if np.iscomplexobj(like) else parts)


class ReportedFunction:
    """A function f of real arrays, with the derivatives that a library reports of it.

    Each drop-in converts what it is given to one of these: f itself in first order, f's derivatives in higher orders.
    """

    x: Arrays
    theta: Any  # the same inputs as a tree, in their own types and under their own names, which reports use
    # What f answers, for a report: `OUTPUTS`, or which derivatives. It also seeds the weights of the outputs.
    output_name = OUTPUTS
    # Where f is a derivative of g, the size Σ |w·g(x)| that roundings in f are relative to; else 0. A second derivative
    # such as that of Σ softmax(x) is 0 but for such roundings.
    primal_size = 0.0
    # Which of the caller's outputs f answers, where a library may also send None for an output: a rule can take that
    # for something else than zeros. Empty where all outputs are always there.
    output_numbers: Sequence[int] = ()
    is_pure = True  # whether a call cannot leave anything behind for a later one
    may_look = True  # whether values are fine enough for differences that show ten digits
    can_hold_inputs = False  # whether there is an `of_inputs`

    @property
    def is_derivative(self) -> bool:
        """Whether f is a derivative. These jump at kinks, and have entries that are 0 but for rounding."""
        return self.output_name != OUTPUTS

    @property
    def linearity_factors(self) -> Sequence[float]:
        """The factors c for which the derivative along c·v is compared with c times that along v."""
        return LINEARITY_FACTORS

    def call(self, x: Sequence[Any]) -> Arrays:
        """f(x)."""
        raise NotImplementedError

    def pull_back(self, x: Sequence[Any], weights: Sequence[np.ndarray | None]) -> Arrays:
        """The gradient of Σ w·f at x, by reverse mode. None is a cotangent that is missing."""
        raise NotImplementedError

    def push_forward(self, x: Sequence[Any], tangents: Sequence[np.ndarray | None]) -> Arrays:
        """The derivatives of f's outputs at x along tangents, by forward mode."""
        raise NotImplementedError

    def called_anew(self) -> "ReportedFunction":
        """The function after a fresh call at x, without what the last one kept for its derivatives."""
        return self

    def of_inputs(self, numbers: Sequence[int]) -> "ReportedFunction":
        """The function of some inputs alone, by their numbers in `x`. The others are held where they are."""
        raise NotImplementedError

    def tree(self, leaves: Sequence[Any]) -> Any:
        """A tree like θ."""
        return jax.tree.unflatten(jax.tree.structure(self.theta), leaves)
