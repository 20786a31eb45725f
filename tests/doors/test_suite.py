"""The ready-made suite, on activations and gradient sources that are right, wrong, and neither."""

import json
import re

import pytest

# what the projects import has to be there before, because pytest forgets what a run in this process has imported
import reference.oracles.ball_arithmetic
import reference.oracles.complex_step
import reference.oracles.jax_padded
from harness import SOURCES, assertions
from harness.checks.networks import case_files, smallest_failure
from harness.sources import bug_zoo
from harness.suite import conftest as suite

IMPORTED = (
    reference.oracles.jax_padded,
    reference.oracles.complex_step,
    reference.oracles.ball_arithmetic,
    assertions,
    case_files,
    bug_zoo,
    smallest_failure,
)

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
    """One program of JAX serves all activations, so that every new one has it compiled anew: for seconds."""
    for name in ("jax", "jax-forward"):
        monkeypatch.delitem(SOURCES, name)


def count(names, prefix, *parts):
    return sum(name.startswith(prefix) and all(part in name for part in parts) for name in names)


def test_without_anything_to_check_it_says_what_to_give(run_suite):
    result, outcomes = run_suite()
    assert result.ret == 0
    assert not outcomes
    skipped = result.parseoutcomes()["skipped"]
    assert result.parseoutcomes() == {"skipped": skipped}
    result.stdout.fnmatch_lines(
        [
            "SKIPPED * nothing to check: give --activation my_module:my_own",
            "SKIPPED * nothing to check: give --gradient-source my_module:my_own",
        ]
    )


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


def test_a_wrong_activation_fails_alone_under_each_oracle_and_in_networks(run_suite, without_jax):
    result, outcomes = run_suite("--activation", "mine:wrong", "--gradient-networks", 4)
    assert result.ret == 1
    failed = outcomes["FAILED"]
    assert (count(failed, RECORD), count(failed, ORACLES)) == (1, 4)
    assert count(failed, IN_NETWORKS, "alone")
    assert count(failed, IN_NETWORKS, "mixed with others")
    result.stdout.fnmatch_lines(
        [
            "DISAGREE: the odd one out is slope (of slope, jax, complex-step, finite-difference, ball)",
            "  slope: f'(*) = *, but ball has *",
            "    likely: the term z·g'(z) of the product rule is missing, for f(z) = z·g(z)*",
            "*values of z are at odds with jax",
            "DISAGREE: the odd ones out are loop, vectorized (of *",
            "The smallest network that still fails:",
        ]
    )


def test_oracles_that_cannot_take_part_are_skipped_and_the_rest_goes_on(run_suite, registry):
    result, outcomes = run_suite("--activation", "mine:numpy_only", "-k", "record or slope")
    assert result.ret == 0
    assert set(outcomes) == {"PASSED"}
    assert count(outcomes["PASSED"], ORACLES, "finite-difference") == count(outcomes["PASSED"], RECORD) == 1
    assert count(outcomes["PASSED"], ORACLES) == 1
    result.stdout.fnmatch_lines(
        ["SKIPPED * the formula fails under jax: *", "SKIPPED * the formula fails under ball: *"]
    )
    assert "numpy_only" not in registry


def test_an_inconclusive_record_does_not_pass(run_suite):
    result, outcomes = run_suite("--activation", "mine:undeclared", "--gradient-networks", 1, "-k", "record or slope")
    assert [name.partition("[")[0] for name in outcomes["FAILED"]] == [RECORD]
    assert count(outcomes["PASSED"], ORACLES) == 4
    result.stdout.fnmatch_lines(["*the slope jumps where the record declares no kink: z = 0.5"])


def test_several_activations_are_checked_each(run_suite):
    _, outcomes = run_suite("--activation", "mine:right", "--activation", "mine:wrong", "-k", "record")
    assert outcomes == {"PASSED": [f"{RECORD}[mine:right]"], "FAILED": [f"{RECORD}[mine:wrong]"]}


# Gradient sources


def test_a_right_source_passes_beside_all_and_beside_each(run_suite):
    result, outcomes = run_suite("--gradient-source", "mine:right_source", "--gradient-networks", 2)
    assert result.ret == 0
    passed = outcomes["PASSED"]
    assert [count(passed, test) for test in (ALL, EACH, TWICE, ARGUMENTS)] == [2, 7, 2, 2]
    result.stdout.fnmatch_lines(["2 networks, 8 sources: 2 agree, 0 disagree, 0 inconclusive"])


def test_a_wrong_source_fails_beside_all_and_beside_each(run_suite):
    result, outcomes = run_suite("--gradient-source", "mine:wrong_source", "--gradient-networks", 1)
    assert result.ret == 1
    failed, passed = outcomes["FAILED"], outcomes["PASSED"]
    assert (count(failed, ALL), count(failed, EACH), count(passed, TWICE), count(passed, ARGUMENTS)) == (1, 7, 1, 1)
    result.stdout.fnmatch_lines(
        ["DISAGREE: the odd one out is yours (of yours, *", "  yours: Theta1[[]0, bias[]] = *, but * has *"]
    )


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
def test_misconduct_fails(run_suite, source, test, complaint):
    result, outcomes = run_suite("--gradient-source", f"mine:{source}", "--gradient-networks", 1, "-k", test)
    assert [name.partition("[")[0] for name in outcomes["FAILED"]] == [test]
    result.stdout.fnmatch_lines([complaint])


def test_a_source_is_checked_on_networks_of_the_activation_that_is_given(run_suite, pytester):
    arguments = ("--activation", "mine:numpy_only", "--gradient-source", "mine:right_source", "-k", ALL)
    result, _ = run_suite(*arguments, "--gradient-networks", 4, "--gradient-report", "all.json")
    result.assert_outcomes(passed=4, deselected=28)
    checks = json.loads((pytester.path / "all.json").read_text())["checks"]
    hidden = {name for check in checks for name in check["report"]["subject"]["hidden"]}
    assert hidden == {"numpy_only"}
    assert all("jax" not in {row["name"] for row in check["report"]["sources"]} for check in checks)


# What a failure shows, and which networks are drawn


def test_a_failure_shows_the_report_and_nothing_of_the_suite(run_suite, without_jax):
    for arguments in (
        ("--activation", "mine:wrong", "-k", RECORD),
        ("--gradient-source", "mine:wrong_source", "--gradient-networks", 1, "-k", "test_beside and finite-difference"),
    ):
        result, outcomes = run_suite(*arguments)
        assert len(outcomes["FAILED"]) == 1
        result.stdout.no_fnmatch_line("*pytest.fail*")


TAME = """
def tame_source(problem, theta):
    if abs(theta).max() > 30.0 or abs(problem.X).max() > 30.0:
        raise OverflowError("too extreme")
    return right_source(problem, theta)
"""


@pytest.mark.parametrize("others", [[], ["--activation", "mine:numpy_only"]], ids=["extreme", "ordinary"])
def test_networks_are_ordinary_if_only_plain_differences_follow_one_activation(pytester, run_suite, others):
    pytester.makepyfile(mine=MODULE + TAME)
    arguments = ("--gradient-source", "mine:tame_source", "--gradient-networks", 8)
    result, outcomes = run_suite(
        "--activation", "mine:right", *others, *arguments, "-k", "test_beside and finite-difference"
    )
    assert ("FAILED" in outcomes) == (not others)
    assert ("too extreme" in result.stdout.str()) == (not others)
