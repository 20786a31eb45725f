"""The study of traced functions as text."""

import math

from harness.study.cases import RIGHT, WRONG
from harness.study.checkers import ALARM, HARNESS, INCONCLUSIVE
from harness.study.rules.running import FunctionsStudy, Trial


def as_text(study: FunctionsStudy) -> str:
    """A row for each checker, how often the rule was named, and what this harness got wrong."""
    columns = ("wrong caught", "false alarms", "right undecided", "ms")
    lines = [f"{'checker':24}" + "".join(f" {column:>15}" for column in columns)]
    for checker in study.checkers:
        right, wrong = (study.asked(checker, kind) for kind in (RIGHT, WRONG))
        undecided = study.count(checker=checker, kind=RIGHT, outcome=INCONCLUSIVE)
        cells = [
            f"{study.count(checker=checker, kind=WRONG, outcome=ALARM)} of {wrong}",
            f"{study.count(checker=checker, kind=RIGHT, outcome=ALARM)} of {right}",
            f"{undecided} of {right}",
            "-" if math.isnan(study.median(checker)) else f"{1e3 * study.median(checker):.0f}",
        ]
        lines.append(f"{checker:24}" + "".join(f" {cell:>15}" for cell in cells))
    caught = study.count(checker=HARNESS, kind=WRONG, outcome=ALARM)
    lines.append(f"{HARNESS} names the rule, its file and line: {study.count(named='yes')} of {caught} caught")
    lines += [f"  {trial.case}: {trial.kind}, {_told(trial)}" for trial in study.trials if _is_poor(trial)]
    lines.append("ms: the median check; JAX check_grads natively, the others on w·f(x) and its reverse gradient,")
    lines.append("float64 alone: what has another type is not shown to them")
    lines += [f"{name}: {why}" for name, why in study.left_out.items()]
    return "\n".join(lines)


def _is_poor(trial: Trial) -> bool:
    good = ("alarm", "yes") if trial.kind == WRONG else ("pass", "")
    return trial.checker == HARNESS and (trial.outcome, trial.named) != good


def _told(trial: Trial) -> str:
    return trial.outcome + (f", named: {trial.named}" if trial.named else "")
