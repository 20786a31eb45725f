"""The pytest plugin, on real projects in a folder of their own."""

import json
import os
import re
import shlex
from pathlib import Path
from textwrap import dedent

import pytest
from programs import ROOT, run_python

# what the projects import has to be there before, because pytest forgets what a run in this process has imported
import reference.oracles.jax_padded
from harness import assertions
from harness.checks.networks import case_files, smallest_failure
from harness.cli import main
from harness.failures import check_script
from harness.sources import bug_zoo as faults

IMPORTED = (reference.oracles.jax_padded, assertions, case_files, faults, smallest_failure, check_script)

PASSED, FAILED, USAGE = 0, 1, 4

SUITE = ("--pyargs", "harness.suite")

RIGHT = """
    def test_mine(random_problem, cross_check):
        report = cross_check(*random_problem, ["loop", "vectorized", "finite-difference"])
        assert report.verdict == "agree"
"""

WRONG = """
    from harness import FAULTS, SOURCES

    def test_mine(random_problem, cross_check):
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


# What passes, what fails, and what is shown


def test_right_code_passes_and_is_counted(project, run_pytest):
    project(RIGHT)
    result = run_pytest("--gradient-networks", 4, "--gradient-seed", 5)
    result.assert_outcomes(passed=4)
    result.stdout.fnmatch_lines(["*- gradients -*", "4 networks, 3 sources: 4 agree, 0 disagree, 0 inconclusive"])


def test_wrong_code_fails_with_the_coordinate_the_shrunk_case_and_the_replay_command(project, run_pytest, pytester):
    project(WRONG)
    result = run_pytest("--gradient-networks", 2, "--gradient-seed", 5)
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(
        [
            "DISAGREE: the odd one out is mine (of mine, loop, finite-difference)",
            "  mine: Theta*[[]*, bias[]] = *, but * has * times the bound *",
            "    bias-times-4 explains * coordinates (The biases' gradient is four times too large)",
            "The smallest network that still fails:",
            "  sizes [[]1, 1], hidden [[]], *",
            "Replay it with: harness replay *.gradient-cases/test_project.py-test_mine-5-0-*.json",
            "2 networks, 3 sources: 0 agree, 2 disagree, 0 inconclusive",
        ]
    )
    result.stdout.no_fnmatch_line("*pytest_plugin.py:*")  # the plugin's own frames stay out of sight


def test_the_replay_command_shows_the_same_verdict(project, run_pytest, pytester, capsys):
    project(WRONG)
    result = run_pytest("--gradient-networks", 1, "--gradient-seed", 5)
    # where CI is set, pytest shows a failure again, in full, in its summary
    (command,) = {line for line in result.outlines if line.startswith("Replay it with: harness ")}
    with pytest.raises(SystemExit) as ended:
        main(command.removeprefix("Replay it with: harness ").split())
    assert ended.value.code == FAILED
    assert "the odd one out is mine" in capsys.readouterr().out


IN_A_FOLDER = """
    from harness import SOURCES

    def mine(problem, theta):
        cost, gradient = SOURCES["loop"](problem, theta)
        return cost, 2.0 * gradient

    def test_mine(random_problem, cross_check):
        cross_check(*random_problem, {"mine": mine} | {name: SOURCES[name] for name in ("loop", "finite-difference")})
