"""The corpus of the study: no right record is called wrong, and no wrong one passes."""

import pytest
from activation_records import checked

from harness.checks.activations.slope_answers import CLAIMED
from harness.study.right_activations import RIGHT
from harness.study.wrong_activations import WRONG

EVERY = 12
"""One record of so many is checked by `make test`, and all others by `make test-more`."""


def names(records):
    return [pytest.param(name, marks=[pytest.mark.more] if i % EVERY else []) for i, name in enumerate(records)]


@pytest.mark.parametrize("name", names(RIGHT))
def test_a_right_record_agrees(name):
    report = checked(RIGHT[name])
    assert report.verdict == "agree", f"\n{report}"


@pytest.mark.parametrize("name", names(WRONG))
def test_a_wrong_record_is_accused(name):
    report = checked(WRONG[name])
    assert (report.verdict, CLAIMED in report.outliers) == ("disagree", True), f"\n{report}"
    assert all(finding.blocks and finding.coordinates for finding in report.findings)
