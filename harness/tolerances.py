"""Every number that a verdict depends on, with its reason. There are no others.

A verdict compares a difference with a bound that is derived (`harness.rounding`) or estimated (`reference`); what is left
to choose is listed here.
"""

UNIT_ROUNDOFF = {"float64": 2.0**-53, "float32": 2.0**-24}
"""u: the largest relative error of one rounding to nearest."""

ELEMENTARY = 8
"""exp, tanh, log1p, ...: error of one call in units of u. NumPy documents up to 4 ulp = 8 u for its vectorized loops;
XLA's were measured below that (tests/test_rounding.py measures both against balls)."""

FREE_ROUNDINGS = 4
"""Roundings that an implementation may add to a product where it likes: dividing by m before or after the sum, λ/m
formed once or per entry, a factor 2 · ½ in the regulariser."""

MEANINGLESS = 1e-6
"""A bound wider than this share of the coordinate, or of the largest in its block, decides nothing: inconclusive."""

NEGLIGIBLE = 1e-6
"""A block whose derivatives are all below this (of the network's largest, or of 1, for predictions and targets differ by
up to one) is compared absolutely: dead and saturated units have derivatives of exactly zero."""

CONCLUSIVE_SHARE = 0.98
"""The share of coordinates that must be decided before a network may be called agreed. The rest sit at kinks."""

DIRECTIONS = 3
"""Random directions tried end to end, beside one for each layer. An error of fixed size escapes one direction with a
probability below 1e-9, since the entries are continuous; more directions guard against an unlucky kink."""

INCONCLUSIVE_SHARE = 0.2
"""Of many random networks, the share that may be inconclusive while the whole is called agreed: the distribution puts a
fifth of its θ at zero and a fifth at saturation, where kinked and dead units cannot be judged."""
