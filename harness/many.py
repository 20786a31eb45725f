"""Cross-check many random networks, and count."""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from operator import index as as_integer
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
    verdict : str
        "disagree" when any network disagrees, "inconclusive" when too many are, else "agree".
    networks, seed : int
        How many networks, and the seed that they come from.
    sources : tuple of str
        The sources that took part in the last of them.
    counts : dict
        How many networks came out "agree", "disagree" and "inconclusive".
    outliers : dict
        How often each source was named as the odd one out.
    reasons : tuple of str
        Where the verdict is "inconclusive": what the first such network says of it.
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
    not.

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
    started = time.perf_counter()
    counts = Counter(agree=0, disagree=0, inconclusive=0)
    outliers: Counter[str] = Counter()
    failures, reasons, margin, names = [], (), 0.0, ()
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
        if report.verdict == "inconclusive" and not reasons:
            reasons = tuple(f"network {index}: {reason}" for reason in report.reasons)
        if report.verdict == "disagree" and len(failures) < KEPT:
            failures.append((index, report))
        if progress:
            progress(index, report.verdict)
    verdict = _verdict(counts)
    return Summary(
        verdict,
        counts.total(),
        seed,
        names,
        dict(counts),
        dict(outliers),
        reasons if verdict == "inconclusive" else (),
        tuple(failures),
        margin,
        time.perf_counter() - started,
    )


def _whole(networks: int) -> int:
    try:
        return as_integer(networks)
    except TypeError:
        raise TypeError(f"the number of networks must be a whole number, not {networks!r}") from None


def _verdict(counts: Counter[str]) -> str:
    if counts["disagree"]:
        return "disagree"
    return "inconclusive" if counts["inconclusive"] > INCONCLUSIVE_SHARE * counts.total() else "agree"
