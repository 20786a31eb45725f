"""Proof, for every z and not on a grid alone, that a claimed slope is the derivative of the formula.

Both are run as they stand on cells of z, on which Taylor models enclose all that they can be, the rounding of float64
included (`reference.arithmetics.taylor`). A cell is proved where the claim minus the derivative is enclosed within
`ALLOWED`. One that is not is split: where a comparison changes on it, or else into equal parts. Cells of a few floats,
such as those at a seam, and those beside zero are gone through in ball arithmetic (`points`).

What remains is left to sampling, and said so. A proof accuses nobody: it names z at which the claim looks wrong
(`Proof.suspects`), and the check puts these to its oracles like any other z.
"""

from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, NamedTuple

import numpy as np

from harness.bounds.activation_bound import FORMULA_ERRORS
from harness.checks.activations import proof_cells
from harness.checks.activations.proof_cells import FLOATS, Cells, count, stretches_of, without_places
from harness.checks.activations.proof_points import ALLOWED, go_through
from harness.checks.activations.z_grid import SHOWN, TINY, stretch_in_words
from harness.wording import first_few
from reference.activations import Activation
from reference.arithmetics.companion import NoRule, first_line
from reference.arithmetics.taylor.branches import switches
from reference.arithmetics.taylor.taylor_functions import derivative_of
from reference.arithmetics.taylor.taylor_model import Taylor, variable
from reference.namespaces import NUMPY

INSIDE = 30.0  # |z| up to which no z is to be left out

FAR = 1e6  # |z| up to which the proof is carried on where it goes

STARTING, STARTING_FAR = 256, 16
"""Cells to begin with: most formulas curve on a scale of 1, and are proved on cells of a quarter at once."""

WORK, WORK_FAR = 16_384, 4_096
"""Cells that are looked at before the rest is left: 0.01 ms each for a short formula."""

PASSES = 20  # how often cells are split: in 8 parts each time there would be 1e18

NEGLIGIBLE = 1e-100  # |z| below which cells are not split any more; many are proved all the same

HOPELESS = 2  # splits in a row that gained too little: what remains is rounding

GAINED = 0.5  # a cell's error over that of the cell it comes from, if that was worth while

SAMPLES = 5  # of each stretch that is wrong

JUST_BESIDE = 1e-9  # half-widths beside a cell, where rounding may still change a comparison on it

DIGITS = 10  # places where comparisons change are mostly round numbers

CONSTANTS = 1e3  # times a model's width, and this much more: for constants that were rounded before it saw them

SETTLED = 1e-12


def rounding_of_claim(f: Activation, z: np.ndarray, bound: np.ndarray) -> np.ndarray:
    """A bound on what rounding can do to the claim at each z, where models show a given one to be far too wide.

    Running errors leave ``a > 0`` undecided at a = 0; a model of the one float knows that a is exactly zero.
    """
    try:
        value, _ = derivative_of(partial(f.value, NUMPY), variable(z, z))
        claim = Taylor.lifted(f.slope(variable(z, z), value))
    except FORMULA_ERRORS:
        return bound
    return np.fmin(bound, CONSTANTS * (claim.high - claim.low) + SETTLED * np.maximum(1.0, np.abs(claim.high)))


