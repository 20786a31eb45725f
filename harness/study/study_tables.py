"""Studies as text, for a terminal: a row for each checker, a row for each bug, and how this harness fared."""

import math
from collections.abc import Callable, Sequence
from functools import partial

from harness.study.activation_study import WRITTEN
from harness.study.checkers import ALARM, HARNESS, INCONCLUSIVE, PASS
from harness.study.diagnosis_study import named_rightly, not_named, outcomes_of
from harness.study.gradient_study import SHIPPED_WRONG
from harness.study.operator_study import FELL_BACK, disagreements
from harness.study.trials import WRONG, Rate, Study, Trial, percent
from harness.study.wrong_activations import SLOPE_BUGS
from harness.study.zoo_cases import CONTROLS, GROUPS
from harness.study.zoo_study import absent_bugs, blamed, inconclusive_on_ordinary_problems

LISTED = 12
"""Trials that are listed, before the rest is only counted."""

Column = tuple[str, Callable[[str], object]]
"""Its title, and what it says of a checker."""


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
        [f"{number} {checker}", *(cell(checker) for _, cell in columns)]
        for number, checker in enumerate(study.checkers, start=1)
    ]
    return aligned([[corner, *(title for title, _ in columns)], *rows, *([end] if end else [])])


def bug_table(study: Study, corner: str, shown: Callable[[Rate], object]) -> list[str]:
    """A row for each bug, and a column for each checker by its number."""
    rows: list[list[object]] = [[corner, *range(1, len(study.checkers) + 1), "of"]]
    for bug in study.bugs:
        caught = [study.rate(ALARM, bugs=True, checker=checker, bug=bug) for checker in study.checkers]
        rows.append([bug, *map(shown, caught), caught[0].total])
    return aligned(rows)


def _sections(study: Study, *sections: Sequence[str]) -> str:
    left_out = [f"  {name}: {reason}" for name, reason in study.left_out.items()]
    parts = [*sections, ["Left out", *left_out] if left_out else []]
    return "\n\n".join("\n".join(part) for part in parts if part)


def _listed(lines: Sequence[str], more: str) -> list[str]:
    rest = len(lines) - LISTED
    return [f"  {line}" for line in lines[:LISTED]] + ([f"  {more.format(rest)}"] if rest > 0 else [])


def _alarms(study: Study, *, bugs: bool, **where: str) -> Callable[[str], Rate]:
    return lambda checker: study.rate(ALARM, bugs=bugs, checker=checker, **where)


def _milliseconds(study: Study, digits: int) -> Callable[[str], object]:
    def cell(checker: str) -> str:
        seconds = study.median_seconds(checker=checker)
        return "-" if math.isnan(seconds) else f"{1e3 * seconds:.{digits}f}"

    return cell


def _range(rate: Rate, decimals: int = 1) -> str:
    low, high = rate.interval()
    return f"({100 * low:.{decimals}f}-{100 * high:.{decimals}f})"


def _counted(rate: Rate) -> str:
    return f"{rate.count:,} of {rate.total:,} ({percent(rate.share)})" if rate.total else "none of none"


def _out_of(rate: Rate) -> str:
    return f"{rate.count} of {rate.total}"


# -- the bug zoo -------------------------------------------------------------------------------------------------------


def zoo_table(study: Study) -> str:
    """The study of the zoo in full: every checker, every kind of problem, every bug, and how this harness fared."""
    by_bug = bug_table(study, "bugs caught by checker", str)
    return _sections(study, _zoo_overview(study), _zoo_by_kind(study), by_bug, _zoo_harness(study), _sharpness(study))


def _zoo_overview(study: Study) -> list[str]:
    problems = ", ".join(f"{count} {kind}" for kind, count in study.further["problems"].items())
    caught, false = (_alarms(study, bugs=bugs) for bugs in (True, False))
    undecided = {bugs: partial(study.rate, INCONCLUSIVE, bugs=bugs) for bugs in (True, False)}
    columns: list[Column] = [
        ("bugs caught", caught),
        ("(95%)", lambda checker: _range(caught(checker))),
        *((group, _alarms(study, bugs=True, group=group)) for group in GROUPS),
        ("false alarms", false),
        ("(95%)", lambda checker: _range(false(checker))),
        ("told apart", lambda checker: study.told_apart(checker=checker)),
        ("undecided", lambda checker: " / ".join(str(undecided[bugs](checker=checker)) for bugs in (True, False))),
        ("ms", _milliseconds(study, 1)),
    ]
    return [
        f"{len(study.bugs)} bugs on {problems} problems, correct code on {CONTROLS} times as many; seed {study.seed}",
        "",
        *checker_table(study, columns),
        "",
        *(f"{group}: {meaning}" for group, meaning in GROUPS.items()),
        "told apart: caught, with no alarm about correct code on the same problem",
        "undecided: of bugs / of correct code; ms: the median check",
        "(95%): Wilson's interval, as if trials were independent",
    ]


