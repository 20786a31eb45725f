"""A function with a derivative rule of its own, right, and the wrong rules that belong to it alone.

Beside `jax.custom_vjp` stands ``backward((arguments, output), g) -> cotangents``, and beside `jax.custom_jvp`
``push(arguments, tangents) -> (output, tangent)``. Arguments are float64.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import numpy as np

NONE: Mapping[str, Callable[..., Any]] = MappingProxyType({})


class Rule(NamedTuple):
    """A function, its right rule, where it is checked, and wrong rules by the name of their bug.

    `kind` is "vjp" or "jvp".
    """

    function: Callable[..., Any]
    rule: Callable[..., Any]
    arguments: tuple[np.ndarray, ...]
    wrong: Mapping[str, Callable[..., Any]] = NONE
    kind: str = "vjp"

    def with_rule(self, rule: Callable[..., Any]) -> Callable[..., Any]:
        """The function as JAX differentiates it by some rule."""
        if self.kind == "jvp":
            function = jax.custom_jvp(self.function)
            function.defjvp(rule)
            return function
        function = jax.custom_vjp(self.function)
        function.defvjp(self._saving, rule)
        return function

    def _saving(self, *arguments: Any) -> tuple[Any, Any]:
        output = self.function(*arguments)
        return output, (arguments, output)


def named(*rules: Callable[..., Any]) -> dict[str, Callable[..., Any]]:
    """Wrong rules by the name of their bug."""
    return {rule.__name__.replace("_", " "): rule for rule in rules}
