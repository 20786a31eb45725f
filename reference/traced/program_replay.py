"""A program run by JAX once more: without the rules that its functions have, or in float64 whatever its types are.

Such programs can be compiled, batched and differentiated by JAX, which a run of the interpreter cannot. What computes
an equation is an `Applied`: a function of its operands. The rules for derivatives and batches stand in no program, and
JAX runs them whenever it differentiates or batches. So without these, a function is traced anew.
"""

from collections.abc import Callable, Collection, Hashable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import jax
import numpy as np

from reference.jax_internals import Lines, source_of_function
from reference.jax_settings import precisely
from reference.traced.equations import (
    WIDE_TYPES,
    Constant,
    Equation,
    Program,
    bind,
    is_key,
    kind,
    lifted,
    map_programs,
)
from reference.traced.rule_origins import Place

Applied = Callable[..., list[Any]]  # what computes the outputs of an equation from its operands

Inlined = Callable[[Equation], bool]  # which custom rules to replace by their primals

ENDLESS = 2**31 - 1  # steps after which a loop is ended that nothing else ends

LONGEST_LOOP = 50_000
"""Steps after which a loop is ended that may have no end: beside a point, or at one, with a smaller tolerance.

A solver that starts at its solution takes no step there, and may take thousands beside it.
"""

STEPS_BESIDE = 4
"""Where a loop takes many steps at a point, it is ended beside it after so many times these.

A solver that converges at both takes about as many; one for masses that have to match takes steps for ever where they
do not. What such a loop returns is unknown, as beyond the edge of a domain.
"""

longest_loop: ContextVar[Any] = ContextVar("longest_loop", default=ENDLESS)
"""The steps after which loops are ended in what is traced meanwhile: a number, or a traced one."""


@dataclass(frozen=True)
class Bound:
    """What JAX computes for an equation. It equals that for an equation alike, so that JAX compiles both at once.

    JAX finds a compiled program again by the function that it was made of: two that are equal are one.
    """

    signature: Hashable
    equation: Equation = field(compare=False)

    def __call__(self, *operands: Any) -> list[Any]:
        return bind(self.equation, operands)


def bound(equation: Equation) -> Bound:
    """What JAX computes for an equation, alike by its primitive, its parameters and its context."""
    raw = equation.raw
    # the jaxprs of JAX's own parameters are one object for many calls of a function; a `Program` is like no other
    params = raw.params if equation.programs else equation.params
    signature = raw.primitive, raw.ctx, tuple(params.items())
    try:
        hash(signature)
    except TypeError:  # of an array among the parameters
        return Bound(equation, equation)
    return Bound(signature, equation)


def replayed(program: Program, inlined: Inlined, *values: Any) -> list[Any]:
    """The results of a program by JAX, which may trace it."""
    slots: dict[int, Any] = dict(program.constants) | dict(zip(program.arguments, values))

    def read(atom: Any) -> Any:
        return atom.value if isinstance(atom, Constant) else slots[atom]

    def run(inner: Program, *operands: Any) -> list[Any]:
        return replayed(inner, inlined, *operands)

    for equation in program.equations:
        operands, replay = [read(atom) for atom in equation.inputs], equation.primitive.replay
        outputs = replay(equation, operands, run, inlined) if replay else bind(equation, operands)
        slots |= dict(zip(equation.outputs, outputs))
    return [read(atom) for atom in program.results]


def replayed_with_primals(program: Program) -> Applied:
    """The program by JAX, without any custom rule."""
    return partial(replayed, program, lambda _: True)


@dataclass(frozen=True)
class Ending:
    """The same as a function of the steps after which its loops are ended, and of its arguments."""

    apply: Applied

    def __call__(self, longest: Any, *values: Any) -> list[Any]:
        token = longest_loop.set(longest)
        try:
            return self.apply(*values)
        finally:
            longest_loop.reset(token)


