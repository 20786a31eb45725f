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


@pytest.mark.parametrize("bounds", [(1.0, 1.0), (0.5, 1.5), (1.5, 0.5), (0.0, 2.0), (0.0, 0.0)])
@pytest.mark.parametrize("share", [0.0, 0.95, -0.95, 1.05, -1.05, 1e12])
def test_a_coordinate_and_a_cost_differ_beyond_the_sum_of_both_bounds(bounds, share):
    allowed, (mine, other) = sum(bounds), (BOUND * bound for bound in bounds)
    off = share * (allowed * BOUND or 5e-324)
    pair = against(answer([0.0, 0.0], mine, 0.0, mine), answer([0.0, off], other, off, other))
    at_odds = abs(share) > 1.0 or (not allowed and off != 0.0)
    assert pair.at_odds.tolist() == [False, at_odds]
    assert pair.cost_at_odds == pair.disagrees == at_odds
    assert pair.decided[0] == pair.cost_decided == True  # noqa: E712  NumPy's
    ratio = abs(share) if allowed else INF if off else 0.0
    np.testing.assert_allclose(pair.ratio, [0.0, ratio], rtol=1e-3, atol=0.0)


@pytest.mark.parametrize("a", [NAN, INF, -INF])
@pytest.mark.parametrize("b", [1.0, NAN, INF, -INF])
def test_what_is_not_finite_never_passes(a, b):
    """Not even next to the same: two sources that answer NaN do not confirm each other."""
    for one, other in ((a, b), (b, a)):
        pair = against(answer([one]), answer([other]))
        assert (pair.at_odds.all(), pair.disagrees, pair.ratio.tolist()) == (True, True, [INF])
        pair = against(answer([0.0], cost=one), answer([0.0], cost=other))
        assert (pair.cost_at_odds, pair.disagrees, pair.at_odds.any()) == (True, True, False)


@pytest.mark.parametrize("bound", [NAN, INF])
@pytest.mark.parametrize("value", [0.0, 1e300, NAN, INF])
@pytest.mark.parametrize("other", [0.0, 1.0, INF])
def test_a_bound_that_is_not_finite_decides_nothing(bound, value, other):
    wide = answer([value], bound, value, bound)
    for pair in (against(wide, answer([other], cost=other)), against(wide, answer([value], bound, value, bound))):
        assert (pair.disagrees, pair.decided.any(), pair.cost_decided) == (False, False, False)


# Decided: bounds that are small compared with what they bound

SHARE = MEANINGLESS["float64"]
DEAD = SHARE * NEGLIGIBLE
DECIDED = {
    "a small coordinate, by the largest of its block": ([1.0, 0.0, 1e-3, 0.0], 0.9 * SHARE, [1, 1, 0, 0]),
    "too wide for any": ([1.0] * 4, 1.1 * SHARE, [0] * 4),
    "a dead block, by the rest": ([1e6, 0.0, 0.0, 0.0], 0.9 * DEAD * 1e6, [1] * 4),
    "a dead block, too wide": ([1e6, 0.0, 0.0, 0.0], 1.1 * DEAD * 1e6, [1, 1, 0, 0]),
    "all small, by 1": ([1e-3, 0.0, 0.0, 0.0], 0.9 * DEAD, [1] * 4),
}


@pytest.mark.parametrize(("gradient", "error", "expected"), DECIDED.values(), ids=list(DECIDED))
def test_a_bound_must_be_small_compared_with_the_block(gradient, error, expected):
    assert against(answer(gradient, error), answer(gradient, 0.0), BLOCKS).decided.tolist() == expected


@pytest.mark.parametrize(("share", "expected"), [(0.9, True), (1.1, False)])
@pytest.mark.parametrize("precision", ["float64", "float32"])
@pytest.mark.parametrize("size", [1e-3, 1.0, -50.0, 1e9])
def test_a_bound_must_be_small_compared_with_the_coordinate_and_that_of_a_cost_with_the_cost_or_one(
    share, expected, precision, size
):
    bound, cost_bound = (share * MEANINGLESS[precision] * scale for scale in (abs(size), max(1.0, abs(size))))
    vague = answer([size], bound, size, cost_bound, precision=precision)
    for pair in (against(vague, answer([size], 0.0, size, 0.0)), against(answer([size], 0.0, size, 0.0), vague)):
        assert (pair.decided.tolist(), pair.cost_decided) == ([expected], expected)


def test_the_smaller_of_both_answers_is_the_measure():
    """A wrong answer that is huge must not make a wide bound look narrow, nor one that is infinite."""
    for huge in (1e12, INF):
        assert not against(answer([1.0, 0.0]), answer([1.0, huge], [1.0, INF])).decided.any()


@pytest.mark.parametrize("unit", [1e-13, 1.0, 1e9])
def test_the_unit_of_measurement_does_not_matter(unit):
    """A cost in other units, with the bounds and an ordinary size of the cost in the same: the same is decided."""
    gradient, error = unit * np.array([1.0, 0.0, 0.0, 0.0]), unit * np.array([1e-7, 1e-5, 1e-12, 1e-10])
    a, b = answer(gradient, error, unit, 1e-7 * unit), answer(gradient, 0.0, unit, 0.0)
    pair = compare(a, b, BLOCKS, ordinary=unit)
    assert (pair.decided.tolist(), pair.cost_decided) == ([True, False, True, False], True)


def test_what_differs_is_decided_however_wide_the_bound():
    assert against(answer([0.0], 1.0), answer([10.0], 1.0)).decided.all()


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
