"""Programs of their own that find this project from any folder, above all the command line."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def environment(**more):
    """The caller's, and where this project is. What has been on the path stays, such as a planted mutant's folder."""
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))} | more


def start_python(*arguments, env=None, **options):
    """A process of Python's, with pipes of text."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, *map(str, arguments)], env=environment(**env or {}), **(pipes | options))


def run_python(*arguments, **options):
    """``(exit code, stdout, stderr)`` of one that ends by itself."""
    with start_python(*arguments, **options) as process:
        try:
            out, err = process.communicate(timeout=120)
        finally:
            process.kill()
    return process.returncode, out, err


def start(*arguments, **options):
    """The command line, started."""
    return start_python("-m", "harness", *arguments, **options)


def run(*arguments, **options):
    """``(exit code, stdout, stderr)`` of the command line."""
    return run_python("-m", "harness", *arguments, **options)
