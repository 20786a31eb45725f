"""A program that JAX traced, as plain data: equations over numbered slots.

sin(x) + 2 of a number x is the program with arguments (0,), the equations ``sin 0 -> 1`` and ``add 1 Constant(2.0) ->
2``, and the results (2,). Slots are numbered anew in each program. Programs within an equation (the body of a scan, the
primal of a custom rule) stand among its parameters, under JAX's own names. `reference.traced.traced_function` reads
programs from JAX.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from itertools import chain
from typing import Any

import jax
import numpy as np

from reference import jax_internals
from reference.arithmetics.roundoff import UNIT_ROUNDOFF
from reference.traced.primitive import EXACT, Primitive

UNUSED = -1  # the slot of an output that nobody reads, so that a run keeps no array for it

RANDOM_BITS = ("random_bits", "threefry2x32", "rng_bit_generator", "rng_uniform")
"""Primitives that make random numbers of a key."""

PRIMAL_PARAMETERS = ("jaxpr", "call_jaxpr", "fun_jaxpr", "call", "callee")
"""The parameter that holds the program of a call, by the primitive and the release of JAX."""


@dataclass(frozen=True, eq=False)
class Equation:
    """One primitive applied. Two equations are the same only where they are one object, since each has a `memo`."""

    primitive: Primitive  # what is known of the primitive
    inputs: tuple[Any, ...]  # a slot (an int), or a `Constant`
    outputs: tuple[int, ...]  # slots; `UNUSED` where nobody reads the output
    params: Mapping[str, Any]  # JAX's parameters, with a `Program` in the place of each jaxpr
    # shapes and types of the outputs, and types of the inputs
    shapes: tuple[tuple[int, ...], ...]
    dtypes: tuple[Any, ...]
    input_dtypes: tuple[Any, ...]
    # JAX's own equation, and its name of the kind of device that runs it
    raw: Any
    platform: str = "cpu"
    # the numbers of the operands that were computed from others before derivatives go through these
    precomputed: frozenset[int] = frozenset()
    # what is computed once for this equation, such as a compiled program of it, and is freed with it
    memo: dict[Hashable, Any] = field(default_factory=dict, init=False, repr=False)

    @property
    def name(self) -> str:
        return self.primitive.name

    def once(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """What `make` returns, called once for this equation and key.

        It may refer to the equation: in a table by equations, outside of them, neither could then ever be freed.
        """
        if key not in self.memo:
            self.memo[key] = make()
        return self.memo[key]

    @cached_property
    def kinds(self) -> frozenset[str]:
        """The kinds of all inputs and outputs, "" among them where random keys are."""
        return frozenset(kind(dtype) for dtype in (*self.dtypes, *self.input_dtypes) if dtype is not None)

    @cached_property
    def programs(self) -> tuple["Program", ...]:
        """The programs that the equation runs."""
        values = [v for value in self.params.values() for v in (value if isinstance(value, tuple) else (value,))]
        return tuple(value for value in values if isinstance(value, Program))

    @property
    def primal(self) -> "Program":
        """The program that a call runs."""
        return next(self.params[key] for key in PRIMAL_PARAMETERS if key in self.params)


@dataclass(frozen=True, eq=False)
class Constant:
    """A number that stands in the program."""

    value: Any

    @cached_property
    def wide(self) -> Any:
        """The number in the precision that the interpreter works in."""
        return lifted(self.value)


UNREAD = Constant(np.zeros(()))  # what stands for a result that nobody reads


@dataclass(frozen=True, eq=False, repr=False)  # JAX writes out the arguments of what it compiles
class Program:
    """Equations over slots: arguments first, then what the equations write."""

    size: int  # the number of slots
    arguments: tuple[int, ...]
    constants: tuple[tuple[int, Any], ...]  # pairs of a slot and an array
    equations: tuple[Equation, ...]  # those whose results somebody reads
    results: tuple[Any, ...]  # slots or `Constant`s
    dtypes: tuple[Any, ...]  # of the results
    raw: Any  # JAX's own jaxpr


def map_programs(value: Any, change: Callable[[Program], Any]) -> Any:
    """A parameter of an equation with every program in it changed; itself where none of them is."""
    if isinstance(value, Program):
        return change(value)
    if isinstance(value, tuple) and any(isinstance(x, Program) for x in value):
        changed = [map_programs(x, change) for x in value]
        if all(x is y for x, y in zip(changed, value)):
            return value
        return type(value)(*changed) if hasattr(value, "_fields") else tuple(changed)
    return value


def map_equations(program: Program, change: Callable[[Equation], Mapping[str, Any]]) -> Program:
    """The program with the fields that `change` returns for each equation in their place, however deep.

    What nothing changes stays the same object, with all that was compiled for it.
    """

    def changed(equation: Equation) -> Equation:
        params = {key: map_programs(value, whole) for key, value in equation.params.items()}
        within = {} if all(x is equation.params[key] for key, x in params.items()) else {"params": params}
        fields = within | {key: x for key, x in change(equation).items() if x != getattr(equation, key)}
        return replace(equation, **fields) if fields else equation

    def whole(value: Program) -> Program:
        equations = tuple(map(changed, value.equations))
        is_same = all(x is y for x, y in zip(equations, value.equations))
        return value if is_same else replace(value, equations=equations)

    return whole(program)


def equations_in(program: Program) -> Iterator[Equation]:
    for equation in program.equations:
        yield equation
        for inner in equation.programs:
            yield from equations_in(inner)


def iterates(program: Program) -> bool:
    """Whether a loop with a condition occurs in it."""
    return any(eq.primitive.iterates for eq in equations_in(program))


def is_refused_by_draws(program: Program) -> bool:
    """Whether random numbers decide how long a loop in it goes on, as where samples are refused."""
    return any(eq.primitive.iterates and _goes_on_by_draws(eq) for eq in equations_in(program))


def _goes_on_by_draws(loop: Equation) -> bool:
    condition, body = loop.params["cond_jaxpr"], loop.params["body_jaxpr"]
    deciding, read = _behind(condition, condition.results)
    carried, known = {i - loop.params["cond_nconsts"] for i in read}, set[int]()
    while carried - known:  # what decides the condition now was carried here from earlier steps
        known |= carried
        equations, read = _behind(body, [body.results[i] for i in known if i >= 0])
        deciding += equations
        carried = {i - loop.params["body_nconsts"] for i in read}
    return any(each.name in RANDOM_BITS for eq in deciding for each in (eq, *chain(*map(equations_in, eq.programs))))


def _behind(program: Program, atoms: Iterable[Any]) -> tuple[list[Equation], set[int]]:
    """The equations that atoms of a program are computed by, and the numbers of the arguments."""
    slots, equations = {atom for atom in atoms if isinstance(atom, int)}, []
    for eq in reversed(program.equations):
        if not slots.isdisjoint(eq.outputs):
            slots |= {atom for atom in eq.inputs if isinstance(atom, int)}
            equations.append(eq)
    return equations, {i for i, slot in enumerate(program.arguments) if slot in slots}


def reads_bits(program: Program) -> bool:
    """Whether the bits of a floating number are read in it, which are others in another precision."""
    return any(eq.primitive.reads_bits and kind(eq.input_dtypes[0]) == "f" for eq in equations_in(program))


def only_moves(program: Program) -> bool:
    """Whether all that it does is to move numbers, choose and compare them, by known rules and without a loop."""

    def moves(eq: Equation) -> bool:
        computes = eq.primitive.rounding is not EXACT and any(has_derivatives(dtype) for dtype in eq.dtypes)
        return bool(eq.primitive.rule) and not (computes or eq.primitive.iterates or eq.primitive.has_own_rule)

    return all(map(moves, equations_in(program)))


def bind(equation: Equation, values: Sequence[Any]) -> list[Any]:
    """What JAX computes for an equation, from these values."""
    params = equation.raw.params if equation.programs else dict(equation.params)
    return jax_internals.bind(equation.raw, params, values)


def product_units(equation: Equation) -> tuple[float, float]:
    """u of the types that a product rounds its operands to and adds up in; zero where these are its own."""
    find = equation.primitive.product_units
    return find(equation) if find else (0.0, 0.0)


# -- arrays and their types -------------------------------------------------------------------------------------------

WIDE_TYPES = {"f": np.dtype(np.float64), "c": np.dtype(np.complex128)}
"""The types that the interpreter computes in, by kind."""


def host(array: Any) -> Any:
    """A NumPy array from JAX's, unless NumPy has no such type (random keys)."""
    return array if is_key(array) else np.asarray(array)


