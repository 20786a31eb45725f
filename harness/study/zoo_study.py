"""The study of the bug zoo: which checkers catch bugs in gradients of networks, and which call correct code wrong."""

import time
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from typing import Any

from harness.checks.networks.many_networks import check_networks
from harness.progress import Progress, silent
from harness.sources.bug_zoo import BUGS
from harness.study.checkers import ALARM, HARNESS, INCONCLUSIVE, OUR_RULE, PEERS, FlatCase, harness_verdict
from harness.study.study_display import bug_table, out_of, trial_table
from harness.study.trials import Case, Rate, Response, Study, Trial, beside_peers, conduct, flat_source
from harness.study.zoo_cases import CONTROLS, GROUPS, ORDINARY, counts_of, group_of, zoo_cases

QUICK = {"problems": 1, "networks": 200}
SCHEMA = "harness.study/3"

BLAMES = ("right", "wrong", "abstained")


def run_study(
    problems: int = 30,  # of each kind, for every bug
    networks: int = 10_000,  # correct random networks for this harness alone, as `harness check` draws them
    seed: int = 0,
    # names from the bug zoo and from `PEERS`; by default all
    bugs: Iterable[str] | None = None,
    peers: Iterable[str] | None = None,
    progress: Progress = silent,
) -> Study:
    """Show bugs and correct code to every checker."""
    started = time.perf_counter()
    chosen = [BUGS[name] for name in (BUGS if bugs is None else bugs)]
    checkers, left_out = beside_peers(_respond, _flat, peers)
    counts = counts_of(problems)
    parts = {kind: zoo_cases(chosen, kind, count, seed) for kind, count in counts.items()}
    study = conduct(SCHEMA, parts, checkers, progress, left_out=left_out, seed=seed, naming="source named")
    summary = check_networks(networks, seed, progress=progress, step="correct networks") if networks else None
    further = {
        "problems": counts,
        "bugs": {bug.name: {"group": group_of(bug), "description": bug.description} for bug in chosen},
        "networks": summary and summary.to_dict(),
    }
    return replace(study, further=further, seconds=time.perf_counter() - started)


def _respond(case: Case) -> Response:
    bug, problem, theta = case.subject
    return Response(*harness_verdict(bug.sources, bug.replaces, problem, theta.copy()))


def _flat(case: Case) -> FlatCase:
    bug, problem, theta = case.subject
    return flat_source(bug.source, problem, theta)


# -- counts ------------------------------------------------------------------------------------------------------------


def absent_bugs(study: Study) -> dict[str, Rate]:
    """For each kind of problem, how many bugs changed nothing, of those tried."""
    tried = {kind: len(study.bugs) * count for kind, count in study.further["problems"].items()}
    shown = partial(study.rate, ALARM, bugs=True, checker=study.checkers[0])
    return {kind: Rate(count - shown(kind=kind).total, count) for kind, count in tried.items()}


def inconclusive_on_ordinary_problems(study: Study) -> Rate:
    """Correct code on ordinary problems that this harness leaves undecided."""
    rates = (study.rate(INCONCLUSIVE, bugs=False, checker=HARNESS, kind=kind) for kind in ORDINARY)
    return sum(rates, Rate(0, 0))


def blamed(study: Study, blame: str) -> Rate:
    """Alarms of the harness about bugs that name the "right" source, a "wrong" one, or have "abstained"."""
    alarms = partial(study.rate, ALARM, bugs=True, checker=HARNESS)
    return Rate(alarms(naming=blame).count, alarms().count)


def document_of(study: Study) -> dict[str, Any]:
    """A JSON-ready document with every count and its interval."""
    further = study.further
    return {
        "schema": study.schema,
        "seed": study.seed,
        "problems": further["problems"],
        "correct_problems": {kind: CONTROLS * count for kind, count in further["problems"].items()},
        "groups": GROUPS,
        "absent": {kind: rate.to_dict() for kind, rate in absent_bugs(study).items()},
        "checkers": [_checker_row(study, checker) for checker in study.checkers],
        "left_out": study.left_out,
        "bugs": {name: _bug_row(study, name) for name in study.bugs},
        "attribution": {blame: blamed(study, blame).to_dict() for blame in BLAMES},
        "inconclusive_on_ordinary_problems": inconclusive_on_ordinary_problems(study).to_dict(),
        "missed": [_missed_row(trial) for trial in study.missed()],
        "networks": further["networks"],
        "seconds": study.seconds,
    }


def _checker_row(study: Study, checker: str) -> dict[str, Any]:
    kinds = study.further["problems"]
    caught = partial(study.rate, ALARM, bugs=True, checker=checker)
    by_kind = {
        "caught": caught,
        "told_apart": partial(study.told_apart, checker=checker),
        "false_alarms": partial(study.rate, ALARM, bugs=False, checker=checker),
        "inconclusive": partial(study.rate, INCONCLUSIVE, bugs=False, checker=checker),
    }
    row: dict[str, Any] = {
        "name": checker,
        "rule": PEERS[checker].rule if checker in PEERS else OUR_RULE,
        "undecided": study.rate(INCONCLUSIVE, bugs=True, checker=checker).to_dict(),
        "caught_by_group": {group: caught(group=group).to_dict() for group in GROUPS},
        "milliseconds": {kind: 1e3 * study.median_seconds(checker=checker, kind=kind) for kind in kinds},
    }
    for name, rate in by_kind.items():
        row[name] = rate().to_dict()
        row[f"{name}_by_kind"] = {kind: rate(kind=kind).to_dict() for kind in kinds}
    return row


def _missed_row(trial: Trial) -> dict[str, Any]:
    fields = ("checker", "kind", "number", "group", "outcome", "seconds")
    return {name: getattr(trial, name) for name in fields} | {"subject": trial.case, "blame": trial.naming}


def _bug_row(study: Study, name: str) -> dict[str, Any]:
    caught = partial(study.rate, ALARM, bugs=True, bug=name)
    kinds = study.further["problems"]
    return {
        **study.further["bugs"][name],
        "caught": {checker: caught(checker=checker).to_dict() for checker in study.checkers},
        "caught_by_kind": {
            checker: {kind: vars(caught(checker=checker, kind=kind)) for kind in kinds} for checker in study.checkers
        },
    }


# -- as text -----------------------------------------------------------------------------------------------------------


def table_of(study: Study) -> str:
    """Every checker on every kind of problem, every bug, and correct networks."""
    absent = [f"{kind}: {out_of(rate)} bugs change nothing" for kind, rate in absent_bugs(study).items()]
    networks = study.further["networks"]
    lines = [f"correct random networks: {networks['counts']}"] if networks else []
    return trial_table(study, absent, bug_table(study, "bugs caught by checker"), lines, by="kind")
