"""Wrong records made from right ones by named bugs, in proportion: every right record gets some of them.

Whether a bug is there at all is measured: a branch that is swapped where the slope is even changes nothing, and a
factor of 1 + 1e-8 on a slope of 0.01 is less than the check allows. Such records are left out.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from harness.checks.activations.proof import ALLOWED
from reference.activations import Activation

Slope = Callable[[np.ndarray, np.ndarray], np.ndarray]

SEEN = 2.0 * ALLOWED  # twice what is allowed, for the right slopes take up a part of it

WIDTH = 0.01  # of a narrow stretch


class Bug(NamedTuple):
    """A bug in a slope.

    Attributes
    ----------
    description : what is wrong, in words
    plant : (record, random numbers) -> the wrong slope(z, a), and the z about which it is wrong, if not anywhere
    """

    description: str
    plant: Callable[[Activation, np.random.Generator], tuple[Slope, Sequence[float]]]


class WrongRecord(NamedTuple):
    """A record with one bug of `BUGS` in its slope."""

    record: Activation
    bug: str


def _everywhere(change: Callable[..., np.ndarray]) -> Callable:
    """A bug from change(right slope, z, a, record)."""

    def plant(f: Activation, rng: np.random.Generator) -> tuple[Slope, Sequence[float]]:
        return lambda z, a: change(f.slope(z, a), z, a, f), ()

    return plant


def _between(low: float, high: float, error: float, width: float = np.inf) -> Callable:
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


def _at_one_z(answer: float, where: Callable[[Activation, np.random.Generator], float]) -> Callable:
    """`answer` more at one z alone."""

    def plant(f: Activation, rng: np.random.Generator) -> tuple[Slope, Sequence[float]]:
        at = where(f, rng)
        return lambda z, a: np.where(z == at, 1.0 + np.abs(f.slope(z, a)) + answer, f.slope(z, a)), (at,)

    return plant


def _seam(f: Activation, rng: np.random.Generator) -> float:
    return f.kinks[0] if f.kinks else 0.0


def _some_z(f: Activation, rng: np.random.Generator) -> float:
    return round(float(rng.uniform(-6.0, 6.0)), 2)


def _of(f: Activation, z: np.ndarray) -> np.ndarray:
    return f.slope(z, f(z))


BUGS: dict[str, Bug] = {
    "sign": Bug("the sign is wrong", _everywhere(lambda d, z, a, f: -d)),
    "twice": Bug("a factor of two", _everywhere(lambda d, z, a, f: 2.0 * d)),
    "factor": Bug("a factor of 1 + 1e-8", _everywhere(lambda d, z, a, f: (1.0 + 1e-8) * d)),
    "constant": Bug("1e-8 is added", _everywhere(lambda d, z, a, f: d + 1e-8)),
    "float32": Bug("computed in float32", _everywhere(lambda d, z, a, f: d.astype(np.float32).astype(float))),
    "value for argument": Bug("the slope at a, not at z", _everywhere(lambda d, z, a, f: _of(f, a))),
    "branches swapped": Bug("the slope at -z", _everywhere(lambda d, z, a, f: _of(f, -z))),
    "tail lost": Bug(
        "the slope beyond ±5 is that at ±5", _everywhere(lambda d, z, a, f: _of(f, np.clip(z, -5.0, 5.0)))
    ),
    "zero beyond 20": Bug(
        "the slope beyond ±20 is 0", _everywhere(lambda d, z, a, f: np.where(np.abs(z) > 20.0, 0.0, d))
    ),
    "narrow": Bug("1e-6 off in a stretch of 0.01 in [-30, 30]", _between(-30.0, 30.0, 1e-6, WIDTH)),
    "narrow, in the middle": Bug("1e-6 off in a stretch of 0.01 in [-6, 6]", _between(-6.0, 6.0, 1e-6, WIDTH)),
    "narrower": Bug("1e-3 off in a stretch of 1e-4 in [-30, 30]", _between(-30.0, 30.0, 1e-3, 1e-4)),
    "bump": Bug("a smooth bump of 1e-6, 0.01 wide, in [-30, 30]", _bump),
    "100 to 104": Bug("1e-3 off in [100, 104]", _between(100.0, 104.0, 1e-3)),
    "beyond 1000": Bug("1e-3 off beyond 1000", _between(1000.0, np.finfo(float).max, 1e-3)),
    "below -1000": Bug("1e-3 off below -1000", _between(-np.finfo(float).max, -1000.0, 1e-3)),
    "one z": Bug("more than 1 off at one z", _at_one_z(0.0, _some_z)),
    "NaN": Bug("NaN at one z", _at_one_z(np.nan, _some_z)),
    "seam": Bug("more than 3 off where pieces meet, or at 0", _at_one_z(2.0, _seam)),
}
"""By name."""

EACH = 3
"""Bugs planted in each right record; each bug is planted as often as the others."""


def wrong_records(right: Sequence[Activation], seed: int, each: int = EACH) -> Iterator[WrongRecord]:
    """`each` bugs in turn for every right record, but for those that are not there."""
    names = list(BUGS)
    for i, f in enumerate(right):
        rng = np.random.default_rng([seed, i])
        for k in range(each):
            name = names[(i * each + k) % len(names)]
            slope, places = BUGS[name].plant(f, rng)
            record = Activation(f"{f.name}, {name}", f.value, slope, kinks=f.kinks)
            if is_there(f, record, places):
                yield WrongRecord(record, name)


def is_there(f: Activation, wrong: Activation, places: Sequence[float] = ()) -> bool:
    """Whether a slope differs from the right one by more than is allowed, somewhere the value is finite."""
    z = np.concatenate([np.linspace(-30.0, 30.0, 2001) + 0.003, *([float(place)] for place in places)])
    with np.errstate(all="ignore"):
        a = np.array(f(z))
        right, claimed = (np.broadcast_to(record.slope(z, a.copy()), z.shape) for record in (f, wrong))
        # NaN is wrong where the right slope is a number
        apart = (
            np.isfinite(a) & np.isfinite(right) & ~(np.abs(claimed - right) <= SEEN * np.maximum(1.0, np.abs(right)))
        )
    return bool(apart.any())
