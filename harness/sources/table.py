"""The gradient sources by name. Each answers (problem, theta) -> (cost, gradient); oracles measure their error.

What is slow to import is imported by the source that needs it.
"""

from collections.abc import Iterable, Mapping
from typing import Any, cast

import numpy as np

from harness.importing import import_attribute
from harness.sources import loop, vectorized
from reference.measured import GradientSource, Measured, Oracle
from reference.oracles import finite_difference
from reference.problem import Problem


def _through_jax(mode: str, problem: Problem, theta: np.ndarray) -> tuple[float, np.ndarray]:
    """Small networks share one compiled program."""
    from reference.oracles import jax_gradient, jax_padded

    module = jax_padded if jax_padded.fits(problem) else jax_gradient
    return getattr(module, mode)(problem, theta)


def _jax(problem: Problem, theta: np.ndarray) -> tuple[float, np.ndarray]:
    """Reverse mode."""
    return _through_jax("reverse", problem, theta)


def _jax_forward(problem: Problem, theta: np.ndarray) -> tuple[float, np.ndarray]:
    """Forward mode, one tangent for each parameter."""
    return _through_jax("forward", problem, theta)


def _jax_float32(problem: Problem, theta: np.ndarray) -> tuple[float, np.ndarray]:
    """Reverse mode in float32."""
    from reference.oracles import jax_gradient

    return jax_gradient.reverse_float32(problem, theta)


def _complex_step(problem: Problem, theta: np.ndarray) -> Measured:
    """One complex cost for each parameter, of formulas that are analytic."""
    from reference.oracles import complex_step

    return complex_step.measure(problem, theta)


def _ball(problem: Problem, theta: np.ndarray) -> Measured:
    """Certified enclosures."""
    from reference.oracles import ball_arithmetic

    return ball_arithmetic.measure(problem, theta)


SOURCES: dict[str, GradientSource] = {
    "loop": loop.cost_and_gradient,
    "vectorized": vectorized.cost_and_gradient,
    "jax": _jax,
    "jax-forward": _jax_forward,
    "finite-difference": Oracle(finite_difference.gradient),
    "complex-step": Oracle(_complex_step),
    "ball": Oracle(_ball),
}

FLOAT32_SOURCES: dict[str, GradientSource] = {
    "vectorized-float32": lambda problem, theta: vectorized.cost_and_gradient(problem, theta.astype(np.float32)),
    "jax-float32": _jax_float32,
}
"""The fastest two in float32: found by name like the others, and judged with the bound at u = 2⁻²⁴."""

FAMILIES = {
    "loop": "by hand",
    "vectorized": "by hand",
    "jax": "jax",
    "jax-forward": "jax",
    "finite-difference": "differences",
    "complex-step": "complex step",
    "ball": "balls",
    "vectorized-float32": "by hand",
    "jax-float32": "jax",
}
"""Sources that share an author or a mechanism share its mistakes: a family has one vote. Others stand alone."""

SMALL = 1000  # parameters: forward mode costs one tangent for each


def default_sources(problem: Problem) -> dict[str, GradientSource]:
    """What `cross_check` runs when nothing is said: everything that is affordable at the problem's size."""
    names = ["loop", "vectorized", "jax", "finite-difference"]
    if problem.network.size <= SMALL:
        names.insert(3, "jax-forward")
    return {name: SOURCES[name] for name in names}


def find_source(name: str) -> GradientSource:
    """The gradient source that a name stands for.

    Parameters
    ----------
    name : str
        One of `SOURCES` or `FLOAT32_SOURCES`, ``bug:NAME`` for one of the bug zoo, or ``module:function`` for anybody's
        own; modules of the current folder are found, too.

    Raises
    ------
    ValueError, TypeError
        When there is no such source, or it cannot be called.
    """
    known = SOURCES | FLOAT32_SOURCES
    if not isinstance(name, str) or (name not in known and ":" not in name):
        raise ValueError(
            f"unknown source {name!r}; there are {', '.join(known)}, bug:NAME for one of the bug zoo, and "
            "module:function for one of your own"
        )
    if name.startswith("bug:"):
        return _bug(name.removeprefix("bug:"))
    return _callable(name, known[name] if name in known else import_attribute(name))


def _bug(name: str) -> GradientSource:
    from harness.sources.bug_zoo import FAULTS  # which imports this module

    if name not in FAULTS:
        raise ValueError(f"unknown source 'bug:{name}': there is no bug named {name!r}; `harness bugs` lists them")
    return FAULTS[name].source


def _callable(name: object, source: Any) -> GradientSource:
    if not callable(source):
        raise TypeError(f"source {name!r} must be callable as source(problem, theta), not {type(source).__name__}")
    return cast("GradientSource", source)


def named_sources(names: Iterable[str] | Mapping[str, GradientSource]) -> dict[str, GradientSource]:
    """A mapping from name to source; names are those that `find_source` takes.

    Raises
    ------
    ValueError, TypeError
        For a name that stands for no source, what cannot be called, or no name at all.
    """
    if isinstance(names, Mapping):
        chosen = {name: _callable(name, source) for name, source in names.items()}
    else:
        chosen = {name: find_source(name) for name in ([names] if isinstance(names, str) else names)}
    if not chosen:
        raise ValueError(f"no sources were given; choose from {', '.join(SOURCES)}, or leave the choice to the harness")
    return chosen
