"""A function that JAX traced: its program, and JAX's own results; and a function that Python runs as it stands.

A function may take another branch where it is not traced, by ``isinstance(x, jax.core.Tracer)`` or by a value. To
compile each of its primitives alone would cost more than all the rest of a check, so the interpreter runs them. JAX
runs those that the interpreter has no rule for.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any

import jax
import jax.extend as jex
import numpy as np

from reference import jax_internals
from reference.arithmetics.increments import Increment, constant
from reference.jax_settings import compiler_options, devices_of, known_options
from reference.traced.equations import (
    UNREAD,
    UNUSED,
    Constant,
    Equation,
    Program,
    has_derivatives,
    host,
    in_types,
    is_key,
    lifted,
    only_moves,
)
from reference.traced.interpreter import Run
from reference.traced.primitive import EXACT, Compilation, Primitive
from reference.traced.primitives import PRIMITIVES, primitive_named

LEAKED = (
    "f uses a traced array that it kept from another call (a leaked tracer), so its program depends on more than its "
    "arguments; return such an array instead of keeping it"
)

UNFUSED = {"xla_disable_hlo_passes": "fusion", "xla_cpu_use_fusion_emitters": True}
"""Options for a single long formula: operation by operation, which the emitters do the fastest.

A formula is long where each result is used several times by the next: x_{k+1} = x_k · x_k + x_k has some 3ᵏ operations,
once x_k is written out wherever it is used.
"""

LONGEST_FUSED = 2.0**128
"""XLA's fusion takes time that grows without bound with the operations written out. Of the gradient of four Runge-Kutta
steps it takes no time, and of ten it takes ten times as long as the rest. A step of Diffrax is a formula of 2¹⁰³
operations, by a chain of 100 nearest numbers, and takes three times as long without fusion."""


class Traced:
    """A function f of trees of arrays, traced once, at arguments that are examples of their shapes and types.

    Raises TypeError where f uses a traced array of another call.
    """

    def __init__(self, f: Callable[..., Any], *arguments: Any):
        self._traced = jax.jit(f).trace(*arguments)
        self._compiled: dict[bool, Callable[..., Any]] = {}
        # a tracer of another call becomes a further input of the program
        if len(self._traced.jaxpr.in_avals) > len(jax.tree.leaves(arguments)):
            raise TypeError(LEAKED)
        self.devices = devices_of(arguments)

    @cached_property
    def program(self) -> Program:
        return read(self._traced.jaxpr, self.devices[0].platform)

    @property
    def outputs(self) -> list[Any]:
        """Shapes and types of what the function returns."""
        return jax.tree.leaves(self._traced.out_info)

    @property
    def has_effects(self) -> bool:
        """Whether the function does something beside returning numbers, such as printing."""
        return bool(self._traced.jaxpr.effects)

    def __call__(self, *arguments: Any, quickly: bool = True) -> Any:
        """JAX's results, compiled quickly or as for a caller."""
        if quickly not in self._compiled:
            options = options_for(self._traced.jaxpr, quickly=quickly)
            self._compiled[quickly] = self._traced.lower().compile(compiler_options=options)
        return self._compiled[quickly](*arguments)


def mapped(closed: Any, count: int) -> Traced:
    """A jaxpr of JAX's for `count` of each argument at once."""
    arguments = [jax.ShapeDtypeStruct((count, *x.shape), x.dtype) for x in closed.in_avals]
    return Traced(jax.vmap(jex.core.jaxpr_as_fun(closed)), *arguments)


# -- reading ----------------------------------------------------------------------------------------------------------


def read(closed: Any, platform: str = "cpu", live: Sequence[bool] | None = None) -> Program:
    """A `Program` from JAX's jaxpr, with its constants where it has some; only the results that are `live`."""
    jaxpr, constants = (closed.jaxpr, closed.consts) if hasattr(closed, "consts") else (closed, ())
    slots: dict[Any, int] = {}  # in the order in which variables are met

    def slot(variable: Any) -> int:
        return slots.setdefault(variable, len(slots))

    def atom(variable: Any) -> Any:
        return Constant(jax_internals.literal_value(variable)) if _is_literal(variable) else slot(variable)

    arguments = tuple(slot(variable) for variable in jaxpr.invars)
    holders = [slot(variable) for variable in jaxpr.constvars]
    is_read = [True] * len(jaxpr.outvars) if live is None else live
    wanted = [variable for variable, wants in zip(jaxpr.outvars, is_read) if wants]
    equations = tuple(_equation(eqn, used, slot, atom, platform) for eqn, used in _needed(jaxpr.eqns, wanted))
    results = tuple(atom(v) if wants else UNREAD for v, wants in zip(jaxpr.outvars, is_read))
    dtypes = tuple(map(jax_internals.dtype_of, jaxpr.outvars))
    values = tuple(zip(holders, map(host, constants)))
    return Program(len(slots), arguments, values, equations, results, dtypes, closed)


def _is_literal(variable: Any) -> bool:
    return isinstance(variable, jex.core.Literal)


