"""Random functions and activations whose gradients are right: what a check says of them shows its false alarms."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from reference.activations import ACTIVATIONS, Activation
from reference.namespaces import NUMPY

# name: φ(u) and φ'(u), smooth everywhere and free of overflow at the arguments met here
TERMS: dict[str, tuple[Callable[[np.ndarray], np.ndarray], Callable[[np.ndarray], np.ndarray]]] = {
    "sin": (np.sin, np.cos),
    "square": (np.square, lambda u: 2.0 * u),
    "cube": (lambda u: u**3, lambda u: 3.0 * u**2),
    "tanh": (np.tanh, lambda u: 1.0 / np.cosh(u) ** 2),
    "arctan": (np.arctan, lambda u: 1.0 / (1.0 + u**2)),
    "log(1 + u²)": (lambda u: np.log1p(u**2), lambda u: 2.0 * u / (1.0 + u**2)),
    "sqrt(1 + u²)": (lambda u: np.sqrt(1.0 + u**2), lambda u: u / np.sqrt(1.0 + u**2)),
    "exp(-u²)": (lambda u: np.exp(-(u**2)), lambda u: -2.0 * u * np.exp(-(u**2))),
    "softplus": (lambda u: np.logaddexp(0.0, u), lambda u: 1.0 / (1.0 + np.exp(-u))),
}

SCALES = (1.0, 1e-3, 30.0, 0.0)  # of θ: ordinary, small, large, and the origin
MAX_PARAMETERS, MAX_TERMS = 12, 5


@dataclass(frozen=True, eq=False)
class RidgeSum:
    """J(θ) = c + Σ_k w_k φ_k(u_k) with u = Aθ + b, and its gradient Aᵀ(w_k φ_k'(u_k)).

    Attributes
    ----------
    names : the φ_k, of `TERMS`
    A, b, w, c : of shapes (terms, parameters), (terms,), (terms,) and ()
    """

    names: tuple[str, ...]
    A: np.ndarray
    b: np.ndarray
    w: np.ndarray
    c: float

    def __call__(self, theta: np.ndarray) -> tuple[float, np.ndarray]:
        u = self.A @ theta + self.b
        values, slopes = zip(*((TERMS[name][0](u_k), TERMS[name][1](u_k)) for name, u_k in zip(self.names, u)))
        return self.c + float(self.w @ np.array(values)), self.A.T @ (self.w * np.array(slopes))

    def __str__(self) -> str:
        return f"{self.c:.3g} + Σ w φ(Aθ + b), φ = {', '.join(self.names)}, {self.A.shape[1]} parameters"


def random_function(seed: int) -> tuple[RidgeSum, np.ndarray]:
    """A function with a right gradient, and a θ to check it at, both decided by the seed."""
    rng = np.random.default_rng(seed)
    size, terms = rng.integers(1, MAX_PARAMETERS, endpoint=True), rng.integers(1, MAX_TERMS, endpoint=True)
    names = tuple(str(name) for name in rng.choice(list(TERMS), terms))
    A, b, w = rng.normal(size=(terms, size)), rng.normal(size=terms), rng.normal(size=terms)
    offset = float(rng.choice([0.0, 1.0, 1000.0]))
    return RidgeSum(names, A / np.sqrt(size), b, w, offset), rng.choice(SCALES) * rng.normal(size=size)


def random_activation(seed: int) -> Activation:
    """a = s g(cz + d) with the slope s c g'(cz + d), where g is one of the activations that come with the harness.

    c is a power of two and d a multiple of 1/8, so that cz + d at a kink (k - d)/c is k to the last bit.
    """
    rng = np.random.default_rng(seed)
    g = ACTIVATIONS[str(rng.choice(sorted(ACTIVATIONS)))]
    c, d = float(rng.choice([-2.0, -1.0, -0.5, 0.5, 1.0, 2.0])), int(rng.integers(-8, 8, endpoint=True)) / 8
    s = float(rng.choice([-1.5, 1.0, 0.75]))

    def value(xp: Any, z: Any) -> Any:
        return s * g.value(xp, c * z + d)

    def slope(z: np.ndarray, _: np.ndarray) -> np.ndarray:
        inner = c * z + d
        return s * c * g.slope(inner, g.value(NUMPY, inner))

    return Activation(f"{s:g} {g.name}({c:g}z{d:+g})", value, slope, kinks=tuple((k - d) / c for k in g.kinks))
