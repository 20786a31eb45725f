"""What studies of single cases share: every checker is shown every case, and what each said is counted."""

import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from harness.progress import Progress
from harness.study.checkers import ALARM

RIGHT, WRONG = "right", "wrong"


@dataclass(frozen=True)
class Counted:
    """What came out: trials, each with its checker, kind and outcome."""

    trials: tuple[Any, ...]
    left_out: dict[str, str]
    seconds: float

    schema: ClassVar[str] = ""
    """The name and version of the document that `to_dict` makes."""

    @property
    def checkers(self) -> tuple[str, ...]:
        """In the order in which they were asked."""
        return tuple(dict.fromkeys(trial.checker for trial in self.trials))

    def count(self, **where: str) -> int:
        """How many trials have these values in the fields of that name."""
        return sum(all(getattr(trial, field) == value for field, value in where.items()) for trial in self.trials)

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready document."""
        return {
            "schema": self.schema,
            "seconds": self.seconds,
            "left_out": self.left_out,
            "trials": [trial._asdict() for trial in self.trials],
        }


def show_all(cases: Sequence[Any], checkers: Mapping[str, Callable[[Any], Any]], progress: Progress) -> tuple[Any, ...]:
    """The trial of each case by each checker."""
    trials = []
    for done, case in enumerate(cases):
        progress("functions", done, len(cases))
        with quietly():
            trials += [check(case) for check in checkers.values()]
    return tuple(trials)


def said_by_peer(check: Callable[[], str], kind: str) -> tuple[str, float]:
    """A peer's outcome and its seconds; an exception is an alarm about wrong code, and about right code itself."""
    before = time.perf_counter()
    try:
        outcome = check()
    except (ValueError, ArithmeticError, RuntimeError, TypeError) as error:
        outcome = f"raised {type(error).__name__}" if kind == RIGHT else ALARM
    return outcome, time.perf_counter() - before


@contextmanager
def quietly() -> Iterator[None]:
    """Without warnings: wrong code overflows, and right code at awkward points."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield
