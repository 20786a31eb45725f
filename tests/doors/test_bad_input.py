"""Bad input, everywhere: one clear line, exit code 2 or a ValueError or TypeError, nothing written, no traceback.

Each of many bad values takes the place of each argument of each command and function.
"""

import io
import os
import pickle
import sys
import zipfile
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.io import savemat
from scipy.sparse import csr_array

import harness
from harness import Network, Problem
from harness.checks.networks.case_files import SCHEMA
from harness.cli import main
from harness.digits.digit_networks import COURSE as EX4
from harness.files import exclusive_lock
from harness.seals import sealed
from tests.grading.submissions import COURSE

BAD_INPUT = 2

# The command line: (command, option, values)

LONG, FORGED = "n" * 5000, "bad\nAGREE: all"
words = str.split
NO_COUNT = ["", "9" * 5000, "1\n2", *words("0 -1 1.5 nan many 1e3 0x10 -- 1;2 ½")]
NO_SEED = ["", "9" * 5000, *words("-1 1.5 nan many None")]
NO_NUMBER = ["", *words("-1 nan inf -inf many 1,5 1e999")]
NO_TIME = ["0", *NO_NUMBER[:-1]]
NO_NAME = ["", LONG, FORGED]
NO_SOURCE = [*NO_NAME, "loop jax", "\x1b[31mred", *words(", loop, jaxx bug: bug:none nowhere:f :f math: math:pi")]
NO_SOURCE += words("math:nowhere no.py:f no.py pipe.py:f LOOP ../x:f os:path λ")
NO_ACTIVATION = [
    *NO_NAME,
    *words("rellu nowhere:f :f math:pi math:nowhere RELU no.py:f broken:f leaving:f unreadable:f"),
]
NO_SIZES = ["", "9" * 5000, *words("a -5 1.5 25, 25,-1 25;3 0,3")]
NO_SIZE = ["", "9" * 5000, str(2**62), "1 0", *words("0 -1 many 1XB 1.2.3GB nan inf")]
NO_PLACE = [".", "no/where", "text.csv/below", "in a circle", "a pipe.csv", "busy", LONG]

SWEEP = "sweep --out rows.sqlite --networks 2"
OPTIONS = [
    *[(command, "--networks", NO_COUNT) for command in ("run", "check", "study", "sweep")],
    *[(command, "--seed", NO_SEED) for command in ("run", "check", "train", "study", "sweep", "bugs wrong-sign")],
    ("check", "--sources", NO_SOURCE),
    ("check", "--activation", NO_ACTIVATION),
    ("check --isolate", "--timeout", NO_TIME),
    ("check", "--timeout", ["3"]),  # of which process?
    ("check --sources loop", "--figure", NO_PLACE),
    *[(command, "--case", NO_PLACE) for command in ("check", "bugs wrong-sign")],
    *[(command, "--html", NO_PLACE) for command in ("run", "check", "train", "study", "sweep --summary x.sqlite")],
    ("train", "--checkpoint", NO_PLACE),
    ("train --resume", "--checkpoint", ["text.csv", "/dev/zero", "a pipe.npz", "bomb.npz"]),
    ("train", "--max-iter", [*NO_SEED, "-5"]),
    ("train", "--l2", NO_NUMBER),
    ("train", "--hidden", NO_SIZES),
    ("train --out made/below", "--hidden", ["1000000000"]),  # an empty new folder is not left behind
    ("train", "--source", NO_SOURCE),
    *[(command, "--max-size", NO_SIZE) for command in ("run", "train", "ex4 --weights x.mat", "replay x.json")],
    (SWEEP, "--source", NO_SOURCE),
    (SWEEP, "--sources", [name for name in NO_SOURCE if name]),
    (SWEEP, "--activation", NO_ACTIVATION),
    (SWEEP, "--workers", [*NO_COUNT, "100000"]),
    (SWEEP, "--timeout", NO_TIME),
    (SWEEP, "--scheduler", ["", "nowhere", "http://"]),
    (SWEEP, "--seed", [str(2**63)]),
    (SWEEP, "--gradients", ["5"]),  # a file has rows of one kind
    ("sweep --out rows.sqlite --gradients 5", "--activation", ["relu"]),
    ("sweep", "--networks", ["5"]),  # to which file?
    ("sweep --networks 2", "--out", [*NO_PLACE, "/dev/null"]),
    ("audit", "--library", [*NO_NAME, "jaxx", "JAX", "tensorflow"]),
    ("audit", "--only", [*NO_NAME, "no_such_function", "\x1b[31m"]),
    ("audit --only sinc", "--markdown", NO_PLACE),
    ("lesson", "--out", ["text.csv", "/dev/null", "text.csv/page", "busy folder"]),
    *[(command, "--out", ["busy folder"]) for command in ("run", "train --no-gate")],
    ("study", "--figure", NO_PLACE),
    ("grade", "", ["absent", "text.csv", "/dev/null", "a folder.csv", LONG, FORGED]),
    *[("grade .", name, ["a folder.csv", *NO_PLACE]) for name in ("--csv", "--html")],
    ("grade .", "--feedback", ["text.csv", "busy folder"]),
    ("grade --feedback made/below", "", ["absent"]),
    ("grade .", "--timeout", NO_TIME),
    ("grade .", "--max-points", [*NO_NUMBER, "-1", "0", "inf"]),
    ("grade .", "--hints", [*NO_NAME, "bugs"]),
    *[("grade .", name, ["absent", "/dev/null"]) for name in ("--roster", "--with", "--data")],
    ("grade .", "--roster", ["/dev/zero", "a pipe.csv", "zeros.csv", "pickle.csv", "deep json.csv"]),
    ("grade --one", "", ["absent", "text.csv"]),
    ("grade .", "--reveal", ["yes"]),
    ("diagnose", "", [*[name for name in NO_SOURCE if name != "math:pi"], "absent.py", "text.csv", "text.csv:f"]),
    ("diagnose", "", ["os:getcwd"]),
    ("diagnose good.py", "--problems", NO_COUNT),
    ("diagnose good.py", "--seed", NO_SEED),
    ("diagnose good.py", "--sizes", [*NO_SIZES, "2", "2,2", "2,2,2,2"]),
    ("diagnose good.py", "--l2", NO_NUMBER),
    ("diagnose good.py", "--output", [*NO_NAME, "relu", "Softmax", "linear"]),
    ("diagnose good.py", "--activation", NO_ACTIVATION),
    ("bugs", "", [*NO_NAME, "none", "wrong_sign"]),
    ("bugs", "--case", ["case.json"]),  # of which bug?
    ("ex4 --weights", "", ["others.mat"]),
    ("ex4 --weights course.mat", "--data", ["nowhere.npz", "text.mat"]),
    ("explain", "", [*NO_NAME, "sgn", "plain"]),
    ("explain", "--markdown", NO_PLACE),
    ("", "", [LONG, "chek", "--bogus", "-x", "\n"]),
]


