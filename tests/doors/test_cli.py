"""The command line: exit codes, what goes where, and no traceback for bad usage."""

import json
import re
import shlex
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from programs import run as run_in_shell
from programs import run_python, start_python
from scipy.io import savemat

from harness import FAULTS, SOURCES, Network, Problem, cli, cross_check, random_problem, save_case
from harness.commands import check_commands
from harness.commands.command_output import for_terminal
from harness.commands.process_start import start_jax
from harness.digits.digit_networks import COURSE
from harness.exit_codes import EXIT_CODES
from harness.named_objects import import_attribute
from harness.sources.source_table import FLOAT32_SOURCES
from harness.training.gated_training import GateClosed

AGREE, DISAGREE, BAD_INPUT, INCONCLUSIVE, INTERRUPTED = 0, 1, 2, 3, 130
QUICK = ["--networks", "4", "--seed", "11", "--sources", "loop,finite-difference"]  # JAX would compile for seconds
FOUR = ["--networks", 4, "--seed", 11, "--sources"]

COLOUR = re.compile(r"\x1b\[[0-9;]*(?:3[0-8]|9[0-7])[0-9;]*m")

FILES = {
    "my_activations.py": """
import numpy as np
from harness import Activation

def value(xp, z):
    return z * xp.tanh(z)

right = Activation("right", value, lambda z, a: np.tanh(z) + z * (1.0 - np.tanh(z) ** 2))
wrong = Activation("wrong", value, lambda z, a: np.tanh(z))
whole = Activation('whole', lambda xp, z: xp.cumsum(z), lambda z, a: np.ones_like(z))
own_tanh = Activation('own_tanh', lambda xp, z: xp.tanh(z), lambda z, a: 1.0 - a * a)
""",
    "homework.py": """
from harness import SOURCES

def right(problem, theta):
    return SOURCES["vectorized"](problem, theta)

def raising(problem, theta):
    raise RuntimeError("boo")
""",
}


@pytest.fixture
def run(run_command, monkeypatch, tmp_path, registry):
    """`run_command`, in a folder that holds these files alone."""
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    modules = set(sys.modules)
    yield run_command
    for name in set(sys.modules) - modules:
        if getattr(sys.modules[name], "__file__", None) and str(tmp_path) in str(sys.modules[name].__file__):
            del sys.modules[name]


# The exit code is the verdict


@pytest.mark.parametrize(
    ("arguments", "code", "keys"),
    [
        (["check", *QUICK], AGREE, {"verdict", "networks", "seed", "sources", "counts"}),
        (["check", "--networks", "3", "--sources", "loop,vectorized"], INCONCLUSIVE, {"verdict", "counts"}),
        (["check", *QUICK, "--activation", "my_activations:right"], AGREE, {"activations", "mixed"}),
        (["check", *FOUR, "loop,finite-difference,homework:right"], AGREE, {"sources"}),
        (["check", *FOUR, "loop,finite-difference,bug:wrong-sign"], DISAGREE, {"failures"}),
        (["check", *QUICK, "--activation", "my_activations:wrong"], DISAGREE, {"failures"}),
        (["check", *QUICK, "--activation", "my_activations:whole"], DISAGREE, {"activations"}),  # breaks networks
        (["check", *FOUR, "loop,homework:raising"], BAD_INPUT, {"failed"}),
        (["bugs"], AGREE, {"bugs"}),
        (["bugs", "bias-regularised"], DISAGREE, {"bug", "seed", "network", "report"}),
        (["explain", "sign"], AGREE, {"kind", "meaning", "cause", "example", "advice"}),
        (["explain"], AGREE, {"kinds"}),
    ],
    ids=lambda value: " ".join(map(str, value[:1] + value[-1:])) if isinstance(value, list) else "",
)
def test_the_exit_code_is_the_verdict_and_stdout_is_one_json_document(run, arguments, code, keys):
    ended, out, _ = run(*arguments, "--json")
    document = json.loads(out)
    assert ended == code
    assert set(document) >= keys
    if arguments[0] == "check" and code != BAD_INPUT:
        assert EXIT_CODES[document["verdict"]] == code
    for failure in document.get("failures", ()):
        assert failure["report"]["schema"] == "harness.report/3"


