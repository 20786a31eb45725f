"""The checks as assertions."""

import subprocess
import sys

import jax.numpy as jnp
import numpy as np
import pytest

from harness import Network, NotApplicable, Problem, assert_gradients_agree, random_problem
from harness.assertions import check
from harness.facts import message_table
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


@pytest.mark.parametrize(
    ("arguments", "sources"),
    [
        ((PROBLEM, THETA, SOURCES), SOURCES),
        ((squares, np.ones(3), None, lambda t: jnp.sum(t * t)), ["fun", "finite-difference", "jax"]),
        ((squares, np.ones(3), lambda t: jnp.sum(t * t)), ["fun", "finite-difference", "jax"]),
    ],
    ids=["problem", "function", "reference in the third place"],
)
def test_agreement_returns_the_report(arguments, sources):
    report = assert_gradients_agree(*arguments)
    assert (report.verdict, [row.name for row in report.sources]) == ("agree", sources)


@pytest.mark.parametrize(
    ("arguments", "verdict"),
    [
        ((PROBLEM, THETA, {"mine": wrong, "loop": loop}), "DISAGREE"),
        ((PROBLEM, THETA, ["loop", "vectorized"]), "INCONCLUSIVE"),
        ((lambda t: squares(t, 2.001), np.ones(3)), "DISAGREE"),
        ((lambda t: (np.sum(np.abs(t)), np.sign(t)), np.zeros(3)), "INCONCLUSIVE"),
        ((squares, np.ones(3), None, lambda t: 2.0 * jnp.sum(t)), "DISAGREE"),
    ],
    ids=["wrong source", "one author", "wrong function", "kink", "other reference"],
)
def test_whatever_is_not_agreement_fails_with_the_whole_report(arguments, verdict):
    with pytest.raises(AssertionError) as failure:
        assert_gradients_agree(*arguments)
    first, *rest = str(failure.value).splitlines()
    assert first == "gradients do not agree"
    assert rest[0].startswith(verdict)
    for fact in check(*arguments).reasons:
        assert message_table.say(fact) in str(failure.value)


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


@pytest.mark.parametrize("option", ["explained", "options"])
@pytest.mark.parametrize("arguments", [(PROBLEM, THETA), (squares, np.ones(3))], ids=["problem", "function"])
def test_an_option_that_there_is_not_is_a_type_error(arguments, option):
    with pytest.raises(TypeError, match=option):
        assert_gradients_agree(*arguments, **{option: False})


def test_others_who_agree_are_no_agreement_of_a_source_that_takes_no_part():
    def absent(problem, theta):
        raise NotApplicable("never")

    with pytest.raises(AssertionError, match=r"not all gradients were checked: mine (.*\n)*AGREE: "):
        assert_gradients_agree(
            PROBLEM, THETA, {"mine": absent, "loop": loop, "differences": find_source("finite-difference")}
        )
    relu = Problem(Network((2, 3, 1), "relu"), np.ones((1, 2)), [[1.0]])
    report = assert_gradients_agree(relu, relu.network.init(0), ["loop", "finite-difference", "complex-step"])
    assert "complex-step" in report.left_out  # an oracle of the harness need not take everything


@pytest.mark.more
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
