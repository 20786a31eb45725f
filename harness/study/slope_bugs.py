"""Named bugs that make wrong records from right ones; every right record gets some of them in turn.

Whether a bug is there at all is measured. Swapped branches change nothing where the slope is even, and a factor of
1 + 1e-8 on a slope of 0.01 is below the check's tolerance. Such records are left out.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from harness.checks.activations.proof import ALLOWED
from reference.activations import Activation

Slope = Callable[[np.ndarray, np.ndarray], np.ndarray]
Planter = Callable[[Activation, np.random.Generator], tuple[Slope, Sequence[float]]]
"""(record, random numbers) -> the wrong slope(z, a), and the z near which it is wrong, if it is not wrong anywhere."""

SEEN = 2.0 * ALLOWED
"""Twice the tolerance of the check, since the right slopes take up a part of it."""

WIDTH = 0.01
"""Of a narrow stretch."""

LARGEST = np.finfo(float).max


class SlopeBug(NamedTuple):
    """A bug in a slope: what is wrong in words, and what plants it."""

    description: str
    plant: Planter


def _everywhere(change: Callable[..., np.ndarray]) -> Planter:
    """A bug from change(right slope, z, a, record)."""
    return lambda f, rng: (lambda z, a: change(f.slope(z, a), z, a, f), ())


def _between(low: float, high: float, error: float, width: float = np.inf) -> Planter:
    """An error added in [low, high], or in a stretch of that width somewhere there."""

    def plant(f: Activation, rng: np.random.Generator) -> tuple[Slope, Sequence[float]]:
        start = low if np.isinf(width) else float(rng.uniform(low, high - width))
        end = high if np.isinf(width) else start + width

        def slope(z: np.ndarray, a: np.ndarray) -> np.ndarray:
            right = f.slope(z, a)
            return np.where((z >= start) & (z <= end), right + error * np.maximum(1.0, np.abs(right)), right)

        return slope, (start, min(0.5 * start + 0.5 * end, start + 1.0))

    return plant


def _bump(f: Activation, rng: np.random.Generator) -> tuple[Slope, Sequence[float]]:
    at = float(rng.uniform(-30.0, 30.0))
    return lambda z, a: f.slope(z, a) + 1e-6 * np.exp(-np.square((np.clip(z, -40.0, 40.0) - at) / WIDTH)), (at,)


def _at_one_z(more: float, where: Callable[[Activation, np.random.Generator], float]) -> Planter:
    """A slope that is off by 1 + `more` at one z alone."""

    def plant(f: Activation, rng: np.random.Generator) -> tuple[Slope, Sequence[float]]:
        at = where(f, rng)
        return lambda z, a: np.where(z == at, 1.0 + np.abs(f.slope(z, a)) + more, f.slope(z, a)), (at,)

    return plant


def _junction(f: Activation, rng: np.random.Generator) -> float:
    return f.kinks[0] if f.kinks else 0.0


def _some_z(f: Activation, rng: np.random.Generator) -> float:
    return round(float(rng.uniform(-6.0, 6.0)), 2)


def _slope_at(f: Activation, z: np.ndarray) -> np.ndarray:
    return f.slope(z, f(z))


SLOPE_BUGS: dict[str, SlopeBug] = {
    "sign": SlopeBug("the sign is wrong", _everywhere(lambda d, z, a, f: -d)),
    "twice": SlopeBug("a factor of two", _everywhere(lambda d, z, a, f: 2.0 * d)),
    "factor": SlopeBug("a factor of 1 + 1e-8", _everywhere(lambda d, z, a, f: (1.0 + 1e-8) * d)),
    "constant": SlopeBug("1e-8 is added", _everywhere(lambda d, z, a, f: d + 1e-8)),
    "float32": SlopeBug("computed in float32", _everywhere(lambda d, z, a, f: d.astype(np.float32).astype(float))),
    "value for argument": SlopeBug("the slope at a, not at z", _everywhere(lambda d, z, a, f: _slope_at(f, a))),
    "branches swapped": SlopeBug("the slope at -z", _everywhere(lambda d, z, a, f: _slope_at(f, -z))),
    "tail lost": SlopeBug(
        "the slope beyond ±5 is that at ±5", _everywhere(lambda d, z, a, f: _slope_at(f, np.clip(z, -5.0, 5.0)))
    ),
    "zero beyond 20": SlopeBug(
        "the slope beyond ±20 is 0", _everywhere(lambda d, z, a, f: np.where(np.abs(z) > 20.0, 0.0, d))
    ),
    "narrow": SlopeBug("1e-6 off in a stretch of 0.01 in [-30, 30]", _between(-30.0, 30.0, 1e-6, WIDTH)),
    "narrow, in the middle": SlopeBug("1e-6 off in a stretch of 0.01 in [-6, 6]", _between(-6.0, 6.0, 1e-6, WIDTH)),
    "narrower": SlopeBug("1e-3 off in a stretch of 1e-4 in [-30, 30]", _between(-30.0, 30.0, 1e-3, 1e-4)),
    "bump": SlopeBug("a smooth bump of 1e-6, 0.01 wide, in [-30, 30]", _bump),
    "100 to 104": SlopeBug("1e-3 off in [100, 104]", _between(100.0, 104.0, 1e-3)),
    "beyond 1000": SlopeBug("1e-3 off beyond 1000", _between(1000.0, LARGEST, 1e-3)),
    "below -1000": SlopeBug("1e-3 off below -1000", _between(-LARGEST, -1000.0, 1e-3)),
    "one z": SlopeBug("more than 1 off at one z", _at_one_z(0.0, _some_z)),
    "NaN": SlopeBug("NaN at one z", _at_one_z(np.nan, _some_z)),
    "seam": SlopeBug("more than 3 off where pieces meet, or at 0", _at_one_z(2.0, _junction)),
}
"""By name."""

EACH = 3
"""Bugs planted in each right record; each bug is planted as often as the others."""


def wrong_records(right: Sequence[Activation], seed: int, each: int = EACH) -> Iterator[tuple[Activation, str]]:
    """`each` bugs in turn for every right record, without those that change nothing: (record, name of the bug)."""
    names = list(SLOPE_BUGS)
    for i, f in enumerate(right):
        rng = np.random.default_rng([seed, i])
        for k in range(each):
            name = names[(i * each + k) % len(names)]
            slope, places = SLOPE_BUGS[name].plant(f, rng)
            record = Activation(f"{f.name}, {name}", f.value, slope, kinks=f.kinks)
            if is_there(f, record, places):
                yield record, name


def is_there(f: Activation, wrong: Activation, places: Sequence[float] = ()) -> bool:
    """Whether a slope differs from the right one by more than the check tolerates, at a z where the value is finite."""
    z = np.concatenate([np.linspace(-30.0, 30.0, 2001) + 0.003, *([float(place)] for place in places)])
    with np.errstate(all="ignore"):
        a = np.array(f(z))
        right, claimed = (np.broadcast_to(record.slope(z, a.copy()), z.shape) for record in (f, wrong))
        within = np.abs(claimed - right) <= SEEN * np.maximum(1.0, np.abs(right))
        return bool((np.isfinite(a) & np.isfinite(right) & ~within).any())  # NaN is wrong where the slope is a number
