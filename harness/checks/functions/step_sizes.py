"""The step sizes of finite differences for a precision, in units of max(1, |θ_i|)."""

from reference.arithmetics.roundoff import UNIT_ROUNDOFF

STEPS = tuple(2.0 ** (-9 - 3 * k) for k in range(14))
"""Steps for float64, in units of max(1, |θ_i|), from wide to narrow; they are tried in turn until one decides. The
first balances the truncation h⁴ against the rounding u/h. The narrow ones are for functions that bend, wiggle or have
kinks at scales far below 1; for most functions, noise ends the search long before. Powers of two, so that θ_i ± h is a
number."""

GLANCE = 2.0**-17
"""The step of the first look in float64, which takes two costs: u^(1/3) balances h² against u/h."""


def steps_for(unit: float) -> list[float]:
    """The steps in units of max(1, |θ_i|) for a precision: u^(1/5) balances h⁴ against u/h."""
    return [step * (unit / UNIT_ROUNDOFF["float64"]) ** 0.2 for step in STEPS]


def glance_for(unit: float) -> float:
    """The step of the first look in units of max(1, |θ_i|) for a precision."""
    return GLANCE * (unit / UNIT_ROUNDOFF["float64"]) ** (1.0 / 3.0)
