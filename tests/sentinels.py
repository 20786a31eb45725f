"""A few checks of the checker with known outcomes: planted errors, right answers, answers that are not numbers.

Each takes the checker's modules as attributes of one object, and asserts. Errors are planted at known multiples of what
is allowed.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from golden_numbers import DEBUG_THETA, debug_problem

from harness import Activation, Network, Problem
from harness.sources.loop import cost_and_gradient as loop
from harness.sources.vectorized import cost_and_gradient as vectorized
from reference.measured import Oracle
from reference.oracles import finite_difference

NAN, INF = np.nan, np.inf

COURSE = (debug_problem(1.0), DEBUG_THETA)
DEEP = (
    Problem(Network((3, 4, 4, 2), "tanh"), np.sin(np.arange(15.0)).reshape(5, 3), [0, 1, 1, 0, 1], 1.0),
    np.cos(np.arange(46.0)),
)
ALLOWED = {
    "course": (*COURSE, {0: 1.8e-16, 20: 3.2e-15, 37: 1.5e-15}),
    "deep": (*DEEP, {0: 2.4e-14, 20: 1.7e-14, 37: 2.0e-14, 44: 1.4e-14}),
}
"""How far two sources may differ at some coordinates, as measured when these tests were written. A checker whose
allowance is another by a factor of three is another checker."""

COST_ALLOWED = 1.44e-14
"""The same for the cost of the course's network."""

differences = Oracle(finite_difference.gradient)


def off(change: Callable[[float, np.ndarray], Any], source=loop) -> Callable[..., Any]:
    return lambda problem, theta: change(*source(problem, theta))


def off_at(i: int, by: float) -> Callable[..., Any]:
    return off(lambda cost, gradient: (cost, gradient + by * (np.arange(len(gradient)) == i)))


def verdict(checker, sources, problem=COURSE[0], theta=COURSE[1]) -> str:
    return checker.network_check.check(problem, theta, sources, explained=False).verdict


def beside(source) -> dict[str, Any]:
    return {"mine": source, "loop": loop, "finite-difference": differences}


def three_times_the_allowance(checker):
    """An error of three times what rounding allows is seen, in either direction."""
    for problem, theta, allowed in ALLOWED.values():
        for i, difference in allowed.items():
            for by in (3.0 * difference, -3.0 * difference):
                assert verdict(checker, {"mine": off_at(i, by), "loop": loop}, problem, theta) == "disagree"
    for by in (3.0 * COST_ALLOWED, -3.0 * COST_ALLOWED):
        wrong = off(lambda cost, gradient, by=by: (cost + by, gradient))
        assert verdict(checker, {"mine": wrong, "loop": loop}) == "disagree"


def a_third_of_the_allowance(checker):
    """An error of a third of what rounding allows raises no alarm."""
    for problem, theta, allowed in ALLOWED.values():
        for i, difference in allowed.items():
            sources = {"mine": off_at(i, difference / 3.0), "loop": loop, "finite-difference": differences}
            assert verdict(checker, sources, problem, theta) == "agree"


def an_answer(checker, gradient, error: Any = 1e-12, cost=1.0, cost_error=1e-12, name="a"):
    gradient = np.array(gradient, dtype=float)
    return checker.comparison.Answer(name, name, cost, cost_error, gradient, np.full(gradient.shape, 1.0) * error)


def compared(checker, a, b):
    return checker.comparison.compare(a, b, [checker.comparison.Block("all", np.arange(len(a.gradient)))])


def answers_side_by_side(checker):
    """Two answers with bounds of 1e-12 each are at odds from 2e-12 on, whatever their size and order."""
    for size in (1e-3, 1.0, 1e3):
        for difference, at_odds in ((1.5e-12, False), (3e-12, True), (-1.5e-12, False), (-3e-12, True)):
            difference = np.round(difference / np.spacing(size)) * np.spacing(size) if size < 1e3 else 2.0 * difference
            allowed = 1e-12 if size < 1e3 else 2e-12
            a, b = (an_answer(checker, [g, size], allowed) for g in (size, size + difference))
            assert compared(checker, a, b).at_odds.tolist() == [at_odds, False]
            assert compared(checker, a, b).disagrees == at_odds
        costs = [an_answer(checker, [1.0], cost=cost) for cost in (1.0, 1.0 + 3e-12, 1.0 + 1.5e-12)]
        assert compared(checker, costs[0], costs[1]).disagrees
        assert compared(checker, costs[1], costs[0]).disagrees
        assert not compared(checker, costs[0], costs[2]).disagrees


