"""Submissions graded: right ones in any convention pass, wrong ones get their bug, broken ones a sentence."""

import os
import time
from pathlib import Path

import numpy as np
import pytest

from harness.facts.fact import doubt
from harness.facts.kinds import Kind
from harness.grading.convention_search import find_interface
from harness.grading.grade import AGREE, DISAGREE, ERROR, INCONCLUSIVE
from harness.grading.rubric import Rubric
from harness.grading.submission_files import Submission, read_submission
from harness.grading.submission_grading import grade, grade_folder, judge
from harness.grading.submission_process import CallFailed, ChangedArguments, Returned
from harness.isolation.values import copies, differ
from tests.grading import submissions
from tests.grading.submissions import BROKEN, COURSE, LOOP, PENALTY, RETURN, apart, course

DEEP = os.environ.get("HARNESS_PROFILE") == "deep"

NEEDS_A_PROCESS = {"globals.py", "own_examples.py", "own_sizes.py", "trains_at_import.py"}

ASKED_IN_A_PROCESS = sorted(NEEDS_A_PROCESS if DEEP else NEEDS_A_PROCESS - {"own_examples.py"})  # which takes 5,000


class Here:
    """A submission's functions called in this process, which is faster. Processes of their own are tried below."""

    def __init__(self, submission: Submission):
        self.submission = submission
        self.names: dict = {}
        exec(compile(dict(submission.texts)[submission.main], submission.main, "exec"), self.names)

    def call(self, name, *arguments):
        before = copies(arguments)
        try:
            with np.errstate(all="ignore"):
                value = self.names[name](*arguments)
        except Exception as error:  # noqa: BLE001  whatever a student's function raises
            fact = doubt(Kind.CALL_FAILED, function=name, event=f"raised {type(error).__name__}: {error}")
            raise CallFailed(fact, error=type(error).__name__) from None
        left = {i: now for i, now in enumerate(arguments) if differ(before[i], now)}
        given = [now if kept is None else kept for kept, now in zip(before, arguments)]
        return Returned(value, (ChangedArguments(name, given, left),) if left else ())


def written(folder: Path, name: str, text: str) -> Submission:
    (folder / name).write_text(text, encoding="utf-8")
    submission = read_submission(folder / name)
    assert submission is not None
    return submission


def graded_here(folder: Path, name: str, text: str, rubric: Rubric | None = None):
    process = Here(written(folder, name, text))
    return judge(process, find_interface(process), rubric or Rubric())  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("name", [name for name in submissions.RIGHT if name not in NEEDS_A_PROCESS])
@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")  # of np.matrix, which students use
def test_a_right_submission_passes_in_any_convention(name, tmp_path):
    text, conventions = submissions.RIGHT[name]
    grade = graded_here(tmp_path, name, text)
    assert (grade.verdict, grade.cost, grade.gradient, grade.regularised) == (AGREE, "right", "right", "right")
    assert grade.points == 100.0
    assert list(grade.conventions) == conventions
    assert grade.diagnosis == ()
    assert grade.smallest is None


@pytest.mark.parametrize("name", submissions.WRONG)
def test_a_wrong_submission_gets_its_bug(name, tmp_path):
    text, bug = submissions.WRONG[name]
    grade = graded_here(tmp_path, name, text)
    assert grade.verdict == DISAGREE
    assert bug in grade.diagnosis[0]
    assert "explain" in grade.diagnosis[0]
    assert 0.0 < grade.points < 100.0
    assert grade.smallest is not None


PARTS = {  # what is right, of cost, gradient and regularisation
    "sign.py": "right wrong right",
    "no_lambda.py": "right right wrong",
    "no_penalty.py": "right right wrong",
    "half_cost.py": "wrong right right",
    "two_at_once.py": "right wrong wrong",
}


@pytest.mark.parametrize("name", PARTS)
def test_each_part_is_judged_by_itself(name, tmp_path):
    grade = graded_here(tmp_path, name, submissions.WRONG[name][0])
    assert f"{grade.cost} {grade.gradient} {grade.regularised}" == PARTS[name]


SEEN_IN_COSTS = {  # of costs that no bug of the zoo explains
    "the last example adds nothing to it": (LOOP, "range(m)", "range(m - 1)"),
    "the first example adds nothing to it": (LOOP, "range(m)", "range(1, m)"),
    "the term (1 - y) log(1 - h) has the wrong sign": (COURSE, "np.log(h) + (1", "np.log(h) - (1"),
    "what λ adds to it is m² times too large, as": (COURSE, "/ (2 * m) *", "/ 2 * m *"),
    "what λ adds to it is divided by m twice": (COURSE, "/ (2 * m) *", "/ (2 * m * m) *"),
    "the last example adds nothing to it and what λ adds to it is m² times": (
        LOOP,
        "range(m)",
        "range(m - 1)",
        "/(2*m)*",
        "/2*m*",
    ),
}


@pytest.mark.parametrize("said", SEEN_IN_COSTS)
def test_what_is_wrong_with_a_cost_is_seen_where_no_bug_of_the_zoo_explains_it(said, tmp_path):
    text, *changes = SEEN_IN_COSTS[said]
    for old, new in zip(changes[::2], changes[1::2]):
        text = text.replace(old, new)
    grade = graded_here(tmp_path, "a.py", text)
    assert grade.verdict == DISAGREE
    assert grade.diagnosis[0].startswith(f"the cost is wrong: {said}")


def test_differences_for_a_gradient_are_told_as_such_and_no_bug_is_near_them(tmp_path):
    differences = """
def by_differences(p, n, h, K, X, y, lam):
    J = lambda p: nn_cost_function(p, n, h, K, X, y, lam)[0]
    return J(p), np.array([(J(p + e) - J(p - e)) / 2e-4 for e in 1e-4 * np.eye(len(p))])
"""
    process = Here(written(tmp_path, "a.py", COURSE + differences))
    ways = find_ways(process, "by_differences")  # pyright: ignore[reportArgumentType]
    ways.problems = ways.problems[:4]  # without the course's own 10,285 parameters
    grade = judge(process, ways, Rubric())  # pyright: ignore[reportArgumentType]
    assert (grade.verdict, grade.cost, grade.gradient) == (DISAGREE, "right", "wrong")
    assert "a finite difference" in grade.diagnosis[1]
    assert grade.diagnosis[2].endswith("no bug of the zoo, alone or with another, explains it")


JAX_COST = """
import jax
import jax.numpy as jnp
def cost(params, X, y, lam):
    T1, T2 = params
    m = X.shape[0]
    A = jnp.c_[jnp.ones(m), jax.nn.sigmoid(jnp.c_[jnp.ones(m), X] @ T1.T)]
    Y, Z = jax.nn.one_hot(y - 1, T2.shape[0]), A @ T2.T
    J = -jnp.sum(Y * jax.nn.log_sigmoid(Z) + (1 - Y) * jax.nn.log_sigmoid(-Z)) / m
    return J + lam / (2 * m) * (jnp.sum(T1[:, 1:]**2) + jnp.sum(T2[:, 1:]**2))
"""


def test_what_jax_differentiates_in_its_own_precision_is_right(tmp_path):
    found = grade(written(tmp_path, "a.py", JAX_COST + "gradient = jax.jit(jax.grad(cost))\n"), timeout=60.0)
    assert (found.verdict, found.cost, found.gradient) == (AGREE, "right", "right"), found.diagnosis
    assert "single precision (float32)" in found.conventions


def test_a_cost_alone_in_single_precision_is_right(tmp_path):
    single = course(("    return J, grad", "    return (J * np.ones(1)).astype('f4')[0]"))
    found = graded_here(tmp_path, "a.py", single.replace("'f4'", "np.dtype('f' + '4')"))
    assert (found.verdict, found.cost, found.gradient) == (INCONCLUSIVE, "right", "absent")


