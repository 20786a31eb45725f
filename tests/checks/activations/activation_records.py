"""Records of activations, right and wrong, with the verdicts and kinds that they get; each is checked once."""

import math
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from harness import ACTIVATIONS, Activation, Report
from harness.checks.activations.activation_check import check_activation
from harness.checks.activations.activation_figure import Curve
from harness.checks.activations.slope_answers import CLAIMED
from harness.facts.fact import Fact
from harness.facts.kinds import Kind
from harness.verdict.report import Finding, PairRow
from reference.activations import leaky_relu

checked = cache(check_activation)


def beside_claim(report: Report) -> dict[str, PairRow]:
    """The rows of the claimed slope beside every other answer."""
    return {row.second: row for row in report.pairs if row.first == CLAIMED}


def curve(report: Report) -> Curve:
    """What the report draws."""
    assert isinstance(report.picture, Curve)
    return report.picture


def place(finding: Finding) -> float:
    """The z of a finding, to six digits."""
    return float(finding.where.removeprefix("f'(").removesuffix(")"))


def facts_of(report: Report, kind: Kind) -> list[Fact]:
    """The report's facts of one kind."""
    return [fact for fact in report.every_fact() if fact.kind == kind]


def sigma(z):
    return 0.5 + 0.5 * np.tanh(0.5 * z)


def tanh_to(slope, name="mine", **keywords):
    """tanh with another slope."""
    return Activation(name, ACTIVATIONS["tanh"].value, slope, **keywords)


def of(name, slope, **keywords):
    """A registered formula with another slope."""
    return Activation(f"my {name}", ACTIVATIONS[name].value, slope, **keywords)


def formula(value, slope, **keywords):
    return Activation("mine", value, slope, **keywords)


def relu_with(at_zero, **keywords):
    """ReLU with a slope of one's own at 0."""
    return of("relu", lambda z, a: np.where(z < 0.0, 0.0, np.where(z > 0.0, 1.0, at_zero)), **keywords)


