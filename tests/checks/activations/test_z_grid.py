"""The z at which an activation is checked, and the names of stretches of them."""

import numpy as np
import pytest

from harness.checks.activations.slope_answers import ActivationSlope
from harness.checks.activations.z_grid import OF_Z, TINY, GridPoints, Notation, distance_to_nearest, grid, stretches
from reference.activations import ACTIVATIONS, Activation

Z = np.array([-2.0, -1.0, -TINY, 0.0, TINY, 1.0, 2.0, 3.0])


@pytest.mark.parametrize(
    ("chosen", "bridged", "expected"),
    [
        ([0, 0, 0, 0, 0, 0, 0, 0], 0, ()),
        ([1, 0, 1, 0, 0, 0, 0, 1], 0, ((-2.0, -2.0), (Z[2], Z[2]), (3.0, 3.0))),
        ([1, 0, 1, 0, 0, 0, 0, 1], 1, ((-2.0, Z[2]), (3.0, 3.0))),
        ([1, 1, 1, 1, 1, 1, 1, 1], 0, ((-2.0, 3.0),)),
    ],
)
def test_stretches_go_from_point_to_point_across_small_gaps(chosen, bridged, expected):
    assert stretches(Z, np.array(chosen, dtype=bool), bridged) == expected


def test_names_of_stretches_have_as_many_digits_as_it_takes():
    chosen = np.array([1, 1, 1, 0, 1, 0, 0, 1], dtype=bool)
    assert OF_Z.stretches(Z, chosen) == ("-2 <= z < 0", "z = 2.2251e-308", "z = 3")
    assert OF_Z.stretches(Z, Z > 0.0) == ("0 < z <= 3",)
    assert OF_Z.stretch(6.0, 6.0 + 2.0**-40) == "6 <= z <= 6.0000000000009"
    assert OF_Z.stretch(-1e3, np.nextafter(1.0, 0.0)) == "-1000 <= z <= 0.99999"  # and not at 1
    assert OF_Z.stretch(-1e3, np.nextafter(1.0, 0.0), outwards=True) == "-1000 <= z <= 1"
    assert Notation("derivative", "da/dβ", "β").stretch(-2.0000001, -2.0) == "-2.0000001 <= β <= -2"


def test_no_point_of_a_grid_is_named_as_one_beside_it():
    near = np.array(
        [0.1, np.nextafter(0.1, 1.0), 1.0, np.nextafter(1.0, 2.0), 1.000001, 5.0 / 3.0, np.nextafter(5.0 / 3.0, 2.0)]
    )
    names = ["0.1", "0.10000000000000002", "1", "1.0000000000000002", "1.000001"]
    names += ["1.6666666666666667", "1.666666666666667"]
    assert [OF_Z.stretches(near, near == z) for z in near] == [(f"z = {name}",) for name in names]
    slopes = ActivationSlope(GridPoints(ACTIVATIONS["tanh"], near, near, near))
    assert [slopes.label(i) for i in range(near.size)] == [f"f'({name})" for name in names]


def test_many_kinks_make_no_grid_that_cannot_be_worked_on():
    many = Activation("many", lambda xp, z: xp.abs(z), lambda z, a: np.sign(z), kinks=tuple(np.arange(2000) / 8))
    z = grid(many)
    assert z.size < 13_000
    assert set(many.kinks) <= set(z.tolist())
    nearest = distance_to_nearest(z, many.kinks)
    np.testing.assert_array_equal(nearest, np.abs(z[:, None] - np.array(many.kinks)).min(axis=1))
