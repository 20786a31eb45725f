"""What stops at a tolerance: right rules are excused by as much as the solver is off, wrong ones are not."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from functions_of_jax import DEEP, facts, more
from jax import lax
from jax.experimental.ode import odeint

from harness import check_derivatives
from harness.checks.traced import culprits, derivative_comparison
from harness.checks.traced.jax_modes import Mode
from harness.checks.traced.lone_equations import Culprit
from harness.facts.fact import Severity
from harness.facts.kinds import Kind
from reference.jax_settings import compiler_options
from reference.traced.program_replay import Ending, replayed_with_primals
from reference.traced.solver_tolerances import TIGHTER, more_accurate
from reference.traced.traced_function import Traced

rng = np.random.default_rng(1)
X = rng.normal(size=3)
WEIGHTS = 0.3 * rng.normal(size=(3, 3))
SQUARE = rng.normal(size=(8, 8))
DEFINITE = SQUARE @ SQUARE.T / 8 + np.eye(8)
RIGHT_SIDE = rng.normal(size=8)


def fixed_point(tolerance, factor=1.0):
    """y = tanh(W y + x), and the implicit derivative by a series of as many terms as it needs."""

    def step(x, y):
        return jnp.tanh(WEIGHTS @ y + x)

    def repeated(step, y, tolerance=tolerance):
        far = lambda pair: jnp.max(jnp.abs(pair[0] - pair[1])) > tolerance  # noqa: E731
        return lax.while_loop(far, lambda pair: (step(pair[0]), pair[0]), (y, y + 1.0))[0]

    @jax.custom_vjp
    def equilibrium(x):
        return repeated(lambda y: step(x, y), jnp.zeros_like(x))

    def forward(x):
        return equilibrium(x), (x, equilibrium(x))

    def backward(residuals, g):
        x, y = residuals
        u = repeated(lambda u: g + jax.vjp(lambda y: step(x, y), y)[1](u)[0], g, tolerance)
        return (factor * jax.vjp(lambda x: step(x, y), x)[1](u)[0],)

    equilibrium.defvjp(forward, backward)
    return equilibrium


def descent(tolerance, rate):
    """The minimum of y⁴/4 + y²/2 - x y, by steps against the gradient."""

    @jax.custom_vjp
    def minimum(x):
        slope = lambda y: y**3 + y - x  # noqa: E731
        start = jnp.zeros_like(x)
        return lax.while_loop(lambda y: jnp.max(jnp.abs(slope(y))) > tolerance, lambda y: y - rate * slope(y), start)

    minimum.defvjp(lambda x: (minimum(x), minimum(x)), lambda y, g: (g / (3.0 * y * y + 1.0),))
    return minimum


def cube_root(tolerance, factor=1.0):
    def newton(f, y):
        return lax.while_loop(lambda y: jnp.abs(f(y)) > tolerance, lambda y: y - f(y) / (3.0 * y * y), y)

    return lambda x: lax.custom_root(lambda y: y**3 - x, 1.0, newton, lambda g, y: factor * y / g(1.0))


def shares(tolerance, factor=1.0):
    """y = softmax(W y + x) by half steps: the outputs add up to 1, whatever x is."""

    def repeated(step, y):
        far = lambda pair: jnp.max(jnp.abs(pair[0] - pair[1])) > tolerance  # noqa: E731
        return lax.while_loop(far, lambda pair: (step(pair[0]), pair[0]), (step(y), y))[0]

    def step(x, y):
        return 0.5 * y + 0.5 * jax.nn.softmax(WEIGHTS @ y + x)

    @jax.custom_vjp
    def equilibrium(x):
        return repeated(lambda y: step(x, y), jnp.full(3, 1.0 / 3.0))

    def backward(residuals, g):
        x, y = residuals
        u = repeated(lambda u: g + jax.vjp(lambda y: step(x, y), y)[1](u)[0], g)
        return (factor * jax.vjp(lambda x: step(x, y), x)[1](u)[0],)

    equilibrium.defvjp(lambda x: (equilibrium(x), (x, equilibrium(x))), backward)
    return equilibrium


def conjugate_gradients(tolerance):
    return lambda b: jnp.sum(jax.scipy.sparse.linalg.cg(lambda x: DEFINITE @ x, b, tol=tolerance)[0] ** 2)


def decay(y, rate):
    return odeint(lambda y, t, rate: -rate * y, y, jnp.linspace(0.0, 1.0, 3), rate)[-1]


RIGHT = {
    "an equilibrium": (fixed_point(1e-6), X),
    "conjugate gradients": (conjugate_gradients(1e-4), RIGHT_SIDE),
    "few conjugate gradients": (conjugate_gradients(1e-2), RIGHT_SIDE),
}
if DEEP:
    RIGHT |= {
        "a descent": (descent(1e-8, 0.1), X),
        "a slow descent": (descent(1e-8, 1e-3), X),
        "odeint": (decay, X[:2], np.array([0.7, 2.0])),
    }


@pytest.mark.parametrize("name", RIGHT)
def test_right_rules_of_solvers_are_not_accused_and_a_tolerance_is_reported_where_it_is_allowed_for(name):
    report = check_derivatives(*RIGHT[name])
    assert report.verdict in ("agree", "inconclusive"), report
    is_borrowed = any("borrowed" in fact.data["bounds"] for fact in facts(report, Kind.ERROR_BOUNDS))
    assert (Kind.SOLVER_TOLERANCE in report.kinds) != is_borrowed
    assert Kind.NO_CORRECT_DIGIT not in report.kinds, report  # of what the tolerance leaves
    differenced = {name for fact in facts(report, Kind.BLACK_BOX) for name in fact.where}
    assert differenced <= {"equilibrium", "minimum", "odeint"}, "the name of the user's function"


WRONG = {
    "a root": (cube_root(1e-6, 1.001), 1.7),
} | ({"an equilibrium": (fixed_point(1e-6, 1.001), X), "digits": (fixed_point(1e-10, 1.0 + 1e-7), X)} if DEEP else {})


@pytest.mark.parametrize("name", WRONG)
def test_wrong_rules_of_solvers_are_seen(name):
    report = check_derivatives(*WRONG[name])
    assert report.verdict == "disagree"
    assert report.details["culprits"][0]["off"] == pytest.approx(1e-3 if name != "digits" else 1e-7, rel=0.1)


LOOSE = {
    "a root by a wrong rule": (cube_root, 1.7, 1.001, Severity.DOUBT),
    "an equilibrium": (fixed_point, X, 1.0, Severity.NOTE),
}


@pytest.mark.parametrize("name", LOOSE)
def test_what_shrinks_with_the_tolerance_is_the_error_of_the_solver_and_what_stays_is_a_doubt(name):
    make, x, factor, severity = LOOSE[name]
    report = check_derivatives(make(1e-3, factor), x)
    assert report.verdict == ("agree" if severity == Severity.NOTE else "inconclusive"), report
    (fact,) = [fact for fact in report.every_fact() if fact.kind == Kind.WITHIN_TOLERANCE]
    assert (fact.severity, fact.data["finer"]) == (severity, pytest.approx(1e-3 * TIGHTER) if factor == 1.0 else 0.0)


@pytest.mark.parametrize("factor", [1.0, *more(1.001)])
def test_a_finer_rule_is_found_where_outputs_add_up_to_a_constant(factor):
    verdict = check_derivatives(shares(1e-5, factor), X).verdict
    assert verdict == "agree" if factor == 1.0 else verdict in ("disagree", "inconclusive")


def fragile_descent(factor):
    """The minimum of y⁴/4 + y²/2 - x y, by steps that fail soon after the end; the rule divides by Newton's method."""

    @jax.custom_vjp
    def minimum(x):
        slope = lambda y: y**3 + y - x  # noqa: E731
        step = lambda y: y - 0.05 * jnp.where(jnp.abs(slope(y)) < 4e-11, jnp.nan, slope(y))  # noqa: E731
        return lax.while_loop(lambda y: jnp.abs(slope(y)) > 1e-10, step, jnp.zeros_like(x))

    def backward(y, g):
        h = 3.0 * y * y + 1.0
        inverse = lax.while_loop(lambda u: jnp.abs(1.0 - h * u) > 1e-5, lambda u: u * (2.0 - h * u), 0.3)
        return (factor * g * inverse,)

    minimum.defvjp(lambda x: (minimum(x), minimum(x)), backward)
    return minimum


