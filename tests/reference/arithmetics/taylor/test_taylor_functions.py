"""Taylor models: every rule encloses the exact result and what NumPy computes, on whole cells, and is not idle."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple

import flint
import numpy as np
import pytest
from flint import arb
from scipy import special

from reference.arithmetics.balls import precision
from reference.arithmetics.companion import NoRule
from reference.arithmetics.elementary import FUNCTIONS
from reference.arithmetics.taylor.expansions import COEFFICIENT_ROUNDINGS, DEGREE, EXPANSIONS, UNIT
from reference.arithmetics.taylor.taylor_functions import Derivative, derivative_of, switches
from reference.arithmetics.taylor.taylor_model import Taylor, variable

xp: Any = np  # NumPy's stubs do not know of the arrays that answer its protocols

SEED = 20
INNER = np.array([-1.0, -0.97, -0.5, -0.02, 0.3, 0.8, 1.0])  # t, across a cell


def softplus(x, y):
    return x.max(y) + (x.min(y) - x.max(y)).exp().log1p()


def log(base):
    return lambda x: x.log() / arb(base).log()


class Rule(NamedTuple):
    """A function with its truth, and between which z to try it."""

    function: Callable[..., Any]
    truth: Callable[..., Any]
    low: float
    high: float


RANGES = {  # by record: between which z to try a function
    np.exp: (-40.0, 40.0), np.exp2: (-40.0, 40.0), np.expm1: (-40.0, 10.0), np.sinh: (-10.0, 10.0),
    np.cosh: (-10.0, 10.0), np.log: (0.01, 50.0), np.log1p: (-0.99, 50.0), np.sqrt: (0.01, 50.0),
    np.cbrt: (-5.0, 5.0), np.square: (-5.0, 5.0), np.sin: (-40.0, 40.0), np.cos: (-40.0, 40.0), np.tan: (-1.5, 1.5),
    np.tanh: (-40.0, 40.0), np.arctan: (-20.0, 20.0), np.arcsinh: (-20.0, 20.0), np.arcsin: (-0.99, 0.99),
    np.arccos: (-0.99, 0.99), np.arctanh: (-0.99, 0.99), special.expit: (-40.0, 40.0), special.erf: (-40.0, 40.0),
    special.erfc: (-4.0, 4.0),
}  # fmt: skip

UNARY = [
    *(Rule(f.function, f.ball, *RANGES[f.function]) for f in FUNCTIONS if f.ball and f.function in RANGES),
    Rule(np.tanh, lambda x: x.tanh(), -2.0, 2.0),
    Rule(special.erf, lambda x: x.erf(), -4.0, 4.0),
    Rule(np.log2, log(2), 0.01, 50.0),
    Rule(np.log10, log(10), 0.01, 50.0),
    Rule(np.reciprocal, lambda x: 1 / x, -5.0, 5.0),
    Rule(np.negative, lambda x: -x, -5.0, 5.0),
    Rule(special.log_expit, lambda x: -softplus(-x, arb(0)), -40.0, 40.0),
    Rule(special.ndtr, lambda x: (-x / arb(2).sqrt()).erfc() / 2, -8.0, 5.0),
    Rule(np.absolute, abs, -5.0, 5.0),
    Rule(np.sign, lambda x: x.sgn(), -5.0, 5.0),
]

BINARY = [
    Rule(np.add, lambda x, y: x + y, -5.0, 5.0),
    Rule(np.subtract, lambda x, y: x - y, -5.0, 5.0),
    Rule(np.multiply, lambda x, y: x * y, -5.0, 5.0),
    Rule(np.divide, lambda x, y: x / y, 0.1, 5.0),
    Rule(np.power, lambda x, y: x**y, 0.1, 3.0),
    Rule(np.logaddexp, softplus, -20.0, 20.0),
    Rule(np.logaddexp2, lambda x, y: softplus(x * arb(2).log(), y * arb(2).log()) / arb(2).log(), -20.0, 20.0),
    Rule(np.hypot, lambda x, y: (x * x + y * y).sqrt(), 0.1, 5.0),
    Rule(np.maximum, lambda x, y: x.max(y), -5.0, 5.0),
    Rule(np.minimum, lambda x, y: x.min(y), -5.0, 5.0),
    Rule(np.heaviside, lambda x, y: arb(0) if x < 0 else arb(1), -5.0, 5.0),
    Rule(np.copysign, lambda x, y: abs(x) if y > 0 else -abs(x), 0.1, 5.0),
]


def cells(rule: Rule, reach: float, count: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """Random cells of half-width `reach`, and the first and the last that fit."""
    rng = np.random.default_rng(SEED)
    middle = np.concatenate([[rule.low, rule.high], rng.uniform(rule.low, rule.high, count)])
    middle = np.clip(middle, rule.low + reach, rule.high - reach)
    return middle - reach, middle + reach


def points_of(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Some floats of every cell, (points, n)."""
    middle = low + 0.5 * (high - low)
    return np.clip(middle + 0.5 * (high - low) * INNER[:, np.newaxis], low, high)


