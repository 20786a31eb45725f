"""Activations in random networks: which sources and problems they take, and what is reported of both."""

import math
from dataclasses import replace

import numpy as np
import pytest

from harness import ACTIVATIONS, Activation, check_activation, check_networks
from harness.checks.networks.many_networks import (
    ActivationNetworks,
    mixed_with_others,
    needs_ordinary_problems,
    register_checked,
    usable_sources,
)
from harness.facts.fact import kinds_of
from harness.facts.kinds import Kind
from harness.sources.source_table import SOURCES

MATH = Activation("of math", lambda xp, z: np.vectorize(math.tanh, otypes=[float])(z), lambda z, a: 1.0 - a * a)
TANH = ACTIVATIONS["tanh"]


def tanh_named(name):
    return Activation(name, lambda xp, z: xp.tanh(z), lambda z, a: 1.0 - np.square(a))


def test_plain_differences_say_that_they_are():
    report = check_activation(MATH)
    _, row = report.sources
    assert row.name == "finite-difference"
    assert kinds_of(row.notes) == (Kind.PLAIN_DIFFERENCES,)
    assert needs_ordinary_problems(report)
    assert not needs_ordinary_problems(check_activation(TANH))


@pytest.mark.parametrize(
    ("value", "slope", "is_needed"),
    [
        (lambda xp, z: xp.log(1.0 + xp.exp(z)), lambda z, a: 0.5 + 0.5 * np.tanh(0.5 * z), True),
        # JAX's slope alone is NaN, by the branch that `where` drops
        (lambda xp, z: xp.where(z > 0.0, z, xp.exp(z) - 1.0), lambda z, a: np.exp(np.minimum(z, 0.0)), True),
        # the slope is not finite at numbers next to 0 alone, which no unit is
        (
            lambda xp, z: xp.where(z == 0, 1.0, xp.sin(z) / xp.where(z == 0, 1.0, z)),
            lambda z, a: np.where(z == 0, 0.0, (np.cos(z) - a) / np.where(z == 0, 1.0, z)),
            False,
        ),
    ],
    ids=["a value", "a slope of JAX", "near 0"],
)
def test_a_formula_that_overflows_is_checked_in_ordinary_networks(value, slope, is_needed):
    assert needs_ordinary_problems(check_activation(Activation("of one's own", value, slope))) == is_needed


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


def test_the_worst_verdict_counts_and_a_source_that_raised_is_no_agreement():
    report, summary = check_activation(TANH), check_networks(1, 0, ["tanh"], ["loop", "finite-difference"])
    found = ActivationNetworks([report], {"networks": summary}, failed={"mine": ["no", "no"]})
    assert (summary.verdict, found.verdict) == ("agree", "inconclusive")
    assert replace(found, failed={}).verdict == "agree"
    document = found.to_dict()
    assert (document["verdict"], document["networks"]) == ("inconclusive", summary.networks)
    assert document["failed"] == {"mine": {"networks": 2, "why": "no"}}
    assert [each["subject"]["activation"] for each in document["activations"]] == ["tanh"]
    wrong = replace(report, verdict="disagree")
    assert replace(found, reports=[report, wrong]).verdict == "disagree"
