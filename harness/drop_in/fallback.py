"""When a drop-in decides, and when the checker that it stands in for does: one policy for all of them.

| this check finds | the call |
|---|---|
| an error beyond the bounds, and beyond the accuracy | fails with the report |
| the same below `LIBRARY`, where every rule is a library's own | warns, and the original decides |
| values between the left and the right derivatives at kinks, each alone and together | passes |
| second derivatives between those on both sides of a kink, which are right there | passes |
| nothing, because something hides the derivative | warns, and the original decides |
| that it is right to `TOLERATED`, as the originals ask, and nothing finer | warns, and passes |
| nothing in less than double precision, where the original's differences show nothing either | warns, and passes |
| an exception | warns, and the original decides |
| that every derivative is right | passes |

The accuracy is `ACCURATE`, or `SLIGHT` where every rule is a library's own, or the tolerance that the caller states, if
that is wider than the original's default.
"""

import logging
import math
import sys
import sysconfig
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import Enum
from functools import lru_cache
from typing import Any, NamedTuple, NoReturn

import numpy as np

from harness.exit_codes import InconclusiveGradient
from harness.facts import message_table
from harness.facts.fact import Fact, Severity, doubt, note
from harness.facts.kinds import Kind
from harness.verdict.report import Report
from reference.user_input import given, message_of

logger = logging.getLogger("harness.drop_in")

ACCURATE = 1e-10
"""An error below this share of the largest derivative beside it is accepted: rules are often sums of a series,
quotients of differences or solutions of an iteration, and right to some ten digits by design."""

SLIGHT, LIBRARY = 1e-8, 1e-6
"""Where every rule is a library's own, whose functions are approximations, an error below the first share is accepted,
and one below the second is left to the original."""

TOLERATED = 1e-3
"""The originals accept an error below this share. Where noise hides finer ones, their differences show even less."""

_logged: set[tuple[str, str]] = set()


class NothingToCheck(Exception):
    """There is no derivative that could be undecided, so the original answers without a warning."""


class Outcome(Enum):
    """What follows from one check."""

    RIGHT = "passes"
    COARSE = "warns, and passes"
    OPEN = "warns, and the original decides"
    WRONG = "fails with the report"


class Result(NamedTuple):
    """The outcome of one check, what it leaves in doubt, and its report if there is one."""

    outcome: Outcome
    doubts: Sequence[Fact] = ()
    report: Report | None = None


def is_right(report: Report) -> bool:
    """Whether a report leaves nothing undecided but conventions at kinks."""
    is_at_kinks = report.verdict == "inconclusive" and {fact.kind for fact in report.reasons} == {Kind.KINK}
    return report.verdict == "agree" or is_at_kinks


def doubts_of(report: Report) -> tuple[Fact, ...]:
    """Why a report is inconclusive, and of which derivative."""
    compared = [fact for fact in report.notes if fact.kind == Kind.COMPARED_DERIVATIVE]
    return (*(report.reasons or [doubt(Kind.UNDECIDED)]), *compared)


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
    """

    name: str
    ask: Callable[[], Any]
    refuse: Callable[[Report], Any]

    def settle(self, find: Callable[[], Iterable[Result]], right: Callable[[], Any] = lambda: None) -> Any:
        """Answer the call by what `find` finds; `right` answers where no error is found. What raises is in doubt."""
        __tracebackhide__ = True  # pytest shows the caller's line
        try:
            with quietly():
                results = list(find())
        except NothingToCheck:
            return self.ask()
        except Exception as error:  # noqa: BLE001  whatever the caller's function raises, the original need not
            message = message_of(error).rstrip(".")
            return self.ask_original([doubt(Kind.CANNOT_RUN, error=type(error).__name__, message=message)])
        for result in results:
            if result.outcome is Outcome.WRONG and result.report:
                return self.refuse(result.report)
        doubts = [fact for result in results for fact in result.doubts]
        if any(result.outcome is Outcome.OPEN for result in results):
            return self.ask_original(doubts)
        if any(result.outcome is Outcome.COARSE for result in results):
            _warn(doubt(Kind.NEITHER_DECIDED, self.name), doubts)
        return right()

    def ask_original(self, doubts: Sequence[Fact]) -> Any:
        """Warn of what was not decided, and answer or raise what the original does; an error says both."""
        told = _warn(doubt(Kind.ORIGINAL_DECIDED, self.name), doubts)
        try:
            return self.ask()
        except Exception as error:
            error.add_note(told)
            raise


def _warn(decided: Fact, doubts: Sequence[Fact]) -> str:
    """Warn on the line that called the drop-in."""
    told = " ".join(map(message_table.say, dict.fromkeys((decided, *doubts))))
    frame, level = sys._getframe(), 1
    while frame.f_back and frame.f_globals["__name__"].startswith(f"{__package__}."):
        frame, level = frame.f_back, level + 1
    warnings.warn(told, InconclusiveGradient, level)
    return told


@contextmanager
def quietly() -> Iterator[None]:
    """Without the warnings of a function at points that a check chose, and its caller did not."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        yield


