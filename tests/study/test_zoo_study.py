"""The study of the bug zoo: its problems, which bugs are there, what it counts, and how it shows that."""

import json
from functools import partial

import numpy as np
import pytest

from harness import FAULTS
from harness.bounds.network_bound import Bound
from harness.checks.networks.random_problems import random_problem
from harness.sources.backprop_steps import Backprop
from harness.study import zoo_cases
from harness.study.checkers import ALARM, HARNESS
from harness.study.study_display import detection_power
from harness.study.trials import Rate, Study
from harness.study.zoo_cases import GROUPS, KINDS, Enclosure, counts_of, draw, group_of
from harness.study.zoo_study import (
    QUICK,
    absent_bugs,
    blamed,
    document_of,
    inconclusive_on_ordinary_problems,
    run_study,
    table_of,
)
from reference.network import Network
from reference.problem import Problem

# Problems


@pytest.mark.parametrize("kind", KINDS)
def test_seed_and_number_decide_a_problem_and_theta_fits_it(kind):
    (first, theta), (again, same_theta) = draw(kind, 1, 3), draw(kind, 1, 3)
    assert (again.network.sizes, again.l2) == (first.network.sizes, first.l2)
    for a, b in ((same_theta, theta), (again.X, first.X), (again.Y, first.Y)):
        np.testing.assert_array_equal(a, b)
    for other, other_theta in (draw(kind, 1, 4), draw(kind, 2, 3)):
        assert not np.array_equal(other_theta, theta)
        assert not np.array_equal(other.X, first.X)
        np.testing.assert_array_equal(other.check_theta(other_theta), other_theta)


def _first_pre_activations(problem, theta):
    Theta1 = problem.network.unpack(theta)[0]
    return problem.X @ Theta1[:, 1:].T + Theta1[:, 0]


def test_kinds_of_problem_are_what_their_names_say():
    assert draw("785 parameters", 0, 0)[1].size == 785
    sizes = {draw("ex4-like", 0, number)[0].network.sizes for number in range(40)}
    assert sizes == {(3, 5, 3), (8, 6, 4), (20, 8, 5)}
    z = np.concatenate([np.ravel(_first_pre_activations(*draw("saturated", 0, number))) for number in range(30)])
    assert np.mean(np.abs(z) > 20.0) > 0.7
    nearest = [np.abs(_first_pre_activations(*draw("ReLU kink", 0, number))).min(axis=0) for number in range(20)]
    distance = np.concatenate(nearest)
    assert np.all(distance <= 1e-4 + 1e-12)
    assert 0.3 < np.mean(distance < 1e-14) < 0.7


def test_every_bug_of_the_zoo_has_a_group_and_a_slow_kind_has_fewer_problems():
    assert counts_of(30)["785 parameters"] < counts_of(30)["random"] == 30
    assert min(counts_of(QUICK["problems"]).values()) == 1
    groups = {name: group_of(bug) for name, bug in FAULTS.items()}
    assert set(groups.values()) == set(GROUPS)
    assert groups["wrong-loss"] == "cost"
    assert groups["argument-mutated"] == groups["non-deterministic"] == "program"


# Is the bug there?

SIZES = (4, 5, 3)


@pytest.mark.parametrize(
    ("bug", "sizes", "l2", "present"),
    [
        ("slope-missing", (4, 3), 1.0, False),
        ("slope-missing", SIZES, 1.0, True),
        ("regulariser-missing", SIZES, 0.0, False),
        ("regulariser-missing", SIZES, 1.0, True),
        ("weights-transposed", SIZES, 1.0, False),
        ("weights-transposed", (4, 5, 5), 1.0, True),
        ("argument-mutated", (4, 3), 0.0, True),
        ("wrong-loss", SIZES, 0.0, True),
    ],
)
def test_a_bug_that_leaves_the_answer_unchanged_is_not_there(bug, sizes, l2, present):
    rng = np.random.default_rng(0)
    network = Network(sizes)
    problem = Problem(network, rng.standard_normal((6, sizes[0])), rng.integers(0, sizes[-1], 6), l2)
    assert Enclosure(problem, network.init(0, 0.5)).excludes(FAULTS[bug].source) == present


def test_correct_code_is_never_excluded():
    for number in range(40):
        problem, theta = random_problem((7, number))
        assert not Enclosure(problem, theta).excludes(Backprop()), f"random_problem((7, {number}))"


@pytest.mark.parametrize("bound", ["none", "derived"])
@pytest.mark.parametrize(("slope", "excluded"), [(0.0, False), (0.5, False), (1.0, False), (3.0, True), (np.nan, True)])
def test_at_a_kink_no_slope_within_the_jump_is_excluded(slope, excluded, bound):
    class Claims(Backprop):
        def slope(self, f, Z, A, layer, layers):
            return np.where(Z == 0.0, slope, f.slope(Z, A))

    network = Network((1, 1, 1), "relu", "linear")
    problem = Problem(network, [[1.0]], [[1.0]])
    enclosure = Enclosure(problem, network.pack([np.array([[-1.0, 1.0]]), np.array([[0.0, 2.0]])]))
    if bound == "none":
        enclosure.bound = Bound(0.0, np.zeros(network.size))  # the enclosure alone must be as wide as the jump
    assert enclosure.excludes(Claims()) == excluded


