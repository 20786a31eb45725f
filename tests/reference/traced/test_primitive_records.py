"""Each primitive's record: values, increments, bounds, random rounding and decisions, over its domain and its ends."""

import sys
from functools import cache
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from primitive_cases import ALIASES, CASES, ELEMENTWISE, VARIANTS, names_in  # pyright: ignore[reportMissingImports]

from reference.arithmetics.increments import STEP, Increment, constant, is_constant
from reference.jax_settings import compiler_options, settings
from reference.traced.bounded_run import BoundedRun, parts, with_error
from reference.traced.decisions import decided
from reference.traced.equations import is_floating, kind, lifted, unit_roundoff
from reference.traced.interpreter import Run
from reference.traced.primitives import PRIMITIVES
from reference.traced.traced_function import Traced

sys.path.insert(0, str(Path(__file__).parents[2] / "checks" / "traced"))
from functions_of_jax import ALL  # pyright: ignore[reportMissingImports]

BOUNDED = [name for name in CASES if PRIMITIVES[name].bound]
EVERY = CASES | {name: ALL[name] for name in VARIANTS if name in ALL}
WITHOUT_RULE = {"custom_vjp_call": lambda x: x * x}
"""What JAX differentiates in the place of functions that have no forward mode."""


def in_groups(prepare, names, count=3):
    """What `prepare` finds, by name. It takes many cases at once, so that JAX compiles a few programs, not hundreds."""
    return {name: x for i in range(count) for name, x in zip(names[i::count], prepare(names[i::count]), strict=True)}


def typed(xs, dtype):
    return [np.asarray(x, dtype) if np.asarray(x).dtype == float else np.asarray(x) for x in xs]


def moving(args):
    return [i for i, x in enumerate(args) if x.dtype.kind in "fc"]


@cache
def jax_answers(dtype):
    """JAX's values of every case, and the derivatives along one direction, in float64 or float32."""

    def prepare(names):
        functions = [WITHOUT_RULE.get(name, EVERY[name][0]) for name in names]
        arguments = [typed(EVERY[name][1:], dtype) for name in names]

        def everything(arguments):
            return [pushed(f, xs) for f, xs in zip(functions, arguments)]

        found = jax.jit(everything, compiler_options=compiler_options())(arguments)
        return jax.tree.map(np.asarray, found)

    with settings(dtype is np.float64):
        return in_groups(prepare, list(EVERY) if dtype is np.float64 else BOUNDED)


def pushed(f, xs):
    """Values, and what moves along a direction where something does."""
    at = moving(xs)

    def of_moving(*changing):
        return jax.tree.leaves(f(*[dict(zip(at, changing)).get(i, x) for i, x in enumerate(xs)]))

    primals = [xs[i] for i in at]
    return jax.jvp(of_moving, primals, [jnp.asarray(direction(x)) for x in primals]) if at else (of_moving(), None)


def direction(x):
    """Some direction of an argument, of no two equal entries."""
    along = (1.0 + 0.3 * np.sin(np.arange(x.size) + 1.0)).reshape(x.shape)
    return (along * (1 + 2j) if x.dtype.kind == "c" else along).astype(x.dtype)


@cache
def traced(name, dtype=np.float64):
    """The program of a case and its arguments, those that move with their steps."""
    f, *xs = EVERY[name]
    xs = typed(xs, dtype)
    with settings(dtype is np.float64):
        return Traced(lambda *x: jax.tree.leaves(f(*x)), *xs).program, xs


def increments(xs, lift=lifted):
    return [
        Increment(lift(x), lift(direction(x))[None] * STEP) if x.dtype.kind in "fc" else constant(lifted(x)) for x in xs
    ]


def off(found, expected):
    """The largest difference, beside the largest entry."""
    found, expected = np.asarray(found), np.asarray(expected)
    same = (np.isnan(found) & np.isnan(expected)) | (found == expected)
    return np.where(same, 0.0, np.abs(found - expected)).max(initial=0.0) / (np.abs(expected).max(initial=0.0) or 1.0)


# -- values and increments --------------------------------------------------------------------------------------------


def test_every_rule_has_a_case():
    met = set().union(*(names_in(traced(name)[0]) for name in CASES))
    of_releases = {"call_hi_primitive", "eval_jaxpr", "expand_dims", "one_minus_square", "stack", "tile", "unstack"}
    others = {"empty"} | (of_releases - met)
    aliases = {alias for alias, name in ALIASES.items() if PRIMITIVES[alias].rule is PRIMITIVES[name].rule}
    assert {name for name, p in PRIMITIVES.items() if p.rule} - met - aliases - others == set()


@pytest.mark.parametrize("name", EVERY)
@np.errstate(all="ignore")
def test_values_are_jaxs_and_increments_the_derivatives(name):
    program, xs = traced(name)
    with settings(True):
        values, slopes = jax_answers(np.float64)[name]
        run = Run()
        found = run(program, *increments(xs))
    assert not run.observed.unresolved
    assert not run.observed.differenced
    for i, y in enumerate(found):
        if kind(program.dtypes[i]) in ("f", "c"):
            change = np.zeros_like(y.value) if is_constant(y) else y.change[0] / STEP
            least = max(2e-11, 4.0 * unit_roundoff(program.dtypes[i]))
            assert off(y.value, values[i]) < least
            assert off(change, slopes[i]) < least
        else:
            np.testing.assert_array_equal(y.value, values[i])


