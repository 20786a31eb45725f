"""A study of activations as text, for a terminal."""

from harness.study.activations.bugs import BUGS
from harness.study.activations.study import ActivationStudy, names_of
from harness.study.checkers import ALARM, INCONCLUSIVE
from harness.study.table import aligned

LISTED = 12  # records of which this harness said something unexpected, before the rest is only counted


def as_table(study: ActivationStudy) -> str:
    """The study in full: every checker, every bug, and how this harness fared."""
    sections = [_overview(study), _by_bug(study), _about_harness(study)]
    if study.left_out:
        sections.append(["Left out"] + [f"  {name}: {reason}" for name, reason in study.left_out.items()])
    return "\n\n".join("\n".join(section) for section in sections)


def _overview(study: ActivationStudy) -> list[str]:
    first = study.checkers[0]
    wrong, right = (study.rate(ALARM, first, bugs=bugs).total for bugs in (True, False))
    rows = [["", "wrong records caught", "false alarms", "undecided, wrong / right", "ms"]]
    for number, checker in enumerate(study.checkers, start=1):
        caught, false = (study.rate(ALARM, checker, bugs=bugs) for bugs in (True, False))
        undecided = " / ".join(str(study.rate(INCONCLUSIVE, checker, bugs=bugs).count) for bugs in (True, False))
        cells = [f"{caught.count} ({caught})", f"{false.count} ({false})", undecided]
        rows.append([f"{number} {checker}", *cells, f"{1e3 * study.median_seconds(checker):.1f}"])
    return [
        f"{right} right and {wrong} wrong records of activations; seed {study.seed}; ms: the median check",
        "",
        *aligned(rows),
    ]


def _by_bug(study: ActivationStudy) -> list[str]:
    rows = [["caught by checker", *(f"{number}" for number, _ in enumerate(study.checkers, start=1)), "of"]]
    for bug in study.bugs():
        caught = [study.rate(ALARM, checker, bugs=True, bug=bug) for checker in study.checkers]
        rows.append([bug, *(str(rate.count) for rate in caught), f"{caught[0].total}"])
    return [*aligned(rows), "", *(f"{bug}: {BUGS[bug].description}" for bug in study.bugs() if bug in BUGS)]


def _about_harness(study: ActivationStudy) -> list[str]:
    told = names_of(study.unexpected())
    lines = [
        "This harness",
        f"  right records proved for all z in [-30, 30]: {study.proved.count} of {study.proved.total}",
    ]
    lines += [f"  {line}" for line in told[:LISTED]]
    return lines + ([f"  and {len(told) - LISTED} more"] if len(told) > LISTED else [])