def npz(**arrays):
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def bomb():
    """A zip archive whose array claims 16 GB."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("X.npy", "y.npy"):
            with archive.open(name, "w") as entry:
                np.lib.format.write_array_header_1_0(entry, {"descr": "<f8", "fortran_order": False, "shape": (2**31,)})
    return file.getvalue()


EYE, ONES = np.eye(3), np.ones(3, int)
CONTENTS = {
    "empty": b"",
    "text": b"this is no data",
    "zip": b"PK\x03\x04" + bytes(99),
    "pickle": pickle.dumps({"X": EYE, "y": ONES}),
    "json": b'{"schema": "harness.case/2"}',
    "deep json": b"[" * 50_000,
    "case with other things": sealed(SCHEMA, {"network": 1, "sources": {}, "X": [], "Y": [], "l2": 0, "theta": []}),
    "case of a newer release": sealed("harness.case/99", {}),
    "bomb": bomb(),
    "objects": npz(X=EYE.astype(object), y=ONES),
    "nan": npz(X=EYE * np.nan, y=ONES),
    "mat of unknown types": b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM" + bytes(range(256)),
}
NO_FILES = ["absent", "a folder", "/dev/null", "/dev/zero", "a pipe", LONG, FORGED, "\x1b]0;title\x07", "a/b/c"]
READERS = {
    "train --data": (".mat", ".npz", ".csv"),
    "run --data": (".mat", ".npz", ".csv"),
    "ex4 --weights": (".mat",),
    "replay": (".json", ".sqlite"),
    "diagnose": (".py", ".ipynb"),
    "grade nowhere --rubric": (".toml",),
    "sweep --summary": (".sqlite",),
}


def command_lines():
    for command, option, values in OPTIONS:
        for value in values:
            yield [*command.split(), *([option] if option else []), value]
    for command, suffixes in READERS.items():
        for suffix in suffixes:
            for name in (*CONTENTS, *NO_FILES):
                yield [*command.split(), name if name.startswith("/dev") else name + suffix]


COMMAND_LINES = list({tuple(line): line for line in command_lines()}.values())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Files of all those contents, with every suffix."""
    folder = tmp_path_factory.mktemp("files")
    for suffix in {suffix for suffixes in READERS.values() for suffix in suffixes}:
        for name, content in CONTENTS.items():
            (folder / f"{name}{suffix}").write_bytes(content)
        (folder / f"a folder{suffix}").mkdir()
        os.mkfifo(folder / f"a pipe{suffix}")
    (folder / "good.py").write_text(COURSE)
    for name, text in (("broken", "1 / 0"), ("leaving", "import sys; sys.exit(5)"), ("unreadable", "def f(:")):
        (folder / f"{name}.py").write_text(text)
    os.mkfifo(folder / "pipe.py")
    savemat(folder / "others.mat", {"X": EYE})
    savemat(folder / "course.mat", dict(zip(["Theta1", "Theta2"], EX4.unpack(EX4.init(0)))))
    (folder / "in a circle").symlink_to("in a circle")
    (folder / "busy folder").mkdir()
    with exclusive_lock(folder / "busy"), exclusive_lock(folder / "busy folder"):
        yield folder


