"""Submissions graded: right ones in any convention pass, wrong ones get their bug, broken ones the kind of failure."""

import os
import time
from dataclasses import replace
from typing import NamedTuple

import pytest

from harness.facts.fact import Severity, kinds_of
from harness.facts.kinds import Kind
from harness.grading.convention_search import find_interface
from harness.grading.function_diagnosis import diagnose
from harness.grading.grade import AGREE, ANSWERED, DISAGREE, ERROR, INCONCLUSIVE, Rubric
from harness.grading.submission_files import read_submission
from harness.grading.submission_grading import GradingPlan, grade, judge
from tests.grading.handed_in import MICROGRAD, TRAINER
from tests.grading.submissions import (
    BROKEN,
    BY_MATRICES,
    BY_ROWS,
    COURSE,
    FROM_0,
    JAX_COST,
    LOOP,
    NEEDS_A_PROCESS,
    PENALTY,
    RETURN,
    RIGHT,
    TWO_FUNCTIONS,
    WRONG,
    Here,
    apart,
    at_start,
    course,
    grade_folder,
    graded_here,
    keeping,
    kinds,
    notebook,
    returning,
    written,
)

DEEP = os.environ.get("HARNESS_PROFILE") == "deep"

ALL_RIGHT = "right right right"


def parts_of(grade):
    return " ".join(grade.outcomes[name] for name in ANSWERED)


@pytest.mark.parametrize("name", [name for name in RIGHT if name not in NEEDS_A_PROCESS])
@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")  # np.matrix, which students use
def test_a_right_submission_passes_in_any_convention(name, tmp_path):
    text, conventions = RIGHT[name]
    grade = graded_here(tmp_path, name, text)
    assert (grade.verdict, parts_of(grade), grade.points) == (AGREE, ALL_RIGHT, 100.0)
    assert list(grade.conventions) == conventions
    assert (grade.diagnosis, grade.smallest) == ((), None)


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_submission_gets_its_bug(name, tmp_path):
    text, bug = WRONG[name]
    grade = graded_here(tmp_path, name, text)
    assert grade.verdict == DISAGREE
    assert bug in " ".join(grade.bugs)
    sets = [{*bugs.split(" and ")} for bugs in grade.bugs]
    assert not any(fewer < bugs for fewer in sets for bugs in sets)
    assert 0.0 < grade.points < 100.0
    assert grade.smallest is not None
    assert all(fact.severity == Severity.WRONG for fact in grade.diagnosis)


class Case(NamedTuple):
    """A submission; its verdict, its parts, its points, and the kinds of what is wrong or missing."""

    text: str
    verdict: str
    parts: str
    points: float
    kinds: tuple[Kind, ...] = ()


BIASES_ZEROED = ("    grad = np", "    Theta1[:, 0] = 0\n    grad = np")
LABELS_SHIFTED = ("    m = X", "    y -= 1\n    m = X")
SLOPE_BY_HAND = ("sigmoid_gradient(z2)", "sigmoid(z2) * (1 - sigmoid(z2))")
GETS_A = ("sigmoid_gradient(z2)", "sigmoid_gradient(a2[:, 1:])")
SLOPE_FROM_A = "def sigmoid_prime(a):\n    return a * (1 - a)\n"
OF_A = ("return g * (1 - g)", "return z * (1 - z)")
SINGLE_COST = course(("    return J, grad", "    return (J * np.ones(1)).astype(np.dtype('f' + '4'))[0]"))

R, W, N = "right", "wrong", "absent"
UNKNOWN = (ERROR, f"{N} {N} {N}", 0.0, (Kind.CONVENTION_UNKNOWN,))
WRONG_REGULARISER = (DISAGREE, f"{R} {R} {W}", 90.0, (Kind.COST_PATTERN,))
WRONG_MEAN = (DISAGREE, f"{W} {W} {R}", 30.0, (Kind.COST_PATTERN,))
WRONG_MEAN_ALONE = (DISAGREE, f"{W} {R} {R}", 70.0, (Kind.COST_PATTERN,))
MISSING = (Kind.PART_MISSING,)
WRONG_GRADIENT = (DISAGREE, f"{R} {W} {R}", 60.0)
WRONG_SUMS = (DISAGREE, f"{W} {W} {R}", 30.0)
WRONG_PENALTY = (DISAGREE, f"{R} {R} {W}", 80.0, (Kind.WRONG_SOMEWHERE, Kind.REGULARISER))
SOMEWHERE, KEPT = (Kind.WRONG_SOMEWHERE,), (Kind.NOT_REPEATABLE,)
EACH_DIGIT = "np.eye(num_labels)[np.ravel(y) - 1]"
CHANGED = (Kind.ARGUMENT_CHANGED,)

