"""Cross-check many random networks, and count; find the first on which a bug shows."""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Any, NamedTuple

import numpy as np

from harness.bounds.tolerances import INCONCLUSIVE_SHARE
from harness.checks.activations.activation_subject import SIDES
from harness.checks.networks.network_check import check, cross_check
from harness.checks.networks.random_problems import ANY, Like, random_problem
from harness.facts import message_table
from harness.facts.fact import kinds_of
from harness.progress import Progress, silent
from harness.sources.bug_zoo import Bug
from harness.sources.source_names import Sources, named_sources
from harness.verdict.report import Report
from harness.wording import counted
from reference.activations import Activation
from reference.problem import Problem
from reference.user_input import whole_number

KEPT = 5  # failures that a summary keeps


class Checked(NamedTuple):
    """A network that was checked: its number, the report, and the problem with θ."""

    number: int
    report: Report
    problem: Problem
    theta: np.ndarray


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
    failures : tuple of Checked
        The first networks that disagree; ``random_problem((seed, index))`` makes them again.
    margin : float
        The largest difference between sources that agree, over what was allowed.
    seconds : float
        How long all of it took.
    doubts : dict
        Why networks are inconclusive, in general words, and how many are so; one may be for several reasons.
    drawn : str
        With what else but the seed `random_problem` makes the networks again.
    """

    verdict: str
    networks: int
    seed: int
    sources: tuple[str, ...]
    left_out: dict[str, int]
    counts: dict[str, int]
    outliers: dict[str, int]
    reasons: tuple[str, ...]
    failures: tuple[Checked, ...]
    margin: float
    seconds: float
    doubts: dict[str, int]
    drawn: str = ""

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready document."""
        failures = [{"network": failure.number, "report": failure.report.to_dict()} for failure in self.failures]
        fields = {name: value for name, value in vars(self).items() if name != "drawn"}
        return fields | {"sources": list(self.sources), "reasons": list(self.reasons), "failures": failures}

    def __str__(self) -> str:
        counts = ", ".join(f"{count:,} {verdict}" for verdict, count in self.counts.items())
        lines = [
            f"{counted(self.networks, 'network')}, {counted(len(self.sources), 'source')}: {counts} (seed {self.seed})"
        ]
        lines += [f"  {reason}" for reason in self.reasons]
        lines += [f"  inconclusive, {count:,} of them: {kind}" for kind, count in self.doubts.items()]
        lines += [
            f"  {name} could not take {count:,} of them"
            for name, count in self.left_out.items()
            if name in self.sources
        ]
        told = {}
        for number, report, *_ in self.failures:
            drawn = f"network {number}, random_problem(({self.seed}, {number}){self.drawn})"
            explained = report.outliers, {finding.diagnosis for finding in report.findings if finding.diagnosis}
            alike = next((other for other, known in told.items() if known == explained and known[1]), None)
            lines.append(
                f"{drawn}:\n{report}"
                if alike is None
                else f"{drawn}: {', '.join(report.outliers)} again, as on network {alike}"
            )
            told.setdefault(number, explained)
        return "\n".join(lines)


def check_networks(
    networks: int = 200,
    seed: int = 0,
    activations: Sequence[str | Activation] | None = None,
    sources: Sources | None = None,
    extremes: bool = True,
    progress: Progress = silent,
    step: str = "cross-check",
    like: Like = ANY,
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
        Called as ``progress(step, done, total)`` after each problem.
    step : str
        What `progress` calls this.
    like : Like
        Layer sizes, output and λ, where they are not to be drawn.

    Returns
    -------
    Summary
        The counts, and the reports of the first disagreements.

    Raises
    ------
    ValueError, TypeError
        For fewer than one network, no whole number of them, or activations or sources that do not exist.
    """
    networks = whole_number("the number of networks", networks, at_least=1)
    given: dict[str, Any] = {"extremes": extremes} | ({} if like == ANY else {"like": like})
    tally = _Tally(seed, "".join(f", {name}={value}" for name, value in given.items() if value is not True))
    for index in count():
        if index >= networks and (tally.telling or like.l2 == 0.0):
            break
        problem, theta = random_problem((seed, index), activations, **given)
        ask = cross_check if len(tally.failures) < KEPT else partial(check, explained=False)  # which nobody would read
        tally.add(Checked(index, ask(problem, theta, sources), problem, theta))
        progress(step, min(index + 1, networks), networks)
    return tally.summary(asked=() if sources is None else tuple(named_sources(sources)))


class _Tally:
    """What is remembered of the reports."""

    def __init__(self, seed: int, drawn: str):
        self.seed, self.drawn, self.started = seed, drawn, time.perf_counter()
        self.counts = Counter(agree=0, disagree=0, inconclusive=0)
        self.took_part: Counter[str] = Counter()
        self.left_out: Counter[str] = Counter()
        self.why_left_out: dict[str, Any] = {}
        self.outliers: Counter[str] = Counter()
        self.failures: list[Checked] = []
        self.first_doubts: tuple[str, ...] = ()
        self.doubts: Counter[str] = Counter()
        self.margin = 0.0
        self.telling = 0  # networks that hide no kind of bug

    def add(self, checked: Checked) -> None:
        report = checked.report
        self.counts[report.verdict] += 1
        self.took_part.update(row.name for row in report.sources if row.name != SIDES)  # which is no source
        self.left_out.update(report.left_out.keys())
        self.why_left_out.update(report.left_out)
        self.outliers.update(report.outliers)
        self.margin = max(self.margin, report.margin)
        self.telling += not report.blind_to
        if report.verdict == "inconclusive":
            self.doubts.update(set(kinds_of(report.reasons)))
            self.first_doubts = self.first_doubts or tuple(
                f"network {checked.number}: {message_table.say(reason)}" for reason in report.reasons
            )
        if report.verdict == "disagree" and len(self.failures) < KEPT:
            self.failures.append(checked)

    def summary(self, asked: tuple[str, ...]) -> Summary:
        never = [name for name in asked if name not in self.took_part]
        reasons = tuple(
            f"{name} could take none of the networks: {message_table.say(self.why_left_out[name])}" for name in never
        )
        verdict = "disagree" if self.counts["disagree"] else "inconclusive" if never else "agree"
        if verdict == "agree" and self.counts["inconclusive"] > INCONCLUSIVE_SHARE * self.counts.total():
            verdict, reasons = "inconclusive", self.first_doubts
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
            dict(self.doubts.most_common()),
            self.drawn,
        )


def plant(bug: Bug, seed: int = 0, tries: int = 100) -> Checked:
    """The first ordinary random problem (seed, index) on which a bug shows.

    A bug need not show everywhere: without a hidden layer, no slope can be wrong.

    Raises
    ------
    ValueError
        When it shows on none of so many tries.
    """
    for index in range(tries):
        problem, theta = random_problem((seed, index), extremes=False)
        report = cross_check(problem, theta, bug.sources)
        if report.verdict == "disagree":
            return Checked(index, report, problem, theta)
    raise ValueError(f"{bug.name} shows on none of {tries} problems with seed {seed}; try another seed")
