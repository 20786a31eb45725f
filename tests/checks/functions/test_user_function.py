"""How people's functions are called and what they may answer: together and apart, with arguments, with more."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import rosen, rosen_der

from harness import check_gradient
from harness.facts.kinds import Kind

THETA = np.array([0.5, -1.0, 2.0])
X = np.array([[1.0, 2.0, 0.5], [0.3, -1.0, 1.0]])


def cost(t):
    return np.sum(np.sin(t))


def both(t):
    return cost(t), np.cos(t)


def scaled(t, a, b=1.0):
    return b * np.sum(np.sin(a @ t))


def scaled_gradient(t, a, b=1.0):
    return b * np.cos(a @ t) @ a


RIGHT: dict[str, tuple] = {
    "cost and gradient": ((both,), {}),
    "gradient apart": ((cost,), {"gradient": np.cos}),
    "jac of SciPy": ((rosen,), {"jac": rosen_der}),
    "jac=True": ((both,), {"jac": True}),
    "args": ((scaled,), {"gradient": scaled_gradient, "args": (X, 2.0)}),
    "a single one of args": ((scaled,), {"jac": scaled_gradient, "args": X}),
    "args of both": ((lambda t, a: (scaled(t, a), scaled_gradient(t, a)),), {"args": (X,)}),
    "aux as by JAX": ((lambda t: ((cost(t), {"steps": 3}), np.cos(t)),), {"has_aux": True}),
    "aux at the end": ((lambda t: (cost(t), np.cos(t), "more", 3),), {"has_aux": True}),
    "aux of cost and gradient apart": (
        (lambda t: (cost(t), "more"),),
        {"has_aux": True, "gradient": lambda t: (np.cos(t), "more")},
    ),
    "aux of the cost alone": ((lambda t: (cost(t), "more"),), {"has_aux": True, "gradient": np.cos}),
    "a cost of shape (1, 1)": ((lambda t: (np.array([[cost(t)]]), np.cos(t)),), {}),
}


@pytest.mark.parametrize(("arguments", "options"), RIGHT.values(), ids=list(RIGHT))
def test_conventions_of_others_are_understood(arguments, options):
    (fun,) = arguments
    report = check_gradient(fun, THETA, **options)
    assert report.verdict == "agree"
    assert report.subject["parameters"] == 3


def test_args_reach_a_reference():
    report = check_gradient(scaled, THETA, lambda t, a: jnp.sum(jnp.sin(a @ t)), gradient=scaled_gradient, args=(X,))
    assert report.verdict == "agree"
    assert [row.name for row in report.sources] == ["fun", "finite-difference", "jax"]


def test_differences_of_a_cost_never_call_the_gradient_apart():
    calls = {"cost": 0, "gradient": 0}

    def counted(name, function):
        def call(t):
            calls[name] += 1
            return function(t)

        return call

    check_gradient(counted("cost", cost), np.linspace(-1.0, 1.0, 40), gradient=counted("gradient", np.cos))
    assert calls["cost"] > 200
    assert calls["gradient"] < 20


@pytest.mark.parametrize("apart", [False, True])
def test_a_gradient_function_that_changes_theta_is_named_and_the_cost_gets_a_fresh_one(apart):
    def rude(t):
        gradient = np.cos(t)
        t *= 0.0
        return gradient

    fun, gradient = (cost, rude) if apart else (lambda t: (cost(t), rude(t)), None)
    report = check_gradient(fun, THETA, gradient=gradient)
    assert (report.verdict, report.findings) == ("disagree", ())
    assert [fact.kind for fact in report.reasons] == [Kind.ARGUMENT_CHANGED]


def test_a_dict_that_lost_or_gained_an_array_was_changed():
    def popping(t):
        answer = cost(t["a"]), {"a": np.cos(t["a"])}
        t["a"] = np.zeros(5)
        return answer

    assert Kind.ARGUMENT_CHANGED in check_gradient(popping, {"a": THETA}).kinds


REFUSED = {
    "nothing": (lambda t: None, {}, r"fun must answer a tuple \(cost, gradient\), not NoneType; answer"),
    "a cost alone": (cost, {}, r"not float64 alone; answer \(cost, gradient\), or give the function .* as gradient="),
    "three": (lambda t: (*both(t), 1), {}, r"not a tuple of 3; with has_aux=True, more may follow them"),
    "a cost with aux": (
        lambda t: ((cost(t), "more"), np.cos(t)),
        {},
        r"one number as its cost, not a tuple of 2; if it answers \(\(cost, aux\), gradient\), give has_aux=True",
    ),
    "two gradients": (cost, {"gradient": np.cos, "jac": np.cos}, "gradient and jac are two names of one argument"),
    "a gradient that is an array": (
        cost,
        {"gradient": THETA},
        r"gradient must be callable as gradient\(theta\), not nd",
    ),
    "a cost that is text": (lambda t: ("1.0", t), {}, "the cost that fun returns must be real numbers, not text"),
}


@pytest.mark.parametrize(("fun", "options", "sentence"), REFUSED.values(), ids=list(REFUSED))
def test_what_is_no_cost_and_gradient_is_refused_with_what_to_write(fun, options, sentence):
    with pytest.raises(TypeError, match=sentence):
        check_gradient(fun, THETA, **options)


def test_a_pair_is_a_gradient_with_aux_only_if_its_first_part_is_laid_out_like_theta():
    theta = (THETA, np.ones(2))

    def of_both(t):
        return np.cos(t[0]), np.cos(t[1])

    def fun(t):
        return cost(t[0]) + cost(t[1]), "more"

    assert check_gradient(fun, theta, gradient=of_both, has_aux=True).verdict == "agree"
    assert check_gradient(fun, theta, gradient=lambda t: (of_both(t), "more"), has_aux=True).verdict == "agree"