SUMS_OF_FILE = (
    ("def sigmoid(z)", "SUMS = {}\ndef sigmoid(z)"),
    (
        "    Theta2_grad = d3.T @ a2 / m",
        "    S = Theta2.shape\n    SUMS[S] = d3.T @ a2 / m + SUMS.get(S, 0)\n    Theta2_grad = +SUMS[S]",
    ),
)
SUMS = ("        G1, G2 = D2.T @ A1 / m, D3.T @ A2 / m\n", "        G1, G2 = D2.T @ A1 / m, self.add(D3.T @ A2 / m)\n")
SUMS_OF_OBJECT = "    sums = 0.0\n    def add(self, G):\n        self.sums = self.sums + G\n        return +self.sums\n"
STEP = ("        return J, G1", "        self.Theta1 = self.Theta1 - G1\n        return J, G1")
FIRST_X = ("        A1 = ", "        self.X = X = getattr(self, 'X', X)\n        A1 = ")
RESET = "    def reset(self):\n        self.lam = 0.0\n"
ZERO_GRAD = ("    def computeCost", "    def zero_grad(self):\n        self.sums = 0.0\n    def computeCost")
MADE_WITH_THETA = (
    ("n_input, n_hidden, n_output, lam", "Theta1, Theta2, lam"),
    ("np.random.rand(n_hidden, n_input + 1)", "Theta1"),
    ("np.random.rand(n_output, n_hidden + 1)", "Theta2"),
)


def net(*edits):
    """A class whose method returns the cost and the gradients, with parts of its text replaced."""
    text = TRAINER
    for old, new in edits:
        assert old in text, old
        text = text.replace(old, new)
    return text + SUMS_OF_OBJECT


