"""Sweeps: every row is its seed's, whatever happens on the way."""

import html
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from concurrent.futures import Executor, Future
from contextlib import nullcontext
from pathlib import Path

import pytest
from programs import environment, run, start
from stored import LIGHT, table

from harness.facts.kinds import Kind
from harness.isolation.process import Process
from harness.sweep import worker_pools
from harness.sweep.resumable_sweep import CHUNK, QUEUED, sweep
from harness.sweep.rows import Settings, SweepRow
from harness.sweep.store import open_to_write
from harness.sweep.worker_pools import Pool, this_machine

PROFILE = os.environ.get("HARNESS_PROFILE", "default")
LIGHTLY = ("--sources", ",".join(LIGHT.sources), "--workers", 2)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    path = tmp_path_factory.mktemp("sweep") / "undisturbed.sqlite"
    assert sweep(path, LIGHT, range(300), this_machine(2)) == 300
    return path


def test_rows_are_those_of_their_seeds_whatever_the_number_of_workers(undisturbed, tmp_path):
    alone = tmp_path / "alone.sqlite"
    sweep(alone, LIGHT, range(100, 200), this_machine(1))
    assert table(alone) == table(undisturbed)[100:200]
    assert [row[0] for row in table(undisturbed)] == list(range(300))
    assert {row[2] for row in table(undisturbed)} == {"agree", "inconclusive"}


def test_the_largest_seed_has_a_row(tmp_path):
    seeds = range(2**63 - 1, 2**63)
    assert sweep(tmp_path / "rows.sqlite", LIGHT, seeds, this_machine(1)) == 1
    assert [row[0] for row in table(tmp_path / "rows.sqlite")] == list(seeds)


def test_a_complete_sweep_starts_no_process(undisturbed):
    calls = []
    assert sweep(undisturbed, LIGHT, range(300), this_machine(2), progress=lambda *call: calls.append(call)) == 0
    assert calls == [("sweep", 300, 300)]
    assert not worker_pools._crews


def test_a_sweep_that_is_killed_over_and_over_ends_with_the_same_table(undisturbed, tmp_path):
    path, rng = tmp_path / "killed.sqlite", random.Random(5)
    command = ("sweep", "--networks", 300, *LIGHTLY, "--out", path)
    kills = 0
    for _ in range(10 if PROFILE == "deep" else 4):
        with start(*command) as process:
            try:
                process.wait(timeout=rng.uniform(0.3, 1.5))
            except subprocess.TimeoutExpired:
                process.kill()
                kills += 1
    assert kills >= 2
    code, _, err = run(*command)
    assert code == 0, err
    assert table(path) == table(undisturbed)
    assert not [file for file in tmp_path.iterdir() if file != path]


def test_a_worker_that_is_killed_loses_no_row(undisturbed, tmp_path):
    killed = []

    def kill(_, done, total):
        if 75 * (len(killed) + 1) < done < total:
            ((_, crew),) = worker_pools._crews.items()
            process = crew.workers[len(killed) % 2]._process  # each at another row
            if process is not None:
                process._child.kill()
                killed.append(process)

    path = tmp_path / "rows.sqlite"
    sweep(path, LIGHT, range(300), this_machine(2), progress=kill)
    assert killed
    assert table(path) == table(undisturbed)


def test_a_process_that_is_being_started_when_the_sweep_ends_is_ended_too(monkeypatch):
    crew, begun = worker_pools._Crew(), []

    class Starting(Process):
        def __init__(self, *how):
            super().__init__(*how)
            begun.append(self._child)
            crew.dismiss()  # which has nothing to interrupt as yet

    monkeypatch.setattr("harness.isolation.worker.Process", Starting)
    with pytest.raises(InterruptedError, match="the sweep is being stopped"):
        crew.make_rows(LIGHT, [0], 60.0)
    (child,) = begun  # and no other one was started
    assert child.returncode is not None


def test_a_process_that_waits_for_work_when_the_sweep_ends_has_ended_with_it():
    crew = worker_pools._Crew()
    crew.make_rows(LIGHT, [0], 60.0)
    process = crew.workers[0]._process
    assert process is not None
    crew.dismiss()
    assert process._child.returncode is not None


MISBEHAVING = """
    import ctypes, os, signal, sys, time
    from harness import SOURCES

    def source(problem, theta):
        cost, gradient = SOURCES["vectorized"](problem, theta)
        if problem.m == 3:
            {what}
        return cost, gradient
"""