def assert_holds(model: Taylor, z: Taylor, i: int, x: float, result: arb, about: str) -> None:
    """Whether a result at x in cell i lies within the model's ends and its polynomial's reach."""
    if np.isnan(model.low).any() and np.isnan(model.low[i]):  # nothing is claimed
        return
    # balls at 200 bits: what lies outside does so certainly
    assert not result < arb(float(np.broadcast_to(model.low, z.shape)[i])), f"{about}: below the ends"
    assert not result > arb(float(np.broadcast_to(model.high, z.shape)[i])), f"{about}: above the ends"
    poly = np.broadcast_to(model.poly, (len(model.poly), *z.shape))[:, i]
    rest = float(np.broadcast_to(model.rest, z.shape)[i])
    if np.isfinite(rest):
        t = (arb(x) - arb(float(z.poly[0, i]))) / arb(float(z.poly[1, i]))
        value = sum((arb(float(c)) * t**k for k, c in enumerate(poly)), arb(0))
        assert not abs(result - value) > arb(rest), f"{about}: {abs(result - value)} from the polynomial"


@pytest.mark.parametrize("reach", [1e-9, 0.01, 0.2, 0.45])
@pytest.mark.parametrize("rule", UNARY, ids=lambda rule: f"{rule.function.__name__} to {rule.high:g}")
def test_function_of_one_argument_encloses_truth_and_what_numpy_computes(rule: Rule, reach: float):
    low, high = cells(rule, reach)
    z = variable(low, high)
    with np.errstate(all="ignore"):
        model = rule.function(z)
        computed = rule.function(points_of(low, high))
    assert np.isnan(model.low).sum() <= 2  # at a pole
    with precision(200):
        for row, x in zip(computed, points_of(low, high)):
            for i in range(low.size):
                true = rule.truth(arb(float(x[i])))
                if true.is_finite():
                    about = f"{rule.function.__name__}({x[i]!r}) on [{low[i]}, {high[i]}]"
                    assert_holds(model, z, i, float(x[i]), true, about)
                    assert_holds(model, z, i, float(x[i]), arb(float(row[i])), f"{about} as computed")


EXPANDED: dict[Any, Rule] = {rule.function: rule for rule in UNARY if rule.function in EXPANSIONS}


