"""What JAX says: the derivatives in reverse and in forward mode, and how far rounding may move them."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dis import opmap
from functools import cached_property, partial
from typing import Any

import jax
import numpy as np

from harness.bounds.program_bound import bound_of_values
from harness.bounds.tolerances import SOLVERS_FACTOR
from harness.checks.random_directions import random_directions
from harness.checks.traced.real_coordinates import Layout, combined
from harness.checks.traced.traced_programs import alike, equations_in, solves
from harness.progress import Progress, silent
from reference.arithmetics.companion import first_line
from reference.arithmetics.increments import Increment, constant
from reference.jax_settings import compiler_options
from reference.measured import NotApplicable
from reference.traced.eagerly import InOwnTypes
from reference.traced.interpreter import Run
from reference.traced.program import Program, Traced, iterates, lifted
from reference.traced.solving.replaying import more_accurate

LACKING = (
    "forward-mode", "Forward-mode", "Reverse-mode differentiation does not", "not implemented", "not supported",
    "is not differentiable", "does not support", "Differentiation rule", "cannot be differentiated", "Pure callbacks",
)  # fmt: skip
"""What JAX says where it lacks a mode of a primitive."""


RULE_OF_MAPS = "custom_vmap_call"
"""The primitive of a function that `jax.vmap` maps by a rule of the function's own."""


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
        if isinstance(reason, AssertionError) and _is_raised_by_jax(reason):
            raise NotApplicable("an assertion within JAX fails, as it may where a rule is not linear") from None
        raise


