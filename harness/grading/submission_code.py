"""A submission's code: as text that Python 3 can parse, what of it is run, and what names and numbers stand in it.

Imports, functions, classes and constants are kept. What a file does beyond that when it is run, such as to load data,
train, plot or ask for input, is left out. Each statement that is kept may fail without harm to the others.
"""

import ast
import codecs
import io
import json
import re
import tokenize
from collections.abc import Collection, Iterator
from contextlib import suppress
from functools import reduce
from pathlib import Path
from typing import NamedTuple

from harness.facts.fact import Fact, note
from harness.facts.kinds import Kind

HARMLESS = {"np", "numpy", "math", "float", "int", "len", "range", "list", "tuple", "dict", "str", "abs", "round"}
"""What a constant may call: functions and modules that do nothing but compute."""

NOT_HARMLESS = {"load", "loadtxt", "genfromtxt", "fromfile", "save", "savetxt", "open"}

CONFIGURES = ("config.update", "set_default_dtype")
"""Calls that decide how everything is computed: JAX's and PyTorch's precision."""

FAILURES = "failures_of_statements"  # the name in a module under which its statements that failed are kept

TRANSFORMS = {"grad", "value_and_grad", "elementwise_grad", "jit"}
"""JAX's and autograd's transforms that return a function of the same parameters."""


def runnable(tree: ast.Module, *, with_needed: bool = False, own: Collection[str] = ()) -> ast.Module:
    """The statements of a file that are run, each of which may fail: definitions, and neither training nor plots.

    With `with_needed`, what sets names that functions read is kept as well. Imports of the submission's `own` modules
    are kept for others that import them from there.
    """
    needed = _needed(tree) if with_needed else set()
    kept = [node for node in tree.body if _defines(node) or not needed.isdisjoint(_changed(node))]
    read = {name.id for node in kept for name in ast.walk(node) if isinstance(name, ast.Name)}
    kept = [node for node in kept if not _is_unused_import(node, read, own)]
    body = [node if _is_of_the_future(node) else ast.copy_location(_guarded(node), node) for node in kept]
    return ast.fix_missing_locations(ast.Module(body, tree.type_ignores))


def _guarded(node: ast.stmt) -> ast.Try:
    """try: node; except Exception as error: failures.append(error)"""
    keep = ast.parse(f"{FAILURES}.append(error_of_statement)").body
    for inner in ast.walk(keep[0]):
        ast.copy_location(inner, node)
    return ast.Try([node], [ast.ExceptHandler(ast.Name("Exception", ast.Load()), "error_of_statement", keep)], [], [])


def _is_of_the_future(node: ast.stmt) -> bool:
    return isinstance(node, ast.ImportFrom) and node.module == "__future__"


def _is_unused_import(node: ast.stmt, read: set[str], own: Collection[str]) -> bool:
    """Whether a library is imported, and none of the names is read: TensorFlow takes seconds to be imported."""
    if not isinstance(node, (ast.Import, ast.ImportFrom)) or _is_of_the_future(node):
        return False
    modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
    if getattr(node, "level", 0) or any(part in own for module in modules for part in module.split(".")):
        return False
    names = {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
    return "*" not in names and names.isdisjoint(read)


def _defines(node: ast.stmt) -> bool:
    match node:
        case ast.Import() | ast.ImportFrom() | ast.FunctionDef() | ast.ClassDef() | ast.AsyncFunctionDef():
            return True
        case ast.Try():
            return all(isinstance(statement, (ast.Import, ast.ImportFrom)) for statement in node.body)
        case ast.Expr(value=ast.Call(func=ast.Attribute() as function)):
            return ast.unparse(function).endswith(CONFIGURES)
        case ast.Assign() | ast.AnnAssign():
            return node.value is not None and all(map(_is_harmless, _calls_in(node.value)))
    return False


def _calls_in(node: ast.AST) -> Iterator[ast.Call]:
    """The calls that evaluating an expression makes; those within a lambda come later, if ever."""
    if isinstance(node, ast.Lambda):
        return
    if isinstance(node, ast.Call):
        yield node
    for child in ast.iter_child_nodes(node):
        yield from _calls_in(child)


def _is_harmless(call: ast.Call) -> bool:
    function = call.func
    if transformed(call):
        return True
    if isinstance(function, ast.Attribute) and function.attr in NOT_HARMLESS:
        return False
    while isinstance(function, ast.Attribute):
        function = function.value
    return isinstance(function, ast.Name) and function.id in HARMLESS


def transformed(node: ast.expr) -> str | None:
    """The function that transforms are applied to: "cost" in ``jit(grad(cost))``; None for other expressions."""
    match node:
        case ast.Call(func=ast.Name(id=by) | ast.Attribute(attr=by), args=[function, *_]) if by in TRANSFORMS:
            return transformed(function)
        case ast.Name(id=name):
            return name
    return None


def _needed(tree: ast.Module) -> set[str]:
    """The names that functions read, and those that statements which set these read in turn."""
    needed = set().union(*names_read(tree).values())
    while True:
        setting = [node for node in tree.body if not needed.isdisjoint(_changed(node))]
        names = (name for node in setting for name in ast.walk(node) if isinstance(name, ast.Name))
        more = needed | {name.id for name in names if isinstance(name.ctx, ast.Load)}
        if more == needed:
            return needed
        needed = more


def _changed(node: ast.stmt) -> set[str]:
    """The names that a statement sets, or of whose values it sets items."""
    if isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom)):
        return set()
    found = set()
    for inner in ast.walk(node):
        if isinstance(inner, (ast.Name, ast.Subscript)) and isinstance(inner.ctx, ast.Store):
            while isinstance(inner, ast.Subscript):
                inner = inner.value
            found |= {inner.id} if isinstance(inner, ast.Name) else set()
    return found


