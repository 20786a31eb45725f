"""Arrays of balls: the formulas of activations and losses, evaluated with proof.

A ball is a midpoint with a radius, and every operation returns one that contains all exact results (Arb, through
python-flint). An element of an array is a constant (`arb`) or x + t, a power series cut off after t (`arb_series`). The
coefficient of t in a result is its derivative, enclosed like its value: (x + t)² = x² + 2x t. No slope stated by hand
takes part. All of this is proved, as far as Arb is right; nothing is measured.

A comparison of balls that touch, or of equal numbers, is undecided: it is the ball [0, 1], and `where` then encloses
both branches. So at a kink the derivative is as wide as its jump. A formula without a kink may still guard a branch by
a `where`, as elu does at zero: at that one point the derivative is wider than necessary.

Precision is flint's global `ctx.prec`; `precision` sets it.

Source: Johansson, Arb: efficient arbitrary-precision midpoint-radius interval arithmetic, IEEE Trans. Comput. 66, 2017.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from flint import arb, arb_mat, arb_series, ctx
from scipy import special
from scipy.special import erf, erfc

from reference.arithmetics.companion import NEGATIONS, clip
from reference.arithmetics.composed import COMPOSED
from reference.measured import NotApplicable
from reference.namespaces import Namespace


@contextmanager
def precision(bits: int, terms: int = 2) -> Iterator[None]:
    """Compute with so many bits, and with series of so many terms: by default a value and its slope."""
    before = ctx.prec, ctx.cap
    ctx.prec, ctx.cap = bits, terms
    try:
        yield
    finally:
        ctx.prec, ctx.cap = before


# One element


def value_of(x: Any) -> arb:
    """x of x + x't."""
    return x if isinstance(x, arb) else x[0]


def slope_of(x: Any) -> arb:
    """x' of x + x't."""
    return arb(0) if isinstance(x, arb) else x[1]


def _method(name: str) -> Callable[[Any], Any]:
    return lambda x: getattr(x, name)()


