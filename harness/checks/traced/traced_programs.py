"""Traced programs: their size, their coarsest type, whether two are the same, and the stop_gradients of rules."""

from collections.abc import Callable
from itertools import chain, takewhile
from pathlib import Path
from typing import Any

import jax
import numpy as np

from reference.arithmetics.roundoff import UNIT_ROUNDOFF
from reference.traced.equations import (
    Constant,
    Equation,
    Program,
    equations_in,
    has_derivatives,
    is_key,
    iterates,
    map_equations,
    product_units,
    unit_roundoff,
)
from reference.traced.primitives import PRIMITIVES
from reference.traced.primitives.calls import CALLS, CUSTOM_RULES
from reference.traced.rule_origins import frames_of, is_rule_of_jax, is_rule_of_library, owner_of_file, rule_of

LARGEST_PASS = 2.0e7
"""Numbers that one pass may hold, 160 MB in float64. More directions than fit go in several passes."""


def footprint(program: Program) -> int:
    """How many numbers a program writes in all, which is about what a direction adds to the memory of a pass."""
    own = sum(int(np.prod(shape)) for eq in program.equations for shape in eq.shapes)
    inner = [(eq.params.get("length", 1), p) for eq in program.equations for p in eq.programs]
    return own + sum(times * footprint(p) for times, p in inner)


def types_in(program: Program) -> set[Any]:
    """The floating and complex types in a program, without those within its calls."""
    own = [t for eq in program.equations for t in (*eq.dtypes, *eq.input_dtypes)] + list(program.dtypes)
    return {t for t in own if has_derivatives(t)}


def coarsest_unit(program: Program) -> float:
    """u of the coarsest floating type in a program, however deep, or of what it cuts numbers to."""
    units = map(unit_roundoff, types_in(program))
    cut = [2.0 ** -(eq.params["mantissa_bits"] + 1) for eq in program.equations if eq.name == "reduce_precision"]
    inner = [coarsest_unit(p) for eq in program.equations for p in eq.programs]
    products = [unit for eq in program.equations for unit in product_units(eq)]
    return max([UNIT_ROUNDOFF["float64"], *units, *cut, *products, *inner])


def coarsest_type(program: Program) -> str:
    """The name of the coarsest floating type in a program; empty where what is coarsest is no type, as in products."""
    unit = coarsest_unit(program)
    own = [str(jax.numpy.finfo(t).dtype) for t in types_in(program) if unit_roundoff(t) == unit]
    inner = (coarsest_type(p) for eq in program.equations for p in eq.programs if coarsest_unit(p) == unit)
    return next(chain(sorted(own), filter(None, inner)), "")


def is_read(program: Program) -> list[bool]:
    """Whether the results depend on each argument, however deep in calls."""
    used = {slot for slot in program.results if isinstance(slot, int)}
    for equation in program.equations:
        # a jitted function may take an argument that it ignores; a primitive reads all of its operands
        inner = is_read(equation.primal) if equation.name in CALLS else [True] * len(equation.inputs)
        used |= {slot for slot, is_used in zip(equation.inputs, inner) if is_used and isinstance(slot, int)}
    return [slot in used for slot in program.arguments]


def solves(program: Program) -> bool:
    """Whether a derivative rule of the program stands for something that iterates, as an implicit derivative does."""
    return any(
        iterates(inner) if eq.name in CUSTOM_RULES else solves(inner)
        for eq in program.equations
        for inner in eq.programs
    ) or any(eq.name == "custom_linear_solve" and iterates(eq.params["jaxprs"].solve) for eq in program.equations)


def alike(a: Program, b: Program) -> bool:
    """Whether two programs are the same, except for the rules of custom calls.

    JAX numbers slots in the order of its equations, so that two traces of one function are equal field by field. What
    is jitted within is traced once. Two such programs compute the same, number for number, unless one `calls_back`.
    """
    return (
        (a.size, a.arguments, len(a.equations)) == (b.size, b.arguments, len(b.equations))
        and _same(a.results, b.results)
        and _same(a.constants, b.constants)
        and all(map(_same_equation, a.equations, b.equations))
    )


