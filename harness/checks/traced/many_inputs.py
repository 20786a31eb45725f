"""Of more inputs than can be looked at one by one: random directions, and where these show an error, an input of it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from harness.bounds.tolerances import ENTRIES_MOVED, RANDOM_ENDS, SAMPLED_INPUTS
from harness.checks.directions import compare_ends, farthest_off, random_directions, slopes_along
from harness.checks.traced.differencing import increments
from harness.checks.traced.layout import Claim
from harness.checks.traced.modes import Mode
from harness.checks.traced.precision.meaning import meant, with_meaning
from harness.checks.traced.subject import INCREMENTS
from harness.verdict.comparison import Answer, Block, Pair
from reference.arithmetics.roundoff import UNIT_ROUNDOFF
from reference.measured import NotApplicable

if TYPE_CHECKING:
    from harness.checks.traced.asking import Check

FEWEST = 2
"""Of millions of inputs, no fewer are looked at one by one, and no fewer directions take in the others."""


def sampled(check: Check) -> np.ndarray:
    """The inputs that are looked at one by one."""
    count = int(np.clip(ENTRIES_MOVED / check.inputs.size, FEWEST, SAMPLED_INPUTS))
    chosen = np.sort(np.random.default_rng(check.seed).choice(check.inputs.size, count, replace=False))
    return chosen[:1] if time.perf_counter() > check.deadline else chosen


def end_to_end(check: Check, modes: Sequence[Mode]) -> list[Pair]:
    """Each mode's derivative along random directions beside that of the program: for what was not sampled."""
    count = int(np.clip(0.1 * ENTRIES_MOVED / check.inputs.size, FEWEST, RANDOM_ENDS))
    along = random_directions(count, check.inputs.size, check.seed + 2)
    block = [Block("directions", np.arange(count))]
    slopes, meanings = [], {}
    for mode in modes:
        if mode.name in check.left_out:
            continue
        try:
            slope, meanings[mode.name] = _slope(check, mode, along, block)
        except NotApplicable as reason:
            check.left_out[mode.name] = str(reason)
            continue
        slopes.append(slope)
    ask = partial(increments, check.truth, along, check.weights, [slope.gradient[None] for slope in slopes])
    middle, apart, error = check.with_bars(INCREMENTS, ask, block, UNIT_ROUNDOFF["float64"])
    truth, sides = check.answer(INCREMENTS, Claim(middle, error + apart), block), Claim(middle[0], apart[0])
    for i, slope in enumerate(slopes):
        runs = meanings[slope.name]
        if not isinstance(runs, str):
            told = meant(runs[:, 0], slope.error, check.truth.coarsest)
            slopes[i], check.ends_by_meaning[slope.name] = with_meaning(slope, told, truth, sides, block)
    return compare_ends(slopes, truth, check.ordinary)


def _slope(check: Check, mode: Mode, along: np.ndarray, block: Sequence[Block]) -> tuple[Answer, np.ndarray | str]:
    """A mode's own derivative along directions, and what it means."""
    if mode.name == "reverse":
        (slope,) = slopes_along(along, [answer for answer in check.own if answer.name == mode.name])
        runs = check.known_meaning(mode.name)
        return slope, runs if isinstance(runs, str) else runs @ along.T
    slope = check.answer(mode.name, check.claim(mode, along, block), block)
    check.meanings[mode.name] = check.meaning(mode, along)
    return slope, check.known_meaning(mode.name)


def located(check: Check, claims: dict[str, Claim]) -> int:
    """An input along which JAX is far from the program."""
    gradient = _suspect(check, claims)

    def off(along: np.ndarray) -> np.ndarray:
        return np.abs(along @ gradient - check.truth.combined(along, check.weights, check.seed)[0][0])

    return farthest_off(check.inputs.size, off, check.seed + 3)


def _suspect(check: Check, claims: dict[str, Claim]) -> np.ndarray:
    """The gradient that an error is to be located in: what a mode means, where that alone is wrong."""
    name = max(claims)
    odd = np.any([pair.at_odds for pair in check.ends if pair.other(name)], axis=0)
    runs, by_meaning = check.known_meaning(name), check.ends_by_meaning.get(name, np.zeros(odd.shape, bool))
    return claims[name].derivative[0] if isinstance(runs, str) or not (by_meaning & odd).any() else runs[0, 0]
