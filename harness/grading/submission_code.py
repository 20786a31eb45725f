"""What of a submission's code is run: its definitions, with the constants of its file as parameters.

Imports, functions, classes and constants are kept. What a file does beyond that when it is run, such as to load data,
train, plot or ask for input, is blanked, so that lines keep their numbers.
"""

import ast
from collections.abc import Iterator, Sequence
from dataclasses import replace

from harness.grading.submission_functions import Function, role_of, roles_of, transformed

HARMLESS = {"np", "numpy", "math", "float", "int", "len", "range", "list", "tuple", "dict", "str", "abs", "round"}
"""What a constant may call: functions and modules that do nothing but compute."""

NOT_HARMLESS = {"load", "loadtxt", "genfromtxt", "fromfile", "save", "savetxt", "open"}

CONFIGURES = ("config.update", "set_default_dtype")
"""Calls that decide how everything is computed: JAX's and PyTorch's precision."""

MAY_FAIL = (ast.Import, ast.ImportFrom, ast.Assign, ast.AnnAssign)
"""Statements that may depend on something blanked or not installed, and fail without being needed."""

SUPPRESS = "with __import__('contextlib').suppress(Exception)"

SETTINGS = ("n_in", "n_hidden", "K", "l2")
"""Roles that constants may have; the parameter in the place of a constant has the same name."""


def definitions_only(text: str, tree: ast.Module) -> str:
    """The same lines, with everything blank that does more than define; what fails on the way is passed over."""
    lines = text.splitlines()
    for node in tree.body:
        first, last = node.lineno - 1, (node.end_lineno or node.lineno) - 1
        if not _defines(node):
            lines[first : last + 1] = ["pass", *[""] * (last - first)]
        elif isinstance(node, MAY_FAIL) and getattr(node, "module", "") != "__future__" and lines[first][:1].isalpha():
            is_guarded = lines[first].startswith("with ")  # by the statement before it on the same line
            lines[first] = lines[first] if is_guarded else f"{SUPPRESS}: {lines[first]}"
    return "\n".join([*lines, ""])


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


def imported_names(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """What may be a module that is imported, and how many dots stand before it."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from ((0, alias.name) for alias in names)
            case ast.ImportFrom(module=module, names=names, level=level):
                yield from ((level, f"{module or ''}.{alias.name}") for alias in names)  # of a package, or of a module


# -- constants as parameters -------------------------------------------------------------------------------------------


def with_constants(tree: ast.Module, functions: Sequence[Function]) -> list[Function]:
    """The functions; each that reads sizes or λ from constants of the file has a stand-in that sets them first.

    The value in the file is one of many: called on a problem with another λ, right code would be found wrong.
    """
    settings = dict(_settings(tree))
    read = _names_read(tree)
    return [_with_settings(function, settings, read.get(function.name, set())) for function in functions]


def _with_settings(function: Function, settings: dict[str, str], read: set[str]) -> Function:
    roles = roles_of(function)
    if roles is None or "problem" in roles or function.stand_in:
        return function
    taken = {*roles, *(SETTINGS[:3] if "sizes" in roles else ())}
    wanted = {name: role for name, role in settings.items() if name in read and role not in taken}
    if not wanted or len(set(wanted.values())) < len(wanted):  # of two constants for one role, either may be it
        return function
    needed, given = function.parameters[: function.required], function.parameters[function.required :]
    signature = ", ".join((*needed, *wanted.values(), *map("{}={!r}".format, given, function.defaults)))
    values = ", ".join(f"{name}={role}" for name, role in wanted.items())
    passed = ", ".join((*needed, *(f"{name}={name}" for name in given)))
    body = f"{function.name}.__globals__.update({values}); return {function.name}({passed})"
    name = f"{function.name}_by_constants"
    return replace(
        function,
        name=name,
        parameters=(*needed, *wanted.values(), *given),
        required=len(needed) + len(wanted),
        stand_in=f"def {name}({signature}): {body}",
        wraps=function.name,
        constants=tuple(wanted),
    )


def _settings(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Constants that are numbers, each with its role; those that are set twice are no constants."""
    found = [pair for node in tree.body if isinstance(node, ast.Assign) for pair in _assigned(node)]
    names = [name for name, _ in found]
    for name, value in found:
        role = {"y": "K"}.get(role_of(name) or "", role_of(name))  # LABELS = 10
        is_number = isinstance(value, ast.Constant) and type(value.value) in (int, float)
        if role in SETTINGS and names.count(name) == 1 and is_number:
            yield name, role


def _assigned(node: ast.Assign) -> Iterator[tuple[str, ast.expr]]:
    for target in node.targets:
        match target, node.value:
            case ast.Name(id=name), value:
                yield name, value
            case ast.Tuple(elts=targets), ast.Tuple(elts=values) if len(targets) == len(values):
                yield from ((one.id, value) for one, value in zip(targets, values) if isinstance(one, ast.Name))


def _names_read(tree: ast.Module) -> dict[str, set[str]]:
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
