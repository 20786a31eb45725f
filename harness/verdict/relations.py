"""What kind of bug would make this difference? A wrong gradient beside the right one: the shape of the error, in words.

Each hypothesis is a relation between the two that a known bug leaves behind: a factor, a sign, the same numbers in
other places, a multiple of θ, a constant, zeros.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from harness.wording import first_few

CLOSE = 1e-6
"""A relation holds if what it leaves over is below this share of the difference; what is small beside that is noise."""

PARTS_NAMED = 3


@dataclass(frozen=True, eq=False)
class Part:
    """Coordinates that belong together; arrays of one shape.

    Attributes
    ----------
    value, expected : what a source answered, and the right answer
    theta : the parameters
    penalty : the regulariser's share of the gradient, λ/m · θ, zero on biases
    wrong : where value and expected are at odds
    entries : how many derivatives are wrong, and how many are right; an entry of the arrays may stand for several
    """

    name: str
    value: np.ndarray
    expected: np.ndarray
    theta: np.ndarray
    penalty: np.ndarray
    wrong: np.ndarray
    entries: tuple[int, int] = field(default=(0, 0), kw_only=True)

    @property
    def arrays(self) -> tuple[np.ndarray, ...]:
        """The arrays, in order."""
        return self.value, self.expected, self.theta, self.penalty, self.wrong

    def at(self, name: str, index: Any) -> "Part":
        """A part of this part."""
        return Part(name, *(array[index] for array in self.arrays))


def join(name: str, parts: Sequence[Part]) -> Part:
    """Several parts as one flat one."""
    together = zip(*(part.arrays for part in parts))
    wrong, right = (sum(part.entries[i] for part in parts) for i in (0, 1))
    return Part(
        name, *(np.concatenate([array.ravel() for array in arrays]) for arrays in together), entries=(wrong, right)
    )


def shape_of_error(candidates: Iterable[Part], m: int | None = None, of: str = "") -> tuple[str, bool]:
    """The first relation that holds in one of the parts, the first part first, in words; empty where none does.

    And whether a bug in δ leaves it, which goes from layer to layer. `m` is the number of examples, for the factors
    that bugs tend to have; `of` follows the part's name.
    """
    for part in candidates:
        for hypothesis, of_delta in _HYPOTHESES.items():
            if words := hypothesis(part, m):
                wrong, right = part.entries
                if right and hypothesis in _WHERE_WRONG:
                    words = f"{words.removesuffix(_EVERYWHERE)}, in {wrong} of {wrong + right} entries"
                return f"{part.name}{of}: {words}", of_delta
    return "", False


def diagnose(parts: Sequence[Part], m: int | None = None, of: str = "") -> str:
    """The likeliest kind of bug in parts of which nothing else is known, as a clause or two; empty where none is known.

    Looked at are all that are wrong together, by name unless these are all there are, and the last one of them. `of`
    follows the name.
    """
    wrong = [part for part in parts if part.wrong.any()]
    if broken := not_finite(wrong):
        return broken
    if not wrong:
        return ""
    whole = join("the gradient" if len(wrong) == len(parts) else named(wrong), wrong)
    shape, _ = shape_of_error([whole, wrong[-1]] if len(wrong) > 1 else wrong, m, of)
    return shape or single_entry(whole)


def named(parts: Sequence[Any]) -> str:
    """The names of parts or blocks, the first few of many."""
    return first_few([part.name for part in parts], PARTS_NAMED)


def not_finite(parts: Iterable[Part]) -> str:
    """Which parts are wrong by being NaN or infinite; empty for none."""
    broken = [part.name for part in parts if not np.isfinite(part.value[part.wrong]).all()]
    return f"not finite in {', '.join(broken)}" if broken else ""


def single_entry(whole: Part) -> str:
    """What is wrong where only one entry is; empty where more are."""
    if whole.wrong.sum() != 1:
        return ""
    value, expected = whole.value[whole.wrong][0], whole.expected[whole.wrong][0]
    factor = f", {times(value / expected)} the right value" if expected else ""
    return f"a single entry is off by {value - expected:.3g}{factor}; no other was found wrong"


def _all_small(rest: np.ndarray, beside: np.ndarray) -> bool:
    return bool(np.abs(rest).max(initial=0.0) <= CLOSE * np.abs(beside).max(initial=0.0))


def _fit(y: np.ndarray, x: np.ndarray) -> float | None:
    """c with y = c x, if there is one."""
    size = np.abs(x).max(initial=0.0)
    if x.size < 2 or size == 0.0:
        return None
    unit = x / size  # numbers of 1e200 have no squares
    c = float(np.vdot(unit, y) / np.vdot(unit, unit) / size)
    return c if _all_small(y - c * x, y) else None


def _zeros(part: Part, m: int | None) -> str:
    value, expected = part.value[part.wrong], part.expected[part.wrong]
    if not value.any() and expected.any():
        return "zero where it should not be: this share of the gradient is never formed"
    return ""


def _multiple_of_theta(part: Part, m: int | None) -> str:
    c = _fit((part.value - part.expected)[part.wrong], part.theta[part.wrong])
    if c is None or c == 0.0:
        return ""
    if not m:
        return f"off by {c:.6g} times θ, as a regulariser is"
    words = f"off by {c:.6g} times θ, as if the regulariser"
    shares = part.penalty[part.wrong] / part.theta[part.wrong]
    if not shares.any():
        return f"{words} were applied where none belongs"
    known = {
        -1.0: "were missing",
        1.0: "were applied twice",
        m - 1.0: "were not divided by m",
        -0.5: "kept a factor 1/2",
    }
    ratio = c / shares.max()
    named = [what for factor, what in known.items() if abs(ratio - factor) <= CLOSE * max(1.0, abs(factor))]
    return f"{words} {named[0] if named else f'were off by {ratio:.6g} times λ/m'}"


def _factor(part: Part, m: int | None) -> str:
    # on the differences, for near a factor of 1 the values are proportional to a factor of anything
    for removed in (np.zeros_like(part.penalty), part.penalty):
        more = _fit((part.value - part.expected)[part.wrong], (part.expected - removed)[part.wrong])
        if more is not None:
            return _named_factor(1.0 + more, m) + (" before the regulariser is added" if removed.any() else "")
    return ""


def _named_factor(c: float, m: int | None) -> str:
    if abs(c + 1.0) <= CLOSE:
        return "the sign is wrong"
    known = []
    if m and m > 1:
        known = [(float(m), "not divided by m"), (1.0 / m, "divided by m twice"), (m / (m - 1.0), "divided by m - 1")]
    fitting = [words for factor, words in known if abs(c - factor) <= CLOSE * abs(factor)]
    as_if = f", as if the sum over the examples were {' or '.join(fitting)}" if fitting else ""
    return f"{times(c)} the right value{as_if}"


def times(c: float) -> str:
    """A factor in words, with enough digits to tell it from 1."""
    return f"{c:.6g} times" if abs(c - 1.0) > 1e-4 else f"1 {'+' if c > 1.0 else '-'} {abs(c - 1.0):.3g} times"


_EVERYWHERE = " everywhere"


def _constant(part: Part, m: int | None) -> str:
    difference = (part.value - part.expected)[part.wrong]
    if difference.size > 2 and _all_small(difference - difference.mean(), difference):
        return f"off by the same {difference.mean():.6g}{_EVERYWHERE}"
    return ""


def _symmetrised(part: Part, m: int | None) -> str:
    value, expected = part.value, part.expected
    if value.ndim < 2 or value.shape[-1] != value.shape[-2]:
        return ""
    both = expected + np.swapaxes(expected, -1, -2)
    for made, words in ((0.5 * both, "mean"), (both, "sum")):
        if _all_small(value - made, value - expected):
            return f"the {words} of the right one and its transpose"
    return ""


def _rearranged(part: Part, m: int | None) -> str:
    with_penalty = _moved(part.value, part.expected, part)
    return with_penalty or _moved(part.value - part.penalty, part.expected - part.penalty, part)


def _moved(value: np.ndarray, expected: np.ndarray, part: Part) -> str:
    if not _all_small(np.sort(value, axis=None) - np.sort(expected, axis=None), value - expected):
        return ""
    if part.wrong.sum() == 2:
        return "two entries are swapped"
    if value.ndim != 2:
        return ""  # the layer tells more
    rows, columns = value.shape
    moves: dict[str, np.ndarray] = {
        "transposed": expected.T,
        "unrolled row by row instead of column by column": expected.ravel().reshape(columns, rows).T,
        "with its columns in reverse order": expected[:, ::-1],
        "with its columns shifted by one": np.roll(expected, 1, axis=1),
        "with its rows shifted by one": np.roll(expected, 1, axis=0),
    }
    for words, moved in moves.items():
        if moved.shape == value.shape and _all_small(value - moved, value - expected):
            return f"right, but {words}"
    return "the right numbers in other places"


def _seven_digits(part: Part, m: int | None) -> str:
    off, size = np.abs(part.value - part.expected).max(), np.abs(part.expected).max()
    if 2 * part.wrong.sum() > part.wrong.size > 2 and 1e-10 * size < off < 1e-6 * size:
        kept = "as many digits as float32 keeps, or" if off > 1e-9 * size else "as many digits as are left of"
        return f"right to {off / size:.0e} of the largest entry: {kept} a finite difference"
    return ""


_HYPOTHESES: dict[Callable[[Part, int | None], str], bool] = {
    _zeros: True,
    _factor: True,
    _multiple_of_theta: False,
    _seven_digits: False,
    _symmetrised: False,
    _rearranged: False,
    _constant: False,
}
"""In the order in which they are tried, and whether bugs in δ leave this relation: then layers nearer to the output
are right."""

_WHERE_WRONG = {_zeros, _factor, _multiple_of_theta, _constant}
"""Those that are looked at where a part is wrong alone; what is right there is no part of them."""