def not_a_number(checker):
    """NaN and Inf are never a pass, not even beside the same."""
    for value in (NAN, INF, -INF):
        for other in (1.0, value):
            pair = compared(checker, an_answer(checker, [value, 1.0]), an_answer(checker, [other, 1.0]))
            assert pair.at_odds.tolist() == [True, False]
            assert compared(
                checker, an_answer(checker, [1.0], cost=value), an_answer(checker, [1.0], cost=other)
            ).disagrees
        wrong = off(lambda cost, gradient, value=value: (cost, np.where(gradient == gradient[3], value, gradient)))
        assert verdict(checker, beside(wrong)) == "disagree"
        assert verdict(checker, beside(off(lambda cost, gradient, value=value: (value, gradient)))) == "disagree"


def no_bound_no_verdict(checker):
    """Where the bound is not finite or too wide to mean anything, nothing is at odds, and nothing is decided."""
    for bound in (NAN, INF):
        for value in (1.0, 5.0, NAN):
            pair = compared(checker, an_answer(checker, [value], bound, value, bound), an_answer(checker, [1.0]))
            assert not pair.disagrees
            assert not pair.decided.any()
            assert not pair.cost_decided
    overflown = an_answer(checker, [1.0], cost=INF, cost_error=INF)
    assert not compared(checker, overflown, overflown).cost_decided
    for share, decided in ((1e-8, True), (1e-4, False)):
        for size in (1e-3, 1e3):
            a = an_answer(checker, [size], share * size, 1e3, share * 1e3)
            assert compared(checker, a, an_answer(checker, [size], 0.0, 1e3)).decided.tolist() == [decided]
            assert compared(checker, a, an_answer(checker, [size], 0.0, 1e3)).cost_decided == decided
    huge = an_answer(checker, [1.0, 1e9], np.array([1.0, INF]))  # a wrong value that nobody can judge
    assert not compared(checker, an_answer(checker, [1.0, 0.0]), huge).decided.any()


def the_odd_one_out(checker):
    """Who is named: the one against all, both hands together, and in a tie nobody; where, and with which values."""
    cross_check = checker.network_check.cross_check
    report = cross_check(*COURSE, beside(off_at(7, 1e-9)))
    assert (report.verdict, report.outliers, report.tie) == ("disagree", ("mine",), False)
    (finding,) = report.findings
    right = loop(*COURSE)[1][7]
    assert (finding.source, finding.where) == ("mine", COURSE[0].network.label(7))
    assert (finding.value, round(finding.expected - right, 12)) == (right + 1e-9, 0.0)
    assert finding.coordinates == 1
    wrong = off(lambda cost, gradient: (cost, 1.001 * gradient))
    hands = {"loop": wrong, "vectorized": wrong, "mine": loop, "finite-difference": differences}
    assert cross_check(*COURSE, hands).outliers == ("loop", "vectorized")
    families = {"a": "hands", "b": "hands", "c": "jax"}
    answers = [an_answer(checker, [value], name=name) for name, value in zip("abc", (0.0, 0.0, 1.0), strict=True)]
    pairs = checker.comparison.compare_all(answers, [checker.comparison.Block("all", np.array([0]))])
    assert checker.consensus.find_consensus(families, pairs).tie
    families = {"a": "hands", "b": "hands", "c": "jax", "d": "differences"}  # b and d are too vague to object
    told = zip("abcd", (0.0, 0.5, 1.0, 0.5), (1e-12, 9.0, 1e-12, 9.0), strict=True)
    answers = [an_answer(checker, [value], error, name=name) for name, value, error in told]
    pairs = checker.comparison.compare_all(answers, [checker.comparison.Block("all", np.array([0]))])
    assert checker.consensus.find_consensus(families, pairs).tie
    vague = cross_check(*COURSE, {"mine": off_at(20, 1.5e-14), "other": loop, "finite-difference": differences})
    assert vague.outliers == ("mine",)


def costs_and_broken_rules(checker):
    """The right gradient of the wrong cost, a changed θ, and an answer of the wrong form."""
    for by in (1e-9, -1e-9):
        assert verdict(checker, beside(off(lambda cost, gradient, by=by: (cost + by, gradient)))) == "disagree"

    def mutating(problem, theta):
        answer = loop(problem, theta)
        theta *= 0.5
        return answer

    kept = DEBUG_THETA.copy()
    report = checker.network_check.cross_check(COURSE[0], kept, beside(mutating))
    assert (report.verdict, report.outliers) == ("disagree", ("mine",))
    np.testing.assert_array_equal(kept, DEBUG_THETA)
    for answer in ((0.5, np.ones(1)), (np.ones(2), np.ones(38)), (0.5, np.ones((38, 1)))):
        message = "none"
        try:
            verdict(checker, {"mine": lambda problem, theta, answer=answer: answer, "loop": loop})
        except (ValueError, IndexError) as error:
            message = str(error)
        assert "'mine'" in message


