"""Submissions as they lie in a folder: Python files, notebooks, and folders of files. Nothing here runs them."""

import ast
import codecs
import io
import json
import re
import tokenize
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.facts.fact import Fact, doubt, note
from harness.facts.kinds import Kind
from harness.grading.submission_code import definitions_only, imported_names, with_constants
from harness.grading.submission_functions import Function, functions_in, likelihood, roles_of
from reference.user_input import error_in_words

CODE = (".py", ".ipynb")

DATA = (".mat", ".npz", ".npy", ".csv", ".txt")

LARGEST = 2_000_000
"""Bytes of a file that is still read as homework: a notebook with pictures has some hundred thousand."""

UNREADABLE = (SyntaxError, ValueError, RecursionError, MemoryError)
"""What parsing raises for text that is not Python."""


@dataclass(frozen=True)
class Submission:
    """What somebody handed in.

    Attributes
    ----------
    name, path : of the file or folder
    home : the folder that its files lie in
    main : the name of the file whose functions are called
    texts, whole : (name, code) of every file: its definitions alone, and all of it
    functions : what the main file defines
    error : why it cannot be read
    notes : what was left out of it
    cells : for a notebook, (first line, cell number) of each code cell
    """

    name: str
    path: Path
    home: Path = Path()
    main: str = ""
    texts: tuple[tuple[str, str], ...] = ()
    whole: tuple[tuple[str, str], ...] = ()
    functions: tuple[Function, ...] = ()
    error: Fact | None = None
    notes: tuple[Fact, ...] = ()
    cells: tuple[tuple[int, int], ...] = ()

    @property
    def names_float32(self) -> bool:
        """Whether its code names single precision."""
        return any(re.search(r"float32|\bsingle\b|['\"]f4['\"]", text) for _, text in self.texts)

    def place(self, line: int) -> str:
        """A line as its author counts it: in a file, or in a cell of a notebook."""
        cell = [(first, number) for first, number in self.cells if first <= line]
        return f"cell {cell[-1][1]}, line {line - cell[-1][0] + 1}" if cell else f"line {line}"


def find_submissions(folder: str | Path) -> list[Submission]:
    """The submissions in a folder, by name: each .py or .ipynb file, and each folder that holds one.

    Raises
    ------
    OSError, ValueError
        There is no folder, or no submission in it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is not a folder; give one that holds submissions (.py or .ipynb files)")
    read = map(read_submission, _entries(folder))
    found = [submission for submission in read if submission is not None]
    # a module that another submission imports is none itself, unless it holds a homework's function
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
    """The names of entries of a folder that are neither submissions nor data."""
    return [path.name for path in _entries(folder) if path.suffix not in DATA and read_submission(path) is None]


def _entries(folder: str | Path) -> list[Path]:
    return [path for path in sorted(Path(folder).iterdir()) if not path.name.startswith((".", "_"))]


def read_submission(path: Path) -> Submission | None:
    """The submission in a file or folder; None where there is no code."""
    home = _innermost(path) if path.is_dir() else path.parent
    files = [file for file in (sorted(home.iterdir()) if path.is_dir() else [path]) if file.suffix in CODE]
    if not files:
        return None
    read = {file: _read_file(file) for file in files}
    main = max(files, key=lambda file: (read[file].likelihood, file.suffix == ".py"))
    waiting = list(files)
    while waiting:  # for modules that it imports from beside it, such as the course's utils.py
        for file in _imported_files(home, waiting.pop(), read):
            read[file] = _read_file(file)
            waiting.append(file)
    # a name that cannot be imported, such as that of a notebook with blanks, is replaced
    stems = {file: file.stem if file.stem.isidentifier() else "submission" for file in read}
    names = {file: str(file.relative_to(home).with_name(f"{stem}.py")) for file, stem in stems.items()}
    return Submission(
        name=path.name,
        path=path,
        home=home,
        main=names[main],
        texts=tuple((names[file], read[file].definitions) for file in read),
        whole=tuple((names[file], read[file].text) for file in read),
        functions=read[main].functions,
        error=read[main].error,
        notes=read[main].notes,
        cells=read[main].cells,
    )


def _innermost(folder: Path) -> Path:
    """The folder; or the one folder in it where it holds no code, as archives unpack to."""
    while not any(file.suffix in CODE for file in folder.iterdir()):
        folders = [inner for inner in _entries(folder) if inner.is_dir() and not inner.is_symlink()]
        if len(folders) != 1:
            break
        (folder,) = folders
    return folder


def _imported_files(home: Path, file: Path, read: Mapping[Path, "_File"]) -> Iterator[Path]:
    """Files not yet read that a file imports, of those beside it and in packages there."""
    for level, name in read[file].imports:
        start = home if not level else next(iter(file.parents[level - 1 :]), None)
        if start is None or not start.is_relative_to(home):  # more dots than folders
            continue
        parts = [part for part in name.split(".") if part]
        inner = [start.joinpath(*parts[:depth]) for depth in range(len(parts) + 1)]
        for found in (*(folder.with_suffix(".py") for folder in inner[1:]), *(f / "__init__.py" for f in inner)):
            if found not in read and found != home / "__init__.py" and found.is_file():
                yield found


@dataclass(frozen=True)
class _File:
    """One file, read."""

    text: str = ""
    definitions: str = ""
    functions: tuple[Function, ...] = ()
    error: Fact | None = None
    notes: tuple[Fact, ...] = ()
    cells: tuple[tuple[int, int], ...] = ()
    imports: frozenset[tuple[int, str]] = frozenset()

    @property
    def likelihood(self) -> int:
        """How likely this is the file with the homework's function."""
        return max(map(likelihood, self.functions), default=-1)


