"""The wheel, installed elsewhere: every command runs without the clone, also where everything is against it."""

import os
import signal
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.grading.submissions import COURSE

pytestmark = pytest.mark.more

ROOT = Path(__file__).parents[2]

# {out} is a folder that can be written to; the current one cannot
QUICK = {
    "--help": 0,
    "check --networks 2 --sources loop,finite-difference,homework.py:source --isolate": 0,
    "explain kink": 0,
    "grade . --csv {out}/grades.csv": 0,
    "sweep --networks 2 --sources loop,finite-difference --out {out}/rows.sqlite": 0,
}
AGAINST_IT = {"PYTHONWARNINGS": "error", "LANG": "C", "LC_ALL": "C", "COLUMNS": "20", "PYTHONOPTIMIZE": "1"}
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}  # BLAS waits long for cores that others use

SOURCE = """

def source(problem, theta):
    from harness import SOURCES
    return SOURCES["vectorized"](problem, theta)
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
    (folder / "work").chmod(0o555)
    return python, folder / "work"


def program(home, *arguments, **more):
    """A command of the wheel, in Python with ``-O`` where warnings are errors, in the C locale, 20 columns wide."""
    python, folder = home
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    kept = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "check": False, "timeout": 600} | more
    return subprocess.run([python, "-P", *arguments], cwd=folder, env=environment | AGAINST_IT | ONE_THREAD, **kept)


@pytest.mark.parametrize("command", QUICK)
def test_every_command_runs_from_elsewhere_with_everything_against_it(command, home, tmp_path):
    ended = program(home, "-m", "harness", *command.format(out=tmp_path).split())
    assert (ended.returncode, "Traceback" in ended.stderr) == (QUICK[command], False), ended.stderr[-2000:]
    assert [file.name for file in home[1].iterdir()] == ["homework.py"]


def test_what_runs_is_the_wheel(home):
    assert "elsewhere" in program(home, "-c", "import harness; print(harness.__file__)").stdout


def test_a_closed_pipe_ends_it_as_it_ends_any_program(home):
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as pipe:
        ended = program(home, "-m", "harness", "bugs", stdout=pipe)
    assert (ended.returncode, ended.stderr) == (-signal.SIGPIPE, "")


OWN = {"{}/__init__.py": "", "{}/own.py": "NUMBER = 3\n"}
USES_OWN = "from {} import own\n\ndef test_own():\n    assert own.NUMBER == 3\n"
USES_FIXTURE = "\ndef test_square(cross_check):\n    cross_check(lambda x: (x @ x, 2 * x), [1.0, 2.0])\n"
PYTEST = ["-P", "-m", "pytest"]  # as the command `pytest`, without the current folder on the path
LAYOUTS = {
    "rootdir/conftest": ({"conftest.py": ""}, "", "test_own.py", PYTEST),
    "python -m pytest": ({}, "", "tests/test_own.py", ["-m", "pytest"]),
    "src": ({"pytest.ini": "[pytest]\npythonpath = src\n"}, "src/", "tests/test_own.py", PYTEST),
    "importlib": ({}, "", "tests/test_own.py", ["-m", "pytest", "--import-mode=importlib"]),
}
"""Files, the folder of the package, the test, and the command."""

OTHER_NAMES = [("rootdir/conftest", "reference"), ("src", "something_else"), ("importlib", "something_else")]


@pytest.mark.parametrize(("layout", "name"), [*((layout, "harness") for layout in LAYOUTS), *OTHER_NAMES])
def test_a_project_with_a_package_of_the_same_name_is_not_disturbed(layout, name, home, tmp_path):
    files, folder, test, command = LAYOUTS[layout]
    package = {folder + path.format(name): text for path, text in OWN.items()}
    for path, text in (files | package | {test: USES_OWN.format(name) + USES_FIXTURE}).items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    environment = {variable: value for variable, value in os.environ.items() if variable != "PYTHONPATH"}
    command = [home[0], *command, "-rf"]
    ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert "test_own.py" in ended.stdout, ended.stderr
    if name == "something_else":
        assert "2 passed" in ended.stdout, ended.stdout
    else:
        assert "1 passed, 1 error" in ended.stdout, ended.stdout
        assert f"`{name}` is {tmp_path}" in ended.stdout.replace("\n", "")
