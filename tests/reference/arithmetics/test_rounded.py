"""Running errors: every rule's bound covers the truth, known to many bits, and is not much wider than it need be."""

from fractions import Fraction
from itertools import product
from typing import Any

import flint
import numpy as np
import pytest
from flint import arb

from reference.arithmetics.companion import COMPARISONS, CONNECTIVES, NEGATIONS, NoRule
from reference.arithmetics.composed import COMPOSED
from reference.arithmetics.elementary import FUNCTIONS, one_minus_square
from reference.arithmetics.increments import Increment
from reference.arithmetics.rounded import Rounded, Rounded32
from reference.arithmetics.tangent import Tangent

xp: Any = np  # NumPy's stubs do not know of the arrays that answer its protocols

U, U32 = 2.0**-53, 2.0**-24
BITS = 1200
H = arb(2) ** -300  # central differences in 1200 bits: 600 of them are right
OWN_ROUNDING = 1.0 + 1e-12  # bounds are computed in floating point themselves


def truth_of_logaddexp(x, y):
    larger, smaller = x.max(y), x.min(y)
    return larger + (smaller - larger).exp().log1p()


UNARY = {
    np.positive: lambda x: x,
    np.negative: lambda x: -x,
    np.absolute: abs,
    np.reciprocal: lambda x: 1 / x,
    **{f.function: f.ball for f in FUNCTIONS if f.steepest},
}
BINARY = {
    np.add: lambda x, y: x + y,
    np.subtract: lambda x, y: x - y,
    np.multiply: lambda x, y: x * y,
    np.divide: lambda x, y: x / y,
    np.power: lambda x, y: x**y,
    np.logaddexp: truth_of_logaddexp,
    np.maximum: lambda x, y: x.max(y),
    np.minimum: lambda x, y: x.min(y),
}
TRUTH = UNARY | BINARY
LIPSCHITZ = {np.logaddexp, np.maximum, np.minimum, one_minus_square}
ARRANGED = {np.where, np.matmul, np.sign, *COMPARISONS, *CONNECTIVES, *NEGATIONS}  # see below

each_rule = pytest.mark.parametrize("rule", TRUTH, ids=lambda rule: rule.__name__)

ORDINARY = [*np.random.default_rng(0).uniform(0.2, 3.0, 12), 0.5, 1.0, 1.0 + 2.0**-52, 2.0]
EXTREME = [0.0, 1e-300, 1e-20, 1e-8, np.log(2.0), 20.0, 33.0, 40.0, 700.0, 745.0, 800.0, 1e10, 1e150, 1e300]
OPERANDS = np.array([sign * x for x in ORDINARY + EXTREME for sign in (1.0, -1.0)])
RELATIVE_ERRORS = (0.0, U, 1e-10, 0.3, 2.0)
INSIDE = (-1.0, 0.37, 1.0)  # where in its error bar an operand may truly be


@pytest.fixture(autouse=True)
def many_bits():
    before, flint.ctx.prec = flint.ctx.prec, BITS
    with np.errstate(all="ignore"):
        yield
    flint.ctx.prec = before


def operands(rule, arithmetic: Any = Rounded, values=OPERANDS, errors=RELATIVE_ERRORS):
    """Columns of operands for a rule, every value with every relative error; pairs for a binary rule."""
    x, relative = (np.ravel(grid) for grid in np.meshgrid(values, errors))
    if rule in UNARY:
        return [arithmetic(x, np.abs(x) * relative)]
    rng = np.random.default_rng(1)
    order, order_of_errors = rng.permutation(len(x)), rng.permutation(len(x))
    y, relative_y = x[order], relative[order_of_errors]
    if rule is np.power:
        x = np.abs(x)
    twins = [np.concatenate([x, x]), np.concatenate([y, x])]  # x with another, and x with itself
    return [
        arithmetic(twins[0], np.abs(twins[0]) * np.tile(relative, 2)),
        arithmetic(twins[1], np.abs(twins[1]) * np.concatenate([relative_y, relative])),
    ]


