"""Tests of your own activation: the record alone, and inside random networks with every gradient source."""

import pytest

from harness.checks.activations.slope_answers import CLAIMED
from harness.checks.activations.slope_oracles import ORACLES
from harness.checks.networks.many_networks import mixed_with_others, needs_ordinary_problems, usable_sources
from harness.facts import message_table
from harness.sources.source_table import SOURCES


def test_the_record_is_right(report):
    if report.verdict != "agree":
        pytest.fail(str(report), pytrace=False)


@pytest.mark.parametrize("oracle", ORACLES)
def test_the_slope_agrees_with(oracle, report):
    if oracle in report.left_out:
        pytest.skip(f"the formula fails under {oracle}: {message_table.say(report.left_out[oracle])}")
    row = next(row for row in report.pairs if (row.first, row.second) == (CLAIMED, oracle))
    if row.verdict == "disagree":
        pytest.fail(
            f"the slope differs from {oracle} at {row.coordinates_at_odds} values of z\n{report}", pytrace=False
        )


@pytest.mark.parametrize("company", ["alone", "mixed with others"])
def test_inside_random_networks(company, activation, report, decidable_problem, cross_check):
    sources = usable_sources([report], SOURCES)
    among = [activation] if company == "alone" else mixed_with_others([activation])
    problem, theta = decidable_problem(among, sources, not needs_ordinary_problems(report), has=activation)
    cross_check(problem, theta, sources)
