"""Code in a process of its own: what comes back, and why nothing does."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from harness.isolation import Sandbox, Worker
from harness.isolation.limits import require_sandbox

HOMEWORK = """
import ctypes, os, subprocess, sys, tempfile, time
import numpy as np

calls = []

def loss(problem, theta):
    print("in loss")
    print("careful", file=sys.stderr)
    cost = 0.5 * float(theta @ theta) + problem.l2
    return cost, theta * problem.m

def count():
    calls.append(1)
    return len(calls)

def loops():
    while True: pass

def sleeps():
    program = f"import os, time; open({MARK!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    subprocess.Popen([sys.executable, "-c", program])
    while not os.path.exists(MARK): time.sleep(0.01)
    time.sleep(60)

MARK = tempfile.gettempdir() + "/started"

def chatters():
    while True: print("again" * 1000)

def divides(): return 1 / 0

def recurses(): return recurses()

def crashes(): ctypes.string_at(0)

def is_killed(): os.kill(os.getpid(), 9)

def leaves(): sys.exit(0)

def is_gone(): os._exit(0)

def fills(): return np.ones(2**40)

def answers_too_much(): return np.broadcast_to(0.0, 2**31)

def goes_round(): loop = []; loop.append(loop); return loop

def closes(): os.closerange(3, 64); time.sleep(60)

def forges(): [os.write(fd, b"\\0" * 7 + b"\\2" + b"\\0" * 8 + b"17") for fd in range(3, 32) if is_pipe(fd)]

def is_pipe(fd):
    try: return os.write(fd, b"") == 0
    except OSError: return False

def forks():
    os.fork()
    return 7

def where(): return [os.getcwd(), os.environ["HOME"], tempfile.gettempdir(), os.listdir()]

def changes(theta, matrices, sizes, name):
    theta[1] = 7.0
    matrices[1] *= 2.0
    return "done"

class Net:
    def loss(theta): return theta[0]