def truths(function, row):
    """The function's values where the operands of a row may truly be."""
    for position in product(INSIDE, repeat=len(row)):
        truth = function(*(arb(float(x)) + arb(float(e)) * arb(at) for (x, e), at in zip(row, position, strict=True)))
        if truth.is_finite():  # else outside of the domain
            yield truth


def rows(*columns):
    return list(zip(*(zip(column.value, column.error, strict=True) for column in columns), strict=True))


def assert_covers(result, function, given):
    checked = 0
    for row, value, error in zip(rows(*given), result.value, result.error, strict=True):
        if np.isfinite(value) and np.isfinite(error):
            bound = arb(float(error)) * arb(OWN_ROUNDING)
            for truth in truths(function, row):
                assert abs(truth - arb(float(value))) < bound or truth == arb(float(value)), (row, value, error, truth)
                checked += 1
    assert checked > np.isfinite(result.value).sum()  # most of them, each at several places


# Every rule


@each_rule
def test_the_error_covers_the_truth(rule):
    given = operands(rule)
    assert_covers(rule(*given), TRUTH[rule], given)


@each_rule
def test_the_error_is_not_much_wider_than_it_need_be(rule):
    given = operands(rule, values=np.array(ORDINARY), errors=(0.0, 1e-10, 1e-3))
    has_ends = rule in (np.arcsin, np.arccos, np.arccosh, np.arctanh)
    roundings = 300.0 if rule is np.arctanh else 100.0  # log1p of a negative number keeps fewer digits
    result = rule(*given)
    for row, value, error in zip(rows(*given), result.value, result.error, strict=True):
        known = list(truths(TRUTH[rule], row))
        if not known or (has_ends and not np.isfinite(error)):  # outside of the domain, or infinitely steep
            continue
        worst = max(float(abs(truth - arb(float(value)))) for truth in known)
        if rule in LIPSCHITZ:  # with a slope of one in an operand or a factor, or in both together
            worst = max(worst, *(e for _, e in row))
        scale = max(abs(value), *(abs(x) for x, _ in row))
        assert error <= 4.0 * worst + roundings * U * scale, (row, value, error, worst)


@each_rule
def test_float32_is_covered_by_its_own_unit_roundoff(rule):
    values = np.array([x for x in OPERANDS if abs(x) < 80.0 and (x == 0.0 or abs(x) > 1e-7)])
    given = operands(rule, lambda x, e: Rounded32.lift(x), values, errors=(0.0,))
    computed = rule(*(x.value.astype(np.float32) for x in given))
    error = rule(*given).error
    assert computed.dtype == np.float32
    checked = 0
    for row, value, bound in zip(zip(*(x.value for x in given), strict=True), computed, error, strict=True):
        truth = TRUTH[rule](*(arb(float(x)) for x in row))
        if np.isfinite(value) and truth.is_finite() and np.isfinite(bound):
            assert abs(truth - arb(float(value))) <= arb(float(bound)) * arb(OWN_ROUNDING), (row, value, bound)
            checked += 1
    assert checked >= len(error) // 4


def test_every_rule_is_tested():
    assert set(Rounded.rules) == set(TRUTH) | ARRANGED
    composed = {np.matmul, *COMPOSED}
    assert set(Tangent.rules) == set(Rounded.rules) - composed | {f.function for f in FUNCTIONS} - set(COMPOSED)


# Sums and products, against exact fractions


def fractions(array):
    return np.array([Fraction(float(x)) for x in np.ravel(array)], dtype=object).reshape(np.shape(array))


def one_by_one(x, axis):
    return np.cumsum(x, axis=axis).take(-1, axis=axis)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("scale", [1.0, 1e150])
@pytest.mark.parametrize("relative", [0.0, 1e-3])
def test_a_sum_in_any_order_is_covered(axis, scale, relative):
    rng = np.random.default_rng(2)
    x = scale * rng.standard_normal((300, 7)) * 10.0 ** rng.integers(-8, 9, (300, 7))  # cancels, and at every size
    error = relative * np.abs(x)
    bound = fractions(Rounded(x, error).sum(axis=axis).error * OWN_ROUNDING)
    truth = (fractions(x) + fractions(error * rng.choice([-1.0, 1.0], x.shape))).sum(axis=axis)
    for order in (x, np.flip(x, axis), np.sort(x, axis)):
        for computed in (np.sum(order, axis=axis), one_by_one(order, axis)):
            assert (np.abs(fractions(computed) - truth) <= bound).all()


