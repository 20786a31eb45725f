"""The pytest plugin, on real projects in a folder of their own."""

import json
import re

import numpy as np
import pytest
from programs import run_python

# what the projects import has to be there before, because pytest forgets what a run in this process has imported
import reference.oracles.jax_padded
from harness import assertions
from harness.checks.networks import case_files, smallest_failure
from harness.cli import main
from harness.failures import check_script
from harness.sources import bug_zoo

IMPORTED = (reference.oracles.jax_padded, assertions, case_files, bug_zoo, smallest_failure, check_script)

FAILED, USAGE = 1, 4

SUITE = ("--pyargs", "harness.suite")
ONE, TWO = (("--gradient-networks", number, "--gradient-seed", 5) for number in (1, 2))

RIGHT = """
    import numpy as np
    from harness import random_problem as made_again

    def test_mine(random_problem, cross_check, request):
        report = cross_check(*random_problem, ["loop", "vectorized", "finite-difference"])
        assert report.verdict == "agree"
        seed, index = map(int, request.node.name[10:-1].split("-"))
        problem, theta = made_again((seed, index), extremes=False)
        np.testing.assert_array_equal(random_problem[1], theta)
        np.testing.assert_array_equal(random_problem[0].X, problem.X)
"""

WRONG = """
    import pytest
    from harness import FAULTS, SOURCES

    @pytest.mark.parametrize("name", ["x/z", "y/z", "y-z"])
    def test_mine(name, random_problem, cross_check):
        others = {name: SOURCES[name] for name in ("loop", "finite-difference")}
        cross_check(*random_problem, {"mine": FAULTS["bias-times-4"].source} | others)
"""

OWN_FUNCTIONS = """
    import numpy as np

    def fun(theta):
        return float(np.sum(theta**3)), 3 * theta**2

    def wrong(theta):
        cost, gradient = fun(theta)
        gradient[3] *= 1.001
        return cost, gradient

    def test_right(cross_check):
        cross_check(fun, np.linspace(0.5, 2.0, 6))

    def test_wrong(cross_check):
        cross_check(wrong, np.linspace(0.5, 2.0, 6))
"""

AT_A_KINK = """
    import numpy as np

    def test_mine(cross_check):
        report = cross_check(lambda theta: (np.abs(theta).sum(), np.sign(theta)), np.array([1.0, 0.0]))
        assert report.verdict == "inconclusive"
"""


@pytest.fixture
def project(pytester):
    """``project(text)`` writes test_project.py."""
    return lambda text: pytester.makepyfile(test_project=text)


def counts(result, what):
    """The summary's numbers: agree, disagree, inconclusive."""
    (line,) = (line for line in result.outlines if re.match(rf"\d+ {what}", line))
    return tuple(int(number) for number in re.findall(r"(\d+) (?:agree|disagree|inconclusive)", line))


# What passes, what fails, and what is shown


def test_right_code_runs_once_for_each_network_and_is_counted(project, run_pytest):
    project(RIGHT)
    result = run_pytest("-rA", "--gradient-networks", 3, "--gradient-seed", 7)
    result.assert_outcomes(passed=3)
    assert counts(result, "networks, 3 sources") == (3, 0, 0)
    assert re.findall(r"PASSED \S*::(\S+)", result.stdout.str()) == [f"test_mine[7-{index}]" for index in range(3)]


