"""Bounds so wide that twice the derivative would pass: what is decided by them is in doubt.

Errors count as nothing beside the terms that make up the function, whose size is known by what rounding moves of it. A
program that blows its roundings up has terms without limit then, and bounds, that would excuse everything.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from harness.bounds.tolerances import MEANINGLESS, SPREAD_FACTOR
from harness.checks.traced.correct_digits import absolute_scale, scale_about
from harness.checks.traced.derivative_subject import DIFFERENCES, INCREMENTS, TracedDerivatives
from harness.verdict.comparison import compare
from harness.wording import first_few

if TYPE_CHECKING:
    from harness.checks.traced.derivative_case import Check

TERMS = 1.0
"""Terms that cancel count up to this size beside f's own: so the tails of tanh(x) - 1 are lost, and in no doubt."""

MOST = 0.5
"""Of the derivatives of a block that are not zero, this share."""


@np.errstate(all="ignore")
def twice_would_pass(check: Check, subject: TracedDerivatives, chosen: np.ndarray) -> list[str]:
    """A doubt where twice the derivative would agree as well in most of a block, and f's own size does not excuse it.

    `chosen` are the inputs that were looked at. A derivative is excused that is as small beside f over its argument as
    errors may be, or beside the derivatives all about, and so is one that the largest of its block decides.
    """
    oracles = {answer.name: answer for answer in check.answers if answer.name in (INCREMENTS, DIFFERENCES)}
    true, names, bars = oracles[INCREMENTS].gradient, set[str](), [0.0]
    passes = np.zeros((len(check.answers), true.size), bool)
    for i, answer in enumerate(check.answers):
        if answer.oracle:
            continue
        twice = replace(answer, gradient=2.0 * true)
        ways = [
            [compare(twice, oracle, subject.blocks, check.ordinary, absolute=scale) for oracle in oracles.values()]
            for scale in (check.absolute, 0.0)
        ]
        excused, by_itself = (np.any([pair.decided for pair in pairs], axis=0) for pairs in ways)
        passes[i] = excused & ~by_itself & ~np.any([pair.at_odds for pair in ways[0]], axis=0)
    passes = passes.any(axis=0) & np.isfinite(true) & (true != 0.0) & subject.chosen
    if not passes.any():
        return []
    passes &= np.abs(true) > MEANINGLESS[check.precision] * _beside(check, chosen)
    allowed = np.max([answer.error for answer in check.answers if not answer.oracle], axis=0)
    for block in subject.blocks:
        own = passes[block.indices]
        if own.sum() > MOST * np.count_nonzero((true[block.indices] != 0.0) & subject.chosen[block.indices]):
            names.add(block.name)
            bars.append(float(allowed[block.indices][own].max()))
    if not names:
        return []
    where = first_few(sorted(names), 3)
    said = f"in most of {where} error bars, of up to {max(bars):.1e}, are wider than the derivative itself"
    return [f"twice the derivative would pass as well: {said}"]


def _beside(check: Check, chosen: np.ndarray) -> np.ndarray:
    """What derivatives are small against: f's own size over its argument, and those all about: (rows · chosen,)."""
    _, values, error = check.values
    terms = np.minimum(error, TERMS * SPREAD_FACTOR * check.truth.coarsest)
    scale = absolute_scale(check.rows, values, terms, check.truth, check.precision)
    if not check.is_large:
        scale = np.maximum(scale, scale_about(check.truth, check.rows, check.precision, check.seed))
    return scale.reshape(len(check.rows), -1)[:, chosen if check.is_large else slice(None)].ravel()
