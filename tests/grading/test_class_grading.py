"""A class graded whatever happens: rows kept as they come, odd names, rosters, and what may be somebody else's work."""

import os
import sqlite3
from pathlib import Path

import pytest

from harness.facts.fact import doubt
from harness.facts.kinds import Kind
from harness.grading import Hints
from harness.grading.class_grading import GradingPlan, grade_class, open_store, remarks_on
from harness.grading.class_tables import Roster, grades_csv, matched, page_name, read_roster, write_outputs
from harness.grading.grade import AGREE, ERROR, Grade
from harness.grading.grade_reports import GradeRecord
from harness.grading.submission_files import find_submissions
from tests.grading.submissions import COURSE, at_start, course

LOOSE = at_start("raise ValueError('\\udcff')")
LONG_NAME = "x" * 248 + ".py"
NOT_UTF_8 = "na\\xffme.py"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Submissions whose names and messages cannot be written just so."""
    folder = tmp_path_factory.mktemp("class")
    (folder / "loose.py").write_text(LOOSE)
    (folder / LONG_NAME).write_text("def f(:")
    (Path(os.fsdecode(os.fsencode(folder) + b"/na\xffme.py"))).write_text("def f(:")
    (folder / "new\nline.py").write_text("def f(:")
    return folder


@pytest.mark.more
def test_no_name_and_no_message_loses_the_class_and_rows_are_kept(folder, tmp_path, monkeypatch):
    kept = tmp_path / "grades.sqlite"
    records, lost = grade_class(folder, GradingPlan(), kept)
    assert ([record.verdict for record in records], lost) == ([ERROR] * 4, [])
    assert NOT_UTF_8 in [record.name for record in records]
    files = {"table": "grades.csv", "page": "grades.html", "feedback": "", "gradescope": "results.json"}
    assert write_outputs(records, {}, **{what: tmp_path / name for what, name in files.items()}) == ([], [])
    assert len(list(tmp_path.glob("*.md"))) == 4

    # the same command grades nothing twice; other settings do, and another release
    monkeypatch.setattr(
        "harness.grading.class_grading.grade_all", lambda waiting, *rest, **more: iter(waiting and [1 / 0])
    )
    assert [record.columns for record in grade_class(folder, GradingPlan(), kept)[0]] == [r.columns for r in records]
    with pytest.raises(ZeroDivisionError):
        grade_class(folder, GradingPlan(hints=Hints.PART), kept)
    monkeypatch.setattr("harness.grading.class_grading.__version__", "9.9")
    with pytest.raises(ZeroDivisionError):
        grade_class(folder, GradingPlan(), kept)


def test_rows_that_were_written_before_an_end_are_found(tmp_path):
    record = GradeRecord({"submission": "a.py", "verdict": AGREE}, parts=[["cost", 30.0, 30.0, "right"]])
    with open_store(tmp_path / "g.sqlite") as store:
        store.add("one", GradeRecord({"submission": "a.py", "verdict": ERROR}))
        store.add("two", record)
        with pytest.raises(OSError, match="another command"), open_store(tmp_path / "g.sqlite"):
            pass
    with open_store(tmp_path / "g.sqlite") as store:
        assert (store.find("a.py", "one"), store.find("a.py", "two")) == (None, record)


def test_what_is_no_file_of_grades_is_refused(tmp_path):
    (tmp_path / "g.sqlite").write_text("this is a table of somebody else, and longer than a header" * 9)
    with pytest.raises(ValueError, match="cannot keep grades"), open_store(tmp_path / "g.sqlite"):
        pass


def test_a_full_disk_ends_no_grading(tmp_path, monkeypatch):
    def full(*_):
        raise sqlite3.OperationalError("database or disk is full")

    (tmp_path / "a.py").write_text("def f(:")
    monkeypatch.setattr("harness.grading.class_grading.GradeStore.add", full)
    records, lost = grade_class(tmp_path, GradingPlan(), tmp_path / "g.sqlite")
    assert (len(records), len(lost)) == (1, 1)


def test_a_failure_of_the_machine_is_not_kept(tmp_path, monkeypatch):
    (tmp_path / "a.py").write_text("def f(:")
    for fact, is_graded_again in ((doubt(Kind.GRADING_FAILED, reason="full"), True), (doubt(Kind.ZERO, "g"), False)):
        graded = []

        def grade_all(waiting, plan, graded=graded, fact=fact):
            graded += waiting
            return [(number, Grade(one, ERROR, diagnosis=(fact,))) for number, one in enumerate(waiting)]

        monkeypatch.setattr("harness.grading.class_grading.grade_all", grade_all)
        for _ in range(2):
            grade_class(tmp_path, GradingPlan(), tmp_path / "g.sqlite")
        assert len(graded) == 1 + is_graded_again


@pytest.mark.more
def test_the_folder_of_an_author_is_one_submission_and_names_no_bug(tmp_path):
    (tmp_path / "ex4.py").write_text("from helpers import *\n" + course(("    d3 = h - Y", "    d3 = Y - h")))
    (tmp_path / "helpers.py").write_text("def f(): pass")
    (record,), _ = grade_class(tmp_path, GradingPlan(hints=Hints.LAYER, is_one=True))
    assert (record.name, record.columns["gradient"], record.columns["bugs"]) == (tmp_path.name, "wrong", "layers-wrong")
    assert [fact["kind"] for fact in record.diagnosis] == [Kind.LAYERS_WRONG]
    assert "wrong-sign" not in str(record)


def test_names_of_pages_fit_and_differ():
    assert page_name("a.py") == "a.py.md"
    long = [page_name("é" * 125 + end) for end in ("a", "b")]
    assert all(len(name.encode()) < 255 for name in long)
    assert len(set(long)) == 2


ROSTER = Roster(
    ["Student", "ID", "Section", "Grade"],
    [
        {"Student": "Smith, John", "ID": "123", "Section": "A", "Grade": ""},
        {"Student": "Doe, Jane", "ID": "456", "Section": "A", "Grade": ""},
        {"Student": "Zhang, Li", "ID": "789", "Section": "A", "Grade": ""},
    ],
    ["Grade"],
)


@pytest.mark.parametrize(
    ("name", "owner"),
    [
        ("smithjohn_123_9876_ex4.py", 0),  # Canvas
        ("John Smith_123_assignsubmission_file", 0),  # Moodle
        ("doejane_LATE_1_2_ex4.ipynb", 1),
        ("456.py", 1),
        ("A.py", None),  # their section, which is nobody's alone
        ("4567.py", None),
    ],
)
def test_a_submission_is_found_in_a_roster(name, owner):
    record = GradeRecord({"submission": name, "verdict": AGREE, "points": 90.0})
    rows, strangers = matched(ROSTER, [record])
    assert [row["verdict"] for row in rows] == [AGREE if place == owner else "missing" for place in range(3)]
    assert strangers == ([] if owner is not None else [name])
    assert [row["Grade"] for row in rows] == [90.0 if place == owner else 0.0 for place in range(3)]


OF_CANVAS = """\
Student,ID,SIS Login ID,Section,Exercise 3 (110),Exercise 4 (111)
,,,,Manual Posting,
    Points Possible,,,,100,50
