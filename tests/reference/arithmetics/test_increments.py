"""Increments: every rule hands on f(x + d) - f(x) to nearly full relative accuracy, for large d and for tiny ones."""

import operator
from itertools import product
from typing import Any

import flint
import numpy as np
import pytest
from flint import arb

from reference.arithmetics.companion import COMPARISONS, CONNECTIVES, NEGATIONS
from reference.arithmetics.elementary import FUNCTIONS
from reference.arithmetics.increments import Increment
from reference.arithmetics.rounded import Rounded
from reference.arithmetics.tangent import Tangent
from reference.namespaces import NUMPY

xp: Any = np  # NumPy's stubs do not know of the arrays that answer its protocols

STEPS = [0.5, -0.5, 0.1, -0.1, 1e-12, -1e-12, 2.0**-50, 1e-200]
ULPS = 32 * 2.0**-53
"""What a rule may lose: it is a few operations, and each of them but a sum of mixed signs keeps relative accuracy."""

ONE = {  # the function for balls, and x at which nothing is crossed
    np.positive: (lambda x: x, [-2.0, 0.0, 3.0]),
    np.negative: (operator.neg, [-2.0, 0.0, 3.0]),
    np.reciprocal: (lambda x: 1 / x, [-2.0, 3.0]),
    np.absolute: (abs, [-2.0, 3.0]),
}

TWO = {  # the same, with x and y
    np.add: (operator.add, [(1.0, 2.0), (-3.0, 0.5)]),
    np.subtract: (operator.sub, [(1.0, 2.0), (-3.0, 0.5)]),
    np.multiply: (operator.mul, [(1.0, 2.0), (-3.0, 0.75)]),
    np.divide: (operator.truediv, [(1.0, 2.0), (-3.0, 0.75)]),
    np.power: (operator.pow, [(1.5, 2.5), (2.0, 1.75)]),
    np.logaddexp: (lambda x, y: (x.exp() + y.exp()).log(), [(0.0, 1.0), (-2.0, -30.0), (200.0, 199.0)]),
    np.maximum: (lambda x, y: x if x > y else y, [(1.0, 3.0), (3.0, 1.0)]),
    np.minimum: (lambda x, y: x if x < y else y, [(1.0, 3.0), (3.0, 1.0)]),
}

OTHERS = {np.matmul, np.where, np.sign, *COMPARISONS, *CONNECTIVES, *NEGATIONS}
"""Rules with tests of their own below."""


def test_every_rule_is_tested():
    own = set(Increment.rules) - {f.function for f in FUNCTIONS}  # whose increments test_elementary tests
    assert own == set(ONE) | set(TWO) | OTHERS


@pytest.mark.parametrize("f", [f for f in FUNCTIONS if f.function in Increment.rules], ids=lambda f: f.name)
def test_the_rule_of_a_record_is_its_value_and_its_increment(f):
    x, d = np.array([0.3, 0.75]), 2.0**-9
    result = (
        f.function(Increment(x, d))
        if isinstance(f.function, np.ufunc)
        else Increment.rules[f.function](Increment(x, d))
    )
    np.testing.assert_array_equal(result.value, f.function(x))
    np.testing.assert_array_equal(result.change, f.increment(x, d, f.function(x)))


def exact_change(function, *operands):
    """f(x + d, ...) - f(x, ...) for operands (x, d), binary numbers taken exactly, in 2000 bits."""
    with flint.ctx.workprec(2000):
        before, after = ([arb(x) + t * arb(d) for x, d in operands] for t in (0, 1))
        return float(function(*after) - function(*before))


def names(table):
    return [function.__name__ for function in table]


@pytest.mark.parametrize(("ufunc", "function", "xs"), [(f, *case) for f, case in ONE.items()], ids=names(ONE))
@pytest.mark.parametrize("d", STEPS)
def test_functions_of_one_argument(ufunc, function, xs, d):
    for x in xs:
        result = ufunc(Increment(np.array([x]), np.array([d])))
        expected = exact_change(function, (x, d))
        assert result.value == ufunc(x)
        np.testing.assert_allclose(result.change[0], expected, rtol=ULPS, err_msg=f"x = {x}")


@pytest.mark.parametrize(("ufunc", "function", "points"), [(f, *case) for f, case in TWO.items()], ids=names(TWO))
@pytest.mark.parametrize("d", STEPS)
@pytest.mark.parametrize("moving", ["x", "y", "both"])
def test_functions_of_two_arguments(ufunc, function, points, d, moving):
    for x, y in points:
        dx, dy = (d if moving in (which, "both") else 0.0 for which in "xy")
        result = ufunc(*(Increment(np.array([v]), np.array([dv])) if dv else v for v, dv in ((x, dx), (y, dy))))
        expected = exact_change(function, (x, dx), (y, dy))
        np.testing.assert_allclose(result.value, ufunc(x, y), rtol=4e-16)
        np.testing.assert_allclose(result.change[0], expected, rtol=ULPS, err_msg=f"x, y = {x, y}")


