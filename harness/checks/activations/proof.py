"""Proof, for every z and not only on a grid, that a reported slope is the derivative of the formula.

A cell is an interval of z, z = c + r t with |t| <= 1. A Taylor model of a number on it is a polynomial in t and a bound
on the rest, which holds for all t and includes the rounding of float64 (`reference.arithmetics.taylor`). Formula and
slope are run as they stand with such a z, so that their difference d(t) = slope - derivative is known on the whole
cell:

    |d| <= ALLOWED max(1, |f'|) for all t       the cell is proved
    |d| >  ALLOWED max(1, |f'|) for all t       the slope is wrong there
    neither is certain                          the cell is split, and its parts are tried

A cell is split where a comparison changes on it, or else into equal parts. Cells of a few floats, such as those at a
junction, and cells beside zero are decided in ball arithmetic (`proof_cells`). What remains is left to sampling, and
the report says so. A proof accuses nobody: it names z at which the slope looks wrong (`Proof.suspects`), and the check
gives these to its oracles like any other z.
"""

from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any, NamedTuple

import numpy as np

from harness.bounds.activation_bound import FORMULA_ERRORS
from harness.checks.activations.proof_cells import (
    ALLOWED,
    FLOATS,
    Cells,
    count_floats,
    cut_at,
    decide_with_balls,
    is_near_a_kink,
    join_cells,
    split_cells,
    without_kinks,
)
from harness.checks.activations.z_grid import OF_Z, TINY, Notation
from harness.facts.fact import Fact, note
from harness.facts.kinds import Kind
from reference.activations import Activation
from reference.arithmetics.companion import NoRule, first_line
from reference.arithmetics.taylor.taylor_functions import derivative_of, switches
from reference.arithmetics.taylor.taylor_model import Taylor, variable
from reference.namespaces import NUMPY

INSIDE = 30.0
"""|z| up to which the proof should leave no z out. Beyond, sigmoids are 0 or 1 up to 1e-13, and networks rarely
come."""

FAR = 1e6  # |z| up to which the proof continues where it succeeds

STARTING, STARTING_FAR = 256, 16
"""Cells to begin with: most formulas curve on a scale of 1, and are proved on cells of a quarter at once."""

WORK, WORK_FAR = 16_384, 4_096
"""Cells that are looked at before the rest is left to sampling: 0.01 ms each for a short formula."""

PASSES = 20  # How often cells are split. In 8 parts each time there would be 1e18 of them.
NEGLIGIBLE = 1e-100  # |z| below which cells are not split any more

SAMPLES = 5  # of each stretch that is wrong, so many z are suspects; and so many stretches have some
JUST_BESIDE = 1e-9  # half-widths beside a cell, where rounding may still change a comparison on it
DIGITS = 10  # decimals to which a place is rounded where a comparison changes: most of them are round numbers

CONSTANTS, SETTLED = 1e3, 1e-12
"""A constant such as √(2/π) was rounded before the model was made, which knows nothing of it. So what a model says of
rounding at one float is widened by this factor, and by this much beside 1 or the slope."""


def bound_rounding_of_claim(f: Activation, z: np.ndarray, bound: np.ndarray) -> np.ndarray:
    """The smaller of a given bound on the slope's rounding at each z, and one by Taylor models of single floats.

    Running errors leave ``a > 0`` undecided at a = 0. A model of that one float knows that a is exactly zero.
    """
    try:
        # cells of one float each: low = high = z
        value, _ = derivative_of(partial(f.value, NUMPY), variable(z, z))
        claim = Taylor.lifted(f.slope(variable(z, z), value))
    except FORMULA_ERRORS:
        return bound
    return np.fmin(bound, CONSTANTS * (claim.high - claim.low) + SETTLED * np.maximum(1.0, np.abs(claim.high)))


