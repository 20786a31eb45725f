"""Named bugs that make a wrong gradient from a right one, and what should be said of each."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from harness.study.own.models import Parameters

Change = Callable[[Parameters, Parameters], Parameters]
"""``change(gradient, theta) -> gradient``; it may answer the one it was given, where the bug does not apply."""


class Bug(NamedTuple):
    """A change of a right gradient, and the words that name it: any of these."""

    change: Change
    words: tuple[str, ...]


def _largest(gradient: Parameters) -> str:
    return max(gradient, key=lambda name: gradient[name].size)


def _in_largest(change: Callable[[np.ndarray], np.ndarray]) -> Change:
    def changed(gradient: Parameters, theta: Parameters) -> Parameters:
        name = _largest(gradient)
        return gradient | {name: change(gradient[name].copy())}

    return changed


def _everywhere(change: Callable[[np.ndarray], np.ndarray]) -> Change:
    return lambda gradient, theta: {name: change(part) for name, part in gradient.items()}


def _one_entry(change: Callable[[float], float]) -> Callable[[np.ndarray], np.ndarray]:
    def changed(part: np.ndarray) -> np.ndarray:
        i = int(np.argmax(np.abs(part)))
        part.reshape(-1)[i] = change(part.reshape(-1)[i])
        return part

    return changed


def _transposed(part: np.ndarray) -> np.ndarray:
    return part.T.reshape(part.shape) if part.ndim == 2 else part


def _first_row(value: float) -> Callable[[np.ndarray], np.ndarray]:
    def changed(part: np.ndarray) -> np.ndarray:
        if part.ndim == 2:
            part[0] = value * part[0]
        return part

    return changed


def _swapped(gradient: Parameters, theta: Parameters) -> Parameters:
    for a in gradient:
        for b in gradient:
            if a < b and gradient[a].shape == gradient[b].shape and gradient[a].ndim:
                return gradient | {a: gradient[b], b: gradient[a]}
    return gradient


def _penalised(gradient: Parameters, theta: Parameters) -> Parameters:
    name = _largest(gradient)
    return gradient | {name: gradient[name] + 0.05 * theta[name]}


def _mean_for_sum(gradient: Parameters, theta: Parameters) -> Parameters:
    return {name: part / 12.0 for name, part in gradient.items()}


def _forgotten(gradient: Parameters, theta: Parameters) -> Parameters:
    if len(gradient) < 2:
        return gradient
    name = min(gradient, key=lambda name: gradient[name].size)
    return gradient | {name: np.zeros_like(gradient[name])}


BUGS: dict[str, Bug] = {
    "the sign": Bug(_everywhere(lambda g: -g), ("sign is wrong",)),
    "twice": Bug(_everywhere(lambda g: 2.0 * g), ("2 times",)),
    "a mean for a sum": Bug(_mean_for_sum, ("0.0833333 times",)),
    "a factor off by a thousandth": Bug(_in_largest(lambda g: 1.001 * g), ("1.001 times",)),
    "one entry off by 1%": Bug(_in_largest(_one_entry(lambda x: 1.01 * x)), ("1.01 times",)),
    "one entry's sign": Bug(_in_largest(_one_entry(lambda x: -x)), ("sign is wrong",)),
    "one entry zero": Bug(_in_largest(_one_entry(lambda x: 0.0)), ("zero where it should not be",)),
    "a block forgotten": Bug(_forgotten, ("zero where it should not be",)),
    "transposed": Bug(_in_largest(_transposed), ("transposed", "unrolled in another order")),
    "reversed": Bug(_in_largest(lambda g: np.flip(g)), ("reverse order",)),
    "shifted": Bug(_in_largest(lambda g: np.roll(g, 1, axis=0) if g.ndim else g), ("shifted",)),
    "blocks swapped": Bug(_swapped, ("swapped",)),
    "a penalty too many": Bug(_penalised, ("times θ", "alone of", "off by 0.")),
    "a row forgotten": Bug(_in_largest(_first_row(0.0)), ("zero where it should not be",)),
    "a row twice": Bug(_in_largest(_first_row(2.0)), ("factor of its own", "2 times")),
    "an offset": Bug(_in_largest(lambda g: g + 0.01), ("off by the same 0.01", "off by 0.01")),
    "sizes alone": Bug(_in_largest(np.abs), ("sign is lost", "sign is wrong")),
    "NaN": Bug(_in_largest(_one_entry(lambda x: np.nan)), ("not finite",)),
}