CASES = {
    # each part is judged by itself
    "wrong sign": Case(WRONG["sign.py"][0], DISAGREE, f"{R} {W} {R}", 60.0),
    "no λ in the gradient": Case(WRONG["no_lambda.py"][0], DISAGREE, f"{R} {R} {W}", 90.0),
    "no λ in the cost": Case(course((PENALTY, "")), DISAGREE, f"{R} {R} {W}", 90.0),
    "half the cost": Case(WRONG["half_cost.py"][0], DISAGREE, f"{W} {R} {R}", 70.0),
    "two bugs": Case(WRONG["two_at_once.py"][0], DISAGREE, f"{R} {W} {W}", 50.0),
    # a part is missing, or not filled in yet
    "no gradient": Case(returning("J"), INCONCLUSIVE, f"{R} {N} {R}", 60.0, MISSING),
    "no gradient, and a wrong cost": Case(returning("J / 2"), DISAGREE, f"{W} {N} {W}", 10.0, MISSING),
    "a cost beside a gradient of another shape": Case(
        returning("J, grad[:-1]"), INCONCLUSIVE, f"{R} {N} {R}", 60.0, (Kind.GRADIENT_SHAPE,)
    ),
    "a cost for each example": Case(
        returning("grad") + "def cost(nn_params, X, y, lambda_):\n    return np.ones(len(X))\n",
        INCONCLUSIVE,
        f"{N} {R} {R}",
        70.0,
        (*MISSING, Kind.GRADIENT_SHAPE),
    ),
    "a cost beside text": Case(
        returning("J, 'grad'"), INCONCLUSIVE, f"{R} {N} {R}", 60.0, (*MISSING, Kind.NOT_AN_ANSWER)
    ),
    "a wrong cost beside a gradient of another shape": Case(
        returning("J / 2, grad[:-1]"), ERROR, f"{N} {N} {N}", 10.0, (Kind.GRADIENT_SHAPE,)
    ),
    "cost as text": Case(returning("'%.4f' % J, grad"), INCONCLUSIVE, f"{N} {R} {R}", 70.0, MISSING),
    "cost in float32": Case(SINGLE_COST, INCONCLUSIVE, f"{R} {N} {R}", 60.0, MISSING),
    "nothing filled in": Case(
        returning("0, 0 * grad"), DISAGREE, f"{W} {W} {W}", 10.0, (Kind.COST_CONSTANT, Kind.ZERO)
    ),
    "no gradient filled in": Case(returning("J, 0 * grad"), DISAGREE, f"{R} {W} {W}", 50.0, (Kind.ZERO,)),
    # costs that no bug of the zoo gives
    "last example skipped": Case(LOOP.replace("range(m)", "range(m - 1)"), *WRONG_MEAN),
    "last example twice": Case(LOOP.replace("range(m)", "[*range(m), -1]"), *WRONG_MEAN),
    "sign of a term": Case(course(("np.log(h) + (1", "np.log(h) - (1")), *WRONG_MEAN_ALONE),
    "last class skipped": Case(
        course(("h)) / m", "h))[:, :-1]) / m"), ("= -np.sum(Y", "= -np.sum((Y")), *WRONG_MEAN_ALONE
    ),
    "no λ, with an ε": Case(course((PENALTY, ""), ("np.log(h)", "np.log(h + 1e-9)")), *WRONG_REGULARISER),
    "λ / 2 * m": Case(course(("/ (2 * m) *", "/ 2 * m *")), *WRONG_REGULARISER),
    "λ / (2 * m * m)": Case(course(("/ (2 * m) *", "/ (2 * m * m) *")), *WRONG_REGULARISER),
    "both": Case(
        LOOP.replace("range(m)", "range(m - 1)").replace("/(2*m)*", "/2*m*"),
        DISAGREE,
        f"{W} {W} {W}",
        15.0,
        (Kind.COST_PATTERN,),
    ),
    "a cost with the biases of one layer": Case(
        course(("Theta1[:, 1:] ** 2", "Theta1 ** 2")),
        DISAGREE,
        f"{R} {R} {W}",
        90.0,
        (Kind.COST_PATTERN,),
    ),
    "the biases of one layer regularised": Case(
        course(
            ("Theta2[:, 1:] ** 2", "Theta2 ** 2"),
            ("Theta2_grad[:, 1:] += lambda_ / m * Theta2[:, 1:]", "Theta2_grad += lambda_ / m * Theta2"),
        ),
        DISAGREE,
        f"{R} {R} {W}",
        80.0,
        (Kind.COST_PATTERN, Kind.REGULARISER),
    ),
    "a wrong sigmoid, by rows": Case(
        course(BY_ROWS, ("np.exp(-z)", "np.exp(z)")),
        DISAGREE,
        f"{W} {W} {R}",
        25.0,
        (Kind.HELPER_WRONG,),
    ),
    "rounded": Case(returning("round(J, 4), grad"), DISAGREE, f"{W} {R} {W}", 60.0, (Kind.COST_PATTERN,)),
    "NaN": Case(returning("J * float('nan'), grad"), DISAGREE, f"{W} {R} {W}", 60.0, (Kind.COST_NOT_FINITE,)),
    # gradients that no bug of the zoo gives
    "unlike any bug": Case(course(("d3 = h - Y", "d3 = h - np.cos(Y)")), DISAGREE, f"{R} {W} {R}", 60.0),
    "swapped": Case(
        returning("J, np.r_[grad[1], grad[0], grad[2:]]"), DISAGREE, f"{R} {W} {R}", 60.0, (Kind.REARRANGED,)
    ),
    "an entry is NaN": Case(
        returning("J, np.where(np.arange(grad.size) == 3, np.nan, grad)"),
        DISAGREE,
        f"{R} {W} {W}",
        50.0,
        (Kind.NOT_FINITE,),
    ),
    # float32 allows for its rounding where the code names it, and for nothing else
    "as if in float32": Case(returning("J * (1 + 1e-7), grad"), DISAGREE, f"{W} {R} {W}", 60.0),
    "factor in float32": Case(
        returning("J, grad.astype(np.float32) * np.float32(1.0001)"), DISAGREE, f"{R} {W} {W}", 50.0
    ),
    "cost in float64": Case(returning("J * 1.0001, grad.astype(np.float32)"), DISAGREE, f"{W} {R} {W}", 60.0),
    # nothing shows how it is meant to be called: right in a layout that is not tried, and the same, wrong
    "unknown layout": Case(apart("b2 W2 W1 b1"), *UNKNOWN),
    "unknown layout, wrong": Case(apart("b2 W2 W1 b1").replace(" * A * (1 - A)", ""), *UNKNOWN),
    "unknown layout, constant": Case(apart("b2 W2 W1 b1", answer="np.zeros(theta.size) + J"), *UNKNOWN),
    # wrong on some problems alone
    "for one example": Case(at_start("X = X if len(X) > 1 else X / 2"), *WRONG_SUMS, SOMEWHERE),
    "after 100 examples": Case(at_start("X, y = X[:100], y[:100]"), *WRONG_SUMS, SOMEWHERE),
    "of four classes": Case(
        course(("d3 = h - Y", "d3 = (h - Y) / (2 if num_labels == 4 else 1)")),
        *WRONG_GRADIENT,
        (Kind.WRONG_SOMEWHERE, Kind.FACTOR),
    ),
    "a large λ": Case(at_start("lambda_ = min(lambda_, 5)"), *WRONG_PENALTY),
    "a small λ": Case(at_start("lambda_ = round(lambda_, 2)"), *WRONG_PENALTY),
    "for fewer examples than classes": Case(at_start("X = X / (1 + (len(X) < num_labels))"), *WRONG_SUMS, SOMEWHERE),
    "for few, but more than one": Case(at_start("X = X / (1 + (1 < len(X) < num_labels))"), *WRONG_SUMS, SOMEWHERE),
    "without λ": Case(
        course(("d3 = h - Y", "d3 = (h - Y) * (1 if lambda_ else h)")), DISAGREE, f"{R} {W} {W}", 50.0, SOMEWHERE
    ),
    # what is kept of an earlier call, and is right for some other arguments alone
    "X by shape": Case(keeping("np.column_stack([np.ones(m), X])", "X.shape"), *WRONG_SUMS, KEPT),
    "z by X": Case(keeping("a1 @ Theta1.T", "X.tobytes()"), *WRONG_SUMS, KEPT),
    "h by θ": Case(keeping("sigmoid(a2 @ Theta2.T)", "nn_params.tobytes()"), *WRONG_SUMS, KEPT),
    # an object that is called again gets its θ again, unless it was made with θ
    "sums of an object": Case(net(SUMS), DISAGREE, ALL_RIGHT, 97.5, KEPT),
    "the first X of an object": Case(net(FIRST_X), DISAGREE, ALL_RIGHT, 97.5, KEPT),
    "a method that sets λ back": Case(
        TRAINER.replace("    def train(", f"{RESET}    def train("), AGREE, ALL_RIGHT, 100.0
    ),
    "sums of an object that has zero_grad": Case(net(SUMS, ZERO_GRAD), AGREE, ALL_RIGHT, 100.0),
    "steps of an object": Case(net(STEP), AGREE, ALL_RIGHT, 100.0),
    "steps of an object made with θ": Case(net(STEP, *MADE_WITH_THETA), AGREE, ALL_RIGHT, 100.0),
    "sums of a file, by rows": Case(course(BY_ROWS, *SUMS_OF_FILE), DISAGREE, f"{R} {W} {W}", 50.0, KEPT),
    "labels by number": Case(
        keeping(EACH_DIGIT, "m"), DISAGREE, f"{R} {R} {N}", 45.0, (Kind.NOT_REPEATABLE, Kind.CALL_FAILED)
    ),
    "X by value": Case(keeping("np.column_stack([np.ones(m), X])", "(X.shape, X.tobytes())"), AGREE, ALL_RIGHT, 100.0),
    # where right code need not run
    "fails with one example": Case(at_start("X.squeeze().shape[1]; y.squeeze()[0]"), AGREE, ALL_RIGHT, 100.0),
    "fails with fewer examples than classes": Case(
        at_start("assert not 1 < len(X) < num_labels"), DISAGREE, ALL_RIGHT, 95.33, (Kind.CALL_FAILED,)
    ),
    "fails without a class": Case(at_start("assert len(np.unique(y)) == num_labels"), AGREE, ALL_RIGHT, 100.0),
    # arguments changed in place: a part of their own where that makes the next answer wrong
    "θ changed": Case(course(BIASES_ZEROED), DISAGREE, ALL_RIGHT, 97.5, CHANGED),
    "labels changed": Case(course(LABELS_SHIFTED, FROM_0), DISAGREE, ALL_RIGHT, 97.5, CHANGED),
    "matrices changed": Case(
        BY_MATRICES.replace("Theta1.copy(), Theta2.copy()", "Theta1, Theta2"), DISAGREE, ALL_RIGHT, 95.0, CHANGED
    ),
    "shape changed": Case(at_start("y.shape = -1, 1"), AGREE, ALL_RIGHT, 100.0),
    "X changed by a wrong one": Case(at_start("X += 1"), DISAGREE, f"{W} {W} {R}", 30.0),
    "θ changed, and not understood": Case(at_start("nn_params *= 1.01"), *UNKNOWN[:2], 10.0, UNKNOWN[3]),
    # what y has of the classes
    "classes of y": Case(
        course((EACH_DIGIT, "np.zeros((m, num_labels)); k = np.unique(y); Y[:, :len(k)] = y[:, None] == k")),
        AGREE,
        ALL_RIGHT,
        100.0,
    ),
    "an encoder of y": Case(
        course((EACH_DIGIT, "(np.unique(y) == np.ravel(y)[:, None]).astype(float)")), AGREE, ALL_RIGHT, 100.0
    ),
    "an encoder of y, and another mistake": Case(
        course(
            (EACH_DIGIT, "(np.unique(y) == np.ravel(y)[:, None]).astype(float)"), ("d3 = h - Y", "d3 = 2 * (h - Y)")
        ),
        *WRONG_GRADIENT,
    ),
    "an encoder that makes one column of two classes": Case(
        course((EACH_DIGIT, "np.eye(num_labels)[np.ravel(y) - 1][:, int(num_labels == 2) :]")), AGREE, ALL_RIGHT, 100.0
    ),
    "labels begin where y does": Case(
        course((EACH_DIGIT, "np.eye(num_labels)[np.ravel(y) - np.min(y)]")), AGREE, ALL_RIGHT, 100.0
    ),
    # and beside all that
    "wrong helper": Case(
        course(SLOPE_BY_HAND, ("return g * (1 - g)", "return g")), DISAGREE, ALL_RIGHT, 95.0, (Kind.HELPER_WRONG,)
    ),
    "a slope from a that gets a": Case(course(OF_A, GETS_A), AGREE, ALL_RIGHT, 100.0),
    "a slope from a that gets z": Case(course(OF_A), DISAGREE, f"{R} {W} {R}", 55.0, (Kind.HELPER_WRONG,)),
    "a slope from a, and no function": Case(
        course(OF_A).partition("def nn_cost_function")[0],
        ERROR,
        f"{N} {N} {N}",
        5.0,
        (Kind.NO_HOMEWORK_FUNCTION, Kind.HELPER_WRONG),
    ),
    "a slope from a, in an unknown layout": Case(
        f"{apart('b2 W2 W1 b1')}\n{SLOPE_FROM_A}", ERROR, f"{N} {N} {N}", 5.0, (Kind.CONVENTION_UNKNOWN,)
    ),
    "a slope from a, and no gradient": Case(
        course(OF_A, (RETURN, "    return J")), DISAGREE, f"{R} {N} {R}", 55.0, (Kind.HELPER_WRONG, Kind.PART_MISSING)
    ),
    "random": Case(returning("J + np.random.rand(), grad"), DISAGREE, f"{W} {R} {W}", 60.0, (Kind.NOT_REPEATABLE,)),
    "fails on one exercise": Case(at_start("assert X.shape[0] != 11"), DISAGREE, ALL_RIGHT, 95.33, (Kind.CALL_FAILED,)),
    "fails on two of fifteen": Case(
        at_start("assert X.shape[0] not in (11, 130)"), DISAGREE, ALL_RIGHT, 90.67, (Kind.CALL_FAILED,)
    ),
    "returns nothing": Case(
        course(("np.eye(num_labels)[np.ravel(y) - 1]", "0 * y[:, :1] + y"), (RETURN, "")),
        ERROR,
        f"{N} {N} {N}",
        10.0,
        (Kind.NOT_AN_ANSWER,),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_submission_gets_its_verdict_parts_points_and_kinds(name, tmp_path):
    case = CASES[name]
    grade = graded_here(tmp_path, "a.py", case.text)
    assert (grade.verdict, parts_of(grade), grade.points) == case[1:4]
    assert kinds(grade.diagnosis) == list(case.kinds)
    right = {name for fact in grade.diagnosis if fact.kind == Kind.PART_RIGHT for name in fact.where}
    assert all(grade.outcomes[name] == R for name in right)


def test_the_sizes_at_which_alone_code_runs_are_told_without_the_number_of_examples(tmp_path):
    notes = graded_here(tmp_path, "a.py", at_start("assert X.shape[1] == 400")).notes
    assert [fact.where for fact in notes if fact.kind == Kind.COURSE_SIZE_ONLY] == [("400-25-10",)]


def test_what_takes_the_classes_from_y_is_told(tmp_path):
    notes = graded_here(tmp_path, "a.py", CASES["an encoder of y"].text).notes
    assert Kind.CLASSES_FROM_Y in kinds(notes)
    (tmp_path / "a.py").write_text(CASES["an encoder of y"].text)
    found = diagnose(str(tmp_path / "a.py"))
    assert (found.verdict, Kind.CLASSES_FROM_Y in kinds(found.notes)) == (AGREE, True)


@pytest.mark.parametrize("name", ["an encoder of y", "an encoder that makes one column of two classes"])
def test_the_smallest_network_shows_nothing_else_than_the_mistake(name, tmp_path):
    smallest = graded_here(tmp_path, "a.py", CASES[name].text.replace("d3 = h - Y", "d3 = 2 * (h - Y)")).smallest
    assert smallest is not None
    assert smallest.exercise.is_right(smallest.answer) == (True, False)


def test_what_is_right_but_for_some_lambda_is_called_the_regulariser(tmp_path):
    (fact, *_) = graded_here(tmp_path, "a.py", CASES["a large λ"].text).diagnosis
    assert (fact.where, fact.data["wrong"]) == (("regulariser",), 1)
    (fact, *_) = graded_here(tmp_path, "b.py", CASES["for one example"].text).diagnosis
    assert (fact.where, fact.data["wrong"]) == (("cost", "gradient"), 1)
    (fact, *_) = graded_here(tmp_path, "c.py", course(("Theta1[:, 1:] ** 2", "Theta1[:, 1:-1] ** 2"))).diagnosis
    assert (fact.kind, fact.where) == (Kind.PART_UNEXPLAINED, ("regulariser",))


@pytest.mark.parametrize(("name", "processes"), [("wrong sign", 1), ("unlike any bug", 2)])
def test_only_what_no_bug_gives_on_every_problem_is_asked_for_again(name, processes, tmp_path, monkeypatch):
    starts, restart = [], Here.restart
    monkeypatch.setattr(Here, "restart", lambda process: starts.append(process) or restart(process))
    graded_here(tmp_path, "a.py", CASES[name].text)
    assert len(starts) == processes


@pytest.mark.parametrize(("first", "conventions"), [("", ("labels from 0",)), ("np.random.shuffle(X)", ())])
def test_what_is_random_throughout_shows_no_convention(first, conventions, tmp_path):
    text = course(FROM_0, (RETURN, "    J += SUMS.append(1) or 1e-3 * (len(SUMS) - 1)\n" + RETURN)) + "SUMS = []\n"
    text = text.replace("    m = X", f"    {first}\n    m = X", 1) if first else text
    grade = graded_here(tmp_path, "a.py", text)
    assert (kinds(grade.diagnosis), grade.conventions) == ([Kind.NOT_REPEATABLE], conventions)


def test_a_wrong_helper_comes_before_what_no_bug_explains(tmp_path):
    grade = graded_here(tmp_path, "a.py", course(("return g * (1 - g)", "return g * (1 + g)")))
    assert [fact.kind for fact in grade.diagnosis][::3] == [Kind.HELPER_WRONG, Kind.NO_BUG_EXPLAINS]


def test_a_number_beside_what_is_no_gradient_is_not_called_no_cost(tmp_path):
    (*_, refused) = graded_here(tmp_path, "a.py", returning("m, J, {}")).diagnosis
    assert (refused.data["answer"], refused.data["missing"]) == ("a dict", "gradient")


def test_what_is_wrong_with_a_cost_is_data(tmp_path):
    (pattern, *_) = graded_here(tmp_path, "a.py", CASES["both"].text).diagnosis
    assert pattern.data == {"mean": "last-example-missing", "share": "times-m-squared", "squares": {}}
    text = course(
        ("Theta1[:, 1:] ** 2", "Theta1 ** 2"), ("np.sum(Theta2[:, 1:] ** 2)", "2 * np.sum(Theta2[:, 1:] ** 2)")
    )
    (pattern, *_) = graded_here(tmp_path, "a.py", text).diagnosis
    assert pattern.data["squares"] == {"Theta1 biases": 1.0, "Theta2 weights": 2.0}
    (pattern, *_) = graded_here(tmp_path, "a.py", CASES["rounded"].text).diagnosis
    assert pattern.data == {"decimals": 4}


ADDED = "            self.grad += out.grad\n            other.grad += out.grad\n"


@pytest.mark.parametrize(
    ("edits", "fault", "expression"),
    [
        ([(ADDED, ADDED[: ADDED.index("\n") + 1])], "slope", "a + b"),
        ([("(1 - t ** 2)", "(1 - t)")], "slope", "a.tanh()"),
        ([(".data * out.grad", ".data")], "slope-deeper", "(a * b) * c"),
        ([("reversed(topo)", "topo")], "slope-deeper", "(a + b) * c"),
        ([("grad +=", "grad =")], "slope-twice", "(a + b) + a"),
        ([("return self + (-other)", "return other + (-self)")], "slope", "a - b"),
    ],
)
def test_a_mistake_in_an_engine_of_scalars_is_named_by_its_operation(edits, fault, expression, tmp_path):
    text = MICROGRAD
    for old, new in edits:
        assert old in text
        text = text.replace(old, new)
    grade = graded_here(tmp_path, "a.py", text)
    assert (grade.verdict, grade.bugs) == (DISAGREE, ()) or expression == "a - b"  # which the network does not use
    (found,) = grade.diagnosis
    assert (found.kind, found.data["fault"], found.data["expression"]) == (Kind.HELPER_WRONG, fault, expression)


@pytest.mark.parametrize(
    ("name", "arguments", "change"),
    [
        ("θ changed", ("nn_params",), "by up to 0.883, in 5 of 80 entries"),
        ("labels changed", ("y",), "by up to 1, in 13 of 13 entries"),
        ("matrices changed", ("Theta1", "Theta2"), "by up to 0.883, in 5 of 20 entries"),
        ("shape changed", ("y",), "from shape (13,) to (13, 1)"),
        ("X changed by a wrong one", ("X",), "by up to 1, in 39 of 39 entries"),
    ],
)
def test_a_changed_argument_is_named_with_its_change(name, arguments, change, tmp_path):
    grade = graded_here(tmp_path, "a.py", CASES[name].text)
    (fact,) = [fact for fact in (*grade.diagnosis, *grade.notes) if fact.kind == Kind.ARGUMENT_CHANGED]
    assert (tuple(fact.data["argument"]), fact.data["changes"][0]) == (arguments, change)
    assert fact.data["spoils"] == (fact in grade.diagnosis) == (grade.outcomes["other"] == "wrong")


def test_differences_for_a_gradient_keep_the_digits_of_float32(tmp_path):
    differences = """
def by_differences(p, n, h, K, X, y, lam):
    J = lambda p: nn_cost_function(p, n, h, K, X, y, lam)[0]
    return J(p), np.array([(J(p + e) - J(p - e)) / 2e-4 for e in 1e-4 * np.eye(len(p))])
"""
    process = Here(written(tmp_path, "a.py", COURSE + differences))
    interface = find_interface(process, "by_differences")  # pyright: ignore[reportArgumentType]
    small = replace(interface, exercises=interface.exercises[:4])  # without the course's own 10,285 parameters
    grade = judge(process, small, Rubric())  # pyright: ignore[reportArgumentType]
    assert (grade.verdict, grade.outcomes["cost"], grade.outcomes["gradient"]) == (DISAGREE, R, W)
    assert Kind.FLOAT32_DIGITS in kinds(grade.diagnosis)


def test_what_is_said_of_a_layer_holds_on_every_problem(tmp_path):
    assert Kind.SIGN_LOST in kinds_of(graded_here(tmp_path, "a.py", returning("J, np.abs(grad)")).diagnosis)
    starts = [
        ("    grad = np", "    Theta1_grad *= 1.7\n    grad = np"),
        ("    grad = np", "    Theta2_grad *= 1 + (m == 11)\n    grad = np"),
    ]
    for edits, is_said in ((starts[:1], True), (starts, False)):
        found = kinds_of(graded_here(tmp_path, "a.py", course(*edits)).diagnosis)
        assert (Kind.FACTOR in found, Kind.ERROR_STARTS_BELOW in found) == (True, is_said)
    by_columns = course(BY_ROWS, ('Theta1_grad.ravel(order="C")', 'Theta1_grad.ravel(order="F")'))
    moved = [fact for fact in graded_here(tmp_path, "b.py", by_columns).diagnosis if fact.kind == Kind.REARRANGED]
    assert [(fact.where, fact.data["move"]) for fact in moved] == [(("Theta1",), "unrolled")]  # and not transposed


def test_the_rubric_decides_what_a_convention_is(tmp_path):
    rubric = Rubric(conventions={"labels from 0": "bug"})
    grade = graded_here(tmp_path, "a.py", RIGHT["from_0.py"][0], rubric)
    assert (grade.verdict, grade.outcomes["cost"], grade.outcomes["gradient"]) == (DISAGREE, W, W)
    assert (kinds(grade.diagnosis), grade.diagnosis[0].where) == ([Kind.CONVENTION_REFUSED], ("labels from 0",))
    assert graded_here(tmp_path, "b.py", COURSE, rubric).verdict == AGREE


def test_a_wrong_answer_is_read_in_the_nearest_convention(tmp_path):
    text = RIGHT["by_rows_from_0.py"][0].replace(
        "a1 = np.column_stack([np.ones(m)", "a1 = np.column_stack([np.ones(m) / 3"
    )
    grade = graded_here(tmp_path, "a.py", text)
    assert (grade.verdict, list(grade.conventions)) == (DISAGREE, ["labels from 0", "θ and gradient by rows"])


def test_a_few_percent_of_a_wrong_answer_make_no_convention_another(tmp_path):
    grade = graded_here(tmp_path, "a.py", LOOP.replace("exp(-z)", "exp(z)"))
    assert (grade.verdict, [each for each in grade.conventions if "labels" in each]) == (DISAGREE, [])


# sizes and λ in constants, and cost and gradient apart


def test_constants_are_set_to_the_problem_s_sizes_and_lambda(tmp_path):
    grade = graded_here(tmp_path, "a.py", TWO_FUNCTIONS)
    assert (grade.verdict, grade.points, grade.diagnosis, grade.notes) == (AGREE, 100.0, (), ())
    constants = [f"{name} as a constant of the file" for name in ("INPUT", "HIDDEN", "LABELS", "LAMBDA")]
    assert set(constants) < set(grade.conventions)
    assert grade.helpers["predict"].outcome == "absent"  # a forward pass of that name, and no prediction


def test_a_wrong_gradient_apart_is_read_in_the_way_in_which_the_cost_is_right(tmp_path):
    grade = graded_here(tmp_path, "a.py", TWO_FUNCTIONS.replace("LAMBDA / m * R1", "LAMBDA * R1"))
    assert (grade.verdict, parts_of(grade)) == (DISAGREE, f"{R} {R} {W}")
    assert kinds(grade.diagnosis) == [Kind.REGULARISER]


def test_why_a_cost_apart_is_missing_is_a_fact(tmp_path):
    grade = graded_here(tmp_path, "a.py", TWO_FUNCTIONS.replace("    J = -np", "    J = 1 / 0\n    J = -np"))
    assert (grade.verdict, grade.outcomes["gradient"]) == (INCONCLUSIVE, R)
    assert kinds(grade.diagnosis) == [Kind.PART_MISSING, Kind.CALL_FAILED]
    assert "ZeroDivisionError" in grade.diagnosis[1].data["event"]


def test_a_failure_is_that_of_the_likeliest_function(tmp_path):
    later = "\ndef accuracy(X, theta, y):\n    return X.shape[2]\n"
    grade = graded_here(tmp_path, "a.py", at_start("np.zeros(3)[4]") + later)
    assert (grade.verdict, grade.diagnosis[0].data["function"]) == (ERROR, "nn_cost_function")


def test_a_part_that_is_missing_is_in_no_other_precision(tmp_path):
    grade = graded_here(tmp_path, "a.py", returning("grad") + "half = np.float32(0.5)\n")
    assert (grade.outcomes["gradient"], grade.conventions) == (R, ())


def test_what_takes_all_memory_is_not_called_in_every_convention(tmp_path, monkeypatch):
    process, calls = Here(written(tmp_path, "a.py", "def cost(theta, X, y, lam): raise MemoryError\n")), []
    call = process.call
    monkeypatch.setattr(process, "call", lambda *given: calls.append(given) or call(*given))
    assert find_interface(process).failure  # pyright: ignore[reportArgumentType]
    assert len(calls) <= 2 * 4 * 2  # twice for each form of θ, at small sizes and at the course's


REGRESSION = """
def nn_model(theta, X, y, Lambda):
    m, K = len(X), 10
    T1, T2 = np.reshape(theta[:20], (5, 4)), np.reshape(theta[20:], (K, 6))
    a1 = np.insert(X, 0, 1, axis=1)
    a2 = np.insert(np.tanh(a1 @ T1.T), 0, 1, axis=1)
    d3 = a2 @ T2.T - y
    D1, D2 = (d3 @ T2[:, 1:] * (1 - a2[:, 1:] ** 2)).T @ a1 / m, d3.T @ a2 / m
    return np.concatenate([D1.ravel(), D2.ravel()])
"""


@pytest.mark.more
@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"a.ipynb": notebook(returning("J")), "b.ipynb": notebook("import numpy as np", REGRESSION)}, INCONCLUSIVE),
        ({"a.py": returning("J"), "b.py": f"import numpy as np\n{REGRESSION}"}, DISAGREE),
    ],
)
def test_a_notebook_is_a_program_of_its_own(tmp_path, files, expected):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    submission = read_submission(tmp_path)
    assert submission is not None
    found = grade(submission)
    assert (found.verdict, found.outcomes["cost"]) == (expected, R)


