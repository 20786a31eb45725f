"""fmincg: the iterates of 2002, the bugs it must not share, and how it treats callers and SciPy."""

import json
import math
from itertools import chain, repeat
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import LinearConstraint, minimize, rosen, rosen_der

from harness.training.fmincg import fmincg

FOLDER = Path(__file__).parents[1] / "golden"
TRACES = json.loads((FOLDER / "fmincg.json").read_text())
NETWORK = json.loads((FOLDER / "debug_network.json").read_text())

SCALES = np.array([1.0, 10.0, 100.0])


def quadratic(x):
    return 0.5 * float((SCALES * x * x).sum()), SCALES * x


def rosenbrock(x):
    valley = x[1] - x[0] ** 2
    cost = 100 * valley**2 + (1 - x[0]) ** 2
    return cost, np.array([-400 * x[0] * valley - 2 * (1 - x[0]), 200 * valley])


def debug_network(theta, l2=1.0):
    """The course's 3-5-3 network: textbook forward pass and backpropagation."""
    Theta1, Theta2 = theta[:20].reshape((5, 4), order="F"), theta[20:].reshape((3, 6), order="F")
    X = np.reshape(NETWORK["X_column_major"], (5, 3), order="F")
    Y = np.eye(3)[np.array(NETWORK["y_course_labels"]) - 1]
    m, ones = len(X), np.ones((len(X), 1))
    A1 = np.hstack([ones, X])
    A2 = np.hstack([ones, 1 / (1 + np.exp(-A1 @ Theta1.T))])
    A3 = 1 / (1 + np.exp(-A2 @ Theta2.T))
    weights = [Theta * (np.arange(Theta.shape[1]) > 0) for Theta in (Theta1, Theta2)]
    losses = -Y * np.log(A3) - (1 - Y) * np.log(1 - A3)
    cost = losses.sum() / m + l2 / (2 * m) * sum((W**2).sum() for W in weights)
    delta3 = A3 - Y
    delta2 = (delta3 @ Theta2 * A2 * (1 - A2))[:, 1:]
    gradients = [(delta.T @ A + l2 * W) / m for delta, A, W in zip((delta2, delta3), (A1, A2), weights, strict=True)]
    return cost, np.concatenate([gradient.ravel(order="F") for gradient in gradients])


def recorded(fun):
    """fun, and the list of (x, cost) that it goes on to collect."""
    seen = []

    def recorder(x):
        cost, gradient = fun(x)
        seen.append((x.copy(), cost))
        return cost, gradient

    return recorder, seen


def scripted(*answers):
    """A function of one variable that answers its calls with these costs and slopes, and goes on with the last."""
    script = chain(answers, repeat(answers[-1]))

    def fun(x):
        cost, slope = next(script)
        return cost, np.full_like(x, slope)

    return fun


def same(a, b):
    return all(np.array_equal(a[key], b[key]) for key in ("x", "fun", "jac", "costs", "nit", "nfev", "status"))


# The traces of 2002


