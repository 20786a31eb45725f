"""Bugs that any derivative rule can have, and larger programs that hold a function with a rule.

A bug in what a rule returns changes each cotangent, or the one output tangent. It stays linear in it, so that JAX can
transpose a forward rule. A bug in what a rule is given is for backward rules alone.
"""

import random
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from harness.study.traced_functions import Function, RuleFunction, Saved, named

Change = Callable[[Any, Any], Any]  # ``change(cotangent, argument)``; of a forward rule, ``change(tangent, output)``

# -- in what a rule returns --------------------------------------------------------------------------------------------

TINY = 1e-9


def _first_entry(factor: float) -> Change:
    """The first entry times a factor."""
    return lambda c, x: c * jnp.ones(c.size).at[0].set(factor).reshape(c.shape)


UNREPEATABLE = "another answer each time"

# Each is linear in c, also "rounded to float32", but for its roundings.
ANSWERS: Mapping[str, Change] = {
    "the sign": lambda c, x: -c,
    "a factor 1.001": lambda c, x: 1.001 * c,
    "a mean for a sum": lambda c, x: c / max(2, c.size),
    "a billionth in one term": _first_entry(1.0 + TINY),
    "wrong sign on one branch": lambda c, x: jnp.where(x > 0.0, c, -c),
    "a mask too many": lambda c, x: c * (np.arange(c.size) % 3 != 1).reshape(c.shape),
    "one entry twice": _first_entry(2.0),
    "off by one": lambda c, x: jnp.roll(c, 1, axis=0) if c.ndim else c,
    "transposed": lambda c, x: c.T if c.ndim == 2 and c.shape[0] == c.shape[1] else c,
    "rows averaged": lambda c, x: jnp.broadcast_to(c.mean(axis=0), c.shape) if c.ndim == 2 else c,
    "nothing comes back": lambda c, x: 0.0 * c,
    "NaN in one entry": _first_entry(float("nan")),
    "rounded to float32": lambda c, x: c.astype("float32").astype(c.dtype),
    UNREPEATABLE: lambda c, x: (1.0 + 1e-3 * random.random()) * c,
}


def _in_answer(f: RuleFunction, change: Change) -> Function:
    def push(arguments: Any, tangents: Any) -> Any:
        output, tangent = f.rule(arguments, tangents)
        return output, change(tangent, output)

    def backward(saved: Saved, g: Any) -> Any:
        return tuple(change(c, x) for c, x in zip(f.rule(saved, g), saved.arguments))

    return push if f.kind == "jvp" else backward


# -- in what a rule is given -------------------------------------------------------------------------------------------


def _float32_inside(f: RuleFunction) -> Function:
    def wrong(saved: Saved, g: Any) -> Any:
        low = jax.tree.map(lambda x: x.astype("float32"), saved)
        return tuple(c.astype(x.dtype) for c, x in zip(f.rule(low, g.astype("float32")), saved.arguments))

    return wrong


OF_THE_COTANGENT: Mapping[str, Callable[[RuleFunction], Function]] = {
    "the cotangent dropped": lambda f: lambda saved, g: f.rule(saved, jnp.ones_like(g)),
    "the cotangent's sign dropped": lambda f: lambda saved, g: f.rule(saved, jnp.abs(g)),
}
"""These are shown in no larger program, in which they may happen to be right."""

INPUTS: Mapping[str, Callable[[RuleFunction], Function]] = {
    **OF_THE_COTANGENT,
    "a stale residual": lambda f: lambda saved, g: f.rule(f.save(*(0.9 * x for x in f.arguments)), g),
    "an epsilon on one side": lambda f: lambda saved, g: f.rule(f.save(*(x + 1e-6 for x in saved.arguments)), g),
    "float32 inside": _float32_inside,
}


def wrong_rules(f: RuleFunction) -> dict[str, Function]:
    """Every wrong rule that can be made from a right one, by the name of its bug; some may be right here."""
    made = {name: _in_answer(f, change) for name, change in ANSWERS.items()}
    if f.kind == "vjp":
        made |= {name: plant(f) for name, plant in INPUTS.items()}
        if len(f.arguments) > 1:
            made["an argument forgotten"] = lambda saved, g: (*f.rule(saved, g)[:-1], 0.0 * saved.arguments[-1])
            if len({x.shape for x in f.arguments}) == 1:
                made["arguments swapped"] = lambda saved, g: f.rule(saved, g)[::-1]
    return {**f.wrong, **{name: named(rule, name.replace(" ", "_").replace("'", "")) for name, rule in made.items()}}


# -- larger programs ---------------------------------------------------------------------------------------------------


def _in_scan(f: Function) -> Function:
    def looped(x: Any, *others: Any) -> Any:
        return lax.scan(lambda c, t: ((y := f(t * c, *others)), y), x, jnp.array([1.0, 0.9, 1.1]))[0]

    return looped


def _in_branch(f: Function) -> Function:
    return lambda *x: lax.cond(jnp.sum(x[0]) < 1e6, f, lambda *y: jax.tree.map(jnp.zeros_like, f(*y)), *x)


PLACES: Mapping[str, Callable[[Function], Function]] = {
    "alone": lambda f: f,
    "in a loss": lambda f: lambda *x: jnp.sum(jnp.sin(0.3 + f(*x)) ** 2),
    "in a scan": _in_scan,
    "in jit": jax.jit,
    "in vmap": lambda f: lambda x, *others: jax.vmap(lambda t: f(t * x, *others))(jnp.array([1.0, 0.8])),
    "in cond": _in_branch,
    "in checkpoint": jax.checkpoint,
}


def fits(place: str, f: RuleFunction) -> bool:
    """Whether a program can hold the function: a scan needs an output of the form of the first argument."""
    if place != "in a scan":
        return True
    with jax.enable_x64(True):
        output = jax.eval_shape(f.function, *f.arguments)
    return output.shape == np.shape(f.arguments[0]) and output.dtype == f.arguments[0].dtype
