"""harness lesson, and --html of the other commands: what they write, and where they stop."""

import json

import numpy as np
import pytest

from harness.teaching import lesson


@pytest.fixture
def run(run_command, monkeypatch, tmp_path):
    """`run_command`, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return run_command


@pytest.fixture
def asked(monkeypatch):
    """The sizes and cache folders of lessons; nothing is computed."""
    calls = []

    def numbers(size, progress, folder):
        progress("trainings", 1, 2)
        calls.append((size, folder))
        return {"n": 1}

    monkeypatch.setattr(lesson, "lesson_data", numbers)
    return calls


@pytest.mark.parametrize(
    ("more", "size", "folder"),
    [([], lesson.FULL, lesson.cache_folder()), (["--quick", "--fresh"], lesson.QUICK, None)],
)
def test_lesson_writes_one_page_and_prints_its_place(run, asked, tmp_path, more, size, folder):
    made = tmp_path / "made" / "here" / "lesson.html"
    code, out, err = run("lesson", "-o", made.parent, *more, "--json")
    assert (code, json.loads(out)) == (0, {"files": [str(made)]})
    assert '{"n":1}' in made.read_text(encoding="utf-8")
    assert "trainings: 1 of 2" in err
    assert asked == [(size, folder)]


def test_a_notebook_without_jupyter_says_what_to_install(run, asked, monkeypatch):
    monkeypatch.setattr(lesson, "find_spec", lambda name: None if name == "nbclient" else name)
    code, _, err = run("lesson", "--notebook")
    assert code == 2
    assert "nbclient" in err
    assert "[notebook]" in err
    assert asked == []


@pytest.mark.parametrize(
    ("sources", "code", "verdict"),
    [("loop,finite-difference", 0, "agree"), ("bug:wrong-sign,loop,finite-difference", 1, "disagree")],
)
def test_a_check_s_report_is_written_beside_the_verdict(run, tmp_path, sources, code, verdict):
    ended, _, _ = run("check", "--networks", 3, "--seed", 11, "--sources", sources, "--html", "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert ended == code
    assert f'<h1 class="{verdict}"' in page
    assert "<dt>seed</dt><dd>11</dd>" in page


@pytest.mark.more
def test_a_training_s_report_shows_its_curves(run, tmp_path):
    rng = np.random.default_rng(0)
    np.savez("digits.npz", X=rng.random((40, 9)), y=np.repeat(np.arange(10), 4))
    assert run("train", "--data", "digits.npz", "--hidden", "3", "--max-iter", 2, "--html", "report.html")[0] == 0
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "9-3-10" in page
    assert "<dd>digits.npz</dd>" in page
    assert page.count("<img") > 3
