"""The true error of a library's derivatives, in ulps, and how much harm it does."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from flint import arb

from harness.audit.audited_functions import Rule
from harness.audit.true_derivatives import true_derivative
from harness.named_objects import import_attribute

ABSOLUTE = 1e-9
"""A derivative is wrong if it is off by more than this times max(1, |derivative|), and else has lost digits at most."""

DIGITS = 1e-8
"""The relative error from which on digits are called lost: half of them."""

HARMS = ("not finite", "wrong", "no correct digit", "half the digits lost", "right")
"""Worst first: NaN or infinity where the derivative is finite; beyond the absolute bound; the rest within it."""


MET = 10.0
"""Powers of ten from 1 within which an argument is one that programs meet."""


@dataclass(frozen=True)
class Error:
    """What a library answers at one argument.

    Attributes
    ----------
    z, true, answered : floats
        `true` is rounded to float64.
    ulps : float
        |answered - true| in units in the last place of the true derivative.
    harm : str
        One of `HARMS`.
    far : float
        How many powers of ten the argument is away from 1.
    """

    z: float
    true: float
    answered: float
    ulps: float
    harm: str
    far: float

    @property
    def is_met(self) -> bool:
        """Whether such an argument is one that programs meet."""
        return self.far <= MET

    @property
    def region(self) -> str:
        size = abs(self.z)
        if size < 1e-3:
            return "near 0"
        return "ordinary" if size <= 3.0 else "far out"


def measure(rule: Rule, library: str, order: int) -> list[Error]:
    """The errors of a library's derivative of an order, at all arguments where the true one is known and finite.

    Raises
    ------
    NotImplementedError
        The library has no such derivative.
    """
    truths = [true_derivative(rule.truth, z, order, rule.explicit) for z in rule.where]
    known = [(z, t) for z, t in zip(rule.where, truths) if t.is_finite() and abs(t) < float(np.finfo(float).max)]
    answers = derivatives(library, rule.libraries[library], order, np.array([z for z, _ in known]))
    return [judged(z, t, float(answer), decades(z)) for (z, t), answer in zip(known, answers)]


def decades(z: float) -> float:
    """How many powers of ten a number is away from 1; 0 for 0."""
    return abs(math.log10(abs(z))) if z else 0.0


def judged(z: float, true: arb, answered: float, far: float) -> Error:
    """What an answer is worth beside the truth."""
    rounded = float(true)
    if not math.isfinite(answered):
        return Error(z, rounded, answered, math.inf, "not finite", far)
    off = abs(float(arb(answered) - true))
    harm = "right"
    if off > ABSOLUTE * max(1.0, abs(rounded)):
        harm = "wrong"
    elif abs(rounded) >= np.finfo(float).tiny and off >= 0.5 * abs(rounded):
        harm = "no correct digit"
    elif abs(rounded) >= np.finfo(float).tiny and off > DIGITS * abs(rounded):
        harm = "half the digits lost"
    with np.errstate(over="ignore"):  # beside a derivative of nearly zero
        return Error(z, rounded, answered, float(off / np.spacing(abs(rounded))), harm, far)


def derivatives(library: str, path: str, order: int, z: np.ndarray) -> np.ndarray:
    """What a library answers, in float64, at each argument."""
    with np.errstate(all="ignore"):
        return _ASK[library](function_of(path), order, z)


def function_of(path: str) -> Callable[[Any], Any]:
    """What a path such as jax.nn.silu or a.module:name stands for."""
    module, _, name = path.partition(":") if ":" in path else path.rpartition(".")
    return import_attribute(f"{module}:{name}")


def _jax(function: Callable[[Any], Any], order: int, z: np.ndarray) -> np.ndarray:
    import jax

    derivative = function
    for _ in range(order):
        derivative = jax.grad(derivative)
    with jax.enable_x64(True):
        return np.asarray(jax.jit(jax.vmap(derivative))(z))


def _torch(function: Callable[[Any], Any], order: int, z: np.ndarray) -> np.ndarray:
    import torch  # pyright: ignore[reportMissingImports]  it is there, or nobody asks

    x = torch.tensor(z, dtype=torch.float64, requires_grad=True)
    found = function(x)
    for left in reversed(range(order)):
        if not found.requires_grad:
            return np.zeros_like(z)  # what autograd takes for constant has no gradient
        try:
            (found,) = torch.autograd.grad(found.sum(), x, create_graph=left > 0)
        except RuntimeError as reason:
            raise NotImplementedError(str(reason)) from None
    return found.detach().numpy()


def _scipy(function: Callable[[Any], Any], order: int, z: np.ndarray) -> np.ndarray:
    if order > 1:
        raise NotImplementedError("SciPy ships first derivatives")
    return np.asarray(function(z))


_ASK = {"jax": _jax, "optax": _jax, "torch": _torch, "scipy": _scipy}
