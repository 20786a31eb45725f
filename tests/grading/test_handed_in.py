"""A class as it hands in: right homework gets all points, wrong homework its part and its bug, the rest a reason."""

from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from harness.facts import message_table
from harness.grading.grade import AGREE, ERROR, Grade, convention_names
from tests.grading.handed_in import ALL, RIGHT, UNGRADED, WRONG, write_class
from tests.grading.submissions import grade_folder, graded_here, in_short

QUICK_RIGHT = (
    "la.py", "last-is-zero.py", "extra.py", "network.py", "trainer.py", "micrograd.py", "outputs-first.py", "cached.py",
    "squared.py", "squared-whole.py", "learns.py", "learns-required.py",
)  # fmt: skip
QUICK_WRONG = ("extra-no-mean.py", "two-layer-net-reg.py")
"""Those of one file that are graded in a moment, in this process."""


def assert_wrong(grade: Grade, expected: str, bug: str) -> None:
    assert in_short(grade).startswith(f"disagree {expected} ")
    assert bug in " ".join(grade.bugs)
    assert grade.points < 100.0


@pytest.mark.parametrize("name", QUICK_RIGHT)
def test_right_homework_in_any_style_gets_all_points(name, tmp_path):
    text = RIGHT[name]
    assert isinstance(text, str)
    grade = graded_here(tmp_path, name, text)
    assert in_short(grade).endswith(" 100")
    assert (grade.verdict, grade.diagnosis) == (AGREE, ())


@pytest.mark.parametrize("name", QUICK_WRONG)
def test_wrong_homework_in_any_style_gets_its_part(name, tmp_path):
    text, expected, bug = WRONG[name]
    assert isinstance(text, str)
    assert_wrong(graded_here(tmp_path, name, text), expected, bug)


@pytest.fixture(scope="module")
def whole_class(tmp_path_factory) -> dict[str, Grade]:
    folder: Path = write_class(tmp_path_factory.mktemp("class"), ALL)
    return {grade.name: grade for grade in grade_folder(folder)}


@pytest.mark.more
def test_a_class_is_graded_as_handed_in(whole_class):
    assert whole_class.keys() == ALL.keys()
    unfair = {name for name in RIGHT if (whole_class[name].verdict, whole_class[name].points) != (AGREE, 100.0)}
    assert unfair == set()
    for name, (_, expected, bug) in WRONG.items():
        assert_wrong(whole_class[name], expected, bug)


@pytest.mark.more
def test_a_rubric_knows_every_convention_of_a_class(whole_class):
    conventions = {convention for grade in whole_class.values() for convention in grade.conventions}
    assert {name for name in conventions if not any(fnmatchcase(name, known) for known in convention_names())} == set()


@pytest.mark.more
def test_what_is_not_graded_has_a_reason_and_says_what_to_do(whole_class):
    for name, (_, kind) in UNGRADED.items():
        grade = whole_class[name]
        assert (grade.verdict, str(grade.diagnosis[0].kind)) == (ERROR, kind), name
        assert message_table.say(grade.diagnosis[0])
