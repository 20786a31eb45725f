"""The study of libraries that are built on JAX: right functions of theirs, and rules of one's own planted in them.

A library that is not installed is left out.
"""

from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from harness.progress import Progress, silent
from harness.sources.process_state import KeptSettings
from harness.study.checkers import HARNESS
from harness.study.libraries import Host
from harness.study.rule_bugs import wrong_rules
from harness.study.rule_study import NATIVE, TracedCall, differs, gradient_of, harness_response, jax_response
from harness.study.traced_functions import RuleFunction, named
from harness.study.trials import RIGHT, WRONG, Case, Study, conduct

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

QUICK = {"step": 20}

SQUASH = RuleFunction(
    named(lambda x: x * jnp.tanh(x), "squash"),
    named(lambda s, g: (g * (jnp.tanh(s.x) + s.x / jnp.cosh(s.x) ** 2),), "squash_rule"),
    (np.array([0.3, -1.2]),),
    {"a term forgotten": named(lambda s, g: (g * jnp.tanh(s.x),), "squash_of_one_term")},
    "vjp",
)
"""The function whose rule is planted."""

PLANTED = (
    "a term forgotten", "a factor 1.001", "wrong sign on one branch", "one entry twice", "an epsilon on one side",
    "nothing comes back",
)  # fmt: skip
"""The bugs of its rule."""


def library_cases(step: int = 1) -> tuple[list[Case], dict[str, str]]:
    """Every `step`-th right function and planted rule of each library; and the libraries that are not installed."""
    cases, left_out = [], {}
    for library, module in MODULES.items():
        try:
            with KeptSettings():  # celerite2 sets JAX to 64 bits when it is imported
                found = import_module(f"harness.study.libraries.{module}")
        except ImportError as error:
            left_out[library] = f"cannot be imported ({error}); install it with {INSTALL}"
            continue
        given = {name: f if isinstance(f, tuple) else (f, found.ARGUMENTS) for name, f in found.FUNCTIONS.items()}
        calls = ((name, TracedCall(*call, modes=("rev",))) for name, call in given.items())  # some have no forward mode
        right = [Case(f"{library}: {name}", RIGHT, call, group=library) for name, call in calls]
        cases += [*right[::step], *list(planted_cases(library, found.HOSTS))[::step]]
    return cases, left_out


def planted_cases(library: str, hosts: Mapping[str, tuple[Host, tuple]]) -> Iterator[Case]:
    """A right rule at each place that takes a function, and the wrong ones that change the gradient there."""
    wrong = wrong_rules(SQUASH)
    for place, (host, arguments) in hosts.items():
        name, function = f"{library}: a rule {place}", host(SQUASH.with_rule(SQUASH.rule))
        right = TracedCall(function, arguments, SQUASH, SQUASH.rule, ("rev",))
        yield Case(name, RIGHT, right, group=library)
        gradient = gradient_of(right)
        for bug in PLANTED:
            call = right._replace(function=host(SQUASH.with_rule(wrong[bug])), rule=wrong[bug])
            if differs(gradient_of(call), gradient):
                yield Case(f"{name}: {bug}", WRONG, call, bug, library)


def run_study(progress: Progress = silent, *, step: int = 1, store: Path | None = None) -> Study:
    """Show both checkers every `step`-th case, in CPU seconds; with a store, what it holds is not done again."""
    cases, left_out = library_cases(step)
    if not cases:
        raise ValueError(f"none of these libraries is installed: {', '.join(left_out)}; {INSTALL}")
    checkers = {HARNESS: harness_response, NATIVE: jax_response}
    parts = {"functions of libraries": cases}
    return conduct(SCHEMA, parts, checkers, progress, store=store, left_out=left_out)
