"""What a student gets to read: one Markdown page, with the smallest network that shows what is wrong."""

import inspect
from pathlib import Path
from typing import Any

import numpy as np

from harness.facts import homework_messages, message_table
from harness.facts.fact import Fact, wrong
from harness.facts.kinds import Kind
from harness.grading import Hints
from harness.grading.call_conventions import arguments
from harness.grading.grade import AGREE, DISAGREE, ERROR, INCONCLUSIVE, OF_HELPERS, PART_NAMES, Grade
from harness.grading.helper_checks import ABSENT, WRONG
from harness.grading.parameter_roles import Default, Parameters
from harness.grading.submission_interface import ShownAnswer
from harness.sources import loop

SUMMARIES = {
    AGREE: "Everything that was tried is right.",
    DISAGREE: "Some of it is not right yet.",
    INCONCLUSIVE: "What is there is right, and something is missing.",
    ERROR: "Cost and gradient could not be graded.",
}

PLAIN_KINDS = (homework_messages.MESSAGES.keys() - {Kind.COST_PATTERN}) | {Kind.NOT_REPEATABLE, Kind.ZERO}
"""What may be said without giving a bug away: what happened to the homework, but not what its cost should be."""

UNSAID = (Kind.PART_RIGHT, Kind.NO_BUG_EXPLAINS)
"""What a student's page leaves out: the parts say what is right, and what was not found helps nobody."""

ENTRIES_SHOWN = 12

RIGHT_ENTRIES_SHOWN = 4  # so many entries are shown where only the cost is wrong

LARGEST_SCRIPT = 100  # parameters of a network whose numbers still fit into a script


def hints_in(grade: Grade, hints: Hints) -> list[Fact]:
    """What of a diagnosis a student may read."""
    if hints == Hints.BUG:
        return [fact for fact in grade.diagnosis if fact.kind not in UNSAID]
    told = [fact for fact in grade.diagnosis if fact.kind in PLAIN_KINDS]
    shown, is_wrong = grade.probe, WRONG in (grade.outcomes["gradient"], grade.outcomes["regularised"])
    if hints == Hints.PART or not is_wrong or shown is None or shown.answer.gradient is None:
        return told
    entries = shown.exercise.wrong_entries(shown.answer)
    layers = [
        f"Theta{number} {name}"
        for number, matrix in enumerate(shown.exercise.problem.network.unpack(entries), start=1)
        for name, part in (("bias", matrix[:, 0]), ("weights", matrix[:, 1:]))
        if part.any()
    ]
    return [*told, wrong(Kind.LAYERS_WRONG, *layers)] if layers else told


def feedback_page(grade: Grade, hints: Hints = Hints.BUG, *, reveal: bool = False) -> str:
    """One student's page; `reveal` adds a right backprop to read."""
    lines = [f"# {_escaped(grade.name)}", "", SUMMARIES[grade.verdict], "", f"**Points: {grade.points:g}**", ""]
    lines += [f"- The {part}: {outcome}" for name, part in PART_NAMES.items() if (outcome := _outcome(grade, name))]
    for title, sentences in (
        ("What is wrong", map(message_table.say_plainly, hints_in(grade, hints))),
        ("How it was read, where the course's way is another", () if grade.verdict == AGREE else grade.conventions),
        ("Notes", () if grade.verdict == AGREE else map(message_table.say_plainly, grade.notes)),
    ):
        if items := [f"- {_escaped(sentence)}" for sentence in sentences]:
            lines += ["", f"## {title}", "", *items]
    if grade.smallest is not None:
        lines += ["", *_smallest_network(grade, grade.smallest)]
    if reveal and grade.verdict != AGREE:
        lines += ["", "## A right one", "", "```python", inspect.getsource(loop.cost_and_gradient).rstrip(), "```"]
    return "\n".join([*lines, ""])