MISBEHAVIOUR = {
    "raises": ("raise KeyError('lost')", "error", Kind.CHECK_FAILED, "KeyError: 'lost'; raised by source"),
    "exits at once": ("os._exit(0)", "error", Kind.CHECK_FAILED, "exit code 0"),
    "crashes": ("os.kill(os.getpid(), 11)", "error", Kind.CHECK_FAILED, "SIGSEGV"),
    "hangs for good": (
        "signal.signal(15, signal.SIG_IGN); ctypes.CDLL(None).sleep(1000)",
        "error",
        Kind.CHECK_FAILED,
        "within 2 s",
    ),
    "NaN": ("gradient[-1] = float('nan')", "disagree", Kind.DERIVATIVE_DIFFERS, ""),
}


@pytest.mark.parametrize("name", MISBEHAVIOUR)
def test_a_source_that_misbehaves_has_a_row_that_says_so_and_the_sweep_goes_on(name, tmp_path, monkeypatch):
    what, verdict, kind, words = MISBEHAVIOUR[name]
    (tmp_path / f"mine_{name.replace(' ', '_')}.py").write_text(textwrap.dedent(MISBEHAVING).format(what=what))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    suffix = ".py" if name == "NaN" else ""  # a file of the current folder, where the processes do not work
    spelled = f"mine_{name.replace(' ', '_')}{suffix}:source"
    settings = Settings(sources=("vectorized", "finite-difference", spelled))
    seeds = range(4)
    sweep(tmp_path / "rows.sqlite", settings, seeds, this_machine(2), limit=2.0)
    rows = [SweepRow(*row) for row in table(tmp_path / "rows.sqlite")]
    assert [row.seed for row in rows] == list(seeds)
    hit = [row for row in rows if "m=3," in row.shape]
    assert hit
    for row in hit:
        assert (row.verdict, row.reasons[0].kind) == (verdict, kind), row
        assert words in row.facts
    assert all(row.verdict in ("agree", "inconclusive") for row in rows if row not in hit), rows


class Late(Executor):
    """Does a task only when the sweep waits for it, and counts those that wait."""

    waiting, most = 0, 0

    def submit(self, function, sweep, settings, seeds, limit, **_):  # pyright: ignore[reportIncompatibleMethodOverride]
        self.waiting += 1
        self.most = max(self.most, self.waiting)
        future = Future()

        def finish(timeout=None):
            self.waiting -= 1
            return [SweepRow(seed, "", "agree") for seed in seeds]

        future.result = finish  # pyright: ignore[reportAttributeAccessIssue]
        future.set_result(None)
        return future


def test_memory_stays_flat_since_few_tasks_wait_at_a_time(tmp_path):
    late = Late()
    assert sweep(tmp_path / "rows.sqlite", LIGHT, range(5000), nullcontext(Pool(late, 2, "x"))) == 5000
    assert late.most <= 2 * QUEUED
    assert CHUNK["networks"] * late.most < 200


def test_the_file_of_another_sweep_is_refused_and_the_difference_shown(undisturbed):
    with pytest.raises(ValueError, match=r'must not be mixed \(sources: .*"vectorized".* there, \[\] here'):
        sweep(undisturbed, Settings(), range(10), this_machine(1))
    stamp = LIGHT.in_full() | {"numpy": "1.0"}
    with pytest.raises(ValueError, match=r"numpy: \S+ there, 1.0 here"), open_to_write(undisturbed, stamp):
        pass


def foreign(path):
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE rows (seed INTEGER)")


def damaged(path):
    sweep(path, LIGHT, range(300), this_machine(1))
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


