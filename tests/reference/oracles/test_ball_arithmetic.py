"""Balls: two ways to the gradient agree within their radii, known values are contained, and kinks are not decided."""

import itertools
import math

import flint
import numpy as np
import pytest
from flint import arb, arb_series
from golden_numbers import DEBUG_THETA, debug_problem
from one_unit import one_unit, trial
from scipy import special

from harness import ACTIVATIONS, Network, Problem, random_problem
from harness.sources import vectorized
from reference.arithmetics.balls import BALLS, array_of, exact, precision, slopes, values, variables
from reference.measured import NotApplicable
from reference.oracles import ball_arithmetic
from reference.oracles.ball_arithmetic import BITS, Enclosure, distance, enclose, forward, reverse

both_ways = pytest.mark.parametrize("way", [forward, reverse])


def assert_overlap(one: Enclosure, other: Enclosure):
    assert one.cost.overlaps(other.cost)
    apart = [i for i, (a, b) in enumerate(zip(one.gradient, other.gradient, strict=True)) if not a.overlaps(b)]
    assert not apart


# Known values


@both_ways
def test_half_squared_error_is_contained_to_the_last_bit_of_its_inputs(way):
    """J = (b + wx - y)²/2 + λ/2 w² with m = 1 has rational derivatives: δ, and δx + λw."""
    b, w, x, y, l2 = 0.1, 0.7, 1.3, 0.2, 0.3
    enclosure = way(Problem(Network((1, 1), output="linear"), [[x]], [[y]], l2), np.array([b, w]))
    with precision(1000):
        b, w, x, y, l2 = (arb(number) for number in (b, w, x, y, l2))  # what the float64 values are, exactly
        delta = b + w * x - y
        assert enclosure.cost.contains(delta**2 / 2 + l2 / 2 * w**2)
        assert enclosure.gradient[0].contains(delta)
        assert enclosure.gradient[1].contains(delta * x + l2 * w)
    assert 0.0 < enclosure.radius.max() < 1e-30


@both_ways
@pytest.mark.parametrize("z", [-1000.0, -0.3, 37.0])
@pytest.mark.parametrize("y", [0.25, 1.0])
def test_a_sigmoid_output_has_the_derivative_prediction_minus_target(way, z, y):
    enclosure = way(Problem(Network((1, 1)), [[1.0]], [[y]]), np.array([z, 0.0]))
    with precision(3000):
        assert enclosure.gradient[0].contains(1 / (1 + arb(-z).exp()) - arb(y))
        assert enclosure.cost.contains((1 + arb(z).exp()).log() - arb(y) * arb(z))


# The two ways


@pytest.mark.parametrize("seed", range(8))
def test_both_ways_agree_within_their_radii_on_random_problems(seed):
    problem, theta = random_problem((4, seed))
    small = Problem(problem.network, problem.X[:3], problem.Y[:3], problem.l2)
    assert_overlap(forward(small, theta), reverse(small, theta))


@pytest.mark.parametrize("seed", range(5))
def test_slopes_along_directions_are_those_of_the_gradient(seed):
    problem, theta = random_problem((seed, 8))
    directions = np.random.default_rng(seed).normal(size=(3, theta.size)) * [[1.0], [1e-3], [0.0]]
    found, errors = ball_arithmetic.along(problem, theta, directions)
    exact = enclose(problem, theta)
    allowed = np.abs(directions) @ distance(exact.midpoint, exact) + 1e-14 * np.abs(directions) @ abs(exact.midpoint)
    assert (np.abs(found - directions @ exact.midpoint) <= errors + allowed).all(), f"seed {seed}"
    assert found[2] == 0.0


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("output", ["sigmoid", "softmax", "linear"])
def test_every_activation_and_output(name, output):
    problem = Problem(Network((2, 3, 2, 3), name, output), np.linspace(-1.0, 1.0, 4).reshape(2, 2), [0, 2], 0.5)
    theta = problem.network.init(0, epsilon=2.0)
    one, other = forward(problem, theta), reverse(problem, theta)
    assert_overlap(one, other)
    assert one.is_sharp
    assert other.is_sharp
    assert max(one.radius.max(), other.radius.max()) < 1e-28
    np.testing.assert_allclose(other.midpoint, vectorized.cost_and_gradient(problem, theta)[1], rtol=1e-12, atol=1e-15)


