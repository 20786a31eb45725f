"""What agreement by a wide bound is worth: how many correct digits it leaves, and whether twice would agree as well.

The derivative of tanh at 30 is 3e-26, and JAX's rule computes 0 from 1 - tanh(30): within a rounding of the terms, and
without a correct digit. A note says so, with the error in units in the last place. The verdict does not change if
rounding has lost the digits; if the rule's formula has, it is a doubt.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import jax
import numpy as np

from harness.bounds.program_bound import SMALLEST
from harness.bounds.tolerances import MEANINGLESS, MEANT, NO_DIGIT, SOLVERS_FACTOR
from harness.checks.traced.derivative_answers import Look
from harness.checks.traced.measured_point import Point
from harness.checks.traced.real_coordinates import Estimate, Layout
from harness.facts.fact import Fact, Severity, doubt
from harness.facts.kinds import Kind
from harness.verdict.comparison import Answer, Pair, compare
from harness.verdict.judgement import PLACES_KEPT
from reference.arithmetics.array_pieces import largest

MOST = 0.5
"""The share of a block's nonzero derivatives that makes a bound too wide for the block: fewer are entries that happen
to be far smaller than the largest one."""


def twice_would_pass(
    point: Point, look: Look, answers: Sequence[Answer], scale: np.ndarray
) -> tuple[list[Fact], np.ndarray]:
    """A doubt where twice the true derivative would agree as well in most of a block, and in which coordinates.

    `scale` is the size that the comparison has used.
    """
    passes = _is_twice_accepted(point, look, answers, scale)
    if not passes.any():
        return [], passes
    is_nonzero = (look.increments.gradient != 0.0) & look.coordinates.examined
    allowed = np.max([answer.error for answer in answers if not answer.oracle], axis=0)
    in_doubt, bounds = np.zeros(passes.size, bool), {}
    for block in look.coordinates.blocks:
        own = block.indices[passes[block.indices]]
        # some entries far below the largest of their block pass anyway: only a block of such ones is in doubt
        if len(own) > MOST * np.count_nonzero(is_nonzero[block.indices]):
            bounds[block.name] = max(bounds.get(block.name, 0.0), float(allowed[own].max()))
            in_doubt[own] = True
    return [doubt(Kind.TWICE_WOULD_PASS, *sorted(bounds), bound=max(bounds.values()))] if bounds else [], in_doubt


def _is_twice_accepted(point: Point, look: Look, answers: Sequence[Answer], scale: np.ndarray) -> np.ndarray:
    """Where the bound of some answer, beside f's terms alone, would accept twice the true derivative."""
    true, blocks = look.increments.gradient, look.coordinates.blocks
    oracles = [answer for answer in answers if answer.oracle]
    passes = np.zeros(true.size, bool)
    for answer in answers:
        if answer.oracle:
            continue
        twice = replace(answer, gradient=2.0 * true)
        by_terms, by_block = (
            [compare(twice, oracle, blocks, look.ordinary, absolute=size) for oracle in oracles]
            for size in (scale, 0.0)
        )
        # a coordinate that is decided without any help of f's terms has a bound that is small beside its block
        is_decided, is_sharp = (np.any([pair.decided for pair in pairs], axis=0) for pairs in (by_terms, by_block))
        passes |= is_decided & ~is_sharp & ~np.any([pair.at_odds for pair in by_terms], axis=0)
    passes &= np.isfinite(true) & (true != 0.0) & look.coordinates.examined
    if passes.any():  # what is small beside f itself is in no doubt. Its size is measured around, which costs four runs
        size = point.size_of_function
        size = size[look.plan.examined] if point.case.is_large else size
        passes &= np.abs(true) > MEANINGLESS[point.program.precision] * size
    return passes


class KnownDerivatives(NamedTuple):
    """The best that increments and differences know of each derivative, (n,) arrays."""

    true: np.ndarray  # of the one with the smaller error
    error: np.ndarray
    is_known: np.ndarray  # mask: whether the first digit is known, and the derivative is a normal number of its type
    last_place: np.ndarray  # the unit in the last place of the type that it is reported in, 2u·2^⌊log₂|f′|⌋

    def off(self, gradient: np.ndarray) -> np.ndarray:
        """How far a gradient is off for all that is known."""
        return np.abs(gradient - self.true) - self.error

    def ulps(self, gradient: np.ndarray) -> np.ndarray:
        """The same in units in the last place; NaN where too little is known."""
        return np.where(self.is_known, np.maximum(self.off(gradient), 0.0) / self.last_place, np.nan)

    def is_lost(self, gradient: np.ndarray) -> np.ndarray:
        """Where a gradient has no correct digit for all that is known."""
        return self.is_known & np.isfinite(gradient) & (self.off(gradient) > NO_DIGIT * np.abs(self.true))


