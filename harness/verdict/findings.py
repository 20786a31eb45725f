"""Disagreements pinned down: who against whom, where, both values, the bound, and what kind of bug it looks like."""

from collections.abc import Sequence

import numpy as np

from harness.verdict.comparison import Answer, Pair
from harness.verdict.consensus import Consensus
from harness.verdict.report import Finding
from harness.verdict.subject import Subject

DIFFERENT_COSTS = "the costs differ, so one of them is not the function that the gradient should belong to"
SAME_COST = 1e-6  # a relative difference below this is more likely rounding than another function


def find_all(
    subject: Subject, answers: Sequence[Answer], pairs: Sequence[Pair], ends: Sequence[Pair], consensus: Consensus
) -> list[Finding]:
    """One finding for each source that is at odds with the consensus (in a tie, with anybody), worst first."""
    by_name = {answer.name: answer for answer in answers}
    trusted = consensus.members or by_name
    findings = []
    for name in consensus.outliers or (by_name if consensus.tie else ()):
        against = [pair for pair in pairs if pair.disagrees and pair.other(name) in trusted]
        at_ends = [pair for pair in ends if pair.disagrees and pair.other(name)]
        if against:
            pair = min(against, key=lambda pair: np.median(pair.allowed))  # the sharpest of those that object
            findings.append(_pin_down(subject, by_name[name], by_name[pair.other(name)], pair))
        elif at_ends:
            findings.append(_pin_down_end(subject, name, at_ends[0]))
    return sorted(findings, key=lambda finding: -finding.ratio)


def _pin_down(subject: Subject, source: Answer, against: Answer, pair: Pair) -> Finding:
    if pair.cost_at_odds:
        said = (
            _about_costs(float(source.cost), float(against.cost)),
            subject.explain_cost(source, against, pair.at_odds),
        )
        return Finding(
            source.name,
            against.name,
            "cost",
            "cost",
            value=float(source.cost),
            expected=float(against.cost),
            bound=source.cost_error + against.cost_error,
            diagnosis="; ".join(filter(None, said)) or DIFFERENT_COSTS,
        )
    worst = _worst(pair)
    return Finding(
        source.name,
        against.name,
        "gradient",
        subject.label(worst),
        value=float(source.gradient[worst]),
        expected=float(against.gradient[worst]),
        bound=float(pair.allowed[worst]),
        coordinates=int(pair.at_odds.sum()),
        blocks=subject.parts(pair.at_odds),
        diagnosis=subject.explain(source, against, pair.at_odds),
    )


def _about_costs(cost: float, expected: float) -> str:
    if not np.isfinite(cost):
        return "the cost is not finite: look for an overflow, a division by zero or the logarithm of zero"
    if abs(cost - expected) < SAME_COST * abs(expected):
        return "the same cost with digits lost: look for cancellation, such as log(1 - σ(z)), or for lower precision"
    return ""


def _pin_down_end(subject: Subject, name: str, pair: Pair) -> Finding:
    worst = _worst(pair)
    answered = pair.costs if pair.cost_at_odds else [slopes[worst] for slopes in pair.gradients]
    value, expected = answered if pair.first == name else answered[::-1]
    where, diagnosis = ("cost", "") if pair.cost_at_odds else (subject.along(worst), subject.explain_along())
    bound = pair.cost_allowed if pair.cost_at_odds else float(pair.allowed[worst])
    ends = where, float(value), float(expected), bound
    return Finding(name, pair.other(name), "end to end", *ends, diagnosis=diagnosis)


def _worst(pair: Pair) -> int:
    """The coordinate that is farthest beyond its bound; of several that are infinitely far, the largest difference."""
    ratio = np.where(pair.at_odds, pair.ratio, -1.0)
    difference = np.where(np.isnan(pair.difference), np.inf, pair.difference)
    return int(np.argmax(np.where(ratio == ratio.max(), difference, -1.0)))
