"""Answers side by side: what is at odds, what is decided, and who is the odd one out."""

from itertools import combinations, permutations
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from harness.bounds.tolerances import CONFIRMED, MEANINGLESS, NEGLIGIBLE
from harness.verdict.comparison import Answer, Block, compare, compare_all
from harness.verdict.consensus import MAJORITY, Consensus, Policy, Vote, find_consensus

NAN, INF = np.nan, np.inf
BOUND = 1e-12  # of each answer, so that twice as much is allowed
BLOCKS = [Block("first", np.array([0, 1])), Block("second", np.array([2, 3]))]


def answer(gradient, error: Any = BOUND, cost=1.0, cost_error=BOUND, name="a", **keywords):
    gradient = np.array(gradient, dtype=np.float64)
    return Answer(name, name, cost, cost_error, gradient, np.broadcast_to(error, gradient.shape), **keywords)


def against(a, b, blocks=None):
    everything = [Block("all", np.arange(len(a.gradient)))]
    return compare(a, b, everything if blocks is None else blocks)


# At odds: a difference beyond both bounds together, and whatever is not a number


@pytest.mark.parametrize(
    ("difference", "at_odds"), [(0.0, False), (1.9, False), (-1.9, False), (2.1, True), (-2.1, True), (1e12, True)]
)
def test_a_coordinate_is_at_odds_beyond_the_sum_of_both_bounds(difference, at_odds):
    pair = against(answer([1.0, 1.0]), answer([1.0, 1.0 + difference * BOUND]))
    assert pair.at_odds.tolist() == [False, at_odds]
    assert pair.disagrees == at_odds
    assert pair.decided.all()
    np.testing.assert_allclose(pair.ratio, [0.0, abs(difference) / 2.0], rtol=1e-3, atol=0.0)


@pytest.mark.parametrize(("a", "b"), [(0.5, 1.5), (1.5, 0.5), (0.0, 2.0)])
def test_either_bound_may_be_the_wide_one(a, b):
    for difference, at_odds in ((1.9, False), (2.1, True)):
        pair = against(answer([0.0], a * BOUND), answer([difference * BOUND], b * BOUND))
        assert pair.at_odds.tolist() == [at_odds]


def test_nothing_is_allowed_where_no_error_is_possible():
    pair = against(answer([0.0, 0.0], 0.0), answer([0.0, 5e-324], 0.0))
    assert pair.at_odds.tolist() == [False, True]
    assert pair.ratio.tolist() == [0.0, INF]


@pytest.mark.parametrize("a", [NAN, INF, -INF])
@pytest.mark.parametrize("b", [1.0, NAN, INF, -INF])
def test_what_is_not_finite_never_passes(a, b):
    """Not even beside the same: two sources that answer NaN do not confirm each other."""
    for pair in (against(answer([a]), answer([b])), against(answer([b]), answer([a]))):
        assert pair.at_odds.all()
        assert pair.disagrees
        assert pair.ratio.tolist() == [INF]


@pytest.mark.parametrize("a", [NAN, INF, -INF])
@pytest.mark.parametrize("b", [1.0, NAN, INF, -INF])
def test_a_cost_that_is_not_finite_never_passes(a, b):
    for pair in (
        against(answer([0.0], cost=a), answer([0.0], cost=b)),
        against(answer([0.0], cost=b), answer([0.0], cost=a)),
    ):
        assert pair.cost_at_odds
        assert pair.disagrees
        assert not pair.at_odds.any()


@pytest.mark.parametrize("bound", [NAN, INF])
@pytest.mark.parametrize("value", [0.0, 1e300, NAN, INF])
@pytest.mark.parametrize("other", [0.0, 1.0, INF])
def test_a_bound_that_is_not_finite_decides_nothing(bound, value, other):
    wide = answer([value], bound, value, bound)
    for pair in (against(wide, answer([other], cost=other)), against(wide, answer([value], bound, value, bound))):
        assert not pair.disagrees
        assert not pair.decided.any()
        assert not pair.cost_decided


@pytest.mark.parametrize(("difference", "at_odds"), [(1.9, False), (2.1, True), (-2.1, True)])
def test_costs_are_compared_with_bounds_of_their_own(difference, at_odds):
    pair = against(answer([0.0], 1.0, cost=2.0), answer([0.0], 1.0, cost=2.0 + difference * BOUND))
    assert pair.cost_at_odds == pair.disagrees == at_odds
    assert pair.cost_decided


