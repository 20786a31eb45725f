"""Trials of gradient checkers: every checker is shown every case, and a study counts what each of them answered.

A case is right code, or code with one known bug. The studies differ by their cases and by their checkers alone.
"""

import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from harness.files import write_whole
from harness.progress import Progress, silent
from harness.provenance import code_and_libraries, differences
from harness.seals import sealed, unsealed
from harness.study.checkers import ALARM, HARNESS, NOT_APPLICABLE, PASS, FlatCase, Peer, installed_peers
from reference.measured import GradientSource
from reference.problem import Problem

RIGHT, WRONG = "right", "wrong"

STORE = "harness.study.trials/1"  # The schema of the lines of a store. The first holds what all trials depend on.


class Case(NamedTuple):
    """Something to check."""

    name: str  # of the code that is checked
    kind: str  # the sort of case, such as the kind of problem
    subject: Any  # the code with its arguments, as the checkers of the study take it
    bug: str = ""  # the name of its bug; empty where the code is right
    group: str = ""  # the group of bugs that it belongs to
    number: int = 0  # tells cases of the same name and kind from each other


MISNAMED = ("false", "misleading", "no", "another")  # words of studies for an alarm that names another culprit, or none


class Response(NamedTuple):
    """The outcome of a check: "pass", "alarm", "inconclusive", "not applicable", or "raised" and the type of an error.

    `naming` says how well an alarm names the culprit, in the words of the study; empty where nobody asks.
    """

    outcome: str
    naming: str = ""