TAKES_NO_L2 = TWO_FUNCTIONS.replace("LAMBDA = 1\n", "class Settings:\n    weight = 2.5\n").replace(
    "LAMBDA", "Settings.weight"
)


@pytest.mark.parametrize("l2", ["2.5", "0.25"])
def test_a_lambda_in_code_with_weights_and_biases_apart_is_that_of_the_exercises(l2, tmp_path):
    text = apart(parameters="W1, b1, W2, b2, X, y: K = len(b2)", answer="g1, c1, g2, c2").replace("lam", l2)
    grade = graded_here(tmp_path, "a.py", text)
    assert (grade.verdict, grade.points, grade.diagnosis) == (AGREE, 100.0, ())
    assert f"λ = {l2} in the code, which takes no other" in grade.conventions
    assert "no regulariser" not in grade.conventions


def test_a_lambda_in_the_code_is_that_of_the_exercises(tmp_path):
    grade = graded_here(tmp_path, "a.py", TAKES_NO_L2)
    assert (grade.verdict, grade.points, grade.diagnosis) == (AGREE, 100.0, ())
    assert "λ = 2.5 in the code, which takes no other" in grade.conventions
    wrong = graded_here(tmp_path, "b.py", TAKES_NO_L2.replace("* b * (1 - b)", "* 1"))
    assert (parts_of(wrong), wrong.bugs) == (f"{R} {W} {R}", ("slope-missing",))
    assert wrong.smallest is not None
    assert wrong.smallest.exercise.problem.l2 == 2.5
    without = TWO_FUNCTIONS.replace("LAMBDA = 1\n", "").replace("LAMBDA", "0")
    assert graded_here(tmp_path, "c.py", without).outcomes["regularised"] == W
    # a draft that lacks a name keeps no other function from its λ
    draft = "def nn_cost_gradient(theta, X, y, m): return missing(theta)\n"
    assert graded_here(tmp_path, "d.py", TAKES_NO_L2 + draft).verdict == AGREE


