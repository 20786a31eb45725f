"""check_grads of autograd."""

# Not installed everywhere, so that its names cannot be resolved.
# pyright: reportMissingImports=false, reportAttributeAccessIssue=false

import numpy as np
import pytest

pytest.importorskip("autograd", reason="autograd is not installed: pip install 'autodiff-cross-check[peers]'")

import autograd.numpy as anp
from autograd import builtins
from autograd.extend import defjvp, defvjp, primitive
from autograd.tracer import getval

from harness.drop_in import InconclusiveGradient
from harness.drop_in.autograd import check_grads
from harness.facts.kinds import Kind

X = np.random.default_rng(1).normal(size=(2, 3))


def raises_elsewhere(x):
    if np.abs(getval(x) - 1.5).max() > 1e-4:
        raise ValueError("outside of the domain")
    return anp.array([anp.sin(x), anp.cos(x)])


RIGHT = {
    "a function that raises elsewhere": (raises_elsewhere, 0, (np.full(2, 1.5),)),
    "one argument": (anp.tanh, 0, (X,)),
    "complex": (lambda z: anp.exp(z) * anp.conj(z), 0, (X + 1j,)),
    "real of complex": (lambda z, a: anp.real(z * z) * a, (0, 1), (X + 1j, X)),
    "empty": (anp.sin, 0, (np.zeros((0, 3)),)),
    "a dict": (lambda p: anp.sum(p["a"] * p["b"]), 0, ({"a": X, "b": X},)),
    "complex in a dict": (lambda p: anp.real(p["z"] * anp.conj(p["z"])), 0, ({"z": X + 1j},)),
    "arrays of several shapes": (lambda p, x: anp.tanh(x @ p[0] + p[1]), 0, ((X.T, X[0, :2]), X)),
    "beside the end of a domain": (lambda x: anp.log(x) + x**1.5, 0, (np.array([1e-9, 0.5]),)),
    "nearly as large as a number can be": (lambda x: 1e305 * anp.sin(x), 0, (X,)),
    "a tangent as large as the input would be too large": (lambda x: anp.sqrt(anp.sum(x * x)), 0, (1e153 * X,)),
    "a second derivative that is 0": (lambda x: 3.0 * -x, 0, (0.3,)),
    "real outputs beside complex ones": (lambda z: builtins.tuple([z * z, anp.abs(z)]), 0, (X + 1j,)),
    "an output with an entry that is constant": (
        lambda x: builtins.tuple([anp.sin(x), anp.where(np.arange(3) > 0, x, 1.0)]), 0, (X,)),
    "a number": (lambda x: anp.array([x, x * 2.0, x**2]), 0, (1.5,)),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:Output seems independent:UserWarning")
@pytest.mark.parametrize("name", RIGHT)
def test_right_derivatives_pass_without_a_word(name, recwarn):
    f, argnum, args = RIGHT[name]
    assert check_grads(f, argnum)(*args) is None
    assert not [w for w in recwarn if issubclass(w.category, InconclusiveGradient)]


@primitive
def wrong(x):
    return np.sin(x)


defvjp(wrong, lambda ans, x: lambda g: g * anp.cos(x) * (1.0 + 1e-6))
defjvp(wrong, lambda g, ans, x: g * anp.cos(x) * (1.0 + 1e-6))


def test_a_wrong_rule_of_complex_numbers_raises_the_report():
    square = primitive(np.square)
    defvjp(square, lambda ans, z: lambda g: 2.0 * g * anp.conj(z))  # autograd has g z
    with pytest.raises(AssertionError, match=r"^DISAGREE"):
        check_grads(square, modes=["rev"], order=1)(X + 1j)


@pytest.mark.parametrize("mode", ["fwd", "rev"])
def test_a_wrong_rule_raises_the_report(mode):
    with pytest.raises(AssertionError, match=r"^DISAGREE"):
        check_grads(wrong, modes=[mode], order=1)(X)


def test_a_row_is_compared_with_its_own_size():
    check_grads(lambda x: anp.array([1e12 * x, anp.sin(x)]), modes=["rev"], order=1)(0.3)
    with pytest.raises(AssertionError, match=r"^DISAGREE"):
        check_grads(lambda x: anp.array([1e12 * x, wrong(x)]), modes=["rev"], order=1)(0.3)
    nothing = primitive(lambda x: 0.0 * x)
    defvjp(nothing, lambda ans, x: lambda g: g)
    with pytest.raises(AssertionError, match=r"^DISAGREE"):
        check_grads(lambda x: anp.array([1e12 * x, nothing(x)]), modes=["rev"], order=1)(0.3)


def test_gradients_that_are_interchanged_are_wrong():
    product = primitive(np.multiply)
    defvjp(product, lambda ans, a, b: lambda g: g * a, lambda ans, a, b: lambda g: g * b)
    with pytest.raises(AssertionError, match=r"^DISAGREE"):
        check_grads(product, (0, 1), modes=["rev"], order=1)(0.1 * X, 0.2 * X[::-1])


def test_a_second_derivative_that_is_wrong_in_the_cotangent_is_found():
    product = primitive(np.multiply)
    defvjp(product, lambda ans, g, c: lambda h: 2.0 * h * c, lambda ans, g, c: lambda h: h * g)
    sine = primitive(np.sin)
    defvjp(sine, lambda ans, x: lambda g: product(g, anp.cos(x)))
    check_grads(sine, modes=["rev"], order=1)(X)
    with pytest.raises(AssertionError, match=r"^DISAGREE"):
        check_grads(sine, modes=["rev"], order=2)(X)


def test_at_a_kink_a_value_between_both_slopes_passes(recwarn):
    def half_rectified(x):  # in every direction the original's difference has half the slope on the right
        return anp.where(x > 0.0, x, 0.0)

    check_grads(half_rectified, modes=["rev"], order=1)(np.zeros(2))
    check_grads(anp.max, modes=["rev"], order=1)(np.ones(3))
    assert not [w for w in recwarn if issubclass(w.category, InconclusiveGradient)]
    largest = primitive(np.max)
    defvjp(largest, lambda ans, x: lambda g: g * (x == ans))  # in full to every entry
    with pytest.warns(InconclusiveGradient, match="kinks-together"), pytest.raises(AssertionError, match="VJP"):
        check_grads(largest, modes=["rev"], order=1)(np.ones(3))


def test_where_nothing_is_decided_the_original_is_asked():
    with (
        pytest.warns(InconclusiveGradient, match="original-decided"),
        pytest.raises(AssertionError, match="VJP") as raised,
    ):
        check_grads(lambda x: x + anp.sign(x), modes=["rev"], order=1)(np.zeros(2))
    assert Kind.ORIGINAL_DECIDED in " ".join(raised.value.__notes__)


@primitive
def sine(x):
    return np.sin(x)


defvjp(sine, lambda ans, x: lambda g: np.clip(g, -100.0, 100.0) * anp.cos(x))
squared = primitive(np.sin)
defvjp(squared, lambda ans, x: lambda g: g * g * anp.cos(x))
dropping = primitive(np.sin)
defvjp(dropping, lambda ans, x: lambda g: np.where(np.abs(g) < 0.01, 0.0, g) * anp.cos(x))


@pytest.mark.parametrize("f", [sine, squared, dropping])
@pytest.mark.parametrize("x", [1.3, X])
def test_reverse_mode_is_linear_in_the_cotangent(f, x):
    with pytest.raises(AssertionError, match=r"^DISAGREE"):
        check_grads(f, modes=["rev"], order=1)(x)


def test_a_solver_need_not_be_linear_to_the_last_digit(recwarn):
    solved = primitive(np.sin)
    defvjp(solved, lambda ans, x: lambda g: g * anp.cos(x) + 1e-12 * np.sign(g) * np.sqrt(np.abs(g)))
    check_grads(solved, modes=["rev"], order=1)(X)
    assert not [w for w in recwarn if issubclass(w.category, InconclusiveGradient)]


def test_a_rule_that_is_right_to_ten_digits_is_right(recwarn):
    nearly = primitive(np.sin)
    defvjp(nearly, lambda ans, x: lambda g: g * anp.cos(x) * (1.0 + 4e-12))
    check_grads(nearly, modes=["rev"], order=1)(X)
    assert not [w for w in recwarn if issubclass(w.category, InconclusiveGradient)]


def test_without_a_mode_nothing_is_checked(recwarn):
    assert check_grads(anp.sin, modes=[], order=1)(np.array([1.0, 2.0])) is None
    assert not recwarn.list
