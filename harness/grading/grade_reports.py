"""Grades, or one diagnosis: for the console, and as an HTML page with pictures of what is wrong."""

import html
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from rich.cells import cell_len

from harness.facts import message_table
from harness.facts.fact import Severity
from harness.facts.kinds import Kind
from harness.grading import Hints
from harness.grading.function_diagnosis import Diagnosis
from harness.grading.grade import AGREE, ANSWERED, DISAGREE, PART_NAMES, POINTS, Grade, Rubric
from harness.grading.helper_checks import WRONG
from harness.grading.student_feedback import UNSAID, feedback_page
from harness.grading.submission_interface import ShownAnswer
from harness.pages.html_page import Cell, table
from harness.pages.report_page import listing, page, section, wide
from harness.seals import checksum
from harness.sources.bug_zoo import BUGS
from harness.verdict.report import json_ready
from harness.wording import counted, first_few, isolated
from reference.user_input import printable

SCHEMA = "harness.grades/4"  # version 4: the functions that were judged; a helper that is not there has its points

LONGEST_NAME = 40


@dataclass(frozen=True)
class GradeRecord:
    """A grade as reports show it, JSON-ready."""

    columns: Mapping[str, Any]  # the row of the table, by column
    # facts as documents
    diagnosis: list[Any] = field(default_factory=list)
    notes: list[Any] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)  # what is wrong and what is worth knowing, a sentence each
    # the student's page, in Markdown, and the teacher's section, in HTML; empty where all is right
    page: str = ""
    section: str = ""
    parts: list[Any] = field(default_factory=list)  # (name, points, largest points, outcome) of each part that counts
    # in what it differs from the course's way, and by part, the function that was judged
    conventions: list[str] = field(default_factory=list)
    links: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.columns["submission"]

    @property
    def verdict(self) -> str:
        return self.columns["verdict"]


def record_of(grade: Grade, rubric: Rubric, hints: Hints = Hints.BUG, *, reveal: bool = False) -> GradeRecord:
    """What reports show of a grade."""
    wrong = [str(fact.kind) for fact in grade.diagnosis if fact.severity != Severity.NOTE and fact.kind not in UNSAID]
    mistakes = grade.bugs or wrong
    columns = {
        "submission": grade.name,
        "verdict": grade.verdict,
        **grade.outcomes,
        "points": grade.points,
        "diagnosis": "; ".join(map(message_table.say, grade.diagnosis)),
        "conventions": "; ".join(grade.conventions),
        "remarks": "; ".join(map(message_table.say, grade.remarks)),
        "seconds": round(grade.seconds, 2),
        "bugs": first_few(mistakes, 2) if mistakes else "",
    }
    scores = rubric.scores(grade.parts)
    return GradeRecord(
        columns,
        json_ready(list(grade.diagnosis)),
        json_ready([*grade.notes, *grade.remarks]),
        _details(grade),
        feedback_page(grade, hints, reveal=reveal),
        "" if grade.verdict == AGREE and not grade.remarks else _grade_section(grade),
        [(name, round(points, 2), round(most, 2), grade.outcomes[name]) for name, (points, most) in scores.items()],
        list(grade.conventions),
        dict(grade.links),
    )


def grades_text(records: Sequence[GradeRecord]) -> str:
    """The grades for a person: a line each, what is wrong below it, and a count of the verdicts."""
    names = [isolated(printable(record.name)) for record in records]
    widths = [cell_len(name) for name in names]  # columns of a terminal: two for a wide letter, none for an accent
    longest = min(LONGEST_NAME, max(widths))
    lines = []
    for name, width, record in zip(names, widths, records):
        row = record.columns
        parts = ", ".join(f"{PART_NAMES[name]} {row[name]}" for name in ANSWERED)
        lines.append(f"{name}{' ' * (longest - width)}  {record.verdict:12}  {row['points']:6.1f}  {parts}")
        lines += [f"    {line}" for line in record.lines]
    return "\n".join([*lines, f"{counted(len(records), 'submission')}: {verdict_counts(records)}"])


def verdict_counts(records: Sequence[GradeRecord]) -> str:
    """How many there are of each verdict: "2 agree, 1 error"."""
    counts = Counter(record.verdict for record in records)
    return ", ".join(f"{number} {verdict}" for verdict, number in counts.items())


def diagnosis_headline(found: Diagnosis) -> str:
    """What was called, and how often."""
    return f"{found.target}, called on {found.answered:,} of {found.problems:,} problems"


def diagnosis_text(found: Diagnosis) -> str:
    """A diagnosis for a person: the verdict, what explains it, conventions and notes."""
    compared = f"{found.coordinates:,} coordinates compared, in {found.seconds:.2g} s"
    return "\n  ".join([f"{found.verdict.upper()}: {diagnosis_headline(found)}", *_details(found), compared])


