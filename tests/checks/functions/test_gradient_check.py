"""Anybody's gradient against differences of anybody's cost: what agrees, what is caught, what cannot be told."""

import os
import zlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from harness import check_gradient
from harness.bounds.tolerances import ALL_COORDINATES
from harness.checks.functions.step_sizes import STEPS

U = 2.0**-53


def theta_of(n=6, scale=1.0, seed=0):
    return scale * np.random.default_rng(seed).standard_normal(n)


def sines(theta):
    return np.sum(np.sin(theta)), np.cos(theta)


def changed(change, fun=sines):
    """`fun` with its gradient changed."""

    def answer(theta):
        cost, gradient = fun(theta)
        return cost, change(gradient.copy())

    return answer


def off_at(i, by=0.0, factor=1.0):
    def change(gradient):
        gradient[i] = gradient[i] * factor + by
        return gradient

    return change


# Smooth functions: no false alarm, and no error of 1e-4 is missed


def products_of_others(t):
    return np.array([np.prod(np.delete(t, i)) for i in range(len(t))])


def rosenbrock_slope(t):
    slope = np.zeros_like(t)
    slope[:-1] = -400 * t[:-1] * (t[1:] - t[:-1] ** 2) - 2 * (1 - t[:-1])
    slope[1:] += 200 * (t[1:] - t[:-1] ** 2)
    return slope


POWERS = 10.0 ** np.arange(-3, 3)

SMOOTH = {
    "linear": (lambda t: 3 * np.sum(t), lambda t: np.full_like(t, 3.0)),
    "quadratic": (lambda t: 0.5 * t @ t, lambda t: t),
    "badly scaled": (lambda t: POWERS @ t**2, lambda t: 2 * POWERS * t),
    "cubic": (lambda t: np.sum(t**3 - t), lambda t: 3 * t**2 - 1),
    "quartic": (lambda t: np.sum(t**4), lambda t: 4 * t**3),
    "product": (np.prod, products_of_others),
    "exp": (lambda t: np.sum(np.exp(t)), np.exp),
    "sin": (lambda t: np.sum(np.sin(t)), np.cos),
    "fast sin": (lambda t: np.sum(np.sin(10 * t)), lambda t: 10 * np.cos(10 * t)),
    "faster sin": (lambda t: np.sum(np.sin(50 * t)), lambda t: 50 * np.cos(50 * t)),
    "tanh": (lambda t: np.sum(np.tanh(t)), lambda t: 1 / np.cosh(t) ** 2),
    "arctan": (lambda t: np.sum(np.arctan(t)), lambda t: 1 / (1 + t**2)),
    "softplus": (lambda t: np.sum(np.logaddexp(0, t)), lambda t: 1 / (1 + np.exp(-t))),
    "log sum exp": (lambda t: np.log(np.sum(np.exp(t))), lambda t: np.exp(t) / np.sum(np.exp(t))),
    "bell": (lambda t: np.sum(np.exp(-(t**2))), lambda t: -2 * t * np.exp(-(t**2))),
    "deep bell": (lambda t: np.exp(-t @ t), lambda t: -2 * t * np.exp(-t @ t)),
    "rational": (lambda t: np.sum(1 / (1 + t**2)), lambda t: -2 * t / (1 + t**2) ** 2),
    "pole": (lambda t: np.sum(1 / (0.1 + t**2)), lambda t: -2 * t / (0.1 + t**2) ** 2),
    "log": (lambda t: np.sum(np.log1p(t**2)), lambda t: 2 * t / (1 + t**2)),
    "root": (lambda t: np.sum(np.sqrt(1 + t**2)), lambda t: t / np.sqrt(1 + t**2)),
    "entropy": (lambda t: np.sum((2 + t**2) * np.log(2 + t**2)), lambda t: 2 * t * (np.log(2 + t**2) + 1)),
    "Rosenbrock": (lambda t: np.sum(100 * (t[1:] - t[:-1] ** 2) ** 2 + (1 - t[:-1]) ** 2), rosenbrock_slope),
    "with an offset": (lambda t: 100 + np.sum(np.sin(t)), np.cos),
}

DEEP = os.environ.get("HARNESS_PROFILE") == "deep"
"""Every seed with every scale, and more of them."""

COST_SCALES = (1e-13, 1e-6, 1.0, 1e6)  # one verdict whatever the units
each_smooth_function = pytest.mark.parametrize("function", SMOOTH.values(), ids=list(SMOOTH))


def scaled(function, scale, change=lambda gradient: gradient):
    return lambda theta: (scale * function[0](theta), change(scale * function[1](theta)))