def _outcome(grade: Grade, name: str) -> str:
    outcome = grade.outcomes[name]
    if outcome == ABSENT:
        return "" if grade.verdict == ERROR or name in OF_HELPERS else "not there"
    return f"{outcome} ({_escaped(grade.links[name])})" if outcome == WRONG and name in grade.links else outcome


def _escaped(text: str) -> str:
    """Text from elsewhere as plain text in Markdown."""
    escaped = "".join(f"\\{letter}" if letter in r"\`*_{}[]<>#|" else letter for letter in text)
    return " ".join(escaped.split())


def _smallest_network(grade: Grade, shown: ShownAnswer) -> list[str]:
    """The smallest network that shows what is wrong: its numbers, and a script that prints them."""
    exercise, answer = shown.exercise, shown.answer
    cost, gradient = exercise.right
    calls = [attempt.call for attempt in shown.interface.attempts]
    is_plain = not any(call.convention.single or call.is_source for call in calls)
    script = _script(shown) if is_plain and exercise.theta.size <= LARGEST_SCRIPT else []
    lines = [
        "## The smallest network that shows it",
        "",
        f"{exercise.name}.{' The numbers are in the script below.' if script else ''}",
        "",
        "| | yours | expected |",
        "|---|---|---|",
    ]
    if answer.cost is not None:
        lines.append(f"| cost | {answer.cost:.10g} | {cost:.10g} |")
    if answer.gradient is not None:
        off = np.flatnonzero(exercise.wrong_entries(answer))
        entries = off[:ENTRIES_SHOWN] if len(off) else np.arange(min(RIGHT_ENTRIES_SHOWN, gradient.size))
        labels = [_escaped(exercise.problem.network.label(int(i))) for i in entries]
        rows = zip(labels, answer.gradient[entries], gradient[entries])
        lines += [f"| {label} | {yours:.10g} | {expected:.10g} |" for label, yours, expected in rows]
        if len(off) > ENTRIES_SHOWN:
            lines += ["", f"{len(off)} of {gradient.size} entries of the gradient are wrong; these are the first."]
    return lines + (["", "```python", *script, "```"] if script else [])


def _script(shown: ShownAnswer) -> list[str]:
    """A program that calls the submission on it and prints what it returns.

    Where cost and gradient are of two functions, it calls one that is wrong.
    """
    exercise, interface = shown.exercise, shown.interface
    is_cost_wrong = interface.of_cost and not exercise.is_right(shown.answer)[0]
    attempt = interface.of_cost if is_cost_wrong else interface.of_gradient or interface.of_cost
    assert attempt is not None
    call = attempt.call
    given = arguments(call.roles, call.convention, exercise.problem, exercise.theta)
    parameters = call.function.parameters
    names = [parameters[i] if isinstance(role, Default) else role for i, role in enumerate(call.roles)]
    wanted = "*" if call.function.stand_in else call.function.name
    cost, gradient = exercise.right
    expected = exercise.problem.network.unpack(gradient)
    return [
        "import numpy as np",
        f"from {Path(call.function.file).stem} import {wanted}  # your file, or the cells of your notebook",
        "",
        *(inspect.getsource(Parameters).splitlines() if any(isinstance(value, Parameters) for value in given) else ()),
        *call.function.stand_in.splitlines()[:1],
        *(f"{name} = {_literal(value)}" for name, value in zip(names, given)),
        f"print({call.function.name}({', '.join(names)}))",
        f"# expected: a cost of {cost:.12g}, and as gradients of Theta1 and Theta2",
        *(f"# {line}" for Theta in expected for line in np.array2string(Theta, precision=10).splitlines()),
    ]


def _literal(value: Any) -> str:
    """A value as Python that makes it."""
    if isinstance(value, np.ndarray):
        return f"np.array({value.tolist()})"
    if isinstance(value, list) and any(isinstance(item, np.ndarray) for item in value):
        return f"[{', '.join(map(_literal, value))}]"
    if isinstance(value, dict):
        return f"{type(value).__name__}({{{', '.join(f'{key!r}: {_literal(item)}' for key, item in value.items())}}})"
    return repr(value)
