"""The study of activations: its bugs are there, and this harness sees all of a few."""

import numpy as np
import pytest

from harness.study.activation_study import (
    QUICK,
    RIGHT_RECORDS,
    WRONG_RECORDS,
    _flat,
    record_cases,
    run_study,
    table_of,
)
from harness.study.checkers import ALARM, HARNESS, PASS
from harness.study.trials import Case, Rate, Response, beside_peers, conduct
from harness.study.wrong_activations import EACH, SLOPE_BUGS, is_there, wrong_records
from reference.activations import ACTIVATIONS, Activation

RECORDS = [*ACTIVATIONS.values(), *RIGHT_RECORDS.values()]


def test_every_bug_is_planted_and_the_same_seed_plants_the_same():
    records, again = (list(wrong_records(RECORDS, seed=0)) for _ in range(2))
    assert len(RECORDS) >= 60
    assert len(records) + len(WRONG_RECORDS) >= 200
    assert {bug for _, bug in records} == set(SLOPE_BUGS)
    assert [record.name for record, _ in records] == [record.name for record, _ in again]
    z = np.linspace(-30.0, 30.0, 11)
    with np.errstate(all="ignore"):
        for (first, _), (second, _) in zip(records[::20], again[::20]):
            a = first(z)
            np.testing.assert_array_equal(first.slope(z, a), second.slope(z, a))


@pytest.mark.parametrize("name", SLOPE_BUGS)
def test_a_bug_that_is_there_changes_the_slope_where_it_says(name: str):
    f = ACTIVATIONS["softplus"]
    slope, places = SLOPE_BUGS[name].plant(f, np.random.default_rng(1))
    assert is_there(f, Activation("planted", f.value, slope), places)
    for z in map(np.atleast_1d, places):
        right, claimed = f.slope(z, f(z)), slope(z, f(z))
        assert not np.abs(claimed - right)[0] <= 1e-9


def test_a_bug_that_changes_nothing_is_not_there():
    even = ACTIVATIONS["tanh"]
    slope, places = SLOPE_BUGS["branches swapped"].plant(even, np.random.default_rng(1))
    assert not is_there(even, Activation("planted", even.value, slope), places)
    assert "branches swapped" not in {bug for _, bug in wrong_records([even], seed=0, each=len(SLOPE_BUGS))}


def test_of_a_few_records_this_harness_sees_all_and_accuses_nobody():
    """The narrow, the far and the single z among them, which samples miss."""
    steps = []
    study = run_study(records=2, each=2, peers=["scipy check_grad < 1e-4"], progress=lambda *step: steps.append(step))
    assert study.unexpected() == []
    assert study.further["proved"] == Rate(2, 2).to_dict()
    assert study.rate(ALARM, bugs=True, checker=HARNESS).total == steps[-1][2] - 2
    assert steps[-1][1] == steps[-1][2]
    assert {"scipy check_grad < 1e-4", *SLOPE_BUGS} <= {
        line.split("  ")[0].split(":")[0] for line in table_of(study).splitlines()
    }


def test_peers_get_the_same_slope():
    """They raise an alarm about a factor of two, and none about the right slope."""
    f = ACTIVATIONS["tanh"]
    twice = Activation("twice", f.value, lambda z, a: 2.0 * f.slope(z, a))
    checkers, _ = beside_peers(lambda case: Response(PASS), _flat, ["scipy check_grad < 1e-4", "JAX check_grads"])
    right, *_ = record_cases([f], 0, 0, seed=0)
    cases = [right, Case("twice", "", right.subject._replace(record=twice), "twice")]
    study = conduct("made/1", {"records": cases}, checkers)
    assert [study.rate(ALARM, bugs=bugs).count for bugs in (False, True)] == [0, len(checkers) - 1]


def test_quick_is_smaller():
    assert QUICK["records"] < len(ACTIVATIONS)
    assert QUICK["each"] < EACH
