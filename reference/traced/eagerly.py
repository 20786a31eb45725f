"""A function run eagerly, as Python runs it: its primitives by the interpreter, and not by XLA one by one.

What is looked for is a function that takes another way where it is not traced. Each of its primitives compiled alone
would cost more than all the rest of a check. One that the interpreter has no rule for is JAX's to run.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax._src import core  # what runs a primitive that is not traced, in every release so far

from reference.arithmetics.increments import Increment, constant
from reference.traced.interpreter import RULES, Run
from reference.traced.primitives import control_flow
from reference.traced.program import Equation, Program, is_key, kind, lifted, read


class InOwnTypes(Run):
    """A run that rounds every result to its type, as the program does."""

    def equation(self, equation: Equation, operands: Sequence[Increment]) -> Sequence[Increment]:
        outputs = super().equation(equation, operands)
        with np.errstate(all="ignore"):
            return [
                constant(lifted(np.asarray(y.value).astype(dtype))) if kind(dtype) in ("f", "c") else y
                for y, dtype in zip(outputs, equation.dtypes)
            ]


def values_of(program: Program, *arguments: Any) -> list[Any]:
    """The results of a program in its own types."""
    results = InOwnTypes()(program, *(constant(lifted(x)) for x in arguments))
    return [y.value if is_key(y.value) else np.asarray(y.value).astype(t) for y, t in zip(results, program.dtypes)]


def eagerly(function: Callable[..., Any], *arrays: Any) -> Any:
    """What the function returns when nothing of it is traced or compiled as a whole."""
    trace = _Eager()
    try:
        with core.set_current_trace(trace):
            return function(*arrays)
    finally:
        trace.programs.clear()  # JAX's caches keep the trace of a custom rule, and with it this one, for good


class _Eager(core.EvalTrace):
    """JAX's own way to run what is not traced, with the interpreter in the place of a compiler."""

    def __init__(self) -> None:
        super().__init__()
        self.programs: dict[Any, Program] = {}

    def process_primitive(self, primitive: Any, args: Sequence[Any], params: Any, /) -> Any:
        program = self._program(primitive, args, params)
        if program is None:
            return super().process_primitive(primitive, args, params)
        found = [y if is_key(y) else jax.device_put(y) for y in values_of(program, *args)]
        return found if primitive.multiple_results else found[0]

    def process_custom_jvp_call(self, *what: Any, **how: Any) -> Any:
        with core.set_current_trace(self):
            return super().process_custom_jvp_call(*what, **how)

    def process_custom_vjp_call(self, *what: Any, **how: Any) -> Any:
        with core.set_current_trace(self):
            return super().process_custom_vjp_call(*what, **how)

    def _program(self, primitive: Any, args: Sequence[Any], params: Any) -> Program | None:
        """The primitive as a program of its own; None where it is JAX's to run."""
        is_ours = primitive.name in control_flow.RULES or (primitive.name in RULES and not any(map(is_key, args)))
        if not is_ours or any(getattr(x, "committed", False) for x in args):  # to a device
            return None
        types = tuple(core.typeof(x) for x in args)
        try:
            key = primitive, types, tuple(params.items())
            known = self.programs.get(key)
        except TypeError:  # of parameters that cannot be told apart
            key = known = None
        if known is None:
            known = read(jax.make_jaxpr(lambda *x: primitive.bind(*x, **params))(*args))
            if any(getattr(v.aval, "weak_type", False) for v in known.raw.jaxpr.outvars):  # NumPy has no such types
                return None
            if key is not None:
                self.programs[key] = known
        return known
