"""What a student gets to read: one Markdown page, with the smallest network that shows what is wrong."""

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from harness.files import prepare_directory, write_whole
from harness.grading.calling.conventions import Default, arguments
from harness.grading.grading import AGREE, DISAGREE, ERROR, INCONCLUSIVE, Grade
from harness.grading.helpers import ABSENT
from harness.grading.ways import Shown
from harness.sources import loop

IN_WORDS = {
    AGREE: "Everything that was tried is right.",
    INCONCLUSIVE: "What is there is right, and something is missing.",
    ERROR: "It could not be asked for an answer, so nothing of it was graded.",
}

PARTS = {
    "cost": "The cost",
    "gradient": "The gradient",
    "regularised": "The regularisation",
    "sigmoid_gradient": "The slope of the sigmoid",
    "other": "The other helpers",
}


def write_feedback(grades: Sequence[Grade], folder: str | Path, reveal: bool = False) -> Path:
    """A page for each submission in a folder, which is made if need be; `reveal` adds a right backprop to read."""
    folder = prepare_directory(folder)
    for grade in grades:
        write_whole(folder / f"{grade.name}.md", as_markdown(grade, reveal).encode())
    return folder


def as_markdown(grade: Grade, reveal: bool = False) -> str:
    """One student's page."""
    lines = [f"# {_plain(grade.name)}", "", IN_WORDS.get(grade.verdict, "Some of it is not right yet."), ""]
    lines += [f"**Points: {grade.points:g}**", ""]
    lines += [f"- {what}: {outcome}" for name, what in PARTS.items() if (outcome := _said(grade, name))]
    different = "What is different, and right all the same"
    if grade.verdict == DISAGREE:  # where nothing is right, the nearest convention is a guess
        different = "How it was read, where the course's way is another"
    for title, sentences in (
        ("What is wrong", grade.diagnosis),
        (different, grade.conventions),
        ("Notes", grade.notes),
    ):
        if sentences:
            lines += ["", f"## {title}", "", *(f"- {_plain(sentence)}" for sentence in sentences)]
    if grade.smallest is not None:
        lines += ["", *_smallest(grade, grade.smallest)]
    if reveal and grade.verdict != AGREE:
        lines += ["", "## A right one", "", "```python", inspect.getsource(loop.cost_and_gradient).rstrip(), "```"]
    return "\n".join([*lines, ""])


def _said(grade: Grade, name: str) -> str:
    outcome = getattr(grade, name)
    if outcome != ABSENT:
        return outcome
    return "" if grade.verdict == ERROR or name in ("sigmoid_gradient", "other") else "not there"


def _plain(text: str) -> str:
    """Text from elsewhere as plain text in Markdown."""
    escaped = "".join(f"\\{letter}" if letter in r"\`*_{}[]<>#|" else letter for letter in text)
    return " ".join(escaped.split())


def _smallest(grade: Grade, shown: Shown) -> list[str]:
    """The smallest network that shows it: the numbers, and a script that prints them."""
    problem, theta, parsed = shown.asked.problem, shown.asked.theta, shown.parsed
    cost, gradient = shown.asked.right
    lines = [
        "## The smallest network that shows it",
        "",
        f"{shown.asked.name}. Small enough to follow by hand; the numbers are in the script below.",
        "",
        "| | yours | expected |",
        "|---|---|---|",
    ]
    if parsed.cost is not None:
        lines.append(f"| cost | {parsed.cost:.10g} | {cost:.10g} |")
    if parsed.gradient is not None:
        with np.errstate(all="ignore"):
            off = np.flatnonzero(~(np.abs(parsed.gradient - gradient) <= 1e-9 * np.abs(gradient).max()))
        shown_first = off[:12] if len(off) else np.arange(min(4, gradient.size))
        labels = [_plain(problem.network.label(int(i))) for i in shown_first]
        rows = zip(labels, parsed.gradient[shown_first], gradient[shown_first])
        lines += [f"| {label} | {yours:.10g} | {expected:.10g} |" for label, yours, expected in rows]
        if len(off) > 12:
            lines += ["", f"{len(off)} of {gradient.size} entries of the gradient are wrong; these are the first."]
    if theta.size <= 100:
        lines += ["", "```python", *_script(grade, shown), "```"]
    return lines


def _script(grade: Grade, shown: Shown) -> list[str]:
    """A program that calls the submission on it and prints what comes back."""
    way = shown.ways.of_gradient or shown.ways.of_cost
    assert way is not None
    module = Path(grade.submission.main).stem
    given = arguments(way.roles, way.convention, shown.asked.problem, shown.asked.theta)
    if "problem" in way.roles:
        problem = shown.asked.problem
        network = problem.network
        head = ["from harness import Network, Problem"]
        made = [
            f"problem = Problem(Network({network.sizes}), {_literal(problem.X)}, {_literal(problem.Y)}, {problem.l2})"
        ]
        made.append(f"theta = {_literal(shown.asked.theta)}")
        call = f"{way.function.name}(problem, theta)"
    else:
        names = [
            way.function.parameters[place] if isinstance(role, Default) else role
            for place, role in enumerate(way.roles)
        ]
        head = []
        made = [f"{name} = {_literal(value)}" for name, value in zip(names, given)]
        call = f"{way.function.name}({', '.join(names)})"
    wanted = "*" if way.function.stand_in else way.function.name
    where = [f"from {module} import {wanted}  # your file, or the cells of your notebook"]
    cost, gradient = shown.asked.right
    expected = shown.asked.problem.network.unpack(gradient)
    return [
        "import numpy as np",
        *head,
        *where,
        "",
        *filter(None, [way.function.stand_in]),
        *made,
        f"print({call})",
        f"# expected: a cost of {cost:.12g}, and as gradients of Theta1 and Theta2",
        *(f"# {line}" for Theta in expected for line in np.array2string(Theta, precision=10).splitlines()),
    ]


def _literal(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"np.array({value.tolist()})"
    if isinstance(value, list) and any(isinstance(item, np.ndarray) for item in value):
        return f"[{', '.join(map(_literal, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key!r}: {_literal(item)}' for key, item in value.items())}}}"
    return repr(value)
