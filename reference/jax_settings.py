"""JAX's settings: those that could alter a result, the device that computes, and how programs are compiled.

The caller's own settings are neither read nor changed: these hold for the length of a context.
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from functools import cache
from typing import Any

import jax

from reference import jax_internals


def settings(x64: bool) -> ExitStack:
    """A context with the switches fixed that could alter a result; where arrays live is left as it is."""
    stack = ExitStack()
    for setting in (
        in_64_bits(x64),
        jax.numpy_rank_promotion("allow"),  # to "raise" would refuse formulas that are right
        jax.debug_nans(False),  # these would raise where a check wants to see the NaN
        jax.debug_infs(False),
        jax.enable_checks(False),  # of JAX itself: some of its own functions fail them once they are compiled
    ):
        stack.enter_context(setting)
    return stack


def precisely(x64: bool = True) -> ExitStack:
    """The same in float64 even where the caller's JAX has 32 bits, and on the CPU: no accelerator keeps all of them."""
    stack = settings(x64)
    stack.enter_context(jax.default_device(jax.devices("cpu")[0]))
    return stack


def fixed_settings(x64: bool = True) -> ExitStack:
    """The same with full matrix products and JAX's own promotion of types, for formulas that are this project's own."""
    stack = precisely(x64)
    stack.enter_context(jax.default_matmul_precision("highest"))
    stack.enter_context(jax.numpy_dtype_promotion("standard"))
    return stack


@contextmanager
def in_64_bits(wanted: bool = True) -> Iterator[None]:
    """JAX in 64 bits for a while, or in 32.

    JAX remembers by identity what it made of a NumPy array, and returns that whatever the switch is by now: to a
    function that closes over an index array, and ran with the other number of bits before. So each array is converted
    anew here.
    """
    changes = wanted != bool(jax.config.read("jax_enable_x64"))
    with jax_internals.without_remembered_arrays() if changes else nullcontext(), jax.enable_x64(wanted):
        yield


def devices_of(arguments: Any) -> list[Any]:
    """The devices on which JAX computes with these arguments: theirs, or the one that it takes by default."""
    # only arrays that the caller put somewhere; the others follow the default
    leaves = (leaf for leaf in jax.tree.leaves(arguments) if getattr(leaf, "committed", False))
    default = jax.config.jax_default_device  # pyright: ignore[reportAttributeAccessIssue]  JAX adds it by name
    default = default if isinstance(default, jax.Device) else jax.devices(default)[0]
    return sorted({device for leaf in leaves for device in leaf.devices()}, key=lambda d: d.id) or [default]


# -- compilation ------------------------------------------------------------------------------------------------------

QUICKLY = {
    "xla_backend_optimization_level": 0,
    "xla_cpu_use_fusion_emitters": False,
    "xla_cpu_parallel_codegen_split_count": 1,
}
"""XLA's options: machine code in a third of the time, for what runs a few times. The last keeps a program in one piece:
to split it for several threads costs a fifth more.

It rounds otherwise than a caller's own: a number that two operations read may be computed twice, each time with other
roundings (a mean, once in a difference and once in its derivative), which cancel elsewhere. So nobody is accused on its
evidence: whoever is in question is asked again without these options."""

ONE_AFTER_ANOTHER = {"xla_cpu_scheduler_type": "CPU_SCHEDULER_TYPE_MEMORY_OPTIMIZED"}
"""Batched factorisations side by side wait for threads that wait for them, forever (jaxlib 0.10 on two cores)."""


def compiler_options(quickly: bool = True) -> dict[str, Any]:
    """XLA's options for a program that runs a few times, or as for a caller."""
    return known_options(ONE_AFTER_ANOTHER | (QUICKLY if quickly else {}))


def known_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the options that this XLA has."""
    return {name: value for name, value in options.items() if _is_known(name, value)}


@cache
def _is_known(name: str, value: Any) -> bool:
    # XLA names no options that it has; it refuses those that it has not
    with suppress(jax.errors.JaxRuntimeError):
        jax.jit(lambda: 0).lower().compile(compiler_options={name: value})
        return True
    return False
