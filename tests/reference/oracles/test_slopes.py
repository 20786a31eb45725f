"""The slope of one activation by every oracle: error bars hold the truth, and where no answer is, there is a reason."""

from typing import Any

import numpy as np
import pytest
from one_unit import trial
from scipy.special import expit

from harness import ACTIVATIONS
from reference.arithmetics.companion import NoRule
from reference.measured import NotApplicable
from reference.oracles import ball_arithmetic, complex_step, finite_difference, jax_gradient

ORACLES = {
    "jax": jax_gradient.slope,
    "complex step": complex_step.slope,
    "increments": finite_difference.slope,
    "plain differences": lambda f, z: finite_difference.plain_slope(f, z, 4.0 * np.spacing(1.0 + np.abs(f(z)))),
    "balls": ball_arithmetic.slope,
}
each_oracle = pytest.mark.parametrize("oracle", ORACLES.values(), ids=list(ORACLES))
each_activation = pytest.mark.parametrize("f", ACTIVATIONS.values(), ids=list(ACTIVATIONS))

Z = np.array([-30.0, -3.0, -0.7, -1e-3, 1e-3, 0.4, 2.0, 30.0])


# Right where they answer


@each_oracle
@each_activation
def test_values_and_slopes_are_those_of_the_record(oracle, f):
    z = Z.copy()
    measured = oracle(f, z)
    value = f(Z)
    np.testing.assert_array_equal(z, Z)
    assert measured.value.shape == measured.slope.shape == measured.error.shape == Z.shape
    np.testing.assert_allclose(measured.value, value, rtol=1e-13, atol=1e-14)
    # a record may form z σ'(z) + σ(z) or 1 - a², of terms that are larger than their sum
    assert (np.abs(measured.slope - f.slope(Z, value)) <= measured.error + 1e-14 * (1.0 + np.abs(Z))).all()
    assert measured.error.max() < 1e-6


def test_where_a_complex_step_is_longer_than_z_it_says_nothing():
    z = np.array([-1e-3, -1e-25, -1e-308, 0.0, 1e-308, 1e-25, 1e-3])
    measured = complex_step.slope(trial(lambda xp, z: xp.power(xp.abs(z), 1.5)), z)
    wrong = np.abs(measured.slope - 1.5 * np.sign(z) * np.sqrt(np.abs(z))) > 1e-14
    assert np.isfinite(measured.error).tolist() == [True, False, False, False, False, False, True]
    assert not (wrong & np.isfinite(measured.error)).any()


@each_oracle
def test_a_constant_has_slope_zero(oracle):
    measured = oracle(trial(lambda xp, z: 3.0 + 0.0 * z), Z)
    np.testing.assert_array_equal(measured.value, 3.0)
    assert (np.abs(measured.slope) <= measured.error).all()


@each_oracle
def test_overflow_is_no_warning_and_no_finite_error(oracle):
    with np.errstate(over="ignore", invalid="ignore"):  # of the value that is given as the noise of plain differences
        measured = oracle(trial(lambda xp, z: xp.exp(z)), np.array([0.0, 800.0]))
    np.testing.assert_allclose(measured.slope[0], 1.0, rtol=1e-9)
    assert np.isfinite(measured.slope[1]) or oracle is jax_gradient.slope or np.isinf(measured.error[1])


# At kinks

RELU = ACTIVATIONS["relu"]
HIDDEN_KINK = trial(RELU.value)
at_a_kink = pytest.mark.parametrize("f", [RELU, HIDDEN_KINK], ids=["declared", "undeclared"])


@at_a_kink
@pytest.mark.parametrize("oracle", ["increments", "plain differences", "balls"])
def test_at_a_kink_the_error_bar_holds_the_slopes_of_both_sides(oracle, f):
    measured = ORACLES[oracle](f, np.array([-1.0, 0.0, 1.0]))
    for side in (0.0, 1.0):
        assert abs(measured.slope[1] - side) <= measured.error[1]
    np.testing.assert_allclose(measured.slope[[0, 2]], [0.0, 1.0], atol=1e-9)
    assert measured.error[[0, 2]].max() < 1e-9
    for continued in (jax_gradient.slope, complex_step.slope):  # by the branch that the value takes
        np.testing.assert_array_equal(continued(f, np.array([-1.0, 0.0, 1.0])).slope, [0.0, 0.0, 1.0])