PROBLEMS = {
    "rosenbrock from (-1.2, 1)": (rosenbrock, [-1.2, 1]),
    "0.5 x'diag(1,10,100)x from (1,1,1)": (quadratic, [1, 1, 1]),
    "debug network, lambda 1": (debug_network, NETWORK["theta"]),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_trace_of_2002(name):
    (fun, x0), golden = PROBLEMS[name], TRACES[name]
    result = fmincg(fun, x0, max_iter=50)
    assert result.costs[0] == fun(np.array(x0, dtype=float))[0]
    length = min(len(golden["costs"]), len(result.costs) - 1)
    assert length >= min(30, len(golden["costs"]))
    # Rounding does not build up to more: it is all there or, from the first odd cubic fit on, all wrong.
    np.testing.assert_allclose(result.costs[1 : length + 1], golden["costs"][:length], rtol=1e-14)
    assert "network" in name or result.nit == golden["it"]
    # The network's minimum is flat: points 1e-8 apart have the same cost.
    np.testing.assert_allclose(result.x, golden["x"], rtol=0, atol=5e-8 if "network" in name else 1e-15)


# From 0, where the cost is 0 and the slope -1, the first trial of a search is at 0.5.
START = (0.0, -1.0)


@pytest.mark.parametrize(
    ("trial", "accepted"),
    [
        ((-0.0051, 0.0), True),
        ((-0.0049, 0.0), False),  # Armijo
        ((-1.0, 0.5), True),
        ((-1.0, 0.51), False),  # too steep on the other side
        ((-1.0, -0.49), True),
        ((-1.0, -0.5), False),  # still too steep
    ],
)
def test_wolfe_powell_conditions(trial, accepted):
    assert (fmincg(scripted(START, trial), [0.0], 1).nfev == 2) is accepted


@pytest.mark.parametrize(
    ("trials", "steps"),
    [
        ([(0.5, 2.0)], [0.5, 0.125]),  # quadratic fit: 0.5 h² / (0.5 + h) at h = 0.5
        ([(99.0, 9.0)], [0.5, 0.05]),  # at least a tenth
        ([(1e-9, 9.0)], [0.5, 0.25]),
        ([(-0.125, 1.25)], [0.5, 1 / 3]),  # cubic fit: 3x³ - x
        ([(-0.4375, -0.625)], [0.5, math.sqrt(2 / 3)]),  # and beyond the trial: x³/2 - x
        ([(-0.35, -0.7)], [0.5, 1.5]),  # complex roots: three times the step
        ([(-0.35, -0.7), (9.0, np.nan), (-0.75, -0.6)], [0.5, 1.5, 1.0, 1.45]),  # to a tenth of a limit
        ([(-0.35, -0.7), (9.0, np.nan), (-0.68, -0.6)], [0.5, 1.5, 1.0, 1.25]),  # beyond the limit
        ([(-0.35, -0.7), (9.0, np.nan), (-0.66, -0.6)], [0.5, 1.5, 1.0, 1.25]),  # complex roots
        ([(-0.05, -0.6)], [0.5, 1.5]),  # a minimum behind the trial: likewise
        ([(-1.0, -0.6)], [0.5, 0.55]),  # at least a tenth of the last interval
        ([(np.nan, 1.0)], [0.5, 0.25]),
        ([(np.inf, 1.0)], [0.5, 0.25]),
        ([(-np.inf, 1.0)], [0.5, 0.25]),
        ([(-1.0, np.nan)], [0.5, 0.25]),
        ([(-1.0, np.inf)], [0.5, 0.25]),
        ([(-1.0, -np.inf)], [0.5, 0.25]),
    ],
)
def test_next_trial(trials, steps):
    recorder, seen = recorded(scripted(START, *trials))
    fmincg(recorder, [0.0], 1)
    np.testing.assert_allclose([x[0] for x, _ in seen[1 : len(steps) + 1]], steps, rtol=1e-8)


# What holds of every run


@st.composite
def quadratics(draw):
    """A random symmetric positive definite quadratic, its minimiser, and a start."""
    n = draw(st.integers(1, 6))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    rotation, _ = np.linalg.qr(rng.normal(size=(n, n)))
    A = rotation @ np.diag(10 ** rng.uniform(-1, 1, n)) @ rotation.T
    minimiser = rng.normal(size=n)
    return lambda x: (0.5 * (x - minimiser) @ A @ (x - minimiser), A @ (x - minimiser)), minimiser, rng.normal(size=n)


@given(quadratics())
def test_reaches_the_minimum_of_quadratics(problem):
    fun, minimiser, x0 = problem
    result = fmincg(fun, x0, max_iter=500, gtol=1e-7)
    assert result.success
    np.testing.assert_allclose(result.x, minimiser, rtol=0, atol=1e-5)  # 1e-7 over the least eigenvalue


def rippled(x):
    """Quadratic with ripples: many local minima, complex roots and failing searches."""
    return quadratic(x)[0] + np.sin(30 * x).sum(), quadratic(x)[1] + 30 * np.cos(30 * x)


def contradictory(x):
    return quadratic(x)[0], -quadratic(x)[1] + 0.1


def kinked(x):
    return float(np.abs(x).sum()), np.sign(x)


def descending(x):
    return -float(x.sum()), -np.ones_like(x)


def undefined_outside(x):
    return (quadratic(x)[0], quadratic(x)[1]) if np.abs(x).max() < 1 else (np.nan, x * np.nan)


@pytest.mark.parametrize("max_iter", [0, 1, 7, 60])
@pytest.mark.parametrize("fun", [quadratic, rippled, contradictory, kinked, descending, undefined_outside])
def test_every_run(fun, max_iter):
    recorder, seen = recorded(fun)
    x0 = np.array([0.9, -0.8, 0.7])
    result = fmincg(recorder, x0, max_iter)
    best, lowest = min(((x, cost) for x, cost in seen if np.isfinite(cost)), key=lambda pair: pair[1])
    assert (result.fun, fun(best)[0]) == (lowest, result.fun)
    assert np.array_equal(result.jac, fun(result.x)[1])
    assert result.fun <= result.costs[-1] <= result.costs[0] == fun(x0)[0]
    assert (np.diff(result.costs) <= 0).all()
    assert len(result.costs) - 1 <= result.nit <= max_iter
    assert result.nfev == len(seen) <= 1 + 21 * max_iter
    assert same(result, fmincg(fun, x0, max_iter))
    assert result.success == (result.status == 0)
    if max_iter == 0:
        assert (result.status, result.nfev) == (1, 1)


@pytest.mark.parametrize("scale", [1.0, 1e-3])
def test_a_wrong_gradient_is_no_success(scale):
    result = fmincg(lambda x: (scale * quadratic(x)[0], -scale * quadratic(x)[1]), [0.9, -0.8, 0.7])
    assert (result.success, result.status) == (False, 2)
    assert "it is not the gradient of the cost" in result.message


# Bugs of the routine of 2002


@pytest.mark.parametrize("x0", [np.zeros(3), [], [1e-170]], ids=["minimum", "no variables", "its square vanishes"])
def test_a_minimum_costs_one_evaluation(x0):
    result = fmincg(lambda x: (float(x @ x), 2 * x), x0)
    assert (result.nfev, result.nit, result.success, list(result.costs)) == (1, 0, True, [0.0])


def test_rounding_ends_a_run_successfully():
    result = fmincg(rosenbrock, [-1.2, 1], 500)
    assert (result.success, result.status) == (True, 0)
    assert result.nit < 50


@pytest.mark.parametrize("gtol", [1e-1, 1e-3, 1e-6])
def test_gtol_stops_as_soon_as_it_can(gtol):
    steps, full = [], fmincg(rosenbrock, [-1.2, 1])
    result = fmincg(rosenbrock, [-1.2, 1], gtol=gtol, callback=steps.append)
    assert result.success
    assert np.abs(result.jac).max() <= gtol
    assert all(np.abs(step.jac).max() > gtol for step in steps[:-1])
    assert np.array_equal(result.costs, full.costs[: len(result.costs)])
    assert result.nfev < full.nfev


NAN = np.full(1, np.nan)


@pytest.mark.parametrize(
    "outside", [(np.nan, NAN), (np.inf, np.ones(1)), (-np.inf, NAN), (-1.0, NAN), (-1.0, np.array([np.inf]))]
)
@pytest.mark.parametrize("wall", [-5.0, 1.001, 4.0])
def test_not_finite_is_too_far(outside, wall):
    """The minimum is at 1, or at the wall, and the first extrapolation lands beyond the wall."""
    recorder, seen = recorded(lambda x: (float((x[0] - 1) ** 2), 2 * (x - 1)) if x[0] < wall else outside)
    result = fmincg(recorder, [-20.0], 200)
    assert max(x[0] for x, _ in seen) >= wall
    assert result.x[0] == pytest.approx(min(wall, 1), abs=1e-3)
    assert result.x[0] < wall
    assert np.isfinite(result.jac).all()
    assert np.isfinite(result.costs).all()


def test_a_failed_search_goes_on_from_its_best_point():
    """The minimum is twice as far away as one line search can reach."""
    distance = 7e4

    def fun(x):
        cost = float(np.hypot(1, x[0] / distance - 1))
        return cost, (x / distance - 1) / (distance * cost)

    first, result = fmincg(fun, [0.0], 1), fmincg(fun, [0.0])
    assert first.costs.size == 1
    assert first.x == pytest.approx(distance / 2, rel=0.1)
    assert result.x == pytest.approx(distance, rel=1e-6)
    assert result.success


def test_a_better_trial_than_the_point_a_search_ends_on_is_not_lost():
    """The second trial is flat, but the first was lower; steepest descent from there finds the minimum."""
    answers = [START, (-1.0, 5.0), (-0.5, 0.0), (-1.5, 0.0)]
    result = fmincg(scripted(*answers), [0.0])
    assert result.success
    assert (list(result.costs), result.fun, result.jac.item()) == ([0.0, -0.5, -1.5], -1.5, 0.0)
    assert result.x[0] == pytest.approx(0.5 - 5 / 26)
    early = fmincg(scripted(*answers), [0.0], 1)
    assert (early.fun, early.jac.item()) == (-1.0, 5.0)
    assert early.message.endswith("the largest component of the gradient is 5.")


def test_a_direction_that_overflows_is_replaced_by_steepest_descent():
    """The gradient grows from 1e-150 to 1e10, at right angles: β is infinite."""
    answers = iter([(0.0, [1e-150, 0.0]), (-1.0, [0.0, 1e10]), (-2.0, [0.0, 0.0])])
    with np.errstate(all="raise"):
        result = fmincg(lambda x: next(answers), [0.0, 0.0])
    assert (result.nit, result.nfev, result.success) == (2, 3, True)


@pytest.mark.parametrize(
    ("fun", "x0"),
    [
        (lambda x: (-1e200 * x[0], np.full(1, -1e200)), [1.0]),  # the square of the gradient overflows
        (lambda x: (0.0, np.full(2, 1e308)), [0.0, 0.0]),  # and its sum
        (lambda x: (0.5 * x[0] * x[0], x * [1, 1]), [1.1, 2.5e-308]),  # products underflow
    ],
)
def test_overflow_and_underflow_are_no_errors(fun, x0):
    with np.errstate(all="raise"):
        result = fmincg(fun, x0)
    assert np.isfinite(result.x).all()
    assert result.fun <= fun(np.array(x0))[0]


@pytest.mark.parametrize("value", [(np.nan, np.ones(2)), (np.inf, np.ones(2)), (1.0, np.array([1, -np.inf]))])
def test_start_must_be_finite(value):
    with pytest.raises(ValueError, match=r"must start from a finite cost and gradient.*choose another x0"):
        fmincg(lambda x: value, [1.0, 2.0])


# Misconduct of callers


@pytest.mark.parametrize(
    ("returned", "error", "message"),
    [
        (1.0, TypeError, r"must return \(cost, gradient\), not float"),
        ((1.0, np.ones(2), 3), TypeError, r"must return \(cost, gradient\), not a tuple of 3"),
        ((1.0, np.ones(3)), ValueError, r"gradient .* must be of shape \(2,\), as x0, but has shape \(3,\)"),
        ((np.ones((1, 1)), np.ones(2)), ValueError, r"cost .* must be of shape \(\), a number, but has shape \(1, 1\)"),
        ((1 + 0j, np.ones(2)), TypeError, "cost .* of real numbers .*a number\\), not complex"),
        ((1.0, np.ones(2) * 1j), TypeError, "gradient .* of real numbers .*, not an array of complex128"),
        ((1.0, np.ones(2) > 0), TypeError, "gradient .* of real numbers .*, not an array of bool"),
        ((1.0, None), TypeError, "gradient .* of real numbers .*, not NoneType"),
        ((1.0, np.ma.ones(2)), TypeError, "gradient .* must not be a masked array"),
    ],
)
def test_what_fun_returns_is_checked(returned, error, message):
    with pytest.raises(error, match=message):
        fmincg(lambda x: returned, [1.0, 2.0])


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"x0": 1.0}, ValueError, r"shape \(n,\), but has shape \(\)"),
        ({"x0": [[1.0]]}, ValueError, r"shape \(n,\), but has shape \(1, 1\)"),
        ({"x0": [1.0, np.nan]}, ValueError, r"finite, but x0\[1\] is nan"),
        ({"x0": ["one"]}, TypeError, "array of real numbers"),
        ({"x0": [1j]}, TypeError, "array of real numbers"),
        ({"x0": [[1.0], [1.0, 2.0]]}, TypeError, "array of real numbers"),
        ({"fun": 1.0}, TypeError, "fun must be a function of x"),
        ({"max_iter": -1}, ValueError, "max_iter must be 0 or more, not -1"),
        ({"max_iter": 1.5}, TypeError, "max_iter must be an integer, 0 or more, not 1.5"),
        ({"gtol": -1e-3}, ValueError, "gtol must be a finite number, zero or more, not -0.001"),
        ({"jac": "2-point"}, ValueError, "jac must be a function, True or left out, not '2-point'"),
        ({"bounds": [(0, 1)]}, ValueError, "cannot use bounds"),
        ({"constraints": LinearConstraint([[1]], 0, 1)}, ValueError, "cannot use constraints"),
        ({"hess": lambda x: x}, ValueError, "cannot use hess"),
        ({"max_itr": 5}, TypeError, "no option 'max_itr'; its options are max_iter and gtol"),
    ],
)
def test_arguments_are_checked(arguments, error, message):
    with pytest.raises(error, match=message):
        fmincg(**{"fun": quadratic, "x0": [1.0], **arguments})


