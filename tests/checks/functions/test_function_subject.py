"""What a function's gradient is called, and what is said of a wrong one."""

import numpy as np

from harness import check_gradient


def squares(theta):
    cost = sum(float(np.sum(part**2)) for part in theta.values())
    return cost, {name: 2.0 * part for name, part in theta.items()}


def wrong_in_b(theta):
    cost, gradient = squares(theta)
    return cost, gradient | {"b": -gradient["b"]}


def test_the_wrong_block_is_named_with_what_is_wrong_with_it():
    theta = {"W": np.array([[1.0, -2.0], [0.5, 3.0]]), "b": np.array([0.25, -1.5])}
    report = check_gradient(wrong_in_b, theta)
    (finding,) = report.findings
    assert (finding.where, finding.coordinates, finding.blocks) == ("b[1]", 2, ("b",))
    assert finding.diagnosis == "b: the sign is wrong"
    assert report.subject == {"parameters": 6, "differenced": 6}
