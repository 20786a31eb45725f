"""The bound on rounding, held against exact gradients (balls): never exceeded, and not much wider than need be."""

from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flint import arb
from one_unit import one_unit
from problem_features import ALL_FEATURES, features
from scipy.special import expit

from harness import SOURCES, Activation, Network, Problem, cross_check, random_problem
from harness.bounds.network_bound import rounding_bound
from reference.arithmetics.balls import BALLS, exact, precision
from reference.arithmetics.companion import NoRule
from reference.arithmetics.rounded import Rounded
from reference.arithmetics.roundoff import ELEMENTARY, UNIT_ROUNDOFF
from reference.jax_settings import compiler_options, fixed_settings
from reference.measured import Measured, NotApplicable, Oracle
from reference.oracles import finite_difference
from reference.oracles.ball_arithmetic import distance, enclose

U = UNIT_ROUNDOFF["float64"]


def measured(source, problem, theta):
    if isinstance(source, Oracle):
        return source.measure(problem, theta)
    cost, gradient = source(problem, theta)
    return Measured(cost, gradient, np.zeros(theta.size), 1.0)


def ratios(problem, theta, answer):
    """The true errors of the cost and of each coordinate over what they may be; zero where anything is allowed."""
    return over(rounding_bound(problem, theta), enclose(problem, theta), answer)


def over(bound, truth, answer):
    with np.errstate(all="ignore"):
        of_cost = distance(np.array([answer.cost]), truth._replace(gradient=[truth.cost]))
        actual = np.concatenate([of_cost, distance(answer.gradient, truth)])
        allowed = answer.roundings * np.append(bound.cost, bound.gradient) + np.append(0.0, answer.error)
        # an oracle's error is NaN where it multiplied infinity by zero
        return np.where(np.isnan(allowed) | np.isinf(allowed) | (actual == 0.0), 0.0, actual / allowed)


@lru_cache(maxsize=300)
def drawn(seed):
    """A random problem, θ, the bound and the truth, which every source is held against."""
    problem, theta = random_problem((5, seed))
    return problem, theta, rounding_bound(problem, theta), enclose(problem, theta)


# The bound holds


@pytest.mark.parametrize("name", [name for name in SOURCES if name != "ball"])
def test_no_source_is_further_from_the_exact_gradient_than_its_bound(name, network_count):
    worst = []
    for seed in range(network_count):
        problem, theta, bound, truth = drawn(seed)
        try:
            answer = measured(SOURCES[name], problem, theta)
        except NotApplicable:
            continue
        found = over(bound, truth, answer)
        beyond = np.flatnonzero(found > 1.0)
        where = ["cost" if i == 0 else problem.network.label(int(i) - 1) for i in beyond]
        assert not where, f"random_problem((5, {seed})), {problem}: {dict(zip(where, found[beyond]))}"
        worst.append(found.max())
    assert len(worst) > 0.4 * network_count  # the complex step takes smooth activations only
    assert max(worst) > 0.05  # a bound that is absurdly wide would hold as well
    assert np.median(worst) > 2e-3


def test_the_networks_are_of_every_kind(network_count):
    seen = {feature for seed in range(network_count) for feature in features(*random_problem((5, seed)))}
    assert not ALL_FEATURES - seen


def test_the_bound_is_finite_nearly_everywhere(network_count):
    bounds = [drawn(seed)[2] for seed in range(network_count)]
    assert np.mean([np.isfinite(bound.cost) and np.isfinite(bound.gradient).all() for bound in bounds]) > 0.98


@pytest.mark.parametrize("name", ["loop", "vectorized", "jax", "finite-difference"])
@pytest.mark.parametrize(
    ("hidden", "output"),
    [
        ("relu", "linear"),
        *(pytest.param(*pair, marks=pytest.mark.more) for pair in (("sigmoid",) * 2, ("gelu", "softmax"))),
    ],
)
def test_the_bound_holds_at_400_25_10(name, hidden, output, digits):
    problem = Problem(Network((400, 25, 10), hidden, output), digits.X[::25], digits.classes[::25], 1.0)
    theta = problem.network.init(0, epsilon=0.5)
    found = ratios(problem, theta, measured(SOURCES[name], problem, theta))
    assert 1e-3 < found.max() <= 1.0