@each_smooth_function
@pytest.mark.parametrize("size", [1e-3, 1.0, 3.0])
def test_the_right_gradient_of_a_smooth_function_raises_no_alarm(function, size):
    verdicts = [
        check_gradient(scaled(function, scale), theta_of(scale=size, seed=seed)).verdict
        for number, scale in enumerate(COST_SCALES)
        for seed in (range(4) if DEEP else [number])
    ]
    assert "disagree" not in verdicts
    assert verdicts.count("agree") >= 0.8 * len(verdicts)


@each_smooth_function
@pytest.mark.parametrize("size", [1e-3, 1.0, 3.0])
def test_an_error_of_one_in_ten_thousand_is_caught_and_located(function, size):
    for scale in COST_SCALES:
        theta = theta_of(scale=size, seed=1)
        i = int(np.argmax(np.abs(function[1](theta))))
        report = check_gradient(scaled(function, scale, off_at(i, factor=1.0 + 1e-4)), theta)
        assert (report.verdict, report.outliers) == ("disagree", ("fun",))
        assert [finding.where for finding in report.findings] == [f"theta[{i}]"]


@pytest.mark.parametrize("x", [0.1, 0.4, -0.7])
@pytest.mark.parametrize("step", STEPS[:2])
def test_a_wave_that_fits_a_stencil_raises_no_alarm(x, step):
    """The first differences see the same point of the wave again and again, and so a slope of zero."""
    speed = 2.0 * np.pi / step
    theta = np.array([x])
    assert check_gradient(lambda t: (np.sum(np.sin(speed * t)), speed * np.cos(speed * t)), theta).verdict != "disagree"


@each_smooth_function
def test_a_gradient_that_is_right_at_one_theta_only_is_caught_at_another(function):
    """A constant instead of the gradient: how a checker that looks in one place is passed."""
    elsewhere = function[1](theta_of(seed=5))
    if np.ptp(function[1](theta_of(seed=1)) - elsewhere) > 0.0:  # not for the linear one
        assert check_gradient(lambda t: (function[0](t), elsewhere), theta_of(seed=1)).verdict == "disagree"


WRONG = {
    "sign": lambda g: -g,
    "zero": np.zeros_like,
    "factor": lambda g: 2.0 * g,
    "a part in a million": lambda g: g * (1.0 + 1e-6),
    "one entry": off_at(2, by=1e-6),
    "two that cancel": lambda g: off_at(1, by=-1e-3)(off_at(0, by=1e-3)(g)),
    "order": lambda g: g[::-1].copy(),
    "NaN": off_at(3, factor=np.nan),
    "Inf": off_at(3, by=np.inf),
    "all NaN": lambda g: np.full_like(g, np.nan),
}


@pytest.mark.parametrize("change", WRONG.values(), ids=list(WRONG))
def test_wrong_gradients_are_caught(change):
    report = check_gradient(changed(change), theta_of())
    assert (report.verdict, report.outliers, report.reasons) == ("disagree", ("fun",), ())
    assert report.findings


def test_the_finding_names_the_place_both_values_and_the_bound():
    theta = theta_of()
    report = check_gradient(changed(off_at(4, by=1e-3)), theta)
    (finding,) = report.findings
    assert (finding.source, finding.against, finding.what) == ("fun", "finite-difference", "gradient")
    assert (finding.where, finding.coordinates) == ("theta[4]", 1)
    assert finding.value == np.cos(theta[4]) + 1e-3
    assert finding.expected == pytest.approx(np.cos(theta[4]), abs=1e-9)
    assert 0.0 < finding.bound < 1e-8
    assert str(report).startswith("DISAGREE")


def test_agreement_tells_what_would_have_been_seen():
    report = check_gradient(sines, theta_of())
    assert (report.verdict, report.outliers, report.reasons) == ("agree", (), ())
    assert [row.name for row in report.sources] == ["fun", "finite-difference"]
    assert report.subject == {"parameters": 6, "differenced": 6}
    smallest, largest = report.smallest_visible
    assert 0.0 < smallest <= largest < 1e-8
    for factor, verdict in ((1.5, "disagree"), (0.3, "agree")):
        assert check_gradient(changed(off_at(0, by=factor * largest)), theta_of()).verdict == verdict


@pytest.mark.parametrize("theta", [np.zeros(3), np.ones(3), np.full(3, -1e-9), np.full(3, 1e5)])
def test_special_and_large_theta(theta):
    assert check_gradient(lambda t: (0.5 * t @ t, t), theta).verdict == "agree"
    assert check_gradient(lambda t: (0.5 * t @ t, 1.001 * t + 1e-6), theta).verdict == "disagree"


# All kinds of parameters


W, B = np.random.default_rng(3).standard_normal((2, 3)), 0.7


def quartics(p):
    return sum((leaf**4).sum() for leaf in p.values()), {name: 4 * leaf**3 for name, leaf in p.items()}


