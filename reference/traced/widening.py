"""Equations of coarse types, computed by JAX in float64: what a program means, whatever it rounds."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import numpy as np

from reference.jax_settings import precisely
from reference.traced.program import (
    CUSTOM_RULES,
    Constant,
    Equation,
    Program,
    bind,
    kind,
    lifted,
    primal_of,
    programs_in,
)
from reference.traced.solving.replaying import replayed

WIDE = {"f": np.dtype(np.float64), "c": np.dtype(np.complex128)}

SHARDED = "shard_map"

Applied = Callable[..., list[Any]]


def widely(equation: Equation) -> Applied | None:
    """What computes an equation in float64 from operands in float64; None where JAX does not.

    Of a custom rule the primal runs, whose own types would round every step of it. What looks at the bits of a number
    keeps its types.
    """
    return equation.once("widely", lambda: _taken(equation))


def _taken(equation: Equation) -> Applied | None:
    apply = _applied(equation)
    return apply if apply and _is_taken(apply, equation) else None


def _applied(equation: Equation) -> Applied | None:
    if equation.name in CUSTOM_RULES:
        primal = primal_of(equation)
        return None if reads_bits(primal) else partial(replayed, widened(primal), lambda _: True)
    if equation.name == SHARDED:
        return None if any(map(reads_bits, programs_in(equation))) else partial(_sharded, equation)
    if programs_in(equation):
        return None
    return lambda *operands: bind(replace(equation, params=_widened_params(equation)), operands)


def _sharded(equation: Equation, *operands: Any) -> list[Any]:
    """The program within a shard_map, in float64 on the same shards."""
    (program,), how = programs_in(equation), equation.params
    axes = how.get("newly_manual_axes", how.get("manual_axes"))  # as JAX calls them now, and before
    apply = partial(replayed, widened(program), lambda _: True)
    kept = {key: how[key] for key in ("mesh", "in_specs", "check_vma")}
    return jax.shard_map(apply, axis_names=axes, out_specs=list(how["out_specs"]), **kept)(*operands)


def _is_taken(apply: Applied, equation: Equation) -> bool:
    """Whether JAX traces it, to the same shapes and in float64."""
    dtypes = [WIDE.get(kind(dtype), dtype) for dtype in equation.input_dtypes]
    shapes = [variable.aval.shape for variable in equation.raw.invars]
    try:
        with precisely():
            found = jax.eval_shape(apply, *map(jax.ShapeDtypeStruct, shapes, dtypes))
    except Exception:  # noqa: BLE001  each primitive refuses in its own way
        return False
    return [x.dtype for x in found] == [WIDE.get(kind(t), t) for t in equation.dtypes]


def widened(program: Program) -> Program:
    """The program with float64 in the place of every floating type."""
    equations = [
        replace(
            eq,
            inputs=tuple(Constant(lifted(x.value)) if isinstance(x, Constant) else x for x in eq.inputs),
            params=_widened_params(eq),
            dtypes=tuple(WIDE.get(kind(t), t) if t is not None else None for t in eq.dtypes),
            input_dtypes=tuple(WIDE.get(kind(t), t) if t is not None else None for t in eq.input_dtypes),
        )
        for eq in program.equations
    ]
    return replace(
        program,
        constants=tuple((slot, lifted(value)) for slot, value in program.constants),
        equations=tuple(equations),
        results=tuple(Constant(lifted(x.value)) if isinstance(x, Constant) else x for x in program.results),
    )


def _widened_params(equation: Equation) -> dict[str, Any]:
    return {key: _widened(value) for key, value in equation.params.items()}


def _widened(value: Any) -> Any:
    if isinstance(value, Program):
        return widened(value)
    if isinstance(value, tuple) and any(isinstance(x, Program) for x in value):
        programs = [_widened(x) for x in value]
        return type(value)(*programs) if hasattr(value, "_fields") else tuple(programs)
    is_type = isinstance(value, np.dtype) or (isinstance(value, type) and issubclass(value, np.generic))
    return WIDE.get(kind(value), value) if is_type else value


def reads_bits(program: Program) -> bool:
    """Whether the bits of a number are looked at in it, which are others in another precision."""
    own = any(eq.name == "bitcast_convert_type" and kind(eq.input_dtypes[0]) == "f" for eq in program.equations)
    return own or any(reads_bits(inner) for eq in program.equations for inner in programs_in(eq))
