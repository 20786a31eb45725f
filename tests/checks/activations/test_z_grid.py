"""The z at which an activation is checked, and the names of stretches of them."""

import numpy as np
import pytest

from harness.checks.activations.z_grid import OF_Z, Notation, grid, sides, stretches
from reference.activations import leaky_relu


def test_the_grid_has_the_points_that_matter():
    f = leaky_relu(0.1, "leak")
    z = grid(f)
    wanted = {0.0, 1e-8, -1e-8, 0.3, -0.3, 30.0, -30.0, 1e3, -1e3, *sides(0.0), 1e-6, -1e-6}
    assert wanted <= set(z.tolist())
    assert (np.diff(z) > 0.0).all()
    assert not np.signbit(z[z == 0.0]).any()
    np.testing.assert_array_equal(grid(f), z)


@pytest.mark.parametrize("kink", [0.0, 1.0, -0.7, 1e-300, 250.0])
def test_the_sides_of_a_kink_are_the_floats_beside_it(kink):
    left, right = sides(kink)
    assert left < kink < right
    assert right - left <= max(4.0 * np.spacing(abs(kink)), 2.0 * np.finfo(float).tiny)


Z = np.array([-2.0, -1.0, -sides(0.0)[1], 0.0, sides(0.0)[1], 1.0, 2.0, 3.0])


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
    assert OF_Z.stretch(6.0, 6.0 + 2.0**-40) == "6 <= z <= 6.000000000001"
    assert Notation("derivative", "da/dβ", "β").stretch(-2.0000001, -2.0) == "-2.0000001 <= β <= -2"
