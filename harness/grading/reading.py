"""Submissions as they lie in a folder: Python files, notebooks, and folders of files. Nothing here runs them.

Of a file, imports, functions, classes and constants are kept; what it does beyond that when it is run, such as to load
data, train, plot or ask for input, is blanked, so that lines keep their numbers.
"""

import ast
import codecs
import io
import json
import re
import tokenize
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.grading.calling.constants import with_constants
from harness.grading.calling.conventions import roles_of
from harness.grading.calling.signatures import Function, functions_in, transformed, worth

CODE = (".py", ".ipynb")

DATA = (".mat", ".npz", ".npy", ".csv", ".txt")

MOST = 2_000_000  # characters of a file that is still read as homework

HARMLESS = {"np", "numpy", "math", "float", "int", "len", "range", "list", "tuple", "dict", "str", "abs", "round"}
"""What a constant may call: functions and modules that do nothing but compute."""

NOT_HARMLESS = {"load", "loadtxt", "genfromtxt", "fromfile", "save", "savetxt", "open"}

CONFIGURES = ("config.update", "set_default_dtype")
"""What decides how all of it is computed, JAX's and PyTorch's precision above all."""

SIMPLE = (ast.Import, ast.ImportFrom, ast.Assign, ast.AnnAssign)
"""What may depend on what is blanked or not installed, and fail without being needed."""

SUPPRESS = "with __import__('contextlib').suppress(Exception)"

UNREADABLE = (SyntaxError, ValueError, RecursionError, MemoryError)
"""What parsing raises of text that is not Python."""


@dataclass(frozen=True)
class Submission:
    """What somebody handed in.

    Attributes
    ----------
    name : the file's or folder's name
    path : where it is
    home : the folder that its files lie in
    main : the name of the file that is asked
    texts : every file's code by name, blanked
    whole : the same, all of it
    functions : what the main file defines
    error : why it cannot be read, as a sentence; empty where it can
    notes : what was left out of it
    cells : of a notebook, (first line, cell number) of each code cell
    """

    name: str
    path: Path
    home: Path = Path()
    main: str = ""
    texts: tuple[tuple[str, str], ...] = ()
    whole: tuple[tuple[str, str], ...] = ()
    functions: tuple[Function, ...] = ()
    error: str = ""
    notes: tuple[str, ...] = ()
    cells: tuple[tuple[int, int], ...] = ()

    @property
    def in_single_precision(self) -> bool:
        """Whether its code names float32."""
        return any(re.search(r"float32|\bsingle\b|['\"]f4['\"]", text) for _, text in self.texts)

    def where(self, line: int) -> str:
        """A line as its author counts it: in a file, or in a cell of a notebook."""
        cell = [(first, number) for first, number in self.cells if first <= line]
        return f"cell {cell[-1][1]}, line {line - cell[-1][0] + 1}" if cell else f"line {line}"


