"""What JAX traced, as plain data. This module, `rules`, `eagerly` and `reference.jax_settings` touch JAX's internals.

A `Program` is a list of `Equation`s over numbered slots. Programs within an equation (the body of a scan, the primal of
a custom rule) stand among its parameters, under JAX's own names.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any, NamedTuple

import jax
import jax.extend as jex
import numpy as np
from jax._src.lax import lax  # what makes a traced number weak, in every release so far

from reference.arithmetics.roundoff import UNIT_ROUNDOFF
from reference.jax_settings import devices_of
from reference.traced.compiling import options_for

UNUSED = -1

PRIMALS = ("jaxpr", "call_jaxpr", "fun_jaxpr")
"""The parameter that holds the program of a call."""

CALLS = ("jit", "pjit", "closed_call", "core_call", "call", "remat", "remat2", "checkpoint", "core_closed_call")
"""Primitives that do nothing but run a program."""

COMPARISONS = {
    "eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal,
    "lt_to": np.less, "le_to": np.less_equal, "eq_to": np.equal,
}  # fmt: skip
"""Primitives that compare two numbers, and NumPy's names of them."""


@dataclass(frozen=True, eq=False)
class Equation:
    """One primitive applied.

    Attributes
    ----------
    name : str
        JAX's name of the primitive.
    inputs : tuple
        A slot (an int), or a `Constant`.
    outputs : tuple of int
        Slots; `UNUSED` where nobody reads the output.
    params : dict
        JAX's parameters, with a `Program` in the place of each jaxpr.
    shapes, dtypes : tuples
        Of the outputs.
    raw, platform
        JAX's own equation, for `bind`, and its name of the kind of device that runs it.
    """

    name: str
    inputs: tuple[Any, ...]
    outputs: tuple[int, ...]
    params: Mapping[str, Any]
    shapes: tuple[tuple[int, ...], ...]
    dtypes: tuple[Any, ...]
    input_dtypes: tuple[Any, ...]
    raw: Any
    platform: str = "cpu"
    _kept: dict[str, Any] = field(default_factory=dict, init=False, repr=False)

    def once(self, what: str, make: Callable[[], Any]) -> Any:
        """What is made once for this equation, such as a compiled program of it, and goes when it goes.

        It may refer to the equation, which a table by equations could not let go of then.
        """
        if what not in self._kept:
            self._kept[what] = make()
        return self._kept[what]

    @cached_property
    def kinds(self) -> frozenset[str]:
        """The kinds of all inputs and outputs, "" among them where random keys are."""
        return frozenset(kind(dtype) for dtype in (*self.dtypes, *self.input_dtypes) if dtype is not None)


@dataclass(frozen=True, eq=False)
class Constant:
    """A number that stands in the program."""

    value: Any

    @cached_property
    def wide(self) -> Any:
        """The number in the precision that the interpreter works in."""
        return lifted(self.value)


NOTHING = Constant(np.zeros(()))
"""What stands for a result that nobody reads."""


@dataclass(frozen=True, eq=False, repr=False)  # JAX writes out the arguments of what it compiles
class Program:
    """Equations over slots: arguments first, then what the equations write.

    Attributes
    ----------
    size : the number of slots
    arguments : tuple of int
    constants : pairs of a slot and an array
    equations : tuple of Equation
        What nobody reads is left out.
    results : tuple
        Slots or `Constant`s.
    dtypes : tuple
        Of the results.
    raw : JAX's own jaxpr
    """

    size: int
    arguments: tuple[int, ...]
    constants: tuple[tuple[int, Any], ...]
    equations: tuple[Equation, ...]
    results: tuple[Any, ...]
    dtypes: tuple[Any, ...]
    raw: Any


LEAKED = (
    "f uses a traced array that it kept from another call (a leaked tracer), so that its program is not one of its "
    "arguments alone; return what is to be kept"
)


class Traced:
    """A function of trees of arrays, traced once: its program, what it returns, and, when called, JAX's own answer.

    Parameters
    ----------
    f : callable
    *arguments : trees of arrays
        Examples: of their shapes and types.
    """

    def __init__(self, f: Callable[..., Any], *arguments: Any):
        self._traced = jax.jit(f).trace(*arguments)
        self._compiled: dict[bool, Callable[..., Any]] = {}
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

    def mapped(self, count: int) -> "Traced":
        """The same program for so many of each argument at once."""
        arguments = [jax.ShapeDtypeStruct((count, *x.shape), x.dtype) for x in self._traced.jaxpr.in_avals]
        return Traced(jax.vmap(jex.core.jaxpr_as_fun(self._traced.jaxpr)), *arguments)

    def __call__(self, *arguments: Any, quickly: bool = True) -> Any:
        """JAX's answer, by machine code that is written quickly, or by such as callers get."""
        if quickly not in self._compiled:
            self._compiled[quickly] = self._traced.lower().compile(
                compiler_options=options_for(self._traced.jaxpr, quickly)
            )
        return self._compiled[quickly](*arguments)


