"""What kind of bug would leave this error in a network's gradient, and in which layer it starts.

The layer looked at is the wrong one nearest to the output, because a bug there is carried down to all layers below, and
not up.
"""

from collections.abc import Sequence

import numpy as np

from harness.verdict.diagnosis import Part, join, not_finite, shape_of_error, single_entry
from reference.problem import Problem


def explain_error(
    problem: Problem, theta: np.ndarray, wrong: np.ndarray, right: np.ndarray, at_odds: np.ndarray
) -> str:
    """The likeliest kind of bug, as a clause or two; empty where no relation is known.

    Parameters
    ----------
    wrong, right : (n,) arrays
        A gradient, and the one that it should be.
    at_odds : (n,) bool array
        The coordinates in which they differ by more than rounding.
    """
    penalty = problem.l2 / problem.m * theta
    for Theta in problem.network.unpack(penalty):
        Theta[:, 0] = 0.0
    arrays = zip(*map(problem.network.unpack, (wrong, right, theta, penalty, at_odds)))
    layers = [Part(f"Theta{number}", *layer) for number, layer in enumerate(arrays, start=1)]
    affected = [layer for layer in layers if layer.wrong.any()]
    if not affected:
        return ""
    if broken := not_finite(affected):
        return broken
    nearest, whole = affected[-1], join(_extent(layers), layers)
    halves = _halves(nearest)
    candidates = [whole] if len(affected) > 1 else []
    candidates += halves if len(halves) == 1 else [nearest, *halves]
    shape, of_delta = shape_of_error(candidates, problem.m)
    if not shape:
        return single_entry(whole) or _where_it_starts(layers, nearest)
    start = _where_it_starts(layers, nearest) if of_delta and nearest is not layers[-1] else ""
    return f"{shape}; {start}" if start else shape


def _halves(layer: Part) -> list[Part]:
    halves = [layer.at(f"{layer.name} bias", np.s_[:, :1]), layer.at(f"{layer.name} weights", np.s_[:, 1:])]
    return [half for half in halves if half.wrong.any()]


def _extent(layers: Sequence[Part]) -> str:
    """What the wrong coordinates of all layers are."""
    if not any(layer.wrong[:, 1:].any() for layer in layers):
        return "the biases"
    if not any(layer.wrong[:, 0].any() for layer in layers):
        return "the weights"
    return "the gradient"


def _where_it_starts(layers: Sequence[Part], nearest: Part) -> str:
    names = [layer.name for layer in layers]
    right = names[names.index(nearest.name) + 1 :]
    if right:
        are = "are" if len(right) > 1 else "is"
        return f"{', '.join(right)} {are} right, so δ goes wrong on the way back from there"
    if len(layers) > 1 and all(layer.wrong.any() for layer in layers):
        return "wrong from the output layer on: look at its δ, the targets, and the sum over the examples"
    return ""
