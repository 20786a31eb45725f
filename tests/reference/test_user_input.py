"""Names of users stay on one line; any integer type is a whole number, and an error names what was given."""

from fractions import Fraction

import numpy as np
import pytest

from reference.user_input import given, printable, whole_number


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("λ, θ and σ'(z) → é", "λ, θ and σ'(z) → é"),
        ("bad\nAGREE: all", r"bad\nAGREE: all"),
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("\r\t\0\x7f\x9b31m", r"\r\t\x00\x7f\x9b31m"),
        ("a\u202eb\u2066c\u2028d", r"a\u202eb\u2066c\u2028d"),
        ("half \ud800", r"half \ud800"),
        ("family \U0001f468\u200d\U0001f469", "family \U0001f468\u200d\U0001f469"),
    ],
    ids=ascii,
)
def test_what_moves_the_cursor_is_written_as_its_escape(text, printed):
    assert printable(text) == printed


def test_what_is_to_stay_stays():
    assert printable("a\nb\x1b", keep="\n") == "a\nb\\x1b"


def test_a_value_is_written_in_one_short_line():
    assert given("a\nb") == r"'a\nb'"
    assert given(np.zeros((2, 3))) == "an array of float64 of shape (2, 3)"
    assert len(given("x" * 500)) == 83


@pytest.mark.parametrize("value", [3, np.int64(3), np.uint8(3), np.array(3)])
def test_any_integer_becomes_an_int(value):
    assert whole_number("a size", value, at_least=3) == 3
    assert type(whole_number("a size", value)) is int
    assert whole_number("a size", value - value) == 0  # unless more is asked for


@pytest.mark.parametrize("value", [2.0, np.float64(2.0), "2", None, Fraction(2), [2]])
def test_what_is_no_integer_is_refused(value):
    with pytest.raises(TypeError) as caught:
        whole_number("a size", value, at_least=1)
    assert str(caught.value) == f"a size must be an integer, 1 or more, not {value!r}"


@pytest.mark.parametrize(("value", "at_least"), [(0, 1), (-1, 0), (-5, -4), (np.int64(4), 5)])
def test_what_is_too_small_is_refused(value, at_least):
    with pytest.raises(ValueError, match=f"^a size must be {at_least} or more, not {value}$"):
        whole_number("a size", value, at_least)
