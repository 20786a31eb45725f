"""Derivatives along directions: random ones through many inputs, and inputs at kinks that move together.

Of more inputs than can be looked at one by one, random directions take in the others. Where these show an error, halves
of the inputs are tried until one input is left.

At a kink, each input alone may have any derivative between both sides. Of max(x, y) where x = y that is 0 to 1 for
either. But along both together max has slope 1, at the point and around it, and so has every average of the gradients
around. A rule that reports 1 for both is none of these.
"""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from harness.bounds.program_bound import largest_in_block
from harness.bounds.tolerances import ENTRIES_MOVED, RANDOM_ENDS, SAMPLED_INPUTS
from harness.checks.random_directions import compare_ends, farthest_off, random_directions, slopes_along
from harness.checks.traced.derivative_answers import Look, ordinary_derivative
from harness.checks.traced.derivative_case import INCREMENTS, Case, Point
from harness.checks.traced.kinks import Slopes, measure_slopes, slopes_around
from harness.checks.traced.low_precision import Scope, estimate_in_float64, with_float64
from harness.checks.traced.one_sided import one_sided_slopes
from harness.checks.traced.real_coordinates import Estimate
from harness.checks.traced.reported_derivatives import Reported, ask_modes, bound_modes, float64_runs
from harness.facts.fact import Fact
from harness.verdict.comparison import Answer, Block, Pair, compare
from harness.wording import first_few

FEWEST = 2
"""Of millions of inputs, no fewer are looked at one by one, and no fewer directions take in the others."""

MOST_TOGETHER = 64
"""Sets of inputs that are moved together, at most."""

BESIDE = 1e-7
"""The distance, in units of the argument's size, at which slopes around are computed before a report is accused."""

APART = 0.1
"""Slopes around must differ by less than this share of a report's error for it to be wrong."""


@dataclass(frozen=True, eq=False)
class Ends:
    """Derivatives along directions, compared."""

    pairs: tuple[Pair, ...] = ()
    names: tuple[str, ...] = ()  # the inputs that move together along each direction; empty for random directions
    reports: Mapping[str, Reported] = field(default_factory=dict)  # of modes evaluated along the directions
    missing: Mapping[str, Fact] = field(default_factory=dict)  # why modes are missing
    in_float64: Mapping[str, np.ndarray] = field(default_factory=dict)  # where a mode's evaluation is compared
    slopes: Slopes | None = None

    @property
    def disagree(self) -> bool:
        """Whether some mode is wrong along a direction."""
        return any(pair.disagrees for pair in self.pairs)


def compare_along(point: Point, look: Look) -> Ends:
    """What is compared along directions: of many inputs random ones, else inputs at kinks that move together."""
    return _compare_random(point, look) if point.case.is_large else _compare_kinks(point, look)


# -- many inputs ------------------------------------------------------------------------------------------------------


def sample_inputs(case: Case, deadline: float) -> np.ndarray:
    """The inputs that are looked at one by one: all, or some of many."""
    if not case.is_large:
        return np.arange(case.inputs.size)
    count = int(np.clip(ENTRIES_MOVED / case.inputs.size, FEWEST, SAMPLED_INPUTS))
    chosen = np.sort(np.random.default_rng(case.seed).choice(case.inputs.size, count, replace=False))
    return chosen[:1] if time.perf_counter() > deadline else chosen


def _compare_random(point: Point, look: Look) -> Ends:
    """Each mode's derivative along random directions, compared with that of the program.

    Those of reverse mode are sums of its derivatives in all inputs. Nothing is compared where nothing is known of some
    output.
    """
    inputs, seed, coarsest = point.case.inputs, point.case.seed, point.program.coarsest
    count = int(np.clip(0.1 * ENTRIES_MOVED / inputs.size, FEWEST, RANDOM_ENDS))
    along = random_directions(count, inputs.size, seed + 2)
    scope = Scope([Block("directions", np.arange(count))], coarsest, np.ones((1, count), bool))
    answers = slopes_along(along, [look.reverse[0]]) if look.reverse else []
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
    sides, in_float64 = Estimate(slopes.sides.mean[0], slopes.sides.half_gap[0]), {}
    for i, answer in enumerate(answers):
        found = look.reverse[1] if look.reverse and answer.name == "reverse" else reports[answer.name]
        runs = float64_runs(found, slopes.obstacles, coarsest)
        if isinstance(runs, np.ndarray):
            runs = runs @ along.T if answer.name == "reverse" else runs
            estimate = estimate_in_float64(runs[:, 0], answer.error, coarsest)
            largest = largest_in_block(estimate.derivative, scope.blocks)
            answers[i], in_float64[answer.name] = with_float64(answer, estimate, largest, increments, sides)
    ordinary = ordinary_derivative(point, look.true)
    pairs = compare_ends(answers, increments, ordinary) if point.is_known.all() else []
    return Ends(tuple(pairs), (), reports, {**missing, **missing_after}, in_float64, slopes)


