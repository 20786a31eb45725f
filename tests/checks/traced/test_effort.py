"""No more work than the verdict needs, and no more memory than a few arrays as large as the arguments."""

import gc
import os
import subprocess
import sys
from contextlib import contextmanager

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from functions_of_jax import facts, more
from jax.experimental.ode import odeint
from own_rules import with_jvp, with_vjp

from harness import check_derivatives
from harness.checks.traced import culprits, derivative_check, lone_equations, reported_derivatives
from harness.checks.traced.derivative_case import trace_case
from harness.checks.traced.derivative_comparison import compare_derivatives
from harness.checks.traced.function_values import find_changes_between_calls
from harness.checks.traced.jax_modes import Mode
from harness.checks.traced.program_at_point import ProgramAtPoint
from harness.facts.kinds import Kind
from reference.jax_settings import compiler_options, known_options, settings
from reference.traced import program_replay
from reference.traced.equations import Equation, bind
from reference.traced.traced_function import UNFUSED, Traced, options_for

DEEP = os.environ.get("HARNESS_PROFILE") == "deep"
rng = np.random.default_rng(0)
W, X = rng.normal(size=(4, 3)), rng.normal(size=(6, 4))


def network(w):
    return jnp.mean(jnp.tanh(X @ w) ** 2)


def recurrent(w):
    return jnp.sum(jax.lax.scan(lambda h, x: (jnp.tanh(h + x @ w), None), jnp.zeros(3), jnp.tile(X, (5, 1)))[0])


def with_rule(share):
    return with_vjp("f", lambda w: 1.0 * w, lambda _, g: (share * g,), lambda w: (1.0 * w, None))


RIGHT = {"a network": network, "a recurrence": recurrent, "a rule": lambda w: network(with_rule(1.0)(w))}


@pytest.fixture
def bounds_of_modes(monkeypatch):
    """The modes whose own error bounds were computed, and how: derived, by a run that rounds, or by one in float64."""
    asked = []
    bound, by_run = Mode.bound, Mode.by_run

    def recorded(mode, *given):
        asked.append((mode.name, "bound"))
        return bound(mode, *given)

    def run_recorded(mode, *given, is_wide=False):
        asked.append((mode.name, "in float64" if is_wide else "rounded"))
        return by_run(mode, *given, is_wide=is_wide)

    monkeypatch.setattr(Mode, "bound", recorded)
    monkeypatch.setattr(Mode, "by_run", run_recorded)
    return asked


@pytest.mark.parametrize("name", RIGHT)
def test_numbers_within_the_bound_of_the_increments_need_no_bound_of_their_own(name, bounds_of_modes):
    report = check_derivatives(RIGHT[name], W)
    assert report.verdict == "agree"
    assert not bounds_of_modes
    assert "borrowed" in [kind for fact in facts(report, Kind.ERROR_BOUNDS) for kind in fact.data["bounds"]]


root = with_jvp(
    "root",
    lambda a: jax.lax.while_loop(lambda y: jnp.max(jnp.abs(y * y - a)) > 1e-12, lambda y: 0.5 * (y + a / y), a + 1.0),
    lambda a, t: (root(*a), t[0] / (2.0 * root(*a))),
)


def test_of_a_solver_modes_that_agree_need_no_bound_of_their_own_unless_they_seem_not_linear(
    bounds_of_modes, monkeypatch
):
    assert check_derivatives(root, np.array([2.7, 1.3])).verdict == "agree"
    assert not bounds_of_modes
    monkeypatch.setattr(reported_derivatives, "_is_linear", lambda *_: False)
    assert check_derivatives(root, np.array([2.7, 1.3])).verdict == "agree"
    assert {("reverse", "bound"), ("forward", "bound")} <= set(bounds_of_modes)


def test_the_values_of_a_solver_are_rounded_at_random_several_times_in_one_run(monkeypatch):
    value_by, runs = ProgramAtPoint._value_by, []
    monkeypatch.setattr(ProgramAtPoint, "_value_by", lambda p, run, *at: runs.append(run) or value_by(p, run, *at))
    assert check_derivatives(root, np.array([2.7, 1.3])).verdict == "agree"
    assert runs
    assert not any(run.rounding for run in runs)


