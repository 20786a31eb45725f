"""Records of activations, right and wrong, that several tests check: tables of cases, and each checked once."""

import math
from functools import cache

import numpy as np

from harness import ACTIVATIONS, Activation, Report
from harness.checks.activations.activation_check import check_activation
from harness.checks.activations.activation_figure import Curve
from harness.checks.activations.slope_answers import CLAIMED
from harness.verdict.report import Finding, PairRow
from reference.activations import elu, leaky_relu

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


def likely(finding: Finding) -> tuple[str, ...]:
    """The likely bugs that a finding names."""
    return tuple(finding.diagnosis.removeprefix("likely: ").split("; or: ")) if finding.diagnosis else ()


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
    "prelu": leaky_relu(0.25, "prelu"),
    "leaky without a leak": leaky_relu(1.0, "none"),
    "elu 3": elu(3.0, "elu3"),
    "square": formula(lambda xp, z: z * z, lambda z, a: 2.0 * z),
    "cube": formula(lambda xp, z: z**3, lambda z, a: 3.0 * z * z),
    "exp": formula(lambda xp, z: xp.exp(z), lambda z, a: a),
    "steep": formula(lambda xp, z: xp.tanh(1e4 * z), lambda z, a: 1e4 * (1.0 - a * a)),
    "wide": formula(lambda xp, z: xp.arctan(1e-4 * z), lambda z, a: 1e-4 / (1.0 + np.square(1e-4 * z))),
    "a kink far out": formula(
        lambda xp, z: xp.where(z > 250.0, 250.0, z), lambda z, a: np.where(z > 250.0, 0.0, 1.0), kinks=(250.0,)
    ),
    "a constant": formula(lambda xp, z: 0.0 * z + 2.0, lambda z, a: np.zeros_like(z)),
}

WRONG = {
    "σ'(a) for σ'(z)": (of("sigmoid", lambda z, a: sigma(a) * (1.0 - sigma(a))), -30.0, 30.0, "σ'(a) for σ'(z)"),
    "tanh'(a)": (tanh_to(lambda z, a: 1.0 - np.tanh(a) ** 2), -5.0, 5.0, "evaluated at a = f(z)"),
    "z for a": (of("sigmoid", lambda z, a: z * (1.0 - z)), -30.0, 30.0, "given the pre-activation z"),
    "one z for a": (tanh_to(lambda z, a: 1.0 - z * a), -5.0, 5.0, "given the pre-activation z"),
    "sign": (of("sigmoid", lambda z, a: a * (a - 1.0)), -30.0, 30.0, "the sign is wrong"),
    "half": (of("gelu", lambda z, a: 0.5 * ACTIVATIONS["gelu"].slope(z, a)), -6.0, 30.0, "the factor 2 is missing"),
    "√2": (tanh_to(lambda z, a: np.sqrt(2.0) * (1.0 - a * a)), -5.0, 5.0, "is √2 times the slope"),
    "another": (of("silu", ACTIVATIONS["gelu"].slope), -30.0, 30.0, "this is the slope of gelu"),
    "the value": (of("softplus", lambda z, a: a), -10.0, 10.0, "the value a is given for the slope"),
    "chain rule": (of("sigmoid", lambda z, a: a), -10.0, 30.0, "the factor 1 - a of the chain rule is missing"),
    "inner slope": (
        formula(lambda xp, z: xp.tanh(z * z), lambda z, a: 1.0 - a * a),
        -3.0,
        3.0,
        "the factor 2·z of the chain rule is missing",
    ),
    "product rule": (of("silu", lambda z, a: sigma(z)), -20.0, 20.0, "the term z·g'(z) of the product rule is missing"),
    "first term": (of("silu", lambda z, a: a * (1.0 - sigma(z))), -20.0, 20.0, "the term g(z) of the product rule"),
    "β of swish": (
        formula(
            lambda xp, z: z * (0.5 + 0.5 * xp.tanh(0.851 * z)),
            lambda z, a: sigma(1.702 * z) * (1.0 + z * (1.0 - sigma(1.702 * z))),
        ),
        -10.0,
        10.0,
        "lacks the factor 1.702",
    ),
    "mish without σ": (
        of("mish", lambda z, a: (t := np.tanh(np.logaddexp(z, 0.0))) + z * (1.0 - t * t)),
        -10.0,
        5.0,
        "lacks the factor sigmoid(z)",
    ),
    "branches": (of("relu", lambda z, a: np.where(z > 0.0, 0.0, 1.0), kinks=(0.0,)), -30.0, 30.0, "branches swapped"),
    "leak": (
        formula(leaky_relu(0.1).value, lambda z, a: np.where(z >= 0.0, 1.0, 0.01), kinks=(0.0,)),
        -30.0,
        -1e-6,
        "the factor 10 is missing",
    ),
    "nothing": (tanh_to(lambda z, a: np.zeros_like(z)), -5.0, 5.0, "zero is claimed"),
    "a term too much": (tanh_to(lambda z, a: 1.25 - a * a), -5.0, 5.0, "the term 1/4 is too much"),
    "a wave": (tanh_to(lambda z, a: 1.0 - a * a + 1e-3 * np.sin(z)), -5.0, 5.0, "the term 0.001·sin(z) is too much"),
    "no pattern": (tanh_to(lambda z, a: 1.0 - a * a + 1e-3 * np.sin(3.0 * z + 1.0)), -5.0, 5.0, ""),
}
"""A record, the stretch of z in which it is wrong at least, and part of what is said of it; "" where nothing is."""


