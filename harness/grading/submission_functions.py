"""The functions and methods that a submission defines, and stand-ins for those that cannot be called by themselves.

Nothing is run: all of it is read from the syntax tree.
"""

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from keyword import iskeyword
from typing import Any, NamedTuple

import numpy as np

from harness.grading.parameter_roles import NO_LITERAL, OF_THETA, PARTS_OF_THETA, known_roles, role_of

TRANSFORMS = {"grad", "value_and_grad", "elementwise_grad", "jit"}
"""JAX's and autograd's transforms that return a function of the same parameters."""

UNLIKELY = ("sigmoid", "numerical", "check", "test", "plot", "debug", "train", "descent", "update", "sgd", "predict")
"""Parts of names of functions that are certainly not the homework's cost function."""


HANDED_OVER_WHOLE = ("sizes", "problem")
"""Roles of parameters that the harness fills with one object, so that nothing taken out of them is asked for."""


@dataclass(frozen=True)
class Function:
    """A function that a submission defines.

    Attributes
    ----------
    name : the name under which it is called
    parameters : positional parameters; those after the first `required` have `defaults`
    defaults : values, or `NO_LITERAL`
    stand_in : Python that defines it where the submission does not: a wrapper that passes parameters by name,
        makes an object and calls its method, runs the forward pass first, or sets constants
    file, line : the module's file that defines it, and the line there
    wraps : the function or method that a stand-in calls, such as "Net.loss"
    constants : the file's constants that a stand-in sets
    """

    name: str
    parameters: tuple[str, ...]
    required: int
    defaults: tuple[Any, ...] = ()
    stand_in: str = ""
    wraps: str = ""
    constants: tuple[str, ...] = ()
    file: str = ""
    line: int = 0

    @property
    def arguments(self) -> "Arguments":
        """The parameters with their defaults as text."""
        return Arguments(
            dict.fromkeys(self.parameters[: self.required])
            | dict(zip(self.parameters[self.required :], map(repr, self.defaults)))
        )

    @property
    def author_name(self) -> str:
        """The name that its author gave it, such as "loss" or "Net.loss"."""
        return self.wraps or self.name

    def __str__(self) -> str:
        return f"{self.author_name}({', '.join(self.parameters)})"


def likelihood(function: Function) -> int:
    """How likely a function is the homework's cost function; below zero for what certainly is not.

    It decides which functions are tried, and in what order. A name such as "cost" counts more than four parameters, and
    the course's seven parameters more than one such name.
    """
    name = function.name.lower().replace("_", "")
    likely = [word for word in ("cost", "backprop", "grad", "nn", "loss", "network") if word in name]
    unlikely = name.startswith("fit") or any(word in name for word in UNLIKELY)
    return 3 * len(likely) + 2 * (len(function.parameters) >= 4) + 4 * (len(function.parameters) == 7) - 20 * unlikely


def functions_in(tree: ast.Module) -> Iterator[Function]:
    """Functions that can be called by position, with stand-ins for keyword-only parameters and for methods."""
    known: dict[str, Function] = {}
    made_of = {node.name: fields_of(node) for node in tree.body if isinstance(node, ast.ClassDef)}
    for node in tree.body:
        match node:
            case ast.FunctionDef():
                function = _function(node, made_of)
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Lambda(args=arguments)):
                function = Arguments.of(arguments).function(name)
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if (source := transformed(value)) in known:
                function = replace(known[source], name=name, wraps="")  # a derivative takes what its function takes
            case _:
                continue
        known[function.author_name] = function
        yield function
    yield from _after_forward(tree, list(known.values()))


def _after_forward(tree: ast.Module, functions: Sequence[Function]) -> Iterator[Function]:
    """Stand-ins for functions of what a forward pass returns, such as ``cost(h, y)``; each runs that pass first."""
    forwards = [(function, _returned(tree, function.name)) for function in functions if _is_forward(function)]
    for function in functions:
        # h in ``cost(h, y)`` is no θ, X or y: it is what another function returns
        unknown = [name for name in function.parameters[: function.required] if role_of(name) is None]
        for forward, returned in forwards if unknown else ():
            if values := _matched(unknown, returned):
                yield _chained(forward, values, function, unknown)
                break


def _matched(unknown: Sequence[str], returned: Sequence[str]) -> list[str]:
    """The names for what a forward pass returns, so that all unknown parameters are among them; or none.

    What it returns without a name, or one thing under another name, is what the parameter without a match takes.
    """
    names = list(returned)
    left = [name for name in unknown if name not in names]
    free = [place for place, name in enumerate(names) if name not in unknown]
    unnamed = [place for place in free if not names[place]]
    if len(unnamed) == len(left):
        places = unnamed
    elif len(left) == 1:
        # ``return z2, a2, a3`` before ``cost(h, y)``: the output comes last
        places = [place for place in free if "cache" not in names[place]][-1:]
    else:
        places = []
    if len(places) != len(left):
        return []
    for place, name in zip(places, left):
        names[place] = name
    return [name or f"returned_{place}" for place, name in enumerate(names)]


