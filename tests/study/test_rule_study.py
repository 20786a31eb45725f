"""Functions that JAX traces: the right ones raise no alarm, wrong rules are found and named."""

import inspect
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from harness.study.checkers import ALARM, HARNESS, NOT_APPLICABLE, PASS
from harness.study.rule_bugs import PLACES, UNREPEATABLE, fits, wrong_rules
from harness.study.rule_study import (
    differs,
    gradient_of,
    jax_response,
    names_the_rule,
    placed,
    right_cases,
    run_study,
)
from harness.study.traced_functions import PLAIN, RULE_FUNCTIONS
from harness.study.trials import RIGHT, WRONG


def test_there_are_enough_functions_and_bugs():
    cases = right_cases()
    assert len(PLAIN) + len(RULE_FUNCTIONS) >= 60
    assert len(cases) == len(PLAIN) + 2 * len(RULE_FUNCTIONS)
    assert sum(len(wrong_rules(f)) for f in RULE_FUNCTIONS) >= 350
    assert len({case.name for case in cases}) >= len(cases) - len(RULE_FUNCTIONS) // 2  # a rule may be alone twice


def test_right_functions_agree_and_wrong_ones_are_caught_and_named():
    peer = "scipy check_grad < 1e-4"
    found = run_study(step=150, peers=[peer])
    ours = [trial for trial in found.trials if trial.checker == HARNESS]
    assert {trial.outcome for trial in ours if trial.kind == RIGHT} == {PASS}
    wrong = [(trial.outcome, trial.naming) for trial in ours if trial.kind == WRONG]
    assert len(wrong) >= 2
    assert set(wrong) == {(ALARM, "yes")}
    assert {trial.outcome for trial in found.trials if trial.checker == peer} <= {PASS, ALARM, NOT_APPLICABLE}


def test_jaxs_own_checker_takes_the_same_cases():
    f = RULE_FUNCTIONS[0]
    assert jax_response(placed(f, f.rule, "in jit")).outcome == PASS
    assert jax_response(placed(f, wrong_rules(f)["the sign"], "in jit")).outcome == ALARM


@pytest.mark.parametrize("f", RULE_FUNCTIONS[::9], ids=lambda f: f.name)
def test_a_right_rule_returns_what_jax_computes_of_the_function_itself(f):
    call = placed(f, f.rule, "alone").subject
    ours, theirs = (gradient_of(each) for each in (call, call._replace(function=f.function)))
    np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(
    ("bug", "shows"),
    [
        ("huber tails without sign", False),
        ("wrong sign on one branch", False),
        ("a billionth in one term", True),
        ("NaN in one entry", True),
    ],
)
def test_a_bug_that_changes_nothing_here_is_left_out(bug, shows):
    huber = next(f for f in RULE_FUNCTIONS if f.name == "huber")
    flat = huber._replace(arguments=(np.full(6, 0.1),))
    assert UNREPEATABLE in wrong_rules(flat)
    wrong, right = (gradient_of(placed(flat, rule, "alone").subject) for rule in (wrong_rules(flat)[bug], flat.rule))
    assert differs(wrong, right) == shows


def test_every_larger_program_is_met():
    assert {name for f in RULE_FUNCTIONS for name in PLACES if fits(name, f)} == set(PLACES)
    assert not all(fits("in a scan", f) for f in RULE_FUNCTIONS)


def test_a_wrong_rule_is_named_by_its_name_file_and_line():
    f = RULE_FUNCTIONS[0]
    wrong = wrong_rules(f)["the sign"]
    call = placed(f, wrong, "alone", "the sign").subject
    place = f"the_sign ({inspect.getsourcefile(wrong)}:{inspect.getsourcelines(wrong)[1]})"

    report: Any = SimpleNamespace(details={"culprits": [{"name": "my_tanh", "where": place}]})
    assert names_the_rule(report, call) == "yes"
    assert names_the_rule(report, call._replace(rule=f.rule)) == "another"
    assert names_the_rule(report, call._replace(record=None)) == "no"
    assert names_the_rule(SimpleNamespace(details={}), call) == "no"  # pyright: ignore[reportArgumentType]
