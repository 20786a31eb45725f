"""The kinks of one activation judged: the declared ones, those that were found, and what is claimed at either."""

from collections.abc import Mapping, Sequence

import numpy as np

from harness.checks.activations.bounds import Bounds, rounding_bounds
from harness.checks.activations.judging import CLAIMED, Claims, Judgement, SlopeFunction
from harness.checks.activations.kinks import JUMP, NEARBY, Kink, find_jumps, is_near, sides
from harness.checks.activations.report import Finding
from harness.checks.activations.slopes import Slopes
from reference.activations import Activation


def judge_kinks(
    claims: Claims, judged: Judgement, bounds: Bounds, answers: Mapping[str, Slopes], slope_at: SlopeFunction | None
) -> tuple[list[Kink], list[str], list[str]]:
    """The kinks; what is in doubt because of them; and what is worth noting."""
    f, z = claims.f, claims.z
    kinks = [_declared(claims, judged, answers, kink) for kink in f.kinks]
    if slope_at is None:
        return kinks, [], ["kinks that are not declared were not looked for: no arithmetic gives slopes at any z"]
    undeclared = _find_undeclared(claims, bounds, slope_at)
    places = _places([kink.z for kink in undeclared])
    doubts = [f"the slope jumps where the record declares no kink: {places}"] if undeclared else []
    steps = find_jumps(lambda z: np.asarray(f(z.copy()), dtype=float), z, bounds.value)
    notes = [f"the value itself jumps at {_places(steps)}, and no slope says so"] if steps else []
    return kinks + undeclared, doubts, notes


def _find_undeclared(claims: Claims, bounds: Bounds, slope_at: SlopeFunction) -> list[Kink]:
    found = [place for place in find_jumps(slope_at, claims.z, bounds.formula) if not is_near(place, claims.f.kinks)]
    kinks = [_undeclared(claims, slope_at, place) for place in found if _is_kink(claims.f, slope_at, place)]
    return [kink for kink in kinks if kink.jumps]


def _is_kink(f: Activation, slope_at: SlopeFunction, place: float) -> bool:
    """Whether a jump is there at some distance, too, and larger than rounding.

    Automatic differentiation may be wrong at one point, as at sign(0), and noise may grow like 1/z towards zero.
    """
    step = NEARBY * max(abs(place), 1.0)
    z = np.array([place - step, place + step])
    left, right = slope_at(z)
    allowed = JUMP * max(abs(left), abs(right)) + rounding_bounds(f, z).formula.sum()
    return not abs(right - left) <= allowed


def _declared(claims: Claims, judged: Judgement, answers: Mapping[str, Slopes], kink: float) -> Kink:
    left, right, at = (int(np.searchsorted(claims.z, place)) for place in (*sides(kink), kink))
    on_sides = (float(judged.true[i]) if judged.decided[i] else np.nan for i in (left, right))
    by_jax = float(answers["jax"].slope[at]) if "jax" in answers else np.nan
    return Kink(kink, *on_sides, claimed=float(claims.slope[at]), jax=by_jax, declared=True)


def _undeclared(claims: Claims, slope_at: SlopeFunction, place: float) -> Kink:
    z = np.array([*sides(place), place])
    left, right, _ = slope_at(z)
    claimed = np.broadcast_to(claims.f.slope(z.copy(), np.array(claims.f(z.copy()))), z.shape)
    return Kink(place, float(left), float(right), float(claimed[2]), np.nan, declared=False)


def _places(places: Sequence[float], shown: int = 6) -> str:
    more = f" and {len(places) - shown} more places" if len(places) > shown else ""
    return "z = " + ", ".join(f"{place:.6g}" for place in places[:shown]) + more


def outside(kinks: Sequence[Kink]) -> list[Finding]:
    """Claims at kinks that are no convention, as one finding: they do not lie between the slopes of the two sides."""
    wrong = [kink for kink in kinks if not kink.is_between]
    if not wrong:
        return []
    worst = max(wrong, key=lambda kink: abs(kink.claimed - kink.nearest_side))
    return [
        Finding(
            CLAIMED,
            "the slopes on both sides",
            tuple((kink.z, kink.z) for kink in wrong),
            worst.z,
            worst.claimed,
            worst.nearest_side,
            bound=0.0,
            mistakes=("kink convention: at a kink a slope must lie between those of its two sides",),
        )
    ]
