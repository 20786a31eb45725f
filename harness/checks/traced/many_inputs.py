"""Of more inputs than can be examined one by one: a sample, random directions, and where these show an error.

Random directions cover the inputs that are not in the sample. Where a direction shows an error, bisection finds an
input that is wrong.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from harness.bounds.program_bound import largest_in_block
from harness.bounds.tolerances import DIRECTIONS, ENTRIES_MOVED, MEANT, RANDOM_ENDS, SAMPLED_INPUTS
from harness.checks.random_directions import compare_ends, farthest_off, random_directions, slopes_along
from harness.checks.traced.derivative_answers import Look, ordinary_derivative
from harness.checks.traced.derivative_case import INCREMENTS, Case, Point
from harness.checks.traced.low_precision import Scope, estimate_in_float64, with_float64
from harness.checks.traced.one_sided import one_sided_slopes
from harness.checks.traced.program_derivatives import Slopes, measure_slopes
from harness.checks.traced.real_coordinates import Estimate, Sides
from harness.checks.traced.reported_derivatives import Reported, ask_modes, bound_modes, comparable_runs
from harness.facts.fact import Fact
from harness.verdict.comparison import Block, Pair

SAMPLED_BESIDE_WHOLE, MOVED_BESIDE_WHOLE = 8, 5e6
"""Inputs that are examined one by one, and entries moved for them, where a reverse pass is compared in all inputs."""

FEWEST = 2
"""Of millions of inputs, no fewer are examined one by one, and no fewer random directions cover the others."""


@dataclass(frozen=True, eq=False)
class DirectionalDerivatives:
    """Derivatives along directions, compared: along random ones, or along inputs at kinks that move together."""

    pairs: tuple[Pair, ...] = ()
    names: tuple[str, ...] = ()  # the inputs that move together along each direction; empty for random directions
    reports: Mapping[str, Reported] = field(default_factory=dict)  # of modes evaluated along the directions
    missing: Mapping[str, Fact] = field(default_factory=dict)  # why modes are missing
    replaced: Mapping[str, np.ndarray] = field(default_factory=dict)  # where a mode's float64 evaluation is compared
    slopes: Slopes | None = None
    along: np.ndarray | None = None  # the directions, (directions, inputs)

    @property
    def disagree(self) -> bool:
        """Whether some mode is wrong along a direction."""
        return any(pair.disagrees for pair in self.pairs)


def sample_inputs(case: Case, deadline: float, most: int = SAMPLED_INPUTS) -> np.ndarray:
    """The inputs that are examined one by one: all, or a random sample of many."""
    if not case.is_large:
        return np.arange(case.inputs.size)
    entries = ENTRIES_MOVED if most == SAMPLED_INPUTS else MOVED_BESIDE_WHOLE
    count = int(np.clip(entries / case.inputs.size, FEWEST, most))
    sample = np.sort(np.random.default_rng(case.seed).choice(case.inputs.size, count, replace=False))
    return sample[:1] if time.perf_counter() > deadline else sample


def compare_random_directions(point: Point, look: Look) -> DirectionalDerivatives:
    """Each mode's derivative along random directions, compared with that of the program.

    Those of reverse mode are sums of its derivatives in all inputs. Nothing is compared where nothing is known of some
    output.
    """
    inputs, seed, coarsest = point.case.inputs, point.case.seed, point.program.coarsest
    most = RANDOM_ENDS if look.plan.whole is None else DIRECTIONS
    count = int(np.clip(0.1 * ENTRIES_MOVED / inputs.size, FEWEST, most))
    along = random_directions(count, inputs.size, seed + 2)
    scope = Scope([Block("directions", np.arange(count))], coarsest, np.ones((1, count), bool))
    answers = slopes_along(along, [a for a in look.in_all_inputs.values() if a.name == "reverse"])
    plan = replace(look.plan, modes=tuple(mode for mode in look.plan.modes if mode.name == "forward"))
    products, missing = ask_modes(point, plan, along)
    reported = [a.gradient[None] for a in answers] + [found.derivative for found in products.values()]
    slopes = measure_slopes(point, along, reported, scope)
    # along a random direction many kinks add up, so that half of the gap is allowed
    true = Estimate(slopes.sides.mean, slopes.error + slopes.sides.half_gap)
    may_borrow = (len(products) == 1 or not scope.is_wide(true)) and not look.true.kinks.any()
    reports, missing_after = bound_modes(point, plan, products, true, scope, may_borrow=may_borrow, along=along)
    answers += [point.answer(name, found.estimate, scope.blocks) for name, found in reports.items()]
    increments = point.answer(INCREMENTS, true, scope.blocks)
    sides, replaced = Sides(slopes.sides.mean[0], slopes.sides.half_gap[0]), {}
    for i, answer in enumerate(answers):
        found = look.reports[answer.name] if answer.name == "reverse" else reports[answer.name]
        runs = comparable_runs(found, slopes.obstacles, coarsest)
        if isinstance(runs, np.ndarray):
            runs = runs @ along.T if answer.name == "reverse" else runs
            estimate = estimate_in_float64(runs[:, 0], answer.error, coarsest)
            tolerance = MEANT[answer.precision] * largest_in_block(estimate.derivative, scope.blocks)
            answers[i], replaced[answer.name] = with_float64(answer, estimate, tolerance, increments, sides)
    ordinary = ordinary_derivative(point, look.true)
    pairs = compare_ends(answers, increments, ordinary) if point.is_known.all() else []
    return DirectionalDerivatives(tuple(pairs), (), reports, {**missing, **missing_after}, replaced, slopes, along)


def locate_error(point: Point, gradient: np.ndarray) -> int:
    """An input in which a gradient, (inputs,), is far from the program's, by halving the inputs."""

    def off(along: np.ndarray) -> np.ndarray:
        mean = one_sided_slopes(point.program, along, point.combinations.weights).mean[0]
        return np.abs(along @ gradient - mean)

    return farthest_off(point.case.inputs.size, off, point.case.seed + 3)
