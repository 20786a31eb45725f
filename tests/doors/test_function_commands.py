"""harness gradient and harness derivatives: one's own function, at a point that a file, a name or numbers give."""

import json
import sys

import numpy as np
import pytest

AGREE, DISAGREE, BAD_INPUT, INCONCLUSIVE = 0, 1, 2, 3
COMMANDS = ("gradient", "derivatives")

LOSSES = """
import numpy as np
import jax
import jax.numpy as jnp

theta = {"w": np.array([0.3, -0.2]), "b": 0.1}

def right(x):
    return np.sum(np.cos(x)), -np.sin(x)

def wrong(x):
    return np.sum(np.cos(x)), np.sin(x)

def nearly(x):
    return np.sum(np.cos(x)), -np.sin(x) * (1 + 1e-8)

def of_a_tree(theta):
    return float(np.sum(theta["w"] ** 2) + theta["b"] ** 2), {"w": 2 * theta["w"], "b": 2 * theta["b"]}

def cost(x):
    return np.sum(np.cos(x))

def slope(x):
    return -np.sin(x)

def at_a_kink(x):
    return np.sum(np.abs(x)), np.sign(x)

def traced(x, y):
    return jnp.sum(jnp.sin(x) * y)

@jax.custom_jvp
def cube(x):
    return x**3

@cube.defjvp
def its_rule(x, dx):
    return cube(*x), x[0] ** 2 * dx[0]

def raising(x):
    raise RuntimeError("not today")

def unlucky(x):
    return {}['w']

def leaving(x):
    exit(0)
"""


UNLUCKY = f"losses.py, line {1 + LOSSES[: LOSSES.index('{}[')].count(chr(10))}, in unlucky: return {{}}['w']"


@pytest.fixture
def run(run_command, monkeypatch, tmp_path):
    (tmp_path / "losses.py").write_text(LOSSES)
    (tmp_path / "raises.py").write_text("x = 1\ny = {}['w']\n")
    (tmp_path / "unwritten.py").write_text("x = 1\ndef f(:\n")
    np.save(tmp_path / "x.npy", np.array([0.5, 1.0]))
    np.savez(tmp_path / "tree.npz", w=np.array([0.3, -0.2]), b=np.array(0.1))
    np.save(tmp_path / "pickled.npy", np.array([{}], dtype=object), allow_pickle=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    yield run_command
    sys.modules.pop("losses", None)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ("gradient losses.py:right --at x.npy", AGREE),
        ("gradient losses.py:right --at 0.5,1", AGREE),
        ("gradient losses.py:right --at=-1", AGREE),
        ("gradient losses.py:of_a_tree --at tree.npz", AGREE),
        ("gradient losses.py:cost --jac losses.py:slope --at x.npy", AGREE),
        ("gradient losses.py:wrong --at x.npy", DISAGREE),
        ("gradient losses.py:nearly --at x.npy", DISAGREE),
        ("gradient losses.py:nearly --at x.npy --accuracy 1e-6", AGREE),
        ("gradient losses.py:at_a_kink --at 0,1", INCONCLUSIVE),
        ("derivatives losses.py:traced --at x.npy --at 2", AGREE),
        ("derivatives losses.py:cube --at 2", DISAGREE),
        ("derivatives losses.py:cube --at 2 --trust cube", AGREE),
    ],
)
def test_the_exit_code_is_the_verdict(run, arguments, code):
    ended, out, err = run(*arguments.split(), "--json")
    assert ended == code, err
    assert json.loads(out)["verdict"] == {AGREE: "agree", DISAGREE: "disagree", INCONCLUSIVE: "inconclusive"}[code]


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ("gradient losses.py:rihgt --at x.npy", "did you mean 'right'"),
        ("gradient losses.py:right --at y.npy", "y.npy is not an existing file"),
        ("gradient losses.py:right --at pickled.npy", "allow_pickle=False); expected numbers saved by numpy.save"),
        (
            "gradient raises.py:f --at 1",
            "'raises.py': KeyError: 'w' (raises.py, line 2, in <module>: y = {}['w'])",
        ),
        ("gradient unwritten.py:f --at 1", "SyntaxError: invalid syntax (unwritten.py, line 2: def f(:)"),
        ("gradient losses.py:right --at x.npy --max-size 20", "20"),
        ("gradient losses.py:right --at 1,x", "is no .npy or .npz file, no FILE.py:NAME, and no numbers"),
        ("gradient losses.py:right", "Missing option '--at'"),
        ("gradient losses.py:cost --at x.npy", "must answer a tuple (cost, gradient)"),
        ("gradient losses.py:raising --at x.npy", "RuntimeError: not today"),
        *[(f"{command} losses.py:unlucky --at 1", f"harness: KeyError: 'w' ({UNLUCKY})") for command in COMMANDS],
        ("gradient losses.py:right --at 1 --reference losses.py:unlucky", f"harness: KeyError: 'w' ({UNLUCKY})"),
        *[(f"{command} losses.py:leaving --at 1", "sys.exit(0) was called instead of an") for command in COMMANDS],
        ("derivatives losses.py:traced --at x.npy", "missing 1 required positional argument: 'y'"),
        ("derivatives losses.py:traced --at 1,2 --at 1,2,3", "(2,), (3,)"),
        ("derivatives losses.py:cube --at 2 --order 3", "Invalid value for '--order'"),
    ],
)
def test_bad_usage_is_told_in_one_sentence(run, arguments, part):
    code, out, err = run(*arguments.split())
    assert (code, out) == (BAD_INPUT, "")
    assert part in " ".join(err.replace("│", "").split())
    assert "Traceback" not in err
    assert "internal frames" not in err  # as JAX adds to its errors


def test_the_report_is_written_as_a_page(run, tmp_path):
    assert run("gradient", "losses.py:wrong", "--at", "x.npy", "--html", "r.html")[0] == DISAGREE
    page = (tmp_path / "r.html").read_text()
    assert "harness gradient losses.py:wrong" in page
    assert "derivative-differs" in page
