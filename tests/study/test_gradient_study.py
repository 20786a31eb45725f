"""Functions as engineers write them: the right ones raise no alarm, every bug is found, no diagnosis is false."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from harness import check_gradient
from harness.facts.fact import note
from harness.facts.kinds import Kind
from harness.study.checkers import ALARM, HARNESS, INCONCLUSIVE, PASS
from harness.study.gradient_study import (
    AT_POINT,
    GRADIENT_BUGS,
    QUICK,
    SHIPPED_WRONG,
    STEP,
    VAGUE,
    gradient_cases,
    rate_diagnosis,
    run_study,
)
from harness.study.model_costs import MODELS
from harness.study.scalar_costs import FORMULAS, SHIPPED
from harness.study.trials import RIGHT, WRONG, quiet_numerics

PEER = "cs231n, 10 entries"


@pytest.fixture(scope="module")
def found():
    return run_study(step=QUICK["step"], peers=(PEER,))


@pytest.fixture(scope="module")
def cases():
    with quiet_numerics():
        return list(gradient_cases())


def test_there_are_enough_functions_and_bugs(cases):
    assert len(FORMULAS) + len(MODELS) >= 60
    assert len(SHIPPED) == 30
    assert sum(case.kind == WRONG for case in cases) / STEP >= 200


def test_diagnoses_are_kinds_of_facts():
    named = {diagnosis.kind for bug in GRADIENT_BUGS.values() for diagnosis in bug.named_by}
    assert named | VAGUE | {AT_POINT} <= set(Kind)


def outcomes_of(study, kind):
    return [trial.outcome for trial in study.trials if trial.kind == kind and trial.checker == HARNESS]


def test_right_functions_raise_no_alarm(found):
    outcomes = outcomes_of(found, RIGHT)
    assert len(outcomes) >= 150
    assert ALARM not in outcomes


@pytest.mark.parametrize("kind", [WRONG, SHIPPED_WRONG])
def test_wrong_functions_are_caught(found, kind):
    outcomes = outcomes_of(found, kind)
    assert len(outcomes) >= 20
    assert set(outcomes) == {ALARM}


def test_a_peer_answers_about_every_function(found):
    assert {trial.outcome for trial in found.trials if trial.checker == PEER} == {PASS, ALARM, INCONCLUSIVE}


def test_no_diagnosis_is_false_and_most_say_what_is_wrong(found):
    worth = [trial.naming for trial in found.trials if trial.naming]
    assert set(worth) <= {"right", "vague"}
    assert worth.count("right") >= 0.75 * len(worth)


@pytest.mark.parametrize("name", ["softplus at 0", "sinc near 0", "log(1 - exp(x)) near 0"])
def test_a_derivative_that_was_shipped_wrong_is_wrong_at_its_point(name):
    shipped = SHIPPED[name]
    at = np.array(shipped.at)
    with np.errstate(all="ignore"):
        assert not np.array_equal(shipped.wrong(at), shipped.right(at))


def test_a_relation_that_the_exact_gradient_does_not_show_is_false(cases):
    subject = next(case.subject for case in cases if case.bug == "twice")
    unnamed = subject._replace(named_by=())
    fact: Any = note
    twice, transposed = fact("factor", "the gradient", factor=2.0), fact("rearranged", "t", move="transposed")

    def worth(subject, *diagnosis):
        report: Any = SimpleNamespace(findings=(SimpleNamespace(diagnosis=diagnosis),))
        return rate_diagnosis(report, subject)

    assert worth(subject, twice) == "right"
    assert worth(subject, fact("factor", "t", factor=1.99)) == worth(subject, transposed) == "false"
    assert worth(unnamed, twice, fact("wrong-at-point", "t")) == "false"
    assert worth(unnamed, fact("wrong-entries", "t", wrong=5)) == worth(unnamed) == "vague"
    assert worth(unnamed, *check_gradient(subject.function, subject.theta).findings[0].diagnosis) == "right"