def test_examples_are_taken_some_at_a_time(monkeypatch):
    problem, theta = debug_problem(1.0), DEBUG_THETA
    together = reverse(problem, theta)
    monkeypatch.setattr(ball_arithmetic, "BLOCK_ROWS", 2)
    in_twos = reverse(problem, theta)
    assert problem.m == 5
    assert_overlap(together, in_twos)
    assert in_twos.radius.max() < 1e-30


# Precision


def test_precision_is_doubled_until_the_radii_are_small():
    problem, theta = one_unit("tanh", 0.3, target=1.0)
    assert not reverse(problem, theta, 20).is_sharp
    enclosure = enclose(problem, theta, 20)
    assert enclosure.is_sharp
    assert enclosure.bits == 80
    assert_overlap(enclosure, reverse(problem, theta))


@pytest.mark.parametrize("z", [50.0, 200.0, 700.0])
def test_saturation_is_resolved(z):
    """σ(z) - 1 = -1/(1 + e^z), of which 106 bits see nothing."""
    enclosure = enclose(Problem(Network((1, 1)), [[1.0]], [[1.0]]), np.array([z, 0.0]))
    assert enclosure.is_sharp
    np.testing.assert_allclose(enclosure.midpoint, -1.0 / (1.0 + np.exp(z)), rtol=1e-15)


def test_a_zero_that_cancels_among_larger_derivatives_is_not_pursued():
    """At θ = 0 the three biases of a softmax over balanced classes have derivatives Σ (1/3 - y) = 0."""
    problem = Problem(Network((1, 3), output="softmax"), [[1.0], [2.0], [4.0]], [0, 1, 2])
    enclosure = enclose(problem, np.zeros(6))
    assert enclosure.bits == BITS
    assert enclosure.is_sharp
    assert (enclosure.radius[:3] > 0.0).all()
    np.testing.assert_allclose(enclosure.midpoint[:3], 0.0, atol=1e-30)


def test_what_no_precision_helps_is_given_up():
    problem, theta = one_unit("relu", 0.0, target=1.0)
    enclosure = enclose(problem, theta)
    assert enclosure.bits == BITS * 2**ball_arithmetic.DOUBLINGS
    assert not enclosure.is_sharp


def test_the_callers_precision_is_left_as_it_was():
    before = flint.ctx.prec, flint.ctx.cap
    enclose(*one_unit("tanh", 0.3))
    with pytest.raises(NotApplicable):
        enclose(*one_unit(trial(lambda xp, z: xp.floor(z)), 0.3))
    assert (flint.ctx.prec, flint.ctx.cap) == before


# Kinks

KINKS = [(name, kink) for name, f in ACTIVATIONS.items() for kink in f.kinks]


@both_ways
@pytest.mark.parametrize(("name", "kink"), KINKS, ids=[f"{name} at {kink:g}" for name, kink in KINKS])
def test_at_a_kink_the_enclosure_holds_the_slopes_of_both_sides(way, name, kink):
    f = ACTIVATIONS[name]
    problem, theta = one_unit(name, kink, target=2.0)
    enclosure = way(problem, theta)
    for side in (-1e-9, 1e-9):
        z = np.array([kink + side])
        beside = (f(z) - 2.0) * f.slope(z, f(z))
        assert enclosure.gradient[0].overlaps(arb(float(beside[0]), 1e-7))
    assert not enclosure.is_sharp


