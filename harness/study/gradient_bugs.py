"""Named bugs that make a wrong gradient from a right one, and the diagnosis that each deserves."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from harness.study.model_costs import Parameters

Change = Callable[[Parameters, Parameters], Parameters]
"""``change(gradient, theta) -> gradient``; the same gradient where the bug does not apply."""


EXAMPLES = 12.0
"""How many the data of `model_costs` hold."""


class GradientBug(NamedTuple):
    """A change of a right gradient, and the words any of which names it."""

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


def _forgotten(gradient: Parameters, theta: Parameters) -> Parameters:
    if len(gradient) < 2:
        return gradient
    name = min(gradient, key=lambda name: gradient[name].size)
    return gradient | {name: np.zeros_like(gradient[name])}


GRADIENT_BUGS: dict[str, GradientBug] = {
    "the sign": GradientBug(_everywhere(lambda g: -g), ("sign is wrong",)),
    "twice": GradientBug(_everywhere(lambda g: 2.0 * g), ("2 times",)),
    "a mean for a sum": GradientBug(_everywhere(lambda g: g / EXAMPLES), ("0.0833333 times",)),
    "a factor off by a thousandth": GradientBug(_in_largest(lambda g: 1.001 * g), ("1.001 times",)),
    "one entry off by 1%": GradientBug(_in_largest(_one_entry(lambda x: 1.01 * x)), ("1.01 times",)),
    "one entry's sign": GradientBug(_in_largest(_one_entry(lambda x: -x)), ("sign is wrong",)),
    "one entry zero": GradientBug(_in_largest(_one_entry(lambda x: 0.0)), ("zero where it should not be",)),
    "a block forgotten": GradientBug(_forgotten, ("zero where it should not be",)),
    "transposed": GradientBug(_in_largest(_transposed), ("transposed", "unrolled in another order")),
    "reversed": GradientBug(_in_largest(lambda g: np.flip(g)), ("reverse order",)),
    "shifted": GradientBug(_in_largest(lambda g: np.roll(g, 1, axis=0) if g.ndim else g), ("shifted",)),
    "blocks swapped": GradientBug(_swapped, ("swapped",)),
    "a penalty too many": GradientBug(_penalised, ("times θ", "alone of", "off by 0.")),
    "a row forgotten": GradientBug(_in_largest(_first_row(0.0)), ("zero where it should not be",)),
    "a row twice": GradientBug(_in_largest(_first_row(2.0)), ("factor of its own", "2 times")),
    "an offset": GradientBug(_in_largest(lambda g: g + 0.01), ("off by the same 0.01", "off by 0.01")),
    "sizes alone": GradientBug(_in_largest(np.abs), ("sign is lost", "sign is wrong")),
    "NaN": GradientBug(_in_largest(_one_entry(lambda x: np.nan)), ("not finite",)),
}
