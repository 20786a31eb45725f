"""When a drop-in decides, and when the checker that it stands in for does: one policy for all of them.

A report that disagrees refuses the call, unless the library's own rules explain it by being approximate. Whatever is
left undecided falls back on the original, with a warning that says what that was.
"""

import logging
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.exit_codes import InconclusiveGradient
from harness.facts import message_table
from harness.facts.fact import Fact, doubt, note
from harness.facts.kinds import Kind
from harness.verdict.report import Report

logger = logging.getLogger("harness.drop_in")

_logged: set[tuple[str, str]] = set()


def _forgive_nothing(report: Report) -> Sequence[Fact]:
    return ()


def _agrees(report: Report) -> bool:
    return report.verdict == "agree"


@dataclass(frozen=True)
class Fallback:
    """How one drop-in answers.

    Attributes
    ----------
    name : str
        The original's.
    ask : callable
        Calls the original with the caller's arguments.
    refuse : callable
        Answers or raises for a report that disagrees.
    forgive : callable
        Facts that explain a disagreement by approximations of the library; empty where it is the caller's.
    is_right : callable
        Whether a report leaves nothing undecided.
    stacklevel : int
        How many calls lie between `settle` and the caller of the drop-in.
    """

    name: str
    ask: Callable[[], Any]
    refuse: Callable[[Report], Any]
    forgive: Callable[[Report], Sequence[Fact]] = _forgive_nothing
    is_right: Callable[[Report], bool] = _agrees
    stacklevel: int = 3

    def settle(
        self, reports: Sequence[Report], more: Sequence[Fact] = (), right: Callable[[], Any] = lambda: None
    ) -> Any:
        """Answer the call by its reports. `more` are doubts beside them; `right` answers where no doubt is left."""
        forgiven = [self.forgive(report) for report in reports]
        for report, reasons in zip(reports, forgiven):
            if report.verdict == "disagree" and not reasons:
                return self.refuse(report)
        doubts = [*more, *(fact for reasons in forgiven for fact in reasons)]
        for report in reports:
            if report.verdict == "inconclusive" and not self.is_right(report):
                compared = [fact for fact in report.notes if fact.kind == Kind.COMPARED_DERIVATIVE]
                doubts += [*(report.reasons or [doubt(Kind.UNDECIDED)]), *compared]
        return self.ask_original(doubts) if doubts else right()

    def ask_original(self, doubts: Sequence[Fact]) -> Any:
        """Warn of what was not decided, and answer or raise what the original does."""
        reasons = " ".join(map(message_table.say, dict.fromkeys(doubts)))
        decided = message_table.say(doubt(Kind.ORIGINAL_DECIDED, self.name))
        warnings.warn(f"{decided} {reasons}", InconclusiveGradient, self.stacklevel + 1)
        return self.ask()


def refusal(kind: type[Exception], report: Report) -> Exception:
    """The error that an original raises, with the report as its message and as its attribute `report`."""
    error = kind(str(report))
    error.report = report  # pyright: ignore[reportAttributeAccessIssue]
    return error


def cannot_run(error: BaseException) -> tuple[Fact]:
    """The doubt where a check raises what the original need not."""
    return (doubt(Kind.CANNOT_RUN, error=type(error).__name__, message=str(error).rstrip(".")),)


def compared(derivative: str, outputs: str = "", beside: str = "") -> Fact:
    """What was compared, where that is not what the caller gave: of which outputs, added up, and beside what."""
    return note(Kind.COMPARED_DERIVATIVE, derivative, outputs=outputs, beside=beside)


def generator(purpose: str) -> np.random.Generator:
    """Random numbers, the same each time, but others for each purpose, and others than a caller has from a small seed.

    Weights that are a caller's own inputs, or the cotangents of a second derivative, hide what cancels in such a sum.
    """
    return np.random.default_rng([*b"harness", *purpose.encode()])


def log_unused(original: str, **arguments: Any) -> None:
    """Log, once for each name, that these arguments of an original were given and change nothing here."""
    for name, value in arguments.items():
        if value is not None and (original, name) not in _logged:
            _logged.add((original, name))
            logger.warning(
                "%s: %s=%r is not used here, since error bounds are derived or measured; the original uses it where "
                "this check cannot decide",
                original,
                name,
                value,
            )
