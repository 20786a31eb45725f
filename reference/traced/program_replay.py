"""A program run by JAX once more: with primals in the place of custom rules, or in float64 whatever its types are.

Such programs can be compiled, batched and differentiated by JAX, which a run of the interpreter cannot. What computes
an equation is an `Applied`: a function of its operands.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import jax
import numpy as np

from reference.jax_settings import precisely
from reference.traced.equations import WIDE_TYPES, Constant, Equation, Program, bind, kind, lifted, map_programs

Applied = Callable[..., list[Any]]  # what computes the outputs of an equation from its operands

Inlined = Callable[[Equation], bool]  # which custom rules to replace by their primals


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
        apply = bound(replace(equation, params=_widened_params(equation)))  # such as the type that a cast names
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
            params=_widened_params(eq),
            dtypes=tuple(map(_wide, eq.dtypes)),
            input_dtypes=tuple(map(_wide, eq.input_dtypes)),
        )
        for eq in program.equations
    ]
    constants = tuple((slot, lifted(value)) for slot, value in program.constants)
    return replace(program, constants=constants, equations=tuple(equations), results=widen_atoms(program.results))


def _widened_params(equation: Equation) -> dict[str, Any]:
    return {key: _widened(value) for key, value in equation.params.items()}


def _widened(value: Any) -> Any:
    is_type = isinstance(value, np.dtype) or (isinstance(value, type) and issubclass(value, np.generic))
    return _wide(value) if is_type else map_programs(value, widened)
