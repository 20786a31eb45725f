"""Structured differences: error bars that hold the truth, the regulariser, and never sure of a slope at a kink."""

import numpy as np
import pytest
from one_unit import one_unit
from scipy.special import expit, spherical_jn

from harness import ACTIVATIONS, Activation, Network, Problem, cross_check, random_problem
from harness.sources import vectorized
from reference.arithmetics.companion import NoRule
from reference.measured import NotApplicable
from reference.oracles import finite_difference, jax_padded

# increments have no rule for ldexp
LOGISTIC = Activation("logistic", lambda xp, z: np.ldexp(expit(z), 0), lambda z, a: a * (1.0 - a))
UNDECLARED_RELU = Activation("a relu that hides its kink", ACTIVATIONS["relu"].value, ACTIVATIONS["relu"].slope)
RELUS = {"declared": "relu", "undeclared": UNDECLARED_RELU}

METHODS = {"per pre-activation": finite_difference.per_pre_activation, "per weight": finite_difference.per_weight}
each_method = pytest.mark.parametrize("method", METHODS.values(), ids=list(METHODS))


def ordinary_problem(hidden: str | Activation = "tanh", output: str = "sigmoid", l2: float = 0.5):
    problem = Problem(Network((3, 5, 4, 3), hidden, output), np.linspace(-1.0, 1.0, 12).reshape(4, 3), [0, 2, 1, 2], l2)
    return problem, problem.network.init(0, epsilon=1.0)


def covered(measured, truth):
    """Where the error bars hold the truth, or say that they hold nothing."""
    return ~np.isfinite(measured.error) | (np.abs(measured.gradient - truth) <= measured.error)


# Structured differences


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_increments_lose_next_to_nothing(name):
    problem, theta = ordinary_problem(name, "softmax")
    cost, gradient, error, _ = finite_difference.per_pre_activation(problem, theta)
    expected_cost, expected = vectorized.cost_and_gradient(problem, theta)
    np.testing.assert_allclose(cost, expected_cost, rtol=1e-14)
    np.testing.assert_allclose(gradient, expected, rtol=1e-12, atol=1e-14)
    assert error.max() < 1e-13


@each_method
@pytest.mark.parametrize("l2", [0.0, 3.0])
def test_both_methods_know_the_regulariser(method, l2):
    problem, theta = ordinary_problem(l2=l2)
    measured = method(problem, theta)
    expected_cost, expected = vectorized.cost_and_gradient(problem, theta)
    np.testing.assert_allclose(measured.cost, expected_cost, rtol=1e-14)
    np.testing.assert_allclose(measured.gradient, expected, rtol=1e-9, atol=1e-12)
    assert covered(measured._replace(error=measured.error + 1e-15), expected).all()
    assert measured.error.max() < 1e-9


def test_examples_may_be_taken_in_blocks_of_any_size(monkeypatch):
    problem, theta = ordinary_problem()
    whole = finite_difference.per_pre_activation(problem, theta)
    for elements in (1, 4 * 20 * 3):  # one row at a time; three rows and one
        monkeypatch.setattr(finite_difference, "ELEMENTS_AT_ONCE", elements)
        blocks = finite_difference.per_pre_activation(problem, theta)
        np.testing.assert_allclose(blocks.cost, whole.cost, rtol=1e-15)
        np.testing.assert_allclose(blocks.gradient, whole.gradient, rtol=1e-13, atol=1e-16)


def test_a_formula_without_rules_on_a_large_network_is_left_out():
    problem = Problem(Network((100, 100, 10), LOGISTIC), np.zeros((100, 100)), np.arange(100) % 10)
    with pytest.raises(NotApplicable, match="no rule for ldexp, and the network is too large for plain differences"):
        finite_difference.gradient(problem, np.zeros(problem.network.size))


@each_method
def test_overflow_gives_an_infinite_cost_and_no_warning(method):
    problem, theta = ordinary_problem(output="linear")
    assert method(problem, 1e200 * theta).cost == np.inf


# Structured differences near kinks

REACH = finite_difference.STENCIL.max()
DISTANCES = [0.0, 0.125, 0.25, 0.5, 0.75, 0.875, 1.0, 1.125, 2.0, 100.0]
near_kinks = pytest.mark.parametrize("distance", [sign * d for d in DISTANCES for sign in (1.0, -1.0)])


def at_kink(distance, relu):
    """A linear output behind one unit, `distance` reaches of the stencil from its kink, and dJ/dz of that unit.

    J = (a - 3)²/2 with a = relu(z), so that dJ/dz is -3 just above the kink, and 0 below and on it.
    """
    z = distance * REACH
    return *one_unit(relu, z, target=3.0), (z - 3.0 if z > 0.0 else 0.0)