@pytest.mark.parametrize("seed", range(20))
def test_the_regularisers_own_roundings_are_covered(seed):
    """λ/m is rounded, and so are its product with a weight and the sum; behind a small δ they are all there is."""
    rng = np.random.default_rng(seed)
    network = Network((8, 8), output="linear")
    theta = rng.uniform(-1.0, 1.0, network.size)
    X = 1e-3 * rng.standard_normal((6, 8))
    problem = Problem(network, X, X @ network.unpack(theta)[0][:, 1:].T, 100.0)
    for name in ("loop", "vectorized", "jax"):
        assert ratios(problem, theta, measured(SOURCES[name], problem, theta)).max() <= 1.0


# It is not too wide to see anything


@pytest.mark.parametrize("extremes", [False, True])
def test_an_error_of_twice_the_bound_would_be_seen(extremes):
    for seed in range(30):
        problem, theta = random_problem((6, seed), extremes=extremes)
        bound = rounding_bound(problem, theta)
        if not np.isfinite(bound.gradient).all():
            continue
        cost, gradient = SOURCES["vectorized"](problem, theta)
        wrong = gradient + 2.0 * bound.gradient
        stored = np.abs(wrong - gradient) > bound.gradient  # where twice the bound is not lost in storing the sum
        assert (ratios(problem, theta, Measured(cost, wrong, 0.0 * theta, 1.0))[1:][stored] > 0.5).all()
        assert stored.any()


def test_ordinary_networks_are_bounded_to_many_digits():
    for seed in range(50):
        problem, theta = random_problem((7, seed), ["tanh", "sigmoid", "softplus", "sin"], extremes=False)
        bound, scale = rounding_bound(problem, theta), np.abs(SOURCES["vectorized"](problem, theta)[1]).max()
        assert bound.gradient.max() <= 1e-11 * max(1.0, scale)


# Kinks, and what has no rule


@pytest.mark.parametrize(("name", "kink"), [("relu", 0.0), ("leaky_relu", 0.0), ("selu", 0.0), ("hard_tanh", 1.0)])
def test_at_a_kink_the_bound_is_the_jump(name, kink):
    at, beside = (rounding_bound(*one_unit(name, z, target=3.0)).gradient[0] for z in (kink, kink + 1e-9))
    assert at > 0.5
    assert beside < 2e-14


def unruled(x):
    """x, by a function that no arithmetic has a rule for."""
    return np.ldexp(x, 0)


def logistic(xp, z):
    """By a function that only NumPy's arrays can pass; balls state it in their own way."""
    return 0.5 + 0.5 * xp.tanh(0.5 * z) if xp is BALLS else unruled(expit(z))


LOGISTIC = Activation("logistic", logistic, lambda z, a: a * (1.0 - a))


def test_a_formula_without_rules_in_error_arithmetic_is_bounded_by_samples():
    f = LOGISTIC
    with pytest.raises(NoRule):
        f(Rounded.lift(np.ones(1)))
    worst = []
    for seed in range(50):
        problem, theta = random_problem((8, seed), [f], extremes=False)
        worst += [
            ratios(problem, theta, measured(SOURCES[name], problem, theta)).max() for name in ("loop", "vectorized")
        ]
    assert 0.01 < max(worst) <= 1.0


def on_two_layers(f, z=0.7):
    """The bound of a network whose first layer is behind the slope of f, and whose pre-activations are about z."""
    problem = Problem(Network((2, 3, 2), f, "linear"), [[z, -z], [0.5 * z, z]], [[0.0, 1.0], [0.5, 0.0]])
    return rounding_bound(problem, problem.network.init(3, 1.0))


def test_a_bound_by_samples_says_so_once():
    assert [fact.where for fact in on_two_layers(LOGISTIC).notes] == [("logistic",)]
    by_hand = Activation("tangent", lambda xp, z: xp.sin(z), lambda z, a: np.sin(z) / unruled(np.tan(z)))
    assert [fact.where for fact in on_two_layers(by_hand).notes] == [("tangent",)]
    assert on_two_layers("tanh").notes == ()


