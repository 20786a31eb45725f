"""Larger programs that a function with a rule is put in: a loop, a branch, a batch, another function."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from harness.study.rules.rule import Rule

Function = Callable[..., Any]


def _in_scan(f: Function) -> Function:
    def looped(x: Any, *others: Any) -> Any:
        return lax.scan(lambda c, t: ((y := f(t * c, *others)), y), x, jnp.array([1.0, 0.9, 1.1]))[0]

    return looped


def _in_batch(f: Function) -> Function:
    return lambda x, *others: jax.vmap(lambda t: f(t * x, *others))(jnp.array([1.0, 0.8]))


def _in_branch(f: Function) -> Function:
    def branched(x: Any, *others: Any) -> Any:
        return lax.cond(jnp.sum(x) < 1e6, f, lambda *x: jax.tree.map(jnp.zeros_like, f(*x)), x, *others)

    return branched


def _in_loss(f: Function) -> Function:
    return lambda *x: jnp.sum(jnp.sin(0.3 + f(*x)) ** 2)


PLACES: Mapping[str, Callable[[Function], Function]] = {
    "alone": lambda f: f,
    "in a loss": _in_loss,
    "in a scan": _in_scan,
    "in jit": jax.jit,
    "in vmap": _in_batch,
    "in cond": _in_branch,
    "in checkpoint": jax.checkpoint,
}


def fits(place: str, rule: Rule) -> bool:
    """A scan hands a function what it answered before, which has to have the form of its argument."""
    if place != "in a scan":
        return True
    with jax.enable_x64(True):
        output = jax.eval_shape(rule.function, *rule.arguments)
    return output.shape == np.shape(rule.arguments[0]) and output.dtype == rule.arguments[0].dtype
