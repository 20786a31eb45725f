"""Gradient sources side by side on one problem: what agrees, what is caught, and what cannot be decided."""

import numpy as np
import pytest
from network_sources import PROBLEM, RIGHT, THETA, a_problem, beside_right_ones, changed, judged, off_at

from harness import ACTIVATIONS, SOURCES, Activation, Network, Problem, cross_check, random_problem
from harness.bounds.network_bound import rounding_bound
from harness.bounds.tolerances import DIRECTIONS
from harness.checks.networks.network_check import _directions, blocks_of
from harness.facts.fact import kinds_of
from harness.facts.kinds import Kind
from harness.sources.loop import cost_and_gradient as loop
from harness.sources.source_names import default_sources
from harness.sources.vectorized import cost_and_gradient as vectorized
from reference.measured import Measured, Oracle
from reference.namespaces import NUMPY
from reference.oracles import finite_difference

# Agree


def test_right_sources_agree():
    report = cross_check(PROBLEM, THETA)
    assert (report.verdict, report.outliers, report.findings, report.reasons) == ("agree", (), (), ())
    assert {row.name for row in report.sources} >= set(RIGHT)
    assert report.decided_share == 1.0
    assert 0.0 < report.margin < 0.5
    assert 0.0 < report.smallest_visible[0] <= report.smallest_visible[1] < 1e-12
    assert all(row.seconds is not None and row.seconds > 0.0 for row in report.sources)
    assert report.subject == {
        "sizes": [3, 5, 3],
        "hidden": ["tanh"],
        "output": "sigmoid",
        "examples": 5,
        "l2": 1.0,
        "parameters": 38,
    }


@pytest.mark.parametrize("sources", [["loop", "vectorized"], ["vectorized"], {"mine": loop}])
def test_one_author_or_one_source_is_not_enough(sources):
    report = cross_check(PROBLEM, THETA, sources)
    expected = Kind.ONE_FAMILY if len(report.sources) > 1 else Kind.NOTHING_TO_COMPARE
    assert (report.verdict, kinds_of(report.reasons), report.outliers) == ("inconclusive", (expected,), ())


# Disagree: errors in single coordinates


def one_of_each_block(network):
    return [int(block.indices[-1]) for block in blocks_of(network)]


@pytest.mark.parametrize("index", range(0, 6, 2))
def test_an_error_is_seen_beyond_the_sum_of_both_bounds_and_not_below(index):
    problem, theta = random_problem((11, index), extremes=False)
    B = rounding_bound(problem, theta).gradient
    for i in one_of_each_block(problem.network):
        spacing = np.spacing(abs(loop(problem, theta)[1][i]))  # the planted error itself is rounded to this
        for factor, verdict in ((-1.0, "disagree"), (1.0, "disagree"), (0.25, "agree"), (-0.25, "agree")):
            by = factor * (2.05 * B[i] + 2.0 * spacing) if verdict == "disagree" else 2.0 * factor * B[i]
            report = judged(problem, theta, {"mine": off_at(i, by), "loop": loop, "jax": SOURCES["jax"]})
            assert report.verdict == verdict, (i, factor, report)
            if verdict == "disagree":
                assert {finding.where for finding in report.findings} == {problem.network.label(i)}


@pytest.mark.parametrize(
    ("factor", "verdict"), [(-1.1, "disagree"), (1.1, "disagree"), (0.25, "agree"), (-0.25, "agree")]
)
def test_an_error_in_the_cost_is_seen_beyond_the_sum_of_both_bounds_and_not_below(factor, verdict):
    by = factor * 2.0 * rounding_bound(PROBLEM, THETA).cost
    mine = changed(lambda cost, gradient: (cost + by, gradient))
    assert judged(PROBLEM, THETA, {"mine": mine, "loop": loop, "jax": SOURCES["jax"]}).verdict == verdict


