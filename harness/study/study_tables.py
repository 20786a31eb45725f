"""Studies as text for a terminal: a row for each checker, a row for each bug, and lists."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial

from harness.study.checkers import ALARM, HARNESS, INCONCLUSIVE, PASS
from harness.study.trials import Rate, Study

LISTED = 12  # lines that are listed, before the rest is only counted

POOR = "Bugs that the harness missed or misnamed, and right code that it did not pass"

HEAD = ("", "wrong caught", "undecided", "right passed", "called wrong", "undecided", "raised", "ms", "s")


def trial_table(study: Study, *more: Sequence[str], by: str = "group") -> str:
    """A row for each checker and group of cases, how the harness named culprits, and what it got wrong.

    ms is the median CPU time of a check, and s that of all of them. Cases are grouped `by` a field of `Trial`, and
    further sections follow as lines.
    """
    groups = list(dict.fromkeys(getattr(trial, by) for trial in study.trials))
    rows = [HEAD, *(_row(study, checker, {by: group}) for group in groups for checker in study.checkers)]
    named = [line for group in groups if (line := _named(study, {by: group}))]
    poor = [
        ", ".join(filter(None, (t.case, t.kind if by == "kind" else "", t.outcome, t.naming)))
        for t in study.unexpected()
    ]
    left_out = [f"  {name}: {reason}" for name, reason in study.left_out.items()]
    lists = [[POOR, *_listed(poor)] if poor else [], ["Left out", *left_out] if left_out else []]
    return "\n\n".join("\n".join(part) for part in (aligned(rows), named, *more, *lists) if part)


def _row(study: Study, checker: str, group: dict[str, str]) -> Sequence[object]:
    where = {"checker": checker, **group}
    wrong, right = (partial(study.rate, bugs=bugs, **where) for bugs in (True, False))
    raised = sum(trial.outcome.startswith("raised") for trial in study.trials if trial.has(where))
    median = study.median_seconds(**where)
    return (
        ": ".join(filter(None, (checker, *group.values()))),
        out_of(wrong(ALARM)),
        wrong(INCONCLUSIVE).count,
        out_of(right(PASS)),
        right(ALARM).count,
        right(INCONCLUSIVE).count,
        raised,
        "-" if math.isnan(median) else f"{1e3 * median:.0f}",
        f"{study.total_seconds(**where):.1f}",
    )


def _named(study: Study, group: dict[str, str]) -> str:
    """How often each word stands for how the harness named a culprit."""
    words = Counter(t.naming for t in study.trials if t.bug and t.checker == HARNESS and t.has(group))
    counts = ", ".join(f"{count} {word}" for word, count in words.items() if word)
    return counts and ": ".join((", ".join(filter(None, (study.naming, *group.values()))), counts))


def bug_table(study: Study, corner: str, show: Callable[[Rate], object] = str) -> list[str]:
    """A row for each bug, and a column for each checker by its number."""
    numbers = range(1, len(study.checkers) + 1)
    rows: list[list[object]] = [[corner, *numbers, "of"]]
    for bug in study.bugs:
        caught = [study.rate(ALARM, bugs=True, checker=checker, bug=bug) for checker in study.checkers]
        rows.append([bug, *map(show, caught), caught[0].total])
    return [*aligned(rows), *(f"{number}: {checker}" for number, checker in zip(numbers, study.checkers))]


def out_of(rate: Rate) -> str:
    """As "3 of 4"."""
    return f"{rate.count:,} of {rate.total:,}"


def aligned(rows: Sequence[Sequence[object]]) -> list[str]:
    """Rows of cells as lines, the first column flush left and the others flush right."""
    texts = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*texts)]
    return [
        f"{first:{widths[0]}}" + "".join(f"  {cell:>{width}}" for cell, width in zip(rest, widths[1:]))
        for first, *rest in texts
    ]


def _listed(lines: Sequence[str]) -> list[str]:
    """Lines of a list, of which only the first are shown."""
    rest = [f"  and {len(lines) - LISTED} more"] if len(lines) > LISTED else []
    return [*(f"  {line}" for line in lines[:LISTED]), *rest]
