"""Parts 4 and 5 of the lesson: what no check can see, which checker misses what, and where a naive check is wrong.

Blind spots are found by ball arithmetic: on a small problem, a bug shows if its answer lies outside of the enclosure of
the right one. Switches make the problem special, in every combination.

Detection rates come from a study that the package carries with its date, written by ``harness study --json``. Bugs are
grouped by where the gradient is wrong, problems by kind, and nothing is averaged over kinds of problem.

A naive check takes the central difference of two costs at h = 1e-4 and wants a relative error below 1e-4. It is shown a
kink and a saturated unit: one input x = 1, one hidden unit with z = w, one output, and the derivative in w.
"""

import json
from importlib import resources
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from harness.checks.networks.network_check import cross_check
from harness.seals import require_version
from harness.sources.bug_zoo import BUGS
from harness.sources.source_table import SOURCES
from harness.study.checkers import central_difference
from harness.study.zoo_cases import Enclosure
from harness.study.zoo_study import SCHEMA
from reference.namespaces import NUMPY
from reference.network import Network
from reference.problem import Problem

SWITCHES = ("λ = 0", "θ = 0", "m = 1", "one hidden unit a layer")

INPUTS, HIDDEN, CLASSES, EXAMPLES, LAMBDA, SEED = 4, 3, 3, 5, 1.5, 0  # the small problem of the blind spots

WHERE = {
    "regulariser": "regulariser",
    "bias": "biases",
    "layer": "hidden layers",
    "all": "everywhere",
    "entry": "one or two entries",
    "cost": "in the cost, too",
    "cost alone": "in the cost alone",
    "program": "program around it",
}
"""By `Bug.part`: where a bug is, for the page."""

H, ENOUGH = 1e-4, 1e-4  # the naive check's step, and the relative error that it accepts

DISTANCES = tuple(sign * 10.0**-k for sign, ks in ((-1.0, range(1, 10)), (1.0, range(9, 0, -1))) for k in ks)
"""From the kink."""

DEPTHS = tuple(float(z) for z in range(0, 46, 3))  # z of the saturated unit

SOURCES_COMPARED = ("loop", "vectorized", "jax", "finite-difference")


# -- what no check can see ---------------------------------------------------------------------------------------------


def problem_with(switched: tuple[bool, ...]) -> tuple[Problem, np.ndarray]:
    """The small problem and θ, special in the switches that are on, in the order of `SWITCHES`."""
    no_penalty, no_theta, one_example, one_unit = switched
    rng = np.random.default_rng(SEED)
    units = 1 if one_unit else HIDDEN
    network = Network((INPUTS, units, units, CLASSES), "softplus")  # a sigmoid would hide the slope of a sigmoid
    m = 1 if one_example else EXAMPLES
    # X is drawn whole whatever the switches are, so that fewer examples are the first of these.
    X, y = rng.uniform(-1.0, 1.0, (EXAMPLES, INPUTS)), np.arange(EXAMPLES) % CLASSES
    theta = np.zeros(network.size) if no_theta else network.init(rng, 1.0)
    return Problem(network, X[:m], y[:m], 0.0 if no_penalty else LAMBDA), theta


def unseen(switched: tuple[bool, ...]) -> list[str]:
    """The bugs whose answers lie within the enclosure of the right one."""
    problem, theta = problem_with(switched)
    with np.errstate(all="ignore"):  # a bug may overflow where right formulas do not
        right = Enclosure(problem, theta)
        return [name for name, bug in BUGS.items() if not right.excludes(bug.source)]


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


# -- which checker misses what -----------------------------------------------------------------------------------------


def carried_study() -> tuple[str, dict[str, Any]]:
    """The date and the document of the newest study that the package carries.

    Raises a ValueError where another version of `harness study` wrote it.
    """
    folder = resources.files("harness.teaching")
    name = max(file.name for file in folder.iterdir() if file.name.startswith("study-"))
    study = json.loads((folder / name).read_text(encoding="utf-8"))
    require_version(Path(name), study["schema"], SCHEMA)
    return name.removeprefix("study-").removesuffix(".json"), study


def detection() -> dict[str, Any]:
    """By kind of problem: bugs caught and shown, by checker and place of the bug, and correct code called wrong."""
    date, study = carried_study()
    places: dict[str, list[str]] = {}
    for name in study["bugs"]:
        part = BUGS[name].part if name in BUGS else "all"
        places.setdefault(WHERE.get(part, WHERE["all"]), []).append(name)
    kinds = list(study["problems"])
    checkers = [row["name"] for row in study["checkers"]]
    return {
        "date": date,
        "seed": study["seed"],
        "problems": study["problems"],
        "correct_problems": study["correct_problems"],
        "rules": {row["name"]: row["rule"] for row in study["checkers"]},
        "places": {place: places[place] for place in sorted(places, key=list(WHERE.values()).index)},
        "caught": {
            kind: {name: {place: _sum(study, bugs, name, kind) for place, bugs in places.items()} for name in checkers}
            for kind in kinds
        },
        "false_alarms": {row["name"]: row["false_alarms_by_kind"] for row in study["checkers"]},
        "networks": study["networks"],
    }


def _sum(study: dict[str, Any], bugs: list[str], checker: str, kind: str) -> list[int]:
    counts = [study["bugs"][bug]["caught_by_kind"][checker][kind] for bug in bugs]
    return [sum(row["count"] for row in counts), sum(row["total"] for row in counts)]


# -- where a naive check is wrong --------------------------------------------------------------------------------------


def kink(z: float) -> tuple[Problem, np.ndarray]:
    """A ReLU at z: J = (relu(z) + 1)²/2."""
    return _one_unit("relu", "linear", z, target=-1.0)


def saturated(z: float) -> tuple[Problem, np.ndarray]:
    """A sigmoid at z, and a cross-entropy of target 0 behind it: J = log(1 + exp(σ(z)))."""
    return _one_unit("sigmoid", "sigmoid", z, target=0.0)


def _one_unit(hidden: str, output: str, z: float, *, target: float) -> tuple[Problem, Any]:
    network = Network((1, 1, 1), hidden, output)
    problem = Problem(network, np.array([[1.0]]), np.array([[target]]))
    return problem, network.pack([np.array([[0.0, z]]), np.array([[0.0, 1.0]])])


def naive_check(problem: Problem, theta: np.ndarray) -> dict[str, Any]:
    """Both derivatives in w, their relative error |numeric - analytic| / max, and whether it raises an alarm."""
    i = 1  # θ = (b1, w1, b2, w2)
    numeric = central_difference(lambda t: float(problem.cost(NUMPY, t)), theta, i, H)
    analytic = float(SOURCES["loop"](problem, theta)[1][i])
    size = max(abs(numeric), abs(analytic))
    error = abs(numeric - analytic) / size if size else 0.0
    return {"numeric": numeric, "analytic": analytic, "error": error, "alarm": not error <= ENOUGH}


def false_alarms() -> dict[str, Any]:
    """Along the slider of each case: the naive check, and this harness."""
    cases = {"kink": (kink, DISTANCES), "saturated": (saturated, DEPTHS)}
    found: dict[str, Any] = {"h": H, "enough": ENOUGH}
    for case, (make, positions) in cases.items():
        rows = []
        for z in positions:
            problem, theta = make(z)
            report = cross_check(problem, theta, SOURCES_COMPARED)
            rows.append({"z": z, **naive_check(problem, theta), "verdict": report.verdict, "margin": report.margin})
        found[case] = rows
    return found