def not_enough_evidence(checker):
    """One author, or one source, or a problem that hides bugs: never a blind agree."""
    assert verdict(checker, {"loop": loop, "vectorized": vectorized}) == "inconclusive"
    assert verdict(checker, {"mine": loop}) == "inconclusive"
    problem = Problem(COURSE[0].network, COURSE[0].X[:1], COURSE[0].Y[:1])
    assert len(checker.network_check.cross_check(problem, 0.0 * DEBUG_THETA, beside(loop)).blind_to) == 3


def everybodys_bug(checker):
    """An error that all sources share is caught end to end."""

    def too_large(cost, gradient):
        return cost, gradient * (1.0 + 1e-9)

    def measured(problem, theta):
        answer = differences.measure(problem, theta)
        return answer._replace(gradient=too_large(0.0, answer.gradient)[1])

    shared = {"loop": off(too_large), "mine": off(too_large), "finite-difference": Oracle(measured)}
    assert verdict(checker, shared) == "disagree"


def kinked(slope) -> Network:
    return Network((3, 5, 3), Activation("kinked", lambda xp, z: xp.where(z <= 0.0, 0.0, z), slope, kinks=(0.0,)))


LEFT, RIGHT = kinked(lambda z, a: np.where(z <= 0.0, 0.0, 1.0)), kinked(lambda z, a: np.where(z < 0.0, 0.0, 1.0))


def on_a_kink(checker):
    """On a kink, sources of either convention are neither right nor wrong; close to it, differences are of no help."""
    data = COURSE[0].X, COURSE[0].Y, 1.0
    left, right = Problem(LEFT, *data), Problem(RIGHT, *data)
    theta = DEBUG_THETA.copy()
    theta[:20] = 0.0
    assert verdict(checker, beside(lambda problem, theta: loop(right, theta)), left, theta) == "inconclusive"
    assert verdict(checker, beside(loop), left, theta) == "inconclusive"
    theta[:5] = finite_difference.STEP / 2.0
    another = {"mine": lambda problem, theta: loop(problem, theta)}  # for all that anybody knows
    assert verdict(checker, beside(loop) | another, left, theta) == "agree"


def in_float32(checker):
    """A float32 source is judged as such: right ones agree, wrong ones do not, and float64 ones get no discount."""

    def single(problem, theta):
        return vectorized(problem, theta.astype(np.float32))

    assert verdict(checker, beside(single)) == "agree"
    assert verdict(checker, beside(off(lambda cost, g: (cost, np.float32(1.0001) * g), single))) == "disagree"
    assert verdict(checker, beside(off(lambda cost, g: (cost, (1.0 + 1e-9) * g)))) == "disagree"


def far_out(checker):
    """Large and saturated numbers raise no alarm, and those that overflow are no agreement."""
    problem, theta = DEEP
    for scale in (10.0, 1e3, 1e8):
        assert verdict(checker, beside(vectorized), problem, scale * theta) != "disagree"
    huge = Problem(Network((3, 4, 2), "softplus", "linear"), 1e200 * problem.X, problem.Y, 1.0)
    with np.errstate(all="ignore"):
        assert verdict(checker, beside(vectorized), huge, 1e150 * theta[: huge.network.size]) == "inconclusive"


def many_networks(checker):
    """Of many networks, one that disagrees is enough, and none does where the sources are right."""
    check = checker.many_networks.check_networks
    right = {"loop": loop, "finite-difference": differences}
    assert check(12, 11, sources=right).counts["disagree"] == 0
    rarely = off(lambda cost, gradient: (cost, gradient if len(gradient) % 4 else 1.001 * gradient))
    summary = check(12, 11, sources={"mine": rarely, **right})
    assert 0 < summary.counts["disagree"] < 12
    assert summary.verdict == "disagree"
    assert check(3, 0, sources={"loop": loop}).verdict == "inconclusive"


def doors(checker):
    """The assertion and the gate let nothing pass but agreement."""
    for sources, passes in ((beside(loop), True), (beside(off_at(3, 1e-6)), False), ({"loop": loop}, False)):
        for door in (checker.assertions.assert_gradients_agree, checker.gated_training.check_gate):
            try:
                report = door(*COURSE, sources)
            except (AssertionError, checker.gated_training.GateClosed):
                assert not passes
            else:
                assert passes
                assert report.verdict == "agree"