def imported_names(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """What may be a module that is imported, and how many dots stand before it."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from ((0, alias.name) for alias in names)
            case ast.ImportFrom(module=module, names=names, level=level):
                yield from ((level, f"{module or ''}.{alias.name}") for alias in names)  # of a package, or of a module


def numbers_in(tree: ast.Module) -> Iterator[float]:
    """The numbers that stand in code."""
    constants = (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant))
    yield from (value for value in constants if isinstance(value, (int, float)) and not isinstance(value, bool))


def tried_imports(tree: ast.Module) -> set[str]:
    """The modules that are imported where a failure is caught: their absence has a consequence of its own."""
    tries = [node for node in ast.walk(tree) if isinstance(node, ast.Try)]
    found = {name for node in tries for _, name in imported_names(ast.Module(node.body, []))}
    return {name.partition(".")[0] for name in found}


def names_read(tree: ast.Module) -> dict[str, set[str]]:
    """The global names that each function reads, by itself and in the functions that it calls."""
    read = {node.name: _free_names(node) for node in tree.body if isinstance(node, ast.FunctionDef)}
    for _ in read:  # a chain of calls is at most as long as there are functions
        read = {name: names.union(*(read[other] for other in names & read.keys())) for name, names in read.items()}
    return read


def _free_names(function: ast.FunctionDef) -> set[str]:
    nodes = list(ast.walk(function))
    names = [node for node in nodes if isinstance(node, ast.Name)]
    own = {node.arg for node in nodes if isinstance(node, ast.arg)}
    own |= {name.id for name in names if isinstance(name.ctx, ast.Store)}
    return {name.id for name in names if isinstance(name.ctx, ast.Load)} - own


# -- files and notebooks as text ---------------------------------------------------------------------------------------

UNREADABLE = (SyntaxError, ValueError, RecursionError, MemoryError)  # what parsing raises for text that is not Python

PYTHON_2 = {
    r"(^|[:;])([ \t]*)print\b(?![ \t]*[(=])[^;\n]*": r"\1\2pass",  # prints compute nothing
    r"^(\s*except\s+[\w.]+|\s*except\s*\([^)]*\))\s*,\s*(\w+)\s*:": r"\1 as \2:",
    r"^(\s*raise\s+[\w.]+)\s*,\s*([^\n]+)": r"\1(\2)",
    r"^(\s*)exec\s+([^\n]+)": r"\1exec(\2)",
    "<>": "!=",
}
"""Statements that only Python 2 reads, and what says the same in Python 3."""


class Code(NamedTuple):
    """Code that can be parsed."""

    text: str = ""
    is_python_2: bool = False  # whether print statements of Python 2 were taken out of it
    cells: tuple[tuple[int, int], ...] = ()  # for a notebook, (first line, cell number) of each code cell
    notes: tuple[Fact, ...] = ()  # what was left out of it


def in_python_3(text: str) -> Code:
    """The text; with statements of Python 2 put into Python 3, if it cannot be parsed with them; or a SyntaxError."""
    # what Python 3 reads is not touched: ``print`` may be a name in it
    try:
        ast.parse(text)
    except SyntaxError as error:
        translated = reduce(lambda code, rule: re.sub(*rule, code, flags=re.MULTILINE), PYTHON_2.items(), text)
        with suppress(SyntaxError):
            ast.parse(translated)
            return Code(translated, is_python_2=True)
        reason = f"it is not valid Python: {error.msg}" if translated == text else "it is written in Python 2"
        raise SyntaxError(reason, ("", error.lineno, None, None)) from None
    return Code(text)


def decoded(path: Path) -> str:
    """The text of a file in the encoding that it declares, or else in Latin-1, which reads anything."""
    content = path.read_bytes()
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):  # "Unicode", as some editors of Windows call it
        return content.decode("utf-16")
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(content).readline)
        return content.decode(encoding).lstrip("\ufeff")
    except (SyntaxError, UnicodeDecodeError, LookupError):
        return content.decode("latin-1")


def notebook_code(path: Path) -> Code:
    """The code cells of a notebook one after the other, where each starts, and which were left out."""
    document = json.loads(path.read_text(encoding="utf-8"))
    language = document.get("metadata", {}).get("kernelspec", {}).get("language", "python")
    if "python" not in language.lower():
        raise SyntaxError(f"it is written in {language.capitalize()}")
    cells = document["cells"] if "cells" in document else document["worksheets"][0]["cells"]
    lines: list[str] = []
    starts: list[tuple[int, int]] = []
    notes: list[Fact] = []
    is_python_2 = False
    for number, cell in enumerate(cells, start=1):
        if cell["cell_type"] != "code":
            continue
        source = cell.get("source", cell.get("input", ""))
        code = source if isinstance(source, str) else "".join(source)
        # a magic, a shell's command or a question for help; a line for a line, so that their numbers stay the cell's
        own = ["pass" if re.match(r"\s*([%!?]|[^#]*\?\s*$)", line) else line for line in code.splitlines()]
        try:
            read = in_python_3("\n".join(own))
        except UNREADABLE as error:
            is_syntax = isinstance(error, SyntaxError)
            reason = f"{error.msg} (line {error.lineno})" if is_syntax else type(error).__name__
            notes.append(note(Kind.CELL_LEFT_OUT, cell=number, reason=reason))
        else:
            starts.append((len(lines) + 1, number))
            lines += read.text.split("\n")
            is_python_2 |= read.is_python_2
    return Code("\n".join(lines), is_python_2, tuple(starts), tuple(notes))
