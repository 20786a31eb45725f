"""The study of activations: right and wrong records, checked by the harness and by its peers.

A peer gets the same slope as its users would write it: as the gradient of Σ f(z) at a hundred random z.
"""

import time
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from harness.checks.activations.activation_check import check_activation
from harness.checks.activations.formulas import as_written
from harness.checks.activations.proof import prove
from harness.progress import Progress, silent
from harness.study.checkers import ALARM, HARNESS, INCONCLUSIVE, VERDICTS, Peer, installed_peers
from harness.study.right_activations import RIGHT as RIGHT_RECORDS
from harness.study.trials import RIGHT, WRONG, Case, Rate, Response, Study, peer_response, rows_of, run_trials
from harness.study.wrong_activations import EACH, SLOPE_BUGS, wrong_records
from harness.study.wrong_activations import WRONG as WRONG_RECORDS
from reference.activations import ACTIVATIONS, Activation

WRITTEN = "written out"
"""The bug of the records of `wrong_activations`, which are of many kinds."""

POINTS, SPREAD = 100, 3.0
"""Peers get so many z, from a normal distribution of this width."""

QUICK: dict[str, Any] = {"records": 6, "each": 2}

UNEXPECTED = {
    "checker": "checker", "record": "case", "bug": "bug", "outcome": "outcome", "seconds": "seconds"
}  # fmt: skip


class RecordAtPoints(NamedTuple):
    """A record, the z at which peers check it, and the generator that they draw from in turn."""

    record: Activation
    z: np.ndarray
    rng: np.random.Generator


def run_activation_study(
    records: int | None = None,
    each: int = EACH,
    seed: int = 0,
    peers: Iterable[str] | None = None,
    progress: Progress = silent,
) -> Study:
    """Show right and wrong records to every checker.

    Parameters
    ----------
    records : how many of the right ones and of those that are written out wrong; by default all
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
    right = [*ACTIVATIONS.values(), *RIGHT_RECORDS.values()][:records]
    others, left_out = installed_peers(peers)
    checkers = {HARNESS: _harness_response} | {name: partial(_peer_response, peer) for name, peer in others.items()}
    trials = run_trials([*record_cases(right, records, each, seed)], checkers, progress, "records of activations")
    proved = Rate(sum(prove(as_written(f)).complete for f in right), len(right))
    seconds = time.perf_counter() - started
    further = {"proved": proved.to_dict()}
    return Study("harness.study.activations/1", tuple(trials), left_out, seconds, seed, further)


def record_cases(right: list[Activation], written: int | None, each: int, seed: int) -> Iterator[Case]:
    """Right records, those that are written out wrong, and right ones with bugs planted."""
    records = [(f, "") for f in right]
    records += [(f, WRITTEN) for f in [*WRONG_RECORDS.values()][:written]]
    records += wrong_records(right, seed, each)
    for number, (f, bug) in enumerate(records, start=1):
        rng = np.random.default_rng([seed, number])
        subject = RecordAtPoints(f, rng.normal(scale=SPREAD, size=POINTS), rng)
        yield Case(f.name, WRONG if bug else RIGHT, subject, bug)


def _harness_response(case: Case) -> Response:
    return Response(VERDICTS[check_activation(case.subject.record).verdict])


def _peer_response(peer: Peer, case: Case) -> Response:
    f, z, rng = case.subject

    def cost(z: np.ndarray) -> float:
        return float(np.sum(f(np.array(z))))

    def gradient(z: np.ndarray) -> np.ndarray:
        z = np.array(z)
        return np.array(np.broadcast_to(f.slope(z, np.array(f(z))), z.shape), dtype=float)

    return peer_response(lambda: peer.compare(cost, gradient, z.copy(), rng), case)


def activation_document(study: Study) -> dict[str, Any]:
    """A JSON-ready document."""
    return {
        "schema": study.schema,
        "seed": study.seed,
        "checkers": [_checker_row(study, checker) for checker in study.checkers],
        "left_out": study.left_out,
        "bugs": {name: SLOPE_BUGS[name].description for name in study.bugs if name in SLOPE_BUGS},
        **study.further,
        "unexpected": rows_of(study.unexpected(), UNEXPECTED),
        "seconds": study.seconds,
    }


def _checker_row(study: Study, checker: str) -> dict[str, Any]:
    rate = partial(study.rate, checker=checker)
    return {
        "name": checker,
        "caught": rate(ALARM, bugs=True).to_dict(),
        "caught_by_bug": {bug: rate(ALARM, bugs=True, bug=bug).to_dict() for bug in study.bugs},
        "false_alarms": rate(ALARM, bugs=False).to_dict(),
        "undecided": rate(INCONCLUSIVE, bugs=True).to_dict(),
        "undecided_of_right": rate(INCONCLUSIVE, bugs=False).to_dict(),
        "seconds": study.median_seconds(checker=checker),
    }