@pytest.mark.parametrize(("factor", "verdict"), [(1.0, "agree"), (1.0001, "inconclusive")])
def test_where_the_finer_solver_of_f_breaks_down_f_is_compared_as_it_is(factor, verdict, monkeypatch):
    broken = lambda _, *arguments: Traced(lambda x: [x * jnp.nan], *arguments)  # noqa: E731  as it may beside the point
    monkeypatch.setattr(derivative_comparison, "with_finer_solvers", broken)
    report = check_derivatives(fragile_descent(factor), 0.9)
    assert (report.verdict, Kind.WITHIN_TOLERANCE in report.kinds) == (verdict, True), report


def test_a_right_rule_agrees_with_the_slopes_of_a_finer_solver():
    report = check_derivatives(cube_root(1e-3), 1.7)
    assert (report.verdict, Kind.WITHIN_TOLERANCE in report.kinds) == ("agree", False)


def slow_descent(factor):
    """The minimum of y⁴/4 + y²/2 - x y by slow steps, if the last was short; its derivative is off by far more."""

    @jax.custom_vjp
    def solve(x):
        step = lambda pair: (pair[0] - 0.05 * (pair[0] ** 3 + pair[0] - x), pair[0])  # noqa: E731
        y, last = lax.while_loop(lambda pair: jnp.abs(pair[0] - pair[1]) > 1e-8, step, (0.5 * x, x))
        return y, y - last

    def backward(y, g):
        return (factor * g[0] / (3.0 * y * y + 1.0),)

    solve.defvjp(lambda x: (solve(x), solve(x)[0]), backward)

    def minimum(x):
        y, last = solve(x)
        return jnp.where(lax.stop_gradient(jnp.abs(last)) < 1.0, y, jnp.nan)

    return minimum


