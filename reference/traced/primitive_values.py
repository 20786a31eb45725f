"""What JAX computes for an equation: in float64 where it can, else in the program's own precision.

A host callback that raises has reached the edge of a domain: there the values are NaN.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from reference.arithmetics.roundoff import UNIT_ROUNDOFF
from reference.jax_internals import CallbackRaised, raising_callbacks
from reference.jax_settings import compiler_options, precisely
from reference.traced.equations import Equation, host, in_types, kind, lifted, unit_roundoff
from reference.traced.program_replay import ENDLESS, LONGEST_LOOP, Ending, bound, float64_version

REFUSALS = (TypeError, ValueError, NotImplementedError, jax.errors.JaxRuntimeError)
"""What JAX raises where a primitive, or a callback, does not take float64."""


def compiled(equation: Equation, key: Any, make: Callable[[], Callable[..., Any]]) -> Callable[..., Any]:
    """A compiled program of an equation, made once."""
    return equation.once(key, lambda: jax.jit(make(), compiler_options=compiler_options()))


def values_of(equation: Equation, values: Sequence[Any], run: Any = None) -> list[Any]:
    """What JAX computes, in float64 where it can, else in the program's own precision; NaN where a callback raises.

    A run, where one is given, notes the second. Of a branch that raises there are no values at all.
    """
    is_beside = run is not None and run.is_beside
    longest = equation.memo.get("longest", LONGEST_LOOP) if is_beside else ENDLESS
    found = computed(equation, values, run, longest)
    if run is not None and max([precision_of(equation), *map(unit_of, found)]) > UNIT_ROUNDOFF["float64"]:
        run.observed.in_own_precision.add(equation.name)
    return list(map(lifted, found))


def computed(equation: Equation, values: Sequence[Any], run: Any = None, longest: int = ENDLESS) -> list[Any]:
    """The same, in the types in which it is computed, by loops of so many steps at most."""
    apply = compiled(equation, "values", lambda: Ending(float64_version(equation) or bound(equation)))
    try:
        with precisely(), raising_callbacks():
            # in float64 where JAX can trace that; whether a callback takes it shows only when it is called
            try:
                return list(map(host, apply(longest, *in_taken_types(equation, values))))
            except REFUSALS:
                apply = compiled(equation, "as it is", lambda: bound(equation))
                return list(map(host, apply(*own_types(equation, values))))
    except CallbackRaised:
        # in a branch, the error says that another one is to be taken; elsewhere it is the edge of a domain, as NaN is
        if run is not None and run.is_in_branch:
            raise
        return nothing_known(equation)


def nothing_known(equation: Equation) -> list[Any]:
    """NaN for the floating results of an equation: the edge of its domain."""
    return [np.full(s, np.nan if kind(t) in ("f", "c") else 0, t) for s, t in zip(equation.shapes, equation.dtypes)]


def unit_of(array: Any) -> float:
    return unit_roundoff(array.dtype) if kind(array.dtype) in ("f", "c") else 0.0


def in_taken_types(equation: Equation, values: Sequence[Any]) -> Sequence[Any]:
    """Values in float64, or in the types of a program within the equation that keeps its own."""
    return own_types(equation, values) if precision_of(equation) > UNIT_ROUNDOFF["float64"] else values


def own_types(equation: Equation, values: Sequence[Any]) -> list[Any]:
    """Values in the precision that the program states."""
    return in_types(values, equation.input_dtypes)


def precision_of(equation: Equation) -> float:
    """u of what computes the values: programs within a primitive, and callbacks, keep their own types."""
    own = UNIT_ROUNDOFF["float64"]
    if float64_version(equation):
        return own
    dtypes = [t for t in (*equation.dtypes, *equation.input_dtypes) if t is not None and kind(t) in ("f", "c")]
    return max([own, *map(unit_roundoff, dtypes)])