def _know(estimates: Sequence[Estimate], inputs: Layout) -> KnownDerivatives:
    """The best of several estimates, whose errors are infinite where they are not used."""
    # of a derivative of zero no digit can be wrong
    errors = np.array([np.where((o.derivative != 0.0) & np.isfinite(o.derivative), o.error, np.inf) for o in estimates])
    best = np.argmin(errors, axis=0)[None]
    error = np.take_along_axis(errors, best, axis=0)[0]
    true = np.take_along_axis(np.array([o.derivative for o in estimates]), best, axis=0)[0]
    sizes = np.abs(np.where(np.isfinite(true), true, 0.0))
    types, counts = [jax.numpy.finfo(dtype) for dtype in inputs.dtypes], [block.size for block in inputs.blocks]
    unit, smallest = (
        np.tile(np.repeat([float(getattr(t, what)) for t in types], counts), true.size // inputs.size)
        for what in ("eps", "tiny")
    )
    # below the smallest normal number of a type digits go one by one, by the type alone
    smallest = np.maximum(smallest, SMALLEST * max(1.0, sizes.max(initial=0.0)))
    is_known = (error <= NO_DIGIT * np.abs(true)) & (np.abs(true) >= smallest)
    return KnownDerivatives(true, error, is_known, unit * np.exp2(np.floor(np.log2(np.abs(true)))))


def with_digits(
    point: Point,
    look: Look,
    answers: Sequence[Answer],  # with increments and differences, whose errors are infinite where they were outvoted
    pairs: Sequence[Pair],  # JAX's own numbers compared with these
    alone: Mapping[str, Estimate],  # increments and differences, by name, with their own errors alone
    wrong: Collection[str],  # names of answers that are wrong, by no rounding
    by_solvers: float,  # what tolerances of solvers move, as a share: digits below it are not said to be lost
) -> tuple[tuple[Answer, ...], np.ndarray]:
    """The answers, with notes of lost digits and their true errors in ulps; and where lost digits are a doubt, a mask.

    What a formula has lost is a doubt, unless it is small beside the function itself. What is lost in float64 as well
    is no rounding. Where there is no such evaluation, nor is what is further off than roundings may move it.
    """
    inputs = look.coordinates.inputs
    known = _know(_judging(point, look, answers, alone, by_solvers), inputs)
    # what a right rule may be off by in float64 beside the function's terms is no doubt about digits
    small = MEANT.get(point.program.precision, 0.0) * point.own_terms.ravel()
    small = small if inputs.places is None else small[inputs.places]
    noted, in_doubt = {}, np.zeros(known.true.shape, bool)
    for answer in look.own:
        beside = [pair for pair in pairs if pair.first == answer.name and pair.second in alone]
        if not beside or answer.name in wrong:
            continue
        # at a kink, or beside a jump, nothing is decided and nothing is lost
        is_decided = np.any([pair.decided for pair in beside], axis=0)
        allowed = np.where(is_decided, beside[0].allowed, -np.inf)
        lost = _lost_digits(look, answer, known, allowed, small)
        in_doubt |= lost["formula", Severity.DOUBT]
        ulps = known.ulps(answer.gradient)
        numbers = {"reported": answer.gradient, "true": known.true, "ulps": ulps, "bound": allowed}
        notes = [
            _say_lost(look, mask, numbers, severity, source=answer.name, by=by)
            for (by, severity), mask in lost.items()
            if mask.any()
        ]
        if notes:
            noted[answer.name] = {"notes": tuple(notes), "ulps": (float(np.nanmedian(ulps)), float(np.nanmax(ulps)))}
    return tuple(replace(answer, **noted.get(answer.name, {})) for answer in answers), in_doubt


def _judging(
    point: Point, look: Look, answers: Sequence[Answer], alone: Mapping[str, Estimate], by_solvers: float
) -> list[Estimate]:
    """Increments and differences with what solvers leave in their errors; infinite ones where they do not judge."""
    left = SOLVERS_FACTOR * by_solvers * max((largest(answer.gradient) for answer in look.own), default=0.0)
    judges = {answer.name: np.isfinite(answer.error) for answer in answers}
    estimates = {name: point.combinations.per_output(estimate) for name, estimate in alone.items()}
    return [
        Estimate(derivative, np.where(judges[name], error + left, np.inf))
        for name, (derivative, error) in estimates.items()
    ]


def _lost_digits(
    look: Look, answer: Answer, known: KnownDerivatives, allowed: np.ndarray, small: np.ndarray
) -> dict[tuple[str, Severity], np.ndarray]:
    """Masks of where an answer has no correct digit, by what has lost them and by how severe that is."""
    off = np.abs(answer.gradient - known.true)
    is_lost = known.is_lost(answer.gradient) & (off <= allowed)
    evaluated = look.float64_derivatives.get(answer.name)
    is_beyond_rounding = off > look.roundings[answer.name] + known.error
    is_by_formula = is_beyond_rounding if evaluated is None else known.is_lost(evaluated)
    is_small = ~(np.abs(known.true) > small)
    return {
        ("rounding", Severity.NOTE): is_lost & ~is_by_formula,
        ("formula", Severity.NOTE): is_lost & is_by_formula & is_small,
        ("formula", Severity.DOUBT): is_lost & is_by_formula & ~is_small,
    }


def _say_lost(look: Look, lost: np.ndarray, numbers: Mapping[str, np.ndarray], severity: Severity, **data: str) -> Fact:
    """What was lost, with the numbers of the worst coordinate."""
    places, label = np.flatnonzero(lost), look.coordinates.label
    worst = int(places[np.argmax(numbers["ulps"][places])])
    others = map(label, places[places != worst][:PLACES_KEPT])
    of_worst = {name: float(x[worst]) for name, x in numbers.items()}
    return Fact(Kind.NO_CORRECT_DIGIT, severity, (label(worst), *others), {**data, "places": len(places), **of_worst})
