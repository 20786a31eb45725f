"""Who counts where increments and finite differences contradict each other."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.custom_derivatives import linear_call

from harness import check_derivatives
from harness.checks.traced.derivative_case import DIFFERENCES, INCREMENTS
from harness.checks.traced.second_opinion import arbitrate
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
        (0.0, 0.0, 1.0, True, [INCREMENTS], False),  # and so is JAX's derivative
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