def test_wrong_code_fails_with_its_shrunk_case_and_the_replay_command(project, run_pytest, pytester, capsys):
    project(WRONG)
    result = run_pytest(*TWO, "--gradient-report", "gradients.json")
    result.assert_outcomes(failed=6)
    shown = ["DISAGREE: the odd one out is mine (of mine, loop, finite-difference)", "*derivative-differs*"]
    result.stdout.fnmatch_lines([*shown, "  sizes [[]1, 1], hidden [[]], *"])
    result.stdout.no_fnmatch_line("*pytest_plugin.py:*")  # the plugin's own frames are hidden
    result.stdout.no_fnmatch_line("*pytest_failures.py:*")
    assert counts(result, "networks, 3 sources") == (0, 6, 0)
    alike = [line.partition(" fails alike")[0] for line in result.outlines if " fails alike, and " in line]
    assert alike == [f"test_project.py::test_mine[5-0-{name}]" for name in ("x/z", "y/z", "y-z")]

    cases = {line for line in result.outlines if line.startswith("Replay it with: harness ")}
    assert len(cases) == len(list((pytester.path / ".gradient-cases").iterdir())) == 3
    with pytest.raises(SystemExit) as ended:
        main(min(cases).removeprefix("Replay it with: harness ").split())
    assert ended.value.code == FAILED
    assert "the odd one out is mine" in capsys.readouterr().out

    document = json.loads((pytester.path / "gradients.json").read_text())
    assert document["schema"] == "harness.pytest/1"
    assert [check["test"].partition("[")[0] for check in document["checks"]] == ["test_project.py::test_mine"] * 6
    for check in document["checks"]:
        (finding,) = check["report"]["findings"]
        assert (check["report"]["verdict"], check["report"]["outliers"]) == ("disagree", ["mine"])
        assert "bias" in finding["where"]
        assert [fact["where"] for fact in finding["diagnosis"][:1]] == [["bias-times-4"]]


TWO_FAULTS = """
    import numpy as np
    from harness import FAULTS, SOURCES

    def known(problem, theta):
        return FAULTS["wrong-sign" if problem.l2 else "bias-times-4"].source(problem, theta)

    def unknown(problem, theta):
        cost, gradient = FAULTS["bias-times-4"].source(problem, theta)
        return cost, gradient + (problem.l2 > 0.0) * 0.01 * np.sin(np.arange(len(theta)))

    def partly_known(problem, theta):
        cost, gradient = known(problem, theta)
        return 1.01 * cost, gradient

    class TestKnown:
        source = staticmethod(known)

        def test_mine(self, random_problem, cross_check):
            others = {name: SOURCES[name] for name in ("loop", "finite-difference")}
            cross_check(*random_problem, {"mine": self.source} | others)

    class TestUnknown(TestKnown):
        source = staticmethod(unknown)

    class TestPartlyKnown(TestKnown):
        source = staticmethod(partly_known)
"""


def test_a_failure_is_alike_only_where_the_same_bugs_explain_all_of_it(project, run_pytest):
    project(TWO_FAULTS)
    result = run_pytest("--gradient-networks", 4)
    result.assert_outcomes(failed=12)
    # of the first four networks, the first one alone has λ = 0
    pointers = [line.split(" ", 3)[:3] for line in result.outlines if " shows the smallest" in line]
    assert pointers == [
        *[["test_project.py::TestKnown::test_mine[0-1]", "fails", "alike,"]] * 2,
        *[["test_project.py::TestUnknown::test_mine[0-1]", "fails", "in"]] * 2,
        *[["test_project.py::TestPartlyKnown::test_mine[0-0]", "fails", "in"]] * 3,
    ]


NOT_AS_USUAL = """
    import numpy as np
    from harness import SOURCES, NotApplicable

    calls = []
    OTHERS = {name: SOURCES[name] for name in ("loop", "finite-difference")}

    def once(problem, theta):
        cost, gradient = SOURCES["loop"](problem, theta)
        calls.append(1)
        return cost, gradient * (2.0 if len(calls) == 1 else 1.0)

    def never(problem, theta):
        raise NotApplicable("not today")

    def test_does_not_repeat(random_problem, cross_check):
        cross_check(*random_problem, {"mine": once} | OTHERS)

    def test_cannot_be_saved(random_problem, cross_check):
        cross_check(*random_problem, {"mine": lambda problem, theta: (1.0, np.ones_like(theta))} | OTHERS)

    def test_takes_no_part(random_problem, cross_check):
        cross_check(*random_problem, {"mine": never} | OTHERS)

    def test_of_a_function_alone(random_problem, cross_check):
        cross_check(*random_problem, has_aux=True)
"""


