"""Cheap looks at JAX's derivatives, along a random line through a function's arguments.

A look calls the function and its derivatives operation by operation, as the original does: JAX compiles each operation
once for all functions that have it.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import jax
import numpy as np

from harness.checks.traced.function_arguments import differentiable
from harness.drop_in.fallback import ACCURATE
from harness.drop_in.line_checks import Slope, apply_to_multiples, line_through, look, slope_of, unit_of
from reference.jax_settings import settings

WIDE = {"float32": np.float64, "float64": np.float64, "complex64": np.complex128, "complex128": np.complex128}
"""The types of arguments that are looked at, and those in which rules are compared with values."""

DOUBLE = ("float64", "complex128")

AS_IN_DOUBLE = 2.0**-13
"""In single precision every entry has to be as in double precision to this share of itself. One that has lost more
digits is left to the whole check."""

Parts = list[np.ndarray]
"""Real arrays; a complex one has its two parts along a first axis."""


def is_confirmed(f: Callable[..., Any], args: Sequence[Any], modes: Sequence[str]) -> bool:
    """Whether a look finds JAX's derivatives of f right in these modes. It calls none of them wrong.

    Rules are compared with values in float64, and then what they answer in float32, if f has such arguments.
    """
    try:
        return _is_confirmed(_Function.of(f, tuple(args)), modes)
    except Exception:  # noqa: BLE001  the whole check finds out why
        return False


def _is_confirmed(own: "_Function", modes: Sequence[str]) -> bool:
    types = [jax.numpy.result_type(x).name for x in own.chosen]
    if not set(types) <= WIDE.keys():
        return False
    given = list(map(jax.numpy.asarray, own.chosen))  # with the caller's number of bits
    with settings(True):
        wide = replace(own, chosen=[np.asarray(x, WIDE[name]) for x, name in zip(own.chosen, types)])
        x = list(map(_parts, wide.chosen))
        here = wide(x)
        if (line := line_through(wide, x, here)) is None:
            return False
        weights = line.weights("outputs")

        known = {mode: apply_to_multiples(wide.derivative(mode, weights, line.direction)) for mode in modes}

        def slopes(direction: Parts) -> list[Slope]:
            found = []
            if "reverse" in modes:
                found.append(slope_of(known["reverse"][0], direction))
            if "forward" in modes:
                is_known = direction is line.direction
                ahead = known["forward"][0] if is_known else wide.derivative("forward", weights, direction)(1.0)
                value, shares = slope_of(weights, ahead)
                found.append(Slope(value, [sum(shares)]))
            return found

        is_right = (
            all(is_linear for _, is_linear in known.values())
            and wide.has_values(here)
            and math.isfinite(look(wide, x, here, weights, slopes, first=line))
        )
    if not is_right or set(types) <= set(DOUBLE):
        return is_right
    own = replace(own, chosen=given)
    found = ((own.derivative(mode, weights, line.direction)(1.0), expected) for mode, (expected, _) in known.items())
    return all(_are_near(a, b) for answer, expected in found for a, b in zip(answer, expected))


@dataclass(frozen=True)
class _Function:
    """A function of lists of real arrays, which stand for those leaves of its arguments that have a derivative.

    Attributes
    ----------
    f, tree
        The function, and the tree of its arguments.
    leaves : list
        All leaves of the arguments.
    places : list of int
        Where the differentiable ones are.
    chosen : list
        What is there.
    """

    f: Callable[..., Any]
    tree: Any
    leaves: Sequence[Any]
    places: Sequence[int]
    chosen: Sequence[Any]

    @staticmethod
    def of(f: Callable[..., Any], args: tuple) -> "_Function":
        """A function at its arguments."""
        leaves, tree = jax.tree.flatten(args)
        places = [i for i, leaf in enumerate(leaves) if differentiable(leaf)]
        return _Function(f, tree, leaves, places, [leaves[i] for i in places])

    def of_chosen(self, *chosen: Any) -> list[Any]:
        """The outputs that have a derivative."""
        every = dict(enumerate(self.leaves)) | dict(zip(self.places, chosen))
        return list(filter(differentiable, jax.tree.leaves(self.f(*jax.tree.unflatten(self.tree, every.values())))))

    def __call__(self, x: Parts) -> Parts:
        return list(map(_parts, self.of_chosen(*map(_whole, x, self.chosen))))

    @cached_property
    def _vjp(self) -> Any:
        return jax.vjp(self.of_chosen, *self.chosen)

    def has_values(self, here: Parts) -> bool:
        """Whether reverse mode answers the same values; another one may be that of another function."""
        return all(np.allclose(_parts(y), known, rtol=ACCURATE, atol=0.0) for y, known in zip(self._vjp[0], here))

    def derivative(self, mode: str, weights: Parts, direction: Parts) -> Callable[[float], Parts]:
        """In reverse mode, the gradient for so many times the weights; in forward mode, what the outputs change by."""

        def pull_back(factor: float) -> Parts:
            outputs, pull = self._vjp
            cotangents = [np.conj(_whole(factor * w, y)).astype(y.dtype) for w, y in zip(weights, outputs)]
            return [_parts(np.conj(g)) for g in pull(cotangents)]

        def push_forward(factor: float) -> Parts:
            unit = unit_of(float(np.max(np.abs(v), initial=0.0)) for v in direction) / factor
            types = map(jax.numpy.result_type, self.chosen)
            tangents = [_whole(v / unit, x).astype(t) for v, x, t in zip(direction, self.chosen, types)]
            return [unit * factor * _parts(t) for t in jax.jvp(self.of_chosen, tuple(self.chosen), tuple(tangents))[1]]

        return pull_back if mode == "reverse" else push_forward


def _parts(x: Any) -> np.ndarray:
    x = np.asarray(x)
    return np.stack([x.real, x.imag]) if np.iscomplexobj(x) else x


def _whole(parts: np.ndarray, like: Any) -> np.ndarray:
    return parts[0] + 1j * parts[1] if np.iscomplexobj(like) else parts


def _are_near(a: np.ndarray, b: np.ndarray) -> bool:
    return bool(np.all(np.abs(a - b) <= AS_IN_DOUBLE * np.abs(b)))
