"""Right and wrong records of activations, shown to this harness and to its peers.

A peer is handed the same slope as its users would hand it: as the gradient of Σ f(z) at a hundred random z.
"""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from harness.checks.activations.activation_check import check_activation
from harness.checks.activations.formulas import as_written
from harness.checks.activations.proof import prove
from harness.progress import Progress, silent
from harness.study.activations.bugs import BUGS, EACH, wrong_records
from harness.study.activations.right import RIGHT
from harness.study.activations.wrong import WRONG
from harness.study.checkers import ALARM, HARNESS, INCONCLUSIVE, PASS, VERDICTS, Peer, installed_peers
from harness.study.rates import Rate
from reference.activations import ACTIVATIONS, Activation

SCHEMA = "harness.study.activations/1"

WRITTEN = "written out"  # the bugs of `wrong`, which are of many kinds

POINTS, SPREAD = 100, 3.0  # z that peers see: a normal distribution of this width

QUICK: dict[str, Any] = {"records": 6, "each": 2}


class ActivationTrial(NamedTuple):
    """What one checker said of one record; `bug` is empty for a right one."""

    checker: str
    record: str
    bug: str
    outcome: str
    seconds: float


@dataclass(frozen=True)
class ActivationStudy:
    """What came out.

    Attributes
    ----------
    checkers : those that took part; `left_out` says why others did not
    trials : all that was said
    proved : right records that this harness proved for all z in [-30, 30], of all
    """

    seed: int
    checkers: tuple[str, ...]
    left_out: dict[str, str]
    trials: tuple[ActivationTrial, ...]
    proved: Rate
    seconds: float

    def rate(self, outcome: str, checker: str, *, bugs: bool, bug: str = "") -> Rate:
        """How many records came to an outcome, of the wrong ones (with one bug, or with any) or of the right ones."""
        said = [
            trial.outcome
            for trial in self.trials
            if trial.checker == checker and bool(trial.bug) == bugs and bug in ("", trial.bug)
        ]
        return Rate(said.count(outcome), len(said))

    def bugs(self) -> list[str]:
        """The bugs that were there, in the order in which they were met."""
        return list(dict.fromkeys(trial.bug for trial in self.trials if trial.bug))

    def unexpected(self) -> list[ActivationTrial]:
        """The right records that this harness did not pass, and the wrong ones that it raised no alarm about."""
        return [
            trial
            for trial in self.trials
            if trial.checker == HARNESS and trial.outcome != (ALARM if trial.bug else PASS)
        ]

    def median_seconds(self, checker: str) -> float:
        """The median time of a check."""
        return float(np.median([trial.seconds for trial in self.trials if trial.checker == checker]))

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready document."""
        return {
            "schema": SCHEMA,
            "seed": self.seed,
            "checkers": [self._row(checker) for checker in self.checkers],
            "left_out": self.left_out,
            "bugs": {name: BUGS[name].description for name in self.bugs() if name in BUGS},
            "proved": self.proved.to_dict(),
            "unexpected": [trial._asdict() for trial in self.unexpected()],
            "seconds": self.seconds,
        }

    def _row(self, checker: str) -> dict[str, Any]:
        return {
            "name": checker,
            "caught": self.rate(ALARM, checker, bugs=True).to_dict(),
            "caught_by_bug": {bug: self.rate(ALARM, checker, bugs=True, bug=bug).to_dict() for bug in self.bugs()},
            "false_alarms": self.rate(ALARM, checker, bugs=False).to_dict(),
            "undecided": self.rate(INCONCLUSIVE, checker, bugs=True).to_dict(),
            "undecided_of_right": self.rate(INCONCLUSIVE, checker, bugs=False).to_dict(),
            "seconds": self.median_seconds(checker),
        }


def run_activation_study(
    records: int | None = None,
    each: int = EACH,
    seed: int = 0,
    peers: Iterable[str] | None = None,
    progress: Progress = silent,
) -> ActivationStudy:
    """Show right and wrong records to every checker.

    Parameters
    ----------
    records : of the right ones, and of those that are wrong as they are written; by default all
    each : bugs planted in each right record
    peers : names from `PEERS`; by default all
    progress : called as ``progress(step, done, total)``

    Raises
    ------
    ValueError
        For fewer than one record, or a name that is not in `PEERS`.
    """
    if records is not None and records < 1:
        raise ValueError(f"a study needs at least one record, not {records}")
    started = time.perf_counter()
    right = [*ACTIVATIONS.values(), *RIGHT.values()][:records]
    subjects = [(f, "") for f in right]
    subjects += [(f, WRITTEN) for f in [*WRONG.values()][:records]]
    subjects += [(wrong.record, wrong.bug) for wrong in wrong_records(right, seed, each)]
    chosen, left_out = installed_peers(peers)
    trials: list[ActivationTrial] = []
    for done, (f, bug) in enumerate(subjects, start=1):
        trials += _trials_of(f, bug, chosen, np.random.default_rng([seed, done]))
        progress("records of activations", done, len(subjects))
    return ActivationStudy(
        seed=seed,
        checkers=(HARNESS, *chosen),
        left_out=left_out,
        trials=tuple(trials),
        proved=Rate(sum(prove(as_written(f)).complete for f in right), len(right)),
        seconds=time.perf_counter() - started,
    )


def _trials_of(
    f: Activation, bug: str, peers: Mapping[str, Peer], rng: np.random.Generator
) -> Iterator[ActivationTrial]:
    started = time.perf_counter()
    outcome = VERDICTS[check_activation(f).verdict]
    yield ActivationTrial(HARNESS, f.name, bug, outcome, time.perf_counter() - started)
    z = rng.normal(scale=SPREAD, size=POINTS)
    for name, peer in peers.items():
        started = time.perf_counter()
        with np.errstate(all="ignore"):
            outcome = _of_peer(peer, f, z.copy(), rng)
        yield ActivationTrial(name, f.name, bug, outcome, time.perf_counter() - started)


def _of_peer(peer: Peer, f: Activation, z: np.ndarray, rng: np.random.Generator) -> str:
    def cost(z: np.ndarray) -> float:
        return float(np.sum(f(np.array(z))))

    def gradient(z: np.ndarray) -> np.ndarray:
        z = np.array(z)
        return np.array(np.broadcast_to(f.slope(z, np.array(f(z))), z.shape), dtype=float)

    return peer.compare(cost, gradient, z, rng)


def names_of(trials: Sequence[ActivationTrial]) -> list[str]:
    """What was said of which record, in words."""
    return [f"{trial.record}: {trial.outcome}{'' if trial.bug else ', though it is right'}" for trial in trials]
