"""The Taylor test: what it decides where the noise of a solver leaves differences nothing."""

import zlib

import numpy as np
import pytest

from harness import check_gradient
from harness.facts.kinds import Kind


def theta_of(size):
    return np.random.default_rng(0).standard_normal(size)


def noisy(noise):
    """A cost whose last digits depend on θ like random numbers, and its gradient times a factor."""

    def cost(t):
        return float(np.sum(np.sin(t) + t**2)) + noise * (zlib.crc32(t.tobytes()) / 2**32 - 0.5)

    return cost


def times(factor):
    return lambda t: factor * (np.cos(t) + 2.0 * t)


@pytest.mark.parametrize("size", [1, 3, 40])
@pytest.mark.parametrize(
    ("noise", "factor", "verdict"),
    [
        (0.0, 1.0, "agree"),
        (0.0, 1.001, "disagree"),
        (1e-5, 1.0, "agree"),
        (1e-5, 1.1, "disagree"),
        (1e-5, 0.0, "disagree"),
        (1e-5, np.nan, "disagree"),
        (1e3, 1.0, "inconclusive"),
    ],
)
def test_the_remainder_of_a_noisy_cost_decides(size, noise, factor, verdict):
    report = check_gradient(noisy(noise), theta_of(size), gradient=times(factor), method="taylor")
    assert report.verdict == verdict
    assert report.plot().startswith(b"\x89PNG")


def test_it_decides_what_differences_cannot_and_tells_the_order():
    cost, theta = noisy(1e-5), theta_of(3)
    assert check_gradient(cost, theta, gradient=times(1.0)).verdict == "inconclusive"
    report = check_gradient(cost, theta, gradient=times(1.0), method="taylor")
    (decay,) = [fact for fact in report.facts if fact.kind == Kind.DECAY_ORDER]
    assert decay.data["orders"] == pytest.approx([2.0, 2.0], abs=0.2)


CASES = {
    "a kink": (lambda t: (np.abs(t).sum(), np.sign(t)), [0.0, 1.0], "inconclusive"),
    "a minimum": (lambda t: (t @ t, 2.0 * t), [0.0, 0.0], "agree"),
    "a minimum, wrong": (lambda t: (t @ t, 2.0 * t + 0.01), [0.0, 0.0], "disagree"),
    "an inflection": (lambda t: (np.sum(t**3), 3.0 * t**2), [0.0, 0.0], "agree"),
    "an inflection, wrong": (lambda t: (np.sum(t**3), 3.0 * t**2 + 1e-6), [0.0, 0.0], "disagree"),
    "linear": (lambda t: (t.sum(), np.ones(2)), [1.0, 2.0], "agree"),
    "the edge of a domain": (lambda t: (np.log(t).sum(), 1.0 / t), [1e-2, 3.0], "agree"),
    "more waves than steps": (lambda t: (np.sin(t).sum(), np.cos(t)), [1e4, 1.0], "inconclusive"),
    "a jump of the second derivative": (lambda t: (np.sum(t * np.abs(t)), 2.0 * np.abs(t)), [0.0, 1.0], "agree"),
}


@pytest.mark.parametrize(("fun", "theta", "verdict"), CASES.values(), ids=list(CASES))
def test_no_right_gradient_is_wrong(fun, theta, verdict):
    with np.errstate(all="ignore"):
        assert check_gradient(fun, np.array(theta), method="taylor").verdict == verdict


def test_an_accuracy_is_accepted():
    report = check_gradient(noisy(0.0), theta_of(3), gradient=times(1.0 + 1e-4), method="taylor", accuracy=1e-3)
    assert (report.verdict, Kind.ACCURACY in report.kinds) == ("agree", True)


def test_a_method_has_a_name():
    with pytest.raises(ValueError, match="method must be one of differences, taylor, not 'secant'"):
        check_gradient(noisy(0.0), theta_of(1), gradient=times(1.0), method="secant")