def _details(found: Grade | Diagnosis) -> list[str]:
    """What is wrong, conventions and notes, a line each."""
    is_grade = isinstance(found, Grade)
    lines = [*map(message_table.say, found.diagnosis), *(_judged(found) if is_grade and found.verdict != AGREE else ())]
    lines += [f"convention: {convention}" for convention in found.conventions]
    lines += [f"note: {message_table.say(fact)}" for fact in (*found.notes, *(found.remarks if is_grade else ()))]
    return list(map(printable, lines))


def _judged(grade: Grade) -> list[str]:
    """Which function was judged: one line where it gives cost and gradient, else one for each."""
    parts = {link: [part for part in grade.links if grade.links[part] == link] for link in grade.links.values()}
    return [f"{' and '.join(names)}: {link}" for link, names in parts.items()]


# -- pages -------------------------------------------------------------------------------------------------------------

MISTAKES = 8  # so many mistakes of a class are counted on top of its page

PARTS_CAPTION = (
    "Each part is judged by itself. The regulariser is what λ adds to cost and gradient; where it is wrong, these are "
    "judged at λ = 0. Beside a right part, a helper that is not there costs no points. Click a column's name to sort."
)

SHOWN_COLUMNS = (*POINTS, "points", "seconds")

ANSWER_COLUMNS = (
    *("problem", "cost", "expected cost", "entries of the gradient", "wrong entries", "largest relative difference"),
)


def grades_page(records: Sequence[GradeRecord], made: Mapping[str, object]) -> str:
    """The page; all text from submissions is escaped."""
    heads = ["submission", "verdict", "mistakes", *(PART_NAMES.get(name, name) for name in SHOWN_COLUMNS)]
    rows = []
    for record in records:
        name = Cell(record.name, record.name, target=_anchor(record.name)) if record.section else record.name
        cells = [record.columns[column] for column in SHOWN_COLUMNS]
        in_colours = [Cell(cell, cell, DISAGREE) if cell == WRONG else cell for cell in cells]
        rows.append((name, Cell(record.verdict, record.verdict, record.verdict), _mistakes(record), *in_colours))
    common = Counter(first for record in records if (first := _first_mistake(record)))
    mistakes = [(*_explained(name), number) for name, number in common.most_common(MISTAKES)]
    columns, caption = ("mistake", "what it is", "submissions"), "By the first mistake of each submission"
    sections = [
        section("The most common mistakes", wide(table(columns, mistakes, caption)) if mistakes else ""),
        section("All submissions", wide(table(heads, rows, PARTS_CAPTION))),
        section("Conventions", wide(_conventions_table(records))),
        *(record.section for record in records if record.section),
    ]
    heading = f"{counted(len(records), 'submission')} graded"
    return page("harness grade", "", verdict_counts(records), sections, made, heading=heading)


def _conventions_table(records: Sequence[GradeRecord]) -> str:
    """In what submissions differ from the course's way, and are right all the same; empty where none does."""
    who: dict[str, list[str]] = defaultdict(list)
    for record in records:
        for convention in record.conventions:
            who[convention].append(record.name)
    common = sorted(who.items(), key=lambda row: -len(row[1]))
    rows = [(name, len(names), first_few(names, 3)) for name, names in common]
    caption = "In what submissions differ from the course's way. A rubric may count each as a bug, by this name."
    return table(("convention", "submissions", "which"), rows, caption) if rows else ""


def _anchor(name: str) -> str:
    return f"submission-{checksum(name.encode(errors='surrogateescape'))[:12]}"


def _first_mistake(record: GradeRecord) -> str:
    """The name of a bug, or of bugs that are there at once; or else a kind of fact."""
    return record.columns["bugs"].partition(", ")[0]


def _are_bugs(mistake: str) -> bool:
    return set(mistake.split(" and ")) <= BUGS.keys()


def _explained(mistake: str) -> tuple[str, str]:
    """The words for a mistake, and what a set of bugs does, or what a kind of fact means."""
    if _are_bugs(mistake):
        return mistake, " ".join(BUGS[bug].description for bug in mistake.split(" and "))
    return mistake.replace("-", " "), message_table.explanations()[Kind(mistake)].meaning


def _mistakes(record: GradeRecord) -> str:
    """The names of bugs, or else the sentences on what is wrong."""
    if _are_bugs(_first_mistake(record)):
        return record.columns["bugs"]
    wrong = [fact for fact in record.diagnosis if fact["severity"] != Severity.NOTE and fact["kind"] not in UNSAID]
    return " ".join(fact["text"].removesuffix(f" [{fact['kind']}]") for fact in wrong)


