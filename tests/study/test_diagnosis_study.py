"""How often the diagnosis names the right bug."""

from harness.sources.bug_zoo import BUGS
from harness.study import diagnosis_study
from harness.study.diagnosis_study import AMONG, MISLEADING, RIGHT, VAGUE, measure_naming


def test_bugs_are_named_rightly():
    found = measure_naming(problems=1, pairs=15, seed=0)
    assert found.rate("single bugs", RIGHT, AMONG).share >= 0.98
    assert found.rate("single bugs", RIGHT, AMONG).total >= 80
    assert found.rate("pairs of bugs", RIGHT, AMONG).share >= 0.9
    assert found.rate("wrong costs", RIGHT).count == len(diagnosis_study.WRONG_COSTS) == 12
    for kind in found.outcomes:
        assert found.rate(kind, MISLEADING).count == 0
    assert "seed 0" in str(found)


def test_a_bug_that_is_not_in_the_zoo_is_not_named_rightly(monkeypatch):
    """The measurement can fail: what is planted is taken out of the zoo that is played again."""
    planted = BUGS["slope-squared"]
    monkeypatch.setattr("harness.checks.networks.bug_replay.BUGS", {"wrong-sign": BUGS["wrong-sign"]})
    drawn = diagnosis_study._first_that_shows((planted,), 0, 0)
    assert drawn is not None
    assert diagnosis_study._outcome((planted,), *drawn, diagnosis_study.np.random.default_rng(0)) == VAGUE


def test_another_bug_named_in_its_place_misleads(monkeypatch):
    drawn = diagnosis_study._first_that_shows((BUGS["slope-squared"],), 0, 0)
    monkeypatch.setattr(diagnosis_study, "_named", lambda found: ((BUGS["wrong-sign"],),))
    assert drawn is not None
    assert diagnosis_study._outcome((BUGS["slope-squared"],), *drawn, diagnosis_study.np.random.default_rng(0)) == MISLEADING
