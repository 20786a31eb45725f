"""The functions that a submission defines, and stand-ins for those that cannot be called by position.

A stand-in is Python text, such as ``def f_by_position(a, lam): return f(a, lam=lam)``. It passes names by keyword,
makes a bundle of arguments, calls what a closure returns, runs the forward pass first, or sets constants of the file.
Nothing is run here: all of it is read from the syntax tree.
"""

import ast
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from keyword import iskeyword
from typing import Any, NamedTuple

import numpy as np

from harness.grading.parameter_roles import (
    BLOCKS,
    OF_THETA,
    PARTS_OF_THETA,
    SIZES,
    Function,
    Signature,
    known_roles,
    named_roles,
    readings,
    role_of,
)
from harness.grading.submission_code import names_read, transformed

HANDED_OVER_WHOLE = ("sizes", "problem")
"""Roles of parameters that the harness fills with one object, so that nothing taken out of them is asked for."""

SETTINGS = (*SIZES, "l2", "m", "X", "y")
"""Roles of what a file or an object may set around a function; the parameter in its place has the same name."""


def functions_in(tree: ast.Module) -> Iterator[Function]:
    """The functions of a module, or stand-ins for them, and those of what a forward pass returns."""
    known: dict[str, Function] = {}
    everything: list[Function] = []
    made_of = {node.name: fields_of(node) for node in tree.body if isinstance(node, ast.ClassDef)}
    for node in tree.body:
        match node:
            case ast.FunctionDef():
                found = _defined(node, made_of)
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Lambda(args=arguments)):
                found = [function_of(name, signature_of(arguments))]
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if (source := transformed(value)) in known:
                found = [replace(known[source], name=name, wraps="")]  # a derivative takes what its function takes
            case _:
                continue
        known |= {function.author_name: function for function in found}
        everything += found
    forwards = [(function, _returned(tree, function.name)) for function in known.values() if _is_forward(function)]
    for function in everything:
        unknown = _unknown(function)
        is_named = any(set(unknown) <= set(returned) for _, returned in forwards if unknown)
        yield replace(function, needs_forward=is_named)
    yield from _after_forward(forwards, list(known.values()))


# -- signatures and stand-ins ------------------------------------------------------------------------------------------


def signature_of(arguments: ast.arguments, skipped: int = 0) -> Signature:
    """The signature, but for the first parameters."""
    positional = [argument.arg for argument in (*arguments.posonlyargs, *arguments.args)]
    defaults = [None] * (len(positional) - len(arguments.defaults)) + list(map(ast.unparse, arguments.defaults))
    by_name = zip(arguments.kwonlyargs, arguments.kw_defaults)
    return dict(list(zip(positional, defaults))[skipped:]) | {
        argument.arg: default and ast.unparse(default) for argument, default in by_name
    }


def passed_on(arguments: ast.arguments, skipped: int = 0) -> str:
    """The parameters as a function of the same ones passes them on: "a, lam=lam"."""
    by_name = {argument.arg for argument in arguments.kwonlyargs}
    return ", ".join(f"{name}={name}" if name in by_name else name for name in signature_of(arguments, skipped))


def fields_of(node: ast.ClassDef) -> Signature:
    """What a dataclass or a named tuple is made of; nothing for other classes."""
    made = " ".join(map(ast.unparse, (*node.decorator_list, *node.bases)))
    if "dataclass" not in made and "NamedTuple" not in made:
        return {}
    fields = [item for item in node.body if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)]
    return {ast.unparse(field.target): field.value and ast.unparse(field.value) for field in fields}


def _call(function: Function) -> str:
    """A call that passes all parameters by position."""
    return f"{function.name}({', '.join(function.parameters)})"


def function_of(name: str, signature: Signature) -> Function:
    """A function of that name, its required parameters first."""
    return Function(name, tuple(sorted(signature.items(), key=lambda item: item[1] is not None)))


def stand_in(name: str, signature: Signature, wraps: str, body: str) -> Function:
    """A function with the text that defines it."""
    plain = function_of(name, signature)
    taken = ", ".join(each if default is None else f"{each}={default}" for each, default in plain.signature)
    return replace(plain, stand_in=f"def {name}({taken}): {body}", wraps=wraps)


