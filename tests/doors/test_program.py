"""The command as a program: encodings, full devices, signals, and settings that stay the caller's."""

import json
import os
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import find

import harness
from harness import Network, Problem
from harness.sources.conduct import Settings
from harness.strategies import activations, networks, problems, thetas

QUICK = ["check", "--networks", "2", "--sources", "loop,finite-difference"]


def program(*arguments, python=(), **more):
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])} | more.pop("env", {})
    command = [sys.executable, *python, "-m", "harness", *arguments]
    return subprocess.run(
        command, capture_output="stdout" not in more, check=False, timeout=120, env=environment, **more
    )


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_what_an_encoding_has_no_character_for_changes_neither_verdict_nor_code(encoding, tmp_path):
    text, document = (
        program("bugs", *more, env={"PYTHONIOENCODING": encoding}, cwd=tmp_path) for more in ([], ["--json"])
    )
    assert (text.returncode, text.stderr, document.returncode, document.stderr) == (0, b"", 0, b"")
    assert "δ" in "".join(json.loads(document.stdout.decode(encoding))["bugs"].values())
    # as an escape, or in UTF-8 where Click takes ASCII for a mistake of the environment
    assert any(delta in text.stdout for delta in (rb"\u03b4", "δ".encode()))


@pytest.mark.parametrize(
    ("python", "env"),
    [
        (["-O"], {}),
        (["-OO"], {}),
        ([], {"PYTHONWARNINGS": "error"}),
        ([], {"LANG": "C", "LC_ALL": "C", "COLUMNS": "20"}),
    ],
    ids=["-O", "-OO", "warnings are errors", "C and 20 columns"],
)
def test_it_runs_from_an_empty_read_only_folder_however_python_is_started(python, env, tmp_path):
    folder = tmp_path / "empty"
    folder.mkdir()
    folder.chmod(0o555)
    for arguments, code in ((QUICK, 0), (["bugs"], 0)):
        ended = program(*arguments, python=python, env=env, cwd=folder)
        assert (ended.returncode, b"Traceback" in ended.stderr) == (code, False), ended.stderr
    assert list(folder.iterdir()) == []


def test_descriptions_stay_where_python_drops_docstrings(tmp_path):
    help_of = {flag: program("--help", python=[flag], cwd=tmp_path).stdout for flag in ("-O", "-OO")}
    assert help_of["-O"] == help_of["-OO"]
    assert b"The bug zoo" in help_of["-OO"]
    bugs = json.loads(program("bugs", "--json", python=["-OO"], cwd=tmp_path).stdout)["bugs"]
    assert bugs == {name: bug.description for name, bug in harness.FAULTS.items()}
    assert all(bugs.values())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux alone has a device that is always full")
def test_what_cannot_be_written_is_an_error_and_a_message_that_cannot_leaves_the_code():
    with Path("/dev/full").open("w") as full:
        ended = program("bugs", stdout=full, stderr=subprocess.PIPE)
        assert ended.returncode == 2
        assert b"No space left on device" in ended.stderr
        assert b"Exception ignored" not in ended.stderr
        ended = program("replay", "nowhere.json", stdout=subprocess.PIPE, stderr=full)
        assert ended.returncode == 2


def test_sigterm_ends_it_with_143_and_no_half_of_a_file(tmp_path):
    started = (
        "import sys, time, harness.checks.networks.many_networks, harness.cli\n"
        "def check(*_, **__):\n"
        "    print('ready', file=sys.stderr, flush=True)\n"
        "    time.sleep(60)\n"
        "harness.checks.networks.many_networks.check_networks = check\n"
        "sys.argv = ['harness', 'check', '--sources', 'loop']\n"
        "harness.cli.main()\n"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", started]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, env=environment) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == b"ready\n"
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 143
    assert b"Traceback" not in err
    assert list(tmp_path.iterdir()) == []


def test_settings_are_the_callers_after_any_public_call(tmp_path, monkeypatch, registry):
    monkeypatch.chdir(tmp_path)
    problem = Problem(Network((2, 3, 2), "relu"), np.ones((2, 2)), [0, 1], 1.0)
    theta, sources = problem.network.init(0), ["loop", "jax", "finite-difference", "complex-step", "ball"]
    identity = harness.Activation("mine", lambda xp, z: z, lambda z, a: np.ones_like(z))
    calls = {
        "cross_check": lambda: harness.cross_check(problem, theta, sources),
        "check_gradient": lambda: harness.check_gradient(lambda t: (t @ t, 2.0 * t), theta, lambda t: t @ t),
        "assert_gradients_agree": lambda: harness.assert_gradients_agree(problem, theta, sources),
        "check_networks": lambda: harness.check_networks(2, sources=["loop", "finite-difference"]),
        "random_problem": lambda: harness.random_problem(3),
        "train": lambda: harness.train(problem, theta, 2, gate=False),
        "predict": lambda: harness.predict(problem.network, theta, problem.X),
        "fmincg": lambda: harness.fmincg(lambda x: (x @ x, 2.0 * x), np.ones(2), 2),
        "save_case": lambda: harness.save_case("case.json", problem, theta, ["loop"]),
        "load_case": lambda: harness.load_case("case.json"),
        "load_digits": harness.load_digits,
        "register": lambda: harness.register(identity),
        "check_derivatives": lambda: harness.check_derivatives(jnp.sin, np.ones(2)),
        "assert_derivatives_agree": lambda: harness.assert_derivatives_agree(jnp.sin, np.ones(2), order=2),
        "strategies": lambda: [
            find(s, lambda _: True) for s in (activations(), networks(), problems(), thetas(problem.network))
        ],
        "to_dict": lambda: str(harness.cross_check(problem, theta, ["loop"]).to_dict()),
    }
    signals = (signal.SIGINT, signal.SIGTERM)
    handlers = [signal.getsignal(number) for number in signals]
    printing, backend = np.get_printoptions(), sys.modules.get("matplotlib.pyplot")
    with warnings.catch_warnings():
        for name, call in calls.items():
            call()  # what it imports may set itself up
            with Settings() as settings:
                call()
            assert (name, settings.changed) == (name, [])
    assert [signal.getsignal(number) for number in signals] == handlers
    assert np.get_printoptions() == printing
    assert sys.modules.get("matplotlib.pyplot") is backend
    assert [file.name for file in tmp_path.iterdir()] == ["case.json"]


def test_the_same_seed_gives_the_same_bytes_whatever_the_threads(tmp_path):
    def without_times(text):
        document = json.loads(text)
        return json.dumps(document | {"seconds": None})

    sources = "loop,vectorized,finite-difference,complex-step"
    command = ["check", "--networks", "40", "--sources", sources, "--json"]
    threads = [{"OPENBLAS_NUM_THREADS": str(n), "OMP_NUM_THREADS": str(n)} for n in (1, 2, 2)]
    outputs = {without_times(program(*command, env=env, cwd=tmp_path).stdout) for env in threads}
    assert len(outputs) == 1