# in processes of their own


@pytest.mark.more
def test_the_precision_of_jax_is_right(tmp_path):
    found = grade(written(tmp_path, "a.py", JAX_COST), GradingPlan(timeout=60.0))
    assert (found.verdict, found.outcomes["cost"], found.outcomes["gradient"]) == (AGREE, R, R), found.diagnosis
    assert "single precision (float32)" in found.conventions


@pytest.fixture(scope="module")
def a_class(tmp_path_factory):
    """Some submissions of every kind, graded at once."""
    folder = tmp_path_factory.mktemp("class")
    names = [*BROKEN, *NEEDS_A_PROCESS, "course.py", "sign.py", "reads_data.py"]
    names += [*RIGHT, *WRONG] if DEEP else []
    texts = RIGHT | WRONG | BROKEN
    for name in names:
        (folder / name).write_text(texts[name][0], encoding="utf-8")
    return {grade.name: grade for grade in grade_folder(folder, timeout=3.0)}


EVENTS = {  # of calls that fail: a part of what happened, and of the place
    "missing_helper.py": ("name 'sigmoid' is not defined", "line 21 of missing_helper.py"),
    "missing_module.py": ("", "line 23 of missing_module.py"),
    "hangs.py": ("did not answer within", "line 17 of hangs.py"),
    "exits.py": ("called sys.exit(0)", "line 17 of exits.py"),
    "really_exits.py": ("exit code 3", ""),
    "crashes.py": ("SIGSEGV", "line 17 of crashes.py"),
    "divides.py": ("ZeroDivisionError: division by zero", "line 17 of divides.py: 1 / 0"),
    "asks_inside.py": ("EOFError", "line 17 of asks_inside.py"),
    "hungry.py": ("MemoryError", "line 17 of hungry.py"),
}