@pytest.mark.parametrize("factor", [1.0, 1.001, *more(1.01, -1.0)])
def test_the_derivative_of_many_steps_is_that_of_a_finer_solver(factor):
    report = check_derivatives(slow_descent(factor), -0.7)
    assert report.verdict == ("agree" if factor == 1.0 else "disagree"), report
    assert Kind.WITHIN_TOLERANCE not in report.kinds


def test_a_solver_with_finer_tolerances_is_not_rounded_at_random(monkeypatch):
    rounded, by_run = [], Mode.by_run  # its steps might find no end

    def run(mode, *args, **options):
        rounded.append(mode.coarser)
        return by_run(mode, *args, **options)

    monkeypatch.setattr(Mode, "by_run", run)
    assert check_derivatives(fixed_point(1e-3), X).verdict == "agree"
    assert set(rounded) == {None}


def test_a_tolerance_that_hides_the_digits_is_reported():
    report = check_derivatives(fixed_point(1e-3, 1.0001), X)
    assert report.verdict == "inconclusive"
    assert Kind.SOLVER_HIDES_DIGITS in report.kinds


def test_a_more_accurate_solver_goes_on_and_a_step_is_no_tolerance():
    with jax.enable_x64(True):
        coarse, root = cube_root(1e-3), 1.7 ** (1.0 / 3.0)
        found = [np.asarray(coarse(1.7))]
        finer = more_accurate(Traced(coarse, 1.7).program, [1.7], found)
        assert finer is not None
        assert abs(finer.results[0] - root) < 1e-9 < abs(found[0] - root)
        euler = lambda x: lax.while_loop(lambda s: s[1] < 900, lambda s: (s[0] - 9e-4 * s[0], s[1] + 1), (x, 0))[0]  # noqa: E731
        traced = Traced(euler, 1.7)
        assert more_accurate(traced.program, [1.7], [np.asarray(traced(1.7))]) is None


def test_of_the_results_of_a_more_accurate_solver_floating_numbers_alone_have_to_be_close():
    def halved(x):
        step = lambda s: (0.5 * s[0], s[1] + 1, s[0] < 2e-5)  # noqa: E731
        return lax.while_loop(lambda s: jnp.abs(s[0]) > 1e-5, step, (x, 0, False))

    found = [np.array(1e-5), np.array(17), np.array(False)]
    assert more_accurate(Traced(lambda x: (1.0 + halved(x)[0], *halved(x)[1:]), 1.0).program, [1.0], [1.0, *found[1:]])


