"""The z at which an activation is checked, and how stretches of them are told."""

from collections.abc import Iterable, Sequence

import numpy as np

from harness.wording import first_few
from reference.activations import Activation

SPECIAL = (0.0, 1e-8, 1e-3, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 1e3)

SEED = 0

TINY = float(np.finfo(np.float64).tiny)  # XLA takes what is smaller for zero

SHOWN = 4  # stretches of z named in a sentence

BRIDGED = 2  # points of agreement inside a wrong stretch, such as those where two curves cross


BESIDE = 1e-6  # from a seam: differences of plain values need some room on either side

NEARBY = 1e-9  # relative: places so close to each other are one


def grid(f: Activation, seams: Sequence[float] = (), suspects: Sequence[float] = ()) -> np.ndarray:
    """The z at which an activation is checked, sorted: zero, ordinary, saturating, kinks and both sides of them.

    And `seams`, the other places where its pieces meet, with both sides of them; and `suspects` of a proof.
    """
    rng = np.random.default_rng(SEED)
    powers = (_spread(rng, -8.0, 0.0, 50), _spread(rng, 1.5, 3.0, 50))
    fill = [
        _spread(rng, -6.0, 6.0, 400),
        _spread(rng, -30.0, 30.0, 200),
        *(sign * 10.0**power for power in powers for sign in (-1.0, 1.0)),
        *(_spread(rng, kink - 1.0, kink + 1.0, 50) for kink in f.kinks),
    ]
    at_kinks = [z for kink in {*f.kinks, *seams} for z in (kink, *sides(kink), kink - BESIDE, kink + BESIDE)]
    z = np.unique(np.concatenate([SPECIAL, np.negative(SPECIAL), suspects, at_kinks, *fill]) + 0.0)  # no negative zero
    z.flags.writeable = False  # formulas get copies
    return z


def _spread(rng: np.random.Generator, low: float, high: float, count: int) -> np.ndarray:
    """One random point in each of `count` equal parts of an interval."""
    return low + (high - low) * (np.arange(count) + rng.random(count)) / count


def sides(kink: float) -> tuple[float, float]:
    """The floats on both sides."""
    step = max(float(np.spacing(abs(kink))), TINY)
    return kink - step, kink + step


def floats_beside(z: np.ndarray, count: float) -> np.ndarray:
    """What lies so many floats after each z, or before it for a negative count."""
    return z + count * np.maximum(np.spacing(np.abs(z)), TINY)


def shortest(low: float, high: float) -> float:
    """The number with the fewest digits in [low, high]."""
    if low <= 0.0 <= high:
        return 0.0
    for digits in range(1, 18):
        candidate = float(f"{high:.{digits}g}")
        if low <= candidate <= high:
            return candidate
    return high


def is_near(z: float, others: Iterable[float]) -> bool:
    """Whether z is one of the others, up to a few floats."""
    return any(abs(z - other) <= NEARBY * max(abs(z), abs(other)) or abs(z - other) <= 2 * TINY for other in others)


def distinct(places: Iterable[float]) -> list[float]:
    """The places without those that are near an earlier one."""
    kept: list[float] = []
    for place in places:
        if not is_near(place, kept):
            kept.append(place)
    return kept


def stretches(z: np.ndarray, chosen: np.ndarray, bridged: int = 0) -> tuple[tuple[float, float], ...]:
    """The chosen points of a sorted grid as intervals from point to point, across gaps of up to `bridged` points."""
    places = np.flatnonzero(chosen)
    if not places.size:
        return ()
    runs = np.split(places, np.flatnonzero(np.diff(places) > 1 + bridged) + 1)
    return tuple((float(z[run[0]]), float(z[run[-1]])) for run in runs)


def in_words(found: Sequence[tuple[float, float]]) -> str:
    """Stretches of z, the first few of them."""
    return first_few(found, SHOWN, "more places", name=lambda ends: stretch_in_words(*ends))


def stretch_in_words(low: float, high: float) -> str:
    """All z in [low, high], with as many digits as tell the ends from each other."""
    if low == high:
        return f"z = {low:.5g}"
    digits = next(count for count in range(5, 18) if f"{low:.{count}g}" != f"{high:.{count}g}")
    # the floats next to zero stand for all that is above or below it
    left = "0 < z" if 0.0 < low <= TINY else f"{low:.{digits}g} <= z"
    return f"{left} < 0" if -TINY <= high < 0.0 else f"{left} <= {high:.{digits}g}"
