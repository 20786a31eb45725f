"""Which mistake is it? Relations between a wrong gradient and the right one, as facts.

Known bugs leave simple relations behind: a factor, a sign, the same numbers in other places, a multiple of θ, a
constant, zeros.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from harness.facts.fact import Fact, note
from harness.facts.kinds import Kind
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


def find_relation(candidates: Iterable[Part], m: int | None = None, output: str = "") -> tuple[Fact | None, bool]:
    """The first relation that holds in one of the parts, the first part first, and whether a bug in δ can leave it.

    An error in δ goes from layer to layer. `m` is the number of examples, for the factors that bugs tend to have;
    `output` names the one of several outputs that the parts belong to.
    """
    for part in candidates:
        for relation, of_delta in _RELATIONS.items():
            if fact := relation(part, m):
                wrong, right = part.entries
                more: dict[str, Any] = {"output": output} if output else {}
                if right and relation in _IN_WRONG_ENTRIES:
                    more |= {"wrong": wrong, "right": right}
                return replace(fact, data={**fact.data, **more}), of_delta
    return None, False


def diagnose(parts: Sequence[Part], m: int | None = None, output: str = "") -> tuple[Fact, ...]:
    """The likeliest mistakes in parts of which nothing else is known; empty where no relation holds.

    First all wrong parts together are tried, then the last of them alone.
    """
    wrong = [part for part in parts if part.wrong.any()]
    if broken := find_not_finite(wrong):
        return (broken,)
    if not wrong:
        return ()
    whole = join("the gradient" if len(wrong) == len(parts) else named(wrong), wrong)
    relation, _ = find_relation([whole, wrong[-1]] if len(wrong) > 1 else wrong, m, output)
    found = relation or find_single_entry(whole)
    return (found,) if found else ()


def named(parts: Sequence[Any]) -> str:
    """The names of parts or blocks, the first few of many."""
    return first_few([part.name for part in parts], PARTS_NAMED)


def find_not_finite(parts: Iterable[Part]) -> Fact | None:
    """Which parts are wrong by being NaN or infinite."""
    broken = [part.name for part in parts if not np.isfinite(part.value[part.wrong]).all()]
    return note(Kind.NOT_FINITE, *broken) if broken else None


def find_single_entry(whole: Part) -> Fact | None:
    """What is wrong where only one entry is."""
    if whole.wrong.sum() != 1:
        return None
    value, expected = float(whole.value[whole.wrong][0]), float(whole.expected[whole.wrong][0])
    return note(Kind.SINGLE_ENTRY, whole.name, error=value - expected, factor=value / expected if expected else None)


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


def _zero(part: Part, m: int | None) -> Fact | None:
    value, expected = part.value[part.wrong], part.expected[part.wrong]
    return note(Kind.ZERO, part.name) if not value.any() and expected.any() else None


def _regulariser(part: Part, m: int | None) -> Fact | None:
    """A multiple of θ; with the share of the penalty, by what the regulariser is off."""
    c = _fit((part.value - part.expected)[part.wrong], part.theta[part.wrong])
    if c is None or c == 0.0:
        return None
    if not m:
        return note(Kind.REGULARISER, part.name, multiple=c, strength="penalty")
    shares = part.penalty[part.wrong] / part.theta[part.wrong]
    if not shares.any():
        return note(Kind.REGULARISER, part.name, multiple=c, strength="none-belongs")
    known = {"missing": -1.0, "twice": 1.0, "not-divided": m - 1.0, "half": -0.5}
    ratio = float(c / shares.max())
    fitting = [name for name, factor in known.items() if abs(ratio - factor) <= CLOSE * max(1.0, abs(factor))]
    return note(Kind.REGULARISER, part.name, multiple=c, strength=fitting[0] if fitting else "off", ratio=ratio)


def _factor(part: Part, m: int | None) -> Fact | None:
    # on the differences, for near a factor of 1 the values are proportional to a factor of anything
    for removed in (np.zeros_like(part.penalty), part.penalty):
        more = _fit((part.value - part.expected)[part.wrong], (part.expected - removed)[part.wrong])
        if more is None:
            continue
        c = 1.0 + more
        if abs(c + 1.0) <= CLOSE:
            return note(Kind.SIGN, part.name, before_regulariser=bool(removed.any()))
        sums = {"not-divided": m, "divided-twice": 1.0 / m, "divided-by-one-less": m / (m - 1.0)} if m and m > 1 else {}
        fitting = [name for name, factor in sums.items() if abs(c - factor) <= CLOSE * abs(factor)]
        return note(Kind.FACTOR, part.name, factor=c, sums=fitting, before_regulariser=bool(removed.any()))
    return None


def _constant(part: Part, m: int | None) -> Fact | None:
    difference = (part.value - part.expected)[part.wrong]
    if difference.size > 2 and _all_small(difference - difference.mean(), difference):
        return note(Kind.CONSTANT_ERROR, part.name, error=float(difference.mean()))
    return None


def _symmetrised(part: Part, m: int | None) -> Fact | None:
    value, expected = part.value, part.expected
    if value.ndim < 2 or value.shape[-1] != value.shape[-2]:
        return None
    both = expected + np.swapaxes(expected, -1, -2)
    for made, combination in ((0.5 * both, "mean"), (both, "sum")):
        if _all_small(value - made, value - expected):
            return note(Kind.SYMMETRISED, part.name, combination=combination)
    return None


def _rearranged(part: Part, m: int | None) -> Fact | None:
    with_penalty = _moved(part.value, part.expected, part)
    return with_penalty or _moved(part.value - part.penalty, part.expected - part.penalty, part)


def _moved(value: np.ndarray, expected: np.ndarray, part: Part) -> Fact | None:
    if not _all_small(np.sort(value, axis=None) - np.sort(expected, axis=None), value - expected):
        return None
    if part.wrong.sum() == 2:
        return note(Kind.SWAPPED_ENTRIES, part.name)
    if value.ndim != 2:
        return None  # the layer tells more
    rows, columns = value.shape
    moves: dict[str, np.ndarray] = {
        "transposed": expected.T,
        "row-by-row": expected.ravel().reshape(columns, rows).T,
        "columns-reversed": expected[:, ::-1],
        "columns-shifted": np.roll(expected, 1, axis=1),
        "rows-shifted": np.roll(expected, 1, axis=0),
    }
    for move, moved in moves.items():
        if moved.shape == value.shape and _all_small(value - moved, value - expected):
            return note(Kind.REARRANGED, part.name, move=move)
    return note(Kind.OTHER_PLACES, part.name)


def _float32_digits(part: Part, m: int | None) -> Fact | None:
    off, size = np.abs(part.value - part.expected).max(), np.abs(part.expected).max()
    if 2 * part.wrong.sum() > part.wrong.size > 2 and 1e-10 * size < off < 1e-6 * size:
        return note(Kind.FLOAT32_DIGITS, part.name, relative_error=float(off / size))
    return None


_RELATIONS: dict[Callable[[Part, int | None], Fact | None], bool] = {
    _zero: True,
    _factor: True,
    _regulariser: False,
    _float32_digits: False,
    _symmetrised: False,
    _rearranged: False,
    _constant: False,
}
"""In the order in which they are tried, and whether an error in δ leaves this relation: then layers nearer to the
output are right."""

_IN_WRONG_ENTRIES = {_zero, _factor, _regulariser, _constant}
"""Relations that look at the wrong entries alone, so that others of the part may be right."""
