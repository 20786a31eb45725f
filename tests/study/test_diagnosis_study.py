"""How often the diagnosis names the right bug."""

import pytest

from harness.sources.bug_zoo import BUGS
from harness.study import diagnosis_study
from harness.study.diagnosis_study import (
    COSTS,
    IMPROPER_COSTS,
    MISLEADING,
    NAMED,
    PAIRS,
    SINGLE,
    VAGUE,
    WRONG_COSTS,
    diagnosis_document,
    name_planted,
    named_rightly,
    outcomes_of,
    plant,
    run_diagnosis_study,
)
from harness.study.study_tables import diagnosis_table


def test_bugs_are_named_rightly():
    found = run_diagnosis_study(problems=1, pairs=15, seed=0)
    assert named_rightly(found, SINGLE).share >= 0.98
    assert named_rightly(found, SINGLE).total >= 80
    assert named_rightly(found, PAIRS).share >= 0.9
    outcomes = outcomes_of(found)
    assert outcomes[COSTS][NAMED] == len(WRONG_COSTS) + len(IMPROPER_COSTS) == 12
    assert not any(counts[MISLEADING] for counts in outcomes.values())
    assert diagnosis_document(found)["outcomes"] == outcomes
    assert all(f"{kind}: {counts[NAMED]} right" in diagnosis_table(found) for kind, counts in outcomes.items())


@pytest.fixture(scope="module")
def planted():
    found = plant((BUGS["slope-squared"],), 0, 0)
    assert found is not None
    return found


def test_a_bug_that_is_not_in_the_zoo_is_not_named_rightly(monkeypatch, planted):
    """The measurement can fail: what is planted is taken out of the zoo that is replayed."""
    monkeypatch.setattr("harness.checks.networks.bug_explanations.BUGS", {"wrong-sign": BUGS["wrong-sign"]})
    assert name_planted(planted) == VAGUE


def test_another_bug_named_in_its_place_misleads(monkeypatch, planted):
    monkeypatch.setattr(diagnosis_study, "named_sets", lambda found: ((BUGS["wrong-sign"],),))
    assert name_planted(planted) == MISLEADING
