"""How an equation whose derivative is off is told: its name, the lines of its rule, and by how much it is off."""

from dataclasses import dataclass

import numpy as np

from reference.traced.equations import Equation
from reference.traced.primitives.calls import CUSTOM_RULES
from reference.traced.rule_origins import (
    NOWHERE,
    forward_of,
    is_jax,
    is_of_library,
    is_rule_of_jax,
    line_of,
    own_line_of,
    written,
)


@dataclass(frozen=True)
class Culprit:
    """An equation whose own derivative is off.

    Attributes
    ----------
    name : str
        Of the function with the rule, or of the primitive.
    where : str
        The functions that make up the rule, with file and line; the line of the user's code that calls a primitive, or
        a rule of JAX's.
    off : float
        The largest difference, of the largest derivative of the equation; zero where none was seen, and only
        the primal in the place of the rule tells.
    shape : str
        What kind of error it is, in words; may be empty.
    explains : bool or None
        Whether nothing is at odds any more with the primal in the place of the rule; None where that was not tried.
    in_float64 : bool
        Whether the rule's program was run in float64 to see it.
    order : 1 or 2
        2 where the rule is right at first order, and its own derivative is off.
    of_jax : bool
        Whether the rule comes with JAX.
    """

    name: str
    where: str
    off: float
    shape: str
    explains: bool | None = None
    in_float64: bool = False
    order: int = 1
    of_jax: bool = False

    @property
    def rule(self) -> str:
        return f"the rule of {self.name}, {self.where}"

    def __str__(self) -> str:
        how = "checked alone, in float64," if self.in_float64 else "checked alone"
        if self.order == 2:
            how += " is right at first order, and its own derivative, of second order,"
        told = f"{self.rule}, {how}{self._off}" + (f": {self.shape}" if self.shape else "")
        if self.explains is None:
            return told
        return f"{told}; by its primal instead, " + ("all agree" if self.explains else "something is still at odds")

    @property
    def _off(self) -> str:
        if self.off:
            return f" is off by {self.off:.1e} times the largest" if np.isfinite(self.off) else " is infinitely far off"
        return "" if self.shape else " shows no error"


def named(equation: Equation, off: float, shape: str, hands_on_the_value: bool = False) -> Culprit:
    """A culprit of an equation; its rule's forward half where what it hands on is wrong."""
    off = off if np.isfinite(off) else np.inf
    line = line_of(equation)
    if equation.name not in CUSTOM_RULES:
        return Culprit(equation.name, str(line) if line != NOWHERE else "of JAX", off, shape)
    name, places = written(equation)
    forward = forward_of(equation)
    if hands_on_the_value and places and forward != NOWHERE and not is_jax(forward):
        places = [forward]
    where = ", ".join(dict.fromkeys(map(str, places)))
    if any(map(is_of_library, places)) and (own := own_line_of(equation)) != NOWHERE:
        where = f"{where}, called by {own}"  # a library's wrapper, around a rule that may be the user's
    if is_rule_of_jax(equation):
        where = f"called by {line}" if line != NOWHERE else "of JAX"
    return Culprit(name or equation.name, where, off, shape, of_jax=is_rule_of_jax(equation))
