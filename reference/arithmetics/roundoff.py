"""The size of a rounding: the numbers that every bound on rounding errors is made of, with their reasons.

Source: Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., section 3.1, for γ_n.
"""

from typing import Any

import numpy as np

UNIT_ROUNDOFF = {"float64": 2.0**-53, "float32": 2.0**-24}  # u: the largest relative error of one rounding to nearest

ELEMENTARY = 8
"""exp, tanh, log1p, ...: error of one call in units of u. NumPy documents up to 4 ulp = 8 u for its vectorized loops;
XLA's were measured below that (tests/bounds/test_network_bound.py measures both against balls)."""

LOG1P_BELOW_ZERO = 256
"""The same for log1p of a negative number: XLA's was measured up to 240 u off between -0.42 and -0.3."""

SHORT = 20
"""Bits: a constant of no more stands for itself, as 0.5 and 3 do; 0.1 and √2 are good to a rounding.

Fewer than the 24 bits of float32, so that float32 holds such a constant exactly. A rounded constant has all of its 53
bits, and ends in 33 zeros by chance once in 2³³.
"""

FREE_ROUNDINGS = 4
"""Roundings that an implementation may add to a product where it likes: dividing by m before or after the sum, λ/m
formed once or per entry, a factor 2 · ½ in the regulariser. Sums of few terms would be accused without them."""


def gamma(terms: int, unit: float) -> float:
    """γ_n = nu/(1 - nu) of a sum of n terms in any order, and of the roundings that an implementation may add."""
    nu = (terms + FREE_ROUNDINGS) * unit
    return nu / (1.0 - nu) if nu < 1.0 else np.inf


def infinite_where_nan(error: Any) -> Any:
    """An error bound, infinite where it is NaN: there nothing is known."""
    return np.where(np.isnan(error), np.inf, error)[()]


def lost_in_sum(x: Any, y: Any) -> Any:
    """The rounding error of x + y, exactly: 1e20 + 4 is 1e20 in float64, and has lost 4.

    Source: Knuth, The Art of Computer Programming 2, 4.2.2.
    """
    total = x + y
    # what of the total came from y, and so what of it came from x
    share = total - x
    return (x - (total - share)) + (y - share)


def is_short(x: float) -> bool:
    """Whether a number is a whole number of at most `SHORT` bits times a power of two; so are infinities and NaN."""
    return not np.isfinite(x) or (np.frexp(x)[0] * 2.0**SHORT).is_integer()
