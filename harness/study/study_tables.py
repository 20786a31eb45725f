"""Studies as text for a terminal: a row for each checker, a row for each bug, and lists."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

from harness.study.checkers import ALARM, HARNESS, INCONCLUSIVE, PASS
from harness.study.trials import Rate, Study, percent

LISTED = 12
"""Lines that are listed, before the rest is only counted."""


class Column(NamedTuple):
    """A column of a table with a row for each checker: its title, and what it shows of (study, checker)."""

    title: str
    cell: Callable[[Study, str], object]


def out_of(rate: Rate) -> str:
    """As "3 of 4"."""
    return f"{rate.count} of {rate.total}"


def with_share(rate: Rate) -> str:
    """As "3 of 4 (75%)"."""
    return f"{rate.count:,} of {rate.total:,} ({percent(rate.share)})" if rate.total else "none of none"


def interval(rate: Rate, decimals: int = 1) -> str:
    """As "(20.1-95.4)", in percent."""
    low, high = rate.interval()
    return f"({100 * low:.{decimals}f}-{100 * high:.{decimals}f})"


def rates(title: str, outcome: str, show: Callable[[Rate], object] = str, **where: Any) -> Column:
    """A column with the rate of an outcome; `where` is that of `Study.rate`."""
    return Column(title, lambda study, checker: show(study.rate(outcome, checker=checker, **where)))


def milliseconds(study: Study, checker: str) -> str:
    """The median time of a check."""
    seconds = study.median_seconds(checker=checker)
    return "-" if math.isnan(seconds) else f"{1e3 * seconds:.1f}"


def aligned(rows: Sequence[Sequence[object]]) -> list[str]:
    """Rows of cells as lines, the first column flush left and the others flush right."""
    texts = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*texts)]
    return [
        f"{first:{widths[0]}}" + "".join(f"  {cell:>{width}}" for cell, width in zip(rest, widths[1:]))
        for first, *rest in texts
    ]


def checker_table(
    study: Study, columns: Sequence[Column], corner: str = "", *, end: Sequence[object] = ()
) -> list[str]:
    """A numbered row for each checker, and perhaps one more at the end."""
    rows = [
        [f"{number} {checker}", *(column.cell(study, checker) for column in columns)]
        for number, checker in enumerate(study.checkers, start=1)
    ]
    return aligned([[corner, *(column.title for column in columns)], *rows, *([end] if end else [])])


def bug_table(study: Study, corner: str, show: Callable[[Rate], object] = str) -> list[str]:
    """A row for each bug, and a column for each checker by its number."""
    rows: list[list[object]] = [[corner, *range(1, len(study.checkers) + 1), "of"]]
    for bug in study.bugs:
        caught = [study.rate(ALARM, bugs=True, checker=checker, bug=bug) for checker in study.checkers]
        rows.append([bug, *map(show, caught), caught[0].total])
    return aligned(rows)


def listed(lines: Sequence[str], most: int = LISTED) -> list[str]:
    """Lines of a list, of which only the first are shown."""
    rest = [f"  and {len(lines) - most} more"] if len(lines) > most else []
    return [*(f"  {line}" for line in lines[:most]), *rest]


def as_text(study: Study, *sections: Sequence[str]) -> str:
    """Sections with an empty line between them, and at the end who was left out."""
    left_out = [f"  {name}: {reason}" for name, reason in study.left_out.items()]
    parts = [*sections, ["Left out", *left_out] if left_out else []]
    return "\n\n".join("\n".join(part) for part in parts if part)


# -- a table for any study ---------------------------------------------------------------------------------------------

HEAD = ("", "wrong caught", "undecided", "right passed", "called wrong", "undecided", "raised", "ms", "s")


def trial_table(study: Study, *more: Sequence[str]) -> str:
    """A row for each checker and group of cases, how the harness named culprits, and what it got wrong.

    ms is the median time of a check, and s that of all of them.
    """
    groups = list(dict.fromkeys(trial.group for trial in study.trials))
    rows = [HEAD, *(_row(study, checker, group) for group in groups for checker in study.checkers)]
    poor = [", ".join(filter(None, (trial.case, trial.outcome, trial.naming))) for trial in study.unexpected()]
    return as_text(
        study,
        aligned(rows),
        [line for group in groups if (line := _named(study, group))],
        ["Not as it should be", *listed(poor)] if poor else [],
        *more,
    )


def _named(study: Study, group: str) -> str:
    """How often each word stands for how the harness named a culprit."""
    words = Counter(trial.naming for trial in study.trials if trial.checker == HARNESS and trial.group == group)
    counts = ", ".join(f"{count} {word}" for word, count in words.items() if word)
    return counts and f"{study.naming}{group and f', {group}'}: {counts}"


def _row(study: Study, checker: str, group: str) -> Sequence[object]:
    where = {"checker": checker, "group": group}
    wrong, right = (partial(study.rate, bugs=bugs, **where) for bugs in (True, False))
    raised = sum(trial.outcome.startswith("raised") for trial in study.trials if trial.has(where))
    median = study.median_seconds(**where)
    return (
        f"{checker}: {group}" if group else checker,
        out_of(wrong(ALARM)),
        wrong(INCONCLUSIVE).count,
        out_of(right(PASS)),
        right(ALARM).count,
        right(INCONCLUSIVE).count,
        raised,
        "-" if math.isnan(median) else f"{1e3 * median:.0f}",
        f"{study.total_seconds(**where):.1f}",
    )