RIGHT = {
    "leaky without a leak": leaky_relu(1.0, "none"),
    "exp": formula(lambda xp, z: xp.exp(z), lambda z, a: a),
    "steep": formula(lambda xp, z: xp.tanh(1e4 * z), lambda z, a: 1e4 * (1.0 - a * a)),
    "wide": formula(lambda xp, z: xp.arctan(1e-4 * z), lambda z, a: 1e-4 / (1.0 + np.square(1e-4 * z))),
    "steep far out": formula(lambda xp, z: xp.sin(z * z), lambda z, a: 2.0 * z * np.cos(z * z)),
    "a kink far out": formula(
        lambda xp, z: xp.where(z > 250.0, 250.0, z), lambda z, a: np.where(z > 250.0, 0.0, 1.0), kinks=(250.0,)
    ),
    "maxout of a line and a parabola": formula(
        lambda xp, z: xp.maximum(z, 0.5 * z * z - 1.5),
        lambda z, a: np.where((z > 3.0) | (z < -1.0), z, 1.0),
        kinks=(-1.0, 3.0),
    ),
    "a constant": formula(lambda xp, z: 0.0 * z + 2.0, lambda z, a: np.zeros_like(z)),
    "the number of a branch, off by an ulp": of("softplus", lambda z, a: np.where(z > 36.8, 1.0, sigma(z))),
    "a truth value": of("relu", lambda z, a: z > 0.0, kinks=(0.0,)),
    "1/z² beside zero, for JAX": formula(
        lambda xp, z: xp.where(
            xp.abs(z) < 0.01, 1.0 - z * z / 6.0 + z**4 / 120.0, xp.sin(z) / xp.where(z == 0.0, 1.0, z)
        ),
        lambda z, a: np.where(np.abs(z) < 0.01, z**3 / 30.0 - z / 3.0, (np.cos(z) - a) / np.where(z == 0.0, 1.0, z)),
        kinks=(-0.01, 0.01),
    ),
    "a root of less than zero, for the complex step": formula(
        lambda xp, z: (0.5 + 0.5 * xp.tanh(z / 2.0)) ** 2.5, lambda z, a: 2.5 * a * sigma(-z)
    ),
    "a maxout whose slope XLA mistakes beside its value": formula(
        lambda xp, z: xp.maximum(xp.maximum(-0.19 + 0.68 * z, -0.07 + 0.67 * z), 1.44 - 0.68 * z),
        lambda z, a: np.where(z < 1.51 / 1.35, -0.68, np.where(z < 12.0, 0.67, 0.68)),
        kinks=(1.51 / 1.35, 12.0),
    ),
    "a power of zero": formula(lambda xp, z: xp.maximum(z, 0.0) ** 1.5, lambda z, a: 1.5 * np.sqrt(np.maximum(z, 0.0))),
    "a kink at π/2, beside which the formula has no digits": formula(
        lambda xp, z: xp.arcsin(xp.sin(z)),
        lambda z, a: np.sign(np.cos(z)),
        kinks=tuple((k + 0.5) * math.pi for k in range(-10, 10)),
    ),
    "a step whose height has all bits of float32": formula(
        lambda xp, z: xp.where(z > 0.0, 16777215.0, 0.0), lambda z, a: np.zeros_like(z), kinks=(0.0,)
    ),
    "zero for 5e-143": formula(
        lambda xp, z: xp.exp(-0.5 * z * z), lambda z, a: np.where(np.abs(z) < 25.0, -z * a, 0.0)
    ),
    "a jump of 1e-152 at a clip": formula(
        lambda xp, z: 1.0 / (1.0 + xp.exp(-xp.clip(z, -350.0, 350.0))), lambda z, a: a * (1.0 - a)
    ),
    "3e-15 is left out from 33.3 on": of(
        "softplus",
        lambda z, a: np.where(z <= 18.0, sigma(z), np.where(z <= 33.3, 1.0 - np.exp(-np.maximum(z, 18.0)), 1.0)),
    ),
    "a kink that the rounding of a constant moves": formula(
        lambda xp, z: xp.log(xp.clip(1.0 / (1.0 + xp.exp(-z)), 1e-7, 1.0 - 1e-7)),
        lambda z, a: np.where(np.abs(z) < math.log(1e7 - 1.0), sigma(-z), 0.0),
        kinks=(-math.log(1e7 - 1.0), math.log(1e7 - 1.0)),
    ),
    "z/2 that XLA flushes to zero, for JAX": formula(
        lambda xp, z: xp.abs(2.0 * (z / 2.0 - xp.round(z / 1e9))), lambda z, a: np.sign(z), kinks=(0.0,)
    ),
    "a kink where floats are far apart": formula(
        lambda xp, z: xp.maximum(z - 1e5, 0.0), lambda z, a: (z > 1e5) * 1.0, kinks=(1e5,)
    ),
    "a root of a rounded a": formula(
        lambda xp, z: xp.sin(xp.clip(z, -0.5 * math.pi, 0.5 * math.pi)),
        lambda z, a: np.where(np.abs(z) <= 0.5 * math.pi, np.sqrt(1.0 - a * a), 0.0),
    ),
    "0/0 of a square that underflows": formula(
        lambda xp, z: xp.where(z == 0.0, 1.0, xp.sin(z) / xp.where(z == 0.0, 1.0, z)),
        lambda z, a: np.where(z == 0.0, 0.0, (z * np.cos(z) - np.sin(z)) / np.where(z == 0.0, 1.0, z) ** 2),
    ),
    "faster beside zero than any step": formula(
        lambda xp, z: z**3 * xp.sin(1.0 / xp.where(z == 0.0, 1.0, z)),
        lambda z, a: 3.0 * z * z * np.sin(y := 1.0 / np.where(z == 0.0, 1.0, z)) - z * np.cos(y),
    ),
    "a branch point of the complex step": formula(lambda xp, z: z**1.5, lambda z, a: 1.5 * np.sqrt(z)),
    "no junction, and no array of none": formula(lambda xp, z: np.vectorize(lambda x: x * x)(z), lambda z, a: 2.0 * z),
}


class Wrong(NamedTuple):
    """A record, the stretch of z in which it is wrong at least, and the bug that explains it, if any does."""

    f: Activation
    low: float
    high: float
    kind: Kind | None = None
    data: dict[str, Any] = {}  # noqa: RUF012  never written to