# Decided: bounds that are small against what they bound


def decided(gradient, error, blocks=BLOCKS, **keywords):
    return against(answer(gradient, error, **keywords), answer(gradient, 0.0), blocks).decided.tolist()


@pytest.mark.parametrize(("share", "expected"), [(0.9, True), (1.1, False)])
@pytest.mark.parametrize("size", [1e-3, 1.0, -1.0, 1e9])
def test_a_bound_must_be_small_beside_the_coordinate(share, expected, size):
    bound = share * MEANINGLESS["float64"] * abs(size)
    assert decided([size], bound, [Block("all", np.array([0]))]) == [expected]


def test_a_small_coordinate_is_measured_by_the_largest_of_its_block():
    assert decided([1.0, 0.0, 1e-3, 0.0], 0.9 * MEANINGLESS["float64"]) == [True, True, False, False]


def test_a_dead_block_is_measured_by_the_rest_but_not_by_nothing():
    for largest in (1.0, 1e6):
        dead = MEANINGLESS["float64"] * NEGLIGIBLE * largest
        assert decided([largest, 0.0, 0.0, 0.0], 0.9 * dead) == [True] * 4
        assert decided([largest, 0.0, 0.0, 0.0], 1.1 * dead) == [True, True, False, False]
    assert decided([1e-3, 0.0, 0.0, 0.0], 0.9 * MEANINGLESS["float64"] * NEGLIGIBLE) == [True] * 4  # at least of 1


def test_the_smaller_of_both_answers_is_the_measure():
    """A wrong answer that is huge must not make a wide bound look narrow, nor one that is infinite."""
    for huge in (1e12, INF):
        pair = against(answer([1.0, 0.0]), answer([1.0, huge], [1.0, INF]))
        assert not pair.decided.any()


@pytest.mark.parametrize(("error", "expected"), [(0.9, True), (1.1, False)])
@pytest.mark.parametrize(("cost", "scale"), [(0.0, 1.0), (-1e-3, 1.0), (-50.0, 50.0), (1e9, 1e9)])
def test_a_costs_bound_must_be_small_beside_the_cost_or_one(error, expected, cost, scale):
    bound = error * MEANINGLESS["float64"] * scale
    assert (
        against(answer([0.0], cost=cost, cost_error=bound), answer([0.0], cost=cost, cost_error=0.0)).cost_decided
        == expected
    )


@pytest.mark.parametrize("unit", [1e-13, 1.0, 1e9])
def test_the_unit_of_measurement_does_not_matter(unit):
    """A cost in other units, with the bounds and an ordinary size of the cost in the same: the same is decided."""
    gradient, error = unit * np.array([1.0, 0.0, 0.0, 0.0]), unit * np.array([1e-7, 1e-5, 1e-12, 1e-10])
    a, b = answer(gradient, error, unit, 1e-7 * unit), answer(gradient, 0.0, unit, 0.0)
    pair = compare(a, b, BLOCKS, ordinary=unit)
    assert pair.decided.tolist() == [True, False, True, False]
    assert pair.cost_decided


def test_what_is_at_odds_is_decided_however_wide_the_bound():
    pair = against(answer([0.0], 1.0), answer([10.0], 1.0))
    assert pair.at_odds.all()
    assert pair.decided.all()


def test_float32_may_be_less_sharp():
    loose = 0.9 * MEANINGLESS["float32"]
    assert decided([1.0] * 4, loose) == [False] * 4
    single, double = answer([1.0], loose, precision="float32"), answer([1.0], 0.0)
    assert against(single, double).decided.all()
    assert against(double, single).decided.all()


@given(
    a=st.lists(st.floats(), min_size=4, max_size=4),
    b=st.lists(st.floats(), min_size=4, max_size=4),
    bounds=st.tuples(*[st.floats(min_value=0.0) | st.just(NAN)] * 2),
    costs=st.tuples(st.floats(), st.floats()),
)
@example([0.0] * 4, [0.0] * 4, (0.0, 1.0), (1e6, NAN))
def test_two_answers_are_treated_alike(a, b, bounds, costs):
    one, other = answer(a, bounds[0], costs[0], bounds[1]), answer(b, bounds[1], costs[1], bounds[0])
    there, back = against(one, other, BLOCKS), against(other, one, BLOCKS)
    for field in ("at_odds", "decided", "difference", "allowed", "ratio", "cost_at_odds", "cost_decided"):
        np.testing.assert_array_equal(getattr(there, field), getattr(back, field))
    passed = there.decided & ~there.at_odds
    assert np.isfinite(there.allowed[passed]).all()
    assert (np.abs(one.gradient[passed] - other.gradient[passed]) <= there.allowed[passed]).all()