@pytest.mark.parametrize("make", [np.asarray, jnp.asarray], ids=["NumPy", "JAX"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_arrays_of_any_shape_and_precision(make, dtype):
    with jax.enable_x64(True):
        theta = make(W.astype(dtype))
        seen = []

        def fun(t, factor=1.0):
            seen.append(t)
            return (t**4).sum(), factor * 4 * t**3

        assert check_gradient(fun, theta).verdict == "agree"
        assert {(type(t), t.shape) for t in seen} == {(type(theta), (2, 3))}
        assert {t.dtype for t in seen} == {np.dtype(dtype), np.dtype(np.float64)}, "float32 is differenced in float64"
        report = check_gradient(lambda t: fun(t, make(dtype(1.01))), theta)
        assert (report.verdict, report.outliers) == ("disagree", ("fun",))


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
def test_torch(dtype):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: make with-peers")
    theta = torch.tensor(W, dtype=getattr(torch, dtype), requires_grad=True)

    def fun(t, factor=1.0):
        assert t.dtype == theta.dtype
        t = t.detach().clone().requires_grad_(True)
        cost = (t**4).sum()
        cost.backward()
        return cost, factor * t.grad

    right, wrong = (check_gradient(lambda t, factor=factor: fun(t, factor), theta).verdict for factor in (1.0, 1.01))
    assert (right, wrong) == (("agree", "disagree") if dtype in ("float64", "float32") else ("inconclusive",) * 2)


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16], ids=["float16", "bfloat16"])
def test_what_is_too_coarse_to_tell_raises_no_alarm(dtype):
    for seed in range(5):
        theta = jnp.asarray(theta_of(seed=seed), dtype=dtype)
        assert check_gradient(lambda t: (jnp.sum(jnp.sin(t)), jnp.cos(t)), theta).verdict != "disagree"


def test_a_dict_of_arrays_and_numbers_is_located_by_key():
    theta = {"W": W, "b": B}
    assert check_gradient(quartics, theta).verdict == "agree"

    def wrong(p):
        cost, gradient = quartics(p)
        gradient["W"][1, 2] += 1e-3
        return cost, gradient

    assert [finding.where for finding in check_gradient(wrong, theta).findings] == ["W[1, 2]"]
    report = check_gradient(lambda p: (quartics(p)[0], quartics(p)[1] | {"b": 0.0}), theta)
    assert [(finding.where, finding.blocks) for finding in report.findings] == [("b", ("b",))]


@pytest.mark.parametrize("theta", [0.7, 2, np.float64(-0.3), np.array(0.7), [0.3, 0.4], np.arange(3)], ids=repr)
def test_numbers_lists_and_integers(theta):
    def fun(t):
        return float(np.sum(np.square(t))), 2 * np.asarray(t)

    assert check_gradient(fun, theta).verdict == "agree"
    assert check_gradient(lambda t: (fun(t)[0], 2.001 * np.asarray(t) + 1e-6), theta).verdict == "disagree"


# Precision and noise


jax_sines_and_cosines = jax.jit(jax.value_and_grad(lambda t: jnp.sum(jnp.sin(t))))


@pytest.mark.parametrize("n", [1, 5, 30])
@pytest.mark.parametrize(
    "fun",
    [
        lambda t: sines(t.astype(np.float32)),
        lambda t: (float(sines(t.astype(np.float32))[0]), np.cos(t)),  # only the values give it away
        lambda t: jax_sines_and_cosines(jnp.asarray(t)),  # JAX, where x64 is not enabled
    ],
    ids=["float32 answers", "float32 inside", "JAX"],
)
def test_float32_inside_a_function_of_float64_raises_no_alarm(fun, n):
    for seed in range(4):
        theta = theta_of(n, seed=seed)
        assert check_gradient(fun, theta).verdict == "agree"
        wrong = changed(lambda g: 1.01 * g, lambda t: (fun(t)[0], np.asarray(fun(t)[1])))
        assert check_gradient(wrong, theta).verdict == "disagree"


def test_a_gradient_may_be_less_precise_than_its_cost():
    assert check_gradient(lambda t: (np.sum(np.sin(t)), np.cos(t).astype(np.float32)), theta_of()).verdict == "agree"


def test_a_cost_may_be_less_precise_than_its_gradient():
    for seed in range(20):
        report = check_gradient(lambda t: (np.float16(np.sum(np.sin(t))), np.cos(t)), theta_of(seed=seed))
        assert report.verdict == "inconclusive"


def test_in_float32_an_error_of_a_thousandth_is_seen():
    theta = theta_of().astype(np.float32)

    def fun(t):
        return np.float32(5.0) + np.sum(np.sin(t)), np.cos(t)

    assert check_gradient(fun, theta).verdict == "agree"
    assert check_gradient(changed(off_at(0, by=1e-3), fun), theta).verdict == "disagree"


