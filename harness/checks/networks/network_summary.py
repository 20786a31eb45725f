"""What comes out of many networks, and how one of them is seen again: values, and their text."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from harness.facts import message_table
from harness.facts.fact import Fact
from harness.verdict.report import Report, json_ready
from harness.wording import counted
from reference.problem import Problem


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
    verdict : "disagree" when any network disagrees, "inconclusive" when too many are, else "agree"
    networks, seed : how many networks, and the seed that they come from
    sources : those that took part in any network
    left_out : how many networks a source could not take (`NotApplicable`)
    counts : how many networks came out "agree", "disagree" and "inconclusive"
    outliers : how often each source was the odd one out
    reasons : why it is "inconclusive": sources that never took part, or the first such network
    failures : the first that disagree; ``random_problem((seed, index))`` makes them again
    margin : the largest difference between sources that agree, over its error bound
    seconds : how long all of it took
    doubts : how many networks are inconclusive, by kind of fact; one may have several kinds
    drawn : further arguments of `random_problem`, as Python code
    skipped : networks that were not checked, because one that disagrees was enough
    """

    verdict: str
    networks: int
    seed: int
    sources: tuple[str, ...]
    left_out: dict[str, int]
    counts: dict[str, int]
    outliers: dict[str, int]
    reasons: tuple[Fact, ...]
    failures: tuple[Checked, ...]
    margin: float
    seconds: float
    doubts: dict[str, int]
    drawn: str = ""
    skipped: int = 0

    @property
    def why_fewer(self) -> str:
        """Why fewer networks were checked than were to be."""
        return f"{self.skipped:,} more were not checked: one that disagrees is enough"

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready document."""
        failures = [{"network": failure.number, "report": failure.report.to_dict()} for failure in self.failures]
        fields = {name: value for name, value in vars(self).items() if name not in ("drawn", "failures")}
        return json_ready(fields) | {"failures": failures}

    def __str__(self) -> str:
        counts = ", ".join(f"{number:,} {verdict}" for verdict, number in self.counts.items())
        lines = [
            f"{counted(self.networks, 'network')}, {counted(len(self.sources), 'source')}: {counts} (seed {self.seed})"
        ]
        lines += [f"  {self.why_fewer}"] if self.skipped else []
        lines += [f"  {message_table.say(reason)}" for reason in self.reasons]
        if self.doubts:  # a network may have several reasons
            why = ", ".join(f"{kind} {number:,}" for kind, number in self.doubts.items())
            lines.append(f"  why inconclusive, and in how many networks: {why}")
        # one that took part nowhere is among the reasons, if it was asked for
        refused = {name: number for name, number in self.left_out.items() if name in self.sources}
        lines += [f"  {name} could not take {number:,} of them" for name, number in refused.items()]
        # of networks that fail by the same sources and the same bugs, the first one's report is enough
        known: dict[Any, int] = {}
        for number, report, *_ in self.failures:
            drawn = f"network {number}, random_problem(({self.seed}, {number}){self.drawn})"
            diagnoses = [finding.diagnosis for finding in report.findings if finding.diagnosis]
            alike = known.setdefault((report.outliers, frozenset(diagnoses)), number) if diagnoses else number
            again = f": {', '.join(report.outliers)} again, as on network {alike}"
            lines.append(f"{drawn}:\n{report}" if alike == number else f"{drawn}{again}")
        return "\n".join(lines)


@dataclass(frozen=True)
class Reproduction:
    """How to see a failure again."""

    report: Report | None = None  # on the smallest network that still fails; None where the failure does not repeat
    script: str = ""  # the same as a Python program
    saved_as: str = ""
    command: str = ""  # checks the case file again
    facts: tuple[Fact, ...] = ()  # why any of these is missing

    def __str__(self) -> str:
        lines = [f"The smallest network that still fails:\n{self.report}\n"] if self.report else []
        lines += [f"The same in Python:\n\n{self.script}\n"] if self.script else []
        lines += [f"Saved as {self.saved_as}\nReplay it with: {self.command}"] if self.saved_as else []
        return "\n".join([*lines, *map(message_table.say, self.facts)])