@pytest.mark.parametrize(
    ("test", "outcome", "shown"),
    [
        ("does_not_repeat", "failed", ["DISAGREE: *", "*not-repeatable*"]),
        ("cannot_be_saved", "failed", ["DISAGREE: *", "*smallest network*", "*not-saved*"]),
        (
            "takes_no_part",
            "skipped",
            ["mine could not take 1 of them", "FAILED *takes_no_part: *never*"],
        ),
        ("of_a_function_alone", "failed", ["E *TypeError: has_aux goes with a function*"]),
    ],
)
def test_what_is_shown_where_a_check_cannot_go_as_usual(project, run_pytest, test, outcome, shown):
    project(NOT_AS_USUAL)
    result = run_pytest(*ONE, "-k", test)
    result.assert_outcomes(**{outcome: 1}, deselected=3)
    result.stdout.fnmatch_lines(shown)
    if test == "does_not_repeat":
        result.stdout.no_fnmatch_line("*smallest network*")


COURSE_STYLE = """
    import numpy as np
    import pytest
    from hypothesis import given, settings
    from harness import SOURCES, NotApplicable, strategies

    OTHERS = {name: SOURCES[name] for name in ("loop", "finite-difference")}

    def two_layers(problem, theta):
        Theta1, Theta2 = problem.network.unpack(theta)
        assert [f.name for f in problem.network.hidden] == ["sigmoid"]
        return SOURCES["loop"](problem, theta)

    def some(problem, theta):
        if len(problem.network.sizes) < 4:
            raise NotApplicable("deep networks only")
        return SOURCES["loop"](problem, theta)

    def wrong_sometimes(problem, theta):
        cost, gradient = some(problem, theta)
        return cost, 2.0 * gradient

    @pytest.mark.networks(layers=2, activations="sigmoid", l2=0.5)
    def test_marked(random_problem, cross_check):
        problem, theta = random_problem
        assert problem.l2 == 0.5
        cross_check(problem, theta, {"mine": two_layers} | OTHERS)

    def test_unmarked(random_problem, cross_check):
        cross_check(*random_problem, {"mine": two_layers} | OTHERS)

    def test_some(random_problem, cross_check):
        cross_check(*random_problem, {"mine": some} | OTHERS)

    @settings(derandomize=True, deadline=None, database=None, max_examples=20)
    @given(case=strategies.cases(extremes=False))
    def test_given(case, cross_check):
        cross_check(*case, {"mine": wrong_sometimes} | OTHERS)
"""


@pytest.mark.parametrize(
    ("test", "more", "outcomes"),
    [
        ("marked", [], {"passed": 4}),
        ("unmarked", [], {"failed": 4}),
        ("unmarked", ["--gradient-networks-like", "layers=2 activations=sigmoid outputs=softmax"], {"passed": 4}),
        ("some", ["--gradient-seed", 3], {"passed": 3, "skipped": 1}),  # enough that one was checked
        ("given", [], {"failed": 1}),  # an example that does not apply ends no test
    ],
)
def test_a_source_meets_the_networks_that_it_takes(project, run_pytest, test, more, outcomes):
    project(COURSE_STYLE)
    result = run_pytest(f"test_project.py::test_{test}", "--gradient-networks", 4, *more)
    result.assert_outcomes(**outcomes)
    assert result.ret == (FAILED if "failed" in outcomes else 0)
    if outcomes == {"failed": 4}:
        result.stdout.fnmatch_lines(["*@pytest.mark.networks(layers=2*"])


OF_THE_COURSE = """
    import numpy as np
    import pytest
    from harness import SOURCES, Problem, Network

    def sigmoids(problem, theta):  # whatever the network's activations are
        own = Problem(Network(problem.network.sizes, "sigmoid"), problem.X, problem.Y, problem.l2)
        cost, gradient = SOURCES["vectorized"](own, theta)
        return cost, gradient * FACTOR

    @pytest.mark.networks(layers=2, activations="sigmoid", outputs="sigmoid")
    def test_mine(random_problem, cross_check):
        others = {name: SOURCES[name] for name in ("loop", "finite-difference")}
        cross_check(*random_problem, {"mine": sigmoids} | others)
"""