def test_the_error_of_a_sum_is_a_few_roundings_of_each_term():
    x = np.random.default_rng(3).standard_normal(1000)
    assert Rounded(x, 0.0).sum().error == pytest.approx(1004 * U * np.abs(x).sum(), rel=1e-9)
    whole = Rounded(np.arange(6.0).reshape(2, 3), np.array([[0.1], [0.2]]))  # an error for each row, and no axis
    assert (whole.sum().value, whole.sum().error) == (15.0, pytest.approx(0.9))
    np.testing.assert_array_equal(xp.sum(whole, 0).value, [3.0, 5.0, 7.0])
    np.testing.assert_allclose(xp.sum(whole, 0).error, 0.3)


@pytest.mark.parametrize("inexact", ["neither", "left", "right", "both"])
@pytest.mark.parametrize("cancelling", [True, False])
def test_a_matrix_product_is_covered(inexact, cancelling):
    rng = np.random.default_rng(4)
    A, B = rng.standard_normal((6, 50)), rng.standard_normal((50, 3)) * 10.0 ** rng.integers(-6, 7, (50, 3))
    A, B = (A, B) if cancelling else (np.abs(A), np.abs(B))
    EA = 0.1 * np.abs(A) if inexact in ("left", "both") else 0.0
    EB = 0.1 * np.abs(B) if inexact in ("right", "both") else 0.0
    bound = fractions((Rounded(A, EA) @ Rounded(B, EB)).error * OWN_ROUNDING)
    for up in (1.0, rng.choice([-1.0, 1.0], 50)):  # all errors to the same side, or to any
        truth = (fractions(A) + fractions(EA * (up + 0.0 * A))) @ (fractions(B) + fractions(EB * (up + 0.0 * B.T).T))
        for computed in (A @ B, A[:, ::-1] @ B[::-1], np.sum(A[:, :, np.newaxis] * B, axis=1)):
            assert (np.abs(fractions(computed) - truth) <= bound).all()


def test_the_error_of_a_product_is_not_much_wider_than_it_need_be():
    rng = np.random.default_rng(5)
    A, B = np.abs(rng.standard_normal((6, 50))), np.abs(rng.standard_normal((50, 3)))
    assert ((Rounded(A, 0.0) @ Rounded(B, 0.0)).error <= 60 * U * (A @ B)).all()
    assert ((Rounded(A, 1e-3 * A) @ Rounded(B, 1e-3 * B)).error <= 2.1e-3 * (A @ B)).all()


# Choices


@pytest.mark.parametrize("compare", COMPARISONS, ids=lambda f: f.__name__)
@pytest.mark.parametrize(
    ("x", "y", "undecided"),
    [
        (Rounded(1.0, 0.0), 1.0, True),  # a tie may fall on either side of a kink
        (Rounded(1.0, 0.0), 2.0, False),
        (Rounded(1.0, 0.6), Rounded(2.0, 0.4), True),
        (Rounded(1.0, 0.5), Rounded(2.0, 0.4), False),
        (Rounded(2.0, 0.5), Rounded(1.0, 0.4), False),
        (Rounded(0.0, 1e-300), 0.0, True),
        (Rounded(1.0, np.inf), 2.0, True),
        (Rounded(1.0, np.nan), 2.0, True),  # as infinity times zero leaves it
        (Rounded(np.inf, 0.0), Rounded(np.inf, 0.0), True),
        (Rounded(np.nan, 0.0), 0.0, True),
    ],
)
def test_a_comparison_closer_than_the_errors_is_undecided(compare, x, y, undecided):
    result = compare(x, y)
    assert bool(result.value) == bool(compare(x.value, y.value if isinstance(y, Rounded) else y))
    assert bool(result.error >= 0.5) == undecided


def truth(value, flips):
    """True or false, and whether it may be the other."""
    x = Rounded(1.0 if value else -1.0, 2.0 if flips else 0.5)
    return x > 0.0