# Arrays that change hands


def overwriting(x):
    cost, gradient = rosenbrock(x)
    x[:] = np.nan
    return cost, gradient


def reusing(buffer):
    def fun(x):
        cost, buffer[:] = rosenbrock(x)
        return cost, buffer

    return fun


@pytest.mark.parametrize("fun", [overwriting, reusing(np.empty(2))])
def test_fun_may_overwrite_its_argument_and_its_gradient(fun):
    assert same(fmincg(fun, [-1.2, 1.0]), fmincg(rosenbrock, [-1.2, 1.0]))


@pytest.mark.parametrize("dtype", [float, np.float32, int])
def test_x0_is_left_alone_and_fun_may_keep_its_argument(dtype):
    x0, kept = np.array([-2, 1], dtype=dtype), []

    def fun(x):
        kept.append((x, x.copy()))
        return rosenbrock(x)

    fmincg(fun, x0)
    assert x0.tolist() == [-2, 1]
    assert all(x.dtype == float and np.array_equal(x, copy) for x, copy in kept)


# Callbacks and interruptions


def test_callback_sees_the_best_point_after_every_search():
    seen, points = [], []

    def callback(intermediate_result):
        seen.append(intermediate_result)
        points.append(intermediate_result.x.copy())
        intermediate_result.x[:] = intermediate_result.jac[:] = np.nan  # its own copies

    result = fmincg(rosenbrock, [-1.2, 1.0], callback=callback)
    assert same(result, fmincg(rosenbrock, [-1.2, 1.0]))
    assert [step.nit for step in seen] == list(range(1, result.nit + 1))
    assert all(rosenbrock(x)[0] == step.fun <= step.costs[-1] for x, step in zip(points, seen, strict=True))
    assert seen[-1].nfev == result.nfev


