"""Units that sit exactly at a junction of their activation: a wrong slope is named, a convention is not."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from harness import ACTIVATIONS, SOURCES, Network, Problem, cross_check
from harness.checks.activations.slope_answers import ONE_SIDED
from harness.checks.networks.network_check import check
from harness.facts.fact import kinds_of
from harness.facts.kinds import Kind
from harness.sources.loop import cost_and_gradient as loop
from harness.study.right_activations import RIGHT as KNOWN

RIGHT = {name: SOURCES[name] for name in ("loop", "finite-difference")}

judged = partial(check, explained=False)
"""`cross_check` without the bugs that explain an answer, which take longer than the verdict."""


SMOOTH = [  # the record, where its pieces meet, and slopes that are wrong there
    (ACTIVATIONS["softplus"], 0.0, (0.0, np.nan)),
    (ACTIVATIONS["elu"], 0.0, (0.0, 2.0, np.inf)),
    (ACTIVATIONS["softsign"], 0.0, (0.0, np.nan)),
    (ACTIVATIONS["tanh"], 0.7, (0.0,)),  # a place of no importance
    (KNOWN["relu²"], 0.0, (1.0, np.nan)),
    (KNOWN["smelu"], 1.5, (0.0, np.nan)),
    (KNOWN["softplus by max"], 0.0, (0.0, 1.0)),
    (KNOWN["celu"], 0.0, (0.75,)),
]
KINKED = [  # and slopes that may be claimed at the kink
    (ACTIVATIONS["relu"], 0.0, (0.0, 0.5, 1.0), (2.0, -0.25, np.nan)),
    (ACTIVATIONS["hard_tanh"], -1.0, (0.0, 1.0), (4.0, np.nan)),
    (ACTIVATIONS["leaky_relu"], 0.0, (0.01, 0.3), (0.0, -1.0)),
    (ACTIVATIONS["selu"], 0.0, (1.0507009873554805, 1.7), (0.0, 3.0)),
]


def at_junction(f, place, how, seed=0):
    """A problem with units exactly at the place: one unit, one example of it, a whole layer, or deeper in."""
    rng = np.random.default_rng(seed)
    network = Network((3, 4, 4, 2), f, "linear")
    X, thetas = rng.normal(size=(5, 3)), [rng.normal(size=shape) for shape in network.shapes]
    if how == "one example":
        X[0], thetas[0][0, 0] = 0.0, place
    else:
        unit = {"one unit": (0, slice(1)), "a layer": (0, slice(None)), "deeper in": (1, slice(1))}[how]
        layer, units = unit
        thetas[layer][units] = 0.0
        thetas[layer][units, 0] = place
    return Problem(network, X, rng.normal(size=(5, 2)), 0.5), network.pack(thetas)


def with_slope(f, place, slope):
    """The loop with another slope, at that place alone."""
    wrong = replace(f, slope=lambda z, a: np.where(z == place, slope, f.slope(z, a)))

    def source(problem, theta):
        return loop(Problem(Network(problem.network.sizes, wrong, "linear"), problem.X, problem.Y, problem.l2), theta)

    return source


HOW = ("one example", "one unit", "a layer", "deeper in")


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize(("f", "place", "wrong"), SMOOTH, ids=[f.name for f, *_ in SMOOTH])
def test_where_smooth_pieces_meet_the_right_slope_agrees_and_another_is_named(f, place, wrong, how):
    problem, theta = at_junction(f, place, how)
    assert (judged(problem, theta, RIGHT).verdict, f.kinks) == ("agree", ())
    for slope in wrong:
        report = judged(problem, theta, RIGHT | {"mine": with_slope(f, place, slope)})
        assert (report.verdict, report.outliers) == ("disagree", ("mine",)), slope


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize(("f", "kink", "conventions", "wrong"), KINKED, ids=[f.name for f, *_ in KINKED])
def test_at_a_kink_conventions_are_undecided_and_what_is_outside_of_both_sides_is_wrong(
    f, kink, conventions, wrong, how
):
    problem, theta = at_junction(f, kink, how)
    for slope in conventions:
        report = judged(problem, theta, RIGHT | {"mine": with_slope(f, kink, slope)})
        assert (report.verdict, report.outliers) == ("inconclusive", ()), slope
        assert kinds_of(report.reasons) == (Kind.UNITS_AT_KINK,)
    for slope in wrong:
        report = judged(problem, theta, RIGHT | {"mine": with_slope(f, kink, slope)})
        assert (report.verdict, report.outliers) == ("disagree", ("mine",)), slope


def test_a_record_that_is_wrong_at_a_junction_is_named_by_its_sources_and_the_place():
    softplus = ACTIVATIONS["softplus"]
    f = replace(softplus, name="mine", slope=lambda z, a: np.where(z == 0.0, 0.0, softplus.slope(z, a)))
    report = cross_check(*at_junction(f, 0.0, "one unit"), ["loop", "vectorized", "finite-difference"])
    assert (report.verdict, report.outliers) == ("disagree", ("loop", "vectorized"))
    assert {finding.against for finding in report.findings} == {ONE_SIDED}
    assert all(Kind.OUTSIDE_ONE_SIDED in kinds_of(finding.diagnosis) for finding in report.findings)
    assert ("mine at z = 0",) in [fact.where for fact in report.notes if fact.kind == Kind.UNITS_AT_JUNCTION]


def test_a_hole_that_is_filled_decides_all_but_the_directions():
    f = KNOWN["sinc"]
    problem, theta = at_junction(f, 0.0, "one unit")
    report = judged(problem, theta, RIGHT)
    assert (kinds_of(report.reasons), report.decided_share) == ((Kind.NO_DIRECTION_DECIDED,), 1.0)
    for slope in (1.0, np.nan):
        assert judged(problem, theta, RIGHT | {"mine": with_slope(f, 0.0, slope)}).outliers == ("mine",)


def test_automatic_differentiation_is_not_accused_of_the_rules_for_its_pieces():
    """maximum(z, 0) + log1p(exp(-|z|)) has slope 0.5 at 0, and JAX says 0."""
    f, place, _ = SMOOTH[6]
    problem, theta = at_junction(f, place, "one unit")
    report = cross_check(problem, theta, ["loop", "jax", "finite-difference"])
    assert (report.verdict, report.outliers) == ("inconclusive", ())
    assert report.reasons[0].data["sources"] == ["jax"]
    assert kinds_of(report.reasons) == (Kind.UNITS_AT_JUNCTION,)


@pytest.mark.parametrize("seed", range(12))
def test_end_to_end_differences_are_sure_where_units_meet_junctions(seed):
    """Without false alarm: increments cross 1.5 without rounding, and h beside the jump of f'' does not cancel."""
    f, place, _ = SMOOTH[4 + seed % 2]
    assert judged(*at_junction(f, place, "a layer", seed), RIGHT).verdict == "agree"


def test_where_a_formula_turns_within_the_error_of_z_its_ends_say_nothing():
    """sin(z) at 1e15: z is known to some tenths, and the slopes at both ends are no bound for those between."""
    problem, theta = at_junction(ACTIVATIONS["sin"], 1e15, "one unit")
    report = judged(problem, theta, RIGHT | {"mine": with_slope(ACTIVATIONS["sin"], 1e15, 0.0)})
    assert (report.verdict, report.outliers) == ("inconclusive", ())
    assert ONE_SIDED not in {row.name for row in report.sources}
    assert Kind.UNDECIDED in report.kinds