def _chained(forward: Function, values: Sequence[str], function: Function, unknown: Sequence[str]) -> Function:
    """A stand-in that runs the forward pass, and then the function of what it returned."""
    needed = dict.fromkeys(forward.parameters[: forward.required])
    own = function.arguments.defaults.items()
    taken = Arguments(needed | {name: default for name, default in own if name not in (*unknown, *needed)})
    passed = ", ".join(function.parameters)
    body = f"{', '.join(values)} = {forward.name}({', '.join(needed)}); return {function.name}({passed})"
    return taken.stand_in(f"{function.name}_after_{forward.name}", function.name, body)


def _is_forward(function: Function) -> bool:
    """Whether a function takes θ and X, and no labels."""
    known = known_roles(function)[: function.required]
    has_theta = any(set(needed) <= set(known) for needed in OF_THETA)
    return has_theta and "X" in known and "y" not in known and None not in known


def _returned(tree: ast.Module, name: str) -> list[str]:
    """The names of what a function returns at its end, empty for what has none."""
    (*_, function) = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == name] or [None]
    returns = [node.value for node in ast.walk(function) if isinstance(node, ast.Return)] if function else []
    if not returns or returns[-1] is None:
        return []
    items = returns[-1].elts if isinstance(returns[-1], ast.Tuple) else [returns[-1]]
    return [item.id if isinstance(item, ast.Name) else "" for item in items]


def transformed(node: ast.expr) -> str | None:
    """The function that transforms are applied to: "cost" in ``jit(grad(cost))``; None for other expressions."""
    match node:
        case ast.Call(func=ast.Name(id=by) | ast.Attribute(attr=by), args=[function, *_]) if by in TRANSFORMS:
            return transformed(function)
        case ast.Name(id=name):
            return name
    return None


def fields_of(node: ast.ClassDef) -> "Arguments":
    """What a dataclass or a named tuple is made of; nothing for other classes."""
    made = " ".join(map(ast.unparse, (*node.decorator_list, *node.bases)))
    if "dataclass" not in made and "NamedTuple" not in made:
        return NOTHING
    fields = [item for item in node.body if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)]
    return Arguments({ast.unparse(field.target): field.value and ast.unparse(field.value) for field in fields})


def _function(node: ast.FunctionDef, made_of: "Mapping[str, Arguments]") -> Function:
    """A function under its own name, or a stand-in of plain parameters.

    The stand-in takes apart what is bundled: fields of a dataclass, ``*args``, ``params["W1"]``, keyword-only names.
    """
    own = Arguments.of(node.args)
    stars = {argument.arg: star for argument, star in ((node.args.vararg, "*"), (node.args.kwarg, "**")) if argument}
    annotated = [one for one in ast.walk(node.args) if isinstance(one, ast.arg) and one.annotation]
    types = {one.arg: ast.unparse(one.annotation).strip("'") for one in annotated if one.annotation}
    parameters, passed = NOTHING, []
    for name in (*own.defaults, *stars):
        # a parameter that is annotated with a dataclass of sizes or data is made of its fields
        fields = made_of.get(types.get(name, ""), NOTHING)
        if {role_of(field) for field in fields.defaults} - {None, *PARTS_OF_THETA}:
            parameters = parameters.joined(fields)
            passed.append(f"{f'{name}=' if name in own.by_name else ''}{types[name]}({fields.passed})")
        elif items := _bundled(node, name):
            parameters = parameters.joined(Arguments(dict.fromkeys(items.values())))
            passed.append(stars.get(name, "") + _bundle(items))
        elif name in own.defaults:
            parameters = parameters.joined(Arguments({name: own.defaults[name]}))
            passed.append(f"{name}={name}" if name in own.by_name else name)
    call = f"{node.name}({', '.join(passed)})"
    # ``make_cost(X, y)(theta)``
    if inner := _returned_function(node):
        call, parameters = f"{call}({inner.passed})", inner.joined(parameters)
    if call == f"{node.name}({', '.join(own.defaults)})":
        return own.function(node.name)
    return parameters.stand_in(f"{node.name}_by_position", node.name, f"return {call}")


class Key(NamedTuple):
    """Where a value lies in a bundle: a place in a tuple, a key of a dictionary, or an attribute."""

    kind: str
    at: int | str


