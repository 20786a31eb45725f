"""The worked examples: their commands run as written, and end as the example says."""

import json
import re
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"

QUICK = ["--networks", "5", "--sources", "loop,finite-difference,ball", "--json"]  # JAX is asked about the record alone

EXPECTED = {"squareplus": "agree", "clipped_ramp": "agree", "wrong_swish": "disagree"}

each_example = pytest.mark.parametrize("name", EXPECTED)


@pytest.fixture
def examples(monkeypatch, registry):
    """The folder of the examples, as somebody who works in it has it; other modules of these names are put aside."""
    monkeypatch.syspath_prepend(EXAMPLES)
    for name in EXPECTED:
        monkeypatch.delitem(sys.modules, name, raising=False)
    return EXAMPLES


def commands(name):
    return re.findall(r"^    (harness|pytest) (.*)$", (EXAMPLES / f"{name}.py").read_text(), re.MULTILINE)


def test_every_example_is_expected_to_end_somehow():
    assert {path.stem for path in EXAMPLES.glob("*.py")} == set(EXPECTED)


@each_example
def test_its_commands_run_as_written(name, examples, tmp_path, monkeypatch, run_command):
    monkeypatch.chdir(tmp_path)
    (line,) = [arguments for program, arguments in commands(name) if program == "harness"]
    code, out, _ = run_command(*line.split(), *QUICK)
    document = json.loads(out)
    assert document["verdict"] == EXPECTED[name]
    assert code == {"agree": 0, "disagree": 1}[EXPECTED[name]]
    (report,) = document["activations"]
    assert report["subject"]["activation"] == name
    assert (report["verdict"], report["left_out"]) == (EXPECTED[name], {})
    assert {fact["severity"] for fact in report["facts"]} <= {"note"}
    assert all(finding["diagnosis"] for finding in report["findings"])
    assert set(document["sources"]) <= {"loop", "finite-difference", "ball"}
    assert ("mixed" in document) == (EXPECTED[name] == "agree")  # of a wrong record, one network is enough
    made = {path.name for path in tmp_path.iterdir()}
    assert made == ({"wrong_swish.png", "failing-case.json"} if name == "wrong_swish" else set())


@each_example
def test_its_suite_runs_as_written(name, examples, run_pytest):
    lines = [arguments for program, arguments in commands(name) if program == "pytest"]
    assert len(lines) == (EXPECTED[name] == "agree")
    for line in lines:
        result = run_pytest(*line.split(), "-k", "record or slope")
        result.assert_outcomes(passed=5, deselected=result.parseoutcomes()["deselected"])


def test_a_formula_without_jax_is_checked_in_networks_without_jax(tmp_path, monkeypatch, registry, run_command):
    (tmp_path / "scipy_only.py").write_text(
        "from scipy.special import expit\nfrom harness import Activation\n"
        "f = Activation('scipy_only', lambda xp, z: expit(z), lambda z, a: a * (1.0 - a))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    code, out, _ = run_command("check", "--activation", "scipy_only:f", "--networks", 4, "--seed", 6, "--json")
    document = json.loads(out)
    assert (code, document["verdict"]) == (0, "agree")  # with extreme θ, it is inconclusive
    assert set(document["activations"][0]["left_out"]) == {"jax", "complex-step"}
    assert not {"jax", "jax-forward"} & set(document["sources"])
