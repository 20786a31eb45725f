"""The search for a convention: what an earlier answer or failure rules out is not tried."""

import ast
from typing import Any

import pytest

from harness.facts.fact import doubt
from harness.facts.kinds import Kind
from harness.grading.best_attempts import RuledOut
from harness.grading.call_conventions import Blocks, Convention
from harness.grading.class_methods import class_functions_in
from harness.grading.convention_search import find_interface, likelihood
from harness.grading.submission_process import CallFailed
from tests.grading.submissions import COURSE, WRONG, Here, graded_here, written

IN_TURN, BY_INPUTS = Blocks("W1, b1, W2, b2"), Blocks(by_inputs=True)


def failures(error: str, *conventions: Convention) -> RuledOut:
    found = RuledOut()
    for convention in conventions:
        found.add(convention, CallFailed(doubt(Kind.CALL_FAILED, event=error), error=error, lines=(3,)))
    return found


@pytest.mark.parametrize(
    ("error", "failed", "ruled_out", "left"),
    [
        # a vector has as many entries in any order; labels and X have other shapes
        (
            "ValueError",
            [Convention()],
            [Convention(order="C"), Convention(blocks=IN_TURN)],
            [Convention(column=True), Convention(ones=True), Convention(theta="list")],
        ),
        # four arrays have other shapes than two
        ("ValueError", [Convention(theta="list")], [], [Convention(theta="list", blocks=IN_TURN)]),
        # a list has no .reshape, however long it is
        (
            "AttributeError",
            [Convention(theta="list"), Convention(theta="list", blocks=IN_TURN)],
            [Convention(theta="list", blocks=Blocks("W1, W2, b1, b2"))],
            [Convention(theta="dictionary"), Convention(theta="list", column=True)],
        ),
        # an attribute of a dictionary is one of its keys, which both of these lack
        (
            "AttributeError",
            [Convention(theta="dictionary"), Convention(theta="dictionary", blocks=BY_INPUTS)],
            [],
            [Convention(theta="dictionary", blocks=IN_TURN)],
        ),
        (
            "MemoryError",
            [Convention(), Convention(ones=True)],
            [Convention(transposed=True)],
            [Convention(theta="list")],
        ),
    ],
)
def test_a_failure_rules_out_what_must_fail_as_well(error, failed, ruled_out, left):
    found = failures(error, *failed)
    assert [convention for convention in ruled_out if convention not in found] == []
    assert [convention for convention in left if convention in found] == []


def test_failures_keep_no_arguments_alive(tmp_path):
    process: Any = Here(written(tmp_path, "fails.py", COURSE.replace("m = X.shape[0]", "m = X.shape[2]")))
    found = find_interface(process)
    assert len(found.failures) > 10
    assert [(failure.__traceback__, failure.__context__) for failure in found.failures if failure.__traceback__] == []


def test_a_right_cost_ends_the_search(tmp_path, monkeypatch):
    calls = []
    called = Here.call
    monkeypatch.setattr(Here, "call", lambda *given: calls.append(given) or called(*given))
    grade = graded_here(tmp_path, "no_slope.py", WRONG["no_slope.py"][0])
    assert grade.bugs == ("slope-missing",)
    assert len(calls) < 40


def test_a_method_is_likely_by_its_own_name():
    (cost, train) = class_functions_in(
        ast.parse("class Trainer:\n def cost(self, theta, X, y): pass\n def train(self, theta, X, y): pass")
    )
    assert likelihood(train) < 0 < likelihood(cost)
