"""Submissions as they lie in a folder: Python files, notebooks, and folders of files. Nothing here runs them."""

import ast
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from harness.facts.fact import Fact, Severity, doubt
from harness.facts.kinds import Kind
from harness.grading.class_methods import class_functions_in
from harness.grading.parameter_roles import Function, readings
from harness.grading.submission_code import UNREADABLE, Code, decoded, imported_names, in_python_3, notebook_code
from harness.grading.submission_functions import functions_in, with_settings
from reference.user_input import error_in_words

CODE = (".py", ".ipynb")

DATA = (".mat", ".npz", ".npy", ".csv", ".txt")

LARGEST = 2_000_000
"""Bytes of a file that is still read as homework: a notebook with pictures has some hundred thousand."""

SKIPPED = ("__MACOSX", "__pycache__", "node_modules", "venv", "site-packages")
"""Folders that hold nobody's homework; those whose names begin with a dot are skipped as well."""

MOST_FILES = 200  # files of a submission that are read; a folder with more holds something else than homework

PRECISIONS = {"float32": r"float32|\bsingle\b|['\"]f4['\"]", "float16": r"float16|np\.half|['\"]f2['\"]"}
"""How code names a precision."""

FOLDERS_ABOVE = 2  # so many folders above a submission are searched for modules that it imports


@dataclass(frozen=True)
class SubmissionFile:
    """One file, read."""

    # the path under which its code is run, relative to the submission's folder; and that of its author
    name: str
    shown: str
    code: Code = field(default_factory=Code)  # as it can be parsed
    tree: ast.Module = field(default_factory=lambda: ast.Module([], []))  # its syntax tree
    functions: tuple[Function, ...] = ()  # what it defines
    error: Fact | None = None  # why it cannot be read
    is_own: bool = True  # whether it was handed in, and not found elsewhere

    @cached_property
    def text(self) -> str:
        """All of its code, with the stand-ins for functions that cannot be called by themselves."""
        return "\n".join([self.code.text, *(each.stand_in for each in self.functions if each.stand_in), ""])

    @property
    def libraries(self) -> set[str]:
        """What it imports, by the first part of its name."""
        return {name.partition(".")[0] for _, name in imported_names(self.tree)}

    def place(self, line: int) -> str:
        """A line as its author counts it: in a file, or in a cell of a notebook."""
        cell = [(first, number) for first, number in self.code.cells if first <= line]
        return f"cell {cell[-1][1]}, line {line - cell[-1][0] + 1}" if cell else f"line {line}"

    def link(self, line: int) -> str:
        """The same as editors read it: "ex4.py:41", or "ex4.ipynb:cell 3:2"."""
        return ":".join([self.shown, *self.place(line).replace("line ", "").split(", ")])


@dataclass(frozen=True)
class Submission:
    """What somebody handed in: a file or folder, with its files, and those that they import from elsewhere."""

    name: str
    path: Path
    files: tuple[SubmissionFile, ...] = ()

    @property
    def functions(self) -> tuple[Function, ...]:
        """What its own files define."""
        return tuple(function for file in self.files if file.is_own for function in file.functions)

    @property
    def homework(self) -> list[Function]:
        """The functions that take what the homework's take."""
        # the A2 of ``cost(A2, Y, W1, b1, W2, b2, reg)`` would pass for X
        alone = [function for function in self.functions if not function.needs_forward]
        return [function for function in alone if next(readings(function), None)]

    @property
    def error(self) -> Fact | None:
        """Why none of it can be read."""
        errors = [file.error for file in self.files if file.is_own]
        return next((error for error in errors if error), None) if all(errors) else None

    @property
    def notes(self) -> tuple[Fact, ...]:
        """What of it was left out."""
        unread = [replace(file.error, severity=Severity.NOTE) for file in self.files if file.error]
        return (*unread, *(replace(note, where=(file.shown,)) for file in self.files for note in file.code.notes))

    @property
    def conventions(self) -> tuple[str, ...]:
        """In what its files differ from Python 3."""
        return ("Python 2, without its print statements",) if any(file.code.is_python_2 for file in self.files) else ()

    @cached_property
    def precisions(self) -> set[str]:
        """The precisions below float64 that its code names."""
        text = "\n".join(file.text for file in self.files)
        return {precision for precision, names in PRECISIONS.items() if re.search(names, text)}

    def are_of_one_program(self, first: str, second: str) -> bool:
        """Whether two files belong together: a notebook is a program of its own, with the modules that it imports."""
        one, other = self.file(first), self.file(second)
        is_imported = Path(first).stem in other.libraries or Path(second).stem in one.libraries
        return first == second or is_imported or not any(file.shown.endswith(".ipynb") for file in (one, other))

    def link(self, function: Function) -> str:
        """Where a function is defined, and its name: "ex4.py:41 nnCostFunction"."""
        return f"{self.file(function.file).link(function.line)} {function.author_name}"

    def file(self, name: str) -> SubmissionFile:
        """The file that runs under a name; the first, for an unknown name."""
        return next((file for file in self.files if file.name == name), self.files[0])


def find_submissions(folder: str | Path, beside: Path | None = None) -> list[Submission]:
    """The submissions in a folder, by name; modules that they import and did not hand in may lie in one `beside`."""
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is not a folder; give one that holds submissions (.py or .ipynb files)")
    found = [one for path in _entries(folder) if (one := read_submission(path, beside)) is not None]
    # a module that another submission imports is none itself, unless it holds a homework's function
    helpers = {Path(file.name).stem for one in found for file in one.files[1:] if "/" not in file.name}
    own = [one for one in found if one.path.is_dir() or one.path.stem not in helpers or one.homework]
    if not own:
        raise ValueError(f"there is no submission in {folder}: no .py or .ipynb file, and no folder with one")
    return own


