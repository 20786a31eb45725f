"""Small changes of a syntax tree, as slips of the keyboard or of the mind make them: all that a module has room for."""

import ast
import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from tests.checker.mutation import FUNCTIONS, SCOPES, put

ARITHMETIC = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
COMPARISONS = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
NAMES = {"min": "max", "max": "min", "any": "all", "all": "any", "minimum": "maximum", "maximum": "minimum"}
CONSTANTS = {
    "bool": ("True", "False"),
    "int": ("0", "1"),
    "float": ("0.0",),
    "str": ("''",),
    "np.ndarray": ("0.0",),
    "list": ("[]",),
    "tuple": ("()",),
    "dict": ("{}",),
}
"""What a function may return instead, by the type that it promises: something that may pass for an answer."""

NOT_CODE = {"annotation", "returns", "decorator_list", "type_params"}
SHOWN = 30  # characters to each side of a change


@dataclass(frozen=True)
class Mutation:
    """One change: `new` in the place of `old`, which is a field of `holder`, or an entry of it."""

    holder: ast.AST
    field: str
    index: int | None
    old: Any
    new: Any
    line: int
    function: str

    def plant(self) -> None:
        put(self.holder, self.field, self.index, self.new)

    def words(self) -> str:
        """The change as ``old -> new``, with a little of what is around it."""
        bare = isinstance(self.old, ast.Constant | ast.Name) and not hasattr(self.holder, "body")
        before = _source(self.holder if bare else self.old)
        self.plant()
        after = _source(self.holder if bare else self.new)
        put(self.holder, self.field, self.index, self.old)
        prefix = _shared(before, after)
        suffix = _shared(before[prefix:][::-1], after[prefix:][::-1])
        start, end = max(prefix - SHOWN, 0), max(suffix - SHOWN, 0)
        shown = (text[start : len(text) - end] for text in (before, after))
        return " -> ".join("…" * (start > 0) + text + "…" * (end > 0) for text in shown)


def _source(node: ast.AST) -> str:
    return " ".join(ast.unparse(node).split())


def _shared(one: str, other: str) -> int:
    """How many characters two texts begin with alike."""
    return next((i for i, (a, b) in enumerate(zip(one, other)) if a != b), min(len(one), len(other)))


def mutations(tree: ast.Module) -> list[Mutation]:
    """Every mutation of a module, in the order of its source."""
    return list(_within(tree, "", None))


def _within(holder: ast.AST, function: str, returns: ast.expr | None) -> Iterator[Mutation]:
    if isinstance(holder, SCOPES):
        function = f"{function}.{holder.name}".lstrip(".")
        returns = holder.returns if isinstance(holder, FUNCTIONS) else None
    for field, value in ast.iter_fields(holder):
        if field in NOT_CODE or (isinstance(holder, ast.If) and ast.unparse(holder.test) == "TYPE_CHECKING"):
            continue
        for index, node in enumerate(value) if isinstance(value, list) else [(None, value)]:
            if isinstance(node, ast.AST):
                line = getattr(node, "lineno", getattr(holder, "lineno", 0))
                for new in _alternatives(holder, field, node, returns):
                    yield Mutation(holder, field, index, node, new, line, function)
                yield from _within(node, function, returns)


def _alternatives(holder: ast.AST, field: str, node: Any, returns: ast.expr | None) -> Iterator[ast.AST]:
    if alternatives := _BY_TYPE.get(type(node)):
        yield from alternatives(node)
    elif isinstance(node, ast.Return):
        yield from _returns(node, returns)
    contrary = ast.Compare | ast.UnaryOp | ast.Constant  # what has mutations that say the contrary
    if field == "test" and isinstance(node, ast.expr) and not isinstance(node, contrary):
        yield ast.copy_location(ast.UnaryOp(ast.Not(), node), node)


def _like(node: Any, **fields: Any) -> Any:
    new = copy.copy(node)
    for name, value in fields.items():
        setattr(new, name, value)
    return new


def _arithmetic(node: ast.BinOp | ast.AugAssign) -> Iterator[ast.AST]:
    operands = [node.left, node.right] if isinstance(node, ast.BinOp) else [node.value]
    texts = any(isinstance(o, ast.JoinedStr) or isinstance(getattr(o, "value", None), str) for o in operands)
    if (other := ARITHMETIC.get(type(node.op))) and not texts:
        yield _like(node, op=other())


def _comparison(node: ast.Compare) -> Iterator[ast.AST]:
    for place, op in enumerate(node.ops):
        for other in COMPARISONS[type(op)]:
            yield _like(node, ops=[*node.ops[:place], other(), *node.ops[place + 1 :]])


def _constant(node: ast.Constant) -> Iterator[ast.AST]:
    value: Any = node.value
    if isinstance(value, bool):
        yield _like(node, value=not value)
    elif isinstance(value, int | float) and abs(value) < 1e300:
        kind = type(value)
        half = value // 2 if kind is int else value / 2
        for other in [1] if value == 0 else [0, 2] if value == 1 else [2 * value, half]:
            yield _like(node, value=kind(other))


def _unary(node: ast.UnaryOp) -> Iterator[ast.AST]:
    yield node.operand


def _boolean(node: ast.BoolOp) -> Iterator[ast.AST]:
    yield _like(node, op=ast.Or() if isinstance(node.op, ast.And) else ast.And())


def _arguments(node: ast.arguments) -> Iterator[ast.AST]:
    """Each default dropped: of the positional ones the first, since no other may go alone."""
    if node.defaults:
        yield _like(node, defaults=node.defaults[1:])
    for place, default in enumerate(node.kw_defaults):
        if default is not None:
            yield _like(node, kw_defaults=[*node.kw_defaults[:place], None, *node.kw_defaults[place + 1 :]])


def _name(node: ast.Name | ast.Attribute) -> Iterator[ast.AST]:
    if isinstance(node, ast.Name) and node.id in NAMES:
        yield _like(node, id=NAMES[node.id])
    elif isinstance(node, ast.Attribute) and node.attr in NAMES:
        yield _like(node, attr=NAMES[node.attr])


def _returns(node: ast.Return, returns: ast.expr | None) -> Iterator[ast.AST]:
    promised = ast.unparse(returns) if returns else "None"
    texts = ("None",) if promised.endswith("None") else CONSTANTS.get(promised.partition("[")[0], ())
    for text in texts:
        if node.value is not None and ast.unparse(node.value) != text:
            yield _like(node, value=ast.copy_location(ast.parse(text, mode="eval").body, node))


def _call(node: ast.Expr) -> Iterator[ast.AST]:
    if isinstance(node.value, ast.Call):
        yield ast.copy_location(ast.Pass(), node)


def _leap(node: ast.Break | ast.Continue) -> Iterator[ast.AST]:
    yield ast.copy_location(ast.Continue() if isinstance(node, ast.Break) else ast.Break(), node)


_BY_TYPE: dict[type, Callable[[Any], Iterator[ast.AST]]] = {
    ast.BinOp: _arithmetic,
    ast.AugAssign: _arithmetic,
    ast.Compare: _comparison,
    ast.Constant: _constant,
    ast.UnaryOp: _unary,
    ast.BoolOp: _boolean,
    ast.arguments: _arguments,
    ast.Name: _name,
    ast.Attribute: _name,
    ast.Expr: _call,
    ast.Break: _leap,
    ast.Continue: _leap,
}