def ended_badly(arguments, folder, capsys, monkeypatch):
    monkeypatch.chdir(folder)
    before = sorted(folder.iterdir())
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    out, err = capsys.readouterr()
    assert ended.value.code == BAD_INPUT, (out, err)
    assert out == ""
    assert "Traceback" not in err
    assert not [c for c in err if not c.isprintable() and c != "\n"]
    assert len(err) < (1_000 if err.startswith("harness: ") else 20_000)
    assert sorted(folder.iterdir()) == before
    return err


@pytest.mark.skipif(os.name != "posix", reason="FIFOs and devices are POSIX's")
@pytest.mark.parametrize("arguments", COMMAND_LINES, ids=lambda arguments: ascii(" ".join(arguments))[:60])
def test_a_bad_command_line_is_one_line_and_2(arguments, folder, capsys, monkeypatch):
    monkeypatch.setattr(sys, "path", sys.path.copy())
    err = ended_badly(arguments, folder, capsys, monkeypatch)
    if err.startswith("harness: "):
        assert err.count("\n") == 1
    else:  # the command line's own complaint, in a frame
        assert "Usage: " in err


# Functions: (what is called, the argument that is bad, words of which the message has one)

PROBLEM = Problem(Network((2, 3, 2)), np.ones((2, 2)), [0, 1], 1.0)
NETWORK, THETA = PROBLEM.network, PROBLEM.network.init(0)

ANY: Any = abs
ITSELF: list[Any] = []
ITSELF.append(ITSELF)
DEEP: Any = 1.0
for _ in range(3000):
    DEEP = [DEEP]


class Speechless:
    def __repr__(self):
        raise RuntimeError("it cannot be shown")


class Unreadable:
    """What fails when it is looked into, such as data that are loaded late."""

    def _fail(self, *_, **__):
        raise RuntimeError("the data are gone")

    __array__ = __iter__ = __len__ = __float__ = __index__ = _fail


NOTHINGS = {
    "speechless": Speechless(),
    "unreadable": Unreadable(),
    "truth": True,
    "truths": np.array([True, False]),
    "itself": ITSELF,
    "deep": DEEP,
    "None": None,
    "object": object(),
    "function": print,
    "bytes": b"ab",
    "text": "text",
    "set": {1, 2},
}
NUMBERS = {"-1": -1, "1.5": 1.5, "nan": np.nan, "inf": np.inf, "huge": 10**400, "complex": 1j}
ARRAYS = {
    "no numbers": np.array([]),
    "0-d": np.array(0.25),
    "sparse": csr_array(np.eye(17)),
    "nan array": np.full(17, np.nan),
    "inf array": np.full(17, np.inf),
    "complex array": np.ones(17, complex),
    "masked array": np.ma.masked_array(np.ones(17), np.arange(17) > 3),
    "object array": np.array([object()] * 17),
    "text array": np.array(["a"] * 17),
    "dates": np.zeros(17, "M8[s]"),
    "fields": np.zeros(17, [("a", "f8")]),
    "cube": np.ones((2, 2, 2)),
    "too long": np.ones(99),
    "ragged": [[1.0], [1.0, 2.0]],
    "dict": {"a": np.ones(17)},
    "nested": [[[[1.0]]]],
}
EVERYTHING = NOTHINGS | NUMBERS | ARRAYS


def LINE(xp, z):
    return z


def square(theta):
    return np.sum(theta * theta), 2 * theta


STATE = harness.fmincg(square, np.ones(2), 1).state

