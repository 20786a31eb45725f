"""Grades as a table, CSV, JSON, a page, and a page for each student."""

import csv
import io
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from harness.facts import message_table
from harness.facts.fact import doubt
from harness.facts.kinds import Kind
from harness.grading import Hints
from harness.grading.class_tables import COLUMNS, grades_csv, grades_document, gradescope_document
from harness.grading.grade import Grade, Rubric
from harness.grading.grade_reports import error_picture, grades_page, grades_text, record_of
from harness.grading.student_feedback import feedback_page, hints_in
from harness.grading.submission_files import Submission
from tests.grading.handed_in import RIGHT as HANDED_IN
from tests.grading.submissions import COURSE, RIGHT, THAT_HOLDS, WRONG, grade_folder, graded_here

EVIL = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("class")
    (folder / "a.py").write_text(COURSE)
    (folder / "b.py").write_text(WRONG["no_slope.py"][0])
    (folder / "c.py").write_text(f"def {EVIL}")
    (folder / "d.py").write_text(RIGHT["from_0.py"][0])
    return folder


@pytest.fixture(scope="module")
def grades(folder):
    return grade_folder(folder)


@pytest.fixture(scope="module")
def records(grades):
    return [record_of(grade, Rubric()) for grade in grades]


def read_csv(text):
    assert text.startswith("\ufeff")  # by which spreadsheets know UTF-8
    return list(csv.DictReader(io.StringIO(text[1:])))


def test_csv_has_the_columns_and_a_line_for_each(grades, records):
    rows = read_csv(grades_csv([record.columns for record in records]))
    told = "submission,verdict,cost,gradient,regularised,sigmoid_gradient,other"
    told = f"{told},points,diagnosis,conventions,remarks,seconds"
    assert ",".join(rows[0]) == f"{told},checksum"
    assert ",".join(COLUMNS) == told
    assert [row["submission"] for row in rows] == ["a.py", "b.py", "c.py", "d.py"]
    assert [row["verdict"] for row in rows] == ["agree", "disagree", "error", "agree"]
    assert rows[1]["gradient"] == "wrong"
    assert rows[1]["diagnosis"] == "; ".join(map(message_table.say, grades[1].diagnosis))
    assert rows[3]["conventions"] == "labels from 0"


def test_the_document_holds_facts(records):
    document = json.loads(json.dumps(grades_document(records), allow_nan=False))
    assert document["schema"] == "harness.grades/4"
    (fact,) = document["grades"][2]["diagnosis"]
    assert (fact["kind"], fact["where"], set(fact)) == (
        "not-readable",
        ["c.py"],
        {"kind", "severity", "where", "data", "text"},
    )


@pytest.fixture
def hostile(monkeypatch):
    """A grade whose name is a formula and moves the cursor, and whose diagnosis does so, too."""
    for name in ("say", "say_plainly"):
        monkeypatch.setattr(message_table, name, lambda fact: f"@SUM(A1) {fact.kind} \a")
    grade = Grade(Submission("=1+1\x1b[31m.py", Path()), "error", diagnosis=(doubt(Kind.FEW_ANSWERS),))
    return record_of(grade, Rubric())


def test_csv_holds_no_formula_of_somebody_else(hostile):
    (row,) = read_csv(grades_csv([hostile.columns]))
    assert (row["submission"][:5], row["diagnosis"][:9]) == ("'=1+1", "'@SUM(A1)")
    assert "'＝1+1" in grades_csv([{"submission": "＝1+1"}])


def test_the_console_shows_no_control_characters(hostile):
    text = grades_text([hostile])
    assert "\x1b" not in text
    assert "\a" not in text
    assert text.endswith("1 submission: 1 error")


