"""The sources by name: the course's own numbers, conduct, families, and the choice of sources."""

import subprocess
import sys

import numpy as np
import pytest
from golden_numbers import (
    COSTS,
    COURSE,
    DEBUG_COSTS,
    DEBUG_GRADIENTS,
    DEBUG_THETA,
    GRADIENT_NORMS,
    GRADIENT_SUMS,
    LAMBDAS,
    debug_problem,
)

from harness import FAULTS, SOURCES, GateClosed, Network, Problem, cross_check, random_problem, train
from harness.sources.loop import cost_and_gradient
from harness.sources.source_names import as_source, default_sources, find_source, named_sources
from harness.sources.source_table import FLOAT32_SOURCES, Source

SMALL_NETWORKS_ONLY = {"jax-forward", "complex-step", "ball"}
"""They take a pass for each of the 10,285 parameters, or some seconds."""

each_source = pytest.mark.parametrize("name", SOURCES)
each_lambda = pytest.mark.parametrize("l2", LAMBDAS)


# The course's numbers


@pytest.mark.parametrize("name", [name for name in SOURCES if name not in SMALL_NETWORKS_ONLY])
@each_lambda
def test_400_25_10_with_the_courses_weights(name, l2, digits, course_theta):
    problem = Problem(COURSE, digits.X, digits.classes, l2)
    cost, gradient = SOURCES[name](problem, course_theta)
    np.testing.assert_allclose(cost, COSTS[l2], rtol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(gradient), GRADIENT_NORMS[l2], rtol=1e-12)
    np.testing.assert_allclose(gradient.sum(), GRADIENT_SUMS[l2], rtol=1e-10)  # the sum cancels: 0.02 of about 0.7


@each_source
@each_lambda
def test_the_courses_debug_network(name, l2):
    cost, gradient = SOURCES[name](debug_problem(l2), DEBUG_THETA)
    np.testing.assert_allclose(cost, DEBUG_COSTS[l2], rtol=1e-14)
    np.testing.assert_allclose(gradient, DEBUG_GRADIENTS[l2], rtol=1e-12)


# Conduct


@each_source
def test_answers_are_a_float_and_a_float64_vector_of_the_callers_own(name):
    problem = debug_problem(1.0)
    theta = DEBUG_THETA.copy()
    cost, gradient = SOURCES[name](problem, theta)
    assert type(cost) is float
    assert (gradient.shape, gradient.dtype) == (theta.shape, np.float64)
    kept = gradient.copy()
    SOURCES[name](problem, 0.5 * theta)[1][:] = 0.0
    np.testing.assert_array_equal(gradient, kept)
    np.testing.assert_array_equal(theta, DEBUG_THETA)


@each_source
def test_networks_without_a_hidden_layer_or_a_second_example(name):
    problem = Problem(Network((2, 1), output="linear"), [[2.0, -1.0]], [[0.5]], l2=3.0)
    theta = np.array([0.25, 1.0, 0.5])  # z = 0.25 + 2·1 - 1·0.5 = 1.75, so δ = 1.25
    cost, gradient = SOURCES[name](problem, theta)
    np.testing.assert_allclose(cost, 1.25**2 / 2 + 3.0 / 2 * 1.25, rtol=1e-15)
    np.testing.assert_allclose(gradient, [1.25, 2 * 1.25 + 3.0, -1.25 + 1.5], rtol=1e-14)


# Names


def test_every_source_has_a_family_and_only_kin_share_one():
    families = {name: source.family for name, source in (SOURCES | FLOAT32_SOURCES).items()}
    kin = {frozenset(name for name in families if families[name] == family) for family in families.values()}
    assert {family for family in kin if len(family) > 1} == {
        frozenset({"loop", "vectorized", "vectorized-float32"}),
        frozenset({"jax", "jax-forward", "jax-float32"}),
    }


@pytest.mark.parametrize(("sizes", "forward"), [((3, 5, 3), True), ((9, 100), True), ((10, 91), False)])
def test_forward_mode_is_chosen_where_it_is_affordable(sizes, forward):
    network = Network(sizes)
    chosen = default_sources(Problem(network, np.zeros((1, sizes[0])), np.zeros((1, sizes[-1]))))
    assert ("jax-forward" in chosen) is forward
    assert {"loop", "vectorized", "jax", "finite-difference"} <= set(chosen)
    assert all(chosen[name] is SOURCES[name] for name in chosen)


def test_sources_are_chosen_by_name_or_given():
    def mine(problem, theta):
        raise NotImplementedError

    assert named_sources("loop") == {"loop": SOURCES["loop"]}
    assert list(named_sources(iter(["jax", "loop"]))) == ["jax", "loop"]
    assert list(named_sources([SOURCES["jax"], "loop"])) == ["jax", "loop"]
    chosen = named_sources({"mine": mine, "loop": SOURCES["jax"], "reverse": "jax"})
    assert [source.name for source in chosen.values()] == list(chosen) == ["mine", "loop", "reverse"]
    assert chosen["mine"].function is mine
    assert chosen["loop"].function == chosen["reverse"].function == SOURCES["jax"].function


