"""A user's parameters as one flat float64 vector, and back: an array, a number, or a nested tree of these."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from harness.checks.functions import torch_state
from harness.checks.functions.tree_branches import Branch, take_apart
from harness.checks.functions.tree_leaves import holds_integers, like, to_numpy, unit_roundoff, why_held
from harness.facts.fact import Fact, note
from harness.facts.kinds import Kind
from harness.verdict.comparison import Block
from harness.wording import first_few
from reference.arithmetics.array_pieces import largest

NAMED = 6  # so many leaves are named in an error message


class Leaf(NamedTuple):
    """A leaf of a tree; `held` says why it is held fixed, and is empty for a parameter."""

    name: str
    value: Any
    held: str = ""


class TreeLayout:
    """How a user's θ lies in a flat vector of `size` numbers.

    The gradient at θ shows whether the integers of a tree are parameters or counts. A TypeError or a ValueError says
    that θ holds no parameters, or something that is neither a parameter nor held fixed.
    """

    def __init__(self, theta: Any, gradient: Any = None):
        self.modules: list[Any] = []  # those of PyTorch in θ
        try:
            self._form, leaves = self._outline(theta, "theta", is_root=True)
        except RecursionError:
            raise ValueError("theta contains itself, or is nested too deeply; give a flat tree") from None
        # θ that is one leaf is the parameter; beside others, a leaf may be a name, a mask or a count
        if self._form is not None:
            some_require_grad = any(getattr(leaf.value, "requires_grad", False) for leaf in leaves)
            leaves = [leaf._replace(held=why_held(leaf.value, some_require_grad)) for leaf in leaves]
        self._leaves = leaves
        if gradient is not None:
            answered = self._matched(self._form, gradient, "theta", "the gradient")
            self._leaves = [_without_count(leaf, value) for leaf, (_, value) in zip(self._leaves, answered)]
        self._parameters = [leaf for leaf in self._leaves if not leaf.held]
        arrays = [to_numpy(leaf.value, leaf.name) for leaf in self._parameters]
        if self._form is None and str(getattr(theta, "dtype", type(theta).__name__)) == "bool":
            raise TypeError("theta must be real numbers, not bool; give numbers, and the mask to fun itself")
        self.size = sum(array.size for array in arrays)
        self._require_parameters()
        # by the names by which arrays are indexed in Python
        self.shapes = {leaf.name: array.shape for leaf, array in zip(self._parameters, arrays)}
        ends = np.cumsum([array.size for array in arrays])
        self.blocks = [
            Block(leaf.name, np.arange(end - a.size, end)) for leaf, a, end in zip(self._parameters, arrays, ends)
        ]
        self.unit_roundoff = max(unit_roundoff(leaf.value) for leaf in self._parameters)  # of the least precise array

    def _require_parameters(self) -> None:
        """Refuse two parameters of one name, and a θ without any number that may change."""
        names = [leaf.name for leaf in self._parameters]
        if len(set(names)) < len(names):
            raise ValueError(f"{max(names, key=names.count)} stands for two things in theta; rename a key")
        if self.size == 0:
            held = first_few([f"{leaf.name} {leaf.held}" for leaf in self._leaves if leaf.held], NAMED)
            held = f" ({held})" if held else ""
            raise ValueError(f"theta holds no parameters; give an array, or a tree of arrays, with one at least{held}")

    def _outline(self, node: Any, name: str, is_root: bool = False) -> tuple[Any, list[Leaf]]:
        """The form, which is (branch, forms of its children) or None for a leaf, and all leaves in order."""
        branch = take_apart(node)
        if branch is None:
            return None, [Leaf(name, node)]
        if torch_state.is_module(node):
            self.modules.append(node)
        forms, leaves = [], []
        for key, accessor, child in zip(branch.keys, branch.accessors, branch.children):
            form, below = self._outline(child, _name(name, key, accessor, is_root))
            forms.append(form)
            leaves += below
        return (branch, forms), leaves

    @property
    def may_hold_counts(self) -> bool:
        """Whether a gradient is needed to find out which integers are parameters."""
        integers = [holds_integers(leaf.value) for leaf in self._parameters]
        return any(integers) and not all(integers)

    def raw(self, values: Any, what: str) -> list[Any]:
        """The arrays of something laid out like θ, not converted; None for PyTorch tensors without a gradient."""
        pairs = zip(self._leaves, self._matched(self._form, values, "theta", what))
        return [self._of_parameter(leaf, value, what) for leaf, (_, value) in pairs if not leaf.held]

    def raw_gradient(self, gradient: Any) -> list[Any]:
        """The same of a gradient, which must have no derivatives for leaves that are held fixed."""
        for leaf, (name, value) in zip(self._leaves, self._matched(self._form, gradient, "theta", "the gradient")):
            if leaf.held and not _is_nothing(value):
                raise ValueError(
                    f"the gradient has numbers for {name}, which is held as it is, because it {leaf.held}; "
                    "answer None for it, or make it a parameter: floating point numbers that require a gradient"
                )
        return self.raw(gradient, "the gradient")

    def _of_parameter(self, leaf: Leaf, value: Any, what: str) -> Any:
        name = leaf.name
        if value is None:
            if torch_state.is_tensor(leaf.value):
                return None  # as PyTorch returns where there is no path from the cost to a tensor
            raise ValueError(f"{what} has nothing for {name}; answer zeros where the cost does not depend on it")
        array = to_numpy(value, what)
        if array.shape != self.shapes[name]:
            raise ValueError(f"{what} must have the shape {self.shapes[name]} of {name}, but has shape {array.shape}")
        return value

    def _matched(self, form: Any, values: Any, name: str, what: str) -> Iterator[tuple[str, Any]]:
        """For each leaf of θ its name and its counterpart in other values, None where there is none."""
        if form is None:
            if take_apart(values) is not None:
                raise ValueError(f"{what} must be one array, as {name} is, not {_described(values)}")
            yield name, values
            return
        branch, forms = form
        is_root = form is self._form
        below = [None] * len(forms) if values is None and not is_root else _children_like(branch, values, name, what)
        for key, accessor, below_form, child in zip(branch.keys, branch.accessors, forms, below):
            yield from self._matched(below_form, child, _name(name, key, accessor, is_root), what)

    def flatten(self, values: Any, what: str) -> np.ndarray:
        """The flat float64 vector of something laid out like θ."""
        return self.line_up(self.raw(values, what))

    def line_up(self, arrays: Sequence[Any]) -> np.ndarray:
        """The flat float64 vector of arrays, one for each parameter; zeros for None."""
        filled = [np.zeros(shape) if a is None else to_numpy(a) for a, shape in zip(arrays, self.shapes.values())]
        return np.concatenate([array.ravel().astype(np.float64) for array in filled])

    def rebuild(self, flat: Any, make: Callable[[Any, Any], Any] = like) -> Any:
        """A new θ from a flat vector; its arrays are like the user's, or made by ``make(the user's array, values)``."""
        return self.join(self.cut(flat, make))

    def cut(self, flat: Any, make: Callable[[Any, Any], Any] = like) -> list[Any]:
        """The array of each parameter from a flat vector."""
        sizes = [math.prod(shape) for shape in self.shapes.values()]  # 1 for a number, whose shape is ()
        pieces = zip(self._parameters, self.shapes.values(), sizes, np.cumsum(sizes).tolist())
        return [make(leaf.value, flat[end - size : end].reshape(shape)) for leaf, shape, size, end in pieces]

    def join(self, arrays: list[Any]) -> Any:
        """θ with these arrays for its parameters."""
        rest = iter(arrays)
        return _joined(self._form, iter([leaf.value if leaf.held else next(rest) for leaf in self._leaves]))

    def keep(self) -> torch_state.Kept:
        """The present state of the modules and parameters of PyTorch in θ."""
        return torch_state.Kept(self.modules, [p.value for p in self._leaves if torch_state.is_parameter(p.value)])

    def largest_in_block(self, flat: np.ndarray) -> np.ndarray:
        """For each coordinate the largest finite absolute value in its array."""
        sizes = np.zeros(self.size)
        for _, indices in self.blocks:
            sizes[indices] = largest(flat[indices])
        return sizes

    def label(self, i: int) -> str:
        """The name of coordinate i, as it is indexed: "theta[3]", "W1[0, 2]" or "layers[0]['W'][2, 1]"."""
        for block in self.blocks:
            if block.size and i <= block.indices[-1]:
                index = np.unravel_index(i - block.indices[0], self.shapes[block.name])
                return f"{block.name}[{', '.join(map(str, index))}]" if index else block.name
        raise IndexError(f"θ has coordinates 0 to {self.size - 1}, but not {i}")

    def notes(self) -> list[Fact]:
        """What is worth knowing of the tree: where it lives, what is held fixed, and what stands in it twice."""
        facts = torch_state.devices_of([leaf.value for leaf in self._leaves])
        held = [leaf for leaf in self._leaves if leaf.held]
        numbers = [leaf for leaf in held if hasattr(leaf.value, "dtype") or holds_integers(leaf.value)]
        if numbers:
            facts.append(note(Kind.HELD_FIXED, *(f"{leaf.name} ({leaf.held})" for leaf in numbers)))
        seen: dict[int, str] = {}
        for name, value, _ in self._parameters:
            first = seen.setdefault(id(value), name) if np.ndim(value) else name
            if first != name:
                facts.append(note(Kind.SHARED_ARRAY, first, name))
        return facts


def _name(parent: str, key: Any, accessor: str, is_root: bool) -> str:
    """A child's name. A key or attribute of θ itself stands alone: "W1" instead of "theta['W1']"."""
    if is_root and isinstance(key, str) and key.isidentifier():
        return key
    if is_root and accessor.startswith("."):
        return accessor[1:]
    return parent + accessor


