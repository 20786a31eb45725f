"""When a drop-in decides, and when the checker that it stands in for does: one policy for all of them.

| this check finds | `Outcome` | the call |
|---|---|---|
| an error beyond the bounds, and beyond the accuracy | WRONG | fails with the report |
| the same below `LIBRARY_TOLERANCE`, where every rule is a library's own | OPEN | warns, and the original decides |
| values between the left and the right derivatives at kinks, each alone and together | RIGHT | passes |
| second derivatives between those on both sides of a kink, which are right there | RIGHT | passes |
| nothing, because something hides the derivative | OPEN | warns, and the original decides |
| that it is right to `ORIGINAL_TOLERANCE`, and nothing finer | COARSE | warns, and passes |
| nothing, in low precision, where the original's differences show nothing either | COARSE | warns, and passes |
| an exception | OPEN | warns, and the original decides |
| that every derivative is right | RIGHT | passes |

The accuracy is `ACCURACY`, or `LIBRARY_ACCURACY` where every rule is a library's own, or the tolerance that the caller
states, if that is wider than the original's default.
"""

import logging
import math
import sys
import sysconfig
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import Enum
from typing import Any, NamedTuple, NoReturn

import numpy as np

from harness.exit_codes import InconclusiveGradient
from harness.facts import message_table
from harness.facts.fact import Fact, Severity, doubt
from harness.facts.kinds import Kind
from harness.verdict.report import Report
from reference.user_input import given, message_of

logger = logging.getLogger("harness.drop_in")

ACCURACY = 1e-10
"""An error below this share of the largest derivative beside it is accepted: rules are often sums of a series,
quotients of differences or solutions of an iteration, and right to some ten digits by design."""

LIBRARY_ACCURACY, LIBRARY_TOLERANCE = 1e-8, 1e-6
"""Libraries approximate some functions, by series or fits that are right to some eight digits. Where every rule is a
library's own, an error below the first share is accepted. One below the second is nothing that the caller could mend:
the original decides."""

ORIGINAL_TOLERANCE = 1e-3
"""The originals accept an error below this share (torch's rtol). Where noise hides smaller ones, a derivative that is
right to this share passes: their differences, with steps of 1e-6 and smaller, show even less."""

_logged: set[tuple[str, str]] = set()
"""What was logged for an original, so that a test suite says it once and not a thousand times."""


class NothingToCheck(Exception):
    """There is no derivative that could be undecided, so the original answers without a warning."""


class Outcome(Enum):
    """What follows for the call from one check."""

    RIGHT = "passes"
    COARSE = "warns, and passes"
    OPEN = "warns, and the original decides"
    WRONG = "fails with the report"


class Result(NamedTuple):
    """The outcome of one check, why it is in doubt, and its report if there is one."""

    outcome: Outcome
    doubts: Sequence[Fact] = ()
    report: Report | None = None


def is_right(report: Report) -> bool:
    """Whether a report leaves nothing undecided but conventions at kinks."""
    is_at_kinks = report.verdict == "inconclusive" and {fact.kind for fact in report.reasons} == {Kind.KINK}
    return report.verdict == "agree" or is_at_kinks


def doubts_of(report: Report) -> tuple[Fact, ...]:
    """Why a report is inconclusive, and which derivative it compared."""
    compared = [fact for fact in report.notes if fact.kind == Kind.COMPARED_DERIVATIVE]
    return (*(report.reasons or [doubt(Kind.UNDECIDED)]), *compared)


def check_within(
    check: Callable[[float], Report],  # the report at an accuracy
    accuracy: float,  # errors below this share of the largest derivative beside them are accepted
    # The largest derivative in any input, or 0 where it is not known. No error within `accuracy` of it is wrong: the
    # derivative in an input where it vanishes has errors as large as those of the others.
    size: float = 0.0,
    *,
    rules_of_library: bool = False,  # whether every rule is a library's own
    # whether the original's differences show nothing either, so that whatever is open is coarse
    is_blind: bool = False,
) -> Result:
    """The result of a check at an accuracy, and of a second one at a coarser accuracy where the first is no answer."""
    report = check(accuracy)
    in_doubt = Outcome.COARSE if is_blind else Outcome.OPEN
    if report.verdict == "disagree":
        if _is_small(report, accuracy * size):
            return Result(Outcome.RIGHT, report=report)
        if rules_of_library and (
            _is_small(report, LIBRARY_TOLERANCE * size)
            or (accuracy < LIBRARY_TOLERANCE and check(LIBRARY_TOLERANCE).verdict != "disagree")
        ):
            return Result(in_doubt, [doubt(Kind.INEXACT_LIBRARY_RULE, limit=LIBRARY_TOLERANCE)], report)
        return Result(Outcome.WRONG, report=report)
    if is_right(report):
        return Result(Outcome.RIGHT, report=report)
    # Noise may hide an error of 1e-10 and not one of 1e-3, which is all that the original would see.
    may_be_coarse = accuracy < ORIGINAL_TOLERANCE and not _hides(report, ORIGINAL_TOLERANCE * size)
    if may_be_coarse and check(ORIGINAL_TOLERANCE).verdict == "agree":
        return Result(Outcome.COARSE, doubts_of(report), report)
    return Result(in_doubt, doubts_of(report), report)