def test_what_failed_is_saved_small_and_can_be_replayed(run, tmp_path):
    code, out, err = run("bugs", "wrong-sign", "--case", "case.json")
    assert code == DISAGREE
    assert "case.json" in err
    assert "case.json" not in out
    assert json.loads((tmp_path / "case.json").read_text())
    code, out, err = run("replay", "case.json", "--json")
    assert (code, json.loads(out)["verdict"], err) == (DISAGREE, "disagree", "")


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
    assert (ended, out, verdict.upper() in err) == (code, "", True)


@pytest.mark.more
def test_in_a_shell_output_is_plain_and_errors_are_apart():
    code, out, err = run_in_shell("bugs", "--json", env={"FORCE_COLOR": "1"})
    assert (code, err) == (AGREE, "")
    assert set(json.loads(out)["bugs"]) == set(FAULTS)
    code, out, err = run_in_shell("ex4", "--weights", "nowhere.mat", "--json")
    assert (code, out, err.count("\n")) == (BAD_INPUT, "", 1)
    assert "nowhere.mat is not an existing file" in err
    for arguments in (["--help"], ["check", "--networks", "none"]):
        _, out, err = run_in_shell(*arguments, env={"NO_COLOR": "1", "FORCE_COLOR": "1"})
        assert not COLOUR.search(out + err)


# Help

COMMANDS = [command.__name__ for command in cli.COMMANDS]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_its_options_and_names_values_by_what_they_are(run, monkeypatch, command):
    monkeypatch.setenv("COLUMNS", "200")
    code, out, _ = run(command, "--help")
    assert (code, "--json" in out) == (AGREE, True)
    assert not re.search(r"<(int|list|float|bool|str|path)\b|\(1GB\)", out)
    if command in ("check", "train"):
        words = " ".join(out.replace("│", " ").split())
        assert [name for name in (*SOURCES, *FLOAT32_SOURCES, "bug:NAME", "module:function") if name not in words] == []


def test_the_help_lists_the_commands_and_the_exit_codes(run):
    shown = {option: run(option)[1] for option in ("--help", "-h")}
    assert shown["--help"] == shown["-h"]
    assert "3 inconclusive; 130 interrupted" in " ".join(shown["-h"].split())
    assert [name for name in COMMANDS if not re.search(rf"^\W*{name}\b", shown["-h"], re.MULTILINE)] == []
    code, out, err = run()
    assert code in (AGREE, BAD_INPUT)
    assert "check" in out + err


# Sources and activations of one's own


def test_an_error_after_the_verdict_leaves_it_alone(run, monkeypatch):
    def failing(*arguments):
        raise RuntimeError("no")

    monkeypatch.setattr("harness.checks.networks.smallest_failure.shrink_disagreement", failing)
    code, out, err = run("bugs", "wrong-sign", "--case", "case.json")
    assert (code, "DISAGREE" in out) == (DISAGREE, True)
    assert "not-saved" in err


@pytest.mark.more
def test_what_is_printed_after_a_failure_runs_as_printed(run, tmp_path):
    _, _, err = run("check", *QUICK, "--activation", "my_activations:wrong")
    script = err.partition("The same in Python:\n\n")[2].partition("\n\n")[0]
    (command,) = (line.partition("Replay it with: ")[2] for line in err.splitlines() if "Replay it with: " in line)
    for arguments, code in ((["-c", script], 0), (["-m", *shlex.split(command)], DISAGREE)):
        ended, out, err = run_python(*arguments, cwd=tmp_path)
        assert ended == code, err
        assert out.startswith("DISAGREE: ")


def test_a_case_with_an_activation_of_ones_own_is_replayed_by_naming_it(run):
    network = Network((2, 3, 2), import_attribute("my_activations:own_tanh"))
    without_jax = ["loop", "finite-difference"]  # JAX would compile anew for a new activation
    save_case("case.json", Problem(network, np.ones((2, 2)), [0, 1], 1.0), network.init(0), without_jax)
    code, _, err = run("replay", "case.json")
    assert (code, "--activation module:attribute" in err) == (BAD_INPUT, True)
    assert run("replay", "case.json", "--activation", "my_activations:own_tanh")[0] == AGREE


