"""From the slopes of one activation to findings: who is at odds with whom, where, and by how much."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from harness.checks.activations.bounds import Bounds
from harness.checks.activations.facts import in_words, intervals
from harness.checks.activations.mistakes import Case, likely_mistakes
from harness.checks.activations.report import Finding, OracleRow
from harness.checks.activations.slopes import Slopes
from harness.sources.table import FAMILIES
from harness.verdict.comparison import Answer, Block, Pair, compare_all, find_consensus
from reference.activations import Activation

CLAIMED = "slope"

STRETCHES = (6.0, 30.0)  # |z| up to which slopes are of one size: what decides something is measured against that

BRIDGED = 2  # points of agreement inside a wrong region, such as those where two curves cross

DROPPED_BRANCH = "a branch that where drops overflows, and zero times infinity is NaN: guard its argument, too"

SlopeFunction = Callable[[np.ndarray], np.ndarray]


class Claims(NamedTuple):
    """The record's own answers at each z; (n,) arrays."""

    f: Activation
    z: np.ndarray
    a: np.ndarray
    slope: np.ndarray

    @property
    def asked(self) -> np.ndarray:
        """Where the slope is judged: not at a kink, and not where the value has overflowed."""
        return np.isfinite(self.a) & ~np.isin(self.z, self.f.kinks)


class Judgement(NamedTuple):
    """Slopes compared: the findings, the claim beside each oracle, the true slope and its error, what was decided."""

    findings: list[Finding]
    rows: list[OracleRow]
    true: np.ndarray
    error: np.ndarray
    decided: np.ndarray


def judge(claims: Claims, bounds: Bounds, answers: Mapping[str, Slopes], slope_at: SlopeFunction | None) -> Judgement:
    """Compare the claimed slope and the oracles' slopes, each with each."""
    if not answers:
        return Judgement([], [], _unknown(claims.z), np.full(claims.z.shape, np.inf), np.zeros(claims.z.shape, bool))
    compared = _compared(claims, bounds, answers)
    pairs = compare_all(list(compared.values()), _stretches(claims))
    accused = _accused(compared, pairs)
    trusted = {name: answer for name, answer in compared.items() if name not in (CLAIMED, *accused)}
    if not trusted:
        trusted = {name: answer for name, answer in compared.items() if name != CLAIMED}
    true, error, by = _sharpest(trusted)
    findings = []
    for name in accused:
        at_odds = _at_odds(name, pairs, trusted)
        if name == CLAIMED:
            mistakes = likely_mistakes(Case(*claims, true, slope_at or _unknown).at(at_odds))
        else:
            mistakes = () if np.isfinite(compared[name].gradient[at_odds]).all() else (DROPPED_BRANCH,)
        findings.append(_finding(claims.z, compared[name], at_odds, true, error, by, mistakes))
    with_claim = [pair for pair in pairs if pair.first == CLAIMED]
    decided = np.any([pair.decided for pair in with_claim], axis=0)
    rows = [_row(claims.z, pair, answers[pair.second].note) for pair in with_claim]
    return Judgement(findings, rows, true, error, decided)


def _unknown(z: np.ndarray) -> np.ndarray:
    return np.full(z.shape, np.nan)


def _compared(claims: Claims, bounds: Bounds, answers: Mapping[str, Slopes]) -> dict[str, Answer]:
    """Every slope with its error; infinite where nothing is asked."""
    # NaN is never the slope where there is one: a claim that is not finite gets no error bar
    claimed = np.where(np.isfinite(claims.slope), bounds.claimed, 0.0)
    errors = {name: _error(answer, bounds) for name, answer in answers.items()}
    slopes = {CLAIMED: claims.slope} | {name: o.slope for name, o in answers.items()}
    return {
        name: Answer(name, FAMILIES.get(name, name), 0.0, 0.0, slopes[name], np.where(claims.asked, error, np.inf))
        for name, error in ({CLAIMED: claimed} | errors).items()
    }


