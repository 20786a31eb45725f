"""The table of JAX's primitives: one record each, from one module a family.

To add a primitive, add its record to the family that it belongs to.
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
    """The record of a primitive; one that knows nothing but its name, where there is none."""
    return PRIMITIVES.get(name) or Primitive(name)
