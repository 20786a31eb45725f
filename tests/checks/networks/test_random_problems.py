"""Random problems: a seed decides them, every option occurs and as often as it should, and ranges are kept."""

from collections import Counter

import numpy as np
import pytest
from problem_features import ALL_FEATURES, features

from harness import ACTIVATIONS, Activation, random_problem
from harness.checks.networks.random_problems import (
    GRID,
    L2_VALUES,
    MAX_EXAMPLES,
    MAX_HIDDEN_LAYERS,
    Like,
)
from reference.network import OUTPUTS

DRAWS = 2000


@pytest.fixture(scope="module")
def draws():
    return [random_problem((5, seed)) for seed in range(DRAWS)]


def test_every_option_occurs(draws):
    assert set().union(*(features(*draw) for draw in draws)) == ALL_FEATURES


@pytest.mark.parametrize(
    ("what", "share"),
    [
        (lambda problem, theta: len(problem.network.hidden), 1 / (1 + MAX_HIDDEN_LAYERS)),
        (lambda problem, theta: problem.m, 1 / MAX_EXAMPLES),
        (lambda problem, theta: problem.network.output.name, 1 / len(OUTPUTS)),
        (lambda problem, theta: problem.l2, 1 / len(L2_VALUES)),
        (
            lambda problem, theta: problem.network.hidden[0].name if problem.network.hidden else None,
            0.8 / len(ACTIVATIONS),
        ),
        (lambda problem, theta: theta.any() or None, 0.8),
        (lambda problem, theta: None if theta.any() else 0, 0.2),
        (lambda problem, theta: None if np.abs(theta).max() <= 10.0 else "saturating", 0.2),
    ],
    ids=["depth", "examples", "output", "λ", "activation", "θ not zero", "θ zero", "θ saturating"],
)
def test_options_of_a_kind_occur_equally_often(draws, what, share):
    counts = Counter(what(*draw) for draw in draws)
    del counts[None]
    deviation = 5.0 * np.sqrt(DRAWS * share * (1.0 - share))
    assert counts
    for option, count in counts.items():
        assert abs(count - DRAWS * share) < deviation, option


def test_a_seed_decides_the_problem():
    (problem, theta), (again, theta_again) = random_problem(7), random_problem(7)
    assert repr(problem) == repr(again)
    for array, array_again in [(theta, theta_again), (problem.X, again.X), (problem.Y, again.Y)]:
        np.testing.assert_array_equal(array, array_again)


def test_other_seeds_make_other_problems():
    seeds = [*range(50), *((7, seed) for seed in range(1, 51))]  # NumPy takes 7 and (7, 0) for the same
    assert len({random_problem(seed, extremes=False)[1].tobytes() for seed in seeds}) == 100


def test_without_extremes_numbers_are_ordinary():
    largest = np.max(
        [[np.abs(problem.X).max(), np.abs(theta).max()] for seed in range(300) for problem, theta in [ordinary(seed)]],
        axis=0,
    )
    assert (largest <= [2.0, 1.0]).all()
    assert (largest > [1.9, 0.9]).all()
    assert all(ordinary(seed)[1].all() for seed in range(20))


def ordinary(seed):
    return random_problem((6, seed), extremes=False)


def test_numbers_lie_on_a_grid():
    problem, theta = ordinary(0)
    np.testing.assert_array_equal(theta * GRID, np.round(theta * GRID))
    np.testing.assert_array_equal(problem.X * GRID, np.round(problem.X * GRID))


def test_only_the_activations_and_outputs_asked_for():
    mine = Activation("mine", value=lambda xp, z: z, slope=lambda z, a: np.ones_like(z))
    drawn = [random_problem(seed, ["relu", mine], ["softmax"])[0].network for seed in range(50)]
    assert {f for network in drawn for f in network.hidden} == {ACTIVATIONS["relu"], mine}
    assert {network.output.name for network in drawn} == {"softmax"}


def test_newly_registered_activations_take_part(registry):
    registry["mine"] = Activation("mine", value=lambda xp, z: z, slope=lambda z, a: np.ones_like(z))
    assert any(registry["mine"] in random_problem(seed)[0].network.hidden for seed in range(100))


@pytest.mark.parametrize(
    ("keywords", "sentence"),
    [
        ({"activations": ["relu", "rellu"]}, "unknown activation 'rellu'; registered are identity"),
        ({"activations": []}, "no activations were given to draw from; registered are identity, sigmoid"),
        ({"outputs": ["logits"]}, "unknown output 'logits'; there are sigmoid, softmax, linear"),
        ({"outputs": []}, "no outputs were given to draw from; there are sigmoid, softmax, linear"),
    ],
)
def test_what_cannot_be_drawn_gets_one_clear_sentence(keywords, sentence):
    with pytest.raises(ValueError, match=sentence):
        random_problem(0, **keywords)


def test_a_network_that_no_memory_holds_is_refused_before_x_is_drawn():
    with pytest.raises(MemoryError):
        random_problem(0, like=Like(sizes=(10**7, 10**11)))