@both_ways
def test_a_kink_is_undecided_when_a_ball_touches_it(way):
    """z = 0.1·3 - 0.3 is 2⁻⁵⁵ or so, which 40 bits cannot tell from zero."""
    problem = Problem(Network((1, 1, 1), "relu", "linear"), [[3.0]], [[1.0]])
    theta = np.array([-0.3, 0.1, 0.0, 1.0])
    assert way(problem, theta, 40).radius[0] == pytest.approx(0.5, rel=1e-6)
    assert way(problem, theta, 106).radius[0] < 1e-20
    assert enclose(problem, theta, 40).is_sharp


@both_ways
def test_only_the_unit_at_the_kink_is_in_doubt(way):
    problem = Problem(Network((1, 2, 1), "relu", "linear"), [[1.0]], [[3.0]])
    theta = problem.network.pack([[[-1.0, 1.0], [1.0, 1.0]], [[0.0, 1.0, 1.0]]])
    doubtful = way(problem, theta).radius > 0.1
    assert {problem.network.label(int(i)) for i in np.flatnonzero(doubtful)} == {"Theta1[0, bias]", "Theta1[0, 1]"}


UNDECLARED = {
    "maximum": lambda xp, z: xp.maximum(z, 0.0),
    "minimum": lambda xp, z: -xp.minimum(0.0, -z),
    "clip": lambda xp, z: xp.clip(z, 0.0, 5.0),
    "abs": lambda xp, z: 0.5 * (z + xp.abs(z)),
    "sign": lambda xp, z: 0.5 * z * (1.0 + xp.sign(z)),
    "clip by the old name": lambda xp, z: xp.clip(z, a_min=0.0, a_max=5.0),
    "a truth as a number": lambda xp, z: z * (z > 0.0),
    "a truth cast to a number": lambda xp, z: z * (z > 0.0).astype(float),
    "and": lambda xp, z: xp.where((z > 0.0) & (z < 5.0), z, 0.0),
    "or": lambda xp, z: xp.where((z <= 0.0) | (z > 5.0), 0.0, z),
    "not": lambda xp, z: xp.where(~(z > 0.0), 0.0, z),
    "a number as a condition": lambda xp, z: xp.where(xp.maximum(z, 0.0), z, 0.0) * xp.where(2.0 + z, 1.0, 9.0),
    "where the other way": lambda xp, z: xp.where(xp.greater_equal(0.0, z), 0.0, z),
    "equality": lambda xp, z: xp.where(z == 0.0, 0.0, xp.maximum(z, 0.0)),
    "inequality": lambda xp, z: xp.where(z != 0.0, xp.maximum(z, 0.0), 0.0),
}


@both_ways
@pytest.mark.parametrize("value", UNDECLARED.values(), ids=list(UNDECLARED))
def test_a_kink_that_nobody_declared_is_undecided_too(way, value):
    problem, theta = one_unit(trial(value), 0.0, target=1.0)
    found = way(problem, theta).gradient[0]
    assert found.contains(arb(0))
    assert found.contains(arb(-1))
    for z, slope in ((-0.5, 0.0), (0.5, 1.0)):
        beside = way(*one_unit(trial(value), z, target=1.0))
        assert beside.midpoint[0] == pytest.approx((z * slope - 1.0) * slope)
        assert beside.radius[0] < 1e-30


TRUTHS = {False: arb(0), True: arb(1), None: arb(0.5, 0.5)}


@pytest.mark.parametrize("connect", [np.bitwise_and, np.bitwise_or, np.logical_and, np.logical_or])
def test_a_connective_is_undecided_where_its_operands_can_change_it(connect):
    for x, y in itertools.product(TRUTHS, repeat=2):
        possible = {
            connect(i, j) for i in ({True, False} if x is None else {x}) for j in ({True, False} if y is None else {y})
        }
        result = connect(exact([TRUTHS[x]]), exact([TRUTHS[y]]))[0]
        assert {truth for truth in (True, False) if result.contains(arb(int(truth)))} == possible


