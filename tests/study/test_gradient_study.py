"""Functions as engineers write them: the right ones raise no alarm, every bug is found, no diagnosis is false."""

from dataclasses import replace

import numpy as np
import pytest

from harness import check_gradient
from harness.study.cases import RIGHT, WRONG, quietly
from harness.study.checkers import ALARM, HARNESS
from harness.study import gradient_study
from harness.study.own.elementwise import FORMULAS
from harness.study.model_costs import MODELS
from harness.study.gradient_study import QUICK_STEP, SHIPPED_WRONG, STEP, OwnStudy, Trial, run_own, worth_of
from harness.study.scalar_costs import SHIPPED
from harness.study.own.table import as_text


@pytest.fixture(scope="module")
def found():
    return run_own(step=QUICK_STEP, peers=())


def test_there_are_enough_functions_and_bugs():
    with quietly():
        cases = list(gradient_study.all_cases())
    assert len(FORMULAS) + len(MODELS) >= 60
    assert len(SHIPPED) == 30
    assert sum(case.kind == WRONG for case in cases) / STEP >= 200


def test_right_functions_raise_no_alarm(found):
    assert found.count(kind=RIGHT) >= 150
    assert found.count(kind=RIGHT, outcome=ALARM) == 0


@pytest.mark.parametrize("kind", [WRONG, SHIPPED_WRONG])
def test_wrong_functions_are_caught(found, kind):
    assert found.count(kind=kind, outcome=ALARM) == found.count(kind=kind) >= 20


def test_no_diagnosis_is_false_and_most_say_what_is_wrong(found):
    worth = {word: found.count(diagnosis=word) for word in ("right", "vague", "false")}
    assert worth["false"] == 0
    assert worth["right"] >= 0.75 * sum(worth.values())


def test_the_text_counts_what_was_said(found):
    text = as_text(found)
    assert f"{found.count(kind=WRONG)} of {found.count(kind=WRONG)}" in text
    assert "missed" not in text


def test_a_miss_and_a_false_diagnosis_are_shown():
    trials = (Trial(HARNESS, "a", WRONG, "pass", 0.1), Trial(HARNESS, "b", WRONG, ALARM, 0.1, "false"))
    assert as_text(OwnStudy(trials, {}, 0.2)).splitlines()[-2:] == ["  a: wrong, pass", "  b: wrong, alarm false"]


def test_a_relation_that_the_exact_gradient_does_not_show_is_false():
    case = next(case for case in gradient_study.all_cases() if case.bug == "twice")
    report = check_gradient(case.function, case.theta)
    assert worth_of(report, case) == "right"
    lying = replace(report, findings=(replace(report.findings[0], diagnosis="t: right, but transposed"),))
    assert worth_of(lying, case) == "false"
    beside = replace(report.findings[0], diagnosis=report.findings[0].diagnosis + "; beside this θ it is right")
    assert worth_of(replace(report, findings=(beside,)), case._replace(words=())) == "false"
    vague = replace(report.findings[0], diagnosis="t: all 5 examined coordinates are wrong, by up to 1")
    assert worth_of(replace(report, findings=(vague,)), case._replace(words=())) == "vague"


@pytest.mark.parametrize("name", ["softplus at 0", "sinc near 0", "log(1 - exp(x)) near 0"])
def test_what_was_shipped_is_wrong_where_it_is_said_to_be(name):
    shipped = SHIPPED[name]
    at = np.array(shipped.at)
    with np.errstate(all="ignore"):
        assert not np.array_equal(shipped.wrong(at), shipped.right(at))
