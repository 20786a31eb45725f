"""The ready-made suite, on activations and gradient sources that are right, wrong, and neither."""

import json
import re
from collections import Counter

import pytest

# what the projects import has to be there before, because pytest forgets what a run in this process has imported
import reference.oracles.ball_arithmetic
import reference.oracles.complex_step
import reference.oracles.jax_padded
from harness import SOURCES, assertions
from harness.checks.networks import case_files, smallest_failure
from harness.sources import bug_zoo
from harness.suite import conftest as suite

IMPORTED = (reference.oracles, assertions, case_files, bug_zoo, smallest_failure)

MODULE = """
import numpy as np
from scipy.special import expit
from harness import SOURCES, Activation
from reference.measured import NotApplicable

def value(xp, z):
    return z * xp.tanh(z)

def hinge(xp, z):
    return xp.where(z > 0.5, z, 0.5)

right = Activation("right", value, lambda z, a: np.tanh(z) + z * (1.0 - np.tanh(z) ** 2))
wrong = Activation("wrong", value, lambda z, a: np.tanh(z))
numpy_only = Activation("numpy_only", lambda xp, z: expit(np.asarray(z, dtype=float)), lambda z, a: a * (1.0 - a))
undeclared = Activation("undeclared", hinge, lambda z, a: np.where(z > 0.5, 1.0, 0.0))

def right_source(problem, theta):
    return SOURCES["vectorized"](problem, theta)

def wrong_source(problem, theta):
    cost, gradient = SOURCES["vectorized"](problem, theta)
    return cost, gradient + 1e-3 * (np.arange(theta.size) == 0)

def picky_source(problem, theta):
    if problem.network.output.name != "sigmoid":
        raise NotApplicable("sigmoid outputs only")
    return right_source(problem, theta)

def rude_source(problem, theta):
    answer = right_source(problem, theta)
    theta *= 2.0
    return answer

drawn = np.random.default_rng(0)

def random_source(problem, theta):
    cost, gradient = right_source(problem, theta)
    return cost, gradient * (1.0 + 1e-16 * drawn.integers(0, 100))
"""

RECORD, ORACLES, IN_NETWORKS = "test_the_record_is_right", "test_the_slope_agrees_with", "test_inside_random_networks"
ALL, EACH = "test_beside_all_sources", "test_beside["
TWICE, ARGUMENTS = "test_the_same_answer_twice", "test_arguments_are_left_as_they_were"


@pytest.fixture
def run_suite(pytester, run_pytest, registry):
    """``run_suite(*arguments)`` -> the result, and for each outcome the names of the tests."""
    pytester.makepyfile(mine=MODULE)
    suite.report_on.cache_clear()

    def run(*arguments):
        result = run_pytest("--pyargs", "harness.suite", "-rA", *arguments)
        outcomes = {}
        for outcome, name in re.findall(
            r"^(PASSED|FAILED|ERROR) \S*?::(.*?)(?: - .*)?$", result.stdout.str(), re.MULTILINE
        ):
            outcomes.setdefault(outcome, []).append(name)
        return result, outcomes

    return run


@pytest.fixture
def without_jax(monkeypatch):
    """JAX's one program for all activations is compiled anew for each new one, which takes seconds."""
    for name in ("jax", "jax-forward"):
        monkeypatch.delitem(SOURCES, name)


def count(names, prefix, *parts):
    return sum(name.startswith(prefix) and all(part in name for part in parts) for name in names)


def test_without_anything_to_check_it_says_what_to_give(run_suite):
    result, outcomes = run_suite()
    assert (result.ret, outcomes, set(result.parseoutcomes())) == (0, {}, {"skipped"})
    result.stdout.fnmatch_lines(["SKIPPED *--activation my_module:*", "SKIPPED *--gradient-source my_module:*"])


# Activations


@pytest.mark.more
def test_a_right_activation_passes_alone_in_networks_and_mixed(run_suite):
    result, outcomes = run_suite("--activation", "mine:right", "--gradient-networks", 1)
    assert result.ret == 0
    assert set(outcomes) == {"PASSED"}
    passed = outcomes["PASSED"]
    assert count(passed, RECORD) == 1
    assert [count(passed, ORACLES, name) for name in ("jax", "complex-step", "finite-difference", "ball")] == [1] * 4
    assert count(passed, IN_NETWORKS, "alone") == count(passed, IN_NETWORKS, "mixed with others") == 1
    result.stdout.fnmatch_lines(["2 networks, 7 sources: 2 agree, 0 disagree, 0 inconclusive"])