def test_a_network_shrinks_only_to_what_its_test_asks_for(project, run_pytest, pytester):
    """What a source is not meant for would fail as well, and go on failing when the bug is mended."""
    project(OF_THE_COURSE.replace("FACTOR", "1.0001"))
    run_pytest(*ONE).assert_outcomes(failed=1)
    (saved,) = (pytester.path / ".gradient-cases").iterdir()
    case = json.loads(saved.read_text())
    assert re.findall(r'"hidden": *\[ *"(\w+)" *\]', json.dumps(case)) == ["sigmoid"]
    project(OF_THE_COURSE.replace("FACTOR", "1.0"))
    run_pytest(*ONE).assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("marker", "part"),
    [
        ("layers=0", "layers must be the number of matrices Theta, 1 or more, not 0"),
        ("layer=2", "takes layers, sizes, activations, outputs, l2, not 'layer'"),
        ("sizes=(3, 2), layers=2", "sizes (3, 2) make 1 layers, not 2"),
        ("2", "by name, not (2,)"),
    ],
)
def test_a_marker_that_asks_for_no_network_is_refused(project, run_pytest, marker, part):
    project(f"import pytest\n@pytest.mark.networks({marker})\ndef test_mine(random_problem): pass")
    shown = run_pytest("--gradient-networks", 1).stdout.str()
    assert part in shown
    assert "INTERNALERROR" not in shown
    assert "drawn_networks.py" not in shown


FAILING = """
    import jax.numpy as jnp
    import numpy as np

    def helper(theta):
        return theta @ np.ones(5)

    def test_raises(cross_check):
        cross_check(lambda theta: helper(theta), np.ones(3))

    def test_shape(cross_check):
        cross_check(lambda theta: (theta @ theta, 2 * theta[:, None]), np.ones(3))

    def test_source(random_problem, cross_check):
        cross_check(*random_problem, {"mine": lambda problem, theta: (0.0, helper(theta)), "jax": "jax"})

    def test_option(check_derivatives):
        check_derivatives(jnp.sin, np.ones(2), tolerance=3)

    def test_no_function(check_derivatives):
        check_derivatives()

    def test_numpy(check_derivatives):
        check_derivatives(lambda x: np.sin(np.asarray(x)), np.ones(2))
"""


@pytest.mark.parametrize("whole", [False, pytest.param(True, marks=pytest.mark.more)])
def test_an_error_is_shown_where_it_was_raised_and_not_by_the_lines_of_the_harness(project, run_pytest, whole):
    project(FAILING)
    result = run_pytest("--gradient-networks", 1, *["--full-trace"] * whole)
    result.assert_outcomes(failed=6)
    lines = [line for line in result.outlines if re.match(r"\S+\.py:\d+: ", line)]
    assert any("/harness/" in line for line in lines) == whole
    assert [line for line in lines if "in helper" in line or "ValueError" in line]
    result.stdout.fnmatch_lines([">*return theta @ np.ones(5)", "E*raised by source 'mine'*"])
    errors = "\n".join(line for line in result.outlines if line.startswith("E  "))
    for part in ("the gradient must have the shape", "check_derivatives() got an unexpected keyword argument"):
        assert part in errors
    assert "check_derivatives() missing 1 required positional argument: 'f'" in errors
    assert "__array__() was called on traced array" in errors


def test_functions_of_ones_own_and_their_report_as_html(project, run_pytest, pytester):
    project(OWN_FUNCTIONS)
    result = run_pytest("--gradient-report", "gradients.html")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["DISAGREE: the odd one out is fun *", "reports: gradients.html"])
    assert counts(result, "checks, 2 sources") == (1, 1, 0)
    result.stdout.no_fnmatch_line("*harness replay*")
    text = (pytester.path / "gradients.html").read_text()
    assert text.startswith("<!doctype html>")
    assert "Content-Security-Policy" in text
    assert re.search(r"<dd>pytest [^<]*--gradient-report gradients.html", text)
    assert '<h1 class="disagree" id="verdict">' in text
    assert text.count("<details") == 2
    assert text.index('<details open><summary><strong class="disagree">') < text.index('<strong class="agree">')
    assert "test_project.py::test_wrong" in text


