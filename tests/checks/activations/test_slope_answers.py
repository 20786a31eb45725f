"""The claimed slope as the verdict sees it: coordinates, stretches, what is to be decided, and who is accused."""

import numpy as np
import pytest
from activation_records import RIGHT

from harness import ACTIVATIONS
from harness.checks.activations.slope_answers import CLAIMED, ActivationSlope, find_slope_consensus
from harness.checks.activations.z_grid import GridPoints, grid, sides
from harness.verdict.comparison import Answer, compare_all


def subject_of(f):
    z = grid(f)
    with np.errstate(all="ignore"):
        a = f(z.copy())
        return ActivationSlope(GridPoints(f, z, a, f.slope(z.copy(), a.copy())))


def test_slopes_of_one_size_are_one_block():
    subject = subject_of(ACTIVATIONS["relu"])
    z = np.abs(subject.points.z)
    ends = [(z[block.indices].min(), z[block.indices].max()) for block in subject.blocks]
    assert [high <= limit for (_, high), limit in zip(ends, (6.0, 30.0, 1e3))] == [True] * 3
    assert [low > limit for (low, _), limit in zip(ends[1:], (6.0, 30.0))] == [True] * 2
    assert sum(len(block.indices) for block in subject.blocks) == len(z)


def test_the_neighbourhood_of_kinks_is_not_to_be_decided():
    subject = subject_of(ACTIVATIONS["relu"])
    z = subject.points.z[subject.to_decide()]
    assert not np.isin([*sides(0.0), 1e-6, -1e-6, 1e-8], z).any()
    assert np.isin([0.0, 1e-3, -1e-3, 1e3, -1e3], z).all()


def test_where_the_value_has_overflowed_nothing_is_judged():
    subject = subject_of(RIGHT["exp"])
    judged = subject.points.z[subject.points.judged]
    assert 700.0 < judged.max() < 710.0
    assert judged.min() == -1e3
    assert subject.describe() == {"activation": "mine", "values of z": len(judged)}


def test_coordinates_have_names_as_slopes_and_as_stretches():
    subject = subject_of(ACTIVATIONS["tanh"])
    z = subject.points.z
    assert subject.label(int(np.searchsorted(z, 0.3))) == "f'(0.3)"
    assert subject.places(np.flatnonzero(z >= 100.0)) == ("100 <= z <= 1000",)
    mask = (np.abs(z) > 30.0) & (np.abs(z) != 100.0)
    assert [part.startswith(("-1000 <= z", "3")) for part in subject.parts(mask)] == [True, True]


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
