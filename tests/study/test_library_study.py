"""The study of libraries that are built on JAX: which are installed, and rules that are planted."""

import jax.numpy as jnp
import numpy as np
import pytest

from harness.study import library_study
from harness.study.checkers import ALARM, PASS
from harness.study.library_study import library_cases, planted_cases
from harness.study.rule_study import harness_response

POINT = (np.array([[0.3, -1.2], [0.8, 0.1]]),)
PLANTED = list(planted_cases("plain", {"alone": (lambda rule: rule, POINT)}))


@pytest.mark.parametrize("case", PLANTED, ids=lambda case: case.name)
def test_planted_rules_are_caught_and_named(case):
    assert harness_response(case) == ((ALARM, "yes") if case.bug else (PASS, ""))


def test_a_bug_is_planted_where_it_changes_the_gradient():
    of_positive = planted_cases("plain", {"alone": (lambda rule: lambda x: rule(jnp.abs(x)), POINT)})
    assert {case.bug for case in PLANTED} - {case.bug for case in of_positive} == {"wrong sign on one branch"}


def test_a_rule_is_planted_beside_a_tree_of_parameters():
    host = lambda rule: lambda layer, x: rule(x @ layer["w"] + layer["b"])  # noqa: E731
    layer = {"w": np.array([[0.3, 1.1], [-0.7, 0.2]]), "b": np.array([0.1, -0.4])}
    assert {case.bug for case in planted_cases("plain", {"after a layer": (host, (layer, *POINT))})} == {
        case.bug for case in PLANTED
    }


def test_a_library_is_shown_or_left_out_with_what_installs_it(monkeypatch):
    monkeypatch.setattr(library_study, "MODULES", {"none such": "no_functions"})
    cases, left_out = library_cases()
    assert not cases
    assert library_study.INSTALL in left_out["none such"]
    with pytest.raises(ValueError, match="none of these libraries is installed: none such"):
        library_study.run_study()
