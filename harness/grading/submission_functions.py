"""The functions and methods that a submission defines, and stand-ins for those that cannot be called by themselves.

Nothing is run: all of it is read from the syntax tree.
"""

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from harness.grading.parameter_roles import NO_LITERAL, OF_THETA, known_roles, role_of

TRANSFORMS = {"grad", "value_and_grad", "elementwise_grad", "jit"}
"""JAX's and autograd's transforms that return a function of the same parameters."""

UNLIKELY = ("sigmoid", "numerical", "check", "test", "plot", "debug", "train", "descent", "update", "sgd", "predict")
"""Parts of names of functions that are certainly not the homework's cost function."""

PARAMETER_ATTRIBUTES = (
    ("w1", "b1", "w2", "b2"),
    ("theta1", "theta2"),
    ("w1", "w2"),
    ("t1", "t2"),
    ("weights", "biases"),
    ("params",),
    ("parameters",),
    ("theta",),
    ("thetas",),
    ("weights",),
)
"""Attributes in which objects keep their parameters, in small letters and without underscores."""


@dataclass(frozen=True)
class Function:
    """A function that a submission defines.

    Attributes
    ----------
    name : the name under which it is called
    parameters : positional parameters; those after the first `required` have `defaults`
    takes_more : whether it has ``*args``
    defaults : values, or `NO_LITERAL`
    stand_in : Python that defines it where the submission does not: a wrapper that passes parameters by name,
        makes an object and calls its method, runs the forward pass first, or sets constants
    file : the module's file that defines it
    wraps : the function or method that a stand-in calls, such as "Net.loss"
    constants : the file's constants that a stand-in sets
    """

    name: str
    parameters: tuple[str, ...]
    required: int
    takes_more: bool = False
    defaults: tuple[Any, ...] = ()
    stand_in: str = ""
    wraps: str = ""
    constants: tuple[str, ...] = ()
    file: str = ""

    @property
    def author_name(self) -> str:
        """The name that its author gave it, such as "loss" or "Net.loss"."""
        return self.wraps or self.name

    def __str__(self) -> str:
        return f"{self.author_name}({', '.join(self.parameters)})"


def likelihood(function: Function) -> int:
    """How likely a function is the homework's cost function; below zero for what certainly is not."""
    name = function.name.lower().replace("_", "")
    likely = [word for word in ("cost", "backprop", "grad", "nn", "loss", "network") if word in name]
    unlikely = name.startswith("fit") or any(word in name for word in UNLIKELY)
    return 3 * len(likely) + 2 * (len(function.parameters) >= 4) + 4 * (len(function.parameters) == 7) - 20 * unlikely


def functions_in(tree: ast.Module) -> Iterator[Function]:
    """Functions that can be called by position, with stand-ins for keyword-only parameters and for methods."""
    known: dict[str, Function] = {}
    for node in tree.body:
        match node:
            case ast.FunctionDef():
                function = _function(node)
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Lambda(args=arguments)):
                function = _Arguments.of(arguments).function(name)
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if (source := transformed(value)) in known:
                function = replace(known[source], name=name, wraps="")  # a derivative takes what its function takes
            case ast.ClassDef():
                yield from _methods(node)
                continue
            case _:
                continue
        known[function.author_name] = function
        yield function
    yield from _after_forward(tree, list(known.values()))


def _after_forward(tree: ast.Module, functions: Sequence[Function]) -> Iterator[Function]:
    """Stand-ins for functions of what a forward pass returns, such as ``cost(h, y)``; each runs that pass first."""
    forwards = [(function, _returned(tree, function.name)) for function in functions if _is_forward(function)]
    for function in functions:
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
    else:
        places = [place for place in free if "cache" not in names[place]][-1:] if len(left) == 1 else []
    if len(places) != len(left):
        return []
    for place, name in zip(places, left):
        names[place] = name
    return [name or f"returned_{place}" for place, name in enumerate(names)]


def _chained(forward: Function, values: Sequence[str], function: Function, unknown: Sequence[str]) -> Function:
    """A stand-in that runs the forward pass, and then the function of what it returned."""
    needed, given = forward.parameters[: forward.required], function.parameters[: function.required]
    rest = [name for name in given if name not in unknown]
    first = tuple(dict.fromkeys((*needed, *rest)))
    optional = [
        pair for pair in zip(function.parameters[function.required :], function.defaults) if pair[0] not in first
    ]
    signature = ", ".join((*first, *(f"{name}={value!r}" for name, value in optional)))
    passed = ", ".join((*given, *(f"{name}={name}" for name, _ in optional)))
    name = f"{function.name}_after_{forward.name}"
    body = f"{', '.join(values)} = {forward.name}({', '.join(needed)}); return {function.name}({passed})"
    return replace(
        function,
        name=name,
        parameters=(*first, *(name for name, _ in optional)),
        required=len(first),
        defaults=tuple(value for _, value in optional),
        stand_in=f"def {name}({signature}): {body}",
        wraps=function.name,
    )


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


def _function(node: ast.FunctionDef) -> Function:
    arguments = _Arguments.of(node.args)
    if node.args.kwonlyargs:
        call = f"return {node.name}({arguments.passed})"
        return arguments.stand_in(f"{node.name}_by_position", node.name, call)
    return arguments.function(node.name)


