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

from tests.checker.mutation import install, sources
from tests.checker.operators import Mutation, mutations

ROOT = Path(__file__).resolve().parents[2]
STARTUP = Path(__file__).parent / "startup"

NONE_THERE = 5
"""The exit code of pytest where no test was chosen."""

ELSEWHERE = {
    "harness": ["doors/test_package.py"],
    "harness.__main__": ["doors/test_cli.py"],
    "harness.array_files": ["doors/test_function_commands.py", "digits/test_digits_data.py"],
    "harness.commands.*": ["doors/test_cli.py"],
    "harness.checks.activations.array_proxies": ["checks/activations/test_formulas.py"],
    "harness.checks.activations.slope_answers": ["checks/activations/test_junctions.py"],
    "harness.checks.activations.slope_oracles": ["checks/activations/test_junctions.py"],
    "harness.checks.functions.cost_differences": ["checks/functions/test_gradient_check.py"],
    "harness.checks.networks.bug_replay": ["checks/networks/test_bug_explanations.py"],
    "harness.checks.networks.network_subject": ["checks/networks/test_network_check.py"],
    "harness.checks.networks.network_summary": [
        "checks/networks/test_many_networks.py",
        "checks/networks/test_smallest_failure.py",
    ],
    "harness.checks.traced.derivative_comparison": ["checks/traced/test_derivative_check.py"],
    "harness.commands.classroom_commands": ["doors/test_classroom_commands.py", "doors/test_bad_input.py"],
    "harness.commands.function_commands": ["doors/test_function_commands.py"],
    "harness.commands.process_start": ["doors/test_program.py", "doors/test_cli.py"],
    "harness.commands.sweep_commands": ["sweep/test_resumable_sweep.py", "doors/test_cli.py"],
    "harness.commands.training_commands": [
        "digits/test_main_job.py",
        "training/test_checkpoint.py",
        "doors/test_cli.py",
    ],
    "harness.exit_codes": ["doors/test_cli.py", "doors/test_pytest_plugin.py"],
    "harness.facts.fact_error": ["grading/test_homework_messages.py"],
    "harness.facts.*": ["facts/test_message_table.py", "verdict/test_golden_reports.py"],
    "harness.failures.object_locations": ["failures/test_check_script.py"],
    "harness.failures.pytest_failures": ["doors/test_pytest_plugin.py"],
    "harness.figure_style": ["digits/test_digit_figures.py"],
    "harness.files": ["ground/test_files.py", "checks/networks/test_case_files.py"],
    "harness.named_objects": ["doors/test_examples.py", "doors/test_cli.py", "doors/test_pytest_plugin.py"],
    "harness.pages.report_page": ["pages/test_command_pages.py", "doors/test_pytest_plugin.py"],
    "harness.progress": ["ground/test_wording.py"],
    "harness.provenance": ["pages/test_html_page.py", "sweep/test_resumable_sweep.py", "training/test_checkpoint.py"],
    "harness.strategies": ["checks/networks/test_strategies.py", "doors/test_arrays_like.py"],
    "harness.study.detection_figure": ["study/test_zoo_study.py"],
    "harness.study.gradient_bugs": ["study/test_gradient_study.py"],
    "harness.study.libraries.*": ["study/test_library_study.py"],
    "harness.study.model_costs": ["study/test_gradient_study.py"],
    "harness.study.right_activations": ["study/test_activation_study.py", "checks/activations/test_corpus.py"],
    "harness.study.rule_bugs": ["study/test_rule_study.py"],
    "harness.study.scalar_costs": ["study/test_gradient_study.py"],
    "harness.study.study_tables": ["study/test_trials.py"],
    "harness.study.traced_functions": ["study/test_rule_study.py"],
    "harness.study.wrong_activations": ["study/test_activation_study.py"],
    "harness.study.zoo_cases": ["study/test_zoo_study.py"],
    "harness.suite.*": ["doors/test_suite.py"],
    "harness.sweep.summary": ["sweep/test_store.py", "sweep/test_resumable_sweep.py"],
    "harness.verdict.subject": ["verdict/test_judgement.py"],
    "harness.wording": ["ground/test_wording.py"],
    "harness.bounds.program_bound": ["checks/traced/test_derivative_check.py", "checks/traced/test_error_scales.py"],
    "harness.bounds.tolerances": ["checks/functions/test_gradient_check.py", "verdict"],
    "reference.arithmetics.balls": ["reference/oracles/test_ball_arithmetic.py", "bounds"],
    "reference.arithmetics.elementary_record": ["reference/arithmetics/test_elementary.py"],
    "reference.arithmetics.increments": ["reference/traced/test_interpreter.py"],
    "reference.arithmetics.roundoff": ["reference/arithmetics/test_rounded.py", "bounds"],
    "reference.jax_settings": ["reference/oracles/test_jax_gradient.py"],
    "reference.measured": ["reference/oracles/test_slopes.py", "sources/test_sources.py"],
    "reference.namespaces": ["reference/test_network.py"],
    "reference.oracles.jax_padded": ["reference/oracles/test_jax_gradient.py"],
}
"""Tests of a module, or of all modules in a room, outside its mirror in tests/."""


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


def tests_of(module: str) -> tuple[Path, ...]:
    """A module's own tests: its mirror in tests/, and those that `ELSEWHERE` names; without any, all tests of its room.

    A room without a folder of tests has the tests of the room around it.
    """
    room, _, name = module.rpartition(".")
    if sources()[module].name == "__init__.py":
        room, name = module, "package"
    mirrored = room.removeprefix("harness").lstrip(".") or "doors"
    folder = ROOT.joinpath("tests", *mirrored.split("."))
    elsewhere = [ROOT / "tests" / path for path in ELSEWHERE.get(module) or ELSEWHERE.get(f"{room}.*") or ()]
    mirror = folder / f"test_{name}.py"
    own = [mirror] if mirror.exists() else []
    while not (own or elsewhere) and folder != ROOT / "tests":
        own, folder = sorted(folder.rglob("test_*.py")), folder.parent
    return tuple(dict.fromkeys([*own, *elsewhere]))


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
