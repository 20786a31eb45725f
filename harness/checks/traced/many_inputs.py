"""Of more inputs than can be examined one by one: a sample, random directions, and one reverse pass for all.

Increments cost a run of the program for every few inputs. A reverse pass in float64 without any custom rule finds all
derivatives at once, by JAX's own rules, which are on trial, too. So increments along random directions have to agree
with it: an error of one of its entries that they would not show is taken for its error bound. Where the pass
contradicts what is reported, increments examine the input by itself, and decide. Without such a pass, random directions
cover the inputs that are not in the sample. Where a direction shows an error, bisection finds an input that is wrong.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from harness.bounds.program_bound import floor_of, largest_in_block
from harness.bounds.tolerances import (
    CONCLUSIVE_SHARE,
    DIRECTIONS,
    ENTRIES_MOVED,
    MEANINGLESS,
    MEANT,
    RANDOM_ENDS,
    SAMPLED_INPUTS,
)
from harness.checks.random_directions import (
    SMALLEST_ENTRY,
    compare_ends,
    farthest_off,
    random_directions,
    sizes_along,
    slopes_along,
)
from harness.checks.traced.derivative_answers import Look, in_float64
from harness.checks.traced.derivative_case import INCREMENTS, Case
from harness.checks.traced.low_precision import estimate_in_float64, with_float64
from harness.checks.traced.measured_point import Point
from harness.checks.traced.one_sided import one_sided_slopes
from harness.checks.traced.program_derivatives import Slopes, measure_slopes
from harness.checks.traced.real_coordinates import Estimate, Sides
from harness.checks.traced.reported_derivatives import Reported, bound_modes, evaluate_modes
from harness.checks.traced.rounding_bounds import Scope
from harness.facts.fact import Fact, doubt, note
from harness.facts.kinds import Kind
from harness.verdict.comparison import Answer, Block, Pair, compare, scale_of
from harness.verdict.report import Report
from reference.arithmetics.array_pieces import largest, slices
from reference.arithmetics.roundoff import UNIT_ROUNDOFF
from reference.jax_settings import compiler_options, precisely
from reference.traced.program_replay import replayed, widened

SAMPLED_BESIDE_WHOLE, MOVED_BESIDE_WHOLE = 8, 5e6
"""Inputs that are examined one by one, and entries moved for them, where a reverse pass is compared in all inputs: few,
since the pass covers them as well. They show kinks and jumps, of which the pass knows nothing."""

FEWEST = 2  # of millions of inputs, no fewer are examined one by one, and no fewer random directions cover the others


@dataclass(frozen=True, eq=False)
class DirectionalDerivatives:
    """Derivatives along directions, compared: along random ones, or along inputs at kinks that move together."""

    pairs: tuple[Pair, ...] = ()
    names: tuple[str, ...] = ()  # the inputs that move together along each direction; empty for random directions
    reports: Mapping[str, Reported] = field(default_factory=dict)  # of modes evaluated along the directions
    missing: Mapping[str, Fact] = field(default_factory=dict)  # why modes are missing
    replaced: Mapping[str, np.ndarray] = field(default_factory=dict)  # where a mode's float64 evaluation is compared
    slopes: Slopes | None = None
    of_pass: Estimate | None = None  # along random directions, what the reverse pass in float64 says, and its rounding

    @property
    def disagree(self) -> bool:
        """Whether some mode is wrong along a direction."""
        return any(pair.disagrees for pair in self.pairs)


def sample_inputs(case: Case, deadline: float, most: int = SAMPLED_INPUTS) -> np.ndarray:
    """The inputs that are examined one by one: all, or a random sample of many, and one alone after the deadline."""
    if not case.is_large:
        return np.arange(case.inputs.size)
    # an input that moves by itself still costs a direction of all inputs
    entries = ENTRIES_MOVED if most == SAMPLED_INPUTS else MOVED_BESIDE_WHOLE
    count = int(np.clip(entries / case.inputs.size, FEWEST, most))
    sample = np.sort(np.random.default_rng(case.seed).choice(case.inputs.size, count, replace=False))
    return sample[:1] if time.perf_counter() > deadline else sample


def compare_random_directions(point: Point, look: Look) -> DirectionalDerivatives:
    """Each mode's derivative along random directions, compared with that of the program.

    Those of reverse mode are sums of its derivatives in all inputs; forward mode is evaluated along the directions.
    Nothing is compared where nothing is known of some output.
    """
    inputs, seed, coarsest, whole = point.case.inputs, point.case.seed, point.program.coarsest, look.plan.whole
    # where a reverse pass covers all inputs, a few directions have to vouch for it alone
    most = RANDOM_ENDS if whole is None else DIRECTIONS
    count = int(np.clip(0.1 * ENTRIES_MOVED / inputs.size, FEWEST, most))
    along = random_directions(count, inputs.size, seed + 2)
    blocks = [Block("directions", np.arange(count))]
    answers = slopes_along(along, [a for a in _answers_in_all(point, look) if a.name == "reverse"])
    plan = replace(look.plan, modes=tuple(mode for mode in look.plan.modes if mode.name == "forward"))
    products, missing = evaluate_modes(point, plan, along)
    reported = [a.gradient[None] for a in answers] + [found.derivative for found in products.values()]
    slopes = measure_slopes(point, along, reported, blocks)
    scope = Scope(blocks, coarsest, np.ones((1, count), bool), by_jax=slopes.sides.obstacles.by_jax)
    # along a random direction many kinks add up, so that half of the gap is allowed
    true = Estimate(slopes.sides.mean, slopes.error + slopes.sides.half_gap)
    may_borrow = (len(products) == 1 or not scope.is_wide(true)) and not look.slopes.kinks.any()
    reports, missing_after = bound_modes(point, products, true, scope, may_borrow=may_borrow)
    answers += [point.answer(name, found.estimate, blocks) for name, found in reports.items()]
    increments = point.answer(INCREMENTS, true, blocks)
    # in a coarse type, the rule's evaluation in float64 is judged wherever it decides more
    sides, replaced = Sides(slopes.sides.mean[0], slopes.sides.half_gap[0]), {}
    for i, answer in enumerate(answers):
        runs = {**look.reports, **reports}[answer.name].float64_runs
        if isinstance(runs, np.ndarray):
            runs = runs @ along.T if answer.name == "reverse" else runs
            estimate = estimate_in_float64(runs[:, 0], answer.error, coarsest)
            tolerance = MEANT[answer.precision] * largest_in_block(estimate.derivative, blocks)
            answers[i], replaced[answer.name] = with_float64(answer, estimate, tolerance, increments, sides)
    pairs = compare_ends(answers, increments, look.ordinary) if point.is_known.all() else []
    of_pass = None
    if whole is not None:
        rounding = floor_of(whole, inputs.blocks, UNIT_ROUNDOFF["float64"])
        of_pass = Estimate(along @ whole, sizes_along(along, rounding))
    missing = {**missing, **missing_after}
    return DirectionalDerivatives(tuple(pairs), (), reports, missing, replaced, slopes, of_pass)


def locate_error(point: Point, look: Look, directional: DirectionalDerivatives) -> int:
    """An input in which what is reported is far from the program's derivative, by halving the inputs."""
    name = max(look.reports)  # "reverse" rather than "reference"
    gradient, runs = look.reports[name].estimate.derivative[0], look.reports[name].float64_runs
    at_odds = np.any([pair.at_odds for pair in directional.pairs if pair.other(name)], axis=0)
    is_evaluated = directional.replaced.get(name, np.zeros(at_odds.shape, bool))
    if isinstance(runs, np.ndarray) and (is_evaluated & at_odds).any():  # its evaluation in float64 is what is wrong
        gradient = runs[0, 0]

    def off(along: np.ndarray) -> np.ndarray:
        mean = one_sided_slopes(point.program, along, point.combinations.weights).mean[0]
        return np.abs(along @ gradient - mean)

    return farthest_off(point.case.inputs.size, off, point.case.seed + 3)


