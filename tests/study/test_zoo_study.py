"""The study of detection power: its problems, its checkers, what it counts, and how it shows that."""

import json
import os
import sys

import numpy as np
import pytest

from harness import FAULTS
from harness.bounds.network_bound import Bound
from harness.checks.networks.random_problems import random_problem
from harness.figure_style import png
from harness.sources.backprop_steps import Backprop
from harness.study import smallest_errors
from harness.study.checkers import ALARM, HARNESS, INCONCLUSIVE, INSTALL, PASS, PEERS, harness_verdict, named_peers
from harness.study.detection_figure import detection_power
from harness.study.zoo_cases import KINDS, draw
from harness.study.rates import Rate, percent
from harness.study.zoo_study import QUICK, Study, run_study
from harness.study.study_tables import as_table
from harness.study.trials import CONTROLS, CORRECT, GROUPS, Trial, Truth, counts_of, group_of
from reference.network import Network
from reference.problem import Problem

DEEP = os.environ.get("HARNESS_PROFILE") == "deep"
"""All 5,000 digits rather than every fiftieth, at 400-25-10."""

# Rates


@pytest.mark.parametrize(
    ("count", "total", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_intervals_are_those_that_newcombe_published(count, total, low, high):
    """Statistics in Medicine 17 (1998) 857-872, table I, method 3."""
    assert Rate(count, total).interval() == pytest.approx((low, high), abs=5e-5)
    mirrored = Rate(total - count, total).interval()
    assert mirrored == pytest.approx((1.0 - high, 1.0 - low), abs=5e-5)


def test_of_nothing_nothing_is_known():
    assert Rate(0, 0).interval() == (0.0, 1.0)
    assert Rate(0, 0).to_dict()["share"] is None
    assert str(Rate(0, 0)) == "-"


@pytest.mark.parametrize(
    ("share", "shown"), [(1.0, "100%"), (0.0, "0%"), (0.99999, ">99.9%"), (1e-5, "<0.1%"), (0.847, "84.7%")]
)
def test_percentages_round_neither_up_to_all_nor_down_to_nothing(share, shown):
    assert percent(share) == shown


# Problems


@pytest.mark.parametrize("kind", KINDS)
def test_seed_and_number_decide_a_problem(kind):
    (first, theta), (again, same_theta) = draw(kind, 1, 3), draw(kind, 1, 3)
    assert (again.network.sizes, again.l2) == (first.network.sizes, first.l2)
    for a, b in ((same_theta, theta), (again.X, first.X), (again.Y, first.Y)):
        np.testing.assert_array_equal(a, b)
    for other, other_theta in (draw(kind, 1, 4), draw(kind, 2, 3)):
        assert not np.array_equal(other_theta, theta)
        assert not np.array_equal(other.X, first.X)


@pytest.mark.parametrize("kind", KINDS)
def test_theta_fits_its_problem(kind):
    for number in range(5):
        problem, theta = draw(kind, 1, number)
        np.testing.assert_array_equal(
            problem.check_theta(theta), theta
        )  # flat, finite, as many as there are parameters


def _first_pre_activations(problem, theta):
    Theta1 = problem.network.unpack(theta)[0]
    return problem.X @ Theta1[:, 1:].T + Theta1[:, 0]


def test_785_parameters_are_785():
    assert draw("785 parameters", 0, 0)[1].size == 785


def test_most_units_of_saturated_networks_are_saturated():
    z = np.concatenate([np.ravel(_first_pre_activations(*draw("saturated", 0, number))) for number in range(30)])
    assert np.mean(np.abs(z) > 20.0) > 0.7


def test_units_sit_on_kinks_and_close_to_them():
    nearest = [np.abs(_first_pre_activations(*draw("ReLU kink", 0, number))).min(axis=0) for number in range(20)]
    distance = np.concatenate(nearest)
    assert np.all(distance <= 1e-4 + 1e-12)
    assert 0.3 < np.mean(distance < 1e-14) < 0.7


# Checkers

SIZES = (4, 5, 3)


@pytest.fixture(scope="module")
def ordinary():
    rng = np.random.default_rng(0)
    network = Network(SIZES)
    return Problem(network, rng.uniform(0.0, 1.0, (6, 4)), rng.integers(0, 3, 6), 1.0), network.init(1, 0.5)


@pytest.fixture
def peer(request):
    """The peer of that name; the test is skipped where it is not installed."""
    checkers, left_out = named_peers([request.param])
    if left_out:
        pytest.skip(left_out[request.param])
    return checkers[request.param]


peers = pytest.mark.parametrize("peer", PEERS, indirect=True)


@peers
def test_correct_code_passes_every_peer(peer, ordinary):
    problem, theta = ordinary
    assert peer(CORRECT.source, problem, theta.copy()) == PASS


@peers
def test_a_gross_bug_alarms_every_peer(peer, ordinary):
    problem, theta = ordinary
    assert peer(FAULTS["mean-missing"].source, problem, theta.copy()) == ALARM


@peers
def test_no_peer_sees_a_wrong_cost_with_its_own_gradient(peer, ordinary):
    problem, theta = ordinary
    assert peer(FAULTS["wrong-loss"].source, problem, theta.copy()) == PASS


def test_the_harness_tells_all_three(ordinary):
    for subject, expected in ((CORRECT, PASS), (FAULTS["mean-missing"], ALARM), (FAULTS["wrong-loss"], ALARM)):
        outcome, blame = harness_verdict(subject.sources, subject.replaces, *ordinary)
        assert outcome == expected
        assert blame == ("right" if expected == ALARM else "abstained")


def test_an_alarm_that_names_the_wrong_source_is_told_from_one_that_names_the_right_one(ordinary):
    sources = FAULTS["mean-missing"].sources
    assert harness_verdict(sources, ("vectorized",), *ordinary) == (ALARM, "right")
    assert harness_verdict(sources, ("loop",), *ordinary) == (ALARM, "wrong")
    assert harness_verdict(sources, ("loop", "vectorized"), *ordinary) == (ALARM, "wrong")


@pytest.mark.parametrize(
    ("peer", "bug", "outcome"),
    [
        ("torch gradcheck", "one-entry-0.1%-off", PASS),
        ("torch gradcheck, fast", "one-entry-0.1%-off", PASS),
        ("torch gradcheck", "shared-by-both-hands", ALARM),
        ("torch gradcheck, fast", "shared-by-both-hands", PASS),
        ("JAX check_grads", "one-entry-1e-6-off", PASS),
        ("autograd check_grads", "one-entry-1e-6-off", PASS),
        ("scipy check_grad < 1e-4", "one-entry-1e-6-off", PASS),
        ("torch gradcheck", "argument-mutated", ALARM),
        ("JAX check_grads", "argument-mutated", ALARM),
        ("torch gradcheck", "non-deterministic", ALARM),
        ("course, 1e-9", "one-entry-1e-6-off", ALARM),
    ],
    indirect=["peer"],
)
def test_known_strengths_and_weaknesses_of_peers(peer, bug, outcome, ordinary):
    problem, theta = ordinary
    assert peer(FAULTS[bug].source, problem, theta.copy()) == outcome


@pytest.mark.parametrize("peer", [name for name in PEERS if "10 entries" not in name], indirect=True)
def test_peers_cry_wolf_at_a_kink_and_the_harness_does_not(peer):
    network = Network((1, 1, 1), "relu", "linear")
    problem, theta = Problem(network, [[1.0]], [[1.0]]), network.pack([np.array([[0.0, 0.0]]), np.array([[0.0, 2.0]])])
    assert peer(CORRECT.source, problem, theta.copy()) == ALARM
    assert harness_verdict(CORRECT.sources, CORRECT.replaces, problem, theta)[0] == INCONCLUSIVE


@pytest.mark.parametrize("peer", ["autograd check_grads"], indirect=True)
def test_the_global_generator_is_left_as_it_was(peer, ordinary):
    np.random.seed(5)  # noqa: NPY002
    expected = np.random.random()  # noqa: NPY002
    np.random.seed(5)  # noqa: NPY002
    peer(CORRECT.source, *ordinary)
    assert np.random.random() == expected  # noqa: NPY002


def test_a_peer_that_is_not_installed_is_named_with_the_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    checkers, left_out = named_peers(["torch gradcheck", "course, 1e-9"])
    assert list(checkers) == ["course, 1e-9"]
    assert "torch" in left_out["torch gradcheck"]
    assert INSTALL in left_out["torch gradcheck"]


# Is the bug there?


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
def test_what_leaves_the_answer_unchanged_is_not_there(bug, sizes, l2, present):
    rng = np.random.default_rng(0)
    network = Network(sizes)
    problem = Problem(network, rng.standard_normal((6, sizes[0])), rng.integers(0, sizes[-1], 6), l2)
    assert Truth(problem, network.init(0, 0.5)).excludes(FAULTS[bug].source) == present


def test_correct_code_is_never_excluded():
    for number in range(100):
        problem, theta = random_problem((7, number))
        assert not Truth(problem, theta).excludes(Backprop()), f"random_problem((7, {number}))"


@pytest.mark.parametrize("bound", ["none", "derived"])
@pytest.mark.parametrize(("slope", "excluded"), [(0.0, False), (0.5, False), (1.0, False), (3.0, True), (np.nan, True)])
def test_at_a_kink_every_slope_within_the_jump_could_be_meant(slope, excluded, bound):
    class Claims(Backprop):
        def slope(self, f, Z, A, layer, layers):
            return np.where(Z == 0.0, slope, f.slope(Z, A))

    network = Network((1, 1, 1), "relu", "linear")
    problem = Problem(network, [[1.0]], [[1.0]])
    truth = Truth(problem, network.pack([np.array([[-1.0, 1.0]]), np.array([[0.0, 2.0]])]))
    if bound == "none":
        truth.bound = Bound(0.0, np.zeros(network.size))  # the enclosure alone has to be as wide as the jump
    assert truth.excludes(Claims()) == excluded


# The study

BUGS = ("slope-missing", "targets-shifted", "argument-mutated", "weights-transposed", "shared-by-both-hands")
RULES = ("course, 1e-9", "cs231n, 10 entries")


@pytest.fixture(scope="module")
def steps():
    return []


@pytest.fixture(scope="module")
def study(steps) -> Study:
    return run_study(
        problems=1, networks=5, bugs=BUGS, peers=RULES, with_sharpness=False, progress=lambda *step: steps.append(step)
    )


def test_the_harness_catches_every_bug_and_names_its_source(study):
    assert study.missed() == []
    caught = study.rate(ALARM, bugs=True, checker=HARNESS)
    assert 0 < caught.count == caught.total
    assert study.blame("wrong").count == 0
    assert study.blame("right").share >= 0.95
    assert study.rate(ALARM, bugs=False, checker=HARNESS).count == 0
    assert study.inconclusive_when_ordinary().count == 0
    assert study.networks is not None
    assert study.networks.counts["disagree"] == 0


def test_every_bug_that_is_there_and_all_correct_code_is_shown_to_every_checker(study):
    pairs = len(BUGS) * sum(study.problems.values())
    absent = sum(rate.count for rate in study.absent.values())
    assert 0 < absent < pairs / 2
    for checker in (HARNESS, *RULES):
        caught = study.rate(ALARM, bugs=True, checker=checker)
        assert caught.total == pairs - absent
        assert study.rate(ALARM, bugs=False, checker=checker).total == CONTROLS * sum(study.problems.values())
        by_group = [study.rate(ALARM, bugs=True, checker=checker, group=group) for group in GROUPS]
        assert sum(by_group, Rate(0, 0)) == caught
        by_kind = [study.rate(ALARM, bugs=True, checker=checker, kind=kind) for kind in KINDS]
        assert sum(by_kind, Rate(0, 0)) == caught


def test_progress_ends_with_the_last_of_each_step(study, steps):
    last = {step: (done, total) for step, done, total in steps}
    assert list(last) == [*KINDS, "correct networks"]
    assert all(done == total for done, total in last.values())


def test_the_document_is_json_with_every_count(study):
    document = json.loads(json.dumps(study.to_dict(), allow_nan=False))
    assert document["schema"] == "harness.study/2"
    harness, course, _ = document["checkers"]
    assert harness["name"] == HARNESS
    assert harness["caught"] == study.rate(ALARM, bugs=True, checker=HARNESS).to_dict()
    assert harness["false_alarms"] == study.rate(ALARM, bugs=False, checker=HARNESS).to_dict()
    of_one_kind = study.rate(ALARM, bugs=True, checker="course, 1e-9", kind="ex4-like")
    assert course["caught_by_kind"]["ex4-like"] == of_one_kind.to_dict()
    of_one_group = study.rate(ALARM, bugs=True, checker="course, 1e-9", group="cost")
    assert course["caught_by_group"]["cost"] == of_one_group.to_dict()
    of_one_bug = study.rate(ALARM, bugs=True, checker="course, 1e-9", subject="targets-shifted")
    assert document["bugs"]["targets-shifted"]["caught"]["course, 1e-9"] == of_one_bug.to_dict()
    assert set(document["bugs"]) == set(BUGS)
    assert document["networks"]["counts"]["disagree"] == 0


def test_the_table_names_everybody(study):
    text = as_table(study)
    for name in (HARNESS, *RULES, *BUGS, *KINDS):
        assert name in text
    assert "95%" in text
    assert max(map(len, text.splitlines())) <= 140


def test_the_figure_has_a_row_for_every_checker(study):
    figure = detection_power(study)
    caught, false = ([bar.get_bbox().width for bar in ax.patches] for ax in figure.axes)  # pyright: ignore[reportAttributeAccessIssue]
    gradients = [study.rate(ALARM, bugs=True, checker=checker, group="gradient") for checker in (HARNESS, *RULES)]
    correct_code = [study.rate(ALARM, bugs=False, checker=checker) for checker in (HARNESS, *RULES)]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == [HARNESS, *RULES]
    assert caught == [100.0 * rate.share for rate in gradients]
    assert false == [100.0 * rate.share for rate in correct_code]
    assert png(figure).startswith(b"\x89PNG")


def test_the_figure_says_which_bugs_it_counts(study):
    caught, _ = detection_power(study).axes
    counted = sum(group_of(bug) == "gradient" for bug in study.bugs)
    assert f"{counted} of {len(study.bugs)} bugs" in caught.get_title()


def test_no_mark_of_the_figure_is_cut_or_hides_another(study):
    figure = detection_power(study)
    figure.draw_without_rendering()
    for ax in figure.axes:
        assert ax.get_xlim()[0] < 0.0
        assert ax.get_xlim()[1] > 100.0
        marks = [line for line in ax.lines if line.get_label() in study.problems]
        assert len(marks) == len(study.problems)
        heights = sorted(ax.transData.transform((0.0, np.asarray(mark.get_ydata())[0]))[1] for mark in marks)
        apart = np.diff(heights).min() * 72.0 / figure.dpi
        assert all(5.5 <= mark.get_markersize() <= apart for mark in marks)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"problems": 0}, "not 0 and"),
        ({"networks": -1}, "and -1"),
        ({"bugs": ["no-such-bug"]}, "no bug named 'no-such-bug'"),
        ({"peers": ["no such peer"]}, "no peer named 'no such peer'"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        run_study(**arguments)


def test_a_slow_kind_has_fewer_problems_but_never_none():
    assert counts_of(30)["785 parameters"] < counts_of(30)["random"] == 30
    assert min(counts_of(QUICK["problems"]).values()) == 1


def _made(*trials: tuple[str, str, int, str, str, str]) -> Study:
    """A study in which this was said: checker, subject, number, group, outcome, blame."""
    said = tuple(
        Trial(checker, "random", number, subject, group, outcome, blame, seconds=0.25)
        for checker, subject, number, group, outcome, blame in trials
    )
    checkers = tuple(dict.fromkeys(trial.checker for trial in said))
    return Study(0, {"random": 2}, (FAULTS["wrong-sign"],), checkers, {}, said, None, (), {}, 1.0)


def test_a_bug_is_told_apart_only_where_correct_code_passes():
    study = _made(
        ("wolf", "correct", 0, "", ALARM, ""),
        ("wolf", "correct", 1, "", PASS, ""),
        ("wolf", "wrong-sign", 0, "gradient", ALARM, ""),
        ("wolf", "wrong-sign", 1, "gradient", ALARM, ""),
        ("sheep", "correct", 0, "", INCONCLUSIVE, ""),
        ("sheep", "wrong-sign", 0, "gradient", ALARM, ""),
        ("sheep", "wrong-sign", 1, "gradient", INCONCLUSIVE, ""),
    )
    assert (study.rate(ALARM, bugs=True, checker="wolf"), study.told_apart(checker="wolf")) == (Rate(2, 2), Rate(1, 2))
    assert (study.rate(ALARM, bugs=True, checker="sheep"), study.told_apart(checker="sheep")) == (
        Rate(1, 2),
        Rate(1, 2),
    )
    assert study.rate(ALARM, bugs=False, checker="wolf") == Rate(1, 2)
    assert study.rate(INCONCLUSIVE, bugs=False, checker="sheep") == Rate(1, 1)
    assert study.rate(INCONCLUSIVE, bugs=True, checker="sheep") == Rate(1, 2)
    assert study.milliseconds(checker="wolf") == 250.0


def test_misses_and_wrong_names_are_shown():
    study = _made(
        (HARNESS, "correct", 0, "", PASS, "abstained"),
        (HARNESS, "wrong-sign", 0, "gradient", ALARM, "wrong"),
        (HARNESS, "wrong-sign", 1, "gradient", PASS, "abstained"),
    )
    assert [(trial.subject, trial.number) for trial in study.missed()] == [("wrong-sign", 1)]
    assert study.blame("wrong") == Rate(1, 1)
    assert "missed: wrong-sign on random problem 1 (pass)" in as_table(study)


def test_every_bug_of_the_zoo_has_a_group():
    groups = {name: group_of(bug) for name, bug in FAULTS.items()}
    assert set(groups.values()) == set(GROUPS)
    assert groups["wrong-loss"] == "cost"
    assert groups["argument-mutated"] == groups["non-deterministic"] == "program"


# The smallest error seen


def test_the_bisection_finds_the_smallest_error(ordinary):
    problem, theta = ordinary
    correct = smallest_errors.SOURCES["vectorized"](problem, theta)[1]

    def check(source, problem, theta):
        return ALARM if np.abs(source(problem, theta)[1] - correct)[2] >= 1e-9 else PASS

    found = smallest_errors.smallest_error(check, problem, theta, 2)
    assert found >= 1e-9 * (1.0 - 1e-6)
    assert found <= smallest_errors.RESOLUTION * 1e-9 * (1.0 + 1e-6)
    assert smallest_errors.smallest_error(check, problem, theta, 3) == np.inf


def test_at_400_25_10_the_harness_sees_errors_below_1e_12_everywhere():
    problem, theta = smallest_errors.exercise_4()
    if not DEEP:
        problem = Problem(problem.network, problem.X[::200], problem.Y[::200], problem.l2)
    *_, most_blurred = smallest_errors.coordinates(problem, theta)
    check = smallest_errors.harness_checker(problem, theta)
    assert check(smallest_errors.off_by(1e-12, most_blurred), problem, theta) == ALARM
    assert check(smallest_errors.off_by(0.0, most_blurred), problem, theta) == PASS


def test_the_smallest_errors_of_all_who_can_be_asked_at_this_size(monkeypatch, ordinary):
    problem, theta = ordinary
    correct = smallest_errors.SOURCES["vectorized"](problem, theta)[1]

    def seeing(size):
        return lambda source, *where: ALARM if np.abs(source(*where)[1] - correct).max() >= size else PASS

    monkeypatch.setattr(smallest_errors, "exercise_4", lambda: (problem, theta))
    monkeypatch.setattr(smallest_errors, "harness_checker", lambda *where: seeing(1e-9))
    cheap, slow = (next(name for name, peer in PEERS.items() if peer.is_cheap is wanted) for wanted in (True, False))
    steps = []
    found, left_out = smallest_errors.smallest_errors(
        {cheap: seeing(1e-3), slow: seeing(1e-3)}, lambda *step: steps.append(step)
    )
    assert [row.checker for row in found] == [HARNESS] * 3 + [cheap] * 3
    assert [row.error for row in found] == pytest.approx([1e-9] * 3 + [1e-3] * 3, rel=0.1)
    assert len({row.coordinate for row in found}) == 3
    assert steps == [("smallest errors", done, len(found)) for done in range(1, len(found) + 1)]
    assert list(left_out) == [slow]
    assert "too slow at this size" in left_out[slow]


def test_ex4_like_is_exercise_4_in_small():
    sizes = {draw("ex4-like", 0, number)[0].network.sizes for number in range(40)}
    assert sizes == {(3, 5, 3), (8, 6, 4), (20, 8, 5)}


def test_a_checker_has_one_number_in_all_tables(study):
    overview, by_kind, by_bug, *_ = as_table(study).split("\n\nbugs caught")
    numbered = [f"{number} {checker}" for number, checker in enumerate([HARNESS, *RULES], start=1)]
    for table in (overview, by_kind):
        assert [row for row in numbered if f"\n{row}" in table] == numbered
    heading = by_bug.splitlines()[0].split()
    assert [word for word in heading if word.isdigit()] == [row.split()[0] for row in numbered]


def test_every_bug_is_looked_for_on_every_problem(study):
    assert {kind: absent.total for kind, absent in study.absent.items()} == {
        kind: count * len(BUGS) for kind, count in study.problems.items()
    }
