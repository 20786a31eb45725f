"""A function run eagerly, as Python runs it: its primitives by the interpreter, and not by XLA one by one.

A function may take another branch where it is not traced, by ``isinstance(x, jax.core.Tracer)`` or by a value. To
compile each of its primitives alone would cost more than all the rest of a check. JAX runs those that the interpreter
has no rule for.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from reference import jax_internals
from reference.arithmetics.increments import Increment, constant
from reference.traced.equations import Equation, Program, in_types, is_key, kind, lifted
from reference.traced.interpreter import Run
from reference.traced.primitives import primitive_named
from reference.traced.traced_function import read


class InOwnTypes(Run):
    """A run that rounds every result to its type, as the program does."""

    def equation(self, equation: Equation, operands: Sequence[Increment]) -> Sequence[Increment]:
        return in_own_types(equation, super().equation(equation, operands))


@np.errstate(all="ignore")
def in_own_types(equation: Equation, outputs: Sequence[Increment]) -> Sequence[Increment]:
    """An equation's outputs, rounded to their types."""
    return [
        constant(lifted(np.asarray(y.value).astype(dtype))) if kind(dtype) in ("f", "c") else y
        for y, dtype in zip(outputs, equation.dtypes)
    ]


def values_of(program: Program, *arguments: Any) -> list[Any]:
    """The results of a program in its own types."""
    results = InOwnTypes()(program, *(constant(lifted(x)) for x in arguments))
    return in_types([y.value for y in results], program.dtypes)


def eagerly(function: Callable[..., Any], *arrays: Any) -> Any:
    """The results of a function when nothing of it is traced or compiled as a whole."""
    programs: dict[Any, Program] = {}

    def run(primitive: Any, args: Sequence[Any], params: Any) -> list[Any] | None:
        program = _program_of(primitive, args, params, programs)
        if program is None:
            return None
        return [y if is_key(y) else jax.device_put(y) for y in values_of(program, *args)]

    try:
        return jax_internals.evaluate_with(run, function, *arrays)
    finally:
        programs.clear()  # JAX's caches keep the trace of a custom rule for good, and with it this function


def _program_of(primitive: Any, args: Sequence[Any], params: Any, known: dict[Any, Program]) -> Program | None:
    """The primitive as a program of its own, kept in `known`; None where JAX is to run it."""
    record = primitive_named(primitive.name)
    is_ours = record.rule and (record.takes_keys or not any(map(is_key, args)))
    if not is_ours or any(getattr(x, "committed", False) for x in args):  # to a device
        return None
    # alike for arguments of the same types, as a loop in Python calls it again and again
    key = primitive, tuple(map(jax_internals.abstract_type, args)), tuple(params.items())
    try:
        if key in known:
            return known[key]
    except TypeError:  # parameters that have no hash
        key = None
    program = read(jax.make_jaxpr(lambda *x: primitive.bind(*x, **params))(*args))
    if any(map(jax_internals.has_weak_type, program.raw.jaxpr.outvars)):  # NumPy has no such types
        return None
    if key is not None:
        known[key] = program
    return program
