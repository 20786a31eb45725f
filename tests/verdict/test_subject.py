"""A new kind of subject is one small object: here, the coefficients of a polynomial."""

from collections.abc import Callable

import numpy as np

from harness.facts.fact import note
from harness.facts.kinds import Kind
from harness.verdict.comparison import Answer, Block, compare_all
from harness.verdict.consensus import find_consensus
from harness.verdict.judgement import judge
from harness.verdict.subject import Subject

# -- the whole of what a kind of check needs ---------------------------------------------------------------------------


class Coefficients(Subject):
    """The derivative of Σ c_k x^k by its coefficients, lowest power first."""

    def __init__(self, c):
        self.c = np.asarray(c, dtype=float)
        self.blocks = [Block("low powers", np.arange(2)), Block("high powers", np.arange(2, len(self.c) - 1))]

    def label(self, i):
        return f"x^{i}"

    def describe(self):
        return {"degree": len(self.c) - 1}

    def explain(self, wrong, right, at_odds):
        return [note(Kind.ZERO, "the power")] if np.array_equal(wrong.gradient, self.c[1:]) else []


def check_derivative(c, sources: dict[str, Callable]):
    subject = Coefficients(c)
    value = float(subject.c.sum())  # at x = 1
    bar = 4.0 * 2.0**-53 * np.abs(subject.c).sum() * np.ones(len(c) - 1) * len(c)
    answers = [Answer(name, name, value, bar[0], np.asarray(f(subject.c)), bar) for name, f in sources.items()]
    pairs = compare_all(answers, subject.blocks)
    return judge(subject, answers, pairs, (), find_consensus({name: name for name in sources}, pairs))


# -- and what it gets --------------------------------------------------------------------------------------------------

SOURCES = {
    "numpy": np.polynomial.polynomial.polyder,
    "by hand": lambda c: np.arange(1, len(c)) * c[1:],
    "by a matrix": lambda c: np.diag(np.arange(1.0, len(c)), k=1)[:-1] @ c,
}


def test_right_sources_agree():
    report = check_derivative([5.0, 0.25, -3.0, 1.0, 0.125], SOURCES)
    assert (report.verdict, report.decided_share, report.subject) == ("agree", 1.0, {"degree": 4})
    assert {row.verdict for row in report.pairs} == {"agree"}


def test_the_odd_one_out_is_named_with_place_and_explanation():
    report = check_derivative([5.0, 0.25, -3.0, 1.0, 0.125], SOURCES | {"mine": lambda c: c[1:]})
    assert (report.verdict, report.outliers, report.tie) == ("disagree", ("mine",), False)
    (finding,) = report.findings
    assert (finding.where, finding.value, finding.expected) == ("x^1", -3.0, -6.0)
    assert (finding.coordinates, finding.blocks) == (3, ("low powers", "high powers"))
    assert finding.diagnosis == (note(Kind.ZERO, "the power"),)
    assert "the odd one out is mine" in str(report).splitlines()[0]
    assert "mine" in report._repr_html_()
    assert report.to_dict()["findings"][0]["where"] == "x^1"


def test_two_against_two_is_a_tie():
    wrong = {"mine": lambda c: c[1:], "yours": lambda c: c[1:]}
    right = {name: SOURCES[name] for name in ("numpy", "by hand")}
    report = check_derivative([5.0, 0.25, -3.0, 1.0, 0.125], right | wrong)
    assert (report.verdict, report.outliers, report.tie) == ("disagree", (), True)
