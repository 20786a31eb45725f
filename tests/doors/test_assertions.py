"""The check as an assertion."""

import subprocess
import sys

import jax.numpy as jnp
import numpy as np
import pytest

from harness import Network, NotApplicable, Problem, assert_gradients_agree, random_problem
from harness.sources.loop import cost_and_gradient as loop
from harness.sources.source_names import find_source

PROBLEM, THETA = random_problem(3, extremes=False)
SOURCES = ["loop", "finite-difference"]


def wrong(problem, theta):
    cost, gradient = loop(problem, theta)
    gradient[1] += 1e-6
    return cost, gradient


def squares(theta, factor=2.0):
    return theta @ theta, factor * theta


def test_a_problem_that_agrees_gives_the_report():
    report = assert_gradients_agree(PROBLEM, THETA, SOURCES)
    assert report.verdict == "agree"
    assert [row.name for row in report.sources] == SOURCES


def test_a_function_that_agrees_gives_the_report():
    report = assert_gradients_agree(squares, np.ones(3), reference=lambda t: jnp.sum(t * t))
    assert report.verdict == "agree"
    assert [row.name for row in report.sources] == ["fun", "finite-difference", "jax"]


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ((PROBLEM, THETA, {"mine": wrong, "loop": loop}), ["DISAGREE", "mine", PROBLEM.network.label(1)]),
        ((PROBLEM, THETA, ["loop", "vectorized"]), ["INCONCLUSIVE", "author"]),
        ((lambda t: squares(t, 2.001), np.ones(3)), ["DISAGREE", "fun", "theta["]),
        ((lambda t: (np.sum(np.abs(t)), np.sign(t)), np.zeros(3)), ["INCONCLUSIVE", "theta[0]"]),
        ((squares, np.ones(3), None, lambda t: 2.0 * jnp.sum(t)), ["DISAGREE", "jax", "cost"]),
    ],
    ids=["wrong source", "one author", "wrong function", "kink", "other reference"],
)
def test_whatever_is_not_agreement_fails_with_the_whole_report(arguments, parts):
    with pytest.raises(AssertionError) as failure:
        assert_gradients_agree(*arguments)
    for part in parts:
        assert part in str(failure.value)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((PROBLEM, THETA, SOURCES, lambda t: 0.0), "a reference goes with a function"),
        ((squares, np.ones(3), SOURCES), "sources go with a Problem"),
        ((Network((2, 1)), np.ones(3)), "fun must be callable"),
    ],
)
def test_what_does_not_go_together_is_a_type_error_and_no_failure(arguments, sentence):
    with pytest.raises(TypeError, match=sentence):
        assert_gradients_agree(*arguments)


def test_others_who_agree_are_no_agreement_of_a_source_that_takes_no_part():
    def absent(problem, theta):
        raise NotApplicable("never")

    with pytest.raises(AssertionError, match=r"not all gradients were checked: mine takes no part: never\nAGREE: "):
        assert_gradients_agree(
            PROBLEM, THETA, {"mine": absent, "loop": loop, "differences": find_source("finite-difference")}
        )
    relu = Problem(Network((2, 3, 1), "relu"), np.ones((1, 2)), [[1.0]])
    report = assert_gradients_agree(relu, relu.network.init(0), ["loop", "finite-difference", "complex-step"])
    assert "complex-step" in report.left_out  # an oracle of the harness need not take everything


def test_bad_input_is_no_assertion_error():
    with pytest.raises(ValueError, match="needs theta of shape"):
        assert_gradients_agree(PROBLEM, THETA[:-1])
    with pytest.raises(ValueError, match="X must have shape"):
        assert_gradients_agree(Problem(Network((2, 1)), np.ones((1, 3)), [[1.0]]), THETA)


def test_the_assertion_also_holds_where_python_drops_asserts():
    program = (
        "import numpy as np\n"
        "from harness import assert_gradients_agree\n"
        "assert_gradients_agree(lambda t: (t @ t, t), np.ones(3))\n"
    )
    ended = subprocess.run([sys.executable, "-O", "-c", program], capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "AssertionError: gradients do not agree" in ended.stderr
    assert "DISAGREE" in ended.stderr
