"""Bugs that any rule can have: each makes a wrong rule of a right one.

A bug in what a rule answers changes each cotangent, or the one output tangent, and stays linear in it, so that JAX
can transpose a forward rule; a bug in what a rule is given is for backward rules alone.
"""

import random
from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from harness.study.rules.rule import Rule

Answer = Callable[[Any, Any], Any]
"""``change(cotangent, argument)``; of a forward rule, ``change(tangent, output)``."""

TINY = 1e-9


def _transposed(c: Any, x: Any) -> Any:
    return c.T if c.ndim == 2 and c.shape[0] == c.shape[1] else c


def _rows_averaged(c: Any, x: Any) -> Any:
    return jnp.broadcast_to(c.mean(axis=0), c.shape) if c.ndim == 2 else c


def _first_entry(factor: float) -> Answer:
    """The first entry, times a factor."""
    return lambda c, x: c * jnp.ones(c.size).at[0].set(factor).reshape(c.shape)


ANSWERS: Mapping[str, Answer] = {
    "the sign": lambda c, x: -c,
    "a factor 1.001": lambda c, x: 1.001 * c,
    "a mean for a sum": lambda c, x: c / max(2, c.size),
    "a billionth in one term": _first_entry(1.0 + TINY),
    "wrong sign on one branch": lambda c, x: jnp.where(x > 0.0, c, -c),
    "a mask too many": lambda c, x: c * (np.arange(c.size) % 3 != 1).reshape(c.shape),
    "one entry twice": _first_entry(2.0),
    "off by one": lambda c, x: jnp.roll(c, 1, axis=0) if c.ndim else c,
    "transposed": _transposed,
    "rows averaged": _rows_averaged,
    "nothing comes back": lambda c, x: 0.0 * c,
    "NaN in one entry": _first_entry(float("nan")),
    "rounded to float32": lambda c, x: c.astype("float32").astype(c.dtype),
    "another answer each time": lambda c, x: (1.0 + 1e-3 * random.random()) * c,
}


def _dropped_cotangent(backward: Callable[..., Any], rule: Rule) -> Callable[..., Any]:
    return lambda saved, g: backward(saved, jnp.ones_like(g))


def _size_of_cotangent(backward: Callable[..., Any], rule: Rule) -> Callable[..., Any]:
    return lambda saved, g: backward(saved, jnp.abs(g))


def _stale(backward: Callable[..., Any], rule: Rule) -> Callable[..., Any]:
    """What was saved is of the call before."""
    before = tuple(0.9 * x for x in rule.arguments)
    return lambda saved, g: backward((before, rule.function(*before)), g)


def _beside(backward: Callable[..., Any], rule: Rule) -> Callable[..., Any]:
    """An epsilon that is added to the argument in the derivative alone."""

    def wrong(saved: Any, g: Any) -> Any:
        arguments = tuple(x + 1e-6 for x in saved[0])
        return backward((arguments, rule.function(*arguments)), g)

    return wrong


def _float32_inside(backward: Callable[..., Any], rule: Rule) -> Callable[..., Any]:
    def wrong(saved: Any, g: Any) -> Any:
        arguments, output = saved
        low = tuple(x.astype("float32") for x in arguments), output.astype("float32")
        cotangents = backward(low, g.astype("float32"))
        return tuple(c.astype(x.dtype) for c, x in zip(cotangents, arguments))

    return wrong


def _last_argument_forgotten(backward: Callable[..., Any], rule: Rule) -> Callable[..., Any]:
    def wrong(saved: Any, g: Any) -> Any:
        *others, last = backward(saved, g)
        return (*others, jnp.zeros_like(last))

    return wrong


def _arguments_swapped(backward: Callable[..., Any], rule: Rule) -> Callable[..., Any]:
    return lambda saved, g: backward(saved, g)[::-1]


INPUTS: Mapping[str, Callable[[Callable[..., Any], Rule], Callable[..., Any]]] = {
    "the cotangent dropped": _dropped_cotangent,
    "the cotangent's sign dropped": _size_of_cotangent,
    "a stale residual": _stale,
    "an epsilon on one side": _beside,
    "float32 inside": _float32_inside,
}
UNREPEATABLE = "another answer each time"
OF_THE_COTANGENT = ("the cotangent dropped", "the cotangent's sign dropped")
"""Shown in no larger program, which may happen to hand on what these answer rightly."""


def wrong_rules(rule: Rule) -> dict[str, Callable[..., Any]]:
    """Every wrong rule that can be made of a right one, by the name of its bug; some may be right here."""
    found = dict(rule.wrong)
    for name, change in ANSWERS.items():
        found[name] = _in_answer(rule, change)
    if rule.kind == "vjp":
        of_inputs = dict(INPUTS)
        if len(rule.arguments) > 1:
            of_inputs["an argument forgotten"] = _last_argument_forgotten
            if len({x.shape for x in rule.arguments}) == 1:
                of_inputs["arguments swapped"] = _arguments_swapped
        found |= {name: bug(rule.rule, rule) for name, bug in of_inputs.items()}
    for name, wrong in found.items():
        if name not in rule.wrong:
            wrong.__name__ = name.replace(" ", "_").replace("'", "")
    return found


def _in_answer(rule: Rule, change: Answer) -> Callable[..., Any]:
    def push(arguments: Any, tangents: Any) -> Any:
        output, tangent = rule.rule(arguments, tangents)
        return output, change(tangent, output)

    def backward(saved: Any, g: Any) -> Any:
        return tuple(change(c, x) for c, x in zip(rule.rule(saved, g), saved[0]))

    return push if rule.kind == "jvp" else backward
