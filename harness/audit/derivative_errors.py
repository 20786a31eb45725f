"""The true error of a library's derivatives, in ulps, and how much harm it does."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np
from flint import arb

from harness.audit.audited_functions import TINY, AuditedFunction
from harness.audit.true_derivatives import true_derivative
from harness.named_objects import import_attribute

ABSOLUTE = 1e-9
"""A derivative is wrong if it is off by more than this times max(1, |derivative|). Else it has lost digits at most: an
error of 1e-17 in a tail of 1e-20 leaves no digit right, and changes no sum that it is part of."""

DIGITS = 1e-8  # the relative error from which on half of the digits are lost

HARMS = ("not finite", "wrong", "no correct digit", "half the digits lost", "right")
"""Worst first: NaN or infinity where the derivative is finite; beyond the absolute bound; the rest within it."""

MET = 10.0
"""Programs meet arguments within so many powers of ten from 1. Further out, most formulas overflow, and few ask."""

LARGEST = float(np.finfo(float).max)


@dataclass(frozen=True)
class Error:
    """What a library returns at one argument."""

    z: float  # the argument
    true: float  # the true derivative, rounded to float64
    answered: float  # the library's
    ulps: float  # |answered - true| in units in the last place of the true derivative
    harm: str  # one of `HARMS`
    far: float  # how many powers of ten the argument is away from 1

    @property
    def is_met(self) -> bool:
        """Whether programs meet such an argument."""
        return self.far <= MET

    @property
    def region(self) -> str:
        """Where the argument is: "near 0", "ordinary" or "far out"."""
        size = abs(self.z)
        if size < 1e-3:
            return "near 0"
        return "ordinary" if size <= 3.0 else "far out"


def measure_errors(function: AuditedFunction, library: str, order: int) -> list[Error]:
    """The errors of a library's derivative, at all arguments where the true one is known and finite.

    Raises a NotImplementedError where the library has no such derivative.
    """
    exact = [(z, true_derivative(function.series, z, order)) for z in function.points]
    known = [(z, true) for z, true in exact if is_float64(true)]
    of_library, points = find_function(library, function.libraries[library]), np.array([z for z, _ in known])
    with np.errstate(all="ignore"):
        answers = DIFFERENTIATE[library](of_library, order, points)
    return [error_of(z, true, float(answer), decades(z)) for (z, true), answer in zip(known, answers)]


def is_float64(true: arb) -> bool:
    """Whether a true derivative is known, and within the range of float64."""
    return bool(true.is_finite() and abs(true) < LARGEST)


def decades(z: float) -> float:
    """How many powers of ten a number is away from 1; 0 for 0."""
    return abs(math.log10(abs(z))) if z else 0.0


def error_of(z: float, true: arb, answered: float, far: float) -> Error:
    """An answer beside the true derivative."""
    rounded = float(true)
    if not math.isfinite(answered):
        return Error(z, rounded, answered, math.inf, "not finite", far)
    off, size = abs(float(arb(answered) - true)), abs(rounded)
    harm = "right"  # also below TINY, where XLA flushes numbers to zero
    if off > ABSOLUTE * max(1.0, size):
        harm = "wrong"
    elif size >= TINY and off > DIGITS * size:
        harm = "no correct digit" if off >= 0.5 * size else "half the digits lost"
    with np.errstate(over="ignore"):  # an ulp of a derivative of zero is 5e-324
        return Error(z, rounded, answered, float(off / np.spacing(size)), harm, far)


# -- the libraries' derivatives ----------------------------------------------------------------------------------------


def find_function(library: str, function: Any) -> Callable[[Any], Any]:
    """The function of one number that a record gives: by a path in the library, or as ``function(library, x)``."""
    if callable(function):
        return partial(function, import_module(library))
    return import_attribute(function if ":" in function else ":".join(f"{library}.{function}".rsplit(".", 1)))


def _by_jax(function: Callable[[Any], Any], order: int, z: np.ndarray) -> np.ndarray:
    import jax

    derivative = function
    for _ in range(order):
        derivative = jax.grad(derivative)
    with jax.enable_x64(True):
        return np.asarray(jax.jit(jax.vmap(derivative))(z))


def _by_torch(function: Callable[[Any], Any], order: int, z: np.ndarray) -> np.ndarray:
    import torch  # pyright: ignore[reportMissingImports]  only called where it is installed

    x = torch.tensor(z, dtype=torch.float64, requires_grad=True)
    found = function(x)
    for left in reversed(range(order)):
        if not found.requires_grad:
            return np.zeros_like(z)  # autograd gives a constant no gradient
        try:
            (found,) = torch.autograd.grad(found.sum(), x, create_graph=left > 0)
        except RuntimeError as reason:
            raise NotImplementedError(str(reason)) from None
    return found.detach().numpy()


def _by_scipy(function: Callable[[Any], Any], order: int, z: np.ndarray) -> np.ndarray:
    if order > 1:
        raise NotImplementedError("SciPy ships first derivatives")
    return np.asarray(function(z))


DIFFERENTIATE = {"jax": _by_jax, "optax": _by_jax, "torch": _by_torch, "scipy": _by_scipy}
"""By library, (function, order, arguments) -> derivatives; SciPy's functions are derivatives already."""
