"""The command line: exit codes, what goes where, and no traceback for the mistakes of users."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from scipy.io import savemat

from harness import FAULTS, Network, Problem, cross_check, random_problem
from harness.cli import main
from harness.course import COURSE
from harness.gate import GateClosed

AGREE, DISAGREE, BAD_INPUT, INCONCLUSIVE, INTERRUPTED = 0, 1, 2, 3, 130
QUICK = ["--networks", "4", "--seed", "11", "--sources", "loop,finite-difference"]  # JAX would compile for seconds

COLOUR = re.compile(r"\x1b\[[0-9;]*(?:3[0-8]|9[0-7])[0-9;]*m")

ACTIVATIONS = """
import numpy as np
from harness import Activation

def value(xp, z):
    return z * xp.tanh(z)

right = Activation("right", value, lambda z, a: np.tanh(z) + z * (1.0 - np.tanh(z) ** 2))
wrong = Activation("wrong", value, lambda z, a: np.tanh(z))
tanh = Activation("tanh", value, lambda z, a: a)
number = 3
"""


@pytest.fixture
def run(capsys, monkeypatch, tmp_path, registry):
    """``run(*arguments)`` -> (exit code, stdout, stderr), in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    modules = set(sys.modules)

    def call(*arguments):
        with pytest.raises(SystemExit) as exit_:
            main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return exit_.value.code or 0, out, err

    yield call
    for name in set(sys.modules) - modules:
        if getattr(sys.modules[name], "__file__", None) and str(tmp_path) in str(sys.modules[name].__file__):
            del sys.modules[name]


def in_a_shell(*arguments, **environment):
    command = [sys.executable, "-m", "harness", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | environment)


# The exit code is the verdict


def test_agreement_is_0(run):
    code, out, err = run("check", *QUICK)
    assert (code, err) == (AGREE, "")
    assert "4 networks" in out


def test_one_author_alone_is_3(run):
    code, out, _ = run("check", "--networks", 3, "--sources", "loop,vectorized")
    assert code == INCONCLUSIVE
    assert "3 inconclusive" in out


@pytest.mark.parametrize(("name", "code"), [("right", AGREE), ("wrong", DISAGREE)])
def test_an_activation_of_ones_own_is_found_in_the_current_folder(run, tmp_path, name, code):
    (tmp_path / "my_activations.py").write_text(ACTIVATIONS)
    ended, out, _ = run("check", *QUICK, "--activation", f"my_activations:{name}")
    assert ended == code
    assert ("DISAGREE" in out) == (code == DISAGREE)


def test_what_failed_is_saved_small_and_can_be_replayed(run, tmp_path):
    code, out, err = run("bugs", "wrong-sign", "--case", "case.json")
    assert code == DISAGREE
    assert "case.json" in err
    assert "case.json" not in out
    assert json.loads((tmp_path / "case.json").read_text())
    code, out, _ = run("replay", "case.json", "--json")
    assert code == DISAGREE
    assert json.loads(out)["verdict"] == "disagree"


@pytest.mark.parametrize(("verdict", "code"), [("disagree", DISAGREE), ("inconclusive", INCONCLUSIVE)])
def test_a_closed_gate_ends_with_the_verdicts_code_and_shows_the_report(run, monkeypatch, verdict, code):
    problem, theta = random_problem(3, extremes=False)
    sources = FAULTS["wrong-sign"].sources if verdict == "disagree" else ["loop"]
    report = cross_check(problem, theta, sources)
    assert report.verdict == verdict

    def closed(*arguments, **keywords):
        raise GateClosed(report, theta)

    monkeypatch.setattr("harness.main_job.train_once", closed)
    ended, out, err = run("train", "--max-iter", 1)
    assert (ended, out) == (code, "")
    assert verdict.upper() in err
    assert "gate" in err


def test_ctrl_c_is_130(run, monkeypatch):
    def interrupted(*arguments, **keywords):
        raise KeyboardInterrupt

    monkeypatch.setattr("harness.many.check_networks", interrupted)
    code, out, err = run("check")
    assert (code, out) == (INTERRUPTED, "")
    assert "Traceback" not in err


def test_ctrl_c_in_a_shell_is_130_without_a_traceback():
    # who runs the tests in the background ignores Ctrl-C, which the child would inherit; and JAX may swallow one while
    # it compiles, so that nothing of it is asked for here
    program = (
        "import signal, sys, harness.many, harness.cli\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "print('ready', file=sys.stderr, flush=True)\n"
        "harness.cli.main(['check', '--networks', '1000000', '--sources', 'loop'])\n"
    )
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            assert process.stderr.readline() == "ready\n"
            time.sleep(0.5)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=30)
        finally:
            process.kill()
    assert (process.returncode, out) == (INTERRUPTED, "")
    assert "Traceback" not in err


