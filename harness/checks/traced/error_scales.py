"""How large an error of a derivative is small, when a bound is too wide, and how many digits a derivative keeps.

A bound decides something if it is small beside the largest derivative of its block. Where a program cannot do better,
it also decides if it is small beside T/|x|, where T is the size of the terms that make up f: 1 - tanh(x)² at x = 20 has
terms of size 1 and a derivative of 3e-17, which is less than a rounding of these terms. A program that amplifies its
roundings seems to have terms without limit, so that its bounds would accept anything: `twice_would_pass` sees to it.

Within such a bound a report may have lost all of its digits. A note says so; the verdict does not change unless it was
the rule's formula that lost them.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import jax
import numpy as np

from harness.bounds.program_bound import SMALLEST
from harness.bounds.tolerances import ABSOLUTE, MEANINGLESS, NEGLIGIBLE, SPREAD_FACTOR
from harness.checks.random_directions import random_directions
from harness.checks.traced.program_at_point import ProgramAtPoint
from harness.checks.traced.real_coordinates import Coordinates, Estimate, combine
from harness.facts.fact import Fact, Severity, doubt, note
from harness.facts.kinds import Kind
from harness.verdict.comparison import Answer, Block, Pair, compare

ZERO_IS_COARSER = {"float64": 1.0, "float32": 1e2, "float16": 1e4, "bfloat16": 1e4}
"""A block of derivatives counts as zero in float64 below 1e-5 of the largest one (`NEGLIGIBLE`), and below so many
times as much in coarse types, where zero is computed as a few roundings of what cancels in it."""

UNDERFLOW = {"float64": 1e-240, "float32": SMALLEST, "float16": 2.0**-24, "bfloat16": SMALLEST}
"""The error that underflow may leave in the place of zero. In float64 it is that of increments, which are 6e-61 times
the slopes, so that slopes below 1e-247 underflow."""

NOTHING = {"float64": 1e-220, "float32": 1e-30, "float16": 1e-30, "bfloat16": 1e-30}
"""The size that errors are compared with where all derivatives are zero: above what underflow leaves, and far below any
derivative that somebody has a use for."""

DIRECTIONS_AROUND = 8
"""Random directions whose slopes show how large derivatives are: enough for a root mean square to a factor of two."""

TERMS = 1.0
"""Terms that cancel count up to this size beside f's own. With it, the lost tail of tanh(x) - 1 is small, and in no
doubt; without a limit, so would be all derivatives of (1e8 + x) - 1e8."""

MOST = 0.5
"""The share of a block's nonzero derivatives that makes a bound too wide for the block: fewer are entries that happen
to be far smaller than the largest one."""


@np.errstate(all="ignore")
def terms_over_arguments(
    weights: np.ndarray, values: np.ndarray, error: np.ndarray, program: ProgramAtPoint
) -> np.ndarray:
    """The size of the function's terms over the size of its arguments, T/max(1, |x|): (combinations, inputs).

    T = |w|·(|f| + E/(16 u)) with E the rounding errors of the values f: (1e8 + x) - 1e8 is off by some u·1e8, which
    shows terms of about 1e8.
    """
    terms = np.abs(values) + error / (SPREAD_FACTOR * program.coarsest)
    of_combinations = np.abs(weights) @ np.where(np.isfinite(terms), terms, 0.0)
    sizes = np.where(np.isfinite(program.point), np.maximum(1.0, np.abs(program.point)), np.inf)
    return of_combinations[:, None] / sizes


@np.errstate(all="ignore")
def scale_of_terms(weights: np.ndarray, values: np.ndarray, error: np.ndarray, program: ProgramAtPoint) -> np.ndarray:
    """These terms times `ABSOLUTE`/`MEANINGLESS`: (combinations · inputs,).

    A comparison takes an error for small below `MEANINGLESS` times a size. With this size, that is `ABSOLUTE` times the
    terms.
    """
    share = ABSOLUTE[program.precision] / MEANINGLESS[program.precision]
    return share * terms_over_arguments(weights, values, error, program).ravel()


@np.errstate(all="ignore")
def scale_around(program: ProgramAtPoint, rows: np.ndarray) -> np.ndarray:
    """A size for where f and all of its terms vanish, as those of a determinant at the zero matrix: (rows · inputs,).

    The root mean square of derivatives at four points as far away as the arguments are large. Of functions that grow,
    such as exp, the point with the smallest derivatives counts.
    """
    along = random_directions(DIRECTIONS_AROUND, program.inputs.size, program.seed + 5)
    reach = np.where(program.point == 0.0, 1.0, np.abs(program.point)) * along[:2]
    points = (program.point + move for move in (*reach, *-reach))
    slopes = [combine(rows, program.changes(along, program.run(), point)) for point in points]
    # Σᵢ gᵢ dᵢ, with dᵢ around ±1 at random, has a mean square of about Σᵢ gᵢ²
    around = np.sqrt(np.square(slopes).mean(axis=-1) / program.inputs.size).min(axis=0)
    around = np.where(np.isfinite(around), around, 0.0)
    return np.repeat(NEGLIGIBLE * ZERO_IS_COARSER[program.precision] * around, program.inputs.size)


def ordinary_size(largest: float, precision: str) -> float:
    """A size of the derivative that is not small: blocks that vanish beside it are compared absolutely.

    It is no fixed number such as 1, as it is for costs: those of f(x) = 1e-30 x are all tiny, and right or wrong.
    """
    if precision == "float64":
        return largest or NOTHING[precision]
    return max(ZERO_IS_COARSER[precision] * largest, NOTHING[precision])


@np.errstate(all="ignore")
def twice_would_pass(
    answers: Sequence[Answer],
    increments: Answer,
    blocks: Sequence[Block],
    examined: np.ndarray,
    ordinary: float,
    scale: np.ndarray,
    small: Callable[[], np.ndarray],
) -> tuple[tuple[Fact, ...], np.ndarray]:
    """A doubt where twice the true derivative would agree as well in most of a block, and in which coordinates.

    Parameters
    ----------
    answers : all answers, oracles included
    increments : the one of them that is taken for the true derivative
    examined : mask of the coordinates that are compared
    ordinary, scale : sizes that the comparison uses
    small : called where needed for an (n,) array
        Below this size a derivative is small beside f itself, and whether it is doubled is no doubt.
    """
    oracles, true = [answer for answer in answers if answer.oracle], increments.gradient
    passes = np.zeros(true.size, bool)
    judged = [answer for answer in answers if not answer.oracle]
    for answer in judged:
        # would an answer of twice the derivative, with the same error bound, agree with all oracles? A coordinate that
        # is decided without any help of f's terms has a bound that is small beside the largest of its block
        twice = replace(answer, gradient=2.0 * true)
        by_scale, by_itself = (
            [compare(twice, oracle, blocks, ordinary, absolute=absolute) for oracle in oracles]
            for absolute in (scale, 0.0)
        )
        decided, decided_by_itself = (np.any([p.decided for p in pairs], axis=0) for pairs in (by_scale, by_itself))
        passes |= decided & ~decided_by_itself & ~np.any([pair.at_odds for pair in by_scale], axis=0)
    passes &= np.isfinite(true) & (true != 0.0) & examined
    in_doubt, bounds = np.zeros(true.size, bool), {}
    if passes.any():  # the size of f is measured at points around, which costs four runs
        passes &= np.abs(true) > small()
    for block in blocks:
        own = passes[block.indices]
        # some entries far below the largest of their block pass anyway: only a block of such ones is in doubt
        if own.sum() > MOST * np.count_nonzero((true[block.indices] != 0.0) & examined[block.indices]):
            allowed = np.max([answer.error for answer in judged], axis=0)[block.indices]
            bounds[block.name] = max(bounds.get(block.name, 0.0), float(allowed[own].max()))
            in_doubt[block.indices] = own
    facts = [doubt(Kind.TWICE_WOULD_PASS, *sorted(bounds), bound=max(bounds.values()))] if bounds else []
    return tuple(facts), in_doubt


# -- correct digits ---------------------------------------------------------------------------------------------------

NO_DIGIT = 0.1
"""A report that is off by more than this share of the true derivative has no correct decimal digit."""

PLACES_KEPT = 20
"""A note names so many coordinates at most; it counts all of them."""


@dataclass(frozen=True, eq=False)
class KnownDerivatives:
    """The best that increments and differences know of each derivative, (n,) arrays."""

    true: np.ndarray  # of the one with the smaller error
    error: np.ndarray  # its error
    units: np.ndarray  # u of the type that each derivative is reported in
    # bool array: whether the first digit is known, and the derivative is a normal number of its type
    is_known: np.ndarray

    @np.errstate(all="ignore")
    def ulps(self, answer: Answer) -> np.ndarray:
        """The true error of each entry in units in the last place, 2u·2^⌊log₂|f′|⌋; NaN where it is not known."""
        place = 2.0 * self.units * np.exp2(np.floor(np.log2(np.abs(self.true))))
        off = np.abs(answer.gradient - self.true)
        return np.where(self.is_known, np.maximum(off - self.error, 0.0) / place, np.nan)

    @np.errstate(all="ignore")
    def is_lost(self, gradient: np.ndarray) -> np.ndarray:
        """Where a gradient has no correct digit for all that is known."""
        off = np.abs(gradient - self.true) - self.error
        return self.is_known & np.isfinite(gradient) & (off > NO_DIGIT * np.abs(self.true))


@np.errstate(all="ignore")
def know_derivatives(estimates: Sequence[Estimate], units: np.ndarray, smallest: np.ndarray) -> KnownDerivatives:
    """The best of several estimates, with infinite errors where they do not count.

    `smallest` is the smallest normal number of the type that each derivative is reported in.
    """
    # of a derivative of zero no digit can be wrong
    errors = np.array([np.where((o.derivative != 0.0) & np.isfinite(o.derivative), o.error, np.inf) for o in estimates])
    best = np.argmin(errors, axis=0)[None]
    error = np.take_along_axis(errors, best, axis=0)[0]
    true = np.take_along_axis(np.array([o.derivative for o in estimates]), best, axis=0)[0]
    sizes = np.abs(np.where(np.isfinite(true), true, 0.0))
    # below the smallest normal number of a type digits go one by one, by the type alone
    smallest = np.maximum(smallest, SMALLEST * max(1.0, sizes.max(initial=0.0)))
    return KnownDerivatives(true, error, units, (error <= NO_DIGIT * np.abs(true)) & (np.abs(true) >= smallest))


def with_digits(
    answers: Sequence[Answer],
    pairs: Sequence[Pair],
    alone: Mapping[str, Estimate],
    coordinates: Coordinates,
    in_float64: Mapping[str, np.ndarray],
    roundings: Mapping[str, np.ndarray],
    small: np.ndarray,
    wrong: Collection[str],
) -> tuple[list[Answer], np.ndarray]:
    """The answers; those that have lost digits with notes of it, and with their true errors in ulps.

    What a formula has lost is a doubt, unless it is small beside the function itself. The mask says where.

    Parameters
    ----------
    answers, pairs : what is reported, and compared
    alone : increments and differences, by name, with their own errors alone
    coordinates : what is differentiated
    in_float64 : by mode, the same derivatives evaluated in float64, where these are known
    roundings : by mode, how far rounding may move its numbers, by the program's own bound
    small : the size of the derivatives that are small beside the function
    wrong : names of answers that are wrong, by no rounding
    """
    errors, inputs = {answer.name: answer.error for answer in answers}, coordinates.inputs
    # where increments or differences were outvoted, they know nothing
    counting = [
        Estimate(o.derivative, np.where(np.isfinite(errors[name]), o.error, np.inf)) for name, o in alone.items()
    ]
    types, sizes = [jax.numpy.finfo(dtype) for dtype in inputs.dtypes], [len(block.indices) for block in inputs.blocks]
    rows = answers[0].gradient.size // inputs.size
    units, smallest = (
        np.tile(np.repeat(numbers, sizes), rows)
        for numbers in ([0.5 * float(t.eps) for t in types], [float(t.tiny) for t in types])
    )
    known = know_derivatives(counting, units, smallest)
    noted, in_doubt = list(answers), np.zeros(answers[0].gradient.shape, bool)
    for i, answer in enumerate(answers):
        beside = [pair for pair in pairs if pair.first == answer.name and pair.second in alone]
        if beside and not answer.oracle and answer.name not in wrong:
            noted[i], is_doubtful = _note_digits(
                answer, beside, known, in_float64.get(answer.name), roundings[answer.name], small, coordinates
            )
            in_doubt |= is_doubtful
    return noted, in_doubt


def _note_digits(
    answer: Answer,
    beside: Sequence[Pair],
    known: KnownDerivatives,
    in_float64: np.ndarray | None,
    rounding: np.ndarray,
    small: np.ndarray,
    coordinates: Coordinates,
) -> tuple[Answer, np.ndarray]:
    """An answer with notes of the digits that it has lost, by rounding or by its formula, and where that is a doubt.

    What is lost in float64 as well is no rounding. Where there is no such evaluation, nor is what is further off than
    the program's own roundings may move it.
    """
    # at a kink, or beside a jump, nothing is decided and nothing is lost
    allowed = np.where(np.any([p.decided for p in beside], axis=0), beside[0].allowed, -np.inf)
    with np.errstate(all="ignore"):
        off = np.abs(answer.gradient - known.true)
        lost = known.is_lost(answer.gradient) & (off <= allowed)
        is_beyond = off > rounding + known.error if in_float64 is None else known.is_lost(in_float64)
    by_formula = lost & is_beyond
    is_doubtful = by_formula & (np.abs(known.true) > small)
    # one note for each reason and severity, whichever of them there are
    masks = [
        ("rounding", Severity.NOTE, lost & ~by_formula),
        ("formula", Severity.NOTE, by_formula & ~is_doubtful),
        ("formula", Severity.DOUBT, is_doubtful),
    ]
    notes = [
        replace(_lost(answer, mask, by, allowed, known, coordinates), severity=severity)
        for by, severity, mask in masks
        if mask.any()
    ]
    if not notes:
        return answer, is_doubtful
    ulps = known.ulps(answer)
    return replace(answer, notes=tuple(notes), ulps=(float(np.nanmedian(ulps)), float(np.nanmax(ulps)))), is_doubtful


def _lost(
    answer: Answer, lost: np.ndarray, by: str, allowed: np.ndarray, known: KnownDerivatives, coordinates: Coordinates
) -> Fact:
    """What was lost, with the numbers of the worst coordinate."""
    ulps, places = known.ulps(answer), np.flatnonzero(lost)
    worst = int(places[np.argmax(ulps[places])])
    numbers = {"reported": answer.gradient, "true": known.true, "ulps": ulps, "bound": allowed}
    return note(
        Kind.NO_CORRECT_DIGIT, coordinates.label(worst), *map(coordinates.label, places[places != worst][:PLACES_KEPT]),
        source=answer.name, by=by, places=len(places), **{name: float(x[worst]) for name, x in numbers.items()},
    )  # fmt: skip