# -- all inputs at once ------------------------------------------------------------------------------------------------

WHOLE = "the reverse pass in float64"  # the name of the answer that it gives, which no report shows


def gradient_by_primals(case: Case, weights: np.ndarray) -> np.ndarray | None:
    """The derivatives of a combination of the outputs in all inputs; None where JAX cannot compute them so.

    The program is widened to float64, and every custom rule that is not trusted gives way to its primal.
    """
    cotangents = [x[0] for x in case.outputs.wide_arrays(weights[None], conjugate=True)]

    def gradient(leaves: list[Any], cotangents: list[Any]) -> jax.Array:
        program = widened(case.program)
        wide = [x.astype(complex if double else float) for x, double in zip(leaves, case.inputs.is_complex)]
        found = jax.vjp(lambda *x: replayed(program, lambda eq: not case.trusted(eq), *x), *wide)[1](cotangents)
        parts = [[x.real, -x.imag] if double else [x] for x, double in zip(found, case.inputs.is_complex)]
        return jnp.concatenate([part.ravel() for of_leaf in parts for part in of_leaf])

    try:
        with precisely():  # from the leaves to one vector by XLA, which frees whatever is between
            found = jax.jit(gradient, compiler_options=compiler_options())([*map(np.asarray, case.leaves)], cotangents)
        return np.asarray(found)
    except Exception:  # noqa: BLE001  a loop without an end that is known, a callback, types that are fixed
        return None