def read(closed: Any, platform: str = "cpu", live: Sequence[bool] | None = None) -> Program:
    """A `Program` from JAX's jaxpr, with its constants where it has some; of its results those that are read."""
    jaxpr, constants = (closed.jaxpr, closed.consts) if hasattr(closed, "consts") else (closed, ())
    slots: dict[Any, int] = {}

    def slot(variable: Any) -> int:
        return slots.setdefault(variable, len(slots))

    def atom(variable: Any) -> Any:
        return Constant(_literal(variable)) if isinstance(variable, jex.core.Literal) else slot(variable)

    arguments = tuple(slot(variable) for variable in jaxpr.invars)
    holders = [slot(variable) for variable in jaxpr.constvars]
    read_out = [True] * len(jaxpr.outvars) if live is None else live
    wanted = [variable for variable, is_read in zip(jaxpr.outvars, read_out) if is_read]
    equations = tuple(_equation(eqn, live, slot, atom, platform) for eqn, live in _needed(jaxpr.eqns, wanted))
    results = tuple(atom(v) if is_read else NOTHING for v, is_read in zip(jaxpr.outvars, read_out))
    dtypes = tuple(_dtype(variable) for variable in jaxpr.outvars)
    values = tuple(zip(holders, map(host, constants)))
    return Program(len(slots), arguments, values, equations, results, dtypes, closed)


def _literal(literal: Any) -> Any:
    """A number in the text of a program: some releases keep Python's own there, which NumPy takes for float64."""
    return literal.val if is_key(literal.val) else np.asarray(literal.val, literal.aval.dtype)


def _needed(eqns: Sequence[Any], wanted: Sequence[Any]) -> list[tuple[Any, list[bool]]]:
    """The equations whose outputs are read by somebody, and which outputs are."""
    read_by_somebody = {v for v in wanted if not isinstance(v, jex.core.Literal)}
    needed = []
    for eqn in reversed(eqns):
        live = [v in read_by_somebody for v in eqn.outvars]
        if any(live):
            read_by_somebody.update(v for v in eqn.invars if not isinstance(v, jex.core.Literal))
            needed.append((eqn, live))
    return needed[::-1]


def _equation(
    eqn: Any, live: Sequence[bool], slot: Callable[..., int], atom: Callable[..., Any], platform: str
) -> Equation:
    read_of_call = live if eqn.primitive.name in CALLS else None
    return Equation(
        eqn.primitive.name,
        tuple(map(atom, eqn.invars)),
        tuple(slot(v) if is_live else UNUSED for v, is_live in zip(eqn.outvars, live)),
        {key: _readable(value, platform, read_of_call) for key, value in eqn.params.items()},
        tuple(tuple(getattr(v.aval, "shape", ())) for v in eqn.outvars),
        tuple(_dtype(v) for v in eqn.outvars),
        tuple(_dtype(v) for v in eqn.invars),
        eqn,
        platform,
    )


def _readable(value: Any, platform: str, live: Sequence[bool] | None = None) -> Any:
    """A parameter with programs in the place of jaxprs."""
    if isinstance(value, (jex.core.ClosedJaxpr, jex.core.Jaxpr)):
        return read(value, platform, live)
    if isinstance(value, tuple) and any(isinstance(v, (jex.core.ClosedJaxpr, jex.core.Jaxpr)) for v in value):
        programs = [_readable(v, platform) for v in value]
        return type(value)(*programs) if hasattr(value, "_fields") else tuple(programs)
    return value


def _dtype(variable: Any) -> Any:
    return getattr(variable.aval, "dtype", None)


def host(array: Any) -> Any:
    """A NumPy array from JAX's, unless NumPy has no such type (random keys)."""
    return array if is_key(array) else np.asarray(array)


def is_key(array: Any) -> bool:
    """Whether this is an array of random keys."""
    dtype = None if isinstance(array, type) else getattr(array, "dtype", None)  # np.float32 has one, and is no array
    return dtype is not None and jax.numpy.issubdtype(dtype, jax.dtypes.extended)


