"""Check the derivatives of any function that JAX traces: its rules, the user's and JAX's own, against its values.

The program is run primitive by primitive with exact increments (`harness.checks.traced.truth`), and what JAX says in
reverse and in forward mode (`harness.checks.traced.modes`) has to be the same within what rounding can move.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from harness.bounds.tolerances import ALL_ENTRIES, DENSE_COMBINATIONS
from harness.checks.directions import random_directions
from harness.checks.traced.arguments import Arguments
from harness.checks.traced.layout import Layout
from harness.checks.traced.modes import Claim, Mode
from harness.checks.traced.subject import TracedDerivatives, rounding_note
from harness.checks.traced.truth import Sides, Truth
from harness.verdict.comparison import Answer, Pair, compare_all
from harness.verdict.consensus import Consensus
from harness.verdict.judging import judge
from harness.verdict.report import Report
from harness.wording import first_few
from reference.measured import NotApplicable
from reference.traced.program import settings, trace

MODES = ("reverse", "forward")
INCREMENTS, DIFFERENCES, JAX = "increments", "differences", "jax"


def check_derivatives(
    f: Callable[..., Any],
    *args: Any,
    order: int = 1,
    modes: Sequence[str] = MODES,
    argnums: int | Sequence[int] | None = None,
    seed: int = 0,
) -> Report:
    """Are the derivatives that JAX has of f the derivatives of f?

    Compared are ∂(w·f)/∂x, for every output or for random combinations w of many, in reverse mode, in forward mode, and
    by exact increments through the traced program, in float64, whatever the precision of f.

    Parameters
    ----------
    f : callable
        A function that JAX can trace, of any trees of arrays; returns any tree of arrays.
    *args : trees of arrays
        Where to check. Floating and complex leaves are differentiated in their own precision; Python's numbers are
        float64. Integers, truth values, random keys, `None` and whatever is no array are left alone.
    order : 1 or 2
        2 checks the derivatives of JAX's gradient: forward over reverse, and reverse over reverse.
    modes : some of "reverse" and "forward"
    argnums : int, or several, optional
        The arguments to differentiate; by default all.
    seed : int
        Of the combinations, directions and random roundings.

    Returns
    -------
    Report
        The sources "reverse" and "forward" are JAX's. "inconclusive" where the function jumps or is not finite.

    Raises
    ------
    TypeError, ValueError
        When there is nothing to differentiate, or f cannot be traced.
    """
    started = time.perf_counter()
    _require(order, modes)
    arguments = Arguments(f, args, argnums)
    with settings(bool(jax.config.jax_enable_x64) or arguments.needs_64_bits):
        return _Check(arguments, order, seed).report(modes, started)


def _require(order: int, modes: Sequence[str]) -> None:
    if order not in (1, 2):
        raise ValueError(f"order must be 1 or 2, not {order!r}")
    unknown = [mode for mode in modes if mode not in MODES]
    if isinstance(modes, str) or unknown or not modes:
        raise ValueError(f"modes must be some of {', '.join(MODES)}, as a tuple, not {modes!r}")


class _Check:
    """One function at one point: what is asked, and what is answered."""

    def __init__(self, arguments: Arguments, order: int, seed: int):
        self.seed, self.leaves, self.function = seed, arguments.leaves, arguments.function
        inputs = Layout(arguments.names, arguments.leaves)
        program, values = _traced(self.function, self.leaves)
        outputs = Layout(arguments.outputs, values)
        if order == 2:
            self.function = _gradient_of(self.function, outputs, seed)
            program, values = _traced(self.function, self.leaves)
            outputs = Layout([f"gradient[{name}]" for name in arguments.names], values)
        self.inputs, self.outputs = inputs, outputs
        self.truth = Truth(program, self.leaves, inputs, outputs)
        self.each = inputs.size * outputs.size <= ALL_ENTRIES
        self.weights = self._weights()

    def _weights(self) -> np.ndarray:
        """(combinations, outputs): each output by itself, or a few random combinations of all."""
        drawn = random_directions(1 if self.each else DENSE_COMBINATIONS, self.outputs.size, self.seed)
        return np.diag(drawn[0]) if self.each else drawn

    def report(self, modes: Sequence[str], started: float) -> Report:
        left_out: dict[str, str] = {}
        claims: dict[str, Claim] = {}
        for name in modes:
            try:
                claims[name] = self._claim(Mode(name, self.function, self.leaves, self.inputs, self.outputs))
            except NotApplicable as reason:
                left_out[name] = str(reason)
        sides = self.truth.sides(np.eye(self.inputs.size), self.seed)
        doubts, known = self._values()
        truth = self._between(sides, claims)
        truth.error[~known] = np.inf
        answers = [_answer(n, JAX, self._not_finite(claim, truth), self.precision) for n, claim in claims.items()]
        answers.append(_answer(INCREMENTS, INCREMENTS, truth, "float64", oracle=True))
        chosen = np.ones(self.inputs.size, bool)
        subject = TracedDerivatives(self.inputs, self.outputs, len(self.weights), self.truth.point, chosen)
        subject.notes = [rounding_note([answer.name for answer in answers])]
        subject.doubts = doubts if not sides.reason else [*doubts, *self._where_untold(truth, sides.reason)]
        pairs = compare_all(answers, subject.blocks)
        return judge(subject, answers, pairs, (), _consensus(answers, pairs), left_out, started)

    def _values(self) -> tuple[list[str], np.ndarray]:
        """What speaks against a verdict in f's own values, and of which combinations of outputs something is known."""
        values = self.outputs.vector(jax.jit(self.function)(*self.leaves))
        with np.errstate(all="ignore"):
            expected, error = self.truth.value(), self.truth.value_spread(self.seed)
            finite, same = np.isfinite(values), ~(np.abs(values - expected) > error)
        doubts = [
            f"{first_few(np.flatnonzero(bad).tolist(), 3, name=self.outputs.label)} {what}"
            for bad, what in ((~finite, "is not finite at this point"), (finite & ~same, "has another value in JAX"))
            if bad.any()
        ]
        return doubts, ((self.weights != 0.0) <= (finite & same)).all(axis=1)

    def _where_untold(self, truth: Claim, reason: str) -> list[str]:
        return [] if np.isfinite(truth.error).all() else [reason]

    def _not_finite(self, claim: Claim, truth: Claim) -> Claim:
        """A claim that is not finite is none to be excused by its error bar, where the truth fits into its type."""
        largest = min(float(jax.numpy.finfo(dtype).max) for dtype in self.inputs.dtypes)
        fits = np.isfinite(truth.error) & (np.abs(truth.derivative) < largest)
        return Claim(claim.derivative, np.where(~np.isfinite(claim.derivative) & fits, 0.0, claim.error))

    @property
    def precision(self) -> str:
        names = {dtype.name for dtype in (*self.inputs.dtypes, *self.outputs.dtypes)}
        coarse = {"complex64": "float32", "complex128": "float64"}
        order = ["bfloat16", "float16", "float32"]
        found = {coarse.get(name, name) for name in names}
        return next((name for name in order if name in found), "float64")

    def _claim(self, mode: Mode) -> Claim:
        """(combinations, inputs), whichever mode answers."""
        if mode.name == "reverse":
            return mode.claim(self.weights, self.seed)
        claim = mode.claim(np.eye(self.inputs.size), self.seed)
        with np.errstate(all="ignore"):
            return Claim(_combined(self.weights, claim.derivative), _combined(np.abs(self.weights), claim.error))

    def _between(self, sides: Sides, claims: dict[str, Claim]) -> Claim:
        """The increments' answer; at a kink that of all conventions which comes closest to what JAX says."""
        with np.errstate(all="ignore"):
            middle = _combined(self.weights, sides.middle)
            apart = _combined(np.abs(self.weights), sides.apart)
            error = _combined(np.abs(self.weights), sides.error)
            error = np.where(np.isfinite(middle) & np.isfinite(error), error, np.inf)
        claimed = next((claim.derivative for claim in claims.values()), middle)
        nearest = np.clip(np.where(np.isnan(claimed), middle, claimed), middle - apart, middle + apart)
        return Claim(np.where(apart > 0.0, nearest, middle), error)