def locate_error(point: Point, gradient: np.ndarray) -> int:
    """An input in which a gradient, (inputs,), is far from the program's, by halving the inputs."""

    def off(along: np.ndarray) -> np.ndarray:
        mean = one_sided_slopes(point.program, along, point.combinations.weights).mean[0]
        return np.abs(along @ gradient - mean)

    return farthest_off(point.case.inputs.size, off, point.case.seed + 3)


# -- inputs at kinks, together ----------------------------------------------------------------------------------------


@np.errstate(all="ignore")
def _compare_kinks(point: Point, look: Look) -> Ends:
    """The modes whose derivatives do not add up to the slope along inputs at kinks, each compared with that slope.

    Looked at are sets of inputs along which the function has no kink.
    """
    kinks, ordinary = look.true.kinks, ordinary_derivative(point, look.true)
    rows, size = kinks.shape
    owners = _find_sets(point, kinks)
    if not owners:
        return Ends()
    along, judged = np.array([members for members, _ in owners], float), np.zeros((rows, len(owners)), bool)
    for d, (_, combinations) in enumerate(owners):
        judged[combinations, d] = True
    blocks = [Block("together", k * len(owners) + np.arange(len(owners))) for k in range(rows)]
    slopes = measure_slopes(point, along, [], Scope(blocks, point.program.coarsest, judged))
    sides, error = slopes.sides, slopes.error
    # only directions without a kink of their own have one slope to compare with
    smooth = judged & ~(2.0 * sides.half_gap > error)
    true = point.answer(INCREMENTS, Estimate(sides.mean, np.where(smooth, error + sides.half_gap, np.inf)), blocks)
    pairs = []
    for answer in look.own:
        pair = compare(_sum_along(answer, along, rows, size), true, blocks, ordinary)
        # a function that bends has other slopes nearby: accuse only what is off by far more than that
        off = np.where(pair.at_odds & np.isfinite(pair.difference), pair.difference, 0.0).reshape(smooth.shape)
        wrong = off > _spread_around(point, along, off, true.gradient.reshape(off.shape)) / APART
        if wrong.any():
            error = np.where(wrong.ravel(), true.error, np.inf)
            against = Answer(INCREMENTS, INCREMENTS, 0.0, 0.0, true.gradient, error, oracle=True)
            pairs.append(compare(_sum_along(answer, along, rows, size), against, blocks, ordinary))
    names = [first_few(np.flatnonzero(members).tolist(), 3, name=point.case.inputs.label) for members in along] * rows
    return Ends(tuple(pairs), tuple(names), slopes=slopes)


def _find_sets(point: Point, kinks: np.ndarray) -> list[tuple[np.ndarray, list[int]]]:
    """The sets of inputs that are moved together, as masks, and the combinations that each is for."""
    found: dict[bytes, tuple[np.ndarray, list[int]]] = {}
    for k in np.flatnonzero(point.is_known).tolist():
        for members in _sets_at_kinks(point, kinks[k]):
            if len(found) < MOST_TOGETHER or members.tobytes() in found:
                found.setdefault(members.tobytes(), (members, []))[1].append(k)
    return list(found.values())


def _sets_at_kinks(point: Point, kinks: np.ndarray) -> Iterator[np.ndarray]:
    """All inputs at kinks of a combination, those of each array, and those that are equal; two or more of them."""
    leaves = (np.isin(np.arange(kinks.size), block.indices) for block in point.case.inputs.blocks)
    at = point.program.point
    equal = (at == value for value in np.unique(at[kinks]))
    for among in (np.ones(kinks.size, bool), *leaves, *equal):
        if (kinks & among).sum() > 1:
            yield kinks & among


def _sum_along(answer: Answer, along: np.ndarray, rows: int, size: int) -> Answer:
    """An answer's derivatives along the sets."""
    gradient, error = answer.gradient.reshape(rows, size), answer.error.reshape(rows, size)
    sums = (gradient @ along.T).ravel(), (error @ along.T).ravel()
    return Answer(answer.name, answer.family, 0.0, 0.0, *sums, precision=answer.precision)


def _spread_around(point: Point, along: np.ndarray, off: np.ndarray, slopes: np.ndarray) -> np.ndarray:
    """How far slopes around are from those at the point, where a report is off; infinite where that is unknown."""
    farthest, at = np.zeros(off.shape), np.flatnonzero(off.any(axis=0))
    weights = point.combinations.cotangents[:, None]
    for found in slopes_around(point, along[at], BESIDE) if at.size else ():
        apart = np.abs(found / weights - slopes[:, at])
        farthest[:, at] = np.maximum(farthest[:, at], np.nan_to_num(apart, nan=np.inf))
    return farthest