@pytest.mark.parametrize(("roundings", "error"), [(4.0, 0.0), (1.0, 3.0), (0.0, 4.0)])
def test_an_oracle_tells_its_own_error(roundings, error):
    """What it may be off by is so many bounds on rounding, and an error of its own."""
    B = rounding_bound(PROBLEM, THETA).gradient
    for bounds, verdict in ((4.5, "agree"), (5.5, "disagree")):

        def measure(problem, theta, bounds=bounds):
            cost, gradient = loop(problem, theta)
            return Measured(cost, gradient + bounds * B, error * B, roundings)

        assert judged(PROBLEM, THETA, {"oracle": Oracle(measure), "loop": loop}).verdict == verdict


WRONG_ANSWERS = {
    "sign": lambda cost, gradient: (cost, -gradient),
    "a tenth of a percent": lambda cost, gradient: (cost, 1.001 * gradient),
    "a part in 1e10": lambda cost, gradient: (cost, (1.0 + 1e-10) * gradient),
    "two entries swapped": lambda cost, gradient: (cost, gradient[[1, 0, *range(2, gradient.size)]]),
    "one NaN": lambda cost, gradient: (cost, np.where(np.arange(gradient.size) == 7, np.nan, gradient)),
    "NaN as cost": lambda cost, gradient: (np.nan, gradient),
    "float32 passed through": lambda cost, gradient: (cost, gradient.astype(np.float32).astype(np.float64)),
}


@pytest.mark.parametrize("change", WRONG_ANSWERS.values(), ids=list(WRONG_ANSWERS))
def test_a_wrong_answer_is_the_odd_one_out(change):
    report = judged(PROBLEM, THETA, beside_right_ones(changed(change)))
    assert (report.verdict, report.outliers) == ("disagree", ("mine",))
    assert [finding.source for finding in report.findings] == ["mine"]


@pytest.mark.parametrize("wrong", [*((name,) for name in RIGHT), ("loop", "vectorized")])
def test_any_source_may_be_wrong_and_two_of_one_author_do_not_outvote_the_others(wrong):
    tampered = changed(WRONG_ANSWERS["a tenth of a percent"], SOURCES[wrong[0]])  # one function is one author
    report = judged(PROBLEM, THETA, {name: SOURCES[name] for name in RIGHT} | dict.fromkeys(wrong, tampered))
    assert (report.verdict, report.outliers) == ("disagree", wrong)


def test_a_bug_that_everybody_shares_is_caught_end_to_end():
    """The differences per pre-activation take ∂z/∂W = a for granted; an error there is everybody's error."""

    def too_large(cost, gradient):
        PROBLEM.network.unpack(gradient)[0][:, 1:] *= 1.0 + 1e-8
        return cost, gradient

    def measured(problem, theta):
        answer = finite_difference.gradient(problem, theta)
        return answer._replace(gradient=too_large(0.0, answer.gradient)[1])

    shared = {name: changed(too_large, SOURCES[name]) for name in ("loop", "vectorized", "jax")}
    report = judged(PROBLEM, THETA, shared | {"finite-difference": Oracle(measured)})
    assert all(row.verdict == "agree" for row in report.pairs)
    assert report.verdict == "disagree"
    assert [finding.what for finding in report.findings] == ["end to end"]


def test_directions_miss_neither_opposite_errors_nor_a_layer():
    """Signs that differ, sizes that differ, and one direction that is confined to each layer."""
    network = Network((3, 5, 4, 2))
    directions = _directions(network)
    layers = [set(numbers.ravel()) for numbers in network.unpack(np.arange(network.size))]
    assert [set(np.flatnonzero(v)) for v in directions[DIRECTIONS:]] == layers
    assert directions[:DIRECTIONS].all()
    for v in directions:
        sizes = np.abs(v[v != 0.0])
        assert 0.5 <= sizes.min() < sizes.max() <= 1.5
        assert len(np.unique(sizes)) == len(sizes)
        assert (v > 0.0).any()
        assert (v < 0.0).any()


