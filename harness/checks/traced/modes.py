"""What JAX says: the derivatives in reverse and in forward mode, and how far rounding may move them."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from harness.bounds.tolerances import COARSE_SPREAD_FACTOR, RANDOM_ROUNDINGS, SPREAD_FACTOR
from harness.checks.traced.layout import Layout
from reference.arithmetics.companion import first_line
from reference.measured import NotApplicable
from reference.traced.control_flow import programs_in
from reference.traced.interpreter import COARSE, Run, lifted
from reference.traced.numbers import constant
from reference.traced.program import Program, trace, unit_roundoff

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


@dataclass(frozen=True)
class Claim:
    """What a mode answers, and what rounding may have moved of it; (count, size) each."""

    derivative: np.ndarray
    error: np.ndarray


class Mode:
    """JAX's derivatives in one mode: from vectors (cotangents or tangents) to products with the Jacobian.

    Parameters
    ----------
    name : "reverse" or "forward"
    function : from leaves to a list of arrays
    leaves : where it is differentiated
    inputs, outputs : Layout
        Of the function's own inputs and outputs.

    Raises
    ------
    NotApplicable
        JAX lacks the mode for something in the function.
    """

    def __init__(self, name: str, function: Callable[..., Any], leaves: Sequence[Any], inputs: Layout, outputs: Layout):
        self.name, self.leaves = name, list(leaves)
        self._given, self._answered = (outputs, inputs) if name == "reverse" else (inputs, outputs)
        self._is_reverse = name == "reverse"
        one = _pull_back(function) if self._is_reverse else _push_forward(function)
        example = self._arrays(np.ones((2, self._given.size)))
        self._many = _vectorised(one, self.leaves, example)
        self._compiled = jax.jit(self._many)
        self._programs: dict[int, Program] = {}

    def _arrays(self, vectors: np.ndarray) -> list[np.ndarray]:
        return self._given.arrays(vectors, conjugate=self._is_reverse)

    def _vectors(self, arrays: Sequence[Any]) -> np.ndarray:
        return self._answered.vector(arrays, lead=1, conjugate=self._is_reverse)

    def program(self, count: int) -> Program:
        """The program of this mode for so many vectors at once."""
        if count not in self._programs:
            example = self._arrays(np.ones((count, self._given.size)))
            self._programs[count] = trace(self._many, self.leaves, example)
        return self._programs[count]

    def __call__(self, vectors: np.ndarray) -> np.ndarray:
        """JAX's answer for each vector, (count, size)."""
        with _lacking():
            return self._vectors(self._compiled(self.leaves, self._arrays(vectors)))

    def claim(self, vectors: np.ndarray, seed: int) -> Claim:
        """JAX's answer, with the spread of randomly rounded runs of the same program as its error."""
        chunk = int(np.clip(LARGEST_PASS // max(1, footprint(self.program(1))), 1, len(vectors)))
        claims = [self._claim(vectors[i : i + chunk], seed) for i in range(0, len(vectors), chunk)]
        return Claim(*(np.concatenate(parts) for parts in zip(*((c.derivative, c.error) for c in claims))))

    def _claim(self, vectors: np.ndarray, seed: int) -> Claim:
        answer, program = self(vectors), self.program(len(vectors))
        arguments = [constant(lifted(x)) for x in (*self.leaves, *self._arrays(vectors))]
        rngs = [None, *np.random.default_rng(seed).spawn(RANDOM_ROUNDINGS)]
        with np.errstate(all="ignore"):
            runs = [self._vectors([y.value for y in Run(rng, own_precision=True)(program, *arguments)]) for rng in rngs]
            return Claim(answer, spread(runs, self.unit))

    @property
    def unit(self) -> float:
        """u of the coarsest type that goes in or comes out."""
        return max(unit_roundoff(dtype) for dtype in (*self._given.dtypes, *self._answered.dtypes))


def spread(runs: Sequence[np.ndarray], unit: float) -> np.ndarray:
    """An error bar from a computation and the same rounded at random: a multiple of the farthest of these."""
    centre, *others = runs
    farthest = np.max([np.abs(other - centre) for other in others], axis=0)
    own = 4.0 * unit * np.abs(centre) + np.finfo(float).tiny
    factor = SPREAD_FACTOR if unit < COARSE else COARSE_SPREAD_FACTOR
    error = factor * farthest + own
    return np.where(np.isfinite(error), error, np.inf)


def _pull_back(function: Callable[..., Any]) -> Callable[..., Any]:
    def one(leaves: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        return list(jax.vjp(function, *leaves)[1](list(cotangents)))

    return one


def _push_forward(function: Callable[..., Any]) -> Callable[..., Any]:
    def one(leaves: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        return list(jax.jvp(function, tuple(leaves), tuple(tangents))[1])

    return one


def _vectorised(one: Callable[..., Any], leaves: Sequence[Any], example: Sequence[Any]) -> Callable[..., Any]:
    """One product for each of several vectors: mapped where JAX can, else one after another."""
    single = [x[0] for x in example]
    with _lacking():
        jax.make_jaxpr(one)(leaves, single)
    mapped = jax.vmap(one, in_axes=(None, 0))
    try:
        jax.make_jaxpr(mapped)(leaves, example)
    except Exception:  # noqa: BLE001  whatever has no rule for a batch
        return lambda leaves, vectors: [
            jax.numpy.stack(column)
            for column in zip(*(one(leaves, [x[i] for x in vectors]) for i in range(len(vectors[0]))))
        ]
    return mapped
