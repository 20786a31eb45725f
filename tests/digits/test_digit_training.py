"""Trainings on digits: what is trained with, and the shares of digits that are read."""

import numpy as np
import pytest

from harness.digits.digit_training import Plan, accuracy, fit
from harness.digits.digits_data import Digits
from harness.sources.source_table import SOURCES
from harness.training.gate import GateClosed
from harness.training.gated_training import predict, train
from reference.network import Network
from reference.problem import Problem


@pytest.fixture(scope="module")
def digits():
    """Sixty images of ten pixels, of which one is dark."""
    y = np.arange(60) % 10
    return Digits(np.random.default_rng(0).normal(0.0, 0.5, (60, 10)) + np.eye(10)[y], y)


def test_fit_trains_and_counts_what_it_reads(digits):
    training, test = Digits(digits.X[:40], digits.y[:40]), Digits(digits.X[40:], digits.y[40:])
    network, steps = Network((10, 10)), []
    plan = Plan("small", network.sizes, l2=0.1, max_iter=8)
    result = fit(plan, training, test, seed=3, progress=lambda *step: steps.append(step))
    expected = train(Problem(network, training.X, training.classes, 0.1), network.init(3), 8)
    assert np.array_equal(result.training.theta, expected.theta)
    read = predict(network, expected.theta, test.X)
    assert result.test_accuracy == np.mean((read + 1) % 10 == test.y)  # unit k stands for digit (k + 1) % 10
    assert result.training_accuracy == accuracy(network, expected.theta, training)
    assert 0.5 < accuracy(network, expected.theta, test) < result.training_accuracy
    assert result.curves.cost == pytest.approx(expected.costs, rel=1e-14)
    first = accuracy(network, network.init(3), training)
    assert result.curves.training_accuracy[[0, -1]].tolist() == [first, result.training_accuracy]
    assert result.curves.test_accuracy[-1] == result.test_accuracy
    assert result.cost == pytest.approx(expected.costs[-1], rel=1e-14)
    assert steps == [("small", done, 8) for done in range(9)]


def test_fit_needs_no_digits_held_out(digits):
    result = fit(Plan("small", (10, 10), l2=1.0, max_iter=2), digits, gate=False)
    assert "held out" not in str(result)
    assert result.test_accuracy is None
    assert np.isnan(result.curves.test_accuracy).all()
    assert result.training.reports == ()


def test_fit_passes_the_gate(digits, monkeypatch):
    def wrong(problem, theta):
        cost, gradient = SOURCES["loop"](problem, theta)
        return cost, 1.001 * gradient

    monkeypatch.setitem(SOURCES, "vectorized", wrong)
    with pytest.raises(GateClosed):
        fit(Plan("small", (10, 10), l2=1.0, max_iter=2), digits)
