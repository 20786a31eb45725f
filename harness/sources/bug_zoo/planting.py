"""What a bug is, and how one or more are planted into the right backprop."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np

from harness.sources.backprop_steps import BY_COLUMNS, Backprop, ThetaLayout
from harness.sources.source_table import BY_HAND, JAX, SOURCES, Source


@dataclass(frozen=True, eq=False)
class Bug:
    """A named bug, which equals itself alone.

    Attributes
    ----------
    name, description : str
    source : Source
        The buggy gradient source, of the family of those that it stands for.
    replaces : tuple of str
        The sources that have the bug; the others are right.
    part : str
        What is wrong: "bias", "regulariser", "layer", "entry" or "all" of the gradient alone; "cost", which is of cost
        and gradient alike; "cost alone"; or "program", where the formulas are right.
    step : str
        The step of `Backprop` that it replaces.
    replacement : callable or None
        ``replacement(right, *arguments)`` answers in the step's place; ``right(*arguments)`` is the step without it.
    """

    name: str
    description: str
    source: Source
    replaces: tuple[str, ...]
    part: str
    step: str = ""
    replacement: Callable[..., Any] | None = None

    @cached_property
    def sources(self) -> dict[str, Source]:
        """The bug beside the correct sources, as `cross_check` takes them."""
        beside = ("loop", "vectorized", "jax", "finite-difference")
        return {name: self.source if name in self.replaces else SOURCES[name] for name in beside}


def make_bug(
    name: str, part: str, description: str, *, replaces: tuple[str, ...] = ("vectorized",), **steps: Callable[..., Any]
) -> Bug:
    """A bug that replaces one step, as ``make_bug("wrong-sign", "all", "...", output_delta=replacement)``."""
    ((step, replacement),) = steps.items()
    family = JAX if replaces == ("jax",) else BY_HAND
    source = Source(f"bug:{name}", family, _replace(Backprop(), step, replacement))
    return Bug(name, description, source, replaces, part, step, replacement)


def pipeline_with(*bugs: Bug, layout: ThetaLayout = BY_COLUMNS) -> Backprop:
    """The backprop with bugs in it; of two in one step, the later one calls the earlier as its `right`."""
    pipeline = Backprop(layout)
    for bug in bugs:
        _replace(pipeline, bug.step, bug.replacement)
    return pipeline


def _replace(pipeline: Backprop, step: str, replacement: Any) -> Backprop:
    # an attribute of the instance hides the method, so that the pipeline calls the replacement instead
    setattr(pipeline, step, partial(replacement, getattr(pipeline, step)))
    return pipeline


def changed(array: np.ndarray, where: Any, value: Any) -> np.ndarray:
    """A copy with other values somewhere."""
    copy = np.array(array)
    copy[where] = value
    return copy


def scaled(array: np.ndarray, where: Any, factor: float) -> np.ndarray:
    """A copy with a factor somewhere."""
    return changed(array, where, factor * array[where])
