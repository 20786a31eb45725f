"""Where pieces meet: the places are read off the formula and the slope, and each is judged for itself."""

import numpy as np
import pytest
from activation_records import formula, of

from harness import ACTIVATIONS
from harness.checks.activations.activation_check import check_activation
from harness.checks.activations.junctions import find_jumps, switches
from harness.checks.activations.slope_answers import CLAIMED, ONE_SIDED
from harness.checks.activations.slope_oracles import is_known, one_sided_derivatives, slope_function
from harness.checks.activations.z_grid import grid


def _masked(z):
    z = z + 0.0
    z[z <= 0.7] = 0.0
    return z


@pytest.mark.parametrize(
    ("compared", "places"),
    [
        (lambda z: np.where(z > 1.0 / 3.0, z, 0.0), {1.0 / 3.0}),
        (lambda z: np.maximum(z - 2.5, 0.0), {2.5}),
        (lambda z: np.clip(z, -4.0, 0.5), {-4.0, 0.5}),
        (lambda z: z.clip(min=-4.25), {-4.25}),
        (lambda z: np.abs(2.0 * z + 3.0), {-1.5}),
        (lambda z: np.where(z == 3.7, 9.0, z), {3.7}),
        (lambda z: np.heaviside(z - 5.0, 0.5) + np.sign(z + 5.0), {5.0, -5.0}),
        (lambda z: np.piecewise(z, [z < -0.6], [lambda x: x, lambda x: 2.0 * x]), {-0.6}),
        (_masked, {0.7}),
        (lambda z: np.minimum(np.maximum(z, 0.0), 6.0), {0.0, 6.0}),
        (lambda z: z * (z > 100.25), {100.25}),
        (lambda z: np.where(np.tanh(z) > np.tanh(0.8), 1.0, 0.0), {0.8}),
        (lambda z: np.exp(z), set()),
    ],
)
def test_the_places_where_a_formula_goes_over_to_another_branch(compared, places):
    z = grid(of("tanh", lambda z, a: z))
    with np.errstate(all="ignore"):
        found = switches(compared, z)
    assert {round(place, 12) for place in found} == {round(place, 12) for place in places}


@pytest.mark.parametrize(
    ("value", "place", "left", "right"),
    [
        (lambda xp, z: xp.where(z > 0.0, z, xp.exp(z) - 1.0), 0.0, 1.0, 1.0),
        (lambda xp, z: xp.maximum(z, 0.25), 0.25, 0.0, 1.0),
        (lambda xp, z: xp.where(z == 0.0, 1.0, xp.sin(z) / xp.where(z == 0.0, 1.0, z)), 0.0, 0.0, 0.0),
        (lambda xp, z: xp.sqrt(xp.abs(z)), 0.0, -np.inf, np.inf),
        (lambda xp, z: xp.sign(z) * xp.abs(z) ** 0.25, 0.0, np.inf, np.inf),
        (lambda xp, z: z * xp.log(xp.abs(z)), 0.0, -np.inf, -np.inf),
        (lambda xp, z: xp.sqrt(z * z + 1e-40), 0.0, 0.0, 0.0),
        (lambda xp, z: xp.where(3.0 * z > 1.0, z, 0.0), 1.0 / 3.0, 0.0, 1.0),  # in float64; exactly, the kink is beside
        (lambda xp, z: np.vectorize(lambda x: max(x - 0.5, 0.0), otypes=[float])(z), 0.5, 0.0, 1.0),
    ],
)
def test_the_limits_of_the_slope_on_both_sides(value, place, left, right):
    f = formula(value, lambda z, a: z)
    with np.errstate(all="ignore"):
        sides = one_sided_derivatives(f, np.array([place]), slope_function(f, grid(f)))
    assert [float(slope[0]) for slope, _ in sides] == pytest.approx([left, right], abs=1e-8)
    assert all(is_known(side).all() for side in sides)


SMOOTH = {
    "elu": (ACTIVATIONS["elu"].value, ACTIVATIONS["elu"].slope, 0.0),
    "relu²": (lambda xp, z: xp.square(xp.maximum(z, 0.0)), lambda z, a: 2.0 * np.maximum(z, 0.0), 0.0),
    "smelu": (
        lambda xp, z: xp.where(z >= 1.5, z, xp.where(z <= -1.5, 0.0, xp.square(z + 1.5) / 6.0)),
        lambda z, a: np.clip((z + 1.5) / 3.0, 0.0, 1.0),
        1.5,
    ),
    "a tanh, at a place of no importance": (lambda xp, z: xp.tanh(z), lambda z, a: 1.0 - a * a, 3.7),
}


@pytest.mark.parametrize("wrong", [1e-6, -1.0, np.nan, None])
@pytest.mark.parametrize(("value", "slope", "place"), SMOOTH.values(), ids=list(SMOOTH))
def test_where_smooth_pieces_meet_the_slope_is_the_common_limit(value, slope, place, wrong):
    """A wrong slope at that one point alone is found; the right one agrees in every row."""

    def claimed(z, a):
        return slope(z, a) if wrong is None else np.where(z == place, slope(z, a) + wrong, slope(z, a))

    report = check_activation(formula(value, claimed))
    if wrong is None:
        assert (report.verdict, {row.verdict for row in report.pairs}) == ("agree", {"agree"})
    else:
        (finding,) = report.findings
        assert (report.outliers, finding.against, finding.blocks) == ((CLAIMED,), ONE_SIDED, (f"z = {place:g}",))


def test_a_steep_function_does_not_jump_and_a_step_on_it_does():
    z = np.linspace(1e5, 4e5, 50)
    steep = lambda z: np.sin(z * z)  # noqa: E731
    noise = np.zeros_like(z)
    assert find_jumps(steep, z, noise) == []
    assert find_jumps(lambda z: 0.5 * steep(z) + 5.0 * (z > 2e5), z, noise) == [2e5]