def longest_beside(ended: Applied, values: Sequence[Any], found: Sequence[Any]) -> int:
    """The steps after which loops are ended beside a point with these values, where `ended` returns what is `found`."""
    for longest in (LONGEST_LOOP * STEPS_BESIDE ** np.arange(4)).tolist():
        again = ended(longest // STEPS_BESIDE, *values)
        if all(is_key(x) or np.array_equal(x, y, equal_nan=kind(y.dtype) in ("f", "c")) for x, y in zip(again, found)):
            return longest
    return ENDLESS


# -- in float64 -------------------------------------------------------------------------------------------------------


def float64_version(equation: Equation) -> Applied | None:
    """What computes an equation in float64 from operands in float64; None where JAX does not.

    Of a custom rule the primal runs, since the rule's own types would round every step of it.
    """
    return equation.once("float64_version", lambda: _make_float64_version(equation))


def _make_float64_version(equation: Equation) -> Applied | None:
    widen = equation.primitive.widen
    if widen:
        apply = widen(equation)
    elif equation.programs:
        apply = None  # a program within would keep its own types
    else:
        apply = bound(replace(equation, params=widened_params(equation)))  # such as the type that a cast names
    return apply if apply and _is_in_float64(apply, equation) else None


def _is_in_float64(apply: Applied, equation: Equation) -> bool:
    """Whether JAX traces it, to results in float64."""
    shapes = [variable.aval.shape for variable in equation.raw.invars]
    dtypes = [_wide(dtype) for dtype in equation.input_dtypes]
    try:
        with precisely():
            found = jax.eval_shape(apply, *map(jax.ShapeDtypeStruct, shapes, dtypes))
    except Exception:  # noqa: BLE001  each primitive refuses in its own way
        return False
    return [x.dtype for x in found] == [_wide(t) for t in equation.dtypes]


def _wide(dtype: Any) -> Any:
    return None if dtype is None else WIDE_TYPES.get(kind(dtype), dtype)


def widened(program: Program) -> Program:
    """The program with float64 in the place of every floating type."""

    def widen_atoms(atoms: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(Constant(lifted(x.value)) if isinstance(x, Constant) else x for x in atoms)

    equations = [
        replace(
            eq,
            inputs=widen_atoms(eq.inputs),
            params=widened_params(eq),
            dtypes=tuple(map(_wide, eq.dtypes)),
            input_dtypes=tuple(map(_wide, eq.input_dtypes)),
        )
        for eq in program.equations
    ]
    constants = tuple((slot, lifted(value)) for slot, value in program.constants)
    return replace(program, constants=constants, equations=tuple(equations), results=widen_atoms(program.results))


def widened_params(equation: Equation) -> dict[str, Any]:
    return {key: _widened(value) for key, value in equation.params.items()}


def _widened(value: Any) -> Any:
    is_type = isinstance(value, np.dtype) or (isinstance(value, type) and issubclass(value, np.generic))
    return _wide(value) if is_type else map_programs(value, widened)


# -- functions traced anew --------------------------------------------------------------------------------------------

_TRACED_ANEW = jax.make_user_context(None)
"""JAX keeps what it has traced and compiled apart for each value of this context."""


@contextmanager
def without_rules(places: Collection[Place]) -> Iterator[None]:
    """Call the functions with a derivative rule that are written in these places by their primals for a while.

    Functions are traced anew meanwhile, those under `jax.jit` too. Programs that were traced before keep the rules.
    """
    kept: dict[Any, Any] = {rule: rule.__call__ for rule in (jax.custom_jvp, jax.custom_vjp)}
    without = frozenset(place[1:] for place in places)

    def by_primal(call: Callable[..., Any]) -> Callable[..., Any]:
        def called(self: Any, *args: Any, **kwargs: Any) -> Any:
            skips_rule = source_of_function(self.fun)[1:] in without
            return self.fun(*args, **kwargs) if skips_rule else call(self, *args, **kwargs)

        return called

    for rule, call in kept.items():
        rule.__call__ = by_primal(call)
    try:
        with _TRACED_ANEW(without):
            yield
    finally:
        for rule, call in kept.items():
            rule.__call__ = call


BatchedFunction = tuple[Lines, Lines]  # a function of `jax.custom_batching`: where it is written, and where its rule is


@contextmanager
def batched_in_loops(of: Collection[BatchedFunction]) -> Iterator[dict[BatchedFunction, set[BatchedFunction]]]:
    """Batch some functions by loops over single calls for a while, and not by their own rules.

    Yielded are those that were called so far, each with the functions whose rules have called it.
    """
    custom, met, around = jax.custom_batching.custom_vmap, {}, []
    call: Any = custom.__call__

    def called(self: Any, *args: Any, **kwargs: Any) -> Any:
        lines = source_of_function(self.fun), source_of_function(self.vmap_rule)
        met.setdefault(lines, set()).update(around)
        if lines in of:
            return call(jax.custom_batching.sequential_vmap(self.fun), *args, **kwargs)

        def rule(*batched: Any) -> Any:
            around.append(lines)
            try:
                return self.vmap_rule(*batched)
            finally:
                around.pop()

        noting = custom(self.fun)
        noting.def_vmap(rule)
        return call(noting, *args, **kwargs)

    custom.__call__ = called
    try:
        with _TRACED_ANEW(object()):  # what is kept of an earlier trace would call nothing
            yield met
    finally:
        custom.__call__ = call
