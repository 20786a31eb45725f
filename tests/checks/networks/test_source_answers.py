"""What sources answer: their form, their error bounds and precision, side effects, and why one is left out."""

import random
from dataclasses import replace

import numpy as np
import pytest
from network_sources import PROBLEM, RIGHT, THETA, a_problem, beside_right_ones, changed, judged, off_at

from harness import FAULTS, SOURCES, Activation, Problem, cross_check, random_problem
from harness.facts.kinds import Kind
from harness.sources.loop import cost_and_gradient as loop
from harness.sources.vectorized import cost_and_gradient as vectorized
from reference.measured import NotApplicable


def places(facts, kind):
    return [fact.where for fact in facts if fact.kind == kind]


# Side effects


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_a_source_that_changes_theta_in_place_is_named(value):
    def mutating(problem, theta):
        answer = loop(problem, theta)
        theta[3] = value
        return answer

    before = THETA.copy()
    report = cross_check(PROBLEM, THETA, beside_right_ones(mutating))
    assert (report.verdict, report.outliers) == ("disagree", ("mine",))
    assert places(report.reasons, Kind.ARGUMENT_CHANGED) == [("mine",)]
    np.testing.assert_array_equal(THETA, before)  # it was given a copy, and so were the others


@pytest.mark.parametrize("array", ["X", "Y"])
def test_a_source_cannot_change_the_problem(array):
    def mutating(problem, theta):
        getattr(problem, array)[0, 0] = 7.0
        return loop(problem, theta)

    with pytest.raises(ValueError, match="read-only"):
        cross_check(PROBLEM, THETA, beside_right_ones(mutating))


def test_a_source_that_changes_the_callers_own_data_is_named_and_they_are_put_back():
    X = PROBLEM.X.copy()
    problem = Problem(PROBLEM.network, X, PROBLEM.Y, PROBLEM.l2)  # which keeps a view

    def mine(problem, theta):
        answer = loop(problem, theta)
        X[0, 0] = 7.0
        return answer

    report = cross_check(problem, THETA, beside_right_ones(mine))
    assert (report.verdict, places(report.reasons, Kind.ARGUMENT_CHANGED)) == ("disagree", [("mine",)])
    np.testing.assert_array_equal(X, PROBLEM.X)


def test_settings_that_a_source_changes_are_put_back_and_noted():
    def mine(problem, theta):
        random.seed(1)
        return loop(problem, theta)

    before = random.getstate()
    report = cross_check(PROBLEM, THETA, beside_right_ones(mine))
    assert random.getstate() == before
    assert (report.verdict, places(report.notes, Kind.SETTINGS_CHANGED)) == ("agree", [("mine",)])


def test_a_source_that_answers_differently_each_time_is_wrong():
    problem, theta = random_problem((0, 3), extremes=False)
    report = cross_check(problem, theta, FAULTS["non-deterministic"].sources)
    assert (report.verdict, report.outliers) == ("disagree", ("vectorized",))
    assert [(fact.kind, fact.where) for fact in report.reasons] == [(Kind.NOT_REPEATABLE, ("vectorized",))]
    assert report.findings[0].diagnosis == ()  # the difference of one call says nothing


def test_a_source_that_is_wrong_in_the_same_way_each_time_is_not():
    problem, theta = random_problem((0, 3), extremes=False)
    for name in ("wrong-sign", "bias-times-4"):
        assert cross_check(problem, theta, FAULTS[name].sources).reasons == ()


def quickly(factor):
    """JAX by code that is off by a factor, as no caller's is."""
    return replace(SOURCES["jax"], function=changed(lambda cost, gradient: (cost, factor * gradient)))


@pytest.mark.parametrize("beside", [("loop", "finite-difference"), ("loop",), ()])
def test_nobody_is_accused_on_the_evidence_of_code_that_callers_do_not_run(beside):
    others = {name: SOURCES[name] for name in beside}
    report = judged(PROBLEM, THETA, {"jax": quickly(1.5)} | others)
    assert report.verdict == ("agree" if beside else "inconclusive"), report
    report = judged(PROBLEM, THETA, {"jax": quickly(1.0), "mine": changed(lambda c, g: (c, 1.5 * g))} | others)
    assert report.verdict == "disagree"
    wrong = replace(quickly(1.5), as_called=None)
    assert judged(PROBLEM, THETA, {"jax": wrong, "vectorized": vectorized} | others).verdict == "disagree"


