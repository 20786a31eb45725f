"""harness lesson, and --report of the other commands: what they write, and where they stop."""

import json

import numpy as np
import pytest

from harness.teaching import lesson, lesson_results

QUICK = ["--networks", "3", "--seed", "11", "--sources", "loop,finite-difference"]


@pytest.fixture
def run(run_command, monkeypatch, tmp_path):
    """`run_command`, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return run_command


@pytest.fixture
def asked(monkeypatch):
    """What the lesson is asked for; nothing is computed."""
    calls = []

    def numbers(size, progress, folder):
        progress("trainings", 0, 1)
        calls.append((size, folder))
        return {"n": 1}

    monkeypatch.setattr(lesson, "lesson_data", numbers)
    return calls


def test_lesson_writes_one_page_and_says_where(run, asked, tmp_path):
    code, out, err = run("lesson", "-o", tmp_path / "made" / "here")
    assert code == 0
    assert out.strip() == str(tmp_path / "made" / "here" / "lesson.html")
    assert '{"n":1}' in (tmp_path / "made" / "here" / "lesson.html").read_text(encoding="utf-8")
    assert "trainings: 1 of 1" in err
    assert asked == [(lesson.FULL, lesson_results.cache_folder())]


def test_a_quick_and_fresh_lesson_is_small_and_keeps_nothing(run, asked):
    assert run("lesson", "--quick", "--fresh")[0] == 0
    assert asked == [(lesson.QUICK, None)]


def test_lesson_answers_json(run, asked):
    assert json.loads(run("lesson", "--json")[1]) == {"files": ["out/lesson.html"]}


def test_a_folder_that_cannot_be_made_is_found_before_anything_is_computed(run, asked, tmp_path):
    (tmp_path / "file").write_text("")
    code, _, err = run("lesson", "-o", tmp_path / "file" / "below")
    assert code == 2
    assert "choose another" in err
    assert asked == []


def test_a_notebook_without_jupyter_says_what_to_install(run, asked, monkeypatch):
    monkeypatch.setattr(lesson, "find_spec", lambda name: None if name == "nbclient" else name)
    code, _, err = run("lesson", "--notebook")
    assert code == 2
    assert "nbclient" in err
    assert "[notebook]" in err
    assert asked == []


def test_a_check_s_report_is_written_beside_the_verdict(run, tmp_path):
    code, _, _ = run("check", *QUICK, "--report", "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert code == 0
    assert '<h1 class="agree"' in page
    assert "3 networks, 2 sources: 3 agree" in page
    assert "<dt>seed</dt><dd>11</dd>" in page


def test_a_check_that_fails_is_1_and_its_report_is_written(run, tmp_path):
    sources = "bug:wrong-sign,vectorized,finite-difference"
    code, _, _ = run("check", "--networks", 2, "--sources", sources, "--report", "report.html")
    assert code == 1
    assert '<h1 class="disagree"' in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_a_training_s_report_shows_its_curves(run, tmp_path):
    rng = np.random.default_rng(0)
    np.savez("digits.npz", X=rng.random((40, 9)), y=np.repeat(np.arange(10), 4))
    assert run("train", "--data", "digits.npz", "--hidden", "3", "--max-iter", 2, "--report", "report.html")[0] == 0
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "9-3-10" in page
    assert "<dd>digits.npz</dd>" in page
    assert page.count("<img") > 3
