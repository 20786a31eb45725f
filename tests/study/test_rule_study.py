"""Functions that JAX traces: the right ones raise no alarm, wrong rules are found and named."""

import inspect
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from harness.study.cases import RIGHT, WRONG
from harness.study.checkers import ALARM, HARNESS
from harness.study import rule_study
from harness.study.rule_bugs import UNREPEATABLE, wrong_rules
from harness.study.rules.places import PLACES, fits
from harness.study.plain_functions import PLAIN
from harness.study.rule_study import NATIVE, RULES, FunctionsStudy, Trial, run_functions
from harness.study.rules.table import as_text


@pytest.fixture(scope="module")
def found():
    return run_functions(step=150, peers=())


def test_there_are_enough_functions_and_bugs():
    assert len(PLAIN) + len(RULES) >= 60
    assert len(rule_study.right_cases()) == len(PLAIN) + 2 * len(RULES)
    assert sum(len(wrong_rules(rule)) for rule in RULES) >= 350
    names = [case.name for case in rule_study.right_cases()]
    assert len(set(names)) >= len(names) - len(RULES) // 2  # a rule's turn may be to stand alone


def test_right_functions_agree_and_wrong_ones_are_caught_and_named(found):
    assert found.count(kind=RIGHT, outcome="pass") == found.count(kind=RIGHT) >= 1
    assert found.count(kind=WRONG, outcome=ALARM) == found.count(kind=WRONG) == found.count(named="yes") >= 2


def test_the_text_counts_what_was_said(found):
    total = found.count(kind=WRONG)
    text = as_text(found)
    assert f"{total} of {total}" in text
    assert f"its file and line: {total} of {total} caught" in text


def test_a_miss_a_false_alarm_and_a_false_name_are_shown():
    trials = (
        Trial(HARNESS, "a", WRONG, "pass", 0.1),
        Trial(HARNESS, "b", RIGHT, ALARM, 0.1),
        Trial(HARNESS, "c", WRONG, ALARM, 0.1, "another"),
        Trial(NATIVE, "c", WRONG, "pass", 0.1),
    )
    text = as_text(FunctionsStudy(trials, {}, 0.4))
    assert [line for line in text.splitlines() if line.startswith("  ")] == [
        "  a: wrong, pass", "  b: right, alarm", "  c: wrong, alarm, named: another",
    ]  # fmt: skip
    assert "1 of 2" in text


@pytest.mark.parametrize("rule", RULES[::9], ids=lambda rule: rule.function.__name__)
def test_a_right_rule_answers_what_jax_does_of_the_function_itself(rule):
    case = rule_study._placed(rule, rule.rule, "alone", RIGHT, "")
    plain = case._replace(function=rule.function)
    with rule_study.settings(x64=True):
        ours, theirs = (np.concatenate(rule_study._flat_gradient(c)(rule_study._vector(c))[1:]) for c in (case, plain))
    np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-13)


def test_a_bug_that_changes_nothing_here_is_left_out():
    huber = next(rule for rule in RULES if rule.function.__name__ == "huber")
    flat = huber._replace(arguments=(np.full(6, 0.1),))
    right = rule_study._answer(flat, flat.rule)
    answers = {name: rule_study._answer(flat, wrong) for name, wrong in wrong_rules(flat).items() if name != UNREPEATABLE}
    assert not rule_study._differs(answers["huber tails without sign"], right)
    assert not rule_study._differs(answers["wrong sign on one branch"], right)
    assert rule_study._differs(answers["a billionth in one term"], right)
    assert rule_study._differs(answers["NaN in one entry"], right)


def test_every_place_is_met():
    assert {name for rule in RULES for name in PLACES if fits(name, rule)} == set(PLACES)
    assert not all(fits("in a scan", rule) for rule in RULES)


def test_a_wrong_rule_is_known_by_its_name_file_and_line():
    rule = RULES[0]
    wrong = wrong_rules(rule)["the sign"]
    case = rule_study._placed(rule, wrong, "alone", WRONG, "the sign")
    assert getattr(case.given, "__name__", "") == "the_sign"
    place = f"the_sign ({inspect.getsourcefile(wrong)}:{inspect.getsourcelines(wrong)[1]})"

    named: Any = SimpleNamespace(details={"culprits": [{"name": "my_tanh", "where": place}]})
    assert rule_study.names_the_rule(named, case) == "yes"
    assert rule_study.names_the_rule(named, case._replace(given=rule.rule)) == "another"
    assert rule_study.names_the_rule(named, case._replace(rule=None)) == "no"
