"""Derivatives checked along one random direction: forward mode, or a matrix by its products, in one pass."""

from collections.abc import Callable
from typing import Any

import numpy as np

from harness.checks.functions.gradient_check import check_gradient
from harness.verdict.report import Report

ZERO = np.array(0.0)

ENTRIES = 300
"""So many passes of forward mode, one for each entry, are worth the name of the entry that is wrong."""


def check_along(name: str, cost: Callable[[Any], float], slope: Callable[[Any], float], zero: Any = ZERO) -> Report:
    """Is `slope` the derivative of `cost`, a function of the step on a line, at 0? The report calls the step `name`.

    `zero` has the precision of what moves; a step may come in a wider one, and is for all to be in that.
    """
    return check_gradient(
        lambda at: cost(at[name]), {name: zero}, gradient=lambda at: {name: np.array(float(slope(at[name])))}
    )


def check_forward(
    cost: Callable[[Any], float],
    slope: Callable[[Any], float],
    size: int,
    by_entry: Callable[[], Report],
    zero: Any = ZERO,
) -> Report:
    """Check forward mode along a random direction, and entry by entry where it is not found right there.

    Parameters
    ----------
    cost, slope, zero
        As for `check_along`, on a line in a random direction: a wrong entry of the Jacobian is wrong in the slope, but
        for directions that have probability zero.
    size : how many entries there are
    by_entry : checks each
    """
    along = check_along("direction", cost, slope, zero)
    if along.verdict == "agree" or size > ENTRIES:
        return along
    each = by_entry()
    return along if along.verdict == "disagree" and each.verdict == "agree" else each  # not linear in the direction
