"""Trials of gradient checkers: every checker is shown every case, and a study counts what each of them answered.

A case is right code, or code with one known bug. The studies differ by their cases and by their checkers alone.
"""

import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from harness.files import write_whole
from harness.progress import Progress, silent
from harness.seals import sealed, unsealed
from harness.study.checkers import ALARM, HARNESS, NOT_APPLICABLE, PASS

RIGHT, WRONG = "right", "wrong"


class Case(NamedTuple):
    """Something to check.

    Attributes
    ----------
    name : of the code that is checked
    kind : the sort of case, such as the kind of problem
    subject : the code with its arguments, as the checkers of the study take it
    bug : the name of its bug; empty where the code is right
    group : the group of bugs that it belongs to
    number : tells cases of the same name and kind from each other
    """

    name: str
    kind: str
    subject: Any
    bug: str = ""
    group: str = ""
    number: int = 0


class Response(NamedTuple):
    """The outcome of a check: "pass", "alarm", "inconclusive" or "not applicable".

    `naming` says how well an alarm names the culprit, in the words of the study; empty where nobody asks.
    """

    outcome: str
    naming: str = ""


class Trial(NamedTuple):
    """What one checker answered about one case; the fields are those of `Case` and of `Response`."""

    checker: str
    case: str
    kind: str
    bug: str
    outcome: str
    seconds: float
    naming: str = ""
    group: str = ""
    number: int = 0

    def has(self, where: Mapping[str, Any]) -> bool:
        """Whether the fields of these names have these values."""
        return all(getattr(self, name) == value for name, value in where.items())