def taylor_coefficients(truth: Callable[..., Any], c: float) -> list[arb]:
    """f⁽ᵏ⁾(c)/k! by differences of order k, in so many bits that they are exact here."""
    h = arb(2) ** -150
    values = [truth(arb(c) + (j - arb(DEGREE) / 2) * h) for j in range(DEGREE + 1)]
    found = []
    for k in range(DEGREE + 1):
        found.append((values[(DEGREE - k) // 2] + values[(DEGREE - k + 1) // 2]) / 2)  # the middle, to h²
        values = [(after - before) / h / (k + 1) for before, after in pairwise(values)]
    return found


@pytest.mark.parametrize("function", EXPANDED, ids=lambda function: function.__name__)
def test_a_coefficient_has_the_digits_that_its_expansion_states(function: np.ufunc):
    rule, expansion = EXPANDED[function], EXPANSIONS[function]
    c = np.random.default_rng(SEED).uniform(rule.low, rule.high, 60)
    c = np.concatenate([c, c[(rule.low < 1e-3 * c) & (1e-3 * c < rule.high)] * 1e-3])
    with np.errstate(all="ignore"):
        found, noise = expansion.coefficients(c), np.broadcast_to(expansion.noise(c), c.shape)
    with precision(4000):
        for i, centre in enumerate(c.tolist()):
            for k, true in enumerate(taylor_coefficients(rule.truth, centre)):
                allowed = arb(COEFFICIENT_ROUNDINGS * UNIT) * abs(true) + (arb(float(noise[i])) if k else 0)
                assert abs(arb(float(found[k, i])) - true) <= allowed + arb(1e-290), f"g_{k} at {centre!r}"


@pytest.mark.parametrize("rule", BINARY, ids=lambda rule: rule.function.__name__)
def test_function_of_two_arguments_encloses_truth_and_what_numpy_computes(rule: Rule):
    low, high = cells(rule, 0.2)
    z = variable(low, high)
    curve, plain = _curves(z)
    for other, other_plain in ((1.3, lambda x: 1.3), (curve, plain)):
        for swapped in (False, True):
            model = rule.function(*((other, z) if swapped else (z, other)))
            for x in points_of(low, high):
                for i in range(low.size):
                    y = other_plain(float(x[i]))
                    pair = (y, float(x[i])) if swapped else (float(x[i]), y)
                    with precision(200), np.errstate(all="ignore"):
                        about = f"{rule.function.__name__}{pair} on [{low[i]}, {high[i]}]"
                        exact_y = (
                            arb(1.3) if other_plain(0.0) == other_plain(1.0) else arb(float(x[i])).sin() + arb(1.5)
                        )
                        exact = (exact_y, arb(float(x[i]))) if swapped else (arb(float(x[i])), exact_y)
                        assert_holds(model, z, i, float(x[i]), rule.truth(*exact), about)
                        computed = rule.function(*map(np.array, pair))
                        assert_holds(model, z, i, float(x[i]), arb(float(computed)), f"{about} as computed")


def _curves(z: Taylor) -> tuple[Any, Callable[[float], float]]:
    return xp.sin(z) + 1.5, lambda x: float(np.sin(x) + 1.5)


@pytest.mark.parametrize("rule", UNARY, ids=lambda rule: f"{rule.function.__name__} to {rule.high:g}")
def test_a_small_cell_is_known_nearly_to_rounding(rule: Rule):
    low, high = (ends[2:] for ends in cells(rule, 1e-3, 30))  # not at the edges, where some have a pole
    middle = 0.5 * (low + high)
    away = (np.abs(middle) > 0.2) & (np.abs(middle) < 0.8 * np.maximum(abs(rule.high), abs(rule.low)))
    with np.errstate(all="ignore"):
        model = rule.function(variable(low[away], high[away]))
    size = 1.0 + np.abs(rule.function(middle[away]))
    assert (np.broadcast_to(model.rest, size.shape) < 1e-12 * size).all()


FORMULAS = {
    "a product": lambda z: z * np.sin(3.0 * z) * np.exp(-z),
    "a quotient": lambda z: (z - 0.5) / (1.0 + z * z),
    "whole powers": lambda z: z**3 - 2.0 * z**2 + z**-2 + z**1 + z**0,
    "a root of a square": lambda z: np.sqrt(z * z + 1e-3),
    "what cancels": lambda z: (1.0 + z) - z,
    "a function of a function": lambda z: np.tanh(np.log1p(np.exp(z))),
    "a steep inner function": lambda z: np.sin(np.exp(0.5 * z)),
    "a mask as a number": lambda z: z * (z > 0.7) + (z <= 0.7),
    "masks joined": lambda z: np.where((z > -1.0) & (z < 1.0) | ~(z < 2.0), z, -z),
    "limits": lambda z: np.clip(z, -0.5, 1.25) + np.maximum(z, 0.1) * np.minimum(z, 1.0),
    "a choice of three": lambda z: np.select([z < -1.0, z < 1.0], [-z, z * z], 3.0),
    "an argument that overflows": lambda z: 1.0 / (1.0 + np.exp(400.0 * z)),
    "a guarded quotient": lambda z: np.where(z == 0.0, 1.0, np.sin(z) / np.where(z == 0.0, 1.0, z)),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_formula_encloses_what_numpy_computes_everywhere(name: str):
    rng = np.random.default_rng(SEED)
    middle, reach = rng.uniform(-3.0, 3.0, 80), 10.0 ** rng.uniform(-9.0, 0.0, 80)
    low, high = np.append(middle - reach, [0.0, -1.0]), np.append(middle + reach, [1.0, 0.0])
    with np.errstate(all="ignore"):
        model = Taylor.lifted(FORMULAS[name](variable(low, high)))
        for x in points_of(low, high):
            computed = FORMULAS[name](x)
            known = ~np.isnan(model.low) & ~np.isnan(model.high)
            assert known.sum() > 40
            assert ((model.low <= computed) & (computed <= model.high))[known].all()


SMOOTH = {
    "tanh": lambda z: np.tanh(z),
    "expit": lambda z: special.expit(z),
    "log expit": lambda z: special.log_expit(z),
    "softplus": lambda z: np.logaddexp(z, 0.0),
    "softplus, other order": lambda z: np.logaddexp(0.0, -2.0 * z),
    "softplus base 2": lambda z: np.logaddexp2(z, 1.0),
    "erfc": lambda z: special.erfc(z),
    "ndtr": lambda z: z * special.ndtr(z),
    "2 to the": lambda z: np.exp2(z),
    "logarithms": lambda z: np.log2(z * z + 1.0) + np.log10(z * z + 2.0),
    "cubic root": lambda z: np.cbrt(z * z + 0.5),
    "tan": lambda z: np.tan(0.3 * z),
    "inverses": lambda z: np.arcsin(0.2 * z) + np.arccos(0.1 * z) + np.arctanh(0.15 * z),
    "size": lambda z: np.fabs(z) * z,
    "a float power": lambda z: np.float_power(z * z + 1.0, 1.5),
    "a step": lambda z: z * np.heaviside(z, 0.5) * np.isfinite(z),
}


@pytest.mark.parametrize("name", SMOOTH)
def test_derivative_encloses_the_slope_between_any_two_points_of_a_cell(name: str):
    """By the mean value theorem: (f(y) - f(x))/(y - x) is f' somewhere between; and the enclosure is narrow."""
    low = np.linspace(-3.0, 3.0, 25)[:-1]
    high = low + 0.25
    _, slope = derivative_of(SMOOTH[name], variable(low, high))
    quotient = (SMOOTH[name](high) - SMOOTH[name](low)) / (high - low)
    assert (slope.low - 1e-13 <= quotient).all()
    assert (quotient <= slope.high + 1e-13).all()
    narrow = variable(low, low + 1e-6)
    _, slope = derivative_of(SMOOTH[name], narrow)
    assert (slope.high - slope.low < 1e-4).mean() > 0.9


def test_the_derivative_of_a_constant_formula_is_zero():
    value, slope = derivative_of(lambda z: 2.0, variable(np.zeros(3), np.ones(3)))
    assert value.low == 2.0
    assert slope.low == slope.high == 0.0


# Ends, infinities, what is not known


ZERO_TO_ONE = (np.array([0.0]), np.array([1.0]))


@pytest.mark.parametrize(
    ("formula", "why"),
    [
        (lambda z: 1.0 / z, "a pole"),
        (lambda z: np.log(z - 0.5), "NaN on a part"),
        (lambda z: np.sqrt(z - 0.5), "NaN on a part"),
        (lambda z: np.exp(1000.0 * z) - np.exp(999.0 * z), "inf - inf"),
        (lambda z: z * np.exp(1000.0 * z), "0 · inf"),
        (lambda z: np.exp(1000.0 * z) / np.exp(999.0 * z), "inf/inf"),
        (lambda z: np.minimum(np.log(z - 0.5), 3.0), "minimum hands NaN on"),
        (lambda z: np.maximum(np.log(z - 0.5), 3.0), "maximum hands NaN on"),
        (lambda z: np.clip(np.log(z - 0.5), 0.0, 1.0), "clip hands NaN on"),
        (lambda z: np.tanh(np.log(z - 0.5)), "and so does a bounded function"),
        (lambda z: np.sin(np.exp(1000.0 * z)), "sin(inf)"),
        (lambda z: np.where(z > 0.5, 1.0, np.nan), "NaN in one branch"),
        (lambda z: np.abs(np.log(z - 0.5)), "an absolute value, too"),
    ],
)
def test_what_may_be_nan_has_nan_ends(formula, why):
    with np.errstate(all="ignore"):
        model = formula(variable(*ZERO_TO_ONE))
    assert np.isnan(model.low) or np.isnan(model.high), why


def test_overflow_that_does_no_harm_is_no_loss():
    with np.errstate(all="ignore"):
        model = 1.0 / (1.0 + xp.exp(variable(np.array([690.0]), np.array([900.0]))))
    assert model.low > -1e-299
    assert model.high < 1e-299


@pytest.mark.parametrize(
    ("low", "high", "comparison", "low_end", "high_end"),
    [
        (0.0, 1.0, lambda z: z >= 0.0, 1, 1),
        (0.0, 1.0, lambda z: z < 0.0, 0, 0),
        (-1.0, 0.0, lambda z: z > 0.0, 0, 0),
        (-1.0, 0.0, lambda z: z <= 0.0, 1, 1),
        (0.0, 1.0, lambda z: z > 0.0, 0, 1),
        (-1.0, 0.0, lambda z: z >= 0.0, 0, 1),
        (0.0, 0.0, lambda z: z == 0.0, 1, 1),
        (0.0, 0.0, lambda z: z != 0.0, 0, 0),
        (0.0, 1.0, lambda z: z == 0.0, 0, 1),
        (5e-324, 1.0, lambda z: z == 0.0, 0, 0),
        (0.0, 1.0, lambda z: z + 1.0 > z, 1, 1),
        (0.0, 1.0, lambda z: (z > -1.0) & (z < 2.0), 1, 1),
        (0.0, 1.0, lambda z: (z > -1.0) & (z > 2.0), 0, 0),
        (0.0, 1.0, lambda z: (z > 0.5) | (z < 2.0), 1, 1),
        (0.0, 1.0, lambda z: ~(z > 2.0), 1, 1),
        (0.0, 1.0, lambda z: (z > -1.0) + (z < 2.0), 1, 1),
        (0.0, 1.0, lambda z: (z > -1.0) * (z < 2.0), 1, 1),
        (0.0, 1.0, lambda z: np.isfinite(z), 1, 1),
        (0.0, 1.0, lambda z: np.log(z - 2.0) > 0.0, 0, 1),
        (0.0, 0.0, lambda z: np.sign(z), 0, 0),
        (0.0, 0.0, lambda z: np.heaviside(z, 0.25), 0.25, 0.25),
    ],
)
def test_comparison_is_decided_where_it_holds_for_every_float_of_the_cell(low, high, comparison, low_end, high_end):
    with np.errstate(all="ignore"):
        truth = comparison(variable(np.array([low]), np.array([high])))
    assert (truth.low, truth.high) == (low_end, high_end)


def test_an_undecided_comparison_tells_where_it_changes():
    z = variable(np.array([0.0, 4.0]), np.array([2.0, 6.0]))
    with switches() as found:
        xp.where(z / 6.0 + 0.5 > 0.7, z, 0.0)
    assert found[0][0] == pytest.approx(0.2)  # z = 1.2
    assert np.isnan(found[0][1])
    assert (z > 1.0).low[0] == 0.0  # undecided, and nobody listens any more
    assert len(found) == 1


def test_a_sum_of_opposites_is_known_far_better_than_its_terms():
    z = variable(np.array([10.0]), np.array([20.0]))
    assert (np.square(z) - z * z).high < 1e-11
    assert (np.square(z) - z * z).rest < 1e-11


def test_polynomials_end_at_the_degree():
    z = variable(np.array([0.9]), np.array([1.1]))
    assert len((z**20).poly) == DEGREE + 1
    assert (z**20).rest > 0.0


@pytest.mark.parametrize(
    ("formula", "what"),
    [
        (lambda z: special.spence(z), "spence"),
        (lambda z: np.float32(1.0) * z if z > 0.0 else z, "if"),
        (lambda z: z.astype(np.float32), "casts to float only"),
        (lambda z: z[z > 0.0], "pick entries"),
        (lambda z: np.add(z, z, out=np.empty(1)), "plain call"),
        (lambda z: z + np.ones((2, 2)), "one for each cell"),
        (lambda z: z + 1j, "real numbers"),
        (lambda z: np.cumsum(z), "cumsum"),
        (lambda z: z.mean(), "mean"),
    ],
)
def test_what_has_no_rule_is_refused(formula, what):
    with pytest.raises(NoRule, match=what):
        formula(variable(*ZERO_TO_ONE))


def test_a_tangent_stays_one_through_every_rule():
    z = Derivative(variable(*ZERO_TO_ONE), 1.0)
    assert isinstance(np.tanh(np.maximum(z * z, 0.5)), Derivative)


@pytest.mark.parametrize("function", [np.tanh, special.erf], ids=lambda f: f.__name__)
def test_numpy_answers_one_beyond_saturation(function):
    far = np.concatenate([np.linspace(22.0, 800.0, 100_001), [1e10, 1e300, np.inf]])
    assert (function(far) == 1.0).all()
    assert (function(-far) == -1.0).all()


def test_flints_precision_is_left_as_it_was():
    before = flint.ctx.prec
    derivative_of(np.tanh, variable(*ZERO_TO_ONE))
    assert flint.ctx.prec == before
