"""Output layers: how the last pre-activations become a prediction, and what a wrong one costs.

Each pairs a unit with the loss whose derivative in the pre-activation is *prediction - target* (the canonical link);
the hand-written backprops start from that, the references only ever see `loss`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from reference.printable import given


@dataclass(frozen=True, eq=False)
class Output:
    """An output layer.

    Parameters
    ----------
    name : str
    predict : callable
        ``predict(xp, z)``: pre-activations (..., K) to predictions (..., K).
    loss : callable
        ``loss(xp, z, Y)``: the loss of each example, (..., K) and targets (m, K) to (..., m).
    target_error : callable
        ``target_error(Y)``: what is wrong with the targets, in words, or None.
    """

    name: str
    predict: Callable[[Any, Any], Any]
    loss: Callable[[Any, Any, Any], Any]
    target_error: Callable[[np.ndarray], str | None]

    def __repr__(self) -> str:
        return f"Output({self.name!r})"


def _probability_error(Y: np.ndarray) -> str | None:
    if Y.min() < 0.0 or Y.max() > 1.0:
        return f"must lie in [0, 1], but go from {Y.min():g} to {Y.max():g}"
    return None


def _distribution_error(Y: np.ndarray) -> str | None:
    sums = Y.sum(axis=1)
    worst = int(np.argmax(np.abs(sums - 1.0)))
    if abs(sums[worst] - 1.0) > 1e-12 * Y.shape[1]:  # 1e-12: rounding of a sum of K probabilities, with room
        return f"must sum to 1 in every row, but row {worst} sums to {float(sums[worst])!r}"
    return _probability_error(Y)


OUTPUTS: dict[str, Output] = {
    output.name: output
    for output in (
        Output(
            "sigmoid",
            # σ(z) as differentiating the loss gives it: relatively accurate for z << 0, with the same rounding errors
            predict=lambda xp, z: xp.exp(z - xp.logaddexp(z, 0.0)),
            # -y log σ(z) - (1-y) log(1-σ(z)) = log(1 + e^z) - yz, without a logarithm of something that rounds to zero
            loss=lambda xp, z, Y: xp.sum(xp.logaddexp(z, 0.0) - Y * z, axis=-1),
            target_error=_probability_error,
        ),
        Output(
            "softmax",
            predict=lambda xp, z: xp.exp(z - xp.logsumexp(z)),
            # -Σ y log p with Σ y = 1
            loss=lambda xp, z, Y: xp.logsumexp(z)[..., 0] - xp.sum(Y * z, axis=-1),
            target_error=_distribution_error,
        ),
        Output(
            "linear",
            predict=lambda xp, z: z,
            loss=lambda xp, z, Y: 0.5 * xp.sum(xp.square(z - Y), axis=-1),
            target_error=lambda Y: None,
        ),
    )
}


def get_output(name: str) -> Output:
    """The output layer of that name."""
    if isinstance(name, str) and name in OUTPUTS:
        return OUTPUTS[name]
    raise ValueError(f"unknown output {given(name)}; there are {', '.join(OUTPUTS)}")