def noisy(size):
    """Sines with noise that is the same whenever θ is the same: an iterative solver, a table, a simulation."""

    def fun(theta):
        noise = np.random.default_rng(zlib.crc32(theta.tobytes())).standard_normal()
        return np.sum(np.sin(theta)) + size * noise, np.cos(theta)

    return fun


@pytest.mark.parametrize("size", [1e-14, 1e-12, 1e-10, 1e-8, 1e-4])
@pytest.mark.parametrize("n", [1, 30])
def test_noise_in_the_cost_raises_no_alarm(size, n):
    verdicts = {check_gradient(noisy(size), theta_of(n, seed=seed)).verdict for seed in range(8 if DEEP else 3)}
    assert "disagree" not in verdicts | {check_gradient(noisy(size), np.zeros(n)).verdict}
    if size <= 1e-12:
        assert "agree" in verdicts
    if size >= 1e-8:
        assert verdicts == {"inconclusive"}


def test_what_is_larger_than_the_noise_is_caught():
    report = check_gradient(changed(off_at(0, by=0.1), noisy(1e-8)), theta_of(5))
    assert (report.verdict, report.findings[0].where) == ("disagree", "theta[0]")


def test_answers_that_change_from_call_to_call_are_misconduct():
    rng = np.random.default_rng(0)

    def moody(theta):
        return np.sum(np.sin(theta)) + 1e-8 * rng.standard_normal(), np.cos(theta)

    report = check_gradient(moody, theta_of())
    assert (report.verdict, report.outliers, report.findings) == ("disagree", ("fun",), ())
    assert any("twice" in reason for reason in report.reasons)


def test_a_gradient_that_changes_from_call_to_call_is_misconduct():
    rng = np.random.default_rng(0)
    report = check_gradient(changed(lambda g: g * (1.0 + 1e-9 * rng.standard_normal())), theta_of())
    assert any("twice" in reason for reason in report.reasons)


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
def test_the_last_bits_may_change_from_call_to_call(scale):
    """Threads add in any order."""
    flips = np.random.default_rng(0)

    def threaded(theta):
        jitter = 1.0 + 2.0 * U * flips.integers(-1, 2, 1 + len(theta))
        return scale * jitter[0] * (1.5 + np.sum(np.sin(theta))), scale * jitter[1:] * np.cos(theta)

    assert check_gradient(threaded, theta_of()).verdict == "agree"


# Kinks and the ends of the domain


def absolute(t):
    return np.sum(np.abs(t)), np.sign(t)


def relu(t, at_zero=0.0):
    return np.sum(np.maximum(t, 0.0)), np.where(t == 0.0, at_zero, t > 0.0)


NEAR_A_KINK = [0.0, 1e-300, 1e-12, -1e-9]


@pytest.mark.parametrize("x", NEAR_A_KINK)
@pytest.mark.parametrize(
    "fun", [absolute, relu, lambda t: relu(t, 1.0), lambda t: relu(t, 0.5)], ids=["abs", "relu 0", "relu 1", "relu 0.5"]
)
def test_at_a_kink_nothing_is_told(fun, x):
    report = check_gradient(fun, np.array([x, 1.0]))
    assert report.verdict == "inconclusive"
    assert "theta[0]" in report.reasons[0]
    assert "theta[1]" not in report.reasons[0]


@pytest.mark.parametrize("x", [1e-6, -1e-5, 1e-3, -0.01, 0.1, 3.0])
@pytest.mark.parametrize("fun", [absolute, relu])
def test_beside_a_kink_smaller_steps_tell(fun, x):
    assert check_gradient(fun, np.array([x])).verdict == "agree"
    assert check_gradient(changed(lambda g: g + 1e-3, fun), np.array([x])).verdict == "disagree"


def test_a_kink_does_not_hide_errors_elsewhere():
    report = check_gradient(changed(off_at(1, by=1e-6), absolute), np.array([0.0, 1.0]))
    assert [finding.where for finding in report.findings] == ["theta[1]"]


@pytest.mark.parametrize("reference", [None, lambda t: jnp.sum(jnp.abs(t))], ids=["alone", "JAX"])
def test_conventions_at_a_kink_may_differ(reference):
    """JAX says that the slope of |x| at 0 is 1, NumPy's sign says 0: neither is wrong."""
    assert check_gradient(absolute, np.array([0.0, 1.0]), reference).verdict == "inconclusive"


DOMAINS = [
    (lambda t: (np.sum(np.log(t)), 1.0 / t), 0.0),
    (lambda t: (np.sum(np.sqrt(t)), 0.5 / np.sqrt(t)), 0.0),
    (lambda t: (np.sum(np.arcsin(t)), 1.0 / np.sqrt(1.0 - t**2)), 1.0),
    (lambda t: (np.sum(np.where(t > 0.0, t, np.inf)), np.ones_like(t)), 0.0),
]
each_domain = pytest.mark.parametrize(("fun", "end"), DOMAINS, ids=["log", "sqrt", "arcsin", "barrier"])