def test_the_page_is_one_file_with_everything_escaped_and_a_picture_of_what_is_wrong(records, grades):
    page = grades_page(records, {"folder": EVIL})
    assert EVIL not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert error_picture(grades[0].probe) == ""  # of a gradient that is right
    assert page.count("<svg") == 2  # Theta1 and Theta2 of the one that is wrong
    assert "Theta1: 20 of 20 entries are wrong" in page
    assert "<td>slope-missing</td>" in page
    assert '<td class="disagree">disagree</td>' in page
    assert page.count('<td class="disagree">wrong</td>') == 1  # a wrong part alone is red, not its whole row
    assert "<li>cost and gradient: b.py:13 nn_cost_function</li>" in page
    assert '<th scope="row">labels from 0</th><td data-value="1.0" class="number">1</td><td>d.py</td>' in page
    assert "Theta2: 0 of 60 entries are wrong" in page
    top, _, below = page.partition("All submissions")
    assert "<td>c.py cannot be read: " in below  # where no bug has a name, words
    for mistake in ("slope-missing", "not readable"):
        assert re.search(f'<th scope="row">{mistake}</th><td>[^<]+</td><td data-value="1.0" class="number">1</td>', top)
    (target,) = re.findall(r'<a href="#(submission-\w+)">b.py</a>', below)
    assert f'<section id="{target}"><h2>b.py</h2>' in below


def test_a_students_page_without_a_cost_function_claims_nothing_of_the_helpers(tmp_path):
    (tmp_path / "a.py").write_text(COURSE.partition("def nn_cost_function")[0])
    (grade,) = grade_folder(tmp_path)
    page = feedback_page(grade)
    assert (grade.verdict, "nothing" in page) == ("error", False)
    assert "- The slope of the sigmoid: right" in page


def test_a_students_page_says_what_is_right_and_wrong_and_holds_no_solution(grades):
    page = feedback_page(grades[1])
    for part in (
        "- The cost: right",
        r"- The gradient: wrong (b.py:13 nn\_cost\_function)",
        "## What is wrong",
        "| cost | ",
    ):
        assert part in page
    assert "def cost_and_gradient" not in page
    assert "def cost_and_gradient" in feedback_page(grades[1], reveal=True)
    assert "def cost_and_gradient" not in feedback_page(grades[0], reveal=True)  # who is right needs none
    assert EVIL not in feedback_page(grades[2])
    assert "coordinates" not in page
    right = feedback_page(grades[3])
    assert ("##" in right, "labels from 0" in right) == (False, False)  # nothing is explained that is not wrong


def test_the_script_on_a_students_page_prints_what_the_table_says(grades, folder):
    page = feedback_page(grades[1])
    script = page.partition("```python\n")[2].partition("```")[0]
    done = subprocess.run([sys.executable, "-c", script], cwd=folder, capture_output=True, text=True, check=True)
    shown = grades[1].smallest
    assert shown is not None
    printed = done.stdout.partition("array(")[2].partition("]")[0].strip("[ ")
    np.testing.assert_allclose(np.fromstring(printed, sep=","), shown.answer.gradient, atol=1e-7)


@pytest.mark.parametrize(("hints", "kinds"), [(Hints.PART, []), (Hints.LAYER, [Kind.LAYERS_WRONG])])
def test_hints_name_no_bug(grades, hints, kinds):
    told = hints_in(grades[1], hints)
    assert [fact.kind for fact in told] == kinds
    assert all(fact.where == ("Theta1 bias", "Theta1 weights") for fact in told)
    assert "slope-missing" not in feedback_page(grades[1], hints)
    assert "slope-missing" in feedback_page(grades[1])


def test_gradescope_gets_a_test_for_each_part(records):
    document = json.loads(json.dumps(gradescope_document(records[1])))
    assert document["score"] == sum(test["score"] for test in document["tests"]) == 60.0
    assert [test["max_score"] for test in document["tests"]] == [30.0, 40.0, 20.0, 5.0, 5.0]
    assert document["output"] == records[1].page
    scaled = record_of(Grade(Submission("a.py", Path()), "error"), Rubric().scaled(10.0))
    assert sum(largest for _, _, largest, _ in scaled.parts) == pytest.approx(10.0, abs=0.01)


@pytest.mark.parametrize(
    ("text", "edit"),
    [
        (HANDED_IN["named-tuple.py"], ("d3 = h - Y", "d3 = Y - h")),  # θ as an object
        (THAT_HOLDS, ("J = -np.sum", "J = np.sum")),  # a cost apart from its gradient
    ],
    ids=["θ as an object", "a cost apart from its gradient"],
)
def test_the_script_calls_what_is_wrong_as_it_wants_to_be_called(text, edit, tmp_path):
    grade = graded_here(tmp_path, "a.py", text.replace(*edit))
    script = feedback_page(grade).partition("```python\n")[2].partition("```")[0]
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert grade.smallest is not None
    assert str(grade.smallest.answer.cost)[:10] in done.stdout  # the last digits depend on the form
