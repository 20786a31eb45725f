"""Disagreements, located: between which sources, in which coordinate, by how much, and which mistake fits."""

from collections.abc import Sequence

import numpy as np

from harness.facts.fact import Fact, note
from harness.facts.kinds import Kind
from harness.verdict.comparison import Answer, Pair
from harness.verdict.consensus import Consensus
from harness.verdict.report import Finding
from harness.verdict.subject import Subject

SAME_COST = 1e-6
"""A relative difference of costs below this is rather lost digits than another function."""


def find_all(
    subject: Subject, answers: Sequence[Answer], pairs: Sequence[Pair], ends: Sequence[Pair], consensus: Consensus
) -> list[Finding]:
    """One finding for each source that differs from the consensus, or in a tie from any other, worst first.

    Parameters
    ----------
    pairs, ends : sequences of Pair
        Sources compared with each other, and along directions with the computation as a whole.
    """
    by_name = {answer.name: answer for answer in answers}
    trusted = consensus.members or by_name
    findings = []
    for name in consensus.outliers or (by_name if consensus.tie else ()):
        against = [pair for pair in pairs if pair.disagrees and pair.other(name) in trusted]
        at_ends = [pair for pair in ends if pair.disagrees and pair.other(name)]
        if against:
            pair = min(against, key=lambda pair: np.median(pair.allowed))  # the one with the smallest error bounds
            findings.append(_pin_down(subject, by_name[name], by_name[pair.other(name)], pair))
        elif at_ends:
            findings.append(_pin_down_end(subject, name, at_ends[0]))
    return sorted(findings, key=lambda finding: -finding.ratio)


def _pin_down(subject: Subject, source: Answer, against: Answer, pair: Pair) -> Finding:
    """The cost if the costs differ; else the coordinate that differs most."""
    if pair.cost_at_odds:
        causes = (*_why_costs_differ(source, against), *subject.explain_cost(source, against, pair.at_odds))
        return Finding(
            source.name,
            against.name,
            "cost",
            "cost",
            value=float(source.cost),
            expected=float(against.cost),
            bound=source.cost_error + against.cost_error,
            diagnosis=causes or (note(Kind.ANOTHER_FUNCTION),),
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
        diagnosis=tuple(subject.explain(source, against, pair.at_odds)),
    )


def _why_costs_differ(source: Answer, against: Answer) -> tuple[Fact, ...]:
    if not np.isfinite(source.cost):
        return (note(Kind.COST_NOT_FINITE, source.name),)
    if abs(source.cost - against.cost) < SAME_COST * abs(against.cost):
        return (note(Kind.COST_DIGITS_LOST),)
    return ()


def _pin_down_end(subject: Subject, name: str, pair: Pair) -> Finding:
    """The direction that differs most."""
    worst = _worst(pair)
    answered = pair.costs if pair.cost_at_odds else [slopes[worst] for slopes in pair.gradients]
    value, expected = answered if pair.first == name else answered[::-1]
    where, diagnosis = ("cost", ()) if pair.cost_at_odds else (subject.along(worst), subject.explain_along())
    bound = pair.cost_allowed if pair.cost_at_odds else float(pair.allowed[worst])
    ends = where, float(value), float(expected), bound
    return Finding(name, pair.other(name), "end to end", *ends, diagnosis=tuple(diagnosis))


def _worst(pair: Pair) -> int:
    """The coordinate with the largest ratio; of several infinite ratios, the one with the largest difference."""
    ratio = np.where(pair.at_odds, pair.ratio, -1.0)
    difference = np.where(np.isnan(pair.difference), np.inf, pair.difference)
    return int(np.argmax(np.where(ratio == ratio.max(), difference, -1.0)))
