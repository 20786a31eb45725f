"""What JAX says: the derivatives in reverse and in forward mode, and how far rounding may move them."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import takewhile
from pathlib import Path
from typing import Any

import jax
import numpy as np

from harness.bounds.tolerances import RANDOM_ROUNDINGS, SOLVERS_FACTOR
from harness.bounds.traced_bound import bound_of_values, few_roundings, spread
from harness.checks.directions import random_directions
from harness.checks.traced.layout import Claim, Layout
from harness.progress import Progress, silent
from reference.arithmetics.companion import first_line
from reference.arithmetics.many_directions import constant
from reference.arithmetics.roundoff import UNIT_ROUNDOFF
from reference.measured import NotApplicable
from reference.switches import compiler_options
from reference.traced.black_box import more_accurate
from reference.traced.contracting import product_units
from reference.traced.interpreter import Run
from reference.traced.program import (
    CALLS,
    CUSTOM_RULES,
    Constant,
    Equation,
    Program,
    Traced,
    frames_of,
    is_key,
    iterates,
    kind,
    lifted,
    programs_in,
    rule_of,
    unit_roundoff,
    whose,
)

LARGEST_PASS = 2.0e7
"""Numbers that one pass may hold, 160 MB in float64; more directions than fit go in chunks."""

LACKING = (
    "forward-mode", "Forward-mode", "Reverse-mode differentiation does not", "not implemented", "not supported",
    "is not differentiable", "does not support", "Differentiation rule", "cannot be differentiated", "Pure callbacks",
)  # fmt: skip
"""What JAX says where it lacks a mode of a primitive."""


def lacks_mode(reason: BaseException) -> bool:
    """Whether an exception says that JAX has no such mode here."""
    return isinstance(reason, NotImplementedError) or any(word in str(reason) for word in LACKING)


@contextmanager
def _lacking() -> Iterator[None]:
    """That JAX lacks a mode here, as `NotApplicable`; whatever else is raised stays what it is."""
    try:
        yield
    except Exception as reason:
        if lacks_mode(reason):
            raise NotApplicable(f"JAX says: {first_line(reason)}") from None
        raise


def footprint(program: Program) -> int:
    """How many numbers a program writes in all."""
    own = sum(int(np.prod(shape)) for eq in program.equations for shape in eq.shapes)
    inner = [(eq.params.get("length", 1), p) for eq in program.equations for p in programs_in(eq)]
    return own + sum(times * footprint(p) for times, p in inner)


def coarsest_unit(program: Program) -> float:
    """u of the coarsest floating type in a program."""
    own = [t for eq in program.equations for t in (*eq.dtypes, *eq.input_dtypes)] + list(program.dtypes)
    units = [unit_roundoff(t) for t in own if t is not None and kind(t) in ("f", "c")]
    cut = [2.0 ** -(eq.params["mantissa_bits"] + 1) for eq in program.equations if eq.name == "reduce_precision"]
    inner = [coarsest_unit(p) for eq in program.equations for p in programs_in(eq)]
    products = [unit for eq in program.equations for unit in product_units(eq)]
    return max([UNIT_ROUNDOFF["float64"], *units, *cut, *products, *inner])


def solves(program: Program) -> bool:
    """Whether in it a derivative rule stands for something that iterates."""
    return any(
        iterates(inner) if eq.name in CUSTOM_RULES else solves(inner)
        for eq in program.equations
        for inner in programs_in(eq)
    ) or any(eq.name == "custom_linear_solve" and iterates(eq.params["jaxprs"].solve) for eq in program.equations)


def alike(a: Program, b: Program) -> bool:
    """Whether two programs are surely the same, number for number, but for the rules that custom calls carry."""
    return (
        (a.size, a.arguments, len(a.equations)) == (b.size, b.arguments, len(b.equations))
        and _same(a.results, b.results)
        and _same(a.constants, b.constants)
        and all(map(_same_equation, a.equations, b.equations))
    )


def _same_equation(a: Equation, b: Equation) -> bool:
    carries = a.name in CUSTOM_RULES or a.name in CALLS  # any other function may answer as it likes
    return (
        (a.name, a.outputs, a.shapes, a.dtypes) == (b.name, b.outputs, b.shapes, b.dtypes)
        and _same(a.inputs, b.inputs)
        and all(_same(value, b.params.get(key)) or (carries and callable(value)) for key, value in a.params.items())
    )


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, Program) and isinstance(b, Program):
        return alike(a, b)
    if isinstance(a, Constant) and isinstance(b, Constant):
        return _same(a.value, b.value)
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return np.array_equal(a, b, equal_nan=a.dtype.kind in "fc")
    if isinstance(a, (tuple, list)) and isinstance(b, (tuple, list)):
        return len(a) == len(b) and all(map(_same, a, b))
    if isinstance(a, type) or is_key(a):
        return a is b
    return type(a) is type(b) and not callable(a) and bool(a == b)


class Mode:
    """JAX's derivatives in one mode: from vectors (cotangents or tangents) to products with the Jacobian.

    Parameters
    ----------
    name : "reverse" or "forward"
    function : from leaves to a list of arrays
    leaves : where it is differentiated
    inputs, outputs : Layout
        Of the function's own inputs and outputs.
    coarsest : float
        u of the coarsest type in the function: what a rule loses beyond that is not excused.
    chunk : int
        How many vectors may go at once.

    Attributes
    ----------
    by_solvers : float
        How far the answers moved when the solvers in their program were made more accurate, beside the largest.

    Raises
    ------
    NotApplicable
        JAX lacks the mode for something in the function.
    """

    def __init__(
        self,
        name: str,
        function: Callable[..., Any],
        leaves: Sequence[Any],
        inputs: Layout,
        outputs: Layout,
        coarsest: float,
        chunk: int,
    ):
        self.name, self.leaves, self.coarsest, self._chunk = name, list(leaves), coarsest, chunk
        self.given, self._answered = (outputs, inputs) if name == "reverse" else (inputs, outputs)
        self._is_reverse = name == "reverse"
        self._function = function
        self._one = _pull_back(function) if self._is_reverse else _push_forward(function)
        self._traced: dict[int, Traced] = {}
        self.by_solvers = 0.0
        self.progress: Progress = silent

    def _arrays(self, vectors: np.ndarray) -> list[np.ndarray]:
        return self.given.arrays(vectors, conjugate=self._is_reverse)

    def _vectors(self, arrays: Sequence[Any]) -> np.ndarray:
        return self._answered.vector(arrays, lead=1, conjugate=self._is_reverse)

    def traced(self, count: int) -> Traced:
        """The program of this mode for so many vectors at once: mapped where JAX can, else one after another."""
        if count not in self._traced:
            example = self._arrays(np.ones((count, self.given.size)))
            try:
                self._traced[count] = Traced(jax.vmap(self._one, in_axes=(None, 0)), self.leaves, example)
            except Exception:  # noqa: BLE001  JAX lacks the mode, or a rule for many at once
                with _lacking():
                    self._traced[count] = Traced(self._one_by_one, self.leaves, example)
        return self._traced[count]

    def _one_by_one(self, leaves: Sequence[Any], vectors: Sequence[Any]) -> list[Any]:
        answers = [self._one(leaves, [x[i] for x in vectors]) for i in range(len(vectors[0]))]
        return [jax.numpy.stack(column) for column in zip(*answers)]

    def __call__(self, vectors: np.ndarray) -> np.ndarray:
        """JAX's answer for each vector, (count, size)."""
        traced = self.traced(len(vectors))
        with _lacking():
            return self._vectors(traced(self.leaves, self._arrays(vectors)))

    def answers_alike(self, other: "Mode", vectors: np.ndarray) -> bool:
        """Whether another trace of the same mode computes the same."""
        count = next(iter(self._traced))
        found = (mode.by_numpy(vectors[:count]) for mode in (self, other))
        return alike(self.traced(count).program, other.traced(count).program) or np.array_equal(*found, equal_nan=True)

    def by_numpy(self, vectors: np.ndarray, run: Run | None = None) -> np.ndarray:
        """What the interpreter makes of this mode's program, (count, size)."""
        exact = self.given.wide_arrays(vectors, conjugate=self._is_reverse)
        arguments = [constant(lifted(x)) for x in (*self.leaves, *exact)]
        return self._vectors([y.value for y in (run or Run())(self.traced(len(vectors)).program, *arguments)])

    def chunks(self, vectors: np.ndarray) -> Iterator[np.ndarray]:
        """As many vectors as may go at once, after each other."""
        chunk = int(np.clip(self._chunk, 1, len(vectors)))
        for i in range(0, len(vectors), chunk):
            self.progress(f"{self.name} mode", i, len(vectors))
            yield vectors[i : i + chunk]

    def claim(self, vectors: np.ndarray, weights: np.ndarray | None = None, seed: int | None = None) -> Claim:
        """JAX's answer and its error: what rounding can make of the same program at most, infinite where not known.

        With a seed, the spread of randomly rounded runs instead. Combinations of the outputs, where weights for them
        are given, are (combinations, count).
        """
        claims = [self._claim(chunk, seed) for chunk in self.chunks(vectors)]
        if weights is not None:
            claims = [claim.combined(weights) for claim in claims]
        axis = 0 if weights is None else 1
        return Claim(*(np.concatenate(parts, axis) for parts in zip(*((c.derivative, c.error) for c in claims))))

    @np.errstate(all="ignore")
    def _claim(self, vectors: np.ndarray, seed: int | None) -> Claim:
        answer, program = self(vectors), self.traced(len(vectors)).program
        arguments = [lifted(x) for x in (*self.leaves, *self._arrays(vectors))]
        if seed is None:
            bounds = None if iterates(program) else bound_of_values(program, arguments, self.coarsest)
            if bounds is None:
                return Claim(answer, np.full(answer.shape, np.inf))
            return Claim(answer, np.abs(self._vectors(bounds)) + few_roundings(answer, self.coarsest))
        rngs = [None, *np.random.default_rng(seed).spawn(RANDOM_ROUNDINGS)]
        given = list(map(constant, arguments))
        runs = (self._vectors([y.value for y in Run(rng, self.coarsest)(program, *given)]) for rng in rngs)
        with _lacking():  # XLA leaves out what nobody reads, and with it what JAX lacks
            return Claim(answer, spread(runs, self.coarsest) + self._solvers_error(answer, program, vectors))

    def has_solver(self, program: Program) -> bool:
        """Whether its program holds one that stops at a tolerance, where the function's own may go on to another."""
        if not iterates(program):
            return False  # and forward mode goes through a loop as the function does, step by step
        return self._is_reverse or solves(Traced(self._function, *self.leaves).program)

    def _solvers_error(self, answer: np.ndarray, program: Program, vectors: np.ndarray) -> np.ndarray | float:
        """Four times what an answer moves by when the solvers that it comes from go on below their tolerances."""
        if not self.has_solver(program):
            return 0.0
        arguments = [*self.leaves, *(arrays := self._arrays(vectors))]
        finer = more_accurate(program, arguments, jax.tree.leaves(self.traced(len(vectors))(self.leaves, arrays)))
        if finer is None:
            return 0.0
        moved = np.abs(self._vectors(jax.jit(finer, compiler_options=compiler_options())(*arguments)) - answer)
        moved = np.where(np.isfinite(moved), moved, 0.0)
        self.by_solvers = max(
            self.by_solvers, float(moved.max(initial=0.0) / np.abs(answer).max(initial=np.finfo(float).tiny))
        )
        return SOLVERS_FACTOR * moved


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


def equations_in(program: Program) -> Iterator[Equation]:
    """All equations of a program, however deep."""
    for equation in program.equations:
        yield equation
        for inner in programs_in(equation):
            yield from equations_in(inner)


def _pull_back(function: Callable[..., Any]) -> Callable[..., Any]:
    def one(leaves: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        return list(jax.vjp(function, *leaves)[1](list(cotangents)))

    return one


def _push_forward(function: Callable[..., Any]) -> Callable[..., Any]:
    def one(leaves: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        return list(jax.jvp(function, tuple(leaves), tuple(tangents))[1])

    return one
