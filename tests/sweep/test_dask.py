"""A sweep over a real Dask cluster, started here: a scheduler and two worker processes on loopback."""

import signal
import subprocess
import sys
import time

import pytest
from programs import environment
from stored import LIGHT, table

from harness.sweep import worker_pools
from harness.sweep.resumable_sweep import sweep
from harness.sweep.worker_pools import dask_cluster, this_machine

pytestmark = pytest.mark.more

pytest.importorskip("distributed", reason="Dask is not installed: pip install 'autodiff-cross-check[distributed]'")

SEEDS = range(400)


class Cluster:
    def __init__(self, folder):
        self.folder = folder
        file = folder / "scheduler.json"
        self.scheduler = self.start("scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", file)
        options = ("--scheduler-file", file, "--nthreads", "1", "--host", "127.0.0.1", "--local-directory", folder)
        self.workers = [self.start("worker", *options, "--no-nanny") for _ in range(2)]
        deadline = time.monotonic() + 60
        while not file.exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        from distributed import Client

        with Client(scheduler_file=str(file), set_as_default=False) as client:
            client.wait_for_workers(2, timeout=60)
            assert client.scheduler is not None
            self.address = client.scheduler.address

    def start(self, *command):
        log = (self.folder / f"{command[0]}.log").open("ab")
        with log:
            return subprocess.Popen(
                [sys.executable, "-m", "distributed.cli.dask_" + command[0], *map(str, command[1:]), "--no-dashboard"],
                stdout=log,
                stderr=log,
                env=environment(PYTHONWARNINGS="ignore"),
                cwd=self.folder,
            )

    def end(self):
        for process in (*self.workers, self.scheduler):
            process.kill()
            process.wait()


@pytest.fixture
def cluster(tmp_path):
    running = Cluster(tmp_path)
    yield running
    running.end()


def at(share, what):
    """A progress that does something once that much is done."""
    done_already = []

    def progress(_, done, total):
        if done >= share * total and not done_already:
            done_already.append(True)
            what()

    return progress


def test_a_sweep_survives_the_death_of_a_worker_and_of_the_scheduler(cluster, tmp_path, monkeypatch):
    """A dead worker changes no row; a dead scheduler is told in a sentence, and the sweep goes on elsewhere."""
    undisturbed, first, second = (tmp_path / f"{name}.sqlite" for name in ("undisturbed", "first", "second"))
    sweep(undisturbed, LIGHT, SEEDS, this_machine(2))
    kill = at(0.3, lambda: cluster.workers[0].send_signal(signal.SIGKILL))
    assert sweep(first, LIGHT, SEEDS, dask_cluster(cluster.address), progress=kill) == len(SEEDS)
    assert table(first) == table(undisturbed)
    kill = at(0.3, lambda: cluster.scheduler.send_signal(signal.SIGKILL))
    with pytest.raises(OSError, match=r"the Dask scheduler at tcp://.* is gone; once there is one, the same command"):
        sweep(second, LIGHT, SEEDS, dask_cluster(cluster.address), progress=kill)
    assert 0 < len(table(second)) < len(SEEDS)
    monkeypatch.setattr(worker_pools, "CONNECT", 0.5)
    with pytest.raises(OSError, match="no Dask scheduler answers at"):
        sweep(second, LIGHT, SEEDS, dask_cluster(cluster.address))
    sweep(second, LIGHT, SEEDS, this_machine(2))
    assert table(second) == table(undisturbed)