@pytest.mark.parametrize("claimed", [0.0, 1e6])
def test_a_sampled_bound_does_not_believe_the_slope_by_hand(claimed):
    """B would be a million times too wide, or nothing at all behind a slope of zero."""
    right = on_two_layers(Activation("right", lambda xp, z: xp.tanh(z), lambda z, a: 1.0 - a * a)).gradient
    wrong = on_two_layers(
        Activation("wrong", lambda xp, z: 2.0 * unruled(expit(2.0 * z)) - 1.0, lambda z, a: 0.0 * a + claimed)
    )
    assert (wrong.gradient >= 0.5 * right).all()
    assert (wrong.gradient < 1e-7).all()


@pytest.mark.parametrize("scale", [1e5, 1e9])
def test_where_samples_do_not_settle_nothing_is_known(scale):
    f = Activation("fast", lambda xp, z: xp.tan(scale * z) - unruled(expit(z)), lambda z, a: 0.0 * z)
    bound = on_two_layers(f, z=0.3)
    assert np.isinf(bound.gradient[:3]).all()


def test_a_jump_in_a_sampled_slope_is_counted():
    f = Activation(
        "rectified",
        lambda xp, z: np.fmax(unruled(expit(z)), 0.5),
        lambda z, a: np.where(z <= 0.0, 0.0, a * (1.0 - a)),
        kinks=(0,),
    )
    at, beside = (rounding_bound(*one_unit(f, z, target=3.0)).gradient[0] for z in (0.0, 1e-3))
    assert at > 0.5
    assert beside < 1e-7


def test_a_wrong_slope_without_rules_is_named_and_no_other_source():
    f = Activation("logistic", lambda xp, z: 4.0 * unruled(expit(z)), lambda z, a: np.zeros_like(z))
    # two families of differences: no other source knows ldexp
    sources: dict[str, Any] = {name: SOURCES[name] for name in ("loop", "vectorized", "finite-difference")}
    sources["differences again"] = Oracle(finite_difference.per_weight)
    for seed in range(12):
        rng = np.random.default_rng(seed)
        network = Network((3, 4, 3), f, ["sigmoid", "softmax", "linear"][seed % 3])
        problem = Problem(network, rng.normal(size=(4, 3)), rng.integers(0, 3, 4), l2=0.5)
        report = cross_check(problem, network.init(seed, 1.0), sources)
        assert report.verdict == "disagree"
        assert set(report.outliers) == {"loop", "vectorized"}, report


# logaddexp, which has no record of one number


def by_xla(z, **options):
    with fixed_settings():
        return np.asarray(jax.jit(lambda z: jnp.logaddexp(z, 0.0), **options)(jnp.asarray(z)))


@pytest.mark.parametrize(
    "library", [lambda z: np.logaddexp(z, 0.0), by_xla, lambda z: by_xla(z, compiler_options=compiler_options())]
)
def test_logaddexp_is_within_what_the_bound_assumes(library):
    z = np.random.default_rng(0).uniform(-700.0, 700.0, 2000)
    with precision(1200):
        truth = BALLS.logaddexp(exact(z), 0.0)
        off = [float(abs((arb(float(found)) - ball) / ball)) / U for found, ball in zip(library(z), truth)]
    assert 0.4 < max(off) <= ELEMENTARY


@pytest.mark.parametrize("l2", [1e305, 1e308])
def test_where_the_regulariser_overflows_for_who_divides_last_nobody_is_called_wrong(l2):
    network = Network((8, 8, 5, 3), ["tanh", "sigmoid"], "linear")
    X, theta = np.ones((9, 8)), 8.0 * network.init(seed=0, epsilon=1.0)
    with np.errstate(all="ignore"):
        report = cross_check(Problem(network, X, np.zeros((9, 3)), l2), theta, ["loop", "vectorized", "jax"])
    assert report.verdict == "inconclusive"
    assert not report.outliers
