"""Rubrics: points for parts, conventions that count as bugs, and files that are refused."""

import re
from pathlib import Path

import pytest

from harness.grading.grade import (
    NO_PARTS,
    POINTS,
    Part,
    Rubric,
    convention_names,
    judge_helpers,
    read_rubric,
    verdict_of,
)

RIGHT, WRONG, ABSENT = Part("right", 1.0), Part("wrong"), Part()


@pytest.mark.parametrize(
    ("changed", "verdict", "points"),
    [
        ({}, "agree", 100.0),
        ({"gradient": WRONG}, "disagree", 60.0),
        ({"other": WRONG}, "disagree", 95.0),  # a part that is wrong is never "agree" in sum
        ({"other": Part("wrong", 0.5)}, "disagree", 97.5),
        ({"cost": ABSENT}, "inconclusive", 70.0),
        ({"cost": ABSENT, "other": WRONG}, "disagree", 65.0),
        ({"cost": ABSENT._replace(counts=False)}, "agree", 100.0),
        ({"gradient": WRONG, "sigmoid_gradient": Part(share=1.0), "other": Part(share=1.0)}, "disagree", 60.0),
    ],
)
def test_parts_come_to_a_verdict_and_points(changed, verdict, points):
    parts = dict.fromkeys(NO_PARTS, RIGHT) | changed
    assert (verdict_of(parts, has_failures=False), Rubric().points_for(parts)) == (verdict, points)
    assert verdict_of(parts, has_failures=True) == "disagree"


@pytest.mark.parametrize(("gradient", "share"), [(RIGHT, 1.0), (WRONG, 0.0)])
def test_a_helper_that_is_not_there_has_its_points_beside_a_right_part(gradient, share):
    answered = {"cost": WRONG, "gradient": gradient}
    assert judge_helpers({}, answered) == dict.fromkeys(("sigmoid_gradient", "other"), Part("absent", share))


def test_a_rubric_is_read(tmp_path):
    path = tmp_path / "rubric.toml"
    refused = '"labels from 0" = "bug"\n"* as a constant of the file" = "bug"'
    path.write_text(f"[points]\ngradient = 80\nother = 0\n[conventions]\n{refused}\n")
    rubric = read_rubric(path)
    assert rubric.points == POINTS | {"gradient": 80.0, "other": 0.0}
    conventions = ["labels from 0", "X with a column of ones", "LAMBDA as a constant of the file"]
    assert rubric.refused(conventions) == conventions[::2]


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
        (
            '[conventions]\n"labels of 0" = "bug"',
            "names the convention 'labels of 0', which there is not; did you mean 'labels",
        ),
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


def test_the_guide_has_every_convention_by_its_name():
    guide = (Path(__file__).parents[2] / "docs" / "teachers.md").read_text()
    table = guide.partition("| in what | conventions |")[2].partition("\n\n")[0]
    assert sorted(re.findall("`(.+?)`", table)) == sorted(convention_names())
