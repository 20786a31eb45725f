"""Words decide nothing: tests pass as before when facts are not put into words."""

import os
import subprocess
import sys

import pytest
from programs import ROOT

ROOMS = ["tests/verdict", "tests/drop_in", "tests/sweep -k summary -m more", "tests/grading -k diagnos"]
ROOMS += ["tests/doors/test_assertions.py", "tests/doors/test_pytest_plugin.py", "tests/doors/test_suite.py"]


@pytest.mark.more
@pytest.mark.parametrize("room", ROOMS)
def test_without_words_every_test_passes_as_before(room):
    """All rooms: HARNESS_WORDLESS=1 make test."""
    command = [sys.executable, "-m", "pytest", "-q", "-n0", "-m", "not more", "-p", "no:cacheprovider", *room.split()]
    environment = os.environ | {"HARNESS_WORDLESS": "1"}
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout[-3000:]
