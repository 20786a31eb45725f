"""The study of the bug zoo: which checkers catch bugs in gradients of networks, and which call correct code wrong.

Also the smallest error in one coordinate that each sees at the size of exercise 4.
"""

import math
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from harness.bounds.network_bound import rounding_bound
from harness.checks.networks.many_networks import check_networks
from harness.digits.digit_networks import COURSE
from harness.digits.digits_data import load_digits
from harness.progress import Progress, silent
from harness.sources.bug_zoo import BUGS, Bug
from harness.sources.source_table import SOURCES
from harness.study.checkers import (
    ALARM,
    HARNESS,
    INCONCLUSIVE,
    OUR_RULE,
    PEERS,
    Checker,
    Peer,
    harness_verdict,
    installed_peers,
)
from harness.study.study_tables import bug_table, out_of, trial_table
from harness.study.trials import Case, Flat, Rate, Response, Study, Trial, beside_peers, conduct
from harness.study.zoo_cases import CONTROLS, GROUPS, ORDINARY, counts_of, group_of, zoo_cases
from reference.measured import GradientSource, Oracle
from reference.oracles import finite_difference
from reference.problem import Problem
from reference.user_input import did_you_mean

QUICK = {"problems": 1, "networks": 200, "with_sharpness": False}
SCHEMA = "harness.study/2"

BLAMES = ("right", "wrong", "abstained")


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
    checkers, left_out = beside_peers(_respond, _flat, peers)
    counts = counts_of(problems)
    parts = {kind: zoo_cases(chosen, kind, count, seed) for kind, count in counts.items()}
    study = conduct(SCHEMA, parts, checkers, progress, left_out=left_out, seed=seed, naming="source named")
    summary = check_networks(networks, seed, progress=progress, step="correct networks") if networks else None
    sharpness, too_slow = smallest_errors(installed_peers(peers)[0], progress) if with_sharpness else ([], {})
    further = {
        "problems": counts,
        "bugs": {bug.name: {"group": group_of(bug), "description": bug.description} for bug in chosen},
        "networks": summary and summary.to_dict(),
        "sharpness": sharpness,
        "sharpness_not_asked": too_slow,
    }
    return replace(study, further=further, seconds=time.perf_counter() - started)


def _named_bug(name: str) -> Bug:
    if name not in BUGS:
        raise ValueError(f"there is no bug named {name!r}; there are {', '.join(BUGS)}{did_you_mean(name, BUGS)}")
    return BUGS[name]


def _respond(case: Case) -> Response:
    bug, problem, theta = case.subject
    return Response(*harness_verdict(bug.sources, bug.replaces, problem, theta.copy()))


def _flat(case: Case) -> Flat:
    bug, problem, theta = case.subject
    return Flat(lambda t: bug.source(problem, t)[0], lambda t: bug.source(problem, t)[1], theta.copy())


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
        "sharpness": further["sharpness"],
        "sharpness_not_asked": further["sharpness_not_asked"],
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
            checker: {kind: caught(checker=checker, kind=kind).counts() for kind in kinds} for checker in study.checkers
        },
    }


# -- as text -----------------------------------------------------------------------------------------------------------


def table_of(study: Study) -> str:
    """Every checker on every kind of problem, every bug, correct networks, and the smallest errors seen."""
    absent = [f"{kind}: {out_of(rate)} bugs change nothing" for kind, rate in absent_bugs(study).items()]
    networks = study.further["networks"]
    lines = [f"correct random networks: {networks['counts']}"] if networks else []
    errors = [
        f"smallest error seen by {row['checker']} in {row['coordinate']}: {row['error'] or 'none'}"
        for row in study.further["sharpness"]
    ]
    return trial_table(study, absent, bug_table(study, "bugs caught by checker"), lines, errors, by="kind")


# -- the smallest error in one coordinate that a checker sees, at the size of exercise 4 -------------------------------

RESOLUTION = 1.1
"""The bisection ends when the ends of the bracket have this ratio."""

COORDINATES = 3

LOWEST, HIGHEST = 1e-30, 1.0
"""The bracket at the start: below rounding of any coordinate, and as large as the largest coordinates."""


def smallest_errors(peers: Mapping[str, Peer], progress: Progress) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """The smallest error seen at 400-25-10 on the 5,000 digits with λ = 1, by bisection.

    Returns
    -------
    rows : the checker, the coordinate and the error as JSON-ready dicts; the error is None where even 1 is not seen
    left_out : the checkers that were not tried, and why
    """
    problem, theta = exercise_4()
    checkers = {HARNESS: harness_checker(problem, theta)}
    checkers |= {name: peer.checker() for name, peer in peers.items() if peer.is_cheap}
    reason = f"too slow at this size: a check, or an alarm, evaluates the cost for each of {COURSE.size:,} parameters"
    found = []
    for checker, check in checkers.items():
        for i in coordinates(problem, theta):
            error = smallest_error(check, problem, theta, i)
            row = {"checker": checker, "coordinate": COURSE.label(i), "error": error if math.isfinite(error) else None}
            found.append(row)
            progress("smallest errors", len(found), COORDINATES * len(checkers))
    return found, {name: reason for name in peers if name not in checkers}


def exercise_4() -> tuple[Problem, np.ndarray]:
    """The course's network on its digits, λ = 1, at an initial θ."""
    digits = load_digits()
    return Problem(COURSE, digits.X, digits.classes, 1.0), COURSE.init(0)


def coordinates(problem: Problem, theta: np.ndarray) -> list[int]:
    """The coordinates with the smallest, the median and the largest rounding error bound."""
    by_bound = np.argsort(rounding_bound(problem, theta).gradient, kind="stable")
    return [int(by_bound[rank]) for rank in np.linspace(0, len(by_bound) - 1, COORDINATES).astype(int)]


def off_by(error: float, i: int) -> GradientSource:
    """The vectorized backprop with an error added to coordinate i."""

    def source(problem: Problem, theta: np.ndarray) -> tuple[float, np.ndarray]:
        cost, gradient = SOURCES["vectorized"](problem, theta)
        gradient[i] += error
        return cost, gradient

    return source


def harness_checker(problem: Problem, theta: np.ndarray) -> Checker:
    """The harness at one θ; the sources that stay the same are evaluated once."""
    measured = finite_difference.gradient(problem, theta)
    loop, jax = SOURCES["loop"](problem, theta), SOURCES["jax"](problem, theta)
    answers = {"loop": lambda *_: loop, "jax": lambda *_: jax, "finite-difference": Oracle(lambda *_: measured)}
    others = {name: replace(SOURCES[name], function=answer) for name, answer in answers.items()}

    def check(source: GradientSource, problem: Problem, theta: np.ndarray) -> str:
        return harness_verdict({"vectorized": source} | others, ("vectorized",), problem, theta)[0]

    return check


def smallest_error(check: Checker, problem: Problem, theta: np.ndarray, i: int) -> float:
    """The smallest error in coordinate i that raises an alarm, to a factor of `RESOLUTION`; infinite if 1 does not."""

    def sees(error: float) -> bool:
        return check(off_by(error, i), problem, theta.copy()) == ALARM

    low, high = LOWEST, HIGHEST
    if not sees(high):
        return math.inf
    while high / low > RESOLUTION:
        middle = math.sqrt(low * high)
        low, high = (low, middle) if sees(middle) else (middle, high)
    return high
