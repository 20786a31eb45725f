"""A training that is broken off anywhere and goes on from its checkpoint is, to the last bit, one that was not."""

import json
import signal
import time

import numpy as np
import pytest
from programs import run, start
from scipy.optimize import rosen, rosen_der

from harness import SOURCES, Network, Problem, fmincg, train
from harness.training.checkpoint import Checkpoint


def rosenbrock(x):
    return rosen(x), rosen_der(x)


def absolute(x):
    """Not smooth where it is least, so that line searches fail and start anew."""
    return float(np.abs(x).sum()), np.sign(x)


def with_a_cliff(x):
    """Infinite beyond 1.3, where searches that go too far must turn back."""
    return (np.inf, x) if x.max() > 1.3 else rosenbrock(x)


FUNCTIONS = {
    "rosenbrock": (rosenbrock, np.array([-1.2, 1.0, 0.7, -0.3])),
    "not smooth": (absolute, np.array([0.7, -0.4, 1.9])),
    "cliff": (with_a_cliff, np.array([-1.2, 1.0])),
    "converges": (lambda x: (float(x @ x), 2.0 * x), np.array([3.0, 4.0])),
}


def same(one, other):
    for name in ("x", "fun", "jac", "costs", "nit", "nfev", "status", "message"):
        assert np.array_equal(one[name], other[name]), name


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_descent_goes_on_from_any_line_search_as_if_it_had_never_stopped(name):
    fun, x0 = FUNCTIONS[name]
    states = []
    whole = fmincg(fun, x0, 40, lambda step: states.append(step.state))
    assert len(states) == whole.nit
    for state in [*states, whole.state]:
        kept = {part: np.array(value) for part, value in state.items()}  # as a file would keep it
        same(fmincg(fun, x0, 40, state=kept), whole)


def test_a_state_of_another_problem_is_refused():
    state = fmincg(rosenbrock, np.array([-1.2, 1.0]), 3).state
    with pytest.raises(ValueError, match="state must be that of a run with 3 variables"):
        fmincg(rosenbrock, np.zeros(3), 5, state=state)
    with pytest.raises(ValueError, match="a dict of x, cost"):
        fmincg(rosenbrock, np.zeros(2), 5, state={"x": np.zeros(2)})


@pytest.fixture
def problem():
    rng = np.random.default_rng(4)
    return Problem(Network([3, 5, 2]), rng.normal(size=(20, 3)), rng.integers(2, size=20), 0.1)


class Broken(Exception):
    """Stands for whatever ends a program."""


@pytest.mark.parametrize("after", [1, 2, 5, 7, 11])
def test_a_training_goes_on_from_its_file(problem, after, tmp_path):
    theta = problem.network.init(1)
    calls = []

    def source(problem, theta):
        return SOURCES["vectorized"](problem, theta)

    def breaks(step):
        calls.append(step.nit)
        if step.nit == after:
            raise Broken

    whole = train(problem, theta, 12, source, False)
    with pytest.raises(Broken):
        train(problem, theta, 12, source, False, breaks, checkpoint=Checkpoint(tmp_path / "state", every=2))
    resumed = train(problem, theta, 12, source, False, checkpoint=Checkpoint(tmp_path / "state", every=2))
    assert np.array_equal(resumed.theta, whole.theta)
    assert np.array_equal(resumed.costs, whole.costs)
    assert (resumed.nit, resumed.nfev) == (whole.nit, whole.nfev)


def test_more_line_searches_go_on_from_the_end(problem, tmp_path):
    theta = problem.network.init(1)
    train(problem, theta, 6, gate=False, checkpoint=Checkpoint(tmp_path / "state"))
    longer = train(problem, theta, 12, gate=False, checkpoint=Checkpoint(tmp_path / "state"))
    assert np.array_equal(longer.theta, train(problem, theta, 12, gate=False).theta)


def test_a_file_of_another_training_is_refused_with_the_difference(problem, tmp_path):
    theta, path = problem.network.init(1), tmp_path / "state"
    train(problem, theta, 3, gate=False, checkpoint=Checkpoint(path))
    other = Problem(problem.network, problem.X, problem.Y, 0.2)
    with pytest.raises(ValueError, match=r"of another training \(l2: 0.1 there, 0.2 here\)"):
        train(other, theta, 6, checkpoint=Checkpoint(path))
    with pytest.raises(ValueError, match="initial theta"):
        train(problem, theta + 1.0, 6, checkpoint=Checkpoint(path))
    with pytest.raises(ValueError, match="source"):
        train(problem, theta, 6, "loop", checkpoint=Checkpoint(path))


def without_a_stamp(path):
    with path.open("wb") as file:
        np.savez(file, x=np.zeros(3))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_text("not a checkpoint"),
        lambda path: path.write_bytes(path.read_bytes()[:-200]),
        without_a_stamp,
    ],
)
def test_a_damaged_file_is_refused(problem, spoil, tmp_path):
    theta, path = problem.network.init(1), tmp_path / "state"
    train(problem, theta, 3, gate=False, checkpoint=Checkpoint(path))
    spoil(path)
    with pytest.raises(ValueError, match=r"damaged, or no checkpoint of harness train; choose another file$"):
        train(problem, theta, 6, gate=False, checkpoint=Checkpoint(path))


def test_a_killed_command_goes_on_to_the_same_files(tmp_path):
    """Curves and accuracies, too: they are kept with the state."""
    few = ("--hidden", "4", "--max-iter", "12", "--no-gate", "--json")
    code, whole, err = run("train", *few, "--out", "whole", cwd=tmp_path)
    assert code == 0, err
    options = (*few, "--out", "killed", "--checkpoint", "state")
    with start("train", *options, cwd=tmp_path) as process:
        deadline = time.monotonic() + 60
        while not (tmp_path / "state").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    code, _, err = run("train", *options, cwd=tmp_path)
    assert (code, err.count("\n")) == (2, 1)
    assert "already; go on from it with --resume" in err
    code, resumed, err = run("train", *options, "--resume", cwd=tmp_path)
    assert code == 0, err
    results = [json.loads(text) | {"files": 0} for text in (whole, resumed)]
    assert results[0] == results[1]
    for name in ("theta.npz", "hidden_units.png", "confusion.png"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "killed" / name).read_bytes(), name
    assert {file.name for file in tmp_path.iterdir()} == {"whole", "killed", "state"}


def test_a_folder_or_checkpoint_that_another_command_writes_to_is_refused(tmp_path):
    from harness.files import exclusive_lock

    (tmp_path / "out").mkdir()
    with exclusive_lock(tmp_path / "out"), exclusive_lock(tmp_path / ".state.lock"):
        for options in (("--out", "out"), ("--checkpoint", "state")):
            code, out, err = run("train", "--max-iter", "1", "--no-gate", *options, cwd=tmp_path)
            assert (code, out) == (2, "")
            assert "another command is writing to" in err