@dataclass(frozen=True)
class Proof:
    """What has been proved of one record, and what not."""

    left: tuple[tuple[float, float], ...] = ((-INSIDE, INSIDE),)  # the stretches of [-30, 30] that are not proved
    far: tuple[float, float] = (-INSIDE, INSIDE)  # from where to where all z beyond [-30, 30] are proved, too
    suspects: tuple[float, ...] = ()  # z at which the reported slope is further than `ALLOWED` from the derivative
    places: tuple[float, ...] = ()  # z at which comparisons in the formula or the reported slope were seen to change
    kinks: tuple[float, ...] = ()  # the declared kinks within [-30, 30], where nothing is proved
    reason: str = ""  # why nothing could be proved, if so

    @property
    def complete(self) -> bool:
        """Whether all z in [-30, 30] except the declared kinks are proved."""
        return not self.left

    def stretch(self, notation: Notation = OF_Z) -> str:
        """From where to where all z are proved, of a complete proof."""
        return f"{notation.stretch(*self.far)}{' except kinks' if self.kinks else ''}"

    def to_facts(self, notation: Notation = OF_Z) -> list[Fact]:
        """What is left to sampling within [-30, 30], if anything is."""
        if self.complete:
            return []
        # a stretch of floats that are next to zero is zero
        stretches = ((0.0, 0.0) if max(map(abs, ends)) <= TINY else ends for ends in self.left)
        names = dict.fromkeys(notation.stretch(*ends, outwards=True) for ends in stretches)
        return [note(Kind.LEFT_TO_SAMPLING, *names, **({"reason": self.reason} if self.reason else {}))]

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready document."""
        return vars(self) | {"complete": self.complete, "allowed": ALLOWED}


@lru_cache(maxsize=64)
def prove(f: Activation) -> Proof:
    """Prove as much of a record as possible. The first call takes tens of milliseconds, and others nothing."""
    with np.errstate(all="ignore"):
        try:
            return _prove(f)
        except FORMULA_ERRORS as reason:
            return Proof(reason=first_line(reason))


def _prove(f: Activation) -> Proof:
    inside = _refine(f, without_kinks(np.linspace(-INSIDE, INSIDE, STARTING + 1), f.kinks), WORK)
    # further out formulas flatten, and a few cells on a logarithmic scale are enough
    edges = np.geomspace(INSIDE, FAR, STARTING_FAR + 1)
    beyond = _refine(f, np.hstack([without_kinks(ends, f.kinks) for ends in (-edges[::-1], edges)]), WORK_FAR)
    # outwards, up to the first stretch that is left
    below = max((high for _, high in beyond.left if high < 0.0), default=-FAR)
    above = min((low for low, _ in beyond.left if low > 0.0), default=FAR)
    return replace(
        inside,
        far=(below, above),
        suspects=tuple(sorted({*inside.suspects, *beyond.suspects})),
        places=tuple(sorted({*inside.places, *beyond.places})),
        kinks=tuple(kink for kink in f.kinks if abs(kink) <= INSIDE),
    )


def _refine(f: Activation, cells: Cells, work: int) -> Proof:
    """Prove cells, and split those that are not proved, until none is left, one is wrong, or `work` cells were seen."""
    cells = np.array(cells)  # (2, n): their ends
    wrong, given_up, places = cells[:, :0], list[np.ndarray](), set[float]()
    for _ in range(PASSES):
        # where they are too many, those nearest to zero are looked at
        nearest = np.argsort(np.abs(cells).min(axis=0))
        given_up.append(cells[:, nearest[work:]])
        cells = cells[:, nearest[:work]]
        seen = _enclose(f, *cells)
        work -= seen.proved.size
        places.update(seen.place[~np.isnan(seen.place)].tolist())
        # beside a declared kink, which rounding may move, a slope may be that of the other side, and ends no proof
        is_of_kink = seen.wrong & is_near_a_kink(*cells, f.kinks)
        is_wrong = seen.wrong & ~is_of_kink
        is_open = ~seen.proved & ~is_wrong
        # these, single floats and cells beside zero are left to balls, which need no width
        is_tiny = is_of_kink | (np.abs(cells).max(axis=0) <= NEGLIGIBLE) | (count_floats(*cells) <= FLOATS)
        given_up.append(cells[:, is_open & is_tiny])
        wrong = cells[:, is_wrong]
        cells = _split(cells[:, is_open & ~is_tiny], seen.place[is_open & ~is_tiny])
        if not cells.size or not work or wrong.size:  # one wrong cell is enough for suspects
            break
    low, high, suspects = decide_with_balls(f, *np.hstack([*given_up, cells]))
    for first, last in join_cells(*wrong)[:SAMPLES]:
        suspects += np.linspace(first, last, SAMPLES + 2)[1:-1].tolist()
    left = join_cells(np.hstack([low, wrong[0]]), np.hstack([high, wrong[1]]))
    return Proof(tuple(left), suspects=tuple(suspects), places=tuple(places))


def _split(cells: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Cells cut where a comparison changes on them, unless that is in another cell already; else into equal parts."""
    low, high = cells
    is_within = (low <= place) & (place <= high)
    cut = cut_at(low[is_within], high[is_within], place[is_within])
    return np.hstack([cut, split_cells(low[~is_within], high[~is_within])])


