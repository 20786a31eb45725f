"""Formulas by pieces compute what they compute as a whole."""

import numpy as np
import pytest

from reference.arithmetics.array_pieces import LONGEST, in_pieces, largest, pieces, slices

SIZES = (0, 1, LONGEST, LONGEST + 1, 3 * LONGEST)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("lead", [(), (1,), (2, 3)], ids=str)
def test_a_formula_is_the_same_by_pieces(size, lead):
    x, y = np.random.default_rng(0).normal(size=(2, *lead, size))
    for other in (y, y[..., :1] if size else y, 3.0):
        found = in_pieces(lambda a, b: np.abs(a) <= 2.0 * b, x, other)
        assert found.dtype == bool
        assert np.array_equal(found, np.abs(x) <= 2.0 * other)


def test_no_formula_is_given_more_than_a_piece_at_a_time():
    seen = []
    in_pieces(lambda x: (seen.append(x.size), x)[1], np.zeros((3, LONGEST)))
    assert seen == [LONGEST] * 3


def test_pieces_are_views_of_what_is_broadcast():
    x = np.zeros((2, LONGEST + 5))
    assert [(a.shape, b.shape) for a, b in pieces(x, 1.0)] == [((2, LONGEST),) * 2, ((2, 5),) * 2]
    assert all(np.shares_memory(a, x) for a, _ in pieces(x, 1.0))
    assert [part.stop - part.start for part in slices(LONGEST + 5)] == [LONGEST, 5]


@pytest.mark.parametrize("size", SIZES)
def test_the_largest_is_the_largest_finite_size(size):
    x = np.arange(size) * -1.0
    x[size // 2 :] = np.nan
    x[: size // 4] = np.inf
    assert largest(x) == max(size // 2 - 1, 0)
