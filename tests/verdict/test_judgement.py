"""From compared answers to a verdict: what makes it, who is named, and where."""

import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from harness.bounds.tolerances import CONCLUSIVE_SHARE
from harness.facts.fact import doubt, kinds_of, note, wrong
from harness.facts.kinds import Kind
from harness.verdict.comparison import Answer, Block, compare, compare_all
from harness.verdict.consensus import find_consensus
from harness.verdict.judgement import NOBODY, judge
from harness.verdict.subject import Subject

N = 100
BOUND = 1e-12
BLOCKS = [Block("front", np.arange(50)), Block("back", np.arange(50, N))]
ENDS = "ends"


def near(value, rel=1e-3):
    return pytest.approx(value, rel=rel, abs=0.0)


def answer(name, family="", error: Any = BOUND, cost=1.0, cost_error=BOUND, **off):
    """An answer of ones, off by so many bounds of two answers at the coordinates named as ``at_7=3.0``."""
    gradient = np.ones(N)
    for coordinate, distance in off.items():
        gradient[int(coordinate.removeprefix("at_"))] += distance * 2.0 * BOUND
    return Answer(name, family or name, cost, cost_error, gradient, np.broadcast_to(error, N).copy())


def undecided(count):
    error = np.full(N, BOUND)
    error[:count] = np.inf
    return error


def at_the_ends(a, difference=0.0, error=BOUND):
    ends = Answer(ENDS, "differences", a.cost, a.cost_error, np.array([1.0, 1.0]), np.full(2, error))
    along = Answer(a.name, a.family, a.cost, a.cost_error, np.array([1.0, 1.0 + difference * 2.0 * BOUND]), ends.error)
    return compare(along, ends, [Block("directions", np.arange(2))])


class MadeUp(Subject):
    """A hundred coordinates in two blocks; what a test hands in stands in for the defaults."""

    blocks = BLOCKS

    def __init__(self, asked=None, blind_to=(), facts=(), details=None):
        self.asked, self.hidden, self.facts, self.details = asked, blind_to, facts, details or {}

    def label(self, i):
        return f"x[{i}]"

    def describe(self):
        return {"made": "up"}

    def explain(self, wrong, right, at_odds):
        return (note(Kind.SIGN, wrong.name, right.name, places=np.flatnonzero(at_odds).tolist()),)

    def blind_to(self):
        return self.hidden

    def to_decide(self):
        return super().to_decide() if self.asked is None else self.asked


def verdict_on(*answers, ends=(), left_out=NOBODY, **subject):
    pairs = compare_all(answers, BLOCKS)
    families = {a.name: a.family for a in answers} | ({ENDS: "differences"} if ends else {})
    consensus = find_consensus(families, [*pairs, *ends])
    return judge(MadeUp(**subject), answers, pairs, ends, consensus, left_out, started=time.perf_counter())


# Agree, and why not


def test_independent_answers_within_their_bounds_agree():
    report = verdict_on(answer("a"), answer("b", at_7=0.5), answer("c"))
    assert (report.verdict, report.outliers, report.tie, report.findings, report.reasons) == (
        "agree",
        (),
        False,
        (),
        (),
    )
    assert report.decided_share == 1.0
    assert report.margin == near(0.5)
    assert report.smallest_visible == near((2.0 * BOUND, 2.0 * BOUND))


def reasons_of(*answers, **keywords):
    """The only reason of a report that is inconclusive."""
    report = verdict_on(*answers, **keywords)
    assert (report.verdict, report.outliers) == ("inconclusive", ())
    (reason,) = report.reasons
    return reason


UNDECIDED = {
    "nobody": ([], Kind.NOTHING_TO_COMPARE, ()),
    "alone": ([answer("a")], Kind.NOTHING_TO_COMPARE, ("a",)),
    "one author": ([answer("a", "hands"), answer("b", "hands")], Kind.ONE_FAMILY, ("a", "b")),
    "no coordinate": ([answer("a", error=np.inf), answer("b")], Kind.UNDECIDED, tuple(f"x[{i}]" for i in range(20))),
    "cost unbounded": ([answer("a", cost_error=np.inf), answer("b")], Kind.COSTS_UNDECIDED, ()),
    "cost too vague": ([answer("a", cost_error=1e-3), answer("b")], Kind.COSTS_UNDECIDED, ()),
    "cost unknown": ([answer("a", cost=np.nan, cost_error=np.nan), answer("b")], Kind.COST_NOT_FINITE, ("a",)),
    "costs unknown": ([answer(x, cost=np.nan, cost_error=np.inf) for x in "ab"], Kind.COST_NOT_FINITE, ("a", "b")),
    # as where λ times the weights overflows for those who divide by m last, and their bound is infinite
    "one cost infinite": (
        [answer("a"), answer("b"), answer("c", cost=np.inf, cost_error=np.inf)],
        Kind.COST_NOT_FINITE,
        ("c",),
    ),
}


