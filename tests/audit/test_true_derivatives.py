"""True derivatives: against differences at 200 digits, which owe nothing to the formulas of the second derivative."""

import pytest
from flint import arb

from harness.audit.audited_functions import AUDITED
from harness.audit.true_derivatives import true_derivative
from reference.arithmetics.balls import precision


@pytest.mark.parametrize("rule", AUDITED, ids=lambda rule: rule.name)
def test_the_second_derivative_is_that_of_the_first(rule):
    z = next(z for z in (0.7, 1.5) if min(rule.points) < z < max(rule.points))
    h = 2.0**-40
    with precision(1000):
        below, above = (true_derivative(rule.series, z + step, 1) for step in (-h, h))
        difference = float((above - below) / arb(2 * h))
    assert float(true_derivative(rule.series, z, 2)) == pytest.approx(difference, rel=1e-9, abs=1e-9)


KNOWN = {
    ("sinc", 1e-8, 1): -3.289868133696453e-08,
    ("sigmoid", 40.0, 1): 4.248354255291589e-18,
    ("log_ndtr", -1e10, 1): 1e10,
    ("erfinv", 0.0, 1): 0.886226925452758,
    ("i1", 0.0, 1): 0.5,
    ("gammaln", 1.0, 1): -0.5772156649015329,
    ("squareplus", -1e10, 1): 1e-20,
    ("tan", 0.0, 1): 1.0,
    ("sinc", 0.0, 1): 0.0,
    ("sinc", 0.0, 2): -3.289868133696453,
}


@pytest.mark.parametrize(("name", "z", "order"), KNOWN)
def test_known_values(name, z, order):
    rule = next(rule for rule in AUDITED if rule.name == name)
    assert float(true_derivative(rule.series, z, order)) == pytest.approx(KNOWN[name, z, order], rel=1e-15)