ENDS = np.array([0.0, -0.0, 1.0, -1.0, 0.5, 1e-30, 1e30, -1e30, np.inf, -np.inf, np.nan])
OF_ONE = [name for name, (_, *xs) in ELEMENTWISE.items() if len(xs) == 1 and xs[0].dtype == float]


@pytest.mark.parametrize("name", [name for name in OF_ONE if PRIMITIVES[name].bound and name != "convert_element_type"])
@np.errstate(all="ignore")
def test_at_its_ends_a_function_has_jaxs_values(name):
    with settings(True):
        program = Traced(CASES[name][0], ENDS).program
        (y,) = Run()(program, Increment(ENDS, STEP * np.ones((1, ENDS.size))))
        expected = np.asarray(jax.jit(CASES[name][0])(ENDS))
    np.testing.assert_allclose(y.value.astype(float), expected.astype(float), rtol=1e-9, atol=1e-300)


# -- bounds -----------------------------------------------------------------------------------------------------------

ROUNDED = [name for name in BOUNDED if PRIMITIVES[name].rounding]
LOOSE = dict.fromkeys(
    ("cbrt", "logistic", "reduce_prod", "cumprod", "sqrt", "tan", "log1p", "integer_pow", "exp2"), 0.01
) | {"atanh": 0.002}
"""The share of a bound that JAX's errors reach, where it allows for the far larger ones of other implementations."""

WIDE = 1e-4
"""Errors of the arguments, beside each: large, so that second derivatives show."""

OWN_ROUNDING = 1.0 + 1e-9
"""Bounds are computed in floating point themselves, and so are the arguments at their very ends."""


def floats(increments):
    """Those that hold real numbers."""
    return [(i, y) for i, y in enumerate(increments) if np.asarray(y.value).dtype.kind == "f"]


@pytest.mark.parametrize("name", BOUNDED)
@np.errstate(all="ignore")
def test_a_bound_holds_in_float32_and_is_no_wider_than_it_must_be(name):
    program, xs = traced(name, np.float32)
    given = [constant(lifted(x)) for x in xs]
    with settings(False):
        values = jax_answers(np.float32)[name][0]
        exact, bounds = Run()(program, *given), BoundedRun(coarsest=1.0)(program, *given)
        rounded = [Run(np.random.default_rng(k), coarsest=1.0)(program, *given) for k in range(3)]
    for i, y in floats(exact):
        error = parts(bounds[i]).error
        assert np.all((np.abs(values[i].astype(float) - y.value) <= error) | (values[i] == y.value))
        # random rounding moves the results as far as the bound allows, and hardly further
        moved = np.max([np.abs(run[i].value - y.value) for run in rounded], axis=0)
        assert np.all(moved <= (9.0 if name == "log1p" else 4.0) * error)  # as below 0 everywhere
        if name in ROUNDED:
            assert np.any(np.abs(values[i].astype(float) - y.value) > LOOSE.get(name, 0.1) * error)
            assert np.any(moved > 0.0)
        elif not any(PRIMITIVES[each].rounding for each in names_in(program)):
            np.testing.assert_array_equal(values[i], y.value)


@pytest.mark.parametrize("name", BOUNDED)
@np.errstate(all="ignore")
def test_what_the_errors_of_arguments_allow_stays_within_the_bound(name):
    program, xs = traced(name)
    errors = [WIDE * np.abs(x) if is_floating(x) else 0.0 for x in xs]
    given = [with_error(x, e) if is_floating(x) else constant(x) for x, e in zip(xs, errors)]
    found = list(map(parts, BoundedRun()(program, *given)))
    rng = np.random.default_rng(5)
    reached = []
    for draw in (lambda x: 1.0, lambda x: -1.0, lambda x: rng.choice([-1.0, 1.0], x.shape), lambda x: np.sign(x)):
        exact = [constant(x + e * draw(x)) if is_floating(x) else constant(x) for x, e in zip(xs, errors)]
        for i, y in floats(Run()(program, *exact)):
            off = np.abs(y.value - found[i].value)
            assert np.all(off <= OWN_ROUNDING * found[i].error)
            reached.append(np.any(off > 0.1 * found[i].error) or not np.any(found[i].error))
    assert any(reached) or not reached


# -- decisions --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in CASES if PRIMITIVES[name].choice])
@np.errstate(all="ignore")
def test_other_numbers_decide_otherwise(name):
    program, xs = traced(name)
    equation = next(eq for eq in program.equations if eq.name == name)
    x, *others = [np.broadcast_to(x, xs[0].shape) for x in xs]
    if name == "clamp":
        numbers, moved = ([np.full_like(x, -0.5), y, np.full_like(x, 0.5)] for y in (x, -2.5 * x))
    else:
        numbers, moved = [x, *others], [-2.5 * x, *others]
    here = decided(equation, numbers)
    np.testing.assert_array_equal(decided(equation, numbers), here)
    assert np.any(decided(equation, moved) != here)
