"""What the harness answers to some thousands of questions, recorded; and two recordings, compared.

    python -m tests.behaviour record FILE.json [--only GROUP ...] [--part I/N]
    python -m tests.behaviour compare OLD.json NEW.json [--tolerance R] [--ignore FIELD ...]

A recording holds verdicts, names, places and numbers, and no sentence: wording may change where behaviour does not.
Every question is seeded, and nothing that is recorded depends on the time. In the place of a file, `compare` takes a
folder with the parts of a recording.
"""

import argparse
import json
import math
import os
import random
import resource
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

TOLERANCE = 1e-9
"""Relative. Moved code computes the same bits; another order of a sum moves the last few of sixteen digits, and by
cancellation some more; a changed formula, step or bound moves far more than the ninth."""

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1") | {
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
}
"""More threads than one may change the order of a sum."""


def record(file: Path, only: list[str], part: tuple[int, int]) -> None:
    """Ask the questions of some groups, every N-th from the I-th on, and write what is answered to a file."""
    import pytest

    from tests.behaviour_questions import GROUPS

    found: dict[str, Any] = {}
    for group in only or GROUPS:
        before, spent = len(found), _cpu_seconds()
        for asking in GROUPS[group]:
            try:
                questions = list(asking())
            except (Exception, pytest.skip.Exception) as error:  # noqa: BLE001  the other groups go on
                traceback.print_exc()
                found[f"{group}/{asking.__name__}"] = {"cannot be asked": type(error).__name__}
                continue
            for key, ask in questions[part[0] - 1 :: part[1]]:
                if f"{group}/{key}" in found:
                    raise ValueError(f"two questions are called {group}/{key}")
                found[f"{group}/{key}"] = _answer(ask)
        print(f"{group}: {len(found) - before} subjects, {_cpu_seconds() - spent:.0f} CPU seconds", flush=True)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(found, indent=0, ensure_ascii=False), encoding="utf-8")


def _answer(ask: Callable[[], Any]) -> Any:
    import numpy as np

    from tests.behaviour_answers import quietly, recorded

    random.seed(0)
    np.random.seed(0)  # noqa: NPY002  whoever draws from it, such as a peer
    try:
        with quietly():
            return recorded(ask())
    except Exception as error:  # noqa: BLE001  what a check raises is its answer
        return {"raised": type(error).__name__}


def _cpu_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def differences(old: Any, new: Any, tolerance: float, field: str = "") -> Iterator[tuple[str, Any, Any]]:
    """The fields in which two records differ, with what either has there."""
    if isinstance(old, list) and isinstance(new, list):
        old, new = dict(enumerate(old)), dict(enumerate(new))
    if isinstance(old, dict) and isinstance(new, dict):
        for name in dict.fromkeys((*old, *new)):
            if name == "kinds" and not (name in old and name in new):
                continue  # recorded before reports had facts
            yield from differences(old.get(name, "(none)"), new.get(name, "(none)"), tolerance, f"{field}.{name}")
    elif not _same(old, new, tolerance):
        yield field.lstrip(".") or "(all)", old, new


def _same(old: Any, new: Any, tolerance: float) -> bool:
    if any(isinstance(value, (bool, str, type(None), list, dict)) for value in (old, new)):
        return type(old) is type(new) and old == new
    return (math.isnan(old) and math.isnan(new)) or math.isclose(old, new, rel_tol=tolerance)


def _load(path: Path) -> dict[str, Any]:
    files = sorted(path.glob("*.json")) if path.is_dir() else [path]
    return {key: answer for file in files for key, answer in json.loads(file.read_text(encoding="utf-8")).items()}


def compare(old: dict[str, Any], new: dict[str, Any], tolerance: float, ignored: list[str]) -> int:
    """Print every difference between two recordings, and their number; answer the number."""
    count = 0
    for key in dict.fromkeys((*old, *new)):
        there = [name for name, records in (("OLD", old), ("NEW", new)) if key in records]
        found = [("(all)", *("there" if name in there else "missing" for name in ("OLD", "NEW")))]
        if len(there) == 2:
            found = list(differences(old[key], new[key], tolerance))
        for field, *values in found:
            if not set(field.split(".")) & set(ignored):
                count += 1
                print(" | ".join([key, field, *(json.dumps(value, ensure_ascii=False) for value in values)]))
    print(f"{count} differences between {len(old)} and {len(new)} subjects")
    return count


def _part(text: str) -> tuple[int, int]:
    i, n = map(int, text.split("/"))
    if not 1 <= i <= n:
        raise ValueError(text)
    return i, n


def main() -> None:
    """Run one of the two commands; `compare` exits with 1 where anything differs."""
    parser = argparse.ArgumentParser(prog="python -m tests.behaviour", description=(__doc__ or "").partition("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    recording = commands.add_parser("record", help="ask everything, and write down what is answered")
    recording.add_argument("file", type=Path)
    recording.add_argument("--only", nargs="+", default=[], metavar="GROUP", help="zoo, own, ...; by default all")
    recording.add_argument("--part", type=_part, default=(1, 1), metavar="I/N")
    comparing = commands.add_parser("compare", help="print what differs between two recordings")
    comparing.add_argument("old", type=Path)
    comparing.add_argument("new", type=Path)
    comparing.add_argument("--tolerance", type=float, default=TOLERANCE, help="relative, for numbers")
    comparing.add_argument("--ignore", nargs="+", default=[], metavar="FIELD", help="names of fields to pass over")
    given = parser.parse_args()
    os.environ.update(ONE_THREAD)  # before NumPy and JAX are imported
    if given.command == "record":
        record(given.file, given.only, given.part)
    elif compare(_load(given.old), _load(given.new), given.tolerance, given.ignore):
        sys.exit(1)


if __name__ == "__main__":
    main()