@pytest.mark.more
@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_submission_gets_its_kind_and_stops_no_other(name, a_class):
    found = a_class[name]
    assert (found.verdict, kinds(found.diagnosis)[0]) == (ERROR, BROKEN[name][1])
    event, place = EVENTS.get(name, ("", ""))
    assert event in found.diagnosis[0].data.get("event", "")
    assert place in "".join(found.diagnosis[0].where)
    assert a_class["course.py"].verdict == AGREE


@pytest.mark.more
def test_helpers_are_judged_beside_a_function_that_fails(a_class):
    names = ("divides.py", "hangs.py", "exits.py", "crashes.py")
    assert [(a_class[name].outcomes["sigmoid_gradient"], a_class[name].points) for name in names] == [(R, 10.0)] * 4


@pytest.mark.more
@pytest.mark.parametrize("name", sorted(NEEDS_A_PROCESS))
def test_a_submission_with_a_program_around_it_passes(name, a_class):
    assert (a_class[name].verdict, a_class[name].points) == (AGREE, 100.0)
    if name.startswith("own_"):
        assert [note.kind for note in a_class[name].notes] == [Kind.COURSE_SIZE_ONLY]


@pytest.mark.more
@pytest.mark.skipif(not DEEP, reason="HARNESS_PROFILE=deep grades every submission in a process of its own")
def test_processes_of_their_own_give_the_same(a_class):
    assert {name for name in RIGHT if a_class[name].verdict != AGREE} == set()
    assert {name for name, (_, bug) in WRONG.items() if bug not in " ".join(a_class[name].bugs)} == set()


def test_an_error_of_the_grader_is_one_submission_s_alone(tmp_path, monkeypatch):
    def failing(*arguments, **options):
        raise RuntimeError("no more pipes")

    monkeypatch.setattr("harness.grading.submission_grading.SubmissionProcess", failing)
    found = grade(written(tmp_path, "a.py", COURSE))
    assert (found.verdict, kinds(found.diagnosis)) == (ERROR, [Kind.GRADING_FAILED])
    assert found.diagnosis[0].data["reason"] == "RuntimeError: no more pipes"


def test_an_interruption_does_not_wait_for_a_submission_that_never_answers(tmp_path):
    (tmp_path / "right.py").write_text(COURSE)
    (tmp_path / "endless.py").write_text(at_start("while True: pass"))

    def interrupted(done):
        raise KeyboardInterrupt

    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        grade_folder(tmp_path, timeout=300.0, graded=interrupted)
    assert time.monotonic() - started < 100.0