def test_the_networks_contain_the_activation(run_suite, pytester):
    run_suite("--activation", "mine:numpy_only", "--gradient-networks", 2, "--gradient-report", "all.json")
    checks = json.loads((pytester.path / "all.json").read_text())["checks"]
    hidden = {check["test"].partition("::")[2]: check["report"]["subject"]["hidden"] for check in checks}
    assert len(hidden) == 4
    assert all("numpy_only" in names for names in hidden.values())
    assert all(set(names) == {"numpy_only"} for test, names in hidden.items() if "alone" in test)
    assert any(set(names) != {"numpy_only"} for test, names in hidden.items() if "mixed" in test)


@pytest.mark.more
def test_a_wrong_activation_fails_alone_under_each_oracle_and_in_networks(run_suite, without_jax):
    result, outcomes = run_suite("--activation", "mine:wrong", "--gradient-networks", 4)
    assert result.ret == 1
    failed = outcomes["FAILED"]
    assert (count(failed, RECORD), count(failed, ORACLES)) == (1, 4)
    assert count(failed, IN_NETWORKS, "alone")
    assert count(failed, IN_NETWORKS, "mixed with others")
    result.stdout.fnmatch_lines(["DISAGREE: the odd one out is slope *", "the slope differs from jax at *"])
    result.stdout.fnmatch_lines(["DISAGREE: the odd ones out are loop, vectorized (of *", "*smallest network*"])


@pytest.mark.parametrize(
    ("names", "options", "passed", "failed"),
    [
        (["right", "wrong"], "record", {RECORD: 1}, {RECORD: 1}),
        (["numpy_only"], "record or slope", {RECORD: 1, ORACLES: 1}, {}),  # the other oracles cannot run it: skipped
        (["undeclared"], "record or slope", {ORACLES: 4}, {RECORD: 1}),  # a kink that is not declared is inconclusive
    ],
)
def test_each_activation_passes_or_fails_by_its_record(run_suite, registry, names, options, passed, failed):
    chosen = [argument for name in names for argument in ("--activation", f"mine:{name}")]
    result, outcomes = run_suite(*chosen, "-k", options)
    for outcome, counts in (("PASSED", passed), ("FAILED", failed)):
        assert Counter(name.partition("[")[0] for name in outcomes.get(outcome, ())) == counts
    assert "numpy_only" not in registry
    if names == ["numpy_only"]:
        result.stdout.fnmatch_lines(["SKIPPED * the formula fails under jax: *"])


# Gradient sources


@pytest.mark.more
@pytest.mark.parametrize(
    ("name", "networks", "passed", "failed"),
    [
        ("right_source", 2, {ALL: 2, EACH: 7, TWICE: 2, ARGUMENTS: 2}, {}),
        ("wrong_source", 1, {TWICE: 1, ARGUMENTS: 1}, {ALL: 1, EACH: 7}),
    ],
)
def test_a_source_passes_or_fails_beside_all_and_beside_each(run_suite, name, networks, passed, failed):
    result, outcomes = run_suite("--gradient-source", f"mine:{name}", "--gradient-networks", networks)
    assert result.ret == bool(failed)
    for outcome, counts in (("PASSED", passed), ("FAILED", failed)):
        assert {test: count(outcomes.get(outcome, ()), test) for test in (ALL, EACH, TWICE, ARGUMENTS)} == {
            **dict.fromkeys((ALL, EACH, TWICE, ARGUMENTS), 0),
            **counts,
        }
    agree, disagree = (0, 1) if failed else (2, 0)
    line = f"{agree + disagree} network*, 8 sources: {agree} agree, {disagree} disagree, 0 inconclusive"
    result.stdout.fnmatch_lines([line])


def test_networks_that_a_source_does_not_take_are_skipped(run_suite, without_jax):
    result, outcomes = run_suite("--gradient-source", "mine:picky_source", "--gradient-networks", 4)
    assert result.ret == 0
    assert set(outcomes) == {"PASSED"}
    assert 0 < count(outcomes["PASSED"], TWICE) < 4
    result.stdout.fnmatch_lines(["SKIPPED * it does not take this network: sigmoid outputs only"])


@pytest.mark.parametrize(
    ("source", "test", "complaint"),
    [
        ("rude_source", ARGUMENTS, "*θ changed in place: take a copy before writing to it*"),
        ("random_source", TWICE, "*Arrays are not equal*"),
    ],
)
def test_a_broken_rule_fails(run_suite, source, test, complaint):
    result, outcomes = run_suite("--gradient-source", f"mine:{source}", "--gradient-networks", 1, "-k", test)
    assert [name.partition("[")[0] for name in outcomes["FAILED"]] == [test]
    result.stdout.fnmatch_lines([complaint])


# What a failure shows, and which networks are drawn