def test_what_answers_nothing_is_told_so_in_the_convention_in_which_it_runs(tmp_path):
    grade = graded_here(
        tmp_path, "a.py", course(("np.eye(num_labels)[np.ravel(y) - 1]", "0 * y[:, :1] + y"), (RETURN, ""))
    )
    assert (grade.verdict, grade.cost) == (ERROR, "absent")
    assert grade.diagnosis[0].startswith("nn_cost_function answers nothing (None)")


def test_half_of_the_regularisation_is_worth_half(tmp_path):
    whole = graded_here(tmp_path, "a.py", COURSE)
    half = graded_here(tmp_path, "b.py", course((PENALTY, "")))
    assert whole.points - half.points == 10.0


def test_a_missing_gradient_is_inconclusive(tmp_path):
    grade = graded_here(tmp_path, "a.py", course((RETURN, "    return J\n")))
    assert (grade.verdict, grade.cost, grade.gradient) == (INCONCLUSIVE, "right", "absent")
    assert grade.diagnosis == ("no gradient was answered; what is there is right",)


def test_a_cost_in_words_is_none_and_what_is_there_is_judged(tmp_path):
    grade = graded_here(tmp_path, "a.py", course((RETURN, "    return '%.4f' % J, grad\n")))
    assert (grade.verdict, grade.cost, grade.gradient) == (INCONCLUSIVE, "absent", "right")
    assert grade.conventions == ("more answered than a gradient, and no cost",)


def test_a_convention_that_equals_a_bug_is_said_to(tmp_path):
    grade = graded_here(tmp_path, "a.py", submissions.RIGHT["by_rows.py"][0])
    assert "asked in the course's own way, c-order-throughout explains the cost and 43 of 43" in grade.notes[0]


@pytest.mark.parametrize("name", ["in_turn.py", "blocks.py", "from_0.py", "ones_in_x.py"])
def test_what_explains_nothing_in_the_courses_own_way_is_not_told_of_what_is_right(name, tmp_path):
    notes = graded_here(tmp_path, name, submissions.RIGHT[name][0]).notes
    assert not any("no bug" in note or "no answer" in note for note in notes)


NOT_UNDERSTOOD = {  # right in a layout that is not tried; and the same, wrong
    "a.py": apart("b2 W2 W1 b1"),
    "b.py": apart("b2 W2 W1 b1").replace(" * A * (1 - A)", ""),
    "c.py": apart("b2 W2 W1 b1", answer="np.zeros(theta.size) + J"),
}


@pytest.mark.parametrize("name", NOT_UNDERSTOOD)
def test_where_nothing_shows_what_is_meant_nothing_is_judged(name, tmp_path, run_command):
    grade = graded_here(tmp_path, name, NOT_UNDERSTOOD[name])
    assert (grade.verdict, grade.cost, grade.gradient, grade.bugs) == (ERROR, "absent", "absent", ())
    assert grade.diagnosis[0].startswith("no convention that was tried explains the cost, so nothing was judged")
    code, out, _ = run_command("diagnose", tmp_path / name, "--problems", "5")
    assert (code, "INCONCLUSIVE" in out) == (3, True)


def test_the_rubric_decides_what_a_convention_is(tmp_path):
    rubric = Rubric(conventions={"labels from 0": "bug"})
    grade = graded_here(tmp_path, "a.py", submissions.RIGHT["from_0.py"][0], rubric)
    assert (grade.verdict, grade.cost, grade.gradient) == (DISAGREE, "wrong", "wrong")
    assert grade.diagnosis[0] == "labels from 0, which the rubric counts as a bug"
    assert graded_here(tmp_path, "b.py", COURSE, rubric).verdict == AGREE


def test_what_no_bug_explains_is_read_in_the_nearest_convention(tmp_path):
    text = submissions.RIGHT["by_rows_from_0.py"][0].replace(
        "a1 = np.column_stack([np.ones(m), X])", "a1 = np.column_stack([np.ones(m) / 3, X])"
    )
    grade = graded_here(tmp_path, "a.py", text)
    assert grade.verdict == DISAGREE
    assert list(grade.conventions) == ["labels from 0", "θ and gradient by rows"]


