"""The lesson's numbers, held to other ways to come to them."""

import json
import math

import numpy as np
import pytest

from harness import SOURCES
from harness.sources.bug_zoo import BUGS
from harness.study.checkers import ALARM, HARNESS, PEERS
from harness.study.zoo_cases import CORRECT
from harness.study.zoo_study import SCHEMA
from harness.teaching import trained_bugs
from harness.teaching.detection_limits import (
    ENOUGH,
    SWITCHES,
    blind_spots,
    carried_study,
    detection,
    kink,
    naive_check,
    problem_with,
    saturated,
    unseen,
)
from harness.teaching.lesson import cache_folder, compute_once, map_in_processes
from harness.teaching.trained_bugs import Training, as_bytes, check_network, checker_verdicts
from harness.teaching.worked_example import (
    MOVED,
    STEPS,
    by_increments,
    complex_step,
    problem_and_theta,
    step_sizes,
    worked_example,
)
from reference.namespaces import NUMPY

# Part 1


def test_the_worked_example_holds_every_number_of_its_network():
    found, (problem, theta) = worked_example(), problem_and_theta()
    assert problem.network.sizes == (2, 2, 1)
    assert problem.l2 == 0.0
    sigmoid = lambda z: 1.0 / (1.0 + np.exp(-z))  # noqa: E731
    b1, b2, w11, w21, w12, w22, b, v1, v2 = theta
    (x1, x2), y = found["x"], found["y"]
    z = [b1 + w11 * x1 + w12 * x2, b2 + w21 * x1 + w22 * x2]
    a = [sigmoid(t) for t in z]
    answer = sigmoid(b + v1 * a[0] + v2 * a[1])
    assert found["z1"] == pytest.approx(z)
    assert found["a1"] == pytest.approx(a)
    assert found["a2"] == pytest.approx([answer])
    assert found["cost"] == pytest.approx(-y * np.log(answer) - (1 - y) * np.log(1 - answer))
    assert found["gradient"][6] == pytest.approx(answer - y)
    assert a[0] != pytest.approx(a[1])  # so that a student who mixes the units up sees it


# Part 2


def test_the_methods_that_subtract_nothing_are_right_at_any_small_step():
    exact = SOURCES["ball"](*problem_and_theta())[1][MOVED]
    for k in range(-16, -8):
        assert complex_step(10.0**k) == pytest.approx(exact, rel=1e-14)
        assert by_increments(10.0**k) == pytest.approx(exact, rel=1e-14)


def test_differences_have_two_sides():
    found = step_sizes()
    error = {
        name: [abs(answer / found["exact"] - 1.0) for answer in answers]
        for name, answers in found["curves"][0]["answers"].items()
    }
    at = {k: i for i, k in enumerate(STEPS)}
    for name, order in (("forward", 1), ("central", 2), ("Richardson", 4)):
        wide, narrow = error[name][at[-1]], error[name][at[-2]]
        assert np.log10(wide / narrow) == pytest.approx(order, abs=0.4)  # truncation
        assert error[name][at[-12]] > 1e3 * min(error[name])  # rounding
    larger = found["curves"][2]["answers"]["central"]
    assert min(abs(answer / found["exact"] - 1.0) for answer in larger) > 1e3 * min(error["central"])
    assert found["best"]["central"]["step"] == 1e-5


# Part 3


def test_the_check_network_is_the_course_s():
    problem, theta = check_network()
    assert problem.network.sizes == (3, 5, 3)
    Theta1, Theta2 = problem.network.unpack(theta)
    assert Theta1[:, 0] == pytest.approx(np.sin(np.arange(1, 6)) / 10.0)  # MATLAB fills by columns
    assert Theta2[:, 0] == pytest.approx(np.sin(np.arange(1, 4)) / 10.0)
    assert problem.X[:, 0] == pytest.approx(np.sin(np.arange(1, 6)) / 10.0)
    assert problem.Y.argmax(axis=1).tolist() == [1, 2, 0, 1, 2]


@pytest.mark.parametrize(("bug", "alarmed"), [(CORRECT, False), (BUGS["wrong-sign"], True)])
def test_a_checker_s_word_fits_its_number(bug, alarmed):
    ours, *others = checker_verdicts(bug, ["course, 1e-9", "cs231n, 10 entries", "scipy check_grad < 1e-4"])
    assert (ours["says"] == ALARM) == alarmed == (ours["number"] > ours["bound"])
    for row in others:
        assert (row["says"] == ALARM) == alarmed == (row["number"] > row["bound"]), row
        assert row["bound"] == PEERS[row["checker"]].bound


@pytest.mark.parametrize(
    ("ratio", "level"),
    [(0.0, 0), (1e-5, 0), (1.1e-4, 1), (0.99, 48), (1.01, 49), (1e30, 254), (np.inf, 254), (np.nan, 255)],
)
def test_a_ratio_as_a_byte_tells_within_from_beyond(ratio, level):
    import base64

    assert list(base64.b64decode(as_bytes(np.array([ratio])))) == [level]


def test_a_training_with_a_bug_is_a_training_with_its_source():
    size = Training(examples=100, held_out=50, line_searches=3)
    right, wrong = (trained_bugs.training_results(bug, size) for bug in (CORRECT, BUGS["wrong-sign"]))
    assert len(right["cost"]) == len(right["accuracy"]) == 4
    assert right["cost"][-1] < right["cost"][0] == wrong["cost"][0]
    assert wrong["cost"][-1] == wrong["cost"][0]  # uphill: no line search succeeds
    held_out = trained_bugs.digits_for(size)[1]
    assert [len(part.y) for part in trained_bugs.digits_for(size)] == [100, 50]
    assert all(held_out.y[row] != read for row, read in right["misread"])
    images = trained_bugs.images_of([row for row, _ in right["misread"]], size)
    assert all(images[str(row)]["written"] == held_out.y[row] for row, _ in right["misread"])