def weak(array: Any) -> Any:
    """An array, or a traced one, that takes the type of those that it meets, as Python's own numbers do."""
    return lax._convert_element_type(array, weak_type=True)


def lifted(value: Any) -> Any:
    """A number in the precision that the interpreter works in: float64, or complex128."""
    if is_key(value):
        return value
    value = np.asarray(value)
    letter = kind(value.dtype)
    return value.astype({"f": np.float64, "c": np.complex128}[letter]) if letter in ("f", "c") else value


@cache
def kind(dtype: Any) -> str:
    """The kind of a type: "f" floating, "c" complex, "i" integer, "b" bool, "" what is no number."""
    kinds = {"f": np.floating, "c": np.complexfloating, "i": np.integer, "b": np.bool_}
    return next((letter for letter, group in kinds.items() if jax.numpy.issubdtype(dtype, group)), "")


@cache
def unit_roundoff(dtype: Any) -> float:
    """u of a floating or complex type: half the distance from 1 to the next number."""
    return float(jax.numpy.finfo(dtype).eps) / 2.0


@cache
def smallest_normal(dtype: Any) -> float:
    """The smallest number of a floating or complex type that has all its digits."""
    return float(jax.numpy.finfo(dtype).tiny)


@cache
def underflow(dtype: Any) -> float:
    """What a rounding may take of a number however small: XLA flushes to zero, but not in float16."""
    limits = jax.numpy.finfo(dtype)
    is_gradual = unit_roundoff(dtype) > UNIT_ROUNDOFF["float32"] and limits.tiny > 1e-30
    return float(limits.smallest_subnormal if is_gradual else limits.tiny)


def bind(equation: Equation, values: Sequence[Any]) -> list[Any]:
    """What JAX computes for an equation, from these values."""
    primitive = equation.raw.primitive
    prepared = primitive.get_bind_params(equation.raw.params if programs_in(equation) else dict(equation.params))
    functions, params = prepared if isinstance(prepared, tuple) else ((), prepared)  # a pair before JAX 0.10
    with equation.raw.ctx.manager:
        answer = primitive.bind(*functions, *values, **params)
    return list(answer) if primitive.multiple_results else [answer]


def programs_in(equation: Equation) -> list[Program]:
    """The programs that an equation runs."""
    values = [v for value in equation.params.values() for v in (value if isinstance(value, tuple) else (value,))]
    return [value for value in values if isinstance(value, Program)]


def iterates(program: Program) -> bool:
    """Whether a loop with a condition occurs in it, however deep."""
    return any(eq.name == "while" or any(map(iterates, programs_in(eq))) for eq in program.equations)


def primal_of(equation: Equation) -> Program:
    """The program that a call runs."""
    return next(equation.params[key] for key in PRIMALS if key in equation.params)


def parts_of_solve(lengths: Any, operands: Sequence[Any]) -> tuple[Sequence[Any], Sequence[Any], Sequence[Any]]:
    """What the matvec and the solver of a custom_linear_solve close over, and the right-hand side."""
    ends = np.cumsum([lengths.matvec, lengths.vecmat, lengths.solve, lengths.transpose_solve])
    return operands[: ends[0]], operands[ends[1] : ends[2]], operands[ends[3] :]


class Place(NamedTuple):
    """A function, and where it is written."""

    name: str
    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.name} ({self.file}:{self.line})" if self.file else self.name


NOWHERE = Place("", "", 0)
CUSTOM_RULES = {"custom_jvp_call": "jvp_jaxpr_fun", "custom_vjp_call": "bwd", "custom_vjp_call_jaxpr": "bwd"}
"""Calls with a derivative rule of somebody's own, and the parameter that holds the rule."""


def place_of(info: Any) -> Place:
    """Where a function is written, from JAX's "name at file:line"."""
    name, _, where = str(getattr(info, "func_src_info", info) or "").partition(" at ")
    file, _, line = where.rpartition(":")
    return Place(name, file, int(line) if line.isdigit() else 0)


def function_of(equation: Equation) -> Place:
    """The function with a rule of its own that a call runs."""
    raw = equation.raw.params.get("call_jaxpr", equation.raw.params.get("fun_jaxpr"))
    info = getattr(getattr(raw, "jaxpr", raw), "debug_info", None)
    return place_of(info) if info is not None else NOWHERE


def rule_of(equation: Equation) -> Place:
    """The derivative rule that a call carries."""
    return place_of(getattr(equation.raw.params.get(CUSTOM_RULES[equation.name]), "debug_info", None))
