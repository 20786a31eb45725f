"""Bad input is refused in a sentence; a line that JAX cannot trace is named."""

import math

import jax.numpy as jnp
import numpy as np
import pytest

from harness import check_derivatives
from harness.facts.kinds import Kind

X = np.array([0.5, 1.5, 2.5])


BREAKING = {
    "a branch": (lambda x: x if x[0] > 0.0 else -x, "boolean conversion"),
    "a mask": (lambda x: x[x > 1.0], "boolean"),
    "a function of math": (lambda x: math.sin(x[0]) * x, "concrete value"),
    "an index": (lambda x: [x, 2.0 * x][x[0].astype(int)], "__index__"),
    "NumPy": (lambda x: np.sin(x), "numpy.ndarray"),
}


@pytest.mark.parametrize("name", BREAKING)
def test_what_breaks_the_trace_is_named_with_its_line(name):
    f, words = BREAKING[name]
    with pytest.raises(TypeError) as raised:
        check_derivatives(f, X)
    line = f"line {f.__code__.co_firstlineno} of <lambda> ({__file__})"
    assert str(raised.value).startswith(f"f cannot be traced by JAX: {line}: ")
    assert raised.match(words)


def test_numbers_beside_a_function_are_settings():
    def f(layer, x):
        assert isinstance(layer["slope"], float)  # as a module of Equinox may ask
        return layer["activation"](layer["w"] * x) + layer["slope"] * x

    layer = {"activation": jnp.tanh, "slope": 0.1, "w": np.array([0.3, -1.2])}
    report = check_derivatives(f, layer, 0.5)
    assert (report.verdict, report.subject["inputs"]) == ("agree", 3)
    assert [fact.where for fact in report.facts if fact.kind == Kind.HELD_FIXED] == [("layer['slope']",)]


def test_numbers_beside_a_name_are_differentiated():
    report = check_derivatives(lambda p, x: p["slope"] * x, {"name": "leaky", "slope": 0.1}, 0.5)
    assert (report.verdict, report.subject["inputs"]) == ("agree", 2)


def test_what_has_no_line_of_ones_own_is_refused_with_the_reason_alone():
    with pytest.raises(TypeError, match=r"^f cannot be traced by JAX: The numpy.ndarray conversion"):
        check_derivatives(np.sin, X)


class Foreign:
    """As a tensor, which need not be installed."""

    dtype = "torch.float32"


class Series:
    """As a column of a table, which need not be installed."""

    dtype = np.dtype(float)

    def to_numpy(self):
        return X


Foreign.__module__, Series.__module__ = "torch", "pandas.core.series"
KEPT = []


def leaking(x):
    KEPT.append(jnp.sin(x))
    return jnp.sum(x * KEPT[0])


BAD = {
    "nothing to differentiate": (lambda n: n, (3,), "give floating or complex arrays"),
    "an array of integers": (lambda n: n, (jnp.arange(3),), "int.*; give floating or complex arrays"),
    "an empty tree": (lambda x: 1.0, ({},), "the arguments hold no array at all"),
    "empty output": (lambda x: x[:0], (X,), "the function returns no number"),
    "integer output": (lambda x: jnp.argmax(x), (X,), "there is no derivative"),
    "PyTorch's": (lambda x: x, (Foreign(),), "x is PyTorch's; for its functions use"),
    "a column": (lambda x: x, (Series(),), r"x is a Series of pandas; give NumPy arrays: x.to_numpy\(\)"),
    "a column in a tree": (lambda x: x["a"], ({"a": Series()},), r"arrays: x\['a'\].to_numpy\(\)"),
    "settings alone": (
        lambda layer: layer["f"](layer["a"]), ({"f": jnp.tanh, "a": 0.1},), r"layer\['a'\]: beside a function"
    ),
    "a traced array that was kept": (leaking, (X,), "kept from another call"),
    "a type that JAX lacks": (
        lambda x: x["w"], ({"w": X.astype(np.longdouble)},), r"x\['w'\] is .*, which JAX does not have; give float64",
    ),
}  # fmt: skip
if np.longdouble is np.float64:
    del BAD["a type that JAX lacks"]


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_refused_in_a_sentence(name):
    f, args, words = BAD[name]
    with pytest.raises(TypeError, match=words):
        check_derivatives(f, *args)


@pytest.mark.parametrize(
    ("option", "words"),
    [({"argnums": ()}, "not \\(\\)"), ({"argnums": (True, 0)}, "not \\(True"), ({"order": True}, "order .*, not True")],
)
def test_an_option_that_chooses_nothing_is_refused(option, words):
    with pytest.raises((ValueError, TypeError), match=words):
        check_derivatives(lambda x, y: x * y, X, X, **option)


def test_other_errors_of_the_function_are_its_own():
    with pytest.raises(TypeError, match=r"^dot_general requires"):
        check_derivatives(lambda x: x @ jnp.ones(4), X)