INI = "[pytest]\ngradient_inconclusive = {}\n"


@pytest.mark.parametrize(
    ("ini", "option", "expected"),
    [
        ("", [], {"failed": 1}),
        ("", ["--gradient-inconclusive=fail"], {"failed": 1}),
        ("", ["--gradient-inconclusive=warn"], {"passed": 1, "warnings": 1}),
        ("", ["--gradient-inconclusive=pass"], {"passed": 1}),
        (INI.format("warn"), [], {"passed": 1, "warnings": 1}),
        (INI.format("pass"), ["--gradient-inconclusive=fail"], {"failed": 1}),
        (INI.format("fail"), ["--gradient-inconclusive=pass"], {"passed": 1}),
    ],
)
def test_an_inconclusive_verdict_is_shown_and_does_what_is_configured(
    project, run_pytest, pytester, ini, option, expected
):
    pytester.makefile(".ini", pytest=ini)
    project(AT_A_KINK)
    result = run_pytest(*option)
    result.assert_outcomes(**expected)
    assert counts(result, "check, 2 sources") == (0, 0, 1)
    if "passed" not in expected or "warnings" in expected:
        result.stdout.fnmatch_lines(["*INCONCLUSIVE: fun, finite-difference*"])
    if "failed" in expected:
        result.stdout.fnmatch_lines(["*gradient_inconclusive = warn or pass*"])
    if "warnings" in expected:
        result.stdout.fnmatch_lines(["*InconclusiveGradient: INCONCLUSIVE*"])


# What a project keeps of its own


def test_a_project_that_does_not_use_it_imports_nothing_heavy_and_sees_nothing(project, run_pytest_apart):
    project("""
        import sys

        def test_plain():
            heavy = {"jax", "numpy", "scipy", "matplotlib", "flint", "typer", "reference", "harness.checks"}
            assert not heavy & set(sys.modules)
    """)
    plugins_of_others = ("-p", "no:hypothesispytest", "-p", "no:jaxtyping")
    result = run_pytest_apart(*plugins_of_others)
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("*gradients*")


@pytest.mark.more
def test_two_workers_share_one_summary_and_one_report(project, run_pytest_apart, pytester):
    project(RIGHT)
    seed = ["--gradient-networks", 6, "--gradient-seed", 5]
    result = run_pytest_apart("-n", 2, *seed, "--gradient-report", "all.json")
    result.assert_outcomes(passed=6)
    assert counts(result, "networks, 3 sources") == (6, 0, 0)
    checks = json.loads((pytester.path / "all.json").read_text())["checks"]
    assert {check["test"] for check in checks} == {f"test_project.py::test_mine[5-{i}]" for i in range(6)}


OWN_OPTIONS = """
    def pytest_addoption(parser):
        for name in ("--activation", "--gradient-source", "--networks", "--seed"):
            parser.addoption(name, default="theirs")
"""


def test_a_project_may_have_options_of_the_suites_names(pytester, run_pytest, project):
    pytester.makeconftest(OWN_OPTIONS)
    project("""
        def test_mine(request):
            assert request.config.option.activation == "relu"
            assert request.config.option.gradient_source == "theirs"
    """)
    run_pytest("--activation", "relu").assert_outcomes(passed=1)
    if pytest.version_tuple < (9,):
        return  # older releases find the clash when they parse, too late to give way
    pytester.makeconftest(OWN_OPTIONS.replace('"--gradient-source", ', ""))
    result = run_pytest(*SUITE, "--gradient-activation", "tanh", "-k", "record", "--activation=x")
    result.assert_outcomes(passed=1, deselected=result.parseoutcomes()["deselected"])


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--gradient-networks=0"], "--gradient-networks must be one or more, not 0"),
        (["--gradient-seed=-1"], "--gradient-seed must be zero or more, not -1"),
        (["--gradient-report=nowhere/report.json"], "cannot write nowhere/report.json (No such file or directory)"),
        (["--gradient-inconclusive=maybe"], "'maybe'"),
        (["--gradient-networks-like=layers=two"], "'layers=two' has no number where one is expected"),
        (["-o", "gradient_inconclusive=maybe"], "gradient_inconclusive must be fail, warn or pass, not 'maybe'"),
        ([*SUITE, "--activation=rellu"], "unknown activation 'rellu'"),
        ([*SUITE, "--gradient-source=loup"], "unknown source 'loup'"),
        ([*SUITE, "--gradient-source=math:pi"], "source 'math:pi' must be callable"),
    ],
)
def test_bad_values_are_refused_in_one_sentence(project, run_pytest, arguments, part):
    project(RIGHT)
    result = run_pytest(*arguments)
    assert result.ret == USAGE
    assert part in result.stderr.str()
    assert "Traceback" not in result.stderr.str() + result.stdout.str()