@each_domain
def test_near_the_end_of_a_domain_smaller_steps_tell(fun, end):
    theta = np.array([abs(end - 1e-6), 0.5])
    assert check_gradient(fun, theta).verdict == "agree"
    assert check_gradient(changed(off_at(0, factor=1.001), fun), theta).verdict == "disagree"


@each_domain
def test_a_stencil_that_leaves_the_domain_tells_nothing(fun, end):
    report = check_gradient(fun, np.array([abs(end - 1e-14), 0.5]))
    assert report.verdict == "inconclusive"
    assert "theta[0]" in report.reasons[0]


# Misconduct of the function


def test_a_function_that_changes_theta_is_named_and_the_caller_keeps_theta():
    def mutating(theta):
        answer = sines(theta)
        theta *= 0.5
        return answer

    theta = theta_of()
    report = check_gradient(mutating, theta)
    assert (report.verdict, report.outliers, report.findings) == ("disagree", ("fun",), ())
    assert any("in place" in reason for reason in report.reasons)
    np.testing.assert_array_equal(theta, theta_of())


def test_a_buffer_that_is_used_again_is_no_misconduct():
    buffer = np.empty(6)

    def frugal(theta):
        buffer[:] = np.cos(theta)
        return np.sum(np.sin(theta)), buffer

    assert check_gradient(frugal, theta_of()).verdict == "agree"


def test_the_same_question_gets_the_same_answer():
    first, second = (check_gradient(sines, theta_of()).to_dict() | {"seconds": 0.0} for _ in range(2))
    assert first == second


# A second opinion


def jax_sines(theta):
    return jnp.sum(jnp.sin(theta))


@jax.custom_vjp
def wrongly_ruled_sin(x):
    return jnp.sin(x)


wrongly_ruled_sin.defvjp(lambda x: (jnp.sin(x), x), lambda x, g: (1.001 * jnp.cos(x) * g,))


@pytest.mark.parametrize(
    ("fun", "reference", "verdict", "outliers"),
    [
        (sines, jax_sines, "agree", ()),
        (changed(off_at(2, by=1e-6)), jax_sines, "disagree", ("fun",)),
        (changed(off_at(2, by=1e-12)), jax_sines, "disagree", ()),  # too little for differences to take a side
        (sines, lambda t: jnp.sum(wrongly_ruled_sin(t)), "disagree", ("jax",)),
        (sines, lambda t: jax_sines(t) * jnp.nan, "disagree", ("jax",)),
        (sines, lambda t: jax_sines(t) + 1.0, "disagree", ()),  # another cost: a reference for something else
        (changed(lambda g: 2.0 * g), lambda t: 2.0 * jax_sines(t), "disagree", ()),
    ],
    ids=["right", "fun wrong", "fun a little wrong", "rule wrong", "NaN", "cost shifted", "cost doubled"],
)
def test_a_reference_is_one_more_voice(fun, reference, verdict, outliers):
    report = check_gradient(fun, theta_of(), reference)
    assert (report.verdict, report.outliers) == (verdict, outliers)
    assert [row.name for row in report.sources] == ["fun", "finite-difference", "jax"]
    assert report.tie == (verdict == "disagree" and not outliers)


def test_what_jax_made_of_an_array_in_32_bits_does_not_count_in_64():
    rows, weights, theta = np.array([0, 2]), np.linspace(0.1, 1.0, 3), np.linspace(0.1, 0.9, 9).reshape(3, 3)

    def cost(theta):
        return jnp.sum(jnp.sin(jnp.take(theta, rows, axis=0, mode="clip")) @ weights)

    def fun(theta):
        return cost(theta), jax.grad(cost)(theta)

    for _ in range(2):
        assert fun(theta)[1].dtype == jax.jit(cost)(theta).dtype == np.float32
        assert check_gradient(fun, theta, cost).verdict == "agree"


def test_a_reference_takes_theta_as_it_is_laid_out():
    report = check_gradient(quartics, {"W": W, "b": B}, lambda p: jnp.sum(p["W"] ** 4) + p["b"] ** 4)
    assert report.verdict == "agree"


# Scales far below 1


def circuit(p):
    """The voltage on a capacitor of 2 nF, at four times: its derivative in C is of size 1e8."""
    seconds = 1e-6 * np.arange(1, 5)
    v = np.exp(-seconds / (p["R"] * p["C"]))
    slope = 2.0 * (v - 0.3) * v * seconds / (p["R"] * p["C"])
    return np.sum((v - 0.3) ** 2), {"C": np.sum(slope) / p["C"], "R": np.sum(slope) / p["R"]}


def interference(t):
    return np.sum(np.sin(1e-3 / t) ** 2), -1e-3 / t**2 * np.sin(2e-3 / t)


