"""The study of functions as text."""

from harness.study.cases import RIGHT, WRONG
from harness.study.checkers import ALARM, HARNESS, INCONCLUSIVE
from harness.study.own.running import SHIPPED_WRONG, OwnStudy


def as_text(study: OwnStudy) -> str:
    """A row for each checker, and what the diagnoses were worth."""
    lines = [
        f"{'checker':24} {'wrong caught':>14} {'shipped wrong':>14} {'false alarms':>14} {'undecided':>10} {'s':>8}"
    ]
    for checker in study.checkers:
        cells = [
            _of(study, checker, WRONG),
            _of(study, checker, SHIPPED_WRONG),
            _of(study, checker, RIGHT),
            str(study.count(checker=checker, kind=RIGHT, outcome=INCONCLUSIVE)),
        ]
        lines.append(
            f"{checker:24} {cells[0]:>14} {cells[1]:>14} {cells[2]:>14} {cells[3]:>10} {study.spent(checker):8.1f}"
        )
    worth = {word: study.count(checker=HARNESS, diagnosis=word) for word in ("right", "vague", "false")}
    lines.append(f"diagnoses of {HARNESS}: " + ", ".join(f"{count} {word}" for word, count in worth.items()))
    for trial in study.trials:
        missed = trial.kind != RIGHT and trial.outcome != ALARM
        if trial.checker == HARNESS and (
            missed or trial.diagnosis == "false" or (trial.kind == RIGHT and trial.outcome == ALARM)
        ):
            lines.append(f"  {trial.case}: {trial.kind}, {trial.outcome} {trial.diagnosis}".rstrip())
    lines += [f"{name}: {why}" for name, why in study.left_out.items()]
    return "\n".join(lines)


def _of(study: OwnStudy, checker: str, kind: str) -> str:
    said = study.count(checker=checker, kind=kind, outcome=ALARM)
    return f"{said} of {study.count(checker=checker, kind=kind)}"
