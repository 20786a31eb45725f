"""The code in files and notebooks, as text that Python 3 can parse."""

import ast
import codecs
import io
import json
import re
import tokenize
from contextlib import suppress
from functools import reduce
from pathlib import Path
from typing import NamedTuple

from harness.facts.fact import Fact, note
from harness.facts.kinds import Kind

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
    """Code that can be parsed, as a `SubmissionFile` keeps it."""

    text: str
    is_python_2: bool = False
    cells: tuple[tuple[int, int], ...] = ()
    notes: tuple[Fact, ...] = ()


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
