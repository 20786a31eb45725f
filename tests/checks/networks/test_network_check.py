"""Gradient sources side by side on one problem: what agrees, what is caught, and what cannot be decided."""

import sys
from functools import partial
from typing import Any

import numpy as np
import pytest

from harness import ACTIVATIONS, FAULTS, SOURCES, Activation, Network, Problem, cross_check, random_problem
from harness.bounds.network_bound import rounding_bound
from harness.bounds.tolerances import DIRECTIONS
from harness.checks.networks.network_check import _directions, check
from harness.checks.networks.network_subject import blocks_of
from harness.facts.fact import kinds_of
from harness.facts.kinds import Kind
from harness.sources.loop import cost_and_gradient as loop
from harness.sources.source_names import default_sources
from harness.sources.vectorized import cost_and_gradient as vectorized
from reference.measured import Measured, NotApplicable, Oracle
from reference.oracles import finite_difference

RIGHT = ("loop", "vectorized", "jax", "finite-difference")

judged = partial(check, explained=False)
"""`cross_check` without the search for bugs, which takes longer than the verdict (test_bug_explanations.py)."""


def a_problem(hidden: Any = "tanh", l2=1.0, m=5, output="sigmoid", sizes=(3, 5, 3)):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((m, sizes[0]))
    y = rng.integers(sizes[-1], size=m) if sizes[-1] > 1 else rng.integers(2, size=(m, 1))
    return Problem(Network(sizes, hidden, output), X, y, l2)


PROBLEM = a_problem()
THETA = PROBLEM.network.init(1, epsilon=0.8)


def changed(change, source=loop):
    """A source whose (cost, gradient) goes through ``change(cost, gradient)``."""

    def answer(problem, theta):
        return change(*source(problem, theta))

    return answer


def off_at(i, by):
    def shift(cost, gradient):
        gradient[i] += by
        return cost, gradient

    return changed(shift)


def beside_right_ones(source, name="mine"):
    return {name: source} | {right: SOURCES[right] for right in RIGHT}


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


def test_right_sources_agree_or_are_undecided_on_random_problems():
    verdicts = [cross_check(*random_problem((5, index)), RIGHT).verdict for index in range(60)]
    assert "disagree" not in verdicts
    assert verdicts.count("agree") > 45


@pytest.mark.parametrize(
    "sources", [["loop", "jax"], ("jax", "loop"), iter(["loop", "jax"])], ids=["list", "tuple", "iter"]
)
def test_sources_go_by_their_names(sources):
    report = cross_check(PROBLEM, THETA, sources)
    assert sorted(row.name for row in report.sources) == ["jax", "loop"]
    assert report.verdict == "agree"


def test_the_same_question_gets_the_same_answer():
    first, second = (cross_check(PROBLEM, THETA, RIGHT).to_dict() for _ in range(2))
    for document in (first, second):
        document.pop("seconds")
        for row in document["sources"]:
            row.pop("seconds")
    assert first == second


@pytest.mark.parametrize("sources", [["loop", "vectorized"], ["vectorized"], {"mine": loop}])
def test_one_author_or_one_source_is_not_enough(sources):
    report = cross_check(PROBLEM, THETA, sources)
    expected = Kind.ONE_FAMILY if len(report.sources) > 1 else Kind.NOTHING_TO_COMPARE
    assert (report.verdict, kinds_of(report.reasons), report.outliers) == ("inconclusive", (expected,), ())


# Disagree: errors in single coordinates


def one_of_each_block(network):
    return [int(block.indices[-1]) for block in blocks_of(network)]


@pytest.mark.parametrize("index", range(6))
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


@pytest.mark.parametrize("i", one_of_each_block(PROBLEM.network))
def test_the_finding_names_source_place_values_and_bound(i):
    report = cross_check(PROBLEM, THETA, beside_right_ones(off_at(i, 1e-7)))
    assert (report.verdict, report.outliers) == ("disagree", ("mine",))
    (finding,) = report.findings
    right = loop(PROBLEM, THETA)[1][i]
    assert (finding.source, finding.what, finding.where) == ("mine", "gradient", PROBLEM.network.label(i))
    assert finding.against in RIGHT
    assert finding.value == right + 1e-7
    assert finding.expected == pytest.approx(right, rel=0.0, abs=1e-14)
    assert finding.bound == pytest.approx(2.0 * rounding_bound(PROBLEM, THETA).gradient[i], rel=0.5)
    assert finding.coordinates == 1
    assert len(finding.blocks) == 1