def _zoo_by_kind(study: Study) -> list[str]:
    def of_kind(kind: str) -> Callable[[str], object]:
        caught, false = (_alarms(study, bugs=bugs, kind=kind) for bugs in (True, False))
        return lambda checker: f"{caught(checker)} / {false(checker)}"

    end = ["bugs not there, by enclosure", *absent_bugs(study).values()]
    columns = [(kind, of_kind(kind)) for kind in study.further["problems"]]
    return checker_table(study, columns, "bugs caught / false alarms", end=end)


def _zoo_harness(study: Study) -> list[str]:
    right, wrong, abstained = (_counted(blamed(study, blame)) for blame in ("right", "wrong", "abstained"))
    lines = [
        "This harness",
        f"  alarms that name the source with the bug: {right}",
        f"  alarms that name another: {wrong}; that name nobody: {abstained}",
        f"  correct code on ordinary problems left undecided: {_counted(inconclusive_on_ordinary_problems(study))}",
    ]
    if networks := study.further["networks"]:
        false, unclear = (
            Rate(networks["counts"][verdict], networks["networks"]) for verdict in ("disagree", "inconclusive")
        )
        lines.append(f"  false alarms on correct random networks: {_counted(false)}, interval {_range(false, 3)}")
        lines.append(f"  undecided of these: {_counted(unclear)}")
    missed = [f"missed: {t.case} on {t.kind} problem {t.number} ({t.outcome})" for t in study.missed()]
    return lines + _listed(missed, "missed: {} more")


def _sharpness(study: Study) -> list[str]:
    rows = study.further["sharpness"]
    if not rows:
        return []
    coordinates = list(dict.fromkeys(row["coordinate"] for row in rows))
    table: list[list[str]] = [["smallest error seen, 400-25-10, m = 5000", *coordinates]]
    for checker in dict.fromkeys(row["checker"] for row in rows):
        errors = [row["error"] for row in rows if row["checker"] == checker]
        table.append([checker, *("not seen" if error is None else f"{error:.1e}" for error in errors)])
    return [*aligned(table), *(f"{name}: {reason}" for name, reason in study.further["sharpness_not_asked"].items())]


# -- activations -------------------------------------------------------------------------------------------------------


def activation_table(study: Study) -> str:
    """The study of activations in full: every checker, every bug, and how this harness fared."""

    def with_share(rate: Rate) -> str:
        return f"{rate.count} ({rate})"

    def undecided(checker: str) -> str:
        return " / ".join(str(study.rate(INCONCLUSIVE, bugs=bugs, checker=checker).count) for bugs in (True, False))

    wrong, right = (_alarms(study, bugs=bugs)(study.checkers[0]).total for bugs in (True, False))
    columns: list[Column] = [
        ("wrong records caught", lambda checker: with_share(_alarms(study, bugs=True)(checker))),
        ("false alarms", lambda checker: with_share(_alarms(study, bugs=False)(checker))),
        ("undecided, wrong / right", undecided),
        ("ms", _milliseconds(study, 1)),
    ]
    head = f"{right} right and {wrong} wrong records of activations; seed {study.seed}; ms: the median check"
    descriptions = [f"{bug}: {SLOPE_BUGS[bug].description}" for bug in study.bugs if bug != WRITTEN]
    proved = study.further["proved"]
    unexpected = [f"{t.case}: {t.outcome}" + ("" if t.bug else ", though it is right") for t in study.unexpected()]
    return _sections(
        study,
        [head, "", *checker_table(study, columns)],
        [*bug_table(study, "caught by checker", lambda rate: rate.count), "", *descriptions],
        [
            "This harness",
            f"  right records proved for all z in [-30, 30]: {proved['count']} of {proved['total']}",
            *_listed(unexpected, "and {} more"),
        ],
    )


# -- gradients by hand, and traced functions ---------------------------------------------------------------------------


def gradient_table(study: Study) -> str:
    """A row for each checker, and what the diagnoses were worth."""
    columns: list[Column] = [
        ("wrong caught", lambda checker: _out_of(_alarms(study, bugs=True, kind=WRONG)(checker))),
        ("shipped wrong", lambda checker: _out_of(_alarms(study, bugs=True, kind=SHIPPED_WRONG)(checker))),
        ("false alarms", lambda checker: _out_of(_alarms(study, bugs=False)(checker))),
        ("undecided", lambda checker: study.rate(INCONCLUSIVE, bugs=False, checker=checker).count),
        ("s", lambda checker: f"{sum(t.seconds for t in study.trials if t.checker == checker):.1f}"),
    ]
    worth = ", ".join(f"{study.count(checker=HARNESS, naming=word)} {word}" for word in ("right", "vague", "false"))
    poor = [t for t in study.trials if t.checker == HARNESS and _is_poor_diagnosis(t)]
    listed = [f"  {t.case}: {t.kind}, {t.outcome} {t.naming}".rstrip() for t in poor]
    return _sections(study, [*checker_table(study, columns, "checker"), f"diagnoses of {HARNESS}: {worth}", *listed])