@pytest.mark.parametrize("connect", CONNECTIVES, ids=lambda f: f.__name__)
def test_a_connective_is_undecided_where_its_operands_can_change_it(connect):
    for x, y, x_flips, y_flips in product((True, False), repeat=4):
        result = connect(truth(x, x_flips), truth(y, y_flips))
        seen = {connect(x ^ i, y ^ j) for i in {False, x_flips} for j in {False, y_flips}}
        assert result.value == connect(x, y)
        assert result.error == (1.0 if len(seen) == 2 else 0.0), (x, y, x_flips, y_flips)
        tangent = connect(Tangent(truth(x, x_flips), 0.0), Tangent(truth(y, y_flips), 0.0)).value
        assert (tangent.value, tangent.error) == (result.value, result.error)


@pytest.mark.parametrize("negate", NEGATIONS, ids=lambda f: f.__name__)
def test_a_negation_is_as_decided_as_its_operand(negate):
    for x, flips in product((True, False), repeat=2):
        result = negate(truth(x, flips))
        assert (result.value, result.error) == (not x, float(flips))
        assert negate(Tangent(truth(x, flips), 0.0)).value.value == (not x)


@pytest.mark.parametrize(
    ("condition", "undecided"),
    [
        (Rounded(1e-17, 1e-16), True),  # a number is true unless it is zero
        (Rounded(1e-15, 1e-16), False),
        (Rounded(0.0, 0.0), False),
        (Rounded(0.0, 1e-300), True),
        (Rounded(1.0, np.nan), True),
        (truth(True, False) * truth(False, False), False),  # a product of truths has rounding errors
        (truth(True, False) * truth(True, True), True),
    ],
)
def test_a_number_can_be_a_condition(condition, undecided):
    assert xp.where(condition, 5.0, Rounded(3.0, 0.0)).error == (2.0 if undecided else 0.0)


def test_a_truth_value_can_be_a_factor():
    z = Rounded(np.array([-3.0, 3.0, 3.0]), np.array([0.1, 0.1, 4.0]))
    for relu in (z * (z > 0.0), z * (z > 0.0).astype(float)):
        np.testing.assert_allclose(relu.value, [0.0, 3.0, 3.0])
        np.testing.assert_allclose(relu.error, [0.0, 0.1, 11.0], atol=1e-15)
        slope = (Tangent(z, 1.0) * (Tangent(z, 1.0) > 0.0).astype(float)).slope
        np.testing.assert_allclose(slope.error, [0.0, 0.0, 1.0], atol=1e-15)


def relu(z):
    return xp.where(z <= 0.0, 0.0, z)


@pytest.mark.parametrize(
    ("z", "value", "slope", "jump"),
    [(Rounded(1.0, 0.5), 1.0, 1.0, 0.0), (Rounded(-1.0, 0.5), 0.0, 0.0, 0.0), (Rounded(0.1, 0.2), 0.1, 1.0, 1.0)],
    ids=["right", "left", "undecided"],
)
def test_where_allows_for_both_branches_when_the_side_is_undecided(z, value, slope, jump):
    a = relu(z)
    assert a.value == value
    assert a.error >= (0.0 if value == 0.0 else z.error)
    tangent = relu(Tangent(z, 1.0)).slope
    assert (tangent.value, tangent.error) == (slope, jump)


def test_where_takes_the_error_of_the_chosen_branch_alone():
    chosen = xp.where(np.array([True, False]), Rounded(np.array([1.0, 2.0]), 0.1), Rounded(5.0, np.inf))
    np.testing.assert_array_equal(chosen.value, [1.0, 5.0])
    np.testing.assert_array_equal(chosen.error, [0.1, np.inf])


@pytest.mark.parametrize(
    ("z", "low", "high"), [(0.5, 0.5, 0.5), (2.0, 1.0, 1.0), (-2.0, -1.0, -1.0), (0.9, 0.7, 1.0), (1.1, 0.9, 1.0)]
)
def test_clip_covers_what_it_may_cut(z, low, high):
    """The error is 0.2 wherever a value that is off by 0.2 could be cut to something between low and high."""
    clipped = xp.clip(Rounded(z, 0.2), -1.0, 1.0)
    assert clipped.value - clipped.error <= low
    assert clipped.value + clipped.error >= high
    limit = Rounded(np.array([1.0]), np.array([0.25]))  # whose own error counts, too
    assert xp.clip(Rounded(np.array([3.0]), np.array([0.0])), 0.0, limit).error[0] >= 0.25