WRONG_ANSWERS = {
    "sign": lambda cost, gradient: (cost, -gradient),
    "zero": lambda cost, gradient: (cost, np.zeros_like(gradient)),
    "a tenth of a percent": lambda cost, gradient: (cost, 1.001 * gradient),
    "a part in 1e10": lambda cost, gradient: (cost, (1.0 + 1e-10) * gradient),
    "two entries swapped": lambda cost, gradient: (cost, gradient[[1, 0, *range(2, gradient.size)]]),
    "NaN everywhere": lambda cost, gradient: (cost, np.full_like(gradient, np.nan)),
    "one NaN": lambda cost, gradient: (cost, np.where(np.arange(gradient.size) == 7, np.nan, gradient)),
    "one Inf": lambda cost, gradient: (cost, np.where(np.arange(gradient.size) == 7, np.inf, gradient)),
    "NaN as cost": lambda cost, gradient: (np.nan, gradient),
    "Inf as cost": lambda cost, gradient: (-np.inf, gradient),
    "float32 passed through": lambda cost, gradient: (cost, gradient.astype(np.float32).astype(np.float64)),
    "integers": lambda cost, gradient: (cost, gradient.astype(int)),
}


@pytest.mark.parametrize("change", WRONG_ANSWERS.values(), ids=list(WRONG_ANSWERS))
def test_a_wrong_answer_is_the_odd_one_out(change):
    report = judged(PROBLEM, THETA, beside_right_ones(changed(change)))
    assert (report.verdict, report.outliers) == ("disagree", ("mine",))
    assert [finding.source for finding in report.findings] == ["mine"]


@pytest.mark.parametrize("wrong", RIGHT)
def test_any_source_may_be_the_wrong_one(wrong):
    sources: dict[str, Any] = {name: SOURCES[name] for name in RIGHT}
    sources[wrong] = changed(WRONG_ANSWERS["a tenth of a percent"], sources[wrong])
    report = judged(PROBLEM, THETA, sources)
    assert (report.verdict, report.outliers) == ("disagree", (wrong,))


def test_a_bug_of_both_hands_does_not_outvote_the_others():
    wrong = changed(WRONG_ANSWERS["a tenth of a percent"])
    report = judged(PROBLEM, THETA, beside_right_ones(wrong, "loop") | {"vectorized": wrong, "loop": wrong})
    assert (report.verdict, report.outliers) == ("disagree", ("loop", "vectorized"))


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


def test_end_to_end_directions_stand_in_for_a_second_source():
    report = judged(PROBLEM, THETA, {"mine": changed(WRONG_ANSWERS["a part in 1e10"])})
    assert report.verdict == "disagree"
    assert report.findings[0].what == "end to end"


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


# Disagree: the cost, and misconduct


@pytest.mark.parametrize("by", [1e-12, -0.1])
def test_the_right_gradient_of_the_wrong_cost_is_caught_at_the_cost(by):
    report = cross_check(PROBLEM, THETA, beside_right_ones(changed(lambda cost, gradient: (cost + by, gradient))))
    assert (report.verdict, report.outliers) == ("disagree", ("mine",))
    (finding,) = report.findings
    assert (finding.what, finding.where) == ("cost", "cost")
    assert finding.value - finding.expected == pytest.approx(by, rel=1e-3)


def test_a_wrong_cost_is_shown_rather_than_the_gradient_that_goes_with_it():
    shifted = Problem(PROBLEM.network, PROBLEM.X, np.roll(PROBLEM.Y, 1, axis=1), PROBLEM.l2)
    report = cross_check(PROBLEM, THETA, beside_right_ones(lambda problem, theta: loop(shifted, theta)))
    assert [finding.what for finding in report.findings] == ["cost"]


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_a_source_that_changes_theta_in_place_is_named(value):
    def mutating(problem, theta):
        answer = loop(problem, theta)
        theta[3] = value
        return answer

    before = THETA.copy()
    report = cross_check(PROBLEM, THETA, beside_right_ones(mutating))
    assert (report.verdict, report.outliers) == ("disagree", ("mine",))
    assert ("mine",) in [fact.where for fact in report.reasons if fact.kind == Kind.ARGUMENT_CHANGED]
    np.testing.assert_array_equal(THETA, before)  # it was given a copy, and so were the others


