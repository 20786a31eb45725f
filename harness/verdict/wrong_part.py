"""Derivatives that belong together, wrong and right, and what makes the rest that a relation leaves small.

Without error bounds, small means at most `CLOSE` of the largest difference, in the wrong entries. With error bounds, it
means within them, in every entry whose right value is known. Then the bounds must also be so small compared with the
difference that the relation could have failed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from harness.wording import first_few

CLOSE = 1e-6
"""Without error bounds: what a relation may leave over, as a share of the largest difference. Both values are good to
ten digits or more, and two unlike relations seldom agree to six."""

SHARP_ENOUGH = 0.05
"""With error bounds: the largest share of the difference, at the median, at which a relation could have failed: a
twentieth tells a factor of 2 from one of 1.9."""

SHARP = 1e-3
"""The same for a relation to which a number is fitted, and that a single further entry supports: almost any number fits
within wide bounds."""

PARTS_NAMED = 3


@dataclass(frozen=True, eq=False)
class Part:
    """Derivatives that belong together, such as those in one array of parameters; arrays of one shape."""

    name: str
    # what a source reported, and the right derivatives: NaN where these are not known
    value: np.ndarray
    expected: np.ndarray
    theta: np.ndarray  # the parameters
    penalty: np.ndarray  # the regulariser's share of the gradient, λ/m · θ, zero on biases
    wrong: np.ndarray  # where value and expected differ by more than their error bounds
    # how many derivatives are wrong, and how many are right; an entry of the arrays may stand for several
    entries: tuple[int, int] = field(default=(0, 0), kw_only=True)
    # the error bounds of value and expected together; None where both are as good as exact
    error: np.ndarray | None = field(default=None, kw_only=True)
    examples: int | None = field(default=None, kw_only=True)  # m, where the derivatives are a mean over examples

    @property
    def arrays(self) -> tuple[np.ndarray, ...]:
        """The arrays of every part, in order."""
        return self.value, self.expected, self.theta, self.penalty, self.wrong

    @property
    def difference(self) -> np.ndarray:
        """value - expected."""
        return self.value - self.expected

    @property
    def bound(self) -> np.ndarray:
        """The error bounds, which are zero where both are as good as exact."""
        return np.zeros(self.value.shape) if self.error is None else self.error

    @property
    def known(self) -> np.ndarray:
        """Where the right derivative is known."""
        return np.isfinite(self.expected)

    @property
    def compared(self) -> np.ndarray:
        """Where a relation has to hold: with error bounds, an entry that is right is evidence, too."""
        return self.wrong if self.error is None else self.known

    @property
    def counts(self) -> dict[str, int]:
        """How many derivatives are wrong and right, for a relation that holds in the wrong ones; empty if all are."""
        wrong, right = self.entries
        return {"wrong": wrong, "right": right} if right else {}

    def at(self, name: str, index: Any) -> "Part":
        """A part of this part."""
        error = None if self.error is None else self.error[index]
        return Part(name, *(array[index] for array in self.arrays), error=error, examples=self.examples)

    @property
    def sharp(self) -> float:
        """The largest share at which a relation with one fitted number could have failed.

        One entry fixes the number, and each of the others may contradict it. So with more of them wider bounds suffice.
        """
        others = int(self.wrong.sum()) - 1
        return min(SHARP_ENOUGH, SHARP ** (1.0 / others)) if others > 0 else SHARP

    def leaves_little(
        self,
        rest: np.ndarray,  # what should be zero
        *,
        gain: float = 1.0,  # by how much the relation enlarges the error bounds; they are taken 1 + gain times
        # the largest share of the difference, at the median, that the enlarged bounds may have
        sharp: float = SHARP_ENOUGH,
        # whether the relation is one of the whole array, so that entries that are right have to satisfy it as well
        everywhere: bool = False,
    ) -> bool:
        """Whether the rest that a relation leaves is small, and would have been larger without the relation."""
        rest, size = np.abs(rest), np.abs(self.difference)
        at = self.known if everywhere else self.compared
        if self.error is None:
            return bool((rest[at] <= CLOSE * size[at].max(initial=0.0)).all())  # NaN is not
        allowed = (1.0 + gain) * self.error
        could_fail = np.median(allowed[self.wrong] / size[self.wrong]) <= sharp
        return bool(could_fail and (rest[at] <= allowed[at]).all())

    def fit(self, y: np.ndarray, x: np.ndarray) -> float:
        """The c of the least squares solution of y = c x where relations have to hold; NaN where x vanishes there.

        Each equation is divided by its error bound, as is right for errors of different sizes.
        """
        y, x = y[self.compared], x[self.compared]
        if self.error is not None:
            weight = 1.0 / np.maximum(self.error[self.compared], 1e-12 * np.abs(y).max(initial=0.0) + 1e-300)
            weight /= weight.max(initial=0.0)
            y, x = y * weight, x * weight
        size = np.abs(x).max(initial=0.0)  # numbers of 1e200 have no squares
        return float(np.vdot(x / size, y / size) / np.vdot(x / size, x / size)) if size > 0.0 else np.nan


def join(name: str, parts: Sequence[Part]) -> Part:
    """Several parts as one flat part; either all have error bounds, or none has."""
    columns = [np.concatenate([array.ravel() for array in arrays]) for arrays in zip(*(part.arrays for part in parts))]
    errors = [part.error.ravel() for part in parts if part.error is not None]
    wrong, right = (sum(part.entries[i] for part in parts) for i in (0, 1))
    error = np.concatenate(errors) if errors else None
    return Part(name, *columns, entries=(wrong, right), error=error, examples=parts[0].examples)


def named(parts: Sequence[Any]) -> str:
    """The names of parts or blocks, the first few of many."""
    return first_few([part.name for part in parts], PARTS_NAMED)
