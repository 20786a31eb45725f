"""What a submission's functions and methods take, and which of them is likely the one that is asked for."""

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

NO_LITERAL = ...
"""Stands for a default whose value is known only when the code is run."""


TRANSFORMS = {"grad", "value_and_grad", "elementwise_grad", "jit"}
"""What makes a function of a function, of the same parameters: JAX's and autograd's."""

HELD = (
    ("w1", "b1", "w2", "b2"),
    ("theta1", "theta2"),
    ("w1", "w2"),
    ("t1", "t2"),
    ("params",),
    ("parameters",),
    ("theta",),
    ("thetas",),
    ("weights",),
)
"""Attributes by which objects hold their parameters, in small letters and without underscores."""


@dataclass(frozen=True)
class Function:
    """A function that a submission defines: its name and its positional parameters, of which some have defaults.

    `defaults` are those, or `NO_LITERAL`; `stand_in` is the line that defines it, where the submission
    itself does not: it calls what takes its arguments by name, or a method of an object that it makes, which is what
    `calls` names. `constants` are those of the file that it sets before.
    """

    name: str
    parameters: tuple[str, ...]
    required: int
    takes_more: bool = False  # *args
    defaults: tuple[Any, ...] = ()
    stand_in: str = ""
    calls: str = ""
    constants: tuple[str, ...] = ()

    @property
    def called(self) -> str:
        """The name that its author gave it, such as "loss" or "Net.loss"."""
        return self.calls or self.name

    def __str__(self) -> str:
        return f"{self.called}({', '.join(self.parameters)})"


def worth(function: Function) -> int:
    """How likely a function is the one that is asked for, from its name and the number of its parameters."""
    name = function.name.lower().replace("_", "")
    likely = [word for word in ("cost", "backprop", "grad", "nn", "loss", "network") if word in name]
    unlikely = any(word in name for word in ("sigmoid", "numerical", "check", "test", "plot", "debug", "compute_num"))
    return 3 * len(likely) + 2 * (len(function.parameters) >= 4) + 4 * (len(function.parameters) == 7) - 20 * unlikely


def functions_in(tree: ast.Module) -> Iterator[Function]:
    """What can be called by position: functions, and stand-ins for keyword-only parameters and for methods."""
    known: dict[str, Function] = {}
    for node in tree.body:
        match node:
            case ast.FunctionDef():
                function = _function(node)
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Lambda(args=arguments)):
                function = _Arguments(arguments).function(name)
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if (of := transformed(value)) in known:
                function = replace(known[of], name=name, calls="")  # its parameters are those of what it differentiates
            case ast.ClassDef():
                yield from _methods(node)
                continue
            case _:
                continue
        known[function.called] = function
        yield function


def transformed(node: ast.expr) -> str | None:
    """The function of which an expression is the derivative, compiled or the like: "cost", of jit(grad(cost))."""
    match node:
        case ast.Call(func=ast.Name(id=by) | ast.Attribute(attr=by), args=[function, *_]) if by in TRANSFORMS:
            return transformed(function)
        case ast.Name(id=name):
            return name
    return None


def _function(node: ast.FunctionDef) -> Function:
    arguments = _Arguments(node.args)
    if node.args.kwonlyargs:
        call = f"return {node.name}({arguments.passed})"
        return arguments.stand_in(f"{node.name}_by_position", node.name, call)
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
        both, held = of_object.joined(own), [] if decorators else _held(node)
        call = f"return {instance}.{method.name}({own.passed})"
        if held and not both.of.keys() & set(held):
            both = _Arguments(held=held).joined(both)
            given = "; ".join(f"made.{name} = {name}" for name in held)
            call = f"made = {instance}; {given}; return made.{method.name}({own.passed})"
        yield both.stand_in(f"{method.name}_of_{node.name}", f"{node.name}.{method.name}", call)


def _held(node: ast.ClassDef) -> list[str]:
    """The attributes by which a class's objects hold the parameters of the network, if they do."""
    stored = {
        attribute.attr.lower().replace("_", ""): attribute.attr
        for attribute in ast.walk(node)
        if isinstance(attribute, ast.Attribute)
        and isinstance(attribute.ctx, ast.Store)
        and isinstance(attribute.value, ast.Name)
        and attribute.value.id == "self"
    }
    return next(([stored[name] for name in names] for names in HELD if set(names) <= stored.keys()), [])


class _Arguments:
    """The parameters of a function, each with its default as text, or None; those without come first."""

    def __init__(self, arguments: ast.arguments | None = None, skipped: int = 0, held: Sequence[str] = ()):
        self.of: dict[str, str | None] = dict.fromkeys(held)
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

    def function(self, name: str) -> Function:
        ordered = sorted(self.of, key=lambda parameter: self.of[parameter] is not None)
        given = [default for parameter in ordered if (default := self.of[parameter]) is not None]
        required = len(ordered) - len(given)
        return Function(name, tuple(ordered), required, self.takes_more, tuple(map(_literal, given)))

    def stand_in(self, name: str, calls: str, body: str) -> Function:
        plain = self.function(name)
        signature = ", ".join(p if self.of[p] is None else f"{p}={self.of[p]}" for p in plain.parameters)
        return replace(plain, stand_in=f"def {name}({signature}): {body}", calls=calls)


def _literal(default: str) -> Any:
    try:
        return ast.literal_eval(default)
    except (ValueError, SyntaxError):
        return NO_LITERAL
