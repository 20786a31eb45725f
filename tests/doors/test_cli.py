"""The command line: exit codes, what goes where, and no traceback for bad usage."""

import json
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from programs import run as in_a_shell
from programs import run_python, start_python
from scipy.io import savemat

from harness import FAULTS, SOURCES, Network, Problem, cross_check, random_problem
from harness.commands import checking
from harness.commands.common import start_jax
from harness.digits.course_numbers import COURSE
from harness.sources.source_table import FLOAT32_SOURCES
from harness.training.gate import GateClosed

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
number = 3
"""


@pytest.fixture
def run(run_command, monkeypatch, tmp_path, registry):
    """`run_command`, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    modules = set(sys.modules)
    yield run_command
    for name in set(sys.modules) - modules:
        if getattr(sys.modules[name], "__file__", None) and str(tmp_path) in str(sys.modules[name].__file__):
            del sys.modules[name]


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

    monkeypatch.setattr("harness.digits.main_job.train_once", closed)
    ended, out, err = run("train", "--max-iter", 1)
    assert (ended, out) == (code, "")
    assert verdict.upper() in err
    assert "gate" in err


def test_ctrl_c_in_a_shell_is_130_without_a_traceback():
    # who runs the tests in the background ignores Ctrl-C, which the child would inherit; and JAX may swallow one while
    # it compiles, so that nothing of it is asked for here
    program = (
        "import signal, sys, harness.checks.networks.many_networks, harness.cli\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "print('ready', file=sys.stderr, flush=True)\n"
        "harness.cli.main(['check', '--networks', '1000000', '--sources', 'loop'])\n"
    )
    with start_python("-c", program) as process:
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
    assert document["failures"][0]["report"]["schema"] == "harness.report/2"
    assert "failing-case.json" in err


def test_the_seed_decides(run):
    documents = []
    for seed in (1, 1, 2):
        _, out, _ = run("check", "--networks", 2, "--sources", "loop", "--seed", seed, "--json")
        documents.append(json.loads(out) | {"seconds": None})
    assert documents[0] == documents[1] != documents[2]


def test_in_a_shell_output_is_plain_and_errors_are_apart():
    code, out, err = in_a_shell("bugs", "--json", env={"FORCE_COLOR": "1"})
    assert (code, err) == (AGREE, "")
    assert set(json.loads(out)["bugs"]) == set(FAULTS)
    code, out, err = in_a_shell("ex4", "--weights", "nowhere.mat", "--json")
    assert (code, out, err.count("\n")) == (BAD_INPUT, "", 1)
    assert "nowhere.mat is not a file" in err


def test_no_color_is_honoured():
    for arguments in (["--help"], ["check", "--networks", "none"]):
        _, out, err = in_a_shell(*arguments, env={"NO_COLOR": "1", "FORCE_COLOR": "1"})
        assert not COLOUR.search(out + err)


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
        ("check", ["--networks", "--seed", "--activation", "--sources", "--report", "--json"]),
        ("train", ["--max-iter", "--l2", "--hidden", "--seed", "--out", "--report", "--json"]),
        ("ex4", ["--weights", "--data", "--json"]),
        ("run", ["--networks", "--seed", "--report", "--json"]),
        ("study", ["--quick", "--report", "--json"]),
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


