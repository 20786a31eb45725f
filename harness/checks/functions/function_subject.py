"""The gradient of anybody's own function as a subject to be judged."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from harness.checks.functions.error_patterns import explain
from harness.checks.functions.line_stencil import EDGE, JUMPS, KINK, NOISE, Found
from harness.checks.functions.parameters import Layout
from harness.checks.functions.step_sizes import size_of
from harness.verdict.comparison import Answer
from harness.verdict.subject import Subject

LARGE = 1e3
"""A cost so many times its derivatives is large beside its changes, which are therefore lost in its roundings."""


class FunctionGradient(Subject):
    """The gradient in parameters laid out as the user has them.

    Parameters
    ----------
    layout, theta : the parameters
    found : what differences found, for coordinates that were looked at one by one
    examined : how many coordinates were examined at all, by themselves or in a group
    yours : the answer at θ, of whose cost and roundings the report says that they hide something where they do
    scatter : (n,) array
        How far the claimed gradient jumps when θ moves by a rounding.
    grouped : (n,) array
        For coordinates that were examined in a group alone, and are right, how far off they may be; NaN for others.
    """

    def __init__(
        self,
        layout: Layout,
        theta: np.ndarray,
        found: dict[int, Found],
        examined: int,
        yours: Answer,
        scatter: np.ndarray,
        notes: Sequence[str] = (),
        grouped: np.ndarray | float = np.nan,
    ):
        self.layout, self.theta, self.blocks = layout, theta, layout.blocks
        self.found, self.examined, self.yours, self.scatter, self.notes = found, examined, yours, scatter, notes
        self.grouped = grouped

    def label(self, i: int) -> str:
        return self.layout.label(i)

    def describe(self) -> dict[str, Any]:
        return {"parameters": self.layout.size, "differenced": self.examined}

    def why_undecided(self, coordinates: np.ndarray) -> str:
        if not np.isfinite(self.yours.cost):
            return f"the cost at θ is {self.yours.cost:g}, of which there are no differences"
        looked = [self.found.get(i, Found(obstacle=NOISE)) for i in coordinates.tolist()]
        rounded = self.yours.error[coordinates]
        clauses = {KINK: self._of_kinks, EDGE: self._of_edges, NOISE: self._of_noise, JUMPS: self._of_jumps}
        told = []
        if lost := [error for found, error in zip(looked, rounded.tolist()) if error > found.error]:
            told.append(f"rounding may move the gradient itself by {max(lost):.2g}, so that smaller errors do not show")
            looked = [found for found, error in zip(looked, rounded.tolist()) if error <= found.error]
        for obstacle in dict.fromkeys(found.obstacle for found in looked):
            of_kind = [found for found in looked if found.obstacle == obstacle]
            told.append(clauses.get(obstacle, self._of_rough)(of_kind))
        return "; ".join(told)

    @staticmethod
    def _of_kinks(found: Sequence[Found]) -> str:
        before, after = found[0].slopes
        slopes = f" (slope {before:.6g} below, {after:.6g} above)" if np.isfinite(before + after) else ""
        return f"θ sits on a kink{slopes}, where no derivative is the right one; try another θ"

    @staticmethod
    def _of_edges(found: Sequence[Found]) -> str:
        beyond = "beside it the cost is not finite, or fun raises"
        if any(np.isfinite(each.error) for each in found):
            return f"θ is close to the edge of the domain, and {beyond} ({_seen(found)}); try a θ farther inside"
        return f"θ is at the edge of the domain: {beyond}; try a θ farther inside"

    def _of_noise(self, found: Sequence[Found]) -> str:
        least = max(each.error for each in found)
        if np.isfinite(least) and size_of(list(self.found.values())) == 0.0:
            return f"no derivative is known to be other than zero, so that an error bar of {least:.2g} means nothing"
        slope = max((each.least for each in self.found.values()), default=0.0)
        is_large = abs(self.yours.cost) > max(1.0, LARGE * slope)
        advice = "subtract its constant part" if is_large else "try another θ, or a cost with less noise"
        return f"the cost is {self.yours.cost:.6g}, so that {_seen(found)} beside the noise in it: {advice}"

    @staticmethod
    def _of_jumps(found: Sequence[Found]) -> str:
        return (
            "the cost climbs by jumps, as if it had been rounded on the way or computed in low precision, so that its "
            f"slope between two of them says nothing ({_seen(found)} across them); let it compute in float64, unrounded"
        )

    @staticmethod
    def _of_rough(found: Sequence[Found]) -> str:
        return f"the cost bends, jumps or ends too close to θ ({_seen(found)}); try another θ, or smaller numbers"

    def explain(self, wrong: Answer, right: Answer, at_odds: np.ndarray) -> str:
        seen = np.isnan(right.gradient) & np.isfinite(self.grouped)
        as_claimed, error = np.where(seen, wrong.gradient, right.gradient), np.where(seen, self.grouped, right.error)
        right = replace(right, gradient=as_claimed, error=error)
        said = explain(self.layout, self.theta, wrong, right, at_odds, self.scatter)
        kinks = [i for i in np.flatnonzero(at_odds).tolist() if i in self.found and self.found[i].obstacle == KINK]
        if not kinks:
            return said
        before, after = self.found[kinks[0]].slopes
        return f"{said}; {self.label(kinks[0])} sits on a kink, between slopes of {before:.6g} and {after:.6g}"


def _seen(found: Sequence[Found]) -> str:
    least = max(each.error for each in found)
    return f"only errors above {least:.2g} could be seen" if np.isfinite(least) else "no error could be seen"