def _composed(name: str, series: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A function that `arb` has and `arb_series` lacks; `series` equals it up to a constant, and gives the slope.

    The value is not taken from `series`: log(1 + x) cancels where log1p does not, and tanh is -2/(exp(2x) + 1) + 1.
    """
    constant = _method(name)
    return lambda x: constant(x) if isinstance(x, arb) else arb_series([constant(x[0]), series(x)[1]])


_UNKNOWN = arb_series([arb.nan(), arb.nan()])  # a value and a slope of which nothing is known


def _divide(x, y):
    # flint would divide by a series that starts with zero, and then keeps a term fewer than it claims
    return _UNKNOWN if value_of(y).contains(0) else x / y


def _power(x, y):
    if isinstance(y, arb) and y.is_integer():
        return x**y if y >= 0 else _divide(1, x**-y)
    # where(z > 0, z, 0)**1.5 at z < 0: a zero that stays zero, and has slope 0
    if isinstance(y, arb) and y > 0 and value_of(x) == 0 and slope_of(x) == 0:
        return arb(0)
    return x**y if value_of(x) > 0 else _UNKNOWN  # flint takes powers of a series that is zero for zero


_log1p = _composed("log1p", lambda x: (1 + x).log())


def _logaddexp(x, y):
    high, low = (x, y) if value_of(x).mid() > value_of(y).mid() else (y, x)  # an identity in either order
    return high + _log1p((low - high).exp())


FALSE, TRUE, UNDECIDED = arb(0), arb(1), arb(0.5, 0.5)
"""A logic of three values, which are balls, since a formula may multiply by them: [0, 1] holds both true and false."""


def _above(x, y):
    """Whether x > y; undecided where they touch."""
    x, y = value_of(x), value_of(y)
    if x > y:
        return TRUE
    return FALSE if x < y else UNDECIDED


def _differ(x, y):
    """Whether x != y; undecided where they touch, since a branch that holds at one point alone has no slope there."""
    return TRUE if value_of(x) != value_of(y) else UNDECIDED


def _truth(x):
    """The truth value of a comparison's result, or of a number: true unless it may be zero."""
    return x if isinstance(x, arb) and x in (FALSE, TRUE) else _differ(x, FALSE)


def _not(x):
    return 1 - _truth(x)  # of [0, 1], that is itself


def _both(x, y):
    truths = _truth(x), _truth(y)
    if FALSE in truths:
        return FALSE
    return TRUE if truths == (TRUE, TRUE) else UNDECIDED


def _either(x, y):
    return _not(_both(_not(x), _not(y)))


def _where(condition, x, y):
    condition = _truth(condition)
    if condition == TRUE:
        return x
    if condition == FALSE:
        return y
    # undecided: |z| at 0 has the value 0 and a slope in [-1, 1]
    return arb_series([value_of(x).union(value_of(y)), slope_of(x).union(slope_of(y))])


def _absolute(x):
    return _where(_above(x, arb(0)), x, -x)


def _cube_root(x):
    size = _absolute(x)
    return _where(_above(x, arb(0)), _power(size, arb(1) / 3), -_power(size, arb(1) / 3))


_RULES_OF_ONE: dict[Any, Callable[[Any], Any]] = {
    **{f: _method(f.__name__) for f in (np.exp, np.log, np.sqrt, np.sin, np.cos)},
    erf: _method("erf"),
    erfc: _method("erfc"),
    special.dawsn: lambda x: (-x * x).exp() * x.erfi() * (arb.pi().sqrt() / 2),
    special.ndtr: lambda x: (x * (-1 / arb(2).sqrt())).erfc() / 2,
    np.arctan: _method("atan"),
    np.tanh: _composed("tanh", lambda x: _divide(-2, (2 * x).exp() + 1)),  # a slope without cancellation on either side
    np.expm1: _composed("expm1", lambda x: x.exp()),
    np.log1p: _log1p,
    np.sinh: _composed("sinh", lambda x: (x.exp() - (-x).exp()) / 2),
    np.cosh: _composed("cosh", lambda x: (x.exp() + (-x).exp()) / 2),
    np.arcsinh: _composed("asinh", lambda x: (x + (x * x + 1).sqrt()).log()),
    # `COMPOSED` has these, with constants that are rounded to float64
    np.exp2: lambda x: (x * arb(2).log()).exp(),
    np.log2: lambda x: x.log() / arb(2).log(),
    np.log10: lambda x: x.log() / arb(10).log(),
    np.cbrt: _cube_root,
    np.arccos: lambda x: arb.pi() / 2 - _divide(x, ((1 - x) * (1 + x)).sqrt()).atan(),
    np.square: lambda x: x * x,
    np.reciprocal: lambda x: _divide(1, x),
    np.absolute: _absolute,
    np.sign: lambda x: 2 * _above(x, arb(0)) - 1,
    **dict.fromkeys(NEGATIONS, _not),
}

_RULES_OF_TWO: dict[Any, Callable[[Any, Any], Any]] = {
    np.divide: _divide,
    np.power: _power,
    np.logaddexp: _logaddexp,
    np.greater: _above,
    np.greater_equal: _above,
    np.less: lambda x, y: _above(y, x),
    np.less_equal: lambda x, y: _above(y, x),
    np.not_equal: _differ,
    np.equal: lambda x, y: _not(_differ(x, y)),
    **dict.fromkeys((np.bitwise_and, np.logical_and), _both),
    **dict.fromkeys((np.bitwise_or, np.logical_or), _either),
    np.maximum: lambda x, y: _where(_above(x, y), x, y),
    np.minimum: lambda x, y: _where(_above(x, y), y, x),
}

# Arrays


class Balls(np.ndarray):
    """An object array of `arb` and `arb_series`; what no rule covers is refused."""

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *operands: Any, **keywords: Any) -> Any:
        if ufunc is np.add and method == "reduce":  # np.sum calls this
            return _balls(np.add.reduce(np.asarray(operands[0]), **keywords))
        return _by_rule(ufunc, operands, is_plain=method == "__call__" and not keywords)

    def __array_function__(self, function: Any, types: Any, operands: Any, keywords: Any) -> Any:
        if function in (np.sum, np.shape):
            return super().__array_function__(function, types, operands, keywords)
        if function in (np.zeros_like, np.ones_like):
            return exact(function(np.empty(operands[0].shape)))
        if function is np.clip:
            return clip(*operands, **keywords)
        return _by_rule(function, operands, is_plain=not keywords)

    def astype(self, dtype: Any, *_: Any, **__: Any) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        if np.dtype(dtype) != np.float64:
            raise NotApplicable("ball arithmetic casts to float only")
        return self  # truth values are numbers already

    def __bool__(self) -> bool:
        raise NotApplicable("ball arithmetic cannot decide an if: use where")


