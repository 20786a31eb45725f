"""The complex step: exact to rounding on what is analytic, and a reason instead of an answer on what is not."""

import numpy as np
import pytest
from flint import arb, arb_series
from one_unit import one_unit, trial

from harness import ACTIVATIONS, Activation, Network, Problem, random_problem
from harness.bounds.network_bound import rounding_bound
from reference.arithmetics.balls import BALLS, array_of, precision, slopes, values
from reference.arithmetics.elementary import FUNCTIONS as ELEMENTARY
from reference.measured import NotApplicable
from reference.oracles import complex_step, finite_difference
from reference.oracles.ball_arithmetic import distance, enclose
from reference.oracles.complex_step import COMPLEX, RULES, STEP, Analytic

U = 2.0**-53


# Right where it answers


def test_coordinates_are_taken_some_at_a_time(monkeypatch):
    problem, theta = random_problem(3, ["tanh"])
    together = complex_step.measure(problem, theta)
    monkeypatch.setattr(complex_step, "ELEMENTS_AT_ONCE", 7 * problem.m * max(problem.network.sizes))
    in_sevens = complex_step.measure(problem, theta)
    assert problem.network.size % 7
    np.testing.assert_allclose(in_sevens.gradient, together.gradient, rtol=1e-13)


def test_underflow_is_far_away():
    """Far out, tanh' = 4 exp(-2z), and a linear output at zero with target -1 hands it on."""
    problem, theta = one_unit("tanh", 310.0, target=-1.0)
    theta[2] = -1.0
    gradient = complex_step.measure(problem, theta).gradient
    np.testing.assert_allclose(gradient[:2], 4.0 * np.exp(-620.0), rtol=1e-12)  # 2e-269


def test_truncation_shows_where_the_derivative_is_zero_and_is_in_the_error():
    """J = (z³ + 1)²/2 has J' = 0 and J''' = 6 at z = 0."""
    problem, theta = one_unit(trial(lambda xp, z: z**3), 0.0)
    theta[2] = 1.0
    measured = complex_step.measure(problem, theta)
    assert 0.0 < abs(measured.gradient[0]) <= measured.error[0] < 1e-45


# The functions of the namespace, against balls

POINTS = [*np.random.default_rng(0).uniform(-3.0, 3.0, 40), 0.0, 1e-300, -1e-10, 1e-3, -20.0, 33.0, -800.0, 800.0]
ENTIRE = [f.function for f in ELEMENTARY if f.function in RULES]
FUNCTIONS = {
    **{f.__name__: (lambda xp, z, f=f: f(z), lambda z, f=f: np.isfinite(f(z)) and abs(z) > 1e-9) for f in ENTIRE},
    "abs": (lambda xp, z: xp.abs(z), lambda z: z != 0.0),
    "reciprocal": (lambda xp, z: 1.0 / z, lambda z: abs(z) > 1e-9),
    "cube": (lambda xp, z: z**3, lambda z: True),
    "logaddexp(z, 0)": (lambda xp, z: xp.logaddexp(z, 0.0), lambda z: True),
    "logaddexp(0, z)": (lambda xp, z: xp.logaddexp(0.0, z), lambda z: True),
    "logaddexp(z, z/2)": (lambda xp, z: xp.logaddexp(z, 0.5 * z), lambda z: z >= 0.0),  # it crosses zero below
    "logsumexp": (lambda xp, z: xp.logsumexp(z[:, np.newaxis] * np.array([1.0, -2.0, 0.5]))[:, 0], lambda z: True),
    "where": (lambda xp, z: xp.where(z <= 0.0, xp.expm1(z), z), lambda z: z < 700.0),
    "guarded": (lambda xp, z: xp.where(z == 0.0, 1.0, 2.0 / xp.where(z != 0.0, z, 1.0)), lambda z: abs(z) > 1e-9),
}


@pytest.mark.parametrize(("formula", "domain"), FUNCTIONS.values(), ids=list(FUNCTIONS))
def test_functions_keep_value_and_derivative(formula, domain):
    with np.errstate(all="ignore"):
        z = np.array([z for z in POINTS if domain(z)])
    with np.errstate(under="ignore"):
        result = np.asarray(formula(COMPLEX, (z + 1j * STEP).view(Analytic)))
    with precision(1300):
        exact = formula(BALLS, array_of((arb_series([arb(x), 1]) for x in z), z.shape))
        for x, found, parts in zip(z, result, zip(values(exact), slopes(exact))):
            for part, truth in zip((found.real, found.imag / STEP), parts):
                # exp(-z²) inherits the rounding of its exponent; h² shows where the value is nothing
                allowed = (16.0 + 4.0 * x * x) * U * abs(truth) + (1e-270 if abs(truth) > 1e-250 else 4.0 * STEP**2)
                assert abs(arb(float(part)) - truth) <= allowed, (x, part, truth)


# What is not analytic

