"""Golden files: what a person reads of each kind of report, and the documents that a program gets of some.

Wording is held here and nowhere else. After a change of it, read what changed:

    make golden

which is ``HARNESS_RENEW_GOLDEN=1 python -m pytest tests/verdict/test_golden_reports.py``, and then ``git diff`` of the
folder. What differs from machine to machine is put aside first (`stable`): times, the sizes of differences that are
nothing but rounding, and the last digits of everything else.
"""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from harness import (
    FAULTS,
    SOURCES,
    Activation,
    Network,
    NotApplicable,
    Problem,
    Report,
    check_gradient,
    check_networks,
    cross_check,
)
from harness.checks.activations.activation_check import check_activation
from harness.checks.networks.network_summary import Summary
from harness.facts.fact import Fact
from reference.activations import leaky_relu

FOLDER = Path(__file__).parents[1] / "golden" / "reports"
RENEW = os.environ.get("HARNESS_RENEW_GOLDEN") == "1"

ROUNDING = 0.5  # stands for every share of a bound that rounding alone made


def digits(number: Any, count: int) -> Any:
    """A float to so many significant digits; anything else as it is."""
    return float(f"{number:.{count}g}") if isinstance(number, float) else number


def stable(outcome: Report | Summary) -> Report | Summary:
    """The same without what differs from machine to machine."""
    if isinstance(outcome, Report):
        return _stable_report(outcome)
    failures = tuple(failure._replace(report=_stable_report(failure.report)) for failure in outcome.failures)
    return replace(outcome, failures=failures, margin=ROUNDING, seconds=0.0)


def _stable_report(report: Report) -> Report:
    low, high = report.smallest_visible
    return replace(
        report,
        sources=tuple(
            replace(
                row,
                cost=digits(row.cost, 10),
                seconds=None if row.seconds is None else 0.0,
                ulps=None if row.ulps is None else (ROUNDING, ROUNDING),
            )
            for row in report.sources
        ),
        pairs=tuple(
            replace(row, ratio=digits(row.ratio, 2), difference=digits(row.difference, 2))
            if row.coordinates_at_odds
            else replace(row, ratio=ROUNDING, difference=0.0)
            for row in report.pairs
        ),
        findings=tuple(
            replace(
                finding,
                value=digits(finding.value, 10),
                expected=digits(finding.expected, 10),
                bound=digits(finding.bound, 2),
                diagnosis=tuple(map(_stable_fact, finding.diagnosis)),
            )
            for finding in report.findings
        ),
        margin=ROUNDING,
        smallest_visible=(digits(low, 2), digits(high, 2)),
        seconds=0.0,
        facts=tuple(map(_stable_fact, report.facts)),
        details=_stable_details(report.details),
    )


def _stable_fact(fact: Fact) -> Fact:
    return replace(fact, data=_stable_details(dict(fact.data), 3))


def _stable_details(details: Any, count: int = 10) -> Any:
    if isinstance(details, dict) and "median" in details:
        return details | {"median": ROUNDING, "largest": ROUNDING}
    if isinstance(details, dict):
        return {
            name: ROUNDING if name == "largest" else _stable_details(value, count) for name, value in details.items()
        }
    return digits(details, count)


# -- one of each kind --------------------------------------------------------------------------------------------------


NETWORK = Network((2, 3, 2))
THETA = 0.125 * np.arange(NETWORK.size) - 1.0
PROBLEM = Problem(NETWORK, [[0.5, -0.25], [0.25, 0.75], [-1.0, 0.5]], [0, 1, 1], l2=0.5)
ONE_EXAMPLE = Problem(NETWORK, [[0.5, -0.25]], [0], l2=0.0)
INDEPENDENT = {name: SOURCES[name] for name in ("loop", "finite-difference", "ball")}


def times(factor):
    """The right cost, and a multiple of the right gradient."""

    def source(problem, theta):
        cost, gradient = SOURCES["vectorized"](problem, theta)
        return cost, factor * gradient

    return source


def writes_to_theta(problem, theta):
    answer = SOURCES["vectorized"](problem, theta.copy())
    theta *= 2.0
    return answer


def not_a_number(problem, theta):
    _, gradient = SOURCES["vectorized"](problem, theta)
    return np.nan, gradient


def refuses(problem, theta):
    raise NotApplicable("it has no hidden layer")


def cubes(theta, factor=3.0):
    return float(np.sum(theta**3)), factor * theta**2


def absolute(theta):
    return float(np.sum(np.abs(theta))), np.sign(theta)


AT = {"weights": np.array([[0.5, -0.25], [1.5, 2.0]]), "bias": np.array([0.75, -1.0])}


def in_parts(theta):
    weights, bias = theta["weights"], theta["bias"]
    cost = float(np.sum(weights * weights) + np.sum(bias))
    return cost, {"weights": weights, "bias": np.ones_like(bias)}