@pytest.mark.parametrize(
    ("x", "error", "jump"), [(1.0, 0.5, 0.0), (-1.0, 0.5, 0.0), (0.3, 0.5, 2.0), (0.0, 0.0, 2.0), (1.0, np.nan, 2.0)]
)
def test_a_sign_is_off_by_two_where_it_may_be_the_other(x, error, jump):
    sign: Any = np.sign(Rounded(x, error))
    assert (sign.value, sign.error) == (np.sign(x), jump)
    of_tangent: Any = np.sign(Tangent(Rounded(x, error), 1.0))
    assert of_tangent.slope == 0.0


# Derivatives


def derivative(function, positions):
    """The partial derivatives by central differences in so many bits that they are exact here."""
    for i in range(len(positions)):
        up, down = ([x + side * H if j == i else x for j, x in enumerate(positions)] for side in (1, -1))
        yield (function(*up) - function(*down)) / (2 * H)


def off_kinks(rule, x):
    """Operands without a kink in their error bars, in the rule's domain."""
    return x.value - x.error > 0.0 if rule in (np.sqrt, np.log, np.log1p, np.power) else np.abs(x.value) > x.error


@each_rule
def test_slopes_and_their_errors_cover_the_true_derivative(rule):
    values = np.array([x for x in OPERANDS if 1e-9 < abs(x) <= 20.0])
    given = operands(rule, values=values, errors=(0.0, U, 1e-10, 0.1))
    keep = np.all([off_kinks(rule, x) for x in given], axis=0)
    if rule in (np.maximum, np.minimum):
        keep &= np.abs(given[0].value - given[1].value) > given[0].error + given[1].error
    given = [x[keep] for x in given]
    for i in range(len(given)):
        result = rule(*(Tangent(x, 1.0 if i == j else 0.0) for j, x in enumerate(given))).slope
        result = result if isinstance(result, Rounded) else Rounded.lift(np.broadcast_to(result, len(given[0].value)))
        error = np.broadcast_to(result.error, np.shape(result.value))
        assert_covers(Rounded(result.value, error), lambda *at, i=i: list(derivative(TRUTH[rule], at))[i], given)


def test_a_constant_exponent_may_have_a_negative_base():
    cube = Tangent(np.array([-2.0, 0.0]), 1.0) ** 3
    np.testing.assert_array_equal(cube.value, [-8.0, 0.0])
    np.testing.assert_array_equal(cube.slope, [12.0, 0.0])


def test_a_slope_may_be_in_the_exponent_alone():
    """2^z has its slope from the exponent; taken for a constant, it would be zero."""
    z = np.array([-3.0, 0.0, 2.0])
    np.testing.assert_allclose((2.0 ** Tangent(z, 1.0)).slope, np.log(2.0) * 2.0**z, rtol=1e-15)
    assert ((2.0 ** Rounded(z, 1e-3)).error >= np.log(2.0) * 1e-3 * 2.0**z).all()


# A chain of rules, and what has none


def test_cancellation_is_seen():
    """(1 + x) - 1 keeps none of x below u, and the error says so."""
    x = 10.0 ** np.arange(-20.0, 0.0)
    result = (Rounded.lift(x) + 1.0) - 1.0
    assert (np.abs(result.value - x) <= result.error).all()
    assert (result.error[x < 1e-17] > x[x < 1e-17]).all()
    assert (result.error <= 3.0 * U).all()


def test_a_result_that_underflows_is_covered_for_arrays_and_for_single_numbers():
    for tiny in (np.float64(1e-200), np.array([1e-200])):
        product = Rounded.lift(tiny) * Rounded.lift(tiny)
        assert product.value == 0.0
        assert product.error >= 1e-320