# What is particular to one of them


def test_increments_carry_a_slope_to_nearly_full_accuracy():
    measured = finite_difference.slope(ACTIVATIONS["tanh"], Z)
    np.testing.assert_allclose(measured.slope, 1.0 / np.cosh(Z) ** 2, rtol=1e-13)
    assert (measured.error <= 1e-13 * np.abs(measured.slope)).all()


def test_increments_tell_a_wiggle_that_is_narrower_than_two_of_their_steps():
    """Both sides of an odd function have one slope, but twice the step gives another."""
    wiggle = trial(lambda xp, z: xp.sin(2.0**50 * z))
    measured = finite_difference.slope(wiggle, np.zeros(1))
    assert abs(measured.slope[0] - 2.0**50) <= measured.error[0]


def branching(xp, z):
    return 2.0 * z if isinstance(z, np.ndarray) else z


def test_a_formula_with_another_branch_for_increments_has_no_slope_by_them():
    with pytest.raises(NoRule, match="its result is not NumPy's"):
        finite_difference.slope(trial(branching), Z)


def test_plain_differences_hold_the_truth_whatever_the_width_of_a_structure():
    """As wide as 1/steepness: neither the widest nor the narrowest step would do for all."""
    z = np.linspace(-1.0, 1.0, 101)
    for steepness in 10.0 ** np.arange(6):
        f = trial(lambda xp, z, k=steepness: expit(k * z))
        a = expit(steepness * z)
        measured = finite_difference.plain_slope(f, z, 8.0 * np.spacing(a))
        assert (np.abs(measured.slope - steepness * a * (1.0 - a)) <= measured.error).all(), steepness
        assert measured.error.max() < 1e-2 * steepness


def test_plain_differences_know_that_z_plus_h_is_rounded():
    """However exact the function is: by u |z| slopes, over h."""
    z = np.linspace(0.1, 1e3, 501)
    measured = finite_difference.plain_slope(ACTIVATIONS["identity"], z, np.zeros_like(z))
    assert (np.abs(measured.slope - 1.0) <= measured.error).all()
    assert (measured.slope != 1.0).any()
    assert measured.error.max() < 1e-6


def test_a_larger_noise_widens_plain_differences():
    quiet, loud = (finite_difference.plain_slope(ACTIVATIONS["sin"], Z, np.full(Z.shape, n)).error for n in (0.0, 1e-9))
    assert (loud - quiet > 1e-9).all()


def test_enclosures_are_sharp_where_slopes_are_tiny():
    z = np.array([-700.0, -300.0, -50.0, 50.0, 300.0, 700.0])
    for name in ("tanh", "sigmoid", "silu", "gelu"):
        f = ACTIVATIONS[name]
        measured = ball_arithmetic.slope(f, z)
        assert (measured.error <= np.maximum(2.0**-52 * np.abs(measured.slope), 1e-300)).all()
        assert np.max(measured.value_error) <= 2.0**-53
    tanh = ball_arithmetic.slope(ACTIVATIONS["tanh"], z[4:5])
    np.testing.assert_allclose(tanh.slope, 4.0 * np.exp(-600.0), rtol=1e-13)


def test_a_ball_that_holds_anything_is_an_infinite_error():
    measured = ball_arithmetic.slope(trial(lambda xp, z: 1.0 / z), np.array([0.0, 2.0]))
    np.testing.assert_array_equal(measured.error, [np.inf, measured.error[1]])
    np.testing.assert_allclose(measured.slope[1], -0.25)


# What they have no answer for

REFUSED: dict[str, tuple[Any, Any, str]] = {
    "jax": (lambda xp, z: z * float(z[0]), TypeError, "Abstract tracer value"),
    "complex step": (lambda xp, z: xp.floor(z), NotApplicable, "the complex step has no rule for floor"),
    "increments": (lambda xp, z: xp.floor(z), NoRule, "Increment arithmetic has no rule for floor"),
    "balls": (lambda xp, z: xp.floor(z), NotApplicable, "ball arithmetic has no rule for floor"),
}


@pytest.mark.parametrize("oracle", REFUSED)
def test_what_a_formula_asks_for_in_vain_is_the_reason(oracle):
    value, error, reason = REFUSED[oracle]
    with pytest.raises(error, match=reason):
        ORACLES[oracle](trial(value), Z)
