"""Whole numbers that somebody gives: a size, a count, a budget."""

import operator
from typing import Any

from reference.printable import given


def whole_number(what: str, value: Any, at_least: int = 0) -> int:
    """`value` as an int, whatever integer type it has.

    Raises
    ------
    TypeError
        For what is no integer, 2.0 included.
    ValueError
        For less than `at_least`. Both messages name `what`, what was expected and what was given.
    """
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{what} must be an integer, {at_least} or more, not {given(value)}") from None
    if number < at_least:
        raise ValueError(f"{what} must be {at_least} or more, not {given(number)}")
    return number