# -- one function: what is bundled is taken apart, and a closure is called ---------------------------------------------


class Argument(NamedTuple):
    """What a stand-in takes in place of a function's parameter, and the Python that makes the parameter of it."""

    taken: Signature
    made: str


def _defined(node: ast.FunctionDef, made_of: Mapping[str, Signature]) -> list[Function]:
    """A function under its own name, or a stand-in of plain parameters; one for each closure that it returns."""
    own = signature_of(node.args)
    by_name = {argument.arg for argument in node.args.kwonlyargs}
    signature: Signature = {}
    passed = []
    for name, default in own.items():
        argument = _of_fields(node, name, made_of) or _bundle_in(node, name) or Argument({name: default}, name)
        signature |= argument.taken
        passed.append(f"{name}={argument.made}" if name in by_name else argument.made)
    for star, parameter in (("*", node.args.vararg), ("**", node.args.kwarg)):
        if parameter and (bundle := _bundle_in(node, parameter.arg)):
            signature |= bundle.taken
            passed.append(star + bundle.made)
    call = f"{node.name}({', '.join(passed)})"
    if closures := _closures_in(node):
        return [
            stand_in(f"{name}_by_position", inner | signature, node.name, f"return {call}{place}({', '.join(inner)})")
            for name, place, inner in closures
        ]
    if call == f"{node.name}({', '.join(own)})":
        return [function_of(node.name, own)]
    return [stand_in(f"{node.name}_by_position", signature, node.name, f"return {call}")]


def _of_fields(node: ast.FunctionDef, name: str, made_of: Mapping[str, Signature]) -> Argument | None:
    """The fields of a dataclass of sizes or data, for a parameter that is annotated with it."""
    annotated = {each.arg: each.annotation for each in ast.walk(node.args) if isinstance(each, ast.arg)}
    kind = ast.unparse(annotation).strip("'") if (annotation := annotated[name]) else ""
    fields = made_of.get(kind, {})
    return Argument(fields, f"{kind}({', '.join(fields)})") if _holds_data(fields) else None


def _holds_data(names: Iterable[str]) -> bool:
    """Whether any of some names is that of a size, λ or data, and not of a part of θ."""
    return bool(set(map(role_of, names)) - {None, *PARTS_OF_THETA})


def _bundle_in(node: ast.FunctionDef, name: str) -> Argument | None:
    """What a function takes out of a parameter such as ``args`` or ``options``.

    None for a parameter that is used as a whole, or that holds sizes or parts of θ alone.
    """
    items = dict(_taken_out(node, name))
    names, kinds, keys = list(items.values()), {kind for kind, _ in items}, [key for _, key in items]
    if role_of(name) in HANDED_OVER_WHOLE or not _holds_data(names) or not all(map(str.isidentifier, names)):
        return None
    taken: Signature = dict.fromkeys(names)
    # without a gap; one place alone may be an index of an array
    if kinds == {"place"} and len(items) > 1 and sorted(keys) == [*range(len(items))]:
        return Argument(taken, f"({', '.join(items[key] for key in sorted(items))})")
    if kinds == {"key"}:
        return Argument(taken, f"{{{', '.join(f'{key!r}: {item}' for key, item in zip(keys, names))}}}")
    if kinds == {"attribute"} and not any(hasattr(np.ndarray, item) for item in names):
        return Argument(taken, f"__import__('types').SimpleNamespace({', '.join(f'{item}={item}' for item in names)})")
    return None


def _taken_out(node: ast.FunctionDef, name: str) -> Iterator[tuple[tuple[str, Any], str]]:
    """Each place of a tuple, key of a dictionary or attribute that is read of a parameter, and a name for its value."""
    for inner in ast.walk(node):
        match inner:
            case ast.Assign(targets=[ast.Tuple(elts=targets)], value=value) if (first := _first(value, name)) >= 0:
                named = ((place, one.id) for place, one in enumerate(targets, first) if isinstance(one, ast.Name))
                yield from ((("place", place), target) for place, target in named)
            case ast.Assign():
                for target, value in assigned(inner):
                    match value:
                        case ast.Subscript(ast.Name(id=source), ast.Constant(value=int() as place)) if source == name:
                            yield ("place", place), target
            case ast.Subscript(ast.Name(id=source), ast.Constant(value=str() as key)) | ast.Call(
                ast.Attribute(ast.Name(id=source), "get"), [ast.Constant(value=str() as key), *_]
            ) if source == name:
                yield ("key", key), f"{key}_" if iskeyword(key) else key
            case ast.Attribute(ast.Name(id=source), attribute) if source == name and attribute != "get":
                yield ("attribute", attribute), attribute