def _combined(weights: np.ndarray, derivative: np.ndarray) -> np.ndarray:
    """(combinations, inputs) from (inputs, outputs); zero times infinity is zero."""
    if np.isfinite(derivative).all():
        return weights @ derivative.T
    terms = np.where(weights[:, None, :] == 0.0, 0.0, weights[:, None, :] * derivative[None])
    return terms.sum(axis=-1)


def _traced(function: Callable[..., Any], leaves: Sequence[Any]) -> tuple[Any, list[Any]]:
    program = trace(function, *leaves)
    return program, jax.eval_shape(function, *leaves)


def _gradient_of(function: Callable[..., Any], outputs: Layout, seed: int) -> Callable[..., list[Any]]:
    """JAX's gradient of a random combination of the outputs."""
    (cotangents,) = zip(*outputs.arrays(random_directions(1, outputs.size, seed + 1), conjugate=True))
    return lambda *leaves: list(jax.vjp(function, *leaves)[1](list(cotangents)))


def _answer(name: str, family: str, claim: Claim, precision: str, oracle: bool = False) -> Answer:
    return Answer(
        name, family, 0.0, 0.0, claim.derivative.ravel(), claim.error.ravel(), precision=precision, oracle=oracle
    )


def _consensus(answers: Sequence[Answer], pairs: Sequence[Pair]) -> Consensus:
    """Increments are the measure of JAX; without an objection of theirs, its modes stand against each other."""
    names = tuple(answer.name for answer in answers)
    wrong = tuple(p.other(INCREMENTS) for p in pairs if p.disagrees and p.other(INCREMENTS))
    if wrong:
        return Consensus(tuple(name for name in names if name not in wrong), wrong, tie=False)
    return Consensus((), (), tie=True) if any(p.disagrees for p in pairs) else Consensus(names, (), tie=False)
