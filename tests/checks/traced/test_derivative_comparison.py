"""Who counts where increments and finite differences contradict each other."""

import numpy as np
import pytest

from harness.checks.traced.derivative_case import DIFFERENCES, INCREMENTS
from harness.checks.traced.derivative_comparison import _arbitrate
from harness.verdict.comparison import Answer, Block, compare

BLOCKS = [Block("x", np.array([0]))]


def answer(name, value, error=1e-12):
    return Answer(name, name, 0.0, 0.0, np.array([value]), np.array([error]), oracle=name in (INCREMENTS, DIFFERENCES))


def test_increments_that_go_wrong_in_one_entry_accuse_nobody_alone_in_another():
    blocks, values = [Block("x", np.arange(3))], {"reverse": [1.0, 1.0, 5.0], INCREMENTS: [2.0, 3.0, 4.0]}
    answers = [Answer(name, name, 0.0, 0.0, np.array(x), np.full(3, 1e-12)) for name, x in values.items()]
    differences = Answer(DIFFERENCES, DIFFERENCES, 0.0, 0.0, np.array([1.0, 1.0, 4.0]), np.array([1e-9, np.inf, 1e-9]))
    increments, *_ = _arbitrate(answers[:1], answers[1], differences, lambda a, b: compare(a, b, blocks).at_odds)
    np.testing.assert_array_equal(np.isfinite(increments.error), [False, False, True])


@pytest.mark.parametrize(
    ("jax", "increments", "differences", "counting", "is_contradicted"),
    [
        (1.0, 1.0, 1.0, [INCREMENTS, DIFFERENCES], False),
        (1.0, 2.0, 1.0, [DIFFERENCES], True),  # increments alone are wrong
        (1.0, 1.0, 2.0, [INCREMENTS], False),  # a kink within reach of the differences
        (2.0, 1.0, 1.0, [INCREMENTS, DIFFERENCES], False),  # JAX is wrong
        (2.0, 1.0, 3.0, [INCREMENTS], False),  # differences never accuse alone
    ],
)
def test_the_oracle_that_contradicts_all_others_does_not_count(jax, increments, differences, counting, is_contradicted):
    found = _arbitrate(
        [answer("reverse", jax)], answer(INCREMENTS, increments), answer(DIFFERENCES, differences),
        lambda a, b: compare(a, b, BLOCKS).at_odds,
    )  # fmt: skip
    assert [oracle.name for oracle in found[:2] if np.isfinite(oracle.error).all()] == counting
    assert found[2] is is_contradicted
