"""Parts of messages, and the bar that shows progress."""

import math
import sys

import pytest

from harness.progress import progress_bar
from harness.wording import counted, distinct_digits, first_few, shortened, what_it_is
from reference.user_input import did_you_mean


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (first_few("abc", 3), "a, b, c"),
        (first_few("abcd", 2), "a, b and 2 more"),
        (first_few("abc", 2), "a, b, c"),
        (first_few([1, 2], 2, name=hex), "0x1, 0x2"),
        (first_few("abc", 2, total=64), "a, b and 62 more"),
        (counted(1, "network"), "1 network"),
        (counted(2000, "network"), "2,000 networks"),
        (counted(0, "network"), "0 networks"),
        (distinct_digits(0.1, 0.2), ("0.1", "0.2")),
        (distinct_digits(560.1192205699367, -19.51873221767164), ("560.119", "-19.5187")),
        (distinct_digits(1.0, 1.00000001234), ("1", "1.0000000123")),
        (distinct_digits(0.5, 0.5000000000000001), ("0.5", "0.50000000000000011")),
        (distinct_digits(0.25000025, 0.2499999999984), ("0.25000025", "0.25")),
        (distinct_digits(2.0, math.nan, math.inf), ("2", "nan", "inf")),
        (distinct_digits(1.0, 1.0), ("1", "1")),
        (shortened("short"), "short"),
        (shortened(f"a {'x' * 200} {'y' * 500}"), f"a {'x' * 200} {'y' * 100}...{'y' * 100}"),
        (what_it_is((1, 2)), "a tuple of 2"),
        (what_it_is(1.0), "float"),
        (did_you_mean("rellu", ["relu", "tanh"]), "; did you mean 'relu'?"),
        (did_you_mean("rellu", ["tanh"]), ""),
    ],
)
def test_parts_of_messages(words, expected):
    assert words == expected


@pytest.mark.parametrize(
    ("is_terminal", "after", "is_shown"), [(False, 0.0, False), (True, 60.0, False), (True, 0.0, True)]
)
def test_a_bar_is_shown_on_a_terminal_after_its_time(is_terminal, after, is_shown, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: is_terminal)
    monkeypatch.setenv("FORCE_COLOR", "1")
    with progress_bar(after, rate=True) as move:
        for done in (1, 2):
            move("networks", done, 3)
    out, err = capsys.readouterr()
    assert (out, "networks" in err, "/s" in err) == ("", is_shown, is_shown)
