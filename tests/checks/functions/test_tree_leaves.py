"""Leaves: what is a parameter, what is held as it is, and what is refused with what to give instead."""

import functools
import sys
from pathlib import Path
from types import ModuleType

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse

from harness import check_gradient
from harness.checks.functions.parameters import TreeLayout
from harness.facts.fact import note
from harness.facts.kinds import Kind

W = np.random.default_rng(0).standard_normal((2, 3))


def of_w_and(gradient=None):
    """A cost of w alone, and a gradient of it and of whatever stands beside it."""

    def fun(t):
        return np.sum(np.sin(t["w"])), {"w": np.cos(t["w"])} | (gradient or {})

    return fun


class Layer:
    def __init__(self):
        self.W = W

    def __call__(self, x):
        return self.W @ x


HELD = {
    "None": None,
    "a name": "relu",
    "a flag": True,
    "a path": Path("data"),
    "a count": 3,
    "a tuple of counts": (1, 1),
    "integers of JAX": jnp.arange(3),
    "a mask of JAX": jnp.array([True]),
    "a random key": jax.random.key(0),
    "a generator": np.random.default_rng(0),
    "a function": of_w_and,
    "a function of JAX": jax.nn.relu,
    "a partial function": functools.partial(np.sum, axis=0),
    "a type": np.float32,
    "names": ["a", "b"],
}


@pytest.mark.parametrize("beside", HELD.values(), ids=list(HELD))
def test_what_is_no_array_of_real_numbers_is_held_as_it_is(beside):
    seen = []

    def fun(t):
        seen.append(t["x"])
        return of_w_and()(t)

    report = check_gradient(fun, {"w": W, "x": beside})
    assert report.verdict == "agree"
    assert report.subject["parameters"] == W.size
    assert {type(each) for each in seen} == {type(beside)}


def test_numbers_that_are_held_are_told_and_names_are_not():
    theta = {"w": W, "n": 3, "mask": np.array([True]), "name": "relu", "act": np.tanh, "flag": True}
    notes = check_gradient(of_w_and(), theta).notes
    assert notes == (note(Kind.HELD_FIXED, "n (holds integers)", "mask (is of type bool)"),)


@pytest.mark.parametrize("claimed", [None, 0, np.zeros(3, int), np.zeros(3, jax.dtypes.float0)])
def test_a_gradient_may_claim_nothing_for_integers(claimed):
    assert check_gradient(of_w_and({"n": claimed}), {"w": W, "n": np.arange(3)}).subject["parameters"] == W.size


def test_integers_are_parameters_where_their_gradient_is_of_real_numbers():
    def fun(t):
        return np.sum(np.sin(t["w"])) + t["b"] ** 2 + np.sum(t["v"] ** 2), {
            "w": np.cos(t["w"]),
            "b": 2.0 * t["b"],
            "v": 2.002 * t["v"],
        }

    report = check_gradient(fun, {"w": W, "b": 1, "v": np.array([1, 2])})
    assert report.subject["parameters"] == W.size + 3
    assert report.findings[0].where.startswith("v[")
    forgotten = check_gradient(lambda t: (fun(t)[0], fun(t)[1] | {"v": 0.0 * t["v"]}), {"w": W, "b": 1, "v": [1, 2]})
    assert (forgotten.verdict, forgotten.findings[0].where) == ("disagree", "v[1]")


def test_a_single_integer_without_a_derivative_is_a_count():
    def fun(t):
        steps = len(range(t["n"]))  # which takes no 3.0
        return steps * np.sum(np.sin(t["w"])), {"w": steps * np.cos(t["w"]), "n": 0.0}

    assert check_gradient(fun, {"w": W, "n": 3}).verdict == "agree"


@pytest.mark.parametrize("mask", [np.array([True, False]), jnp.arange(2)])
def test_a_gradient_of_what_is_held_is_refused(mask):
    with pytest.raises(
        ValueError, match=r"the gradient has numbers for x, which is held as it is, because it is of type"
    ):
        check_gradient(of_w_and({"x": np.ones(2)}), {"w": W, "x": mask})


