"""The bound on rounding in one activation: derived where the arithmetic has rules, else sampled and told."""

import numpy as np
import pytest
from scipy.special import log_ndtr

from harness import ACTIVATIONS, Activation
from harness.bounds.activation_bound import activation_bound
from harness.checks.activations.z_grid import grid


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_a_bound_that_is_derived_needs_no_sampling(name):
    f = ACTIVATIONS[name]
    bound = activation_bound(f, grid(f))
    assert bound.notes == ()
    away = ~np.isin(grid(f), f.kinks)
    assert (bound.claimed[away] < 1e-11).all()


def branching(xp, z):
    return xp.where(z > 0.0, z, 0.1 * z) if isinstance(z, np.ndarray) or not (z > 0.0) else z


def telling_arrays_apart(xp, z):
    return xp.where(z > 0.0, z, 0.1 * z) if isinstance(z, np.ndarray) else z


@pytest.mark.parametrize(
    ("value", "reason"),
    [(branching, "cannot branch on a value with `if`"), (telling_arrays_apart, "its result is not NumPy's")],
)
def test_a_branch_of_pythons_own_is_not_taken_for_a_bound(value, reason):
    """Where a bound is derived for one branch alone, it would be zero."""
    f = Activation("mine", value, lambda z, a: np.where(z > 0.0, 1.0, 0.1))
    bound = activation_bound(f, np.array([-2.0, -1.0, 1.0, 2.0]))
    assert any(reason in fact.data["reason"] for fact in bound.notes)
    assert (bound.value > 0.0).all()


def test_digits_that_a_formula_loses_on_its_way_are_seen_without_a_rule_for_it():
    """exp(-z²/2 - log Φ(z)) loses six digits where its exponents cancel; two samples miss it at one z in a hundred."""
    hazard = Activation(
        "log_ndtr",
        lambda xp, z: log_ndtr(z),
        lambda z, a: np.exp(-z * z / 2 - log_ndtr(z) - 0.5 * np.log(2.0 * np.pi)),
    )
    z = -np.geomspace(200.0, 900.0, 4000)
    bound = activation_bound(hazard, z)
    assert ("the slope",) in [fact.where for fact in bound.notes]
    exact = -z - 1.0 / z + 2.0 / z**3 - 10.0 / z**5  # the asymptotic series
    off = np.abs(hazard.slope(z, hazard(z)) - exact)
    assert (off <= bound.claimed).all()
    assert np.median(bound.claimed / off) < 100.0