SINGULAR = {
    "z/z": lambda xp, z: z / z,
    "sin(z)/z": lambda xp, z: xp.where(z == 0.0, 1.0, xp.sin(z) / z),
    "1/z": lambda xp, z: xp.reciprocal(z),
    "(z²)^-1": lambda xp, z: (z * z) ** -1,
    "√z²": lambda xp, z: xp.sqrt(z * z),
    "z^z": lambda xp, z: z**z,
    "log z": lambda xp, z: xp.log(z),
}


@both_ways
@pytest.mark.parametrize("value", SINGULAR.values(), ids=list(SINGULAR))
def test_nothing_is_claimed_at_a_singularity(way, value):
    """Where it can be removed, a series cut off after t cannot tell."""
    assert np.isinf(distance(np.zeros(4), way(*one_unit(trial(value), 0.0, target=1.0)))[0])
    assert way(*one_unit(trial(value), 0.5, target=2.0)).is_sharp


# What has no rule

REFUSED = {
    "unknown to balls": (lambda xp, z: xp.floor(z), "trial: ball arithmetic has no rule for floor"),
    "another function": (lambda xp, z: xp.select([z > 0.0], [z]), "trial: ball arithmetic has no rule for select"),
    "not NumPy": (lambda xp, z: xp.softplus(z), "trial: its formula does not take balls .*no function 'softplus'"),
    "a decision": (lambda xp, z: z if z[0, 0:1] > 0.0 else -z, "trial: ball arithmetic cannot decide an if"),
    "a reduction": (lambda xp, z: z / z.max(), "trial: ball arithmetic has no rule for maximum"),
    "whole numbers": (lambda xp, z: z.astype(int), "trial: ball arithmetic casts to float only"),
    "in place": (lambda xp, z: xp.exp(z, out=z), "trial: ball arithmetic has no rule for exp"),
}


@pytest.mark.parametrize(("value", "reason"), REFUSED.values(), ids=list(REFUSED))
def test_a_refused_activation_says_why(value, reason):
    with pytest.raises(NotApplicable, match=reason):
        ball_arithmetic.measure(*one_unit(trial(value), 0.5))


# Functions of more than one number, and compositions; test_elementary has those of one

H = arb(2) ** -300
FUNCTIONS = {
    "power": lambda xp, z: z**3 + (z - 0.3) ** -2 + (z * z + 1.0) ** 0.5 + 2.0 ** (0.01 * z),
    "quotient": lambda xp, z: (1.0 - z) / (1.0 + z * z) + xp.reciprocal(z + 1001.0),
    "logaddexp": lambda xp, z: xp.logaddexp(z, 0.0) + xp.logaddexp(-0.5 * z, z),
    "logsumexp": lambda xp, z: xp.logsumexp(z[:, np.newaxis] * np.array([1.0, -2.0, 0.5]))[:, 0],
    "abs": lambda xp, z: xp.abs(z - 0.1) + xp.sign(z - 0.1) * z,
    "dawsn": lambda xp, z: special.dawsn(0.01 * z),
    "maximum": lambda xp, z: xp.maximum(z, 0.1) + xp.minimum(-z, 0.2),
    "clip": lambda xp, z: xp.clip(z, -0.3, 2.2),
    "where": lambda xp, z: xp.where(z < 0.3, xp.where(z >= -0.3, z, 0.0), z * z),
    "likes": lambda xp, z: z + xp.ones_like(z) - xp.zeros_like(z) * z,
    "sum": lambda xp, z: xp.sum(z[:, np.newaxis] * np.array([1.0, 2.0]), axis=-1),
}
POINTS = np.array([-800.0, -30.0, -2.0, -0.5, 0.0, 1e-3, 0.5, 2.0, 30.0, 800.0])


@pytest.mark.parametrize("formula", FUNCTIONS.values(), ids=list(FUNCTIONS))
def test_slopes_are_those_of_the_values(formula):
    with precision(2000):
        z = exact(POINTS)
        ahead, behind = (formula(BALLS, array_of((x + step for x in z), z.shape)) for step in (H, -H))
        difference = [(up - down) / (2 * H) for up, down in zip(ahead, behind)]
    with precision(BITS):
        result = formula(BALLS, variables(exact(POINTS)))
        constants = formula(BALLS, exact(POINTS))
    for value, slope, constant, expected in zip(values(result), slopes(result), constants, difference):
        assert value.overlaps(constant)
        assert abs(slope - expected) <= arb(2) ** -90 * (1 + abs(expected))
        assert slope.rad() <= arb(2) ** -80 * (1 + abs(slope))


