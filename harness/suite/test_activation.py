"""Tests of an activation of your own: the record alone, and inside random networks with every gradient source."""

import numpy as np
import pytest

from harness.checks.activations import mixed_with_others, usable_sources
from harness.checks.activations.slopes import ORACLES
from harness.sources.table import SOURCES
from harness.suite.subjects import decidable_problem


def test_the_record_is_right(report):
    if report.verdict != "agree":
        pytest.fail(str(report), pytrace=False)


@pytest.mark.parametrize("oracle", ORACLES)
def test_the_slope_agrees_with(oracle, report):
    if oracle in report.left_out:
        pytest.skip(f"the formula fails under {oracle}: {report.left_out[oracle]}")
    row = next(row for row in report.oracles if row.name == oracle)
    if row.verdict == "disagree":
        pytest.fail(f"{row.points_at_odds} values of z are at odds with {oracle}\n{report}", pytrace=False)


@pytest.mark.parametrize("company", ["alone", "mixed with others"])
def test_inside_random_networks(company, activation, report, network_seed, cross_check):
    sources = usable_sources([report], SOURCES)
    among = [activation] if company == "alone" else mixed_with_others([activation])
    problem, theta = decidable_problem(
        network_seed, among, sources, has=activation, extremes=not report.needs_plain_differences
    )
    with np.errstate(all="ignore"):
        cross_check(problem, theta, sources)