def test_the_help_says_what_the_exit_codes_mean_and_what_sources_there_are(run, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    assert "3 inconclusive; 130 interrupted" in " ".join(run("--help")[1].split())
    for command in ("check", "train"):
        _, out, _ = run(command, "--help")
        words = " ".join(out.replace("│", " ").split())
        assert [name for name in (*SOURCES, *FLOAT32_SOURCES, "bug:NAME", "module:function") if name not in words] == []


@pytest.mark.parametrize("command", ["run", "check", "train", "ex4", "bugs", "replay", "study"])
def test_the_help_names_values_by_what_they_are(run, monkeypatch, command):
    monkeypatch.setenv("COLUMNS", "200")
    _, out, _ = run(command, "--help")
    for kind in ("int", "list", "float"):
        assert not re.search(rf"<{kind}\b", out)


# Sources and activations of one's own


SOURCES_OF_ONES_OWN = """
from harness import SOURCES

calls = []

def right(problem, theta):
    return SOURCES["vectorized"](problem, theta)

def raising(problem, theta):
    raise RuntimeError("boo")

def once(problem, theta):
    cost, gradient = right(problem, theta)
    calls.append(1)
    return cost, gradient * (2.0 if len(calls) == 1 else 1.0)
"""


@pytest.fixture
def own_sources(tmp_path):
    (tmp_path / "homework.py").write_text(SOURCES_OF_ONES_OWN)


@pytest.mark.usefixtures("own_sources")
def test_sources_of_ones_own_and_bugs_are_checked_by_name(run):
    networks = ["--networks", 4, "--seed", 11]
    code, out, _ = run("check", *networks, "--sources", "loop,finite-difference,homework:right")
    assert (code, "3 sources" in out) == (AGREE, True)
    code, _, err = run("check", *networks, "--sources", "loop,finite-difference,bug:wrong-sign")
    assert (code, "the odd one out is bug:wrong-sign" in err) == (DISAGREE, True)
    code, _, err = run("check", *networks, "--sources", "loop,homework:raising")
    assert (code, "RuntimeError: boo" in err) == (BAD_INPUT, True)


def test_a_source_that_exits_or_fails_is_no_agreement_and_is_named(run, tmp_path):
    (tmp_path / "leaving.py").write_text(
        "import sys\ndef zero(problem, theta): sys.exit(0)\ndef shapes(problem, theta): return problem.X @ [1.0] * 99\n"
    )
    code, out, err = run("check", "--networks", 1, "--sources", "jax,loop,leaving:zero")
    assert (code, "AGREE:" in out) == (BAD_INPUT, False)
    assert "source 'leaving:zero' called sys.exit(0) instead of answering (leaving.py, line 2, in zero: def" in err
    code, out, err = run("check", "--networks", 1, "--sources", "jax,loop,leaving:shapes")
    assert (code, "AGREE:" in out) == (BAD_INPUT, False)
    assert "; raised by source 'leaving:shapes' (leaving.py, line 3, in shapes: def" in err


@pytest.mark.usefixtures("own_sources")
def test_a_failure_that_does_not_repeat_is_not_saved(run, tmp_path):
    code, out, err = run("check", "--networks", 1, "--seed", 11, "--sources", "loop,finite-difference,homework:once")
    assert (code, "DISAGREE" in out) == (DISAGREE, True)
    assert "The failure does not repeat" in err
    assert "smallest" not in err
    assert not (tmp_path / "failing-case.json").exists()


def test_what_goes_wrong_after_the_verdict_leaves_it_alone(run, monkeypatch):
    def failing(*arguments):
        raise RuntimeError("no")

    monkeypatch.setattr("harness.checks.networks.reproduction.shrink_disagreement", failing)
    code, out, err = run("bugs", "wrong-sign", "--case", "case.json")
    assert (code, "DISAGREE" in out) == (DISAGREE, True)
    assert "is not saved: RuntimeError: no" in err


def test_an_activation_that_breaks_networks_is_wrong_all_the_same(run, tmp_path):
    (tmp_path / "mine.py").write_text(
        "import numpy as np\nfrom harness import Activation\n"
        "whole = Activation('whole', lambda xp, z: xp.cumsum(z), lambda z, a: np.ones_like(z))\n"
    )
    code, out, _ = run("check", *QUICK, "--activation", "mine:whole")
    assert (code, out.startswith("DISAGREE")) == (DISAGREE, True)
    code, out, _ = run("check", *QUICK, "--activation", "mine:whole", "--json")
    assert (code, json.loads(out)["verdict"]) == (DISAGREE, "disagree")


def test_what_is_printed_after_a_failure_runs_as_printed(run, tmp_path):
    (tmp_path / "my_activations.py").write_text(ACTIVATIONS)
    _, _, err = run("check", *QUICK, "--activation", "my_activations:wrong")
    script = err.partition("The same in Python:\n\n")[2].partition("\n\n")[0]
    (command,) = (line.partition("Replay it with: ")[2] for line in err.splitlines() if "Replay it with: " in line)
    for arguments, code in ((["-c", script], 0), (["-m", *shlex.split(command)], DISAGREE)):
        ended, out, err = run_python(*arguments, cwd=tmp_path)
        assert ended == code, err
        assert out.startswith("DISAGREE: ")


def test_too_many_of_one_family_are_told_why_they_decide_nothing(run):
    code, out, _ = run("check", "--networks", 1, "--sources", "loop")
    assert code == INCONCLUSIVE
    assert "network 0: there is nothing to compare loop with" in out


# Training


def test_training_without_the_gate_with_a_source_that_is_named(run, tmp_path):
    few = Path(tmp_path / "few.npz")
    y = np.arange(100) // 10
    np.savez(few, X=np.random.default_rng(0).normal(0.0, 0.3, (100, 16)) + np.eye(16)[y], y=y)
    train = ["train", "--data", "few.npz", "--max-iter", 2, "--hidden", 3, "--source", "bug:bias-times-4"]
    code, _, err = run(*train)
    assert code == DISAGREE
    assert "the odd one out is bug:bias-times-4" in err
    code, out, _ = run(*train, "--no-gate", "--out", "here", "--json")
    document = json.loads(out)
    assert (code, document["verdict"]) == (AGREE, None)
    assert {Path(file).name for file in document["files"]} == {
        *("theta.npz", "theta.mat"),
        *("hidden_units.png", "confusion.png", "mistakes.png"),
    }
    assert all(Path(file).is_file() for file in document["files"])


@pytest.mark.parametrize(
    ("arguments", "size"),
    [
        ([], {}),
        (["--networks", 50], {"networks": 50}),
        (["--quick"], {"problems": 1, "networks": 200, "with_sharpness": False}),
        (["--quick", "--networks", 50], {"problems": 1, "networks": 50, "with_sharpness": False}),
    ],
)
def test_the_size_of_a_study_is_what_is_asked_for(run, monkeypatch, arguments, size):
    asked = []

    def study(*, seed, progress, **rest):
        asked.append(rest)
        raise ValueError("enough")

    monkeypatch.setattr("harness.study.study.run_study", study)
    run("study", *arguments)
    assert asked == [size]


def test_the_study_of_activations_is_one_of_its_own(run, monkeypatch):
    asked = []

    def study(*, seed, progress, **rest):
        asked.append((seed, rest))
        raise ValueError("enough")

    monkeypatch.setattr("harness.study.activations.study.run_activation_study", study)
    run("study", "--activations", "--quick", "--seed", 3)
    assert asked == [(3, {"records": 6, "each": 2})]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--activations", "--networks", 5],
            "--activations is a study of its own: it takes --quick, --seed and --json",
        ),
        (["--diagnosis", "--report", "page.html"], "--diagnosis is a study of its own: .* but not --report"),
        (["--diagnosis", "--activations"], "--diagnosis is a study of its own: .* but not --activations"),
        (["--own", "--seed", 3], "--own is a study of its own: it takes --quick and --json, but not --seed"),
        (["--functions", "--figure", "f.png"], "--functions is a study of its own: .* but not --figure"),
    ],
)
def test_what_a_study_would_ignore_is_refused(run, options, message):
    status, _, err = run("study", *options)
    assert status == 2
    assert re.search(message, err)


