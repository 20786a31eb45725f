"""Who is the odd one out: votes of families, policies and ties."""

from itertools import combinations, permutations
from typing import Any

import numpy as np
import pytest

from harness.verdict.comparison import Answer, Block, compare, compare_all
from harness.verdict.consensus import MAJORITY, Consensus, Policy, Vote, find_consensus, in_question

BOUND = 1e-12  # of each answer, so that twice as much is allowed


def answer(gradient, error: Any = BOUND, cost=1.0, cost_error=BOUND, name="a", **keywords):
    gradient = np.array(gradient, dtype=np.float64)
    return Answer(name, name, cost, cost_error, gradient, np.broadcast_to(error, gradient.shape), **keywords)


def against(a, b):
    return compare(a, b, [Block("all", np.arange(len(a.gradient)))])


def pairs_of(names, at_odds):
    """Every two of the names compared; `at_odds` lists pairs such as "ab"."""
    pairs = []
    for two in combinations(names, 2):
        apart = "".join(two) in at_odds or "".join(two[::-1]) in at_odds
        pairs.append(against(answer([0.0], name=two[0]), answer([float(apart)], name=two[1])))
    return pairs


def consensus(families, at_odds, policy=MAJORITY):
    """find_consensus on sources named by letters."""
    return find_consensus(families, pairs_of(dict.fromkeys([*families, *policy.judges]), at_odds), policy)


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
    answers = [answer([0.0], name="a"), answer([1.0], name="b"), answer([np.nan], np.inf, name="c")]
    pairs = compare_all(answers, [Block("all", np.array([0]))])
    assert find_consensus({"a": "a", "b": "b", "c": "c"}, pairs) == Consensus((), (), tie=True)


@pytest.mark.parametrize(
    ("at_odds", "quick", "expected"),
    [
        ([], "cd", ""),
        (["ca", "cb", "cd"], "c", "c"),  # accused
        (["ca", "cb", "cd"], "d", ""),  # right beside others
        (["ac", "ad"], "cd", "cd"),  # alone against an outlier
        (["ac", "ab"], "cd", ""),  # b is against it, too
        (["ac", "ad", "bc", "bd"], "d", "d"),  # part of a tie
        (["ab"], "cd", ""),
    ],
)
def test_answers_that_settle_a_disagreement_are_in_question(at_odds, quick, expected):
    found = in_question(set(quick), consensus(ALONE, at_odds), pairs_of(ALONE, at_odds))
    assert found == set(expected)


def test_one_wrong_answer_is_found_among_a_whole_class():
    """By maximal groups: the number of all groups doubles with every source."""
    answers = [answer([float(name == 7)], name=str(name)) for name in range(40)]
    families = {a.name: a.name for a in answers}
    assert find_consensus(families, compare_all(answers, [Block("all", np.arange(1))])).outliers == ("7",)