def test_every_two_answers_are_compared_once():
    answers = [answer([0.0], name=name) for name in "abcd"]
    pairs = compare_all(answers, [Block("all", np.array([0]))])
    assert [(pair.first, pair.second) for pair in pairs] == list(combinations("abcd", 2))


# The odd one out


def consensus(families, at_odds, policy=MAJORITY):
    """find_consensus on sources named by letters; `at_odds` lists pairs such as "ab"."""
    pairs = []
    for two in combinations(dict.fromkeys([*families, *policy.judges]), 2):
        apart = "".join(two) in at_odds or "".join(two[::-1]) in at_odds
        pairs.append(against(answer([0.0], name=two[0]), answer([float(apart)], name=two[1])))
    return find_consensus(families, pairs, policy)


ALONE = {name: name for name in "abcd"}  # every source is a family of its own
HANDS = {"a": "hands", "b": "hands", "c": "jax", "d": "differences"}


@pytest.mark.parametrize(
    ("families", "at_odds", "members", "outliers"),
    [
        (ALONE, [], "abcd", ""),
        (ALONE, ["ab", "ac", "ad"], "bcd", "a"),
        (ALONE, ["ad", "bd", "cd"], "abc", "d"),
        (ALONE, ["ab", "ac", "ad", "bc", "bd"], "cd", "ab"),  # two that are wrong in different ways
        (ALONE, ["ab"], None, None),  # c and d fit both: nobody can say which of the two is wrong
        (ALONE, ["ab", "ac"], "bcd", "a"),  # d fits everybody, but b and c stand against a
        (ALONE, ["ac", "ad", "bc", "bd"], None, None),  # two against two
        (ALONE, ["ab", "ac", "ad", "bc", "bd", "cd"], None, None),  # everybody against everybody
        (HANDS, ["ac", "ad", "bc", "bd"], "cd", "ab"),  # the two hands share an author: one vote against two
        (HANDS, ["ac", "ad", "bc", "bd", "cd"], None, None),  # and one against one against one
        (HANDS, ["ab", "ac", "ad"], "bcd", "a"),
        (HANDS, ["ab"], None, None),
        (HANDS, ["ac", "bc"], None, None),  # d fits the hands as well as c
        (HANDS, ["ac", "ad"], "bcd", "a"),
        ({"a": "hands", "b": "hands"}, ["ab"], None, None),
        ({"a": "hands", "b": "hands", "c": "jax"}, ["ac", "bc"], None, None),  # two hands do not outvote jax
        # d is too vague to be at odds with anybody, and gives a no vote of the family that c speaks for as well
        ({"a": "mine", "b": "jax", "c": "differences", "d": "differences"}, ["ab", "ac"], "bcd", "a"),
        ({"a": "mine", "c": "differences", "d": "differences"}, ["ac"], None, None),
    ],
)
def test_the_largest_group_of_independent_answers_wins_and_a_tie_is_admitted(families, at_odds, members, outliers):
    found = consensus(families, at_odds)
    if members is None:
        assert found == Consensus((), (), tie=True)
    else:
        assert found == Consensus(tuple(members), tuple(outliers), tie=False)


