"""What a submission's functions and methods take, and which of them is likely the one that is asked for."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

NO_LITERAL = ...
"""Stands for a default whose value is known only when the code is run."""


@dataclass(frozen=True)
class Function:
    """A function that a submission defines: its name and its positional parameters, of which some have defaults.

    `defaults` are those, or `NO_LITERAL`; `stand_in` is the line that defines it, where the submission
    itself does not: it calls what takes its arguments by name, or a method of an object that it makes.
    """

    name: str
    parameters: tuple[str, ...]
    required: int
    takes_more: bool = False  # *args
    defaults: tuple[Any, ...] = ()
    stand_in: str = ""


def worth(function: Function) -> int:
    """How likely a function is the one that is asked for, from its name and the number of its parameters."""
    name = function.name.lower().replace("_", "")
    likely = [word for word in ("cost", "backprop", "grad", "nn", "loss", "network") if word in name]
    unlikely = any(word in name for word in ("sigmoid", "numerical", "check", "test", "plot", "debug", "compute_num"))
    return 3 * len(likely) + 2 * (len(function.parameters) >= 4) + 4 * (len(function.parameters) == 7) - 20 * unlikely


def functions_in(tree: ast.Module) -> Iterator[Function]:
    """What can be called by position: functions, and stand-ins for keyword-only parameters and for methods."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            yield _function(node)
        elif isinstance(node, ast.ClassDef):
            yield from _methods(node)


def _function(node: ast.FunctionDef) -> Function:
    arguments = _Arguments(node.args)
    if node.args.kwonlyargs:
        return arguments.stand_in(f"{node.name}_by_position", f"{node.name}({arguments.passed})")
    return arguments.function(node.name)


def _methods(node: ast.ClassDef) -> Iterator[Function]:
    """The public methods of a class, each called of an object that is made for it."""
    methods = [method for method in node.body if isinstance(method, ast.FunctionDef)]
    made = next((_Arguments(method.args, skipped=1) for method in methods if method.name == "__init__"), _Arguments())
    for method in methods:
        decorators = {ast.unparse(decorator) for decorator in method.decorator_list}
        if method.name.startswith("_") or decorators - {"staticmethod", "classmethod"}:
            continue
        own = _Arguments(method.args, skipped="staticmethod" not in decorators)
        of_object = _Arguments() if decorators else made
        instance = node.name if decorators else f"{node.name}({made.passed})"
        both = of_object.joined(own)
        yield both.stand_in(f"{method.name}_of_{node.name}", f"{instance}.{method.name}({own.passed})")


class _Arguments:
    """The parameters of a function, each with its default as text, or None; those without come first."""

    def __init__(self, arguments: ast.arguments | None = None, skipped: int = 0):
        self.of: dict[str, str | None] = {}
        self.by_name: set[str] = set()
        self.takes_more = False
        if arguments is None:
            return
        positional = [argument.arg for argument in (*arguments.posonlyargs, *arguments.args)]
        defaults = [None] * (len(positional) - len(arguments.defaults)) + list(map(ast.unparse, arguments.defaults))
        self.of = dict(list(zip(positional, defaults))[skipped:])
        by_name = zip(arguments.kwonlyargs, arguments.kw_defaults)
        self.of |= {argument.arg: default and ast.unparse(default) for argument, default in by_name}
        self.by_name = {argument.arg for argument in arguments.kwonlyargs}
        self.takes_more = arguments.vararg is not None

    @property
    def passed(self) -> str:
        """All of them, as they are handed on by a function that has the same parameters."""
        return ", ".join(f"{name}={name}" if name in self.by_name else name for name in self.of)

    def joined(self, other: "_Arguments") -> "_Arguments":
        both = _Arguments()
        both.of = other.of | self.of
        return both

    def function(self, name: str, stand_in: str = "") -> Function:
        ordered = sorted(self.of, key=lambda parameter: self.of[parameter] is not None)
        given = [default for parameter in ordered if (default := self.of[parameter]) is not None]
        required = len(ordered) - len(given)
        return Function(name, tuple(ordered), required, self.takes_more, tuple(map(_literal, given)), stand_in)

    def stand_in(self, name: str, call: str) -> Function:
        plain = self.function(name)
        signature = ", ".join(p if self.of[p] is None else f"{p}={self.of[p]}" for p in plain.parameters)
        return self.function(name, f"def {name}({signature}): return {call}")


def _literal(default: str) -> Any:
    try:
        return ast.literal_eval(default)
    except (ValueError, SyntaxError):
        return NO_LITERAL