def check_within(
    check: Callable[[float], Report],
    accuracy: float,
    size: float = 0.0,
    *,
    rules_of_library: bool = False,
    is_blind: bool = False,
) -> Result:
    """The outcome of a check at an accuracy, and else at a coarser one that is enough.

    No error that is within that share of `size`, the largest derivative in any input, is wrong: a derivative that
    vanishes has errors as large as those of the others. Where the original `is_blind`, all that is open is coarse.
    """
    report = check(accuracy)
    in_doubt = Outcome.COARSE if is_blind else Outcome.OPEN
    if report.verdict == "disagree":
        off = max((pair.difference for pair in report.pairs), default=math.inf)
        is_numbers = not any(fact.severity == Severity.WRONG for fact in report.facts)
        if is_numbers and off <= accuracy * size:
            return Result(Outcome.RIGHT, report=report)
        is_near = is_numbers and off <= LIBRARY * size
        if rules_of_library and (is_near or (accuracy < LIBRARY and check(LIBRARY).verdict != "disagree")):
            return Result(in_doubt, [doubt(Kind.INEXACT_LIBRARY_RULE, limit=LIBRARY)], report)
        return Result(Outcome.WRONG, report=report)
    if is_right(report):
        return Result(Outcome.RIGHT, report=report)
    is_coarse = accuracy < TOLERATED and check(TOLERATED).verdict == "agree"
    return Result(Outcome.COARSE if is_coarse else in_doubt, doubts_of(report), report)


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
    return max([ACCURATE, *wider.values()])


def require_numbers(options: Mapping[str, Any], shape: tuple[int, ...] = ()) -> None:
    """Refuse steps and tolerances with which the original would fail, and which are not used here.

    Each is a number, or an array of numbers of this shape; JAX takes tolerances in a dict, too, one for each type.
    """
    for name, value in options.items():
        each = value.values() if isinstance(value, dict) and name in ("atol", "rtol") else [value]
        if not all(one is None or _is_numbers(one, shape) for one in each):
            raise TypeError(f"{name} must be a number, not {given(value)}")


def _is_numbers(value: Any, shape: tuple[int, ...]) -> bool:
    try:
        numbers = np.asarray(value)
    except Exception:  # noqa: BLE001  a class of the user may raise anything
        return False
    return numbers.dtype.kind in "biuf" and numbers.shape in ((), shape)


def disagreeing(report: Report, facts: Sequence[Fact]) -> Report:
    """The report with facts that are wrong whatever its numbers are; the report itself where there are none."""
    if not facts:
        return report
    outliers = report.outliers or tuple(source.name for source in report.sources[:1])
    return replace(report, verdict="disagree", outliers=outliers, facts=(*facts, *report.facts))


def fail(kind: type[Exception], report: Report) -> NoReturn:
    """Raise the error of an original, with the report as its message and as its attribute `report`."""
    __tracebackhide__ = True  # pytest shows the caller's line
    error = kind(str(report))
    error.report = report  # pyright: ignore[reportAttributeAccessIssue]
    raise error


def compared(derivative: str, outputs: str) -> Fact:
    """What was compared, where that is not what the caller gave: of which outputs, added up."""
    return note(Kind.COMPARED_DERIVATIVE, derivative, outputs=outputs)


@lru_cache(maxsize=256)
def drawn_weights(purpose: str, shape: tuple[int, ...]) -> np.ndarray:
    """Random numbers of either sign between 0.5 and 1.5: none is so small that it hides an entry.

    They are the same each time, but others for each purpose, and others than a caller has from a small seed. Weights
    that are a caller's own inputs, or the cotangents of a second derivative, hide what cancels in such a sum.
    """
    rng = np.random.default_rng([*b"harness", *purpose.encode()])
    drawn = rng.uniform(0.5, 1.5, size=shape) * rng.choice([-1.0, 1.0], size=shape)
    drawn.setflags(write=False)
    return drawn


def log_notes(original: str, facts: Sequence[Fact]) -> None:
    """Log, once each, what a caller may want to know of what passes."""
    for fact in facts:
        told = message_table.say(fact)
        if (original, told) not in _logged:
            _logged.add((original, told))
            logger.info("%s: %s", original, told)


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
