"""The study of activations: right and wrong records, checked by the harness and by its peers.

A peer gets the same slope as its users would write it: as the gradient of Σ f(z) at a hundred random z.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from harness.checks.activations.activation_check import check_activation
from harness.checks.activations.formulas import as_written
from harness.checks.activations.proof import prove
from harness.progress import Progress, silent
from harness.study.checkers import VERDICTS, FlatCase
from harness.study.right_activations import RIGHT as RIGHT_RECORDS
from harness.study.study_display import bug_table, trial_table
from harness.study.trials import RIGHT, WRONG, Case, Rate, Response, Study, beside_peers, conduct
from harness.study.wrong_activations import EACH, SLOPE_BUGS, wrong_records
from harness.study.wrong_activations import WRONG as WRONG_RECORDS
from reference.activations import ACTIVATIONS, Activation

WRITTEN = "written out"  # the bug of the records of `wrong_activations`, which are of many kinds

POINTS, SPREAD = 100, 3.0  # peers get so many z, from a normal distribution of this width

QUICK = {"records": 6, "each": 2}
SCHEMA = "harness.study.activations/2"  # version 2: every trial, as in other studies

DESCRIPTIONS = {WRITTEN: "wrong in many ways"} | {name: bug.description for name, bug in SLOPE_BUGS.items()}


class RecordAtPoints(NamedTuple):
    """A record, the z at which peers check it, and the generator that they draw from in turn."""

    record: Activation
    z: np.ndarray
    rng: np.random.Generator


def run_study(
    records: int | None = None,  # how many of the right ones and of those that are written out wrong; by default all
    each: int = EACH,  # bugs planted in each right record
    seed: int = 0,
    peers: Iterable[str] | None = None,  # names from `PEERS`; by default all
    progress: Progress = silent,
) -> Study:
    """Show right and wrong records to every checker."""
    right = [*ACTIVATIONS.values(), *RIGHT_RECORDS.values()][:records]
    checkers, left_out = beside_peers(_respond, _flat, peers)
    proved = Rate(sum(prove(as_written(f)).complete for f in right), len(right))
    parts = {"records of activations": record_cases(right, records, each, seed)}
    further = {"bugs": DESCRIPTIONS, "proved": proved.to_dict()}
    return conduct(SCHEMA, parts, checkers, progress, left_out=left_out, seed=seed, further=further)


def record_cases(right: list[Activation], written: int | None, each: int, seed: int) -> Iterator[Case]:
    """Right records, those that are written out wrong, and right ones with bugs planted."""
    records = [(f, "") for f in right]
    records += [(f, WRITTEN) for f in [*WRONG_RECORDS.values()][:written]]
    records += wrong_records(right, seed, each)
    for number, (f, bug) in enumerate(records, start=1):
        rng = np.random.default_rng([seed, number])
        subject = RecordAtPoints(f, rng.normal(scale=SPREAD, size=POINTS), rng)
        yield Case(f.name, WRONG if bug else RIGHT, subject, bug)


def _respond(case: Case) -> Response:
    return Response(VERDICTS[check_activation(case.subject.record).verdict])


def _flat(case: Case) -> FlatCase:
    f, z, rng = case.subject

    def cost(z: np.ndarray) -> float:
        return float(np.sum(f(np.array(z))))

    def gradient(z: np.ndarray) -> np.ndarray:
        z = np.array(z)
        return np.array(np.broadcast_to(f.slope(z, np.array(f(z))), z.shape), dtype=float)

    return FlatCase(cost, gradient, z.copy(), rng)


def table_of(study: Study) -> str:
    """Every checker, every bug, and how many right records are proved."""
    proved = study.further["proved"]
    bugs = bug_table(study, "caught by checker", lambda rate: rate.count)
    lines = [f"right records proved for all z in [-30, 30]: {proved['count']} of {proved['total']}"]
    return trial_table(study, [*bugs, "", *map(": ".join, study.further["bugs"].items())], lines)
