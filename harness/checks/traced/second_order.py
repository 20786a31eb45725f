"""The function whose derivative is a second one: JAX's gradient, and its program without what rules stop on the way."""

from collections.abc import Callable
from dataclasses import replace
from itertools import takewhile
from pathlib import Path
from typing import Any

import jax

from harness.checks.directions import random_directions
from harness.checks.traced.layout import Layout
from harness.checks.traced.modes import equations_in
from reference.traced.program import CUSTOM_RULES, Equation, Program, frames_of, rule_of, whose


def gradient_of(function: Callable[..., Any], outputs: Layout, seed: int) -> Callable[..., list[Any]]:
    """JAX's gradient of a random combination of the outputs."""
    (cotangents,) = zip(*outputs.arrays(random_directions(1, outputs.size, seed + 1), conjugate=True))
    return lambda *leaves: list(jax.vjp(function, *leaves)[1](list(cotangents)))


def without_stops_of_rules(program: Program, primal: Program, trusted: Callable[[Equation], bool]) -> Program:
    """The program of a gradient in which a stop_gradient of a derivative rule is the identity that it computes.

    The derivative of f's derivative is f's second derivative, whatever a rule stops on the way. One that f itself has,
    by the same way through the user's own lines, stays, and so does that of a rule that is trusted.
    """
    own = {_way_to(eq) for eq in equations_in(primal) if eq.name == "stop_gradient"}
    kept = {rule_of(eq)[:2] for eq in equations_in(primal) if eq.name in CUSTOM_RULES and trusted(eq)}

    def is_of_a_rule(equation: Equation) -> bool:
        if equation.name != "stop_gradient" or _way_to(equation) in own:
            return False
        names = {(frame.function_name.rpartition(".")[2], frame.file_name) for frame in frames_of(equation)}
        return any(map(_calls_a_rule, frames_of(equation))) and not names & kept

    def looked_through(value: Any) -> Any:
        if isinstance(value, tuple) and any(isinstance(part, Program) for part in value):
            parts = [looked_through(part) for part in value]
            return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
        if not isinstance(value, Program):
            return value
        equations = [
            replace(
                eq,
                name="copy" if is_of_a_rule(eq) else eq.name,
                params={key: looked_through(param) for key, param in eq.params.items()},
            )
            for eq in value.equations
        ]
        return replace(value, equations=tuple(equations))

    return looked_through(program)


def _calls_a_rule(frame: Any) -> bool:
    return whose(frame) == "jax" and Path(frame.file_name).stem == "custom_derivatives"


def _way_to(equation: Equation) -> tuple[Any, ...]:
    """The lines that lead to a stop_gradient from the function with a rule that it is within, or from f."""
    inner = takewhile(lambda frame: not _calls_a_rule(frame), frames_of(equation))
    called = (f for f in inner if whose(f) in ("own", "library") or f.function_name == "stop_gradient")
    return tuple((f.file_name, f.function_name, f.line_num) for f in called)