@pytest.mark.parametrize(("answers", "kind", "where"), UNDECIDED.values(), ids=list(UNDECIDED))
def test_what_is_not_shown_is_inconclusive_and_says_why(answers, kind, where):
    reason = reasons_of(*answers)
    assert (reason.kind, reason.where) == (kind, where)


def test_nearly_all_coordinates_must_be_decided():
    spared = round((1.0 - CONCLUSIVE_SHARE) * N)
    assert verdict_on(answer("a"), answer("b", error=undecided(spared))).verdict == "agree"
    report = verdict_on(answer("a"), answer("b", error=undecided(spared + 1)))
    assert report.verdict == "inconclusive"
    assert report.decided_share == pytest.approx(1.0 - (spared + 1) / N)
    (reason,) = report.reasons
    assert reason.data == {"undecided": spared + 1, "total": N, "sources": [], "places": spared + 1}
    assert reason.where[:3] == ("x[0]", "x[1]", "x[2]")


def test_only_answers_of_different_authors_decide_a_coordinate():
    hands = answer("a", "hands"), answer("b", "hands")
    assert verdict_on(*hands, answer("c", error=undecided(50))).decided_share == 0.5
    oracle = replace(answer("c", error=undecided(50)), oracle=True)
    assert verdict_on(*hands, oracle, answer("d")).verdict == "agree"


def test_coordinates_that_were_not_asked_for_need_not_be_decided():
    a, b = answer("a"), answer("b", error=undecided(50))
    report = verdict_on(a, b, asked=np.arange(50, N))
    assert (report.verdict, report.decided_share) == ("agree", 1.0)
    assert verdict_on(a, b, asked=np.arange(49, 59)).verdict == "inconclusive"


def test_one_independent_comparison_of_costs_is_enough():
    assert verdict_on(answer("a"), answer("b"), answer("c", cost_error=np.inf)).verdict == "agree"


def test_one_end_to_end_direction_must_be_decided():
    a, b = answer("a"), answer("b")
    assert verdict_on(a, b, ends=[at_the_ends(a), at_the_ends(b, error=np.inf)]).verdict == "agree"
    undecided_ends = [at_the_ends(a, error=np.inf), at_the_ends(b, error=np.inf)]
    assert reasons_of(a, b, ends=undecided_ends).kind == Kind.NO_DIRECTION_DECIDED


def test_the_smallest_error_that_is_seen_is_told_for_the_best_and_the_worst_coordinate():
    wide = np.full(N, BOUND)
    wide[3], wide[4] = 1e-14, 1e-9
    report = verdict_on(answer("a", error=wide), answer("b", error=wide), answer("c", error=10.0 * wide))
    assert report.smallest_visible == near((1.1e-13, 1.1e-8))  # in c: what is allowed to the vaguest


# Disagree


def test_one_coordinate_at_odds_is_enough():
    report = verdict_on(answer("a"), answer("b", at_60=1.1), answer("c"))
    assert report.verdict == "disagree"
    assert report.outliers == ("b",)
    assert [row.outlier for row in report.sources] == [False, True, False]
    (finding,) = report.findings
    assert (finding.source, finding.what, finding.where, finding.coordinates) == ("b", "gradient", "x[60]", 1)
    assert finding.against in ("a", "c")
    assert (finding.value, finding.expected) == (1.0 + 1.1 * 2.0 * BOUND, 1.0)
    assert finding.bound == near(2.0 * BOUND)
    assert finding.ratio == near(1.1)
    assert finding.blocks == ("back",)
    (fact,) = finding.diagnosis
    assert (fact.where, fact.data["places"]) == (("b", finding.against), [60])


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_value_that_is_not_finite_is_the_worst(value):
    b = answer("b", at_1=5.0)
    b.gradient[70] = value
    (finding,) = verdict_on(answer("a"), b, answer("c")).findings
    assert (finding.where, finding.coordinates, finding.ratio) == ("x[70]", 2, np.inf)


def test_the_sharpest_of_those_who_object_is_quoted():
    report = verdict_on(answer("vague", error=10.0 * BOUND), answer("wrong", at_5=1e3), answer("sharp"))
    assert report.findings[0].against == "sharp"


