"""The plugin in other people's projects: where a failure is, how it is seen again, and options of their own."""

import re
from pathlib import Path
from textwrap import dedent

import numpy as np
import pytest
from programs import run_python

# what the projects import has to be there before, because pytest forgets what a run in this process has imported
import reference.oracles.jax_padded
from harness import assertions
from harness.checks.networks import case_files, smallest_failure
from harness.failures import check_script

IMPORTED = (reference.oracles.jax_padded, assertions, case_files, smallest_failure, check_script)


GRADIENTS = """
import numpy as np
from .constants import FACTOR

def wrong(theta, scale=1.0):
    return scale * np.sum(theta["W"] ** 2), {"W": FACTOR * theta["W"], "n": None}
"""

HELPERS = """
def check(cross_check, *arguments, **options):
    return cross_check(*arguments, **options)
"""

TEST = """
import dataclasses
import numpy as np
import pytest
{imports}

@dataclasses.dataclass
class Params:
    layers: list
    scale: float
    name: str = "first"

def cost(params):
    return np.sum(params.layers[0]["W"] ** 2) * params.scale

def gradient(params):
    W = params.layers[0]["W"]
    return {{"layers": [{{"W": 2.02 * W * params.scale}}], "scale": np.sum(W ** 2)}}

def test_dict(cross_check):
    cross_check(wrong, {{"W": np.linspace(0.1, 0.7, 3, dtype=np.float32), "n": 3}})

def test_args(cross_check):
    cross_check(wrong, {{"W": np.ones((2, 2)), "n": 3}}, args=(3.0,))

def test_dataclass(cross_check):
    theta = Params([{{"W": np.array([0.1, 0.2])}}], 0.7)
    cross_check(cost, theta, gradient=gradient)

@pytest.mark.parametrize("x", [0.25])
def test_local(cross_check, x):
    helpers.check(cross_check, lambda theta: (theta @ theta, 3 * theta), np.array([x, 1.0]))
"""

LAYOUTS = {
    "src": ("tests/unit", "from pkg.gradients import wrong\nimport helpers", "pythonpath = src", "src/pkg", []),
    "importlib": (
        "tests/unit",
        "from pkg.gradients import wrong\nfrom . import helpers",
        "pythonpath = src",
        "src/pkg",
        ["--import-mode=importlib"],
    ),
}


@pytest.fixture(params=LAYOUTS.values(), ids=list(LAYOUTS))
def failures(request, pytester, run_pytest_apart):
    """What pytest prints in a project where every test fails."""
    tests, imports, ini, package, options = request.param
    if "from . import" in imports:
        (pytester.path / tests).mkdir(parents=True, exist_ok=True)
        (pytester.path / tests / "__init__.py").touch()
    files = {
        f"{package}/__init__.py": "",
        f"{package}/constants.py": "FACTOR = 2.02\n",
        f"{package}/gradients.py": GRADIENTS,
        f"{tests}/helpers.py": HELPERS,
        f"{tests}/test_mine.py": TEST.format(imports=imports),
        "pytest.ini": f"[pytest]\n{ini}\n",
    }
    for name, text in files.items():
        path = pytester.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    result = run_pytest_apart(*options)
    result.assert_outcomes(failed=4)
    return result, f"{tests}/test_mine.py".removeprefix("./")