def test_what_is_exact_adds_no_error():
    x = Rounded(np.array([3.0, -4.0]), np.zeros(2))
    identity = Rounded.lift(np.eye(2))  # with a single error beside an array
    for moved in (identity.T, identity[0], identity.reshape(4)):
        assert moved.error == 0.0
    for result in (-x, +x, abs(x), x.T, x[::-1], x.reshape(2, 1), xp.maximum(x, 1.0), xp.where(x > 100.0, 0.0, x)):
        assert not np.any(result.error)


def test_constants_are_exact_in_float64_and_rounded_in_float32_where_they_have_to_be():
    assert Rounded.lift(0.1).error == 0.0
    stored = abs(0.1 - float(np.float32(0.1)))
    assert 0.0 < stored <= U32 * 0.1
    np.testing.assert_array_equal(Rounded32.lift(np.array([0.1, 2.0, -0.5, 0.0])).error, [stored, 0.0, 0.0, 0.0])
    assert (Rounded32.lift(0.1).error, Rounded32.lift(0.5).error) == (stored, 0.0)


@pytest.mark.parametrize("arithmetic", [Rounded, Rounded32, Tangent, Increment])
@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda x: np.floor(x), "floor"),
        (lambda x: np.concatenate([x, x]), "concatenate"),
        (np.linalg.norm, "norm"),
        (lambda x: np.rint(x), "rint"),
        (lambda x: np.logical_xor(x > 0.0, x < 1.0), "logical_xor"),
        (lambda x: np.clip(x, 0.0, 1.0, out=None), "clip with out"),
        (lambda x: np.sum(x, keepdims=True), "sum with keepdims"),
        (lambda x: x.clip(0.0, 1.0), "clip"),
        (lambda x: np.add.reduce(x), "add"),
        (lambda x: np.exp(x, dtype=np.float64), "exp"),
        (lambda x: np.median(x), "median"),
        (lambda x: x.round(), "round"),
        (lambda x: x.astype(int), "casts to float only"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_has_no_rule_is_refused_by_name(arithmetic, call, named):
    x = arithmetic(np.array([0.5, 1.0]), np.zeros(2))
    with pytest.raises(NoRule, match=rf"{arithmetic.__name__} arithmetic .*\b{named}\b"):
        call(x)


@pytest.mark.parametrize(("constant", "error"), [(1e300, np.inf), (-1e39, np.inf), (1e-60, 1e-60), (1e-39, 1e-39)])
def test_a_number_beyond_the_range_of_float32_is_lost_there(constant, error):
    """Without a warning, whatever the caller's settings; what is subnormal, XLA may take for zero."""
    with np.errstate(all="raise"):
        assert Rounded32.lift(np.array([constant])).error == error


OVERFLOWING = {
    "exp": lambda: np.exp(Rounded32.lift(np.array([100.0]))),
    "may be": lambda: np.exp(Rounded32(np.array([80.0]), np.array([20.0]))),
    "product": lambda: Rounded32.lift(np.array([1e20])) * 1e19,
    "on the way of a sum": lambda: Rounded32.lift(np.array([3e38, 3e38, -3e38])).sum(),
    "on the way of a product": lambda: Rounded32.lift(np.array([[3e20, -3e20]])) @ np.full((2, 1), 3e20),
    "what follows": lambda: 1.0 / (1.0 + np.exp(Rounded32.lift(np.array([100.0])))),
}


@pytest.mark.parametrize("formula", OVERFLOWING.values(), ids=list(OVERFLOWING))
def test_what_may_overflow_in_float32_has_no_finite_error(formula):
    assert not np.isfinite(formula().error).any()
    held: Any = np.exp(Rounded32.lift(np.array([85.0]))) * 0.5
    assert np.isfinite(held.error).all()


def test_a_power_may_be_taken_as_exp_of_a_logarithm():
    """exp(y log x) rounds its exponent: |y log x| u of the result, whatever is called to take the power."""
    x, y = np.array([1e40, 1e-40, 3.0]), 2.5
    bound = xp.power(Rounded.lift(x), y).error
    assert (np.abs(np.exp(y * np.log(x)) - np.power(x, y)) <= bound).all()
    assert (bound >= U * y * np.abs(np.log(x)) * x**y).all()
    np.testing.assert_array_less(xp.power(Rounded.lift(np.array([0.0])), y).error, 1e-300)