# Functions that JAX traces, and Hypothesis


TRACED = """
    import jax, jax.numpy as jnp, numpy as np
    from hypothesis import Phase, given, settings
    from harness import strategies

    @jax.custom_vjp
    def length(x):
        return jnp.sum(jnp.where(x > 0, x, -x))

    length.defvjp(lambda x: (length(x), x), lambda x, g: (g * jnp.ones_like(x),))

    def loss(params, n):
        return length(params["w"]) * n

    def test_right(check_derivatives):
        assert check_derivatives(jnp.sin, np.array([1.0, 0.5])).verdict == "agree"

    # to shrink, which Hypothesis does, would take most of the time
    @settings(max_examples=20, derandomize=True, deadline=None, database=None, phases=[Phase.generate])
    @given(args=strategies.arrays_like(({"w": np.ones(2)}, 3), domain="apart"))
    def test_wrong(args, check_derivatives):
        check_derivatives(loss, *args)
"""


@pytest.mark.more
def test_traced_functions_are_checked_and_counted_and_failing_arguments_have_a_script(project, run_pytest, pytester):
    project(TRACED)
    result = run_pytest()
    result.assert_outcomes(passed=1, failed=1)
    assert counts(result, "checks, 4 sources")[:2] == (2, 1)
    result.stdout.fnmatch_lines(["*print(check_derivatives(*.loss, *theta))*"])
    (script,) = (pytester.path / ".gradient-cases").glob("*.py")
    _, again, err = run_python(script)
    assert again.startswith("DISAGREE"), err


WITH_GIVEN = """
    import numpy as np
    from hypothesis import given, settings, strategies as st
    from harness import SOURCES
    from harness.strategies import cases

    calls = []

    def wrong(theta):
        calls.append(1)
        return theta @ theta, 2 * theta + 1e-3 * (abs(theta) > 3.5)

    @settings(max_examples=30, database=None, deadline=None, derandomize=True)
    @given(st.integers(-10, 10))
    def test_wrong(cross_check, x):
        cross_check(wrong, np.array([float(x), 1.0]))

    @settings(max_examples=3, database=None, deadline=None, derandomize=True)
    @given(cases(extremes=False))
    def test_right(cross_check, case):
        cross_check(*case, ["loop", "finite-difference"])

    @settings(max_examples=2, database=None, deadline=None, derandomize=True)
    @given(st.floats(0.5, 1.0))
    def test_both(random_problem, cross_check, factor):
        problem, theta = random_problem
        cross_check(problem, factor * theta, ["loop", "finite-difference"])
"""


def test_the_fixtures_go_with_given_and_the_simplest_example_is_saved_once(project, run_pytest, pytester):
    project(WITH_GIVEN)
    result = run_pytest(*TWO)
    result.assert_outcomes(passed=3, failed=1)
    result.stdout.fnmatch_lines(
        ["DISAGREE: the odd one out is fun*", "test_project.py:*: in test_wrong", "*test_wrong(", "*x=4,"]
    )
    assert "/harness/checks/" not in result.stdout.str(), "Hypothesis explains failures by the user's lines alone"
    (saved,) = (pytester.path / ".gradient-cases").glob("*.npz")
    with np.load(saved) as case:
        assert abs(case["theta"]).max() == 4.0
        assert case["seed"] == 5
    assert result.stdout.str().count("Run the script with: ") <= 2  # once more in CI's summary
    assert counts(result, "checks") == (4, 1, 0)
