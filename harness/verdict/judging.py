"""From compared answers to a verdict in words: what is decided, who is the odd one out, and where."""

import time
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from harness.bounds.tolerances import CONCLUSIVE_SHARE
from harness.verdict.comparison import Answer, Block, Consensus, Pair
from harness.verdict.report import Finding, PairRow, Report, SourceRow

SHOWN = 3  # coordinates named in a reason
SAME_COST = 1e-6  # a relative difference below this is more likely rounding than another function


def judge(
    answers: Sequence[Answer],
    pairs: Sequence[Pair],
    ends: Sequence[Pair],
    consensus: Consensus,
    *,
    faults: Mapping[str, Sequence[str]],
    blocks: Sequence[Block],
    label: Callable[[int], str],
    explain: Callable[[Answer, Answer, np.ndarray], str],
    subject: dict[str, Any],
    started: float,
    asked: np.ndarray | None = None,
    seconds: Mapping[str, float] = MappingProxyType({}),
    ulps: Mapping[str, tuple[float, float]] = MappingProxyType({}),
    hides: Sequence[str] = (),
    left_out: Mapping[str, str] = MappingProxyType({}),
    notes: Sequence[str] = (),
) -> Report:
    """The report on compared answers.

    Parameters
    ----------
    pairs, ends : the sources compared with each other, and with the end-to-end directions
    consensus : from `find_consensus`
    faults : what a source did wrong beside its answer, such as changing its argument
    blocks, label : the groups of coordinates, and the name of each
    explain : what kind of mistake would make the difference between an answer and another, in words
    asked : the coordinates that were to be decided; by default all
    """
    families = {answer.name: answer.family for answer in answers}
    outliers = [name for name in families if name in consensus.outliers or name in faults]
    independent = [pair for pair in pairs if families[pair.first] != families[pair.second]]
    size = answers[0].gradient.size if answers else 0
    asked = np.arange(size) if asked is None else asked
    tested = [answer for answer in answers if not answer.oracle] or answers
    decided, allowed = _sharpest(tested, independent, size)
    findings = _findings(answers, pairs, ends, consensus, blocks, label, explain)
    misconduct = [f"{name} {fault}" for name, wrongs in faults.items() for fault in wrongs]
    doubts = [] if findings else _doubts(tested, independent, ends, decided, asked, label)
    undecided = asked[~np.all(list(decided.values()), axis=0)[asked]] if decided else asked
    return Report(
        verdict="disagree" if findings or misconduct else "inconclusive" if doubts else "agree",
        subject=subject,
        sources=tuple(_source_row(answer, seconds, outliers, ulps) for answer in answers),
        pairs=tuple(_row(pair) for pair in pairs),
        outliers=tuple(outliers),
        tie=consensus.tie,
        findings=tuple(findings),
        reasons=(*misconduct, *doubts),
        hides=tuple(hides),
        left_out=dict(left_out),
        decided_share=1.0 - len(undecided) / len(asked) if len(asked) else 0.0,
        margin=max((pair.ratio[pair.decided].max(initial=0.0) for pair in pairs if not pair.disagrees), default=0.0),
        smallest_visible=(float(allowed[asked].min(initial=np.inf)), float(allowed[asked].max(initial=0.0))),
        seconds=time.perf_counter() - started,
        notes=(*notes, *([f"not decided: {_named(undecided, label)}"] if len(undecided) and not doubts else [])),
    )


