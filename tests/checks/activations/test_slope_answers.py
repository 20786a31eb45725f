"""The claimed slope as the verdict sees it: coordinates, stretches, what is to be decided, and who is accused."""

import numpy as np
import pytest

from harness.checks.activations.slope_answers import CLAIMED, find_slope_consensus
from harness.verdict.comparison import Answer, compare_all

NOTHING = np.inf  # the error bound of an answer that says nothing


@pytest.mark.parametrize(
    ("errors", "outliers"),
    [
        ({CLAIMED: NOTHING, "jax": 0.1, "complex-step": 0.1}, None),  # a tie that the claim has no part in
        ({CLAIMED: NOTHING, "jax": 0.1, "ball": 0.1}, ("jax",)),
        ({CLAIMED: 0.1, "jax": 0.1}, (CLAIMED,)),
        ({CLAIMED: 0.1, "jax": 0.1, "ball": NOTHING}, (CLAIMED,)),
    ],
)
def test_who_is_accused_in_a_tie(errors, outliers):
    """Slopes of 0, 1, 2, ...: all that say something are at odds."""
    answers = [
        Answer(name, name, 0.0, 0.0, np.array([float(i)]), np.array([error]))
        for i, (name, error) in enumerate(errors.items())
    ]
    consensus = find_slope_consensus(answers, compare_all(answers, ()))
    assert consensus.tie == (outliers is None)
    assert consensus.outliers == (outliers or ())
    assert set(consensus.members) == (set(errors) - set(outliers) if outliers else set())
