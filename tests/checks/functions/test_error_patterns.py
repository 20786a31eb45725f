"""Which mistake fits the error in a user's gradient, and where it is."""

import numpy as np
import pytest

from harness import check_gradient
from harness.facts.kinds import Kind

THETA = np.array([0.3, -0.7, 1.1])

SHAPES = {"W": (3, 3), "V": (3, 3), "b": (3,), "T": (2, 3, 2), "R": (2, 5), "s": ()}
BASE = {name: np.random.default_rng(i).normal(size=shape) for i, (name, shape) in enumerate(SHAPES.items())}
AT = {name: np.random.default_rng(10 + i).normal(size=shape) for i, (name, shape) in enumerate(SHAPES.items())}


def sines(t):
    return np.sum(np.sin(t)), np.cos(t)


def blocks(p):
    cost = sum(np.sum(np.sin(1.3 * part + BASE[name])) for name, part in p.items())
    return cost, {name: 1.3 * np.cos(1.3 * part + BASE[name]) for name, part in p.items()}


def one(name, index, change):
    def changed(g, p):
        part = g[name].copy()
        part[index] = change(part[index])
        return {name: part}

    return changed


def assert_explained(report, *expected):
    """The facts of the only finding are these (kind, where, data), as far as data are given; numbers to four digits."""
    (finding,) = report.findings
    facts = [(fact.kind, fact.where) for fact in finding.diagnosis]
    assert facts == [(kind, (where,) if isinstance(where, str) else where) for kind, where, _ in expected]
    for fact, (_, _, data) in zip(finding.diagnosis, expected):
        for name, value in data.items():
            assert fact.data[name] == (pytest.approx(value, rel=1e-4) if isinstance(value, float) else value)


ONE_OF_3 = {"wrong": 1, "right": 2}

BUGS = {
    "all": (lambda g, p: {k: 2 * v for k, v in g.items()}, (Kind.FACTOR, "the gradient", {"factor": 2.0})),
    "swapped": (lambda g, p: {"W": g["V"], "V": g["W"]}, (Kind.BLOCK_OF_ANOTHER, ("W", "V"), {"swapped": True})),
    "copied": (lambda g, p: {"W": g["V"]}, (Kind.BLOCK_OF_ANOTHER, ("W", "V"), {"swapped": False})),
    "zero in part": (one("R", 0, lambda x: 0 * x), (Kind.ZERO, "R", {"wrong": 5, "right": 5})),
    "whole numbers": (lambda g, p: {"W": np.trunc(g["W"])}, (Kind.WHOLE_NUMBERS, "W", {})),
    "one entry": (
        one("W", (1, 2), lambda x: 1.5 * x),
        (Kind.SINGLE_ENTRY, "W[1, 2]", {"among": None, "right": 8}),
    ),
    "one entry of one of two arrays": (
        lambda g, p: one("W", (1, 2), lambda x: 1.5 * x)(g, p) | {"b": g["b"] + 1e-3 * np.sin(3 * p["b"])},
        (Kind.SINGLE_ENTRY, "W[1, 2]", {"factor": 1.5, "among": "W"}),
        (Kind.WRONG_ENTRIES, "b", {"wrong": 3}),
    ),
    "a number beside an array": (
        lambda g, p: {"b": 2 * g["b"], "s": 3 * g["s"]},
        (Kind.FACTOR, "b", {"factor": 2.0}),
        (Kind.WRONG_ENTRIES, "s", {"wrong": 1, "known": 1, "factor": 3.0}),
    ),
    "one NaN": (one("b", 1, lambda x: np.nan), (Kind.NOT_FINITE, "b[1]", ONE_OF_3)),
    "one zero": (one("b", 1, lambda x: 0.0), (Kind.ZERO, "b[1]", ONE_OF_3)),
    "one of one": (lambda g, p: {"s": -g["s"]}, (Kind.SIGN, "s", {})),
    "a number alone": (lambda g, p: {"s": 3 * g["s"]}, (Kind.SINGLE_ENTRY, "s", {"among": None})),
    "a column": (
        one("R", (slice(None), 3), lambda x: x + np.array([0.1, 0.3])),
        (Kind.WRONG_ENTRIES, ("R", "R[:, 3]"), {"wrong": 2, "known": 10, "largest": 0.3}),
    ),
    "nothing known": (
        lambda g, p: {"W": g["W"] + 1e-3 * np.sin(3 * p["W"])},
        (Kind.SMALL_ERROR, "W", {"accuracy": 1e-2}),
        (Kind.WRONG_ENTRIES, "W", {"wrong": 9, "known": 9}),
    ),
    "many blocks": (
        lambda g, p: {k: v + 1e-3 * (i + 1) * np.sin(3 * p[k]) for i, (k, v) in enumerate(g.items())},
        (Kind.SMALL_ERROR, tuple("WVbTRs"), {}),
        *((Kind.WRONG_ENTRIES, name, {}) for name in "WVb"),
        (Kind.NOT_LISTED, (), {"count": 3, "what": "wrong blocks"}),
    ),
}


@pytest.mark.parametrize(("change", "expected"), [(change, told) for change, *told in BUGS.values()], ids=list(BUGS))
def test_the_mistake_is_named_where_one_fits_and_else_only_its_place(change, expected):
    names = {"W", "V", "b", *change(blocks(AT)[1], AT)}
    at = {name: part for name, part in AT.items() if name in names}
    assert_explained(check_gradient(lambda p: (blocks(p)[0], blocks(p)[1] | change(blocks(p)[1], p)), at), *expected)


def weighted(t):
    return np.sum(np.arange(1, 4) * np.sin(t)), np.arange(1, 4) * np.cos(t)


def squares(t):
    return 0.5 * np.sum(t**2), t


def rounded(t):
    return float(np.sum(np.round(t) ** 2)), 0.0 * t


def maximum(t):
    return np.max(t), 1.0 * (t == np.max(t))


def unlike(t):
    """Slopes of which one is far below a rounding of the other."""
    return np.sin(t[0]) + np.sin(1e13 * t[1]), np.array([np.cos(t[0]), 1e13 * np.cos(1e13 * t[1])])


def hinge(t):
    return np.maximum(t - 0.5, 0.0).sum() + t @ t, 1.0 * (t > 0.5) + 2.0 * t


def long_waves(t):
    return np.sin((t - 1e8) / 10.0).sum(), np.cos((t - 1e8) / 10.0) / 10.0


SINGLE = np.linspace(-1.0, 1.0, 7, dtype=np.float32)

VECTORS = {
    "an offset at ones": (
        weighted,
        lambda g, t: g + 1e-3,
        [1.0, 1.0, 1.0],
        (Kind.REGULARISER, {"multiple": 1e-3}),
        (Kind.CONSTANT_ERROR, {"error": 1e-3, "alternative": True}),
    ),
    "a penalty where the gradient is θ": (
        squares,
        lambda g, t: 1.5 * g,
        [0.5, 2.0, -3.0],
        (Kind.FACTOR, {"factor": 1.5}),
        (Kind.REGULARISER, {"multiple": 0.5, "alternative": True}),
    ),
    "another place": (
        maximum,
        lambda g, t: 1.0 * (t == np.sort(t)[-2]),
        [3.0, 4.0, 1.0],
        (Kind.REARRANGED, {"move": "swapped"}),
    ),
    "a small error": (
        sines,
        lambda g, t: g + 1e-9 * np.array([1.0, 2.0, -1.0]),
        THETA,
        (Kind.SMALL_ERROR, {"accuracy": 1e-8}),
        (Kind.WRONG_ENTRIES, {"largest": pytest.approx(2e-9, rel=1e-2)}),
    ),
    "made of float32": (
        sines,
        lambda g, t: 3.0 * np.float64(np.float32(g / 3.0)),
        THETA,
        (Kind.SMALL_ERROR, {}),
        (Kind.WRONG_ENTRIES, {}),
        (Kind.FLOAT32_DIGITS, {}),
    ),
    "a small error beside what is exact": (
        sines,
        lambda g, t: g + 1e-6 * np.array([1.0, 2.0, 0.0]),
        THETA,
        (Kind.WRONG_ENTRIES, {"wrong": 2}),
    ),
    "digits that a formula loses": (
        sines,
        lambda g, t: g + (1e3 * t + 1) ** 2 - 1e6 * t * t - 2e3 * t - 1,
        np.linspace(0.3, 1.1, 4),
        (Kind.WRONG_ENTRIES, {}),
        (Kind.DIGITS_LOST, {}),
    ),
    **{
        f"a factor {x} in float32": (sines, lambda g, t, x=x: np.float32(x) * g, SINGLE, (Kind.FACTOR, {"factor": x}))
        for x in (1.01, 0.98)
    },
    "one percent in float32": (
        sines,
        lambda g, t: g * (1.0 + np.float32(0.01) * np.sin(50 * t)),
        SINGLE,
        (Kind.SMALL_ERROR, {}),
        (Kind.WRONG_ENTRIES, {}),
    ),
    # no solver leaves less than a rounding of the largest derivative, nor a right gradient in most coordinates
    "a small derivative": (
        unlike,
        lambda g, t: g * [1.0001, 1.0],
        [0.3, 7e-14],
        (Kind.SINGLE_ENTRY, {"factor": 1.0001}),
    ),
    "no small derivative": (unlike, lambda g, t: g * [0.0, 1.0], [0.3, 7e-14], (Kind.ZERO, {})),
    "one small error": (sines, lambda g, t: g + 1e-9 * np.eye(4)[0], [0.3, -0.7, 1.1, 0.2], (Kind.SINGLE_ENTRY, {})),
    "an error beside a kink": (
        hinge,
        lambda g, t: g * [1.1, 1.3],
        [0.5 - 1e-9, 0.5 - 2e-9],
        (Kind.WRONG_ENTRIES, {"wrong": 2}),
    ),
    "an error where θ is large beside a wave": (
        long_waves,
        lambda g, t: g * [1.0, 1.0001],
        [1e8 + 3.0, 1e8 + 8.0],
        (Kind.SMALL_ERROR, {}),
        (Kind.WRONG_ENTRIES, {"wrong": 1}),
    ),
    "a flat cost": (rounded, lambda g, t: 2 * t, THETA, (Kind.REGULARISER, {"multiple": 2.0}), (Kind.FLAT_COST, {})),
}