# One JSON document on stdout


@pytest.mark.parametrize(
    ("arguments", "code", "keys"),
    [
        (["check", *QUICK], AGREE, {"verdict", "networks", "seed", "sources", "counts"}),
        (["check", "--networks", "2", "--sources", "loop"], INCONCLUSIVE, {"verdict", "counts"}),
        (["bugs"], AGREE, {"bugs"}),
        (["bugs", "bias-regularised"], DISAGREE, {"bug", "seed", "network", "report"}),
    ],
    ids=["agree", "inconclusive", "list", "disagree"],
)
def test_json_is_one_document_and_nothing_else(run, arguments, code, keys):
    ended, out, err = run(*arguments, "--json")
    assert (ended, err) == (code, "")
    assert set(json.loads(out)) >= keys


def test_json_of_a_failure_leaves_the_rest_to_stderr(run, tmp_path):
    (tmp_path / "my_activations.py").write_text(ACTIVATIONS)
    code, out, err = run("check", *QUICK, "--activation", "my_activations:wrong", "--json")
    assert code == DISAGREE
    document = json.loads(out)
    assert document["verdict"] == "disagree"
    assert document["counts"]["disagree"] >= 1
    assert document["failures"][0]["report"]["schema"] == "harness.report/1"
    assert "failing-case.json" in err


def test_the_seed_decides(run):
    documents = []
    for seed in (1, 1, 2):
        _, out, _ = run("check", "--networks", 2, "--sources", "loop", "--seed", seed, "--json")
        documents.append(json.loads(out) | {"seconds": None})
    assert documents[0] == documents[1] != documents[2]


def test_in_a_shell_output_is_plain_and_errors_are_apart():
    ended = in_a_shell("bugs", "--json", FORCE_COLOR="1")
    assert (ended.returncode, ended.stderr) == (AGREE, "")
    assert set(json.loads(ended.stdout)["bugs"]) == set(FAULTS)
    ended = in_a_shell("ex4", "--weights", "nowhere.mat", "--json")
    assert (ended.returncode, ended.stdout) == (BAD_INPUT, "")
    assert ended.stderr.count("\n") == 1
    assert "nowhere.mat is not a file" in ended.stderr


def test_no_color_is_honoured():
    for arguments in (["--help"], ["check", "--networks", "none"]):
        ended = in_a_shell(*arguments, NO_COLOR="1", FORCE_COLOR="1")
        assert not COLOUR.search(ended.stdout + ended.stderr)


# Help


@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help_lists_the_commands(run, option):
    code, out, err = run(option)
    assert (code, err) == (AGREE, "")
    for command in ("run", "check", "train", "ex4", "bugs"):
        assert re.search(rf"^\W*{command}\b", out, re.MULTILINE)


@pytest.mark.parametrize(
    ("command", "options"),
    [
        ("check", ["--networks", "--seed", "--activation", "--sources", "--json"]),
        ("train", ["--max-iter", "--l2", "--hidden", "--seed", "--out", "--json"]),
        ("ex4", ["--weights", "--data", "--json"]),
        ("run", ["--networks", "--seed", "--json"]),
        ("bugs", ["--json"]),
    ],
)
def test_every_command_explains_its_options(run, monkeypatch, command, options):
    monkeypatch.setenv("COLUMNS", "200")
    code, out, _ = run(command, "--help")
    assert code == AGREE
    assert all(option in out for option in options)


def test_no_command_at_all_shows_the_help(run):
    code, out, err = run()
    assert code in (AGREE, BAD_INPUT)
    assert "check" in out + err


