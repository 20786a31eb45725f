"""From compared answers to a verdict: what is wrong and where, what is decided, and what remains in doubt."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

import numpy as np

from harness.bounds.tolerances import CONCLUSIVE_SHARE, MEANINGLESS
from harness.facts.fact import Fact, Severity, doubt, note
from harness.facts.kinds import Kind
from harness.verdict.comparison import Answer, Pair
from harness.verdict.consensus import Consensus
from harness.verdict.heat_map import heat_map
from harness.verdict.report import Finding, PairRow, Report, SourceRow
from harness.verdict.subject import Subject

NOBODY: Mapping[str, Fact] = MappingProxyType({})

SAME_COST = 1e-6
"""A relative difference of costs below this is rather lost digits than another function: a forgotten factor or term is
larger."""

PLACES_KEPT = 20  # a fact names so many undecided coordinates at most; it counts all of them


def judge(
    subject: Subject,
    answers: Sequence[Answer],
    # sources compared with each other, and along directions with the computation as a whole
    pairs: Sequence[Pair],
    ends: Sequence[Pair],
    consensus: Consensus,
    left_out: Mapping[str, Fact] = NOBODY,  # sources that could not answer, and why
    started: float | None = None,  # when the check began, by `time.perf_counter`
) -> Report:
    """The report on compared answers."""
    evidence = _Evidence(subject, answers, pairs)
    findings = _find_disagreements(subject, answers, pairs, ends, consensus)
    facts = _all_facts(subject, answers, pairs)
    if findings:  # a difference outweighs whatever else is in doubt
        facts = [fact for fact in facts if fact.severity != Severity.DOUBT]
    else:
        facts += evidence.doubts(ends, left_out)
    severities = {fact.severity for fact in facts}
    is_wrong, is_doubtful = bool(findings) or Severity.WRONG in severities, Severity.DOUBT in severities
    if not is_doubtful:
        facts += evidence.few_undecided()
    # who breaks a rule is named, even where its numbers are right
    outliers = tuple(answer.name for answer in answers if answer.name in consensus.outliers or answer.broken_rules)
    return Report(
        verdict="disagree" if is_wrong else "inconclusive" if is_doubtful else "agree",
        subject=subject.describe(),
        sources=tuple(_source_row(answer, outliers) for answer in answers),
        pairs=tuple(map(_pair_row, pairs)),
        outliers=outliers,
        tie=consensus.tie,
        findings=tuple(findings),
        facts=tuple(sorted(facts, key=lambda fact: list(Severity).index(fact.severity))),
        blind_to=tuple(subject.blind_to()),
        left_out=dict(left_out),
        decided_share=evidence.share,
        margin=max((float(p.ratio[p.decided].max(initial=0.0)) for p in pairs if not p.disagrees), default=0.0),
        smallest_visible=evidence.smallest_visible(),
        seconds=0.0 if started is None else time.perf_counter() - started,
        details=subject.details,
        picture=subject.picture or heat_map(subject, pairs, findings),
    )


def _all_facts(subject: Subject, answers: Sequence[Answer], pairs: Sequence[Pair]) -> list[Fact]:
    """What is known beside the comparison: of the subject, of each answer, and which errors an accuracy accepts."""
    broken_rules = [fact for answer in answers for fact in answer.broken_rules]
    notes = [fact for answer in answers for fact in answer.notes]
    accepted = [fact for answer in answers if answer.accuracy for fact in _accepted_errors(subject, answer, pairs)]
    return [*subject.facts, *broken_rules, *notes, *accepted]


@np.errstate(all="ignore")
def _accepted_errors(subject: Subject, answer: Answer, pairs: Sequence[Pair]) -> list[Fact]:
    """The largest error that the accuracy of an answer accepts, as a share of the largest derivative of its block.

    The error is the largest difference from any other answer: JAX's forward mode may have the errors of its reverse.
    A difference above what is accepted is allowed by the other's wide bound, and measures that.
    """
    beside = [pair for pair in pairs if pair.other(answer.name) and pair.decided.any()]
    if answer.oracle or not beside or any(pair.disagrees for pair in beside):
        return []
    shares, is_needed = [], False
    for pair in beside:
        difference = np.where(pair.decided, np.abs(pair.gradients[0] - pair.gradients[1]), 0.0)
        # accepted = accuracy · scale, so that this is difference / scale
        share = np.where(difference <= pair.accepted, answer.accuracy * difference / pair.accepted, 0.0)
        shares.append(np.nan_to_num(share, nan=0.0))
        # without the accuracy, the difference would be an error, or the bounds too wide to decide
        error, scale = pair.allowed - pair.accepted, pair.accepted / answer.accuracy
        is_vague = pair.decided & (error > MEANINGLESS[answer.precision] * scale)
        is_needed |= bool((is_vague | (difference > error)).any())
    _, worst = np.unravel_index(np.argmax(shares), np.shape(shares))
    data = {"accuracy": answer.accuracy, "largest": float(np.max(shares)), "is_needed": is_needed}
    return [note(Kind.ACCURACY, subject.label(int(worst)), source=answer.name, **data)]


def _source_row(answer: Answer, outliers: Sequence[str]) -> SourceRow:
    outlier = answer.name in outliers
    return SourceRow(answer.name, answer.family, float(answer.cost), answer.seconds, outlier, answer.ulps, answer.notes)


def _pair_row(pair: Pair) -> PairRow:
    """A pair agrees if every coordinate in which both sources have a derivative is decided."""
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


class _Evidence:
    """What pairs of different families decide about the answers that are tested, coordinate by coordinate.

    Tested are all answers but oracles, or these among themselves where there are no others. A coordinate of an answer
    is decided if it is in one pair at least with an answer of another family.
    """

    def __init__(self, subject: Subject, answers: Sequence[Answer], pairs: Sequence[Pair]):
        families = {answer.name: answer.family for answer in answers}
        self.subject, self.to_decide = subject, subject.to_decide() if answers else np.zeros(0, dtype=int)
        self.tested = [answer for answer in answers if not answer.oracle] or list(answers)
        self.independent = [pair for pair in pairs if families[pair.first] != families[pair.second]]
        size = answers[0].gradient.size if answers else 0
        self.decided: dict[str, np.ndarray] = {}
        self.all_decided = np.ones(size, bool)
        self.allowed = np.zeros(size)  # the largest over answers of the smallest error bound over judges
        for answer in self.tested:
            beside = [pair for pair in self.independent if pair.other(answer.name)]
            self.decided[answer.name] = np.logical_or.reduce([np.zeros(size, bool), *(p.decided for p in beside)])
            self.all_decided &= self.decided[answer.name]
            # the sharpest of those that this answer was compared with; the report is as sharp as its bluntest answer
            sharpest = np.fmin.reduce([np.full(size, np.inf), *(p.allowed for p in beside)])  # NaN decides nothing
            self.allowed = np.maximum(self.allowed, sharpest)

    @property
    def undecided(self) -> np.ndarray:
        """The coordinates in which some tested answer could not be judged."""
        return self.to_decide[~self.all_decided[self.to_decide]]

    @property
    def share(self) -> float:
        """The share of coordinates in which every tested answer could be judged."""
        return 1.0 - len(self.undecided) / len(self.to_decide) if len(self.to_decide) else 0.0

    def smallest_visible(self) -> tuple[float, float]:
        """The smallest error that would show, in the best and in the worst coordinate."""
        allowed = (self.allowed + self.subject.leeway)[self.to_decide]
        return float(allowed.min(initial=np.inf)), float(allowed.max(initial=0.0))

    def few_undecided(self) -> list[Fact]:
        """The coordinates that are undecided where they are too few to keep the verdict from "agree"."""
        few = self.undecided
        if not len(few):
            return []
        why = dict.fromkeys(str(fact.kind) for fact in self.subject.why_undecided(few) if fact.kind != Kind.UNDECIDED)
        places = self.subject.places(few)
        counts = {"undecided": len(few), "places": len(places)}
        return [note(Kind.FEW_UNDECIDED, *places[:PLACES_KEPT], **counts, why=list(why))]

    def doubts(self, ends: Sequence[Pair], left_out: Mapping[str, Fact]) -> list[Fact]:
        """Why the answers are not shown to be right, although nothing was found wrong."""
        if not self.independent:
            kind = Kind.NOTHING_TO_COMPARE if len(self.decided) <= 1 else Kind.ONE_FAMILY
            return [doubt(kind, *self.decided, left_out=list(left_out))]
        no_direction = bool(ends) and not any(pair.decided.any() for pair in ends)
        return [
            *self._not_decided(),
            *self._not_finite(),
            *self._costs_not_decided(),
            *([doubt(Kind.NO_DIRECTION_DECIDED)] if no_direction else []),
        ]

    def _not_decided(self) -> list[Fact]:
        """The reasons, shared by sources that have the same undecided coordinates."""
        if not len(self.to_decide):
            return [doubt(Kind.NOTHING_TO_DECIDE)]
        sources: dict[bytes, list[str]] = {}  # by the mask of what is decided
        for name, known in self.decided.items():
            if known[self.to_decide].mean() < CONCLUSIVE_SHARE:
                sources.setdefault(known[self.to_decide].tobytes(), []).append(name)
        doubts = []
        for names in sources.values():
            left = self.to_decide[~self.decided[names[0]][self.to_decide]]
            whose = [] if len(names) == len(self.decided) else names
            data = {"undecided": len(left), "total": len(self.to_decide), "sources": whose}
            places = self.subject.places(left)
            for why in self.subject.why_undecided(left):
                if not why.where:
                    why = replace(why, where=places[:PLACES_KEPT], data={"places": len(places), **why.data})
                doubts.append(replace(why, data={**data, **why.data}))
        return doubts

    def _not_finite(self) -> list[Fact]:
        """Derivatives that are not finite are never agreed upon, not even if they are few."""
        doubts = []
        for answer in self.tested:
            broken = self.to_decide[~np.isfinite(answer.gradient[self.to_decide])]
            if len(broken):
                places = self.subject.places(broken)
                doubts.append(doubt(Kind.NOT_FINITE, *places[:PLACES_KEPT], source=answer.name, places=len(places)))
        return doubts

    def _costs_not_decided(self) -> list[Fact]:
        """Every cost has to be finite, and two costs of different families have to be comparable."""
        if broken := [answer.name for answer in self.tested if not np.isfinite(answer.cost)]:
            return [doubt(Kind.COST_NOT_FINITE, *broken)]
        return [] if any(pair.cost_decided for pair in self.independent) else [doubt(Kind.COSTS_UNDECIDED)]


# -- where answers differ ----------------------------------------------------------------------------------------------


def _find_disagreements(
    subject: Subject, answers: Sequence[Answer], pairs: Sequence[Pair], ends: Sequence[Pair], consensus: Consensus
) -> list[Finding]:
    """One finding for each source that differs from the consensus, or in a tie from any other, worst first."""
    by_name = {answer.name: answer for answer in answers}
    trusted = consensus.members or by_name  # in a tie, each is compared with each
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
        explained = subject.explain_cost(source, against, pair.at_odds)
        # a bug that makes just this cost has lost no digits
        is_a_bug = any(fact.data.get("cost") for fact in explained)
        causes = (*(() if is_a_bug else _why_costs_differ(source, against)), *explained)
        return Finding(
            source.name,
            against.name,
            "cost",
            "cost",
            value=float(source.cost),
            expected=float(against.cost),
            bound=source.cost_error + against.cost_error,
            diagnosis=causes or (note(Kind.COST_OF_ANOTHER),),
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
        perhaps_more=not pair.decided.all(),
        blocks=subject.parts(pair.at_odds),
        diagnosis=tuple(subject.explain(replace(source, error=source.error + pair.accepted), against, pair.at_odds)),
    )


def _why_costs_differ(source: Answer, against: Answer) -> tuple[Fact, ...]:
    if not np.isfinite(source.cost):
        return (note(Kind.COST_NOT_FINITE, source.name),)
    if abs(source.cost - against.cost) < SAME_COST * abs(against.cost):
        return (note(Kind.COST_DIGITS_LOST),)
    return ()


def _pin_down_end(subject: Subject, name: str, pair: Pair) -> Finding:
    """The cost if the costs differ; else the direction that differs most."""
    worst = _worst(pair)
    where, of_both, bound, diagnosis = "cost", pair.costs, pair.cost_allowed, ()
    if not pair.cost_at_odds:
        where, bound, diagnosis = subject.along(worst), float(pair.allowed[worst]), tuple(subject.explain_along())
        of_both = tuple(slopes[worst] for slopes in pair.gradients)
    value, expected = map(float, of_both if pair.first == name else of_both[::-1])
    return Finding(name, pair.other(name), "end to end", where, value, expected, bound, diagnosis=diagnosis)


def _worst(pair: Pair) -> int:
    """The coordinate with the largest ratio; of several infinite ratios, the one with the largest difference."""
    ratio = np.where(pair.at_odds, pair.ratio, -1.0)
    difference = np.where(np.isnan(pair.difference), np.inf, pair.difference)
    return int(np.argmax(np.where(ratio == ratio.max(), difference, -1.0)))
