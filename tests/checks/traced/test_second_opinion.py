"""Who counts where increments and finite differences contradict each other."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.custom_derivatives import linear_call

from harness import check_derivatives
from harness.checks.traced.derivative_case import DIFFERENCES, INCREMENTS
from harness.checks.traced.second_opinion import arbitrate
from harness.facts.kinds import Kind
from harness.verdict.comparison import Answer, Block, compare

BLOCKS = [Block("x", np.array([0]))]


def answer(name, value, error=1e-12):
    return Answer(name, name, 0.0, 0.0, np.array([value]), np.array([error]), oracle=name in (INCREMENTS, DIFFERENCES))


def test_increments_that_go_wrong_in_one_entry_accuse_nobody_alone_in_another():
    blocks, values = [Block("x", np.arange(3))], {"reverse": [1.0, 1.0, 5.0], INCREMENTS: [2.0, 3.0, 4.0]}
    answers = [Answer(name, name, 0.0, 0.0, np.array(x), np.full(3, 1e-12)) for name, x in values.items()]
    differences = Answer(DIFFERENCES, DIFFERENCES, 0.0, 0.0, np.array([1.0, 1.0, 4.0]), np.array([1e-9, np.inf, 1e-9]))
    increments, *_ = arbitrate(
        answers[:1], answers[1], differences, np.zeros(3, bool), lambda a, b: compare(a, b, blocks).at_odds
    )
    np.testing.assert_array_equal(np.isfinite(increments.error), [False, False, True])


@pytest.mark.parametrize(
    ("jax", "increments", "differences", "climbs", "counting", "is_contradicted"),
    [
        (1.0, 1.0, 1.0, False, [INCREMENTS, DIFFERENCES], False),
        (1.0, 2.0, 1.0, False, [DIFFERENCES], True),  # increments alone are wrong
        (1.0, 1.0, 2.0, False, [INCREMENTS], False),  # a kink within reach of the differences
        (2.0, 1.0, 1.0, False, [INCREMENTS, DIFFERENCES], False),  # JAX is wrong
        (2.0, 1.0, 3.0, False, [INCREMENTS], False),  # differences never accuse alone
        (2.0, 0.0, 1.0, True, [DIFFERENCES], True),  # increments are the slopes of steps
        (0.0, 0.0, 1.0, True, [DIFFERENCES], True),  # and so is the slope that a rule returns
    ],
)
def test_who_is_right_of_increments_and_differences(jax, increments, differences, climbs, counting, is_contradicted):
    found = arbitrate(
        [answer("reverse", jax)], answer(INCREMENTS, increments), answer(DIFFERENCES, differences), np.array([climbs]),
        lambda a, b: compare(a, b, BLOCKS).at_odds,
    )  # fmt: skip
    assert [oracle.name for oracle in found[:2] if np.isfinite(oracle.error).all()] == counting
    assert found[2] is is_contradicted


def with_slopes(f, forward, reverse):
    """A function with a linear rule, which multiplies by another factor in each mode."""
    with_rule = jax.custom_jvp(f)

    @with_rule.defjvp
    def _(primals, tangents):
        (x,), (t,) = primals, tangents
        product = linear_call(lambda x, t: forward(x) * t, lambda x, g: reverse(x) * g, x, t)
        return f(x), product

    return with_rule


RATE, AT_ZERO = 1e6, np.array([0.0])

FINER_THAN_A_STEP = {  # f, where, its slope there, and the rule's in both modes
    "a wave": (
        lambda t: jnp.sin(RATE * t), np.array([0.30000013]), RATE * np.cos(RATE * 0.30000013),
        *[lambda t: 2.0 * RATE * jnp.cos(RATE * t)] * 2,
    ),
    "a ripple": (lambda x: x + 1e-9 * jnp.sin(1e9 * x), AT_ZERO, 2.0, *[lambda x: 3.0] * 2),
    "a ramp": (lambda x: jnp.clip(x, -1e-7, 1e-7) + 2.0 * x, AT_ZERO, 3.0, lambda x: 3.0, lambda x: 5.0),
}  # fmt: skip


@pytest.mark.parametrize("name", FINER_THAN_A_STEP)
def test_what_is_smooth_and_finer_than_a_step_is_no_staircase(name):
    f, x, slope, forward, reverse = FINER_THAN_A_STEP[name]
    report = check_derivatives(with_slopes(f, forward, reverse), x)
    wrong = ["reverse"] if name == "a ramp" else ["forward", "reverse"]
    assert sorted(report.outliers) == wrong, report
    assert [finding.expected for finding in report.findings] == pytest.approx([slope] * len(wrong), rel=1e-6)


def test_an_argument_that_is_rounded_beside_the_point_makes_no_steps():
    """1e6 x has few digits here, so that it seems exact, and 1e6 (x + h) has not."""
    f = lambda x: jnp.where(x > 2.0, x * x, jnp.sin(RATE * x))  # noqa: E731
    ruled = jax.custom_jvp(f)
    ruled.defjvp(lambda x, t: (f(*x), jnp.where(x[0] > 2.0, 2.0 * x[0], RATE * jnp.cos(RATE * x[0])) * t[0]))
    report = check_derivatives(ruled, np.array([1.3127, 1.9]))
    assert report.verdict == "agree", report


def test_steps_that_climb_beside_a_line_are_judged_by_their_climb():
    steps = with_slopes(lambda x: jnp.floor(x * 1e12) / 1e12, *[lambda x: 3.0] * 2)
    report = check_derivatives(lambda x: steps(x) + x, np.array(0.31))
    assert [(finding.expected, finding.against) for finding in report.findings] == [
        (pytest.approx(2.0), DIFFERENCES)
    ] * 2


def test_the_climb_of_steps_is_seen_though_a_place_beside_the_point_meets_the_edge_of_one():
    @jax.custom_jvp
    def root(a):  # a^⅓ by 48 bisections: steps of 1e-14, at some of which the slope is unknown
        def halve(_, ends):
            middle = 0.5 * sum(ends)
            is_below = middle**3 - a < 0.0
            return jnp.where(is_below, middle, ends[0]), jnp.where(is_below, ends[1], middle)

        return 0.5 * sum(jax.lax.fori_loop(0, 48, halve, (0.0, 4.0)))

    root.defjvp(lambda a, t: (root(*a), 0.5 * a[0] ** (-2 / 3) * t[0]))  # 1.5 times the right slope
    report = check_derivatives(lambda a: jnp.sum(jax.vmap(root)(a) ** 2) * a[0], np.array([2.0, 3.1, 5.0]))
    assert [finding.coordinates for finding in report.findings] == [3, 3]


def halved(times):
    """The root of y³ + y = a in [0, 2] by so many halvings."""

    def root(a):
        def halve(_, ends):
            middle = 0.5 * sum(ends)
            is_below = middle**3 + middle < a
            return jnp.where(is_below, middle, ends[0]), jnp.where(is_below, ends[1], middle)

        return 0.5 * sum(jax.lax.fori_loop(0, times, halve, (0.0 * a, 0.0 * a + 2.0)))

    return root


def looked_up(a):
    places = np.linspace(0.0, 2.0, 100_000)
    return jnp.asarray(places)[jnp.searchsorted(jnp.asarray(places**3 + places), a)]


def of_root(a, y):
    return 1.0 / (3.0 * y * y + 1.0)


IN_STEPS = {  # f, the derivative of what its steps climb, and the verdicts on 1, 0, -1, 2 and 1.01 times it
    "coarse": (halved(4), of_root, "?????"),
    "fitting a few times": (halved(14), of_root, "??--?"),
    "of twenty halvings": (halved(20), of_root, "??---"),
    "fine": (halved(40), of_root, "+----"),
    "as fine as rounding": (halved(60), of_root, "+----"),
    "of a table": (looked_up, of_root, "??--?"),
    "of rounding to 10 bits": (lambda a: jnp.round(a * 2.0**10) / 2.0**10, lambda a, y: 1.0, "??--?"),
    "of rounding to 20 bits": (lambda a: jnp.round(a * 2.0**20) / 2.0**20, lambda a, y: 1.0, "??---"),
    "of rounding to 30 bits": (lambda a: jnp.round(a * 2.0**30) / 2.0**30, lambda a, y: 1.0, "+----"),
}


@pytest.mark.parametrize("name", IN_STEPS)
def test_a_rule_of_a_program_that_moves_in_steps_is_judged_by_their_climb(name):
    f, slope, expected = IN_STEPS[name]
    found = ""
    for factor in (1.0, 0.0, -1.0, 2.0, 1.01):
        ruled = jax.custom_jvp(f)
        ruled.defjvp(lambda x, t, f=ruled, c=factor: (y := f(*x), c * slope(*x, y) * t[0]))
        found += {"agree": "+", "disagree": "-", "inconclusive": "?"}[check_derivatives(ruled, 1.3170531).verdict]
    assert found == expected


def test_what_moves_in_coarse_steps_says_so():
    zero = jax.custom_jvp(lambda a: jnp.round(a * 2.0**10) / 2.0**10)
    zero.defjvp(lambda x, t: (zero(*x), 0.0 * t[0]))
    report = check_derivatives(lambda a: zero(a) * jnp.array([1.0, 2.0]), 1.3170531)
    assert report.verdict == "inconclusive"
    assert [(fact.kind, fact.data["undecided"]) for fact in report.reasons] == [(Kind.MOVES_IN_STEPS, 2)]
    assert Kind.INCREMENTS_CONTRADICTED not in report.kinds


def test_jax_is_right_within_a_step_of_a_program_without_a_rule():
    f = lambda a: jnp.round(a, 7) + halved(40)(a)  # noqa: E731
    assert check_derivatives(f, 1.3170531).verdict == "agree"


def test_a_rule_of_steps_within_a_program_is_judged_by_their_climb():
    zero = jax.custom_jvp(halved(40))
    zero.defjvp(lambda x, t: (zero(*x), 0.0 * t[0]))
    report = check_derivatives(lambda a: jnp.where(a > 1.0, a, 0.0) * zero(a) + jnp.round(a, 7), 1.3170531)
    assert report.verdict == "disagree"
