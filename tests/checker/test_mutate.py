"""The mutation run itself: what it changes, what it draws, and that it tells caught mutants from survivors."""

import ast

import pytest

from tests.checker import mutate
from tests.checker.mutate import Mutant, choose, first_failure
from tests.checker.operators import mutations

SOURCE = '''
def outside(x, low=0.5, *, high: int = 3) -> bool:
    """1 + 1 is no code here."""
    return not low <= x and x != high
'''

CHANGES = [
    "x, low=0.5, *, high: int=3 -> x, low, *, high: int=3",
    "x, low=0.5, *, high: int=3 -> x, low=0.5, *, high: int",
    "x, low=0.5, *, high: int=3 -> x, low=0.5, *, high: int=6",
    "x, low=0.5, *, high: int=3 -> x, low=0.5, *, high: int=1",
    "x, low=0.5, *, high: int=3 -> x, low=1.0, *, high: int=3",
    "x, low=0.5, *, high: int=3 -> x, low=0.25, *, high: int=3",
    "return not low <= x and x != high -> return True",
    "return not low <= x and x != high -> return False",
    "not low <= x and x != high -> not low <= x or x != high",
    "not low <= x -> low <= x",
    "low <= x -> low < x",
    "low <= x -> low > x",
    "x != high -> x == high",
]


def test_every_change_of_a_module_is_found():
    tree = ast.parse(SOURCE)
    before = ast.dump(tree)
    found = mutations(tree)
    assert [mutation.words() for mutation in found] == CHANGES
    assert ast.dump(tree) == before
    assert {mutation.function for mutation in found} == {"outside"}
    assert [mutation.line for mutation in found] == [2] * 6 + [4] * 7


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("a + b", ["a + b -> a - b"]),
        ("a / b ** c", ["a / b ** c -> a * b ** c", "b ** c -> b * c"]),
        ("x[0]", ["x[0] -> x[1]"]),
        ("n = 1", ["n = 1 -> n = 0", "n = 1 -> n = 2"]),
        ("n -= m", ["n -= m -> n += m"]),
        ("save(x)", ["save(x) -> pass"]),
        ("min(x.any(), y)", ["min(x.any(), y) -> pass", "min(x.any(), y) -> max(x.any(), y)", "x.any -> x.all"]),
        ("if x: y", ["x -> not x"]),
        ("while a is b: break", ["a is b -> a is not b", "break -> continue"]),
        ("f(on=True)", ["f(on=True) -> pass", "on=True -> on=False"]),
        ("def f(): return g", ["return g -> return None"]),
        ("def f() -> Report: return g", []),
        ("'a' + b", []),
        ("x: int | None", []),
        ("if TYPE_CHECKING: import a", []),
    ],
)
def test_what_is_changed_and_what_is_left(code, words):
    assert [mutation.words() for mutation in mutations(ast.parse(code))] == words


def test_the_seed_decides():
    modules = ["reference.network", "reference.problem", "harness.cli"]
    drawn = choose(0, 20, modules)
    assert drawn == choose(0, 20, modules[::-1])
    assert drawn != choose(1, 20, modules)
    assert len(set(drawn)) == 20
    assert choose(0, 5, modules) == drawn[:5]
    counts = [sum(mutant.module == module for mutant in drawn) for module in modules]
    assert max(counts) - min(counts) <= 1
    alone = [mutant for mutant in drawn if mutant.module == "harness.cli"]
    assert choose(0, len(alone), ["harness.cli"]) == alone


@pytest.mark.parametrize(
    ("module", "tests"),
    [
        ("harness.verdict.consensus", ["verdict/test_consensus.py"]),  # its name
        ("harness.study.model_costs", ["study/test_gradient_study.py"]),  # what imports it
        ("harness.training.line_search", ["training/test_fmincg.py"]),  # the tests of what imports it
    ],
)
def test_a_module_has_the_tests_of_its_name_or_those_that_reach_it(module, tests):
    assert [path.relative_to(mutate.ROOT / "tests").as_posix() for path in mutate.tests_of(module)] == tests


@pytest.mark.parametrize(
    ("module", "room"), [("harness.__main__", "doors"), ("harness.study.libraries.ott_functions", "study")]
)
def test_what_nobody_imports_has_the_tests_of_its_room(module, room):
    assert {path.parent.name for path in mutate.tests_of(module)} == {room}


# a small project with one module and one test


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # for speed
    (tmp_path / "toy.py").write_text(SOURCE)
    (tmp_path / "test_toy.py").write_text(
        "import subprocess, sys\nfrom toy import outside\n"
        "def test_a_value_between(): assert not outside(1.0)\n"
        "def test_another_python():\n"
        "    code = 'import toy; print(toy.outside(0.5))'\n"
        "    assert subprocess.check_output([sys.executable, '-c', code], text=True) == 'False\\n'\n"
    )
    return tmp_path


def caught_by(project, words, limit=60.0) -> str:
    return first_failure([project / "test_toy.py"], limit, Mutant("toy", CHANGES.index(words)), root=project)


@pytest.mark.more
def test_a_bug_is_caught_where_a_test_looks_and_nothing_is_written(project):
    before = {path: path.read_bytes() for path in project.rglob("*")}
    assert caught_by(project, "not low <= x -> low <= x") == "test_toy.py::test_a_value_between"
    assert caught_by(project, "low <= x -> low < x") == "test_toy.py::test_another_python"
    assert caught_by(project, "x != high -> x == high") == ""
    assert first_failure([project / "test_toy.py"], marked="nothing_has_it", root=project) == ""
    assert {path: path.read_bytes() for path in project.rglob("*")} == before


@pytest.mark.more
def test_a_test_that_does_not_end_has_caught_the_mutant(project):
    (project / "test_toy.py").write_text("import time\ndef test_sleep(): time.sleep(60)\n")
    assert caught_by(project, CHANGES[0], limit=1.0) == "the time limit of 1 s"


def test_the_run_prints_each_mutant_the_survivors_and_the_score(monkeypatch, capsys):
    module = "reference.problem"
    first, second, third = chosen = choose(0, 3, [module])
    seen_by = {str(second): "not more", str(third): "more"}
    monkeypatch.setattr(
        mutate,
        "first_failure",
        lambda tests, limit=None, mutant="", marked="": "test_it" if seen_by.get(str(mutant)) == marked else "",
    )
    mutate.main(["--count", "3", "--module", module, "--list", "--workers", "1"])
    lines = capsys.readouterr().out.splitlines()
    described = [f"{module}:{mutant.mutation.line}  {mutant.mutation.words()}" for mutant in chosen]
    outcomes = ("SURVIVED", "caught by test_it", "caught by test_it, in make test-more")
    assert lines[:3] == [f"{mutant}  {outcome}" for mutant, outcome in zip(described, outcomes)]
    assert f"  --mutant {first}  {described[0]}" in lines
    assert lines[-1] == "caught 2 of 3 mutants; 1 survived"


def test_tests_that_fail_without_a_mutant_judge_none(monkeypatch):
    monkeypatch.setattr(mutate, "first_failure", lambda tests, limit=None, mutant="", marked="": "test_it")
    with pytest.raises(SystemExit, match=r"without a mutant, this fails: test_it, of .*test_problem\.py"):
        mutate.main(["--mutant", "reference.problem:3"])
