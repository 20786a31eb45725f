"""Names of others stay where they are printed."""

import pytest

from reference.user_input import printable


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