def _grade_section(grade: Grade) -> str:
    conventions = [f"convention: {convention}" for convention in grade.conventions]
    notes = [*conventions, *map(message_table.say, (*grade.notes, *grade.remarks))]
    diagnosis = listing([*map(message_table.say, grade.diagnosis), *_judged(grade)])
    wrong = () if grade.verdict == AGREE else (diagnosis, error_picture(grade.probe))
    return section(grade.name, *wrong, listing(notes), anchor=_anchor(grade.name))


def diagnosis_page(found: Diagnosis, made: Mapping[str, object]) -> str:
    """What `harness diagnose` found: the bugs, a picture of the smallest problem that shows them, and every problem."""
    wrong = {n: shown for n, shown in enumerate(found.answers) if not all(shown.exercise.is_right(shown.answer))}
    smallest = min(wrong.values(), key=lambda shown: shown.exercise.problem.network.size, default=None)
    marks = dict.fromkeys(wrong, "disagree")
    rows = table(ANSWER_COLUMNS, map(_answer_row, found.answers), "Answered, and expected", marks)
    facts = list(map(message_table.say, found.diagnosis)) or ["Nothing wrong was found."]
    sections = [
        section("What was found", listing(facts), error_picture(smallest)),
        section("Conventions", listing(found.conventions)),
        section("Notes", listing(map(message_table.say, found.notes))),
        section("Problem by problem", wide(rows)),
    ]
    return page("harness diagnose", found.verdict, diagnosis_headline(found), sections, made)


def _answer_row(shown: ShownAnswer) -> tuple[Any, ...]:
    """A row of `ANSWER_COLUMNS`; differences are relative to the gradient's largest entry."""
    answer, (cost, gradient) = shown.answer, shown.exercise.right
    given, errors = ("" if answer.cost is None else (f"{answer.cost:.12g}", answer.cost)), shown.relative_errors
    wrong = int(shown.exercise.wrong_entries(answer).sum())
    off = None if errors is None else float(errors.max())
    return shown.exercise.name, given, (f"{cost:.12g}", cost), gradient.size, wrong, off


# -- a picture of where a gradient is wrong: a square for each entry, shaded by its relative error ---------------------

CELL = 14  # pixels of a square, one for each coordinate

DECADES = 16  # differences are shaded from rounding, 1e-16 of the largest entry, to as large as the gradient itself

LARGEST_PICTURE = 400  # parameters of a network that is still drawn: 20 rows and columns of squares


def error_picture(shown: ShownAnswer | None) -> str:
    """|g - g*| / max |g*| as a square for each coordinate, shaded by decades; none of a gradient that is right."""
    errors = None if shown is None else shown.relative_errors
    if shown is None or errors is None or errors.size > LARGEST_PICTURE:
        return ""
    if not (entries := shown.exercise.wrong_entries(shown.answer)).any():
        return ""
    with np.errstate(divide="ignore"):
        decades = np.clip(np.log10(errors), -DECADES, 0.0)
    pictures, network = [], shown.exercise.problem.network
    for number, (matrix, wrong) in enumerate(zip(*map(network.unpack, (decades, entries))), start=1):
        name, (rows, columns) = f"Theta{number}", matrix.shape
        squares = "".join(
            _square(j * CELL, i * CELL, decade, f"{name}[{i}, {j or 'bias'}]: 1e{decade:.0f}")
            for (i, j), decade in np.ndenumerate(matrix)
        )
        label = f"{name}: {wrong.sum()} of {matrix.size} entries are wrong"
        box = (0, -16, max(60, columns * CELL + 8), rows * CELL + 18)  # the name fits
        words = f'<text x="0" y="-4" font-size="12" fill="currentColor">{name}</text>'
        pictures.append(
            f'<svg role="img" aria-label="{label}" style="width:{box[2]}px;margin-right:1em" '
            f'viewBox="{" ".join(map(str, box))}"><title>{label}</title>{words}{squares}</svg>'
        )
    caption = (
        f"Where the gradient is off ({html.escape(shown.exercise.name)}), relative to its largest entry, from rounding "
        "(pale) by decades to all of it (dark): rows are units, the first column is the bias."
    )
    return f'<figure class="picture">{"".join(pictures)}<figcaption>{caption}</figcaption></figure>'


def _square(x: int, y: int, decade: float, title: str) -> str:
    side, opacity = CELL - 1, 0.08 + 0.92 * (1.0 + decade / DECADES)
    rect = f'<rect x="{x}" y="{y}" width="{side}" height="{side}" fill="#d55e00" fill-opacity="{opacity:.2f}"'
    return f"{rect}><title>{title}</title></rect>"
