"""Every record of an elementary function against balls: value, slopes and increments, also at ends of domains."""

from typing import Any

import flint
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flint import arb
from scipy import special

from reference.arithmetics.balls import exact, precision, slope_of, value_of, variables
from reference.arithmetics.elementary import FUNCTIONS, PRIMITIVES
from reference.arithmetics.elementary_record import Reach
from reference.jax_settings import compiler_options, fixed_settings
from reference.measured import NotApplicable

U = 2.0**-53
BITS = 2400
OWN_ROUNDING = 1.0 + 1e-12  # bounds are computed in floating point themselves

SIZES = [0.0, 1e-20, 1e-8, 0.1, 0.3, 0.5, 0.75, 0.97, 1.0, 1.3, 2.0, 4.4, 17.0, 23.1, 40.0, 300.0, 1e10]
POINTS = sorted({sign * x for x in SIZES for sign in (1.0, -1.0)})
TINY = 2.0**-200
STEPS = [sign * d for d in (0.09, 1e-12, 2.0**-50, TINY) for sign in (1.0, -1.0)]

ROUNDINGS = 64.0
"""Of a slope or an increment: some four elementary functions and as many products, none of which cancels."""

each_function = pytest.mark.parametrize("f", FUNCTIONS, ids=lambda f: f.name)
each_bounded = pytest.mark.parametrize("f", [f for f in FUNCTIONS if f.steepest], ids=lambda f: f.name)
each_incremented = pytest.mark.parametrize("f", [f for f in FUNCTIONS if f.increment], ids=lambda f: f.name)


@pytest.fixture(autouse=True)
def many_bits():
    before, flint.ctx.prec = flint.ctx.prec, BITS
    with np.errstate(all="ignore"):
        yield
    flint.ctx.prec = before


def is_known(*balls):
    return all(ball.is_finite() and abs(ball) < 1e300 for ball in balls)


def differences(f, x):
    """f(x), f'(x) and f''(x), by differences in so many bits that they are exact here."""
    h = (abs(x) if x != 0 else arb(1)) * arb(2) ** -500
    low, middle, high = (f.ball(x + side * h) for side in (-1, 0, 1))
    return middle, (high - low) / (2 * h), (high - 2 * middle + low) / (h * h)


def known_points(f):
    """The points about which f is defined, with f and its derivatives."""
    found = [(x, *differences(f, arb(x))) for x in POINTS]
    found = [each for each in found if is_known(*each[1:]) and abs(each[2]) < 1e50]
    assert len(found) > 5
    return found


def cancelled(f, value, x):
    """What slopes of special functions subtract, such as 1 - 2xy; no derived bound reads them."""
    return arb(0) if f.steepest else 1 + abs(value) * (1 + abs(arb(x)))


def assert_near(found, truth, roundings, beside: Any = 0.0):
    """Within so many roundings of the truth, and of what stands beside it."""
    off = abs(arb(float(found)) - truth)
    allowed = arb(float(roundings) * U) * abs(truth) + abs(beside) * arb(ROUNDINGS * U) + arb(1e-290)
    assert off <= allowed, f"{float(off / abs(truth)) / U:.3g} u"


@each_function
def test_the_value_is_as_good_as_the_record_says(f):
    for x, value, slope, _ in known_points(f):
        z = np.array([x])
        beside = (
            arb(0) if f.steepest else abs(value) + abs(slope * arb(x))
        )  # SciPy promises no more of a special function
        assert_near(f.value(z)[0], value, np.ravel(f.roundings_at(z))[0], beside)
        assert f.function(z) == f.value(z)


@each_function
def test_the_slope_keeps_its_digits_and_the_tangent_those_of_the_formula(f):
    for x, value, slope, bend in known_points(f):
        z = np.array([x])
        y = f.value(z)
        assert_near(f.slope(z, y)[0], slope, ROUNDINGS, beside=abs(bend * arb(x)) + cancelled(f, value, x))
        if f.tangent:
            assert_near(f.tangent(z, y)[0], slope, ROUNDINGS, beside=bend * arb(x) + arb(1))


@each_incremented
@pytest.mark.parametrize("d", STEPS)
def test_an_increment_is_exact_for_any_step(f, d):
    for x, value, _, bend in known_points(f):
        truth = f.ball(arb(x) + arb(d)) - value
        if is_known(truth):
            z = np.array([x])
            assert_near(f.increment(z, d, f.value(z))[0], truth, ROUNDINGS, beside=bend * arb(x) * arb(d))


@each_function
def test_a_tiny_change_is_exact_by_increment_or_by_slope(f):
    for x, value, slope, bend in known_points(f):
        truth = f.ball(arb(x) + arb(TINY)) - value
        if slope != 0 or (f.increment and not f.is_costly):
            z = np.array([x])
            assert_near(
                f.change(z, TINY, f.value(z))[0],
                truth,
                ROUNDINGS,
                (abs(bend * arb(x)) + cancelled(f, value, x)) * arb(TINY),
            )


@pytest.mark.parametrize(
    ("f", "end"), [(f, end) for f in FUNCTIONS for end in f.ends], ids=lambda case: str(getattr(case, "name", case))
)
def test_a_change_is_exact_at_an_end_where_the_slope_is_infinite(f, end):
    z = np.array([end])
    y = f.value(z)
    assert np.isinf(f.slope(z, y)).all()
    assert f.change(z, np.zeros(1), y) == 0.0
    inward = [d for d in (TINY, -TINY) if is_known(f.ball(arb(end) + arb(d)))]
    assert len(inward) == 1
    truth = f.ball(arb(end) + arb(inward[0])) - f.ball(arb(end))
    assert_near(f.change(z, np.array(inward), y)[0], truth, ROUNDINGS)


