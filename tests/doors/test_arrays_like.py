"""Arguments of the same structure, inside a stated domain."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import find, given, settings

from harness import strategies

ARGS = ({"w": np.ones((3, 3)), "n": np.arange(3), "none": None}, 1.5, jnp.ones((2, 4), jnp.float32), 1j * np.ones(2))
MATRICES = (np.ones((2, 3, 3)), np.ones((2, 2), complex))

gaps = lambda x: np.diff(np.sort(np.abs(x), axis=None))  # noqa: E731

INSIDE = {
    "real": (ARGS, lambda x: (np.abs(x.real) <= 3.0).all() and (np.abs(x.imag) <= 3.0).all()),
    "positive": (ARGS, lambda x: (x.real >= 0.0999).all() and (x.real <= 10.001).all() and not x.imag.any()),
    "probabilities": (ARGS[:3], lambda x: (x > 0.0).all() and (x.ndim == 0 or np.allclose(x.sum(-1), 1.0, 0, 1e-6))),
    "positive definite": (
        MATRICES,
        lambda x: (np.linalg.eigvalsh(x) >= 1.0 - 1e-12).all() and np.array_equal(x, np.swapaxes(x, -1, -2).conj()),
    ),
    "apart": (ARGS[:3], lambda x: bool(np.greater(gaps(x), 0.01).all()) and (np.abs(x) > 0.01).all()),
    "ties": (ARGS, lambda x: np.isin(x.real, [-1.0, 0.0, 1.0]).all()),
}


def moving(args):
    return [np.asarray(x) for x in jax.tree.leaves(args) if np.asarray(x).dtype.kind in "fc"]


@pytest.mark.parametrize("domain", INSIDE)
@settings(max_examples=15)
@given(data=strategies.st.data())
def test_numbers_are_inside_of_the_domain_and_all_else_stays(domain, data):
    args, inside = INSIDE[domain]
    drawn = data.draw(strategies.arrays_like(args, domain=domain))
    assert jax.tree.structure(drawn) == jax.tree.structure(args)
    for new, old in zip(jax.tree.leaves(drawn), jax.tree.leaves(args), strict=True):
        assert type(new) is type(old)
        assert (np.shape(new), np.asarray(new).dtype) == (np.shape(old), np.asarray(old).dtype)
        if np.asarray(old).dtype.kind == "i":
            assert new is old
    assert all(inside(x) for x in moving(drawn))


SIMPLEST = {
    "real": np.zeros(2),
    "positive": np.ones(2),
    "ties": np.zeros(2),
    "probabilities": np.full(2, 0.5),
    "apart": np.array([1.5, 3.0]),
}


@pytest.mark.parametrize("domain", SIMPLEST)
def test_it_shrinks_to_the_simplest(domain):
    np.testing.assert_array_equal(find(strategies.arrays_like(np.ones(2), domain), lambda _: True), SIMPLEST[domain])


BIG, NEGATIVE, SMALL = (lambda x: x > 2.2), (lambda x: x < 0.0), (lambda x: 0.0 < abs(x) < 0.4)


@pytest.mark.parametrize(("fails", "simplest"), [(bool, 1.0), (NEGATIVE, -1.0), (SMALL, 0.25), (BIG, 2.5)])
def test_numbers_shrink_to_those_that_people_would_try(fails, simplest):
    assert find(strategies.arrays_like(np.ones(1)), lambda x: fails(x[0])).item() == simplest


def test_ties_are_met_and_so_is_every_number():
    x = find(strategies.arrays_like(np.ones(4), "ties"), lambda x: set(x) == {-1.0, 0.0, 1.0})
    assert len(set(x)) < len(x)


@settings(max_examples=10)
@given(args=strategies.arrays_like((np.ones(2), np.ones(2)), domain=("positive", None)))
def test_each_argument_has_its_own_domain(args):
    assert (args[0] > 0.0).all()
    np.testing.assert_array_equal(args[1], np.ones(2))


BAD = {
    "more than a coarse type keeps apart": ((jnp.zeros(300, jnp.bfloat16),), "apart", "300 numbers of bfloat16"),
    "no such domain": ((np.ones(2),), "negative", "domain must be one of real, positive"),
    "names": ((np.ones(2),), 3, "one for each entry of args, not 3"),
    "as many domains as arguments": ((np.ones(2),), ("real", "real"), "one for each entry of args"),
    "no square matrix": ((np.ones(2),), "positive definite", "two last axes of one length"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_drawn_is_refused(name):
    args, domain, words = BAD[name]
    with pytest.raises(ValueError, match=words):
        find(strategies.arrays_like(args, domain), lambda _: True)