def _first(value: ast.expr, name: str) -> int:
    """The place from which a tuple is taken apart: 0 for ``args``, 3 for ``args[3:]``; -1 for something else."""
    match value:
        case ast.Name(id=source) | ast.Subscript(ast.Name(id=source), ast.Slice(lower=None)) if source == name:
            return 0
        case ast.Subscript(ast.Name(id=source), ast.Slice(lower=ast.Constant(value=int() as first))) if source == name:
            return first
    return -1


def assigned(node: ast.Assign) -> Iterator[tuple[str, ast.expr]]:
    """The names that a statement sets, each with its value."""
    for target in node.targets:
        match target, node.value:
            case ast.Name(id=name), value:
                yield name, value
            case ast.Tuple(elts=targets), ast.Tuple(elts=values) if len(targets) == len(values):
                yield from ((one.id, value) for one, value in zip(targets, values) if isinstance(one, ast.Name))
            case ast.Tuple(elts=targets), value:  # X, y = load_data()
                yield from ((one.id, value) for one in targets if isinstance(one, ast.Name))


def _closures_in(node: ast.FunctionDef) -> list[tuple[str, str, Signature]]:
    """The functions inside that ``def make_cost(X, y): ...`` returns: names, places in a tuple, and signatures."""
    inner = {each.name: signature_of(each.args) for each in node.body if isinstance(each, ast.FunctionDef)}
    match node.body[-1]:
        case ast.Return(value=ast.Lambda(args=arguments)):
            return [(node.name, "", signature_of(arguments))]
        case ast.Return(value=ast.Name(id=name)) if name in inner:
            return [(node.name, "", inner[name])]
        case ast.Return(value=ast.Tuple(elts=elements)):
            named = [(place, one.id) for place, one in enumerate(elements) if isinstance(one, ast.Name)]
            return [(f"{name}_of_{node.name}", f"[{place}]", inner[name]) for place, name in named if name in inner]
    return []


# -- the forward pass first --------------------------------------------------------------------------------------------


def _unknown(function: Function) -> list[str]:
    """The parameters that are no θ, X or y by their names: h in ``cost(h, y)`` is what another function returns."""
    required = zip(function.parameters[: function.required], known_roles(function))
    return [name for name, role in required if role is None and role_of(name) is None]


def _after_forward(
    forwards: Sequence[tuple[Function, Sequence[str]]], functions: Sequence[Function]
) -> Iterator[Function]:
    """Stand-ins for functions of what a forward pass returns, such as ``cost(h, y)``; each runs that pass first."""
    for function in functions:
        unknown = _unknown(function)
        for forward, returned in forwards if unknown else ():
            if values := _names_for(returned, unknown):
                needed = forward.parameters[: forward.required]
                # the W1 of ``cost(A2, Y, W1, W2, lam)`` lies in the dictionary that the forward pass takes
                theta = next((name for name in needed if role_of(name) == "theta"), "")
                parts = [name for name in function.parameters if theta and _is_part_of_theta(name)]
                own = {name: default for name, default in function.signature if name not in (*unknown, *needed, *parts)}
                taken = "".join(f"{name} = {theta}[{name!r}]; " for name in parts)
                body = f"{', '.join(values)} = {forward.name}({', '.join(needed)}); {taken}return {_call(function)}"
                name = f"{function.name}_after_{forward.name}"
                yield stand_in(name, dict.fromkeys(needed) | own, function.name, body)
                break


def _is_part_of_theta(name: str) -> bool:
    """Whether a parameter is one of the arrays that θ consists of, such as W1 or b2."""
    return name.lower() in map(str.lower, BLOCKS) or role_of(name) in ("theta1", "theta2")


