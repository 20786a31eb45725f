"""What grades are written as: a table, CSV, a page, and a page for each student; and the rubric that is read."""

import csv
import io
import subprocess
import sys

import numpy as np
import pytest
from harness.grading.grading import Grade, grade_folder
from harness.grading.reading import Submission
from harness.grading.writing.feedback import as_markdown, write_feedback
from harness.grading.writing.page import as_page
from harness.grading.writing.table import COLUMNS, as_csv, as_text

from harness.grading.rubric import PARTS, Rubric, read_rubric
from tests.grading.submissions import COURSE, RIGHT, WRONG

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


def test_csv_has_the_columns_and_a_line_for_each(grades):
    rows = list(csv.DictReader(io.StringIO(as_csv(grades))))
    told = "submission,verdict,cost,gradient,regularised,sigmoid_gradient,other,points,diagnosis,conventions,seconds"
    assert ",".join(rows[0]) == ",".join(COLUMNS) == told
    assert [row["submission"] for row in rows] == ["a.py", "b.py", "c.py", "d.py"]
    assert [row["verdict"] for row in rows] == ["agree", "disagree", "error", "agree"]
    assert rows[1]["gradient"] == "wrong"
    assert rows[1]["diagnosis"].startswith("slope-missing explains")
    assert rows[3]["conventions"] == "labels from 0"


def test_csv_holds_no_formula_of_somebody_elses(grades):
    grade = Grade(Submission("=1+1.py", grades[0].submission.path), "error", diagnosis=("@SUM(A1)",))
    (row,) = csv.DictReader(io.StringIO(as_csv([grade])))
    assert (row["submission"], row["diagnosis"]) == ("'=1+1.py", "'@SUM(A1)")


def test_the_console_shows_no_control_characters():
    grade = Grade(Submission("a\x1b[31m.py", grades), "error", diagnosis=("bell \a",))  # pyright: ignore[reportArgumentType]
    assert "\x1b" not in as_text([grade])
    assert "\a" not in as_text([grade])
    assert as_text([grade]).endswith("1 submission: 1 error")


def test_the_page_is_one_file_with_everything_escaped_and_a_picture_of_what_is_wrong(grades):
    page = as_page(grades, {"folder": EVIL})
    assert EVIL not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert page.count("<svg") == 2  # Theta1 and Theta2 of the one that is wrong
    assert "Theta1: 25 of 25 entries are wrong" in page
    assert "<td>slope-missing</td>" in page
    assert "Theta2: 0 of 18 entries are wrong" in page


def test_a_students_page_says_what_is_right_and_wrong_and_holds_no_solution(grades):
    page = as_markdown(grades[1])
    for part in ("- The cost: right", "- The gradient: wrong", "slope-missing explains", "| cost | "):
        assert part in page
    assert "def cost_and_gradient" not in page
    assert "def cost_and_gradient" in as_markdown(grades[1], reveal=True)
    assert "def cost_and_gradient" not in as_markdown(grades[0], reveal=True)  # who is right needs none
    assert EVIL not in as_markdown(grades[2])


def test_the_script_on_a_students_page_prints_what_the_table_says(grades, folder):
    page = as_markdown(grades[1])
    script = page.partition("```python\n")[2].partition("```")[0]
    done = subprocess.run([sys.executable, "-c", script], cwd=folder, capture_output=True, text=True, check=True)
    shown = grades[1].smallest
    assert shown is not None
    printed = done.stdout.partition("array(")[2].partition("]")[0].strip("[ ")
    np.testing.assert_allclose(np.fromstring(printed, sep=","), shown.parsed.gradient, atol=1e-7)


def test_every_student_gets_a_page(grades, tmp_path):
    write_feedback(grades, tmp_path / "pages")
    assert sorted(path.name for path in (tmp_path / "pages").iterdir()) == ["a.py.md", "b.py.md", "c.py.md", "d.py.md"]


def test_helpers_that_are_not_there_are_not_counted():
    rubric = Rubric()
    whole = {"cost": 1.0, "gradient": 0.0, "regularised": 1.0}
    assert rubric.given(whole | {"sigmoid_gradient": 1.0, "other": 1.0}) == 60.0
    assert rubric.given(whole | {"sigmoid_gradient": None, "other": None}) == round(100 * 50 / 90, 2)
    assert rubric.given(dict.fromkeys(PARTS, 1.0)) == rubric.total == 100.0


def test_a_rubric_is_read(tmp_path):
    path = tmp_path / "rubric.toml"
    path.write_text('[points]\ngradient = 80\nother = 0\n[conventions]\n"labels from 0" = "bug"\n')
    rubric = read_rubric(path)
    assert rubric.points == PARTS | {"gradient": 80.0, "other": 0.0}
    assert rubric.refused(["labels from 0", "X with a column of ones"]) == ["labels from 0"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[points", "is not TOML"),
        ("[marks]\ncost = 1", r"has \[marks\]; a rubric has \[points\] and \[conventions\]"),
        ("points = 3", "must have .points. and .conventions. as tables"),
        ("[points]\ngradiant = 1", "did you mean 'gradient'?"),
        ("[points]\ncost = -1", "gives -1 points for cost; they must be a number, zero or more"),
        ("[points]\ncost = true", "gives True points"),
        ("[points]\ncost = nan", "gives nan points"),
        ('[conventions]\n"labels from 0" = "maybe"', 'it must be "accept" or "bug"'),
    ],
)
def test_a_rubric_that_says_something_else_is_refused(tmp_path, text, message):
    path = tmp_path / "rubric.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_rubric(path)


def test_a_rubric_that_is_not_there_is_told_in_words(tmp_path):
    with pytest.raises(ValueError, match=r"none.toml is no file; a rubric is a TOML file"):
        read_rubric(tmp_path / "none.toml")
