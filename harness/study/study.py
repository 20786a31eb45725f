"""The study: what came out of all trials, and the run that makes them."""

import math
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np

from harness.checks.networks.many_networks import check_networks
from harness.checks.networks.network_summary import Summary
from harness.progress import Progress, silent
from harness.sources.bug_zoo import BUGS
from harness.study.checkers import ALARM, HARNESS, INCONCLUSIVE, OUR_RULE, PEERS, named_peers
from harness.study.problems import ORDINARY
from harness.study.rates import Rate
from harness.study.sharpness import Sharpness, smallest_errors
from harness.study.trials import CONTROLS, GROUPS, Bug, Trial, counts_of, group_of, run_trials
from harness.wording import did_you_mean

QUICK = {"problems": 1, "networks": 200, "with_sharpness": False}
SCHEMA = "harness.study/2"


@dataclass(frozen=True)
class Study:
    """What came out.

    Attributes
    ----------
    problems : how many of each kind the bugs were shown; correct code was shown `CONTROLS` times as many
    checkers : those that took part; `left_out` says why others did not
    trials : all that was said
    networks : this harness on many correct random networks, θ from zero to saturating; None when none were asked for
    sharpness : the smallest error in one coordinate that is seen at 400-25-10; `too_slow` says who was not asked
    """

    seed: int
    problems: dict[str, int]
    bugs: tuple[Bug, ...]
    checkers: tuple[str, ...]
    left_out: dict[str, str]
    trials: tuple[Trial, ...]
    networks: Summary | None
    sharpness: Sequence[Sharpness]
    too_slow: dict[str, str]
    seconds: float

    @property
    def absent(self) -> dict[str, Rate]:
        """For each kind of problem, how many bugs were not there, of those tried."""
        tried = {kind: len(self.bugs) * count for kind, count in self.problems.items()}
        shown = partial(self.rate, ALARM, bugs=True, checker=self.checkers[0])
        return {kind: Rate(count - shown(kind=kind).total, count) for kind, count in tried.items()}

    @cached_property
    def _counts(self) -> Counter[Trial]:
        """Trials that differ in nothing but the problem's number and the time taken, counted."""
        return Counter(trial._replace(number=0, seconds=0.0) for trial in self.trials)

    def rate(self, outcome: str, *, bugs: bool, **where: str) -> Rate:
        """How many trials came to an outcome, of those on bugs that were there, or else on correct code.

        Only trials count that have these values in the fields checker, kind, group, subject or blame:
        ``rate(ALARM, bugs=True, checker=HARNESS, group="gradient")`` are the wrong gradients that the harness caught.
        """
        said = Counter[str]()
        for trial, times in self._counts.items():
            if trial.of_bug == bugs and trial.has(where):
                said[trial.outcome] += times
        return Rate(said[outcome], said.total())

    def told_apart(self, **where: str) -> Rate:
        """Bugs that raised an alarm where correct code raised none on the same problem, of those that were there."""
        said = [trial for trial in self.trials if trial.has(where)]
        cried_wolf = {(trial.kind, trial.number) for trial in said if trial.outcome == ALARM and not trial.of_bug}
        bugs = [trial for trial in said if trial.of_bug]
        apart = sum(trial.outcome == ALARM and (trial.kind, trial.number) not in cried_wolf for trial in bugs)
        return Rate(apart, len(bugs))

    def inconclusive_when_ordinary(self) -> Rate:
        """Correct code on ordinary problems that this harness leaves undecided."""
        rates = (self.rate(INCONCLUSIVE, bugs=False, checker=HARNESS, kind=kind) for kind in ORDINARY)
        return sum(rates, Rate(0, 0))

    def blame(self, blame: str) -> Rate:
        """Alarms of the harness about bugs that name the "right" source, a "wrong" one, or have "abstained"."""
        alarms = partial(self.rate, ALARM, bugs=True, checker=HARNESS)
        return Rate(alarms(blame=blame).count, alarms().count)

    def missed(self) -> list[Trial]:
        """Bugs that were there and that this harness raised no alarm about."""
        return [trial for trial in self.trials if trial.checker == HARNESS and trial.of_bug and trial.outcome != ALARM]

    def milliseconds(self, **where: str) -> float:
        """The median time of a check."""
        return 1e3 * float(np.median([trial.seconds for trial in self.trials if trial.has(where)]))

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
            "bugs": {bug.name: self._bug_row(bug) for bug in self.bugs},
            "attribution": {blame: self.blame(blame).to_dict() for blame in ("right", "wrong", "abstained")},
            "inconclusive_on_ordinary_problems": self.inconclusive_when_ordinary().to_dict(),
            "missed": [trial._asdict() for trial in self.missed()],
            "networks": self.networks and self.networks.to_dict(),
            "sharpness": [
                row._asdict() | {"error": None if math.isinf(row.error) else row.error} for row in self.sharpness
            ],
            "sharpness_not_asked": self.too_slow,
            "seconds": self.seconds,
        }

    def _row(self, checker: str) -> dict[str, Any]:
        caught = partial(self.rate, ALARM, bugs=True, checker=checker)
        by_kind = {
            "caught": caught,
            "told_apart": partial(self.told_apart, checker=checker),
            "false_alarms": partial(self.rate, ALARM, bugs=False, checker=checker),
            "inconclusive": partial(self.rate, INCONCLUSIVE, bugs=False, checker=checker),
        }
        row: dict[str, Any] = {
            "name": checker,
            "rule": PEERS[checker].rule if checker in PEERS else OUR_RULE,
            "undecided": self.rate(INCONCLUSIVE, bugs=True, checker=checker).to_dict(),
            "caught_by_group": {group: caught(group=group).to_dict() for group in GROUPS},
            "milliseconds": {kind: self.milliseconds(checker=checker, kind=kind) for kind in self.problems},
        }
        for name, rate in by_kind.items():
            row[name] = rate().to_dict()
            row[f"{name}_by_kind"] = {kind: rate(kind=kind).to_dict() for kind in self.problems}
        return row

    def _bug_row(self, bug: Bug) -> dict[str, Any]:
        caught = partial(self.rate, ALARM, bugs=True, subject=bug.name)
        return {
            "group": group_of(bug),
            "description": bug.description,
            "caught": {name: caught(checker=name).to_dict() for name in self.checkers},
            "caught_by_kind": {
                name: {kind: caught(checker=name, kind=kind).counts() for kind in self.problems}
                for name in self.checkers
            },
        }