REFUSED = {
    "relu": (ACTIVATIONS["relu"], "relu is not analytic: it has a kink at 0"),
    "hard_tanh": (ACTIVATIONS["hard_tanh"], "hard_tanh is not analytic: it has a kink at -1 and 1"),
    "maximum": (trial(lambda xp, z: xp.maximum(z, 0.0)), "trial: .* no rule for maximum, which may not be analytic"),
    "sign": (trial(lambda xp, z: z * xp.sign(z)), "no rule for sign"),
    "conj": (trial(lambda xp, z: z * z.conj()), "no rule for conjugate"),
    "real": (trial(lambda xp, z: z.real + z), "cannot pass real or imag"),
    "max": (trial(lambda xp, z: z / z.max()), "no rule for maximum"),
    "in place": (trial(lambda xp, z: xp.exp(z, out=z)), "no rule for exp"),
    "to real": (trial(lambda xp, z: xp.zeros(z.shape)), "makes real numbers of complex ones"),
    "NumPy's own": (trial(lambda xp, z: np.fmax(z, 0.0)), "no rule for fmax"),
    "unknown": (trial(lambda xp, z: xp.softplus(z)), "does not take complex numbers .*no function 'softplus'"),
}


@pytest.mark.parametrize(("f", "reason"), REFUSED.values(), ids=list(REFUSED))
def test_what_is_not_analytic_is_refused_with_the_reason(f, reason):
    with pytest.raises(NotApplicable, match=reason):
        complex_step.measure(*one_unit(f, 0.5))


@pytest.mark.parametrize(("z", "slope"), [(-1.0, 2.0), (0.0, 2.0), (1.0, 3.0)])
def test_comparisons_look_at_the_real_part_alone(z, slope):
    """NumPy orders complex numbers with the imaginary part as a tie-break: 0 + ih <= 0 would be false."""
    f = trial(lambda xp, z: xp.where(z <= 0.0, 2.0 * z, 3.0 * z))
    problem, theta = one_unit(f, z)
    theta[2] = 1.0
    np.testing.assert_allclose(complex_step.measure(problem, theta).gradient[0], (slope * z + 1.0) * slope)


@pytest.mark.parametrize("exponent", [2.5, -1.5, 0.5])
@pytest.mark.parametrize("measure", [complex_step.measure, finite_difference.per_pre_activation])
def test_powers_of_large_numbers(measure, exponent):
    """Complex powers are exp(y log x), whose exponent of some hundreds is rounded."""
    f = Activation(
        "power",
        lambda xp, z: xp.power(1.0 + xp.abs(z), exponent),
        lambda z, a: exponent * np.power(1.0 + np.abs(z), exponent - 1.0) * np.sign(z),
    )
    for seed in range(20):
        rng = np.random.default_rng(seed)
        X, Y = 1e40 * rng.normal(size=(4, 3)), 1e40**exponent * rng.normal(size=(4, 2))
        problem = Problem(Network((3, 4, 2), f, "linear"), X, Y)
        theta = problem.network.init(seed, 1.0)
        answer, bound = measure(problem, theta), rounding_bound(problem, theta)
        allowed = answer.roundings * bound.gradient + answer.error
        assert np.isfinite(allowed).all()
        assert (distance(answer.gradient, enclose(problem, theta)) <= allowed).all()


def test_what_overflows_over_the_complex_numbers_alone_is_not_an_answer():
    textbook = trial(lambda xp, z: 1.0 / (1.0 + xp.exp(-z)))
    problem, theta = one_unit(textbook, -800.0)
    with np.errstate(over="ignore"):
        assert np.isfinite(problem.cost(np, theta))
    measured = complex_step.measure(problem, theta)
    assert np.isinf(measured.error[~np.isfinite(measured.gradient)]).all()
    assert not np.isfinite(measured.gradient[0])


def test_a_large_network_is_refused():
    problem = Problem(Network((400, 25, 10)), np.zeros((5000, 400)), np.zeros(5000))
    with pytest.raises(NotApplicable, match=r"400-25-10.* is too large for one cost for each of its 10,285 parameters"):
        complex_step.measure(problem, np.zeros(problem.network.size))


@pytest.mark.parametrize(
    "real", [lambda z: np.asarray(z, float), lambda z: np.real(np.asarray(z)), lambda z: np.abs(np.asarray(z))]
)
def test_what_loses_its_imaginary_part_has_no_slope_instead_of_zero(real):
    f = Activation("real", lambda _, z: np.tanh(real(z)), lambda z, a: 1.0 - a * a)
    with pytest.raises(NotApplicable, match="makes real numbers of complex ones"):
        complex_step.slope(f, np.array([-1.0, 0.5]))


@pytest.mark.parametrize(
    ("value", "refused_at", "calls"),
    [
        (lambda xp, z: xp.tanh(z), [], 1),
        (lambda xp, z: xp.abs(z - 3.0) * z, [3.0], 20),
        (lambda xp, z: xp.where(z == 5.0, 0.0, z * z), [5.0], 20),
        (lambda xp, z: xp.abs(z) + xp.abs(z - 63.0), [0.0, 63.0], 40),
    ],
)
def test_the_z_at_which_a_formula_is_not_analytic_are_found_by_halving(value, refused_at, calls):
    z, sizes = np.arange(64.0), []

    def counted(xp, z):
        sizes.append(z.size)
        return value(xp, z)

    found = complex_step.slope(Activation("counted", counted, lambda z, a: z), z)
    assert z[np.isnan(found.slope)].tolist() == refused_at
    assert np.isfinite(found.error).tolist() == (~np.isin(z, refused_at)).tolist()
    assert len(sizes) <= calls


def test_a_function_without_a_rule_is_not_asked_for_at_each_z():
    sizes = []

    def value(xp, z):
        sizes.append(z.size)
        return xp.maximum(z, 0.0)

    with pytest.raises(NotApplicable, match="no rule for maximum"):
        complex_step.slope(Activation("relu", value, lambda z, a: z > 0.0), np.arange(64.0))
    assert sizes == [64]