def find_submissions(folder: str | Path) -> list[Submission]:
    """The submissions in a folder, by name: each .py or .ipynb file, and each folder that holds one.

    Raises
    ------
    OSError, ValueError
        When the folder is not there, or holds none.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is not a folder; give one that holds submissions (.py or .ipynb files)")
    read = map(read_submission, _entries(folder))
    found = [submission for submission in read if submission is not None]
    helpers = {Path(name).stem for one in found for name, _ in one.texts if name != one.main and "/" not in name}
    found = [
        submission
        for submission in found
        if submission.path.is_dir() or submission.path.stem not in helpers or any(map(roles_of, submission.functions))
    ]
    if not found:
        raise ValueError(f"there is no submission in {folder}: no .py or .ipynb file, and no folder with one")
    return found


def not_graded(folder: str | Path) -> list[str]:
    """What in a folder of submissions is none, and no data either, by name."""
    return [path.name for path in _entries(folder) if path.suffix not in DATA and read_submission(path) is None]


def _entries(folder: str | Path) -> list[Path]:
    return [path for path in sorted(Path(folder).iterdir()) if not path.name.startswith((".", "_"))]


def read_submission(path: Path) -> Submission | None:
    """The submission in a file or folder; None for what is none."""
    home = _innermost(path) if path.is_dir() else path.parent
    files = [file for file in (sorted(home.iterdir()) if path.is_dir() else [path]) if file.suffix in CODE]
    if not files:
        return None
    read = {file: _read(file) for file in files}
    main = max(files, key=lambda file: (read[file].promise, file.suffix == ".py"))
    waiting = list(files)
    while waiting:  # for what it imports that lies beside it, such as the utils.py of the course, or in a package there
        for file in _beside(home, waiting.pop(), read):
            read[file] = _read(file)
            waiting.append(file)
    chosen = read[main]
    names = {file: str(file.relative_to(home).with_name(f"{_module_name(file)}.py")) for file in read}
    return Submission(
        name=path.name,
        path=path,
        home=home,
        main=names[main],
        texts=tuple((names[file], read[file].blanked) for file in read),
        whole=tuple((names[file], read[file].text) for file in read),
        functions=tuple(chosen.functions),
        error=chosen.error,
        notes=tuple(chosen.notes),
        cells=tuple(chosen.cells),
    )


def _innermost(folder: Path) -> Path:
    """The folder itself, or where it holds no code and one folder alone, as archives unpack to, that folder."""
    while not any(file.suffix in CODE for file in folder.iterdir()):
        folders = [inner for inner in _entries(folder) if inner.is_dir() and not inner.is_symlink()]
        if len(folders) != 1:
            break
        (folder,) = folders
    return folder


def _beside(home: Path, file: Path, read: Mapping[Path, "_File"]) -> Iterator[Path]:
    """The files that a file imports, of those that lie where it does and in packages there, and that are not read."""
    for level, name in read[file].imports:
        start = home if not level else next(iter(file.parents[level - 1 :]), None)
        if start is None or not start.is_relative_to(home):  # more dots than folders
            continue
        parts = [part for part in name.split(".") if part]
        inner = [start.joinpath(*parts[:depth]) for depth in range(len(parts) + 1)]
        for found in (*(folder.with_suffix(".py") for folder in inner[1:]), *(f / "__init__.py" for f in inner)):
            if found not in read and found != home / "__init__.py" and found.is_file():
                yield found


def _module_name(file: Path) -> str:
    """A name that can be imported; files that import each other by theirs keep them."""
    return file.stem if file.stem.isidentifier() else "submission"


@dataclass
class _File:
    text: str = ""
    blanked: str = ""
    functions: list[Function] | tuple = ()
    error: str = ""
    notes: list[str] | tuple = ()
    cells: list[tuple[int, int]] | tuple = ()
    imports: set[tuple[int, str]] | tuple = ()

    @property
    def promise(self) -> int:
        """How likely this is the file with the homework's function."""
        return max((worth(function) for function in self.functions), default=-1)


def _read(path: Path) -> _File:
    if not path.is_file():  # to read a FIFO would wait for ever
        return _File(error=f"{path.name} is no file that can be read")
    try:
        if path.stat().st_size > MOST:
            return _File(error=f"{path.name} is too large to be homework ({path.stat().st_size:,} bytes)")
        text, cells, notes = _notebook(path) if path.suffix == ".ipynb" else (_decoded(path), [], [])
        tree = ast.parse(text)
    except SyntaxError as error:
        at = f" (line {error.lineno})" if error.lineno else ""  # none, where it holds null bytes
        return _File(error=f"{path.name} is not valid Python: {error.msg}{at}")
    except (*UNREADABLE, OSError, KeyError, TypeError, AttributeError) as error:
        return _File(error=f"{path.name} cannot be read: {type(error).__name__}: {error}")
    functions = with_constants(tree, list(functions_in(tree)))
    stand_ins = "".join(f"{function.stand_in}\n" for function in functions if function.stand_in)
    blanked = definitions_only(text, tree) + stand_ins
    return _File(f"{text}\n{stand_ins}", blanked, functions, "", notes, cells, set(_imported(tree)))


