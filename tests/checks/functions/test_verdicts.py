"""What hides an error, where a function may be asked, how often, and what is said of a wrong gradient."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import linalg

from harness import check_gradient
from harness.checks.functions.cost_probe import Budget

THETA = np.array([0.3, -0.7, 1.1])


def sines(t):
    return np.sum(np.sin(t)), np.cos(t)


def beside(constant, factor=1.0, size=1.0):
    return lambda t: (constant + size * np.sum(np.sin(t)), factor * size * np.cos(t))


# Beside a large cost


@pytest.mark.parametrize(
    ("constant", "factor", "size", "verdict"),
    [
        (1e11, 0.9, 1.0, "disagree"),  # wider steps see over the noise
        (1e11, 0.999, 1.0, "inconclusive"),
        (1e11, 1.0, 1.0, "inconclusive"),
        (1e13, 0.5, 1.0, "inconclusive"),
        (1e10, 0.99, 1.0, "disagree"),
        (1e8, 0.9999, 1.0, "disagree"),
        (-1e7, 0.9, 0.004, "disagree"),
        (1e3, 1.0, 1.0, "agree"),
    ],
)
def test_an_error_is_small_beside_derivatives_and_never_beside_the_cost(constant, factor, size, verdict):
    report = check_gradient(beside(constant, factor, size), THETA)
    assert report.verdict == verdict
    if verdict == "inconclusive":
        assert f"the cost is {constant:.6g}, so that only errors above" in report.reasons[0]
        assert "subtract its constant part" in report.reasons[0]


# Minima, and single points


X = np.random.default_rng(0).normal(size=(20, 3))


def rosenbrock(t):
    x, y = t
    return 100 * (y - x * x) ** 2 + (1 - x) ** 2, np.array([-400 * x * (y - x * x) - 2 * (1 - x), 200 * (y - x * x)])


def exact_fit(t):
    r = X @ t - X @ THETA
    return 0.5 * r @ r, X.T @ r


ZERO_MINIMA = {
    "squares": (lambda t: (np.sum((t - 1) ** 2), 2 * (t - 1)), np.ones(4)),
    "Rosenbrock": (rosenbrock, np.ones(2)),
    "least squares": (exact_fit, THETA),
    "with an offset": (lambda t: (0.5 * np.sum((X @ t + 7.0 - 7.0) ** 2), X.T @ (X @ t + 7.0 - 7.0)), np.zeros(3)),
}


@pytest.mark.parametrize(("fun", "theta"), ZERO_MINIMA.values(), ids=list(ZERO_MINIMA))
def test_at_a_minimum_of_zero_the_derivatives_one_step_away_are_the_measure(fun, theta):
    assert check_gradient(fun, theta).verdict == "agree"
    assert check_gradient(lambda t: (fun(t)[0], fun(t)[1] + 1e-6), theta).verdict == "disagree"


@pytest.mark.parametrize("value", [0.0, 1.0, np.nan, np.inf])
def test_a_value_that_is_wrong_at_one_point_alone_is_no_error_bar(value):
    def softplus(t):
        return np.sum(np.logaddexp(0, t)), np.where(t == 0, value, 1 / (1 + np.exp(-t)))

    report = check_gradient(softplus, np.array([0.0, 1.0]))
    assert (report.verdict, report.findings[0].where) == ("disagree", "theta[0]")
    assert ("only its value at this very θ is wrong" in report.findings[0].diagnosis) == np.isfinite(value)


@pytest.mark.parametrize(("power", "verdict"), [(2.5, "disagree"), (0.5, "inconclusive")])
def test_nan_at_the_edge_of_a_domain_is_wrong_where_the_slope_from_inside_is_finite(power, verdict):
    fun = lambda t: (np.sum(t**power), np.where(t == 0, np.nan, power * np.abs(t) ** (power - 1)))  # noqa: E731
    with np.errstate(all="ignore"):
        assert check_gradient(fun, np.array([0.0, 1.0])).verdict == verdict


def test_digits_lost_within_the_bound_are_a_note_and_beyond_it_an_error():
    def sinc(t, noise=0.0):
        x = np.pi * t
        return np.sum(np.sinc(t)), (x * np.cos(x) - np.sin(x)) / (x * t)

    assert check_gradient(sinc, np.array([1e-6, 2e-6])).verdict == "disagree"

    def rounded(t):
        return np.sum(np.sin(t)), np.round(np.cos(t), 11)

    report = check_gradient(lambda t: (rounded(t)[0], rounded(t)[1]), np.array([0.3]))
    assert report.verdict == "agree"


def test_wiggles_too_fine_for_the_first_step_are_looked_for():
    def wiggling(t, slope=0.0):
        return np.sum(np.sin(t)) + 1e-10 * np.sum(np.sin(1e8 * t)), np.cos(t) + slope * np.cos(1e8 * t)

    assert check_gradient(wiggling, THETA).verdict == "disagree"
    assert check_gradient(lambda t: wiggling(t, 1e-2), THETA).verdict != "disagree"


# Coordinates of very different sizes


STEEP = {
    "a logarithm": (lambda t: math.log(t[0]) + t[1] ** 2, lambda t: 1 / t[0], 1e-12, "agree"),
    "a logarithm that bends near zero": (lambda t: math.log(t[0] + 1e-12) + t[1] ** 2, lambda t: 1e12, 0.0, "agree"),
    "a pole": (lambda t: 1e-9 / t[0] + t[1] ** 2, lambda t: -1e-9 / t[0] ** 2, 1e-9, "agree"),
    "a wave of a few roundings": (
        lambda t: 1e-3 * math.sin(1e13 * t[0]) + t[1] ** 2,
        lambda t: 1e10 * math.cos(1e13 * t[0]),
        1.0,
        "inconclusive",
    ),
}


@pytest.mark.parametrize(("cost", "slope", "at", "verdict"), STEEP.values(), ids=list(STEEP))
def test_a_steep_coordinate_hides_no_error_in_a_flat_one(cost, slope, at, verdict):
    def fun(t, factor=1.0):
        return cost(t), np.array([slope(t), factor * 2 * t[1]])

    theta = np.array([at, 1.0])
    assert check_gradient(fun, theta).verdict == verdict
    report = check_gradient(lambda t: fun(t, 1.005), theta)
    assert (report.verdict, report.findings[0].where) == ("disagree", "theta[1]")


def test_derivatives_far_away_are_no_measure_of_those_at_theta():
    def quartic(t, factor=1.0):
        assert t.dtype == np.float16, "it is never differenced in float64"
        return np.sum(t**4, dtype=np.float16), np.float16(factor) * 4 * t**3

    theta = np.array([2.04, -2.56, 0.42, -0.57], np.float16)
    for factor in (1.0, 1.01):
        report = check_gradient(lambda t, factor=factor: quartic(t, factor), theta)
        assert report.verdict == "inconclusive"
        assert not any("raised" in note for note in report.notes), "it raised nothing for being beside θ"


def test_what_rounding_of_the_gradient_hides_is_not_put_down_to_the_cost():
    theta = np.random.default_rng(3).normal(size=4).astype(np.float16)
    report = check_gradient(lambda t: (np.sum(t**4), 4 * t**3), theta)
    assert report.verdict == "inconclusive"
    assert "rounding may move the gradient itself by" in report.reasons[0]
    assert "the cost is" not in report.reasons[0]


def test_to_subtract_a_constant_is_no_advice_where_the_cost_is_no_larger_than_its_derivatives():
    roots = lambda t: (np.sum(np.sqrt(t * t + 1e-20)), t / np.sqrt(t * t + 1e-20))  # noqa: E731
    report = check_gradient(roots, np.array([0.0, 1.0]))
    assert "could be seen beside the noise in it: try another θ" in report.reasons[0]


def test_a_matrix_exponential_of_four_parameters_takes_few_calls():
    expm = lambda t: linalg.expm(t.reshape(2, 2))  # noqa: E731
    fun, calls = counted(lambda t: np.trace(expm(t)))
    report = check_gradient(fun, np.array([0.3, -1.2, 0.8, 0.5]), gradient=lambda t: expm(t).T.ravel())
    assert report.verdict == "agree"
    assert len(calls) < 250


def test_a_jump_at_theta_is_undecided_however_steep_it_looks():
    report = check_gradient(lambda t: (np.sum(np.floor(t)), np.zeros(2)), np.array([1.0, 1.7]))
    assert report.verdict == "inconclusive"
    assert "theta[0]" in report.reasons[0]
    assert "the cost bends, jumps or ends too close to θ" in report.reasons[0]
    assert "subtract" not in report.reasons[0], "the cost of 2 is not what hides anything"


def test_the_slopes_beside_a_kink_are_a_measure_of_errors_elsewhere():
    report = check_gradient(lambda t: (np.max(t), 0.5 * (t == np.max(t))), np.array([1.0, 1.0, 0.0]))
    assert "2 of 3 coordinates cannot be decided (theta[0], theta[1])" in report.reasons[0]


@pytest.mark.parametrize(
    "fun",
    [
        lambda t: (t[0] ** 2 - t[1] ** 2, np.array([2, -2]) * t),
        lambda t: (t @ t**3, 4 * t**3),
        lambda t: (np.sum(t**3), 3 * t**2),
    ],
)
def test_at_a_stationary_point_no_digits_are_lost(fun):
    report = check_gradient(fun, np.zeros(2))
    assert (report.verdict, report.notes) == ("agree", ())


def median(t, slope=1.0):
    order = np.argsort(t, kind="stable")
    gradient = np.zeros_like(t)
    gradient[order[len(t) // 2]] = slope
    return t[order[len(t) // 2]] + 0.1 * t @ t, gradient + 0.2 * t


def median_wrong_at_ties(t):
    cost, gradient = median(t)
    return cost, gradient + 4.0 * (t == 1.0)


@pytest.mark.parametrize(
    ("fun", "theta", "verdict"),
    [
        (median, [0.4, -1.0, 2.0, 0.1, 3.0], "agree"),
        (median, [1.0, 1.0, 1.0, 2.0, 0.0], "inconclusive"),
        (median_wrong_at_ties, [1.0, 1.0, 1.0, 2.0, 0.0], "disagree"),
        (lambda t: (median(t)[0], median(t)[1] + [0, 0, 0, 0.1, 0]), [1.0, 1.0, 1.0, 2.0, 0.0], "disagree"),
        (lambda t: median(t, 1.1), [0.4, -1.0, 2.0, 0.1, 3.0], "disagree"),
        (lambda t: (t @ t, 2.0 * t + (t == 1.0)), [1.0, 0.5], "disagree"),
    ],
)
def test_where_partial_derivatives_make_no_gradient_its_values_beside_are_conventions(fun, theta, verdict):
    """Each of three ties can go up or down alone without moving the median, and yet a subgradient is no bug."""
    report = check_gradient(fun, np.array(theta))
    assert report.verdict == verdict, f"\n{report}"
    if verdict == "inconclusive":
        assert "(theta[1]): θ sits on a kink, where no derivative is the right one" in report.reasons[0]


WHOLE = np.random.default_rng(3).integers(-2, 3, size=(12, 3)).astype(float)


def relu_units(theta, slope=1.0):
    """Half squared errors of ReLU units whose weights and inputs are whole numbers, so that many sit on kinks."""
    W, v = theta
    Z = WHOLE @ W.T
    off = np.maximum(Z, 0.0) @ v - 1.0
    return 0.5 * off @ off, (slope * (np.outer(off, v) * (Z > 0.0)).T @ WHOLE, np.maximum(Z, 0.0).T @ off)


@pytest.mark.parametrize(("slope", "verdict"), [(1.0, "inconclusive"), (1.1, "disagree")])
@pytest.mark.parametrize("seed", [9, 16, 17, 32])
def test_units_on_kinks_together_may_all_have_the_slope_of_one_side(seed, slope, verdict):
    rng = np.random.default_rng(seed)
    theta = rng.integers(-2, 3, size=(4, 3)).astype(float), rng.integers(-2, 3, size=4).astype(float)
    assert check_gradient(lambda t: relu_units(t, slope), theta).verdict == verdict


# Beyond the edge of the domain


def logarithms(t, error=None):
    if error is not None and min(t) <= 0.0:
        raise error("outside")
    return sum(math.log(x) for x in t), 1.0 / t


@pytest.mark.parametrize(
    "error", [None, ValueError, AssertionError, ZeroDivisionError, np.linalg.LinAlgError, RuntimeError]
)
def test_what_is_raised_beside_theta_is_the_edge_of_the_domain(error):
    theta = np.array([1e-3, 0.5])
    report = check_gradient(lambda t: logarithms(t, error), theta)
    assert report.verdict == "agree"
    assert any("beside θ, fun raised" in note for note in report.notes)
    wrong = check_gradient(lambda t: (logarithms(t, error)[0], 1.001 / t), theta)
    assert wrong.verdict == "disagree"


def test_an_edge_too_close_for_anything_but_noise_is_told_as_an_edge():
    (reason,) = check_gradient(lambda t: (np.sum(t * np.log(t)), np.log(t) + 1.0), np.array([1e-12, 0.5])).reasons
    assert "(theta[0]): θ is close to the edge of the domain" in reason
    assert "try a θ farther inside" in reason


@pytest.mark.parametrize("error", [TypeError, NameError, KeyError, AttributeError, NotImplementedError, RecursionError])
def test_a_bug_that_shows_beside_theta_is_handed_on(error):
    with pytest.raises(error, match="outside"):
        check_gradient(lambda t: logarithms(t, error), np.array([1e-3, 0.5]))


def test_an_answer_of_no_proper_shape_beside_theta_is_no_edge():
    with pytest.raises(ValueError, match="shape"):
        check_gradient(lambda t: (np.sum(t) if t[0] == 0.3 else t, np.ones(3)), THETA)


def test_what_is_raised_at_theta_itself_has_a_note():
    with pytest.raises(ValueError, match="outside") as caught:
        check_gradient(lambda t: logarithms(t, ValueError), np.array([-1.0, 0.5]))
    assert "give one inside of its domain" in caught.value.__notes__[0]


# The same question, the same answer


def dropout(seen=[0]):  # noqa: B006
    rng = np.random.default_rng(0)
    seen[0] = 0

    def fun(t):
        seen[0] += 1
        mask = rng.random(t.size) > 0.3
        return np.sum(mask * t**2), 2 * mask * t

    return fun, seen


def accumulating():
    total = np.zeros(3)

    def fun(t):
        total[:] += np.cos(t)
        return np.sum(np.sin(t)), total.copy()

    return fun


def counting():
    calls = []

    def fun(t):
        calls.append(1.0)
        return np.sum(np.sin(t)) + 0.5 * len(calls), np.cos(t)

    return fun


def stale():
    last = []

    def fun(t):
        last.append(np.cos(t))
        return np.sum(np.sin(t)), last[-2] if len(last) > 1 else last[-1]

    return fun


class Kept:
    """Cost and gradient apart, of which one leaves something for the other, or for the next call."""

    def __init__(self):
        self.cosine = self.at_first = None

    def cost(self, t):
        self.cosine = np.cos(t)
        return np.sum(np.sin(t))

    def of_last_cost(self, t):
        return self.cosine

    def of_first_call(self, t):
        self.at_first = np.cos(t) if self.at_first is None else self.at_first
        return self.at_first


def test_a_gradient_of_what_the_cost_was_last_called_with_is_misconduct():
    report = check_gradient((kept := Kept()).cost, THETA, gradient=kept.of_last_cost)
    assert (report.verdict, report.outliers, report.notes) == ("disagree", ("fun",), ())
    (reason,) = report.reasons
    assert reason.startswith("fun answers a gradient that depends on the call of fun before it")


def test_a_gradient_kept_from_the_first_call_is_misconduct():
    report = check_gradient((kept := Kept()).cost, THETA, gradient=kept.of_first_call)
    assert (report.verdict, report.outliers) == ("disagree", ("fun",))
    assert report.reasons[0].startswith("fun answers the same gradient at another theta")


CONSTANT = {
    "linear": (lambda t: (np.sum(t), np.ones(3)), THETA),
    "absolute values": (lambda t: (np.sum(np.abs(t)), np.sign(t)), THETA),
    "a kink one step away": (lambda t: (np.sum(np.abs(t - THETA - 2.0**-9)), np.sign(t - THETA - 2.0**-9)), THETA),
    "a jump one step away": (lambda t: (np.sum(t) + (t[0] > 0.3 + 2.0**-11), np.ones(3)), THETA),
    "in steps of rounding": (lambda t: (np.float32(np.sum(t)), np.ones(3)), THETA),
}


@pytest.mark.parametrize(("fun", "theta"), CONSTANT.values(), ids=list(CONSTANT))
def test_a_gradient_may_be_the_same_elsewhere_where_the_slope_is(fun, theta):
    report = check_gradient(fun, theta)
    assert report.verdict in ("agree", "inconclusive")
    assert not any("another theta" in reason for reason in report.reasons)


CHANGING = {
    "random": (dropout()[0], "random numbers, such as those of dropout"),
    "accumulating": (accumulating(), "grows with every call, as .grad does"),
    "counting": (counting(), "its cost changes by 0.5 with every call"),
    "stale": (stale(), "its gradient is that of the call before"),
}


@pytest.mark.parametrize(("fun", "advice"), CHANGING.values(), ids=list(CHANGING))
def test_what_changes_from_call_to_call_is_misconduct_and_the_advice_fits(fun, advice):
    report = check_gradient(fun, THETA)
    assert (report.verdict, report.outliers) == ("disagree", ("fun",))
    assert advice in report.reasons[0]
    assert "kink" not in str(report)


def test_what_is_not_repeatable_is_known_after_three_calls():
    fun, calls = dropout()
    assert check_gradient(fun, THETA).verdict == "disagree"
    assert calls == [3]


def test_costs_that_differ_are_told_with_the_digits_that_differ():
    rng = np.random.default_rng(0)
    (reason,) = check_gradient(lambda t: (t @ t + 1e-8 * rng.random(), 2.0 * t), THETA).reasons
    first, second = reason.partition("(costs ")[2].partition(")")[0].split(", ")
    assert first != second


def test_what_is_not_repeatable_is_told_that_and_nothing_else():
    (reason,) = check_gradient(dropout()[0], THETA).reasons
    assert reason.startswith("fun answers differently when called twice with the same theta")


# float32


EXAMPLES = jnp.asarray(np.random.default_rng(1).normal(size=(50, 4)), jnp.float32)
loss = jax.jit(jax.value_and_grad(lambda p: jnp.mean(jnp.logaddexp(0.0, EXAMPLES @ p["w"] + p["b"]))))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("reference", [None, lambda p: jnp.mean(jnp.logaddexp(0.0, EXAMPLES @ p["w"] + p["b"]))])
def test_an_error_of_a_thousandth_in_float32_is_named(dtype, reference):
    theta = {"w": np.array([0.3, -0.2, 0.5, 1.0], dtype), "b": np.asarray(0.2, dtype)}

    def fun(p, factor=1.0):
        cost, gradient = loss({name: jnp.asarray(part) for name, part in p.items()})
        return cost, gradient | {"b": factor * gradient["b"]}

    assert check_gradient(fun, theta, reference).verdict == "agree"
    report = check_gradient(lambda p: fun(p, 1.001), theta, reference)
    assert (report.verdict, report.outliers, report.findings[0].where) == ("disagree", ("fun",), "b")


def test_a_gradient_of_float32_numbers_is_not_called_wrong_for_it():
    report = check_gradient(lambda t: (sines(t)[0], sines(t)[1].astype(np.float32).astype(float)), THETA)
    assert report.verdict == "agree"
    assert any("float32 numbers" in note for note in report.notes)


# Many parameters, and a budget


def counted(fun):
    calls = []

    def count(t):
        calls.append(1)
        return fun(t)

    return count, calls


def test_thousands_of_parameters_take_a_few_thousand_calls_and_each_is_seen():
    theta = np.random.default_rng(0).normal(size=4_000)
    fun, calls = counted(sines)
    report = check_gradient(fun, theta)
    assert (report.verdict, report.decided_share) == ("agree", 1.0)
    assert len(calls) < 5_000

    def wrong(t):
        gradient = np.cos(t)
        gradient[-1] += 1e-6
        return np.sum(np.sin(t)), gradient

    fun, calls = counted(wrong)
    report = check_gradient(fun, theta)
    assert (report.verdict, [finding.where for finding in report.findings]) == ("disagree", ["theta[3999]"])
    assert len(calls) < 6_000


def test_of_many_that_are_wrong_a_sample_is_looked_at_and_each_block_described():
    theta = {"a": np.linspace(-1, 1, 1000), "b": np.linspace(0.5, 2, 900).reshape(30, 30), "c": np.ones(4)}

    def wrong(p):
        cost = sum(np.sum(np.sin(part)) for part in p.values())
        return cost, {"a": -np.cos(p["a"]), "b": 1.5 * np.cos(p["b"]), "c": np.cos(p["c"])}

    fun, calls = counted(wrong)
    (finding,) = check_gradient(fun, theta).findings
    assert finding.diagnosis == "a: the sign is wrong; b: 1.5 times the right value"
    assert finding.blocks == ("a", "b")
    assert len(calls) < 15_000


@pytest.mark.parametrize("budget", [60, 300, 0.5])
def test_a_budget_is_kept_and_the_report_says_how_far_it_went(budget):
    fun, calls = counted(sines)
    report = check_gradient(fun, np.linspace(-1, 2, 800), budget=budget)
    assert report.verdict != "disagree"
    assert report.seconds < 5.0
    if isinstance(budget, int):
        assert len(calls) < budget + 70, "one line may be under way"
        assert any("groups" in note or "left unexamined" in note for note in report.notes)


@pytest.mark.parametrize("budget", [0, -1, -0.5, True, "10 s", np.nan])
def test_a_budget_is_a_number_above_zero(budget):
    with pytest.raises(ValueError, match="budget must be a number of calls"):
        check_gradient(sines, THETA, budget=budget)


def test_a_budget_tells_what_is_left_of_it():
    budget = Budget(10)
    budget.calls = 9
    assert (budget.calls_left(), budget.is_spent, str(budget)) == (1, False, "10 calls")
    budget.calls = 10
    assert budget.is_spent
    assert not Budget(None).is_spent
    assert str(Budget(2.5)) == "2.5 s"


# What is said of a wrong gradient


SHAPES = {"W": (3, 3), "V": (3, 3), "b": (3,), "T": (2, 3, 2), "R": (2, 5), "s": ()}
BASE = {name: np.random.default_rng(i).normal(size=shape) for i, (name, shape) in enumerate(SHAPES.items())}
AT = {name: np.random.default_rng(10 + i).normal(size=shape) for i, (name, shape) in enumerate(SHAPES.items())}


def blocks(p):
    cost = sum(np.sum(np.sin(1.3 * part + BASE[name])) for name, part in p.items())
    return cost, {name: 1.3 * np.cos(1.3 * part + BASE[name]) for name, part in p.items()}


def one(name, index, change):
    def changed(g, p):
        part = g[name].copy()
        part[index] = change(part[index])
        return {name: part}

    return changed


TOLD = {
    "sign": (lambda g, p: {"b": -g["b"]}, "b: the sign is wrong"),
    "all": (lambda g, p: {k: 2 * v for k, v in g.items()}, "the gradient: 2 times the right value"),
    "transposed": (lambda g, p: {"W": g["W"].T}, "W: right, but transposed"),
    "axes": (lambda g, p: {"T": g["T"].transpose(2, 1, 0)}, "T: right, but its axes are in the order (2, 1, 0)"),
    "unrolled": (
        lambda g, p: {"R": g["R"].ravel(order="F").reshape(2, 5)},
        "R: right, but unrolled in another order, row by row for column by column",
    ),
    "swapped": (lambda g, p: {"W": g["V"], "V": g["W"]}, "W and V are swapped"),
    "copied": (lambda g, p: {"W": g["V"]}, "W: that of V"),
    "flipped": (lambda g, p: {"R": g["R"][:, ::-1]}, "R: right, but in reverse order along axis 1"),
    "shifted": (lambda g, p: {"b": np.roll(g["b"], 1)}, "b: right, but shifted by 1"),
    "penalty": (
        lambda g, p: {"W": g["W"] - 0.2 * p["W"]},
        "W: off by -0.2 times θ, as the derivative of a penalty c θ² is",
    ),
    "offset": (lambda g, p: {"b": g["b"] + 0.1}, "b: off by the same 0.1 everywhere"),
    "zero": (lambda g, p: {"V": 0 * g["V"]}, "V: zero where it should not be"),
    "mean": (
        lambda g, p: {"R": g["R"] / 5},
        "R: 0.2 times the right value, and 5 is the length of its axis 1: as a mean taken twice",
    ),
    "clipped": (lambda g, p: {"W": np.clip(g["W"], -0.5, 0.5)}, "W: clipped at 0.5"),
    "row by row": (
        lambda g, p: {"W": g["W"] * [[1], [2], [3]]},
        "W: each slice along axis 0 has a factor of its own (1, 2, 3 times the right value)",
    ),
    "one entry": (one("W", (1, 2), lambda x: 1.5 * x), "W[1, 2] alone of 9 examined: "),
    "one NaN": (one("b", 1, lambda x: np.nan), "b[1] alone of 3 examined: not finite, although the derivative is"),
    "one zero": (one("b", 1, lambda x: 0.0), "b[1] alone of 3 examined: zero where it should not be"),
    "one of one": (lambda g, p: {"s": -g["s"]}, "s: the sign is wrong"),
    "a column": (
        one("R", (slice(None), 3), lambda x: x + np.array([0.1, 0.3])),
        "R: 2 of 10 examined coordinates are wrong, all of them in R[:, 3]",
    ),
    "nothing known": (
        lambda g, p: {"W": g["W"] + 1e-3 * np.sin(3 * p["W"])},
        "W: all 9 examined coordinates are wrong, by up to",
    ),
    "a small error": (
        lambda g, p: {"W": g["W"] + 1e-7 * np.sin(3 * p["W"])},
        "W: all 9 examined coordinates are wrong, by up to",
    ),
}


def clipped(t):
    return np.sum(np.clip(t, -1, 1)), 1.0 * (np.abs(t) < 1)


AMBIGUOUS = {
    "ones for an indicator": (
        clipped,
        lambda g, t: np.ones(3),
        [0.5, 2.0, -3.0],
        "2 of 3 examined coordinates are wrong, by up to 1",
    ),
    "squares": (sines, lambda g, t: g**2, [0.5, 2.0, -3.0], "the squares of the right values"),
    "an offset at ones": (
        lambda t: (np.sum(np.arange(1, 4) * np.sin(t)), np.arange(1, 4) * np.cos(t)),
        lambda g, t: g + 1e-3,
        [1.0, 1.0, 1.0],
        "off by 0.001 times θ or, which is the same here, off by the same 0.001 everywhere",
    ),
    "a penalty where the gradient is θ": (
        lambda t: (0.5 * np.sum(t**2), t),
        lambda g, t: 1.5 * g,
        [0.5, 2.0, -3.0],
        "1.5 times the right value or, which is the same here, off by 0.5 times θ",
    ),
    "signs alone": (
        sines,
        lambda g, t: np.sign(g),
        [0.5, 2.0, -3.0, 1.0],
        "all 4 examined coordinates are wrong, by up to",
    ),
}


@pytest.mark.parametrize(("fun", "change", "theta", "told"), AMBIGUOUS.values(), ids=list(AMBIGUOUS))
def test_a_relation_is_told_where_it_could_have_failed_and_a_cause_where_no_other_fits(fun, change, theta, told):
    (finding,) = check_gradient(lambda t: (fun(t)[0], change(fun(t)[1], t)), np.array(theta)).findings
    assert finding.diagnosis.startswith(f"theta: {told}")
    assert "penalty" not in finding.diagnosis


@pytest.mark.parametrize(("change", "told"), TOLD.values(), ids=list(TOLD))
def test_the_shape_of_the_error_is_named_where_it_fits_and_else_only_where_it_is(change, told):
    names = {"W", "V", "b", *change(blocks(AT)[1], AT)}
    at = {name: part for name, part in AT.items() if name in names}
    (finding,) = check_gradient(lambda p: (blocks(p)[0], blocks(p)[1] | change(blocks(p)[1], p)), at).findings
    assert finding.diagnosis.startswith(told)
    for word in ("δ", "layer", "float32", "targets"):
        assert word not in finding.diagnosis


# Kinks, and numbers that float32 holds by chance


def kinked(claim):
    return lambda t: (np.sum(np.abs(t)), np.where(t == 0.0, claim, np.sign(t)))


@pytest.mark.parametrize("claim", [1.001, 2.0, -1.5, -5.0, np.nan])
def test_at_a_kink_a_claim_outside_of_both_slopes_is_wrong(claim):
    report = check_gradient(kinked(claim), np.array([0.0, 1.0]))
    assert (report.verdict, report.outliers) == ("disagree", ("fun",))
    assert report.findings[0].diagnosis.endswith("theta[0] sits on a kink, between slopes of -1 and 1")


@pytest.mark.parametrize("claim", [-1.0, 0.0, 0.4, 1.0])
def test_at_a_kink_what_lies_between_the_slopes_is_a_convention(claim):
    report = check_gradient(kinked(claim), np.array([0.0, 1.0]))
    assert report.verdict == "inconclusive"
    assert "θ sits on a kink (slope -1 below, 1 above)" in report.reasons[0]


def test_at_a_kink_the_reference_and_a_claim_outside_of_the_slopes_are_no_tie():
    def relu(t):
        return np.sum(np.maximum(t, 0.0)), np.where(t == 0.0, -0.4, t > 0.0)

    report = check_gradient(relu, np.array([0.0, 1.0]), reference=lambda t: jnp.sum(jnp.maximum(t, 0.0)))
    assert (report.verdict, report.outliers) == ("disagree", ("fun",))


def test_a_number_that_fits_float32_by_chance_is_not_one():
    theta = np.array([1e-8])  # 1e8 is a number of float32, and 1e8 + 400 is one
    right, wrong = (check_gradient(lambda t, off=off: (np.sum(np.log(t)), 1.0 / t + off), theta) for off in (0.0, 400))
    assert (right.verdict, wrong.verdict) == ("agree", "disagree")
    assert not any("float32" in note for note in right.notes)


def test_float32_numbers_of_a_float64_function_are_noted():
    report = check_gradient(lambda t: (np.sum(np.sin(t)), np.cos(t).astype(np.float32)), THETA)
    assert report.verdict == "agree"
    assert any(note.startswith("the gradient holds float32 numbers") for note in report.notes)


def test_one_number_in_the_place_of_another_is_no_shift():
    report = check_gradient(lambda t: (np.max(t), 1.0 * (t == np.sort(t)[-2])), np.array([3.0, 4.0, 1.0]))
    assert report.findings[0].diagnosis == "theta: the right numbers in other places"


def test_an_error_of_a_tolerance_s_size_is_told_with_its_share():
    report = check_gradient(lambda t: (np.sum(np.sin(t)), np.cos(t) + 1e-9 * np.array([1.0, 2.0, -1.0])), THETA)
    assert report.verdict == "disagree"
    assert "by up to 2e-09, 2e-09 of the largest: the tolerance of a solver" in report.findings[0].diagnosis


def test_a_gradient_where_the_cost_is_flat_is_told_so():
    report = check_gradient(lambda t: (float(np.sum(np.round(t) ** 2)), 2.0 * t), THETA)
    assert report.findings[0].diagnosis == "theta: off by 2 times θ, where the cost does not change at all"


def test_what_groups_show_to_be_right_counts_as_examined():
    table = np.random.default_rng(0).normal(size=(300, 10))

    def fun(t):
        total, gradient = t[[3, 3, 7]].sum(axis=0), np.zeros_like(t)
        gradient[[3, 3, 7]] += 2.0 * total  # once for what is there twice
        return total @ total, gradient

    (finding,) = check_gradient(fun, table).findings
    assert finding.diagnosis.startswith(
        "theta: 10 of 3000 examined coordinates are wrong, all of them in theta[3, :], by up to "
    )


def test_a_cost_that_is_not_finite_is_the_reason():
    for cost in (np.inf, np.nan):
        report = check_gradient(lambda t, cost=cost: (cost, t), THETA)
        assert report.verdict == "inconclusive"
        assert "bends" not in str(report)
        assert "the cost is not finite" in str(report)
        assert report.decided_share == 0.0
