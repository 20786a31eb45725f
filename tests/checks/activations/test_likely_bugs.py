"""What bug would make this slope? The ones people write are named, and nothing is made up."""

import numpy as np
import pytest
from activation_records import WRONG, checked, formula, likely, of, tanh_to


@pytest.mark.parametrize(("f", "said"), [(row[0], row[3]) for row in WRONG.values()], ids=list(WRONG))
def test_a_wrong_slope_is_explained(f, said):
    (finding,) = checked(f).findings
    if said:
        assert any(said in bug for bug in likely(finding))
    else:
        assert finding.diagnosis == ""


def _sinh(xp, z):
    return 0.5 * (xp.exp(z) - xp.exp(-z))


ALL_THAT_IS_SAID = {
    "a factor near 1": (
        formula(lambda xp, z: xp.arctan(z), lambda z, a: (1.0 + 1e-9) / (1.0 + z * z)),
        ("what is claimed is 1 + 1e-09 times the slope",),
    ),
    "a factor that six digits show as 1": (
        tanh_to(lambda z, a: (1.0 - 2e-6) * (1.0 - a * a)),
        ("what is claimed is 0.999998 times the slope",),
    ),
    "a number near 1": (
        formula(
            lambda xp, z: xp.logaddexp(0.0, z), lambda z, a: np.where(z > 20.0, 1.000001, 1.0 / (1.0 + np.exp(-z)))
        ),
        ("the number 1 + 1e-06 is claimed where the slope is not constant",),
    ),
    "zero for cosh": (
        formula(_sinh, lambda z, a: np.zeros_like(z)),
        ("zero is claimed where the slope is not zero: a branch or a term is missing",),
    ),
    "a tail cut off": (
        tanh_to(lambda z, a: np.where(z < -5.0, 0.0, 1.0 - a * a)),
        ("zero is claimed where the slope is not zero: a branch or a term is missing",),
    ),
    "sinh for cosh": (
        formula(_sinh, lambda z, a: a),
        ("the value a is given for the slope", "the factor tanh(z) is too much", "the term exp(-z) is missing"),
    ),
    "a slope that stays where it should vanish": (
        tanh_to(lambda z, a: np.where(z > 20.0, 1e-3, 1.0 - a * a)),
        ("the term 0.001 is too much",),
    ),
    "a number in place of a curve": (
        tanh_to(lambda z, a: np.where((z > 1.0) * (z < 2.0), 0.5, 1.0 - a * a)),
        ("the number 1/2 is claimed where the slope is not constant",),
    ),
    "a clip without its upper end": (
        formula(lambda xp, z: xp.clip(z, 0.0, 6.0), lambda z, a: (z > 0.0) * 1.0, kinks=(0.0, 6.0)),
        ("this is the slope of identity", "the term 1 is too much"),
    ),
    "a number far out": (
        tanh_to(lambda z, a: np.where(z > 1e5, 1e-3, 1.0 - a * a)),
        (),
    ),
    "a factor of a few digits": (
        tanh_to(lambda z, a: 1.04 * (1.0 - a * a)),
        ("what is claimed is 1.04 times the slope",),
    ),
    "zero by zero": (
        formula(lambda xp, z: z * xp.tanh(z), lambda z, a: a / z + z * (1.0 - np.square(a / z))),
        ("overflow on the way to a finite slope, zero by zero, or the root or logarithm of a negative number",),
    ),
    "another's": (of("gelu", lambda z, a: np.ones_like(z)), ("this is the slope of identity",)),
}


@pytest.mark.parametrize(("f", "said"), ALL_THAT_IS_SAID.values(), ids=list(ALL_THAT_IS_SAID))
def test_only_what_explains_as_well_as_the_best_is_said(f, said):
    """Where slopes reach 1e12, what is off by one is small beside the largest difference and yet explains nothing."""
    (finding,) = checked(f).findings
    assert likely(finding) == said


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
    report = checked(tanh_to(lambda z, a: IN_DIGITS[name] * (1.0 - a * a)))
    assert f"what is claimed is {name} times the slope" in str(report)