# Precision


def in_float32(problem, theta):
    return vectorized(problem, theta.astype(np.float32))


@pytest.mark.parametrize(
    ("hidden", "output"), [("sigmoid", "sigmoid"), ("relu", "softmax"), ("softplus", "linear"), ("gelu", "softmax")]
)
def test_a_float32_gradient_is_judged_by_its_own_unit_roundoff(hidden, output):
    problem = a_problem(hidden, output=output)
    theta = problem.network.init(2, epsilon=0.5)
    assert in_float32(problem, theta)[1].dtype == np.float32
    report = cross_check(problem, theta, {"mine": in_float32, "loop": loop, "jax": SOURCES["jax"]})
    assert report.verdict == "agree", report
    rows = {frozenset((row.first, row.second)): row for row in report.pairs}
    assert rows[frozenset(("mine", "jax"))].difference > 1e-9  # it is in float32


def test_a_float32_source_does_not_make_the_others_less_sharp():
    sources = beside_right_ones(in_float32) | {"loop": off_at(4, 1e-12)}
    assert judged(PROBLEM, THETA, sources).outliers == ("loop",)


def test_a_wrong_float32_source_that_no_bound_can_judge_does_not_pass():
    """Where float32's bound is as large as the derivatives: others must not vouch for it."""
    undecided = 0
    for index in range(130, 145):
        problem, theta = random_problem((0, index))

        def mine(problem, theta):
            cost, gradient = vectorized(problem, theta)
            return cost, np.float32(1.3 * gradient)

        report = judged(problem, theta, {"mine": mine} | {name: SOURCES[name] for name in RIGHT})
        pairs = [pair for pair in report.pairs if "mine" in (pair.first, pair.second)]
        if report.verdict != "disagree" and vectorized(problem, theta)[1].any():
            assert report.verdict == "inconclusive"
            undecided += all(pair.coordinates_decided == 0 for pair in pairs)
    assert undecided


@pytest.mark.parametrize("name", ["vectorized-float32", "jax-float32"])
def test_float32_sources_of_the_harness_agree_and_are_no_better_than_float32(name):
    report = cross_check(PROBLEM, THETA, [name, "loop", "jax", "ball"])
    assert report.verdict == "agree"
    pair = next(pair for pair in report.pairs if {pair.first, pair.second} == {name, "ball"})
    assert 1e-12 < pair.difference < 1e-5


def test_beside_balls_each_source_has_its_true_error_in_ulps():
    problem, theta = random_problem((0, 3), extremes=False)
    exact = SOURCES["ball"](problem, theta)[1]
    mine = changed(lambda cost, gradient: (cost, exact + 8.0 * np.spacing(np.abs(exact))))
    sources = {"mine": mine} | {name: SOURCES[name] for name in ("loop", "jax", "ball")}
    ulps = {row.name: row.ulps for row in judged(problem, theta, sources).sources}
    assert (ulps["mine"], ulps["ball"]) == ((8.0, 8.0), None)
    for name in ("loop", "jax"):
        median, largest = ulps[name] or (np.nan, np.nan)
        assert 0.0 <= median < 4.0
        assert 0.5 < largest < 1e6
    assert all(row.ulps is None for row in cross_check(problem, theta, ["loop", "jax"]).sources)


# Form


def test_a_cost_in_an_array_is_right_and_noted():
    in_array = changed(lambda cost, gradient: (np.array([[cost]]), gradient))
    report = cross_check(PROBLEM, THETA, beside_right_ones(in_array))
    assert (report.verdict, places(report.notes, Kind.COST_IN_ARRAY)) == ("agree", [("mine",)])


