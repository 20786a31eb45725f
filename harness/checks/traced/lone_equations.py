"""One equation of a program by itself: as a function of its operands, and with the cotangents that reach it."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from harness.checks.random_directions import random_directions
from harness.checks.traced.derivative_case import Case
from reference.arithmetics.increments import Increment, is_constant
from reference.jax_settings import compiler_options
from reference.traced.equations import Equation, Program, bind, is_key, kind, map_programs
from reference.traced.primitives.calls import CUSTOM_RULES
from reference.traced.program_replay import replayed_with_primals

SHIFT = 1e-3
"""What the rule returns is also shifted by this share, since a cotangent may be zero by chance, as at a minimum."""


class LoneEquation(NamedTuple):
    """An equation as a function of those operands that depend on f's arguments."""

    given: list[Any]
    moving: list[int]  # the operands that it is a function of
    kept: list[int]  # the outputs that it returns
    apply: Callable[..., list[Any]]


def count_closed_over(equation: Equation) -> int:
    """How many operands of a custom rule are arrays that its function closes over."""
    return equation.params.get("num_consts", 0) if equation.name in CUSTOM_RULES else 0


@np.errstate(all="ignore")  # what overflows in its type is infinite there
def isolate(equation: Equation, met: Sequence[Increment]) -> LoneEquation:
    """An equation by itself, at operands that it met."""
    given = [x.value if is_key(x.value) else np.asarray(x.value).astype(t) for x, t in zip(met, equation.input_dtypes)]
    moving = [i for i, x in enumerate(given) if not is_constant(met[i]) and kind(x.dtype) in ("f", "c") and x.size]
    kept = [i for i, t in enumerate(equation.dtypes) if t is not None and kind(t) in ("f", "c")]
    first = count_closed_over(equation)

    def apply(*changing: Any) -> list[Any]:
        changed = {equation.inputs[i]: x for i, x in zip(moving, changing)}
        outputs = bind(equation, [*given[:first], *map(changed.get, equation.inputs[first:], given[first:])])
        return [outputs[i] for i in kept]

    return LoneEquation(given, moving, kept, apply)


# -- cotangents ------------------------------------------------------------------------------------------------------


def reaching_cotangents(case: Case, equation: Equation) -> list[np.ndarray]:
    """The cotangents of an equation's floating outputs, for random cotangents of f's.

    They are pulled back through the rest of the program by JAX, without any custom rule. An entry is zero only by the
    program's structure: where it is masked, multiplied by zero, or behind a stop_gradient.
    """
    (weights,) = zip(*case.outputs.arrays(random_directions(1, case.outputs.size, case.seed), conjugate=True))
    rng = np.random.default_rng(case.seed)
    shapes = [(s, t) for s, t in zip(equation.shapes, equation.dtypes) if t is not None and kind(t) in ("f", "c")]
    shifts = [(SHIFT * rng.choice([-1.0, 1.0], s)).astype(t) for s, t in shapes]

    def pull_back(leaves: Sequence[Any], shifts: Sequence[Any]) -> Sequence[Any]:
        def results(*changes: Any) -> list[Any]:
            return replayed_with_primals(_shifted(case.program, equation, shifts, changes))(*leaves)

        return jax.vjp(results, *(jnp.zeros_like(x) for x in shifts))[1](list(weights))

    pull = jax.jit(pull_back, compiler_options=compiler_options())
    found = [list(map(np.asarray, pull(case.leaves, [share * x for x in shifts]))) for share in (0, 1)]
    here, beside = ([np.where(np.isfinite(c), c, 0.0) for c in each] for each in found)
    return [np.where(a == 0.0, b, a) for a, b in zip(here, beside)]


def _shifted(program: Program, equation: Equation, shifts: Sequence[Any], changes: Sequence[Any]) -> Program:
    """The program with changes added to what one equation returns, wherever that stands."""

    def replay(eq: Equation, operands: list[Any], run: Callable[..., list[Any]], inlined: Any) -> list[Any]:
        added, found = zip(shifts, changes), run(eq.primal, *operands)
        return [
            _add(y, *next(added)) if t is not None and kind(t) in ("f", "c") else y for y, t in zip(found, eq.dtypes)
        ]

    def changed(value: Program) -> Program:
        equations = [
            replace(eq, primitive=replace(eq.primitive, replay=replay))
            if eq is equation
            else replace(eq, params={key: map_programs(param, changed) for key, param in eq.params.items()})
            for eq in value.equations
        ]
        return replace(value, equations=tuple(equations))

    return changed(program)


def _add(y: Any, shift: Any, change: Any) -> Any:
    return y + shift * jax.lax.stop_gradient(jnp.maximum(1.0, jnp.abs(y)).astype(y.dtype)) + change
