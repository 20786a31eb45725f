"""What a check found: for a person, a program and a notebook."""

import html
import json
import pickle
import re
from dataclasses import replace
from functools import cache

import jax.numpy as jnp
import numpy as np
import pytest

from harness import Network, Problem, check_gradient, cross_check
from harness.facts.fact import note
from harness.facts.kinds import Kind
from harness.sources.loop import cost_and_gradient as loop
from harness.verdict.report import Finding, share_lines

NAN, INF = float("nan"), float("inf")

PROBLEM = Problem(Network((2, 3, 2)), [[0.1, -0.2], [0.3, 0.5], [-1.0, 0.7]], [0, 1, 1], 1.0)
THETA = PROBLEM.network.init(0, epsilon=0.8)


def broken(problem, theta):
    cost, gradient = loop(problem, theta)
    gradient[[2, 5]] = NAN, INF
    return cost, gradient


def squares(theta):
    return float(theta @ theta), 2.0 * theta


MAKERS = {
    "agree": lambda: cross_check(PROBLEM, THETA, ["loop", "finite-difference"]),
    "disagree": lambda: cross_check(PROBLEM, THETA, {"loop": loop, "<mine> & co": broken, "jax": loop}),
    "tie": lambda: check_gradient(squares, np.ones(2), reference=lambda t: 3.0 * jnp.sum(t)),
    "inconclusive": lambda: cross_check(PROBLEM, THETA, ["loop"]),
    "NaN": lambda: check_gradient(lambda t: (NAN, t), np.ones(2)),
    "Inf": lambda: check_gradient(lambda t: (INF, {"a": NAN * t["a"]}), {"a": np.ones(2, dtype=np.float32)}),
}


@cache
def report_of(name):
    return MAKERS[name]()


@pytest.fixture
def report(request):
    return report_of(request.param)


each_report = pytest.mark.parametrize("report", MAKERS, indirect=True)


def parts(value):
    yield value
    if isinstance(value, dict):
        for key, content in value.items():
            yield key
            yield from parts(content)
    elif isinstance(value, list):
        for content in value:
            yield from parts(content)


@each_report
def test_a_program_gets_strict_json(report):
    document = report.to_dict()
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert {type(part) for part in parts(document)} <= {dict, list, str, int, float, bool, type(None)}


@each_report
def test_the_verdict_comes_first(report):
    first = str(report).splitlines()[0]
    assert first.startswith(report.verdict.upper())
    assert all(row.name in first for row in report.sources)


@each_report
def test_a_notebook_shows_the_same_lines_and_nothing_gets_out_of_its_place(report):
    page = report._repr_html_()
    assert set(re.findall(r"</?(\w+)", page)) <= {"div", "strong", "pre"}
    text = html.unescape(re.sub(r"<[^>]*>", "", page))
    for line in str(report).splitlines():
        assert line.strip() in text


def test_a_name_cannot_smuggle_markup_into_a_notebook():
    report = replace(report_of("agree"), subject={"sizes": "<script>alert('x')</script>"})
    assert "<script>" not in report._repr_html_()
    assert "&lt;script&gt;" in report._repr_html_()


@each_report
def test_a_report_can_be_sent_to_another_process(report):
    sent = pickle.loads(pickle.dumps(report))
    assert sent.to_dict() == report.to_dict()
    assert str(sent) == str(report)


def finding(value=1.5, expected=1.0, bound=0.25, **keywords):
    return Finding("mine", "jax", "gradient", "Theta1[0, bias]", value, expected, bound, 1, **keywords)


@pytest.mark.parametrize(
    ("value", "expected", "bound", "ratio"),
    [
        (1.5, 1.0, 0.25, 2.0),
        (1.0, 1.5, 0.25, 2.0),
        (1.5, 1.0, 0.0, INF),
        (NAN, 1.0, 0.25, INF),
        (INF, 1.0, 0.25, INF),
        (INF, INF, 0.25, INF),
    ],
)
def test_how_far_beyond_the_bound(value, expected, bound, ratio):
    assert finding(value, expected, bound).ratio == ratio


def test_a_finding_with_nothing_in_it_cannot_be_made():
    with pytest.raises(ValueError, match="a finding about mine needs a place where it differs from jax"):
        Finding("mine", "jax", "gradient", "x", value=1.0, expected=2.0, bound=0.1, coordinates=0)


def test_sources_that_answer_alike_are_told_together_and_no_others():
    factor = (note(Kind.FACTOR, "Theta1", factor=2.0),)
    one = Finding("a", "jax", "gradient", "Theta1[0, 1]", 2.0, 1.0, 1e-12, 3, ("Theta1 weights",), factor)
    findings = [
        one,
        replace(one, source="b", value=2.0 + 1e-12),
        replace(one, source="c", value=2.1),
        replace(one, source="d", coordinates=2),
        replace(one, source="e", diagnosis=()),
    ]
    assert [finding.source for finding in share_lines(findings)] == ["a, b", "c", "d", "e"]
    assert share_lines([]) == []
