"""Trees as people have them: every leaf is found, named as it is indexed, moved and put back into its place."""

import collections
import dataclasses
import functools
from collections.abc import Callable
from types import MappingProxyType, SimpleNamespace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from harness import check_gradient
from harness.checks.functions.parameters import TreeLayout
from harness.checks.functions.tree_branches import take_apart
from harness.facts.fact import note
from harness.facts.kinds import Kind

W, B = np.random.default_rng(0).standard_normal((2, 3)), np.array([0.3, -0.2])


class Pair(NamedTuple):
    W: Any
    b: Any


@dataclasses.dataclass
class Params:
    W: Any
    b: Any
    name: str = "dense"
    act: Callable = np.tanh


@dataclasses.dataclass(frozen=True)
class Frozen:
    W: Any
    b: Any


@dataclasses.dataclass(init=False)
class WithOwnInit:
    W: Any
    b: Any
    size: int = dataclasses.field(metadata={"static": True})

    def __init__(self, rows):
        self.W, self.b, self.size = np.ones((rows, 3)), B, rows


@functools.partial(jax.tree_util.register_dataclass, data_fields=["W", "b"], meta_fields=["axis"])
@dataclasses.dataclass
class Registered:
    W: Any
    b: Any
    axis: int = 0


@jax.tree_util.register_pytree_node_class
class Custom:
    def __init__(self, W, b):
        self.W, self.b = W, b

    def tree_flatten(self):
        return (self.W, self.b), None

    @classmethod
    def tree_unflatten(cls, _, children):
        return cls(*children)


def of_default(items):
    return collections.defaultdict(list, items)


TREES = {
    "dict": ({"W": W, "b": B}, ["W[1, 2]", "b[0]"]),
    "dict with a path for a key": ({"mlp/~/linear": W, 7: B}, ["theta['mlp/~/linear'][1, 2]", "theta[7][0]"]),
    "default dict": (of_default({"W": W, "b": B}), ["W[1, 2]", "b[0]"]),
    "read-only mapping": (MappingProxyType({"W": W, "b": B}), ["W[1, 2]", "b[0]"]),
    "list of dicts": ({"layers": [{"W": W}, {"W": B}]}, ["layers[0]['W'][1, 2]", "layers[1]['W'][0]"]),
    "NamedTuple": (Pair(W, B), ["W[1, 2]", "b[0]"]),
    "dataclass": (Params(W, B), ["W[1, 2]", "b[0]"]),
    "frozen dataclass": (Frozen(W, B), ["W[1, 2]", "b[0]"]),
    "dataclass with an __init__ of its own": (WithOwnInit(2), ["W[1, 2]", "b[0]"]),
    "namespace": (SimpleNamespace(W=W, b=B), ["W[1, 2]", "b[0]"]),
    "dataclass that JAX knows": (Registered(W, B, axis=1), ["W[1, 2]", "b[0]"]),
    "class that JAX knows": (Custom(W, B), ["[<flat index 0>]", "[<flat index 1>]"]),
    "rows of unlike lengths": ([[1.0, 2.0], [3.0]], ["theta[0][1]", "theta[1][0]"]),
    "empty branches": ({"W": W, "none": {}, "nothing": [], "b": B}, ["W[1, 2]", "b[0]"]),
}
each_tree = pytest.mark.parametrize(("theta", "labels"), TREES.values(), ids=list(TREES))


@each_tree
def test_every_leaf_is_named_as_people_index_it(theta, labels):
    layout = TreeLayout(theta)
    names = [layout.label(i) for i in range(layout.size)]
    assert len(set(names)) == layout.size
    assert all(any(label in name for name in names) for label in labels)


@each_tree
def test_a_tree_is_put_together_as_it_was_with_fresh_arrays(theta, labels):
    layout = TreeLayout(theta)
    flat = layout.flatten(theta, "theta")
    moved = layout.rebuild(flat + 1.0)
    assert type(moved) is type(theta)
    np.testing.assert_array_equal(layout.flatten(moved, "theta"), flat + 1.0)
    np.testing.assert_array_equal(layout.flatten(theta, "theta"), flat)


def test_what_is_no_leaf_stays():
    assert TreeLayout(of_default({"W": W})).rebuild(W.ravel()).default_factory is list
    rebuilt = TreeLayout(Params(W, B, "first", np.sin)).rebuild(np.zeros(8))
    assert (rebuilt.name, rebuilt.act) == ("first", np.sin)
    assert TreeLayout(Registered(W, B, axis=1)).rebuild(np.zeros(8)).axis == 1
    assert TreeLayout(WithOwnInit(2)).rebuild(np.zeros(8)).size == 2


def sines(arrays):
    return sum(np.sum(np.sin(a)) for a in arrays)


