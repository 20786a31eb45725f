"""How many digits a reported derivative keeps: a question apart from whether it is the derivative.

The verdict is about errors beyond a bound on the absolute error. Within it a report may have lost all of its digits, as
where numbers cancel, or where the tail of a function is rounded to zero. A note says so; the verdict does not change.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import jax
import numpy as np

from harness.bounds.program_bound import SMALLEST
from harness.checks.traced.derivative_coordinates import Coordinates
from harness.checks.traced.real_coordinates import Estimate
from harness.facts.fact import Fact, note
from harness.facts.kinds import Kind
from harness.verdict.comparison import Answer, Pair

NO_DIGIT = 0.1
"""A report that is off by more than this share of the true derivative has no correct digit."""

PLACES_KEPT = 20
"""A note names so many coordinates at most; it counts all of them."""


@dataclass(frozen=True, eq=False)
class KnownDerivatives:
    """The best that oracles know of each derivative, (n,) arrays.

    Attributes
    ----------
    true, error : arrays
        Of the oracle with the smaller error.
    units : array
        u of the type that each derivative is reported in.
    is_known : bool array
        Whether the first digit is known, and the derivative is a normal number of its type.
    """

    true: np.ndarray
    error: np.ndarray
    units: np.ndarray
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
def know_derivatives(oracles: Sequence[Estimate], units: np.ndarray, smallest: np.ndarray) -> KnownDerivatives:
    """The best of several oracles, with infinite errors where they do not count.

    `smallest` is the smallest normal number of the type that each derivative is reported in.
    """
    errors = np.array([np.where((o.derivative != 0.0) & np.isfinite(o.derivative), o.error, np.inf) for o in oracles])
    best = np.argmin(errors, axis=0)[None]
    error = np.take_along_axis(errors, best, axis=0)[0]
    true = np.take_along_axis(np.array([o.derivative for o in oracles]), best, axis=0)[0]
    sizes = np.abs(np.where(np.isfinite(true), true, 0.0))
    smallest = np.maximum(smallest, SMALLEST * max(1.0, sizes.max(initial=0.0)))
    return KnownDerivatives(true, error, units, (error <= NO_DIGIT * np.abs(true)) & (np.abs(true) >= smallest))


def with_digits(
    answers: Sequence[Answer],
    pairs: Sequence[Pair],
    oracles: Mapping[str, Estimate],
    coordinates: Coordinates,
    evaluated: Mapping[str, np.ndarray],
    wrong: Collection[str],
) -> list[Answer]:
    """The answers; those that have lost digits with notes of it, and with their true errors in ulps.

    Parameters
    ----------
    answers, pairs : what is reported, and compared
    oracles : the increments and the differences with no more than their own errors
    coordinates : what is differentiated
    evaluated : the same derivatives in float64, where these are known
    wrong : names of answers that are wrong, by no rounding
    """
    errors, inputs = {answer.name: answer.error for answer in answers}, coordinates.inputs
    counting = [
        Estimate(o.derivative, np.where(np.isfinite(errors[name]), o.error, np.inf)) for name, o in oracles.items()
    ]
    types, sizes = [jax.numpy.finfo(dtype) for dtype in inputs.dtypes], [len(block.indices) for block in inputs.blocks]
    rows = answers[0].gradient.size // inputs.size
    units, smallest = (
        np.tile(np.repeat(numbers, sizes), rows)
        for numbers in ([0.5 * float(t.eps) for t in types], [float(t.tiny) for t in types])
    )
    known = know_derivatives(counting, units, smallest)
    return [
        answer
        if answer.oracle or answer.name in wrong
        else _noted(answer, [p for p in pairs if p.first == answer.name and p.second in oracles], known, evaluated,
                    coordinates)
        for answer in answers
    ]  # fmt: skip


def _noted(
    answer: Answer,
    beside: Sequence[Pair],
    known: KnownDerivatives,
    evaluated: Mapping[str, np.ndarray],
    coordinates: Coordinates,
) -> Answer:
    """An answer with notes of the digits that it has lost, by rounding or by its formula.

    What is lost in float64 as well is no rounding. At a kink, or beside a jump, nothing is decided and nothing is lost.
    """
    if not beside:
        return answer
    allowed = np.where(np.any([p.decided for p in beside], axis=0), beside[0].allowed, -np.inf)
    with np.errstate(all="ignore"):
        lost = known.is_lost(answer.gradient) & (np.abs(answer.gradient - known.true) <= allowed)
    in_float64 = evaluated.get(answer.name)
    by_formula = lost & (False if in_float64 is None else known.is_lost(in_float64))
    masks = {"rounding": lost & ~by_formula, "formula": by_formula}
    notes = [_lost(answer, mask, by, allowed, known, coordinates) for by, mask in masks.items() if mask.any()]
    if not notes:
        return answer
    ulps = known.ulps(answer)
    return replace(answer, notes=tuple(notes), ulps=(float(np.nanmedian(ulps)), float(np.nanmax(ulps))))


def _lost(
    answer: Answer, lost: np.ndarray, by: str, allowed: np.ndarray, known: KnownDerivatives, coordinates: Coordinates
) -> Fact:
    """What was lost, with the numbers of the worst coordinate."""
    ulps, places = known.ulps(answer), np.flatnonzero(lost)
    worst = int(places[np.argmax(ulps[places])])
    numbers = {"reported": answer.gradient, "true": known.true, "ulps": ulps, "bound": allowed}
    return note(
        Kind.DIGITS_LOST, coordinates.label(worst), *map(coordinates.label, places[places != worst][:PLACES_KEPT]),
        source=answer.name, by=by, places=len(places), **{name: float(x[worst]) for name, x in numbers.items()},
    )  # fmt: skip
