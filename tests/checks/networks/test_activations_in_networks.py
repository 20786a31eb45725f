"""What random networks with an activation need, once its record was checked."""

import math

import numpy as np

from harness import ACTIVATIONS, Activation, check_activation
from harness.checks.networks.random_problems import (
    mixed_with_others,
    needs_plain_differences,
    register_checked,
    usable_sources,
)
from harness.sources.source_table import SOURCES

MATH = Activation("of math", lambda xp, z: np.vectorize(math.tanh, otypes=[float])(z), lambda z, a: 1.0 - a * a)
TANH = ACTIVATIONS["tanh"]


def tanh_named(name):
    return Activation(name, lambda xp, z: xp.tanh(z), lambda z, a: 1.0 - np.square(a))


def test_plain_differences_say_that_they_are():
    report = check_activation(MATH)
    _, row = report.sources
    assert row.name == "finite-difference"
    assert "differences of plain values" in row.note
    assert needs_plain_differences(report)
    assert not needs_plain_differences(check_activation(TANH))


def test_networks_leave_out_jax_where_the_formula_does_not_run(registry):
    report, fine = check_activation(MATH), check_activation(TANH)
    register_checked(MATH, report)
    assert MATH.name not in registry
    assert set(usable_sources([fine, report]) or ()) == set(SOURCES) - {"jax", "jax-forward"}
    assert usable_sources([report], {"jax": SOURCES["jax"], "mine": SOURCES["loop"]}) == {"mine": SOURCES["loop"]}
    assert usable_sources([fine]) is None


def test_a_formula_that_jax_runs_is_registered(registry):
    f = tanh_named("squared")
    register_checked(f, check_activation(f))
    assert registry["squared"] is f


def test_a_record_named_like_another_is_registered_under_a_name_of_its_own(registry):
    f = tanh_named("tanh")
    used = register_checked(f, check_activation(f))
    assert (used.name, used.value, used.slope) == ("tanh of yours", f.value, f.slope)
    assert registry["tanh of yours"] is used
    assert registry["tanh"] is TANH


def test_mixed_with_others_half_of_the_draws_are_ones_own():
    f = tanh_named("tanh of mine")
    among = mixed_with_others([f])
    assert among.count(f) == len(among) / 2
    assert set(among) == {f, *ACTIVATIONS.values()}