class Table:
    """An array with labels, as pandas and xarray have it: libraries that need not be installed."""

    def __init__(self, data, index=("a", "b"), columns=("x", "y", "z")):
        self.data, self.index, self.columns = np.array(data), index, columns
        self.dtype, self.shape, self.ndim = self.data.dtype, self.data.shape, self.data.ndim

    def __array__(self, dtype=None, copy=None):
        return np.array(self.data, dtype)

    def copy(self, data):
        return type(self)(data, self.index, self.columns)

    def astype(self, dtype):
        return self.copy(data=self.data.astype(dtype))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("library", ["pandas.core.frame", "xarray.core.dataarray"])
def test_labelled_arrays_are_parameters_and_keep_their_labels(library, dtype):
    kind = type("Labelled", (Table,), {"__module__": library})

    def fun(t):
        assert (type(t), t.index, t.columns) == (kind, ("A", "B"), ("X", "Y", "Z"))
        return np.sin(t.data).sum(), t.copy(data=np.cos(t.data))

    assert check_gradient(fun, kind(W.astype(dtype), ("A", "B"), ("X", "Y", "Z"))).verdict == "agree"


def test_an_imaginary_part_of_zero_or_of_rounding_is_taken_for_zero():
    for imaginary in (0.0, 1e-17):
        fun = lambda t, i=imaginary: (np.sin(t).sum() + 1j * i, np.cos(t) + 1j * i)  # noqa: E731
        assert check_gradient(fun, W).verdict == "agree"


def like_polars():
    """A table that NumPy would take for an array, from a library that need not be installed."""
    module = ModuleType("polars.dataframe.frame")
    frame = type("DataFrame", (), {"__array__": lambda self, *_: W, "__module__": module.__name__})
    return frame()


REFUSED = {
    "polars": (like_polars(), "not DataFrame of polars; give .to_numpy.., and build the table inside of fun"),
    "masked array": (np.ma.array(W, mask=W > 0), r"not a masked array; give .compressed\(\) of it"),
    "objects": (np.array([1.0, None]), r"not object \(ndarray\); give numbers of one type"),
    "sparse matrix": (
        scipy.sparse.csr_array(W),
        "not csr_array of scipy; give .data of a .*, or .toarray()",
    ),
    "complex": (W + 1j, r"not complex128 \(ndarray\); give .real, or real and imaginary parts as two arrays"),
    "set": ({1.0}, "not a set; give a dict, list or tuple of arrays"),
    "object": (Layer(), "not Layer; give arrays, or a dict, list, tuple, NamedTuple or dataclass of arrays"),
}


@pytest.mark.parametrize(("theta", "sentence"), REFUSED.values(), ids=list(REFUSED))
def test_what_only_looks_like_numbers_is_refused_with_what_to_give(theta, sentence):
    with pytest.raises(TypeError, match=f"theta must be real numbers, {sentence}"):
        TreeLayout(theta)
    with pytest.raises(TypeError, match=rf"x\['y'\]\[0\] must be real numbers, {sentence}"):
        TreeLayout({"w": W, "x": {"y": [theta]}})


def test_an_array_keeps_its_order_and_its_kind():
    layout = TreeLayout({"F": np.asfortranarray(W), "matrix": W.view(np.matrix), "view": np.arange(6.0)[::2]})
    rebuilt = layout.rebuild(np.arange(15.0))
    assert np.isfortran(rebuilt["F"])
    assert isinstance(rebuilt["matrix"], np.matrix)
    np.testing.assert_array_equal(rebuilt["F"], [[0, 1, 2], [3, 4, 5]])
    assert rebuilt["view"].flags.writeable


def test_no_library_is_imported_to_look_at_theta(monkeypatch):
    for name in ("jax", "torch"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    TreeLayout({"a": [W, {"b": 1.0}]})
    assert not {"jax", "torch"} & set(sys.modules)