def _is_raised_by_jax(reason: BaseException) -> bool:
    """Whether the innermost line of a traceback is JAX's, or calls JAX, whose lines are taken out of it."""
    at = reason.__traceback__
    while at is not None and at.tb_next is not None:
        at = at.tb_next
    if at is None:
        return False
    code, module = at.tb_frame.f_code.co_code, at.tb_frame.f_globals.get("__name__", "")
    return module.partition(".")[0] == "jax" or code[at.tb_lasti] != opmap["RAISE_VARARGS"]


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
        """The program of this mode for so many vectors at once; several only where JAX can map it."""
        if count not in self._traced:
            example = self._arrays(np.ones((count, self.given.size)))
            try:
                self._traced[count] = Traced(jax.vmap(self._one, in_axes=(None, 0)), self.leaves, example)
            except Exception:  # JAX lacks the mode, or a rule for many at once
                if count > 1:
                    raise
                with _lacking():
                    self._traced[count] = Traced(self._alone, self.leaves, example)
        return self._traced[count]

    def _alone(self, leaves: Sequence[Any], vectors: Sequence[Any]) -> list[Any]:
        return [y[None] for y in self._one(leaves, [x[0] for x in vectors])]

    def unmapped(self, vector: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray | None:
        """JAX's answer for one vector where nothing maps the mode; None where a map has no rule of its own in it."""
        given = [x[0] for x in self._arrays(vector[None])]
        traced = Traced(self._one, self.leaves, given)
        if not any(equation.name == RULE_OF_MAPS for equation in equations_in(traced.program)):
            return None
        answer = self._vectors([np.asarray(y)[None] for y in traced(self.leaves, given)])[0]
        return answer if weights is None else weights @ answer

    def _at_once(self, count: int) -> int:
        """How many of so many vectors go in one pass, all passes alike; as many as before, if that is hardly more."""
        size = -(-count // -(-count // max(1, self._chunk)))
        size = min((known for known in self._traced if size <= known <= 2 * size), default=size)
        try:
            self.traced(size)
        except Exception:  # noqa: BLE001  one after another then
            return 1
        return size

    def __call__(self, vectors: np.ndarray, quickly: bool = True) -> np.ndarray:
        """JAX's answer for each vector, (count, size)."""
        traced = self.traced(len(vectors))
        with _lacking():
            return self._vectors(traced(self.leaves, self._arrays(vectors), quickly=quickly))

    def is_alike(self, other: "Mode") -> bool:
        """Whether another trace of the same mode, and so of the function, is the same program."""
        count = next(iter(self._traced))
        return alike(self.traced(count).program, other.traced(count).program)

    def answers_alike(self, other: "Mode", vectors: np.ndarray) -> bool:
        """Whether another trace of the same mode computes the same."""
        found = [mode.by_numpy(vectors[: next(iter(self._traced))]) for mode in (self, other)]
        return np.array_equal(*found, equal_nan=True)

    def _numbers(self, vectors: np.ndarray) -> list[np.ndarray]:
        return [lifted(x) for x in (*self.leaves, *self._arrays(vectors))]

    def by_numpy(self, vectors: np.ndarray, run: Run | None = None) -> np.ndarray:
        """What the interpreter makes of this mode's program, (count, size)."""
        return self._by_numpy(self._numbers(vectors), len(vectors), run or Run())

    def _by_numpy(self, numbers: Sequence[np.ndarray], count: int, run: Run) -> np.ndarray:
        return self._vectors([y.value for y in run(self.traced(count).program, *map(constant, numbers))])

    def results_of_ones(self, run: Run) -> list[Increment]:
        """What a run makes of a program that answered already, for vectors of ones."""
        count, traced = next(iter(self._traced.items()))
        return run(traced.program, *map(constant, self._numbers(np.ones((count, self.given.size)))))

    def _each(
        self, ask: Callable[[np.ndarray], np.ndarray], vectors: np.ndarray, weights: np.ndarray | None
    ) -> np.ndarray:
        """What is asked for as many vectors as may go at once: (count, size).

        Combinations of the outputs, where weights for them are given, are (combinations, count).
        """
        size = self._at_once(len(vectors))
        padded = np.zeros((-(-len(vectors) // size) * size, vectors.shape[1]))
        padded[: len(vectors)] = vectors
        parts = []
        for i in range(0, len(padded), size):
            self.progress(f"{self.name} mode", i, len(padded))
            part = ask(padded[i : i + size])
            parts.append(part.T if weights is None else combined(weights, part))
        found = np.concatenate(parts, axis=1)[:, : len(vectors)]
        return found.T if weights is None else found

    @np.errstate(all="ignore")
    def answers(self, vectors: np.ndarray, weights: np.ndarray | None = None, quickly: bool = True) -> np.ndarray:
        """JAX's answers, by machine code that is written quickly, or by such as callers get."""
        return self._each(partial(self, quickly=quickly), vectors, weights)

    @np.errstate(all="ignore")
    def bound(self, vectors: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
        """What rounding can make of the same program at most; infinite where that is not known."""

        def bound(part: np.ndarray) -> np.ndarray:
            program = self.traced(len(part)).program
            bounds = None if iterates(program) else bound_of_values(program, self._numbers(part), self.coarsest)
            return (
                np.full((len(part), self._answered.size), np.inf) if bounds is None else np.abs(self._vectors(bounds))
            )

        return self._each(bound, vectors, None if weights is None else np.abs(weights))

    @np.errstate(all="ignore")
    def rounded(self, rng: Any, vectors: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
        """What the interpreter makes of the same program, rounded at random unless there is no generator."""
        run = Run(rng, self.coarsest)
        with _lacking():  # XLA leaves out what nobody reads, and with it what JAX lacks
            return self._each(lambda part: self.by_numpy(part, run), vectors, weights)

    @np.errstate(all="ignore")
    def in_own_types(self, vectors: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
        """What the interpreter makes of the same program, every result rounded to its own type."""
        run = InOwnTypes()
        with _lacking():
            return self._each(lambda part: self.by_numpy(part, run), vectors, weights)

    @np.errstate(all="ignore")
    def meaning(self, run: Run, vectors: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
        """What a run makes of the same program and of vectors that are not rounded to the program's types."""

        def meaning(part: np.ndarray) -> np.ndarray:
            exact = self.given.wide_arrays(part, conjugate=self._is_reverse)
            return self._by_numpy([lifted(x) for x in (*self.leaves, *exact)], len(part), run)

        with _lacking():
            return self._each(meaning, vectors, weights)

    @property
    def programs(self) -> list[Program]:
        """Those that answered so far."""
        return [traced.program for traced in self._traced.values()]

    @np.errstate(all="ignore")
    def solvers_error(self, vectors: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
        """Four times what answers move by when the solvers that they come from go on below their tolerances."""
        with _lacking():
            return self._each(self._solvers_error, vectors, None if weights is None else np.abs(weights))

    @cached_property
    def has_solver(self) -> bool:
        """Whether a solver stops in its program at a tolerance; forward mode goes through f's own loops as f does."""
        if not any(map(iterates, self.programs)):
            return False
        return self._is_reverse or solves(Traced(self._function, *self.leaves).program)

    def _solvers_error(self, vectors: np.ndarray) -> np.ndarray:
        traced, given = self.traced(len(vectors)), self._arrays(vectors)
        found = traced(self.leaves, given)
        answer, arguments = self._vectors(found), [*self.leaves, *given]
        finer = more_accurate(traced.program, arguments, jax.tree.leaves(found))
        if finer is None:
            return np.zeros(answer.shape)
        moved = np.abs(self._vectors(jax.jit(finer, compiler_options=compiler_options())(*arguments)) - answer)
        moved = np.where(np.isfinite(moved), moved, 0.0)
        self.by_solvers = max(
            self.by_solvers, float(moved.max(initial=0.0) / np.abs(answer).max(initial=np.finfo(float).tiny))
        )
        return SOLVERS_FACTOR * moved


def _pull_back(function: Callable[..., Any]) -> Callable[..., Any]:
    def one(leaves: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        return list(jax.vjp(function, *leaves)[1](list(cotangents)))

    return one


def _push_forward(function: Callable[..., Any]) -> Callable[..., Any]:
    def one(leaves: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        return list(jax.jvp(function, tuple(leaves), tuple(tangents))[1])

    return one


def gradient_of(function: Callable[..., Any], outputs: Layout, seed: int) -> Callable[..., list[Any]]:
    """JAX's gradient of a random combination of the outputs."""
    (cotangents,) = zip(*outputs.arrays(random_directions(1, outputs.size, seed + 1), conjugate=True))
    return lambda *leaves: list(jax.vjp(function, *leaves)[1](list(cotangents)))
