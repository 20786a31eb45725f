"""From compared answers to a verdict: what is decided, what is wrong, and what is left in doubt."""

import re
import time
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np

from harness.bounds.tolerances import CONCLUSIVE_SHARE
from harness.verdict.comparison import Answer, Pair
from harness.verdict.consensus import Consensus
from harness.verdict.findings import find_all
from harness.verdict.heat_map import heat_map
from harness.verdict.report import PairRow, Report, SourceRow
from harness.verdict.subject import Subject

UNDECIDED = "cannot be decided"

NOBODY: Mapping[str, str] = MappingProxyType({})


def judge(
    subject: Subject,
    answers: Sequence[Answer],
    pairs: Sequence[Pair],
    ends: Sequence[Pair],
    consensus: Consensus,
    left_out: Mapping[str, str] = NOBODY,
    started: float | None = None,
) -> Report:
    """The report on compared answers.

    Parameters
    ----------
    subject : what is checked
    answers : what the sources answered
    pairs, ends : the sources compared with each other, and with end-to-end directions
    consensus : who stands, and who is at odds with that
    left_out : the sources that could not answer, and why
    started : when the check began, by `time.perf_counter`
    """
    evidence = _Evidence(subject, answers, pairs)
    findings = find_all(subject, answers, pairs, ends, consensus)
    misconduct = [*subject.misconduct, *(f"{answer.name} {what}" for answer in answers for what in answer.misconduct)]
    doubts = [] if findings else [*subject.doubts, *evidence.doubts(ends, left_out)]
    outliers = tuple(answer.name for answer in answers if answer.name in consensus.outliers or answer.misconduct)
    return Report(
        verdict="disagree" if findings or misconduct else "inconclusive" if doubts else "agree",
        subject=subject.describe(),
        sources=tuple(_source_row(answer, outliers) for answer in answers),
        pairs=tuple(map(_pair_row, pairs)),
        outliers=outliers,
        tie=consensus.tie,
        findings=tuple(findings),
        reasons=(*misconduct, *doubts),
        blind_to=tuple(subject.blind_to()),
        left_out=dict(left_out),
        decided_share=evidence.share,
        margin=max((_closest_call(pair) for pair in pairs if not pair.disagrees), default=0.0),
        smallest_visible=evidence.smallest_visible(),
        seconds=0.0 if started is None else time.perf_counter() - started,
        notes=tuple(_notes(subject, answers, [] if doubts else evidence.undecided)),
        details=subject.details,
        picture=subject.picture or heat_map(subject, pairs, findings),
    )


def kind_of(reason: str) -> str:
    """A reason for an inconclusive verdict without the names and numbers that belong to one report alone."""
    what, _, where_or_why = reason.partition(": ")
    kind = where_or_why.partition(";")[0] if UNDECIDED in what else what
    return re.sub(r"\d[\d.,e+-]*", "N", re.sub(r"\s*\([^()]*\)", "", kind))


def _source_row(answer: Answer, outliers: Sequence[str]) -> SourceRow:
    outlier = answer.name in outliers
    return SourceRow(answer.name, answer.family, float(answer.cost), answer.seconds, outlier, answer.ulps, answer.note)


def _pair_row(pair: Pair) -> PairRow:
    """A pair agrees where every coordinate that both sources have something to say of is decided."""
    applies, bounded = pair.applies, np.isfinite(pair.allowed)
    decided = applies.any() and pair.decided[applies].all()
    return PairRow(
        pair.first,
        pair.second,
        "disagree" if pair.disagrees else "agree" if decided else "inconclusive",
        ratio=float(pair.ratio[bounded].max(initial=0.0)),
        difference=float(pair.difference[bounded].max(initial=0.0)),
        coordinates_at_odds=int(pair.at_odds.sum()),
        coordinates_decided=int(pair.decided.sum()),
    )


def _closest_call(pair: Pair) -> float:
    return float(pair.ratio[pair.decided].max(initial=0.0))


def _notes(subject: Subject, answers: Sequence[Answer], undecided: Sequence[int] | np.ndarray) -> list[str]:
    told = [*subject.notes, *(f"{answer.name}: {answer.note}" for answer in answers if answer.note)]
    if len(undecided):
        told.append(f"not decided: {subject.places(np.asarray(undecided))}")
    return told