def _bundled(node: ast.FunctionDef, name: str) -> dict[Key, str]:
    """What a function takes out of a parameter such as ``args`` or ``options``, and under which name.

    Empty for a parameter that is used as a whole, or that holds sizes or parts of θ alone.
    """
    items: dict[Key, str] = {}
    for inner in ast.walk(node):
        match inner:
            case ast.Assign(targets=[ast.Tuple(elts=targets)], value=value) if (first := _first(value, name)) >= 0:
                names = [(place, target.id) for place, target in enumerate(targets) if isinstance(target, ast.Name)]
                items |= {Key("place", first + place): target for place, target in names}
            case ast.Subscript(ast.Name(id=source), ast.Constant(value=str() as key)) | ast.Call(
                ast.Attribute(ast.Name(id=source), "get"), [ast.Constant(value=str() as key), *_]
            ) if source == name:
                items[Key("key", key)] = f"{key}_" if iskeyword(key) else key
            case ast.Attribute(ast.Name(id=source), attribute) if source == name and attribute != "get":
                items[Key("attribute", attribute)] = attribute
            case ast.Assign():
                for target, value in assigned(inner):
                    match value:
                        case ast.Subscript(ast.Name(id=source), ast.Constant(value=int() as place)) if source == name:
                            items[Key("place", place)] = target
    # all of it is known: by one kind of key, and places without a gap; one place alone may be an index of an array
    places = sorted(key.at for key in items if isinstance(key.at, int))
    is_whole = len({key.kind for key in items}) == 1 and places == list(range(len(places))) and len(places) != 1
    is_array = any(hasattr(np.ndarray, str(key.at)) for key in items if key.kind == "attribute")
    holds = {role_of(item) for item in items.values()} - {None, *PARTS_OF_THETA}
    is_bundle = is_whole and holds and not is_array and role_of(name) not in HANDED_OVER_WHOLE
    return items if is_bundle and all(map(str.isidentifier, items.values())) else {}


def _first(value: ast.expr, name: str) -> int:
    """The place from which a tuple is taken apart: 0 for ``args``, 3 for ``args[3:]``; -1 for something else."""
    match value:
        case ast.Name(id=source) | ast.Subscript(ast.Name(id=source), ast.Slice(lower=None)) if source == name:
            return 0
        case ast.Subscript(ast.Name(id=source), ast.Slice(lower=ast.Constant(value=int() as first))) if source == name:
            return first
    return -1


def _bundle(items: Mapping[Key, str]) -> str:
    """A tuple, a dictionary or an object of these names, as Python."""
    match next(iter(items)).kind:
        case "place":
            return f"({', '.join(name for _, name in sorted(items.items()))})"
        case "key":
            return f"{{{', '.join(f'{key.at!r}: {name}' for key, name in items.items())}}}"
    return f"__import__('types').SimpleNamespace({', '.join(f'{key.at}={name}' for key, name in items.items())})"


def _returned_function(node: ast.FunctionDef) -> "Arguments | None":
    """The parameters of a function that is defined inside and returned, as in ``def make_cost(X, y): ...``."""
    match node.body[-1]:
        case ast.Return(value=ast.Lambda(args=arguments)):
            return Arguments.of(arguments)
        case ast.Return(value=ast.Name(id=name)):
            inner = [each for each in node.body if isinstance(each, ast.FunctionDef) and each.name == name]
            return Arguments.of(inner[0].args) if inner else None
    return None


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


class Arguments(NamedTuple):
    """Parameters by name, each with its default as text or None; and which of them are keyword-only."""

    defaults: dict[str, str | None]
    by_name: frozenset[str] = frozenset()

    @classmethod
    def of(cls, arguments: ast.arguments, skipped: int = 0) -> "Arguments":
        positional = [argument.arg for argument in (*arguments.posonlyargs, *arguments.args)]
        defaults = [None] * (len(positional) - len(arguments.defaults)) + list(map(ast.unparse, arguments.defaults))
        by_name = zip(arguments.kwonlyargs, arguments.kw_defaults)
        return cls(
            dict(list(zip(positional, defaults))[skipped:])
            | {argument.arg: default and ast.unparse(default) for argument, default in by_name},
            frozenset(argument.arg for argument in arguments.kwonlyargs),
        )

    @property
    def passed(self) -> str:
        """All of them, as a function of the same parameters passes them on."""
        return ", ".join(f"{name}={name}" if name in self.by_name else name for name in self.defaults)

    def joined(self, others: "Arguments") -> "Arguments":
        return Arguments(self.defaults | others.defaults)

    def function(self, name: str) -> Function:
        ordered = sorted(self.defaults, key=lambda parameter: self.defaults[parameter] is not None)
        given = [default for parameter in ordered if (default := self.defaults[parameter]) is not None]
        required = len(ordered) - len(given)
        return Function(name, tuple(ordered), required, tuple(map(_literal, given)))

    def stand_in(self, name: str, wraps: str, body: str) -> Function:
        plain = self.function(name)
        signature = ", ".join(p if self.defaults[p] is None else f"{p}={self.defaults[p]}" for p in plain.parameters)
        return replace(plain, stand_in=f"def {name}({signature}): {body}", wraps=wraps)


NOTHING = Arguments({})


def _literal(default: str) -> Any:
    try:
        return ast.literal_eval(default)
    except (ValueError, SyntaxError):
        return NO_LITERAL
