"""The study of activations: its bugs are there, its counts are right, and this harness sees all of a few."""

import json

import numpy as np
import pytest

from harness.study import activation_study as module
from harness.study.slope_bugs import BUGS, EACH, is_there, wrong_records
from harness.study.right_activations import RIGHT
from harness.study.activation_study import QUICK, ActivationStudy, ActivationTrial, run_activation_study
from harness.study.activations.table import LISTED, as_table
from harness.study.wrong_activations import WRONG
from harness.study.checkers import ALARM, HARNESS, INCONCLUSIVE, PASS, installed_peers
from harness.study.rates import Rate
from reference.activations import ACTIVATIONS, Activation

RECORDS = [*ACTIVATIONS.values(), *RIGHT.values()]


def test_there_are_as_many_records_as_the_study_promises():
    assert len(RECORDS) >= 60
    assert len(list(wrong_records(RECORDS, seed=0))) + len(WRONG) >= 200


def test_every_bug_is_planted_and_the_same_seed_plants_the_same():
    records = list(wrong_records(RECORDS, seed=0))
    assert {wrong.bug for wrong in records} == set(BUGS)
    again = list(wrong_records(RECORDS, seed=0))
    assert [wrong.record.name for wrong in records] == [wrong.record.name for wrong in again]
    z = np.linspace(-30.0, 30.0, 11)
    with np.errstate(all="ignore"):
        for first, second in zip(records[::20], again[::20]):
            a = first.record(z)
            np.testing.assert_array_equal(first.record.slope(z, a), second.record.slope(z, a))


@pytest.mark.parametrize("name", BUGS)
def test_a_bug_that_is_there_changes_the_slope_where_it_says(name: str):
    f = ACTIVATIONS["softplus"]
    slope, places = BUGS[name].plant(f, np.random.default_rng(1))
    wrong = Activation("planted", f.value, slope)
    assert is_there(f, wrong, places)
    for z in map(np.atleast_1d, places):
        right, claimed = f.slope(z, f(z)), slope(z, f(z))
        assert not np.abs(claimed - right)[0] <= 1e-9


def test_a_bug_that_changes_nothing_is_not_there():
    even = ACTIVATIONS["tanh"]
    slope, places = BUGS["branches swapped"].plant(even, np.random.default_rng(1))
    assert not is_there(even, Activation("planted", even.value, slope), places)
    assert not is_there(even, even)
    assert "branches swapped" not in {wrong.bug for wrong in wrong_records([even], seed=0, each=len(BUGS))}


def a_study(*trials: ActivationTrial) -> ActivationStudy:
    checkers = tuple(dict.fromkeys(trial.checker for trial in trials))
    return ActivationStudy(0, checkers, {"absent peer": "not here"}, trials, Rate(1, 2), 3.0)


TRIALS = (
    ActivationTrial(HARNESS, "right", "", PASS, 0.1),
    ActivationTrial(HARNESS, "right too", "", INCONCLUSIVE, 0.3),
    ActivationTrial(HARNESS, "right, sign", "sign", ALARM, 0.2),
    ActivationTrial(HARNESS, "right, twice", "twice", PASS, 0.2),
    ActivationTrial("peer", "right", "", ALARM, 0.01),
    ActivationTrial("peer", "right, sign", "sign", PASS, 0.01),
)


def test_counts_are_of_what_was_said():
    study = a_study(*TRIALS)
    assert study.rate(ALARM, HARNESS, bugs=True) == Rate(1, 2)
    assert study.rate(ALARM, HARNESS, bugs=True, bug="twice") == Rate(0, 1)
    assert study.rate(ALARM, HARNESS, bugs=False) == Rate(0, 2)
    assert study.rate(ALARM, "peer", bugs=False) == Rate(1, 1)
    assert study.bugs() == ["sign", "twice"]
    assert study.median_seconds(HARNESS) == pytest.approx(0.2)
    assert [trial.record for trial in study.unexpected()] == ["right too", "right, twice"]


def test_the_table_and_the_document_tell_the_same():
    study = a_study(*TRIALS)
    document = json.loads(json.dumps(study.to_dict()))
    ours, theirs = document["checkers"]
    assert (ours["caught"]["count"], ours["caught"]["total"]) == (1, 2)
    assert (theirs["false_alarms"]["count"], theirs["undecided"]["count"]) == (1, 0)
    assert ours["undecided_of_right"]["count"] == 1
    assert document["bugs"] == {name: BUGS[name].description for name in ("sign", "twice")}
    table = as_table(study)
    assert "2 right and 2 wrong records" in table
    assert "1 (50.0%)" in table
    assert "right too: inconclusive, though it is right" in table
    assert "right, twice: pass" in table
    assert "absent peer: not here" in table


def test_a_long_list_of_what_was_not_expected_is_cut():
    trials = [ActivationTrial(HARNESS, f"record {i}", "sign", PASS, 0.1) for i in range(LISTED + 5)]
    assert "and 5 more" in as_table(a_study(*trials))


def test_of_a_few_records_this_harness_sees_all_and_accuses_nobody():
    """The narrow, the far and the single z among them, which samples miss."""
    seen = []
    study = run_activation_study(
        records=2, each=2, peers=["scipy check_grad < 1e-4"], progress=lambda *at: seen.append(at)
    )
    assert study.unexpected() == []
    assert study.proved == Rate(2, 2)
    assert study.rate(ALARM, HARNESS, bugs=True).total == seen[-1][2] - 2
    assert seen[-1][1] == seen[-1][2]


def test_peers_see_the_same_slope():
    """SciPy's check raises an alarm about a factor of two, and none about the right slope."""
    rng = np.random.default_rng(0)
    f = ACTIVATIONS["tanh"]
    twice = Activation("twice", f.value, lambda z, a: 2.0 * f.slope(z, a))
    peers, _ = installed_peers(["scipy check_grad < 1e-4", "JAX check_grads"])
    for record, outcome in ((f, PASS), (twice, ALARM)):
        trials = list(module._trials_of(record, "", peers, rng))
        assert [trial.outcome for trial in trials] == [outcome] * 3


def test_a_study_of_nothing_is_refused():
    with pytest.raises(ValueError, match="at least one"):
        run_activation_study(records=0)


def test_quick_is_smaller():
    assert QUICK["records"] < len(ACTIVATIONS)
    assert QUICK["each"] < EACH
