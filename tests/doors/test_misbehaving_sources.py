"""Sources that exit, crash, loop, print or change settings: the command continues, names them, and does not agree."""

import json
import sys

import pytest
from programs import run as in_a_shell

from harness.cli import main

AGREE, DISAGREE, BAD_INPUT, INCONCLUSIVE = 0, 1, 2, 3

SOURCES = """
import ctypes, os, sys
import numpy as np
from harness import SOURCES, NotApplicable

def right(problem, theta): return SOURCES["vectorized"](problem, theta)

def wrong(problem, theta):
    cost, gradient = right(problem, theta)
    return cost, 1.1 * gradient

def prints_below(problem, theta):
    os.write(1, b"look at me\\n")
    os.system("echo and me")
    return right(problem, theta)

def key_error(problem, theta): return {}["W"]

def recursion(problem, theta): return recursion(problem, theta)

def exits(problem, theta): sys.exit(0)

def base(problem, theta): raise BaseException("no")

class Speechless(Exception):
    def __str__(self): raise RuntimeError("no words")

def speechless(problem, theta): raise Speechless

def closes(problem, theta):
    sys.stdout.close()
    return right(problem, theta)

def no_streams(problem, theta):
    sys.stdout = sys.stderr = None
    return right(problem, theta)

def shape(problem, theta): return 1.0, theta[1:]

def no_pair(problem, theta): return 1.0

def masked(problem, theta):
    cost, gradient = right(problem, theta)
    return cost, np.ma.masked_array(gradient, gradient > 0)

def never(problem, theta): raise NotApplicable("not this one")

def sometimes(problem, theta):
    if problem.network.hidden: raise RuntimeError("a hidden layer")
    return right(problem, theta)

def loops(problem, theta):
    while True: pass

def crashes(problem, theta): ctypes.string_at(0)

def is_gone(problem, theta): os._exit(0)

def in_place(problem, theta):
    answer = right(problem, theta)
    theta[:] = 0.0
    return answer

def a_view(problem, theta):
    global _kept
    cost, gradient = right(problem, theta)
    try:
        _kept[:] = 7.0
    except (NameError, ValueError):
        pass
    _kept = gradient
    return cost, _kept
"""

# Of these four networks, one has hidden layers, which `sometimes` fails on, and on one θ is zero.
QUICK = ["check", "--networks", 4, "--seed", 11]