# Ctrl-C


def test_ctrl_c_waits_until_jax_has_started(monkeypatch):
    import jax

    def started(*_):
        signal.raise_signal(signal.SIGINT)
        steps.append("started")

    steps = []
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    monkeypatch.setattr(jax, "devices", started)
    try:
        with pytest.raises(KeyboardInterrupt):
            start_jax()
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
    assert steps == ["started"]


def test_ctrl_c_that_python_ignores_is_asked_for_again():
    # a destructor cannot raise; and what was interrupted, here while it waits, is not torn down, which might crash
    program = (
        "import signal, sys, time, atexit, harness.cli\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "class Ignoring:\n"
        "    def __del__(self): signal.raise_signal(signal.SIGINT)\n"
        "def check(*_, **__):\n"
        "    Ignoring()\n"
        "    time.sleep(60)\n"
        "import harness.checks.networks.many_networks\n"
        "harness.checks.networks.many_networks.check_networks = check\n"
        "atexit.register(print, 'torn down')\n"
        "sys.argv = ['harness', 'check', '--sources', 'loop']\n"
        "harness.cli.main()\n"
    )
    command = [sys.executable, "-c", program]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert (ended.returncode, ended.stdout) == (INTERRUPTED, "")
    assert "KeyboardInterrupt" not in ended.stderr