def _needed(eqns: Sequence[Any], wanted: Sequence[Any]) -> list[tuple[Any, list[bool]]]:
    """The equations whose outputs somebody reads, and which outputs these are."""
    is_wanted = {v for v in wanted if not _is_literal(v)}
    needed = []
    for eqn in reversed(eqns):
        live = [v in is_wanted for v in eqn.outvars]
        if any(live):
            is_wanted.update(v for v in eqn.invars if not _is_literal(v))
            needed.append((eqn, live))
    return needed[::-1]


def _equation(
    eqn: Any, live: Sequence[bool], slot: Callable[..., int], atom: Callable[..., Any], platform: str
) -> Equation:
    primitive = _record_of(eqn)
    # of a plain call, its program need not compute what nobody reads; a loop or a custom rule runs as a whole
    live_within = live if primitive.is_call else None
    return Equation(
        primitive,
        tuple(map(atom, eqn.invars)),
        tuple(slot(v) if is_live else UNUSED for v, is_live in zip(eqn.outvars, live)),
        {key: _readable(value, platform, live_within) for key, value in jax_internals.parameters_of(eqn).items()},
        tuple(map(jax_internals.shape_of, eqn.outvars)),
        tuple(map(jax_internals.dtype_of, eqn.outvars)),
        tuple(map(jax_internals.dtype_of, eqn.invars)),
        eqn,
        platform,
    )


def _record_of(eqn: Any) -> Primitive:
    """What is known of the primitive of an equation.

    One that a library wrote in JAX's operations runs as these, if they only move and choose numbers: of what computes,
    such as a linear solver that is given a factorisation, the parts have other derivatives than the whole.
    """
    name = eqn.primitive.name
    if name not in PRIMITIVES and (written := jax_internals.implementation_of(eqn)):
        program = read(written)
        if only_moves(program):
            rule = lambda run, equation, *operands: run(program, *operands)  # noqa: E731
            return Primitive(name, rule, rule, EXACT, takes_keys=True)
    return primitive_named(name)


def _readable(value: Any, platform: str, live: Sequence[bool] | None = None) -> Any:
    """A parameter with programs in the place of jaxprs: one, or several, as the branches of a cond are."""
    if _is_jaxpr(value):
        return read(value, platform, live)
    if isinstance(value, tuple) and any(map(_is_jaxpr, value)):
        programs = [_readable(v, platform) for v in value]
        return type(value)(*programs) if hasattr(value, "_fields") else tuple(programs)
    return value


def _is_jaxpr(value: Any) -> bool:
    return isinstance(value, (jex.core.ClosedJaxpr, jex.core.Jaxpr))


# -- compiling --------------------------------------------------------------------------------------------------------


def options_for(closed: Any, *, quickly: bool = True) -> dict[str, Any]:
    """XLA's options for a program of JAX's: quick, and without fusion for a single long formula."""
    is_long = longest_formula(closed.jaxpr) > LONGEST_FUSED
    return compiler_options(quickly) | known_options(UNFUSED if is_long else {})


def longest_formula(jaxpr: Any) -> float:
    """How many operations the longest formula has, where each is written out wherever it is used."""
    return max(_formula_sizes(jaxpr, [0.0] * len(jaxpr.invars)))


def _formula_sizes(jaxpr: Any, arguments: Sequence[float]) -> list[float]:
    """The operations of each result, from those of the arguments; and last, the most of any formula within."""
    sizes, most = dict(zip(jaxpr.invars, arguments)), 0.0

    def size(atom: Any) -> float:
        return 0.0 if _is_literal(atom) else sizes.get(atom, 0.0)

    for eqn in jaxpr.eqns:
        operands, within = list(map(size, eqn.invars)), list(_jaxprs_in(eqn))
        own = [1.0 + sum(operands)] * len(eqn.outvars)
        most = max([most, *own])
        # what is computed once and kept is one operation to whatever reads it
        is_fused = primitive_named(eqn.primitive.name).compilation is Compilation.FUSED
        if not is_fused or (within and len(within[0].invars) != len(operands)):
            own = [1.0] * len(own)
            most = max([most, *map(longest_formula, within)])
        elif within:  # a call is written out together with what is around it
            *own, inside = _formula_sizes(within[0], operands)
            most = max(most, inside)
        sizes.update(zip(eqn.outvars, own))
    return [*map(size, jaxpr.outvars), most]


def _jaxprs_in(eqn: Any) -> Iterator[Any]:
    for value in eqn.params.values():
        for one in value if isinstance(value, tuple) else (value,):
            if _is_jaxpr(one):
                yield getattr(one, "jaxpr", one)


# -- run eagerly ------------------------------------------------------------------------------------------------------


class InOwnTypes(Run):
    """A run that rounds every result to its type, as the program does."""

    def equation(self, equation: Equation, operands: Sequence[Increment]) -> Sequence[Increment]:
        return in_own_types(equation, super().equation(equation, operands))


@np.errstate(all="ignore")
def in_own_types(equation: Equation, outputs: Sequence[Increment]) -> Sequence[Increment]:
    """An equation's outputs, rounded to their types."""
    return [
        constant(lifted(np.asarray(y.value).astype(dtype))) if has_derivatives(dtype) else y
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