def _imported(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """What may be a module that is imported, and how many dots stand before it."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from ((0, alias.name) for alias in names)
            case ast.ImportFrom(module=module, names=names, level=level):
                yield from ((level, f"{module or ''}.{alias.name}") for alias in names)  # of a package, or of a module


def _decoded(path: Path) -> str:
    content = path.read_bytes()
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):  # "Unicode", as some editors of Windows call it
        return content.decode("utf-16")
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(content).readline)
        return content.decode(encoding).lstrip("\ufeff")
    except (SyntaxError, UnicodeDecodeError, LookupError):
        return content.decode("latin-1")


def _notebook(path: Path) -> tuple[str, list[tuple[int, int]], list[str]]:
    """The code cells of a notebook one after the other, where each starts, and which were left out."""
    document = json.loads(path.read_text(encoding="utf-8"))
    cells = document["cells"] if "cells" in document else document["worksheets"][0]["cells"]
    lines: list[str] = []
    starts, notes = [], []
    for number, cell in enumerate(cells, start=1):
        if cell["cell_type"] != "code":
            continue
        source = cell.get("source", cell.get("input", ""))
        code = source if isinstance(source, str) else "".join(source)
        own = ["pass" if _is_ipython(line.strip()) else line for line in code.splitlines()]
        try:
            ast.parse("\n".join(own))
        except UNREADABLE as error:
            what = error.msg if isinstance(error, SyntaxError) else type(error).__name__
            at = f", line {error.lineno}" if isinstance(error, SyntaxError) else ""
            notes.append(f"cell {number} is not valid Python and was left out: {what} (cell {number}{at})")
            continue
        starts.append((len(lines) + 1, number))
        lines += own
    return "\n".join(lines), starts, notes


def _is_ipython(line: str) -> bool:
    """Whether a line of a cell is for the notebook and not for Python: a magic, a shell's, or a question for help."""
    return line.startswith(("%", "!", "?")) or (line.endswith("?") and "#" not in line)


def definitions_only(text: str, tree: ast.Module) -> str:
    """The same lines, where what does more than define is blank, and what fails on the way is in nobody's way."""
    lines = text.splitlines()
    for node in tree.body:
        first, last = _extent(node)
        if not _defines(node):
            lines[first : last + 1] = ["pass", *[""] * (last - first)]
        elif isinstance(node, SIMPLE) and getattr(node, "module", "") != "__future__" and lines[first][:1].isalpha():
            guarded = lines[first].startswith("with ")  # by the statement before it on the same line
            lines[first] = lines[first] if guarded else f"{SUPPRESS}: {lines[first]}"
    return "\n".join([*lines, ""])


def _extent(node: ast.stmt) -> tuple[int, int]:
    return node.lineno - 1, (node.end_lineno or node.lineno) - 1


def _defines(node: ast.stmt) -> bool:
    match node:
        case ast.Import() | ast.ImportFrom() | ast.FunctionDef() | ast.ClassDef() | ast.AsyncFunctionDef():
            return True
        case ast.Try():
            return all(isinstance(statement, (ast.Import, ast.ImportFrom)) for statement in node.body)
        case ast.Expr(value=ast.Call(func=ast.Attribute() as function)):
            return ast.unparse(function).endswith(CONFIGURES)
        case ast.Assign() | ast.AnnAssign():
            return node.value is not None and all(map(_is_harmless, _calls(node.value)))
    return False


def _calls(node: ast.AST) -> Iterator[ast.Call]:
    """The calls that evaluating an expression makes; those within a lambda come later, if ever."""
    if isinstance(node, ast.Lambda):
        return
    if isinstance(node, ast.Call):
        yield node
    for child in ast.iter_child_nodes(node):
        yield from _calls(child)


def _is_harmless(call: ast.Call) -> bool:
    function = call.func
    if transformed(call):
        return True
    if isinstance(function, ast.Attribute) and function.attr in NOT_HARMLESS:
        return False
    while isinstance(function, ast.Attribute):
        function = function.value
    return isinstance(function, ast.Name) and function.id in HARMLESS
