"""A page: text is escaped, data cannot end their element, and numbers sort as numbers."""

import json
import re
import sys

import pytest

from harness.pages.html_page import document, embedded, picture, table
from harness.provenance import command_line, environment

NASTY = "</script><img src=x onerror=alert(1)>&\"'\u2028"


def test_data_cannot_end_their_element_come_back_as_they_were_and_are_finite():
    text = embedded({"name": NASTY})
    assert "θ" in embedded("θ")
    assert "<" not in text
    assert "\u2028" not in text
    assert json.loads(text) == {"name": NASTY}
    with pytest.raises(ValueError, match="JSON"):
        embedded([float("nan")])


def test_text_from_elsewhere_is_escaped():
    page = document(NASTY, table([NASTY], [[NASTY], [("shown", 1.0)]], NASTY) + picture(b"", NASTY, NASTY))
    assert "<img src=x" not in page
    assert page.count("&lt;/script&gt;&lt;img src=x onerror=alert(1)&gt;&amp;") >= 5


@pytest.mark.parametrize(
    ("cell", "shown", "value"),
    [
        (0.000123456, "0.000123", "0.000123456"),
        (7, "7", "7.0"),
        (("12.5%", 0.125), "12.5%", "0.125"),
        (float("inf"), "inf", "Infinity"),
        (float("-inf"), "-inf", "-Infinity"),
        (float("nan"), "nan", "Infinity"),
    ],
)
def test_numbers_are_shown_short_and_sorted_by_their_value(cell, shown, value):
    html = table(["a", "b"], [["x", cell]], "t")
    assert re.findall(r'<td data-value="([^"]*)" class="number">([^<]*)</td>', html) == [(value, shown)]


def test_an_unknown_value_is_an_empty_cell():
    assert table(["a", "b", "c"], [["x", None, ("", None)]], "t").count("<td></td>") == 2


def test_the_environment_names_versions_and_blas():
    found = environment()
    assert {"date", "Python", "numpy", "jax", "BLAS", "system"} <= set(found)
    assert all(found.values())


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["/some/where/harness", "check", "--seed", "1 2"], "harness check --seed '1 2'"),
        (["/some/where/harness/__main__.py", "run"], "harness run"),
        (["/usr/bin/pytest", "-q"], ""),
        (["/usr/lib/pytest/__main__.py"], ""),
        ([], ""),
    ],
)
def test_the_command_line_has_no_folders_and_is_empty_for_other_programs(arguments, line, monkeypatch):
    monkeypatch.setattr(sys, "argv", arguments)
    assert command_line() == line