# What cannot be decided here


@pytest.mark.parametrize("hidden", ["relu", "hard_tanh", "softplus"])
def test_bias_free_first_layers_and_all_zeros_never_disagree(hidden):
    problem = a_problem(hidden)
    assert cross_check(problem, np.zeros(problem.network.size), RIGHT).verdict != "disagree"


@pytest.mark.parametrize(
    ("problem", "theta", "hidden"),
    [
        (a_problem(l2=0.0), THETA, ["no-regulariser"]),
        (PROBLEM, np.zeros_like(THETA), ["zero-weights"]),
        (a_problem(m=1), THETA, ["single-example"]),
        (
            a_problem(l2=0.0, m=1),
            np.zeros_like(THETA),
            ["no-regulariser", "zero-weights", "single-example"],
        ),
        (
            PROBLEM,
            np.where(np.isin(np.arange(38), one_of_each_block(PROBLEM.network)[::2]), 1.0, 0.0),
            ["zero-weights"],
        ),
        (PROBLEM, THETA, []),
    ],
    ids=["λ", "θ", "m", "all of them", "θ except biases", "none"],
)
def test_kinds_of_bug_that_could_not_have_shown_are_reported(problem, theta, hidden):
    report = cross_check(problem, theta, RIGHT)
    assert [fact.data["because"] for fact in report.blind_to if fact.kind == Kind.HIDDEN_BUGS] == hidden
    assert len(report.blind_to) == len(hidden)


SATURATED = {
    "derivatives of zero, whose bound is large": (1, 11),
    "bounds of a thousandth of the derivative": (1, 53),
    "no difference of the cost can be told from rounding": (1, 60),
}


@pytest.mark.parametrize("seed", SATURATED.values(), ids=list(SATURATED))
def test_where_rounding_might_do_much_balls_show_that_it_did_not(seed):
    problem, theta = random_problem(seed)
    named = cross_check(problem, theta, default_sources(problem))
    report = cross_check(problem, theta)
    assert (named.verdict, report.verdict) == ("inconclusive", "agree")
    assert "ball" in {row.name for row in report.sources}


SWISH_BY_EXP = Activation(
    "swish by exp", lambda xp, z: z / (1.0 + xp.exp(-z)), lambda z, a: a + (1.0 - a) / (1.0 + np.exp(-z))
)  # exp overflows from z = -710 on, where its bound and JAX's derivative do, though not value and slope


@pytest.mark.parametrize("seed", [(0, 1), (0, 5)])
def test_sums_along_directions_are_rounded_even_of_a_gradient_that_is_exact(seed):
    problem, theta = random_problem(seed, [SWISH_BY_EXP])
    with np.errstate(all="ignore"):
        report = cross_check(problem, theta, ["vectorized", "ball"])
    assert report.verdict == "agree"


def test_balls_are_not_asked_where_nobody_can_be_agreed_with():
    problem, theta = random_problem((0, 1), [SWISH_BY_EXP])
    with np.errstate(all="ignore"):
        report = cross_check(problem, theta)
    assert report.verdict == "inconclusive"
    assert "jax" in [fact.data["source"] for fact in report.reasons if fact.kind == Kind.NOT_FINITE]
    assert "ball" not in {row.name for row in report.sources}


def test_numbers_too_large_for_any_bound_are_inconclusive():
    problem = Problem(PROBLEM.network, 1e200 * PROBLEM.X, PROBLEM.Y, 1.0)
    with np.errstate(all="ignore"):  # the sources themselves overflow
        report = cross_check(problem, 1e200 * THETA, RIGHT)
    assert report.verdict == "inconclusive"


def refused(xp, z):
    if xp is NUMPY and not isinstance(z, np.ndarray):
        raise NotImplementedError("...")
    return z**3