def _methods(node: ast.ClassDef) -> Iterator[Function]:
    """Stand-ins for the public methods of a class; each makes an object and calls its method."""
    methods = [method for method in node.body if isinstance(method, ast.FunctionDef)]
    made = next((_Arguments.of(method.args, skipped=1) for method in methods if method.name == "__init__"), NOTHING)
    for method in methods:
        decorators = {ast.unparse(decorator) for decorator in method.decorator_list}
        if method.name.startswith("__") or decorators - {"staticmethod", "classmethod"}:
            continue
        own = _Arguments.of(method.args, skipped="staticmethod" not in decorators)
        of_object = NOTHING if decorators else made
        instance = node.name if decorators else f"{node.name}({made.passed})"
        stored = {} if decorators else _stored_attributes(node)
        attributes = next(
            ([stored[n] for n in names] for names in PARAMETER_ATTRIBUTES if set(names) <= stored.keys()), []
        )
        both = own.joined(of_object)
        call = f"return {instance}.{method.name}({own.passed})"
        if attributes and not both.defaults.keys() & set(attributes):
            # the object keeps θ in attributes that __init__ does not take, so the stand-in sets them
            first, passed, own = _forward_before(method, methods, own)
            gradients = [] if _returns_value(method) else _gradients_of(attributes, stored)
            both = own.joined(of_object).joined(_Arguments(dict.fromkeys(attributes)))
            given = "; ".join(f"made.{name} = {name}" for name in attributes)
            call = f"return made.{method.name}({passed})"
            if gradients:
                call = f"made.{method.name}({passed}); return {', '.join(f'made.{name}' for name in gradients)}"
            call = f"made = {instance}; {given}; {first}{call}"
        yield both.stand_in(f"{method.name}_of_{node.name}", f"{node.name}.{method.name}", call)


def _forward_before(
    method: ast.FunctionDef, methods: Sequence[ast.FunctionDef], own: "_Arguments"
) -> tuple[str, str, "_Arguments"]:
    """A forward pass that goes before a method which takes no X or what that pass returns; what is passed; parameters.

    It goes before a method that returns nothing, too, which works on what the object remembers.
    """
    one = [each for each in methods if each is not method and len(_Arguments.of(each.args, skipped=1).defaults) == 1]
    forward = next((each.name for each in one if "forward" in each.name.lower()), "")
    unknown = [name for name, default in own.defaults.items() if default is None and role_of(name) is None]
    x = next((name for name in own.defaults if role_of(name) == "X"), "")
    if not forward or len(unknown) > 1 or (x and not unknown and _returns_value(method)):
        return "", own.passed, own
    passed = ", ".join("answer" if name in unknown else name for name in own.defaults)
    taken = {name: default for name, default in own.defaults.items() if name not in unknown}
    return f"answer = made.{forward}({x or 'X'}); ", passed, _Arguments({x or "X": None} | taken)


def _returns_value(method: ast.FunctionDef) -> bool:
    return any(isinstance(node, ast.Return) and node.value is not None for node in ast.walk(method))


def _gradients_of(attributes: Sequence[str], stored: Mapping[str, str]) -> list[str]:
    """The attributes in which an object leaves the gradients of others, such as dW1 or W1_grad; or none."""
    plain = [name.lower().replace("_", "") for name in attributes]
    patterns = [[pattern.format(name) for name in plain] for pattern in ("d{}", "{}grad", "grad{}", "delta{}")]
    return next(([stored[name] for name in names] for names in patterns if set(names) <= stored.keys()), [])


def _stored_attributes(node: ast.ClassDef) -> dict[str, str]:
    """The attributes that a class's objects have, by their names in small letters and without underscores."""
    return {
        attribute.attr.lower().replace("_", ""): attribute.attr
        for attribute in ast.walk(node)
        if isinstance(attribute, ast.Attribute)
        and isinstance(attribute.ctx, ast.Store)
        and isinstance(attribute.value, ast.Name)
        and attribute.value.id == "self"
    }


class _Arguments(NamedTuple):
    """Parameters by name, each with its default as text or None; and which of them are keyword-only."""

    defaults: dict[str, str | None]
    by_name: frozenset[str] = frozenset()
    takes_more: bool = False

    @classmethod
    def of(cls, arguments: ast.arguments, skipped: int = 0) -> "_Arguments":
        positional = [argument.arg for argument in (*arguments.posonlyargs, *arguments.args)]
        defaults = [None] * (len(positional) - len(arguments.defaults)) + list(map(ast.unparse, arguments.defaults))
        by_name = zip(arguments.kwonlyargs, arguments.kw_defaults)
        return cls(
            dict(list(zip(positional, defaults))[skipped:])
            | {argument.arg: default and ast.unparse(default) for argument, default in by_name},
            frozenset(argument.arg for argument in arguments.kwonlyargs),
            arguments.vararg is not None,
        )

    @property
    def passed(self) -> str:
        """All of them, as a function of the same parameters passes them on."""
        return ", ".join(f"{name}={name}" if name in self.by_name else name for name in self.defaults)

    def joined(self, others: "_Arguments") -> "_Arguments":
        return _Arguments(self.defaults | others.defaults)

    def function(self, name: str) -> Function:
        ordered = sorted(self.defaults, key=lambda parameter: self.defaults[parameter] is not None)
        given = [default for parameter in ordered if (default := self.defaults[parameter]) is not None]
        required = len(ordered) - len(given)
        return Function(name, tuple(ordered), required, self.takes_more, tuple(map(_literal, given)))

    def stand_in(self, name: str, wraps: str, body: str) -> Function:
        plain = self.function(name)
        signature = ", ".join(p if self.defaults[p] is None else f"{p}={self.defaults[p]}" for p in plain.parameters)
        return replace(plain, stand_in=f"def {name}({signature}): {body}", wraps=wraps)


NOTHING = _Arguments({})


def _literal(default: str) -> Any:
    try:
        return ast.literal_eval(default)
    except (ValueError, SyntaxError):
        return NO_LITERAL