# A function, right arguments, and the names of those that a bad value replaces.
REPLACED = [
    (Network, {"sizes": (2, 3, 3, 1)}, "sizes hidden output"),
    (NETWORK.init, {"seed": 0}, "seed epsilon"),
    (NETWORK.pack, {}, "thetas"),
    (NETWORK.unpack, {}, "theta"),
    (NETWORK.label, {}, "i"),
    (Problem, {"network": NETWORK, "X": PROBLEM.X, "y": [0, 1]}, "network X y l2"),
    (harness.cross_check, {"problem": PROBLEM, "theta": THETA, "sources": ["loop"]}, "problem theta sources"),
    (harness.check_gradient, {"fun": square, "theta": THETA}, "fun theta budget has_aux accuracy"),
    (harness.assert_gradients_agree, {"theta": THETA}, "subject"),
    (harness.check_jacobian, {"fun": np.square, "theta": THETA, "jac": np.diag}, "fun jac"),
    (harness.check_networks, {"networks": 1, "sources": ["loop"]}, "networks activations progress like extremes"),
    (harness.random_problem, {"seed": 0}, "seed outputs extremes like"),
    (
        harness.train,
        {"problem": PROBLEM, "theta": THETA, "max_iter": 1, "gate": False},
        "problem theta max_iter source gate callback checkpoint",
    ),
    (harness.fmincg, {"fun": square, "x0": THETA, "max_iter": 1}, "fun x0 callback gtol state"),
    (harness.predict, {"network": NETWORK, "theta": THETA, "X": PROBLEM.X}, "network theta X"),
    (harness.Activation, {"name": "a", "value": ANY, "slope": ANY}, "name kinks parameters surrogate"),
    (harness.check_activation, {"activation": "tanh"}, "order"),
    (harness.register, {}, "activation"),
    (harness.save_case, {"path": "x", "problem": PROBLEM, "theta": THETA}, "path problem sources report"),
    (harness.load_case, {"path": "x"}, "path allow_import max_size"),
]
WORDS = {
    "sizes": "size",
    "hidden": "activation",
    "thetas": "matri",
    "i": "coordinate",
    "problem": "problem|Problem",
    "sources": "source",
    "source": "source|answer",
    "fun": "fun|cost",
    "theta": "theta|θ|params|fun|real",
    "x0": "x0|fun",
    "has_aux": "aux",
    "subject": "fun|cost|Problem",
    "networks": "number of networks",
    "activations": "activation",
    "activation": "register",
    "outputs": "output",
    "parameters": "parameters|callable",
    "path": "path|file|text",
    "modes": "mode",
    "argnums": "argnum",
}
"""Of these the message has one; of all other arguments it has the name."""


def with_one_bad(function, right, name):
    return lambda bad: function(**{**right, name: bad})


def with_an_option(name):
    return lambda bad: harness.check_derivatives(jnp.sin, THETA, **{name: bad})


def resumed_with(name):
    return lambda bad: harness.fmincg(square, np.ones(2), 2, state={**STATE, name: bad})


FUNCTIONS = {
    f"{function.__name__} {name}": (with_one_bad(function, right, name), WORDS.get(name, name))
    for function, right, names in REPLACED
    for name in names.split()
}
FUNCTIONS |= {
    f"check_derivatives {name}": (with_an_option(name), WORDS.get(name, name))
    for name in ("order", "modes", "argnums", "trust", "seed", "budget", "reference")
}
FUNCTIONS |= {f"fmincg state {name}": (resumed_with(name), "state") for name in ("x", "cost", "costs", "nit")}
FUNCTIONS |= {
    "pack one": (lambda bad: NETWORK.pack([bad, bad]), "matri"),
    "cross_check one source": (lambda bad: harness.cross_check(PROBLEM, THETA, {"mine": bad}), "source"),
    "check_derivatives f": (lambda bad: harness.check_derivatives(bad, THETA), "f |function"),
    "check_derivatives args": (lambda bad: harness.check_derivatives(jnp.sin, bad), "args|argument|x is"),
    "Activation value": (lambda bad: harness.check_activation(harness.Activation("a", bad, np.square)), "value"),
    "Activation slope": (lambda bad: harness.check_activation(harness.Activation("a", LINE, bad)), "slope"),
}

# What functions answer: (the call, words of which the message has one)
FUNCTIONS |= {
    "fmincg answer": (lambda bad: harness.fmincg(lambda x: bad, np.ones(2)), "fun"),
    "train answer": (lambda bad: harness.train(PROBLEM, THETA, 1, lambda *_: bad, gate=False), "source"),
    "check_gradient reference": (lambda bad: harness.check_gradient(square, THETA, lambda _: bad), "reference"),
    "check_gradient cost": (lambda bad: harness.check_gradient(lambda t: (bad, 2 * t), THETA), "cost"),
    "check_hessian gradient": (lambda bad: harness.check_hessian(lambda _: bad, THETA, np.diag), "gradient"),
    "check_derivatives answer": (lambda bad: harness.check_derivatives(lambda _: bad, THETA), "function|answer of f"),
    "check_derivatives reference answer": (
        lambda bad: harness.check_derivatives(jnp.sin, THETA, reference=lambda _: bad),
        "reference",
    ),
    "Activation slope answer": (
        lambda bad: harness.check_activation(harness.Activation("a", LINE, lambda z, a: bad)),
        "slope",
    ),
}


