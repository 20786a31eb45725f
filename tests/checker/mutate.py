"""How many random bugs in harness/ and reference/ do the tests notice?

Each bug is planted alone, in memory, and the module's own tests run in a process of their own: first those of
`make test`, and if these notice nothing, those of `make test-more`.

No tool draws a sample, leaves the source tree alone and gives each module its own tests: mutmut copies the tree and
changes only functions, cosmic-ray changes the files, pytest-gremlins tries all ten thousand mutants, and mutatest has
had no release for years.
"""

import argparse
import ast
import os
import random
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import cache
from pathlib import Path
from tempfile import TemporaryFile
from threading import Lock
from typing import NamedTuple

from tests.checker.mutation import imported_by, imports, install, sources
from tests.checker.operators import Mutation, mutations

ROOT = Path(__file__).resolve().parents[2]
STARTUP = Path(__file__).parent / "startup"

NONE_THERE = 5
"""The exit code of pytest where no test was chosen."""


class Mutant(NamedTuple):
    """A module with one of its mutations, named by its number in the order of the source."""

    module: str
    number: int

    def __str__(self) -> str:
        return f"{self.module}:{self.number}"

    @property
    def mutation(self) -> Mutation:
        return mutations_of(self.module)[self.number]


@cache
def mutations_of(module: str) -> list[Mutation]:
    return mutations(ast.parse(sources()[module].read_text(encoding="utf-8")))


def plant(name: str) -> None:
    """Let this process import a mutant for its module; called as the process starts (startup/sitecustomize.py)."""
    module, _, number = name.partition(":")
    install(module, lambda tree: mutations(tree)[int(number)].plant())


def choose(seed: int, count: int, modules: Sequence[str]) -> list[Mutant]:
    """`count` mutants, as many of each module, or one less. A change of one module leaves the others' mutants alone."""
    chosen, order = [], sorted(modules)
    random.Random(seed).shuffle(order)
    shuffled = {}
    for module in order:
        shuffled[module] = list(range(len(mutations_of(module))))
        random.Random(f"{seed} {module}").shuffle(shuffled[module])
    while len(chosen) < count and any(shuffled.values()):
        chosen += [Mutant(module, numbers.pop()) for module, numbers in shuffled.items() if numbers]
    return chosen[:count]


@cache
def tests_of(module: str) -> tuple[Path, ...]:
    """A module's own tests: the file with its name; without one, those that import it, or else those of its importers.

    What nobody imports, as what is found by its name, has the tests of its room, or those of the doors.
    """
    room, _, name = module.rpartition(".")
    files = sorted((ROOT / "tests").rglob("test_*.py"))
    own = [file for file in files if file.stem == (f"test_{name}" if room else "test_package")]
    own = own or [file for file in files if module in imported_by(file)]
    if not own:
        own = [test for other, names in imports().items() if module in names for test in tests_of(other)]
    near = [name for name in ("doors", *room.split(".")) if (ROOT / "tests" / name).is_dir()]
    return tuple(dict.fromkeys(own)) or tuple(file for file in files if file.parent.name == near[-1])


def first_failure(
    tests: Sequence[Path], limit: float | None = None, mutant: Mutant | str = "", root: Path = ROOT, marked: str = ""
) -> str:
    """The test that fails within a time limit, with a mutant if one is named; empty if all pass, or none is there.

    `marked` chooses the tests by their markers.
    """
    path = os.pathsep.join(filter(None, [str(STARTUP), str(root), str(ROOT), os.environ.get("PYTHONPATH")]))
    command = [sys.executable, "-m", "pytest", "-qx", "-rfE", "--tb=no", "-p", "no:cacheprovider", *map(str, tests)]
    command += ["-m", marked] if marked else []
    environment = os.environ | {"PYTHONPATH": path, "HARNESS_MUTANT": str(mutant), "PYTHONDONTWRITEBYTECODE": "1"}
    with TemporaryFile("w+") as out:  # a process that a test leaves behind would keep a pipe open
        streams = {"stdin": subprocess.DEVNULL, "stdout": out, "stderr": subprocess.STDOUT}
        try:
            code = subprocess.call(command, cwd=root, env=environment, timeout=limit, **streams)
        except subprocess.TimeoutExpired:
            return f"the time limit of {limit:.0f} s"
        out.seek(0)
        failed = re.search(r"^(?:FAILED|ERROR) .*?([^/\n]+?)(?: - .*)?$", out.read(), re.MULTILINE)
    passed = code == 0 or (marked and code == NONE_THERE)
    return "" if passed else failed[1] if failed else "all tests, for none can run"


def judged(mutants: Sequence[Mutant], workers: int) -> Iterator[tuple[Mutant, str]]:
    """Each mutant when it is done, and the test that caught it, if any.

    A run that takes three times as long as without a bug, plus half a minute, has caught the bug as well.
    """
    seconds: dict[tuple[tuple[Path, ...], str], float] = {}
    measuring = {tests_of(mutant.module): Lock() for mutant in mutants}

    def measure(tests: tuple[Path, ...], marked: str) -> float:
        with measuring[tests]:
            started = time.perf_counter()
            if (tests, marked) not in seconds and (failure := first_failure(tests, marked=marked)):
                raise SystemExit(f"without a mutant, this fails: {failure}, of {' '.join(map(str, tests))}")
            return seconds.setdefault((tests, marked), time.perf_counter() - started)

    def judge(mutant: Mutant) -> tuple[Mutant, str]:
        tests = tests_of(mutant.module)
        for marked in ("not more", "more"):
            limit = 30.0 + 3.0 * measure(tests, marked)
            if caught_by := first_failure(tests, limit, mutant, marked=marked):
                return mutant, caught_by + (", in make test-more" if marked == "more" else "")
        return mutant, ""

    pool = ThreadPoolExecutor(workers)
    try:
        for done in as_completed([pool.submit(judge, mutant) for mutant in mutants]):
            yield done.result()
    finally:
        pool.shutdown(cancel_futures=True)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.checker.mutate", description=(__doc__ or "").partition("\n\nNo tool")[0]
    )
    parser.add_argument("--seed", type=int, default=0, help="which mutants are drawn (0)")
    parser.add_argument("--count", type=int, default=78, help="how many (78)")
    parser.add_argument("--module", action="append", help="of this module only, such as harness.verdict.judgement")
    parser.add_argument("--mutant", action="append", help="this mutant and none other, as --list names it")
    parser.add_argument("--list", action="store_true", help="list the survivors in the end, each with its name")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="processes at a time (one for each core)")
    given = parser.parse_args(arguments)
    chosen = choose(given.seed, given.count, given.module or list(sources()))
    if given.mutant:
        named = (name.partition(":") for name in given.mutant)
        chosen = [Mutant(module, int(number)) for module, _, number in named]
    survivors = []
    for mutant, caught_by in judged(chosen, given.workers):
        survivors += [] if caught_by else [mutant]
        print(f"{described(mutant)}  {f'caught by {caught_by}' if caught_by else 'SURVIVED'}", flush=True)
    if given.list and survivors:
        print("\nto be looked at:", *(f"  --mutant {mutant}  {described(mutant)}" for mutant in survivors), sep="\n")
    print(f"\ncaught {len(chosen) - len(survivors)} of {len(chosen)} mutants; {len(survivors)} survived")


def described(mutant: Mutant) -> str:
    return f"{mutant.module}:{mutant.mutation.line}  {mutant.mutation.words()}"


if __name__ == "__main__":
    main()
