"""The study of libraries that are built on JAX: which are installed, planted rules, and the table."""

import numpy as np
import pytest

from harness.study import library_study
from harness.study.checkers import ALARM, HARNESS, INCONCLUSIVE, PASS
from harness.study.study_tables import library_table
from harness.study.trials import Study, Trial

POINT = (np.array([[0.3, -1.2], [0.8, 0.1]]),)
PLANTED = list(library_study._planted("plain", {"alone": (lambda rule: rule, POINT)}))


@pytest.mark.parametrize("case", PLANTED, ids=lambda case: case.name)
def test_planted_rules_are_caught_and_named(case):
    response = library_study._by_harness(case)
    assert response == ((ALARM, "yes") if case.bug else (PASS, ""))


def test_a_library_is_shown_or_left_out_with_what_installs_it(monkeypatch):
    monkeypatch.setattr(library_study, "MODULES", {"none such": "no_functions"})
    cases, left_out = library_study.library_cases()
    assert not cases
    assert library_study.INSTALL in left_out["none such"]


def test_an_exception_on_right_code_is_an_outcome_of_its_own():
    def check(case):
        raise KeyError("x")

    outcomes = [library_study._judged(check, case).outcome for case in PLANTED[:2]]
    assert outcomes == ["raised KeyError", ALARM]


def test_the_table_has_a_row_for_each_library():
    outcomes = {"a": (PASS, PASS), "b": (INCONCLUSIVE, ALARM), "c": ("raised KeyError", PASS)}
    trials = [
        Trial(checker, name, "right", "", outcome, 2.0, "", "Some")
        for name, found in outcomes.items()
        for checker, outcome in zip((HARNESS, library_study.NATIVE), found)
    ]
    trials += [Trial(checker, "d", "wrong", "a bug", ALARM, 1.0, "yes", "Some") for checker in (HARNESS, "native")][:1]
    row = library_table(Study(library_study.SCHEMA, tuple(trials), {}, 1.0)).splitlines()[1].split()
    assert row == [
        "Some",
        "1",
        "of",
        "3",
        "1",
        "0",
        "1",
        "1",
        "of",
        "1",
        "1",
        "7",
        "0",
        "of",
        "0",
        "caught,",
        "1",
        "false",
        "6",
    ]