def test_a_wrong_cost_comes_before_a_wrong_gradient():
    report = verdict_on(answer("a"), answer("b", cost=1.5, at_5=1e3), answer("c"))
    (finding,) = report.findings
    assert (finding.what, finding.value, finding.expected) == ("cost", 1.5, 1.0)
    assert finding.bound == near(2.0 * BOUND)
    assert finding.diagnosis


def test_findings_come_worst_first():
    report = verdict_on(*(answer(name) for name in "abc"), answer("d", at_5=2.0), answer("e", at_5=-9.0))
    assert [finding.source for finding in report.findings] == ["e", "d"]
    assert report.outliers == ("d", "e")


def test_a_tie_names_nobody_and_shows_both_sides():
    report = verdict_on(answer("a"), answer("b", at_5=3.0))
    assert (report.verdict, report.outliers, report.tie) == ("disagree", (), True)
    assert {finding.source for finding in report.findings} == {"a", "b"}
    assert not any(row.outlier for row in report.sources)


def test_disagreement_outweighs_doubt():
    report = verdict_on(answer("a", error=undecided(50)), answer("b", error=undecided(50), at_90=3.0))
    assert (report.verdict, report.reasons) == ("disagree", ())


def test_a_broken_rule_is_disagreement_even_where_the_numbers_are_right():
    facts = wrong(Kind.ARGUMENT_CHANGED, "b"), wrong(Kind.NOT_REPEATABLE, "b")
    report = verdict_on(answer("a"), replace(answer("b"), broken_rules=facts))
    assert (report.verdict, report.outliers, report.findings) == ("disagree", ("b",), ())
    assert report.reasons == facts


def test_a_source_that_only_the_ends_contradict_is_shown():
    """The other sources fit it and the ends alike, so it is not outvoted; but it is the one to look at."""
    a, b, c = answer("a"), answer("b"), answer("c")
    ends = [at_the_ends(a), at_the_ends(b, difference=7.0), at_the_ends(c)]
    report = verdict_on(a, b, c, ends=ends)
    assert (report.verdict, report.outliers, report.tie) == ("disagree", (), True)
    (finding,) = report.findings
    assert (finding.source, finding.against, finding.what, finding.coordinates) == ("b", ENDS, "end to end", 1)
    assert finding.value - finding.expected == pytest.approx(14.0 * BOUND, rel=1e-3)
    assert finding.bound == near(2.0 * BOUND)
    assert "direction 1" in finding.where


def test_ends_that_contradict_everybody_are_a_disagreement_without_an_odd_one_out():
    """All sources may share an assumption, such as z being affine in the weights: the ends do not share it."""
    answers = [answer(name) for name in "abc"]
    report = verdict_on(*answers, ends=[at_the_ends(a, difference=7.0) for a in answers])
    assert (report.verdict, report.outliers) == ("disagree", ())
    assert report.findings[0].what == "end to end"


def test_the_margin_is_that_of_answers_that_agree():
    vague = np.full(N, BOUND)
    vague[9] = 1.0
    report = verdict_on(
        answer("a"), answer("b", at_5=0.8), answer("c", at_6=1e6), answer("d", error=vague, at_9=4.9e11)
    )
    assert report.margin == near(0.8)


def test_an_error_bar_that_is_not_a_number_is_no_limit_of_what_is_seen():
    report = verdict_on(answer("a"), answer("b"), replace(answer("c", error=np.nan), oracle=True))
    assert report.smallest_visible == near((2.0 * BOUND, 2.0 * BOUND))


# What is tested, and what tests it


def test_others_do_not_vouch_for_a_source_that_nobody_could_check():
    report = verdict_on(answer("mine", error=np.inf), answer("jax"), answer("differences"))
    assert report.verdict == "inconclusive"
    assert report.decided_share == 0.0
    assert report.reasons[0].data == {"undecided": 100, "total": 100, "sources": ["mine"], "places": 100}


def test_an_oracle_that_decides_nothing_is_no_doubt_about_the_others():
    report = verdict_on(answer("a"), answer("b"), replace(answer("c", error=np.inf), oracle=True))
    assert (report.verdict, report.decided_share) == ("agree", 1.0)


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_one_number_that_is_not_finite_is_never_agreed_upon(broken):
    """Although one of a hundred may stay undecided."""
    answers = [answer(name, error=undecided(1)) for name in "ab"]
    assert verdict_on(*answers).verdict == "agree"
    answers[0].gradient[0] = broken
    assert reasons_of(*answers) == doubt(Kind.NOT_FINITE, "x[0]", source="a", places=1)