@each_bounded
@pytest.mark.parametrize("relative", [0.0, 1e-10, 0.2, 1.5])
def test_the_steepest_slope_covers_all_within_reach(f, relative):
    checked = 0
    for x, *_ in known_points(f):
        reach = Reach(np.array([x]), np.array([abs(x) * relative]))
        steepest = f.steepest(reach)
        slopes = []
        for at in (-1.0, -0.37, 0.0, 0.6, 1.0):
            _, slope, _ = differences(f, arb(x) + arb(at) * arb(abs(x) * relative))
            if is_known(slope) and np.isfinite(steepest).all():
                assert abs(slope) <= arb(float(steepest[0])) * arb(OWN_ROUNDING) + arb(1e-290), x
                slopes.append(float(abs(slope)))
        checked += len(slopes)
        if slopes and relative < 0.1:
            assert steepest[0] <= 1.1 * max(slopes) + 1e-290, x
    assert checked > 20 or relative > 1.0  # many a domain ends within that reach


@each_function
def test_few_bits_come_of_the_stated_argument_alone_or_of_many(f):
    values = {x: f.value(np.array([x]))[0] for x in (*POINTS, 4.0)}
    exact = {x for x, y in values.items() if np.isfinite(y) and f.ball(arb(x)) == arb(y)}
    assert exact == {f.algebraic_at} if f.algebraic_at is not None else len(exact) > 1 or f.is_series


@each_function
def test_the_ends_are_where_a_domain_ends_with_an_infinite_slope(f):
    def is_end(x):
        y, beside = f.value(np.array([x])), f.value(np.nextafter(x, [-np.inf, np.inf]))
        return bool(np.isfinite(y) & np.isinf(f.slope(np.array([x]), y)) & (np.isnan(beside).sum() == 1))

    assert set(f.ends) == {x for x in POINTS if is_end(x)}


WITHOUT_RULE = (special.erfinv, special.gammaln, special.digamma, special.i0e, special.i1e)


@pytest.mark.parametrize(
    "f", [f for f in FUNCTIONS if f.ball and isinstance(f.function, np.ufunc)], ids=lambda f: f.name
)
def test_the_rule_of_ball_arithmetic_has_the_same_value_and_slope(f):
    """An evaluator of its own, by other formulas than the record's ball."""
    if f.function in WITHOUT_RULE:
        with pytest.raises(NotApplicable):
            f.function(exact(np.array([0.5])))
        return
    with precision(BITS):
        for x, value, slope, _ in known_points(f):
            if x != 0.0 or f.function is not np.cbrt:  # which is composed, of a part with a kink there
                (moving,), (constant,) = f.function(variables(exact([x]))), f.function(exact([x]))
                for found, true in ((value_of(moving), value), (slope_of(moving), slope), (constant, value)):
                    assert abs(found - true) <= arb(2) ** -400 * (1 + abs(true)), x


def many(low, high):
    """Numbers in a range: evenly, around zero, and of every size down to 1e-15."""
    rng = np.random.default_rng(0)
    size = np.exp(rng.uniform(np.log(1e-15), np.log(max(-low, high)), 400))
    x = np.concatenate([rng.uniform(low, high, 400), rng.uniform(-1.0, 1.0, 400), size, -size])
    return x[(low < x) & (x < high)]


def by_numpy(f, x):
    return f.value(x)


def by_xla(f, x, **options):
    if not hasattr(jax.lax, f.primitive):
        pytest.skip("this release of JAX has no such primitive")
    with fixed_settings():
        return np.asarray(jax.jit(getattr(jax.lax, f.primitive), **options)(jnp.asarray(x)))


def by_xla_in_a_hurry(f, x):
    return by_xla(f, x, compiler_options=compiler_options())


@each_bounded
@pytest.mark.parametrize("library", [by_numpy, by_xla, by_xla_in_a_hurry])
def test_no_library_is_further_off_than_the_record_says(library, f):
    x = many(-708.0, 708.0)
    computed, allowed = library(f, x), np.broadcast_to(f.roundings_at(x), x.shape)
    worst = 0.0
    flint.ctx.prec = 1200
    for each, found, roundings in zip(x.tolist(), computed.tolist(), allowed.tolist(), strict=True):
        truth = f.ball(arb(each))
        if truth.is_finite() and 1e-300 < abs(truth) < 1e300:
            worst = max(worst, float(abs(arb(found) - truth) / abs(truth)) / U / roundings)
    assert (0.001 if f.primitive in ("cbrt", "atanh") else 0.02) < worst <= 1.0


def test_complex_numbers_have_the_same_values_slopes_and_changes():
    """At 0.6 + 0.3i, against the Cauchy-Riemann equations: f' is a difference along either axis."""
    z, h = np.array([0.6 + 0.3j]), 1e-6
    for f in PRIMITIVES.values():
        try:
            y = f.value(z)
            f.slope(z, y)
        except TypeError:
            continue
        for side in (1.0, 1j):
            quotient = (f.value(z + h * side) - f.value(z - h * side)) / (2.0 * h * side)
            np.testing.assert_allclose(f.slope(z, y), quotient, rtol=1e-8, err_msg=f.name)
            np.testing.assert_allclose(f.change(z, TINY * side, y) / (TINY * side), quotient, rtol=1e-8, err_msg=f.name)
