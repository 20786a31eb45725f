"""What kind of mistake would make this difference? A wrong gradient, compared with the right one, in words.

Each hypothesis is a relation between the two that a known mistake leaves behind: a factor, a sign, the same numbers in
other places, a multiple of θ, a constant, zeros. The layer looked at is the wrong one nearest to the output, because a
mistake there is carried down to all layers below, and not up.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from reference.network import Network

CLOSE = 1e-6
"""A relation holds if what it leaves over is below this share of the difference; what is small beside that is noise."""


class Part(NamedTuple):
    """Coordinates that belong together, in their own shape."""

    name: str
    value: np.ndarray  # what a source answered
    expected: np.ndarray
    theta: np.ndarray
    penalty: np.ndarray  # the regulariser's share of the gradient: λ/m · θ, zero on biases
    wrong: np.ndarray  # where value and expected are at odds

    def at(self, name: str, index: Any) -> "Part":
        """A part of this part."""
        return Part(name, *(array[index] for array in self[1:]))


def layers_of(network: Network, arrays: Sequence[np.ndarray]) -> list[Part]:
    """The layers of a network's gradient, from (n,) arrays in the order of `Part`."""
    per_layer = zip(*(network.unpack(array) for array in arrays))
    return [Part(f"Theta{number}", *layer) for number, layer in enumerate(per_layer, start=1)]


def diagnose(layers: Sequence[Part], m: int | None = None, with_bias: bool = True) -> str:
    """The likeliest kind of mistake, as a clause or two; empty when no relation holds.

    Parameters
    ----------
    layers : the blocks of the gradient, inputs first
    m : the number of examples, for the factors that mistakes tend to have
    with_bias : whether the first column of each layer is the bias
    """
    wrong = [layer for layer in layers if layer.wrong.any()]
    if not wrong:
        return ""
    broken = [layer.name for layer in wrong if not np.isfinite(layer.value).all()]
    if broken:
        return f"not finite in {', '.join(broken)}"
    nearest = wrong[-1]
    halves = _halves(nearest) if with_bias else []
    whole = Part(_extent(layers, with_bias), *(np.concatenate([np.ravel(a) for a in same]) for same in _fields(layers)))
    candidates = [whole] if len(wrong) > 1 else []
    candidates += halves if len(halves) == 1 else [nearest, *halves]
    for part in candidates:
        for hypothesis in _HYPOTHESES:
            if words := hypothesis(part, m):
                below = nearest is not layers[-1] and hypothesis in _ON_THE_WAY_BACK
                start = _where_it_starts(layers, nearest) if below else ""
                return "; ".join(filter(None, [f"{part.name}: {words}", start]))
    if whole.wrong.sum() == 1:
        return _single(whole)
    return _where_it_starts(layers, nearest)


def _halves(layer: Part) -> list[Part]:
    halves = [layer.at(f"{layer.name} bias", np.s_[:, :1]), layer.at(f"{layer.name} weights", np.s_[:, 1:])]
    return [half for half in halves if half.wrong.any()]


def _extent(layers: Sequence[Part], with_bias: bool) -> str:
    """What the wrong coordinates of all layers are."""
    if with_bias and not any(layer.wrong[:, 1:].any() for layer in layers):
        return "the biases"
    if with_bias and not any(layer.wrong[:, 0].any() for layer in layers):
        return "the weights"
    return "the gradient"


def _fields(layers: Sequence[Part]) -> Iterator[tuple[np.ndarray, ...]]:
    return zip(*(layer[1:] for layer in layers))


def _where_it_starts(layers: Sequence[Part], nearest: Part) -> str:
    names = [layer.name for layer in layers]
    right = names[names.index(nearest.name) + 1 :]
    if not right:
        return _FROM_THE_OUTPUT_ON if len(layers) > 1 and all(layer.wrong.any() for layer in layers) else ""
    return f"{', '.join(right)} {'are' if len(right) > 1 else 'is'} right, so δ goes wrong on the way back from there"


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
    words = f"off by {c:.6g} times θ, so it is the regulariser"
    shares = part.penalty[part.wrong] / part.theta[part.wrong]
    if not shares.any():
        return f"{words} where none belongs"
    known = {-1.0: "is missing", 1.0: "is applied twice", m - 1.0: "is not divided by m", -0.5: "keeps a factor 1/2"}
    ratio = c / shares.max()
    named = [what for factor, what in known.items() if abs(ratio - factor) <= CLOSE * max(1.0, abs(factor))]
    return f"{words}, which {named[0] if named else f'is off by {ratio:.6g} times λ/m'}"


def _factor(part: Part, m: int | None) -> str:
    # on the differences, for near a factor of 1 the values are proportional to a factor of anything
    for removed in (np.zeros_like(part.penalty), part.penalty):
        more = _fit((part.value - part.expected)[part.wrong], (part.expected - removed)[part.wrong])
        if more is not None:
            return _named_factor(1.0 + more, m) + (" before the regulariser is added" if removed.any() else "")
    return ""


def _named_factor(c: float, m: int | None) -> str:
    known = [(-1.0, "the sign is wrong")]
    if m and m > 1:
        known += [
            (float(m), "the sum over the examples is not divided by m"),
            (1.0 / m, "divided by m twice"),
            (m / (m - 1.0), "divided by m - 1 instead of m"),
        ]
    fitting = [words for factor, words in known if abs(c - factor) <= CLOSE * abs(factor)]
    return " or ".join(fitting) or f"{_times(c)} what it should be"


def _times(c: float) -> str:
    return f"{c:.6g} times" if abs(c - 1.0) > 1e-4 else f"1 {'+' if c > 1.0 else '-'} {abs(c - 1.0):.3g} times"


def _constant(part: Part, m: int | None) -> str:
    difference = (part.value - part.expected)[part.wrong]
    if difference.size > 2 and _all_small(difference - difference.mean(), difference):
        return f"off by the same {difference.mean():.6g} everywhere"
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
        return f"right to {off / size:.0e} of the largest entry: something passes through float32"
    return ""


def _single(part: Part) -> str:
    value, expected = part.value[part.wrong][0], part.expected[part.wrong][0]
    factor = f", {_times(value / expected)} what it should be" if expected else ""
    return f"a single entry is off by {value - expected:.3g}{factor}; all others are right"


_HYPOTHESES = (_zeros, _factor, _multiple_of_theta, _seven_digits, _rearranged, _constant)
_FROM_THE_OUTPUT_ON = "wrong from the output layer on: look at its δ, the targets, and the sum over the examples"
_ON_THE_WAY_BACK = (_zeros, _factor)  # mistakes in δ, which the layers nearer to the output do not have
