"""What a failing test shows in other people's projects: its line, and a script that repeats the check."""

import re
from pathlib import Path

import numpy as np
import pytest
from programs import run_python

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

LAYOUTS = {"src": ("import helpers", []), "importlib": ("from . import helpers", ["--import-mode=importlib"])}


@pytest.fixture(params=LAYOUTS.values(), ids=list(LAYOUTS))
def failures(request, pytester, run_pytest_apart):
    """What pytest prints in a project where every test fails."""
    imports, options = request.param
    files = {
        "src/pkg/__init__.py": "",
        "src/pkg/constants.py": "FACTOR = 2.02\n",
        "src/pkg/gradients.py": GRADIENTS,
        "tests/unit/helpers.py": HELPERS,
        "tests/unit/test_mine.py": TEST.format(imports=f"from pkg.gradients import wrong\n{imports}"),
        "pytest.ini": "[pytest]\npythonpath = src\n",
    }
    if "from ." in imports:
        files["tests/unit/__init__.py"] = ""
    for name, text in files.items():
        path = pytester.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    result = run_pytest_apart(*options)
    result.assert_outcomes(failed=4)
    return result


@pytest.mark.more
def test_a_failure_shows_its_line_and_a_script_that_runs_as_printed_from_any_folder(failures, pytester, tmp_path):
    output = failures.stdout.str()
    lines = (pytester.path / "tests/unit/test_mine.py").read_text().splitlines()
    for name in ("test_dict", "test_args", "test_dataclass", "test_local"):
        start = next(i for i, line in enumerate(lines) if line.startswith(f"def {name}("))
        call = next(i for i, line in enumerate(lines) if i > start and "cross_check" in line)
        assert f"tests/unit/test_mine.py:{call + 1}: in {name}\n    {lines[call].strip()}" in output
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

    # a function inside a test has no script, but its θ is saved
    failures.stdout.fnmatch_lines(["*(no script: test_local.<locals>.<lambda> is not defined at the top of a module)"])
    (saved,) = (pytester.path / ".gradient-cases").glob("*test_local*.npz")
    with np.load(saved) as case:
        assert case["theta"].tolist() == [0.25, 1.0]
        assert case["seed"] == 0
    commands = {line for line in failures.outlines if line.startswith("Run the test again with: ")}
    assert len(commands) == 4
    (command,) = (line for line in commands if "test_local[0.25]" in line)
    assert command.endswith("test_mine.py::test_local[0.25]'")