# -- the same for anybody's function -----------------------------------------------------------------------------------

THETA = np.cos(np.arange(6.0))


def sines(theta):
    return np.sum(np.sin(theta)), np.cos(theta)


def parabola(theta):
    return 10.0 + theta @ theta, 2.0 * theta


FUNCTIONS_ALLOWED = ((sines, 8e-12), (parabola, 1.75e-11))
"""How far each of these gradients may be off, as measured when these tests were written: the truncation of differences
is most of the one, the noise in them of the other."""


def answered(checker, fun, theta=THETA, reference=None) -> str:
    return checker.gradient_check.check_gradient(fun, theta, reference).verdict


def breaks_a_rule(checker, fun) -> bool:
    reasons = checker.gradient_check.check_gradient(fun, THETA).reasons
    return any(reason.severity == "wrong" for reason in reasons)


def shifted(by, fun=sines, i=0):
    def answer(theta):
        cost, gradient = fun(theta)
        return cost, gradient + by * (np.arange(len(theta)) == i)

    return answer


def function_off_by_three_allowances(checker):
    """An error of three times what differences allow is seen, and a third of it raises no alarm."""
    for fun, allowed in FUNCTIONS_ALLOWED:
        assert answered(checker, shifted(3.0 * allowed, fun)) == "disagree"
        assert answered(checker, shifted(-3.0 * allowed, fun)) == "disagree"
        assert answered(checker, shifted(allowed / 3.0, fun)) == "agree"


def function_in_any_unit(checker):
    """The verdict does not depend on the unit of the cost, nor on θ's."""
    for scale in (1e-13, 1.0, 1e6):
        for speed in (1.0, 50.0, 100.0):

            def fun(t, factor=1.0, scale=scale, speed=speed):
                return scale * np.sum(np.sin(speed * t)), factor * scale * speed * np.cos(speed * t)

            assert answered(checker, fun) == "agree"
            assert answered(checker, lambda t, fun=fun: fun(t, 1.0 + 1e-6)) == "disagree"

    def of_two_scales(t):  # a step that leaves noise in a cost of 1e5 behind is blind to what happens at 1e-9
        fast = 1.5e-9 * np.exp(-1e-9 / t[0])
        return fast + t[1] ** 2, np.array([fast * 1e-9 / t[0] ** 2, 2.0 * t[1]])

    assert answered(checker, of_two_scales, np.array([1.7e-9, 5000.0])) != "disagree"


def function_beside_a_constant(checker):
    """What a large constant in the cost hides is neither right nor wrong."""
    for constant, factor in ((1e11, 1.0), (1e11, 0.999), (1e13, 0.5), (1e13, 1.0)):
        verdict = answered(checker, lambda t, c=constant, f=factor: (c + np.sum(np.sin(t)), f * np.cos(t)))
        assert verdict == "inconclusive"
    assert answered(checker, lambda t: (1e6 + np.sum(np.sin(t)), 0.999 * np.cos(t))) == "disagree"