def _is_poor_diagnosis(trial: Trial) -> bool:
    return trial.naming == "false" or (trial.outcome == ALARM) != bool(trial.bug)


def rule_table(study: Study) -> str:
    """A row for each checker, how often the rule was named, and what this harness got wrong."""
    columns: list[Column] = [
        ("wrong caught", lambda checker: _out_of(_alarms(study, bugs=True)(checker))),
        ("false alarms", lambda checker: _out_of(_alarms(study, bugs=False)(checker))),
        ("right undecided", lambda checker: _out_of(study.rate(INCONCLUSIVE, bugs=False, checker=checker))),
        ("ms", _milliseconds(study, 0)),
    ]
    caught, named = study.count(checker=HARNESS, kind=WRONG, outcome=ALARM), study.count(naming="yes")
    poor = [
        t
        for t in study.trials
        if t.checker == HARNESS and (t.outcome, t.naming) != ((ALARM, "yes") if t.bug else ("pass", ""))
    ]
    return _sections(
        study,
        [
            *checker_table(study, columns, "checker"),
            f"{HARNESS} names the rule, its file and line: {named} of {caught} caught",
            *(f"  {t.case}: {t.kind}, {t.outcome}" + (f", named: {t.naming}" if t.naming else "") for t in poor),
            "ms: the median check; JAX check_grads natively, the others on w·f(x) and its reverse gradient,",
            "float64 alone: functions of other types are not shown to them",
        ],
    )


def library_table(study: Study) -> str:
    """A row for each library: how its right functions and the planted rules fared, and the CPU seconds beside JAX's."""
    ours, theirs = study.checkers
    rows: list[list[object]] = [
        ["library", "agree", "undecided", "false alarms", "raised", "planted caught", "named", "CPU s", theirs, "CPU s"]
    ]
    for library in dict.fromkeys(t.group for t in study.trials):
        where = {"group": library, "checker": ours}
        right = partial(study.rate, bugs=False, **where)
        by_theirs = partial(study.rate, ALARM, group=library, checker=theirs)
        raised = sum(t.outcome.startswith("raised") for t in study.trials if t.has(where))
        rows.append([
            library,
            _out_of(right(PASS)),
            right(INCONCLUSIVE).count,
            right(ALARM).count,
            raised,
            _out_of(study.rate(ALARM, bugs=True, **where)),
            study.count(naming="yes", **where),
            _cpu_seconds(study, **where),
            f"{_out_of(by_theirs(bugs=True))} caught, {by_theirs(bugs=False).count} false",
            _cpu_seconds(study, group=library, checker=theirs),
        ])  # fmt: skip
    poor = [f"  {t.case}: {t.outcome}" for t in study.unexpected()]
    return _sections(study, aligned(rows), poor and ["Not as they should be", *poor])


def _cpu_seconds(study: Study, **where: str) -> str:
    return f"{sum(t.seconds for t in study.trials if t.has(where)):.0f}"


def operator_table(study: Study) -> str:
    """A row for each checker, and each operator on which they differ."""
    columns: list[Column] = [
        ("pass", lambda checker: study.count(checker=checker, outcome=PASS)),
        ("alarm", lambda checker: study.count(checker=checker, outcome=ALARM)),
        ("raised", lambda checker: sum(t.outcome.startswith("raised") for t in study.trials if t.checker == checker)),
        (FELL_BACK, lambda checker: study.count(checker=checker, naming=FELL_BACK)),
        ("s", lambda checker: f"{sum(t.seconds for t in study.trials if t.checker == checker):.1f}"),
    ]
    differ = [
        f"  {each[0].case}: {', '.join(f'{t.checker} {t.outcome}' for t in each)}" for each in disagreements(study)
    ]
    return _sections(study, checker_table(study, columns, "checker"), differ and ["They differ on", *differ])


# -- diagnoses ---------------------------------------------------------------------------------------------------------


def diagnosis_table(study: Study) -> str:
    """For each kind of bug, how often each outcome, and what was not named rightly."""
    lines = [f"The bugs that are there, and what the diagnosis names (seed {study.seed})"]
    for kind, outcomes in outcomes_of(study).items():
        counts = ", ".join(f"{number} {outcome}" for outcome, number in outcomes.items())
        lines.append(f"  {kind}: {counts} ({named_rightly(study, kind).share:.1%} right)")
    return "\n".join([*lines, *(f"    {outcome}: {names} ({kind})" for kind, names, outcome in not_named(study))])
