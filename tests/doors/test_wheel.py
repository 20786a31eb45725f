"""The wheel, installed elsewhere: every command runs from an empty folder, without the clone."""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.grading.submissions import COURSE

ROOT = Path(__file__).parents[2]
DEEP = os.environ.get("HARNESS_PROFILE") == "deep"
pytestmark = pytest.mark.skipif(not DEEP, reason="HARNESS_PROFILE=deep builds the wheel, and runs every command of it")

COMMANDS = {
    "--help": 0,
    "check --networks 2": 0,
    "check --networks 2 --sources loop,vectorized,homework.py:source --isolate": 0,
    "run --networks 2 --out run": 0,
    "train --max-iter 1 --out trained": 0,
    "bugs": 0,
    "bugs wrong-sign": 1,
    "replay failing-case.json": 2,  # there is none
    "study --quick --networks 2": 0,
    "lesson --quick --out lesson": 0,
    "diagnose homework.py:nn_cost_function --problems 3": 0,
    "grade . --csv grades.csv": 0,
    "sweep --networks 2 --out rows.sqlite": 0,
    "replay rows.sqlite --seed 0": 0,
    "audit --library jax --only sinc": 0,
    "ex4 --weights nowhere.mat": 2,
}

SOURCE = """

def source(problem, theta):
    from harness import SOURCES
    return SOURCES["jax"](problem, theta)
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """An empty folder, and beside it an environment with the wheel and no clone on its path."""
    folder = tmp_path_factory.mktemp("elsewhere")

    def ran(*command):
        ended = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
        assert ended.returncode == 0, ended.stderr

    build = "import hatchling.build as b, sys; print(b.build_wheel(sys.argv[1]))"
    made = subprocess.run(
        [sys.executable, "-c", build, str(folder)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert made.returncode == 0, made.stderr
    ran(sys.executable, "-m", "venv", "--without-pip", "venv")
    python = folder / "venv" / "bin" / "python"
    (site,) = (folder / "venv" / "lib").glob("*/site-packages")
    ran(sys.executable, "-m", "zipfile", "-e", str(folder / made.stdout.split()[-1]), str(site))
    (site / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"])
    (folder / "work").mkdir()
    (folder / "work" / "homework.py").write_text(COURSE + SOURCE)
    return python, folder / "work"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_runs_from_elsewhere(command, home):
    python, folder = home
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    ended = subprocess.run(
        [python, "-P", "-m", "harness", *command.split()],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert (ended.returncode, "Traceback" in ended.stderr) == (COMMANDS[command], False), ended.stderr[-2000:]


def test_what_runs_is_the_wheel(home):
    python, folder = home
    where = subprocess.run(
        [python, "-P", "-c", "import harness; print(harness.__file__)"],
        cwd=folder,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "elsewhere" in where.stdout
