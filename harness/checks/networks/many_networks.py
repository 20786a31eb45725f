"""Cross-check many random networks, and count."""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from operator import index as as_integer
from typing import Any

from harness.bounds.tolerances import INCONCLUSIVE_SHARE
from harness.checks.networks.cross_checking import cross_check
from harness.checks.networks.random_problems import random_problem
from harness.sources.table import named_sources
from harness.verdict.report import Report
from reference.activations import Activation
from reference.measured import GradientSource

KEPT = 5  # reports of failures that a summary keeps


@dataclass(frozen=True)
class Summary:
    """The outcome on many networks.

    Attributes
    ----------
    verdict : str
        "disagree" when any network disagrees, "inconclusive" when too many are, else "agree".
    networks, seed : int
        How many networks, and the seed that they come from.
    sources : tuple of str
        The sources that took part in any of them.
    left_out : dict
        How many networks a source could not take (`NotApplicable`), where there were any.
    counts : dict
        How many networks came out "agree", "disagree" and "inconclusive".
    outliers : dict
        How often each source was named as the odd one out.
    reasons : tuple of str
        Where the verdict is "inconclusive": which source was never asked, or what the first such network says of it.
    failures : tuple of (int, Report)
        Index and report of the first networks that disagree; ``random_problem((seed, index))`` makes them again.
    margin : float
        The largest difference between sources that agree, over what was allowed.
    seconds : float
        How long all of it took.
    """

    verdict: str
    networks: int
    seed: int
    sources: tuple[str, ...]
    left_out: dict[str, int]
    counts: dict[str, int]
    outliers: dict[str, int]
    reasons: tuple[str, ...]
    failures: tuple[tuple[int, Report], ...]
    margin: float
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready document."""
        failures = [{"network": index, "report": report.to_dict()} for index, report in self.failures]
        return vars(self) | {"sources": list(self.sources), "reasons": list(self.reasons), "failures": failures}

    def __str__(self) -> str:
        counts = ", ".join(f"{count:,} {verdict}" for verdict, count in self.counts.items())
        lines = [f"{self.networks:,} networks, {len(self.sources)} sources: {counts} (seed {self.seed})"]
        lines += [f"  {reason}" for reason in self.reasons]
        lines += [f"  {name} could not take {count:,} of them" for name, count in self.left_out.items()]
        for index, report in self.failures:
            lines.append(f"network {index}, random_problem(({self.seed}, {index})):\n{report}")
        return "\n".join(lines)


def check_networks(
    networks: int = 200,
    seed: int = 0,
    activations: Sequence[str | Activation] | None = None,
    sources: Sequence[str] | Mapping[str, GradientSource] | None = None,
    extremes: bool = True,
    progress: Callable[[int, str], Any] | None = None,
) -> Summary:
    """Cross-check many random problems, and count the verdicts.

    Should all of them be degenerate (λ = 0, zero weights or a single example, which hide bugs), it goes on until one is
    not. A source that could take none of the networks was not checked, and the verdict is no agreement.

    Parameters
    ----------
    networks : int
        How many problems. Problem number i is ``random_problem((seed, i))``.
    seed : int
        What decides all of them.
    activations : activations or names, optional
        Those that hidden layers draw from; by default all that are registered.
    sources : names, or mapping from name to source, optional
        As for `cross_check`.
    extremes : bool
        Whether some θ and X are zero, hold ties, or are large enough to saturate.
    progress : callable, optional
        Called as ``progress(index, verdict)`` after each problem.

    Returns
    -------
    Summary
        The counts, and the reports of the first disagreements.

    Raises
    ------
    ValueError, TypeError
        For fewer than one network, no whole number of them, or activations or sources that do not exist.
    """
    networks = _whole(networks)
    if networks < 1:
        raise ValueError(f"the number of networks must be one or more, not {networks}")
    tally = _Tally(seed)
    for index in count():
        if index >= networks and tally.telling:
            break
        problem, theta = random_problem((seed, index), activations, extremes=extremes)
        report = cross_check(problem, theta, sources)
        tally.add(index, report)
        if progress:
            progress(index, report.verdict)
    return tally.summary(asked=() if sources is None else tuple(named_sources(sources)))


class _Tally:
    """What is remembered of the reports."""

    def __init__(self, seed: int):
        self.seed, self.started = seed, time.perf_counter()
        self.counts = Counter(agree=0, disagree=0, inconclusive=0)
        self.took_part: Counter[str] = Counter()
        self.left_out: Counter[str] = Counter()
        self.why_left_out: dict[str, str] = {}
        self.outliers: Counter[str] = Counter()
        self.failures: list[tuple[int, Report]] = []
        self.doubts: tuple[str, ...] = ()
        self.margin = 0.0
        self.telling = 0  # networks that hide no kind of bug

    def add(self, index: int, report: Report) -> None:
        self.counts[report.verdict] += 1
        self.took_part.update(row.name for row in report.sources)
        self.left_out.update(report.left_out.keys())
        self.why_left_out.update(report.left_out)
        self.outliers.update(report.outliers)
        self.margin = max(self.margin, report.margin)
        self.telling += not report.hides
        if report.verdict == "inconclusive" and not self.doubts:
            self.doubts = tuple(f"network {index}: {reason}" for reason in report.reasons)
        if report.verdict == "disagree" and len(self.failures) < KEPT:
            self.failures.append((index, report))

    def summary(self, asked: tuple[str, ...]) -> Summary:
        never = [name for name in asked if name not in self.took_part]
        reasons = tuple(f"{name} could take none of the networks: {self.why_left_out[name]}" for name in never)
        verdict = "disagree" if self.counts["disagree"] else "inconclusive" if never else "agree"
        if verdict == "agree" and self.counts["inconclusive"] > INCONCLUSIVE_SHARE * self.counts.total():
            verdict, reasons = "inconclusive", self.doubts
        return Summary(
            verdict,
            self.counts.total(),
            self.seed,
            tuple(self.took_part),
            dict(self.left_out),
            dict(self.counts),
            dict(self.outliers),
            reasons if verdict == "inconclusive" else (),
            tuple(self.failures),
            self.margin,
            time.perf_counter() - self.started,
        )


def _whole(networks: int) -> int:
    try:
        return as_integer(networks)
    except TypeError:
        raise TypeError(f"the number of networks must be a whole number, not {networks!r}") from None