def run_study(
    problems: int = 30,
    networks: int = 10_000,
    seed: int = 0,
    bugs: Iterable[str] | None = None,
    peers: Iterable[str] | None = None,
    with_sharpness: bool = True,
    progress: Progress = silent,
) -> Study:
    """Show bugs and correct code to every checker.

    Parameters
    ----------
    problems : of each kind, for every bug
    networks : correct random networks for this harness alone, as `harness check` draws them
    bugs, peers : names from the bug zoo and from `PEERS`; by default all
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
    chosen = [_named_bug(name) for name in (BUGS if bugs is None else bugs)]
    checkers, left_out = named_peers(peers)
    counts = counts_of(problems)
    trials: list[Trial] = []
    for kind, count in counts.items():
        trials += run_trials(chosen, checkers, kind, count, seed, progress)
    summary = check_networks(networks, seed, progress=progress, step="correct networks") if networks else None
    sharpness, too_slow = smallest_errors(checkers, progress) if with_sharpness else ([], {})
    return Study(
        seed=seed,
        problems=counts,
        bugs=tuple(chosen),
        checkers=(HARNESS, *checkers),
        left_out=left_out,
        trials=tuple(trials),
        networks=summary,
        sharpness=sharpness,
        too_slow=too_slow,
        seconds=time.perf_counter() - started,
    )


def _named_bug(name: str) -> Bug:
    if name not in BUGS:
        raise ValueError(f"there is no bug named {name!r}; there are {', '.join(BUGS)}{did_you_mean(name, BUGS)}")
    return BUGS[name]