@pytest.mark.parametrize("value", [lambda xp, z: xp.nan_to_num(z) ** 3, refused], ids=["no rule", "no words"])
def test_a_bound_that_is_sampled_is_noted(value):
    f = Activation("tidy cube", value, lambda z, a: 3.0 * z * z)
    problem = Problem(Network((2, 2, 2), f), [[1.0, 2.0], [2.0, 1.0]], [0, 1], l2=1.0)
    report = cross_check(problem, np.linspace(0.3, 1.0, problem.network.size))
    assert report.verdict == "agree"
    assert ("tidy cube",) in [fact.where for fact in report.notes if fact.kind == Kind.SAMPLED_ROUNDING]


# Other verdicts


def masked_step(z, a):
    s = np.ones_like(z)
    s[z <= 0] = 0.0
    return s


def test_a_slope_by_mask_is_checked_though_error_arithmetic_has_no_masks():
    f = Activation("masked relu", ACTIVATIONS["relu"].value, masked_step, kinks=(0.0,))
    problem = a_problem(f)
    assert cross_check(problem, problem.network.init(1)).verdict == "agree"


def test_an_oracle_without_rounding_meets_an_infinite_bound_without_a_warning():
    network = Network((1, 1, 1), "relu")  # all at the kink, where the bound is as wide as the jump
    problem = Problem(network, [[1e200]], [0], 0.0)
    assert cross_check(problem, np.array([0.0, 1e200, 0.0, 1.0]), ["loop", "jax", "ball"]).verdict == "inconclusive"


@pytest.mark.parametrize(
    ("off_by", "where"),
    [((0.0, 1e-3), "the derivative along direction"), ((0.1, 0.0), "cost")],
    ids=["gradient", "cost"],
)
def test_a_single_source_that_the_cost_contradicts_is_named(off_by, where):
    problem = random_problem((0, 3), extremes=False)[0]
    theta = problem.network.init(seed=0)

    def mine(problem, theta):
        cost, gradient = SOURCES["loop"](problem, theta)
        return cost + off_by[0], gradient + off_by[1]

    report = cross_check(problem, theta, {"mine": mine})
    (finding,) = report.findings
    assert (report.verdict, report.outliers, report.tie) == ("disagree", ("mine",), False)
    assert finding.where.startswith(where)
    assert 0.0 < abs(finding.value - finding.expected) == pytest.approx(finding.ratio * finding.bound)


def test_a_difference_that_overflows_accuses_nobody():
    problem = Problem(Network([1, 1], [], "linear"), [[1.0], [0.0], [0.0]], [[0.5], [0.25], [1.0]], l2=1e308)
    report = cross_check(problem, np.array([8.0, -4.0]), ["loop", "finite-difference"])
    assert (report.verdict, report.outliers) == ("inconclusive", ())


# Surrogates

SPIKE = Activation(
    "spike",
    lambda xp, z: xp.where(z > 0.0, 1.0, 0.0 * z),
    lambda z, a: 1.0 / np.square(1.0 + np.abs(z)),
    surrogate=True,
)


def test_a_surrogate_is_not_held_against_the_derivative_of_its_network():
    report = cross_check(a_problem(SPIKE), THETA)
    assert (report.verdict, report.outliers) == ("inconclusive", ())
    assert {row.name for row in report.sources} == {"loop", "vectorized"}
    assert (report.left_out["jax"].kind, report.left_out["jax"].where) == (Kind.SURROGATE, ("spike",))


@pytest.mark.parametrize(("source", "verdict"), [(vectorized, "agree"), (off_at(3, 1e-6), "disagree")])
def test_one_of_ones_own_is_held_against_the_others_through_a_surrogate(source, verdict):
    sources = {"mine": lambda problem, theta: source(problem, theta)} | {
        name: SOURCES[name] for name in ("loop", "jax")
    }
    report = cross_check(a_problem(SPIKE), THETA, sources)
    assert (report.verdict, "jax" in report.left_out) == (verdict, True)
