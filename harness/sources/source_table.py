"""The gradient sources that come with the harness: one record for each, in one table.

Functions are named as "module:attribute" and imported when they are first called, for some are slow to import.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from importlib import import_module
from typing import Any

BY_HAND, JAX = "by hand", "jax"


class SourceFailed(ValueError):
    """A source did not answer; the message names it, and says why."""


@dataclass(frozen=True)
class Source:
    """A gradient source, with the name that reports call it by and the family that it votes in.

    Attributes
    ----------
    name : str
    family : str
        Sources that share an author or a mechanism share its bugs, so that a family has one vote.
    function : callable, or str
        ``function(problem, theta) -> (cost, gradient)``, or where to import it from: "module:attribute". A
        `reference.measured.Oracle` reports its own error, too.
    needs_jax : bool
        Whether it imports JAX, or may.
    does : str
        How it computes its gradient, in a few words.
    failed : callable, optional
        Called with what the source raises, and the source is left out of that check. Without it, the exception goes on.
    as_called : str, optional
        Where `function` runs code that no caller does, such as code that was compiled quickly: where to import what a
        caller would run. Only its answer accuses anybody.
    """

    name: str
    family: str
    function: Callable[..., Any] | str
    needs_jax: bool = False
    does: str = ""
    failed: Callable[[BaseException], object] | None = None
    as_called: str | None = None

    @cached_property
    def run(self) -> Callable[..., Any]:
        """The function itself."""
        if not isinstance(self.function, str):
            return self.function
        module, _, attribute = self.function.partition(":")
        return getattr(import_module(module), attribute)

    @property
    def measure(self) -> Callable[..., Any] | None:
        """``measure(problem, theta) -> Measured`` of an oracle; None for other sources."""
        return getattr(self.run, "measure", None)

    def __call__(self, problem: Any, theta: Any) -> tuple[float, Any]:
        return self.run(problem, theta)

    @property
    def is_of_the_harness(self) -> bool:
        """Whether its code comes with the harness, as a bug's does, too."""
        where = self.function if isinstance(self.function, str) else getattr(self.function, "__module__", None) or ""
        # an `Isolated` source is a class of the harness, and its code is that of the module that it spells
        where = getattr(self.function, "spelled", where)
        return where.partition(":")[0].partition(".")[0] in ("harness", "reference")

    def for_callers(self) -> "Source":
        """The same by code that callers run."""
        return replace(self, function=self.as_called or self.function, as_called=None)

    def runs(self, function: object) -> bool:
        """Whether a function is this source's own, by itself or by the place that it is imported from."""
        named = f"{getattr(function, '__module__', '')}:{getattr(function, '__name__', '')}"
        return self.function in (function, named)


def _by_name(*sources: Source) -> dict[str, Source]:
    return {source.name: source for source in sources}


SOURCES = _by_name(
    Source("loop", BY_HAND, "harness.sources.loop:cost_and_gradient", does="backprop by hand, example by example"),
    Source(
        "vectorized",
        BY_HAND,
        "harness.sources.vectorized:cost_and_gradient",
        does="backprop by hand, all examples at once",
    ),
    Source(
        "jax",
        JAX,
        "reference.oracles.jax_padded:reverse",
        needs_jax=True,
        does="automatic differentiation, reverse mode",
        as_called="reference.oracles.jax_gradient:reverse",
    ),
    Source(
        "jax-forward",
        JAX,
        "reference.oracles.jax_padded:forward",
        needs_jax=True,
        does="automatic differentiation, forward mode, one tangent for each parameter",
        as_called="reference.oracles.jax_gradient:forward",
    ),
    Source(
        "finite-difference",
        "differences",
        "reference.oracles.finite_difference:ORACLE",
        does="differences of the cost that do not cancel",
    ),
    Source(
        "complex-step",
        "complex step",
        "reference.oracles.complex_step:ORACLE",
        does="the cost at θ + ih, for formulas that are analytic",
    ),
    Source("ball", "balls", "reference.oracles.ball_arithmetic:ORACLE", does="certified enclosures of the gradient"),
)

FLOAT32_SOURCES = _by_name(
    Source(
        "vectorized-float32",
        BY_HAND,
        "harness.sources.vectorized:cost_and_gradient_float32",
        does="vectorized, computed in float32",
    ),
    Source("jax-float32", JAX, "reference.oracles.jax_gradient:reverse_float32", True, "jax, computed in float32"),
)
"""The fastest two in float32: found by name like the others, and judged with the bound at u = 2⁻²⁴."""

SPELLINGS = (
    f"{', '.join([*SOURCES, *FLOAT32_SOURCES])}, bug:NAME for one of the bug zoo, or module:function of your own"
)
"""Every name that `harness.sources.source_names.find_source` takes."""
