"""The words about homework: one fact of each kind, and what is said about it."""

import pytest

from harness.facts import message_table
from harness.facts.fact import Fact, doubt, note, wrong
from harness.facts.homework_messages import COURSE_SIGNATURE, HELPER_FAULTS, MESSAGES, OFFER
from harness.facts.kinds import Kind
from harness.facts.message_table import say

NOTHING_FOUND = {"named": "", "unlike": "", "defined": ["f(x)"], "similar": ""}
CALL = {"function": "cost", "event": "raised ValueError: no"}
UNKNOWN = "No convention that was tried explains the cost, so nothing was judged."

SAID: list[tuple[Fact, str]] = [
    (doubt(Kind.CALL_FAILED, **CALL), "cost raised ValueError: no."),
    (
        note(Kind.CALL_FAILED, "line 3 of a.py: x", **CALL, exercise="2-3-2", times=4),
        "cost, called on 2-3-2, raised ValueError: no (line 3 of a.py: x) 4 times.",
    ),
    (doubt(Kind.CALL_FAILED, function="", event="ended", exercise="2-3-2"), "The file ended."),
    (
        note(Kind.CELL_LEFT_OUT, cell=2, reason="it is not valid Python: invalid syntax (line 1)"),
        "Cell 2 was left out: it is not valid Python: invalid syntax (line 1).",
    ),
    (
        wrong(Kind.CONVENTION_REFUSED, "labels from 0"),
        "The rubric counts this convention as a bug: labels from 0.",
    ),
    (
        doubt(Kind.CONVENTION_UNKNOWN),
        f"{UNKNOWN} Offer a function of {COURSE_SIGNATURE}, as in the course.",
    ),
    (wrong(Kind.COST_CONSTANT, cost=0.0), "The cost is 0 whatever θ, X and y are. It is not computed yet."),
    (wrong(Kind.COST_PATTERN, decimals=1), "The cost is wrong: it is rounded to 1 decimal."),
    (
        wrong(Kind.COST_PATTERN, mean="last-example-missing", share="divided-twice"),
        "The cost is wrong: the last example adds nothing to it and the regulariser is divided by m twice.",
    ),
    (
        wrong(Kind.COST_PATTERN, mean="", share="", squares={"Theta2 weights": 2.0, "Theta1 biases": 1.0}),
        "The cost is wrong: the regulariser includes the Theta2 weights 2 times and includes the Theta1 biases.",
    ),
    (note(Kind.CLASSES_FROM_Y), "Where a class is not in y, the answer is wrong. This costs no points."),
    (
        note(Kind.COURSE_SIZE_ONLY, "400-25-10"),
        "The function was called at 400-25-10 only: at other sizes it does not run, or is wrong.",
    ),
    (
        doubt(Kind.FEW_ANSWERS, answered=0, total=4),
        "Too few problems were answered with something that can be compared (0 of 4).",
    ),
    (
        doubt(Kind.GRADIENT_SHAPE, "cost", answer="shape (42,)", expected=43),
        "cost returns a gradient of shape (42,). θ has 43 entries.",
    ),
    (doubt(Kind.GRADING_FAILED, reason="OSError: full"), "Grading this submission failed: OSError: full."),
    (
        wrong(Kind.HELPER_WRONG, "sigmoid", fault="value", of="a matrix", z=0.0, value=1.0, expected=0.5),
        "sigmoid returns 1 at z = 0 in a matrix, where 0.5 is right.",
    ),
    (
        wrong(Kind.HELPER_WRONG, "predict", fault="prediction-value", wrong=2, total=7),
        "predict puts 2 of 7 examples into another class.",
    ),
    (
        doubt(Kind.NO_HOMEWORK_FUNCTION, **NOTHING_FOUND),
        f"The file defines no function of θ, X and y of one hidden layer: it defines f(x). {OFFER}",
    ),
    (
        doubt(Kind.NO_HOMEWORK_FUNCTION, **NOTHING_FOUND | {"defined": []}),
        f"The file defines no function. {OFFER}",
    ),
    (
        doubt(Kind.NO_HOMEWORK_FUNCTION, **NOTHING_FOUND | {"named": "g", "similar": "; did you mean 'f'?"}),
        "There is no function g. The file defines f(x); did you mean 'f'?",
    ),
    (
        doubt(Kind.NO_HOMEWORK_FUNCTION, **NOTHING_FOUND | {"named": "f", "unlike": "f(x)"}),
        f"f(x) does not look like a function of θ, X and y. {OFFER}",
    ),
    (
        doubt(Kind.NOT_AN_ANSWER, "cost", answer="nothing (None)", more_expected=False),
        "cost returns nothing (None), which is no cost and no gradient.",
    ),
    (
        wrong(Kind.LAYERS_WRONG, "Theta1 bias", "Theta1 weights"),
        "The gradient is wrong in Theta1 bias, Theta1 weights.",
    ),
    (note(Kind.LIBRARY_GRADIENT, "a.py", library="jax.grad"), "a.py uses jax.grad, which computes gradients."),
    (note(Kind.LINKED_FILE, "a.py", target="../b.py"), "a.py is a link to ../b.py."),
    (note(Kind.SAME_CODE, "b.py", "c.py", functions=["cost", "grad"]), "The same code is in b.py, c.py: cost, grad."),
    (
        doubt(Kind.NOT_HANDED_IN, missing="g", source="ex2.sigmoid"),
        "g, from ex2.sigmoid, is used, and is neither handed in nor installed. Hand it in, or ask for the library.",
    ),
    (
        doubt(Kind.NOT_HANDED_IN, "line 2 of a.py: x", missing="X", source=""),
        "X is used, and is neither handed in nor installed (line 2 of a.py: x). Hand it in, or ask for the library.",
    ),
    (
        doubt(Kind.OTHER_EXERCISE, "ex2data", exercise="exercise 2"),
        "This is the homework of another exercise: ex2data belongs to exercise 2. It was not graded.",
    ),
    (
        doubt(Kind.CALL_FAILED, **CALL, given=["theta of 3 entries", "X 2×1"]),
        "cost, called with theta of 3 entries, X 2×1, raised ValueError: no.",
    ),
    (note(Kind.PROBLEMS_SKIPPED, count=1), "The source raised NotApplicable for 1 problem."),
    (doubt(Kind.NOT_READABLE, "a.py", reason="it is no file"), "a.py cannot be read: it is no file."),
    (doubt(Kind.PART_MISSING, "gradient"), "No gradient was returned. What was returned is right."),
    (wrong(Kind.PART_MISSING, "cost"), "No cost was returned."),
    (
        wrong(Kind.WRONG_SOMEWHERE, "cost", "gradient", wrong=2, total=14, first="4-5-10, 1 example, λ = 1.5"),
        (
            "The cost and the gradient are wrong on 2 of 14 problems, and right on the others. "
            "The first that shows it: 4-5-10, 1 example, λ = 1.5."
        ),
    ),
    (
        note(Kind.WHOLE_FILE_RUN),
        "More of the file was run: what sets names that its functions read.",
    ),
]


@pytest.mark.parametrize(("fact", "message"), SAID, ids=[f"{fact.kind} {i}" for i, (fact, _) in enumerate(SAID)])
def test_a_fact_is_said(fact, message):
    assert say(fact) == f"{message} [{fact.kind}]"


def test_every_kind_of_homework_is_said_above():
    assert {fact.kind for fact, _ in SAID} == set(MESSAGES)


def test_every_fault_of_a_helper_has_words():
    data = {"shape": "(3, 4)", "expected": 5, "z": 0.5, "value": 0.5, "wrong": 1, "total": 7, "reason": "no"}
    data |= {"expression": "a * b", "name": "a", "at": "a = 1", "inputs": 9, "outputs": 7, "of": "a vector"}
    data["type"] = "float64"
    for fault in HELPER_FAULTS:
        assert "{" not in say(wrong(Kind.HELPER_WRONG, "f", fault=fault, **data))


def test_an_error_says_its_fact():
    error = message_table.FactError(doubt(Kind.NOT_READABLE, "a.py", reason="it is no file"), "before: ")
    assert str(error) == "before: a.py cannot be read: it is no file. [not-readable]"
    assert error.fact.kind == Kind.NOT_READABLE