@dataclass(frozen=True)
class Rate:
    """A count out of a total."""

    count: int
    total: int

    def __add__(self, other: "Rate") -> "Rate":
        return Rate(self.count + other.count, self.total + other.total)

    @property
    def share(self) -> float:
        """count / total; NaN where the total is 0."""
        return self.count / self.total if self.total else float("nan")

    def interval(self) -> tuple[float, float]:
        """Wilson's 95% score interval, which stays sensible at 0 of n and n of n; [0, 1] where the total is 0.

        (p + z²/2n ± z √(p(1-p)/n + z²/4n²)) / (1 + z²/n). Source: Wilson, J. Amer. Statist. Assoc. 22, 1927.
        """
        from scipy.stats import binomtest  # takes a second to import

        if not self.total:
            return 0.0, 1.0
        found = binomtest(self.count, self.total).proportion_ci(confidence_level=0.95, method="wilson")
        return float(found.low), float(found.high)

    def counts(self) -> dict[str, int]:
        """The two counts alone, JSON-ready."""
        return {"count": self.count, "total": self.total}

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready document; the share of an empty total is None."""
        share = self.share if self.total else None
        return {**self.counts(), "share": share, "interval": list(self.interval())}

    def __str__(self) -> str:
        return percent(self.share) if self.total else "-"


def percent(share: float) -> str:
    """A percentage that never rounds up to 100% or down to 0%."""
    if share in (0.0, 1.0):
        return f"{share:.0%}"
    text = f"{100 * share:.1f}%"
    return {"100.0%": ">99.9%", "0.0%": "<0.1%"}.get(text, text)


@dataclass(frozen=True)
class Study:
    """All trials of a run.

    Attributes
    ----------
    schema : the name and version of its JSON document
    trials : in the order in which they were made
    left_out : checkers that did not take part, and why
    seconds : that the whole run took
    further : results of other measurements and the run's sizes, JSON-ready, by their names in the document
    """

    schema: str
    trials: tuple[Trial, ...]
    left_out: Mapping[str, str]
    seconds: float
    seed: int = 0
    further: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def checkers(self) -> tuple[str, ...]:
        """In the order of their trials."""
        return tuple(dict.fromkeys(trial.checker for trial in self.trials))

    @cached_property
    def bugs(self) -> tuple[str, ...]:
        """All bugs that were looked for, also those that were in no case."""
        return tuple(self.further.get("bugs", ())) or tuple(dict.fromkeys(t.bug for t in self.trials if t.bug))

    @cached_property
    def _tally(self) -> Counter[Trial]:
        """Counts of the trials that differ by their number and time alone: thousands where there are 100,000 trials."""
        return Counter(trial._replace(number=0, seconds=0.0) for trial in self.trials)

    def count(self, **where: Any) -> int:
        """How many trials have these values in the fields of these names."""
        return sum(times for trial, times in self._tally.items() if trial.has(where))

    def rate(self, outcome: str, *, bugs: bool, **where: Any) -> Rate:
        """How many trials had an outcome, of those on cases with a bug or of those on right cases.

        Only trials count that have these values in the fields of these names, and that the checker could make:
        ``rate(ALARM, bugs=True, checker=HARNESS, group="gradient")`` are the wrong gradients that the harness caught.
        """
        outcomes = Counter[str]()
        for trial, times in self._tally.items():
            if bool(trial.bug) == bugs and trial.outcome != NOT_APPLICABLE and trial.has(where):
                outcomes[trial.outcome] += times
        return Rate(outcomes[outcome], outcomes.total())

    def told_apart(self, **where: Any) -> Rate:
        """Bugs that raised an alarm on a problem on which right code raised none."""
        trials = [trial for trial in self.trials if trial.has(where)]
        false_alarms = {(trial.kind, trial.number) for trial in trials if trial.outcome == ALARM and not trial.bug}
        bugs = [trial for trial in trials if trial.bug]
        apart = sum(trial.outcome == ALARM and (trial.kind, trial.number) not in false_alarms for trial in bugs)
        return Rate(apart, len(bugs))

    def missed(self) -> list[Trial]:
        """Bugs about which the harness raised no alarm."""
        return [trial for trial in self.unexpected() if trial.bug]

    def unexpected(self) -> list[Trial]:
        """Bugs about which the harness raised no alarm, and right code that it did not pass."""
        ours = [trial for trial in self.trials if trial.checker == HARNESS]
        return [trial for trial in ours if trial.outcome != (ALARM if trial.bug else PASS)]

    def median_seconds(self, **where: Any) -> float:
        """The median time of a check; NaN where there was none."""
        seconds = [t.seconds for t in self.trials if t.outcome != NOT_APPLICABLE and t.has(where)]
        return float(np.median(seconds)) if seconds else float("nan")


def trial_document(study: Study, naming: str) -> dict[str, Any]:
    """A JSON-ready document with every trial; `naming` is its name for the field."""
    fields = {name: name for name in ("checker", "case", "kind", "outcome", "seconds")} | {naming: "naming"}
    rows = rows_of(study.trials, fields)
    return {"schema": study.schema, "seconds": study.seconds, "left_out": study.left_out, "trials": rows}


def rows_of(trials: Sequence[Trial], fields: Mapping[str, str]) -> list[dict[str, Any]]:
    """Trials for a JSON document, which may have names of its own for their fields: {"its name": "ours"}."""
    return [{name: getattr(trial, ours) for name, ours in fields.items()} for trial in trials]


def run_trials(
    cases: Sequence[Case],
    checkers: Mapping[str, Callable[[Case], Response]],
    progress: Progress,
    step: str,
    clock: Callable[[], float] = time.perf_counter,
) -> list[Trial]:
    """The trial of each case by each checker, timed by a clock; `progress` counts the cases."""
    trials = []
    for done, case in enumerate(cases, start=1):
        with quiet_numerics():
            for checker, respond in checkers.items():
                started = clock()
                outcome, naming = respond(case)
                seconds = clock() - started
                trials.append(
                    Trial(checker, case.name, case.kind, case.bug, outcome, seconds, naming, case.group, case.number)
                )
        progress(step, done, len(cases))
    return trials


def resumed_trials(
    path: Path | None,
    schema: str,
    cases: Sequence[Case],
    checkers: Mapping[str, Callable[[Case], Response]],
    progress: Progress,
    step: str,
    clock: Callable[[], float] = time.perf_counter,
) -> list[Trial]:
    """`run_trials`, without those that a file holds already; each new one is added to it, a sealed line each."""
    known = {(trial.case, trial.checker): trial for trial in _stored(path, schema)} if path else {}
    trials = []
    for done, case in enumerate(cases, start=1):
        missing = {name: respond for name, respond in checkers.items() if (case.name, name) not in known}
        for trial in run_trials([case], missing, silent, step, clock):
            known[case.name, trial.checker] = trial
            if path:
                with path.open("ab") as file:
                    file.write(sealed(schema, trial._asdict()) + b"\n")
        trials += [known[case.name, name] for name in checkers]
        progress(step, done, len(cases))
    return trials


def _stored(path: Path, schema: str) -> list[Trial]:
    """The trials in a file; a last line that was cut off is left out, and made again."""
    lines = path.read_bytes().split(b"\n") if path.exists() else [b""]
    if lines[-1]:
        write_whole(path, b"".join(line + b"\n" for line in lines[:-1]))
    return [Trial(**unsealed(path, line, schema)) for line in lines[:-1]]


def peer_response(check: Callable[[], str], case: Case) -> Response:
    """A peer's outcome; an exception is an alarm about code with a bug, and an outcome of its own about right code."""
    try:
        return Response(check())
    except (ValueError, ArithmeticError, RuntimeError, TypeError) as error:
        return Response(ALARM if case.bug else f"raised {type(error).__name__}")


@contextmanager
def quiet_numerics() -> Iterator[None]:
    """Without warnings: code with a bug overflows, and so does right code at awkward points."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield
