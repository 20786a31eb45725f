"""Many parameters, a budget, and points outside the domain: where a function is evaluated, and how often."""

import math
import sys

import numpy as np
import pytest

from harness import check_gradient, progress
from harness.bounds.tolerances import ALL_COORDINATES
from harness.checks.functions.cost_probe import STEPS
from harness.facts.fact import kinds_of
from harness.facts.kinds import Kind

THETA = np.array([0.3, -0.7, 1.1])
MANY = 3 * ALL_COORDINATES


def theta_of(n):
    return np.random.default_rng(0).standard_normal(n)


def sines(t):
    return np.sum(np.sin(t)), np.cos(t)


def with_change(change):
    return lambda t: (np.sum(np.sin(t)), change(np.cos(t)))


def off_at(i, by):
    def change(gradient):
        gradient[i] += by
        return gradient

    return with_change(change)


def counted(fun):
    points = []

    def count(t):
        points.append(t)
        return fun(t)

    return count, points


@pytest.fixture
def few_one_by_one(monkeypatch):
    """``few_one_by_one(count)``: so many parameters are differenced one by one."""
    return lambda count: monkeypatch.setattr("harness.checks.functions.gradient_check.ALL_COORDINATES", count)


def test_many_parameters_are_differenced_in_groups_and_each_is_seen():
    report = check_gradient(sines, theta_of(MANY))
    assert (report.verdict, report.decided_share) == ("agree", 1.0)
    assert report.subject == {"parameters": MANY, "differenced": MANY}
    (grouped,) = report.notes
    assert (grouped.kind, dict(grouped.data)) == (Kind.GROUPED, {"alone": 1, "groups": 500})


def test_an_error_in_one_of_thousands_is_found_with_few_calls():
    fun, points = counted(off_at(-1, 1e-6))
    report = check_gradient(fun, theta_of(4_000))
    assert (report.verdict, [finding.where for finding in report.findings]) == ("disagree", ["theta[3999]"])
    assert len(points) < 1_800


def test_an_error_in_any_one_of_many_is_caught_and_found(few_one_by_one):
    few_one_by_one(20)
    for i in range(0, 60, 7):
        report = check_gradient(off_at(i, 1e-3), theta_of(60))
        assert (report.verdict, report.outliers) == ("disagree", ("fun",))
        assert report.findings[0].where == f"theta[{i}]"


@pytest.mark.parametrize(
    ("fun", "where"),
    [(with_change(lambda g: g * (1.0 + 1e-5)), None), (off_at(47, np.nan), "theta[47]")],
    ids=["spread over all", "NaN"],
)
def test_an_error_is_caught_where_no_coordinate_was_examined_by_itself(few_one_by_one, fun, where):
    few_one_by_one(1)
    report = check_gradient(fun, theta_of(60))
    assert (report.verdict, report.outliers) == ("disagree", ("fun",))
    assert where in (None, report.findings[0].where)


def test_a_reference_decides_what_was_not_examined_by_itself(few_one_by_one):
    import jax.numpy as jnp

    few_one_by_one(20)
    reference = lambda t: jnp.sum(jnp.sin(t))  # noqa: E731
    assert check_gradient(sines, theta_of(60), reference).verdict == "agree"
    for i in (3, 59):
        report = check_gradient(off_at(i, 1e-3), theta_of(60), reference)
        assert (report.outliers, report.findings[0].where) == (("fun",), f"theta[{i}]")


def test_of_many_wrong_coordinates_a_sample_is_examined_and_each_block_explained():
    theta = {"a": np.linspace(-1, 1, 1000), "b": np.linspace(0.5, 2, 900).reshape(30, 30), "c": np.ones(4)}

    def wrong(p):
        cost = sum(np.sum(np.sin(part)) for part in p.values())
        return cost, {"a": -np.cos(p["a"]), "b": 1.5 * np.cos(p["b"]), "c": np.cos(p["c"])}

    fun, points = counted(wrong)
    (finding,) = check_gradient(fun, theta).findings
    assert [(fact.kind, fact.where) for fact in finding.diagnosis] == [(Kind.SIGN, ("a",)), (Kind.FACTOR, ("b",))]
    assert finding.blocks == ("a", "b")
    assert len(points) < 3_500


