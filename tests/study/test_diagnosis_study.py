"""How often the diagnosis names the right bug."""

import pytest

from harness.sources.bug_zoo import BUGS
from harness.study import diagnosis_study
from harness.study.diagnosis_study import AMONG, MISLEADING, NAMED, PAIRS, SINGLE, VAGUE, name_planted, plant, run_study


def test_bugs_are_named_rightly():
    found = run_study(problems=1, pairs=15, seed=0)
    for kind, count, share in ((SINGLE, 80, 0.98), (PAIRS, 10, 0.9)):
        words = [trial.naming for trial in found.trials if trial.kind == kind]
        assert sum(word in (NAMED, AMONG) for word in words) >= share * len(words) >= share * count
    assert MISLEADING not in {trial.naming for trial in found.trials}


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
