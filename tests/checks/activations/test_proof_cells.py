"""Cells of z: splitting them loses no float and counts none twice."""

import numpy as np
import pytest

from harness.checks.activations import proof_cells
from harness.checks.activations.z_grid import floats_beside


def ends(*pairs: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    low, high = np.array(pairs, dtype=float).T
    return low, high


@pytest.mark.parametrize("place", [0.0, 1.0, -3.7, 2.0, 5e-324, 2.0 - 2.0**-50])
def test_a_cut_covers_every_float_once(place: float):
    low, high = proof_cells.cut_at(*ends((-4.0, 2.0)), np.array([place]))
    order = np.argsort(low)
    assert (low[order][0], high[order][-1]) == (-4.0, 2.0)
    assert (np.nextafter(high[order][:-1], np.inf) == low[order][1:]).all()
    about = (low <= place) & (place <= high)
    assert proof_cells.count_floats(low, high)[about] <= proof_cells.FLOATS


def test_kinks_lie_in_no_cell_and_the_floats_beside_them_do():
    edges, kinks = np.linspace(-30.0, 30.0, 5), [0.0, 1.5, -30.0]
    low, high = proof_cells.without_kinks(edges, kinks)
    for z in kinks:
        for number in (0, 1, proof_cells.AROUND + 1):
            place = floats_beside(np.array(z), number) if z else number * 5e-324
            assert ((low <= place) & (place <= high)).any() == (number > 0)
    assert (low <= high).all()


@pytest.mark.parametrize(
    "cell", [(0.0, 1.0), (-1.0, 2.0), (1e-300, 1.0), (5e-324, 1.0), (-1.0, -5e-324), (-3.0, -2.9), (-1.0, 0.0)]
)
def test_parts_cover_the_cell(cell: tuple[float, float]):
    low, high = proof_cells.split_cells(*ends(cell))
    assert len(low) == proof_cells.PARTS
    order = np.argsort(low)
    assert (low[order][0], high[order][-1]) == cell
    assert (high[order][:-1] == low[order][1:]).all()