def of_each(functions, good):
    return dict.fromkeys(functions.split(", "), good)


OPTIONAL = (
    "train checkpoint, save_case report, save_case sources, check_derivatives reference, fmincg state, "
    "cross_check sources, check_networks activations"
)
FLAGS = (
    "check_gradient has_aux, check_networks extremes, random_problem extremes, train gate, Activation surrogate, "
    "load_case allow_import"
)
GOOD_AFTER_ALL = {
    **of_each(OPTIONAL, "None"),
    **of_each(FLAGS, "truth"),
    **of_each("fmincg callback, train callback", "None, function"),
    **of_each("init seed, random_problem seed", "None, huge, no numbers"),
    **of_each("init epsilon, Problem l2, fmincg gtol", "1.5"),
    **of_each("save_case path, Activation name", "text"),
    "check_gradient theta": "-1, 1.5, cube, too long, nested, ragged, dict, complex array, 0-d",  # fun takes some
    "check_gradient budget": "None, 1.5, inf, huge",
    "check_derivatives args": "0-d, 1.5, nan, inf, complex, nan array, inf array, complex array, cube, too long",
    # constants, whose derivatives are zero
    "check_derivatives answer": "deep, 1.5, inf, complex, 0-d, inf array, complex array, cube, too long, nested"
    ", ragged, dict",
    "check_derivatives trust": "set",  # which names nothing that is called
    "check_derivatives argnums": "None, -1",
    "check_derivatives seed": "huge",
    "check_derivatives budget": "None, 1.5, inf",
    "check_networks networks": "huge",  # which would take its time
    "check_networks progress": "function",
    "train max_iter": "huge",
    "train source": "function",  # it is asked, and answers nothing
    "Problem y": "truths",  # two classes
    "Activation kinks": "truths, set, too long, no numbers",
    "fmincg x0": "truths, too long, no numbers",
    "fmincg state cost": "0-d",
    "fmincg state costs": "no numbers, nan array, inf array, masked array, too long",
    "load_case max_size": "1.5, inf, huge",
    "unpack theta": "nan array, inf array, complex array, masked array, object array, text array, dates, fields",
    "label i": "huge",  # an IndexError
}


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_bad_argument_is_a_sentence_that_names_it(function, tmp_path, monkeypatch, registry):
    monkeypatch.chdir(tmp_path)
    call, words = FUNCTIONS[function]
    assert words
    wrong = []
    for name, value in EVERYTHING.items():
        if name in (GOOD_AFTER_ALL.get(function) or "").split(", "):
            continue
        try:
            if getattr(call(value), "verdict", "agree") == "agree":  # other verdicts are refusals, too
                wrong.append(f"{name}: nothing was refused")
        except Exception as error:  # noqa: BLE001  which is what is looked for
            is_clear = isinstance(error, (ValueError, TypeError, OSError)) and "\n" not in str(error)
            if not (is_clear and any(word in str(error) for word in words.split("|"))):
                wrong.append(f"{name}: {type(error).__name__}: {error}")
    assert wrong == []
    assert list(tmp_path.iterdir()) == []


def leaving(*_, **__):
    sys.exit(0)  # as if all were right


CALLS = {
    "check_gradient": lambda: harness.check_gradient(leaving, THETA),
    "check_jacobian fun": lambda: harness.check_jacobian(leaving, THETA, np.diag),
    "check_jacobian jac": lambda: harness.check_jacobian(np.square, THETA, leaving),
    "check_hessian": lambda: harness.check_hessian(np.square, THETA, hessp=leaving),
    "check_derivatives f": lambda: harness.check_derivatives(leaving, THETA),
    "check_derivatives reference": lambda: harness.check_derivatives(jnp.sin, THETA, reference=leaving),
    "value": lambda: harness.check_activation(harness.Activation("a", leaving, np.square)),
    "slope": lambda: harness.check_activation(harness.Activation("a", lambda xp, z: z, leaving)),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_function_that_ends_the_program_is_refused_by_its_line(call):
    with pytest.raises(ValueError, match=r"sys\.exit\(0\) was called instead of an answer \(test_bad_input\.py, line "):
        call()
