"""The gate before training: open only where the gradient sources agree.

The gate cross-checks the source to train with beside the default sources. Anything but agreement closes it.
"""

from collections.abc import Iterable, Mapping

import numpy as np

from harness.checks.networks.network_check import cross_check
from harness.sources.source_names import as_source, default_sources, named_sources
from harness.sources.source_table import SOURCES, Source
from harness.verdict.report import Report
from reference.measured import GradientSource
from reference.problem import Problem

ADVICE = {  # by verdict; {who} is filled in
    "disagree": "fix the gradient of {who}, or train without the gate (gate=False, --no-gate) to see what a wrong "
    "gradient does",
    "inconclusive": "no gradient was found wrong, but none was shown to be right; fix what is named above, or train "
    "without the gate (gate=False, --no-gate)",
}


class GateClosed(Exception):
    """The gradient sources do not agree, so nothing is trained with them.

    Attributes
    ----------
    report : Report
        The cross-check that closed the gate.
    theta : (n,) array
        The θ of that check.
    when : str
        Where in the training it was made, such as "at the start".
    """

    def __init__(self, report: Report, theta: np.ndarray, when: str = "at this θ"):
        super().__init__(report, theta, when)  # all three, so that it can be pickled
        self.report, self.theta, self.when = report, theta, when

    def __str__(self) -> str:
        who = ", ".join(self.report.outliers) or "whichever source is wrong"
        return f"{self.report}\nThe gate is closed {self.when}: {ADVICE[self.report.verdict].format(who=who)}."


def check_gate(
    problem: Problem,
    theta: np.ndarray,
    sources: Iterable[str] | Mapping[str, GradientSource] | None = None,
    *,
    when: str = "at this θ",
) -> Report:
    """Cross-check gradient sources, and return the report only if they agree.

    Parameters
    ----------
    problem, theta, sources
        As for `cross_check`.
    when : str
        Where in the training θ is, for the message.

    Raises
    ------
    GateClosed
        The verdict is "disagree" or "inconclusive".
    """
    report = cross_check(problem, theta, sources)
    if report.verdict != "agree":
        raise GateClosed(report, theta, when)
    return report


def with_defaults(source: str | GradientSource, problem: Problem) -> tuple[str, dict[str, Source]]:
    """The source's name, and the default sources with it among them.

    A source that is not in `SOURCES` takes the name of its function. If `SOURCES` has that name, it becomes
    "the given ...", so that the one in `SOURCES` still checks it.

    Raises
    ------
    ValueError, TypeError
        No source has that name, or the object cannot be called.
    """
    if isinstance(source, str):
        return source, default_sources(problem) | named_sources(source)
    if not isinstance(source, Source):
        name = getattr(source, "__name__", type(source).__name__)
        source = as_source(f"the given {name}" if name in SOURCES else name, source)
    return source.name, default_sources(problem) | named_sources({source.name: source})