# Bad usage and bad input: code 2, one sentence on stderr, nothing on stdout


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["check", "--networks"], "--networks"),
        (["check", "--activation", "my_activations:f"], "no attribute 'f'"),
        (["check", "--activation", "my_activations:number"], "int, but an Activation is needed"),
        (["check", "--activation", "broken:f"], "ZeroDivisionError"),
        (["check", "--activation", "leaving:f"], "cannot import 'leaving' of 'leaving:f': SystemExit: 5"),
        (["bugs", "--case", "case.json"], "name the bug"),
        (["check", "--activation", "unreadable:f"], "SyntaxError"),
        (["ex4"], "--weights"),
        (["ex4", "--weights", "corrupt.mat"], "corrupt.mat cannot be read as a MATLAB file"),
        (["ex4", "--weights", "others.mat"], "has no Theta1"),
        (["ex4", "--weights", "course.mat", "--data", "nowhere.npz"], "nowhere.npz"),
        (["ex4", "--weights", "course.mat", "--data", "corrupt.mat"], "corrupt.mat"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_usage_ends_with_2_and_one_sentence(run, tmp_path, arguments, part):
    (tmp_path / "my_activations.py").write_text(ACTIVATIONS)
    (tmp_path / "broken.py").write_text("1 / 0")
    (tmp_path / "leaving.py").write_text("import sys; sys.exit(5)")
    (tmp_path / "unreadable.py").write_text("def f(:")
    (tmp_path / "corrupt.mat").write_bytes(b"corrupt" * 99)
    savemat(tmp_path / "others.mat", {"X": np.eye(3)})
    savemat(tmp_path / "course.mat", dict(zip(["Theta1", "Theta2"], COURSE.unpack(COURSE.init(0)), strict=True)))
    code, out, err = run(*arguments)
    assert (code, out) == (BAD_INPUT, "")
    assert part in err
    assert "Traceback" not in err


def test_a_traceback_is_there_for_those_who_ask(run, monkeypatch):
    monkeypatch.setenv("HARNESS_TRACEBACK", "1")
    code, out, err = run("check", "--sources", "jaxx")
    assert (code, out) == (BAD_INPUT, "")
    assert "Traceback" in err
    assert "unknown source 'jaxx'" in err


@pytest.mark.parametrize(
    ("error", "parts"),
    [
        (RuntimeError("a mistake of ours"), ["Traceback", "RuntimeError: a mistake of ours"]),
        (KeyError("W"), ["Traceback", "KeyError: 'W'"]),
        (MemoryError("Unable to allocate 1 TiB"), ["there is not enough memory (Unable to allocate 1 TiB)"]),
    ],
    ids=["RuntimeError", "KeyError", "MemoryError"],
)
def test_a_source_that_fails_is_no_disagreement(run, monkeypatch, error, parts):
    def failing(*arguments, **keywords):
        raise error

    monkeypatch.setattr("harness.checks.networks.many_networks.check_networks", failing)
    code, out, err = run("check", *QUICK)
    assert (code, out) == (BAD_INPUT, "")
    assert [part for part in parts if part not in err] == []
    assert ("Traceback" in err) == ("Traceback" in parts)


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
    from harness.checks.networks.case_files import save_case
    from harness.named_objects import import_attribute

    network = Network((2, 3, 2), import_attribute("own:act"))
    without_jax = ["loop", "finite-difference"]  # which would compile anew for an activation that it has not seen
    save_case("case.json", Problem(network, np.ones((2, 2)), [0, 1], 1.0), network.init(0), without_jax)
    code, _, err = run("replay", "case.json")
    assert code == 2
    assert "which is not registered; give it with harness replay --activation module:attribute" in err
    assert run("replay", "case.json", "--activation", "own:act")[0] == 0


@pytest.mark.parametrize(
    ("names", "starts"),
    [
        ("loop,vectorized,finite-difference", False),
        ("ball,complex-step,vectorized-float32", False),
        ("loop,jax", True),
        ("loop,jax-float32", True),
        ("loop,nowhere:f", True),  # which may import it
    ],
)
def test_only_sources_that_need_it_start_jax(run, monkeypatch, names, starts):
    started = []
    monkeypatch.setattr(checking, "start_jax", lambda: started.append(True))
    run("check", "--networks", 1, "--sources", names)
    assert bool(started) is starts


@pytest.mark.parametrize(
    ("command", "job"),
    [
        (["run"], "harness.digits.main_job.run"),
        (["train"], "harness.digits.main_job.train_once"),
        (["check"], "harness.checks.networks.many_networks.check_networks"),
        (["bugs", "wrong-sign"], "harness.checks.networks.many_networks.plant"),
        (["study", "--quick"], "harness.study.study.run_study"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_jax_is_started_before_the_work_begins(run, monkeypatch, command, job):
    def started(*_):
        raise KeyboardInterrupt

    def begun(*arguments, **keywords):
        raise AssertionError("JAX should have been started before")

    monkeypatch.setattr("jax.devices", started)
    monkeypatch.setattr(job, begun)
    assert run(*command)[0] == INTERRUPTED
