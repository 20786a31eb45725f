"""Trials are made once each, counted as they were made, and rates have the intervals that were published."""

import json
import re

import pytest

from harness.study.checkers import ALARM, HARNESS, INCONCLUSIVE, NOT_APPLICABLE, PASS
from harness.study.study_display import LISTED, POOR, trial_table
from harness.study.trials import RIGHT, WRONG, Case, Rate, Response, Study, Trial, conduct, percent, trial_document
from harness.study.zoo_study import blamed, table_of


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


CASES = [Case("f", RIGHT, 1.0, number=3), Case("f: sign", WRONG, -1.0, "sign", "gradient")]


def raises(case):
    raise FloatingPointError


CHECKERS = {
    "positive": lambda case: Response(PASS if case.subject > 0.0 else ALARM, "right"),
    "raises": raises,
    HARNESS: raises,
}


def test_every_checker_is_shown_every_case_and_progress_counts_the_cases():
    """A peer that raises gives an alarm about wrong code alone, and the harness gives none by raising."""
    steps = []
    study = conduct("made/1", {"cases": CASES}, CHECKERS, lambda *step: steps.append(step))
    assert steps == [("cases", 1, 2), ("cases", 2, 2)]
    raised = "raised FloatingPointError"
    assert [(t.checker, t.case, t.outcome, t.naming, t.group, t.number) for t in study.trials] == [
        ("positive", "f", PASS, "right", "", 3), ("raises", "f", raised, "", "", 3), (HARNESS, "f", raised, "", "", 3),
        ("positive", "f: sign", ALARM, "right", "gradient", 0), ("raises", "f: sign", ALARM, "", "gradient", 0),
        (HARNESS, "f: sign", raised, "", "gradient", 0),
    ]  # fmt: skip


def test_a_run_goes_on_with_what_is_stored_and_refuses_what_is_damaged(tmp_path):
    store, asked = tmp_path / "trials", []

    def respond(case):
        asked.append(case.name)
        return Response(ALARM)

    def run(schema="made/1", **size):
        return conduct(schema, {"cases": CASES}, {HARNESS: respond}, store=store, size=size)

    first, lines = run(), store.read_bytes()
    store.write_bytes(lines[:-9])  # cut off within the last trial
    again = run()
    assert asked == ["f", "f: sign", "f: sign"]
    assert [trial._replace(seconds=0.0) for trial in again.trials] == [t._replace(seconds=0.0) for t in first.trials]
    with pytest.raises(ValueError, match=r"of another study or code \(study: made/1 there, made/2 here"):
        run("made/2")
    with pytest.raises(ValueError, match=r"of another study or code \(samples: .*4 here"):
        run(samples=4)
    store.write_bytes(lines.replace(b"alarm", b"pass", 1))
    with pytest.raises(ValueError, match=f"{store} is damaged.*checksum"):
        run()
    store.write_bytes(lines * 2)
    with pytest.raises(ValueError, match=f"{store} is damaged: it holds something else than trials"):
        run()
    store.write_bytes(b"notes")
    with pytest.raises(ValueError, match=f"{store} is no file of schema"):
        run()
    assert store.read_bytes() == b"notes"


def study_of(*trials: Trial, **further) -> Study:
    return Study("harness.made/1", trials, {"absent peer": "not here"}, 1.0, naming="diagnosis", further=further)


def trial(checker, case, bug, outcome, **more) -> Trial:
    return Trial(checker, case, more.pop("kind", WRONG if bug else RIGHT), bug, outcome, 0.25, **more)