"Lovelace, Ada",17,ada,A,88,
"Possible, Pat",18,pat,A,,
"""


def test_points_go_to_the_column_that_is_named_and_rows_of_canvas_are_no_students(tmp_path):
    (tmp_path / "r.csv").write_text(OF_CANVAS)
    roster = read_roster(tmp_path / "r.csv", "Exercise 4 (111)")
    names = ("lovelaceada_17_9_ex4.py", "possiblepat_18_9_ex4.py")
    records = [GradeRecord({"submission": name, "verdict": AGREE, "points": 45.0}) for name in names]
    rows, strangers = matched(roster, records)
    assert (rows[:2], strangers) == (roster.rows[:2], [])
    assert [(row["Exercise 3 (110)"], row["Exercise 4 (111)"]) for row in rows[2:]] == [("88", 45.0), ("", 45.0)]
    with pytest.raises(
        ValueError, match=r"no column 'Exercise 4 \(11\)' among Student, .*did you mean 'Exercise 4 \(111\)'\?"
    ):
        read_roster(tmp_path / "r.csv", "Exercise 4 (11)")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "latin-1"])
def test_a_roster_is_read_as_spreadsheets_write_it(tmp_path, encoding):
    (tmp_path / "r.csv").write_text("Name;ID\nMüller;7\n", encoding=encoding)
    assert read_roster(tmp_path / "r.csv") == Roster(["Name", "ID"], [{"Name": "Müller", "ID": "7"}], [])


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("\n", "holds no roster"),
        ("name,id\n", "holds no roster"),
        ("name,id\n\0,1\n", "holds no roster"),
        ('name,id\n"Ada,1\n', "is damaged, or no CSV file"),
        (f"name,id\n{'Ada' * 50_000},1\n", "is damaged, or no CSV file"),
        ("name,name\nAda,Byron\n", "has two columns 'name'"),
    ],
)
def test_what_is_no_roster_is_refused(tmp_path, text, why):
    (tmp_path / "r.csv").write_text(text)
    with pytest.raises(ValueError, match=why):
        read_roster(tmp_path / "r.csv")


@pytest.mark.parametrize(
    ("before", "after", "is_refused"),
    [("90.0", "99.0", True), ("agree", "agre", True), ("\n", "\n", False), ("checksum", "", False)],
)
def test_a_table_of_grades_is_a_roster_unless_it_is_damaged(tmp_path, before, after, is_refused):
    rows = [{"submission": "ada.py", "verdict": AGREE, "points": 90.0}, {"submission": "bo.py", "points": 3}]
    (tmp_path / "r.csv").write_text(grades_csv(rows, ("submission", "verdict", "points")).replace(before, after))
    if is_refused:
        with pytest.raises(ValueError, match=r"r\.csv is damaged, or was changed: row 1"):
            read_roster(tmp_path / "r.csv")
    else:
        roster = read_roster(tmp_path / "r.csv")
        assert roster.columns == ["submission", "verdict", "points"]
        assert [row["points"] for row in roster.rows] == ["90.0", "3"]


def test_a_file_that_cannot_be_written_keeps_no_other_from_being_written(tmp_path):
    records = [GradeRecord({"submission": "a.py", "verdict": AGREE, "points": 1.0}, page="# a")]
    _, failures = write_outputs(records, {}, table=tmp_path / "no" / "g.csv", feedback=tmp_path)
    assert len(failures) == 1
    assert (tmp_path / "a.py.md").read_text() == "# a"


def test_remarks_name_copies_links_and_gradients_of_libraries(tmp_path):
    copied = COURSE.replace("    m = X", "    # mine\n    m = X")
    texts = {"a.py": COURSE, "b.py": copied, "c.py": course(("h - Y", "Y - h")), "d.py": "from harness import x\nx()\n"}
    texts["e.py"] = "import jax\ndef cost(theta, X, y, lam): pass\ngradient = jax.grad(cost)\n"
    texts["f.py"] = "import jax.numpy as jnp\ndef cost(theta, X, y, lam): return jnp.sum(theta)\n"
    texts["h.py"] = course(("y, lambda_):", "y, lambda_=1.0):"))  # another head of the same body
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "g.py").symlink_to("f.py")
    found = remarks_on(find_submissions(tmp_path))
    assert {name: [(fact.kind, *fact.where) for fact in facts] for name, facts in found.items()} == {
        "a.py": [(Kind.SAME_CODE, "b.py")],
        "b.py": [(Kind.SAME_CODE, "a.py")],
        "c.py": [],
        "d.py": [(Kind.LIBRARY_GRADIENT, "d.py")],
        "e.py": [(Kind.LIBRARY_GRADIENT, "e.py")],
        "f.py": [(Kind.SAME_CODE, "g.py")],
        "g.py": [(Kind.SAME_CODE, "f.py"), (Kind.LINKED_FILE, "g.py")],
        "h.py": [],
    }
    assert [found[name][0].data["functions"] for name in ("a.py", "f.py")] == [["nn_cost_function"], ["cost"]]
    assert [fact.data["library"] for fact in (*found["d.py"], *found["e.py"])] == ["harness", "jax.grad"]


@pytest.mark.more
def test_modules_and_data_of_the_teacher_are_found_and_a_place_is_named_by_its_file(tmp_path):
    needs = "from ex2.sigmoid import sigmoid as g\nDATA = np.loadtxt('X.txt')\n"
    text = "import numpy as np\n" + needs + course(("h = sigmoid(", "assert DATA.size\n    h = g("))
    for name, content in {
        "class/smith/nn.py": text,
        "with/ex2/sigmoid.py": "import numpy as np\ndef sigmoid(z): return 1 / (1 + np.exp(-z))",
        "data/X.txt": "1 2\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    found = []
    for given in ({}, {"data": tmp_path / "data"}, {"data": tmp_path / "data", "beside": tmp_path / "with"}):
        (record,), _ = grade_class(tmp_path / "class", GradingPlan(**given))
        found.append((record.verdict, *(fact["data"]["missing"] for fact in record.diagnosis)))
        assert all("nn.py" in place for fact in record.diagnosis for place in fact["where"])
    assert found == [(ERROR, "X.txt"), (ERROR, "sigmoid"), (AGREE,)]


def test_a_damaged_record_is_graded_again(tmp_path):
    path = tmp_path / "g.sqlite"
    record = GradeRecord({"submission": "smith", "verdict": "disagree"})
    with open_store(path) as store:
        store.add("digest", record)
        assert store.find("smith", "digest") == record
    raw = path.read_bytes()
    assert raw.count(b'"disagree"') == 1
    path.write_bytes(raw.replace(b'"disagree"', b'"disagref"'))
    with open_store(path) as store:
        assert store.find("smith", "digest") is None
