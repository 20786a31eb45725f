"""Branches of a tree of parameters: their children, how each child is written in Python, and how to rebuild them.

A branch is a dict or another mapping, a list, tuple, NamedTuple, dataclass, attrs class, `types.SimpleNamespace`,
PyTorch module, or a class that is registered with JAX. Libraries for trees take unregistered classes for leaves; here
an unregistered dataclass is a branch, too.
"""

import copy
import dataclasses
import sys
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from harness.checks.functions import torch_state


class Branch(NamedTuple):
    """A node of a tree that has children."""

    kind: str  # the name of its type, for messages
    keys: tuple[Any, ...]  # keys, names or numbers of the children
    accessors: tuple[str, ...]  # what is written after the branch to get each child: ['W'], [0], .weight
    children: tuple[Any, ...]
    join: Callable[[Sequence[Any]], Any]  # makes a branch of this type from other children


def take_apart(node: Any) -> Branch | None:
    """The branch that a node is, or None for a leaf."""
    if isinstance(node, (np.ndarray, np.generic, str, bytes, int, float)) or node is None:
        return None
    if isinstance(node, tuple) and (fields := getattr(node, "_fields", None)) is not None:
        return _of_attributes(node, fields, type(node)._make)  # pyright: ignore[reportAttributeAccessIssue]
    if isinstance(node, (list, tuple)):
        return None if holds_only_numbers(node) else _of_items(node)
    if torch_state.is_module(node):
        return _of_module(node)
    if isinstance(node, Mapping):
        return _of_mapping(node)
    return _registered_with_jax(node) or _of_fields(node)


def holds_only_numbers(values: Sequence[Any]) -> bool:
    """Whether a list or tuple is an array written out: numbers, or nested rows of numbers of one length."""
    if not all(isinstance(value, (int, float, np.number, list, tuple)) for value in values) or not values:
        return False
    rows = [value for value in values if isinstance(value, (list, tuple))]
    if not rows:
        return True
    if len(rows) < len(values) or any(hasattr(row, "_fields") or not holds_only_numbers(row) for row in rows):
        return False
    return len({np.shape(row) for row in rows}) == 1


def _of_items(node: Sequence[Any]) -> Branch:
    accessors = tuple(f"[{i}]" for i in range(len(node)))
    return Branch(type(node).__name__, tuple(range(len(node))), accessors, tuple(node), type(node))


def _of_mapping(node: Mapping[Any, Any]) -> Branch:
    keys = tuple(node)

    def join(children: Sequence[Any]) -> Mapping[Any, Any]:
        if not isinstance(node, MutableMapping):
            return type(node)(dict(zip(keys, children)))  # pyright: ignore[reportCallIssue]
        joined = copy.copy(node)  # keeps the default of a defaultdict
        for key, child in zip(keys, children):
            joined[key] = child
        return joined

    return Branch(type(node).__name__, keys, tuple(f"[{key!r}]" for key in keys), tuple(node.values()), join)


def _of_attributes(node: Any, names: Sequence[str], join: Callable[[Sequence[Any]], Any]) -> Branch:
    children = tuple(getattr(node, name) for name in names)
    return Branch(type(node).__name__, tuple(names), tuple(f".{name}" for name in names), children, join)


def _of_module(module: Any) -> Branch:
    """The parameters of a PyTorch module, each once; `join` returns the module itself."""
    names = tuple(torch_state.parameters_of(module))
    children = tuple(torch_state.parameters_of(module).values())
    return Branch(type(module).__name__, names, tuple(map(torch_state.accessor, names)), children, lambda _: module)


def _registered_with_jax(node: Any) -> Branch | None:
    jax = sys.modules.get("jax")
    if jax is None or isinstance(node, (jax.Array, Iterator)):  # JAX warns of iterators
        return None
    pairs, form = jax.tree_util.tree_flatten_with_path(node, is_leaf=lambda below: below is not node)
    if len(pairs) == 1 and pairs[0][1] is node:
        return None
    keys = tuple(
        getattr(path[0], "name", getattr(path[0], "key", getattr(path[0], "idx", i)))
        for i, (path, _) in enumerate(pairs)
    )
    accessors = tuple(str(path[0]) for path, _ in pairs)
    children = tuple(child for _, child in pairs)
    return Branch(type(node).__name__, keys, accessors, children, lambda new: jax.tree_util.tree_unflatten(form, new))


def _of_fields(node: Any) -> Branch | None:
    """A branch for an object that declares its fields; static fields are no children."""
    if isinstance(node, type):
        return None
    if dataclasses.is_dataclass(node):
        names = [field.name for field in dataclasses.fields(node) if not _is_static(field.metadata)]
    elif hasattr(node, "__attrs_attrs__"):
        names = [field.name for field in node.__attrs_attrs__ if not _is_static(field.metadata)]
    elif isinstance(node, SimpleNamespace):
        names = list(vars(node))
    else:
        return None
    names = [name for name in names if hasattr(node, name)]

    def join(children: Sequence[Any]) -> Any:
        joined = copy.copy(node)  # no __init__, which may have made the fields from something else
        for name, child in zip(names, children):
            object.__setattr__(joined, name, child)  # frozen ones, too
        return joined

    return _of_attributes(node, names, join)


def _is_static(metadata: Mapping[Any, Any]) -> bool:
    """Whether a field is declared to hold no parameters, as in Equinox and Flax."""
    return bool(metadata.get("static", False)) or not metadata.get("pytree_node", True)