def test_a_failure_shows_its_line_and_a_script_that_runs_as_printed_from_any_folder(failures, pytester, tmp_path):
    result, test_file = failures
    output = result.stdout.str()
    lines = (pytester.path / test_file).read_text().splitlines()
    for name in ("test_dict", "test_args", "test_dataclass", "test_local"):
        start = next(i for i, line in enumerate(lines) if line.startswith(f"def {name}("))
        call = next(i for i, line in enumerate(lines) if i > start and "cross_check" in line)
        assert f"{test_file}:{call + 1}: in {name}\n    {lines[call].strip()}" in output
    assert re.search(r"helpers\.py:3: in check\n    return cross_check", output)

    scripts = re.findall(r"^Run the script with: python (\S+)$", output, re.MULTILINE)
    printed = re.findall(r"The same in Python, from any folder:\n\n(.*?)\n\nθ and the seed", output, re.DOTALL)
    assert len(set(scripts)) == len(set(printed)) == 3
    assert {Path(script).read_text().strip() for script in scripts} == {text.strip() for text in printed}
    everything = tmp_path / "all.py"
    everything.write_text("\n".join(dict.fromkeys(printed)))
    code, shown, err = run_python(everything, cwd=tmp_path)
    assert code == 0, err
    assert shown.count("DISAGREE: the odd one out is fun") == 3
    assert len(re.findall(r"fun: (W\[\d\]|W\[\d, \d\]|layers\[0\]\['W'\]\[\d\]) = ", shown)) == 3

    # a function inside of a test has no script, but is saved
    result.stdout.fnmatch_lines(["*(no script: test_local.<locals>.<lambda> is not defined at the top of a module)"])
    (saved,) = (pytester.path / ".gradient-cases").glob("*test_local*.npz")
    with np.load(saved) as case:
        assert case["theta"].tolist() == [0.25, 1.0]
        assert case["seed"] == 0
    commands = {line for line in result.outlines if line.startswith("Run the test again with: ")}
    assert len(commands) == 4
    (command,) = (line for line in commands if "test_local[0.25]" in line)
    assert command.endswith("test_mine.py::test_local[0.25]'")


# Hypothesis


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


def test_the_fixtures_go_with_given_and_the_simplest_example_is_saved_once(pytester, run_pytest):
    pytester.makepyfile(test_project=WITH_GIVEN)
    result = run_pytest("--gradient-networks", 2, "--gradient-seed", 5)
    result.assert_outcomes(passed=3, failed=1)
    result.stdout.fnmatch_lines(
        ["DISAGREE: the odd one out is fun*", "test_project.py:*: in test_wrong", "*test_wrong(", "*x=4,"]
    )
    (saved,) = (pytester.path / ".gradient-cases").glob("*.npz")
    with np.load(saved) as case:
        assert abs(case["theta"]).max() == 4.0
        assert case["seed"] == 5
    assert result.stdout.str().count("Run the script with: ") <= 2  # once more in CI's summary
    result.stdout.fnmatch_lines(["5 checks, * sources: 4 agree, 1 disagree, 0 inconclusive"])


# Options of a project's own


OWN_OPTIONS = """
    def pytest_addoption(parser):
        for name in ("--activation", "--gradient-source", "--networks", "--seed"):
            parser.addoption(name, default="theirs")
"""


def test_a_project_may_have_options_of_the_suites_names(pytester, run_pytest):
    pytester.makeconftest(OWN_OPTIONS)
    pytester.makepyfile(
        test_project="""
        import numpy as np

        def test_mine(request, cross_check):
            assert request.config.option.activation == "relu"
            assert request.config.option.gradient_source == "theirs"
            cross_check(lambda t: (t @ t, 2 * t), np.ones(2))
        """
    )
    run_pytest("--activation", "relu").assert_outcomes(passed=1)


def test_the_suite_runs_there_too_under_the_longer_name(pytester, run_pytest):
    pytester.makeconftest(OWN_OPTIONS.replace('"--gradient-source", ', ""))
    result = run_pytest("--pyargs", "harness.suite", "--gradient-activation", "tanh", "-k", "record", "--activation=x")
    result.assert_outcomes(passed=1, deselected=result.parseoutcomes()["deselected"])


def test_the_plugin_can_be_switched_off(pytester, run_pytest_apart):
    pytester.makepyfile(test_project="def test_mine(cross_check): pass")
    result = run_pytest_apart("-p", "no:gradients", "-p", "no:harness.pytest_plugin")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*fixture 'cross_check' not found"])


def test_what_goes_with_a_function_is_refused_for_a_problem(pytester, run_pytest):
    pytester.makepyfile(
        test_project=dedent("""
        def test_mine(random_problem, cross_check):
            cross_check(*random_problem, has_aux=True)
        """)
    )
    result = run_pytest("--gradient-networks", 1)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E *TypeError: has_aux goes with a function; a Problem has sources"])
