"""Submissions graded: right ones in any convention pass, wrong ones get their bug, broken ones the kind of failure."""

import os
import time
from dataclasses import replace

import pytest

from harness.facts.fact import Severity
from harness.facts.kinds import Kind
from harness.grading.convention_search import find_interface
from harness.grading.function_diagnosis import diagnose
from harness.grading.grade import AGREE, DISAGREE, ERROR, INCONCLUSIVE, Rubric
from harness.grading.submission_files import read_submission
from harness.grading.submission_grading import GradingPlan, grade, judge
from tests.grading.handed_in import MICROGRAD, TRAINER
from tests.grading.submissions import (
    BROKEN,
    BY_MATRICES,
    BY_ROWS,
    COURSE,
    EACH_DIGIT,
    FROM_0,
    JAX_COST,
    LOOP,
    NEEDS_A_PROCESS,
    PENALTY,
    RETURN,
    RIGHT,
    TAKES_NO_L2,
    TWO_FUNCTIONS,
    WRONG,
    Here,
    apart,
    at_start,
    course,
    edited,
    grade_folder,
    graded_here,
    in_short,
    keeping,
    kinds,
    notebook,
    returning,
    written,
)

DEEP = os.environ.get("HARNESS_PROFILE") == "deep"


@pytest.mark.parametrize("name", [name for name in RIGHT if name not in NEEDS_A_PROCESS])
@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")  # np.matrix, which students use
def test_a_right_submission_passes_in_any_convention(name, tmp_path):
    text, conventions = RIGHT[name]
    grade = graded_here(tmp_path, name, text)
    assert (in_short(grade), list(grade.conventions)) == ("agree rrr 100", conventions)
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


BIASES_ZEROED = ("    grad = np", "    Theta1[:, 0] = 0\n    grad = np")
LABELS_SHIFTED = ("    m = X", "    y -= 1\n    m = X")
SLOPE_BY_HAND = ("sigmoid_gradient(z2)", "sigmoid(z2) * (1 - sigmoid(z2))")
GETS_A = ("sigmoid_gradient(z2)", "sigmoid_gradient(a2[:, 1:])")
SLOPE_FROM_A = "def sigmoid_prime(a):\n    return a * (1 - a)\n"
OF_A = ("return g * (1 - g)", "return z * (1 - z)")
SINGLE_COST = course(("    return J, grad", "    return (J * np.ones(1)).astype(np.dtype('f' + '4'))[0]"))

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
    return edited(TRAINER, *edits) + SUMS_OF_OBJECT