@pytest.mark.parametrize("array", ["X", "Y"])
def test_a_source_cannot_change_the_problem(array):
    def mutating(problem, theta):
        getattr(problem, array)[0, 0] = 7.0
        return loop(problem, theta)

    with pytest.raises(ValueError, match="read-only"):
        cross_check(PROBLEM, THETA, beside_right_ones(mutating))


# Float32


def in_float32(problem, theta):
    return vectorized(problem, theta.astype(np.float32))


@pytest.mark.parametrize("hidden", ["sigmoid", "relu", "softplus", "gelu"])
@pytest.mark.parametrize("output", ["sigmoid", "softmax", "linear"])
def test_a_float32_gradient_is_judged_by_its_own_unit_roundoff(hidden, output):
    problem = a_problem(hidden, output=output)
    theta = problem.network.init(2, epsilon=0.5)
    assert in_float32(problem, theta)[1].dtype == np.float32
    report = cross_check(problem, theta, {"mine": in_float32, "loop": loop, "jax": SOURCES["jax"]})
    assert report.verdict == "agree", report
    rows = {frozenset((row.first, row.second)): row for row in report.pairs}
    assert rows[frozenset(("mine", "jax"))].difference > 1e-9  # it is in float32


@pytest.mark.parametrize("factor", [1.0001, 0.999, -1.0])
def test_an_error_in_float32_is_caught(factor):
    wrong = changed(lambda cost, gradient: (cost, np.float32(factor) * gradient), in_float32)
    report = judged(PROBLEM, THETA, beside_right_ones(wrong))
    assert (report.verdict, report.outliers) == ("disagree", ("mine",))


def test_a_float32_source_does_not_make_the_others_less_sharp():
    sources = beside_right_ones(in_float32) | {"loop": off_at(4, 1e-12)}
    assert judged(PROBLEM, THETA, sources).outliers == ("loop",)


# What cannot be decided here


KINKED = [f for f in ACTIVATIONS.values() if f.kinks]


def on_the_kink(f, kink):
    """Every hidden unit exactly on a kink: no weights, and the kink as its bias."""
    problem = a_problem(f)
    theta = problem.network.init(3, epsilon=0.8)
    first = problem.network.unpack(theta)[0]
    first[:, 1:] = 0.0
    first[:, 0] = kink
    return problem, theta


def with_slope_of_side(f, step):
    """The same activation with the slope that it has beside the kink."""
    return Activation("other side", f.value, lambda z, a: f.slope(z + step, f(z + step)), kinks=f.kinks)


@pytest.mark.parametrize(("f", "kink"), [(f, kink) for f in KINKED for kink in f.kinks], ids=str)
def test_on_a_kink_nothing_is_wrong_and_nothing_is_right(f, kink):
    problem, theta = on_the_kink(f, kink)
    report = cross_check(problem, theta, RIGHT)
    assert report.verdict == "inconclusive"
    assert report.decided_share < 0.98
    assert Kind.UNITS_AT_KINK in kinds_of(report.reasons)
    for step in (-1e-3, 1e-3):  # conventions differ, and either may be somebody's
        other = Network(problem.network.sizes, with_slope_of_side(f, step))
        mine = beside_right_ones(lambda problem, theta, other=other: loop(on(other, problem), theta))
        assert cross_check(problem, theta, mine).verdict == "inconclusive"


def on(network, problem):
    return Problem(network, problem.X, problem.Y, problem.l2)


@pytest.mark.parametrize("f", KINKED, ids=str)
def test_beside_a_kink_the_wrong_side_is_caught(f):
    problem, theta = on_the_kink(f, f.kinks[0] - 0.01)
    wrong = Network(problem.network.sizes, with_slope_of_side(f, 0.02))
    report = cross_check(problem, theta, beside_right_ones(lambda problem, theta: loop(on(wrong, problem), theta)))
    assert (report.verdict, report.outliers) == ("disagree", ("mine",))