@near_kinks
def test_crossing_a_declared_kink_is_an_infinite_error(distance):
    problem, theta, truth = at_kink(distance, "relu")
    measured = finite_difference.per_pre_activation(problem, theta)
    reached = abs(distance) <= 1.0
    np.testing.assert_array_equal(np.isinf(measured.error[:2]), [reached, reached])
    assert reached or measured.gradient[0] == pytest.approx(truth, abs=1e-14)


@near_kinks
def test_an_undeclared_kink_widens_the_error(distance):
    problem, theta, truth = at_kink(distance, UNDECLARED_RELU)
    measured = finite_difference.per_pre_activation(problem, theta)
    assert abs(measured.gradient[0] - truth) <= measured.error[0] + 1e-14
    assert measured.error[0] < 1e-8 or abs(distance) < 1.0
    if distance == 0.0:
        assert measured.error[0] == pytest.approx(3.0, rel=1e-6)  # the jump


def test_a_kink_further_back_counts_too():
    problem = Problem(Network((1, 1, 1, 1), ["identity", "relu"], "linear"), [[1.0]], [[3.0]])
    theta = np.array([0.5, 0.5, -1.0, 1.0, 0.0, 1.0])  # z = 1, and behind it relu(-1 + 1)
    assert np.isinf(finite_difference.per_pre_activation(problem, theta).error[:4]).all()
    assert np.isinf(finite_difference.along(problem, theta, np.eye(6)[:1])[1]).all()


def test_on_a_kink_even_a_change_that_rounding_swallows_crosses_it():
    problem = Problem(Network((1, 1, 1, 1), ["identity", "hard_tanh"], "linear"), [[1.0]], [[3.0]])
    # z = 1, and behind it hard_tanh at 1, barely moved
    theta = np.array([0.5, 0.5, 1.0 - 2.0**-10, 2.0**-10, 0.0, 1.0])
    assert np.isinf(finite_difference.per_pre_activation(problem, theta).error[:2]).all()


def test_only_the_unit_at_the_kink_is_in_doubt():
    problem = Problem(Network((1, 2, 1), "relu", "linear"), [[1.0]], [[3.0]])
    theta = problem.network.pack([[[-1.0, 1.0], [1.0, 1.0]], [[0.0, 1.0, 1.0]]])
    doubtful = np.isinf(finite_difference.per_pre_activation(problem, theta).error)
    assert {problem.network.label(int(i)) for i in np.flatnonzero(doubtful)} == {"Theta1[0, bias]", "Theta1[0, 1]"}


# Along directions

HIDDEN = {"carried": "tanh", "stepped": LOGISTIC}


@pytest.mark.parametrize("hidden", HIDDEN.values(), ids=list(HIDDEN))
@pytest.mark.parametrize("output", ["sigmoid", "softmax", "linear"])
def test_the_derivative_along_a_direction_is_the_gradients_share_in_it(hidden, output):
    problem, theta = ordinary_problem(hidden, output)
    directions = np.random.default_rng(0).normal(size=(5, theta.size))
    derivatives, errors = finite_difference.along(problem, theta, directions)
    expected = directions @ vectorized.cost_and_gradient(problem, theta)[1]
    assert derivatives.shape == errors.shape == (5,)
    assert (np.abs(derivatives - expected) <= errors + 1e-13).all()
    assert errors.max() < (1e-5 if hidden is LOGISTIC else 1e-13)


def test_directions_hold_the_truth_on_random_problems(network_count):
    rng = np.random.default_rng(0)
    known = []
    for seed in range(network_count):
        problem, theta = random_problem((3, seed), extremes=False)
        directions = rng.normal(size=(3, theta.size))
        derivatives, errors = finite_difference.along(problem, theta, directions)
        expected = directions @ jax_padded.reverse(problem, theta)[1]
        rounding = 1e-11 * np.abs(directions).sum(axis=1) * max(1.0, np.abs(expected).max())
        assert (np.abs(derivatives - expected) <= errors + rounding).all(), f"seed {seed}: {problem}"
        known.append(np.mean(errors < 1e-6 * np.maximum(1.0, np.abs(expected))))
    assert np.mean(known) > 0.95


@near_kinks
@pytest.mark.parametrize("relu", RELUS.values(), ids=list(RELUS))
def test_directions_are_not_sure_of_a_slope_at_a_kink(distance, relu):
    problem, theta, truth = at_kink(distance, relu)
    derivatives, errors = finite_difference.along(problem, theta, np.array([[1.0, 0.0, 0.0, 0.0]]))
    assert abs(derivatives[0] - truth) <= errors[0] + 1e-14
    assert np.isinf(errors[0]) == (relu == "relu" and abs(distance) <= 1.0)


