"""One function at one point: what JAX's modes say of its derivatives, and what the traced program says."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from harness.bounds.program_bound import floor_of, largest_in_block
from harness.bounds.tolerances import (
    ALL_COORDINATES,
    ALL_ENTRIES,
    DENSE_COMBINATIONS,
    DIFFERENCED,
    SOLVERS_FACTOR,
)
from harness.checks.random_directions import random_directions
from harness.checks.traced.correct_digits import (
    UNDERFLOW,
    absolute_scale,
    ordinary_size,
    scale_about,
    terms_over_arguments,
    with_digits,
)
from harness.checks.traced.derivative_subject import (
    DIFFERENCES,
    INCREMENTS,
    JAX,
    MODES,
    REFERENCE,
    TracedDerivatives,
    outside,
)
from harness.checks.traced.error_bounds import Bar, Seen, bar_of_increments, narrowed
from harness.checks.traced.float64_evaluation import meant, with_meaning
from harness.checks.traced.jax_modes import Mode, gradient_of
from harness.checks.traced.many_inputs import end_to_end, located, sampled
from harness.checks.traced.one_sided import moved_together, with_slopes_about, with_turned_sides
from harness.checks.traced.real_coordinates import Claim, Layout, Sides, UnitVectors
from harness.checks.traced.reported_derivatives import as_convention, claim_of_gradient, claims_of, excuse, unexcused
from harness.checks.traced.traced_programs import equations_in, without_stops_of_rules
from harness.checks.traced.true_slopes import Truth
from harness.checks.traced.value_differences import (
    free_phases,
    has_kink,
    has_slope,
    some_differences,
    weigh,
    without_limit,
)
from harness.checks.traced.wide_bounds import twice_would_pass
from harness.verdict.comparison import Answer, Block, compare, compare_all
from harness.wording import first_few
from reference.arithmetics.roundoff import UNIT_ROUNDOFF
from reference.traced.equations import Equation
from reference.traced.primitives.calls import CUSTOM_RULES
from reference.traced.rule_origins import function_of
from reference.traced.traced_function import Traced

NOT_FINITE = "not finite at this point"
NO_LIMIT = "slopes grow without limit as steps shrink, as those of √x at 0: there is no derivative"

PRECISIONS = {UNIT_ROUNDOFF["float64"]: "float64", UNIT_ROUNDOFF["float32"]: "float32", 2.0**-11: "float16"}


class Check:
    """A function of arrays, its leaves, and everything that is asked about its derivatives there.

    Compared are ∂(w·f)/∂x: for each output by itself where these are few, else for random combinations w. Of many
    inputs some are looked at one by one, and random directions take in the others.

    Parameters
    ----------
    function : from leaves to a list of arrays
    leaves, names : arrays, and what they are called
    output_names : called once the function was traced
    trusted : predicate of equations
    order, seed : int

    Attributes
    ----------
    answers, pairs, ends : what is to be judged
    own : list of Answer
        JAX's own answers, beside which the ones to be judged may be what its programs mean.
    meanings, meant, ends_by_meaning : dicts
        For each mode its runs in float64, or why there are none; what they answer; along which directions they count.
    left_out : dict
    doubts : list of str
    values : three (outputs,) arrays
        What JAX computes, what the program says, and what rounding may have moved.
    asked, quickly : list of Mode, and bool
        Whether their machine code is such as is written quickly, and not such as callers get.
    not_linear, not_mapped, off_when_compiled : lists and set of str
        Those of which that do not answer the opposite of all together; that answer otherwise where nothing maps them;
        whose machine code is off, and not the program.
    bars : dict
        For each name some of "derived" and "spread": what its error bars are.
    contradicted, has_kink : bool
        Whether differences speak for JAX where increments speak against it; whether both sides of the point differ.
    kinks, directions : (combinations, inputs looked at) bool array, and list of str
        Where those sides differ, and along which of these inputs together the modes are compared.
    reverse : list of Answer
        Of many inputs, reverse mode's own answer in all of them.
    deadline : float
        By `time.perf_counter`: when to look at no more than is needed.
    """

    def __init__(
        self,
        function: Callable[..., list[Any]],
        leaves: Sequence[Any],
        names: Sequence[str],
        output_names: Callable[[], Sequence[str]],
        trusted: Callable[[Equation], bool] = lambda _: False,
        order: int = 1,
        seed: int = 0,
    ):
        self.function, self.leaves, self.seed = function, leaves, seed
        self.inputs = Layout(names, leaves)
        self.traced = Traced(function, *leaves)
        self.outputs = Layout(output_names(), self.traced.outputs)
        program = self.traced.program
        taken = {function_of(eq).name for eq in equations_in(program) if eq.name in CUSTOM_RULES and trusted(eq)}
        if order == 2:
            self.function = gradient_of(function, self.outputs, seed)
            self.traced = Traced(self.function, *leaves)
            self.outputs = Layout([f"gradient[{name}]" for name in names], self.traced.outputs)
            program = without_stops_of_rules(self.traced.program, program, trusted)
        self.truth = Truth(program, leaves, self.inputs, self.outputs, trusted, may_jump=order == 2)
        self.truth.taken_as_they_are |= taken  # a gradient has them in it, called or not
        self.precision = PRECISIONS.get(self.truth.coarsest, "bfloat16")
        self.is_large = self.inputs.size > ALL_COORDINATES
        self.each = not self.is_large and self.inputs.size * self.outputs.size <= ALL_ENTRIES
        count = self.outputs.size if self.each else 1 if self.is_large else DENSE_COMBINATIONS
        drawn = random_directions(count, self.outputs.size, seed)
        self.weights = np.diag(drawn[0]) if self.each else drawn
        self._leave_phases_out()
        self._shape = len(self.weights), self.inputs.size
        self.left_out: dict[str, str] = {}
        self.bars: dict[str, set[str]] = {}
        self.together: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        self.contradicted = self.has_kink = False
        self.not_linear, self.not_mapped = list[str](), list[str]()
        self.reverse, self.directions = list[Answer](), list[str]()
        self.off_when_compiled: set[str] = set()
        self.meanings: dict[str, np.ndarray | str] = {}
        self.ends_by_meaning: dict[str, np.ndarray] = {}
        self.by_solvers = 0.0  # how far solvers in the program are from what they converge to, beside the largest
        self.deadline = np.inf

    def ask(self, modes: Sequence[str], reference: Sequence[Any] | None = None) -> None:
        """Ask JAX's modes and the traced program, and compare the answers; a reference gradient is one more of them."""
        self.doubts, known = self._values()
        asked = self.asked = [self.mode(name) for name in modes]
        chosen = sampled(self) if self.is_large else np.arange(self.inputs.size)
        for self.quickly in (True, False):  # of many inputs, most are seen along directions alone
            claims = claims_of(self, asked)
            claims |= {} if reference is None else {REFERENCE: claim_of_gradient(self, reference)}
            subject = self._look_at(chosen, asked, claims, known)
            self.ends = end_to_end(self, asked, known) if self.is_large else moved_together(self, known)
            if not (self.is_large and any(pair.disagrees for pair in self.ends)):
                break
        if self.is_large and any(pair.disagrees for pair in self.ends) and claims:
            chosen = np.union1d(chosen, located(self, claims))
            subject = self._look_at(chosen, [], claims, known)
        if self.truth.unresolved and not np.isfinite(self._oracles[INCREMENTS].error).all():
            self.doubts.append(self.truth.unresolved)
        self._add_differences(chosen, known, subject.blocks)
        self.subject, subject.directions = subject, self.directions
        self.pairs = compare_all(self.answers, subject.blocks, self.ordinary, self.absolute)
        if not self.is_large and not all(map(self._is_decided, claims)):
            self.absolute = np.maximum(self.absolute, scale_about(self.truth, self.rows, self.precision, self.seed))
            self.pairs = compare_all(self.answers, subject.blocks, self.ordinary, self.absolute)
        self.doubts += twice_would_pass(self, subject, chosen)
        oracles = {name: self._known(claim) for name, claim in self._oracles.items()}
        own = [*self.own, *(answer for answer in self.answers if answer.oracle)]
        pairs = compare_all(own, subject.blocks, self.ordinary, self.absolute)
        wrong = {
            name for pair in (*pairs, *self.pairs, *self.ends) if pair.disagrees for name in (pair.first, pair.second)
        }
        told = with_digits(own, pairs, oracles, subject.inputs, subject.label, self.meant, wrong)
        self.answers = [replace(judged, notes=x.notes, ulps=x.ulps) for judged, x in zip(self.answers, told)]
        if self.truth.taken_as_they_are or self.by_solvers:  # no derivative on purpose, or good to a tolerance
            self.not_linear, self.not_mapped = [], []

    # -- what is asked ------------------------------------------------------------------------------------------------

    def _look_at(
        self, chosen: np.ndarray, modes: Sequence[Mode], claims: dict[str, Claim], known: np.ndarray
    ) -> TracedDerivatives:
        """The answers in some inputs; of many, no others are compared one by one from here on."""
        at = np.isin(np.arange(self.inputs.size), chosen)
        whole = self.outputs, self.weights, self.each
        subject = TracedDerivatives(self.inputs, *whole, self.truth.point, at, self.inputs.size)
        truth, between = self._truth(chosen, claims, subject.blocks, known)
        terms = np.abs(self.weights.sum(axis=1, keepdims=True)) * self.terms if self.each else self.terms
        excuse(self, modes, claims, truth, Seen(subject.blocks, self.truth.coarsest, known[:, None] & at, terms))
        for name, claim in claims.items():
            claims[name] = as_convention(claim, truth, between, chosen)
        self.own, increments = self._answers(claims, truth, known, subject.blocks)
        told = {
            name: self._told(runs, claim.error, subject.blocks, chosen)
            for name, claim in claims.items()
            if not isinstance(runs := self.known_meaning(name), str)
        }
        self.meant = {name: claim.derivative for name, (claim, _) in told.items()}
        if self.is_large:
            subject, increments = self._narrowed(chosen, increments)
        self.answers = [*self.own, increments]
        for i, answer in enumerate(self.own):
            if answer.name in told:
                found = with_meaning(answer, *told[answer.name], increments, Claim(*self.per_output(between)))
                self.answers[i], subject.by_meaning[answer.name] = found
                subject.own[answer.name] = answer
        return subject

    def _told(
        self, runs: np.ndarray, error: np.ndarray, blocks: Sequence[Block], chosen: np.ndarray
    ) -> tuple[Claim, np.ndarray]:
        """What a mode means in some inputs, and the largest of its block in all."""
        largest = largest_in_block(self.per_output(Claim(runs[0], error))[0], blocks).reshape(error.shape)
        claim = meant(runs[..., chosen], error[:, chosen], self.truth.coarsest)
        return Claim(*self.per_output(claim)), largest[:, chosen].ravel()

    def _narrowed(self, chosen: np.ndarray, increments: Answer) -> tuple[TracedDerivatives, Answer]:
        """Of many inputs the chosen ones alone, in all that is compared."""

        def some(answer: Answer) -> Answer:
            return replace(answer, gradient=answer.gradient[chosen], error=answer.error[chosen])

        self.reverse = [answer for answer in self.own if answer.name == "reverse"]
        self.own = list(map(some, self.own))
        self._oracles = {name: Claim(*(x[:, chosen] for x in claim)) for name, claim in self._oracles.items()}
        self.absolute = self._scales[chosen]
        inputs, point, at = self.inputs.narrowed(chosen), self.truth.point[chosen], np.ones(len(chosen), bool)
        whole = self.outputs, self.weights, self.each
        return TracedDerivatives(inputs, *whole, point, at, self.inputs.size), some(increments)

    def _leave_phases_out(self) -> None:
        """Compare combinations of the outputs that the free phases of complex vectors do not change."""
        free = free_phases(self.truth, self.seed)
        if len(free):
            self.weights, self.each, self.truth.turns_phases = self.weights - self.weights @ free.T @ free, False, False

    def mode(self, name: str) -> Mode:
        chunk = max(1, self.truth.chunk // 4)  # a gradient's program writes some four times what the function's does
        mode = Mode(name, self.function, self.leaves, self.inputs, self.outputs, self.truth.coarsest, chunk)
        mode.progress = self.truth.progress
        return mode

    def _is_decided(self, name: str) -> bool:
        """Whether one or the other oracle decides each of an answer's coordinates of which any has something to say."""
        beside = [pair for pair in self.pairs if pair.other(name) in (INCREMENTS, DIFFERENCES)]
        applies, decided = (np.logical_or.reduce([getattr(p, what) for p in beside]) for what in ("applies", "decided"))
        return bool(decided[applies].all())

    def noted(self, name: str, bar: Bar) -> np.ndarray:
        """The error of a bar, whose kind is told."""
        self.bars.setdefault(name, set()).update(bar.kinds)
        return bar.error

    @np.errstate(all="ignore")
    def _truth(
        self, chosen: np.ndarray, claims: dict[str, Claim], blocks: Sequence[Block], known: np.ndarray
    ) -> tuple[Claim, Claim]:
        """The increments' answer, at a kink that of all conventions which comes closest to what JAX says; both sides.

        These in the chosen inputs, as their middle and how far they are from it.
        """
        claimed = [claim.derivative[:, chosen] for claim in claims.values()]
        seen = Seen(
            narrowed(blocks, chosen, self.inputs.size), self.truth.coarsest, known[:, None] & np.ones(len(chosen), bool)
        )
        sides, error = self.increments(UnitVectors(chosen, self.inputs.size), claimed, seen)
        middle, apart, self.kinks = sides.middle, sides.apart, 2.0 * sides.apart > error
        slopes = np.abs(middle) + apart
        largest = float(slopes[np.isfinite(slopes)].max(initial=0.0))
        self.ordinary = ordinary_size(largest, self.precision)
        first = next(iter(claimed), middle)
        nearest = np.clip(np.where(np.isnan(first), middle, first), middle - apart, middle + apart)
        truth = Claim(np.full(self._shape, np.nan), np.full(self._shape, np.inf))
        truth.derivative[:, chosen] = np.where(apart > 0.0, nearest, middle)
        truth.error[:, chosen] = np.where(np.isfinite(middle), error, np.inf)
        return truth, Claim(middle, apart)

    def increments(
        self, along: np.ndarray | UnitVectors, claimed: Sequence[np.ndarray], seen: Seen
    ) -> tuple[Sides, np.ndarray]:
        """Both sides along directions and their error, as well as is needed beside what is claimed of the middle."""
        sides = self.truth.sides(along, self.weights, self.seed)
        nothing, steep = without_limit(self.truth, along, self.weights, claimed, sides, self.seed)
        if steep.any():
            self.truth.unresolved = NO_LIMIT
        sides = replace(sides, middle=np.where(nothing, 0.0, sides.middle))
        bar = bar_of_increments(self.truth, along, self.weights, sides, seen, self.seed)
        error = np.select([nothing, steep], [np.finfo(float).tiny, np.inf], self.noted(INCREMENTS, bar))
        self.has_kink = self.has_kink or has_kink(self.truth, along, self.weights, sides, error, self.seed)
        sides = with_turned_sides(self, along, claimed, sides, seen)
        if not sides.is_smooth:
            sides = with_slopes_about(self, along, claimed, sides, error)
        return sides, np.where(np.isfinite(error), error, np.inf)

    @np.errstate(all="ignore")
    def _values(self) -> tuple[list[str], np.ndarray]:
        """What speaks against a verdict in f's own values, and of which combinations of outputs something is known."""
        values = self.outputs.vector(self.traced(*self.leaves))
        expected, error = self.truth.value(), self.truth.value_spread(self.seed)
        error = error + floor_of(expected, self.outputs.blocks, self.truth.coarsest)
        finite, same = has_slope(self.truth, values, expected), ~(np.abs(values - expected) > error)
        self.values = values, expected, error
        self.rows = np.eye(self.outputs.size) if self.each else self.weights
        self.terms = terms_over_arguments(self.rows, expected, error, self.truth)
        self.absolute = self._scales = absolute_scale(self.rows, expected, error, self.truth, self.precision)
        doubts = [
            f"{first_few(np.flatnonzero(bad).tolist(), 3, name=self.outputs.label)}: {what}"
            for bad, what in ((~finite, NOT_FINITE), (finite & ~same, "another value in JAX"))
            if bad.any()
        ]
        return doubts, ((self.weights != 0.0) <= (finite & same)).all(axis=1)

    # -- what is answered ---------------------------------------------------------------------------------------------

    def _answers(
        self, claims: dict[str, Claim], truth: Claim, known: np.ndarray, blocks: Sequence[Block]
    ) -> tuple[list[Answer], Answer]:
        """JAX's own and the increments'."""
        truth.error[~known] = np.inf
        judged = {name: unexcused(self, claim, truth, known) for name, claim in claims.items()}
        self._oracles = {INCREMENTS: truth}
        nowhere = ~known & ((self.weights != 0.0) & np.isnan(self.values[0]) & np.isnan(self.values[1])).any(axis=1)
        self.outside = outside([claim.derivative for claim in claims.values()], nowhere)
        own = [self.answer(name, claim, blocks) for name, claim in judged.items()]
        return own, self.answer(INCREMENTS, truth, blocks)

    def known_meaning(self, name: str) -> np.ndarray | str:
        """What a mode means, or why that is not known: the truth may come from JAX's own numbers as well."""
        by_jax = self.truth.in_own_precision | self.truth.taken_as_they_are
        if by_jax and self.truth.coarsest > UNIT_ROUNDOFF["float64"]:
            return f"JAX alone computes {', '.join(sorted(by_jax))}"
        return self.meanings.get(name, "")

    def answer(self, name: str, claim: Claim, blocks: Sequence[Block]) -> Answer:
        oracle = name in (INCREMENTS, DIFFERENCES)
        precision = "float64" if oracle else self.precision
        derivative, error = self.per_output(claim)
        unit = UNIT_ROUNDOFF["float64"] if oracle else self.truth.coarsest
        error = error + np.where(error > 0.0, floor_of(derivative, blocks, unit) + UNDERFLOW[precision], 0.0)
        return Answer(
            name, JAX if name in MODES else name, 0.0, 0.0, derivative, error, precision=precision, oracle=oracle
        )

    def per_output(self, claim: Claim) -> tuple[np.ndarray, np.ndarray]:
        """A claim as flat arrays; of outputs that were asked for one by one without the weights that they had."""
        weights = np.diag(self.weights)[:, None] if self.each else np.ones((1, 1))
        return (claim.derivative / weights).ravel(), (claim.error / np.abs(weights)).ravel()

    @np.errstate(all="ignore")
    def _known(self, claim: Claim) -> Claim:
        """What an oracle knows of the truth, per output: of what solvers leave, no digit."""
        derivative, error = self.per_output(claim)
        sizes = np.abs([answer.gradient for answer in self.own])
        return Claim(derivative, error + SOLVERS_FACTOR * self.by_solvers * sizes[np.isfinite(sizes)].max(initial=0.0))

    def _add_differences(self, chosen: np.ndarray, known: np.ndarray, blocks: Sequence[Block]) -> None:
        """A second opinion, on what looks wrong first."""
        claims, increments = self.answers[:-1], self.answers[-1]
        size = len(chosen)
        odd = [pair.at_odds for pair in compare_all(self.answers, blocks, self.ordinary) if pair.other(INCREMENTS)]
        wrong = np.unique(np.flatnonzero(np.logical_or.reduce([np.zeros(size * len(self.weights), bool), *odd])) % size)
        looked_at = np.union1d(wrong[:DIFFERENCED], np.arange(0, size, max(1, size // DIFFERENCED))).astype(int)
        found = some_differences(self.traced, self.truth, chosen[looked_at], self.values[2], self.weights)
        slopes, errors = np.full((len(known), size), np.nan), np.full((len(known), size), np.inf)
        slopes[:, looked_at], errors[:, looked_at] = found
        errors[~known] = np.inf
        self._oracles[DIFFERENCES] = Claim(slopes, errors)
        answer = self.answer(DIFFERENCES, self._oracles[DIFFERENCES], blocks)
        self.contradicted |= weigh(
            claims, increments, answer, lambda a, b: compare(a, b, blocks, self.ordinary).at_odds
        )
        self.answers.append(answer)