@pytest.mark.parametrize("hidden", ["relu", "hard_tanh", "softplus"])
def test_bias_free_first_layers_and_all_zeros_never_disagree(hidden):
    problem = a_problem(hidden)
    assert cross_check(problem, np.zeros(problem.network.size), RIGHT).verdict != "disagree"


BIASES_ALONE = PROBLEM.network.pack([np.eye(1, 4)[[0] * 5], np.eye(1, 6)[[0] * 3]])


@pytest.mark.parametrize(
    ("problem", "theta", "hidden"),
    [
        (a_problem(l2=0.0), THETA, (Kind.NO_REGULARISER,)),
        (PROBLEM, np.zeros_like(THETA), (Kind.ZERO_WEIGHTS,)),
        (a_problem(m=1), THETA, (Kind.SINGLE_EXAMPLE,)),
        (
            a_problem(l2=0.0, m=1),
            np.zeros_like(THETA),
            (Kind.NO_REGULARISER, Kind.ZERO_WEIGHTS, Kind.SINGLE_EXAMPLE),
        ),
        (
            PROBLEM,
            np.where(np.isin(np.arange(38), one_of_each_block(PROBLEM.network)[::2]), 1.0, 0.0),
            (Kind.ZERO_WEIGHTS,),
        ),
        (PROBLEM, THETA, ()),
    ],
    ids=["λ", "θ", "m", "all of them", "θ except biases", "none"],
)
def test_kinds_of_bug_that_could_not_have_shown_are_reported(problem, theta, hidden):
    assert kinds_of(cross_check(problem, theta, RIGHT).blind_to) == hidden


def test_a_source_that_does_not_apply_is_left_out_with_its_reason():
    def picky(problem, theta):
        raise NotApplicable("only on Sundays")

    report = cross_check(PROBLEM, THETA, beside_right_ones(picky, "picky"))
    assert report.verdict == "agree"
    fact = report.left_out["picky"]
    assert (fact.kind, fact.where, fact.data["reason"]) == (Kind.NOT_APPLICABLE, ("picky",), "only on Sundays")
    assert "picky" not in {row.name for row in report.sources}
    assert cross_check(PROBLEM, THETA, {"picky": picky}).verdict == "inconclusive"


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
    assert "jax" in [fact.data["source"] for fact in report.reasons if fact.kind == Kind.DERIVATIVE_NOT_FINITE]
    assert "ball" not in {row.name for row in report.sources}


def test_numbers_too_large_for_any_bound_are_inconclusive():
    problem = Problem(PROBLEM.network, 1e200 * PROBLEM.X, PROBLEM.Y, 1.0)
    with np.errstate(all="ignore"):  # the sources themselves overflow
        report = cross_check(problem, 1e200 * THETA, RIGHT)
    assert report.verdict == "inconclusive"


def test_a_bound_that_is_sampled_is_noted():
    f = Activation("tidy cube", lambda xp, z: xp.nan_to_num(z) ** 3, lambda z, a: 3.0 * z * z)  # for which is no rule
    problem = Problem(Network((2, 2, 2), f), [[1.0, 2.0], [2.0, 1.0]], [0, 1], l2=1.0)
    report = cross_check(problem, np.linspace(0.3, 1.0, problem.network.size))
    assert report.verdict == "agree"
    assert ("tidy cube",) in [fact.where for fact in report.notes if fact.kind == Kind.SAMPLED_ROUNDING]


# Bad input


@pytest.mark.parametrize(
    ("answer", "error", "sentence"),
    [
        (lambda problem, theta: None, TypeError, r"'mine' must answer a tuple \(cost, gradient\), not NoneType"),
        (lambda problem, theta: loop(problem, theta)[1], TypeError, "'mine' must answer a tuple .* not ndarray"),
        (lambda problem, theta: (*loop(problem, theta), 3), TypeError, "'mine' must answer a tuple"),
        (lambda problem, theta: (1.0, theta[:-1]), ValueError, r"'mine' .* shape \(38,\), but .* \(\) and \(37,\)"),
        (lambda problem, theta: (1.0, theta[:, np.newaxis]), ValueError, r"'mine' .* \(38, 1\)"),
        (lambda problem, theta: (1.0, 2.0), ValueError, r"'mine' .* shapes \(\) and \(\)"),
        (lambda problem, theta: (theta, theta), ValueError, r"'mine' .* shapes \(38,\) and \(38,\)"),
        (lambda problem, theta: (1.0, theta + 0j), TypeError, "'mine' must answer real numbers, .* complex128"),
        (lambda problem, theta: ("1.0", theta), TypeError, "'mine' must answer real numbers"),
        (lambda problem, theta: (None, theta), TypeError, "'mine' must answer real numbers"),
    ],
)
def test_an_answer_of_the_wrong_form_is_refused_by_the_sources_name(answer, error, sentence):
    with pytest.raises(error, match=sentence):
        cross_check(PROBLEM, THETA, {"mine": answer, "loop": loop})