# The study

BUGS = ("slope-missing", "targets-shifted", "argument-mutated", "weights-transposed", "shared-by-both-hands")
RULES = ("course, 1e-9", "cs231n, 10 entries")
CONTROLS = 2


@pytest.fixture(scope="module")
def steps():
    return []


@pytest.fixture(scope="module")
def study(steps) -> Study:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(zoo_cases, "CONTROLS", CONTROLS)  # each random network is compiled
        return run_study(problems=1, networks=5, bugs=BUGS, peers=RULES, progress=lambda *at: steps.append(at))


def test_the_harness_catches_every_bug_and_names_its_source(study):
    assert study.missed() == []
    caught = study.rate(ALARM, bugs=True, checker=HARNESS)
    assert 0 < caught.count == caught.total
    assert blamed(study, "wrong").count == 0
    assert blamed(study, "right").share >= 0.95
    assert study.rate(ALARM, bugs=False, checker=HARNESS).count == 0
    assert inconclusive_on_ordinary_problems(study).count == 0
    assert study.further["networks"]["counts"]["disagree"] == 0


def test_every_bug_that_is_there_and_all_correct_code_is_shown_to_every_checker(study):
    problems, absent = study.further["problems"], absent_bugs(study)
    assert {kind: rate.total for kind, rate in absent.items()} == {kind: n * len(BUGS) for kind, n in problems.items()}
    pairs, none = len(BUGS) * sum(problems.values()), sum(rate.count for rate in absent.values())
    assert 0 < none < pairs / 2
    for checker in (HARNESS, *RULES):
        caught = study.rate(ALARM, bugs=True, checker=checker)
        assert caught.total == pairs - none
        assert study.rate(ALARM, bugs=False, checker=checker).total == CONTROLS * sum(problems.values())
        by_group = [study.rate(ALARM, bugs=True, checker=checker, group=group) for group in GROUPS]
        by_kind = [study.rate(ALARM, bugs=True, checker=checker, kind=kind) for kind in KINDS]
        assert sum(by_group, Rate(0, 0)) == sum(by_kind, Rate(0, 0)) == caught


def test_progress_ends_with_the_last_of_each_step(study, steps):
    last = {step: (done, total) for step, done, total in steps}
    assert list(last) == [*KINDS, "correct networks"]
    assert all(done == total for done, total in last.values())


def test_the_document_is_json_with_every_count(study):
    document = json.loads(json.dumps(document_of(study), allow_nan=False))
    harness, course, _ = document["checkers"]
    caught = partial(study.rate, ALARM, bugs=True, checker="course, 1e-9")
    alarms = [trial for trial in study.trials if (trial.checker, trial.outcome) == (HARNESS, ALARM)]
    assert (harness["name"], harness["caught"]["count"]) == (HARNESS, len(alarms))
    assert harness["false_alarms"] == study.rate(ALARM, bugs=False, checker=HARNESS).to_dict()
    assert course["caught_by_kind"]["ex4-like"] == caught(kind="ex4-like").to_dict()
    assert course["caught_by_group"]["cost"] == caught(group="cost").to_dict()
    assert document["bugs"]["targets-shifted"]["caught"]["course, 1e-9"] == caught(bug="targets-shifted").to_dict()
    assert set(document["bugs"]) == set(BUGS)


def test_the_table_has_every_checker_on_every_kind_and_every_bug(study):
    text = table_of(study)
    for name in (*BUGS, *(f"{checker}: {kind}" for checker in (HARNESS, *RULES) for kind in KINDS)):
        assert f"\n{name}" in text
    assert max(map(len, text.splitlines())) <= 140


def test_the_figure_has_a_row_for_every_checker_and_marks_within_its_axes(study):
    figure, checkers = detection_power(document_of(study)), (HARNESS, *RULES)
    missed, false = ([bar.get_bbox().width for bar in ax.patches] for ax in figure.axes)  # pyright: ignore[reportAttributeAccessIssue]
    gradients = [study.rate(ALARM, bugs=True, checker=checker, group="gradient") for checker in checkers]
    assert missed == pytest.approx([100.0 * (1.0 - rate.share) for rate in gradients])
    assert false == [100.0 * study.rate(ALARM, bugs=False, checker=checker).share for checker in checkers]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == [*checkers]
    counted = sum(group_of(FAULTS[bug]) == "gradient" for bug in study.bugs)
    assert f"{counted} of {len(BUGS)} bugs" in figure.axes[0].get_title()
    for ax in figure.axes:
        marks = [line for line in ax.lines if line.get_label() in KINDS]
        low, high = ax.get_xlim()
        assert len(marks) == len(KINDS)
        assert low < 0.0 <= max(np.max(mark.get_xdata()) for mark in marks) < high
