"""Tests of your own gradient source on random networks: beside all other sources, beside each, and by itself."""

import numpy as np
import pytest

from harness.checks.networks.many_networks import check_networks
from harness.checks.networks.random_problems import random_problem
from harness.sources.source_table import SOURCES
from reference.measured import NotApplicable

YOURS = "yours"


def test_beside_all_sources(gradient_source, activations, extremes, other_sources, decidable_problem, cross_check):
    sources = {YOURS: gradient_source} | other_sources
    problem, theta = decidable_problem(activations, sources, extremes)
    cross_check(problem, theta, sources)


@pytest.mark.parametrize("other", SOURCES)
def test_beside(other, gradient_source, activations, extremes, other_sources, request):
    if other not in other_sources:
        pytest.skip(f"{other} cannot run these activations")
    networks, seed = request.config.option.gradient_networks, request.config.option.gradient_seed
    sources = {YOURS: gradient_source, other: other_sources[other]}
    summary = check_networks(networks, seed, activations, sources, extremes)
    # beside one source alone many networks may stay undecided, which says nothing against yours
    if summary.verdict == "disagree":
        pytest.fail(str(summary), pytrace=False)
    if not summary.counts["agree"]:
        pytest.skip(f"none of {summary.networks} networks can be decided with {other} alone")


def test_the_same_answer_twice(gradient_source, activations, network_seed):
    problem, theta = random_problem(network_seed, activations)
    (cost, gradient), (again, gradient_again) = (answer(gradient_source, problem, theta.copy()) for _ in range(2))
    np.testing.assert_array_equal((again, *gradient_again), (cost, *gradient))


def test_arguments_are_left_as_they_were(gradient_source, activations, network_seed):
    problem, theta = random_problem(network_seed, activations)
    before = {"X": problem.X.copy(), "Y": problem.Y.copy(), "θ": theta.copy()}
    answer(gradient_source, problem, theta)
    after = {"X": problem.X, "Y": problem.Y, "θ": theta}
    changed = [name for name in before if not np.array_equal(after[name], before[name])]
    if changed:
        pytest.fail(f"{', '.join(changed)} changed in place: take a copy before writing to it", pytrace=False)


def answer(gradient_source, problem, theta):
    try:
        return gradient_source(problem, theta)
    except NotApplicable as reason:
        pytest.skip(f"it does not take this network: {reason}")