def is_key(array: Any) -> bool:
    dtype = None if isinstance(array, type) else getattr(array, "dtype", None)  # np.float32 has one, and is no array
    return dtype is not None and jax.numpy.issubdtype(dtype, jax.dtypes.extended)


def lifted(value: Any) -> Any:
    """A number in the precision that the interpreter works in: float64, or complex128."""
    if is_key(value):
        return value
    value = np.asarray(value)
    wide = WIDE_TYPES.get(kind(value.dtype))
    return value if wide is None else value.astype(wide, copy=False)


def in_types(values: Sequence[Any], dtypes: Sequence[Any]) -> list[Any]:
    """Values converted to these types; random keys as they are."""
    return [x if is_key(x) else np.asarray(x).astype(t) for x, t in zip(values, dtypes)]


def is_floating(array: Any) -> bool:
    """Whether a NumPy array holds floating or complex numbers, which alone have derivatives."""
    return np.asarray(array).dtype.kind in "fc"


@cache
def kind(dtype: Any) -> str:
    """The kind of a type: "f" floating, "c" complex, "i" integer, "b" bool, "" what is no number."""
    kinds = {"f": np.floating, "c": np.complexfloating, "i": np.integer, "b": np.bool_}
    return next((letter for letter, group in kinds.items() if jax.numpy.issubdtype(dtype, group)), "")


def has_derivatives(dtype: Any) -> bool:
    """Whether numbers of a type have derivatives: floating and complex ones."""
    return dtype is not None and kind(dtype) in ("f", "c")


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
    """The most that a rounding loses of a tiny number: XLA flushes to zero, but not in float16."""
    limits = jax.numpy.finfo(dtype)
    # float16, whose smallest normal number is 6e-5; bfloat16 has that of float32
    is_gradual = unit_roundoff(dtype) > UNIT_ROUNDOFF["float32"] and limits.tiny > 1e-30
    return float(limits.smallest_subnormal if is_gradual else limits.tiny)
