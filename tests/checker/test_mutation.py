"""Bugs planted in syntax trees: where they go, and that nothing is left behind."""

import ast
import sys

import pytest

from tests.checker.mutation import planted, replace, replace_value

CROSS_CHECK = "harness.checks.networks.network_check"

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


def test_what_does_not_import_the_changed_module_is_shared():
    import harness.checks.networks.network_check  # noqa: F401  it is in `sys.modules` before
    import reference.network

    with planted([CROSS_CHECK, "reference.network"], "harness.verdict.comparison", lambda tree: None) as checker:
        assert checker.network is reference.network
        assert checker.network_check is sys.modules[CROSS_CHECK]
        assert vars(sys.modules["harness.checks.networks"])["network_check"] is checker.network_check
    assert sys.modules[CROSS_CHECK] is not checker.network_check
    assert vars(sys.modules["harness.checks.networks"])["network_check"] is sys.modules[CROSS_CHECK]