SCALES = {
    "nanofarads": (circuit, {"C": 2e-9, "R": 1e3}),
    "near a pole": (lambda t: (np.sum(1.0 / t), -1.0 / t**2), np.array([1e-6])),
    "many periods away": (lambda t: (np.sum(np.sin(t)), np.cos(t)), np.array([1e6])),
    "seconds since 1970": (lambda t: (np.sum(np.sin(t / 86400.0)), np.cos(t / 86400.0) / 86400.0), np.array([1.75e9])),
    "a step far away": (lambda t: (np.sum(np.tanh(t - 1e5)), 1.0 - np.tanh(t - 1e5) ** 2), np.array([1e5 + 0.3])),
}


@pytest.mark.parametrize(("fun", "theta"), SCALES.values(), ids=list(SCALES))
def test_a_scale_far_below_one_is_found(fun, theta):
    assert check_gradient(fun, theta).verdict == "agree"

    def wrong(theta):
        cost, gradient = fun(theta)
        return cost, {k: 1.01 * g for k, g in gradient.items()} if isinstance(gradient, dict) else 1.01 * gradient

    assert check_gradient(wrong, theta).verdict == "disagree"


def test_where_no_stencil_is_narrow_enough_nobody_is_blamed():
    assert check_gradient(interference, np.array([550e-13])).verdict != "disagree"


def units(size, count, seed):
    """A few ReLU units whose kinks all lie within `size` of θ, their jumps of either sign."""
    rng = np.random.default_rng(seed)
    a, b, w = rng.normal(size=(count, 2)), size * rng.normal(size=count), rng.normal(size=count)
    return (lambda t: (w @ np.maximum(a @ t + b, 0.0), a.T @ (w * (a @ t + b > 0.0)))), size * rng.normal(size=2)


@pytest.mark.parametrize("size", [1e-1, 1e-3, 1e-4, 1e-5])
@pytest.mark.parametrize("count", [3, 10, 50])
def test_many_kinks_within_a_stencil_raise_no_alarm_and_hide_no_error(size, count):
    verdicts = []
    for seed in range(12):
        fun, theta = units(size, count, seed)
        assert check_gradient(fun, theta).verdict != "disagree", f"seed {seed}"
        verdicts.append(check_gradient(changed(lambda g: g + 0.1, fun), theta).verdict)
    assert "agree" not in verdicts
    assert verdicts.count("disagree") > 6


def test_kinks_along_random_directions_raise_no_alarm():
    """A ReLU network of more parameters than are differenced, many of its units near their kinks."""
    rng = np.random.default_rng(7)
    x, theta = rng.normal(size=(200, 30)), 0.3 * rng.normal(size=40 * 31)

    def fun(t):
        W, v = t[:1200].reshape(30, 40), t[1200:]
        z = x @ W
        r = np.maximum(z, 0.0) @ v - 1.0
        return 0.5 * r @ r, np.concatenate([(x.T @ (np.outer(r, v) * (z > 0.0))).ravel(), np.maximum(z, 0.0).T @ r])

    assert check_gradient(fun, theta).verdict == "agree"
    assert check_gradient(changed(off_at(3, by=1.0), fun), theta).verdict == "disagree"


# Costs that climb by jumps, and sizes beyond squares


def partly_float32(t):
    return float(np.sum(np.sin(t.astype(np.float32)))) + 1e-3 * t @ t, np.cos(t) + 2e-3 * t


def rounded_cost(t):
    return np.round(np.sum(np.sin(t)), 9), np.cos(t)


def rounded_to_three_digits(t):
    return round(float(np.sum(np.sin(t))), 3), np.cos(t)


def added_to_a_constant(t):
    return (np.sum(np.sin(t)) + 1e7) - 1e7, np.cos(t)


def added_to_a_huge_constant(t):
    return np.sum(((1e12 + t) - 1e12) ** 2), 2.0 * t


def of_products_in(dtype):
    A, b = np.random.default_rng(0).normal(size=(20, 5)), np.random.default_rng(1).normal(size=20)

    def least_squares(t):
        residual = (A.astype(dtype) @ t.astype(dtype)).astype(np.float32) - b
        return float(np.mean(residual**2)), 2.0 * A.T @ (A @ t - b) / 20.0

    return least_squares


@pytest.mark.parametrize(
    "fun",
    [
        partly_float32,
        rounded_cost,
        rounded_to_three_digits,
        added_to_a_constant,
        added_to_a_huge_constant,
        of_products_in(np.float16),
        of_products_in(jnp.bfloat16),
    ],
)
def test_a_cost_that_climbs_by_jumps_blames_nobody(fun):
    for seed in range(10 if DEEP else 4):
        theta = np.random.default_rng(seed).normal(size=5)
        assert check_gradient(fun, theta).verdict != "disagree", f"seed {seed}"
        verdict = check_gradient(changed(lambda g: -g, fun), theta).verdict
        assert verdict != "agree", f"seed {seed}"


