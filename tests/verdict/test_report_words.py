"""What reports of several kinds say, and what would be false in them."""

import re

import numpy as np
import pytest

from harness import check_gradient


def squares(theta):
    return float(theta @ theta), 2.0 * theta


def noisy(theta):
    return 8.0 + 1e-1 * float(np.sin(1e12 * theta).sum()), np.cos(theta)


def doubled_in_a(p):
    return sum(0.5 * v @ v for v in p.values()), {name: v * (2 if name == "a" else 1) for name, v in p.items()}


def at_kinks(theta, off=0.0):
    return float(np.abs(theta).sum()), np.sign(theta) + off * (theta == 0.0)


COUNTED = np.random.default_rng(0)
KINKS = np.repeat([0.0, 1.0], [70, 30])

SAID = {
    "all undecided are counted": (lambda: check_gradient(at_kinks, KINKS), "and 67 more\\.", "others"),
    "a budget alone hides them": (
        lambda: check_gradient(squares, np.linspace(0.1, 1, 300), budget=4),
        r"The budget of 4 calls was spent.*and 297 more\. \[unexamined\]",
        "nois|could not be decided",
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