def halfway(x, y):
    """By y → x - y for ever, unless y > 0.3: by steps of y → (x + y)/3, which come to x/2."""
    far = lambda state: jnp.abs(state[0] - 0.5 * x) > 1e-12  # noqa: E731
    step = lambda state: (jnp.where(state[1], (x + state[0]) / 3.0, x - state[0]), state[1])  # noqa: E731
    return lax.while_loop(far, step, (y, y > 0.3))[0]


@pytest.mark.parametrize(("f", "y"), [(halfway, 0.25), (jax.vmap(halfway, (None, 0)), np.array([0.25, 0.4, 0.5]))])
def test_a_loop_that_comes_back_to_where_it_was_is_left_before_the_longest_ends(f, y):
    with jax.enable_x64(True):
        by_steps = Ending(replayed_with_primals(Traced(f, 1.0, y).program))
        # where a loop that goes to and fro would be at two places
        ended = [np.ravel(by_steps(longest, 1.0, jnp.asarray(y))[0]) for longest in (1_000, 1_001)]
        assert np.isnan(np.ravel(by_steps(1, 1.0, jnp.asarray(y))[0])[0])
    assert ended[0][0] == ended[1][0]
    np.testing.assert_allclose(ended[0][1:], 0.5, atol=1e-11)


def test_a_batch_of_loops_that_rounding_stops_is_left_before_the_longest_ends():
    """XLA computes anew what it compares, and rounds it differently, unless the loop has stored it."""

    def copy(a):
        return lax.while_loop(lambda x: jnp.abs(a - x) > 1e-30, lambda x: x + 0.001 * (a - x), jnp.full_like(a, 2.0))

    with jax.enable_x64(True):
        by_steps = jax.vmap(Ending(replayed_with_primals(Traced(copy, 2.0).program)), (None, 0))
        batched = jax.jit(by_steps, compiler_options=compiler_options())
        a = 2.0 + np.linspace(-1e-3, 1e-3, 64)
        np.testing.assert_allclose(batched(100_000, a)[0], a, atol=1e-12)


COST = np.array([[0.3, 0.9, 0.4], [0.8, 0.1, 0.7]])


def scaled(a, tolerance=1e-8):
    """Sinkhorn's scaling for masses a against thirds: where the masses do not add up to 1, it goes on for ever."""
    kernel = jnp.exp(-COST / 0.3)
    step = lambda u: a / (kernel @ (1.0 / (3.0 * kernel.T @ u)))  # noqa: E731
    far = lambda s: jnp.max(jnp.abs(s[0] - s[1])) > tolerance  # noqa: E731
    u = lax.while_loop(far, lambda s: (step(s[0]), s[0]), (a, a + 1.0))[0]
    plan = u[:, None] * kernel / (3.0 * kernel.T @ u)
    return jnp.sum(plan * (COST + 0.3 * jnp.log(plan))), 0.3 * jnp.log(u)


def transport(factor, tolerance=1e-8):
    cost = jax.custom_vjp(lambda a: scaled(a, tolerance)[0])
    cost.defvjp(lambda a: scaled(a, tolerance), lambda potential, g: (factor * g * potential,))
    return lambda x: cost(jax.nn.softmax(x))


@pytest.mark.parametrize("factor", [1.0, *more(1.0 + 1e-5, 1.1)])
def test_a_loop_that_has_no_end_beside_the_point_is_ended_there(factor):
    report = check_derivatives(transport(factor), X[:2])
    assert report.verdict == ("agree" if factor == 1.0 else "disagree"), report


@pytest.mark.more
def test_a_rule_without_what_f_leaves_out_is_right_where_a_solver_stops_at_a_loose_tolerance():
    both = jax.custom_vjp(lambda a: scaled(a, 1e-4))
    forwards = lambda a: (scaled(a, 1e-4), scaled(a, 1e-4)[1])  # noqa: E731
    both.defvjp(forwards, lambda potential, g: (g[0] * potential,))  # none of the potentials' own cotangent
    report = check_derivatives(lambda x: both(jax.nn.softmax(x))[0], np.random.default_rng(3).normal(size=2))
    assert report.verdict == "agree", report
    assert Kind.HIDDEN_RULE in report.kinds


