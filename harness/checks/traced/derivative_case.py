"""What is checked: a function at its arguments, traced."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax

from harness.bounds.tolerances import ALL_COORDINATES
from harness.checks.random_directions import random_directions
from harness.checks.traced.precomputed_state import recompute_state
from harness.checks.traced.program_at_point import ProgramAtPoint
from harness.checks.traced.real_coordinates import Layout
from harness.checks.traced.traced_programs import without_stops_of_rules
from harness.progress import Progress, silent
from reference.traced.equations import Equation, Program, equations_in
from reference.traced.rule_origins import name_of
from reference.traced.traced_function import Traced

INCREMENTS, DIFFERENCES, REFERENCE, JAX = "increments", "differences", "reference", "jax"


@dataclass(frozen=True, eq=False)
class Case:
    """What was given, traced."""

    function: Callable[..., Any]  # from leaves to a list of arrays; JAX's gradient of it for a check of second order
    leaves: Sequence[Any]
    inputs: Layout
    outputs: Layout
    traced: Traced  # the function as JAX runs it
    # the same as increments run it: without stop_gradients whose operand would move, those of precomputed state, and in
    # a check of second order those that a derivative rule writes
    program: Program
    trusted: Callable[[Equation], bool]  # custom rules that are taken as they are
    trusted_rules: frozenset[str]  # the names of those that the function calls
    order: int
    seed: int
    progress: Progress
    accuracy: float  # the share below which errors of derivatives are accepted

    @property
    def is_large(self) -> bool:
        """Whether there are too many inputs to compare one by one."""
        return self.inputs.size > ALL_COORDINATES

    def at_point(self, program: Program | None = None) -> ProgramAtPoint:
        """The program that increments run, or another of the same arguments and outputs, at the given point."""
        return ProgramAtPoint(
            program or self.program, self.inputs, self.outputs, self.inputs.vector(self.leaves), self.trusted,
            may_jump=self.order == 2, seed=self.seed, progress=self.progress,
        )  # fmt: skip


def trace_case(
    function: Callable[..., list[Any]],
    leaves: Sequence[Any],
    names: Sequence[str],
    output_names: Callable[[], Sequence[str]],
    *,
    trusted: Callable[[Equation], bool] = lambda _: False,
    order: int = 1,
    seed: int = 0,
    progress: Progress = silent,
    accuracy: float = 0.0,
) -> Case:
    """Trace a function of arrays at its leaves. `output_names` is called once the function was traced.

    Raises TypeError when JAX cannot trace the function.
    """
    inputs, traced = Layout.of(names, leaves), Traced(function, *leaves)
    outputs, program = Layout.of(output_names(), traced.outputs), traced.program
    rules = {name_of(eq) for eq in equations_in(program) if trusted(eq)}
    if order == 2:  # the function that is checked from here on is JAX's gradient of the one that was given
        function = gradient_of(function, outputs, seed)
        traced = Traced(function, *leaves)
        outputs = Layout.of([f"gradient[{name}]" for name in names], traced.outputs)
        program = without_stops_of_rules(traced.program, program, trusted)
    program = recompute_state(program, leaves, trusted, seed)
    return Case(
        function, leaves, inputs, outputs, traced, program, trusted, frozenset(rules), order, seed, progress, accuracy
    )  # fmt: skip


def gradient_of(function: Callable[..., Any], outputs: Layout, seed: int) -> Callable[..., list[Any]]:
    """JAX's gradient of a random combination of the outputs."""
    (cotangents,) = zip(*outputs.arrays(random_directions(1, outputs.size, seed + 1), conjugate=True))
    return lambda *leaves: list(jax.vjp(function, *leaves)[1](list(cotangents)))
