"""Who counts where increments and finite differences contradict each other."""

import numpy as np
import pytest

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
