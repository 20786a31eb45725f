"""Bugs planted in syntax trees: where they go, what of the checker meets them, and that nothing is left behind."""

import ast
import os
import sys

import pytest
from sentinels import answers_side_by_side, doors, three_times_the_allowance

from tests.checker.mutation import importers, planted, replace, replace_value, sources

DEEP = os.environ.get("HARNESS_PROFILE") == "deep"

SOURCE = '''
LIMIT = 1.0
NAMES: list[str] = ["a",
                    'b']

class Pair:
    width = 2

    def sum(self, a, b):
        """A docstring."""
        return (a  # a comment
                + b)

def sum(a, b):
    if a:
        raise ValueError("a")
    return a + b + 1
'''


def changed(change) -> str:
    tree = ast.parse(SOURCE)
    change(tree)
    return ast.unparse(ast.fix_missing_locations(tree))


@pytest.mark.parametrize(
    ("change", "before", "after"),
    [
        (replace("a + b", "a - b", within="Pair.sum"), "return a + b\n", "return a - b\n"),
        (replace("['a', 'b']", "[]"), "['a', 'b']", "[]"),
        (replace('raise ValueError("a")', "pass"), "raise ValueError('a')", "pass"),
        (replace_value("LIMIT", "2.0"), "LIMIT = 1.0", "LIMIT = 2.0"),
        (replace_value("NAMES", "[]"), "['a', 'b']", "[]"),
        (replace_value("Pair.width", "3"), "width = 2", "width = 3"),
    ],
)
def test_a_change_is_made_whatever_the_layout(change, before, after):
    plain = ast.unparse(ast.parse(SOURCE))
    assert plain.count(before) == 1
    assert changed(change) == plain.replace(before, after)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (replace("a + b", "a"), "'a + b' is there 2 times"),
        (replace("a * b", "a"), "'a * b' is there 0 times"),
        (replace_value("width", "3"), "width gets 0 values"),
        (replace("a", "b", within="Pair.product"), "there is no Pair.product"),
    ],
)
def test_a_change_that_no_longer_fits_the_code_says_so(change, words):
    with pytest.raises(AssertionError, match=words.replace("*", r"\*").replace("+", r"\+")):
        changed(change)


# three mutants of the checker's own tests, each noticed by its sentinel

CROSS_CHECK = "harness.checks.networks.network_check"
COMPARISON = "harness.verdict.comparison"


@pytest.mark.parametrize(
    ("module", "change", "names", "noticed_by"),
    [
        (COMPARISON, replace("a.error + b.error", "a.error"), [COMPARISON], answers_side_by_side),
        pytest.param(
            "reference.arithmetics.roundoff",
            replace_value("ELEMENTARY", "80"),
            [CROSS_CHECK],
            three_times_the_allowance,
            marks=pytest.mark.skipif(not DEEP, reason="HARNESS_PROFILE=deep imports all arithmetics three times over"),
        ),
        (
            "harness.assertions",
            replace('report.verdict != "agree"', "False", within="_agreed"),
            ["harness.assertions", "harness.training.gated_training"],
            doors,
        ),
    ],
    ids=["one bound forgotten", "exp and the like ten times too vague", "assert dropped"],
)
def test_a_planted_bug_is_noticed_and_leaves_nothing_behind(module, change, names, noticed_by):
    with planted(names) as checker:
        noticed_by(checker)
    before, hooks = dict(sys.modules), list(sys.path_hooks)
    with planted(names, module, change) as checker, pytest.raises(AssertionError):
        noticed_by(checker)
    assert {name: sys.modules.get(name) for name in before} == before
    assert not {name for name in sys.modules if name not in before} & importers(module)
    assert sys.path_hooks == hooks
    with planted(names) as checker:
        noticed_by(checker)


def test_what_does_not_import_the_changed_module_is_shared():
    import reference.network

    with planted([CROSS_CHECK, "reference.network"], "harness.verdict.comparison", lambda tree: None) as checker:
        assert checker.network is reference.network
        assert checker.network_check is sys.modules[CROSS_CHECK]
        assert vars(sys.modules["harness.checks.networks"])["network_check"] is checker.network_check
    assert sys.modules[CROSS_CHECK] is not checker.network_check
    assert vars(sys.modules["harness.checks.networks"])["network_check"] is sys.modules[CROSS_CHECK]


def test_importers_are_followed_through_functions_and_packages():
    above = importers("harness.verdict.comparison")
    assert {CROSS_CHECK, "harness.assertions", "harness"} <= above
    assert not {"reference.network", "harness.bounds.tolerances", "harness.verdict.comparison"} & above


def test_every_module_has_a_file():
    files = sources()
    assert {"harness", "harness.cli", "harness.verdict", "reference.arithmetics.balls"} <= set(files)
    assert all(file.suffix == ".py" and file.is_file() for file in files.values())
