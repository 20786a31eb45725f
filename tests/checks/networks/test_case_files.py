"""Saved cases come back to the last bit and show the same verdict."""

from functools import partial

import numpy as np
import pytest

from harness import FAULTS
from harness.checks.networks.case_files import SCHEMA, as_script, load_case, replay_command, save_case
from harness.checks.networks.many_networks import plant
from harness.checks.networks.network_check import cross_check
from harness.checks.networks.random_problems import random_problem
from harness.seals import sealed, unsealed
from harness.sources.source_names import find_source
from harness.sources.source_table import SOURCES
from reference import Activation, Network, Problem


def _saved(tmp_path, name="bias-times-4"):
    index, report, *_ = plant(FAULTS[name])
    problem, theta = random_problem((0, index), extremes=False)
    path = tmp_path / "case.json"
    save_case(path, problem, theta, FAULTS[name].sources, report)
    return path, problem, theta, report


def _change(path, change):
    """Change what a case holds, as somebody does who knows how it is sealed."""
    content = unsealed(path, path.read_bytes(), SCHEMA)
    change(content)
    path.write_bytes(sealed(SCHEMA, content))


def test_the_round_trip_is_exact(tmp_path):
    path, problem, theta, report = _saved(tmp_path)
    case = load_case(path)
    assert np.array_equal(case.theta, theta)
    assert np.array_equal(case.problem.X, problem.X)
    assert np.array_equal(case.problem.Y, problem.Y)
    assert case.problem.l2 == problem.l2
    assert repr(case.problem.network) == repr(problem.network)
    assert case.sources is not None
    assert {source.function for source in case.sources.values()} == {
        source.function for source in FAULTS["bias-times-4"].sources.values()
    }
    assert report.outliers == ("vectorized",)  # whose place the bug took
    assert (case.verdict, case.outliers) == (report.verdict, ("bug:bias-times-4",))


def test_the_verdict_is_seen_again(tmp_path):
    path, _, _, report = _saved(tmp_path)
    case = load_case(path)
    again = cross_check(case.problem, case.theta, case.sources)
    assert (again.verdict, again.outliers) == (report.verdict, ("bug:bias-times-4",))
    (found,), (before,) = again.findings, report.findings
    assert (found.where, found.value, found.diagnosis) == (before.where, before.value, before.diagnosis)


def my_source(problem, theta):
    return SOURCES["loop"](problem, theta)


def test_a_function_of_a_module_is_found_again(tmp_path):
    problem, theta = random_problem(1)
    save_case(tmp_path / "c.json", problem, theta, {"mine": my_source})
    sources = load_case(tmp_path / "c.json", allow_import=True).sources
    assert sources is not None
    assert np.array_equal(sources[f"{__name__}:my_source"](problem, theta)[1], my_source(problem, theta)[1])


def test_nothing_is_imported_that_was_not_allowed(tmp_path, monkeypatch):
    (tmp_path / "planted.py").write_text("raise AssertionError('imported')")
    problem, theta = random_problem(1)
    save_case(tmp_path / "c.json", problem, theta, {"mine": my_source})
    _change(tmp_path / "c.json", lambda content: content.update(sources={"loop": "planted:f"}))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        ValueError, match=r"names the source 'planted:f', .*; if you trust it, allow it: .*--allow-import"
    ):
        load_case(tmp_path / "c.json")
    with pytest.raises(ValueError, match="AssertionError: imported"):
        load_case(tmp_path / "c.json", allow_import=True)


def test_a_source_takes_part_under_its_own_name_and_family_and_once(tmp_path):
    path, *_ = _saved(tmp_path)
    sources = {"jax": "bug:wrong-sign", "ball": "bug:wrong-sign", "loop": "vectorized"}
    _change(path, lambda content: content.update(sources=sources, outliers=["jax", "ball"]))
    case = load_case(path)
    assert case.sources is not None
    assert {name: source.family for name, source in case.sources.items()} == {
        name: find_source(name).family for name in ("bug:wrong-sign", "vectorized")
    }
    assert case.outliers == ("bug:wrong-sign",)


def test_a_case_that_takes_too_much_memory_is_refused(tmp_path):
    path = tmp_path / "c.json"
    path.write_bytes(b"[" + b"0," * 1000 + b"0]")
    with pytest.raises(ValueError, match=r"what .* holds takes 66,003 bytes, more than 60,000 bytes"):
        load_case(path, max_size=60_000)
    with path.open("wb") as file:
        file.truncate(2**31)
    with pytest.raises(ValueError, match=r"takes 2,147.5 MB, more than 1,073.7 MB"):
        load_case(path)