def families_of(sources):
    return {name: source.family for name, source in named_sources(sources).items()}


def test_a_function_of_your_own_stands_alone_whatever_it_is_called():
    known = {source.family for source in (SOURCES | FLOAT32_SOURCES).values()}
    for name in ["mine", *SOURCES, *known]:
        assert families_of({name: mine})[name] not in known
    assert len(set(families_of({"a": mine, "b": lambda problem, theta: mine(problem, theta)}).values())) == 2


def test_a_source_of_the_harness_keeps_its_family_under_any_name():
    sources = {"a": SOURCES["jax"], "b": cost_and_gradient, "c": FAULTS["wrong-sign"].source, "d": "bug:slope-missing"}
    assert families_of(sources) == {"a": "jax", "b": "by hand", "c": "by hand", "d": "by hand"}
    assert FAULTS["wrong-custom-rule"].source.family == "jax"


def test_one_function_under_two_names_has_one_vote():
    wrong = FAULTS["wrong-sign"].source.function
    assert len(set(families_of({"a": wrong, "b": wrong}).values())) == 1
    problem, theta = random_problem((0, 2), extremes=False)
    stuffed = {"a": wrong, "b": wrong, "loop": SOURCES["loop"], "jax": SOURCES["jax"]}
    assert cross_check(problem, theta, stuffed).outliers == ("a", "b")


def test_a_wrong_source_called_jax_does_not_join_its_family():
    problem, theta = random_problem((0, 2), extremes=False)
    sources = {"jax": FAULTS["wrong-sign"].source.function, "jax-forward": "jax-forward", "loop": "loop"}
    report = cross_check(problem, theta, sources)
    assert report.outliers == ("jax",)
    assert {row.name: row.family for row in report.sources}["jax"] == "jax of your own"


@pytest.mark.parametrize("source", [*SOURCES.values(), *FLOAT32_SOURCES.values()], ids=lambda source: source.name)
def test_a_source_says_where_it_is_and_what_it_does(source):
    assert callable(source.run)
    assert source.does
    assert as_source(source.name, source) is source


def test_whoever_imports_jax_says_so():
    code = (
        "import sys\nfrom harness.sources.source_table import SOURCES, FLOAT32_SOURCES\n"
        "for name, source in (SOURCES | FLOAT32_SOURCES).items():\n"
        "    if not source.needs_jax: source.run\n"
        "print('jax' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
    assert {name for name, source in (SOURCES | FLOAT32_SOURCES).items() if source.needs_jax} == {
        "jax",
        "jax-forward",
        "jax-float32",
    }


@pytest.mark.parametrize(
    ("names", "error", "sentence"),
    [
        (["loop", "lop"], ValueError, "unknown source 'lop'; there are loop, vectorized, jax"),
        ("lop", ValueError, "unknown source 'lop'"),
        ([7], ValueError, "unknown source 7"),
        ("lop", ValueError, "bug:NAME for one of the bug zoo, or module:function of your own"),
        ("bug:lop", ValueError, "there is no bug named 'lop'; `harness bugs` lists them"),
        (["nowhere:f"], ValueError, "cannot import 'nowhere'"),
        (["nowhere.py:f"], ValueError, "nowhere.py is not there; give the path of a .py file"),
        (["math:pi"], TypeError, r"source 'math:pi' must be callable as source\(problem, theta\), not float"),
        ([], ValueError, "no sources were given; choose from loop, vectorized, .*, or leave the choice to the harness"),
        ({}, ValueError, "no sources were given"),
        ({"mine": 7}, TypeError, r"source 'mine' must be callable as source\(problem, theta\), not int"),
        ({1: "loop"}, TypeError, "a source's name must be a string, not 1"),
        (print, TypeError, "sources must be names, or a mapping from name to source, not <built-in function print>"),
    ],
)
def test_what_is_no_source_gets_one_clear_sentence(names, error, sentence):
    with pytest.raises(error, match=sentence):
        named_sources(names)


def mine(problem, theta):
    return SOURCES["loop"](problem, theta)


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("loop", SOURCES["loop"]),
        ("vectorized-float32", FLOAT32_SOURCES["vectorized-float32"]),
        ("bug:wrong-sign", FAULTS["wrong-sign"].source),
        (f"{__name__}:mine", mine),
    ],
)
def test_a_source_is_found_by_its_name(name, source):
    found = find_source(name)
    assert found is source if isinstance(source, Source) else found.function is source
    assert named_sources([name])[name].function == found.function


def test_names_of_every_form_are_taken_wherever_sources_are():
    problem, theta = random_problem((0, 2), extremes=False)
    own = f"{__name__}:mine"
    assert cross_check(problem, theta, ["jax", own]).verdict == "agree"
    assert cross_check(problem, theta, ["jax", "loop", "bug:wrong-sign"]).outliers == ("bug:wrong-sign",)
    trained = train(problem, theta, 2, source=own)
    assert trained.report is not None
    assert own in {row.name for row in trained.report.sources}
    with pytest.raises(GateClosed):
        train(problem, theta, 2, source="bug:wrong-sign")
