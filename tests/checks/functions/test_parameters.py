"""Anybody's parameters as a flat vector, and back."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from harness.checks.functions.parameters import TreeLayout
from harness.checks.functions.tree_leaves import to_numpy

W = np.random.default_rng(0).standard_normal((2, 3))
NESTED = {"W": W, "b": np.float32(0.5), 7: [1, 2]}


@pytest.fixture(autouse=True)
def x64():
    with jax.enable_x64(True):
        yield


def same_kind(a, b):
    return type(a) is type(b) and getattr(a, "dtype", None) == getattr(b, "dtype", None) and np.shape(a) == np.shape(b)


ARRAYS = {
    "float64": W,
    "float32": W.astype(np.float32),
    "float16": W.astype(np.float16),
    "read-only, reversed": np.broadcast_to(W[::-1, 0], (4, 2)),
    "no dimension": np.array(0.5),
    "JAX": jnp.asarray(W),
    "JAX float32": jnp.asarray(W, dtype=np.float32),
    "JAX bfloat16": jnp.asarray(W, dtype=jnp.bfloat16),
}


@pytest.mark.parametrize("theta", ARRAYS.values(), ids=list(ARRAYS))
def test_an_array_comes_back_as_it_was_and_is_a_fresh_one(theta):
    layout = TreeLayout(theta)
    flat = layout.flatten(theta, "theta")
    assert flat.dtype == np.float64
    assert flat.shape == (layout.size,) == (np.size(theta),)
    rebuilt = layout.rebuild(flat)
    assert same_kind(rebuilt, theta)
    np.testing.assert_array_equal(np.asarray(rebuilt, dtype=float), np.asarray(theta, dtype=float))
    flat[:] = 0.0
    np.testing.assert_array_equal(np.asarray(rebuilt, dtype=float), np.asarray(theta, dtype=float))


@pytest.mark.parametrize(
    ("theta", "rebuilt_type"),
    [(0.5, np.float64), (2, np.float64), (np.float32(0.5), np.float32), ([0.5, 1], np.ndarray)],
)
def test_numbers_and_lists_become_the_nearest_thing_in_numpy(theta, rebuilt_type):
    layout = TreeLayout(theta)
    rebuilt = layout.rebuild(layout.flatten(theta, "theta"))
    assert type(rebuilt) is rebuilt_type
    np.testing.assert_array_equal(rebuilt, theta)


def test_torch_tensors_come_back_as_they_were():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: make with-peers")
    for dtype in (torch.float64, torch.float32, torch.bfloat16):
        theta = torch.tensor(W, dtype=dtype, requires_grad=True)
        layout = TreeLayout(theta)
        rebuilt = layout.rebuild(layout.flatten(theta, "theta"))
        assert same_kind(rebuilt, theta)
        assert torch.equal(rebuilt, theta)
        assert rebuilt.requires_grad
        assert rebuilt is not theta
    with pytest.raises(TypeError, match=r"theta must be floating point, for small steps are lost in torch\.int64"):
        TreeLayout(torch.arange(3)).rebuild(np.zeros(3))


def test_integers_of_jax_are_refused_for_small_steps_are_lost_in_them():
    layout = TreeLayout(jnp.arange(3))
    with pytest.raises(TypeError, match=r"theta must be floating point, for small steps are lost in int"):
        layout.rebuild(layout.flatten(jnp.arange(3), "theta"))


def test_a_dict_keeps_its_keys_order_and_kinds():
    layout = TreeLayout(NESTED)
    flat = layout.flatten(NESTED, "theta")
    np.testing.assert_array_equal(flat, [*W.ravel(), 0.5, 1.0, 2.0])
    rebuilt = layout.rebuild(flat)
    assert list(rebuilt) == ["W", "b", 7]
    assert same_kind(rebuilt["W"], W)
    assert type(rebuilt["b"]) is np.float32
    np.testing.assert_array_equal(rebuilt[7], [1.0, 2.0])


def test_blocks_and_labels_name_every_coordinate():
    layout = TreeLayout(NESTED)
    assert [(block.name, block.indices.tolist()) for block in layout.blocks] == [
        ("W", [0, 1, 2, 3, 4, 5]),
        ("b", [6]),
        ("theta[7]", [7, 8]),
    ]
    assert [layout.label(i) for i in range(layout.size)] == [
        *("W[0, 0]", "W[0, 1]", "W[0, 2]", "W[1, 0]", "W[1, 1]", "W[1, 2]"),
        *("b", "theta[7][0]", "theta[7][1]"),
    ]
    assert TreeLayout(W[0]).label(2) == "theta[2]"
    assert TreeLayout(0.5).label(0) == "theta"
    with pytest.raises(IndexError, match="0 to 8, but not 9"):
        layout.label(9)


def test_another_kind_of_array_can_be_laid_out_the_same():
    layout = TreeLayout({"W": W, "b": 0.5})
    rebuilt = layout.rebuild(jnp.arange(7.0), lambda _, values: values)
    assert isinstance(rebuilt["W"], jax.Array)
    np.testing.assert_array_equal(rebuilt["W"], np.arange(6.0).reshape(2, 3))
    assert rebuilt["b"] == 6.0


def test_the_least_precise_array_counts():
    assert TreeLayout({"a": W, "b": W.astype(np.float32), "c": 1}).unit_roundoff == 2.0**-24


@pytest.mark.parametrize(
    ("call", "error", "sentence"),
    [
        (lambda: to_numpy(None), TypeError, "must be real numbers, not NoneType; give arrays, or a dict"),
        (lambda: to_numpy([[1.0], [1.0, 2.0]]), TypeError, "must be real numbers, not list"),
        (lambda: to_numpy({1.0}), TypeError, "must be real numbers, not a set; give a dict, list or tuple of arrays"),
        (
            lambda: TreeLayout({1: 1.0}).flatten({"1": 1.0}, "it"),
            ValueError,
            r"the keys \[1\], .*not .* the keys \['1'\]",
        ),
        (lambda: TreeLayout(np.empty((0, 2))), ValueError, "theta holds no parameters"),
        (lambda: TreeLayout(W).flatten(W.T, "the gradient"), ValueError, r"the gradient must have the shape \(2, 3\)"),
    ],
)
def test_what_does_not_fit_gets_one_clear_sentence(call, error, sentence):
    with pytest.raises(error, match=sentence):
        call()