def test_a_difference_that_a_wide_bound_allows_is_no_error_that_an_accuracy_accepts():
    loose, vague = replace(answer("a", at_0=1e6), accuracy=1e-3), answer("c", error=8e-4, at_1=7.5e8)
    (fact,) = [fact for fact in verdict_on(loose, answer("b"), vague).facts if fact.kind == Kind.ACCURACY]
    assert (fact.where, fact.data["largest"]) == (("x[0]",), near(2e-6))


def test_a_fact_names_twenty_places_and_counts_all_of_them():
    answers = [answer(name, error=undecided(60)) for name in "ab"]
    answers[0].gradient[:60] = np.nan
    for fact in verdict_on(*answers).reasons:
        assert (len(fact.where), fact.data["places"]) == (20, 60)


def test_stretches_of_coordinates_are_counted_as_stretches():
    class InStretches(MadeUp):
        def places(self, coordinates):
            return (f"x[{coordinates[0]}] to x[{coordinates[-1]}]",)

    pairs = compare_all(answers := [answer(name, error=undecided(60)) for name in "ab"], BLOCKS)
    consensus = find_consensus({a.name: a.family for a in answers}, pairs)
    (fact,) = judge(InStretches(), answers, pairs, [], consensus, NOBODY, None).reasons
    assert (fact.where, fact.data["undecided"], fact.data["places"]) == (("x[0] to x[59]",), 60, 1)


def test_the_few_that_are_undecided_are_named_beside_the_verdict():
    few = note(Kind.FEW_UNDECIDED, "x[0]", "x[1]", undecided=2, places=2, why=[])
    assert verdict_on(answer("a", error=undecided(2)), answer("b")).notes == (few,)
    assert verdict_on(answer("a"), answer("b")).notes == ()


@pytest.mark.parametrize(
    ("cost", "kind"),
    [(2.0, Kind.COST_OF_ANOTHER), (1.0 + 1e-9, Kind.COST_DIGITS_LOST), (np.inf, Kind.COST_NOT_FINITE)],
)
def test_what_a_wrong_cost_suggests(cost, kind):
    report = verdict_on(answer("a", cost=cost), answer("b"), answer("c"))
    assert kinds_of(report.findings[0].diagnosis) == (kind,)


def test_what_a_subject_has_to_tell_is_in_the_report():
    doubtful, noted, broken = doubt(Kind.KINK, "x"), note(Kind.GROUPED), wrong(Kind.NOT_REPEATABLE, "f")
    report = verdict_on(answer("a"), answer("b"), facts=[noted, doubtful], details={"kinks": [0.0]})
    assert (report.verdict, report.reasons, report.outliers) == ("inconclusive", (doubtful,), ())
    assert (report.notes, report.details) == ((noted,), {"kinks": [0.0]})
    report = verdict_on(answer("a"), answer("b"), facts=[doubtful, noted, broken])
    assert (report.verdict, report.facts, report.outliers) == ("disagree", (broken, doubtful, noted), ())
    report = verdict_on(answer("a"), answer("b", at_5=3.0), facts=[doubtful, noted])
    assert report.facts == (noted,), "a difference outweighs doubts"


def test_a_pair_agrees_where_every_coordinate_that_both_speak_of_is_decided():
    silent = replace(answer("oracle", error=undecided(30)), oracle=True)
    vague = replace(answer("vague", error=np.where(np.arange(N) < 30, 1.0, BOUND)), oracle=True)
    mute = replace(answer("mute", error=np.inf), oracle=True)
    rows = {(row.first, row.second): row for row in verdict_on(answer("a"), silent, vague, mute).pairs}
    assert {second: rows["a", second].verdict for second in ("oracle", "vague", "mute")} == {
        "oracle": "agree",
        "vague": "inconclusive",
        "mute": "inconclusive",
    }
    assert rows["a", "oracle"].coordinates_decided == N - 30


def test_nobody_else_may_be_able_to_answer():
    reason = reasons_of(answer("a"), left_out={"jax": note(Kind.NO_PATH, "jax")})
    assert reason == doubt(Kind.NOTHING_TO_COMPARE, "a", left_out=["jax"])


def test_nothing_may_be_left_to_decide():
    assert reasons_of(answer("a"), answer("b"), asked=np.zeros(0, dtype=int)).kind == Kind.NOTHING_TO_DECIDE


def test_a_row_tells_the_largest_difference_where_a_bound_is_known():
    error = undecided(1)
    a, b = answer("a", error=error, at_5=0.5), replace(answer("b", error=error), oracle=True)
    a.gradient[0] = np.inf
    (row,) = verdict_on(a, b).pairs
    assert row.ratio == near(0.5)
    assert row.difference == near(BOUND)
