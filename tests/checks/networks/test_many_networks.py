"""Many random networks: none disagrees, all are counted, and failures can be made again."""

from types import SimpleNamespace

import numpy as np
import pytest

from harness import FAULTS, SOURCES, Activation, NotApplicable, check_networks, random_problem
from harness.bounds.tolerances import INCONCLUSIVE_SHARE
from harness.checks.networks import many_networks as many
from harness.facts.fact import doubt, kinds_of, note
from harness.facts.kinds import Kind


@pytest.mark.parametrize("few", [40, pytest.param(None, marks=pytest.mark.more)])
def test_on_random_networks_the_sources_never_disagree(few, network_count):
    network_count = few or network_count
    summary = check_networks(network_count)
    assert summary.counts["disagree"] == 0, str(summary)
    assert summary.verdict == "agree"
    assert sum(summary.counts.values()) == summary.networks == network_count
    assert (summary.outliers, summary.failures) == ({}, ())
    assert summary.counts["inconclusive"] <= 0.02 * network_count
    assert 0.0 < summary.margin < 1.0
    assert summary.seconds > 0.0


def test_every_network_is_reported_as_it_is_done():
    seen = []
    check_networks(10, progress=lambda *arguments: seen.append(arguments))
    assert seen == [("cross-check", done, 10) for done in range(1, 11)]
    seen.clear()
    check_networks(1, progress=lambda *arguments: seen.append(arguments), step="mine")
    assert set(seen) == {("mine", 1, 1)}


def test_the_arguments_reach_the_networks(monkeypatch):
    checked = []
    monkeypatch.setattr(many, "cross_check", lambda *arguments: checked.append(arguments) or outcome("agree"))
    f = Activation("mine", value=lambda xp, z: z, slope=lambda z, a: np.ones_like(z))
    check_networks(20, seed=5, activations=[f], sources=["loop"], extremes=False)
    for index, (problem, theta, sources) in enumerate(checked):
        expected, expected_theta = random_problem((5, index), [f], extremes=False)
        assert (repr(problem), sources) == (repr(expected), ["loop"])
        np.testing.assert_array_equal(theta, expected_theta)
    assert len(checked) == 20
    check_networks(1)
    assert repr(checked[-1][0]) == repr(random_problem((0, 0))[0])


# The verdict, from outcomes that are made up


def outcome(verdict, margin=0.5, blind_to=(), reasons=()):
    sources = [SimpleNamespace(name="loop")]
    named = {"outliers": (), "sources": sources, "left_out": {}}
    return SimpleNamespace(verdict=verdict, margin=margin, blind_to=blind_to, reasons=reasons, **named)


HIDES = note(Kind.HIDDEN_BUGS, because="single-example")


@pytest.fixture
def made_up(monkeypatch):
    """Let `check_networks` come to the outcomes that a test makes up."""

    def make_up(outcomes):
        remaining = iter(outcomes)
        monkeypatch.setattr(many, "cross_check", lambda problem, theta, sources: next(remaining))

    return make_up


@pytest.mark.parametrize(
    ("agree", "inconclusive", "disagree", "verdict"),
    [
        (10, 0, 0, "agree"),
        (8, 2, 0, "agree"),
        (7, 3, 0, "inconclusive"),
        (0, 1, 0, "inconclusive"),
        (9, 0, 1, "disagree"),
        (0, 9, 1, "disagree"),
    ],
)
def test_one_that_disagrees_decides_and_too_many_inconclusive_ones_do(made_up, agree, inconclusive, disagree, verdict):
    verdicts = [*["agree"] * agree, *["inconclusive"] * inconclusive, *["disagree"] * disagree]
    made_up(map(outcome, verdicts))
    summary = check_networks(len(verdicts))
    assert summary.verdict == verdict
    assert summary.counts == {"agree": agree, "disagree": disagree, "inconclusive": inconclusive}


def test_the_margin_is_the_largest_of_all(made_up):
    made_up(outcome("agree", margin) for margin in (0.25, 0.75, 0.5))
    assert check_networks(3).margin == 0.75


def test_networks_that_hide_bugs_are_not_enough(made_up):
    made_up(outcome("agree", blind_to=blind_to) for blind_to in ((HIDES,), (HIDES,), (HIDES,), (), ()))
    summary = check_networks(2)
    assert (summary.networks, summary.counts["agree"]) == (4, 4)


def test_one_network_that_hides_nothing_is_enough(made_up):
    made_up(outcome("agree", blind_to=blind_to) for blind_to in ((), (HIDES,), ()))
    assert check_networks(2).networks == 2


KINK, JUNCTION = (
    doubt(kind, "Theta1[0, 1]", undecided=1, total=8, also=[]) for kind in (Kind.UNITS_AT_KINK, Kind.UNITS_AT_JUNCTION)
)