def slope_of_relu(at_zero: float) -> Callable[[Any, Any], Any]:
    return lambda z, a: np.where(z < 0.0, 0.0, np.where(z > 0.0, 1.0, at_zero))


def relu(xp, z):
    return xp.where(z > 0.0, z, 0.0 * z)


def writes_to_a(z, a):
    a *= 0.0
    return a + 2.0


KINDS: dict[str, Callable[[], Report | Summary]] = {
    "network-agree": lambda: cross_check(PROBLEM, THETA, INDEPENDENT),
    "network-disagree": lambda: cross_check(
        PROBLEM, THETA, INDEPENDENT | {"vectorized": FAULTS["lambda-not-over-m"].source}
    ),
    "network-disagree-in-cost": lambda: cross_check(PROBLEM, THETA, INDEPENDENT | {"mine": not_a_number}),
    "network-tie": lambda: cross_check(PROBLEM, THETA, {"mine": times(2.0), "yours": times(-1.0)}),
    "network-inconclusive": lambda: cross_check(ONE_EXAMPLE, np.zeros_like(THETA), ["loop", "vectorized"]),
    "network-left-out": lambda: cross_check(PROBLEM, THETA, INDEPENDENT | {"mine": refuses}),
    "network-broken-rule": lambda: cross_check(PROBLEM, THETA, INDEPENDENT | {"mine": writes_to_theta}),
    "networks-agree": lambda: check_networks(3, 0, ["tanh"], ["loop", "finite-difference"], extremes=False),
    "networks-disagree": lambda: check_networks(
        1, 38, ["tanh"], INDEPENDENT | {"vectorized": FAULTS["wrong-sign"].source}, extremes=False
    ),
    "function-agree": lambda: check_gradient(cubes, np.array([0.5, -1.5, 2.0])),
    "function-disagree": lambda: check_gradient(in_parts, AT),
    "function-tie": lambda: check_gradient(cubes, np.array([0.5, -1.5, 2.0]), reference=lambda t: 2.0 * jnp.sum(t**3)),
    "function-inconclusive": lambda: check_gradient(absolute, np.array([0.5, 0.0, 2.0])),
    "activation-agree": lambda: check_activation("relu"),
    "activation-disagree": lambda: check_activation(
        Activation("leak", leaky_relu(0.1).value, lambda z, a: np.where(z >= 0.0, 1.0, 0.01), kinks=(0.0,))
    ),
    "activation-disagree-at-a-kink": lambda: check_activation(
        Activation("outside", relu, slope_of_relu(1.5), kinks=(0.0,))
    ),
    "activation-nan-of-jax": lambda: check_activation(
        Activation(
            "overflowing",
            lambda xp, z: xp.where(z > 0.0, z, xp.exp(z) - 1.0),
            lambda z, a: np.where(z > 0.0, 1.0, a + 1.0),
        )
    ),
    "activation-inconclusive": lambda: check_activation(Activation("undeclared", relu, slope_of_relu(0.0))),
    "activation-broken-rule": lambda: check_activation(Activation("rude", lambda xp, z: 2.0 * z, writes_to_a)),
    "activation-not-elementwise": lambda: check_activation(
        Activation("sorted", lambda xp, z: xp.sort(z)[::-1], lambda z, a: np.ones_like(z))
    ),
}


DOCUMENTS = (
    "network-disagree-in-cost",
    "network-inconclusive",
    "network-left-out",
    "networks-disagree",
    "function-disagree",
    "activation-disagree-at-a-kink",
)
"""Kinds whose documents have a golden file, too: together they have every field of a report and of a summary."""


def assert_same(path: Path, text: str) -> None:
    """Hold a text against its golden file, or write that anew."""
    if RENEW:
        FOLDER.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert path.is_file(), f"there is no {path.name}: `make golden` writes it"
    assert text == path.read_text(), "if this is what was meant, `make golden` renews the file"


@pytest.mark.parametrize("kind", KINDS)
def test_a_report_is_as_it_was(kind):
    outcome = stable(KINDS[kind]())
    assert_same(FOLDER / f"{kind}.txt", f"{outcome}\n")
    document = json.dumps(outcome.to_dict(), indent=1, ensure_ascii=False, allow_nan=False)
    if kind in DOCUMENTS:
        assert_same(FOLDER / f"{kind}.json", f"{document}\n")


def test_no_golden_file_is_left_over():
    there_are = {f"{kind}.txt" for kind in KINDS} | {f"{kind}.json" for kind in DOCUMENTS}
    left_over = [path for path in FOLDER.iterdir() if path.name not in there_are]
    for path in left_over if RENEW else ():
        path.unlink()
    assert RENEW or left_over == []