@pytest.fixture
def run(capfd, monkeypatch, tmp_path):
    """``run(name, *more)`` -> (exit code, JSON document, stderr) of a check of loop, differences and that source."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    (tmp_path / "mine.py").write_text(SOURCES)

    def call(*names, more=()):
        named = ",".join(["loop", "finite-difference", *(f"mine:{name}" for name in names)])
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in [*QUICK, "--sources", named, "--json", *more]])
        out, err = capfd.readouterr()
        return ended.value.code or 0, json.loads(out), err

    monkeypatch.setattr("harness.commands.check_commands.start_jax", lambda: None)  # these sources do not need it
    yield call
    for name in ("mine", "own"):
        sys.modules.pop(name, None)


def line(name):
    """Where a source that is written in one line stands, or the line below."""
    number, text = next((i, t) for i, t in enumerate(SOURCES.splitlines(), start=1) if t.startswith(f"def {name}("))
    return f"line {number + text.endswith(':')}"


RAISED = {
    "key_error": f"KeyError: 'W'; raised by source 'mine:key_error' (mine.py, {line('key_error')}, in key_error: def ",
    "recursion": "RecursionError: maximum recursion depth exceeded",
    "exits": f"source 'mine:exits' called sys.exit(0) instead of answering (mine.py, {line('exits')}, in exits: def ",
    "base": f"source 'mine:base' raised BaseException: no (mine.py, {line('base')}, in base: def ",
    "speechless": "Speechless; raised by source 'mine:speechless'",
    "shape": "source 'mine:shape' must answer (cost, gradient) with a number and an array of shape",
    "no_pair": "source 'mine:no_pair' must answer a tuple (cost, gradient), not float",
    "masked": "source 'mine:masked' must answer real numbers, but its gradient is MaskedArray",
    "sometimes": "RuntimeError: a hidden layer; raised by source 'mine:sometimes'",
}


def test_sources_that_fail_are_named_and_are_no_agreement(run):
    code, document, err = run(*RAISED)
    assert (code, document["verdict"]) == (BAD_INPUT, "inconclusive")
    assert document["networks"] == 4  # it went on
    assert document["sources"][:2] == ["loop", "finite-difference"]
    for name, why in RAISED.items():
        failed = document["failed"][f"mine:{name}"]
        assert why in failed["why"]
        assert failed["networks"] == (4 if name != "sometimes" else 1)
        networks = "4 networks" if name != "sometimes" else "1 network"
        assert f"harness: mine:{name} failed on {networks}: {failed['why']}" in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("names", "code", "outliers", "failed"),
    [
        (["exits", "wrong"], DISAGREE, {"mine:wrong": 4}, {"mine:exits"}),  # others that disagree are reported as well
        (["never"], INCONCLUSIVE, {}, set()),  # to be not applicable is no agreement and no failure
        (["a_view"], AGREE, {}, set()),  # each answer was right when it was given
        (["in_place"], DISAGREE, {"mine:in_place": 3}, set()),  # θ was changed
    ],
)
def test_verdicts_beside_misbehaviour(run, names, code, outliers, failed):
    ended, document, _ = run(*names)
    assert (ended, document["outliers"], set(document["failed"])) == (code, outliers, failed)


@pytest.mark.more
@pytest.mark.parametrize(
    ("name", "printed"),
    [
        ("prints_below", "look at me\nand me\n"),
        ("closes", ""),
        ("no_streams", ""),
    ],
)
def test_what_a_source_prints_goes_to_stderr(name, printed, tmp_path):
    (tmp_path / "mine.py").write_text("print('imported')\n" + SOURCES)
    named = f"loop,finite-difference,mine:{name}"
    code, out, err = in_a_shell("check", "--networks", 2, "--json", "--sources", named, cwd=tmp_path)
    assert code == AGREE, err
    assert json.loads(out)["verdict"] == "agree"
    assert printed in err
    assert err.startswith("imported\n")
    assert "Traceback" not in err


ISOLATED = {
    "key_error": f"raised KeyError: 'W' (mine.py, {line('key_error')}, in key_error: def",
    "loops": f"did not answer within 0.3 s (mine.py, {line('loops')}, in loops: while True: pass)",
    "crashes": f"was ended by the signal SIGSEGV (mine.py, {line('crashes')}, in crashes: def",
    "is_gone": "ended its process with exit code 0 instead of answering",
    "nowhere": "raised AttributeError: module 'mine' has no attribute 'nowhere'",
    "shape": "must answer (cost, gradient) with a number and an array of shape",
    "masked": "must answer numbers, but answered a MaskedArray",
}


def test_in_processes_of_their_own_sources_cannot_take_the_command_down(run):
    code, document, err = run("right", "prints_below", "never", *ISOLATED, more=["--isolate", "--timeout", "0.3"])
    assert (code, document["networks"], document["counts"]["disagree"]) == (BAD_INPUT, 4, 0), err
    assert set(document["failed"]) == {f"mine:{name}" for name in ISOLATED}
    for name, why in ISOLATED.items():
        assert f"source 'mine:{name}' {why}" in document["failed"][f"mine:{name}"]["why"]
        assert f"harness: mine:{name} failed on 4 networks" in err
    assert "look at me" in err


@pytest.mark.more
def test_a_module_that_cannot_be_imported_is_a_failure_of_its_source(run, tmp_path):
    (tmp_path / "mine.py").write_text("while True: pass")
    code, document, _ = run("f", more=["--isolate", "--timeout", "0.3"])
    assert code == BAD_INPUT
    assert "did not answer within 0.3 s (mine.py, line 1: while True: pass)" in document["failed"]["mine:f"]["why"]


@pytest.mark.more
def test_a_failure_in_a_process_of_its_own_is_shrunk_and_saved(run, tmp_path):
    code, document, err = run("wrong", "in_place", more=["--isolate"])
    assert (code, set(document["outliers"])) == (DISAGREE, {"mine:wrong", "mine:in_place"})
    assert "harness replay failing-case.json --allow-import" in err
    saved = json.loads((tmp_path / "failing-case.json").read_text())
    assert saved["sources"]["mine:wrong"] == "mine:wrong"


OWN_ACTIVATIONS = {
    "all run it": "Activation('own_tanh', lambda xp, z: xp.tanh(z), lambda z, a: 1.0 - a * a)",
    "JAX cannot": "Activation('own_tanh', lambda xp, z: np.tanh(np.asarray(z, float)), lambda z, a: 1.0 - a * a)",
    "another's name": "Activation('tanh', lambda xp, z: xp.tanh(z), lambda z, a: 1.0 - a * a)",
    "another's name, and JAX cannot": "Activation('tanh', lambda _, z: 2 * np.arctan(np.asarray(z, float)), "
    "lambda z, a: 2 / (1 + z * z))",
}


@pytest.mark.more
@pytest.mark.parametrize("written", OWN_ACTIVATIONS.values(), ids=OWN_ACTIVATIONS)
def test_an_activation_of_ones_own_is_known_in_the_other_process(written, run, tmp_path, registry):
    (tmp_path / "own.py").write_text(f"import numpy as np\nfrom harness import Activation\nact = {written}\n")
    code, document, err = run("right", more=["--isolate", "--activation", "own:act"])
    assert (code, document["failed"]) == (AGREE, {}), err