def _without_count(leaf: Leaf, derivative: Any) -> Leaf:
    """The leaf, held fixed if it holds integers without floating point derivatives, or one with a derivative of 0."""
    if leaf.held or not holds_integers(leaf.value):
        return leaf
    has_derivative = derivative is not None and np.asarray(derivative).dtype.kind == "f"
    is_parameter = has_derivative and (np.ndim(leaf.value) or np.any(derivative))
    return leaf if is_parameter else leaf._replace(held="holds integers")


def _joined(form: Any, values: Iterator[Any]) -> Any:
    if form is None:
        return next(values)
    branch, forms = form
    return branch.join([_joined(below, values) for below in forms])


def _children_like(branch: Branch, values: Any, name: str, what: str) -> list[Any]:
    """The children of another branch in the order of this one: by key, or by position in a list or tuple."""
    if isinstance(values, (list, tuple)) and not hasattr(values, "_fields"):
        trained = [getattr(child, "requires_grad", True) for child in branch.children]
        if len(values) == len(trained):
            return list(values)
        if len(values) == sum(trained):  # the gradients of a module of which some parameters are frozen
            rest = iter(values)
            return [next(rest) if each else None for each in trained]
    other = take_apart(values)
    if other is None or set(other.keys) - set(branch.keys):
        raise ValueError(f"{what} must be {_described(branch)}, as {name} is, not {_described(other or values)}")
    found = dict(zip(other.keys, other.children))
    missing = [key for key in branch.keys if key not in found]
    if missing and all(isinstance(key, int) for key in missing):
        raise ValueError(f"{what} must be {_described(branch)}, as {name} is, not {_described(other)}")
    return [found.get(key) for key in branch.keys]


def _described(values: Any) -> str:
    branch = values if isinstance(values, Branch) else take_apart(values)
    if branch is None:
        return type(values).__name__
    if branch.keys == tuple(range(len(branch.keys))):
        return f"a {branch.kind} of {len(branch.keys)}"
    return f"a {branch.kind} with the keys {sorted(branch.keys, key=str)}"


def _is_nothing(value: Any) -> bool:
    """Whether the derivative of a leaf that is held fixed is none: None, the leaf itself, zeros, JAX's float0."""
    dtype = str(getattr(value, "dtype", type(value).__name__))
    return "float" not in dtype or "float0" in dtype or not np.any(to_numpy(value))
