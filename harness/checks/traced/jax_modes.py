"""JAX's derivatives in reverse and in forward mode, and the same programs run by the interpreter.

A mode is a traced program of its own: from f's arguments and vectors to products with the Jacobian J of f, wᵀJ for
cotangents w in reverse mode (`jax.vjp`), J t for tangents t in forward mode (`jax.jvp`). JAX compiles and runs it,
which is what callers get. The interpreter runs the same program in NumPy: with running error bounds, rounded at random,
or in float64, which shows whether an error is rounding or the rule's.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from traceback import FrameSummary, extract_tb
from typing import Any

import jax
import numpy as np

from harness.bounds.program_bound import bound_of_values
from harness.bounds.tolerances import SOLVERS_FACTOR
from harness.checks.traced.real_coordinates import Layout, combine
from harness.checks.traced.traced_programs import alike, calls_back, solves
from harness.facts.fact import Fact, note
from harness.facts.kinds import Kind
from harness.progress import Progress, silent
from reference.arithmetics.array_pieces import in_pieces
from reference.arithmetics.companion import first_line
from reference.arithmetics.increments import Increment, constant
from reference.measured import NotApplicable
from reference.traced.decisions import RecordingRun, TurnedRun
from reference.traced.equations import Program, equations_in, iterates, lifted, unit_roundoff
from reference.traced.interpreter import Run
from reference.traced.rule_origins import owner_of_file
from reference.traced.solver_tolerances import largest_tolerance, more_accurate
from reference.traced.traced_function import Traced

MODES = ("reverse", "forward")

LACKING = (
    "forward-mode", "Forward-mode", "Reverse-mode differentiation does not", "not implemented", "not supported",
    "is not differentiable", "does not support", "Differentiation rule", "cannot be differentiated", "Pure callbacks",
    "Store empty",
)  # fmt: skip
"""Parts of JAX's messages that say that it lacks a mode for a primitive: it raises ValueError and TypeError for that,
as it does for mistakes of users. The last is forward mode of a custom_vjp in a compiled loop that was differentiated
before."""

RULE_OF_MAPS = "custom_vmap_call"  # the primitive of a function that has its own rule for `jax.vmap`


class ModeMissing(NotApplicable):
    """JAX lacks a mode for something in the function; the fact says why."""

    def __init__(self, fact: Fact):
        super().__init__(str(fact.data.get("message", fact.kind)))
        self.fact = fact


@contextmanager
def _refuse_missing_modes() -> Iterator[None]:
    """Raise `ModeMissing` where JAX, or a library's rule, lacks a mode; whatever else is raised stays what it is."""
    try:
        yield
    except Exception as reason:
        is_lacking = isinstance(reason, NotImplementedError) or any(words in str(reason) for words in LACKING)
        # what a library's rule raises is no mistake of the user's
        if is_lacking or owner_of_file(_innermost(reason).filename) == "library":
            raise ModeMissing(note(Kind.MODE_MISSING, message=first_line(reason))) from None
        # an AssertionError within JAX says nothing that a user could act on. JAX removes its own lines from a
        # traceback: the last one left calls JAX, or is an assertion of the user's own, which has to be seen
        line = _innermost(reason).line
        if isinstance(reason, AssertionError) and line and not line.startswith(("assert", "raise")):
            raise ModeMissing(note(Kind.ASSERTION_IN_JAX)) from None
        raise


def _innermost(reason: BaseException) -> FrameSummary:
    """The line where an error was raised that was caught, or that called what raised it in Python's own library."""
    frames = extract_tb(reason.__traceback__)
    return next(frame for frame in reversed(frames) if owner_of_file(frame.filename) != "python")


