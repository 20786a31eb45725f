"""Who counts where increments and finite differences contradict each other."""

import numpy as np
import pytest

from harness.checks.traced.derivative_case import DIFFERENCES, INCREMENTS
from harness.checks.traced.derivative_comparison import _arbitrate
from harness.verdict.comparison import Answer, Block, compare

BLOCKS = [Block("x", np.array([0]))]


def answer(name, value, error=1e-12):
    return Answer(name, name, 0.0, 0.0, np.array([value]), np.array([error]), oracle=name in (INCREMENTS, DIFFERENCES))


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
