"""A function that changes what none of its arguments holds is told so: JAX runs such a line when it traces."""

import functools
import logging
from collections import Counter

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from functions_of_jax import facts

from harness import check_derivatives
from harness.facts.kinds import Kind

X = np.array([0.5, 1.5])
LOG, MEMO, BUFFER, CALLS = [], {}, np.zeros(2), Counter()
LOGGER = logging.getLogger("of a function")
total = 0


def rebinding(x):
    global total
    total += 1
    return x


def counting(x):
    CALLS["f"] += 1
    return x


def remembering(x):
    MEMO["last"] = 3.0 * len(MEMO)
    return 2.0 * x


def filling(x):
    BUFFER[:] += x.size
    return x


def appending(x):
    LOG.append("called")
    return x


def by_another(x):
    return 2.0 * appending(x)


def keeping(x):
    LOG.append(x)
    return x


class Layer:
    def __init__(self):
        self.calls, self.w = 0, jnp.ones(2)

    def __call__(self, x):
        self.calls += 1
        return self.w * x

    def apply(self, x):
        self.last = x
        return self.w * x


layer = Layer()


def through_an_object(x):
    return layer(x)


def closure():
    seen = set()

    def f(x):
        seen.add(len(seen))
        return x

    return f


CHANGING = {
    "a global number": (rebinding, "total"),
    "a dict": (counting, "CALLS"),
    "an array": (filling, "BUFFER"),
    "a list": (appending, "LOG"),
    "a list, by a function that it calls": (by_another, "LOG"),
    "a closure": (closure(), "seen"),
    "a closure, compiled": (jax.jit(closure()), "seen"),
    "its object": (Layer(), "self.calls"),
    "its object, by a method": (Layer().apply, "self.last"),
    "an object": (through_an_object, "layer.calls"),
}


@pytest.mark.parametrize("name", CHANGING)
def test_what_a_function_changes_is_named(name):
    f, what = CHANGING[name]
    report = check_derivatives(f, X)
    (effect,) = facts(report, Kind.SIDE_EFFECT)
    assert (effect.where, report.verdict) == ((what,), "agree")


@pytest.mark.parametrize(("f", "keeps"), [(keeping, True), (Layer().apply, True), (appending, False)])
def test_a_traced_array_that_is_kept_is_told(f, keeps):
    (effect,) = facts(check_derivatives(f, X), Kind.SIDE_EFFECT)
    assert effect.data["keeps_traced"] is keeps


def warning(x):
    LOGGER.debug("which remembers that it says nothing of this level")
    return x


def reading(x):
    inner = [len(LOG), MEMO.get("none"), BUFFER.sum(), layer.w, total]
    inner.append(x)
    return jnp.sum(inner[-1]) * inner[2] + functools.reduce(jnp.add, [x, x])


@pytest.mark.parametrize("f", [reading, warning, jnp.sin, jax.custom_jvp(jnp.sin).fun])
def test_who_only_reads_is_told_nothing(f):
    assert Kind.SIDE_EFFECT not in check_derivatives(f, X).kinds


def test_an_argument_that_f_knows_by_another_name_is_none_of_that():
    given = np.array([0.5, 1.5])

    def f(x):
        given[0] = 0.25
        return x

    assert Kind.SIDE_EFFECT not in check_derivatives(f, given).kinds