@pytest.mark.parametrize(
    ("answer", "error", "sentence"),
    [
        (lambda problem, theta: None, TypeError, r"'mine' must answer a tuple \(cost, gradient\), not NoneType"),
        (lambda problem, theta: loop(problem, theta)[1], TypeError, "'mine' must answer a tuple .* not ndarray"),
        (lambda problem, theta: (1.0, theta[:-1]), ValueError, r"'mine' .* shape \(38,\), but .* \(\) and \(37,\)"),
        (lambda problem, theta: (theta, theta), ValueError, r"'mine' .* shapes \(38,\) and \(38,\)"),
        (lambda problem, theta: (1.0, theta + 0j), TypeError, "'mine' must answer real numbers, .*complex128"),
        (lambda problem, theta: ("1.0", theta), TypeError, "'mine' must answer real numbers, but its cost is str"),
        (lambda problem, theta: (1.0, [1, [2]]), TypeError, "'mine' must answer real .*, but its gradient is list"),
    ],
)
def test_an_answer_of_the_wrong_form_is_refused_by_the_sources_name(answer, error, sentence):
    with pytest.raises(error, match=sentence):
        cross_check(PROBLEM, THETA, {"mine": answer, "loop": loop})


@pytest.mark.parametrize(
    ("theta", "error", "sentence"),
    [
        (THETA[:-1], ValueError, r"\(38,\).*\(37,\)"),
        (THETA.reshape(2, 19), ValueError, r"flat vector of 38 parameters.*\(2, 19\)"),
        (np.where(np.arange(38) == 3, np.nan, THETA), ValueError, r"theta\[3\] is nan"),
        ("θ", TypeError, "theta must be an array of real numbers"),
    ],
)
def test_a_theta_that_does_not_fit_gets_one_clear_sentence(theta, error, sentence):
    with pytest.raises(error, match=sentence):
        cross_check(PROBLEM, theta)


def test_a_function_is_no_problem():
    with pytest.raises(TypeError, match="takes a Problem, not NoneType; check_gradient takes functions"):
        cross_check(None, THETA)  # pyright: ignore[reportArgumentType]


def test_what_a_source_raises_says_which_source_it_was():
    def failing(problem, theta):
        return problem.X @ problem.X @ theta

    with pytest.raises(ValueError, match="matmul") as raised:
        cross_check(PROBLEM, THETA, {"mine": failing, "jax": SOURCES["jax"]})
    (note,) = raised.value.__notes__
    assert note.startswith("raised by source 'mine' (test_source_answers.py, line ")
    assert note.endswith("in failing: return problem.X @ problem.X @ theta)")


# An accuracy of its own


@pytest.mark.parametrize(("accuracy", "verdict"), [(1e-6, "agree"), (1e-9, "disagree")])
def test_a_source_may_say_how_accurate_it_is(accuracy, verdict):
    def rough(problem, theta):
        cost, gradient = loop(problem, theta)
        return cost, gradient * (1.0 + 1e-7)

    rough.accuracy = accuracy  # pyright: ignore[reportFunctionMemberAccess]
    report = cross_check(PROBLEM, THETA, beside_right_ones(rough))
    assert (report.verdict, Kind.ACCURACY in report.kinds) == (verdict, verdict == "agree")


# Left out


def test_a_source_that_does_not_apply_is_left_out_with_its_reason():
    def picky(problem, theta):
        raise NotApplicable("only on Sundays")

    report = cross_check(PROBLEM, THETA, beside_right_ones(picky, "picky"))
    assert report.verdict == "agree"
    fact = report.left_out["picky"]
    assert (fact.kind, fact.where, fact.data["reason"]) == (Kind.NOT_APPLICABLE, ("picky",), "only on Sundays")
    assert "picky" not in {row.name for row in report.sources}
    assert cross_check(PROBLEM, THETA, {"picky": picky}).verdict == "inconclusive"


def test_a_formula_that_jax_cannot_trace_leaves_jax_out():
    problem = a_problem(Activation("numpy_tanh", lambda xp, z: np.tanh(z), lambda z, a: 1.0 - a * a))
    report = cross_check(problem, problem.network.init(1))
    assert report.verdict == "agree"
    assert {name: fact.kind for name, fact in report.left_out.items()} == dict.fromkeys(
        ("jax", "jax-forward"), Kind.NOT_APPLICABLE
    )
