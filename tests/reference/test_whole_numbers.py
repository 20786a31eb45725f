"""Whole numbers: any integer type is taken, and anything else is refused with what was expected and given."""

from fractions import Fraction

import numpy as np
import pytest

from reference.user_input import whole_number


@pytest.mark.parametrize("value", [3, np.int64(3), np.uint8(3), np.array(3)])
def test_any_integer_becomes_an_int(value):
    assert whole_number("a size", value, at_least=3) == 3
    assert type(whole_number("a size", value)) is int


def test_unless_more_is_asked_for_zero_will_do():
    assert whole_number("max_iter", 0) == 0


@pytest.mark.parametrize("value", [2.0, np.float64(2.0), "2", None, Fraction(2), [2]])
def test_what_is_no_integer_is_refused(value):
    with pytest.raises(TypeError) as caught:
        whole_number("a size", value, at_least=1)
    assert str(caught.value) == f"a size must be an integer, 1 or more, not {value!r}"


@pytest.mark.parametrize(("value", "at_least"), [(0, 1), (-1, 0), (-5, -4), (np.int64(4), 5)])
def test_what_is_too_small_is_refused(value, at_least):
    with pytest.raises(ValueError, match=f"^a size must be {at_least} or more, not {value}$"):
        whole_number("a size", value, at_least)
