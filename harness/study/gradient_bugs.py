"""Named bugs that make a wrong gradient from a right one, and the diagnosis that each deserves."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from harness.facts.fact import Fact
from harness.study.model_costs import EXAMPLES, Parameters

Change = Callable[[Parameters, Parameters], Parameters]
"""``change(gradient, theta) -> gradient``; the same gradient where the bug does not apply."""


class Diagnosis(NamedTuple):
    """A fact that names a bug: its kind, and what one field of its data must be, if any."""

    kind: str
    field: str = ""
    value: Any = None

    def fits(self, fact: Fact) -> bool:
        """Whether a fact is this diagnosis; numbers need four digits in common."""
        if fact.kind != self.kind or not self.field:
            return fact.kind == self.kind
        value = fact.data.get(self.field)
        if isinstance(self.value, float):
            return isinstance(value, float) and abs(value - self.value) <= 1e-4 * abs(self.value)
        return value == self.value


class GradientBug(NamedTuple):
    """A change of a right gradient, and the diagnoses any of which names it."""

    change: Change
    named_by: tuple[Diagnosis, ...]


def _factor(c: float) -> tuple[Diagnosis, ...]:
    """A factor, also where only one entry has it."""
    return Diagnosis("factor", "factor", c), Diagnosis("single-entry", "factor", c)


def _largest(gradient: Parameters) -> str:
    """The name of the array with the most entries."""
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
    """The first two arrays of one shape, each in the other's place."""
    for a in gradient:
        for b in gradient:
            if a < b and gradient[a].shape == gradient[b].shape and gradient[a].ndim:
                return gradient | {a: gradient[b], b: gradient[a]}
    return gradient


def _penalised(gradient: Parameters, theta: Parameters) -> Parameters:
    """With the derivative of 0.05/2 Σθ², which the cost does not have, in one array."""
    name = _largest(gradient)
    return gradient | {name: gradient[name] + 0.05 * theta[name]}


def _forgotten(gradient: Parameters, theta: Parameters) -> Parameters:
    """With zeros for the smallest of several arrays."""
    if len(gradient) < 2:
        return gradient
    name = min(gradient, key=lambda name: gradient[name].size)
    return gradient | {name: np.zeros_like(gradient[name])}


SIGN, ZERO = Diagnosis("sign"), Diagnosis("zero")
MOVED = {move: Diagnosis("rearranged", "move", move) for move in ("transposed", "unrolled", "reversed", "shifted")}

GRADIENT_BUGS: dict[str, GradientBug] = {
    "the sign": GradientBug(_everywhere(lambda g: -g), (SIGN,)),
    "twice": GradientBug(_everywhere(lambda g: 2.0 * g), _factor(2.0)),
    "a mean for a sum": GradientBug(_everywhere(lambda g: g / EXAMPLES), _factor(1.0 / EXAMPLES)),
    "a factor off by a thousandth": GradientBug(_in_largest(lambda g: 1.001 * g), _factor(1.001)),
    "one entry off by 1%": GradientBug(_in_largest(_one_entry(lambda x: 1.01 * x)), _factor(1.01)),
    "one entry's sign": GradientBug(_in_largest(_one_entry(lambda x: -x)), (SIGN,)),
    "one entry zero": GradientBug(_in_largest(_one_entry(lambda x: 0.0)), (ZERO,)),
    "a block forgotten": GradientBug(_forgotten, (ZERO,)),
    "transposed": GradientBug(_in_largest(_transposed), (MOVED["transposed"], MOVED["unrolled"])),
    "reversed": GradientBug(_in_largest(lambda g: np.flip(g)), (MOVED["reversed"],)),
    "shifted": GradientBug(_in_largest(lambda g: np.roll(g, 1, axis=0) if g.ndim else g), (MOVED["shifted"],)),
    "blocks swapped": GradientBug(_swapped, (Diagnosis("block-of-another", "swapped", True),)),
    "a penalty too many": GradientBug(_penalised, (Diagnosis("regulariser"), Diagnosis("single-entry"))),
    "a row forgotten": GradientBug(_in_largest(_first_row(0.0)), (ZERO,)),
    "a row twice": GradientBug(_in_largest(_first_row(2.0)), (Diagnosis("factor-by-slice"), *_factor(2.0))),
    "an offset": GradientBug(
        _in_largest(lambda g: g + 0.01),
        (Diagnosis("constant-error", "error", 0.01), Diagnosis("single-entry", "error", 0.01)),
    ),
    "sizes alone": GradientBug(_in_largest(np.abs), (Diagnosis("sign-lost"), SIGN)),
    "NaN": GradientBug(_in_largest(_one_entry(lambda x: np.nan)), (Diagnosis("not-finite"),)),
}