@dataclass(frozen=True, eq=False)
class Everywhere:
    """What is known of the inputs that are not examined one by one."""

    visible: float  # along random directions, an error of this size shows in any input: in the pass, where there is one
    # mask of the inputs in which what is reported is compared with the reverse pass, and decided; None without a pass
    decided: np.ndarray | None = None
    allowed: tuple[float, float] = (np.inf, np.inf)  # the smallest and the largest difference that this accepts
    suspects: np.ndarray = field(default_factory=lambda: np.zeros(0, int))  # the inputs in which it contradicts most

    def add_to(self, report: Report, examined: np.ndarray, size: int) -> Report:
        """The report with what is decided, and what would have been seen, in all inputs."""
        best, worst = report.smallest_visible
        if self.decided is None:
            share, seen = report.decided_share * len(examined) / size, (best, max(worst, self.visible))
            return replace(report, decided_share=share, smallest_visible=seen)
        # all examined inputs count as decided by the pass, less those that the report has undecided
        decided = size - self._undecided(examined) + (report.decided_share - 1.0) * len(examined)
        seen = min(best, self.allowed[0] + self.visible), max(worst, self.allowed[1] + self.visible)
        return replace(report, decided_share=float(decided / size), smallest_visible=seen)

    def _undecided(self, examined: np.ndarray) -> int:
        """How many inputs the reverse pass does not decide, less those that are examined, which the report counts."""
        if self.decided is None:
            return 0
        return int(self.decided.size - np.count_nonzero(self.decided) - np.count_nonzero(~self.decided[examined]))

    def facts(self, examined: np.ndarray, size: int) -> list[Fact]:
        """How the inputs were compared; and a doubt where too few of them could be decided."""
        data = {"by_reverse_pass": self.decided is not None, "visible": self.visible}
        facts = [note(Kind.MANY_INPUTS, examined=len(examined), total=size, **data)]
        undecided = self._undecided(examined)
        if undecided > (1.0 - CONCLUSIVE_SHARE) * size:
            facts.append(doubt(Kind.UNDECIDED, undecided=undecided, total=size, sources=[]))
        return facts