WRONG = {
    "σ'(a) for σ'(z)": Wrong(
        of("sigmoid", lambda z, a: sigma(a) * (1.0 - sigma(a))), -30.0, 30.0, Kind.OTHER_ARGUMENT, {"used": "a"}
    ),
    "z for a": Wrong(of("sigmoid", lambda z, a: z * (1.0 - z)), -30.0, 30.0, Kind.OTHER_ARGUMENT, {"expected": "a"}),
    "sign": Wrong(of("sigmoid", lambda z, a: a * (a - 1.0)), -30.0, 30.0, Kind.SIGN),
    "half": Wrong(
        of("gelu", lambda z, a: 0.5 * ACTIVATIONS["gelu"].slope(z, a)), -6.0, 30.0, Kind.FACTOR, {"missing": "2"}
    ),
    "another": Wrong(of("silu", ACTIVATIONS["gelu"].slope), -30.0, 30.0, Kind.SLOPE_OF_ANOTHER, {"activation": "gelu"}),
    "the value": Wrong(of("softplus", lambda z, a: a), -10.0, 10.0, Kind.SLOPE_OF_ANOTHER, {"returned": "a"}),
    "chain rule": Wrong(
        of("sigmoid", lambda z, a: a), -10.0, 30.0, Kind.CHAIN_RULE, {"factor": "1 - a", "missing": True}
    ),
    "inner slope": Wrong(
        formula(lambda xp, z: xp.tanh(z * z), lambda z, a: 1.0 - a * a), -3.0, 3.0, Kind.CHAIN_RULE, {"factor": "2·z"}
    ),
    "product rule": Wrong(
        of("silu", lambda z, a: sigma(z)), -20.0, 20.0, Kind.PRODUCT_RULE, {"term": "z·g'(z)", "factor": None}
    ),
    "first term": Wrong(
        of("silu", lambda z, a: a * (1.0 - sigma(z))), -20.0, 20.0, Kind.PRODUCT_RULE, {"term": "g(z)"}
    ),
    "β of swish": Wrong(
        formula(
            lambda xp, z: z * (0.5 + 0.5 * xp.tanh(0.851 * z)),
            lambda z, a: sigma(1.702 * z) * (1.0 + z * (1.0 - sigma(1.702 * z))),
        ),
        -10.0,
        10.0,
        Kind.PRODUCT_RULE,
        {"factor": "1.702", "missing": True},
    ),
    "branches": Wrong(
        of("relu", lambda z, a: np.where(z > 0.0, 0.0, 1.0), kinks=(0.0,)),
        -30.0,
        30.0,
        Kind.OTHER_ARGUMENT,
        {"used": "-z"},
    ),
    "leak": Wrong(
        formula(leaky_relu(0.1).value, lambda z, a: np.where(z >= 0.0, 1.0, 0.01), kinks=(0.0,)),
        -30.0,
        -1e-6,
        Kind.FACTOR,
        {"named": "1/10", "missing": None},
    ),
    "nothing": Wrong(tanh_to(lambda z, a: np.zeros_like(z)), -5.0, 5.0, Kind.ZERO),
    "a constant too much": Wrong(tanh_to(lambda z, a: 1.25 - a * a), -5.0, 5.0, Kind.CONSTANT_ERROR, {"error": 0.25}),
    "a wave": Wrong(
        tanh_to(lambda z, a: 1.0 - a * a + 1e-3 * np.sin(z)), -5.0, 5.0, Kind.TERM, {"term": "0.001·sin(z)"}
    ),
    "no pattern": Wrong(tanh_to(lambda z, a: 1.0 - a * a + 1e-3 * np.sin(3.0 * z + 1.0)), -5.0, 5.0),
}

LEFT_OUT = {
    "math": (
        formula(lambda xp, z: np.vectorize(math.tanh, otypes=[float])(z), lambda z, a: 1.0 - a * a),
        {"jax", "complex-step", "ball"},
    ),
    "maximum": (
        formula(lambda xp, z: xp.maximum(z, 0.0), lambda z, a: np.ldexp(np.heaviside(z, 0.5), 0), kinks=(0.0,)),
        {"complex-step"},
    ),
}
"""Right records, and the oracles that their formulas do not run under."""


def _writes_to_z(xp, z):
    z[z < 0.0] = 0.0
    return z


def _writes_to_a(z, a):
    a *= -a
    a += 1.0
    return a


ONES = lambda z, a: np.ones_like(z)  # noqa: E731

FAULTY = {
    "writes to z": (formula(_writes_to_z, lambda z, a: (a > 0.0) * 1.0), Kind.ARGUMENT_CHANGED, "value"),
    "writes to a": (tanh_to(_writes_to_a), Kind.ARGUMENT_CHANGED, "slope"),
    "mixes entries": (formula(lambda xp, z: z - xp.mean(z), ONES), Kind.NOT_ELEMENTWISE, "value"),
    "mixes a little": (formula(lambda xp, z: z + 1e-8 * xp.mean(z), ONES), Kind.NOT_ELEMENTWISE, "value"),
    "needs neighbours": (formula(lambda xp, z: z + z[100], ONES), Kind.NOT_ELEMENTWISE, "value"),
    "slope mixes entries": (
        formula(lambda xp, z: z * z, lambda z, a: 2.0 * z + (z - np.mean(z))),
        Kind.NOT_ELEMENTWISE,
        "slope",
    ),
    "transposes": (
        tanh_to(lambda z, a: (1.0 - a * a).T if np.ndim(z) == 2 and len(z) == z[0].size else 1.0 - a * a),
        Kind.NOT_ELEMENTWISE,
        "slope",
    ),
    "flattens": (
        formula(lambda xp, z: xp.tanh(z).reshape(-1), lambda z, a: (1.0 - a * a).reshape(-1)),
        Kind.SHAPE_NOT_KEPT,
        "value",
    ),
    "one row only": (
        formula(
            lambda xp, z: xp.tanh(z) + 0.0 * z[0:1].sum(), lambda z, a: np.linspace(1.0, 1.0, len(z)) * (1 - a * a)
        ),
        Kind.SHAPE_REFUSED,
        None,
    ),
    "random": (
        tanh_to(lambda z, a: (1.0 - a * a) * (1.0 + 1e-9 * np.random.default_rng().standard_normal(np.shape(z)))),
        Kind.NOT_REPEATABLE,
        "slope",
    ),
}
"""Records that would break a network, the kind of fact that says so, and which part it is about."""

MIXING = [f for f, kind, part in FAULTY.values() if (kind, part) == (Kind.NOT_ELEMENTWISE, "value")]
