"""Part 4: problems on which bugs cannot be seen, by anybody.

The small problem is checked by ball arithmetic: a bug can be seen there if its answer lies outside of what encloses the
right one. Switches make the problem special, in every combination.
"""

from itertools import product
from typing import Any

import numpy as np

from harness.sources.bug_zoo import BUGS
from harness.study.zoo_cases import Enclosure
from reference.network import Network
from reference.problem import Problem

SWITCHES = ("λ = 0", "θ = 0", "m = 1", "one hidden unit a layer")

INPUTS, HIDDEN, CLASSES, EXAMPLES, LAMBDA, SEED = 4, 3, 3, 5, 1.5, 0


def problem_with(switched: tuple[bool, ...]) -> tuple[Problem, np.ndarray]:
    """The small problem and θ, special in what is switched, in the order of `SWITCHES`."""
    no_penalty, no_theta, one_example, one_unit = switched
    rng = np.random.default_rng(SEED)
    units = 1 if one_unit else HIDDEN
    network = Network((INPUTS, units, units, CLASSES), "softplus")  # a sigmoid would hide the slope of a sigmoid
    m = 1 if one_example else EXAMPLES
    X, y = rng.uniform(-1.0, 1.0, (EXAMPLES, INPUTS)), np.arange(EXAMPLES) % CLASSES
    theta = np.zeros(network.size) if no_theta else network.init(rng, 1.0)
    return Problem(network, X[:m], y[:m], 0.0 if no_penalty else LAMBDA), theta


def unseen(switched: tuple[bool, ...]) -> list[str]:
    """The bugs whose answer cannot be told from the right one."""
    problem, theta = problem_with(switched)
    with np.errstate(all="ignore"):
        enclosure = Enclosure(problem, theta)
        return [name for name, bug in BUGS.items() if not enclosure.excludes(bug.source)]


def blind_spots() -> dict[str, Any]:
    """For each combination of switches, written as 0 and 1 in the order of `SWITCHES`, the bugs that cannot be seen."""
    return {
        "switches": list(SWITCHES),
        "problem": f"{INPUTS}-{HIDDEN}-{HIDDEN}-{CLASSES}, softplus, {EXAMPLES} examples, λ = {LAMBDA:g}",
        "unseen": {
            "".join("01"[on] for on in switched): unseen(switched)
            for switched in product((False, True), repeat=len(SWITCHES))
        },
    }