@pytest.mark.parametrize(("dtype", "needs"), [("float64", False), ("float32", False), ("bfloat16", True)])
def test_a_rule_is_evaluated_in_float64_where_that_decides_more(dtype, needs, bounds_of_modes):
    """In 16-bit types, and where roundings are amplified."""
    assert check_derivatives(lambda w: network(with_rule(1.0)(w)).astype(dtype), W.astype(dtype)).verdict == "agree"
    for how in ("bound", "rounded", "in float64"):
        assert (how in {asked for _, asked in bounds_of_modes}) == needs


def test_in_float32_the_first_random_rounding_that_covers_what_is_seen_is_the_last(bounds_of_modes):
    waves = lambda w: jnp.sum(jnp.cos(1e4 * w))  # noqa: E731
    assert check_derivatives(waves, W.astype(np.float32)).verdict == "agree"
    assert bounds_of_modes.count(("reverse", "rounded")) == 2  # without random roundings, and with


def test_of_many_inputs_in_float32_a_rounding_of_the_arguments_may_explain_all(bounds_of_modes):
    x = np.linspace(-1.0, 1.0, 1200, dtype=np.float32)
    report = check_derivatives(lambda x: jnp.sum(jnp.cos(20.0 * x)), x, modes=("reverse",))
    assert (report.verdict, report.decided_share, bounds_of_modes) == ("agree", 1.0, [])


def test_entries_of_many_that_seem_exact_by_chance_have_the_bound_of_the_others(bounds_of_modes):
    x = np.linspace(-1.0, 1.0, 20_000, dtype=np.float32)
    assert check_derivatives(lambda x: jnp.sum(jnp.cos(1e3 * x)), x, modes=("reverse",)).verdict == "agree"
    assert ("reverse", "rounded") not in bounds_of_modes


def test_numbers_beyond_the_bound_of_the_increments_have_a_bound_of_their_own(bounds_of_modes):
    report = check_derivatives(lambda w: network(with_rule(1.0 + 1e-9)(w)), W)
    assert report.verdict == "disagree"
    assert ("reverse", "bound") in bounds_of_modes
    assert not any("borrowed" in fact.data["bounds"] for fact in facts(report, Kind.ERROR_BOUNDS))


def test_a_function_is_traced_a_few_times_whatever_the_number_of_inputs_and_modes_that_are_lacking():
    calls = []

    def f(w):
        calls.append(0)
        return network(with_rule(1.0)(w))

    assert check_derivatives(f, W).left_out.keys() == {"forward"}
    assert len(calls) <= 10  # one of them for each of the 12 inputs would be more


@contextmanager
def compilations():
    """The programs that XLA compiles meanwhile."""
    compiled = []

    def listen(event: str, duration_secs: float, **_: object):
        compiled.extend([event] if "backend_compile" in event else [])

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        yield compiled
    finally:
        jax.monitoring.clear_event_listeners()


def test_nothing_is_compiled_but_the_function_and_its_modes():
    check = lambda w: jnp.sum(jax.nn.softmax(jnp.tanh(X @ w))[:, 1] * jnp.log1p(w[0] ** 2)[0])  # noqa: E731
    check_derivatives(check, W)  # what is compiled once for a whole process
    with compilations() as compiled:
        assert check_derivatives(lambda w: check(w + 1e-3), W[:, :2]).verdict == "agree"
    assert len(compiled) == 3  # f, reverse and forward mode


def test_to_find_out_whether_it_is_repeatable_what_is_jitted_is_not_compiled_again():
    def raises(x):
        return jax.pure_callback(lambda x: x, jax.ShapeDtypeStruct((), float), x)

    guarded = jax.jit(lambda x: jax.lax.cond(x > 1e3, raises, lambda x: x, jnp.sum(_decay(x * jnp.eye(2)))))
    with settings(x64=True):
        case = trace_case(lambda x: [guarded(x)], [np.float64(2.7)], ["x"], lambda: ["f"])
        comparison = compare_derivatives(case, ["reverse"])
        with compilations() as compiled:
            assert find_changes_between_calls(comparison) == []
    assert not compiled


@pytest.mark.more
def test_what_is_taken_as_it_is_is_compiled_once_for_values_and_once_for_changes(monkeypatch):
    """A sampler's loops are another program each time that JAX runs them eagerly."""
    traced = []
    note = lambda equation, values: traced.append(equation) or bind(equation, values)  # noqa: E731
    monkeypatch.setattr(program_replay, "bind", note)
    assert check_derivatives(lambda a: jax.random.gamma(jax.random.key(0), a), np.array([0.7, 2.0])).verdict == "agree"
    samplers = [equation for equation in traced if equation.name == "random_gamma"]
    assert len(samplers) <= 3 * len(set(samplers))  # for changes twice: what comes out is asked for beside them