# Training and studies


@pytest.mark.more
def test_training_without_the_gate_with_a_source_that_is_named(run, tmp_path):
    y = np.arange(100) // 10
    np.savez("few.npz", X=np.random.default_rng(0).normal(0.0, 0.3, (100, 16)) + np.eye(16)[y], y=y)
    train = ["train", "--data", "few.npz", "--max-iter", 2, "--hidden", 3, "--source", "bug:bias-times-4"]
    code, _, err = run(*train)
    assert (code, "the odd one out is bug:bias-times-4" in err) == (DISAGREE, True)
    code, out, _ = run(*train, "--no-gate", "--out", "here", "--json")
    document = json.loads(out)
    assert (code, document["verdict"]) == (AGREE, None)
    files = {"theta.npz", "theta.mat", "hidden_units.png", "confusion.png", "mistakes.png"}
    assert {Path(file).name for file in document["files"]} == files
    assert all(Path(file).is_file() for file in document["files"])


MAIN_STUDY, ACTIVATION_STUDY = (
    "harness.study.zoo_study.run_study",
    "harness.study.activation_study.run_study",
)


@pytest.mark.parametrize(
    ("arguments", "study", "size"),
    [
        ([], MAIN_STUDY, {}),
        (["--networks", 50], MAIN_STUDY, {"networks": 50}),
        (["--quick"], MAIN_STUDY, {"problems": 1, "networks": 200}),
        (["--quick", "--networks", 50], MAIN_STUDY, {"problems": 1, "networks": 50}),
        (["--activations", "--quick", "--seed", 3], ACTIVATION_STUDY, {"seed": 3, "records": 6, "each": 2}),
    ],
)
def test_the_size_of_a_study_is_what_is_asked_for(run, monkeypatch, arguments, study, size):
    sizes = []

    def measure(*, progress, **rest):
        sizes.append(rest)
        raise ValueError("enough")

    monkeypatch.setattr(study, measure)
    run("study", *arguments)
    assert sizes == [size]


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        (["--activations", "--networks", 5], ["--quick, --seed and --json", "--networks"]),
        (["--diagnosis", "--html", "page.html"], ["--html"]),
        (["--gradients", "--seed", 3], ["it takes --quick and --json", "--seed"]),
        (["--store", "trials"], ["the study of the bug zoo takes", "--store"]),
    ],
)
def test_an_option_that_a_study_would_ignore_is_refused(run, options, parts):
    code, out, err = run("study", *options)
    assert (code, out, [part for part in parts if part not in err]) == (BAD_INPUT, "", [])


@pytest.mark.parametrize(
    ("command", "old", "new"),
    [
        ("study", "--own", "--gradients"),
        ("study", "--functions", "--derivatives"),
        ("sweep", "--functions", "--gradients"),
    ],
)
def test_one_name_stands_for_one_thing_and_old_names_work(run, command, old, new):
    value = [5] if command == "sweep" else []
    code, _, err = run(command, old, *value, "--no-such-option")
    assert f"{old} is called {new} now" in err
    assert (code, "--no-such-option" in err) == (BAD_INPUT, True)


def test_two_outputs_in_one_file_are_refused(tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["check", "--html", str(tmp_path / "a"), "--case", f"{tmp_path}/./a"])
    assert (ended.value.code, capsys.readouterr().err.split(" name ")[0]) == (
        BAD_INPUT,
        "harness: --case and --html both",
    )


# Ctrl-C, and when JAX is started


WORKING = "harness.cli.main(['check', '--networks', '1000000', '--sources', 'loop'])"


@pytest.mark.more
def test_ctrl_c_is_130_without_a_traceback():
    # a shell that runs the tests in the background ignores Ctrl-C, and the child would inherit that
    start = (
        "import signal, sys, harness.checks.networks.many_networks, harness.cli\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "print('ready', file=sys.stderr, flush=True)\n"
    )
    with start_python("-c", start + WORKING) as process:
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
    assert "KeyboardInterrupt" not in err


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