@pytest.mark.parametrize(
    ("theta", "error", "sentence"),
    [
        (THETA[:-1], ValueError, r"\(38,\).*\(37,\)"),
        (THETA.reshape(2, 19), ValueError, r"flat vector of 38 parameters.*\(2, 19\)"),
        (np.where(np.arange(38) == 3, np.nan, THETA), ValueError, r"theta\[3\] is nan"),
        ("θ", TypeError, "theta must be an array of real numbers"),
    ],
)
def test_a_theta_that_does_not_fit_gets_one_clear_sentence(theta, error, sentence):
    with pytest.raises(error, match=sentence):
        cross_check(PROBLEM, theta)


def test_a_function_is_no_problem():
    with pytest.raises(TypeError, match="takes a Problem, not NoneType; check_gradient takes functions"):
        cross_check(None, THETA)  # pyright: ignore[reportArgumentType]


def test_a_source_that_is_eight_ulps_off_is_told_so():
    problem, theta = random_problem((0, 3), extremes=False)
    exact = SOURCES["ball"](problem, theta)[1]

    def mine(problem, theta):
        return loop(problem, theta)[0], exact + 8.0 * np.spacing(np.abs(exact))

    rows = {row.name: row.ulps for row in judged(problem, theta, {"mine": mine, "ball": SOURCES["ball"]}).sources}
    assert rows["mine"] == (8.0, 8.0)
    assert rows["ball"] is None


def test_balls_tell_each_source_its_true_error_in_ulps():
    problem, theta = random_problem((0, 3), extremes=False)
    report = cross_check(problem, theta, ["loop", "jax", "ball"])
    rows = {row.name: row.ulps for row in report.sources}
    assert rows.pop("ball") is None
    assert set(rows) == {"loop", "jax"}
    assert all(ulps is not None and 0.0 <= ulps[0] < 4.0 and 0.5 < ulps[1] < 1e6 for ulps in rows.values())
    assert all(row.ulps is None for row in cross_check(problem, theta, ["loop", "jax"]).sources)


@pytest.mark.parametrize("name", ["vectorized-float32", "jax-float32"])
def test_float32_is_judged_at_its_own_precision(name):
    problem, theta = random_problem((0, 3), extremes=False)
    report = cross_check(problem, theta, [name, "loop", "jax", "ball"])
    assert report.verdict == "agree"
    pair = next(pair for pair in report.pairs if {pair.first, pair.second} == {name, "ball"})
    assert 1e-12 < pair.difference < 1e-5  # it is float32, and no worse


def test_an_oracle_without_rounding_meets_an_infinite_bound_without_a_warning():
    network = Network((1, 1, 1), "relu")  # all at the kink, where the bound is as wide as the jump
    problem = Problem(network, [[1e200]], [0], 0.0)
    assert cross_check(problem, np.array([0.0, 1e200, 0.0, 1.0]), ["loop", "jax", "ball"]).verdict == "inconclusive"


def test_a_slope_by_mask_is_checked_though_error_arithmetic_has_no_masks():
    def slope(z, a):
        s = np.ones_like(z)
        s[z <= 0] = 0.0
        return s

    mine = Activation("masked_relu", ACTIVATIONS["relu"].value, slope, kinks=(0.0,))
    network = Network((3, 4, 2), mine)
    problem = Problem(network, np.linspace(-1, 1, 12).reshape(4, 3), [0, 1, 1, 0], 1.0)
    assert cross_check(problem, network.init(1)).verdict == "agree"


