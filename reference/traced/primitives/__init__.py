"""The table of JAX's primitives: one record each, from one module a family.

To add a primitive, add its record to the family that it belongs to, and a case to
`tests/reference/traced/primitive_cases.py`. The tests of records then compare its values and increments with JAX's,
hold its bound to a computation with more digits, and see that it is neither too narrow nor useless. Some records, in
the order of what they need:

    # smooth, of one number: an `Elementary` in reference/arithmetics/elementary.py is all
    # moves entries, so the change moves as the value does: NumPy's own function, behind `lead` axes of directions
    "rev": lambda lead, params, x: np.flip(x, behind(lead, params["dimensions"]))           # data_movement.MOVES
    # linear: the same function of values and of changes; its bound adds up errors and sizes
    Primitive("reduce_sum", _reduce_sum, bound_of_sums(_reduce_sum), Rounding(sums=True, sizes_add_up=True))
    # linear in each of two operands: x dy + dx (y + dy)
    Primitive("mul", of_one_rank(_multiply), on_parts(_bound_of_product))
    # decides by size: says what it decides, notes ties, and marks what jumps as unresolved
    Primitive("sign", _sign, _bound_of_sign, EXACT, Choice(lambda equation, numbers: np.sign(numbers[0])))
"""

from reference.traced.primitive import Primitive
from reference.traced.primitives import (
    arithmetic_operators,
    calls,
    comparisons,
    contractions,
    control_flow,
    data_movement,
    elementary_functions,
    indexing,
    matrix_factorizations,
    reductions,
)

FAMILIES: dict[str, tuple[Primitive, ...]] = {
    "functions of one number": elementary_functions.PRIMITIVES,
    "arithmetic": arithmetic_operators.PRIMITIVES,
    "compare, choose, convert": comparisons.PRIMITIVES,
    "move entries and sort": data_movement.PRIMITIVES,
    "read and write by indices": indexing.PRIMITIVES,
    "sums, products, extremes": reductions.PRIMITIVES,
    "products and transforms": contractions.PRIMITIVES,
    "factorisations, by the perturbed equation": matrix_factorizations.PRIMITIVES,
    "loops, branches and solves": control_flow.PRIMITIVES,
    "calls and custom rules": calls.PRIMITIVES,
}

PRIMITIVES: dict[str, Primitive] = {primitive.name: primitive for family in FAMILIES.values() for primitive in family}
"""Records by JAX's names."""


def primitive_named(name: str) -> Primitive:
    """The record of a primitive; one that knows nothing but its name, where there is none: JAX computes that one."""
    return PRIMITIVES.get(name) or Primitive(name)
