"""What reports of several kinds say, and what would be false in them."""

import re

import numpy as np
import pytest

from harness import check_gradient, check_hessian, check_jacobian


def squares(theta):
    return float(theta @ theta), 2.0 * theta


def noisy(theta):
    return 8.0 + 1e-1 * float(np.sin(1e12 * theta).sum()), np.cos(theta)


def doubled_in_a(p):
    return sum(0.5 * v @ v for v in p.values()), {name: v * (2 if name == "a" else 1) for name, v in p.items()}


def at_kinks(theta, off=0.0):
    return float(np.abs(theta).sum()), np.sign(theta) + off * (theta == 0.0)


COUNTED = np.random.default_rng(0)
THREE, MATRIX = np.array([0.3, 1.2, 2.0]), np.array([[1.0, 2.0, 0.0], [2.0, 1.0, 3.0], [0.0, 3.0, 5.0]])
SKEW = MATRIX + np.triu(np.ones((3, 3)), 1)
TALL = np.random.default_rng(1).normal(size=(60, 3))
KINKS = np.repeat([0.0, 1.0], [70, 30])

SAID = {
    "all undecided are counted": (lambda: check_gradient(at_kinks, KINKS), "and 67 more\\.", "others"),
    "a budget alone hides them": (
        lambda: check_gradient(squares, np.linspace(0.1, 1, 300), budget=4),
        r"The budget of 4 calls was spent.*and 297 more\. \[unexamined\]",
        "nois|could not be decided",
    ),
    "a cached Jacobian": (
        lambda: check_jacobian(np.sin, THREE, lambda x: np.diag(np.cos(THREE))),
        "the same Jacobian at another θ, where the value has another slope",
        "gradient,|the cost",
    ),
    "a cached Hessian": (
        lambda: check_hessian(np.sin, THREE, lambda x: np.diag(np.cos(THREE))),
        "the same Hessian at another θ, where the gradient has another slope",
        "Jacobian|the cost",
    ),
    "rounding of a function's value": (
        lambda: check_jacobian(lambda x: 1e12 + np.sin(x), THREE, lambda x: np.diag(np.cos(x))),
        r"Rounding of the value, which is 1e\+12",
        "the cost",
    ),
    "a product that is not linear": (
        lambda: check_hessian(lambda x: MATRIX @ x, THREE, hessp=lambda x, v: np.abs(MATRIX @ v)),
        "hessp is not linear",
        "H is right|symmetric",
    ),
    "a gradient of no cost": (
        lambda: check_hessian(lambda x: SKEW @ x, THREE, lambda x: SKEW),
        "or that is the gradient of no cost",
        "H is right",
    ),
    "errors of many rows add up": (
        lambda: check_jacobian(lambda x: TALL @ x, THREE, lambda x: 1.00001 * TALL, accuracy=1e-4),
        "below 0.001 of the largest derivative in a random sum of all rows",
        "in their block",
    ),
    "noise is no rounding": (lambda: check_gradient(noisy, np.array([0.3, -0.7, 1.1])), "less noise", "constant part"),
    "one call": (
        lambda: check_gradient(squares, np.linspace(0.1, 1, 300), budget=1),
        "The budget of 1 call was",
        "1 calls",
    ),
    "one coordinate": (
        lambda: check_gradient(lambda t: (1e12 + t[0], np.ones(1)), np.array([0.3])),
        r"theta\[0\]\. Rounding of the cost, which is 1e\+12, or a kink nearby hides the derivative",
        "They",
    ),
    "a kink loses no digits": (lambda: check_gradient(lambda t: at_kinks(t, 3.0), KINKS), "kink", "loses digits"),
    "some of a group": (
        lambda: check_gradient(doubled_in_a, {k: COUNTED.normal(size=600) for k in "ab"}),
        "At least .* coordinates differ",
        "and 17 more",
    ),
    "a cost that counts its calls": (
        lambda: check_gradient(lambda t: (COUNTED.random(), t), np.ones(2)),
        "fun cannot be compared; something else is wrong",
        "rule",
    ),
}


@pytest.mark.parametrize(("make", "said", "not_said"), SAID.values(), ids=list(SAID))
def test_a_report_says_what_is_so_and_nothing_else(make, said, not_said):
    text = str(make())
    assert re.search(said, text), text
    assert not re.search(not_said, text), text
