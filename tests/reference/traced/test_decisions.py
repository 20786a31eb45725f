"""Where rounding decides, the other decision is found and followed; where it does not, nothing is."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from reference.arithmetics.increments import STEP, Increment, constant
from reference.traced.decisions import RecordingRun, TurnedRun, find_turned_decisions
from reference.traced.interpreter import Run
from reference.traced.traced_function import Traced

UNIT, FACTOR, RUNS = 2.0**-8, 4.0, 12

NEAR = np.array([1e-5, -1.0, 1.0 + 1e-5, 3.0])
"""Beside 0 and beside 1, by less than a rounding in bfloat16 of the numbers that cancel to it."""


def cancelled(x):
    """x, by way of a number that is rounded at a size of ten."""
    return (x + 10.1) - 10.1


def found(f, x):
    """What may be decided otherwise, the program, and the slopes in each direction as they are: (inputs, outputs)."""
    traced = Traced(f, jnp.asarray(x, "bfloat16"))
    runs = []
    for rng in (None, *np.random.default_rng(0).spawn(RUNS)):
        run = RecordingRun(rounding=rng, coarsest=UNIT)
        run(traced.program, constant(x))
        runs.append(run.decisions)
    return find_turned_decisions(runs, FACTOR), traced.program, slopes(Run(), traced.program, x)


def slopes(run, program, x, side=1.0):
    (y,) = run(program, Increment(x, side * STEP * np.eye(x.size)))
    change = y.change if np.ndim(y.change) else np.zeros((x.size, *np.shape(y.value)))
    return side * change.reshape(x.size, -1) / STEP


def ranges(f, x):
    """The least and the most of all slopes, whatever is decided."""
    (ways, tied), program, here = found(f, x)
    sides = [here, *(slopes(TurnedRun(decisions=iter(way)), program, x) for way in ways)]
    sides += [slopes(TurnedRun(decisions=iter(tied)), program, x, side) for side in (1.0, -1.0)] if tied else []
    return np.min(sides, axis=0), np.max(sides, axis=0)


KINKS = {
    "abs": (jnp.abs, -1.0, 1.0),
    "max": (lambda y: jnp.maximum(y, 0.0), 0.0, 1.0),
    "min": (lambda y: jnp.minimum(0.0, 3.0 * y), 0.0, 3.0),
    "clamp": (lambda y: jax.lax.clamp(jnp.zeros((), y.dtype), y, jnp.full((), 20.0, y.dtype)), 0.0, 1.0),
    "a choice": (lambda y: jnp.where(y > 0.0, 2.0 * y, 0.5 * y), 0.5, 2.0),
    "a sign": (lambda y: jnp.sign(y) * y, -1.0, 1.0),
    "a floor": (lambda y: jnp.floor(y) * y, -1.0, 0.0),
    "a ceiling": (lambda y: jnp.ceil(y) * y, 0.0, 1.0),
    "a rounding": (lambda y: jnp.round(y + 0.5) * y, 0.0, 1.0),
    "a cast": (lambda y: (y + 1.0).astype(int) * y, 0.0, 1.0),
    "a remainder": (lambda y: jnp.abs(jax.lax.rem(y + 1.0, jnp.ones_like(y)) - 0.5), -1.0, 1.0),
    "a branch": (lambda y: jax.lax.cond(y[0] > 0.0, lambda y: 2.0 * y, lambda y: y, y), 1.0, 2.0),
}


@pytest.mark.parametrize("name", KINKS)
def test_what_cancels_is_decided_both_ways(name):
    kinked, least, most = KINKS[name]
    low, high = ranges(lambda x: kinked(cancelled(x)), NEAR)
    assert (low[0, 0], high[0, 0]) == pytest.approx((least, most))


ORDERS = {
    "the largest": jnp.max,
    "the smallest": lambda y: -jnp.min(-y),
    "sorted": lambda y: jnp.sort(y)[-1],
    "the first of some": lambda y: jax.lax.top_k(y, 1)[0],
    "a running one": lambda y: jax.lax.cummax(y)[-1],
    "an index": lambda y: y[jnp.argmax(y)],
    "in a window": lambda y: jax.lax.reduce_window(y, -jnp.inf, jax.lax.max, (4,), (4,), "VALID"),
}


@pytest.mark.parametrize("name", ORDERS)
def test_either_of_two_numbers_may_be_the_largest(name):
    low, high = ranges(lambda x: ORDERS[name](cancelled(x)), np.array([1.0, 1.0 + 1e-5, -1.0, 0.1]))
    assert low[:2, 0].tolist() == [0.0, 0.0]
    assert high[:, 0].tolist() == [1.0, 1.0, 0.0, 0.0]


def test_any_of_many_numbers_may_be_the_largest():
    """More of them than runs."""
    x = 1.0 + 1e-6 * np.arange(3.0 * RUNS)
    low, high = ranges(lambda x: jnp.max(cancelled(x)), x)
    assert low.max() == 0.0
    assert high.min() == 1.0


@pytest.mark.parametrize("f", [jnp.abs, jnp.max, jnp.sort, jnp.floor, lambda y: jnp.where(y > 2.0, y, 2.0 * y)])
def test_what_rounding_cannot_reach_stays_as_it_is(f):
    (ways, tied), *_ = found(lambda x: f(cancelled(x)), np.array([1.5, 3.4, -4.7]))
    assert not ways
    assert not tied


@pytest.mark.parametrize("f", [jnp.abs, lambda x: jnp.maximum(x, 1.0), jnp.max, jnp.sort, jnp.floor])
def test_numbers_that_are_given_are_not_rounded(f):
    (ways, tied), *_ = found(f, np.array([1e-30, 1.0 - 2.0**-24, 1.0 + 2.0**-23]))
    assert not ways
    assert not tied


def test_a_run_that_decides_otherwise_computes_with_its_own_numbers():
    (ways, _), program, _ = found(lambda x: jnp.abs(cancelled(x)), NEAR)
    (y,), (own,) = TurnedRun(decisions=iter(ways[0]))(program, constant(NEAR)), Run()(program, constant(NEAR))
    assert np.array_equal(y.value, own.value)


def test_infinities_decide_as_they_are():
    (ways, tied), *_ = found(lambda x: jnp.max(jnp.where(x > 0.0, cancelled(x), -jnp.inf)), np.array([-1.0, 2.0, -3.0]))
    assert not ways
    assert not tied


def test_loops_that_end_otherwise_are_left_out():
    """What they decide does not stand beside what the first run decided."""

    def halved(x):
        return jax.lax.while_loop(lambda y: jnp.abs(y[0]) > 1e-4, lambda y: 0.5 * cancelled(y), x)

    traced, decisions = Traced(halved, jnp.ones(1, "bfloat16")), []
    for rng in (None, np.random.default_rng(0)):
        run = RecordingRun(rounding=rng, coarsest=UNIT)
        run(traced.program, constant(np.ones(1)))
        decisions.append(run.decisions)
    assert len(decisions[0]) != len(decisions[1])
    assert not any(find_turned_decisions(decisions, FACTOR))