def test_reasons_are_those_of_the_first_inconclusive_network(made_up):
    made_up(outcome(verdict, reasons=(fact,)) for verdict, fact in (("agree", HIDES), *[("inconclusive", KINK)] * 2))
    summary = check_networks(3)
    assert kinds_of(summary.reasons) == (Kind.INCONCLUSIVE_NETWORK, Kind.UNITS_AT_KINK)
    assert (summary.reasons[0].where, summary.reasons[0].data["percent"]) == (("network 1",), 20)
    assert [fact["kind"] for fact in summary.to_dict()["reasons"]] == list(kinds_of(summary.reasons))


def test_why_networks_are_undecided_is_counted_by_kind_once_for_each_network(made_up):
    reasons = [(KINK,), (KINK, KINK, JUNCTION), *[()] * 12]
    made_up(outcome("inconclusive" if facts else "agree", reasons=facts) for facts in reasons)
    summary = check_networks(14)
    assert (summary.verdict, summary.reasons) == ("agree", ())
    assert summary.doubts == summary.to_dict()["doubts"] == {Kind.UNITS_AT_KINK: 2, Kind.UNITS_AT_JUNCTION: 1}
    assert (
        "  why inconclusive, and in how many networks: units-at-kink 2, units-at-junction 1"
        in str(summary).splitlines()
    )


# A bug among the sources

BUG = {"mine": FAULTS["mean-missing"].source} | {name: SOURCES[name] for name in ("jax", "finite-difference")}


@pytest.fixture(scope="module")
def buggy():
    return check_networks(20, seed=2, sources=BUG)


def test_a_bug_is_found_counted_and_named(buggy):
    assert buggy.verdict == "disagree"
    assert buggy.sources == tuple(BUG)
    assert buggy.outliers == {"mine": buggy.counts["disagree"]}
    assert sum(buggy.counts.values()) == 20


def test_the_first_that_disagrees_is_enough_where_a_caller_says_so(buggy):
    summary = check_networks(20, seed=2, sources=BUG, until_wrong=True)
    first = buggy.failures[0].number
    assert (summary.verdict, [failure.number for failure in summary.failures]) == ("disagree", [first])
    assert (summary.networks, summary.to_dict()["skipped"]) == (first + 1, 19 - first)
    assert f"  {19 - first} more were not checked" in str(summary)


def test_the_first_failures_are_kept_and_can_be_made_again(buggy):
    assert len(buggy.failures) == 5 < buggy.counts["disagree"]
    for number, report, problem, theta in buggy.failures:
        drawn, drawn_theta = random_problem((2, number))
        assert report.subject["sizes"] == list(drawn.network.sizes)
        assert repr(problem) == repr(drawn)
        np.testing.assert_array_equal(theta, drawn_theta)
        assert f"network {number}, random_problem((2, {number})):\n{report}" in str(buggy)


# Sources that take some networks only


def only_shallow(problem, theta):
    if len(problem.network.sizes) > 2:
        raise NotApplicable("no hidden layers")
    return SOURCES["loop"](problem, theta)


def never(problem, theta):
    raise NotApplicable("not today")


def test_how_many_networks_a_source_could_not_take_is_told():
    summary = check_networks(20, seed=2, sources={"mine": only_shallow, "jax": SOURCES["jax"]}, extremes=False)
    taken = sum(len(random_problem((2, index), extremes=False)[0].network.sizes) == 2 for index in range(20))
    assert 0 < taken < 20
    assert summary.left_out == {"mine": 20 - taken}
    assert f"  mine could not take {20 - taken} of them" in str(summary)


def only_saturated(problem, theta):
    if np.abs(theta).max() < 20.0:
        raise NotApplicable("its units are not saturated")
    return SOURCES["loop"](problem, theta)


def test_a_source_is_checked_on_the_networks_that_it_takes():
    """Few of all networks are inconclusive, but many of those that the source takes."""
    sources = {"mine": only_saturated, "vectorized": "vectorized", "jax": "jax"}
    summary = check_networks(60, activations=["relu"], sources=sources)
    assert summary.counts["inconclusive"] <= INCONCLUSIVE_SHARE * 60 < summary.left_out["mine"] < 60
    assert (summary.verdict, summary.reasons[0].kind) == ("inconclusive", Kind.INCONCLUSIVE_NETWORK)
    assert summary.reasons[0].data["source"] == "mine"


def test_a_source_that_takes_none_was_not_checked():
    beside = {"mine": never} | {name: SOURCES[name] for name in ("loop", "jax")}
    summary = check_networks(5, sources=beside, extremes=False)
    assert (summary.counts["agree"], summary.verdict) == (5, "inconclusive")
    assert [(fact.kind, fact.where) for fact in summary.reasons] == [
        (Kind.SOURCE_NEVER_TOOK_PART, ("mine",)),
        (Kind.NOT_APPLICABLE, ("mine",)),
    ]
