"""The study of libraries that are built on JAX: right functions of theirs, and rules of one's own planted in them.

A library that is not installed is left out.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from harness.checks.traced.derivative_check import check_derivatives
from harness.progress import Progress, silent
from harness.study.checkers import ALARM, HARNESS, PASS, VERDICTS
from harness.study.libraries import Host
from harness.study.traced_functions import Function, named
from harness.study.trials import RIGHT, WRONG, Case, Response, Study, resumed_trials
from reference.jax_settings import settings

NATIVE = "JAX check_grads"

MODULES: Mapping[str, str] = {
    "Diffrax": "diffrax_functions",
    "jaxopt": "jaxopt_functions",
    "Lineax": "lineax_functions",
    "Equinox, Flax, Haiku": "module_functions",
    "Optimistix": "optimistix_functions",
    "OTT": "ott_functions",
    "NumPyro and others": "probability_functions",
}
"""Libraries, and the modules of their functions; the others are blackjax, celerite2, distrax and flowjax."""

SCHEMA = "harness.study.libraries/1"

INSTALL = "pip install 'autodiff-cross-check[libraries]'"

QUICK_STEP = 20

RULE = "squash"
"""The function whose rule is planted."""


# -- cases -------------------------------------------------------------------------------------------------------------


def _slope(x: Any) -> Any:
    return jnp.tanh(x) + x / jnp.cosh(x) ** 2


WRONG_SLOPES: Mapping[str, Function] = {
    "a factor 1.001": lambda x, g: 1.001 * g * _slope(x),
    "a term forgotten": lambda x, g: g * jnp.tanh(x),
    "wrong sign on one branch": lambda x, g: jnp.where(x > 0.0, g, -g) * _slope(x),
    "one entry twice": lambda x, g: (g * _slope(x)).ravel().at[0].multiply(2.0).reshape(x.shape),
    "an epsilon on one side": lambda x, g: g * _slope(x + 1e-5),
    "nothing comes back": lambda x, g: 0.0 * g,
}
"""Wrong derivatives of x tanh x, entry by entry."""


def _with_rule(slope: Function) -> Function:
    squash = jax.custom_vjp(named(lambda x: x * jnp.tanh(x), RULE))
    squash.defvjp(lambda x: (x * jnp.tanh(x), x), lambda x, g: (slope(x, g),))
    return squash


def library_cases(step: int = 1) -> tuple[list[Case], dict[str, str]]:
    """Every `step`-th right function and planted rule of each library; and the libraries that are not installed."""
    cases, left_out = [], {}
    for library, module in MODULES.items():
        try:
            found = import_module(f"harness.study.libraries.{module}")
        except ImportError as error:
            left_out[library] = f"cannot be imported ({error}); install it with {INSTALL}"
            continue
        right = [Case(f"{library}: {name}", RIGHT, call, group=library) for name, call in found.FUNCTIONS.items()]
        cases += [*right[::step], *list(_planted(library, found.HOSTS))[::step]]
    return cases, left_out


def _planted(library: str, hosts: Mapping[str, tuple[Host, tuple]]) -> Iterator[Case]:
    """A right rule and wrong ones at each place that takes a function."""
    for place, (host, arguments) in hosts.items():
        name = f"{library}: a rule {place}"
        yield Case(name, RIGHT, (host(_with_rule(lambda x, g: g * _slope(x))), arguments), group=library)
        for bug, slope in WRONG_SLOPES.items():
            yield Case(f"{name}: {bug}", WRONG, (host(_with_rule(slope)), arguments), bug, library)


# -- the run -----------------------------------------------------------------------------------------------------------


def run_library_study(progress: Progress = silent, *, step: int = 1, store: Path | None = None) -> Study:
    """Show both checkers every `step`-th case, in CPU seconds; with a store, what it holds is not done again."""
    started = time.perf_counter()
    cases, left_out = library_cases(step)
    checkers = {HARNESS: partial(_judged, _by_harness), NATIVE: partial(_judged, _natively)}
    trials = resumed_trials(store, SCHEMA, cases, checkers, progress, "functions of libraries", time.process_time)
    return Study(SCHEMA, tuple(trials), left_out, time.perf_counter() - started)


def _judged(check: Callable[[Case], Response], case: Case) -> Response:
    """What a checker answers; an exception is an alarm about code with a bug, and an outcome of its own otherwise."""
    try:
        return check(case)
    except Exception as error:  # noqa: BLE001  a library raises errors of its own classes
        return Response(ALARM if case.bug else f"raised {type(error).__name__}")


def _by_harness(case: Case) -> Response:
    function, arguments = case.subject
    report = check_derivatives(function, *arguments)
    culprits = report.details.get("culprits", [])
    is_named = any(culprit["name"] == RULE for culprit in culprits)
    return Response(VERDICTS[report.verdict], ("yes" if is_named else "no") if case.bug else "")


def _natively(case: Case) -> Response:
    from jax.test_util import check_grads

    function, arguments = case.subject
    with settings(x64=True):
        try:
            check_grads(function, arguments, order=1, modes=("rev",))
        except AssertionError:
            return Response(ALARM)
    return Response(PASS)
