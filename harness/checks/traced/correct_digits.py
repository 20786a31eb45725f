"""How many correct digits a derivative keeps, within a bound that allows for the loss of all.

The derivative of tanh at 30 is 3e-26, and JAX's rule computes 0 from 1 - tanh(30): within a rounding of the terms, and
without a correct digit. A note says so, with the error in units in the last place. The verdict does not change if
rounding has lost the digits; if the rule's formula has, it is a doubt.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import jax
import numpy as np

from harness.bounds.program_bound import SMALLEST
from harness.checks.traced.real_coordinates import Coordinates, Estimate
from harness.facts.fact import Fact, Severity, note
from harness.facts.kinds import Kind
from harness.verdict.comparison import Answer, Pair

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
    """The best of several estimates, whose errors are infinite where they are not used.

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
