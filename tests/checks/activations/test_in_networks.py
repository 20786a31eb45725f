"""What random networks with an activation need, once its record was checked."""

import numpy as np
from activation_records import LEFT_OUT, checked, tanh_to

from harness import ACTIVATIONS
from harness.checks.activations.in_networks import (
    mixed_with_others,
    needs_plain_differences,
    register_checked,
    usable_sources,
)
from harness.sources.table import SOURCES

MATH = LEFT_OUT["math"][0]
TANH = ACTIVATIONS["tanh"]


def test_plain_differences_say_that_they_are():
    report = checked(MATH)
    _, row = report.sources
    assert row.name == "finite-difference"
    assert "differences of plain values" in row.note
    assert needs_plain_differences(report)
    assert not needs_plain_differences(checked(TANH))


def test_networks_leave_out_jax_where_the_formula_does_not_run(registry):
    report, fine = checked(MATH), checked(TANH)
    register_checked(MATH, report)
    assert MATH.name not in registry
    assert set(usable_sources([fine, report]) or ()) == set(SOURCES) - {"jax", "jax-forward"}
    assert usable_sources([report], {"jax": SOURCES["jax"], "mine": SOURCES["loop"]}) == {"mine": SOURCES["loop"]}
    assert usable_sources([fine]) is None


def test_a_formula_that_jax_runs_is_registered(registry):
    f = tanh_to(lambda z, a: 1.0 - np.square(a), "squared")
    register_checked(f, checked(f))
    assert registry["squared"] is f


def test_a_record_named_like_another_is_registered_under_a_name_of_its_own(registry):
    f = tanh_to(lambda z, a: 1.0 - np.square(a), "tanh")
    used = register_checked(f, checked(f))
    assert (used.name, used.value, used.slope) == ("tanh of yours", f.value, f.slope)
    assert registry["tanh of yours"] is used
    assert registry["tanh"] is TANH


def test_mixed_with_others_half_of_the_draws_are_ones_own():
    f = tanh_to(lambda z, a: 1.0 - a * a)
    among = mixed_with_others([f])
    assert among.count(f) == len(among) / 2
    assert set(among) == {f, *ACTIVATIONS.values()}
