"""The study of PyTorch's operators: a drop-in beside the original, on the samples of PyTorch's own gradient tests."""

import time
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from harness.exit_codes import InconclusiveGradient
from harness.progress import Progress, silent
from harness.study.checkers import ALARM, PASS
from harness.study.operator_samples import MODES, Operator, operator_cases
from harness.study.trials import Case, Response, Study, Trial, resumed_trials

SCHEMA = "harness.study.operators/1"

SAMPLES, QUICK_SAMPLES, QUICK_STEP = 4, 1, 60
"""Of each operator, so many samples are checked; a quick study takes one in so many operators."""

FELL_BACK = "asked the original"
"""What a trial says where a drop-in warned that it could not decide."""


class OperatorChecker(NamedTuple):
    """A `gradcheck` and its `gradgradcheck`."""

    first: Callable[..., bool]
    second: Callable[..., bool]


def run_operator_study(
    checkers: Mapping[str, OperatorChecker],
    progress: Progress = silent,
    *,
    step: int = 1,
    seed: int = 0,
    samples: int = SAMPLES,
    store: Path | None = None,
) -> Study:
    """Show one in `step` operators of PyTorch to the checkers; with a store, what it holds is not done again."""
    started = time.perf_counter()
    responses = {name: partial(_respond, checker, samples) for name, checker in checkers.items()}
    trials = resumed_trials(store, SCHEMA, list(operator_cases(step, seed)), responses, progress, "operators")
    return Study(SCHEMA, tuple(trials), {}, time.perf_counter() - started)


def disagreements(study: Study) -> list[tuple[Trial, ...]]:
    """The trials of each case on which the checkers differ."""
    by_case: dict[str, list[Trial]] = {}
    for trial in study.trials:
        by_case.setdefault(trial.case, []).append(trial)
    return [tuple(trials) for trials in by_case.values() if len({trial.outcome for trial in trials}) > 1]


def _respond(checker: OperatorChecker, samples: int, case: Case) -> Response:
    """The outcome on the samples of an operator: the first that is no pass."""
    operator: Operator = case.subject
    check = checker.second if MODES[operator.mode].second else checker.first
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        found = (_outcome(check, *sample, operator.options()) for sample in islice(operator.samples(), samples))
        outcome = next((outcome for outcome in found if outcome != PASS), PASS)
    fell_back = any(issubclass(warning.category, InconclusiveGradient) for warning in warned)
    return Response(outcome, FELL_BACK if fell_back else "")


def _outcome(check: Callable[..., bool], function: Callable[..., Any], inputs: tuple, options: dict[str, Any]) -> str:
    try:
        return PASS if check(function, inputs, raise_exception=False, **options) else ALARM
    except Exception as error:  # noqa: BLE001  whatever a checker raises is its outcome
        return f"raised {type(error).__name__}"