@pytest.mark.more
def test_plain_differences_raise_no_alarm_on_formulas_that_increments_cannot_pass():
    for index in range(24):
        report = cross_check(*random_problem((0, index), [LOGISTIC]), ["loop", "vectorized", "finite-difference"])
        assert report.verdict != "disagree", f"random_problem((0, {index}), [logistic])\n{report}"


# Formulas that increments cannot pass


def clipped_slope(z, a):
    return np.where((z > 0.0) & (z < 6.0), 1.0, 0.0)


UNRULED = {
    "method": (lambda xp, z: z.clip(0.0, 6.0), clipped_slope, (0, 6)),
    "attribute": (lambda xp, z: z * float(z.ndim > 0), lambda z, a: np.ones_like(z), ()),
    "keyword": (lambda xp, z: np.clip(z, 0.0, 6.0, out=None), clipped_slope, (0, 6)),
    "cut to integers": (lambda xp, z: z + 0 * z.astype(int), lambda z, a: np.ones_like(z), ()),
    "conversion": (
        lambda xp, z: z + np.array([float(x) for x in z.ravel()]).reshape(z.shape),
        lambda z, a: 2.0 + 0.0 * z,
        (),
    ),
    "select": (
        lambda xp, z: np.select([z < 0.0, z >= 0.0], [0.1 * z, z]),
        lambda z, a: np.where(z < 0.0, 0.1, 1.0),
        (0,),
    ),
}


@pytest.mark.parametrize(("value", "slope", "kinks"), UNRULED.values(), ids=list(UNRULED))
def test_whatever_a_formula_asks_of_an_array_is_differenced_plainly(value, slope, kinks):
    problem, theta = ordinary_problem(Activation("trial", value, slope, kinks=kinks))
    with pytest.raises(NoRule):
        finite_difference.per_pre_activation(problem, theta)
    report = cross_check(problem, theta, ["loop", "vectorized", "finite-difference"])
    assert report.verdict == "agree"


def test_what_an_array_has_not_at_all_is_the_users_error():
    problem, theta = ordinary_problem(Activation("trial", lambda xp, z: z.softplus(), lambda z, a: z))
    with pytest.raises(AttributeError, match=r"'numpy.ndarray' object has no attribute 'softplus'"):
        finite_difference.gradient(problem, theta)


def waves(frequency):
    """Increments cannot pass `spherical_jn`, whose order zero is sin(z)/z."""
    return Activation(
        "waves", lambda xp, z: spherical_jn(0, frequency * z), lambda z, a: -frequency * spherical_jn(1, frequency * z)
    )


@pytest.mark.parametrize(
    ("frequency", "scale"), [(1.0, 1e4), *(pytest.param(f, 1.0, marks=pytest.mark.more) for f in (1e3, 1e4))]
)
def test_where_stencils_are_wider_than_the_waves_nothing_is_known(frequency, scale):
    for seed in range(6):
        rng = np.random.default_rng(seed)
        network = Network((3, 4, 3), waves(frequency), ["sigmoid", "softmax", "linear"][seed % 3])
        problem = Problem(network, scale * rng.normal(size=(4, 3)), rng.integers(0, 3, 4), 0.5)
        theta = network.init(seed, 1.0)
        measured = finite_difference.gradient(problem, theta)
        truth = vectorized.cost_and_gradient(problem, theta)[1]
        rounding = 1e-9 * max(1.0, np.abs(truth).max())
        assert covered(measured._replace(error=measured.error + rounding), truth).all()
        along, errors = finite_difference.along(problem, theta, np.eye(theta.size))
        assert ~(np.abs(along - truth) > errors + rounding).any()


@pytest.mark.parametrize(("scale", "known"), [(1.0, True), (100.0, True), (200.0, False)])
def test_a_step_beyond_one_in_z_is_not_trusted(scale, known):
    """Eight thousandths of θ times an input; what is saturated looks settled at any width."""
    problem = Problem(Network((1, 1, 1), LOGISTIC, "linear"), [[scale]], [[3.0]])
    error = finite_difference.per_weight(problem, np.array([0.0, 0.5 / scale, 0.1, 1.0])).error
    assert np.isfinite(error[1]) == known
    assert np.isfinite(error[[0, 2, 3]]).all()


def test_a_step_that_is_small_in_the_first_layer_may_be_too_large_in_the_second():
    """z moves by 0.002 in the first hidden layer, and a thousand times as far behind it, where it is saturated."""
    problem = Problem(Network((1, 1, 1, 1), LOGISTIC, "linear"), [[1.0]], [[3.0]])
    error = finite_difference.per_weight(problem, np.array([0.0, 0.5, 0.0, 1000.0, 0.1, 1.0])).error
    np.testing.assert_array_equal(np.isinf(error), [True, True, False, True, False, False])