def slow_copy(factor, share):
    """a itself, by steps from 2 that each go a share of the way."""

    @jax.custom_jvp
    def copy(a):
        return lax.while_loop(lambda x: jnp.abs(a - x) > 1e-10, lambda x: x + share * (a - x), jnp.full_like(a, 2.0))

    copy.defjvp(lambda primals, tangents: (copy(*primals), factor * tangents[0]))
    return copy


@pytest.mark.parametrize("factor", [1.0, 1.001])
@pytest.mark.parametrize("share", [0.01, *more(0.003, 0.001)])
def test_a_slow_solver_may_start_at_its_solution(share, factor):
    # no step at the point, and beside it thousands
    report = check_derivatives(slow_copy(factor, share), 2.0)
    assert report.verdict == ("agree" if factor == 1.0 else "disagree"), report


def geometric_series(factor):
    """1/(1 - x), by its terms down to 1e-17: for ever, unless x < 1."""
    term = lambda s: (s[0] + s[1], s[1] * s[2], s[2])  # noqa: E731
    total = lambda x: lax.while_loop(lambda s: jnp.abs(s[1]) > 1e-17, term, (0.0, 1.0, x))[0]  # noqa: E731
    series = jax.custom_jvp(total)
    series.defjvp(lambda primals, tangents: (series(*primals), factor * tangents[0] / (1.0 - primals[0]) ** 2))
    return series


def damped_root(factor):
    """√a to 1e-3, by short steps: 35,000 more of them to the last digit."""

    @jax.custom_jvp
    def root(a):
        return lax.while_loop(
            lambda x: jnp.abs(a - x * x) > 1e-3, lambda x: x + 3e-4 * (a - x * x), jnp.full_like(a, 1.0)
        )

    root.defjvp(lambda primals, tangents: (root(*primals), factor * tangents[0] / (2.0 * root(*primals))))
    return root


@pytest.mark.parametrize("factor", more(1.0, 1.1))
def test_a_finer_tolerance_may_take_many_more_steps(factor):
    assert check_derivatives(damped_root(factor), 2.0).verdict == ("agree" if factor == 1.0 else "disagree")


@pytest.mark.parametrize("factor", more(1.0, 1.1))
def test_a_loop_may_have_no_end_at_the_furthest_points_of_the_second_opinion(factor):
    report = check_derivatives(geometric_series(factor), 0.99)
    assert report.verdict == ("agree" if factor == 1.0 else "disagree"), report


def test_a_loop_in_f_itself_that_has_no_end_beside_the_point_is_ended_there():
    report = check_derivatives(lambda a: scaled(a)[0], np.array([0.4, 0.6]), modes=["forward"])
    assert report.verdict == "agree", report


def root(of_derivative):
    """y (y + 2ε) = a by steps, where ε = 1e-7 is part of the equation; a rule by y."""

    @jax.custom_vjp
    def solution(a):
        step = lambda pair: (pair[1], 0.5 * (pair[1] + a / (pair[1] + 1e-7)))  # noqa: E731
        return lax.while_loop(lambda pair: jnp.abs(pair[1] - pair[0]) > 1e-12, step, (a, a + 1.0))[1]

    solution.defvjp(lambda a: (solution(a), solution(a)), lambda y, g: (g * of_derivative(y),))
    return solution


def ridge(share):
    """(A + λ 1) y = b by steps, λ = 1e-4 and a rule that has some share of λ."""
    matrix = np.array([[2.0, 0.5], [0.5, 1.0]])

    @jax.custom_vjp
    def solution(b):
        step = lambda pair: (pair[1], pair[1] - 0.3 * (matrix @ pair[1] + 1e-4 * pair[1] - b))  # noqa: E731
        far = lambda pair: jnp.max(jnp.abs(pair[1] - pair[0])) > 1e-13  # noqa: E731
        return lax.while_loop(far, step, (0.0 * b, b))[1]

    solution.defvjp(
        lambda b: (solution(b), None), lambda _, g: (jnp.linalg.solve(matrix + share * 1e-4 * np.eye(2), g),)
    )
    return solution


