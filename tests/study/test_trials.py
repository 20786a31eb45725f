"""Trials are counted as they were made, and rates have the intervals that were published."""

import pytest

from harness.study.activation_study import WRITTEN, activation_document
from harness.study.checkers import ALARM, HARNESS, INCONCLUSIVE, NOT_APPLICABLE, PASS
from harness.study.gradient_study import SHIPPED_WRONG
from harness.study.rule_study import NATIVE
from harness.study.study_tables import LISTED, activation_table, gradient_table, rule_table, zoo_table
from harness.study.trials import (
    RIGHT,
    WRONG,
    Case,
    Rate,
    Response,
    Study,
    Trial,
    peer_response,
    percent,
    run_trials,
    trial_document,
)
from harness.study.zoo_study import blamed


@pytest.mark.parametrize(
    ("count", "total", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_intervals_are_those_that_newcombe_published(count, total, low, high):
    """Statistics in Medicine 17 (1998) 857-872, table I, method 3."""
    assert Rate(count, total).interval() == pytest.approx((low, high), abs=5e-5)
    mirrored = Rate(total - count, total).interval()
    assert mirrored == pytest.approx((1.0 - high, 1.0 - low), abs=5e-5)


def test_the_rate_of_an_empty_total_is_unknown():
    assert Rate(0, 0).interval() == (0.0, 1.0)
    assert Rate(0, 0).to_dict()["share"] is None
    assert str(Rate(0, 0)) == "-"


@pytest.mark.parametrize(
    ("share", "shown"), [(1.0, "100%"), (0.0, "0%"), (0.99999, ">99.9%"), (1e-5, "<0.1%"), (0.847, "84.7%")]
)
def test_percentages_round_neither_up_to_all_nor_down_to_nothing(share, shown):
    assert percent(share) == shown


def study_of(*trials: Trial, **further) -> Study:
    return Study("harness.made/1", trials, {"absent peer": "not here"}, 1.0, further=further)


def trial(checker, case, bug, outcome, *, kind=None, **more) -> Trial:
    return Trial(checker, case, kind or (WRONG if bug else RIGHT), bug, outcome, 0.25, **more)


def test_every_checker_is_shown_every_case_and_progress_counts_the_cases():
    steps = []
    cases = [Case("f", RIGHT, 1.0, number=3), Case("f: sign", WRONG, -1.0, "sign", "gradient")]
    checkers = {
        "positive": lambda case: Response(PASS if case.subject > 0.0 else ALARM, "right"),
        "asleep": lambda case: Response(PASS),
    }
    trials = run_trials(cases, checkers, lambda *step: steps.append(step), "cases")
    assert steps == [("cases", 1, 2), ("cases", 2, 2)]
    assert [(t.checker, t.case, t.outcome, t.naming, t.group, t.number) for t in trials] == [
        ("positive", "f", PASS, "right", "", 3), ("asleep", "f", PASS, "", "", 3),
        ("positive", "f: sign", ALARM, "right", "gradient", 0), ("asleep", "f: sign", PASS, "", "gradient", 0),
    ]  # fmt: skip


def test_a_peer_that_raises_gives_an_alarm_about_wrong_code_alone():
    def check():
        raise FloatingPointError

    assert peer_response(check, Case("f", WRONG, None, "sign")).outcome == ALARM
    assert peer_response(check, Case("f", RIGHT, None)).outcome == "raised FloatingPointError"


def test_a_bug_is_told_apart_only_where_correct_code_passes():
    study = study_of(
        trial("wolf", "correct", "", ALARM, number=0, kind="random"),
        trial("wolf", "correct", "", PASS, number=1, kind="random"),
        trial("wolf", "sign", "sign", ALARM, number=0, kind="random"),
        trial("wolf", "sign", "sign", ALARM, number=1, kind="random"),
        trial("sheep", "correct", "", INCONCLUSIVE, number=0, kind="random"),
        trial("sheep", "sign", "sign", ALARM, number=0, kind="random"),
        trial("sheep", "sign", "sign", INCONCLUSIVE, number=1, kind="random"),
        trial("sheep", "sign", "sign", NOT_APPLICABLE, number=2, kind="random"),
    )
    rates = {name: study.rate(ALARM, bugs=True, checker=name) for name in study.checkers}
    assert rates == {"wolf": Rate(2, 2), "sheep": Rate(1, 2)}
    assert study.told_apart(checker="wolf") == Rate(1, 2)
    assert study.rate(ALARM, bugs=False, checker="wolf") == Rate(1, 2)
    assert study.rate(INCONCLUSIVE, bugs=False, checker="sheep") == Rate(1, 1)
    assert study.rate(INCONCLUSIVE, bugs=True, checker="sheep", kind="random") == Rate(1, 2)
    assert study.count(checker="sheep", bug="sign") == 3
    assert study.median_seconds(checker="wolf") == 0.25
    assert study.bugs == ("sign",)


def test_misses_and_wrong_names_are_shown():
    study = study_of(
        trial(HARNESS, "correct", "", PASS, kind="random", naming="abstained"),
        trial(HARNESS, "wrong-sign", "wrong-sign", ALARM, kind="random", naming="wrong"),
        trial(HARNESS, "wrong-sign", "wrong-sign", PASS, kind="random", naming="abstained", number=1),
        problems={"random": 2}, bugs={"wrong-sign": {}}, networks=None, sharpness=[], sharpness_not_asked={},
    )  # fmt: skip
    assert [(t.case, t.number) for t in study.missed()] == [("wrong-sign", 1)]
    assert blamed(study, "wrong") == Rate(1, 1)
    assert "wrong-sign on random problem 1 (pass)" in zoo_table(study)


def test_the_table_and_the_document_of_activations_have_the_same_counts():
    proved = Rate(1, 2).to_dict()
    study = study_of(
        trial(HARNESS, "right", "", PASS), trial("peer", "right", "", ALARM),
        trial(HARNESS, "right too", "", INCONCLUSIVE), trial(HARNESS, "right, sign", "sign", ALARM),
        trial("peer", "right, sign", "sign", PASS), trial(HARNESS, "right, twice", "twice", PASS),
        proved=proved,
    )  # fmt: skip
    document, table = activation_document(study), activation_table(study)
    ours, theirs = document["checkers"]
    assert (ours["caught"]["count"], ours["caught"]["total"]) == (1, 2)
    assert ours["caught_by_bug"]["twice"]["count"] == 0
    assert (theirs["false_alarms"]["count"], theirs["undecided"]["count"]) == (1, 0)
    assert ours["undecided_of_right"]["count"] == 1
    assert list(document["bugs"]) == ["sign", "twice"]
    assert document["proved"] == proved
    assert [row["record"] for row in document["unexpected"]] == ["right too", "right, twice"]
    for shown in ("2 right and 2 wrong", "1 (50.0%)", "right too: inconclusive", "right, twice: pass", "absent peer"):
        assert shown in table


def test_a_long_list_of_what_was_not_expected_is_cut():
    trials = [trial(HARNESS, f"record {i}", WRITTEN, PASS) for i in range(LISTED + 5)]
    table = activation_table(study_of(*trials, proved=Rate(0, 0).to_dict()))
    assert table.count("record ") == LISTED
    assert "5 more" in table


GRADIENTS = study_of(
    trial(HARNESS, "a: sign", "sign", PASS),
    trial(HARNESS, "b: sign", "sign", ALARM, naming="false"),
    trial(HARNESS, "c: sign", "sign", ALARM, naming="vague"),
    trial(HARNESS, "d", "", ALARM),
    trial(HARNESS, "e", "", INCONCLUSIVE),
    trial(HARNESS, "f", "f", ALARM, kind=SHIPPED_WRONG, naming="right"),
)
RULES = study_of(
    trial(HARNESS, "a: sign", "sign", PASS),
    trial(HARNESS, "b", "", ALARM),
    trial(HARNESS, "c: sign", "sign", ALARM, naming="another"),
    trial(HARNESS, "d: sign", "sign", ALARM, naming="yes"),
    trial(NATIVE, "c: sign", "sign", NOT_APPLICABLE),
)


@pytest.mark.parametrize(
    ("study", "table", "naming", "rates", "listed"),
    [
        (GRADIENTS, gradient_table, "diagnosis", ("2 of 3", "1 of 1", "1 of 2"), "abd"),
        (RULES, rule_table, "named", ("2 of 3", "1 of 1", "0 of 0"), "abc"),
    ],
)
def test_misses_false_alarms_and_false_names_are_listed(study, table, naming, rates, listed):
    lines = table(study).splitlines()
    assert all(rate in table(study) for rate in rates)
    assert [line[2] for line in lines if line.startswith("  ") and "absent" not in line] == list(listed)
    rows = trial_document(study, naming)["trials"]
    assert [(row["case"], row[naming]) for row in rows] == [(t.case, t.naming) for t in study.trials]
    assert list(rows[0]) == ["checker", "case", "kind", "outcome", "seconds", naming]
