"""Anybody's function (cost, gradient) over flat float64 vectors; how noisy it is, `measuring` tells."""

from collections.abc import Callable
from typing import Any

import numpy as np

from harness.checks.functions.parameters import Layout, to_numpy, unit_roundoff
from harness.wording import what_it_is
from reference.arithmetics.roundoff import UNIT_ROUNDOFF


class UsersFunction:
    """The user's function, over flat float64 vectors."""

    def __init__(self, fun: Callable[[Any], tuple[Any, Any]], theta: Any):
        if not callable(fun):
            raise TypeError(f"fun must be callable as fun(theta) -> (cost, gradient), not {type(fun).__name__}")
        self.fun = fun
        self.layout = Layout(theta)
        self.theta = self.layout.flatten(theta, "theta")
        if not np.isfinite(self.theta).all():
            i = int(np.flatnonzero(~np.isfinite(self.theta))[0])
            raise ValueError(f"theta must be finite, but {self.layout.label(i)} is {self.theta[i]}")
        self.unit = self.layout.unit_roundoff

    @property
    def precision(self) -> str:
        return "float64" if self.unit == UNIT_ROUNDOFF["float64"] else "float32"

    def answer(self, flat: np.ndarray) -> tuple[float, np.ndarray, bool]:
        """Cost, gradient, and whether the call changed its argument."""
        given = self.layout.rebuild(flat)
        before = self.layout.flatten(given, "theta")
        try:
            answered = self.fun(given)
        except SystemExit as ended:
            raise ValueError(f"fun called sys.exit({ended.code!r}) instead of answering") from ended
        if not isinstance(answered, tuple) or len(answered) != 2:
            raise TypeError(f"fun must answer a tuple (cost, gradient), not {what_it_is(answered)}")
        cost, gradient = to_numpy(answered[0]), self.layout.flatten(answered[1], "the gradient")
        if cost.size != 1:
            raise ValueError(f"fun must answer one number as its cost, but answered shape {cost.shape}")
        self.unit = max(self.unit, unit_roundoff(answered[0]), Layout(answered[1]).unit_roundoff)
        changed = not np.array_equal(before, self.layout.flatten(given, "theta"))
        return float(cost.reshape(())), gradient, changed

    def cost(self, flat: np.ndarray) -> float:
        return self.answer(flat)[0]

    def gradient(self, flat: np.ndarray) -> np.ndarray:
        return self.answer(flat)[1]