ANSWERS = {
    "a dataclass for a dataclass": (Params(W, B), lambda t: Params(np.cos(t.W), np.cos(t.b))),
    "a dict for a dataclass": (Frozen(W, B), lambda t: {"b": np.cos(t.b), "W": np.cos(t.W)}),
    "a tuple for a NamedTuple": (Pair(W, B), lambda t: (np.cos(t.W), np.cos(t.b))),
    "a list for a tuple": ((W, B), lambda t: [np.cos(t[0]), np.cos(t[1])]),
    "a dict in another order": ({"W": W, "b": B}, lambda t: {"b": np.cos(t["b"]), "W": np.cos(t["W"])}),
    "a list of numbers": (Pair(0.5, 2.0), lambda t: [np.cos(t.W), np.cos(t.b)]),
}


@pytest.mark.parametrize(("theta", "gradient"), ANSWERS.values(), ids=list(ANSWERS))
def test_a_gradient_is_laid_out_like_theta_in_whatever_containers(theta, gradient):
    def cost(t):
        branch = take_apart(t)
        assert branch is not None
        return sines(branch.children[:2])

    assert check_gradient(cost, theta, gradient=gradient).verdict == "agree"
    wrong = check_gradient(cost, theta, gradient=lambda t: one_percent_more(gradient(t)))
    assert wrong.verdict == "disagree"


def one_percent_more(gradient):
    branch = take_apart(gradient)
    if branch is None:
        return [1.01 * each for each in gradient]
    return branch.join([1.01 * each if isinstance(each, (float, np.ndarray)) else each for each in branch.children])


def test_an_error_deep_inside_is_named():
    def fun(t):
        gradient = [{"W": np.cos(layer["W"])} for layer in t["layers"]]
        gradient[1]["W"][1, 2] *= 1.001
        return sines([layer["W"] for layer in t["layers"]]), {"layers": gradient}

    report = check_gradient(fun, {"layers": [{"W": W}, {"W": W.copy()}]})
    assert report.findings[0].where == "layers[1]['W'][1, 2]"


def test_jax_takes_theta_and_a_reference_as_they_are():
    def cost(t):
        return jnp.sum(jnp.sin(t["a"][0].W)) + jnp.sum(t["a"][1] ** 2)

    theta = {"a": [Registered(W, B), B]}
    with jax.enable_x64(True):
        assert check_gradient(jax.value_and_grad(cost), theta, cost).verdict == "agree"


def test_an_array_that_stands_twice_is_told():
    notes = check_gradient(lambda t: (sines(t), tuple(map(np.cos, t))), (B, B)).notes
    assert notes == (note(Kind.SHARED_ARRAY, "theta[0]", "theta[1]"),)
    assert not check_gradient(lambda t: (sines(t), tuple(map(np.cos, t))), (B, B.copy())).notes


def contains_itself():
    theta: list = [B]
    theta.append(theta)
    return theta


@pytest.mark.parametrize(
    ("theta", "sentence"),
    [
        (contains_itself(), "theta contains itself"),
        ({"theta": [B], 0: B}, r"theta\[0\]\[0\]|theta\[0\] stands for two things in theta; rename a key"),
        (["a", "b"], r"theta holds no parameters; .* \(theta\[0\] is 'a', theta\[1\] is 'b'\)"),
        ({"a": {}, "b": None}, "theta holds no parameters"),
    ],
)
def test_a_tree_that_is_none_is_refused(theta, sentence):
    with pytest.raises(ValueError, match=sentence):
        TreeLayout(theta)


TREE = {"layers": [{"W": W}, Pair(W, B)], "b": B}


@pytest.mark.parametrize(
    ("gradient", "sentence"),
    [
        ({"layers": [{"W": W}], "b": B}, "it must be a list of 2, as layers is, not a list of 1"),
        ({"layers": [{"V": W}, (W, B)], "b": B}, r"a dict with the keys \['W'\], as layers\[0\] is, not .* \['V'\]"),
        ({"layers": [{"W": W}, (W, B)]}, "it has nothing for b; answer zeros"),
        ({"layers": [{"W": W}, (W, B)], "b": B, "c": B}, r"not a dict with the keys \['b', 'c', 'layers'\]"),
        ({"layers": [{"W": W.T}, (W, B)], "b": B}, r"the shape \(2, 3\) of layers\[0\]\['W'\], but has shape \(3, 2\)"),
        (np.zeros(14), "it must be a dict with the keys .* as theta is, not ndarray"),
    ],
)
def test_a_gradient_of_another_form_is_refused_with_the_place(gradient, sentence):
    with pytest.raises(ValueError, match=sentence):
        TreeLayout(TREE).flatten(gradient, "it")
