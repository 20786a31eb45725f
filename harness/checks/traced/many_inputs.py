"""Of more inputs than can be looked at one by one: random directions, and where these show an error, an input of it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from harness.bounds.program_bound import largest_in_block
from harness.bounds.tolerances import ENTRIES_MOVED, RANDOM_ENDS, SAMPLED_INPUTS
from harness.checks.random_directions import compare_ends, farthest_off, random_directions, slopes_along
from harness.checks.traced.derivative_subject import INCREMENTS
from harness.checks.traced.error_bounds import Seen
from harness.checks.traced.float64_evaluation import meant, with_meaning
from harness.checks.traced.jax_modes import Mode
from harness.checks.traced.real_coordinates import Claim
from harness.checks.traced.reported_derivatives import claims_of, excuse
from harness.verdict.comparison import Block, Pair

if TYPE_CHECKING:
    from harness.checks.traced.derivative_case import Check

FEWEST = 2
"""Of millions of inputs, no fewer are looked at one by one, and no fewer directions take in the others."""


def sampled(check: Check) -> np.ndarray:
    """The inputs that are looked at one by one."""
    count = int(np.clip(ENTRIES_MOVED / check.inputs.size, FEWEST, SAMPLED_INPUTS))
    chosen = np.sort(np.random.default_rng(check.seed).choice(check.inputs.size, count, replace=False))
    return chosen[:1] if time.perf_counter() > check.deadline else chosen


def end_to_end(check: Check, modes: Sequence[Mode], known: np.ndarray) -> list[Pair]:
    """Each mode's derivative along random directions beside that of the program: for what was not sampled.

    Nothing where something of the function is not known.
    """
    count = int(np.clip(0.1 * ENTRIES_MOVED / check.inputs.size, FEWEST, RANDOM_ENDS))
    along = random_directions(count, check.inputs.size, check.seed + 2)
    seen = Seen([Block("directions", np.arange(count))], check.truth.coarsest, np.ones((1, count), bool))
    slopes = slopes_along(along, check.reverse)
    claims = claims_of(check, [mode for mode in modes if mode.name == "forward"], along)
    claimed = [slope.gradient[None] for slope in slopes] + [claim.derivative for claim in claims.values()]
    sides, error = check.increments(along, claimed, seen)
    truth = Claim(sides.middle, error + sides.apart)
    excuse(check, modes, claims, truth, seen, along)
    slopes += [check.answer(name, claim, seen.blocks) for name, claim in claims.items()]
    increments, between = check.answer(INCREMENTS, truth, seen.blocks), Claim(sides.middle[0], sides.apart[0])
    for i, slope in enumerate(slopes):
        runs = check.known_meaning(slope.name)
        if not isinstance(runs, str):
            runs = runs @ along.T if slope.name == "reverse" else runs
            told = meant(runs[:, 0], slope.error, check.truth.coarsest)
            largest = largest_in_block(told.derivative, seen.blocks)
            found = with_meaning(slope, told, largest, increments, between)
            slopes[i], check.ends_by_meaning[slope.name] = found
    return compare_ends(slopes, increments, check.ordinary) if known.all() else []


def located(check: Check, claims: dict[str, Claim]) -> int:
    """An input along which JAX is far from the program."""
    gradient = _suspect(check, claims)

    def off(along: np.ndarray) -> np.ndarray:
        return np.abs(along @ gradient - check.truth.sides(along, check.weights, check.seed).middle[0])

    return farthest_off(check.inputs.size, off, check.seed + 3)


def _suspect(check: Check, claims: dict[str, Claim]) -> np.ndarray:
    """The gradient that an error is to be located in: what a mode means, where that alone is wrong."""
    name = max(claims)
    odd = np.any([pair.at_odds for pair in check.ends if pair.other(name)], axis=0)
    runs, by_meaning = check.known_meaning(name), check.ends_by_meaning.get(name, np.zeros(odd.shape, bool))
    return claims[name].derivative[0] if isinstance(runs, str) or not (by_meaning & odd).any() else runs[0, 0]