def test_a_formula_that_jax_cannot_trace_leaves_jax_out():
    mine = Activation("numpy_tanh", lambda xp, z: np.tanh(z), lambda z, a: 1.0 - a * a)
    network = Network((3, 4, 2), mine)
    problem = Problem(network, np.linspace(-1, 1, 12).reshape(4, 3), [0, 1, 1, 0], 1.0)
    report = cross_check(problem, network.init(1))
    assert report.verdict == "agree"
    assert {name: fact.kind for name, fact in report.left_out.items()} == dict.fromkeys(
        ("jax", "jax-forward"), Kind.NOT_APPLICABLE
    )


def test_a_source_that_answers_differently_each_time_is_wrong():
    problem, theta = random_problem((0, 3), extremes=False)
    report = cross_check(problem, theta, FAULTS["non-deterministic"].sources)
    assert (report.verdict, report.outliers) == ("disagree", ("vectorized",))
    assert [(fact.kind, fact.where) for fact in report.reasons] == [(Kind.NOT_REPEATABLE, ("vectorized",))]
    assert report.findings[0].diagnosis == ()  # the difference of one call says nothing


def test_a_source_that_is_wrong_in_the_same_way_each_time_is_not():
    problem, theta = random_problem((0, 3), extremes=False)
    for name in ("wrong-sign", "bias-times-4"):
        assert cross_check(problem, theta, FAULTS[name].sources).reasons == ()


def test_a_wrong_float32_source_that_no_bound_can_judge_does_not_pass():
    """Where float32's bound is as large as the derivatives: others must not vouch for it."""
    undecided = 0
    for index in range(130, 145):
        problem, theta = random_problem((0, index))

        def mine(problem, theta):
            cost, gradient = vectorized(problem, theta)
            return cost, np.float32(1.3 * gradient)

        report = judged(problem, theta, {"mine": mine} | {name: SOURCES[name] for name in RIGHT})
        pairs = [pair for pair in report.pairs if "mine" in (pair.first, pair.second)]
        if report.verdict != "disagree" and vectorized(problem, theta)[1].any():
            assert report.verdict == "inconclusive"
            undecided += all(pair.coordinates_decided == 0 for pair in pairs)
    assert undecided


def test_a_float32_cost_beside_a_float64_gradient_is_judged_as_float32():
    problem, theta = random_problem((0, 3), extremes=False)

    def mine(problem, theta):
        cost, gradient = vectorized(problem, theta)
        return np.float32(cost), gradient

    assert cross_check(problem, theta, {"mine": mine} | {name: SOURCES[name] for name in RIGHT}).verdict == "agree"


@pytest.mark.parametrize("code", [0, 1, "enough"])
def test_a_source_that_ends_the_program_has_not_answered(code):
    def leaving(problem, theta):
        sys.exit(code)

    with pytest.raises(ValueError, match=f"source 'mine' called sys.exit\\({code!r}\\) instead of answering"):
        cross_check(PROBLEM, THETA, {"mine": leaving, "jax": SOURCES["jax"]})


def test_what_a_source_raises_says_which_source_it_was():
    def failing(problem, theta):
        return problem.X @ problem.X @ theta

    with pytest.raises(ValueError, match="matmul") as raised:
        cross_check(PROBLEM, THETA, {"mine": failing, "jax": SOURCES["jax"]})
    (note,) = raised.value.__notes__
    assert note.startswith("raised by source 'mine' (test_network_check.py, line ")
    assert note.endswith("in failing: return problem.X @ problem.X @ theta)")


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


def test_a_cost_in_an_array_is_right_and_noted():
    report = cross_check(
        PROBLEM, THETA, beside_right_ones(changed(lambda cost, gradient: (np.array([[cost]]), gradient)))
    )
    noted = [(fact.where, fact.data["shape"]) for fact in report.notes if fact.kind == Kind.COST_IN_ARRAY]
    assert (report.verdict, noted) == ("agree", [(("mine",), "(1, 1)")])


def test_settings_that_a_source_changes_are_put_back_and_noted():
    def mine(problem, theta):
        np.random.seed(1)  # noqa: NPY002
        return loop(problem, theta)

    before = np.random.get_state()[1].tolist()  # noqa: NPY002
    report = cross_check(PROBLEM, THETA, beside_right_ones(mine))
    assert np.random.get_state()[1].tolist() == before  # noqa: NPY002
    assert (report.verdict, Kind.SETTINGS_CHANGED in report.kinds) == ("agree", True)