def _same_equation(a: Equation, b: Equation) -> bool:
    # rules are functions, made anew in each trace. A function among the parameters of another primitive has to be the
    # same one
    carries_rules = a.name in CUSTOM_RULES or a.name in CALLS

    def is_rule(value: Any) -> bool:
        return carries_rules and (callable(value) or hasattr(value, "call_wrapped"))

    return (
        (a.name, a.outputs, a.shapes, a.dtypes) == (b.name, b.outputs, b.shapes, b.dtypes)
        and _same(a.inputs, b.inputs)
        and all(_same(value, b.params.get(key)) or is_rule(value) for key, value in a.params.items())
    )


def _same(a: Any, b: Any) -> bool:
    if a is b:
        return True
    if isinstance(a, Program) and isinstance(b, Program):
        return alike(a, b)
    if isinstance(a, Constant) and isinstance(b, Constant):
        return _same(a.value, b.value)
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return np.array_equal(a, b, equal_nan=a.dtype.kind in "fc")
    if isinstance(a, (tuple, list)) and isinstance(b, (tuple, list)):
        return len(a) == len(b) and all(map(_same, a, b))
    if isinstance(a, type) or is_key(a):
        return False
    return type(a) is type(b) and not callable(a) and bool(a == b)


def calls_back(program: Program) -> bool:
    """Whether a primitive without a rule here carries a function, such as a callback, which may compute anything."""

    def carries_function(value: Any) -> bool:
        return any(map(carries_function, value)) if isinstance(value, (tuple, list)) else callable(value)

    unknown = (eq for eq in equations_in(program) if eq.primitive.rule is None)
    return any(carries_function(list(eq.params.values())) for eq in unknown)


def has_rules(program: Program) -> bool:
    """Whether a derivative rule is in it that does not come with JAX."""
    return any(eq.name in CUSTOM_RULES and not is_rule_of_jax(eq) for eq in equations_in(program))


def has_own_rules(program: Program) -> bool:
    """Whether a derivative rule is in it that comes with no library."""
    return any(eq.name in CUSTOM_RULES and not is_rule_of_library(eq) for eq in equations_in(program))


def without_stops_of_rules(program: Program, primal: Program, trusted: Callable[[Equation], bool]) -> Program:
    """The program of a gradient without the stop_gradients of derivative rules, which become the identity.

    A rule for x² that returns g·stop_gradient(2x) is right, and its own derivative is 0 in the place of 2g. The
    derivative of f's derivative is f's second derivative, whatever a rule stops. A stop_gradient of f itself, to which
    the same lines of the user lead in f's own program, `primal`, stays, and so does that of a trusted rule.
    """
    own = {_lines_to(eq) for eq in equations_in(primal) if eq.name == "stop_gradient"}
    kept = {rule_of(eq)[:2] for eq in equations_in(primal) if eq.name in CUSTOM_RULES and trusted(eq)}

    def is_of_a_rule(equation: Equation) -> bool:
        if equation.name != "stop_gradient" or _lines_to(equation) in own:
            return False
        names = {(frame.function_name.rpartition(".")[2], frame.file_name) for frame in frames_of(equation)}
        return any(map(_calls_a_rule, frames_of(equation))) and not names & kept

    return map_equations(program, lambda eq: {"primitive": PRIMITIVES["copy"]} if is_of_a_rule(eq) else {})


def _calls_a_rule(frame: Any) -> bool:
    """Whether a frame is JAX's module for custom rules, which calls them."""
    return owner_of_file(frame.file_name) == "jax" and Path(frame.file_name).stem == "custom_derivatives"


def _lines_to(equation: Equation) -> tuple[Any, ...]:
    """The lines that lead to a stop_gradient, from f or from the function whose rule it is in."""
    inner = takewhile(lambda frame: not _calls_a_rule(frame), frames_of(equation))
    called = (
        f for f in inner if owner_of_file(f.file_name) in ("own", "library") or f.function_name == "stop_gradient"
    )
    return tuple((f.file_name, f.function_name, f.line_num) for f in called)