def compare_everywhere(point: Point, look: Look, directional: DirectionalDerivatives) -> Everywhere:
    """What is reported in all of many inputs, compared with the reverse pass if increments vouch for that."""
    # an entry of a direction is at least SMALLEST_ENTRY, so that an error e in one input shows as e times that
    along_directions = max((pair.allowed.min() for pair in directional.pairs), default=np.inf) / SMALLEST_ENTRY
    whole, slopes, of_pass = look.plan.whole, directional.slopes, directional.of_pass
    if whole is None or slopes is None or of_pass is None or not look.in_all_inputs:
        return Everywhere(float(along_directions))
    allowed = slopes.error[0] + slopes.sides.half_gap[0] + of_pass.error
    in_pass = allowed.min() / SMALLEST_ENTRY
    # the pass is used if increments agree with it, and would have shown an error that is large enough to matter
    agrees = (np.abs(of_pass.derivative - slopes.sides.mean[0]) <= allowed).all()
    if agrees and not in_pass > MEANINGLESS["float64"] * max(look.ordinary, largest(whole)):
        return _compare_with_pass(point, look, whole, float(in_pass))
    return Everywhere(float(along_directions))


def _compare_with_pass(point: Point, look: Look, whole: np.ndarray, visible: float) -> Everywhere:
    """What is reported in all inputs, compared with the reverse pass, one piece of the inputs after the other."""
    blocks = point.case.inputs.blocks
    true = Answer(WHOLE, WHOLE, 0.0, 0.0, whole, floor_of(whole, blocks, UNIT_ROUNDOFF["float64"]), oracle=True)
    reported = [_decisive(point, look, answer, true) for answer in _answers_in_all(point, look)]
    scales = [scale_of([answer, true], blocks, look.ordinary) for answer in reported]
    found = []
    for part in slices(whole.size):
        pairs = [
            compare(answer.at(part), true.at(part), (), look.ordinary, scale[part], point.scale(inputs=part))
            for answer, scale in zip(reported, scales)
        ]
        found.append(_compare_piece(pairs, part.start))
    decided, least, most, suspects, ratios = zip(*found)
    # the pass accuses nobody: the inputs that are farthest off are examined by increments
    worst = np.concatenate(suspects)[np.argsort(np.concatenate(ratios))[-SAMPLED_INPUTS:]]
    allowed = float(np.min(least)), float(np.max(most))
    return Everywhere(visible, np.concatenate(decided), allowed, np.sort(worst))


def _answers_in_all(point: Point, look: Look) -> Iterator[Answer]:
    """The answers in all inputs, made when they are compared."""
    return (point.answer(name, estimate, point.case.inputs.blocks) for name, estimate in look.in_all_inputs.items())


def _compare_piece(pairs: Sequence[Pair], first: int) -> tuple[np.ndarray, float, float, np.ndarray, np.ndarray]:
    """What a piece of the inputs, from the first on, shows, by pairs of what is reported and of the pass.

    Which inputs are decided, the smallest and the largest difference that is accepted, and the inputs where they are at
    odds, with how far.
    """
    decided = np.all([pair.decided & ~pair.at_odds for pair in pairs], axis=0)
    allowed = np.max([pair.allowed for pair in pairs], axis=0)
    ratio = np.max([np.where(pair.at_odds, pair.ratio, 0.0) for pair in pairs], axis=0)
    at = np.flatnonzero(ratio > 0.0)
    return decided, allowed.min(), allowed.max(), first + at, ratio[at]


def _decisive(point: Point, look: Look, answer: Answer, true: Answer) -> Answer:
    """An answer in all inputs, or its evaluation in float64 where that decides more."""
    reported = look.reports[answer.name]
    if not isinstance(reported.float64_runs, np.ndarray):
        return answer
    everywhere, blocks = np.arange(answer.gradient.size), point.case.inputs.blocks
    estimate, tolerance = in_float64(point, reported.float64_runs, reported.estimate.error, blocks, everywhere)
    sides = Sides(true.gradient, np.zeros_like(true.gradient))
    return with_float64(answer, estimate, tolerance, true, sides)[0]