def test_a_rounded_cost_is_told_so():
    report = check_gradient(rounded_to_three_digits, theta_of())
    assert "climbs by jumps, as if it had been rounded" in report.reasons[0]
    assert check_gradient(changed(lambda g: 2.0 * g, rounded_to_three_digits), theta_of()).verdict == "disagree"


@pytest.mark.parametrize("width", [1.0, 0.25, 1.0 / 15.0, 1.0 / 31.0])
def test_a_function_with_jumps_of_its_own_has_no_straight_through_gradient(width):
    def quantised(t):
        rounded = np.round(t / width) * width
        return np.sum((rounded - 0.1) ** 2), 2.0 * (rounded - 0.1)

    theta = np.array([0.31, 0.72, -1.23, 5.2])

    assert check_gradient(quantised, theta).verdict == "disagree"
    assert check_gradient(changed(lambda g: 0.0 * g, quantised), theta).verdict == "agree"


@pytest.mark.parametrize("unit", [1e-200, 1e-100, 1e100, 1e200])
def test_the_unit_of_the_cost_may_be_anything(unit):
    def fun(t):
        return unit * np.sum(np.sin(t)), unit * np.cos(t)

    assert check_gradient(fun, theta_of()).verdict == "agree"
    assert check_gradient(changed(lambda g: 1.001 * g, fun), theta_of()).verdict == "disagree"


def test_a_wall_on_one_side_does_not_make_every_error_small():
    def fun(t):
        return np.sum(np.where(t < 1.0, np.sin(t), 1e300)), np.cos(t)

    theta = np.array([1.0 - 1e-3, 0.5])
    assert check_gradient(changed(lambda g: 1.001 * g, fun), theta).verdict == "disagree"


def test_two_scales_in_one_theta():
    def fun(t):
        return np.sum(np.sin(t / sizes) * sizes), np.cos(t / sizes)

    sizes = np.array([1e-9, 1e-3, 1.0, 1e6])
    for seed in range(20):
        theta = sizes * np.random.default_rng(seed).uniform(0.5, 2.0, 4)
        assert check_gradient(fun, theta).verdict != "disagree", f"seed {seed}"


FLAT = {
    "constant": (lambda t: (5.0, 0.0 * t), np.ones(3)),
    "constant, not a float32": (lambda t: (0.1, 0.0 * t), np.ones(3)),
    "a minimum": (lambda t: (1.0 + np.sum((t - 1.0) ** 2), 2.0 * (t - 1.0)), np.ones(3)),
    "cosh at 0": (lambda t: (np.sum(np.cosh(t)), np.sinh(t)), np.zeros(2)),
    "a hinge that is satisfied": (
        lambda t: (1.0 + np.sum(np.maximum(0.0, 1.0 - t)), np.where(t < 1.0, -1.0, 0.0)),
        np.full(3, 2.0),
    ),
}


@pytest.mark.parametrize(("fun", "theta"), FLAT.values(), ids=list(FLAT))
def test_where_the_cost_is_flat_zero_is_right_and_anything_else_is_wrong(fun, theta):
    assert check_gradient(fun, theta).verdict == "agree"
    assert check_gradient(changed(lambda g: g + 1e-6, fun), theta).verdict == "disagree"


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_one_derivative_in_a_hundred_that_is_not_finite_is_no_agreement(broken):
    theta = np.linspace(1.0, 2.0, 100)
    theta[3] = 0.0

    def fun(t):
        gradient = 0.5 / np.sqrt(np.where(t == 0.0, 1.0, t))
        gradient[3] = broken
        return np.sum(np.sqrt(t)), gradient

    report = check_gradient(fun, theta)
    assert report.verdict == "inconclusive"
    assert "what fun answers is not finite: theta[3]" in report.reasons


# Many parameters


MANY = 3 * ALL_COORDINATES


def test_many_parameters_are_sampled_and_the_others_are_seen_along_directions():
    report = check_gradient(sines, theta_of(MANY))
    assert report.verdict == "agree"
    assert report.subject == {"parameters": MANY, "differenced": MANY}
    assert report.decided_share == 1.0
    assert report.notes == ("differenced one by one: 1 of the coordinates, the others in 500 groups",)


def test_an_error_in_any_one_of_many_is_caught_and_found(monkeypatch):
    monkeypatch.setattr("harness.checks.functions.gradient_check.ALL_COORDINATES", 20)
    for i in range(0, 60, 7):
        report = check_gradient(changed(off_at(i, by=1e-3)), theta_of(60))
        assert (report.verdict, report.outliers) == ("disagree", ("fun",))
        assert report.findings[0].where == f"theta[{i}]"