CASES = {  # a submission; its verdict, its parts, its points, and the kinds of what is wrong or missing
    # each part is judged by itself
    "wrong sign": (WRONG["sign.py"][0], "disagree rwr 60"),
    "no λ in the gradient": (WRONG["no_lambda.py"][0], "disagree rrw 90"),
    "no λ in the cost": (course((PENALTY, "")), "disagree rrw 90"),
    "half the cost": (WRONG["half_cost.py"][0], "disagree wrr 70"),
    "two bugs": (WRONG["two_at_once.py"][0], "disagree rww 50"),
    # a part is missing, or not filled in yet
    "no gradient": (returning("J"), "inconclusive r-r 60 part-missing"),
    "no gradient, and a wrong cost": (returning("J / 2"), "disagree w-w 10 part-missing"),
    "a cost beside a gradient of another shape": (returning("J, grad[:-1]"), "inconclusive r-r 60 gradient-shape"),
    "a cost for each example": (
        returning("grad") + "def cost(nn_params, X, y, lambda_):\n    return np.ones(len(X))\n",
        "inconclusive -rr 70 part-missing gradient-shape",
    ),
    "a cost beside text": (returning("J, 'grad'"), "inconclusive r-r 60 part-missing not-an-answer"),
    "a wrong cost beside a gradient of another shape": (returning("J / 2, grad[:-1]"), "error --- 10 gradient-shape"),
    "cost as text": (returning("'%.4f' % J, grad"), "inconclusive -rr 70 part-missing"),
    "cost in float32": (SINGLE_COST, "inconclusive r-r 60 part-missing"),
    "nothing filled in": (returning("0, 0 * grad"), "disagree www 10 cost-constant zero"),
    "no gradient filled in": (returning("J, 0 * grad"), "disagree rww 50 zero"),
    # costs that no bug of the zoo gives
    "last example skipped": (LOOP.replace("range(m)", "range(m - 1)"), "disagree wwr 30 cost-pattern"),
    "last example twice": (LOOP.replace("range(m)", "[*range(m), -1]"), "disagree wwr 30 cost-pattern"),
    "sign of a term": (course(("np.log(h) + (1", "np.log(h) - (1")), "disagree wrr 70 cost-pattern"),
    "last class skipped": (
        course(("h)) / m", "h))[:, :-1]) / m"), ("= -np.sum(Y", "= -np.sum((Y")),
        "disagree wrr 70 cost-pattern",
    ),
    "no λ, with an ε": (course((PENALTY, ""), ("np.log(h)", "np.log(h + 1e-9)")), "disagree rrw 90 cost-pattern"),
    "λ / 2 * m": (course(("/ (2 * m) *", "/ 2 * m *")), "disagree rrw 90 cost-pattern"),
    "λ / (2 * m * m)": (course(("/ (2 * m) *", "/ (2 * m * m) *")), "disagree rrw 90 cost-pattern"),
    "λ / (2 * (m - 1))": (course(("/ (2 * m) *", "/ (2 * (m - 1)) *")), "disagree rrw 90 cost-pattern"),
    "the last column for the first": (course(("[:, 1:] ** 2", "[:, :-1] ** 2")), "disagree rrw 90 cost-pattern"),
    "both": (LOOP.replace("range(m)", "range(m - 1)").replace("/(2*m)*", "/2*m*"), "disagree www 15 cost-pattern"),
    "a cost with the biases of one layer": (
        course(("Theta1[:, 1:] ** 2", "Theta1 ** 2")),
        "disagree rrw 90 cost-pattern",
    ),
    "the biases of one layer regularised": (
        course(
            ("Theta2[:, 1:] ** 2", "Theta2 ** 2"),
            ("Theta2_grad[:, 1:] += lambda_ / m * Theta2[:, 1:]", "Theta2_grad += lambda_ / m * Theta2"),
        ),
        "disagree rrw 80 cost-pattern regulariser",
    ),
    "a wrong sigmoid, by rows": (course(BY_ROWS, ("np.exp(-z)", "np.exp(z)")), "disagree wwr 25 helper-wrong"),
    "rounded": (returning("round(J, 4), grad"), "disagree wrw 60 cost-pattern"),
    "NaN": (returning("J * float('nan'), grad"), "disagree wrw 60 cost-not-finite"),
    # gradients that no bug of the zoo gives
    "unlike any bug": (course(("d3 = h - Y", "d3 = h - np.cos(Y)")), "disagree rwr 60"),
    "swapped": (returning("J, np.r_[grad[1], grad[0], grad[2:]]"), "disagree rwr 60 rearranged"),
    "an entry is NaN": (
        returning("J, np.where(np.arange(grad.size) == 3, np.nan, grad)"),
        "disagree rww 50 not-finite",
    ),
    # float32 allows for its rounding where the code names it, and for nothing else
    "as if in float32": (returning("J * (1 + 1e-7), grad"), "disagree wrw 60"),
    "factor in float32": (returning("J, grad.astype(np.float32) * np.float32(1.0001)"), "disagree rww 50"),
    "cost in float64": (returning("J * 1.0001, grad.astype(np.float32)"), "disagree wrw 60"),
    # nothing shows how it is meant to be called: right in a layout that is not tried, and the same, wrong
    "unknown layout": (apart("b2 W2 W1 b1"), "error --- 0 convention-unknown"),
    "unknown layout, wrong": (apart("b2 W2 W1 b1").replace(" * A * (1 - A)", ""), "error --- 0 convention-unknown"),
    "in float16": (returning("np.float16(J), grad.astype(np.float16)"), "error --- 10 convention-unknown"),
    "unknown layout, constant": (
        apart("b2 W2 W1 b1", answer="np.zeros(theta.size) + J"),
        "error --- 0 convention-unknown",
    ),
    # wrong on some problems alone
    "for one example": (at_start("X = X if len(X) > 1 else X / 2"), "disagree wwr 30 wrong-somewhere"),
    "after 100 examples": (at_start("X, y = X[:100], y[:100]"), "disagree wwr 30 wrong-somewhere"),
    "of four classes": (
        course(("d3 = h - Y", "d3 = (h - Y) / (2 if num_labels == 4 else 1)")),
        "disagree rwr 60 wrong-somewhere factor",
    ),
    "a large λ": (at_start("lambda_ = min(lambda_, 5)"), "disagree rrw 80 wrong-somewhere regulariser"),
    "a small λ": (at_start("lambda_ = round(lambda_, 2)"), "disagree rrw 80 wrong-somewhere regulariser"),
    "for fewer examples than classes": (
        at_start("X = X / (1 + (len(X) < num_labels))"),
        "disagree wwr 30 wrong-somewhere",
    ),
    "for few, but more than one": (
        at_start("X = X / (1 + (1 < len(X) < num_labels))"),
        "disagree wwr 30 wrong-somewhere",
    ),
    "without λ": (course(("d3 = h - Y", "d3 = (h - Y) * (1 if lambda_ else h)")), "disagree rww 50 wrong-somewhere"),
    # what is kept of an earlier call, and is right for some other arguments alone
    "X by shape": (keeping("np.column_stack([np.ones(m), X])", "X.shape"), "disagree wwr 30 not-repeatable"),
    "z by X": (keeping("a1 @ Theta1.T", "X.tobytes()"), "disagree wwr 30 not-repeatable"),
    "h by θ": (keeping("sigmoid(a2 @ Theta2.T)", "nn_params.tobytes()"), "disagree wwr 30 not-repeatable"),
    # an object that is called again gets its θ again, unless it was made with θ
    "sums of an object": (net(SUMS), "disagree rrr 97.5 not-repeatable"),
    "the first X of an object": (net(FIRST_X), "disagree rrr 97.5 not-repeatable"),
    "a method that sets λ back": (TRAINER.replace("    def train(", f"{RESET}    def train("), "agree rrr 100"),
    "sums of an object that has zero_grad": (net(SUMS, ZERO_GRAD), "agree rrr 100"),
    "steps of an object": (net(STEP), "agree rrr 100"),
    "steps of an object made with θ": (net(STEP, *MADE_WITH_THETA), "agree rrr 100"),
    "sums of a file, by rows": (course(BY_ROWS, *SUMS_OF_FILE), "disagree rww 50 not-repeatable"),
    "labels by number": (keeping(EACH_DIGIT, "m"), "disagree rr- 45 not-repeatable call-failed"),
    "X by value": (keeping("np.column_stack([np.ones(m), X])", "(X.shape, X.tobytes())"), "agree rrr 100"),
    # where right code need not run
    "fails with one example": (at_start("X.squeeze().shape[1]; y.squeeze()[0]"), "agree rrr 100"),
    "fails with fewer examples than classes": (
        at_start("assert not 1 < len(X) < num_labels"),
        "disagree rrr 95.33 call-failed",
    ),
    "fails without a class": (at_start("assert len(np.unique(y)) == num_labels"), "agree rrr 100"),
    # arguments changed in place: a part of their own where that makes the next answer wrong
    "θ changed": (course(BIASES_ZEROED), "disagree rrr 97.5 argument-changed"),
    "labels changed": (course(LABELS_SHIFTED, FROM_0), "disagree rrr 97.5 argument-changed"),
    "matrices changed": (
        BY_MATRICES.replace("Theta1.copy(), Theta2.copy()", "Theta1, Theta2"),
        "disagree rrr 95 argument-changed",
    ),
    "shape changed": (at_start("y.shape = -1, 1"), "agree rrr 100"),
    "X changed by a wrong one": (at_start("X += 1"), "disagree wwr 30"),
    "θ changed, and not understood": (at_start("nn_params *= 1.01"), "error --- 10 convention-unknown"),
    # what y has of the classes
    "classes of y": (
        course((EACH_DIGIT, "np.zeros((m, num_labels)); k = np.unique(y); Y[:, :len(k)] = y[:, None] == k")),
        "agree rrr 100",
    ),
    "an encoder of y": (course((EACH_DIGIT, "(np.unique(y) == np.ravel(y)[:, None]).astype(float)")), "agree rrr 100"),
    "an encoder of y, and another mistake": (
        course(
            (EACH_DIGIT, "(np.unique(y) == np.ravel(y)[:, None]).astype(float)"), ("d3 = h - Y", "d3 = 2 * (h - Y)")
        ),
        "disagree rwr 60",
    ),
    "an encoder that makes one column of two classes": (
        course((EACH_DIGIT, "np.eye(num_labels)[np.ravel(y) - 1][:, int(num_labels == 2) :]")),
        "agree rrr 100",
    ),
    "labels begin where y does": (course((EACH_DIGIT, "np.eye(num_labels)[np.ravel(y) - np.min(y)]")), "agree rrr 100"),
    # a cost and a gradient apart
    "apart, and one is read as the other": (
        TWO_FUNCTIONS.replace("LAMBDA / m * R1", "LAMBDA * R1"),
        "disagree rrw 90 regulariser",
    ),
    "apart, and one fails": (
        TWO_FUNCTIONS.replace("    J = -np", "    J = 1 / 0\n    J = -np"),
        "inconclusive -rr 70 part-missing call-failed",
    ),
    "a λ in the code, and a wrong slope": (TAKES_NO_L2.replace("* b * (1 - b)", "* 1"), "disagree rwr 60"),
    "a λ of zero in the code": (TWO_FUNCTIONS.replace("LAMBDA = 1\n", "").replace("LAMBDA", "0"), "disagree rrw 80"),
    # a draft that lacks a name keeps no other function from its λ
    "a λ in the code beside a draft": (
        f"{TAKES_NO_L2}def nn_cost_gradient(theta, X, y, m): return missing(theta)\n",
        "agree rrr 100",
    ),
    # and beside all that
    "wrong helper": (course(SLOPE_BY_HAND, ("return g * (1 - g)", "return g")), "disagree rrr 95 helper-wrong"),
    "a slope from a that gets a": (course(OF_A, GETS_A), "agree rrr 100"),
    "a slope from a that gets z": (course(OF_A), "disagree rwr 55 helper-wrong"),
    "a slope from a, and no function": (
        course(OF_A).partition("def nn_cost_function")[0],
        "error --- 5 no-homework-function helper-wrong",
    ),
    "a slope from a that nobody calls": (course(OF_A, SLOPE_BY_HAND), "disagree rrr 95 helper-wrong"),
    "a lambda for a slope from a that nobody calls": (
        course(SLOPE_BY_HAND, ("return g * (1 - g)", "return None")) + "\nsigmoid_gradient = lambda z: z * (1 - z)\n",
        "disagree rrr 95 helper-wrong",
    ),
    "a slope from a, in an unknown layout": (
        f"{apart('b2 W2 W1 b1')}\n{SLOPE_FROM_A}",
        "error --- 5 convention-unknown",
    ),
    "a slope from a, and no gradient": (
        course(OF_A, (RETURN, "    return J")),
        "disagree r-r 55 helper-wrong part-missing",
    ),
    "random": (returning("J + np.random.rand(), grad"), "disagree wrw 60 not-repeatable"),
    "fails on one exercise": (at_start("assert X.shape[0] != 11"), "disagree rrr 95.33 call-failed"),
    "fails on two of fifteen": (at_start("assert X.shape[0] not in (11, 130)"), "disagree rrr 90.67 call-failed"),
    "returns nothing": (
        course((EACH_DIGIT, "0 * y[:, :1] + y"), (RETURN, "")),
        "error --- 10 not-an-answer",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_submission_gets_its_verdict_parts_points_and_kinds(name, tmp_path):
    text, expected = CASES[name]
    grade = graded_here(tmp_path, "a.py", text)
    assert in_short(grade) == expected
    right = {name for fact in grade.diagnosis if fact.kind == Kind.PART_RIGHT for name in fact.where}
    assert all(grade.outcomes[name] == "right" for name in right)


ADDED = "            self.grad += out.grad\n            other.grad += out.grad\n"
TWICE = (("Theta1[:, 1:] ** 2", "Theta1 ** 2"), ("np.sum(Theta2[:, 1:] ** 2)", "2 * np.sum(Theta2[:, 1:] ** 2)"))
SHIFTED = {f"Theta{layer} biases": 1.0 for layer in (1, 2)} | {f"Theta{layer} last column": 0.0 for layer in (1, 2)}
BY_COLUMNS = ('Theta1_grad.ravel(order="C")', 'Theta1_grad.ravel(order="F")')
OTHER = "\ndef accuracy(X, theta, y):\n    return X.shape[2]\n"

FACTS = [  # a submission, or one of those above; the kind of a fact, and some of what it holds
    (at_start("assert X.shape[1] == 400"), Kind.COURSE_SIZE_ONLY, {"where": ("400-25-10",)}),
    # what is right but for some λ is called the regulariser
    ("a large λ", Kind.WRONG_SOMEWHERE, {"where": ("regulariser",), "wrong": 1}),
    ("for one example", Kind.WRONG_SOMEWHERE, {"where": ("cost", "gradient"), "wrong": 1}),
    (course(("Theta1[:, 1:] ** 2", "Theta1[:, 2:] ** 2")), Kind.PART_UNEXPLAINED, {"where": ("regulariser",)}),
    # a number beside what is no gradient is not called no cost
    (returning("m, J, {}"), Kind.NOT_AN_ANSWER, {"answer": "a dict", "missing": "gradient"}),
    # a failure is that of the likeliest function
    (at_start("np.zeros(3)[4]") + OTHER, Kind.CALL_FAILED, {"function": "nn_cost_function"}),
    ("in float16", Kind.CONVENTION_UNKNOWN, {"precisions": ["float16"]}),
    ("apart, and one fails", Kind.CALL_FAILED, {"event": "raised ZeroDivisionError: division by zero"}),
    # what is wrong with a cost
    ("both", Kind.COST_PATTERN, {"mean": "last-example-missing", "share": "times-m-squared", "squares": {}}),
    ("λ / (2 * (m - 1))", Kind.COST_PATTERN, {"mean": "", "share": "over-one-less", "squares": {}}),
    (course(*TWICE), Kind.COST_PATTERN, {"squares": {"Theta1 biases": 1.0, "Theta2 weights": 2.0}}),
    ("the last column for the first", Kind.COST_PATTERN, {"mean": "", "share": "", "squares": SHIFTED}),
    ("rounded", Kind.COST_PATTERN, {"decimals": 4}),
    # moved, and not transposed
    (course(BY_ROWS, BY_COLUMNS), Kind.REARRANGED, {"where": ("Theta1",), "move": "unrolled"}),
    # a mistake in an engine of scalars, by its operation
    *(
        ((MICROGRAD, edit), Kind.HELPER_WRONG, {"fault": fault, "expression": expression})
        for fault, expression, edit in (
            ("slope", "a + b", (ADDED, ADDED[: ADDED.index("\n") + 1])),
            ("slope", "a.tanh()", ("(1 - t ** 2)", "(1 - t)")),
            ("slope-deeper", "(a * b) * c", (".data * out.grad", ".data")),
            ("slope-deeper", "(a + b) * c", ("reversed(topo)", "topo")),
            ("slope-twice", "(a + b) + a", ("grad +=", "grad =")),
            ("slope", "a - b", ("return self + (-other)", "return other + (-self)")),
        )
    ),
    # an argument that is changed in place, with its change
    *(
        (name, Kind.ARGUMENT_CHANGED, {"argument": arguments, "changes": [change] * len(arguments)})
        for name, arguments, change in (
            ("θ changed", ["nn_params"], "by up to 0.883, in 5 of 80 entries"),
            ("labels changed", ["y"], "by up to 1, in 13 of 13 entries"),
            ("shape changed", ["y"], "from shape (13,) to (13, 1)"),
            ("X changed by a wrong one", ["X"], "by up to 1, in 39 of 39 entries"),
        )
    ),
    ("matrices changed", Kind.ARGUMENT_CHANGED, {"argument": ["Theta1", "Theta2"]}),
]


@pytest.mark.parametrize(("text", "kind", "data"), FACTS)
def test_a_fact_says_what_was_found(text, kind, data, tmp_path):
    text = edited(*text) if isinstance(text, tuple) else CASES.get(text, [text])[0]
    grade = graded_here(tmp_path, "a.py", text)
    (fact,) = [fact for fact in (*grade.diagnosis, *grade.notes) if fact.kind == kind]
    held = {"where": fact.where, **fact.data}
    assert {name: held[name] for name in data} == data
    if kind == Kind.HELPER_WRONG and data["expression"] != "a - b":  # which the network does not use
        assert (grade.verdict, grade.bugs, grade.diagnosis) == (DISAGREE, (), (fact,))
    if kind == Kind.ARGUMENT_CHANGED:
        assert fact.data["spoils"] == (fact in grade.diagnosis) == (grade.outcomes["other"] == "wrong")


ON_ONE_PROBLEM = ("    grad = np", "    Theta2_grad *= 1 + (m == 11)\n    grad = np")
FIRST_LAYER = ("    grad = np", "    Theta1_grad *= 1.7\n    grad = np")
SAID = [  # a submission, and of which kinds a fact is there, and of which none
    (returning("J, np.abs(grad)"), [Kind.SIGN_LOST], []),
    # what is said of a layer holds on every problem
    (course(FIRST_LAYER), [Kind.FACTOR, Kind.ERROR_STARTS_BELOW], []),
    (course(FIRST_LAYER, ON_ONE_PROBLEM), [Kind.FACTOR], [Kind.ERROR_STARTS_BELOW]),
    # a wrong helper comes before what no bug explains
    (course(("return g * (1 - g)", "return g * (1 + g)")), [Kind.HELPER_WRONG, Kind.NO_BUG_EXPLAINS], []),
]


@pytest.mark.parametrize(("text", "there", "none"), SAID)
def test_kinds_of_facts_are_there_in_this_order_and_others_are_not(text, there, none, tmp_path):
    found = [fact.kind for fact in graded_here(tmp_path, "a.py", text).diagnosis]
    assert [kind for kind in found if kind in (*there, *none)] == there


def test_what_takes_the_classes_from_y_is_told(tmp_path):
    notes = graded_here(tmp_path, "a.py", CASES["an encoder of y"][0]).notes
    assert Kind.CLASSES_FROM_Y in kinds(notes)
    (tmp_path / "a.py").write_text(CASES["an encoder of y"][0])
    found = diagnose(str(tmp_path / "a.py"))
    assert (found.verdict, Kind.CLASSES_FROM_Y in kinds(found.notes)) == (AGREE, True)


@pytest.mark.parametrize("name", ["an encoder of y", "an encoder that makes one column of two classes"])
def test_the_smallest_network_shows_nothing_else_than_the_mistake(name, tmp_path):
    smallest = graded_here(tmp_path, "a.py", CASES[name][0].replace("d3 = h - Y", "d3 = 2 * (h - Y)")).smallest
    assert smallest is not None
    assert smallest.exercise.is_right(smallest.answer) == (True, False)


def test_the_smallest_network_has_the_lambda_of_the_code(tmp_path):
    smallest = graded_here(tmp_path, "a.py", CASES["a λ in the code, and a wrong slope"][0]).smallest
    assert smallest is not None
    assert smallest.exercise.problem.l2 == 2.5


@pytest.mark.parametrize(("name", "processes"), [("wrong sign", 1), ("unlike any bug", 2)])
def test_only_what_no_bug_gives_on_every_problem_is_asked_for_again(name, processes, tmp_path, monkeypatch):
    starts, restart = [], Here.restart
    monkeypatch.setattr(Here, "restart", lambda process: starts.append(process) or restart(process))
    graded_here(tmp_path, "a.py", CASES[name][0])
    assert len(starts) == processes


@pytest.mark.parametrize(("first", "conventions"), [("", ("labels from 0",)), ("np.random.shuffle(X)", ())])
def test_what_is_random_throughout_shows_no_convention(first, conventions, tmp_path):
    text = course(FROM_0, (RETURN, "    J += SUMS.append(1) or 1e-3 * (len(SUMS) - 1)\n" + RETURN)) + "SUMS = []\n"
    text = text.replace("    m = X", f"    {first}\n    m = X", 1) if first else text
    grade = graded_here(tmp_path, "a.py", text)
    assert (kinds(grade.diagnosis), grade.conventions) == ([Kind.NOT_REPEATABLE], conventions)


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
    assert (in_short(grade)[:11], Kind.FLOAT32_DIGITS in kinds(grade.diagnosis)) == ("disagree rw", True)


def test_the_rubric_decides_what_a_convention_is(tmp_path):
    rubric = Rubric(conventions={"labels from 0": "bug"})
    grade = graded_here(tmp_path, "a.py", RIGHT["from_0.py"][0], rubric)
    assert in_short(grade) == "disagree wwr 30 convention-refused"
    assert grade.diagnosis[0].where == ("labels from 0",)
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


def test_a_part_that_is_missing_is_in_no_other_precision(tmp_path):
    grade = graded_here(tmp_path, "a.py", returning("grad") + "half = np.float32(0.5)\n")
    assert (grade.outcomes["gradient"], grade.conventions) == ("right", ())


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
    assert (found.verdict, found.outcomes["cost"]) == (expected, "right")


# in processes of their own


@pytest.mark.more
def test_the_precision_of_jax_is_right(tmp_path):
    found = grade(written(tmp_path, "a.py", JAX_COST), GradingPlan(timeout=60.0))
    assert in_short(found) == "agree rrr 100"
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
    # what gets farthest in the function that is called, and not what is at the lowest line of the file
    "one_number.py": ("TypeError: only", "line 6 of one_number.py"),
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
    assert [(a_class[name].outcomes["sigmoid_gradient"], a_class[name].points) for name in names] == [
        ("right", 10.0)
    ] * 4


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