def _read_file(path: Path) -> _File:
    if not path.is_file():  # to read a FIFO would wait for ever
        return _unreadable(path, "it is no file")
    try:
        if path.stat().st_size > LARGEST:
            return _unreadable(path, f"it is too large to be homework ({path.stat().st_size:,} bytes)")
        text, cells, notes = _read_notebook(path) if path.suffix == ".ipynb" else (_decoded(path), (), ())
        tree = ast.parse(text)
    except SyntaxError as error:
        at = f" (line {error.lineno})" if error.lineno else ""  # none, where it holds null bytes
        return _unreadable(path, f"it is not valid Python: {error.msg}{at}")
    except (*UNREADABLE, OSError, KeyError, TypeError, AttributeError) as error:
        return _unreadable(path, error_in_words(error))
    functions = with_constants(tree, list(functions_in(tree)))
    stand_ins = "".join(f"{function.stand_in}\n" for function in functions if function.stand_in)
    return _File(
        text=f"{text}\n{stand_ins}",
        definitions=definitions_only(text, tree) + stand_ins,
        functions=tuple(functions),
        notes=notes,
        cells=cells,
        imports=frozenset(imported_names(tree)),
    )


def _unreadable(path: Path, reason: str) -> _File:
    return _File(error=doubt(Kind.NOT_READABLE, path.name, reason=reason))


def _decoded(path: Path) -> str:
    content = path.read_bytes()
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):  # "Unicode", as some editors of Windows call it
        return content.decode("utf-16")
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(content).readline)
        return content.decode(encoding).lstrip("\ufeff")
    except (SyntaxError, UnicodeDecodeError, LookupError):
        return content.decode("latin-1")


def _read_notebook(path: Path) -> tuple[str, tuple[tuple[int, int], ...], tuple[Fact, ...]]:
    """The code cells of a notebook one after the other, where each starts, and which were left out."""
    document = json.loads(path.read_text(encoding="utf-8"))
    cells = document["cells"] if "cells" in document else document["worksheets"][0]["cells"]
    lines: list[str] = []
    starts: list[tuple[int, int]] = []
    notes: list[Fact] = []
    for number, cell in enumerate(cells, start=1):
        if cell["cell_type"] != "code":
            continue
        source = cell.get("source", cell.get("input", ""))
        code = source if isinstance(source, str) else "".join(source)
        own = ["pass" if _is_ipython(line.strip()) else line for line in code.splitlines()]
        try:
            ast.parse("\n".join(own))
        except UNREADABLE as error:
            is_syntax = isinstance(error, SyntaxError)
            reason = f"{error.msg} (line {error.lineno})" if is_syntax else type(error).__name__
            notes.append(note(Kind.CELL_LEFT_OUT, cell=number, reason=reason))
        else:
            starts.append((len(lines) + 1, number))
            lines += own
    return "\n".join(lines), tuple(starts), tuple(notes)


def _is_ipython(line: str) -> bool:
    """Whether a line of a cell is for the notebook and not for Python: a magic, a shell's, or a question for help."""
    return line.startswith(("%", "!", "?")) or (line.endswith("?") and "#" not in line)
