"""Answers side by side: where they differ, and where they are decided."""

from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from harness.bounds.tolerances import CONFIRMED, MEANINGLESS, NEGLIGIBLE
from harness.verdict.comparison import Answer, Block, compare, compare_all

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