def in_print(name: str | Path) -> str:
    """A file's name as text that can be written anywhere; bytes that are not UTF-8 become backslashes and digits."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def not_graded(folder: str | Path) -> list[str]:
    """The names of entries of a folder that are neither submissions nor data."""
    return [in_print(path.name) for path in _entries(folder) if path.suffix not in DATA and not _code_in(path)]


def _entries(folder: str | Path) -> list[Path]:
    return [path for path in sorted(Path(folder).iterdir()) if not path.name.startswith((".", "_"))]


def _code_in(path: Path) -> list[Path]:
    """The files with code of a submission, those in the outermost folder first."""
    if not path.is_dir():
        return [path] if path.suffix in CODE else []
    inner = [(file, file.relative_to(path).parts) for file in path.rglob("*") if file.suffix in CODE]
    own = [file for file, parts in inner if not any(part in SKIPPED or part.startswith(".") for part in parts)]
    return sorted(own, key=lambda file: (len(file.parts), file))[:MOST_FILES]


def read_submission(path: Path, beside: Path | None = None) -> Submission | None:
    """The submission in a file or folder; None where there is no code."""
    shown = in_print(path.name)
    try:
        files = _code_in(path)
    except OSError as error:  # the system does not let us look into the folder
        return Submission(shown, path, (_unreadable(shown, shown, error_in_words(error)),))
    if not files:
        return None
    home = path if path.is_dir() else path.parent
    names = _names(home, files)
    read = {file: _read_file(file, names[file], in_print(file.relative_to(home))) for file in files}
    # the modules that its files import, and those that these import, such as the course's utils.py one folder up
    waiting = list(files)
    own = {file.resolve() for file in files}
    while waiting:
        for found, root in _imported_files(home, beside, waiting.pop(), read):
            name = str(found.relative_to(root))
            if found.resolve() not in own and name not in {file.name for file in read.values()}:
                read[found] = replace(_read_file(found, name, name), is_own=False)
                waiting.append(found)
    return Submission(shown, path, tuple(read.values()))


def _names(home: Path, files: Sequence[Path]) -> dict[Path, str]:
    """Names that can be imported, each another: a notebook's may hold blanks, or be that of a module beside it."""
    names: dict[Path, str] = {}
    for file in sorted(files, key=lambda file: file.suffix != ".py"):
        stem = file.stem if file.stem.isidentifier() else "submission"
        tried = (f"{stem}{number or ''}.py" for number in (0, *range(2, MOST_FILES + 2)))
        wanted = (str(file.relative_to(home).with_name(name)) for name in tried)
        names[file] = next(name for name in wanted if name not in names.values())
    return names


def _imported_files(
    home: Path, beside: Path | None, file: Path, read: Mapping[Path, SubmissionFile]
) -> Iterator[tuple[Path, Path]]:
    """Files that a file imports, each with the folder that its name is relative to."""
    resolved = home.resolve()
    above = [folder for folder in file.parents if folder.is_relative_to(home)]
    roots = [*above, *resolved.parents[:FOLDERS_ABOVE], *([beside] if beside else [])]
    for level, name in set(imported_names(read[file].tree)):
        # Python's own module is meant, and not a neighbour's file of that name, such as random.py
        if not level and name.partition(".")[0] in sys.stdlib_module_names:
            continue
        for root in roots if not level else file.parents[level - 1 : level]:
            places = list(_places(root, name))
            yield from ((place, home if place.is_relative_to(home) else root) for place in places)
            if places:
                break


def _places(root: Path, name: str) -> Iterator[Path]:
    """The files that hold a module, and the packages around it, in a folder."""
    *packages, last = [part for part in name.split(".") if part.isidentifier()] or [""]
    for depth in range(len(packages) + 1):
        inner = root.joinpath(*packages[:depth])
        following = [*packages, last][depth]
        for place in (inner / f"{following}.py", inner / following / "__init__.py"):
            if following and place.is_file():
                yield place


def _read_file(path: Path, name: str, shown: str) -> SubmissionFile:
    if not path.is_file():  # to read a FIFO would wait for ever
        return _unreadable(name, shown, "it is no file")
    try:
        if path.stat().st_size > LARGEST:
            return _unreadable(name, shown, f"it is too large to be homework ({path.stat().st_size:,} bytes)")
        code = notebook_code(path) if path.suffix == ".ipynb" else in_python_3(decoded(path))
        tree = ast.parse(code.text)
    except SyntaxError as error:
        at = f" (line {error.lineno})" if error.lineno else ""  # none, where it holds null bytes
        return _unreadable(name, shown, f"{error.msg}{at}")
    except (*UNREADABLE, OSError, KeyError, TypeError, AttributeError) as error:
        kind = "it is no notebook: " if path.suffix == ".ipynb" else ""
        return _unreadable(name, shown, f"{kind}{error_in_words(error)}")
    found = with_settings(tree, [*functions_in(tree), *class_functions_in(tree)])
    lines = dict(_definitions(tree))
    functions = (replace(each, file=name, line=lines.get(each.author_name, 0)) for each in found)
    return SubmissionFile(name, shown, code, tree, tuple(functions))


def _definitions(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """The names of functions, lambdas and methods, and the lines that they are defined at; the last one counts."""
    for node in tree.body:
        match node:
            case ast.FunctionDef(name=name) | ast.Assign(targets=[ast.Name(id=name)]):
                yield name, node.lineno
            case ast.ClassDef():
                yield from ((f"{node.name}.{name}", line) for name, line in _definitions(ast.Module(node.body, [])))


def _unreadable(name: str, shown: str, reason: str) -> SubmissionFile:
    return SubmissionFile(name, shown, error=doubt(Kind.NOT_READABLE, shown, reason=reason))
