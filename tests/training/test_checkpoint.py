"""A training that is interrupted anywhere and continues from its checkpoint is, to the last bit, one that was not."""

import json
import signal
import time

import numpy as np
import pytest
from programs import run
from programs import start as start_program
from scipy.optimize import rosen, rosen_der

from harness import Network, Problem, fmincg, train
from harness.digits.mat_files import npz_bytes
from harness.files import exclusive_lock
from harness.training.checkpoint import Checkpoint


def rosenbrock(x):
    return rosen(x), rosen_der(x)


FUNCTIONS = {
    "rosenbrock": (rosenbrock, np.array([-1.2, 1.0, 0.7, -0.3])),
    # not smooth where it is least, so that line searches fail and start anew
    "not smooth": (lambda x: (float(np.abs(x).sum()), np.sign(x)), np.array([0.7, -0.4, 1.9])),
    # infinite beyond 1.3, where searches that go too far must turn back
    "cliff": (lambda x: (np.inf, x) if x.max() > 1.3 else rosenbrock(x), np.array([-1.2, 1.0])),
    "converges": (lambda x: (float(x @ x), 2.0 * x), np.array([3.0, 4.0])),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_descent_continues_from_any_line_search_as_if_it_had_never_stopped(name):
    fun, x0 = FUNCTIONS[name]
    states = []
    whole = fmincg(fun, x0, 40, lambda step: states.append(step.state))
    assert len(states) == whole.nit
    for state in [*states, whole.state]:
        kept = {part: np.array(value) for part, value in state.items()}  # as a file would keep it
        resumed = fmincg(fun, x0, 40, state=kept)
        for part in ("x", "fun", "jac", "costs", "nit", "nfev", "status", "message"):
            assert np.array_equal(resumed[part], whole[part]), part


@pytest.mark.parametrize("state", [None, {"x": np.zeros(3)}])
def test_a_state_of_another_problem_is_refused(state):
    state = state or fmincg(rosenbrock, np.array([-1.2, 1.0]), 3).state
    with pytest.raises(ValueError, match="state must be that of a run with 3 variables: a dict of x, gradient"):
        fmincg(rosenbrock, np.zeros(3), 5, state=state)


@pytest.fixture
def problem():
    rng = np.random.default_rng(4)
    return Problem(Network([3, 5, 2]), rng.normal(size=(20, 3)), rng.integers(2, size=20), 0.1)


class Broken(Exception):
    """Stands for any end of a program."""


@pytest.mark.parametrize("after", [1, 2, 7, 11])
def test_a_training_continues_from_its_file(problem, after, tmp_path):
    theta = problem.network.init(1)

    def breaks(step):
        if step.nit == after:
            raise Broken

    def trained(callback=None, checkpoint=None):
        return train(problem, theta, 12, "vectorized", False, callback, checkpoint)

    whole = trained()
    with pytest.raises(Broken):
        trained(breaks, Checkpoint(tmp_path / "state", every=2))
    resumed = trained(checkpoint=Checkpoint(tmp_path / "state", every=2))
    assert np.array_equal(resumed.theta, whole.theta)
    assert np.array_equal(resumed.costs, whole.costs)
    assert (resumed.nit, resumed.nfev) == (whole.nit, whole.nfev)


def test_more_line_searches_continue_from_the_end(problem, tmp_path):
    theta = problem.network.init(1)
    train(problem, theta, 6, gate=False, checkpoint=Checkpoint(tmp_path / "state"))
    longer = train(problem, theta, 12, gate=False, checkpoint=Checkpoint(tmp_path / "state"))
    assert np.array_equal(longer.theta, train(problem, theta, 12, gate=False).theta)


def _change(path, name, change):
    """Change an array of a checkpoint, whose archive stays whole."""
    with np.load(path) as arrays:
        found = dict(arrays)
    with path.open("wb") as file:
        np.savez(file, **(found | {name: change(found[name])}))


@pytest.fixture
def saved(problem, tmp_path):
    """The file of a training, and its θ."""
    theta, path = problem.network.init(1), tmp_path / "state"
    train(problem, theta, 3, gate=False, checkpoint=Checkpoint(path))
    return path, theta


def test_a_file_of_another_training_is_refused_with_the_difference(problem, saved):
    path, theta = saved
    other = Problem(problem.network, problem.X, problem.Y, 0.2)
    for which, start, source, difference in (
        (other, theta, "vectorized", r"of another training \(l2: 0.1 there, 0.2 here\)"),
        (problem, theta + 1.0, "vectorized", "initial theta"),
        (problem, theta, "loop", "source"),
    ):
        with pytest.raises(ValueError, match=difference):
            train(which, start, 6, source, checkpoint=Checkpoint(path))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[:-200]),
        lambda path: path.write_bytes(npz_bytes(Network([3, 2]), np.zeros(8))),
        lambda path: _change(path, "x", lambda x: x + 1.0),
        lambda path: _change(path, "trace", lambda trace: np.ones((1, 2))),
        lambda path: _change(path, "seal", lambda seal: np.array(seal.item().replace(b'"source"', b'"sourcf"'))),
        lambda path: _change(path, "seal", lambda seal: np.array(3)),
    ],
)
def test_a_damaged_file_is_refused(problem, saved, spoil):
    path, theta = saved
    spoil(path)
    with pytest.raises(ValueError, match=r"state is (damaged|no file of).*; choose another file$"):
        train(problem, theta, 6, gate=False, checkpoint=Checkpoint(path))


@pytest.mark.more
def test_a_killed_command_continues_to_the_same_files(tmp_path):
    """Curves and accuracies, too: they are kept with the state."""
    few = ("--hidden", "4", "--max-iter", "12", "--no-gate", "--json")
    code, whole, err = run("train", *few, "--out", "whole", cwd=tmp_path)
    assert code == 0, err
    options = (*few, "--out", "killed", "--checkpoint", "state")
    with start_program("train", *options, cwd=tmp_path) as process:
        deadline = time.monotonic() + 60
        while not (tmp_path / "state").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    code, _, err = run("train", *options, cwd=tmp_path)
    assert (code, err.count("\n")) == (2, 1)
    assert "--resume" in err
    code, resumed, err = run("train", *options, "--resume", cwd=tmp_path)
    assert code == 0, err
    results = [json.loads(text) | {"files": 0} for text in (whole, resumed)]
    assert results[0] == results[1]
    for name in ("theta.npz", "hidden_units.png", "confusion.png"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "killed" / name).read_bytes(), name
    assert {file.name for file in tmp_path.iterdir()} == {"whole", "killed", "state"}


@pytest.mark.more
def test_a_folder_or_checkpoint_that_another_command_writes_to_is_refused(tmp_path):
    (tmp_path / "out").mkdir()
    with exclusive_lock(tmp_path / "out"), exclusive_lock(tmp_path / "state"):
        for options in (("--out", "out"), ("--checkpoint", "state")):
            code, out, err = run("train", "--max-iter", "1", "--no-gate", *options, cwd=tmp_path)
            assert (code, out) == (2, "")
            assert "another command is writing to" in err