@pytest.mark.parametrize(
    ("fun", "change", "theta", "expected"), [(*v[:3], v[3:]) for v in VECTORS.values()], ids=list(VECTORS)
)
def test_a_relation_is_named_where_it_could_have_failed_and_a_cause_where_no_other_fits(fun, change, theta, expected):
    report = check_gradient(lambda t: (fun(t)[0], change(fun(t)[1], t)), np.array(theta))
    alone = "theta[0]" if np.ndim(theta) and expected[0][0] in (Kind.SINGLE_ENTRY, Kind.ZERO) else "theta"
    assert_explained(report, *((kind, alone, data) for kind, data in expected))
    if len(expected) > 1 and expected[0][0] != Kind.WRONG_ENTRIES and fun is not rounded:
        assert not any(fact.data.get("strength") for fact in report.findings[0].diagnosis), "no cause is picked"


def iterated(steps):
    """|z - 1|² of z = tanh(W z + t) after so many steps, with the gradient of the exact solution."""
    W = np.array([[0.3, -0.2, 0.1], [0.1, 0.2, -0.3], [-0.1, 0.3, 0.2]])

    def fun(t):
        z = np.zeros(3)
        for _ in range(steps):
            z = np.tanh(W @ z + t)
        slope = 1.0 - z * z
        return (z - 1.0) @ (z - 1.0), slope * np.linalg.solve((np.eye(3) - slope[:, None] * W).T, 2.0 * (z - 1.0))

    return fun


def largest_eigenvalue(tolerance):
    """By power iteration, which leaves the square of its tolerance in the cost, and the tolerance in the gradient."""
    rng = np.random.default_rng(1)
    A, *parts = (M @ M.T for M in rng.normal(size=(4, 5, 5)))  # so that v does not alternate

    def fun(t):
        M, v, before = A + np.tensordot(0.3 * (1.0 + np.sin(t)), parts, 1), np.ones(5) / np.sqrt(5.0), np.zeros(5)
        while np.linalg.norm(v - before) > tolerance:
            v, before = M @ v / np.linalg.norm(M @ v), v
        return v @ M @ v, 0.3 * np.cos(t) * np.array([v @ part @ v for part in parts])

    return fun


@pytest.mark.parametrize("solver", [iterated(6), largest_eigenvalue(1e-4)])
def test_a_solver_is_told_first_that_its_tolerance_explains_the_errors_and_the_accuracy_that_accepts_them(solver):
    diagnosis = check_gradient(solver, THETA / 4.0).findings[0].diagnosis
    assert [fact.kind for fact in diagnosis] == [Kind.SMALL_ERROR, Kind.WRONG_ENTRIES]
    assert check_gradient(solver, THETA / 4.0, accuracy=diagnosis[0].data["accuracy"]).verdict == "agree"
    wrong = check_gradient(lambda t: (solver(t)[0], -solver(t)[1]), THETA / 4.0, accuracy=diagnosis[0].data["accuracy"])
    assert wrong.verdict == "disagree"


@pytest.mark.parametrize("value", [0.0, 1.0, np.nan, np.inf])
def test_a_value_that_is_wrong_at_one_point_alone_is_no_error_bound(value):
    def softplus(t):
        return np.sum(np.logaddexp(0, t)), np.where(t == 0, value, 1 / (1 + np.exp(-t)))

    report = check_gradient(softplus, np.array([0.0, 1.0]))
    assert (report.verdict, report.findings[0].where) == ("disagree", "theta[0]")
    assert (Kind.WRONG_AT_POINT in report.kinds) == np.isfinite(value)


def test_what_groups_show_to_be_right_was_examined():
    table = np.random.default_rng(0).normal(size=(300, 10))

    def fun(t):
        total, gradient = t[[3, 3, 7]].sum(axis=0), np.zeros_like(t)
        gradient[[3, 3, 7]] += 2.0 * total  # once for what is there twice
        return total @ total, gradient

    row = (Kind.WRONG_ENTRIES, ("theta", "theta[3, :]"), {"wrong": 10, "known": 3000})
    assert_explained(check_gradient(fun, table), row)


def test_whole_numbers_that_are_right_at_theta_are_no_cache():
    report = check_gradient(lambda t: (np.sum(t**2), (2 * t).astype(int)), np.array([1.0, 2.0, 3.0]))
    (fact,) = report.reasons
    assert (report.verdict, fact.kind, dict(fact.data)) == ("disagree", Kind.WHOLE_NUMBERS, {"is_same": True})


def test_no_factor_is_stated_of_a_derivative_that_is_known_to_a_tenth():
    report = check_gradient(lambda t: (abs(t[0]) + 10.0 * t[0], np.array([40.0])), np.zeros(1))
    (entry, _) = report.findings[0].diagnosis
    assert (entry.kind, entry.data["factor"]) == (Kind.SINGLE_ENTRY, None)
