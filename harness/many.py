"""Cross-check many random networks, and count."""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

from harness.cross_checking import cross_check
from harness.random_problems import random_problem
from harness.report import Report
from harness.tolerances import INCONCLUSIVE_SHARE
from reference.activations import Activation
from reference.measured import GradientSource

KEPT = 5  # reports of failures that a summary keeps


@dataclass(frozen=True)
class Summary:
    """The outcome on many networks.

    Attributes
    ----------
    verdict : "disagree" when any network disagrees, "inconclusive" when too many are, else "agree"
    counts : how many networks came out "agree", "disagree" and "inconclusive"
    failures : (index, report) of the first networks that disagree; `random_problem((seed, index))` makes them again
    outliers : how often each source was named as the odd one out
    """

    verdict: str
    networks: int
    seed: int
    sources: tuple[str, ...]
    counts: dict[str, int]
    outliers: dict[str, int]
    failures: tuple[tuple[int, Report], ...]
    margin: float
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready document."""
        failures = [{"network": index, "report": report.to_dict()} for index, report in self.failures]
        return vars(self) | {"sources": list(self.sources), "failures": failures}

    def __str__(self) -> str:
        counts = ", ".join(f"{count:,} {verdict}" for verdict, count in self.counts.items())
        lines = [f"{self.networks:,} networks, {len(self.sources)} sources: {counts} (seed {self.seed})"]
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
    """Cross-check `networks` random problems; `progress(index, verdict)` is called after each.

    Should all of them be degenerate (λ = 0, zero weights or a single example, which hide bugs), it goes on until one is
    not.

    Raises
    ------
    ValueError
        For fewer than one network, or activations or sources that do not exist.
    """
    if networks < 1:
        raise ValueError(f"the number of networks must be one or more, not {networks}")
    started = time.perf_counter()
    counts = Counter(agree=0, disagree=0, inconclusive=0)
    outliers: Counter[str] = Counter()
    failures, margin, names = [], 0.0, ()
    telling = 0
    for index in count():
        if index >= networks and telling:
            break
        problem, theta = random_problem((seed, index), activations, extremes=extremes)
        report = cross_check(problem, theta, sources)
        counts[report.verdict] += 1
        telling += not report.hides
        outliers.update(report.outliers)
        margin = max(margin, report.margin)
        names = tuple(row.name for row in report.sources)
        if report.verdict == "disagree" and len(failures) < KEPT:
            failures.append((index, report))
        if progress:
            progress(index, report.verdict)
    return Summary(
        _verdict(counts),
        counts.total(),
        seed,
        names,
        dict(counts),
        dict(outliers),
        tuple(failures),
        margin,
        time.perf_counter() - started,
    )


def _verdict(counts: Counter[str]) -> str:
    if counts["disagree"]:
        return "disagree"
    return "inconclusive" if counts["inconclusive"] > INCONCLUSIVE_SHARE * counts.total() else "agree"