class _Evidence:
    """What the pairs of different families decide about the answers that are tested, coordinate by coordinate."""

    def __init__(self, subject: Subject, answers: Sequence[Answer], pairs: Sequence[Pair]):
        families = {answer.name: answer.family for answer in answers}
        self.subject, self.to_decide = subject, subject.to_decide() if answers else np.zeros(0, dtype=int)
        self.tested = [answer for answer in answers if not answer.oracle] or list(answers)
        self.independent = [pair for pair in pairs if families[pair.first] != families[pair.second]]
        size = answers[0].gradient.size if answers else 0
        self.decided: dict[str, np.ndarray] = {}
        self.all_decided = np.ones(size, bool)
        self.allowed = np.zeros(size)  # to the vaguest of the tested answers, beside its sharpest judge
        for answer in self.tested:
            beside = [pair for pair in self.independent if pair.other(answer.name)]
            self.decided[answer.name] = np.logical_or.reduce([np.zeros(size, bool), *(p.decided for p in beside)])
            self.all_decided &= self.decided[answer.name]
            sharpest = np.fmin.reduce([np.full(size, np.inf), *(p.allowed for p in beside)])  # NaN decides nothing
            self.allowed = np.maximum(self.allowed, sharpest)

    @property
    def undecided(self) -> np.ndarray:
        """The coordinates in which not every tested answer could be judged."""
        return self.to_decide[~self.all_decided[self.to_decide]]

    @property
    def share(self) -> float:
        return 1.0 - len(self.undecided) / len(self.to_decide) if len(self.to_decide) else 0.0

    def smallest_visible(self) -> tuple[float, float]:
        allowed = self.allowed[self.to_decide]
        return float(allowed.min(initial=np.inf)), float(allowed.max(initial=0.0))

    def doubts(self, ends: Sequence[Pair], left_out: Mapping[str, str]) -> list[str]:
        """Why the answers, although nothing was found wrong, are not shown to be right."""
        if not self.independent:
            others = f"{', '.join(left_out)} could not answer" if left_out else "nobody else was asked"
            names = ", ".join(self.decided)
            if len(self.decided) <= 1:
                return [f"there is nothing to compare {names or 'anything'} with, for {others}; add another source"]
            return [f"{names} share one author or mechanism, and {others}; add a source of another family"]
        return [
            *self._not_decided(),
            *self._not_finite(),
            *self._costs_not_decided(),
            *(["no end-to-end direction could be decided"] if ends and not any(p.decided.any() for p in ends) else []),
        ]

    def _not_decided(self) -> list[str]:
        """One sentence for all sources of which the same coordinates cannot be decided."""
        if not len(self.to_decide):
            return ["nothing is left to decide: there is no derivative, or the value is not finite, everywhere"]
        sources: dict[bytes, list[str]] = {}
        for name, known in self.decided.items():
            if known[self.to_decide].mean() < CONCLUSIVE_SHARE:
                sources.setdefault(known[self.to_decide].tobytes(), []).append(name)
        doubts = []
        for names in sources.values():
            left = self.to_decide[~self.decided[names[0]][self.to_decide]]
            whose = "" if len(names) == len(self.decided) else f" of {', '.join(names)}"
            share = f"{len(left)} of {len(self.to_decide)} coordinates{whose}"
            doubts.append(f"{share} {UNDECIDED} ({self.subject.places(left)}): {self.subject.why_undecided(left)}")
        return doubts

    def _not_finite(self) -> list[str]:
        """What is not finite is never agreed upon, not even as one of the few coordinates that may stay undecided."""
        doubts = []
        for answer in self.tested:
            broken = self.to_decide[~np.isfinite(answer.gradient[self.to_decide])]
            if len(broken):
                doubts.append(f"what {answer.name} answers is not finite: {self.subject.places(broken)}")
        return doubts

    def _costs_not_decided(self) -> list[str]:
        """Every cost has to be finite, and two of different families be comparable."""
        if broken := [answer.name for answer in self.tested if not np.isfinite(answer.cost)]:
            return [f"the cost is not finite, says {', '.join(broken)}"]
        if any(pair.cost_decided for pair in self.independent):
            return []
        return ["the costs cannot be compared: their rounding errors are too large"]