def test_an_error_spread_over_many_is_caught_where_no_sample_looks(monkeypatch):
    monkeypatch.setattr("harness.checks.functions.gradient_check.ALL_COORDINATES", 1)
    report = check_gradient(changed(lambda g: g * (1.0 + 1e-5)), theta_of(60))
    assert (report.verdict, report.outliers) == ("disagree", ("fun",))


def test_a_derivative_that_is_not_a_number_is_found_among_many(monkeypatch):
    monkeypatch.setattr("harness.checks.functions.gradient_check.ALL_COORDINATES", 1)
    report = check_gradient(changed(off_at(47, by=np.nan)), theta_of(60))
    assert (report.verdict, report.outliers) == ("disagree", ("fun",))
    assert report.findings[0].where == "theta[47]"


def test_a_reference_decides_what_was_not_sampled(monkeypatch):
    monkeypatch.setattr("harness.checks.functions.gradient_check.ALL_COORDINATES", 20)
    assert check_gradient(sines, theta_of(60), jax_sines).verdict == "agree"
    for i in (3, 59):
        report = check_gradient(changed(off_at(i, by=1e-3)), theta_of(60), jax_sines)
        assert (report.verdict, report.outliers) == ("disagree", ("fun",))
        assert report.findings[0].where == f"theta[{i}]"


# Bad input


@pytest.mark.parametrize(
    ("arguments", "error", "sentence"),
    [
        ((3, np.ones(2)), TypeError, "fun must be callable as fun.theta. .*, not int"),
        ((sines, np.ones(2), 3), TypeError, r"reference must be callable as reference.theta. -> cost, not int"),
        ((sines, np.array([1.0, np.inf])), ValueError, r"theta must be finite, but theta\[1\] is inf"),
        ((quartics, {"W": W, "b": np.nan}), ValueError, "theta must be finite, but b is nan"),
        ((lambda t: (1.0, np.ones(3)), np.ones(2)), ValueError, r"the gradient must have the shape \(2,\) .* \(3,\)"),
        ((lambda t: (t, t), np.ones(2)), ValueError, r"one number as its cost, .* \(2,\)"),
    ],
)
def test_bad_input_gets_one_clear_sentence(arguments, error, sentence):
    with pytest.raises(error, match=sentence):
        check_gradient(*arguments)


# What the search for a step relies on


def float32_and_as_much_again(t):
    """Narrow steps see the second half alone, whose slope is not small."""
    return float(np.sum(np.sin(t.astype(np.float32)))) + np.sum(np.sin(2.0 * t)), np.cos(t) + 2.0 * np.cos(2.0 * t)


def test_a_cost_that_climbs_by_jumps_on_a_slope_blames_nobody():
    for seed in range(10):
        theta = np.random.default_rng(seed).normal(size=5)
        assert check_gradient(float32_and_as_much_again, theta).verdict != "disagree", f"seed {seed}"


def test_each_of_a_group_moves_about_as_far_as_one_that_is_moved_alone(monkeypatch):
    monkeypatch.setattr("harness.checks.functions.gradient_check.ALL_COORDINATES", 1)
    theta, moves = np.clip(theta_of(MANY), -1.0, 1.0), []

    def recorded(t):
        moves.append(np.abs(t - theta))
        return sines(t)

    assert check_gradient(recorded, theta).verdict == "agree"
    taken = [move[move > 0.1 * STEPS[0]] for move in moves if 1 < np.count_nonzero(move) < MANY]
    assert len(taken) > 1000
    for entries in taken:
        assert entries.max(initial=0.0) <= 3.0 * entries.min(initial=1.0)


def test_a_bound_has_room_for_three_standard_deviations_of_the_noise():
    size, bounds = 1e-8, []
    for seed in range(40):
        report = check_gradient(changed(off_at(0, by=0.1), noisy(size)), theta_of(5, seed=seed))
        bounds += [finding.bound for finding in report.findings]
    assert len(bounds) >= 38, "now and then, noise hides an error of a tenth"
    room = np.mean(bounds) * STEPS[0] / (6.0 * size)
    assert 2.0 < room < 3.5, "a little less than 3, since few values tell of the noise"


def test_random_directions_have_entries_of_either_sign(monkeypatch):
    monkeypatch.setattr("harness.checks.functions.gradient_check.ALL_COORDINATES", 1)
    theta, moves = theta_of(MANY), []

    def recorded(t):
        moves.append(t - theta)
        return sines(t)

    check_gradient(recorded, theta)
    along = np.array([np.sign(move[move != 0.0]).sum() for move in moves if 1 < np.count_nonzero(move) < MANY])
    assert len(along) > 1000
    assert 0.1 < np.mean(np.abs(along) < 3) < 0.9


def test_a_function_that_ends_the_program_has_not_answered():
    def leaving(t):
        raise SystemExit(0)

    with pytest.raises(ValueError, match=r"fun called sys.exit\(0\) instead of answering"):
        check_gradient(leaving, np.ones(2))
