"""The study of libraries that are built on JAX: right functions of theirs, and rules of one's own planted in them.

A library that is not installed is left out.
"""

from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from harness.progress import Progress, silent
from harness.study.checkers import HARNESS
from harness.study.libraries import Host
from harness.study.rule_bugs import wrong_rules
from harness.study.rule_study import NATIVE, TracedCall, ask_harness, ask_jax
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
    "a term forgotten",
    "a factor 1.001",
    "wrong sign on one branch",
    "one entry twice",
    "an epsilon on one side",
    "nothing comes back",
)
"""The bugs of its rule."""


def library_cases(step: int = 1) -> tuple[list[Case], dict[str, str]]:
    """Every `step`-th right function and planted rule of each library; and the libraries that are not installed."""
    cases, left_out = [], {}
    for library, module in MODULES.items():
        try:
            found = import_module(f"harness.study.libraries.{module}")
        except ImportError as error:
            left_out[library] = f"cannot be imported ({error}); install it with {INSTALL}"
            continue
        right = [
            Case(
                f"{library}: {name}", RIGHT, TracedCall(*call, modes=("rev",)), group=library
            )  # some have no forward mode
            for name, call in found.FUNCTIONS.items()
        ]
        cases += [*right[::step], *list(planted_cases(library, found.HOSTS))[::step]]
    return cases, left_out


def planted_cases(library: str, hosts: Mapping[str, tuple[Host, tuple]]) -> Iterator[Case]:
    """A right rule and wrong ones at each place that takes a function."""
    wrong = wrong_rules(SQUASH)
    rules = {"": SQUASH.rule} | {bug: wrong[bug] for bug in PLANTED}
    for place, (host, arguments) in hosts.items():
        for bug, rule in rules.items():
            call = TracedCall(host(SQUASH.with_rule(rule)), arguments, SQUASH, rule, ("rev",))
            name = f"{library}: a rule {place}" + (f": {bug}" if bug else "")
            yield Case(name, WRONG if bug else RIGHT, call, bug, library)


def run_study(progress: Progress = silent, *, step: int = 1, store: Path | None = None) -> Study:
    """Show both checkers every `step`-th case, in CPU seconds; with a store, what it holds is not done again."""
    cases, left_out = library_cases(step)
    if not cases:
        raise ValueError(f"none of these libraries is installed: {', '.join(left_out)}; {INSTALL}")
    checkers = {HARNESS: ask_harness, NATIVE: ask_jax}
    parts = {"functions of libraries": cases}
    return conduct(SCHEMA, parts, checkers, progress, store=store, left_out=left_out)
