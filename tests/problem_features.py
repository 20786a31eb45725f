"""What a random problem is made of, so that tests can tell whether every option occurs."""

import numpy as np

from harness.checks.networks.random_problems import L2_VALUES, MAX_EXAMPLES, MAX_HIDDEN_LAYERS, MAX_UNITS, THETA_SCALES
from reference import ACTIVATIONS
from reference.network import OUTPUTS

ALL_FEATURES = {
    *(("hidden layers", depth) for depth in range(MAX_HIDDEN_LAYERS + 1)),
    *(("units", units) for units in range(1, MAX_UNITS + 1)),
    *(("examples", m) for m in range(1, MAX_EXAMPLES + 1)),
    *(("activation", name) for name in ACTIVATIONS),
    *(("output", name) for name in OUTPUTS),
    *(("λ", l2) for l2 in L2_VALUES),
    *(("X", kind) for kind in ("ordinary", "zeros", "ties", "large")),
    *(("targets", kind) for kind in ("classes", "soft")),
    *(("θ", scale) for scale in THETA_SCALES),
}


def features(problem, theta):
    """The options that a problem bears witness to."""
    network = problem.network
    yield "hidden layers", len(network.hidden)
    yield from (("units", units) for units in network.sizes)
    yield "examples", problem.m
    yield from (("activation", f.name) for f in network.hidden)
    yield "output", network.output.name
    yield "λ", problem.l2
    yield "targets", "classes" if np.isin(problem.Y, (0.0, 1.0)).all() else "soft"
    yield "θ", min((scale for scale in THETA_SCALES.items() if np.abs(theta).max() <= scale[1]), key=lambda s: s[1])[0]
    yield from (("X", kind) for kind in _kinds(problem.X))


def _kinds(X):
    size = np.abs(X)
    if size.max() > 2.0:
        yield "large"
    elif size.max() > 1.0:
        yield "ordinary"
    elif (np.round(X * 2) == X * 2).all():
        yield "ties"
    elif (X == 0.0).any() and (size[X != 0.0] >= 0.5).all():
        yield "zeros"
