"""Functions of JAX that carry a derivative rule of their own, right or wrong, each made in one line."""

from inspect import signature

import jax


def with_jvp(name, value, rule):
    """A function whose JVP is rule(primals, tangents) -> (value, tangent)."""
    f = jax.custom_jvp(named(name, value))
    f.defjvp(rule)
    return f


def with_vjp(name, value, backward, forward=None):
    """A function whose VJP is backward(kept, cotangent) -> cotangents. Without `forward`, its one input is kept."""
    f = jax.custom_vjp(named(name, value))
    f.defvjp(forward or (lambda x: (f(x), x)), backward)
    return f


def with_vmap(name, value, rule):
    """A function whose rule for vmap is rule(size, are_batched, *inputs) -> (values, are_batched)."""
    f = jax.custom_batching.custom_vmap(named(name, value))
    f.def_vmap(rule)
    return f


def named(name, function):
    """A function under a name of its own, with the arguments' names that it has."""

    def same(*arguments):
        return function(*arguments)

    same.__name__, same.__signature__ = name, signature(function)  # pyright: ignore[reportFunctionMemberAccess]
    return same