"""


def test_the_replay_command_finds_sources_of_a_folder(run_pytest, pytester):
    for folder in ("one", "another"):
        pytester.mkdir(folder).joinpath(f"test_{folder}.py").write_text(dedent(IN_A_FOLDER))
    result = run_pytest("--gradient-networks", 1, "--gradient-seed", 5)
    commands = {line.partition(": ")[2] for line in result.outlines if line.startswith("Replay it with: ")}
    assert len(commands) == 2
    for command in commands:
        setting, *arguments = shlex.split(command)
        name, _, folder = setting.partition("=")
        assert name == "PYTHONPATH"
        env = {name: os.pathsep.join([folder, str(ROOT)])}
        code, out, err = run_python("-m", *arguments, env=env, cwd=pytester.path)
        assert code == FAILED, err
        assert f"the odd one out is test_{Path(folder).name}:mine" in out


def test_every_test_has_a_case_of_its_own(project, run_pytest, pytester):
    project(
        WRONG.replace(
            "    def test_mine(",
            "    @pytest.mark.parametrize('name', ['x/z', 'y/z', 'y-z'])\n    def test_mine(name, ",
        ).replace("    from harness", "    import pytest\n    from harness", 1)
    )
    result = run_pytest("--gradient-networks", 1, "--gradient-seed", 5)
    result.assert_outcomes(failed=3)
    assert len(list((pytester.path / ".gradient-cases").iterdir())) == 3


def test_a_failure_that_does_not_repeat_is_not_called_the_smallest(project, run_pytest):
    project("""
        from harness import SOURCES

        calls = []

        def once(problem, theta):
            cost, gradient = SOURCES["loop"](problem, theta)
            calls.append(1)
            return cost, gradient * (2.0 if len(calls) == 1 else 1.0)

        def test_mine(random_problem, cross_check):
            others = {name: SOURCES[name] for name in ("loop", "finite-difference")}
            cross_check(*random_problem, {"mine": once} | others)
    """)
    result = run_pytest("--gradient-networks", 1, "--gradient-seed", 5)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["DISAGREE: *", "The failure does not repeat: *"])
    result.stdout.no_fnmatch_line("The smallest network*")


FAILING = """
    import numpy as np

    def helper(theta):
        return theta @ np.ones(5)

    def test_raises(cross_check):
        cross_check(lambda theta: helper(theta), np.ones(3))

    def test_shape(cross_check):
        cross_check(lambda theta: (theta @ theta, 2 * theta[:, None]), np.ones(3))

    def test_source(random_problem, cross_check):
        cross_check(*random_problem, {"mine": lambda problem, theta: (0.0, helper(theta)), "jax": "jax"})
"""


@pytest.mark.parametrize("whole", [False, True])
def test_an_error_is_shown_where_it_was_raised_and_not_by_the_lines_of_the_harness(project, run_pytest, whole):
    project(FAILING)
    result = run_pytest("--gradient-networks", 1, *["--full-trace"] * whole)
    result.assert_outcomes(failed=3)
    lines = [line for line in result.outlines if re.match(r"\S+\.py:\d+: ", line)]
    assert any("/harness/" in line for line in lines) == whole
    assert [line for line in lines if "in helper" in line or "ValueError" in line]
    result.stdout.fnmatch_lines([">*cross_check(lambda theta: (theta @ theta*", "E*the gradient must have the shape*"])
    result.stdout.fnmatch_lines([">*return theta @ np.ones(5)", "E*raised by source 'mine'*"])


MISTAKEN_CALLS = """
    import jax.numpy as jnp
    import numpy as np

    def test_option(check_derivatives):
        check_derivatives(jnp.sin, np.ones(2), tolerance=3)

    def test_no_function(check_derivatives):
        check_derivatives()

    def test_numpy(check_derivatives):
        check_derivatives(lambda x: np.sin(np.asarray(x)), np.ones(2))
"""


def test_a_call_that_cannot_be_is_shown_at_its_line_with_what_is_wrong_about_it(project, run_pytest):
    project(MISTAKEN_CALLS)
    result = run_pytest()
    result.assert_outcomes(failed=3)
    assert not [line for line in result.outlines if re.match(r"\S*/harness/\S+\.py:\d+: ", line)]
    errors = "\n".join(line for line in result.outlines if line.startswith("E  "))
    assert "check_derivatives() got an unexpected keyword argument 'tolerance'" in errors
    assert "check_derivatives() missing 1 required positional argument: 'f'" in errors
    assert "hands a traced array to NumPy or another library; use jax.numpy there" in errors


BROKEN_HARNESS = """
    import numpy as np
    from harness.checks.functions import gradient_checking, measuring

    def fun(theta):
        return theta @ theta, 2 * theta

    def test_own_code(cross_check, monkeypatch):
        monkeypatch.setattr(gradient_checking, "steps_for", None)
        cross_check(fun, np.ones(3))

    def test_library(cross_check, monkeypatch):
        monkeypatch.setattr(measuring, "scatter_of", np.linalg.inv)
        cross_check(fun, np.ones(3))