def test_a_bug_is_told_apart_only_where_correct_code_passes():
    study = study_of(
        trial("wolf", "correct", "", ALARM, number=0),
        trial("wolf", "correct", "", PASS, number=1),
        trial("wolf", "sign", "sign", ALARM, number=0, kind=RIGHT),
        trial("wolf", "sign", "sign", ALARM, number=1, kind=RIGHT),
        trial("sheep", "correct", "", INCONCLUSIVE, number=0),
        trial("sheep", "sign", "sign", ALARM, number=0),
        trial("sheep", "sign", "sign", INCONCLUSIVE, number=1),
        trial("sheep", "sign", "sign", NOT_APPLICABLE, number=2),
    )
    rates = {name: study.rate(ALARM, bugs=True, checker=name) for name in study.checkers}
    assert rates == {"wolf": Rate(2, 2), "sheep": Rate(1, 2)}
    assert study.told_apart(checker="wolf") == Rate(1, 2)
    assert study.rate(ALARM, bugs=False, checker="wolf") == Rate(1, 2)
    assert study.rate(INCONCLUSIVE, bugs=False, checker="sheep") == Rate(1, 1)
    assert study.rate(INCONCLUSIVE, bugs=True, checker="sheep", kind=WRONG) == Rate(1, 2)
    assert study.median_seconds(checker="wolf") == 0.25
    assert study.bugs == ("sign",)


def test_the_median_is_of_the_trials_that_were_made():
    seconds = {"a": [1.0, 9.0], "b": [3.0, 3.0]}
    trials = [
        trial(name, "sign", "sign", outcome)._replace(seconds=spent)
        for name, both in seconds.items()
        for outcome, spent in zip((ALARM, NOT_APPLICABLE), both)
    ]
    assert study_of(*trials).median_seconds(checker="a") == 1.0


def test_misses_and_wrong_names_of_the_zoo_are_shown():
    study = study_of(
        trial(HARNESS, "correct", "", PASS, kind="random", naming="abstained"),
        trial(HARNESS, "wrong-sign", "wrong-sign", ALARM, kind="random", naming="wrong"),
        trial(HARNESS, "wrong-sign", "wrong-sign", PASS, kind="random", naming="abstained", number=1),
        problems={"random": 2}, bugs={"wrong-sign": {}}, networks=None,
    )  # fmt: skip
    assert [(t.case, t.number) for t in study.missed()] == [("wrong-sign", 1)]
    assert blamed(study, "wrong") == Rate(1, 1)
    assert "wrong-sign, random, pass" in table_of(study)


SHOWN = study_of(
    trial(HARNESS, "missed", "sign", PASS),
    trial(HARNESS, "misnamed", "sign", ALARM, naming="false"),
    trial(HARNESS, "caught", "sign", ALARM, naming="vague"),
    trial(HARNESS, "accused", "", ALARM),
    trial(HARNESS, "undecided", "", INCONCLUSIVE),
    trial(HARNESS, "passed", "", PASS),
    trial("peer", "passed", "", "raised KeyError"),
    trial(HARNESS, "other", "other", ALARM, naming="right", group="shipped"),
)


def test_the_table_has_a_row_for_each_checker_and_group_and_lists_what_is_not_as_it_should_be():
    lines = trial_table(SHOWN).splitlines()
    rows = {name: cells for name, *cells in (re.split(" {2,}", line) for line in lines[1:4])}
    assert rows == {
        HARNESS: ["2 of 3", "0", "1 of 3", "1", "1", "0", "250", "1.5"],
        "peer": ["0 of 0", "0", "0 of 1", "0", "0", "1", "250", "0.2"],
        f"{HARNESS}: shipped": ["1 of 1", "0", "0 of 0", "0", "0", "0", "250", "0.2"],
    }
    assert "diagnosis: 1 false, 1 vague" in lines
    assert "diagnosis, shipped: 1 right" in lines
    poor = lines[lines.index(POOR) + 1 :][:4]
    assert poor == ["  missed, pass", "  misnamed, alarm, false", "  accused, alarm", "  undecided, inconclusive"]
    assert "  absent peer: not here" in lines


def test_the_document_has_every_trial():
    document = json.loads(json.dumps(trial_document(SHOWN), allow_nan=False))
    assert [(row["case"], row["bug"], row["diagnosis"]) for row in document["trials"]] == [
        (trial.case, trial.bug, trial.naming) for trial in SHOWN.trials
    ]


def test_a_long_list_of_what_was_not_expected_is_cut():
    table = trial_table(study_of(*[trial(HARNESS, f"record {i}", "sign", PASS) for i in range(LISTED + 5)]))
    assert table.count("record ") == LISTED
    assert "5 more" in table
