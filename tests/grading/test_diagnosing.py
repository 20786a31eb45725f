"""One function asked on many problems, from the command line and from Python."""

import functools
import json

import pytest

from tests.grading.submissions import COURSE, RETURN, RIGHT, WRONG, course

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
        "costless.py": course((RETURN, "    return J * float('nan'), grad\n")),
        "in_float32.py": course((RETURN, "    return J, np.float32(1.0001) * grad.astype(np.float32)\n")),
        "my_sources.py": SOURCES,
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def diagnose(run_command):
    return functools.partial(run_command, "diagnose")


SAID = {  # the exit code is the verdict's
    "right.py": (0, "AGREE: right.py, asked on 6 of 6 problems"),
    "wrong.py": (1, "slope-missing explains "),
    "wrong.py:nn_cost_function": (1, "slope-missing explains "),
    "two.py": (1, "wrong-sign and lambda-not-over-m together explain "),
    "by_rows.py": (0, "convention: θ and gradient by rows"),
    "costless.py": (1, "the cost is not finite"),
    "in_float32.py": (1, "the cost is right"),
    "my_sources.py:right": (0, "AGREE"),
    "my_sources.py:signs": (1, "wrong-sign explains "),
    "my_sources.py:changes": (1, "changes theta in place (by up to "),
    "my_sources.py:noisy": (1, "it answers differently when it is asked twice"),
    "harness.sources.loop:cost_and_gradient": (0, "AGREE"),
}


@pytest.mark.parametrize("target", SAID)
def test_a_function_is_diagnosed(target, folder, diagnose):
    code, out, err = diagnose(target, "--problems", "6")
    assert (code, SAID[target][1] in out) == (SAID[target][0], True), (out, err)


def test_where_hardly_anything_is_answered_nothing_is_agreed(folder, diagnose):
    code, out, _ = diagnose("my_sources.py:choosy", "--problems", "4")
    assert code == 3
    assert "INCONCLUSIVE: my_sources.py:choosy, asked on 0 of 4 problems" in out
    assert "it says of 4 problems that they are not for it" in out


def test_the_document_holds_the_bugs(folder, diagnose):
    code, out, _ = diagnose("two.py", "--problems", "3", "--json", "--sizes", "3,4,2", "--l2", "2")
    document = json.loads(out)
    assert code == 1
    assert document["bugs"] == [["wrong-sign", "lambda-not-over-m"]]
    assert document["coordinates"] == 3 * (4 * 4 + 2 * 5)


REFUSED = {
    "rihgt.py": "there is no file rihgt.py; did you mean 'right.py'?",
    "right.py:nn_cost_funktion": "did you mean 'nn_cost_function'?",
    "right.py:sigmoid": "there is no function sigmoid",
    "harness.sources.loop:cost_and_gradiend": "did you mean 'cost_and_gradient'?",
    "no.module:f": "cannot import 'no.module'",
    "right.py --output softmax": "the course's signature is for sigmoid units",
    "right.py --output sofmax": "did you mean 'softmax'?",
    "right.py --sizes 3,4": "--sizes takes three, not 2",
    "right.py --sizes three": "--sizes takes whole numbers with commas",
    "right.py --sizes 3,0,2": "each 1 or more",
}


@pytest.mark.parametrize("arguments", REFUSED)
def test_what_cannot_be_asked_is_refused_in_a_line(arguments, folder, diagnose):
    code, _, err = diagnose(*arguments.split())
    assert code == 2
    assert REFUSED[arguments] in err
    assert "Traceback" not in err


def test_a_report_is_one_page_with_every_problem_and_what_was_found(folder, diagnose):
    (folder / "<b>.py").write_text(WRONG["no_slope.py"][0])
    code, *_ = diagnose("<b>.py", "--problems", "4", "--report", "page.html")
    page = (folder / "page.html").read_text()
    assert code == 1
    assert "slope-missing explains " in page
    assert "&lt;b&gt;.py, asked on 4 of 4 problems" in page
    assert "<b>.py" not in page
    assert page.count('<tr class="disagree">') == 4
    assert '<svg role="img" aria-label="Theta1:' in page
    assert diagnose("right.py", "--problems", "2", "--report", "page.html")[0] == 0
    assert '<tr class="disagree">' not in (folder / "page.html").read_text()


def test_check_draws_problems_like_the_homework(run_command):
    like = "check --networks 3 --sizes 6,4,3 --output softmax --l2 0 --ordinary"
    code, out, _ = run_command(*like.split(), "--sources", "loop,finite-difference", "--json")
    assert code == 0
    assert json.loads(out)["networks"] == 3  # though λ = 0 hides bugs on each of them