def test_single_precision_is_none_where_the_code_does_not_say_so(tmp_path):
    rounded = ("    return J, grad", "    return J * (1 + 1e-7), grad")
    assert graded_here(tmp_path, "a.py", course(rounded)).cost == "wrong"


BEYOND_FLOAT32 = {  # what single precision does not excuse, and what is wrong with it
    "J, grad.astype(np.float32) * np.float32(1.0001)": "right wrong",
    "J, grad.astype('f4') + np.float32(1e-4) * abs(grad).max()": "right wrong",
    "np.float32(J * 1.0001), grad.astype(np.float32)": "wrong right",
    "J * 1.0001, grad.astype(np.float32)": "wrong right",
}


@pytest.mark.parametrize("answer", BEYOND_FLOAT32)
def test_single_precision_excuses_what_its_rounding_does_and_no_more(answer, tmp_path):
    grade = graded_here(tmp_path, "a.py", course((RETURN, f"    return {answer}\n")))
    assert (grade.verdict, f"{grade.cost} {grade.gradient}") == (DISAGREE, BEYOND_FLOAT32[answer])
    assert list(grade.conventions) == ["single precision (float32)"]


def test_what_no_bug_explains_is_said_to_be_so(tmp_path):
    grade = graded_here(tmp_path, "a.py", course(("d3 = h - Y", "d3 = h - np.cos(Y)")))
    assert grade.verdict == DISAGREE
    assert not any("explains 1" in clause for clause in grade.diagnosis)
    assert any("no bug of the zoo" in clause for clause in grade.diagnosis)


def test_a_wrong_helper_is_named_beside_a_right_gradient(tmp_path):
    text = course(("sigmoid_gradient(z2)", "sigmoid(z2) * (1 - sigmoid(z2))"), ("return g * (1 - g)", "return g"))
    grade = graded_here(tmp_path, "a.py", text)
    assert (grade.verdict, grade.sigmoid_gradient, grade.points) == (AGREE, "wrong", 95.0)
    assert grade.diagnosis == ("sigmoid_gradient answers 0.5 at z = 0, where it is 0.25",)


ZERO = "the gradient is zero throughout: it is not filled in yet"
NOT_DONE = {  # what is answered, and what is said first and last
    "0, 0 * grad": ("the cost is 0 whatever θ, X and y are: it is not computed yet", ZERO),
    "J, 0 * grad": ("the cost is right", ZERO),
    "m * J": ("cost-not-over-m explains the cost (", "cost-not-over-m explains the cost ("),
}


@pytest.mark.parametrize("answer", NOT_DONE)
def test_what_is_not_filled_in_yet_is_no_riddle(answer, tmp_path):
    grade = graded_here(tmp_path, "a.py", course((RETURN, f"    return {answer}\n")))
    assert grade.verdict == DISAGREE
    first, last = NOT_DONE[answer]
    assert grade.diagnosis[0].startswith(first)
    assert grade.diagnosis[-1].startswith(last)


BIASES_ZEROED = ("    grad = np", "    Theta1[:, 0] = 0\n    grad = np")
CHANGES = {  # in place: the edits, what is changed, whether the next answer with the same arrays is another; the points
    "theta": ([BIASES_ZEROED], "nn_params in place (by up to 0.73, in 5 of 43 entries)", True, 97.5),
    "labels": (
        [("    m = X", "    y -= 1\n    m = X"), submissions.FROM_0],
        "y in place (by up to 1, in 7 of 7 entries)",
        True,
        97.5,
    ),
    "shape": (
        [("    m = X", "    y.shape = -1, 1\n    m = X")],
        "y in place (from shape (7,) to (7, 1))",
        False,
        100.0,
    ),
    "X of a wrong one": ([("    m = X", "    X += 1\n    m = X")], "X in place", False, 30.0),
    "theta, of who is not understood": ([("    m = X", "    nn_params *= 1.01\n    m = X")], "nn_params", False, 10.0),
}


