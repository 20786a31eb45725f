"""The gradient sources by name. Each answers (problem, theta) -> (cost, gradient); oracles measure their error.

What is slow to import is imported by the source that needs it.
"""

from collections.abc import Iterable, Mapping

import numpy as np

from harness import loop, vectorized
from reference import finite_difference
from reference.measured import GradientSource, Measured, NotApplicable, Oracle
from reference.problem import Problem


def _through_jax(mode: str, problem: Problem, theta: np.ndarray) -> tuple[float, np.ndarray]:
    """Small networks share one compiled program."""
    import jax

    from reference import jax_gradient, jax_padded

    module = jax_padded if jax_padded.fits(problem) else jax_gradient
    try:
        return getattr(module, mode)(problem, theta)
    except (jax.errors.JAXTypeError, jax.errors.JAXIndexError) as error:
        raise NotApplicable(f"JAX cannot trace a formula: {str(error).splitlines()[0]}") from error


def _jax(problem: Problem, theta: np.ndarray) -> tuple[float, np.ndarray]:
    """Reverse mode."""
    return _through_jax("reverse", problem, theta)


def _jax_forward(problem: Problem, theta: np.ndarray) -> tuple[float, np.ndarray]:
    """Forward mode, one tangent for each parameter."""
    return _through_jax("forward", problem, theta)


def _jax_float32(problem: Problem, theta: np.ndarray) -> tuple[float, np.ndarray]:
    """Reverse mode in float32."""
    from reference import jax_gradient

    return jax_gradient.reverse_float32(problem, theta)


def _complex_step(problem: Problem, theta: np.ndarray) -> Measured:
    """One complex cost for each parameter, of formulas that are analytic."""
    from reference import complex_step

    return complex_step.measure(problem, theta)


def _ball(problem: Problem, theta: np.ndarray) -> Measured:
    """Certified enclosures."""
    from reference import ball_arithmetic

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


def named_sources(names: Iterable[str] | Mapping[str, GradientSource]) -> dict[str, GradientSource]:
    """A mapping from name to source; names stand for those in `SOURCES`.

    Raises
    ------
    ValueError
        For a name that is not in `SOURCES`, or no name at all.
    """
    if isinstance(names, Mapping):
        chosen = dict(names)
    else:
        listed = [names] if isinstance(names, str) else list(names)
        known = SOURCES | FLOAT32_SOURCES
        for name in listed:
            if name not in known:
                raise ValueError(f"unknown source {name!r}; there are {', '.join(known)}")
        chosen = {name: known[name] for name in listed}
    if not chosen:
        raise ValueError(f"no sources were given; choose from {', '.join(SOURCES)}, or leave the choice to the harness")
    for name, source in chosen.items():
        if not callable(source):
            raise TypeError(f"source {name!r} must be callable as source(problem, theta), not {type(source).__name__}")
    return chosen
