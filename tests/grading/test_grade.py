"""Rubrics: points for parts, conventions that count as bugs, and files that are refused."""

import pytest

from harness.grading.grade import POINTS, Rubric, read_rubric


def test_helpers_that_are_not_there_are_not_counted():
    rubric = Rubric()
    whole = {"cost": 1.0, "gradient": 0.0, "regularised": 1.0}
    assert rubric.points_for(whole | {"sigmoid_gradient": 1.0, "other": 1.0}) == 60.0
    assert rubric.points_for(whole | {"sigmoid_gradient": None, "other": None}) == round(100 * 50 / 90, 2)
    assert rubric.points_for(dict.fromkeys(POINTS, 1.0)) == rubric.total == 100.0


def test_a_rubric_is_read(tmp_path):
    path = tmp_path / "rubric.toml"
    path.write_text('[points]\ngradient = 80\nother = 0\n[conventions]\n"labels from 0" = "bug"\n')
    rubric = read_rubric(path)
    assert rubric.points == POINTS | {"gradient": 80.0, "other": 0.0}
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
def test_a_rubric_with_anything_else_is_refused(tmp_path, text, message):
    path = tmp_path / "rubric.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_rubric(path)


def test_a_rubric_that_is_missing_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none.toml is not an existing file; expected a rubric"):
        read_rubric(tmp_path / "none.toml")
