"""Which bug would make this slope? The ones people write are named, and nothing is made up."""

from itertools import count

import numpy as np
import pytest
from activation_records import WRONG, checked, formula, of, sigma, tanh_to

from harness.facts.kinds import Kind
from reference.activations import ACTIVATIONS


@pytest.mark.parametrize("wrong", WRONG.values(), ids=list(WRONG))
def test_a_wrong_slope_is_explained(wrong):
    (finding,) = checked(wrong.f).findings
    if wrong.kind is None:
        assert finding.diagnosis == ()
        return
    found = [fact.data for fact in finding.diagnosis if fact.kind == wrong.kind]
    expected = wrong.data.items()
    assert any(all(data.get(name) == pytest.approx(value) for name, value in expected) for data in found), found


def _sinh(xp, z):
    return 0.5 * (xp.exp(z) - xp.exp(-z))


CALLS = count()


def _silu_slope(z, s):
    return s + z * s * (1.0 - s)


EVERYTHING = {  # all bugs that are named, in order, and what is said of the first
    "a factor near 1": (
        formula(lambda xp, z: xp.arctan(z), lambda z, a: (1.0 + 1e-9) / (1.0 + z * z)),
        (Kind.FACTOR,),
        {"named": "1 + 1e-09", "missing": None},
    ),
    "a number near 1": (
        formula(
            lambda xp, z: xp.logaddexp(0.0, z), lambda z, a: np.where(z > 20.0, 1.000001, 1.0 / (1.0 + np.exp(-z)))
        ),
        (Kind.CONSTANT_SLOPE,),
        {"constant": "1 + 1e-06"},
    ),
    "half of it far out": (
        of("sigmoid", lambda z, a: np.where(z < -12.0, 0.5, 1.0) * a * (1.0 - a)),
        (Kind.FACTOR,),
        {"missing": "2"},
    ),
    "a tail cut off": (tanh_to(lambda z, a: np.where(z < -5.0, 0.0, 1.0 - a * a)), (Kind.ZERO,), {}),
    "sinh for cosh": (
        formula(_sinh, lambda z, a: a),
        (Kind.SLOPE_OF_ANOTHER, Kind.CHAIN_RULE, Kind.TERM),
        {"returned": "a"},
    ),
    "a slope that stays where it should vanish": (
        tanh_to(lambda z, a: np.where(z > 20.0, 1e-3, 1.0 - a * a)),
        (Kind.CONSTANT_ERROR,),
        {"error": 0.001},
    ),
    "a number in place of a curve": (
        tanh_to(lambda z, a: np.where((z > 1.0) * (z < 2.0), 0.5, 1.0 - a * a)),
        (Kind.CONSTANT_SLOPE,),
        {"constant": "1/2"},
    ),
    "a clip without its upper end": (
        formula(lambda xp, z: xp.clip(z, 0.0, 6.0), lambda z, a: (z > 0.0) * 1.0, kinks=(0.0, 6.0)),
        (Kind.SLOPE_OF_ANOTHER, Kind.CONSTANT_ERROR),
        {"activation": "identity"},
    ),
    "an offset on a stretch that a never reaches": (
        formula(lambda xp, z: xp.tanh(z / 50.0), lambda z, a: (1.0 - a * a) / 50.0 + 1e-4 * ((z > 50.0) * (z < 51.0))),
        (Kind.CONSTANT_ERROR,),
        {"error": 1e-4},
    ),
    "a number for another": (
        formula(
            lambda xp, z: xp.clip(z, -1.0, 1.0), lambda z, a: np.where(np.abs(z) < 1.0, 0.4, 0.0), kinks=(-1.0, 1.0)
        ),
        (Kind.FACTOR,),
        {"named": "2/5", "missing": None},
    ),
    "by float32": (
        formula(lambda xp, z: z / (1.0 + xp.exp(-z)), lambda z, a: _silu_slope(z, sigma(z).astype(np.float32))),
        (Kind.FLOAT32_DIGITS,),
        {},
    ),
    "smooth, and as small as the errors of float32": (tanh_to(lambda z, a: 1.0 - a * a + 1e-8 * np.sin(z)), (), {}),
    "a constant beside two numbers": (
        formula(lambda xp, z: xp.abs(z), lambda z, a: np.sign(z) + 1.0, kinks=(0.0,)),
        (Kind.CONSTANT_ERROR,),
        {"error": 1.0},
    ),
    "another at each call": (
        tanh_to(lambda z, a, calls=CALLS: (1.001 + 0.001 * (next(calls) % 2)) * (1.0 - a * a)),
        (),
        {},
    ),
    "a number far out": (tanh_to(lambda z, a: np.where(z > 1e5, 1e-3, 1.0 - a * a)), (), {}),
    "zero by zero": (
        formula(lambda xp, z: z * xp.tanh(z), lambda z, a: a / z + z * (1.0 - np.square(a / z))),
        (Kind.NOT_FINITE,),
        {},
    ),
    "a sign in a second term that is a multiple of z": (
        formula(
            lambda xp, z: z * (1.0 - xp.minimum(xp.abs(z), 2.0) / 4.0),
            lambda z, a: np.where(np.abs(z) < 2.0, 1.0 - z / 2.0, 0.5),
            kinks=(-2.0, 2.0),
        ),
        (Kind.TERM,),
        {"term": "z", "missing": True},
    ),
    "a line beside a constant slope": (
        formula(lambda xp, z: 1.0 * z, lambda z, a: np.where(np.abs(z) < 2.0, 1.0 + z, 1.0)),
        (Kind.TERM,),
        {"term": "z", "missing": False},
    ),
    "a factor near 1 of the second term": (
        of("gelu", lambda z, a: (g := a / np.where(z, z, 1.0)) + 1.0001 * (ACTIVATIONS["gelu"].slope(z, a) - g)),
        (Kind.PRODUCT_RULE,),
        {"factor": "1.0001", "missing": False},
    ),
}


@pytest.mark.parametrize(("f", "kinds", "data"), EVERYTHING.values(), ids=list(EVERYTHING))
def test_only_what_explains_as_well_as_the_best_is_named(f, kinds, data):
    """Where slopes reach 1e12, what is off by one is small beside the largest difference and yet explains nothing."""
    (finding,) = checked(f).findings
    assert tuple(fact.kind for fact in finding.diagnosis) == kinds
    assert not data or {name: finding.diagnosis[0].data.get(name) for name in data} == pytest.approx(data)


IN_DIGITS = {
    "√2": 1.4142135623730951,
    "1/√2": 0.7071067811865476,
    "π": 3.1415926535897931,
    "π/2": 1.5707963267948966,
    "2/π": 0.6366197723675814,
    "√π": 1.7724538509055161,
    "√(2/π)": 0.7978845608028654,
    "2/√π": 1.1283791670955126,
    "1/√(2π)": 0.3989422804014327,
    "ln 2": 0.6931471805599453,
    "1/ln 2": 1.4426950408889634,
}


@pytest.mark.parametrize("name", IN_DIGITS)
def test_a_constant_is_named(name):
    (finding,) = checked(tanh_to(lambda z, a: IN_DIGITS[name] * (1.0 - a * a))).findings
    assert finding.diagnosis[0].data["named"] == name