Respond = Callable[[Case], Response]
Checkers = Mapping[str, Respond]


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
        """Whether its fields of these names have these values."""
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

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready document; the share of an empty total is None."""
        share = self.share if self.total else None
        return {**vars(self), "share": share, "interval": list(self.interval())}

    def __str__(self) -> str:
        return percent(self.share) if self.total else "-"


def percent(share: float) -> str:
    """A percentage that never rounds up to 100% or down to 0%."""
    if share in (0.0, 1.0):
        return f"{share:.0%}"
    text = f"{100 * share:.1f}%"  # of 0.9999 "100.0%", which would hide the one that was missed
    return {"100.0%": ">99.9%", "0.0%": "<0.1%"}.get(text, text)


@dataclass(frozen=True)
class Study:
    """All trials of a run."""

    schema: str  # the name and version of its JSON document
    trials: tuple[Trial, ...]  # in the order in which they were made
    left_out: Mapping[str, str] = field(default_factory=dict)  # checkers that did not take part, and why
    seconds: float = 0.0  # that the whole run took
    seed: int = 0
    naming: str = "named"  # the name of the trials' field `naming` in the document
    # results of other measurements and the run's sizes, JSON-ready, by their names in the document
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
        """How often each trial was made, whatever its number and time; 100,000 trials are a few thousand of these."""
        return Counter(trial._replace(number=0, seconds=0.0) for trial in self.trials)

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
        return [trial for trial in self.unexpected() if trial.bug and trial.outcome != ALARM]

    def unexpected(self) -> list[Trial]:
        """Bugs of which the harness missed or misnamed the culprit, and right code that it did not pass."""
        ours = [trial for trial in self.trials if trial.checker == HARNESS]
        return [t for t in ours if t.outcome != (ALARM if t.bug else PASS) or t.naming in MISNAMED]

    def median_seconds(self, **where: Any) -> float:
        """The median CPU time of a check; NaN where there was none."""
        seconds = [t.seconds for t in self.trials if t.outcome != NOT_APPLICABLE and t.has(where)]
        return float(np.median(seconds)) if seconds else float("nan")


def trial_document(study: Study) -> dict[str, Any]:
    """A JSON-ready document with every trial."""
    head = {"schema": study.schema, "seed": study.seed, "seconds": study.seconds, "left_out": study.left_out}
    fields = ("checker", "case", "kind", "bug", "outcome", "seconds")
    rows = [{name: getattr(trial, name) for name in fields} | {study.naming: trial.naming} for trial in study.trials]
    return head | dict(study.further) | {"trials": rows}


def conduct(
    schema: str,  # the name and version of the study's document
    # cases, by the step that progress shows; each part is made when it is its turn
    parts: Mapping[str, Iterable[Case]],
    checkers: Checkers,
    progress: Progress = silent,
    *,
    store: Path | None = None,  # a file that keeps each trial as a sealed line; what it holds already is not done again
    size: Mapping[str, int] = MappingProxyType({}),  # what else decides a trial, such as how many samples are shown
    **rest: Any,  # further fields of the study
) -> Study:
    """Show every case to every checker.

    Raises a ValueError where the store is damaged, or has trials of other code, libraries or sizes.
    """
    started, trials = time.perf_counter(), []
    known = {(trial.case, trial.checker): trial for trial in _stored(store, {**size, "study": schema})} if store else {}

    def make_trial(case: Case, checker: str) -> Trial:
        if (case.name, checker) in known:
            return known[case.name, checker]
        trial = _try(case, checker, checkers[checker])
        if store:
            with store.open("ab") as file:
                file.write(sealed(STORE, trial._asdict()) + b"\n")
        return trial

    for step, part in parts.items():
        with quiet_numerics():
            cases = list(part)
        for done, case in enumerate(cases, start=1):
            trials += [make_trial(case, checker) for checker in checkers]
            progress(step, done, len(cases))
    return Study(schema, tuple(trials), seconds=time.perf_counter() - started, **rest)


def _try(case: Case, checker: str, respond: Respond) -> Trial:
    """One trial. A peer that raises gives an alarm about code with a bug; any other exception is an outcome."""
    with quiet_numerics():
        started = time.process_time()  # CPU time, so that other programs on the machine do not count
        try:
            outcome, naming = respond(case)
        except Exception as error:  # noqa: BLE001  libraries raise errors of their own classes
            is_alarm = case.bug and checker != HARNESS
            outcome, naming = ALARM if is_alarm else f"raised {type(error).__name__}", ""
        seconds = time.process_time() - started
    return Trial(checker, case.name, case.kind, case.bug, outcome, seconds, naming, case.group, case.number)


def _stored(path: Path, size: Mapping[str, object]) -> list[Trial]:
    """The trials in a file; a last line that was cut off is left out, and made again."""
    stamp = code_and_libraries() | {name: str(value) for name, value in size.items()}
    if not path.exists() or not path.stat().st_size:
        write_whole(path, sealed(STORE, {"stamp": stamp}) + b"\n")
    *lines, last = path.read_bytes().split(b"\n")
    first, *trials = [unsealed(path, line, STORE) for line in lines or [last]]
    if apart := differences(stamp, first.get("stamp", {})):
        raise ValueError(f"{path} has trials of another study or code ({'; '.join(apart)}); choose another file")
    if last:
        write_whole(path, b"".join(line + b"\n" for line in lines))
    try:
        return [Trial(**trial) for trial in trials]
    except TypeError:
        raise ValueError(f"{path} is damaged: it holds something else than trials; choose another file") from None


# -- peers -------------------------------------------------------------------------------------------------------------


def flat_case(both: Callable[[np.ndarray], Any], theta: np.ndarray) -> FlatCase:
    """A function of θ that returns cost and gradient, as peers take it."""
    return FlatCase(lambda t: both(t)[0], lambda t: both(t)[1], theta.copy())


def flat_source(source: GradientSource, problem: Problem, theta: np.ndarray) -> FlatCase:
    """A source's answers on a problem, as peers take them."""
    return flat_case(lambda t: source(problem, t), theta)


def beside_peers(
    ours: Respond, flat: Callable[[Case], FlatCase | None], names: Iterable[str] | None = None
) -> tuple[dict[str, Respond], dict[str, str]]:
    """Our checker and the peers of these names (by default all), and why peers are left out.

    `flat` makes of a case what peers take, or None where they cannot.
    """
    peers, left_out = installed_peers(names)
    others = {name: partial(_compare, peer, np.random.default_rng(0), flat) for name, peer in peers.items()}
    return {HARNESS: ours} | others, left_out


def _compare(peer: Peer, rng: np.random.Generator, flat: Callable[[Case], FlatCase | None], case: Case) -> Response:
    given = flat(case)
    return Response(peer.compare(given, given.rng or rng) if given else NOT_APPLICABLE)


@contextmanager
def quiet_numerics() -> Iterator[None]:
    """Without warnings: code with a bug overflows, and so does right code at awkward points."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield
