"""From compared answers to a verdict in words: what is decided, who is the odd one out, and where."""

import time
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from harness.comparison import Answer, Block, Consensus, Pair
from harness.report import Finding, PairRow, Report, SourceRow
from harness.tolerances import CONCLUSIVE_SHARE

SHOWN = 3  # undecided coordinates named in a reason


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
    decided = np.any([pair.decided for pair in independent], axis=0) if independent else np.zeros(size, dtype=bool)
    allowed = np.min([pair.allowed for pair in independent], axis=0) if independent else np.full(size, np.inf)
    findings = _findings(answers, pairs, ends, consensus, blocks, label, explain)
    misconduct = [f"{name} {fault}" for name, wrongs in faults.items() for fault in wrongs]
    doubts = [] if findings else _doubts(independent, ends, decided, asked, label)
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
        decided_share=float(decided[asked].mean()) if size else 0.0,
        margin=max((pair.ratio[pair.decided].max(initial=0.0) for pair in pairs if not pair.disagrees), default=0.0),
        smallest_visible=(float(allowed[asked].min(initial=np.inf)), float(allowed[asked].max(initial=0.0))),
        seconds=time.perf_counter() - started,
    )


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
    independent: Sequence[Pair], ends: Sequence[Pair], decided: np.ndarray, asked: np.ndarray, label: Callable
) -> list[str]:
    if not independent:
        return ["the sources share one author or mechanism; add one of another family, such as jax"]
    doubts = []
    if decided[asked].mean() < CONCLUSIVE_SHARE:
        undecided = asked[~decided[asked]]
        named = ", ".join(label(int(i)) for i in undecided[:SHOWN]) + (", ..." if len(undecided) > SHOWN else "")
        doubts.append(
            f"{len(undecided)} of {asked.size} coordinates cannot be decided ({named}): a kink is within "
            "reach of rounding, or rounding is as large as the derivative; try another θ, or smaller numbers"
        )
    if not any(pair.cost_decided for pair in independent):
        doubts.append("the costs cannot be compared: their rounding errors are too large, or they are not finite")
    if ends and not any(pair.decided.any() for pair in ends):
        doubts.append("no end-to-end direction could be decided")
    return doubts


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
        told = "the costs differ, so the gradients belong to different functions: look at targets and loss first"
        cost, expected = float(source.cost), float(against.cost)
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


def _pin_down_end(name: str, pair: Pair) -> Finding:
    worst = int(np.argmax(np.where(pair.at_odds, pair.ratio, -1.0)))
    difference, bound = float(pair.difference[worst]), float(pair.allowed[worst])
    where = f"the derivative along direction {worst}, off by" if not pair.cost_at_odds else "cost, off by"
    return Finding(name, _other(pair, name), "end to end", where, difference, 0.0, bound, 1)
