"""Mutants of the checker itself: a checker that passes everything passes most tests, so who checks the checker?

Each mutant is the checker with one change, such as a bound ten times too wide, a forgotten `abs`, or NaN taken for
equal. The sentinel that a mutant names (tests/sentinels.py) must notice it, and no sentinel may object to the checker
as it is. The changes are made in syntax trees (tests/checker/mutation.py), so that formatting does not matter.

mutants.txt lists them by module, in two lines each: the sentinel, the bug and, if several functions have the code, the
function; then the code and what takes its place. A name in capitals gets another value.
"""

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import sentinels

from tests.checker.mutation import Change, importers, planted, replace, replace_value

CHECKER = (
    "harness.assertions",
    "harness.checks.functions.gradient_check",
    "harness.checks.functions.cost_noise",
    "harness.checks.networks.network_check",
    "harness.checks.networks.many_networks",
    "harness.training.gated_training",
    "harness.verdict.comparison",
    "harness.verdict.consensus",
)
"""The modules that the sentinels call."""


class Mutant(NamedTuple):
    """A bug in the checker: a change of `module`."""

    what: str
    change: Change
    noticed_by: Callable[[Any], None]
    module: str


def listed_mutants() -> Iterator[Mutant]:
    module, heading = "", re.compile(r"(\w+): (.+?)(?: \(in ([\w.]+)\))?")
    lines = iter((Path(__file__).parent / "mutants.txt").read_text(encoding="utf-8").splitlines())
    for line in filter(None, lines):
        if line.startswith("["):
            module = line.strip("[]")
            continue
        found = heading.fullmatch(line)
        assert found, line
        sentinel, what, within = found.groups()
        old, new = next(lines).strip().split("  =>  ")
        is_value = old.isidentifier() and old.isupper() and not within
        change = replace_value(old, new) if is_value else replace(old, new, within or "")
        yield Mutant(what, change, getattr(sentinels, sentinel), module)


MUTANTS = list(listed_mutants())
QUICK = [mutant for mutant in MUTANTS if mutant.module.startswith("harness.verdict.")]
OTHERS = [pytest.param(mutant, marks=pytest.mark.more) for mutant in MUTANTS if mutant not in QUICK]


@pytest.mark.parametrize("sentinel", sentinels.SENTINELS, ids=lambda sentinel: sentinel.__name__)
def test_no_sentinel_objects_to_the_checker_as_it_is(sentinel):
    with planted(CHECKER) as checker:
        sentinel(checker)


@pytest.mark.parametrize("mutant", [*QUICK, *OTHERS], ids=lambda mutant: mutant.what)
def test_a_mutant_of_the_checker_is_noticed(mutant):
    with planted(CHECKER, mutant.module, mutant.change) as checker, pytest.raises(AssertionError):
        mutant.noticed_by(checker)


def test_every_sentinel_is_there_for_a_mutant():
    assert {mutant.noticed_by for mutant in MUTANTS} == set(sentinels.SENTINELS)


def test_the_checker_itself_is_untouched():
    mutant = MUTANTS[0]
    afresh = {mutant.module, *importers(mutant.module)}
    before = {name: sys.modules.get(name) for name in afresh}
    with planted(CHECKER, mutant.module, mutant.change) as checker:
        assert sys.modules[mutant.module] is checker.comparison is not before[mutant.module]
    assert {name: sys.modules.get(name) for name in afresh} == before