def _error(answer: Slopes, bounds: Bounds) -> np.ndarray:
    return answer.error + answer.roundings * bounds.formula if answer.roundings else answer.error  # no 0 · inf


def _stretches(claims: Claims) -> list[Block]:
    number = np.searchsorted(STRETCHES, np.abs(claims.z))
    return [Block(f"stretch {i}", np.flatnonzero(claims.asked & (number == i))) for i in range(len(STRETCHES) + 1)]


def _accused(compared: Mapping[str, Answer], pairs: Sequence[Pair]) -> list[str]:
    """The odd ones out; in a tie the claim, which is what is being checked."""
    at_odds = {name for pair in pairs if pair.disagrees for name in (pair.first, pair.second)}
    consensus = find_consensus({name: answer.family for name, answer in compared.items()}, pairs)
    if consensus.outliers or not at_odds:
        return list(consensus.outliers)
    return [CLAIMED] if CLAIMED in at_odds else sorted(at_odds)


def _sharpest(answers: Mapping[str, Answer]) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """At each z the slope that is known best, how far it may be off, and whose it is."""
    names = list(answers)
    errors = np.array([np.where(np.isfinite(a.gradient), a.error, np.inf) for a in answers.values()])
    best = errors.argmin(axis=0)
    slopes = np.array([answer.gradient for answer in answers.values()])
    each = np.arange(slopes.shape[1])
    return slopes[best, each], errors[best, each], [names[i] for i in best]


def _at_odds(name: str, pairs: Sequence[Pair], trusted: Mapping[str, Answer]) -> np.ndarray:
    of_name = [pair for pair in pairs if name in (pair.first, pair.second)]
    others = [pair for pair in of_name if {pair.first, pair.second} & (set(trusted) - {name})]
    return np.any([pair.at_odds for pair in others or of_name], axis=0)


def _finding(
    z: np.ndarray,
    answer: Answer,
    at_odds: np.ndarray,
    true: np.ndarray,
    error: np.ndarray,
    by: list[str],
    mistakes: tuple[str, ...],
) -> Finding:
    difference = np.where(at_odds & np.isfinite(answer.gradient), np.abs(answer.gradient - true), -1.0)
    worst = int(difference.argmax() if difference.max() >= 0.0 else at_odds.argmax())
    return Finding(
        answer.name,
        by[worst],
        intervals(z, at_odds, BRIDGED),
        float(z[worst]),
        float(answer.gradient[worst]),
        float(true[worst]),
        float(answer.error[worst] + error[worst]),
        mistakes,
    )


def _row(z: np.ndarray, pair: Pair, note: str) -> OracleRow:
    ratio = np.where(np.isfinite(pair.allowed), pair.ratio, 0.0)
    worst = int(ratio.argmax())
    verdict = "disagree" if pair.disagrees else "agree" if pair.decided.any() else "inconclusive"
    return OracleRow(
        pair.second,
        verdict,
        ratio=float(ratio[worst]),
        difference=float(pair.difference[worst]),
        at=float(z[worst]),
        points_at_odds=int(pair.at_odds.sum()),
        points_decided=int(pair.decided.sum()),
        note=note,
    )


def other_values(claims: Claims, bounds: Bounds, answers: Mapping[str, Slopes]) -> list[str]:
    """Oracles under which the formula has another value than in NumPy: it branches on the kind of array."""
    lines = []
    for name, answer in answers.items():
        allowed = (1.0 + max(1.0, answer.roundings)) * bounds.value + answer.value_error
        difference = np.abs(answer.value - claims.a)
        apart = np.isfinite(claims.a) & np.isfinite(answer.value) & np.isfinite(allowed) & ~(difference <= allowed)
        if apart.any():
            i = int(np.where(apart, difference, -1.0).argmax())
            lines.append(
                f"the value is not the same under {name}: {answer.value[i]:.6g} instead of {claims.a[i]:.6g} at z = "
                f"{claims.z[i]:.6g}, for {in_words(intervals(claims.z, apart, BRIDGED))}"
            )
    return lines