@dataclass(frozen=True, eq=False)
class Mode:
    """JAX's derivatives in one mode: from vectors to their products with the Jacobian.

    Vectors are (count, size) arrays in real coordinates: cotangents of the outputs in reverse mode (VJP), tangents of
    the inputs in forward mode (JVP). With weights w of the outputs, which forward mode needs, the products J t become
    w·J t, (combinations, count). A call raises `ModeMissing` where JAX lacks the mode for something in the function.
    """

    name: str  # "reverse" or "forward"
    function: Callable[..., Any]  # from leaves to a list of arrays
    program: Program  # what JAX traced of it
    leaves: Sequence[Any]  # where it is differentiated
    inputs: Layout
    outputs: Layout
    # u of the coarsest type in the function. What a rule loses beyond that is no rounding of the function
    coarsest: float
    chunk: int  # how many vectors fit into one pass
    progress: Progress = silent
    quickly: bool = True  # whether XLA leaves out its slow passes; else it compiles as callers have it do
    coarser: "Mode | None" = None  # the mode of which this is `finely`
    # the programs of this mode, by how many vectors they take; they are the same at any point
    _traced: dict[int, Traced] = field(default_factory=dict)

    @property
    def _is_reverse(self) -> bool:
        return self.name == "reverse"

    @property
    def given(self) -> Layout:
        return self.outputs if self._is_reverse else self.inputs

    def _one(self, leaves: Sequence[Any], vector: Sequence[Any]) -> list[Any]:
        """The product for one vector, as arrays."""
        if self._is_reverse:
            return list(jax.vjp(self.function, *leaves)[1](list(vector)))
        return list(jax.jvp(self.function, tuple(leaves), tuple(vector))[1])

    def _arrays(self, vectors: np.ndarray) -> list[np.ndarray]:
        return self.given.arrays(vectors, conjugate=self._is_reverse)

    def _vectors(self, arrays: Sequence[Any]) -> np.ndarray:
        reported = self.inputs if self._is_reverse else self.outputs
        return reported.vector(arrays, lead=1, conjugate=self._is_reverse)

    def traced(self, count: int) -> Traced:
        """The program of this mode for so many vectors at once; several only where JAX can batch it."""
        if count not in self._traced:
            # outputs may add up to a constant, so that the product for a vector of ones is nothing but rounding
            example = self._arrays(np.random.default_rng(0).uniform(0.5, 1.5, (count, self.given.size)))
            if self.coarser:
                with _refuse_missing_modes():
                    finer = with_finer_solvers(self.coarser.traced(count), self.leaves, example)
                return self._traced.setdefault(count, finer)
            try:
                self._traced[count] = Traced(jax.vmap(self._one, in_axes=(None, 0)), self.leaves, example)
            except Exception:  # JAX lacks the mode, or a rule for batches: a single vector needs no batch
                if count > 1:
                    raise
                with _refuse_missing_modes():
                    single = lambda leaves, vectors: [y[None] for y in self._one(leaves, [x[0] for x in vectors])]  # noqa: E731
                    self._traced[count] = Traced(single, self.leaves, example)
        return self._traced[count]

    @property
    def programs(self) -> list[Program]:
        return [traced.program for traced in self._traced.values()]

    # -- many vectors, in passes --------------------------------------------------------------------------------------

    def _pass_size(self, count: int) -> int:
        """How many of so many vectors go into one pass, all passes alike.

        As many as in a program that was traced before, if that is no more than twice as many: zeros cost less than
        another compilation.
        """
        passes = -(-count // self.chunk)
        size = -(-count // passes)
        size = min((known for known in self._traced if size <= known <= 2 * size), default=size)
        try:
            self.traced(size)
        except Exception:  # noqa: BLE001  then one after another
            return 1
        return size

    def _in_passes(
        self, compute: Callable[[np.ndarray], np.ndarray], vectors: np.ndarray, weights: np.ndarray | None
    ) -> np.ndarray:
        """What is computed for each vector, (count, size); with weights of the outputs, (combinations, count)."""
        size = self._pass_size(len(vectors))
        parts = []
        for i in range(0, len(vectors), size):
            self.progress(f"{self.name} mode", i, len(vectors))
            given, missing = vectors[i : i + size], max(0, i + size - len(vectors))
            # a last pass of another size would be another program to compile
            part = compute(np.pad(given, ((0, missing), (0, 0))) if missing else given)[: len(given)]
            parts.append(part.T if weights is None else combine(weights, part))
        found = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)
        return found.T if weights is None else found

    def products(self, vectors: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
        """JAX's products, by code that XLA has compiled without its slow passes, or as callers have it do."""

        def product(part: np.ndarray) -> np.ndarray:
            traced = self.traced(len(part))
            with _refuse_missing_modes():
                return self._vectors(traced(self.leaves, self._arrays(part), quickly=self.quickly))

        return self._in_passes(product, vectors, weights)

    def at_rounded_arguments(self, rng: Any, vectors: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
        """JAX's products where each argument is another number, a rounding away."""
        return replace(self, leaves=[_rounded_away(leaf, rng) for leaf in self.leaves]).products(vectors, weights)

    def unbatched_product(self, vector: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray | None:
        """JAX's product for one vector without `jax.vmap`; None where no function has a rule of its own for vmap."""
        given = [x[0] for x in self._arrays(vector[None])]
        traced = Traced(self._one, self.leaves, given)
        if not any(equation.name == RULE_OF_MAPS for equation in equations_in(traced.program)):
            return None
        product = self._vectors([np.asarray(y)[None] for y in traced(self.leaves, given, quickly=self.quickly)])[0]
        return product if weights is None else weights @ product

    # -- the same program by the interpreter --------------------------------------------------------------------------

    def _numbers(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        return [lifted(x) for x in (*self.leaves, *arrays)]

    def by_numpy(self, vectors: np.ndarray, run: Run | None = None, *, is_wide: bool = False) -> np.ndarray:
        """The products by a run of the interpreter, (count, size); wide vectors are not rounded to f's types first."""
        arrays = self.given.wide_arrays if is_wide else self.given.arrays
        numbers = map(constant, self._numbers(arrays(vectors, conjugate=self._is_reverse)))
        return self._vectors([y.value for y in (run or Run())(self.traced(len(vectors)).program, *numbers)])

    def results_of_ones(self, run: Run) -> list[Increment]:
        """The results of a run of a program that was traced already, for vectors of ones."""
        count, traced = next(iter(self._traced.items()))
        return run(traced.program, *map(constant, self._numbers(self._arrays(np.ones((count, self.given.size))))))

    def bound(self, vectors: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
        """A derived bound on the rounding error of the same program; infinite where there is none."""

        def bound(part: np.ndarray) -> np.ndarray:
            program, bounds = self.traced(len(part)).program, None
            if not iterates(program):  # a bound grows from step to step, so that in long loops it says nothing
                bounds = bound_of_values(program, self._numbers(self._arrays(part)), self.coarsest)
            if bounds is None:
                return np.full((len(part), (self.inputs if self._is_reverse else self.outputs).size), np.inf)
            return np.abs(self._vectors(bounds))

        return self._in_passes(bound, vectors, None if weights is None else np.abs(weights))

    def by_run(
        self, run: Run, vectors: np.ndarray, weights: np.ndarray | None = None, *, is_wide: bool = False
    ) -> np.ndarray:
        """The products by a run of the interpreter, in passes, as `by_numpy` has them."""
        with _refuse_missing_modes():  # XLA leaves out what nobody reads, and with it what JAX lacks
            return self._in_passes(lambda part: self.by_numpy(part, run, is_wide=is_wide), vectors, weights)

    def rounded_in_range(
        self, rng: Any, vectors: np.ndarray, weights: np.ndarray | None = None, *, keeps_branches: bool
    ) -> np.ndarray:
        """The same by a run that rounds at random in types of unlimited range, so that nothing underflows.

        With `keeps_branches`, every comparison comes out as in float64: rounding turns no branch.
        """

        def product(part: np.ndarray) -> np.ndarray:
            exact = RecordingRun()
            if keeps_branches:
                self.by_numpy(part, exact)
            turned = TurnedRun(
                decisions=iter(exact.decisions), rounding=rng, coarsest=self.coarsest, has_unlimited_range=True
            )
            return self.by_numpy(part, turned)

        return self._in_passes(product, vectors, weights)

    # -- solvers that stop at a tolerance -----------------------------------------------------------------------------

    @cached_property
    def has_solver(self) -> bool:
        """Whether a solver in its program stops at a tolerance.

        Forward mode runs f's own loops, step by step, and is right for the steps that f makes. JAX cannot differentiate
        a loop that ends by a condition in reverse mode: there it belongs to a rule that solves a problem of its own.
        """
        if not any(map(iterates, self.programs)):
            return False
        return self._is_reverse or solves(self.program)

    @cached_property
    def may_stop_early(self) -> bool:
        """Whether a loop that ends by a condition, or a primitive without a rule here, may stop at a tolerance."""
        return any(
            eq.primitive.iterates or eq.primitive.rule is None for each in self.programs for eq in equations_in(each)
        )

    @property
    def finely(self) -> "Mode":
        """The same mode by solvers that go on below their tolerances."""
        return replace(self, coarser=self, _traced={})

    @property
    def tolerance(self) -> float:
        """The largest tolerance of the solvers in its programs and in f's; zero where there is none."""
        if not self.has_solver:
            return 0.0
        return max(map(largest_tolerance, [*self.programs, self.program]))

    def solvers_error(self, vectors: np.ndarray, weights: np.ndarray | None = None) -> tuple[np.ndarray, float]:
        """`SOLVERS_FACTOR` times what products move by when solvers go on below their tolerances.

        And how far they move at most, as a share of the largest product.
        """
        shares = [0.0]

        def error(part: np.ndarray) -> np.ndarray:
            moved, size = self._moved_by_solvers(part)
            shares.append(float(moved.max(initial=0.0) / size))
            return SOLVERS_FACTOR * moved

        with _refuse_missing_modes():
            found = self._in_passes(error, vectors, None if weights is None else np.abs(weights))
        return found, max(shares)

    def _moved_by_solvers(self, vectors: np.ndarray) -> tuple[np.ndarray, float]:
        traced, given = self.traced(len(vectors)), self._arrays(vectors)
        found = traced(self.leaves, given)
        products, arguments = self._vectors(found), [*self.leaves, *given]
        size = float(np.abs(products).max(initial=np.finfo(float).tiny))
        finer = more_accurate(traced.program, arguments, jax.tree.leaves(found))
        if finer is None:  # no number in the program is a tolerance
            return np.zeros(products.shape), size
        moved = np.abs(self._vectors(finer.results) - products)
        return np.where(np.isfinite(moved), moved, 0.0), size

    # -- another trace of the same mode -------------------------------------------------------------------------------

    def computes_the_same(self, other: "Mode", vectors: np.ndarray) -> bool:
        """Whether another trace of the same mode is the same program, or computes the same products."""
        count = next(iter(self._traced))
        own = self.traced(count).program
        if alike(own, other.traced(count).program) and not calls_back(own):
            return True
        return np.array_equal(self.by_numpy(vectors[:count]), other.by_numpy(vectors[:count]), equal_nan=True)


def with_finer_solvers(traced: Traced, *arguments: Any) -> Traced:
    """The same function by solvers that go on below their tolerances; itself where none does."""
    leaves = jax.tree.leaves(arguments)
    finer = more_accurate(traced.program, leaves, jax.tree.leaves(traced(*arguments)))
    if finer is None:
        return traced
    return Traced(lambda *given: finer.ending(finer.longest, *jax.tree.leaves(given)), *arguments)


def _rounded_away(leaf: Any, rng: np.random.Generator) -> Any:
    """An array with each number moved by one or two units in its last place, up or down at random."""
    values, unit = np.asarray(leaf), unit_roundoff(np.asarray(leaf).dtype)
    return in_pieces(lambda x: (x * (1.0 + 2.0 * unit * rng.choice([-1.0, 1.0], x.shape))).astype(x.dtype), values)