@pytest.mark.parametrize(
    ("f", "checks"),
    [
        (with_rule(1.0), 1),
        (jax.jit(jax.jit(with_rule(1.0))), 1),
        (lambda w: with_rule(1.0)(w) + 1.0, 2),
        (lambda w: with_rule(1.0)(2.0 * w), 2),
        (lambda w: (with_rule(1.0)(w), w), 2),
    ],
    ids=["alone", "within calls", "and after it", "and before it", "and beside it"],
)
def test_a_rule_that_is_all_of_the_function_is_checked_once(f, checks, monkeypatch):
    one, asked = derivative_check.compare_derivatives, []
    for module in (derivative_check, culprits, lone_equations):
        monkeypatch.setattr(module, "compare_derivatives", lambda case, *given: asked.append(case) or one(case, *given))
    assert check_derivatives(f, W).verdict == "agree"
    assert len(asked) == checks


# -- many parameters --------------------------------------------------------------------------------------------------


MEMORY = """
import resource, sys
import jax.numpy as jnp, numpy as np
from harness import check_derivatives
size = int(sys.argv[1])
table, rows = np.linspace(-1.0, 1.0, size, dtype=np.float32).reshape(-1, 50), np.arange(0, size // 50, size // 640)
def loss(table):
    return jnp.mean(jnp.tanh(table[rows]) ** 2)
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
check_derivatives(lambda x: jnp.sum(x * x), np.ones(3, np.float32))
before = peak()
assert check_derivatives(loss, table).verdict == "agree"
print((peak() - before) / 1024)
"""


@pytest.mark.more
@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is counted in kilobytes on Linux alone")
@pytest.mark.parametrize("size", [5_000_000] if DEEP else [500_000])
def test_memory_beside_the_arguments_is_a_few_arrays_of_their_size(size):
    run = subprocess.run([sys.executable, "-c", MEMORY, str(size)], capture_output=True, text=True, check=True)
    assert float(run.stdout) < min(1000, 250 + 160 * size / 1e6), run.stdout  # a pass, and twenty arrays in float64


def _decay(rates):
    return odeint(lambda y, t, rates: -rates @ y, jnp.ones(2), jnp.linspace(0.0, 1.0, 3), rates)[-1]


FORGOTTEN = {
    "a factorisation": lambda x: jnp.linalg.slogdet(x @ x.T + jnp.eye(2))[1],
    "a sampler": lambda x: jnp.sum(jax.random.gamma(jax.random.key(0), jnp.exp(x))),
    "a solver": _decay,
}


@pytest.mark.parametrize("name", ["a factorisation", *more("a sampler", "a solver")])
def test_nothing_of_a_program_is_left_once_it_is_checked(name):
    def alive():
        gc.collect()
        return sum(type(thing) is Equation for thing in gc.get_objects())

    before = alive()
    check_derivatives(FORGOTTEN[name], np.array([[0.5, 0.2], [0.1, 0.7]]))
    assert alive() <= before


def _step(y):  # which uses y four times
    return y + 0.1 * jnp.sin(y) * y[::-1] * (1.0 - y)


def _steps(y, count=70):
    for _ in range(count):
        y = _step(y)
    return jnp.sum(y)


@pytest.mark.parametrize(
    "long",
    [
        _steps,
        jax.jit(_steps),
        jax.checkpoint(_steps),
        lambda y: jax.lax.scan(lambda c, x: (c + _steps(x), None), 0.0, jnp.stack([y, y]))[0],
    ],
    ids=["plain", "jit", "checkpoint", "scan"],
)
def test_a_long_formula_is_compiled_without_fusing_it_wherever_it_stands(long):
    assert options_for(jax.make_jaxpr(long)(W[0])) == compiler_options() | known_options(UNFUSED)
    with jax.disable_jit():
        expected = float(long(W[0]))
    assert float(Traced(long, W[0])(W[0])) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    "short",
    [
        lambda y: jnp.sum(jnp.sin(y) * y),
        jax.jit(lambda y: jnp.sum(_step(y))),
        lambda y: _steps(y, 40),
        lambda y: jax.lax.fori_loop(0, 40, lambda _, y: _step(y), y),  # a step at a time
    ],
)
def test_other_programs_are_compiled_as_a_whole(short):
    assert options_for(jax.make_jaxpr(short)(W[0])) == compiler_options()