def function_values(checker):
    """Kinks, ends of the domain, noise and float32 raise no alarm; what is not finite is no pass."""
    for x in (0.0, 1e-14, -1e-14):
        assert answered(checker, lambda t: (np.sum(np.abs(t)), np.sign(t)), np.array([x])) == "inconclusive"
        assert answered(checker, lambda t: (np.sum(np.abs(t)), 0.0 * t), np.array([x])) != "agree"
    assert answered(checker, lambda t: (np.sum(np.log(t)), 1.0 / t), np.array([1e-14])) == "inconclusive"
    kinks = 1e-4 * np.cos(np.arange(1.0, 50.0))  # within one stencil, the sum of their jumps zero
    jumps = np.sin(np.arange(1.0, 50.0)) - np.mean(np.sin(np.arange(1.0, 50.0)))

    def bent(t):
        return (jumps @ np.maximum(t - kinks, 0.0), np.array([jumps @ (t > kinks)]))

    assert answered(checker, bent, np.array([0.0])) == "agree"
    assert answered(checker, shifted(NAN)) == "disagree"
    assert answered(checker, lambda t: (NAN, t)) == "inconclusive"

    def noisy(t, size=1e-5):
        rounded = t.astype(float)  # more digits would show the noise, too
        return np.sum(np.sin(rounded)) + size * np.modf(1e9 * np.sum(np.cos(1e6 * rounded)))[0], np.cos(t)

    def slightly_noisy(t):
        return noisy(t, 2e-10)

    def by_differences(t):  # wrong as a stencil of the first step is, which it must not be compared with alone
        h = 2e-3
        D = [(np.sin(100.0 * (t + w)) - np.sin(100.0 * (t - w))) / (2.0 * w) for w in (h, 2.0 * h)]
        return np.sum(np.sin(100.0 * t)), (4.0 * D[0] - D[1]) / 3.0

    assert answered(checker, by_differences, np.array([0.3])) == "disagree"

    def waves(t):  # of which every step that noise allows sees the mean alone
        return 1e6 + np.sum(t + 1e-10 * np.sin(1e10 * t)), 1.0 + np.cos(1e10 * t)

    assert answered(checker, waves, np.array([0.3, 0.7])) == "inconclusive"
    assert answered(checker, lambda t: (waves(t)[0], 2.0 * waves(t)[1]), np.array([0.3, 0.7])) == "disagree"

    for width in (1e-4, 3e-5, 1e-5):  # a first stencil sees the bump beside θ

        def beside_a_bump(t, width=width):
            u = (t - 0.3) / width
            return np.sum(np.sin(t) + np.exp(-u * u)), np.cos(t) - 2.0 * u / width * np.exp(-u * u)

        assert answered(checker, beside_a_bump, np.array([0.3 + 5.5 * width])) == "agree"

    def partly_float32(t):
        return float(np.sum(np.sin(t.astype(np.float32)))) + 1e-3 * t @ t, np.cos(t) + 2e-3 * t

    def digits_lost(t):  # all along a stencil
        return np.sum(np.sqrt(1.0 - np.tanh(t) ** 2)), -np.tanh(t) / np.cosh(t)

    assert answered(checker, digits_lost, np.array([20.0, 0.4])) == "inconclusive"
    assert answered(checker, noisy) == "inconclusive"
    assert answered(checker, partly_float32) != "disagree"
    assert answered(checker, slightly_noisy, np.cos(np.arange(20.0))) == "agree"
    assert answered(checker, lambda t: (float(sines(t.astype(np.float32))[0]), np.cos(t))) == "agree"
    W = np.random.default_rng(1).normal(size=(7, 4)).astype(np.float32)

    def logistic_in_float32(t):  # jumps alone do not explain its roundings
        cost = np.log1p(np.exp(W @ t.astype(np.float32))).sum(dtype=np.float32)
        return float(cost), W.T @ (1.0 / (1.0 + np.exp(-W @ t)))

    for size in (1.0, 3.0, 30.0):
        assert answered(checker, logistic_in_float32, size * np.cos(np.arange(1.0, 5.0))) == "agree"


def function_broken_rules(checker):
    """A changed θ and other answers to the same question break a rule; other last bits do not."""
    rng = np.random.default_rng(0)

    def mutating(theta):
        answer = sines(theta)
        theta *= 0.5
        return answer

    def jittering(size, scale):
        def fun(theta):
            cost, gradient = sines(theta)
            jitter = 1.0 + size * rng.integers(-1, 2, 1 + len(theta))
            return scale * (3.0 + cost) * jitter[0], scale * gradient * jitter[1:]

        return fun

    kept = {}

    def keyed_by_a_sum(theta):
        cost, gradient = sines(theta)
        return cost, kept.setdefault(np.sum(theta), gradient)

    assert answered(checker, mutating) == "disagree"
    assert answered(checker, keyed_by_a_sum) == "disagree"
    for scale in (1e-12, 1.0, 1e6):
        assert answered(checker, jittering(2.0**-52, scale)) == "agree"
        assert breaks_a_rule(checker, jittering(1e-6, scale))

        def unsteady(theta, scale=scale):
            return scale, scale * theta * (1.0 + 1e-6 * rng.standard_normal(len(theta)))

        assert breaks_a_rule(checker, unsteady)


def function_of_many(checker):
    """Of more parameters than are differenced, each is seen along random directions, and found."""
    theta = np.cos(np.arange(60.0))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checker.gradient_check, "ALL_COORDINATES", 20)
        assert answered(checker, sines, theta) == "agree"
        for i in range(0, 60, 7):
            report = checker.gradient_check.check_gradient(shifted(1e-6, i=i), theta)
            assert report.verdict == "disagree"
            assert report.findings[0].where == f"theta[{i}]"


SENTINELS = [
    three_times_the_allowance,
    a_third_of_the_allowance,
    answers_side_by_side,
    not_a_number,
    no_bound_no_verdict,
    the_odd_one_out,
    costs_and_broken_rules,
    not_enough_evidence,
    everybodys_bug,
    on_a_kink,
    in_float32,
    far_out,
    many_networks,
    doors,
    function_off_by_three_allowances,
    function_beside_a_constant,
    function_in_any_unit,
    function_values,
    function_broken_rules,
    function_of_many,
]