def _is_forward(function: Function) -> bool:
    """Whether a function takes θ and X, no labels, and nothing unknown."""
    known = set(known_roles(function)[: function.required])
    return "X" in known and not {"y", None} & known and any(set(needed) <= known for needed in OF_THETA)


def _returned(tree: ast.Module, name: str) -> list[str]:
    """The names of what a function returns at its end, empty for what has none; a dictionary or a tuple is a cache."""
    defined = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == name]
    returns = [node.value for last in defined[-1:] for node in ast.walk(last) if isinstance(node, ast.Return)]
    if not returns or returns[-1] is None:
        return []
    items = returns[-1].elts if isinstance(returns[-1], ast.Tuple) else [returns[-1]]
    is_cache = [isinstance(item, (ast.Dict, ast.Tuple, ast.List)) for item in items]
    return [item.id if isinstance(item, ast.Name) else "cache" * cache for item, cache in zip(items, is_cache)]


def _names_for(returned: Sequence[str], unknown: Sequence[str]) -> list[str]:
    """The names for what a forward pass returns, so that all unknown parameters are among them; or none.

    What it returns without a name, or one thing under another name, is what the parameter without a match takes.
    """
    missing = [name for name in unknown if name not in returned]
    others = [place for place, name in enumerate(returned) if name not in unknown]
    places = [place for place in others if not returned[place]]
    if len(missing) == 1 and len(places) != 1:
        # ``return z2, a2, a3`` before ``cost(h, y)``: the output comes last
        places = [place for place in others if "cache" not in returned[place]][-1:]
    if missing and len(places) != len(missing):
        return []
    named = dict(zip(places, missing))
    return [named.get(place) or name or f"returned_{place}" for place, name in enumerate(returned)]


# -- what a file sets as parameters ------------------------------------------------------------------------------------


def with_settings(tree: ast.Module, functions: Sequence[Function]) -> list[Function]:
    """The functions; each that reads sizes, λ or data from names of the file has a stand-in that sets them first.

    The value in the file is one of many: called on a problem with another λ, right code would be found wrong.
    """
    settings = dict(_settings(tree))
    read = names_read(tree)
    return [_with_settings(function, settings, read.get(function.name, set())) for function in functions]


def _with_settings(function: Function, settings: Mapping[str, str], read: set[str]) -> Function:
    """The function, or a stand-in where it reads settings that no parameter brings, and takes what homework takes."""
    roles = next(readings(function), None) or known_roles(function)
    if "problem" in roles or function.stand_in:
        return function
    brought = {*named_roles(roles), *(SIZES if "sizes" in roles else ())}
    wanted = {name: role for name, role in settings.items() if name in read and role not in brought}
    # of ``LAMBDA = 1`` and ``alpha = 0.5``, either may be λ
    if list(wanted.values()).count("l2") > 1:
        wanted = {name: role for name, role in wanted.items() if role != "l2"}
    if not wanted:
        return function
    values = ", ".join(f"{name}={role}" for name, role in wanted.items())
    signature = dict(function.signature) | dict.fromkeys(wanted.values())
    body = f"{function.name}.__globals__.update({values}); return {_call(function)}"
    made = replace(stand_in(f"{function.name}_by_constants", signature, function.name, body), constants=tuple(wanted))
    return made if next(readings(made), None) else function


def _settings(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """The names that a file sets, each with the role that it has."""
    for node in tree.body:
        for name, value in assigned(node) if isinstance(node, ast.Assign) else ():
            if (role := _role_of_setting(name, value)) in SETTINGS:
                yield name, role


def _role_of_setting(name: str, value: ast.expr) -> str | None:
    """The role of a name that a file sets; None for arrays by names such as `data`, which may hold anything."""
    role, is_number = role_of(name), isinstance(value, ast.Constant) and type(value.value) in (int, float)
    if role == "y" and is_number:  # ``LABELS = 10`` is a number of classes
        return "K"
    is_array = not is_number and name[0] in "XxYy"
    return role if role not in ("X", "y") or is_array else None