@pytest.mark.parametrize("through_scipy", [False, True])
def test_callback_may_stop_the_run(through_scipy):
    def callback(intermediate_result):
        if intermediate_result.nit == 3:
            raise StopIteration

    if through_scipy:
        result = minimize(rosenbrock, [-1.2, 1.0], jac=True, method=fmincg, callback=callback)
    else:
        result = fmincg(rosenbrock, [-1.2, 1.0], callback=callback)
    assert (result.nit, result.status, result.success) == (3, 99, False)
    assert result.fun == fmincg(rosenbrock, [-1.2, 1.0], 3).fun


@pytest.mark.parametrize("error", [KeyboardInterrupt, StopIteration, ZeroDivisionError])
def test_an_interruption_passes_through_and_the_best_point_is_kept(error):
    steps, (recorder, seen) = [], recorded(rosenbrock)

    def fun(x):
        if len(seen) == 20:
            raise error
        return recorder(x)

    with pytest.raises(error):
        fmincg(fun, [-1.2, 1.0], callback=steps.append)
    assert steps[-1].fun == min(cost for _, cost in seen[: steps[-1].nfev])
    assert rosenbrock(steps[-1].x)[0] == steps[-1].fun


# As a method of scipy.optimize.minimize


@pytest.mark.parametrize("fun", [rosenbrock, quadratic, overwriting, reusing(np.empty(2))])
def test_minimize_is_the_direct_call(fun):
    x0 = np.linspace(-1.2, 1, 3 if fun is quadratic else 2)
    calls = []

    def counted(x):
        calls.append(x)
        return fun(x)

    result = minimize(counted, x0, jac=True, method=fmincg, options={"max_iter": 20})
    assert same(result, fmincg(fun, x0, 20))
    assert len(calls) == result.nfev


@pytest.mark.parametrize(
    ("through_scipy", "direct"),
    [
        ({"options": {"maxiter": 20}}, {"max_iter": 20}),
        ({"options": {"gtol": 1e-3}}, {"gtol": 1e-3}),
        ({"tol": 1e-3}, {"gtol": 1e-3}),
        ({"bounds": None, "constraints": []}, {}),
    ],
)
def test_options_through_minimize(through_scipy, direct):
    result = minimize(rosenbrock, [-1.2, 1], jac=True, method=fmincg, **through_scipy)
    assert same(result, fmincg(rosenbrock, [-1.2, 1], **direct))


def test_minimize_with_arguments_and_a_gradient_of_its_own():
    def scaled(x, factor):
        return factor * rosen(x)

    def gradient(x, factor):
        return factor * rosen_der(x)

    expected = fmincg(lambda x: (scaled(x, 3.0), gradient(x, 3.0)), [-1.2, 1])
    assert same(minimize(scaled, [-1.2, 1], args=(3.0,), jac=gradient, method=fmincg), expected)
    assert same(fmincg(scaled, [-1.2, 1], args=3.0, jac=gradient), expected)