@pytest.mark.parametrize("n", [-3, -2, -1, 0, 1, 2, 3, 8, 16])
@pytest.mark.parametrize("x", [-1.5, 0.0, 2.0])
def test_whole_powers_of_any_sign(n, x):
    for d in STEPS if x or n >= 0 else ():
        change = np.ravel((Increment(np.array([x]), np.array([d])) ** n).change)[0]
        np.testing.assert_allclose(change, exact_change(lambda x: x**n, (x, d)), rtol=ULPS, atol=1e-300)


@pytest.mark.parametrize("n", [-17.0, 0.5, 2.5, 17.0])
@pytest.mark.parametrize("x", [1.5, 1e15])
def test_other_powers_of_what_is_positive(n, x):
    """Whatever the size of the exponent n log x, which exp(n log x) would round."""
    for d in STEPS:
        power = Increment(np.array([x]), np.array([x * d])) ** n
        assert power.value == np.power(x, n)
        np.testing.assert_allclose(power.change[0], exact_change(lambda x: x ** arb(n), (x, x * d)), rtol=ULPS)


# Matrices

RNG = np.random.default_rng(0)
A, B = RNG.normal(size=(3, 4)), RNG.normal(size=(4, 2))


@pytest.mark.parametrize("moving", ["A", "B", "AB"])
@pytest.mark.parametrize("d", [0.5, 1e-12, 2.0**-50])
def test_matrix_products(moving, d):
    dA = d * RNG.normal(size=(5, 3, 4)) * ("A" in moving)  # five increments at once
    dB = d * RNG.normal(size=(5, 4, 2)) * ("B" in moving)
    factors: list[Any] = [Increment(M, dM) if name in moving else M for name, M, dM in (("A", A, dA), ("B", B, dB))]
    product = factors[0] @ factors[1]
    np.testing.assert_array_equal(product.value, A @ B)
    np.testing.assert_allclose(product.change, dA @ B + A @ dB + dA @ dB, rtol=1e-13, atol=1e-15 * d)


def test_sums_slices_and_reshapes_take_the_increment_along():
    X = Increment(A, 0.5 * A**2)
    for moved, of in [
        (xp.sum(X), np.sum),
        (xp.sum(X, axis=-1), lambda a: a.sum(axis=-1)),
        (X.sum(axis=0), lambda a: a.sum(axis=0)),
        (X[1:, ::2], lambda a: a[1:, ::2]),
        (X.reshape(2, 6), lambda a: a.reshape(2, 6)),
        (X.T, lambda a: a.T),
    ]:
        np.testing.assert_array_equal(moved.value, of(A))
        np.testing.assert_allclose(moved.change, of(0.5 * A**2), rtol=4e-16)  # sums may be taken in any order
    assert X.shape == xp.shape(X) == (3, 4)
    np.testing.assert_array_equal(xp.ones_like(X), np.ones((3, 4)))
    np.testing.assert_array_equal(xp.zeros_like(X), np.zeros((3, 4)))


def test_several_increments_of_the_same_values_at_once():
    steps = np.array([1.0, -1.0])[:, np.newaxis, np.newaxis]
    np.testing.assert_array_equal(xp.sum(Increment(A, steps), axis=-1).change, [[4.0] * 3, [-4.0] * 3])


@pytest.mark.parametrize("d", [0.5, 1e-12])
def test_logsumexp(d):
    z = np.array([[700.0, 699.0, 0.0]])
    total = NUMPY.logsumexp(Increment(z, np.array([[d, 0.0, 0.0]])))
    expected = exact_change(lambda a, b: (a.exp() + arb(699).exp() + b.exp()).log(), (700.0, d), (0.0, 0.0))
    assert total.shape == (1, 1)
    np.testing.assert_allclose(total.change, [[expected]], rtol=ULPS)


# Kinks that are crossed, and truths that flip