def _sharpest(
    tested: Sequence[Answer], independent: Sequence[Pair], size: int
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Which coordinates of each tested answer another author's decides, and what is allowed to the vaguest of them."""
    decided, allowed = {}, np.zeros(size)
    for answer in tested:
        beside = [pair for pair in independent if answer.name in (pair.first, pair.second)]
        decided[answer.name] = np.any([pair.decided for pair in beside], axis=0) if beside else np.zeros(size, bool)
        sharpest = np.fmin.reduce([np.full(size, np.inf), *(pair.allowed for pair in beside)])  # NaN decides nothing
        allowed = np.maximum(allowed, sharpest)
    return decided, allowed


def _source_row(answer: Answer, seconds: Mapping, outliers: Sequence[str], ulps: Mapping) -> SourceRow:
    name = answer.name
    return SourceRow(name, answer.family, float(answer.cost), seconds.get(name), name in outliers, ulps.get(name))


def _row(pair: Pair) -> PairRow:
    verdict = "disagree" if pair.disagrees else "agree" if pair.decided.all() else "inconclusive"
    return PairRow(
        pair.first,
        pair.second,
        verdict,
        ratio=float(pair.ratio.max(initial=0.0)),
        difference=float(pair.difference.max(initial=0.0)),
        coordinates_at_odds=int(pair.at_odds.sum()),
        coordinates_decided=int(pair.decided.sum()),
    )


def _doubts(
    tested: Sequence[Answer],
    independent: Sequence[Pair],
    ends: Sequence[Pair],
    decided: dict[str, np.ndarray],
    asked: np.ndarray,
    label: Callable[[int], str],
) -> list[str]:
    if not independent:
        return ["the sources share one author or mechanism, and nobody else was asked; add one of another family"]
    return [
        *_undecided(decided, asked, label),
        *_not_finite(tested, asked, label),
        *([] if any(pair.cost_decided for pair in independent) else [_why_no_cost(tested)]),
        *(["no end-to-end direction could be decided"] if ends and not any(p.decided.any() for p in ends) else []),
    ]


def _undecided(decided: dict[str, np.ndarray], asked: np.ndarray, label: Callable[[int], str]) -> list[str]:
    """One sentence for all sources of which the same coordinates cannot be decided."""
    sources: dict[bytes, list[str]] = {}
    for name, known in decided.items():
        if known[asked].mean() < CONCLUSIVE_SHARE:
            sources.setdefault(known[asked].tobytes(), []).append(name)
    doubts = []
    for names in sources.values():
        left = asked[~decided[names[0]][asked]]
        whose = "" if len(names) == len(decided) else f" of {', '.join(names)}"
        doubts.append(
            f"{len(left)} of {len(asked)} coordinates{whose} cannot be decided ({_named(left, label)}): a kink is "
            "within reach of rounding, or errors are as large as the derivative; try another θ, or smaller numbers"
        )
    return doubts


def _not_finite(tested: Sequence[Answer], asked: np.ndarray, label: Callable[[int], str]) -> list[str]:
    """What is not finite is never agreed upon, not even as one of the few coordinates that may stay undecided."""
    doubts = []
    for answer in tested:
        broken = asked[~np.isfinite(answer.gradient[asked])]
        if len(broken):
            doubts.append(f"the gradient of {answer.name} is not finite: {_named(broken, label)}")
    return doubts


def _why_no_cost(tested: Sequence[Answer]) -> str:
    broken = [answer.name for answer in tested if not np.isfinite(answer.cost)]
    if broken:
        return f"the cost is not finite, says {', '.join(broken)}"
    return "the costs cannot be compared: their rounding errors are too large"


def _named(coordinates: np.ndarray, label: Callable[[int], str]) -> str:
    more = f", ... {len(coordinates) - SHOWN} more" if len(coordinates) > SHOWN else ""
    return ", ".join(label(int(i)) for i in coordinates[:SHOWN]) + more


def _findings(answers, pairs, ends, consensus, blocks, label, explain) -> list[Finding]:
    by_name = {answer.name: answer for answer in answers}
    findings = []
    for name in consensus.outliers or (by_name if consensus.tie else ()):
        against = [pair for pair in pairs if pair.disagrees and _other(pair, name) in (consensus.members or by_name)]
        at_ends = [pair for pair in ends if pair.disagrees and _other(pair, name)]
        if against:
            pair = min(against, key=lambda pair: np.median(pair.allowed))  # the sharpest of those that object
            findings.append(_pin_down(by_name[name], by_name[_other(pair, name)], pair, blocks, label, explain))
        elif at_ends:
            findings.append(_pin_down_end(name, at_ends[0]))
    return sorted(findings, key=lambda finding: -finding.ratio)


def _other(pair: Pair, name: str) -> str:
    """The pair's other source; empty when `name` is not in it."""
    return pair.second if pair.first == name else pair.first if pair.second == name else ""


def _pin_down(source, against, pair: Pair, blocks: Sequence[Block], label: Callable, explain: Callable) -> Finding:
    if pair.cost_at_odds:
        bound = source.cost_error + against.cost_error
        cost, expected = float(source.cost), float(against.cost)
        told = _about_costs(cost, expected)
        return Finding(source.name, against.name, "cost", "cost", cost, expected, bound, 1, diagnosis=told)
    worst = int(np.argmax(np.where(pair.at_odds, pair.ratio, -1.0)))
    return Finding(
        source.name,
        against.name,
        "gradient",
        label(worst),
        float(source.gradient[worst]),
        float(against.gradient[worst]),
        float(pair.allowed[worst]),
        coordinates=int(pair.at_odds.sum()),
        blocks=tuple(block.name for block in blocks if pair.at_odds[block.indices].any()),
        diagnosis=explain(source, against, pair.at_odds),
    )


def _about_costs(cost: float, expected: float) -> str:
    if not np.isfinite(cost):
        return "the cost is not finite: look for an overflow, a division by zero or the logarithm of zero"
    if abs(cost - expected) < SAME_COST * abs(expected):
        return "the same cost with digits lost: look for cancellation, such as log(1 - σ(z)), or for lower precision"
    return "the costs differ, so the gradients belong to different functions: look at targets and loss first"


def _pin_down_end(name: str, pair: Pair) -> Finding:
    worst = int(np.argmax(np.where(pair.at_odds, pair.ratio, -1.0)))
    difference, bound = float(pair.difference[worst]), float(pair.allowed[worst])
    where = f"the derivative along direction {worst}, off by" if not pair.cost_at_odds else "cost, off by"
    return Finding(name, _other(pair, name), "end to end", where, difference, 0.0, bound, 1)