def bisected(factor):
    """The root of y³ + y = a by forty halvings of [-10, 10], which jumps by 2e-11; its implicit derivative."""

    @jax.custom_jvp
    def solution(a):
        def halve(_, bounds):
            middle = 0.5 * (bounds[0] + bounds[1])
            is_above = middle**3 + middle > a
            return jnp.where(is_above, bounds[0], middle), jnp.where(is_above, middle, bounds[1])

        return lax.fori_loop(0, 40, halve, (jnp.full_like(a, -10.0), jnp.full_like(a, 10.0)))[0]

    @solution.defjvp
    def slope(primals, tangents):
        y = solution(*primals)
        return y, factor * tangents[0] / (3.0 * y * y + 1.0)

    return solution


@pytest.mark.parametrize("factor", [1.0, 1.0 + 1e-5, 2.0])
def test_the_derivative_of_a_root_is_right_to_the_jumps_of_its_value(factor):
    report = check_derivatives(bisected(factor), np.random.default_rng(2).normal(size=6))
    assert report.verdict == ("agree" if factor == 1.0 else "disagree"), report
    # the slope of its steps is 0, which is not the truth, though all agrees without the rule
    for finding in report.findings:
        assert finding.value / finding.expected == pytest.approx(factor, rel=1e-7)
        assert [fact.data["explains"] for fact in finding.diagnosis if fact.kind == Kind.WRONG_RULE] == [None]


def halved(factor, largest=np.inf, tolerance=1e-6):
    """The same until an interval is narrower than a tolerance; and the residual. Beyond the largest a it raises."""

    def checked(a):
        if a > largest:
            raise ValueError("the root is not contained")
        return a

    @jax.custom_jvp
    def solution(a):
        def halve(bounds):
            middle = 0.5 * (bounds[0] + bounds[1])
            is_above = middle**3 + middle > a
            return jnp.where(is_above, bounds[0], middle), jnp.where(is_above, middle, bounds[1])

        if np.isfinite(largest):
            a = jax.pure_callback(checked, jax.ShapeDtypeStruct(a.shape, a.dtype), a, vmap_method="sequential")
        y = lax.while_loop(lambda bounds: bounds[1] - bounds[0] > tolerance, halve, (0.0 * a, 0.0 * a + 2.0))[0]
        return y, y**3 + y - a

    @solution.defjvp
    def slope(primals, tangents):
        y, residual = solution(*primals)
        moved = factor * tangents[0] / (3.0 * y * y + 1.0)
        return (y, residual), (moved, 0.0 * moved)

    return lambda a: solution(a)[0]


@pytest.mark.parametrize(("factor", "verdict"), [(1.0, "agree"), (1.01, "disagree")])
def test_where_values_go_in_steps_the_slopes_of_a_finer_solver_decide(factor, verdict):
    assert check_derivatives(halved(factor), 1.7).verdict == verdict


@pytest.mark.parametrize("factor", more(1.0, 1.01))
def test_a_finer_solver_that_raises_beyond_its_domain_decides_nothing(factor):
    report = check_derivatives(halved(factor, largest=3.0), 2.999)
    assert (report.verdict, Kind.SOLVER_HIDES_DIGITS in report.kinds) == ("inconclusive", True)


COMPUTED_WITH = {
    "a rule that forgets ε": (root(lambda y: 0.5 / y), 2.7, "disagree"),
    "a rule with ε": (root(lambda y: 0.5 / (y + 5e-8)), 2.7, "agree"),
    "a rule that forgets λ": (ridge(0.0), X[:2], "disagree"),
    "a rule with λ": (ridge(1.0), X[:2], "agree"),
}


@pytest.mark.parametrize("name", [*list(COMPUTED_WITH)[:2], *more(*list(COMPUTED_WITH)[2:])])
def test_small_numbers_that_a_loop_computes_with_are_no_tolerances(name):
    f, x, verdict = COMPUTED_WITH[name]
    assert check_derivatives(f, x).verdict == verdict


