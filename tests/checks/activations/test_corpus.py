"""The corpus of the study: no right record is called wrong, and no wrong one passes."""

import pytest

from harness.checks.activations.checking import check_activation
from harness.checks.activations.subject import CLAIMED
from harness.study.activations.right import RIGHT
from harness.study.activations.wrong import WRONG


@pytest.mark.parametrize("f", RIGHT.values(), ids=list(RIGHT))
def test_a_right_record_agrees(f):
    report = check_activation(f)
    assert report.verdict == "agree", f"\n{report}"


@pytest.mark.parametrize("f", WRONG.values(), ids=list(WRONG))
def test_a_wrong_record_is_accused(f):
    report = check_activation(f)
    assert (report.verdict, CLAIMED in report.outliers) == ("disagree", True), f"\n{report}"
    assert all(finding.blocks and finding.coordinates for finding in report.findings)


def test_there_are_enough_of_both():
    assert len(RIGHT) >= 60
    assert len(WRONG) >= 60