@dataclass(frozen=True)
class Proof:
    """What has been proved of one record, and what not.

    Attributes
    ----------
    left : the stretches of [-30, 30] that are not proved
    far : from where to where all z beyond that are proved; (-30, 30) if none are
    suspects : z at which the claim is further than `ALLOWED` from the derivative
    places : z at which comparisons in the formula or the claim change, as far as they were met
    kinks : those that the record declares within [-30, 30]; nothing is said of these themselves
    reason : why nothing could be proved, if so
    """

    left: tuple[tuple[float, float], ...] = ((-INSIDE, INSIDE),)
    far: tuple[float, float] = (-INSIDE, INSIDE)
    suspects: tuple[float, ...] = ()
    places: tuple[float, ...] = ()
    kinks: tuple[float, ...] = ()
    reason: str = ""

    @property
    def complete(self) -> bool:
        """Whether all z in [-30, 30] are proved, but for the declared kinks."""
        return not self.left

    def __str__(self) -> str:
        if self.reason:
            return f"for no z, all are left to sampling ({self.reason})"
        within = f"z in [{-INSIDE:g}, {INSIDE:g}]"
        if self.left == ((-INSIDE, INSIDE),):
            return "for no z, all are left to sampling"
        if not self.complete:
            left = first_few(self.left, SHOWN, "more places", name=_in_words)
            return f"for {within} but not for {left}, which is left to sampling"
        kinks = " but the kinks" if self.kinks else ""
        low, high = self.far
        if (low, high) == (-INSIDE, INSIDE):
            return f"for all {within}{kinks}"
        return f"for all {within}{kinks}, and {f'to ±{FAR:g}' if high == -low == FAR else f'from {low:g} to {high:g}'}"

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready document."""
        return vars(self) | {"complete": self.complete, "allowed": ALLOWED}


def _in_words(ends: tuple[float, float]) -> str:
    """A stretch; one of floats that are next to zero is zero."""
    low, high = ends
    return stretch_in_words(low, high) if max(abs(low), abs(high)) > TINY else "z = 0"


@lru_cache(maxsize=64)
def prove(f: Activation) -> Proof:
    """As much of a record as goes: tens of milliseconds for the first call with it, nothing after that."""
    with np.errstate(all="ignore"):
        try:
            return _prove(f)
        except FORMULA_ERRORS as reason:
            return Proof(reason=first_line(reason))


def _prove(f: Activation) -> Proof:
    inside = _refine(f, without_places(np.linspace(-INSIDE, INSIDE, STARTING + 1), f.kinks), WORK)
    edges = np.geomspace(INSIDE, FAR, STARTING_FAR + 1)
    beyond = _refine(f, _joined([without_places(ends, f.kinks) for ends in (-edges[::-1], edges)]), WORK_FAR)
    return Proof(
        left=tuple(inside.left),
        far=(
            max((high for _, high in beyond.left if high < 0.0), default=-FAR),
            min((low for low, _ in beyond.left if low > 0.0), default=FAR),
        ),
        suspects=tuple(sorted({*inside.suspects, *beyond.suspects})),
        places=tuple(sorted({*inside.places, *beyond.places})),
        kinks=tuple(kink for kink in f.kinks if abs(kink) <= INSIDE),
    )


class _Refined(NamedTuple):
    left: list[tuple[float, float]]
    suspects: list[float]
    places: set[float]


def _refine(f: Activation, start: Cells, work: int) -> _Refined:
    """Prove cells, splitting those that are not proved, until none is left, one is wrong, or the work is done."""
    low, high = start
    before, stale = np.full(low.shape, np.inf), np.zeros(low.shape, dtype=int)
    given_up: list[Cells] = []
    wrong: list[Cells] = []
    places: set[float] = set()
    for _ in range(PASSES):
        seen = _look(f, low, high)
        work -= low.size
        wrong.append((low[seen.wrong], high[seen.wrong]))
        places.update(seen.place[~np.isnan(seen.place)].tolist())
        gained = (
            (seen.error < GAINED * before) | ~np.isfinite(seen.error) | seen.undecided | proof_cells.is_steep(low, high)
        )
        stale = np.where(gained, 0, stale + 1)
        is_open = ~seen.proved & ~seen.wrong
        tiny = (count(low, high) <= FLOATS) | (np.maximum(np.abs(low), np.abs(high)) <= NEGLIGIBLE)
        done = is_open & (tiny | (stale >= HOPELESS))
        given_up.append((low[done], high[done]))
        low, high, before, stale = _split(seen, low, high, stale, is_open & ~done)
        if not low.size or work < low.size or wrong[-1][0].size:
            break
    wrong_low, wrong_high = _joined(wrong)
    low, high, suspects = go_through(f, *_joined([*given_up, (low, high)]))
    for first, last in stretches_of(wrong_low, wrong_high)[:SAMPLES]:
        suspects += np.linspace(first, last, SAMPLES + 2)[1:-1].tolist()
    left = stretches_of(np.concatenate([low, wrong_low]), np.concatenate([high, wrong_high]))
    return _Refined(left, suspects, places)


def _joined(parts: list[Cells]) -> Cells:
    low, high = (np.concatenate(ends) for ends in zip(*parts))
    return low, high


class _Seen(NamedTuple):
    """What is known of each cell: a bound on the error; whether a comparison changes, and at which z, or NaN."""

    proved: np.ndarray
    wrong: np.ndarray
    error: np.ndarray
    undecided: np.ndarray
    place: np.ndarray


def _look(f: Activation, low: np.ndarray, high: np.ndarray) -> _Seen:
    z = variable(low, high)
    with switches() as found:
        value, derivative = derivative_of(partial(f.value, NUMPY), z)
        claim = Taylor.lifted(f.slope(z, value))
    _require_enclosed(f, z.value, value, claim)
    difference = claim - derivative
    least, error = _smallest_and_largest(difference)
    smallest, largest = _smallest_and_largest(derivative)
    return _Seen(
        proved=np.broadcast_to(error <= ALLOWED * np.maximum(1.0, smallest), low.shape),
        wrong=np.broadcast_to(least > ALLOWED * np.maximum(1.0, largest), low.shape),
        error=np.broadcast_to(error, low.shape),
        undecided=np.any([np.zeros(low.shape, dtype=bool), *(~np.isnan(t) for t in found)], axis=0),
        place=_places(found, low, high),
    )


def _smallest_and_largest(x: Taylor) -> tuple[np.ndarray, np.ndarray]:
    """Bounds on |x|; NaN where nothing is known."""
    sizes = np.sort(np.abs([x.low, x.high]), axis=0)
    return np.where(x.low * x.high <= 0.0, 0.0, sizes[0]), sizes[1]


def _require_enclosed(f: Activation, z: np.ndarray, value: Taylor, claim: Taylor) -> None:
    """Raise `NoRule` where NumPy computes what the enclosures exclude: a formula that tells kinds of arrays apart."""
    a = f(z.copy())
    for computed, enclosure in ((a, value), (f.slope(z.copy(), np.array(a)), claim)):
        known = ~np.isnan(enclosure.low) & ~np.isnan(enclosure.high)
        if np.any(known & ~((enclosure.low <= computed) & (computed <= enclosure.high))):
            raise NoRule("its branches are not taken by where")


def _places(found: list[np.ndarray], low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Of the comparisons that change on each cell the first one's z, as a round number where it is within rounding."""
    place = np.full(low.shape, np.nan)
    for t in found:
        z = 0.5 * (low + high) + 0.5 * (high - low) * t
        round_z = np.round(z, DIGITS) + 0.0  # no negative zero
        z = np.where(np.abs(z - round_z) <= 1e-15 * (1.0 + np.abs(low) + np.abs(high)), round_z, z)
        within = np.abs(t) <= 1.0 + JUST_BESIDE
        place = np.where(np.isnan(place) & within, z, place)
    return place


def _split(seen: _Seen, low: np.ndarray, high: np.ndarray, stale: np.ndarray, chosen: np.ndarray):
    """The chosen cells in parts, with the error of the cell that each part comes from and how often that was stale."""
    at = chosen & (low <= seen.place) & (seen.place <= high)  # where it has not been cut already
    in_parts = chosen & ~at
    cut_low, cut_high = proof_cells.cut_at(low[at], high[at], seen.place[at])
    part_low, part_high, parts = proof_cells.split(low[in_parts], high[in_parts])
    fresh = np.full(cut_low.shape, np.inf), np.zeros(cut_low.shape, dtype=int)
    handed_on = [np.tile(each[in_parts], parts) for each in (seen.error, stale)]
    return (
        np.concatenate([cut_low, part_low]),
        np.concatenate([cut_high, part_high]),
        *(np.concatenate([new, old]) for new, old in zip(fresh, handed_on)),
    )
