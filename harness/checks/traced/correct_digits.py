"""How many digits does an answer keep? A question apart from whether it is the derivative.

The verdict is about errors beyond a bound on the absolute error. Inside of it an answer may have lost all of its
digits, as where numbers cancel or the tail of a function is rounded to zero: that is told, and is no verdict.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

import jax
import numpy as np

from harness.bounds.program_bound import SMALLEST
from harness.bounds.tolerances import ABSOLUTE, MEANINGLESS, NEGLIGIBLE, SPREAD_FACTOR
from harness.checks.random_directions import random_directions
from harness.checks.traced.real_coordinates import Claim, Layout, combined
from harness.checks.traced.true_slopes import Truth
from harness.verdict.comparison import Answer, Pair
from harness.wording import first_few

ZERO_IS_COARSER = {"float64": 1.0, "float32": 1e2, "float16": 1e4, "bfloat16": 1e4}
"""In coarse types zero is not hit that exactly."""

UNDERFLOW = {"float64": 1e-240, "float32": SMALLEST, "float16": 2.0**-24, "bfloat16": SMALLEST}
"""What underflow may leave or take of a zero."""

NOTHING = {"float64": 1e-220, "float32": 1e-30, "float16": 1e-30, "bfloat16": 1e-30}
"""What zero is compared with."""

ABOUT = 8
"""Random directions whose slopes show how large derivatives are."""

NO_DIGIT = 0.1
"""An answer that is off by more than this share of the truth has no correct digit."""


@np.errstate(all="ignore")
def terms_over_arguments(weights: np.ndarray, values: np.ndarray, error: np.ndarray, truth: Truth) -> np.ndarray:
    """What errors of derivatives may be small against whatever the derivative: (combinations, inputs).

    The size of the terms that make up the function, which its rounding error shows even where they cancel, over the
    size of the argument.
    """
    point = truth.point
    terms = np.abs(values) + error / (SPREAD_FACTOR * truth.coarsest)
    slopes = np.abs(weights) @ np.where(np.isfinite(terms), terms, 0.0)
    sizes = np.where(np.isfinite(point), np.maximum(1.0, np.abs(point)), np.inf)
    return slopes[:, None] / sizes


@np.errstate(all="ignore")
def absolute_scale(
    weights: np.ndarray, values: np.ndarray, error: np.ndarray, truth: Truth, precision: str
) -> np.ndarray:
    """The share of these terms that the verdict counts `ABSOLUTE` of as nothing: (combinations · inputs,)."""
    return ABSOLUTE[precision] / MEANINGLESS[precision] * terms_over_arguments(weights, values, error, truth).ravel()


@np.errstate(all="ignore")
def scale_about(truth: Truth, rows: np.ndarray, precision: str, seed: int) -> np.ndarray:
    """The same where all terms are zero or cancel, as those of a determinant at a singular matrix: (rows · inputs,).

    By the root mean square of the derivatives at points as far away as the arguments are large, which random directions
    show. Of these points the one with the smallest counts, for functions that grow.
    """
    along = random_directions(ABOUT, truth.inputs.size, seed + 5)
    reach = np.where(truth.point == 0.0, 1.0, np.abs(truth.point)) * along[:2]
    slopes = [combined(rows, truth.changes(along, truth.run(), truth.point + way)) for way in (*reach, *-reach)]
    about = np.sqrt(np.square(slopes).mean(axis=-1) / truth.inputs.size).min(axis=0)
    about = np.where(np.isfinite(about), about, 0.0)
    return np.repeat(NEGLIGIBLE * ZERO_IS_COARSER[precision] * about, truth.inputs.size)


def ordinary_size(largest: float, precision: str) -> float:
    """A size of the derivative that is not small: blocks that vanish beside it are compared absolutely.

    Not beside 1, as costs are, for all derivatives may be tiny.
    """
    if precision == "float64":
        return largest or NOTHING[precision]
    return max(ZERO_IS_COARSER[precision] * largest, NOTHING[precision])


class Digits:
    """The digits of answers beside what is known of the truth.

    Parameters
    ----------
    oracles : Claim for each of the answers that judge, flat
        With their own errors alone, and infinite ones where they do not count.
    units, smallest : (n,) arrays
        u and the smallest normal number of the type that each derivative is answered in.
    """

    @np.errstate(all="ignore")
    def __init__(self, oracles: Sequence[Claim], units: np.ndarray, smallest: np.ndarray):
        known = [np.where((c.derivative != 0.0) & np.isfinite(c.derivative), c.error, np.inf) for c in oracles]
        best = np.argmin(known, axis=0)[None]
        self.error = np.take_along_axis(np.array(known), best, axis=0)[0]
        self.truth = np.take_along_axis(np.array([c.derivative for c in oracles]), best, axis=0)[0]
        self.units = units
        sizes = np.abs(np.where(np.isfinite(self.truth), self.truth, 0.0))
        smallest = np.maximum(smallest, SMALLEST * max(1.0, sizes.max(initial=0.0)))
        self.is_known = (self.error <= NO_DIGIT * np.abs(self.truth)) & (np.abs(self.truth) >= smallest)

    @np.errstate(all="ignore")
    def ulps(self, answer: Answer) -> np.ndarray:
        """The true error of each entry, in units of its last place; NaN where the truth is not known that well."""
        place = 2.0 * self.units * np.exp2(np.floor(np.log2(np.abs(self.truth))))
        off = np.abs(answer.gradient - self.truth)
        return np.where(self.is_known, np.maximum(off - self.error, 0.0) / place, np.nan)

    @np.errstate(all="ignore")
    def lost(self, answer: Answer) -> np.ndarray:
        """Where an answer has no correct digit for all that is known."""
        off = np.abs(answer.gradient - self.truth) - self.error
        return self.is_known & np.isfinite(answer.gradient) & (off > NO_DIGIT * np.abs(self.truth))

    def note(self, answer: Answer, allowed: np.ndarray, meant: np.ndarray | None, label: Callable[[int], str]) -> str:
        """What was lost within what is allowed, the worst entry by its numbers; empty where nothing was.

        `meant` are the same derivatives in float64, if they are known: what is lost there as well is no rounding.
        """
        with np.errstate(all="ignore"):
            lost = self.lost(answer) & (np.abs(answer.gradient - self.truth) <= allowed)
        by_formula = lost & (False if meant is None else self.lost(replace(answer, gradient=meant)))
        told = {"lost to rounding": lost & ~by_formula, "by its formula, in float64 as well": by_formula}
        return "; ".join(self._worst(answer, mask, allowed, how, label) for how, mask in told.items() if mask.any())

    def _worst(
        self, answer: Answer, lost: np.ndarray, allowed: np.ndarray, how: str, label: Callable[[int], str]
    ) -> str:
        ulps, places = self.ulps(answer), np.flatnonzero(lost)
        worst = places[np.argmax(ulps[places])]
        return (
            f"not one correct digit in {first_few(places.tolist(), 3, name=label)}, {how}: {label(worst)} is "
            f"{answer.gradient[worst]:.3g} and not {self.truth[worst]:.3g}, {ulps[worst]:.2g} ulps off, inside of the "
            f"bound on its absolute error, {allowed[worst]:.2g}"
        )


def with_digits(
    answers: Sequence[Answer],
    pairs: Sequence[Pair],
    oracles: Mapping[str, Claim],
    inputs: Layout,
    label: Callable[[int], str],
    meant: Mapping[str, np.ndarray],
    wrong: Collection[str],
) -> list[Answer]:
    """The answers, those that have lost digits with a note of it and with their true errors in ulps.

    Parameters
    ----------
    answers, pairs : what was answered, and compared
    oracles : the claims of increments and of differences, without what their answers allow beside them
    inputs : the layout of what is differentiated in
    label : names a coordinate
    meant : what answers are in float64, where that is known
    wrong : names of answers that are so, by no rounding
    """
    bars = {answer.name: answer.error for answer in answers}
    counting = [Claim(c.derivative, np.where(np.isfinite(bars[name]), c.error, np.inf)) for name, c in oracles.items()]
    types, sizes = [jax.numpy.finfo(dtype) for dtype in inputs.dtypes], [len(block.indices) for block in inputs.blocks]
    rows = answers[0].gradient.size // inputs.size
    units = np.tile(np.repeat([0.5 * float(t.eps) for t in types], sizes), rows)
    smallest = np.tile(np.repeat([float(t.tiny) for t in types], sizes), rows)
    digits, told = Digits(counting, units, smallest), []
    for answer in answers:
        beside = [p for p in pairs if p.first == answer.name and p.second in oracles]
        note = ""
        if beside and not (
            answer.oracle or answer.name in wrong
        ):  # at a kink, or beside a jump, there is no truth to be off from
            decided = np.any([p.decided for p in beside], axis=0)
            note = digits.note(answer, np.where(decided, beside[0].allowed, -np.inf), meant.get(answer.name), label)
        if note:
            ulps = digits.ulps(answer)
            answer = replace(answer, notes=note, ulps=(float(np.nanmedian(ulps)), float(np.nanmax(ulps))))
        told.append(answer)
    return told