FILES = {
    "no SQLite": (lambda path: path.write_text("seed,verdict\n" * 100), "damaged, or no SQLite file"),
    "foreign": (foreign, "not of a sweep"),
    "truncated": (damaged, "damaged"),
    "a folder": (lambda path: path.mkdir(), "cannot write|unable to open"),
    "a folder that is missing": (lambda path: None, "cannot write"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_something_else_is_refused_and_left_as_it_was(name, tmp_path):
    make, message = FILES[name]
    path = tmp_path / ("missing/rows.sqlite" if "missing" in name else "rows.sqlite")
    make(path)
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises((ValueError, OSError), match=message):
        sweep(path, LIGHT, range(10), this_machine(1))
    assert (path.read_bytes() if path.is_file() else None) == before


def test_a_file_that_somebody_writes_to_is_refused_and_can_be_read(undisturbed):
    with open_to_write(undisturbed, LIGHT.in_full()):
        with pytest.raises(OSError, match="another command is writing to"):
            sweep(undisturbed, LIGHT, range(10), this_machine(1))
        assert len(table(undisturbed)) == 300


def test_damaged_rows_are_told_and_made_again(undisturbed, tmp_path):
    path = tmp_path / "rows.sqlite"
    path.write_bytes(undisturbed.read_bytes())
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE rows SET verdict = 'disagree' WHERE seed IN (3, 10)")
    code, _, err = run("sweep", "--networks", 300, *LIGHTLY, "--out", path)
    assert (code, "seeds 3, 10." in err) == (0, True)
    assert table(path) == table(undisturbed)


def test_a_full_disk_ends_it_with_a_sentence_and_what_was_stored_stays_readable(tmp_path, undisturbed):
    path = tmp_path / "rows.sqlite"
    command = ("sweep", "--networks", 3000, *LIGHTLY, "--out", path)
    limited = ["bash", "-c", 'ulimit -f 200; exec "$@"', "bash", sys.executable, "-m", "harness", *map(str, command)]
    ended = subprocess.run(limited, capture_output=True, text=True, env=environment())
    code, err = ended.returncode, ended.stderr
    assert code == 2
    assert err.startswith(f"harness: cannot use {path} (")
    assert len(err.splitlines()) == 1
    stored, whole = table(path), table(undisturbed)
    assert 0 < len(stored) < 3000
    assert all(row in whole for row in stored if row[0] < 300)
    assert run("sweep", "--networks", 300, *LIGHTLY, "--out", path)[0] == 0
    assert table(path)[:300] == whole


@pytest.mark.parametrize(("signal_", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interruption_ends_the_workers_and_says_how_to_go_on(signal_, code, tmp_path):
    path = tmp_path / "rows.sqlite"
    process = start(
        "sweep", "--networks", 100_000, "--sources", "vectorized,finite-difference", "--workers", 2, "--out", path
    )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (path.exists() and path.stat().st_size and table(path)):
        time.sleep(0.1)
    children = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True).stdout.split()
    process.send_signal(signal_)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert "the same command" in err
    assert len(children) == 2
    assert not any(Path(f"/proc/{child}").exists() for child in children)
    assert table(path)


def test_a_summary_of_a_folder_does_not_advise_to_make_it(tmp_path, monkeypatch):
    (tmp_path / "rows").mkdir()
    monkeypatch.chdir(tmp_path)
    code, _, err = run("sweep", "--summary", "rows")
    assert (code, "file 'rows' is a directory" in err) == (2, True), err


def test_replay_makes_a_row_again_and_the_summary_counts(undisturbed, tmp_path):
    code, out, err = run("replay", undisturbed, "--seed", 7)
    assert code == 0, err
    assert out.startswith("seed 7: ")
    for seed in (7000, 2**70):
        code, _, err = run("replay", undisturbed, "--seed", seed)
        assert (code, f"has no row for seed {seed}" in err) == (2, True)
    page = tmp_path / "page.html"
    code, out, err = run("sweep", "--summary", undisturbed, "--json", "--html", page)
    found = json.loads(out)
    assert (code, found["rows"], found["verdict"], found["counts"]["disagree"]) == (0, 300, "agree", 0)
    assert sum(found["reasons"].values()) >= found["counts"]["inconclusive"] > 0
    assert set(found["reasons"]) <= set(Kind)
    text = page.read_text()
    assert text.startswith("<!doctype html>")
    assert f"{found['counts']['agree']}</td>" in text
    assert all(html.escape(reason) in text for reason in found["reasons"])


def test_a_source_that_took_part_in_no_row_was_not_checked(tmp_path):
    (tmp_path / "mine.py").write_text(
        "from harness import NotApplicable\ndef never(problem, theta):\n    raise NotApplicable('not today')\n"
    )
    path, sources = tmp_path / "rows.sqlite", f"{tmp_path / 'mine.py'}:never,loop,vectorized,jax"
    code, out, err = run("sweep", "--networks", 4, "--out", path, "--workers", 1, "--sources", sources)
    assert (code, "took part in none of the networks" in out) == (3, True), err


def test_without_dask_a_scheduler_is_refused_in_a_sentence(tmp_path, monkeypatch, run_command):
    monkeypatch.setitem(sys.modules, "distributed", None)
    out = tmp_path / "rows.sqlite"
    code, _, err = run_command("sweep", "--gradients", 2, "--out", out, "--scheduler", "tcp://h:1")
    assert (code, err.count("\n"), out.exists()) == (2, 1, False)
    assert "pip install 'autodiff-cross-check[distributed]'" in err