@pytest.mark.more
def test_errors_of_the_zoo_are_relative_to_the_right_gradient():
    errors = {row["name"]: row["error"] for row in trained_bugs.relative_errors(Training(100, 50, 1))}
    assert set(errors) == set(BUGS)
    assert errors["wrong-sign"] > 0.5
    assert 1e-9 < errors["one-entry-1e-6-off"] < 1e-6
    assert errors["argument-mutated"] == 0.0


@pytest.mark.parametrize("processes", [0, pytest.param(2, marks=pytest.mark.more)])
def test_calls_in_other_processes_come_back_in_their_order(processes):
    calls = [(math.hypot, (3.0 * k, 4.0 * k)) for k in range(9)]
    assert list(map_in_processes(calls, processes)) == [5.0 * k for k in range(9)]


def test_what_is_told_of_a_bug_passes_between_processes():
    row = trained_bugs.bug_results("wrong-sign", Training(60, 40, 1), ["course, 1e-9"])
    assert json.loads(json.dumps(row)) == row
    assert row["check"]["verdict"] == "disagree"
    assert [said["checker"] for said in row["checkers"]] == [HARNESS, "course, 1e-9"]


# Part 4


def test_switches_hide_what_cannot_show():
    nothing = (False,) * len(SWITCHES)
    assert unseen(nothing) == ["sigmoid-for-softmax"]  # the output units are sigmoids
    no_lambda, no_theta, one_example, one_unit = (unseen(tuple(i == k for k in range(4))) for i in range(4))
    assert "lambda-not-over-m" in no_lambda
    assert "bias-column-not-dropped" not in no_lambda
    assert "slope-missing" in no_theta
    assert "mean-missing" in one_example
    assert "mean-missing" not in no_theta
    assert "wrong-column-dropped" in one_unit
    found = blind_spots()["unseen"]
    assert len(found) == 16
    for key, names in found.items():  # more switches hide no less
        for i in range(4):
            assert set(found[key[:i] + "0" + key[i + 1 :]]) <= set(names)


def test_a_bug_that_is_unseen_answers_what_correct_code_answers():
    problem, theta = problem_with((True, False, True, False))
    right = CORRECT.source(problem, theta)[1]
    for name in unseen((True, False, True, False)):
        assert BUGS[name].source(problem, theta.copy())[1] == pytest.approx(right, rel=1e-12, abs=1e-15)


def test_the_carried_study_is_summed_by_place_and_kind():
    date, study = carried_study()
    found = detection()
    assert found["date"] == date
    assert study["schema"] == SCHEMA
    bugs = [bug for names in found["places"].values() for bug in names]
    assert sorted(bugs) == sorted(study["bugs"])
    for row in study["checkers"]:
        for kind, rate in row["caught_by_kind"].items():
            counts = np.sum(list(found["caught"][kind][row["name"]].values()), axis=0)
            assert counts.tolist() == [rate["count"], rate["total"]]


# Part 5


@pytest.mark.parametrize("make", [kink, saturated])
@pytest.mark.parametrize("z", [0.7, 2.5])
def test_a_naive_check_passes_right_code_where_nothing_is_special(make, z):
    found = naive_check(*make(z))
    assert not found["alarm"]
    assert found["error"] < ENOUGH


@pytest.mark.parametrize("z", [-0.5, 0.3, 4.0])
def test_the_two_cases_are_the_functions_that_their_words_say(z):
    problem, theta = kink(z)
    assert problem.cost(NUMPY, theta) == pytest.approx(0.5 * (max(z, 0.0) + 1.0) ** 2)
    problem, theta = saturated(z)
    assert problem.cost(NUMPY, theta) == pytest.approx(np.log1p(np.exp(1.0 / (1.0 + np.exp(-z)))))


# Part 7, and what keeps results


def test_a_result_is_kept_until_its_arguments_change(tmp_path):
    made = []

    def compute(*arguments):
        made.append(arguments)
        return {"n": len(made)}

    def results(name, *arguments, folder=tmp_path):
        seen = []
        found = compute_once({name: (compute, arguments)}, folder, 0, lambda *step: seen.append(step))
        assert seen in ([], [("lesson", 1, 1)])
        return found

    assert results("a", 1) == results("a", 1) == {"a": {"n": 1}}
    assert results("a", 2) == {"a": {"n": 2}}
    assert results("b", 1) == {"b": {"n": 3}}
    assert results("a", 1, folder=None) == {"a": {"n": 4}}
    both = {"a": (compute, (1,)), "c": (compute, ())}
    assert compute_once(both, tmp_path, 0) == {"a": {"n": 1}, "c": {"n": 5}}
    assert made == [(1,), (2,), (1,), (1,), ()]


def test_a_damaged_result_is_computed_anew_and_a_file_in_the_folder_s_place_keeps_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = cache_folder()
    assert folder.is_relative_to(tmp_path)

    def result(number, folder=folder):
        return compute_once({"a": (lambda _: number, (1,))}, folder, 0)["a"]

    result(1)
    (file,) = folder.iterdir()
    for damaged in ("{", file.read_text().replace('"result": 1', '"result": 3')):
        file.write_text(damaged)
        assert result(2) == 2
        assert result(4) == 2
    assert result(3, file / "below") == 3
