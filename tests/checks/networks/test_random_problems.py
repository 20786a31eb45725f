"""Random problems: a seed decides them, every option occurs and as often as it should, and ranges are kept."""

import math
from collections import Counter

import numpy as np
import pytest
from problem_features import ALL_FEATURES, features

from harness import ACTIVATIONS, Activation, check_activation, random_problem
from harness.checks.networks.random_problems import (
    GRID,
    L2_VALUES,
    MAX_EXAMPLES,
    MAX_HIDDEN_LAYERS,
    Like,
    mixed_with_others,
    needs_ordinary_problems,
    register_checked,
    usable_sources,
)
from harness.facts.fact import kinds_of
from harness.facts.kinds import Kind
from harness.sources.source_table import SOURCES
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


# Networks with an activation that was checked by itself

MATH = Activation("of math", lambda xp, z: np.vectorize(math.tanh, otypes=[float])(z), lambda z, a: 1.0 - a * a)
TANH = ACTIVATIONS["tanh"]


def tanh_named(name):
    return Activation(name, lambda xp, z: xp.tanh(z), lambda z, a: 1.0 - np.square(a))


def test_plain_differences_say_that_they_are():
    report = check_activation(MATH)
    _, row = report.sources
    assert row.name == "finite-difference"
    assert kinds_of(row.notes) == (Kind.PLAIN_DIFFERENCES,)
    assert needs_ordinary_problems(report)
    assert not needs_ordinary_problems(check_activation(TANH))


@pytest.mark.parametrize(
    ("value", "slope", "is_needed"),
    [
        (lambda xp, z: xp.log(1.0 + xp.exp(z)), lambda z, a: 0.5 + 0.5 * np.tanh(0.5 * z), True),
        # JAX's slope alone is NaN, by the branch that `where` drops
        (lambda xp, z: xp.where(z > 0.0, z, xp.exp(z) - 1.0), lambda z, a: np.exp(np.minimum(z, 0.0)), True),
        # the slope is not finite at numbers next to 0 alone, which no unit is
        (
            lambda xp, z: xp.where(z == 0, 1.0, xp.sin(z) / xp.where(z == 0, 1.0, z)),
            lambda z, a: np.where(z == 0, 0.0, (np.cos(z) - a) / np.where(z == 0, 1.0, z)),
            False,
        ),
    ],
    ids=["a value", "a slope of JAX", "near 0"],
)
def test_a_formula_that_overflows_is_checked_in_ordinary_networks(value, slope, is_needed):
    assert needs_ordinary_problems(check_activation(Activation("of one's own", value, slope))) == is_needed


def test_networks_leave_out_jax_where_the_formula_does_not_run(registry):
    report, fine = check_activation(MATH), check_activation(TANH)
    register_checked(MATH, report)
    assert MATH.name not in registry
    assert set(usable_sources([fine, report]) or ()) == set(SOURCES) - {"jax", "jax-forward"}
    assert usable_sources([report], {"jax": SOURCES["jax"], "mine": SOURCES["loop"]}) == {"mine": SOURCES["loop"]}
    assert usable_sources([fine]) is None


def test_a_formula_that_jax_runs_is_registered(registry):
    f = tanh_named("squared")
    register_checked(f, check_activation(f))
    assert registry["squared"] is f


def test_a_record_named_like_another_is_registered_under_a_name_of_its_own(registry):
    f = tanh_named("tanh")
    used = register_checked(f, check_activation(f))
    assert (used.name, used.value, used.slope) == ("tanh of yours", f.value, f.slope)
    assert registry["tanh of yours"] is used
    assert registry["tanh"] is TANH


def test_mixed_with_others_half_of_the_draws_are_ones_own():
    f = tanh_named("tanh of mine")
    among = mixed_with_others([f])
    assert among.count(f) == len(among) / 2
    assert set(among) == {f, *ACTIVATIONS.values()}