"""


@pytest.mark.parametrize(("test", "innermost"), [("own_code", "gradient_checking"), ("library", "measuring")])
def test_a_fault_of_the_harness_is_shown_with_all_of_its_lines(project, run_pytest, test, innermost):
    project(BROKEN_HARNESS)
    result = run_pytest("-k", test)
    result.assert_outcomes(failed=1, deselected=1)
    result.stdout.fnmatch_lines(["*harness*gradient_checking.py:*: in check_gradient", f"*harness*{innermost}.py:*: *"])


def test_functions_of_ones_own(project, run_pytest):
    project(OWN_FUNCTIONS)
    result = run_pytest()
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        [
            "DISAGREE: the odd one out is fun *",
            "  fun: theta[[]3[]] = *, but * has *",
            "2 checks, 2 sources: 1 agree, 1 disagree, 0 inconclusive",
        ]
    )
    result.stdout.no_fnmatch_line("*harness replay*")


@pytest.mark.parametrize(("networks", "seed"), [(1, 0), (3, 7)])
def test_a_test_runs_once_for_each_network_and_is_named_after_it(project, run_pytest, networks, seed):
    project(RIGHT)
    result = run_pytest("--collect-only", "-q", "--gradient-networks", networks, "--gradient-seed", seed)
    names = [f"test_project.py::test_mine[{seed}-{index}]" for index in range(networks)]
    assert [line for line in result.outlines if "::" in line] == names


def test_random_problems_are_those_of_the_seed(project, run_pytest):
    project("""
        import numpy as np
        from harness import random_problem as made_again

        def test_mine(random_problem, request):
            problem, theta = random_problem
            seed, index = map(int, request.node.name[10:-1].split("-"))
            again, theta_again = made_again((seed, index), extremes=False)
            np.testing.assert_array_equal(theta, theta_again)
            np.testing.assert_array_equal(problem.X, again.X)
    """)
    run_pytest("--gradient-networks", 3, "--gradient-seed", 8).assert_outcomes(passed=3)


# What an inconclusive verdict does


INI = "[pytest]\ngradient_inconclusive = {}\n"


@pytest.mark.parametrize(
    ("ini", "option", "expected"),
    [
        ("", [], {"failed": 1}),
        ("", ["--gradient-inconclusive=fail"], {"failed": 1}),
        ("", ["--gradient-inconclusive=warn"], {"passed": 1, "warnings": 1}),
        ("", ["--gradient-inconclusive=pass"], {"passed": 1}),
        (INI.format("fail"), [], {"failed": 1}),
        (INI.format("warn"), [], {"passed": 1, "warnings": 1}),
        (INI.format("pass"), [], {"passed": 1}),
        (INI.format("pass"), ["--gradient-inconclusive=fail"], {"failed": 1}),
        (INI.format("fail"), ["--gradient-inconclusive=pass"], {"passed": 1}),
    ],
)
def test_an_inconclusive_verdict_is_said_and_does_what_is_configured(
    project, run_pytest, pytester, ini, option, expected
):
    pytester.makefile(".ini", pytest=ini)
    project(AT_A_KINK)
    result = run_pytest(*option)
    result.assert_outcomes(**expected)
    assert "1 check, 2 sources: 0 agree, 0 disagree, 1 inconclusive" in result.outlines
    if "failed" in expected or "warnings" in expected:
        result.stdout.fnmatch_lines(
            ["*INCONCLUSIVE: fun, finite-difference*", "*1 of 2 coordinates cannot be decided*"]
        )
    if "failed" in expected:
        result.stdout.fnmatch_lines(["*gradient_inconclusive = warn or pass*"])
    if "warnings" in expected:
        result.stdout.fnmatch_lines(["*InconclusiveGradient: INCONCLUSIVE*"])


# Reports


def test_a_report_as_json(project, run_pytest, pytester):
    project(WRONG)
    result = run_pytest("--gradient-networks", 2, "--gradient-seed", 5, "--gradient-report", "gradients.json")
    document = json.loads((pytester.path / "gradients.json").read_text())
    assert document["schema"] == "harness.pytest/1"
    assert [check["test"] for check in document["checks"]] == [f"test_project.py::test_mine[5-{i}]" for i in range(2)]
    assert {check["report"]["verdict"] for check in document["checks"]} == {"disagree"}
    assert {tuple(check["report"]["outliers"]) for check in document["checks"]} == {("mine",)}
    assert "reports: gradients.json" in result.outlines


def test_a_report_as_html_opens_on_what_is_wrong(project, run_pytest, pytester):
    project(OWN_FUNCTIONS)
    run_pytest("--gradient-report", "gradients.html")
    text = (pytester.path / "gradients.html").read_text()
    assert text.startswith("<!doctype html>")
    assert "Content-Security-Policy" in text
    assert re.search(r"<dd>pytest [^<]*--gradient-report gradients.html", text)
    assert text.count("<details") == 2
    assert text.index('<details open><summary><strong class="disagree">') < text.index('<strong class="agree">')
    assert "test_project.py::test_wrong" in text
    assert "theta[3]" in text


# What a project keeps of its own


def test_nothing_is_said_where_nothing_is_checked(project, run_pytest):
    project("def test_plain(): pass")
    result = run_pytest()
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("*gradients*")


def test_a_project_that_does_not_use_it_imports_nothing_heavy(project, run_pytest_apart):
    project("""
        import sys

        def test_plain():
            heavy = {"jax", "numpy", "scipy", "matplotlib", "flint", "typer", "reference", "harness.checks"}
            assert not heavy & set(sys.modules)
    """)
    plugins_of_others = ("-p", "no:hypothesispytest", "-p", "no:jaxtyping")
    run_pytest_apart(*plugins_of_others).assert_outcomes(passed=1)


def test_checking_a_function_does_not_import_jax(project, run_pytest_apart):
    project(OWN_FUNCTIONS + "\n    def test_light():\n        import sys\n        assert 'jax' not in sys.modules\n")
    run_pytest_apart().assert_outcomes(passed=2, failed=1)


def test_the_users_hypothesis_profile_is_left_alone(project, run_pytest, pytester):
    pytester.makeconftest("""
        from hypothesis import settings
        settings.register_profile("theirs", max_examples=7, deadline=123)
        settings.load_profile("theirs")
    """)
    project("""
        from hypothesis import given, settings, strategies as st

        def test_checked(random_problem, cross_check):
            cross_check(*random_problem, ["loop", "finite-difference"])
            assert settings.get_current_profile_name() == "theirs"

        calls = []

        @given(st.integers())
        def test_drawn(n):
            calls.append(n)

        def test_settings():
            assert settings().max_examples == 7
            assert settings().deadline.total_seconds() == 0.123
            assert len(calls) <= 7
    """)
    run_pytest("--gradient-networks", 1, "--gradient-seed", 5).assert_outcomes(passed=3)


def test_jax_settings_are_left_alone(project, run_pytest):
    project("""
        import jax

        def test_mine(random_problem, cross_check):
            before = jax.config.values.copy()
            cross_check(*random_problem, ["jax", "finite-difference"])
            assert jax.config.values == before
            assert jax.numpy.ones(1).dtype == "float32"
    """)
    run_pytest("--gradient-networks", 1, "--gradient-seed", 5).assert_outcomes(passed=1)


def test_two_workers_share_one_summary_and_one_report(project, run_pytest_apart, pytester):
    project(RIGHT)
    seed = ["--gradient-networks", 6, "--gradient-seed", 5]
    result = run_pytest_apart("-n", 2, *seed, "--gradient-report", "all.json")
    result.assert_outcomes(passed=6)
    assert "6 networks, 3 sources: 6 agree, 0 disagree, 0 inconclusive" in result.outlines
    checks = json.loads((pytester.path / "all.json").read_text())["checks"]
    assert {check["test"] for check in checks} == {f"test_project.py::test_mine[5-{i}]" for i in range(6)}


def test_a_source_that_could_not_take_all_networks_is_told(project, run_pytest):
    project("""
        from harness import SOURCES, NotApplicable

        def never(problem, theta):
            raise NotApplicable("not today")

        def test_mine(random_problem, cross_check):
            cross_check(*random_problem, {"mine": never, "loop": SOURCES["loop"], "jax": SOURCES["jax"]})
    """)
    result = run_pytest("--gradient-networks", 2, "--gradient-seed", 5)
    result.assert_outcomes(skipped=2)  # that the others agree says nothing of it
    assert "mine could not take 2 of them" in result.outlines


def test_options_are_in_the_help(run_pytest):
    shown = run_pytest("--help").stdout.str()
    named = ("gradient cross-checks:", "--gradient-networks", "gradient_inconclusive")
    assert [name for name in named if name not in shown] == []
    assert "--activation" not in shown
    of_the_suite = run_pytest("--help", "--pyargs", "harness.suite").stdout.str()
    assert "--activation" in of_the_suite
    assert "--gradient-source" in of_the_suite


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--gradient-networks=0"], "--gradient-networks must be one or more, not 0"),
        (["--gradient-networks=many"], "argument --gradient-networks: invalid int value: 'many'"),
        (["--gradient-seed=-1"], "--gradient-seed must be zero or more, not -1"),
        (["--gradient-seed=x"], "argument --gradient-seed: invalid int value: 'x'"),
        (["--gradient-report=report.txt"], "takes a file that ends in .json or .html, not report.txt"),
        (["--gradient-report=nowhere/report.json"], "there is no folder nowhere"),
        (["--gradient-inconclusive=maybe"], "argument --gradient-inconclusive: invalid choice: 'maybe'"),
        (["-o", "gradient_inconclusive=maybe"], "gradient_inconclusive must be fail, warn or pass, not 'maybe'"),
        ([*SUITE, "--activation=rellu"], "unknown activation 'rellu'; registered are"),
        ([*SUITE, "--activation=nowhere:f"], "cannot import 'nowhere'"),
        ([*SUITE, "--activation=math:pi"], "math:pi is of type float, but an Activation is needed"),
        ([*SUITE, "--gradient-source=loup"], "unknown source 'loup'"),
        (
            [*SUITE, "--gradient-source=math:pi"],
            "source 'math:pi' must be callable as source(problem, theta), not float",
        ),
        ([*SUITE, "--gradient-source=math:tau2"], "module 'math' has no attribute 'tau2'"),
    ],
)
def test_bad_values_are_refused_in_one_sentence(project, run_pytest, arguments, complaint):
    project(RIGHT)
    result = run_pytest(*arguments)
    assert result.ret == USAGE
    assert complaint in result.stderr.str()
    assert "Traceback" not in result.stderr.str() + result.stdout.str()


def test_a_case_that_cannot_be_saved_still_fails_with_the_shrunk_network(project, run_pytest):
    project("""
        import numpy as np
        from harness import SOURCES

        def test_mine(random_problem, cross_check):
            wrong = lambda problem, theta: (1.0, np.ones_like(theta))
            others = {name: SOURCES[name] for name in ("loop", "finite-difference")}
            cross_check(*random_problem, {"mine": wrong} | others)
    """)
    result = run_pytest("--gradient-networks", 1, "--gradient-seed", 5)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["The smallest network that still fails:", "  (not saved: source 'mine' cannot be *"])


TRACED = """
    import jax, jax.numpy as jnp, numpy as np

    @jax.custom_jvp
    def cube(x):
        return x**3

    @cube.defjvp
    def cube_jvp(primals, tangents):
        return cube(*primals), 2.0 * primals[0] ** 2 * tangents[0]

    def test_right(check_derivatives):
        assert check_derivatives(jnp.sin, np.array([1.0, 0.5])).verdict == "agree"

    def test_wrong(check_derivatives):
        check_derivatives(cube, np.array([1.0, 0.5]))