def stairs(count, **keywords):
    """Slopes 0 and 1 in turn, a kink at every whole number, and a claim at each that is no convention."""
    steps = [(k, (-1.0) ** k) for k in range(count)]

    def value(xp, z):
        return sum((sign * xp.where(z > k, z - k, 0.0) for k, sign in steps), 0.0 * z)

    def slope(z, a):
        return sum((sign * np.where(z > k, 1.0, 0.0) + 7.0 * np.where(z == k, 1.0, 0.0) for k, sign in steps), 0.0 * z)

    return formula(value, slope, **keywords)


def _by_mask(z):
    slope = np.ones(np.shape(z))
    slope[z <= 0.0] = 0.0
    return slope


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


MISCONDUCT = {
    "writes to z": (Activation("mine", _writes_to_z, lambda z, a: (a > 0.0) * 1.0), "value changes its argument z"),
    "writes to a": (tanh_to(_writes_to_a), "slope changes its argument a"),
    "mixes entries": (
        formula(lambda xp, z: z - xp.mean(z), lambda z, a: np.ones_like(z)),
        "value is not elementwise: at z = ",
    ),
    "mixes a little": (
        formula(lambda xp, z: z + 1e-8 * xp.mean(z), lambda z, a: np.ones_like(z)),
        "value is not elementwise: at z = ",
    ),
    "flattens": (
        formula(lambda xp, z: xp.tanh(z).reshape(-1), lambda z, a: (1.0 - a * a).reshape(-1)),
        "value has shape (12,) for z of shape (3, 4): it must keep the shape of z",
    ),
    "one row only": (
        formula(
            lambda xp, z: xp.tanh(z) + 0.0 * z[0:1].sum(), lambda z, a: np.linspace(1.0, 1.0, len(z)) * (1 - a * a)
        ),
        "cannot take an array of shape (3, 4)",
    ),
    "adds up": (formula(lambda xp, z: xp.cumsum(z), lambda z, a: np.ones_like(z)), "value is not elementwise: at z = "),
    "transposes": (
        tanh_to(lambda z, a: (1.0 - a * a).T if np.ndim(z) == 2 and len(z) == z[0].size else 1.0 - a * a),
        "slope is not elementwise: at z = -766.413 it is another in a matrix of 28 by 28",
    ),
    "random": (
        tanh_to(lambda z, a: (1.0 - a * a) * (1.0 + 1e-9 * np.random.default_rng().standard_normal(np.shape(z)))),
        "slope answers differently when called twice with the same z",
    ),
    "sorts": (formula(lambda xp, z: xp.sort(z), lambda z, a: np.ones_like(z)), "value is not elementwise: at z = "),
    "needs neighbours": (
        formula(lambda xp, z: z + z[100], lambda z, a: np.ones_like(z)),
        "value is not elementwise: it cannot take one entry of z alone (index 100 is out of bounds",
    ),
    "slope mixes entries": (
        formula(lambda xp, z: z * z, lambda z, a: 2.0 * z + (z - np.mean(z))),
        "slope is not elementwise: at z = ",
    ),
}
"""Records that would break a network, and how the reason begins."""

MIXING = {
    name: MISCONDUCT[name][0] for name in ("mixes entries", "mixes a little", "adds up", "sorts", "needs neighbours")
}
