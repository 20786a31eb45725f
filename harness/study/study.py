"""The study: what came out of all trials, and the run that makes them."""

import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from typing import Any

import numpy as np

from harness.checks.networks.many_networks import Summary, check_networks
from harness.sources.bug_zoo import FAULTS, Fault
from harness.study.checkers import ALARM, HARNESS, INCONCLUSIVE, PEERS, named_peers
from harness.study.problems import ORDINARY
from harness.study.rates import Rate
from harness.study.sharpness import COORDINATES, Sharpness, smallest_errors
from harness.study.trials import CONTROLS, CORRECT, GROUPS, Trial, counts_of, group_of, run_trials

PROBLEMS, NETWORKS = 30, 10_000
QUICK = {"problems": 1, "networks": 200, "with_sharpness": False}
SCHEMA = "harness.study/1"


@dataclass(frozen=True)
class Study:
    """What came out.

    Attributes
    ----------
    problems : how many of each kind the bugs were shown; correct code was shown `CONTROLS` times as many
    checkers : those that took part; `left_out` says why others did not
    trials : all that was said
    absent : for each kind of problem, how many bugs were not there, of those tried
    networks : this harness on many correct random networks, θ from zero to saturating; None when none were asked for
    sharpness : the smallest error in one coordinate that is seen at 400-25-10; `too_slow` says who was not asked
    """

    seed: int
    problems: dict[str, int]
    faults: tuple[str, ...]
    checkers: tuple[str, ...]
    left_out: dict[str, str]
    trials: tuple[Trial, ...]
    absent: dict[str, Rate]
    networks: Summary | None
    sharpness: tuple[Sharpness, ...]
    too_slow: dict[str, str]
    seconds: float

    @cached_property
    def _counts(self) -> Counter[Trial]:
        """Trials that differ in nothing but the problem's number and the time taken, counted."""
        return Counter(trial._replace(number=0, seconds=0.0) for trial in self.trials)

    def _rate(self, outcome: str, of_bugs: bool, **fields: str | None) -> Rate:
        wanted = [(name, value) for name, value in fields.items() if value is not None]
        hits = total = 0
        for trial, times in self._counts.items():
            if (trial.subject != CORRECT.name) == of_bugs and all(getattr(trial, name) == v for name, v in wanted):
                total += times
                hits += times * (trial.outcome == outcome)
        return Rate(hits, total)

    def kills(self, checker: str, kind: str | None = None, group: str | None = None, bug: str | None = None) -> Rate:
        """Bugs that raised an alarm, of those that were there."""
        return self._rate(ALARM, True, checker=checker, kind=kind, group=group, subject=bug)

    def told_apart(self, checker: str, kind: str | None = None) -> Rate:
        """Bugs that raised an alarm where correct code raised none on the same problem, of those that were there."""
        said = [t for t in self.trials if t.checker == checker and kind in (None, t.kind)]
        cried_wolf = {(t.kind, t.number) for t in said if t.subject == CORRECT.name and t.outcome == ALARM}
        bugs = [t for t in said if t.subject != CORRECT.name]
        return Rate.of(t.outcome == ALARM and (t.kind, t.number) not in cried_wolf for t in bugs)

    def undecided(self, checker: str, kind: str | None = None) -> Rate:
        """Bugs that were there and neither passed nor raised an alarm."""
        return self._rate(INCONCLUSIVE, True, checker=checker, kind=kind)

    def false_alarms(self, checker: str, kind: str | None = None) -> Rate:
        """Alarms about correct code."""
        return self._rate(ALARM, False, checker=checker, kind=kind)

    def inconclusive(self, checker: str, kind: str | None = None) -> Rate:
        """Correct code that neither passed nor raised an alarm."""
        return self._rate(INCONCLUSIVE, False, checker=checker, kind=kind)

    def inconclusive_when_ordinary(self) -> Rate:
        """Correct code on ordinary problems that this harness leaves undecided."""
        return sum((self.inconclusive(HARNESS, kind) for kind in ORDINARY), Rate(0, 0))

    def blame(self, blame: str) -> Rate:
        """Alarms of the harness about bugs that name the "right" source, a "wrong" one, or have "abstained"."""
        alarms = [t for t in self.trials if t.checker == HARNESS and t.subject != CORRECT.name and t.outcome == ALARM]
        return Rate.of(trial.blame == blame for trial in alarms)

    def missed(self, checker: str = HARNESS) -> list[Trial]:
        """Bugs that were there and raised no alarm."""
        return [t for t in self.trials if t.checker == checker and t.subject != CORRECT.name and t.outcome != ALARM]

    def milliseconds(self, checker: str, kind: str | None = None) -> float:
        """The median time of a check."""
        seconds = [t.seconds for t in self.trials if t.checker == checker and kind in (None, t.kind)]
        return 1e3 * float(np.median(seconds))

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready document with every count and its interval."""
        return {
            "schema": SCHEMA,
            "seed": self.seed,
            "problems": self.problems,
            "correct_problems": {kind: CONTROLS * count for kind, count in self.problems.items()},
            "groups": GROUPS,
            "absent": {kind: rate.to_dict() for kind, rate in self.absent.items()},
            "checkers": [self._row(checker) for checker in self.checkers],
            "left_out": self.left_out,
            "bugs": {bug: self._bug_row(bug) for bug in self.faults},
            "attribution": {blame: self.blame(blame).to_dict() for blame in ("right", "wrong", "abstained")},
            "inconclusive_on_ordinary_problems": self.inconclusive_when_ordinary().to_dict(),
            "missed": [trial._asdict() for trial in self.missed()],
            "networks": self.networks and self.networks.to_dict(),
            "sharpness": [row._asdict() | {"error": _finite(row.error)} for row in self.sharpness],
            "sharpness_not_asked": self.too_slow,
            "seconds": self.seconds,
        }

    def _row(self, checker: str) -> dict[str, Any]:
        return {
            "name": checker,
            "rule": PEERS[checker].rule if checker in PEERS else "four sources, judged against derived error bounds",
            "kills": self.kills(checker).to_dict(),
            "told_apart": self.told_apart(checker).to_dict(),
            "kills_by_group": {group: self.kills(checker, group=group).to_dict() for group in GROUPS},
            "kills_by_kind": {kind: self.kills(checker, kind).to_dict() for kind in self.problems},
            "told_apart_by_kind": {kind: self.told_apart(checker, kind).to_dict() for kind in self.problems},
            "undecided": self.undecided(checker).to_dict(),
            "false_alarms": self.false_alarms(checker).to_dict(),
            "false_alarms_by_kind": {kind: self.false_alarms(checker, kind).to_dict() for kind in self.problems},
            "inconclusive": self.inconclusive(checker).to_dict(),
            "inconclusive_by_kind": {kind: self.inconclusive(checker, kind).to_dict() for kind in self.problems},
            "milliseconds": {kind: self.milliseconds(checker, kind) for kind in self.problems},
        }

    def _bug_row(self, bug: str) -> dict[str, Any]:
        killed = {checker: self.kills(checker, bug=bug).to_dict() for checker in self.checkers}
        return {"group": group_of(FAULTS[bug]), "description": FAULTS[bug].description, "kills": killed}


def _finite(error: float) -> float | None:
    return error if np.isfinite(error) else None


def run_study(
    problems: int = PROBLEMS,
    networks: int = NETWORKS,
    seed: int = 0,
    faults: Iterable[str] | None = None,
    peers: Iterable[str] | None = None,
    with_sharpness: bool = True,
    progress: Callable[[str, int, int], Any] | None = None,
) -> Study:
    """Show bugs and correct code to every checker.

    Parameters
    ----------
    problems : of each kind, for every bug
    networks : correct random networks for this harness alone, as `harness check` draws them
    faults, peers : names from `FAULTS` and `PEERS`; by default all
    with_sharpness : whether to search for the smallest error that is seen at 400-25-10
    progress : called as ``progress(step, done, total)``

    Raises
    ------
    ValueError
        For fewer than one problem, a negative number of networks, or names that do not exist.
    """
    if problems < 1 or networks < 0:
        raise ValueError(f"a study needs problems >= 1 and networks >= 0, not {problems} and {networks}")
    started = time.perf_counter()
    chosen = [_named_fault(name) for name in (FAULTS if faults is None else faults)]
    checkers, left_out = named_peers(peers)
    counts = counts_of(problems)
    trials, absent = [], {}
    for kind, number in counts.items():
        advance = _counter(progress, kind, CONTROLS * number)
        said, absent[kind] = run_trials(chosen, checkers, kind, number, seed, advance)
        trials += said
    advance = _counter(progress, "correct networks", networks)
    summary = check_networks(networks, seed, progress=advance) if networks else None
    advance = _counter(progress, "smallest errors", COORDINATES * (1 + sum(PEERS[name].is_cheap for name in checkers)))
    sharpness, too_slow = smallest_errors(checkers, advance) if with_sharpness else ([], {})
    return Study(
        seed=seed,
        problems=counts,
        faults=tuple(fault.name for fault in chosen),
        checkers=(HARNESS, *checkers),
        left_out=left_out,
        trials=tuple(trials),
        absent=absent,
        networks=summary,
        sharpness=tuple(sharpness),
        too_slow=too_slow,
        seconds=time.perf_counter() - started,
    )


def _named_fault(name: str) -> Fault:
    if name not in FAULTS:
        raise ValueError(f"there is no bug named {name!r}; there are {', '.join(FAULTS)}")
    return FAULTS[name]


def _counter(progress: Callable[[str, int, int], Any] | None, step: str, total: int) -> Callable[..., None]:
    done = count(1)

    def advance(*_: Any) -> None:
        if progress:
            progress(step, next(done), total)

    return advance