# Bad usage and bad input: code 2, one sentence on stderr, nothing on stdout


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["chek"], "chek"),
        (["check", "--bogus"], "--bogus"),
        (["check", "--networks"], "--networks"),
        (["check", "--networks", "many"], "--networks"),
        (["check", "--networks", "0"], "--networks"),
        (["check", "--networks", "-3"], "--networks"),
        (["check", "--networks", "1.5"], "--networks"),
        (["check", "--seed", "-1"], "--seed"),
        (["check", "--sources", "loop,jaxx"], "unknown source 'jaxx'"),
        (["check", "--sources", ""], "unknown source ''"),
        (["check", "--activation", "rellu"], "unknown activation 'rellu'"),
        (["check", "--activation", "nowhere:f"], "cannot import 'nowhere'"),
        (["check", "--activation", "my_activations:f"], "no attribute 'f'"),
        (["check", "--activation", "my_activations:"], "my_activations:"),
        (["check", "--activation", ":right"], ":right"),
        (["check", "--activation", "my_activations:number"], "int, but an Activation is needed"),
        (["check", "--activation", "my_activations:tanh"], "'tanh' is registered already"),
        (["check", "--activation", "broken:f"], "ZeroDivisionError"),
        (["check", "--activation", "unreadable:f"], "SyntaxError"),
        (["train", "--max-iter", "-1"], "--max-iter"),
        (["train", "--hidden", "a,b"], "a,b"),
        (["train", "--hidden", "-5"], "-5"),
        (["train", "--l2", "-1"], "-1"),
        (["train", "--l2", "nan"], "nan"),
        (["train", "--data", "nowhere.npz"], "nowhere.npz"),
        (["ex4"], "--weights"),
        (["ex4", "--weights", "nowhere.mat"], "nowhere.mat is not a file"),
        (["ex4", "--weights", "corrupt.mat"], "corrupt.mat cannot be read as a MATLAB file"),
        (["ex4", "--weights", "others.mat"], "has no Theta1"),
        (["ex4", "--weights", "course.mat", "--data", "nowhere.npz"], "nowhere.npz"),
        (["ex4", "--weights", "course.mat", "--data", "corrupt.mat"], "corrupt.mat"),
        (["bugs", "no-such-bug"], "there is no bug named 'no-such-bug'"),
        (["replay", "nowhere.json"], "nowhere.json"),
        (["replay", "corrupt.mat"], "corrupt.mat"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_mistakes_end_with_2_and_one_sentence(run, tmp_path, arguments, part):
    (tmp_path / "my_activations.py").write_text(ACTIVATIONS)
    (tmp_path / "broken.py").write_text("1 / 0")
    (tmp_path / "unreadable.py").write_text("def f(:")
    (tmp_path / "corrupt.mat").write_bytes(b"corrupt" * 99)
    savemat(tmp_path / "others.mat", {"X": np.eye(3)})
    savemat(tmp_path / "course.mat", dict(zip(["Theta1", "Theta2"], COURSE.unpack(COURSE.init(0)), strict=True)))
    code, out, err = run(*arguments)
    assert (code, out) == (BAD_INPUT, "")
    assert part in err
    assert "Traceback" not in err


def test_a_traceback_is_there_for_those_who_ask(monkeypatch):
    monkeypatch.setenv("HARNESS_TRACEBACK", "1")
    with pytest.raises(ValueError, match="unknown source"):
        main(["check", "--sources", "jaxx"])


def test_mistakes_of_the_program_are_not_taken_for_those_of_users(monkeypatch):
    def failing(*arguments, **keywords):
        raise RuntimeError("a mistake of ours")

    monkeypatch.setattr("harness.many.check_networks", failing)
    with pytest.raises(RuntimeError, match="a mistake of ours"):
        main(["check", *QUICK])


# Exercise 4


def test_ex4_with_the_courses_weights(run, course_weights):
    code, out, err = run("ex4", "--weights", course_weights, "--json")
    assert (code, err) == (AGREE, "")
    document = json.loads(out)
    assert document["verdict"] == "agree"
    assert {row["published"] for row in document["rows"]} >= {"0.287629", "0.383770", "0.576051", "97.52"}


def test_ex4_with_other_weights_or_digits_differs(run, tmp_path, digits):
    few = np.arange(0, 5000, 100)
    np.savez(tmp_path / "few.npz", X=digits.X[few], y=digits.y[few])
    savemat(tmp_path / "mine.mat", dict(zip(["Theta1", "Theta2"], COURSE.unpack(COURSE.init(0)), strict=True)))
    code, out, err = run("ex4", "--weights", "mine.mat", "--data", "few.npz")
    assert (code, err) == (DISAGREE, "")
    assert "0.287629" in out
    assert "DIFFERS" in out


def test_a_case_with_an_activation_of_ones_own_is_replayed_by_naming_it(run, tmp_path, monkeypatch, registry):
    (tmp_path / "own.py").write_text(
        "import numpy as np\nfrom harness import Activation\n"
        "act = Activation('own_tanh', lambda xp, z: xp.tanh(z), lambda z, a: 1.0 - a * a)\n"
    )
    monkeypatch.chdir(tmp_path)
    from harness.cases import save_case
    from harness.importing import import_attribute

    network = Network((2, 3, 2), import_attribute("own:act"))
    save_case("case.json", Problem(network, np.ones((2, 2)), [0, 1], 1.0), network.init(0))
    code, _, err = run("replay", "case.json")
    assert code == 2
    assert "--activation module:attribute" in err
    assert run("replay", "case.json", "--activation", "own:act")[0] == 0
