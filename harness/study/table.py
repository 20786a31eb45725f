"""A study as text, for a terminal."""

import math
from collections.abc import Sequence
from functools import partial

from harness.study.checkers import ALARM, INCONCLUSIVE
from harness.study.rates import Rate, percent
from harness.study.study import Study
from harness.study.trials import CONTROLS, GROUPS

LISTED = 12  # bugs that this harness missed, before the rest is only counted


def as_table(study: Study) -> str:
    """The study in full: every checker, every kind of problem, every bug, and how this harness fared."""
    sections = [_overview(study), _by_kind(study), _by_bug(study), _about_harness(study), _sharpness(study)]
    if study.left_out:
        sections.append(["Left out"] + [f"  {name}: {reason}" for name, reason in study.left_out.items()])
    return "\n\n".join("\n".join(section) for section in sections if section)


def _overview(study: Study) -> list[str]:
    shown = ", ".join(f"{count} {kind}" for kind, count in study.problems.items())
    head = ["", "bugs caught", "(95%)", *GROUPS, "false alarms", "(95%)", "told apart", "undecided", "ms"]
    rows = []
    for number, checker in enumerate(study.checkers, start=1):
        of_bugs = partial(study.rate, bugs=True, checker=checker)
        of_correct_code = partial(study.rate, bugs=False, checker=checker)
        caught, false = of_bugs(ALARM), of_correct_code(ALARM)
        rates = [caught, _range(caught), *(of_bugs(ALARM, group=group) for group in GROUPS), false, _range(false)]
        undecided = f"{of_bugs(INCONCLUSIVE)} / {of_correct_code(INCONCLUSIVE)}"
        last = [study.told_apart(checker=checker), undecided, f"{study.milliseconds(checker=checker):.1f}"]
        rows.append([f"{number} {checker}", *map(str, rates + last)])
    return [
        f"{len(study.bugs)} bugs on {shown} problems, correct code on {CONTROLS} times as many; seed {study.seed}",
        "",
        *aligned([head, *rows]),
        "",
        *(f"{group}: {meaning}" for group, meaning in GROUPS.items()),
        "told apart: caught, with no alarm about correct code on the same problem",
        "undecided: of bugs / of correct code; ms: the median check",
        "(95%): Wilson's interval, as if trials were independent",
    ]


def _by_kind(study: Study) -> list[str]:
    rows = [["bugs caught / false alarms", *study.problems]]
    for number, checker in enumerate(study.checkers, start=1):
        alarms = partial(study.rate, ALARM, checker=checker)
        cells = [f"{alarms(bugs=True, kind=kind)} / {alarms(bugs=False, kind=kind)}" for kind in study.problems]
        rows.append([f"{number} {checker}", *cells])
    rows.append(["bugs not there, by enclosure", *map(str, study.absent.values())])
    return aligned(rows)


def _by_bug(study: Study) -> list[str]:
    rows = [["bugs caught by checker", *(f"{number}" for number, _ in enumerate(study.checkers, start=1)), "of"]]
    for bug in study.bugs:
        caught = [study.rate(ALARM, bugs=True, checker=checker, subject=bug.name) for checker in study.checkers]
        rows.append([bug.name, *map(str, caught), f"{caught[0].total}"])
    return aligned(rows)


def _about_harness(study: Study) -> list[str]:
    right, wrong, abstained = (study.blame(blame) for blame in ("right", "wrong", "abstained"))
    undecided = study.inconclusive_when_ordinary()
    lines = [
        "This harness",
        f"  alarms that name the source with the bug: {_counted(right)}",
        f"  alarms that name another: {_counted(wrong)}; that name nobody: {_counted(abstained)}",
        f"  correct code on ordinary problems left undecided: {_counted(undecided)}",
    ]
    if study.networks:
        false = Rate(study.networks.counts["disagree"], study.networks.networks)
        unclear = Rate(study.networks.counts["inconclusive"], study.networks.networks)
        lines.append(f"  false alarms on correct random networks: {_counted(false)}, interval {_range(false, 3)}")
        lines.append(f"  undecided of these: {_counted(unclear)}")
    missed = study.missed()
    lines += [f"  missed: {t.subject} on {t.kind} problem {t.number} ({t.outcome})" for t in missed[:LISTED]]
    if len(missed) > LISTED:
        lines.append(f"  missed: {len(missed) - LISTED} more")
    return lines


def _sharpness(study: Study) -> list[str]:
    if not study.sharpness:
        return []
    coordinates = list(dict.fromkeys(row.coordinate for row in study.sharpness))
    rows = [["smallest error seen, 400-25-10, m = 5000", *coordinates]]
    for checker in dict.fromkeys(row.checker for row in study.sharpness):
        errors = [row.error for row in study.sharpness if row.checker == checker]
        rows.append([checker, *("not seen" if math.isinf(error) else f"{error:.1e}" for error in errors)])
    return [*aligned(rows), *(f"{name}: {reason}" for name, reason in study.too_slow.items())]


def _range(rate: Rate, decimals: int = 1) -> str:
    low, high = rate.interval()
    return f"({100 * low:.{decimals}f}-{100 * high:.{decimals}f})"


def _counted(rate: Rate) -> str:
    return f"{rate.count:,} of {rate.total:,} ({percent(rate.share)})" if rate.total else "none of none"


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of cells as lines, the first column flush left and the others flush right."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    return [
        f"{first:{widths[0]}}" + "".join(f"  {cell:>{width}}" for cell, width in zip(rest, widths[1:]))
        for first, *rest in rows
    ]