"""


def test_traced_functions_are_checked_and_counted(project, run_pytest):
    project(TRACED)
    result = run_pytest()
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*the rule of cube*", "2 checks, 4 sources: 1 agree, 1 disagree, 0 inconclusive"])


DRAWN = """
    import jax
    import jax.numpy as jnp
    import numpy as np
    from hypothesis import Phase, given, settings

    from harness import strategies

    @jax.custom_vjp
    def length(x):
        return jnp.sum(jnp.where(x > 0, x, -x))

    length.defvjp(lambda x: (length(x), x), lambda x, g: (g * jnp.ones_like(x),))

    def loss(params, n):
        return length(params["w"]) * n

    # to shrink, which Hypothesis does, would take most of the time
    @settings(max_examples=20, derandomize=True, deadline=None, database=None, phases=[Phase.generate])
    @given(args=strategies.arrays_like(({"w": np.ones(2)}, 3), domain="apart"))
    def test_wrong(args, check_derivatives):
        check_derivatives(loss, *args)
"""


def test_the_arguments_that_fail_have_a_script_that_runs(project, run_pytest, pytester):
    project(DRAWN)
    result = run_pytest()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["*from harness import check_derivatives*", "*print(check_derivatives(*.loss, *theta))*"]
    )
    (script,) = (pytester.path / ".gradient-cases").glob("*.py")
    _, again, err = run_python(script)
    assert again.startswith("DISAGREE"), err
    assert "the rule of length" in again