def _balls(result: Any) -> Any:
    return result.view(Balls) if isinstance(result, np.ndarray) else result


def _by_rule(function: Any, operands: Any, is_plain: bool) -> Any:
    if function not in RULES and function in COMPOSED and is_plain:
        return COMPOSED[function](*map(exact, operands))
    if function not in RULES or not is_plain:
        raise NotApplicable(f"ball arithmetic has no rule for {function.__name__}")
    return _balls(RULES[function](*(np.asarray(exact(x)) for x in operands)))


def array_of(elements: Iterable[Any], shape: tuple[int, ...]) -> Balls:
    """Balls from elements in C order; NumPy by itself would take a series for a sequence."""
    return np.fromiter(elements, dtype=object, count=int(np.prod(shape))).reshape(shape).view(Balls)


def exact(x: Any) -> Balls:
    """Numbers as balls of radius zero; balls stay what they are."""
    if isinstance(x, Balls):
        return x
    if isinstance(x, (arb, arb_series)):
        return array_of([x], ())
    return array_of(map(arb, np.ravel(x).tolist()), np.shape(x))


def _matmul(x, y):
    try:  # flint's own product of matrices is far faster than one of objects
        product = arb_mat(x.tolist()) * arb_mat(y.tolist())
    except TypeError:  # arb_mat takes constants only
        return np.matmul(x, y)
    return array_of(product.entries(), (product.nrows(), product.ncols()))


RULES: dict[Any, Any] = {
    **{f: f for f in (np.positive, np.negative, np.add, np.subtract, np.multiply)},
    **{f: np.frompyfunc(rule, 1, 1) for f, rule in _RULES_OF_ONE.items()},
    **{f: np.frompyfunc(rule, 2, 1) for f, rule in _RULES_OF_TWO.items()},
    np.matmul: _matmul,
    np.where: np.frompyfunc(_where, 3, 1),
}


def _logsumexp(z: Any) -> Any:
    """log Σ exp(z) over the last axis, which is kept with length one."""
    return _balls(RULES[np.logaddexp].reduce(np.asarray(z), axis=-1, keepdims=True))


BALLS = Namespace("balls", np, erf=erf, logsumexp=_logsumexp)


def values(x: Any) -> Balls:
    """The values of all elements, as constants."""
    return _balls(np.frompyfunc(value_of, 1, 1)(np.asarray(x)))


def slopes(x: Any) -> Balls:
    """The derivatives of all elements."""
    return _balls(np.frompyfunc(slope_of, 1, 1)(np.asarray(x)))


def variables(x: Any, speeds: Any = 1.0) -> Balls:
    """x + vt for every element x and its speed v."""
    series = np.frompyfunc(lambda x, v: arb_series([x, arb(float(v))]), 2, 1)
    return _balls(series(np.asarray(x), np.asarray(speeds)))