@pytest.mark.parametrize("name", CHANGES)
def test_arguments_changed_in_place_are_told_and_counted_where_they_spoil_the_next_answer(name, tmp_path):
    edits, what, spoils, points = CHANGES[name]
    grade = graded_here(tmp_path, "a.py", course(*edits))
    said = f"nn_cost_function changes {what}"
    assert any(sentence.startswith(said) for sentence in (grade.diagnosis if spoils else grade.notes))
    assert (grade.other, grade.points) == ("wrong" if spoils else "right", points)
    assert grade.verdict == {100.0: AGREE, 10.0: ERROR}.get(points, DISAGREE)


def test_matrices_changed_in_place_are_told_one_by_one(tmp_path):
    text = submissions.BY_MATRICES.replace("Theta1.copy(), Theta2.copy()", "Theta1, Theta2")
    (said,) = graded_here(tmp_path, "a.py", text).diagnosis
    assert "cost changes Theta1 in place (by up to 0.73, in 5 of 25 entries) and Theta2 in place" in said


# in processes of their own


@pytest.fixture(scope="module")
def a_class(tmp_path_factory):
    """Some submissions of every kind, graded at once."""
    folder = tmp_path_factory.mktemp("class")
    names = [*BROKEN, *ASKED_IN_A_PROCESS, "course.py", "sign.py", "reads_data.py"]
    if DEEP:
        names += [*submissions.RIGHT, *submissions.WRONG]
    kinds = submissions.RIGHT | submissions.WRONG | BROKEN
    for name in names:
        (folder / name).write_text(kinds[name][0], encoding="utf-8")
    progress = []
    grades = grade_folder(folder, timeout=3.0, progress=lambda *moved: progress.append(moved))
    assert progress[-1] == ("grading", len(set(names)), len(set(names)))
    return {grade.name: grade for grade in grades}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_submission_gets_a_sentence_and_stops_no_other(name, a_class):
    assert a_class[name].verdict == ERROR
    assert BROKEN[name][1] in a_class[name].diagnosis[0]


def test_helpers_are_judged_whatever_the_function_beside_them_does(a_class):
    names = ("divides.py", "hangs.py", "exits.py", "crashes.py")
    assert [(a_class[name].sigmoid_gradient, a_class[name].points) for name in names] == [("right", 10.0)] * 4
    assert a_class["course.py"].verdict == AGREE


@pytest.mark.parametrize("name", ASKED_IN_A_PROCESS)
def test_a_submission_with_a_program_around_it_passes(name, a_class):
    assert (a_class[name].verdict, a_class[name].points) == (AGREE, 100.0)
    if name.startswith("own_"):
        assert "it was graded at 400-25-10" in a_class[name].notes[0]


@pytest.mark.skipif(not DEEP, reason="HARNESS_PROFILE=deep grades every submission in a process of its own")
def test_processes_of_their_own_come_to_the_same(a_class):
    assert {name for name in submissions.RIGHT if a_class[name].verdict != AGREE} == set()
    assert {name for name, (_, bug) in submissions.WRONG.items() if bug not in a_class[name].diagnosis[0]} == set()


def test_whatever_goes_wrong_in_grading_is_that_submissions_alone(tmp_path, monkeypatch):
    def failing(*arguments):
        raise RuntimeError("no more pipes")

    monkeypatch.setattr("harness.grading.grading.Process", failing)
    found = grade(written(tmp_path, "a.py", COURSE))
    assert (found.verdict, found.diagnosis) == (ERROR, ("grading it failed: RuntimeError: no more pipes",))


def test_an_interruption_does_not_wait_for_a_submission_that_never_answers(tmp_path):
    (tmp_path / "right.py").write_text(COURSE)
    (tmp_path / "endless.py").write_text(COURSE.replace("    m = ", "    while True: pass\n    m = ", 1))

    def interrupted(step, done, total):
        raise KeyboardInterrupt

    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        grade_folder(tmp_path, timeout=300.0, progress=interrupted)
    assert time.monotonic() - started < 100.0
