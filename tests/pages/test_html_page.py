"""A page holds together: text is escaped, data cannot end their element, and numbers sort as numbers."""

import json
import re

import pytest

from harness.pages.html_page import document, embedded, picture, table
from harness.provenance import command_line, environment

NASTY = "</script><img src=x onerror=alert(1)>&\"'\u2028"


def test_data_cannot_end_their_element_and_come_back_as_they_were():
    text = embedded({"name": NASTY})
    assert "<" not in text
    assert "\u2028" not in text
    assert json.loads(text) == {"name": NASTY}


def test_data_that_are_not_finite_are_an_error():
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


@pytest.mark.parametrize("cell", [None, ("", None)])
def test_what_is_not_known_is_an_empty_cell(cell):
    assert "<td></td>" in table(["a", "b"], [["x", cell]], "t")


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
        ([], ""),
    ],
)
def test_the_command_line_is_told_without_folders_and_only_if_it_is_ours(arguments, line):
    assert command_line(arguments) == line