class _Enclosed(NamedTuple):
    """Of each cell, (n,): whether the slope is right or wrong on all of it, and where its first comparison changes."""

    proved: np.ndarray
    wrong: np.ndarray
    place: np.ndarray  # NaN where none changes


def _enclose(f: Activation, low: np.ndarray, high: np.ndarray) -> _Enclosed:
    z = variable(low, high)
    with switches() as found:
        value, derivative = derivative_of(partial(f.value, NUMPY), z)
        claim = Taylor.lifted(f.slope(z, value))
    _require_enclosed(f, z.value, value, claim)
    # The difference of the polynomials keeps what slope and derivative have in common: 1 - t² and 1 - t² differ by 0,
    # and two intervals [0, 1] by up to 1.
    difference = claim - derivative
    least, error = _smallest_and_largest(difference)
    smallest, largest = _smallest_and_largest(derivative)
    return _Enclosed(
        proved=np.broadcast_to(error <= ALLOWED * np.maximum(1.0, smallest), low.shape),
        wrong=np.broadcast_to(least > ALLOWED * np.maximum(1.0, largest), low.shape),
        place=_places(found, low, high),
    )


def _smallest_and_largest(x: Taylor) -> tuple[np.ndarray, np.ndarray]:
    """The ends of |x|; NaN where nothing is known."""
    sizes = np.sort(np.abs([x.low, x.high]), axis=0)
    return np.where(x.low * x.high <= 0.0, 0.0, sizes[0]), sizes[1]


def _require_enclosed(f: Activation, z: np.ndarray, value: Taylor, claim: Taylor) -> None:
    """Raise `NoRule` where NumPy's result lies outside an enclosure: the formula branches on the kind of array."""
    a = f(z.copy())
    # where type(z) is not np.ndarray, a formula may take another branch, whose enclosure says nothing about NumPy's
    for computed, enclosure in ((a, value), (f.slope(z.copy(), np.array(a)), claim)):
        known = ~np.isnan(enclosure.low) & ~np.isnan(enclosure.high)
        if np.any(known & ~((enclosure.low <= computed) & (computed <= enclosure.high))):
            raise NoRule("its result is not NumPy's, as of a branch that is not taken by xp.where")


def _places(found: list[np.ndarray], low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """The z of the first comparison that changes on each cell, as a round number where that is within rounding."""
    place = np.full(low.shape, np.nan)
    for t in found:
        z = 0.5 * (low + high) + 0.5 * (high - low) * t  # t in [-1, 1] is the place on the cell
        round_z = np.round(z, DIGITS) + 0.0  # no negative zero
        z = np.where(np.abs(z - round_z) <= 1e-15 * (1.0 + np.abs(low) + np.abs(high)), round_z, z)
        within = np.abs(t) <= 1.0 + JUST_BESIDE
        place = np.where(np.isnan(place) & within, z, place)
    return place
