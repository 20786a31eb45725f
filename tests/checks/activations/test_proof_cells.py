"""Cells of z: splitting them loses no float and counts none twice."""

import numpy as np
import pytest

from harness.checks.activations import proof_cells

NUMBERS = np.array([-np.inf, -1e300, -1.0, -5e-324, 0.0, 5e-324, 2.2e-308, 1.0, np.nextafter(1.0, 2.0), 1e300])


def ends(*pairs: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    low, high = np.array(pairs, dtype=float).T
    return low, high


def test_floats_are_numbered_in_order_and_found_by_their_number():
    numbers = proof_cells.number_of(NUMBERS)
    assert (np.diff(numbers) > 0).all()
    assert (proof_cells.float_at(numbers) == NUMBERS).all()
    assert proof_cells.number_of(np.array([-0.0]))[0] == 0
    assert (np.nextafter(NUMBERS, np.inf)[1:] == proof_cells.float_at(numbers[1:] + 1)).all()


def test_count_is_of_floats():
    assert proof_cells.count_floats(*ends((1.0, 1.0), (-5e-324, 5e-324), (1.0, 1.0 + 2.0**-50))).tolist() == [
        1.0,
        3.0,
        5.0,
    ]
    assert proof_cells.floats_of(np.array(-5e-324), np.array(5e-324)).tolist() == [-5e-324, 0.0, 5e-324]


@pytest.mark.parametrize("place", [0.0, 1.0, -3.7, 2.0, 5e-324, 2.0 - 2.0**-50])
def test_a_cut_covers_every_float_once(place: float):
    low, high = proof_cells.cut_at(*ends((-4.0, 2.0)), np.array([place]))
    order = np.argsort(low)
    assert (low[order][0], high[order][-1]) == (-4.0, 2.0)
    assert (np.nextafter(high[order][:-1], np.inf) == low[order][1:]).all()
    about = (low <= place) & (place <= high)
    assert proof_cells.count_floats(low, high)[about] <= proof_cells.FLOATS


def test_a_cut_without_the_place_leaves_it_out_alone():
    low, high = proof_cells.cut_at(*ends((-1.0, 1.0)), np.array([0.5]), without=True)
    assert not ((low <= 0.5) & (high >= 0.5)).any()
    assert {np.nextafter(0.5, 0.0), np.nextafter(0.5, 1.0)} <= {*low, *high}


def test_places_that_are_left_out_lie_in_no_cell_and_their_neighbours_do():
    edges, places = np.linspace(-30.0, 30.0, 5), [0.0, 1.5, -30.0]
    low, high = proof_cells.without_places(edges, places)
    for z in places:
        assert not ((low <= z) & (z <= high)).any()
        after = np.nextafter(z, np.inf)
        assert ((low <= after) & (after <= high)).any()
    assert (low <= high).all()


@pytest.mark.parametrize(
    "cell", [(0.0, 1.0), (-1.0, 2.0), (1e-300, 1.0), (5e-324, 1.0), (-1.0, -5e-324), (-3.0, -2.9), (-1.0, 0.0)]
)
def test_parts_cover_the_cell(cell: tuple[float, float]):
    low, high, parts = proof_cells.split_cells(*ends(cell))
    assert len(low) == parts == proof_cells.PARTS
    order = np.argsort(low)
    assert (low[order][0], high[order][-1]) == cell
    assert (high[order][:-1] == low[order][1:]).all()


def test_a_cell_at_zero_is_split_towards_zero():
    low, high, _ = proof_cells.split_cells(*ends((5e-324, 1.0)))
    assert np.sort(high)[0] < 1e-6
    assert np.sort(low)[-1] == 1.0 / proof_cells.STEEP
    low, high, _ = proof_cells.split_cells(*ends((-1.0, -5e-324)))
    assert np.sort(low)[-1] > -1e-6


def test_many_cells_are_halved_and_few_are_split_further():
    assert proof_cells.split_cells(np.zeros(1000), np.ones(1000))[2] == 2
    assert proof_cells.split_cells(np.zeros(64), np.ones(64))[2] == 4


def test_cells_that_follow_each_other_are_one_stretch():
    after = float(np.nextafter(1.0, 2.0))
    assert proof_cells.join_cells(*ends((2.5, 3.0), (0.0, 1.0), (after, 2.0))) == [(0.0, 2.0), (2.5, 3.0)]
    assert proof_cells.join_cells(*ends((0.0, 5.0), (1.0, 2.0))) == [(0.0, 5.0)]
    assert proof_cells.join_cells(np.array([]), np.array([])) == []