@pytest.mark.parametrize("name", ["vectorized-float32", "bug:wrong-sign", f"{__name__}:bound"])
def test_a_source_is_saved_by_the_name_it_is_found_by(tmp_path, name):
    problem, theta = random_problem(1)
    save_case(tmp_path / "c.json", problem, theta, [name])
    assert load_case(tmp_path / "c.json", allow_import=True).sources == {name: find_source(name)}


bound = partial(my_source)  # which has no name of its own


def test_a_lambda_cannot_be_saved(tmp_path):
    problem, theta = random_problem(1)
    with pytest.raises(ValueError, match="'mine' cannot be written to a case"):
        save_case(tmp_path / "c.json", problem, theta, {"mine": lambda problem, theta: my_source(problem, theta)})
    assert list(tmp_path.iterdir()) == []


def test_the_script_shows_the_same_verdict(tmp_path, capsys):
    _, problem, theta, report = _saved(tmp_path, "slope-missing")
    script = as_script(problem, theta, FAULTS["slope-missing"].sources)
    assert len(script.splitlines()) <= 10
    exec(compile(script, "script", "exec"), {})
    assert capsys.readouterr().out.splitlines()[0] == str(report).splitlines()[0]


own = Activation("own", lambda xp, z: xp.tanh(z), lambda z, a: 1.0 - a * a)


def test_the_script_registers_an_activation_of_ones_own(registry, capsys):
    network = Network((1, 1, 1), own)
    script = as_script(
        Problem(network, [[0.5]], [[1.0]]), network.init(0), ["loop", "jax"], ["relu", f"{__name__}:own"]
    )
    exec(compile(script, "script", "exec"), {})
    assert capsys.readouterr().out.startswith("AGREE: loop, jax")


def test_the_command_names_the_activations_of_ones_own_that_are_used():
    network = Network((1, 1, 1), own)
    names = ["relu", f"{__name__}:own"]
    used = replay_command("a case.json", Problem(network, [[0.5]], [[1.0]]), names)
    assert used == f"harness replay 'a case.json' --activation {__name__}:own"
    used = replay_command(
        "c.json", Problem(network, [[0.5]], [[1.0]]), names, {"mine": my_source, "b": "bug:wrong-sign"}
    )
    assert used == f"harness replay c.json --activation {__name__}:own --allow-import"
    network = Network((1, 1, 1), "tanh")
    assert replay_command("c.json", Problem(network, [[0.5]], [[1.0]]), names) == "harness replay c.json"


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda d: d.pop("theta"), "has no 'theta'"),
        (
            lambda d: d["network"].update(hidden=["swishy"] * len(d["network"]["hidden"])),
            "'swishy', which is not registered; give it with harness replay --activation module:attribute",
        ),
        (lambda d: d["X"][0].__setitem__(0, "x"), "X must be an array of real numbers"),
        (lambda d: d.update(sources={"a": "bug:no-such-bug"}), "no bug named 'no-such-bug'"),
        (lambda d: d.update(sources={"a": "no_such_module:f"}), "cannot import 'no_such_module'"),
        (lambda d: d.update(sources={"a": 3}), "is not a case"),
        (lambda d: d.update(l2=10**400), "must be a finite number, zero or more"),
        (lambda d: d.update(network=3), "is not a case"),
    ],
)
def test_a_damaged_case_is_refused_in_one_sentence(tmp_path, change, complaint):
    path, *_ = _saved(tmp_path, "slope-missing")
    _change(path, change)
    with pytest.raises(ValueError, match=complaint) as refused:
        load_case(path, allow_import=True)
    assert str(path) in str(refused.value)


@pytest.mark.parametrize("content", [b"", b"not JSON", b"[]", b"\xff\xfe\x00", b"null", b"[" * 100_000])
def test_a_file_that_is_no_case_is_refused(tmp_path, content):
    path = tmp_path / "c.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"c\.json is no file of schema harness\.case/2"):
        load_case(path)


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        (b"harness.case/2", b"harness.case/3", "newer release"),
        (b"harness.case/2", b"harness.case/1", "older release"),
        (b"harness.case/2", b"harness.cash/2", "is expected"),
        (b'"l2": ', b'"l2": 1', "another checksum"),
        (b'"verdict": "disagree"', b'"verdict": "agree"', "another checksum"),
    ],
)
def test_a_case_that_was_changed_is_refused(tmp_path, old, new, complaint):
    path, *_ = _saved(tmp_path)
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new))
    with pytest.raises(ValueError, match=complaint):
        load_case(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="is not an existing file"):
        load_case(tmp_path / "none.json")
