"""Failing problems get small, and stay failing."""

import numpy as np
import pytest

from harness import FAULTS, SOURCES
from harness.checks.networks import smallest_failure
from harness.checks.networks.many_networks import plant
from harness.checks.networks.network_check import cross_check
from harness.checks.networks.random_problems import random_problem
from harness.checks.networks.smallest_failure import reproduce, shrink, shrink_disagreement
from harness.facts.fact import kinds_of, note
from harness.facts.kinds import Kind
from reference import Network, Problem


def shrunk(problem, theta, sources):
    return shrink_disagreement(problem, theta, sources, cross_check(problem, theta, sources))


def _case(seed: int) -> tuple[Problem, np.ndarray]:
    return random_problem((seed, 0), extremes=False)


@pytest.mark.parametrize("seed", range(8))
def test_what_always_fails_shrinks_to_the_smallest_network(seed):
    problem, _ = shrink(*_case(seed), lambda problem, theta: True)
    assert problem.network.sizes == (1, 1)
    assert problem.m == 1
    assert problem.l2 == 0.0


@pytest.mark.parametrize(
    ("name", "sizes", "hidden"),
    [
        ("bias-times-4", (1, 1), 0),
        ("slope-missing", (1, 1, 1), 1),  # needs a hidden layer
        ("targets-broadcast", (1, 2), 0),  # needs a second output
    ],
)
def test_a_bug_shrinks_to_what_it_needs(name, sizes, hidden):
    index, *_ = plant(FAULTS[name])
    problem, _, report = shrunk(*random_problem((0, index), extremes=False), FAULTS[name].sources)
    assert problem.network.sizes == sizes
    assert len(problem.network.hidden) == hidden
    assert report.verdict == "disagree"
    assert report.outliers == ("vectorized",)


def test_a_layer_that_the_failure_needs_stays():
    network = Network((2, 3, 4, 2), ["tanh", "relu"])
    problem = Problem(network, np.ones((3, 2)), [0, 1, 0])

    def fails(problem, theta):
        return any(f.name == "relu" for f in problem.network.hidden)

    smallest, _ = shrink(problem, network.init(0), fails)
    assert [f.name for f in smallest.network.hidden] == ["relu"]
    assert smallest.network.sizes == (1, 1, 1)


def test_the_number_of_tries_is_bounded(monkeypatch):
    monkeypatch.setattr(smallest_failure, "MAX_TRIES", 10)
    tries = []
    shrink(*_case(0), lambda problem, theta: bool(tries.append(1)) or True)
    assert len(tries) == 10


def test_the_case_given_is_not_changed():
    problem, theta = _case(1)
    before = theta.copy()
    shrink(problem, theta, lambda problem, theta: True)
    assert np.array_equal(theta, before)
    assert cross_check(problem, theta, ["loop", "jax"]).verdict == "agree"


def test_a_source_that_raises_on_a_smaller_network_shows_another_failure():
    index, *_ = plant(FAULTS["bias-times-4"])

    def picky(problem, theta):
        if problem.m < 2:
            raise RuntimeError("needs two examples")
        return FAULTS["bias-times-4"].source(problem, theta)

    sources = FAULTS["bias-times-4"].sources | {"vectorized": picky}
    problem, _, report = shrunk(*random_problem((0, index), extremes=False), sources)
    assert (problem.m, problem.network.sizes, report.verdict) == (2, (1, 1), "disagree")


def test_a_failure_that_does_not_repeat_is_not_shrunk():
    problem, theta = random_problem((0, 2), extremes=False)
    drawn = cross_check(problem, theta, ["loop", "bug:wrong-sign", "jax"])
    smallest, moved, report = shrink_disagreement(problem, theta, ["loop", "vectorized", "jax"], drawn)
    assert smallest is problem
    np.testing.assert_array_equal(moved, theta)
    assert report.verdict == "agree"


def test_the_diagnosis_of_the_larger_network_is_noted_where_shrinking_loses_it():
    _, drawn, drawn_problem, drawn_theta = plant(FAULTS["bias-regularised"])
    sources = FAULTS["bias-regularised"].sources
    problem, theta, report = shrink_disagreement(drawn_problem, drawn_theta, sources, drawn)
    (lost,) = {finding.diagnosis for finding in drawn.findings if finding.diagnosis}
    assert lost not in {finding.diagnosis for finding in report.findings}
    assert report.notes[-len(lost) - 1 :] == (note(Kind.SHRUNK), *lost)
    _, _, again = shrunk(problem, theta, sources)
    assert Kind.SHRUNK not in again.kinds


@pytest.mark.parametrize(
    ("sources", "kinds"),
    [
        ({"mine": lambda problem, theta: SOURCES["jax"](problem, -theta)}, {Kind.NOT_SAVED}),  # it has no name
        (["bug:wrong-sign", "jax", "finite-difference"], set()),
    ],
)
def test_a_failure_is_reproduced_as_a_script_and_a_case(tmp_path, sources, kinds):
    problem, theta = _case(3)
    others = {} if isinstance(sources, list) else {name: SOURCES[name] for name in ("jax", "finite-difference")}
    sources = sources if isinstance(sources, list) else sources | others
    found = reproduce(problem, theta, cross_check(problem, theta, sources), sources, tmp_path / "a" / "case.json")
    assert found.report
    assert found.report.verdict == "disagree"
    assert {fact.kind for fact in found.facts} == kinds
    assert bool(found.saved_as) == bool(found.script) == (tmp_path / "a" / "case.json").is_file() == (not kinds)
    assert f"Replay it with: {found.command}" in str(found) or kinds


def test_a_failure_that_is_gone_is_not_saved(tmp_path):
    problem, theta = random_problem((0, 2), extremes=False)
    drawn = cross_check(problem, theta, ["loop", "bug:wrong-sign", "jax"])
    found = reproduce(problem, theta, drawn, ["loop", "vectorized", "jax"], tmp_path / "case.json")
    assert (found.report, kinds_of(found.facts), list(tmp_path.iterdir())) == (None, (Kind.NOT_REPEATABLE,), [])