@pytest.mark.parametrize(
    ("policy", "at_odds", "expected"),
    [
        (Policy("x"), ["xa"], ("bcdx", "a", False)),  # whoever is at odds with a judge is wrong, whoever else is not
        (Policy("x"), ["xa", "bc", "bd"], ("cdx", "ba", False)),  # and the others vote
        (Policy("x"), ["xa", "bc"], ("x", "a", True)),
        (Policy("xd"), ["xd", "xa"], ("bcdx", "a", False)),  # a judge refutes no other
        (Policy("d", Vote.UNLESS_REFUTED), ["ad", "bc"], ("bcd", "a", False)),
        (Policy("d", Vote.UNLESS_REFUTED), ["ab", "ac"], ("bcd", "a", False)),
        (Policy("d", Vote.NEVER), ["ad", "bc"], ("bcd", "a", False)),
        (Policy("d", Vote.NEVER), ["ab", "ac"], ("", "", True)),
        (Policy("d", Vote.NEVER), [], ("abcd", "", False)),
        (Policy(blamed_in_tie="a"), ["ab"], ("bcd", "a", False)),
        (Policy(blamed_in_tie="a"), ["bc"], ("", "", True)),  # it is no part of the disagreement
    ],
)
def test_a_policy_says_who_is_certain_who_votes_and_who_is_blamed_in_a_tie(policy, at_odds, expected):
    members, outliers, tie = expected
    assert consensus(ALONE, at_odds, policy) == Consensus(tuple(members), tuple(outliers), tie)


@pytest.mark.parametrize("at_odds", [["ab", "ac", "ad"], ["ab"], ["ac", "ad", "bc", "bd"]])
def test_the_order_of_the_sources_does_not_matter(at_odds):
    expected = consensus(HANDS, at_odds)
    for order in permutations(HANDS):
        found = consensus({name: HANDS[name] for name in order}, at_odds)
        assert tuple(map(sorted, found[:2])) == tuple(map(sorted, expected[:2]))
        assert found.tie == expected.tie


def test_an_undecided_answer_supports_everybody_and_decides_nothing():
    """With infinite bounds c is at odds with nobody, so it cannot break the tie of a and b."""
    answers = [answer([0.0], name="a"), answer([1.0], name="b"), answer([NAN], INF, name="c")]
    pairs = compare_all(answers, [Block("all", np.array([0]))])
    assert find_consensus({"a": "a", "b": "b", "c": "c"}, pairs) == Consensus((), (), tie=True)


def test_a_disagreement_about_the_cost_alone_counts():
    answers = [answer([0.0], name="a", cost=1.1), answer([0.0], name="b"), answer([0.0], name="c")]
    pairs = compare_all(answers, [Block("all", np.array([0]))])
    assert find_consensus({"a": "a", "b": "b", "c": "c"}, pairs) == Consensus(("b", "c"), ("a",), tie=False)


def test_two_authors_at_odds_in_half_of_their_work_are_a_tie():
    families = {"a": "A", "b": "A", "c": "B", "d": "B"}
    assert consensus(families, ["bd"]) == Consensus((), (), tie=True)


def test_one_wrong_answer_is_found_among_a_whole_class():
    """By maximal groups: the number of all groups doubles with every source."""
    answers = [answer([float(name == 7)], name=str(name)) for name in range(40)]
    families = {a.name: a.name for a in answers}
    assert find_consensus(families, compare_all(answers, [Block("all", np.arange(1))])).outliers == ("7",)


@pytest.mark.parametrize(("precision", "widest"), [("float64", 1e-6), ("float32", 1e-2)])
def test_how_wide_a_bound_may_be_in_either_precision(precision, widest):
    for share, expected in ((0.9, True), (1.1, False)):
        pair = against(answer([1.0], share * widest, precision=precision), answer([1.0], 0.0))
        assert pair.decided.tolist() == [expected]


# Confirmed: rounding might have done much, and an oracle shows that it did not

NEAR = CONFIRMED * MEANINGLESS["float64"]


@pytest.mark.parametrize(
    ("off", "error", "oracle", "expected"),
    [
        (0.0, 0.0, True, True),
        (0.6 * NEAR, 0.3 * NEAR, True, True),
        (0.9 * NEAR, 0.3 * NEAR, True, False),
        (0.0, 1.1 * NEAR, True, False),
        (NAN, 0.0, True, False),
        (0.0, NAN, True, False),
        (0.0, 0.0, False, False),  # two implementations may share a bug
    ],
)
@pytest.mark.parametrize("wide", [1e3, INF])
def test_what_an_oracle_confirms_is_decided_however_wide_the_bound(off, error, oracle, expected, wide):
    claim = answer([1.0, 1.0 + off], [BOUND, wide], 1.0 + off, wide)
    pair = against(claim, answer([1.0, 1.0], [0.0, error], 1.0, error, "b", oracle=oracle))
    assert (pair.decided & ~pair.at_odds).tolist() == [True, expected]
    assert pair.cost_decided == expected