@pytest.mark.parametrize(
    ("names", "starts"),
    [
        ("loop,vectorized,finite-difference", False),
        ("ball,complex-step,vectorized-float32", False),
        ("loop,jax", True),
        ("loop,jax-float32", True),
        ("loop,nowhere:f", True),  # its module may import JAX
    ],
)
def test_only_sources_that_need_it_start_jax(run, monkeypatch, names, starts):
    started = []
    monkeypatch.setattr(check_commands, "start_jax", lambda: started.append(True))
    run("check", "--networks", 1, "--sources", names)
    assert bool(started) is starts


@pytest.mark.parametrize(
    ("command", "job"),
    [
        (["train"], "harness.digits.main_job.train_once"),
        (["check"], "harness.checks.networks.many_networks.check_networks"),
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


# What fails (tests/doors/test_bad_input.py has bad usage and bad input)


class Speechless(Exception):
    def __str__(self):
        raise RuntimeError


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (RuntimeError("ours"), "a fault of the harness: RuntimeError: ours (<string>, line"),
        (KeyError("W"), "a fault of the harness: KeyError: 'W'"),
        (Speechless(), "a fault of the harness: Speechless ("),
        (MemoryError("1 TiB"), "not enough memory (1 TiB)"),
    ],
)
def test_an_error_of_the_harness_is_2_and_a_sentence(run, monkeypatch, error, words):
    code_of_nobody = {"error": error}
    exec("def failing(*arguments, **keywords): raise error", code_of_nobody)
    monkeypatch.setattr("harness.checks.networks.many_networks.check_networks", code_of_nobody["failing"])
    code, out, err = run("check", *QUICK)
    assert (code, out, err.count("\n"), words in err) == (BAD_INPUT, "", 1, True)
    monkeypatch.setenv("HARNESS_TRACEBACK", "1")
    assert "Traceback" in run("check", *QUICK)[2]


# Exercise 4


def test_ex4_with_the_courses_weights(run, course_weights):
    code, out, err = run("ex4", "--weights", course_weights, "--json")
    document = json.loads(out)
    assert (code, err, document["verdict"]) == (AGREE, "", "agree")
    assert {row["published"] for row in document["rows"]} >= {"0.287629", "0.383770", "0.576051", "97.52"}


def test_ex4_with_other_weights_or_digits_differs(run, digits):
    few = np.arange(0, 5000, 100)
    np.savez("few.npz", X=digits.X[few], y=digits.y[few])
    savemat("mine.mat", dict(zip(["Theta1", "Theta2"], COURSE.unpack(COURSE.init(0)), strict=True)))
    code, out, err = run("ex4", "--weights", "mine.mat", "--data", "few.npz")
    assert (code, err, "DIFFERS" in out) == (DISAGREE, "", True)


def test_a_report_is_folded_and_coloured_on_a_terminal(monkeypatch):
    text = "DISAGREE: the odd one out is fun\n  fun: " + "word " * 30 + "[factor]\n\nname   table  1.5"
    monkeypatch.delenv("NO_COLOR", raising=False)
    coloured = for_terminal(text, 60).splitlines()
    assert coloured[0].startswith("\x1b[31m\x1b[1mDISAGREE\x1b[0m")
    monkeypatch.setenv("NO_COLOR", "1")
    plain = for_terminal(text, 60).splitlines()
    assert plain[0] == "DISAGREE: the odd one out is fun"
    assert max(map(len, plain)) <= 60
    assert all(line.startswith("    ") for line in plain[2:4])
    assert " ".join(" ".join(plain).split()) == " ".join(text.split())
    assert plain[-1] == "name   table  1.5"


def test_the_list_of_bugs_has_each_once_in_a_group(run):
    _, out, _ = run("bugs")
    listed = re.findall(r"^  (\S+) ", out, flags=re.MULTILINE)
    assert sorted(listed) == sorted(FAULTS)
    assert len(re.findall(r"^\S.*:$", out, flags=re.MULTILINE)) >= 6
