"""Submissions that read sizes and λ from constants of their file, and that keep cost and gradient apart."""

import ast

import pytest
from harness.grading.calling.constants import with_constants
from harness.grading.calling.signatures import functions_in
from harness.grading.grading import AGREE, DISAGREE, INCONCLUSIVE

from tests.grading.submissions import course
from tests.grading.test_grading import graded_here

APART = """\
import numpy as np
INPUT, HIDDEN = 6, 4
LABELS = 10
LAMBDA = 1

def sig(z): return 1 / (1 + np.exp(-z))

def unrolled(theta):
    k = HIDDEN * (INPUT + 1)
    return theta[:k].reshape(HIDDEN, -1), theta[k:].reshape(LABELS, -1)

def predict(T1, T2, X):
    a = np.column_stack([np.ones(len(X)), X])
    b = np.column_stack([np.ones(len(X)), sig(a @ T1.T)])
    return a, b, sig(b @ T2.T)

def cost(theta, X, y):
    T1, T2 = unrolled(theta)
    h, Y, m = predict(T1, T2, X)[2], np.eye(LABELS)[y], len(X)
    J = -np.sum(Y * np.log(h) + (1 - Y) * np.log(1 - h)) / m
    return J + LAMBDA / (2 * m) * (np.sum(T1[:, 1:] ** 2) + np.sum(T2[:, 1:] ** 2))

def gradient(theta, X, y):
    T1, T2 = unrolled(theta)
    a, b, h = predict(T1, T2, X)
    d, m = h - np.eye(LABELS)[y], len(X)
    e = (d @ T2 * b * (1 - b))[:, 1:]
    R1, R2 = T1.copy(), T2.copy()
    R1[:, 0] = R2[:, 0] = 0
    return np.r_[(e.T @ a / m + LAMBDA / m * R1).ravel(), (d.T @ b / m + LAMBDA / m * R2).ravel()]
"""


def test_sizes_and_lambda_in_constants_are_set_to_those_of_the_problem(tmp_path):
    grade = graded_here(tmp_path, "a.py", APART)
    assert (grade.verdict, grade.points, grade.diagnosis) == (AGREE, 100.0, ())
    told = [f"{name} as a constant of the file" for name in ("INPUT", "HIDDEN", "LABELS", "LAMBDA")]
    assert set(told) < set(grade.conventions)
    assert grade.notes == ()


def test_a_function_named_predict_that_is_no_prediction_is_not_counted(tmp_path):
    assert graded_here(tmp_path, "a.py", APART).helpers["predict"].outcome == "absent"


def test_a_wrong_gradient_apart_is_read_in_the_way_in_which_the_cost_is_right(tmp_path):
    grade = graded_here(tmp_path, "a.py", APART.replace("LAMBDA / m * R1", "LAMBDA * R1"))
    assert (grade.verdict, grade.cost, grade.gradient, grade.regularised) == (DISAGREE, "right", "right", "wrong")
    assert grade.diagnosis[1].startswith("Theta1 weights: off by ")


def test_why_a_cost_apart_is_not_answered_is_told(tmp_path):
    grade = graded_here(tmp_path, "a.py", APART.replace("    J = -np", "    J = 1 / 0\n    J = -np"))
    assert (grade.verdict, grade.gradient) == (INCONCLUSIVE, "right")
    assert grade.diagnosis == ("no cost was answered; what is there is right", "ZeroDivisionError: division by zero")


def test_a_cost_that_is_rounded_is_told_so(tmp_path):
    grade = graded_here(tmp_path, "a.py", course(("return J, grad", "return round(J, 4), grad")))
    assert grade.diagnosis == ("the cost is wrong: it is rounded to 4 decimals", "the gradient is right")


TAKES_NONE = APART.replace("LAMBDA = 1\n", "class Settings:\n    weight = 2.5\n").replace("LAMBDA", "Settings.weight")


def test_a_lambda_in_the_code_is_that_of_the_problems(tmp_path, run_command):
    grade = graded_here(tmp_path, "a.py", TAKES_NONE)
    assert (grade.verdict, grade.points, grade.diagnosis) == (AGREE, 100.0, ())
    assert "λ = 2.5 in the code, which takes no other" in grade.conventions
    code, out, _ = run_command("diagnose", tmp_path / "a.py", "--problems", "3")
    assert (code, "λ = 2.5 in the code" in out) == (0, True)


def test_a_bug_beside_a_lambda_in_the_code_is_named_and_shown_with_it(tmp_path):
    grade = graded_here(tmp_path, "a.py", TAKES_NONE.replace("* b * (1 - b)", "* 1"))
    assert (grade.cost, grade.gradient, grade.regularised) == ("right", "wrong", "right")
    assert grade.bugs == ("slope-missing",)
    assert grade.smallest is not None
    assert grade.smallest.asked.problem.l2 == 2.5


def test_who_does_not_regularise_at_all_has_no_lambda_in_the_code(tmp_path):
    text = APART.replace("LAMBDA = 1\n", "").replace("LAMBDA", "0")
    assert graded_here(tmp_path, "a.py", text).regularised == "wrong"


NOT_SET = {
    "the function has its own": "LAMBDA = 1\ndef cost(theta, X, y, lam): return LAMBDA",
    "a name of its own hides it": "LAMBDA = 1\ndef cost(theta, X, y):\n    LAMBDA = 2\n    return LAMBDA",
    "two are read": "LAMBDA = 1\nREG = 2\ndef cost(theta, X, y): return LAMBDA + REG",
    "it is set twice": "LAMBDA = 1\nLAMBDA = 2\ndef cost(theta, X, y): return LAMBDA",
    "it is no number": "LAMBDA = f()\ndef cost(theta, X, y): return LAMBDA",
    "it is not read": "LAMBDA = 1\ndef cost(theta, X, y): return 0",
    "sizes are given": "HIDDEN = 5\ndef cost(theta, layers, X, y): return HIDDEN",
    "it is no function of theta": "LAMBDA = 1\ndef g(z): return LAMBDA",
}


@pytest.mark.parametrize("text", NOT_SET.values(), ids=NOT_SET)
def test_what_is_not_known_to_be_a_setting_is_left_as_it_is(text):
    tree = ast.parse(text)
    functions = list(functions_in(tree))
    assert with_constants(tree, functions) == functions


def test_a_stand_in_keeps_defaults_and_needs_the_rest():
    tree = ast.parse("LAMBDA = 1\ndef helper(): return LAMBDA\ndef cost(theta, X, y, verbose=False): return helper()")
    function = with_constants(tree, list(functions_in(tree)))[1]
    assert (function.called, function.required, function.constants) == ("cost", 4, ("LAMBDA",))
    assert function.stand_in == (
        "def cost_by_constants(theta, X, y, l2, verbose=False): "
        "cost.__globals__.update(LAMBDA=l2); return cost(theta, X, y, verbose=verbose)"
    )