def square_root(share, tolerance=1e-6):
    """√a by Newton's steps up to a tolerance, with a rule that is off by a share."""

    @jax.custom_vjp
    def root(a):
        far = lambda y: jnp.abs(y * y - a) > tolerance  # noqa: E731
        return lax.while_loop(far, lambda y: 0.5 * (y + a / y), a + 1.0)

    root.defvjp(lambda a: (root(a), root(a)), lambda y, g: ((1.0 + share) * g / (2.0 * y),))
    return root


def test_a_tolerance_below_an_ulp_explains_what_one_of_an_ulp_does():
    report = check_derivatives(square_root(3.7e-6, tolerance=1e-9), np.float32(4.0))
    assert (report.verdict, Kind.WITHIN_TOLERANCE in report.kinds) == ("inconclusive", True)


def test_what_a_tolerance_explains_is_in_doubt_until_an_accuracy_accepts_it():
    report = check_derivatives(square_root(5e-7), 2.7)
    assert report.verdict == "inconclusive"
    assert Kind.WITHIN_TOLERANCE in report.kinds
    assert check_derivatives(square_root(5e-7), 2.7, accuracy=1e-6).verdict == "agree"
    assert check_derivatives(square_root(1e-4), 2.7).verdict == "disagree"


def test_a_large_tolerance_explains_no_more_than_a_tenth():
    assert check_derivatives(square_root(0.05, 1e-2), 2.7).verdict == "inconclusive"
    assert check_derivatives(square_root(0.2, 1e-2), 2.7).verdict == "disagree"


def sampler(slope):
    """Draws until a proposal lies below its argument, with the implicit derivative of such samples by a slope."""

    @jax.custom_jvp
    def sample(key, a):
        def step(state):
            key, _ = state
            key, once = jax.random.split(key)
            return key, 2.0 * jax.random.uniform(once, dtype=a.dtype)

        return lax.while_loop(lambda state: state[1] > a, step, (key, jnp.full_like(a, 9.0)))[1]

    sample.defjvp(lambda x, t: (sample(*x), slope * sample(*x) / x[1] * t[1]))
    return sample


def test_the_implicit_derivative_of_a_sampler_is_in_doubt_until_it_is_trusted():
    key, f = jax.random.key(1), sampler(1.0)
    report = check_derivatives(f, key, 0.7)
    assert report.verdict == "inconclusive"
    assert Kind.NO_SLOPE in report.kinds
    assert check_derivatives(f, key, 0.7, trust=["sample"]).verdict == "agree"


def bridge(factor, sign=1.0):
    """A number drawn for each halving of [0, 1] down to 1e-6, however large it is, times its argument."""

    @jax.custom_jvp
    def path(key, a):
        def halve(state):
            key, width, total = state
            key, once = jax.random.split(key)
            return key, 0.5 * width, total + width * jax.random.normal(once, dtype=a.dtype) * a**2

        return lax.while_loop(lambda state: state[1] > 1e-6, halve, (key, jnp.ones_like(a), a))[2]

    def slope(x, t):
        y, a = path(*x), x[1]
        return y, factor * (1.0 + sign * 2.0 * (y - a) / a) * t[1]

    path.defjvp(slope)
    return lambda key, a: path(key, a) + jnp.floor(a)  # which jumps, so that not everything is judged by differences


@pytest.mark.parametrize("rule", [(1.0, 1.0), (1.0, 0.0), *more((1.001, 1.0), (1.01, 1.0), (1.0, -1.0))])
def test_a_loop_that_draws_and_refuses_nothing_shows_its_derivative(rule):
    report = check_derivatives(bridge(*rule), jax.random.key(1), 0.7)
    assert report.verdict == ("agree" if rule == (1.0, 1.0) else "disagree"), report


@pytest.mark.parametrize(("share", "verdict"), [(5e-7, "inconclusive"), (0.0, "disagree")])
def test_a_rule_is_not_accused_alone_of_what_a_solver_may_leave(monkeypatch, share, verdict):
    """A rule that is wrong in use is wrong, unless the whole agrees only to the tolerance of a solver."""
    hidden = [(Culprit("root", "rules.py:3", 1e-3), True)]
    monkeypatch.setattr(culprits, "find_hidden_culprits", lambda *_: hidden)
    report = check_derivatives(square_root(share), 2.7)
    assert (report.verdict, Kind.HIDDEN_RULE in report.kinds) == (verdict, True)
