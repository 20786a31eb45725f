"""The gradient of a user's function as a subject of a verdict."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from harness.bounds.tolerances import CONCLUSIVE_SHARE
from harness.checks.functions.cost_noise import holds_float32
from harness.checks.functions.error_patterns import explain
from harness.checks.functions.gradient_case import FUN, GradientCase
from harness.checks.functions.gradient_comparison import PLACES_SHOWN, Differenced
from harness.checks.functions.line_stencil import Obstacle, StencilEstimate
from harness.checks.functions.parameters import TreeLayout
from harness.facts.fact import Fact, doubt, note
from harness.facts.kinds import Kind
from harness.verdict.comparison import Answer, Block, Pair
from harness.verdict.subject import Subject
from reference.arithmetics.central_differences import NOISE_ROUNDINGS
from reference.arithmetics.roundoff import UNIT_ROUNDOFF

LARGE = 1e3  # a cost that is so many times its derivatives has a constant part that may hide them in its roundings

ROUNDINGS_OF_COST = 4.0 * NOISE_ROUNDINGS
"""Noise of at most so many roundings of the cost is rounding, and no noise of its own."""

NEARLY_TOO_LARGE = 2.0**-64  # a cost above this share of the largest number overflows nearby, or its derivative does

ROUNDING = "rounding"  # what hides a derivative whose own rounding is larger than the error of its difference

KINDS: dict[str, Kind] = {
    Obstacle.KINK: Kind.KINK,
    Obstacle.EDGE: Kind.DOMAIN_EDGE,
    Obstacle.NOISE: Kind.NOISY_COST,
    Obstacle.JUMPS: Kind.COST_JUMPS,
    Kind.DIRECTION_DIFFERS: Kind.DIRECTION_DIFFERS,
}
"""What hides a derivative, as a kind of fact; anything else is `Kind.ROUGH_COST`."""


@dataclass(frozen=True, eq=False)
class FunctionGradient(Subject):
    """The gradient in parameters laid out as the user has them."""

    layout: TreeLayout
    theta: np.ndarray
    reported: Answer  # what the user's function returned at θ
    found: Mapping[int, StencilEstimate]  # differences of coordinates that were examined one by one
    examined: np.ndarray  # (n,) mask of those that were examined, by themselves or in a group
    scatter: Callable[[], np.ndarray]  # (n,), how far the reported gradient jumps when θ moves by some roundings
    bounds: np.ndarray  # (n,), how far off right coordinates may be, in groups as well; NaN for others
    suspected: np.ndarray  # (n,) mask of those that were examined in a group that is wrong
    facts: Sequence[Fact] = ()

    @property
    def blocks(self) -> list[Block]:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.layout.blocks

    def label(self, i: int) -> str:
        return self.layout.label(i)

    def describe(self) -> dict[str, Any]:
        return {"parameters": self.layout.size, "differenced": int(self.examined.sum())}

    def explain(self, wrong: Answer, right: Answer, at_odds: np.ndarray) -> tuple[Fact, ...]:
        # what a group shows to be right was examined, too
        is_right = np.isnan(right.gradient) & np.isfinite(self.bounds)
        gradient = np.where(is_right, wrong.gradient, right.gradient)
        right = replace(right, gradient=gradient, error=np.where(is_right, self.bounds, right.error))
        at_kinks = {i for i, each in self.found.items() if each.obstacle == Obstacle.KINK}
        kinks = [i for i in np.flatnonzero(at_odds).tolist() if i in at_kinks]
        scatter = self.scatter()
        scatter[kinks] = 0.0  # right ones jump there, too
        facts = explain(self.layout, self.theta, wrong, right, at_odds, scatter)
        kink = [note(Kind.KINK, self.label(i), **_slopes(self.found[i])) for i in kinks[:1]]
        return (*facts, *kink)

    def blind_to(self) -> list[Fact]:
        """The derivatives that are smaller than what would show of an error in them, by block.

        A zero is none of them where the cost does not move at all.
        """
        sizes, moves = np.abs(self.reported.gradient), self.reported.gradient != 0.0
        moves[[i for i, each in self.found.items() if each.derivative != 0.0]] = True
        below = moves & (sizes < self.bounds)
        hidden = [(block, block.indices[below[block.places]]) for block in self.blocks if below[block.places].any()]
        facts = []
        for blocks in (*([each] for each in hidden[:PLACES_SHOWN]), hidden[PLACES_SHOWN:]):
            names = [block.name for block, places in blocks if places.size == block.size]
            alone = [i for block, places in blocks if places.size < block.size for i in places.tolist()]
            places, many = (*names, *map(self.label, alone[: PLACES_SHOWN + 1])), len(names) + len(alone)
            visible = max((float(self.bounds[places].max()) for _, places in blocks), default=0.0)
            facts += [note(Kind.BELOW_ROUNDING, *places, visible=visible, places=many)] if many else []
        return facts

    def why_undecided(self, coordinates: np.ndarray) -> tuple[Fact, ...]:
        """What hides the derivatives that were examined, a fact for each reason."""
        if not np.isfinite(self.reported.cost):
            return ()  # which is a doubt of its own
        in_group = StencilEstimate(obstacle=Obstacle.NOISE)  # what was examined in a group alone
        found = {i: self.found.get(i, in_group) for i in coordinates[self.examined[coordinates]].tolist()}
        by_reason: dict[str, list[int]] = {ROUNDING: []}  # which comes first
        for i, each in found.items():
            by_reason.setdefault(self._reason(i, each), []).append(i)
        return tuple(self._hidden(reason, hidden, found) for reason, hidden in by_reason.items() if hidden)

    def _reason(self, i: int, found: StencilEstimate) -> str:
        """What hides a derivative; where the cost nearly overflows, a wider difference is beyond the largest number."""
        if self.suspected[i] and i not in self.found:
            return Kind.DIRECTION_DIFFERS
        if self.reported.error[i] > found.error:
            return ROUNDING
        is_overflow = found.obstacle == Obstacle.ROUGH and self._is_nearly_too_large()
        return Obstacle.EDGE if is_overflow else found.obstacle

    def _hidden(self, reason: str, coordinates: Sequence[int], found: Mapping[int, StencilEstimate]) -> Fact:
        """What hides the derivatives in these coordinates, and the smallest error that would show in all of them."""
        places = tuple(map(self.label, coordinates[:PLACES_SHOWN]))
        if reason == ROUNDING:
            least = float(self.reported.error[coordinates].max())
            return doubt(Kind.GRADIENT_ROUNDING, *places, undecided=len(coordinates), visible=least)
        least = max(found[i].error for i in coordinates)
        data: dict[str, Any] = {"undecided": len(coordinates), "visible": least if np.isfinite(least) else None}
        if reason == Obstacle.EDGE:
            data["overflows"] = self._is_nearly_too_large()
        if reason == Obstacle.KINK:
            data |= _slopes(found[coordinates[0]])
        if reason == Obstacle.NOISE:
            alone = [self.found[i] for i in coordinates if i in self.found]
            is_large = bool(alone) and self._is_lost_in_the_cost()  # a kink of its group may hide any other
            is_flat = all(each.derivative == 0.0 for each in alone)
            data |= {"cost": self.reported.cost + 0.0, "is_large": is_large, "is_flat": is_flat}  # no negative zero
        return doubt(KINDS.get(reason, Kind.ROUGH_COST), *places, **data)

    def _is_nearly_too_large(self) -> bool:
        return abs(self.reported.cost) > NEARLY_TOO_LARGE * float(np.finfo(self.reported.precision).max)

    def _is_lost_in_the_cost(self) -> bool:
        """Whether the cost is so large that its own rounding hides the derivatives."""
        cost, noise = abs(self.reported.cost), self.reported.cost_error
        steepest = max((each.at_least for each in self.found.values()), default=0.0)
        is_rounding = noise <= ROUNDINGS_OF_COST * UNIT_ROUNDOFF[self.reported.precision] * cost
        return bool(is_rounding and cost > max(1.0, LARGE * steepest))


def _slopes(found: StencilEstimate) -> dict[str, float | None]:
    """The left and the right derivative at a kink, where these are known."""
    left, right = found.slopes
    return {"left": left, "right": right} if np.isfinite(left + right) else {"left": None, "right": None}


def gradient_subject(case: GradientCase, seen: Differenced, pair: Pair, doubts: Sequence[Fact]) -> FunctionGradient:
    """The gradient of a case, with what is worth knowing of its check."""
    covered = seen.covered(case.layout.size)
    bounds = np.where(pair.applies & pair.decided & ~pair.at_odds, pair.allowed, np.nan)
    facts = [*case.user.notes(), *doubts, *_coverage(case, seen, covered), *_precision(case, pair)]
    wrong = replace(seen, found={}, groups=tuple(each for each in seen.groups if each.is_wrong))
    known = case.layout, case.user.theta, case.reported, seen.found
    return FunctionGradient(*known, covered, case.scatter, bounds, wrong.covered(bounds.size), facts)


def _coverage(case: GradientCase, seen: Differenced, covered: np.ndarray) -> list[Fact]:
    """How much was examined, and what lies outside the domain."""
    probes, facts = case.fine.probes, []
    if len(seen.found) < covered.sum():
        facts.append(note(Kind.GROUPED, alone=len(seen.found), groups=len(seen.groups)))
    if not covered.all():
        left, keep = int((~covered).sum()), doubt if covered.mean() < CONCLUSIVE_SHARE else note
        places = map(case.layout.label, np.flatnonzero(~covered)[:PLACES_SHOWN].tolist())
        facts.append(keep(Kind.UNEXAMINED, *places, left=left, budget=str(probes.budget)))
    if probes.raised:
        facts.append(note(Kind.RAISED_NEARBY, FUN, raised=dict(probes.raised)))
    return facts


def _precision(case: GradientCase, pair: Pair) -> list[Fact]:
    """Where a low precision hides small errors."""
    reported, facts = case.reported, []
    is_in_float32 = reported.precision == "float32" and case.layout.unit_roundoff <= UNIT_ROUNDOFF["float64"]
    if is_in_float32 and holds_float32(reported.gradient):
        facts.append(note(Kind.FLOAT32_GRADIENT, FUN))
    if case.fine.probes.unit > UNIT_ROUNDOFF["float64"] and not pair.decided.all():
        facts.append(note(Kind.FLOAT32_COST, FUN))
    return facts