CROSSINGS = [  # the formula, x, d, and f(x + d) - f(x)
    (lambda x: xp.where(x <= 0.0, 0.0, x), -0.25, 1.0, 0.75),
    (lambda x: xp.where(x <= 0.0, 0.0, x), 0.25, -1.0, -0.25),
    (lambda x: xp.where(x <= 0.0, 0.0, x), 0.0, 0.5, 0.5),
    (lambda x: xp.where(x < 0.0, 0.0, x), 0.0, -0.5, 0.0),
    (lambda x: xp.where(x > 1.0, 1.0, xp.where(x < -1.0, -1.0, x)), -2.0, 4.0, 2.0),
    (lambda x: xp.where(x >= 0.0, 1.0, 3.0), -0.5, 1.0, -2.0),
    (xp.abs, -0.25, 1.0, 0.5),
    (xp.abs, 0.0, -0.5, 0.5),
    (lambda x: xp.maximum(x, 0.0), -0.25, 1.0, 0.75),
    (lambda x: xp.maximum(0.5, x), 0.25, 0.5, 0.25),
    (lambda x: xp.clip(x, -1.0, 1.0), -1.5, 0.75, 0.25),
    (lambda x: xp.clip(x, -1.0, 1.0), -2.0, 4.0, 2.0),
    (lambda x: xp.clip(x, max=1.0), -1.5, 3.0, 2.5),
    (lambda x: xp.clip(x, a_min=-1.0, a_max=1.0), -1.5, 3.0, 2.0),
    (lambda x: x * (x > 0.0), -0.25, 1.0, 0.75),
    (lambda x: x * (x > 0.0).astype(float), 0.25, -1.0, -0.25),
    (lambda x: xp.where((x > -1.0) & (x < 1.0), x, 5.0), 0.0, 2.0, 5.0),
    (lambda x: xp.where(x == 0.0, 1.0, xp.expm1(x)), 0.0, 2.0, np.expm1(2.0) - 1.0),
    (xp.sign, -1.0, 3.0, 2.0),
    (xp.sign, 0.0, -1e-300, -1.0),
    # so near a kink, x + d is rounded
    (lambda x: xp.where(x >= 1.5, x, 2.0 * x - 1.5), 1.5, -0.7 * 2.0**-50, -1.4 * 2.0**-50),
    (lambda x: xp.maximum(x, 1.5), 1.5, 2.0**-60, 2.0**-60),
    (lambda x: xp.where(x > 1.5, 1.0, 0.0), 1.5, 2.0**-60, 1.0),
    (lambda x: xp.where(x > 1.5, 1.0, 0.0), np.inf, -1.0, 0.0),
]


@pytest.mark.parametrize(("formula", "x", "d", "change"), CROSSINGS)
def test_a_kink_that_is_crossed_counts_on_both_sides(formula, x, d, change):
    assert formula(Increment(np.array([x]), np.array([d]))).change == [change]


@pytest.mark.parametrize(
    ("compare", "truth", "flips"),
    [
        (operator.lt, False, [0, 1, 0]),
        (operator.le, True, [-1, 0, 0]),
        (operator.gt, False, [1, 0, 0]),
        (operator.ge, True, [0, -1, 0]),
        (operator.eq, True, [-1, -1, 0]),
        (operator.ne, False, [1, 1, 0]),
    ],
)
def test_the_change_of_a_truth_is_that_of_a_one_or_zero(compare, truth, flips):
    truths = compare(Increment(1.0, np.array([0.5, -0.5, 0.0])), 1.0)
    assert truths.value == truth
    np.testing.assert_array_equal(truths.change, flips)
    np.testing.assert_array_equal(truths.astype(float).after, truth * 1.0 + np.array(flips))


@pytest.mark.parametrize("connect", CONNECTIVES, ids=lambda f: f.__name__)
def test_a_connective_changes_with_its_operands(connect):
    for x, y, x_after, y_after in product((True, False), repeat=4):
        truths = (
            Increment(2.0 * a - 1.0, np.array([2.0 * (b ^ a) * (1.0 - 2.0 * a)])) > 0.0
            for a, b in ((x, x_after), (y, y_after))
        )
        result = connect(*truths)
        assert result.value == connect(x, y)
        assert result.change == int(connect(x_after, y_after)) - int(connect(x, y))


@pytest.mark.parametrize("negate", NEGATIONS, ids=lambda f: f.__name__)
def test_a_negation_changes_the_other_way(negate):
    truths = negate(Increment(1.0, np.array([0.5, -2.0])) > 0.0)
    assert not truths.value
    np.testing.assert_array_equal(truths.change, [0, 1])


def test_nan_is_passed_on_whichever_operand_of_a_maximum_it_is():
    x = np.array([np.nan, 2.0])
    for choose, lift in product((xp.maximum, xp.minimum), (Increment, lambda x, d: Tangent(Rounded(x, 0.0), d))):
        for found in (choose(lift(x, 1.0), 1.0), choose(lift(np.ones(2), 1.0), x)):
            np.testing.assert_array_equal(np.isnan(getattr(found.value, "value", found.value)), [True, False])
