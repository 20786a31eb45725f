"""The corpus of the study: no right record is called wrong, and no wrong one passes.

A third of it by default, all of it in the deep profile and in `harness study --activations`.
"""

import os

import pytest
from activation_records import checked

from harness.checks.activations.activation_subject import CLAIMED
from harness.study.right_activations import RIGHT
from harness.study.wrong_activations import WRONG

STEP = 1 if os.environ.get("HARNESS_PROFILE") == "deep" else 3


@pytest.mark.parametrize("name", list(RIGHT)[::STEP])
def test_a_right_record_agrees(name):
    report = checked(RIGHT[name])
    assert report.verdict == "agree", f"\n{report}"


@pytest.mark.parametrize("name", list(WRONG)[::STEP])
def test_a_wrong_record_is_accused(name):
    report = checked(WRONG[name])
    assert (report.verdict, CLAIMED in report.outliers) == ("disagree", True), f"\n{report}"
    assert all(finding.blocks and finding.coordinates for finding in report.findings)


def test_there_are_enough_of_both():
    assert len(RIGHT) >= 60
    assert len(WRONG) >= 60