def _is_small(report: Report, limit: float) -> bool:
    """Whether no error in a report exceeds a limit, and none is one of another kind.

    A rule that is not linear or keeps its first answer is wrong, however small the error is here.
    """
    error = max((pair.difference for pair in report.pairs), default=math.inf)
    return error <= limit and not any(fact.severity == Severity.WRONG for fact in report.facts)


def _hides(report: Report, error: float) -> bool:
    """Whether noise is known to hide an error of this size, if it is not 0, or numbers are not finite."""
    visible = max((fact.data.get("visible") or 0.0 for fact in report.reasons), default=0.0)
    return 0.0 < error < visible or not report.kinds.isdisjoint({Kind.NOT_FINITE, Kind.COST_NOT_FINITE})


def settle(
    name: str,  # the original's
    call_original: Callable[[], Any],  # calls the original with the caller's arguments
    # The results on all derivatives. Whatever it raises is a doubt, and `NothingToCheck` none.
    check: Callable[[], Iterable[Result]],
    *,
    refuse: Callable[[Report], Any],  # answers or raises for a report that disagrees
    accept: Callable[[], Any] = lambda: None,  # answers where no error is found
) -> Any:
    """Answer a call of a drop-in by the worst of the results that `check` finds."""
    __tracebackhide__ = True  # pytest shows the caller's line
    results: list[Result] = []
    try:
        with quietly():
            for result in check():
                results.append(result)
                if result.outcome is Outcome.WRONG:  # whatever else would be found
                    break
    except NothingToCheck:
        return call_original()
    except Exception as error:  # noqa: BLE001  whatever the caller's function raises, the original need not
        message = message_of(error).rstrip(".")
        raised = doubt(Kind.CANNOT_RUN, error=type(error).__name__, message=message)
        return let_original_decide(name, call_original, [raised])
    if results and results[-1].outcome is Outcome.WRONG and results[-1].report:
        return refuse(results[-1].report)
    doubts = [fact for result in results for fact in result.doubts]
    outcomes = {result.outcome for result in results}
    if Outcome.OPEN in outcomes:
        return let_original_decide(name, call_original, doubts)
    if Outcome.COARSE in outcomes:
        _warn(doubt(Kind.NEITHER_DECIDED, name), doubts)
    return accept()


def let_original_decide(name: str, call_original: Callable[[], Any], doubts: Sequence[Fact]) -> Any:
    """Warn of what was not decided, and answer or raise what the original does; its error carries the warning."""
    warned = _warn(doubt(Kind.ORIGINAL_DECIDED, name), doubts)
    try:
        return call_original()
    except Exception as error:
        error.add_note(warned)
        raise


def _warn(decided: Fact, doubts: Sequence[Fact]) -> str:
    """Warn of these facts, each once, and return the text."""
    text = " ".join(map(message_table.say, dict.fromkeys((decided, *doubts))))
    # The stack level of the line that called the drop-in: the first frame outside of this room.
    frame, level = sys._getframe(), 1
    while frame.f_back and frame.f_globals["__name__"].startswith(f"{__package__}."):
        frame, level = frame.f_back, level + 1
    warnings.warn(text, InconclusiveGradient, level)
    return text


@contextmanager
def quietly() -> Iterator[None]:
    """Without the warnings of a function at points that a check chose, and its caller did not."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        yield


def is_installed(module: str) -> bool:
    """Whether a module is one of an installed library, and not of the caller's own files."""
    file = getattr(sys.modules.get(module), "__file__", None) or ""
    return file.startswith(tuple(sysconfig.get_path(kind) for kind in ("purelib", "platlib", "stdlib")))


def stated_accuracy(original: str, stated: Mapping[str, Any], defaults: Mapping[str, float]) -> float:
    """The accuracy that a caller states by tolerances wider than the original's defaults; all others are logged."""
    require_numbers(stated)
    numbers = {name: value for name, value in stated.items() if name in defaults and isinstance(value, (int, float))}
    wider = {name: float(value) for name, value in numbers.items() if value > defaults[name]}
    log_unused(original, **{name: value for name, value in stated.items() if name not in wider})
    return max([ACCURACY, *wider.values()])


def require_numbers(options: Mapping[str, Any], shape: tuple[int, ...] = ()) -> None:
    """Refuse steps and tolerances with which the original would fail, and which are not used here.

    Each is a number, or an array of numbers of this shape; JAX takes tolerances in a dict, too, one for each type.
    """
    for name, value in options.items():
        each = value.values() if isinstance(value, dict) and name in ("atol", "rtol") else [value]
        try:
            arrays = [np.asarray(one) for one in each if one is not None]
        except ValueError:  # lists of several lengths
            arrays = [np.asarray(None)]
        if not all(one.dtype.kind in "biuf" and one.shape in ((), shape) for one in arrays):
            raise TypeError(f"{name} must be a number, not {given(value)}")


def fail(kind: type[Exception], report: Report) -> NoReturn:
    """Raise the error of an original, with the report as its message and as its attribute `report`."""
    __tracebackhide__ = True  # pytest shows the caller's line
    error = kind(str(report))
    error.report = report  # pyright: ignore[reportAttributeAccessIssue]
    raise error


def log_notes(original: str, facts: Sequence[Fact]) -> None:
    """Log, once each, what a caller may want to know of what passes."""
    for fact in facts:
        text = message_table.say(fact)
        if (original, text) not in _logged:
            _logged.add((original, text))
            logger.info("%s: %s", original, text)


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