KNOWN = {
    "logaddexp": (lambda xp, z: xp.logaddexp(z, z), 1.0, 1.0 + math.log(2.0)),
    "logaddexp(z, 0)": (lambda xp, z: xp.logaddexp(z, 0.0), -700.0, math.exp(-700.0)),
    "logaddexp(0, z)": (lambda xp, z: xp.logaddexp(0.0, z), -700.0, math.exp(-700.0)),
    "reciprocal of a negative number": (lambda xp, z: z**-1, -4.0, -0.25),
    "not": (lambda xp, z: ~(z > 0.0) + 2.0 * xp.logical_not(z < 0.0), -2.0, 1.0),
    "equal": (lambda xp, z: (z == 1.0) + 2.0 * (z != 1.0), 2.0, 2.0),
    "sign": (lambda xp, z: xp.sign(z), -2.0, -1.0),
    "minimum": (lambda xp, z: xp.minimum(z, 1.0), 2.0, 1.0),
    "dawsn": (lambda xp, z: special.dawsn(z), -3.0, special.dawsn(-3.0)),
}


@pytest.mark.parametrize(("formula", "z", "expected"), KNOWN.values(), ids=list(KNOWN))
def test_values_are_those_of_the_functions(formula, z, expected):
    with precision(BITS):
        for x in (exact([z]), variables(exact([z]))):
            assert float(values(formula(BALLS, x))[0].mid()) == pytest.approx(expected, rel=1e-15, abs=0.0)


def test_a_wide_ball_holds_what_it_may_be():
    with precision(BITS):
        wide = array_of([arb_series([arb(0, 1), 1])], (1,))
        relu = BALLS.where(wide <= 0.0, 0.0, wide)
        for value in (arb(0), arb(1)):
            assert values(relu)[0].contains(value)
            assert slopes(relu)[0].contains(value)
        assert slopes(1.0 / wide)[0].is_nan()
        steep = array_of([arb_series([arb(0, 1000), 1])], (1,))
        assert not slopes(BALLS.tanh(steep))[0].is_finite()


# What the oracle answers


def test_the_error_is_the_radius_and_the_rounding_of_the_midpoint():
    measured = ball_arithmetic.measure(debug_problem(1.0), DEBUG_THETA)
    assert measured.roundings == 0.0
    ulp = np.spacing(np.abs(measured.gradient))
    assert (measured.error > 0.0).all()
    assert (measured.error <= 0.5 * ulp * (1.0 + 1e-12)).all()
    enclosure = enclose(debug_problem(1.0), DEBUG_THETA)
    for found, error, ball in zip(measured.gradient, measured.error, enclosure.gradient):
        assert abs(ball - arb(float(found))) <= arb(float(error))


def enclosure_of(*balls):
    return Enclosure(arb(0), array_of(balls, (len(balls),)), BITS)


def test_the_distance_is_rounded_up_and_infinite_where_nothing_is_known():
    with precision(BITS):
        third = arb(1) / 3
    balls = enclosure_of(arb(1), arb(1), third, arb(1, 0.5), arb.nan(), arb("inf"), arb(1))
    found = distance(np.array([1.0, 1.5, 1 / 3, 1.0, 1.0, 1.0, np.nan]), balls)
    assert found[0] == 0.0
    assert found[1] == pytest.approx(0.5, rel=1e-15)
    assert found[2] == pytest.approx(2.0**-54 / 3.0, rel=1e-9)
    assert arb(float(found[2])) >= abs(third - arb(1 / 3))
    assert found[3] == pytest.approx(0.5, rel=1e-8)
    assert np.isinf(found[4:]).all()
