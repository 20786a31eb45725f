"""One record for each of JAX's primitives: all that the interpreter knows of it.

The modules of `reference.traced.primitives` make the records, family by family, and `reference.traced.primitives` holds
the table of them. What a run, its bounds, its random rounding and its compilation need of a primitive is a field here.
So a new primitive touches one file. Each field has a safe default: a primitive of which nothing but the name is known
is computed by JAX, differenced, and without a bound.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

import numpy as np

Rule = Callable[..., Any]
"""``rule(run, equation, *operands)`` over `Increment`s, which returns one `Increment`, or one for each output.

A value has the shape that JAX knows; its change has one axis more, the first, for the directions, or is the float 0.0.
`equation.params` are JAX's parameters. What a rule cannot know is NaN by ``run.unknown``, with a reason, as the
change of floor(x) at x = 2 is. Where equal numbers decide, it calls ``run.note_ties``.
"""

ErrorSize = Callable[[Any, Mapping[str, Any]], Any]
"""``size(array, params)``: how far each entry may be off, over `Rounding.size` (or `OPERAND_SIZE`) unit roundoffs."""


@dataclass(frozen=True)
class Rounding:
    """How a primitive rounds, in runs that round at random."""

    size: float = 1.0  # the largest error of one result, in unit roundoffs of its type
    # whether the primitive adds up within, so that its operands are rounded as well: Σ x_i (1 ± u) is a computed sum
    # whose terms were rounded on the way
    sums: bool = False
    # Whether partial sums are bounded by the same sum of the operands' sizes. 1e16 + 1 - 1e16 may be off by u · 2e16.
    sizes_add_up: bool = False
    # further errors of each operand (backward errors) and of each result, beside a rounding of each entry
    operand_errors: tuple[ErrorSize, ...] = ()
    result_errors: tuple[ErrorSize, ...] = ()
    # ``is_exact(is_short, *operands)``: which results are not rounded. By default those that have few significant bits
    # (`is_short`), like 0.5 + 0.25. But 1e20 + 4 has few and is rounded, and 2 x is not, however many it has.
    is_exact: Callable[..., Any] | None = None


ROUNDED_ONCE = Rounding()
ADDED_UP = Rounding(sums=True)
EXACT = None  # the rounding of a primitive that rounds nothing


@dataclass(frozen=True)
class Choice:
    """What a primitive decides by the size of its operands, and rounding may therefore decide otherwise."""

    # ``find(equation, numbers)``: the decision, entry by entry, as whole numbers or truth values: of abs the signs, of
    # sort the places
    find: Callable[[Any, Sequence[np.ndarray]], np.ndarray]
    # whether the values on both sides of a decision meet: those of abs do, those of sign do not
    is_continuous: bool = False
    # ``level(numbers, reach, params)``: the operand with every entry equal to the chosen one that comes within `reach`
    # of it; None where no entry does
    level: Callable[[np.ndarray, np.ndarray, Any], np.ndarray | None] | None = None
    needs_cast: bool = False  # whether it decides only where its result is not a floating number
    compares_pair: bool = False  # whether it is decided by which of its two operands is larger, or that they are equal
    # how equal entries are taken: as if they ascended, or descended, by position; 0 where it takes none
    order_of_ties: int = 0


class Compilation(Enum):
    """How XLA compiles a primitive."""

    FUSED = "written out wherever its result is used"  # in the loops of all operations that read it
    KEPT = "computed once and kept"
    OWN_PROGRAM = "its inner program is compiled on its own"


@dataclass(frozen=True)
class Primitive:
    """What is known of one primitive."""

    name: str  # JAX's name
    # Values and increments. Without one JAX computes the values, and differences of these the increments.
    rule: Rule | None = None
    # The same with bounds on rounding errors (`reference.traced.bounded_run`). A program with a primitive that has none
    # is judged by random rounding instead.
    bound: Rule | None = None
    rounding: Rounding | None = ROUNDED_ONCE  # None where the primitive is exact
    choice: Choice | None = None  # None where it decides nothing
    is_comparison: bool = False  # whether its result is the truth of a comparison of two numbers
    compilation: Compilation = Compilation.FUSED
    is_call: bool = False  # whether it does nothing but run its inner program
    rule_parameter: str = ""  # the parameter that holds the derivative rule of a call which has one of its own
    iterates: bool = False  # whether it is a loop that ends by a condition
    # whether its rule takes whole numbers and truth values that jump in a step, in all directions at once, as those do
    # that run inner programs; to the others they are constants (`reference.traced.jumps`)
    takes_jumps: bool = False
    takes_keys: bool = False  # whether its rule takes arrays of random keys
    # whether its complex results are determined up to factors of modulus one, as eigenvectors are
    has_free_phases: bool = False
    reads_bits: bool = False  # whether it looks at the bits of a number, which are others in another precision
    # ``product_units(equation)``: unit roundoffs of the types that accelerators round the operands to and add up in
    product_units: Callable[[Any], tuple[float, float]] | None = None
    # ``replay(equation, operands, run, inlined)``: JAX's results, with inner programs by ``run(program, *values)``;
    # None where JAX binds the primitive as it stands
    replay: Callable[..., Any] | None = None
    # ``widen(equation)``: what computes it in float64; None where nothing does
    widen: Callable[[Any], Any] | None = None

    @property
    def has_own_rule(self) -> bool:
        return bool(self.rule_parameter)


def with_aliases(primitive: Primitive, *names: str) -> list[Primitive]:
    """The record, and the same under other names: releases of JAX call a primitive differently."""
    return [primitive, *(replace(primitive, name=name) for name in names)]
