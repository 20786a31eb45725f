"""What `make lint` holds of the structure: names, sizes, attributes, slow tests, and who may put facts into words.

Run as ``python -m tests.checker.structure``: one line for each breach, and exit code 1 where there is any.
"""

import ast
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("autodiff_cross_check", "harness", "reference")

LONGEST_MODULE = 350
"""Lines: what is longer is two things."""

MOST_ATTRIBUTES = 12
"""What a class may keep; what keeps more is several values under one name."""

SHARED_CLASS_NAMES = {
    "Bound": "on rounding: of a network, of a traced derivative, of a program's values",
    "Case": "one of a check of f, of a study, and a public one on file",
    "Comparison": "of derivatives, and of a published number with one measured",
    "Diagnosis": "of a homework function, and a fact that names a bug",
    "Differences": "of a cost, and of any function",
    "Enclosure": "of a study's true gradient, and of a ball",
    "Finding": "of a report, and of the audit of a library",
    "Mode": "of JAX, and of an operator in a study",
    "Model": "of the costs in an exercise, and of those in a study",
    "Outcome": "of a search, of a drop-in, and of a process",
    "Part": "of a gradient, and of a homework",
    "Place": "a line of a file, and where a function is written",
    "Plan": "of a look at derivatives, and of a training on digits",
    "Stencil": "of one second opinion, and of differences",
}
"""Class names that stand in several rooms, which do not meet in any module, and what they are there."""

RENDERERS = (
    "harness/assertions.py",
    "harness/facts/",
    "harness/verdict/report.py",
    "harness/checks/activations/activation_figure.py",
    "harness/checks/networks/network_summary.py",
    "harness/commands/",
    "harness/drop_in/fallback.py",
    "harness/pages/",
    "harness/suite/",
    "harness/sweep/summary.py",
    "harness/grading/grade_",
    "harness/grading/student_feedback.py",
    "harness/teaching/",
)
"""Modules that print, draw or write, and so put facts into words. All others decide by kinds and numbers."""


def breaches() -> Iterator[str]:
    """All breaches, as ``path:line: what is wrong``."""
    paths = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
    yield from _shared_names(paths)
    yield from _shared_names(sorted((ROOT / "tests").rglob("*.py")))
    yield from _forgotten_tests()
    yield from _shared_class_names(paths)
    for path in paths:
        source = path.read_text(encoding="utf-8")
        name = path.relative_to(ROOT).as_posix()
        if (lines := source.count("\n")) > LONGEST_MODULE:
            yield f"{name}:1: {lines} lines, more than {LONGEST_MODULE}; split it into two nouns"
        tree = ast.parse(source)
        yield from _attributes(name, tree)
        yield from _sentences(name, tree)


def _shared_names(paths: list[Path]) -> Iterator[str]:
    places = defaultdict(list)
    for path in paths:
        if path.stem not in ("__init__", "__main__", "conftest"):
            places[path.stem].append(path.relative_to(ROOT).as_posix())
    for found in places.values():
        if len(found) > 1:
            yield f"{found[0]}:1: its name stands in several places: {', '.join(found[1:])}"


def _shared_class_names(paths: list[Path]) -> Iterator[str]:
    places = defaultdict(list)
    for path in paths:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef):
                places[node.name].append(f"{path.relative_to(ROOT).as_posix()}:{node.lineno}")
    for name, found in places.items():
        if len(found) > 1 and name not in SHARED_CLASS_NAMES:
            yield f"{found[0]}: the class name {name} stands in several places: {', '.join(found[1:])}"


def _forgotten_tests() -> Iterator[str]:
    """Lines of the list of slow tests that name no test."""
    for number, line in enumerate((ROOT / "tests" / "slow_tests.txt").read_text(encoding="utf-8").splitlines(), 1):
        path, _, test = line.partition(" 1/")[0].partition("::")
        if not (ROOT / path).is_file() or f"def {test}(" not in (ROOT / path).read_text(encoding="utf-8"):
            yield f"tests/slow_tests.txt:{number}: there is no test {test} in {path}"


def _attributes(name: str, tree: ast.AST) -> Iterator[str]:
    """Classes that keep too many attributes, and attributes that are first set outside of ``__init__``."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.ClassDef):
            continue
        declared = {name.id for item in node.body for name in _targets(item)}
        initial: set[str] = set()
        later: dict[str, int] = {}
        for method in (item for item in node.body if isinstance(item, (ast.FunctionDef, ast.AsyncFunctionDef))):
            for attribute in _set_on_self(method):
                if method.name in ("__init__", "__new__", "__enter__"):
                    initial.add(attribute.attr)
                else:
                    later.setdefault(attribute.attr, attribute.lineno)
        if (count := len(initial | set(later))) > MOST_ATTRIBUTES:
            yield f"{name}:{node.lineno}: {node.name} sets {count} attributes, more than {MOST_ATTRIBUTES}"
        for attribute, line in later.items():
            if attribute not in initial | declared:
                yield f"{name}:{line}: {node.name}.{attribute} is set outside of __init__"


def _targets(statement: ast.stmt) -> list[ast.Name]:
    """The names that an assignment in a class's body declares."""
    targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
    return [target for target in targets if isinstance(target, ast.Name)]


def _set_on_self(method: ast.AST) -> Iterator[ast.Attribute]:
    for node in ast.walk(method):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and ast.unparse(node.value) == "self":
            yield node


def _sentences(name: str, tree: ast.AST) -> Iterator[str]:
    """Uses of ``message_table.say``. Its name is never imported by itself, so that one patch replaces it everywhere."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr == "say" and ast.unparse(node.value) == "message_table":
            if not name.startswith(RENDERERS):
                yield f"{name}:{node.lineno}: puts a fact into words, and is no renderer; read its kind and its data"
        elif isinstance(node, ast.ImportFrom) and node.module == "harness.facts.message_table":
            yield f"{name}:{node.lineno}: imports from the table of messages; import the module message_table instead"


if __name__ == "__main__":
    found = list(breaches())
    sys.exit("\n".join(found) or 0)