def test_entries_of_a_group_move_about_as_far_as_one_alone_and_in_either_direction(few_one_by_one):
    few_one_by_one(1)
    theta = np.clip(theta_of(MANY), -1.0, 1.0)
    fun, points = counted(sines)
    assert check_gradient(fun, theta).verdict == "agree"
    moves = [point - theta for point in points]
    moves = [move[move != 0.0] for move in moves if 1 < np.count_nonzero(move) < MANY]
    assert len(moves) > 1000
    for move in moves:
        sizes = np.abs(move[np.abs(move) > 0.1 * STEPS[0]])
        assert sizes.max(initial=0.0) <= 3.0 * sizes.min(initial=1.0)
    assert 0.1 < np.mean([abs(np.sign(move).sum()) < 3 for move in moves]) < 0.9


# How many calls


@pytest.mark.parametrize(
    ("size", "calls"), [(1, 38), (2, 42), (6, 46), (30, 3.3 * 30), (300, 2.3 * 300), (1000, 2.2 * 1000)]
)
def test_where_the_cost_is_smooth_two_calls_a_parameter_are_enough(size, calls):
    cost, cost_points = counted(lambda t: float(np.sum(np.log1p(t**2))))
    gradient, gradient_points = counted(lambda t: 2.0 * t / (1.0 + t**2))
    report = check_gradient(cost, theta_of(size), gradient=gradient)
    assert report.verdict == "agree"
    assert len(cost_points) + len(gradient_points) <= calls


@pytest.mark.parametrize("size", [6, MANY])
@pytest.mark.parametrize(
    "change",
    [lambda g: 2.0 * g, lambda g: np.roll(g, 1), lambda g: g + 0.01 * (g == g.max()), lambda g: np.nan * g],
)
def test_a_wrong_gradient_takes_a_few_times_the_calls_of_a_right_one(size, change):
    fun, points = counted(with_change(change))
    report = check_gradient(fun, theta_of(size))
    assert (report.verdict, len(report.findings[0].diagnosis) > 0) == ("disagree", True)
    assert len(points) < 430 + 2.2 * size


def huber(t):
    return np.sum(np.where(np.abs(t) <= 1.0, 0.5 * t * t, np.abs(t) - 0.5)), np.clip(t, -1.0, 1.0)


def test_a_glance_blames_no_steep_line_and_no_bend_beside_wrong_ones():
    wrong = np.where(np.arange(12) < 3, 2.0, 1.0)
    steep = lambda t: (np.sum(np.sin(100.0 * t)), 100.0 * np.cos(100.0 * t) * wrong)  # noqa: E731
    (pair,) = check_gradient(steep, np.zeros(12)).pairs
    assert pair.coordinates_at_odds == 3
    (finding,) = check_gradient(lambda t: (huber(t)[0], -huber(t)[1]), np.array([-1.0 - 1e-4, 1.0, 30.0])).findings
    assert kinds_of(finding.diagnosis) == (Kind.SIGN,)


ODD = {
    "jumps of float32": lambda t: (np.sin(t).astype(np.float32).sum() + 0.1 * t @ t, np.cos(t) + 0.2 * t),
    "jumps of a solver": lambda t: (np.round(np.exp(t), 6).sum() + 0.1 * t @ t, np.exp(t) + 0.2 * t),
    "waves": lambda t: (np.sin(1e5 * (t - 0.7)).sum() / 1e5, np.cos(1e5 * (t - 0.7))),
    "a step": lambda t: (np.arctan(1e4 * (t - 0.7)).sum() / 1e4, 1.0 / (1.0 + (1e4 * (t - 0.7)) ** 2)),
    "an infinite bend": lambda t: (
        np.sum(t + np.sign(t - 0.7) * np.abs(t - 0.7) ** 1.5),
        1.0 + 1.5 * np.sqrt(np.abs(t - 0.7)),
    ),
}
"""Costs that are odd about 0.7, or jump. A difference of two costs finds their slopes off."""


