"""A problem: a network, examples, targets and λ, validated once, so that all other code may trust the shapes."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from reference.network import Network, real_array
from reference.user_input import real_number


def regularised_cost(network: Network, xp: Any, theta: Any, X: Any, Y: Any, l2: Any) -> Any:
    """J(θ) = 1/m Σ losses + λ/(2m) Σ weights². All numbers are arguments, so that a compiler makes one program."""
    m = X.shape[0]
    return xp.sum(network.losses(xp, theta, X, Y)) / m + l2 / (2 * m) * network.squared_weights(xp, theta)


def _one_hot(y: np.ndarray, K: int) -> np.ndarray:
    wrong = (y != np.round(y)) | (y < 0) | (y >= K)
    if wrong.any():
        hint = "; for one sigmoid unit give 0/1 targets of shape (m, 1)" if K == 1 else ""
        raise ValueError(f"y of shape (m,) must hold integer classes 0 to {K - 1}, but holds {y[wrong][0]:g}{hint}")
    return (y[:, np.newaxis] == np.arange(K)).astype(np.float64)


def _read_only(array: np.ndarray) -> np.ndarray:
    view = array.view()
    view.flags.writeable = False
    return view


@dataclass(frozen=True, eq=False)
class Problem:
    """The regularised cost of a network on data.

    J(θ) = 1/m Σ_i loss(z_i, y_i) + λ/(2m) Σ weights², the biases not regularised.

    Parameters
    ----------
    network : Network
    X : (m, n_in) array
        Examples in rows. Kept as a read-only float64 view; a C-ordered float64 array is not copied.
    y : (m,) integer classes 0..K-1, or (m, K) targets
        Kept as `Y`, (m, K) float64. Targets lie in [0, 1] for sigmoid outputs and sum to 1 in a row for softmax.
    l2 : float
        λ, zero or more.

    Raises
    ------
    ValueError, TypeError
        For shapes that do not fit, no examples, NaN or Inf, classes or targets out of range, or a negative λ.
    """

    network: Network
    X: np.ndarray
    Y: np.ndarray
    l2: float

    def __init__(self, network: Network, X: Any, y: Any, l2: float = 0.0):
        if not isinstance(network, Network):
            raise TypeError(f"network must be a Network, not {type(network).__name__}")
        n_in, K = network.sizes[0], network.sizes[-1]
        X = real_array("X", X, (2,), f"(m, {n_in})")
        if X.shape[1] != n_in or len(X) == 0:
            raise ValueError(f"X must have shape (m, {n_in}) with m of one or more, but has shape {X.shape}")
        Y = real_array("y", y, (1, 2), f"(m,) classes or (m, {K}) targets")
        # (m,) are classes even where K is 1: an (m,) beside (m, 1) predictions would be broadcast to (m, m)
        Y = _one_hot(Y, K) if Y.ndim == 1 and len(Y) else Y
        if Y.shape != (len(X), K):
            raise ValueError(f"X has {len(X)} rows, so y must be ({len(X)},) or ({len(X)}, {K}), but is {np.shape(y)}")
        if error := network.output.target_error(Y):
            raise ValueError(f"{network.output.name} targets {error}")
        l2 = real_number("l2 (λ)", l2)
        # a source that writes into X or Y raises, and spoils no other source
        for name, content in (("network", network), ("X", _read_only(X)), ("Y", _read_only(Y)), ("l2", l2)):
            object.__setattr__(self, name, content)

    @property
    def m(self) -> int:
        """The number of examples."""
        return len(self.X)

    def check_theta(self, theta: Any) -> np.ndarray:
        """θ as a finite float64 array of the right shape, or an error that names the fault."""
        theta = real_array("theta", theta, (1,), f"a flat vector of {self.network.size} parameters")
        if theta.shape != (self.network.size,):
            raise ValueError(
                f"{self.network} needs theta of shape ({self.network.size},), but it has shape {theta.shape}"
            )
        return theta

    def losses(self, xp: Any, theta: Any) -> Any:
        """The loss of each example, shape (m,), over the array namespace `xp`."""
        return self.network.losses(xp, theta, self.X, self.Y)

    def cost(self, xp: Any, theta: Any) -> Any:
        """J(θ) over the array namespace `xp`."""
        return regularised_cost(self.network, xp, theta, self.X, self.Y, self.l2)

    def __reduce__(self) -> Any:
        return Problem, (self.network, self.X, self.Y, self.l2)

    def __repr__(self) -> str:
        return f"Problem({self.network!r}, m={self.m}, λ={self.l2:g})"
