"""One function called on many problems, from the command line and from Python."""

import functools
import html
import json

import pytest

from harness.facts import message_table
from harness.facts.kinds import Kind
from harness.grading.function_diagnosis import diagnose as diagnose_function
from harness.isolation.limits import ENDINGS
from tests.grading.handed_in import LEARNS
from tests.grading.submissions import COURSE, RIGHT, WRONG, apart, at_start, keeping, kinds, returning

SOURCES = """\
import numpy as np
from harness import FAULTS, SOURCES, NotApplicable
def right(problem, theta): return SOURCES["vectorized"](problem, theta)
def signs(problem, theta): return FAULTS["wrong-sign"].source(problem, theta)
def choosy(problem, theta):
    if problem.m != 1000: raise NotApplicable("it takes a thousand examples")
    return right(problem, theta)
def changes(problem, theta): return FAULTS["argument-mutated"].source(problem, theta)
def noisy(problem, theta):
    cost, gradient = right(problem, theta)
    return cost, gradient * (1 + 1e-3 * np.random.default_rng().standard_normal(gradient.shape))
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    texts = {
        "right.py": COURSE,
        "wrong.py": WRONG["no_slope.py"][0],
        "two.py": WRONG["two_at_once.py"][0],
        "by_rows.py": RIGHT["by_rows.py"][0],
        "gradient_only.py": returning("grad"),
        "cost_only.py": returning("J"),
        "wrong_cost_only.py": returning("J / 2"),
        "learns.py": LEARNS,
        "costless.py": returning("J * float('nan'), grad"),
        "in_float32.py": returning("J, np.float32(1.0001) * grad.astype(np.float32)"),
        "raises.py": at_start("assert X.shape[0] % 6"),
        "one_example.py": at_start("X = X if len(X) > 1 else X / 2"),
        "kept.py": keeping("a1 @ Theta1.T", "X.tobytes()"),
        "squeezes.py": at_start("X.squeeze().shape[1]"),
        "unknown.py": apart("b2 W2 W1 b1"),
        "my_sources.py": SOURCES,
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "folder.py").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def diagnose(run_command):
    return functools.partial(run_command, "diagnose")


FOUND = {  # the verdict, the bugs, and kinds of what homework finds; the problems answered, and why others are not
    "right.py": ("agree", "4 of 4"),
    "wrong.py": ("disagree slope-missing", "4 of 4"),
    "two.py": ("disagree wrong-sign lambda-not-over-m", "4 of 4"),
    "by_rows.py": ("agree", "4 of 4"),
    "gradient_only.py": ("inconclusive part-missing", "4 of 4"),
    "cost_only.py": ("inconclusive part-missing", "4 of 4"),
    "wrong_cost_only.py": ("disagree part-missing", "4 of 4"),
    "learns.py": ("agree", "4 of 4"),  # of a course without a regulariser
    "costless.py": ("disagree cost-not-finite", "4 of 4"),
    "in_float32.py": ("disagree", "4 of 4"),
    "my_sources.py:right": ("agree", "4 of 4"),
    "my_sources.py:signs": ("disagree wrong-sign", "4 of 4"),
    "my_sources.py:changes": ("disagree argument-changed", "4 of 4"),
    "my_sources.py:noisy": ("disagree not-repeatable", "4 of 4"),
    "my_sources.py:choosy": ("inconclusive few-answers", "0 of 4 problems-skipped"),
    "raises.py": ("disagree", "3 of 4 call-failed"),
    # of the problems of a grade, those on which it is wrong or fails come to the four that are drawn
    "one_example.py": ("disagree wrong-somewhere", "5 of 5"),
    "kept.py": ("disagree not-repeatable", "5 of 5"),
    "squeezes.py": ("agree", "3 of 6 call-failed"),  # one that is drawn has one input
    "unknown.py": ("inconclusive convention-unknown", "4 of 4"),
    "harness.sources.loop:cost_and_gradient": ("agree", "4 of 4"),
}


@pytest.mark.parametrize("target", FOUND)
def test_a_function_is_diagnosed(target, folder):
    found = diagnose_function(target, problems=4)
    bugs = [name for bugs in found.bugs for name in bugs]
    answered = f"{found.answered} of {found.problems}"
    assert " ".join([found.verdict, *bugs, *kinds(found.diagnosis)]) == FOUND[target][0]
    assert " ".join([answered, *(note.kind for note in found.notes)]) == FOUND[target][1]
    assert ("θ and gradient by rows" in found.conventions) == (target == "by_rows.py")


@pytest.mark.parametrize(("target", "code"), [("right.py", 0), ("wrong.py", 1), ("my_sources.py:choosy", 3)])
def test_the_exit_code_is_the_verdict_s(target, code, folder, diagnose):
    assert diagnose(target, "--problems", "2")[0] == code


def test_the_document_holds_the_bugs(folder, diagnose):
    code, out, _ = diagnose("two.py", "--problems", "3", "--json", "--sizes", "3,4,2", "--l2", "2")
    document = json.loads(out)
    assert (code, document["schema"]) == (1, "harness.diagnosis/2")
    assert document["bugs"] == [["wrong-sign", "lambda-not-over-m"]]
    assert {"kind", "severity", "where", "data", "text"} == set(document["diagnosis"][0])
    assert document["coordinates"] == 3 * (4 * 4 + 2 * 5)


REFUSED = {
    "rihgt.py": "there is no file rihgt.py; did you mean 'right.py'?",
    "right.py:sigmoid": "right.py:sigmoid cannot be called. ",
    "harness.sources.loop:cost_and_gradiend": "did you mean 'cost_and_gradient'?",
    "no.module:f": "cannot import 'no.module'",
    "right.py --l2 1e308": "of 25 problems, none has a cost that fits into float64; choose a smaller --l2",
    "right": "'right' names no function; give FILE.py",
    "math:sqrt": "is no function of a Python file",
    "folder.py": "folder.py is a folder; give one of its files",
    "right.py --output softmax": "the course's signature is for sigmoid units",
    "my_sources.py:right --output sofmax": "did you mean 'softmax'?",
}


@pytest.mark.parametrize("arguments", REFUSED)
def test_what_cannot_be_called_is_refused_in_a_line(arguments, folder, diagnose):
    code, _, err = diagnose(*arguments.split())
    assert code == 2
    assert REFUSED[arguments] in err
    assert "Traceback" not in err


def test_a_report_is_one_page_with_every_problem_and_what_was_found(folder, diagnose):
    (folder / "<b>.py").write_text(WRONG["no_slope.py"][0])
    code, *_ = diagnose("<b>.py", "--problems", "4", "--html", "page.html")
    page = (folder / "page.html").read_text()
    assert code == 1
    assert html.escape(message_table.say(diagnose_function("<b>.py", problems=4).diagnosis[0])) in page
    assert "&lt;b&gt;.py, called on 4 of 4 problems" in page
    assert "<b>.py" not in page
    assert page.count('<tr class="disagree">') == 4
    assert '<svg role="img" aria-label="Theta1:' in page
    assert diagnose("right.py", "--problems", "2", "--html", "page.html")[0] == 0
    assert '<tr class="disagree">' not in (folder / "page.html").read_text()


def test_check_draws_problems_like_the_homework(run_command):
    like = "check --networks 3 --sizes 6,4,3 --output softmax --l2 0 --ordinary"
    code, out, _ = run_command(*like.split(), "--sources", "loop,finite-difference", "--json")
    assert code == 0
    assert json.loads(out)["networks"] == 3  # though λ = 0 hides bugs on each of them


@pytest.mark.more
def test_a_function_that_never_returns_is_called_no_more_than_some_times(tmp_path):
    calls = tmp_path / "calls"
    text = f"def backprop(problem, theta):\n    open({str(calls)!r}, 'a').write('x')\n    while True: pass\n"
    (tmp_path / "mine.py").write_text(text)
    found = diagnose_function(f"{tmp_path / 'mine.py'}:backprop", 8, timeout=0.3)
    assert (found.verdict, found.answered, found.problems) == ("inconclusive", 0, 8)
    (times,) = [fact.data["times"] for fact in found.notes if fact.kind == Kind.CALL_FAILED]
    assert times == ENDINGS
    assert calls.read_text().count("x") <= ENDINGS + 2  # and one exercise, with and without λ


@pytest.mark.usefixtures("folder")
def test_a_wrong_gradient_is_compared_on_every_problem_that_a_right_one_is():
    right, wrong = (diagnose_function(name) for name in ("right.py", "wrong.py"))
    assert (wrong.answered, wrong.coordinates) == (right.answered, right.coordinates)