@pytest.mark.parametrize("count", [2, 6, 38])
@pytest.mark.parametrize("fun", ODD.values(), ids=list(ODD))
def test_a_glance_blames_no_line_where_it_is_deceived(fun, count):
    factor = np.where(np.arange(40) < count, 2.0, 1.0)
    (pair,) = check_gradient(lambda t: (fun(t)[0], factor * fun(t)[1]), np.full(40, 0.7)).pairs
    assert pair.coordinates_at_odds == count


@pytest.mark.parametrize("size", [2, 6, 30, 300])
@pytest.mark.parametrize("error", [1e-9, 3e-8])
def test_an_error_that_no_first_look_sees_is_seen_along_a_direction(size, error):
    fun = lambda t: (0.5 * t @ t + 30.0 * size, t * (1.0 + error))  # noqa: E731
    assert check_gradient(fun, theta_of(size)).verdict == "disagree"


def test_a_line_that_leaves_doubt_is_looked_at_closely():
    """A kink at θ, whose middle slope is reported, and a curvature that two points do not see through."""
    report = check_gradient(lambda t: (float(np.abs(t).sum()), np.sign(t)), np.array([0.0, 1.0, 2.0]))
    assert (report.verdict, Kind.KINK in report.kinds) == ("inconclusive", True)
    steep = lambda t: (float(np.sin(1e4 * t).sum()), 1e4 * np.cos(1e4 * t))  # noqa: E731
    assert check_gradient(steep, THETA).verdict == "agree"


# A budget


@pytest.mark.parametrize("budget", [60, 300, 0.5])
def test_a_budget_is_kept_and_the_report_says_how_far_it_went(budget):
    fun, points = counted(sines)
    report = check_gradient(fun, np.linspace(-1, 2, 800), budget=budget)
    assert report.verdict != "disagree"
    assert report.seconds < 5.0
    if isinstance(budget, int):
        assert len(points) < budget + 70, "one line may be under way"
        assert {*kinds_of(report.notes)} & {Kind.GROUPED, Kind.UNEXAMINED}


@pytest.mark.parametrize("budget", [0, -1, -0.5, True, "10 s", np.nan])
def test_a_budget_is_a_number_above_zero(budget):
    with pytest.raises(ValueError, match="budget must be a number of calls"):
        check_gradient(sines, THETA, budget=budget)


def test_what_takes_long_shows_a_bar_on_a_terminal_and_nowhere_else(capsys, monkeypatch):
    def shown(seconds):
        with progress.progress_bar(seconds) as move:
            move("groups", 1, 3)
            move("groups", 2, 3)
        return capsys.readouterr()

    assert shown(0.0) == ("", "")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert shown(3600.0) == ("", "")
    out, err = shown(0.0)
    assert (out, "groups" in err) == ("", True)


# Outside the domain


def logarithms(t, error):
    if error is not None and min(t) <= 0.0:
        raise error("outside")
    return sum(math.log(x) for x in t), 1.0 / t


@pytest.mark.parametrize(
    "error", [None, ValueError, AssertionError, ZeroDivisionError, IndexError, np.linalg.LinAlgError, RuntimeError]
)
def test_what_is_raised_near_theta_is_the_edge_of_the_domain(error):
    report = check_gradient(lambda t: logarithms(t, error), np.array([1e-3, 0.5]))
    assert (report.verdict, Kind.RAISED_NEARBY in report.kinds) == ("agree", True)
    (raised,) = report.notes
    assert list(raised.data["raised"]) == [(error or ValueError).__name__]


@pytest.mark.parametrize("error", [TypeError, NameError, KeyError, AttributeError, NotImplementedError, RecursionError])
def test_a_bug_that_shows_near_theta_is_handed_on(error):
    with pytest.raises(error, match="outside"):
        check_gradient(lambda t: logarithms(t, error), np.array([1e-3, 0.5]))


def test_what_is_raised_at_theta_itself_has_a_note():
    with pytest.raises(ValueError, match="outside") as caught:
        check_gradient(lambda t: logarithms(t, ValueError), np.array([-1.0, 0.5]))
    assert "give one inside of its domain" in caught.value.__notes__[0]