"""


def line(function):
    """Where a function that is written in one line stands, or the loop below it."""
    number, text = next(
        (i, text) for i, text in enumerate(HOMEWORK.splitlines(), start=1) if text.startswith(f"def {function}(")
    )
    return number + text.endswith(":")


@pytest.fixture(scope="module")
def homework(tmp_path_factory):
    file = tmp_path_factory.mktemp("homework") / "random.py"  # a name that the standard library has, too
    file.write_text(HOMEWORK)
    return file


@pytest.fixture(scope="module")
def worker(homework):
    with Worker(homework, timeout=20.0, memory=2**31) as worker:
        yield worker


def test_what_a_function_answers_comes_back_and_what_it_prints_apart(worker):
    from harness import Network, Problem

    network = Network((2, 3, 2), "relu")
    problem, theta = Problem(network, np.ones((4, 2)), [0, 1, 1, 0], 3.0), network.init(0)
    outcome = worker.call("loss", problem, theta)
    assert outcome.kind == "answered"
    cost, gradient = outcome.value
    assert cost == 0.5 * float(theta @ theta) + 3.0
    np.testing.assert_array_equal(gradient, 4 * theta)
    assert (outcome.stdout, outcome.stderr) == ("in loss\n", "careful\n")


def test_arguments_that_were_changed_in_place_come_back_as_they_were_left(worker):
    theta, matrices = np.zeros(3), [np.ones((2, 2)), np.ones((1, 2)), np.full(2, np.nan)]
    outcome = worker.call("changes", theta, matrices, np.arange(3), "name")
    assert outcome.value == "done"
    assert list(outcome.changed) == [0, 1]
    assert outcome.changed[0].tolist() == [0.0, 7.0, 0.0]
    assert outcome.changed[1][1].tolist() == [[2.0, 2.0]]
    assert theta.tolist() == [0.0, 0.0, 0.0]  # which is the caller's own
    assert worker.call("count").changed == {}


def test_a_file_tells_what_it_defines_and_attributes_of_classes_are_called(worker):
    names = worker.load().value
    assert names[:3] == ["loss", "count", "loops"]
    assert names[-1] == "Net"
    assert worker.call("Net.loss", np.array([2.5])).value == 2.5


@pytest.mark.parametrize(
    ("function", "kind", "why"),
    [
        (
            "divides",
            "raised",
            f"raised ZeroDivisionError: division by zero (random.py, line {line('divides')}, in divides: def ",
        ),
        (
            "recurses",
            "raised",
            f"raised RecursionError: maximum recursion depth exceeded (random.py, line {line('recurses')}, in re",
        ),
        ("fills", "raised", "Unable to allocate 8.00 TiB"),
        ("answers_too_much", "raised", "and 17,179,869,184 bytes of arrays; at most"),
        ("goes_round", "raised", "raised RecursionError"),
        ("is_nowhere", "raised", "raised AttributeError: module 'file_random' has no attribute 'is_nowhere'"),
        (
            "leaves",
            "exited",
            f"called sys.exit(0) instead of answering (random.py, line {line('leaves')}, in leaves: def ",
        ),
        ("is_gone", "exited", "ended its process with exit code 0 instead of answering"),
        ("crashes", "died", f"was ended by the signal SIGSEGV (random.py, line {line('crashes')}, in crashes: def "),
        ("is_killed", "died", "was ended by the signal SIGKILL"),
        ("forges", "died", "gave an answer that cannot be read (it is not an outcome)"),
        ("closes", "died", ""),  # its own thread that reads requests may end it before the closed pipe is seen
    ],
)
def test_why_nothing_comes_back(worker, function, kind, why):
    outcome = worker.call(function)
    assert (outcome.kind, outcome.value) == (kind, None)
    assert why in outcome.why
    assert worker.call("Net.loss", [1]).value == 1  # in a new process, where need be


@pytest.mark.parametrize("function", ["loops", "chatters"])
def test_who_does_not_answer_in_time_is_ended_and_the_line_told(homework, function):
    started = time.monotonic()
    with Worker(homework, timeout=0.3) as worker:
        outcome = worker.call(function)
    assert outcome.kind == "timed out"
    assert f"did not answer within 0.3 s (random.py, line {line(function)}, in {function}: " in outcome.why
    assert len(outcome.stdout) <= 2**16
    assert time.monotonic() - started < 20.0


def test_the_line_told_is_that_of_the_file_as_it_is_now(tmp_path):
    file = tmp_path / "edited.py"
    for line in ("while True: pass", "while 1 < 2: pass"):
        file.write_text(f"def loops():\n    {line}\n")
        with Worker(file, timeout=0.3) as worker:
            place = worker.call("loops").place
        assert place is not None
        assert place.text == line


def test_state_lasts_as_long_as_the_process(homework):
    with Worker(homework) as worker:
        assert [worker.call("count").value for _ in range(3)] == [1, 2, 3]
        worker.call("is_gone")
        assert worker.call("count").value == 1
    assert worker.call("count").value == 1
    worker.close()


def test_a_fork_of_the_users_answers_nothing(homework):
    with Worker(homework) as worker:
        assert [worker.call("forks").value, worker.call("count").value, worker.call("count").value] == [7, 1, 2]


def test_it_works_in_an_empty_folder_of_its_own_that_goes_with_it(homework):
    with Worker(homework) as worker:
        folder, home, temporary, files = worker.call("where").value
        assert (home, temporary, files) == (folder, folder, [])
        assert Path(folder) != Path.cwd()
    assert not Path(folder).exists()
    assert [file.name for file in homework.parent.iterdir()] == ["random.py"]  # and nothing beside the file


def is_running(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state not in "XZ"


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="who is running is read from /proc")
def test_what_it_started_ends_with_it(homework, tmp_path):
    program = (
        "import sys, threading, time\n"
        "from harness.isolation import Worker\n"
        "worker = Worker(sys.argv[1], timeout=60.0)\n"
        "print(worker.call('where').value[0], flush=True)\n"
        "worker.call('sleeps')\n"
    )
    command = [sys.executable, "-c", program, str(homework)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        mark = Path(parent.stdout.readline().strip()) / "started"
        until(lambda: mark.exists() and mark.read_text())
        grandchild = int(mark.read_text())
        assert is_running(grandchild)
        os.kill(parent.pid, signal.SIGKILL)  # nobody is left who could end the child
    until(lambda: not is_running(grandchild))


def until(condition, seconds=20.0):
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("def f(:", "raised SyntaxError: invalid syntax (mine ä.py, line 1: def f(:)"),
        ("\n1 / 0", "raised ZeroDivisionError: division by zero (mine ä.py, line 2: 1 / 0)"),
        ("raise SystemExit", "called sys.exit(None) instead of answering"),
        ("\nwhile True: pass", "did not answer within 0.5 s (mine ä.py, line 2: while True: pass)"),
    ],
)
def test_a_file_that_cannot_be_run_is_the_outcome_of_every_call(tmp_path, content, why):
    (tmp_path / "mine ä.py").write_text(content, encoding="utf-8")
    with Worker(tmp_path / "mine ä.py", timeout=0.5) as worker:
        assert why in worker.call("f").why
        started = time.monotonic()
        assert why in worker.call("f").why
        assert time.monotonic() - started < 0.4  # it is not tried again


def test_a_file_finds_what_lies_beside_it_and_modules_are_called_by_name(tmp_path):
    (tmp_path / "mine.py").write_text("from helper import one\ndef f(): return one")
    (tmp_path / "helper.py").write_text("one = 1")
    with Worker(tmp_path / "mine.py") as worker:
        assert worker.call("f").value == 1
    with Worker("math") as worker:
        assert worker.call("hypot", 3.0, 4.0).value == 5.0


def test_what_is_needed_first_is_done_first():
    with Worker("os", prepare=[("os:putenv", ("A", "B")), ("os:environ.update", ({"GREETING": "hello"},))]) as worker:
        assert worker.call("environ.get", "GREETING").value == "hello"
    with Worker("os", prepare=[("os:nowhere", ())]) as worker:
        assert worker.call("getpid").why == "raised ValueError: module 'os' has no attribute 'nowhere'"


@pytest.mark.parametrize("timeout", [0.0, -1.0, float("nan"), float("inf"), "1", None])
def test_a_time_limit_is_a_number_of_seconds(timeout):
    with pytest.raises(ValueError, match="timeout must be a number of seconds above zero, not "):
        Worker("os", timeout=timeout)


@pytest.mark.parametrize("memory", [0, 100, 1.5])
def test_a_memory_limit_leaves_room_for_python(memory):
    with pytest.raises((ValueError, TypeError), match="memory must be"):
        Worker("os", memory=memory)


def test_a_child_that_left_the_session_ends_as_well(tmp_path):
    (tmp_path / "a.py").write_text(
        "import subprocess\ndef f(): return subprocess.Popen(['sleep', '600'], start_new_session=True).pid\n"
    )
    with Worker(tmp_path / "a.py") as worker:
        pid = worker.call("f").value
    until(lambda: not is_running(pid))


@pytest.fixture
def sandbox():
    try:
        require_sandbox()
    except OSError as error:
        pytest.skip(str(error))


@pytest.mark.usefixtures("sandbox")
def test_a_sandbox_has_no_network_no_neighbours_and_files_of_its_own_alone(tmp_path):
    for name in ("own", "class"):
        (tmp_path / name).mkdir()
    (tmp_path / "class" / "neighbour.py").write_text("")
    (tmp_path / "own" / "a.py").write_text(
        "import os, socket\n"
        "def listed(folder): return os.listdir(folder)\n"
        "def write(path):\n with open(path, 'w') as file: file.write('x')\n"
        "def connect(): socket.create_connection(('192.0.2.1', 9), 1)\n"
    )
    walls = Sandbox((str(tmp_path / "own"),), (str(tmp_path / "class"),))
    with Worker(tmp_path / "own" / "a.py", sandbox=walls) as worker:
        assert worker.call("listed", str(tmp_path / "class")).value == []
        assert worker.call("write", str(tmp_path / "own" / "x")).kind == "answered"
        assert worker.call("write", "x").kind == "answered"  # in the folder that it works in
        assert "Read-only" in worker.call("write", str(tmp_path / "x")).what
        assert "unreachable" in worker.call("connect").what


@pytest.mark.parametrize(
    ("command", "missing"), [("", "lacks the command unshare"), ("unshare", "not permitted"), ("--user", "lacks")]
)
def test_a_machine_without_a_sandbox_says_what_is_missing(command, missing, monkeypatch, tmp_path):
    if command:
        (tmp_path / command).write_text("#!/bin/sh\necho not permitted >&2\nexit 1\n")
        (tmp_path / command).chmod(0o755)
    require_sandbox.cache_clear()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(OSError, match=missing):
        require_sandbox()
    require_sandbox.cache_clear()


def test_a_call_is_ended_after_its_cpu_time_and_one_that_sleeps_later(tmp_path):
    (tmp_path / "a.py").write_text("import time\ndef busy():\n while True: pass\ndef wait(): time.sleep(0.4)\n")
    with Worker(tmp_path / "a.py", timeout=0.2) as worker:
        assert worker.call("wait").kind == "answered"
        assert worker.call("busy").kind == "timed out"
