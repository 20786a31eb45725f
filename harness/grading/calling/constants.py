"""Sizes and λ that a submission reads from constants of its file, as INPUT = 400 and LAMBDA = 1, as parameters."""

import ast
from collections.abc import Iterator, Sequence
from dataclasses import replace

from harness.grading.calling.conventions import role_of, roles_of
from harness.grading.calling.signatures import Function

SETTINGS = ("n_in", "n_hidden", "K", "l2")
"""What a constant may hold, and what the parameter in its place is called."""


def with_constants(tree: ast.Module, functions: Sequence[Function]) -> list[Function]:
    """The functions, each that reads such constants replaced by one that sets them first.

    The file's own value is one of many: asked with another λ, what is right for it would be called wrong.
    """
    settings = dict(_settings(tree))
    read = _read_by(tree)
    return [_setting(function, settings, read.get(function.name, set())) for function in functions]


def _setting(function: Function, settings: dict[str, str], read: set[str]) -> Function:
    roles = roles_of(function)
    if roles is None or "problem" in roles or function.stand_in:
        return function
    taken = {*roles, *(SETTINGS[:3] if "sizes" in roles else ())}
    wanted = {name: role for name, role in settings.items() if name in read and role not in taken}
    if not wanted or len(set(wanted.values())) < len(wanted):  # of two for one thing, neither is known to be it
        return function
    needed, given = function.parameters[: function.required], function.parameters[function.required :]
    parameters = (*needed, *wanted.values(), *given)
    signature = ", ".join((*needed, *wanted.values(), *map("{}={!r}".format, given, function.defaults)))
    values = ", ".join(f"{name}={role}" for name, role in wanted.items())
    passed = ", ".join((*needed, *(f"{name}={name}" for name in given)))
    body = f"{function.name}.__globals__.update({values}); return {function.name}({passed})"
    name = f"{function.name}_by_constants"
    return replace(
        function,
        name=name,
        parameters=parameters,
        required=len(needed) + len(wanted),
        stand_in=f"def {name}({signature}): {body}",
        calls=function.name,
        constants=tuple(wanted),
    )


def _settings(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """The constants that are numbers, and what they hold by their names; of one that is set twice, nothing is known."""
    found = [pair for node in tree.body if isinstance(node, ast.Assign) for pair in _assigned(node)]
    names = [name for name, _ in found]
    for name, value in found:
        role = {"y": "K"}.get(role_of(name) or "", role_of(name))  # LABELS = 10
        if role in SETTINGS and names.count(name) == 1 and _is_number(value):
            yield name, role


def _assigned(node: ast.Assign) -> Iterator[tuple[str, ast.expr]]:
    for target in node.targets:
        match target, node.value:
            case ast.Name(id=name), value:
                yield name, value
            case ast.Tuple(elts=targets), ast.Tuple(elts=values) if len(targets) == len(values):
                yield from ((one.id, value) for one, value in zip(targets, values) if isinstance(one, ast.Name))


def _is_number(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and type(value.value) in (int, float)


def _read_by(tree: ast.Module) -> dict[str, set[str]]:
    """What each function reads that is none of its own variables, by itself and in the functions that it calls."""
    read = {node.name: _free(node) for node in tree.body if isinstance(node, ast.FunctionDef)}
    for _ in read:
        read = {name: names.union(*(read[other] for other in names & read.keys())) for name, names in read.items()}
    return read


def _free(function: ast.FunctionDef) -> set[str]:
    nodes = list(ast.walk(function))
    names = [node for node in nodes if isinstance(node, ast.Name)]
    own = {node.arg for node in nodes if isinstance(node, ast.arg)}
    own |= {name.id for name in names if isinstance(name.ctx, ast.Store)}
    return {name.id for name in names if isinstance(name.ctx, ast.Load)} - own
