"""A function of tensors as a real cost of real numbers, which `check_gradient` can check.

Outputs are added up with random weights, so that one cost carries all of them. A wrong entry of the Jacobian makes the
gradient of that cost wrong, but for weights of probability zero. A part of the outputs is a cost of its own: beside it
the cotangents of all others are missing or zero, which a rule may mistake.
"""

# Not installed everywhere, so that its names cannot be resolved.
# pyright: reportMissingImports=false, reportAttributeAccessIssue=false

import copy
import inspect
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np
import torch
from torch.autograd import forward_ad

from harness.checks.functions.gradient_check import check_gradient
from harness.drop_in.fallback import compared, drawn_weights
from harness.drop_in.line_checks import SCALES, Slope, check_forward, row_units, unit_of
from harness.verdict.report import Report

ALL_PARTS = 4
"""Of so many outputs, every subset is a part; of more, each output, all but each, and all."""

Tensors = dict[str, Any]
"""Real tensors by the names of the inputs; None for one that has no part in it."""


class WeightedCost:
    """A function's outputs, added up with random weights.

    Parameters
    ----------
    func : callable
    inputs : sequence
        Those that require a gradient are moved in place for a call, and put back after it, so that a function that
        closes over them sees it, and strides, views and parameters are what they are.
    outputs : callable
        Which of the function's outputs, by place, have a derivative to be checked.
    masked : bool
        Whether of sparse inputs nothing but the entries that they specify is asked about.
    what : str
        What the function answers, for a report.

    Attributes
    ----------
    found : list of tensors
        The outputs at the inputs.
    chosen : list of int
        The places of those that are added up.
    theta : dict of tensors
        The inputs as real tensors by their names. A complex one has its two parts along a last axis, a sparse one the
        entries that it specifies.
    """

    def __init__(
        self,
        func: Callable[..., Any],
        inputs: Sequence[Any],
        outputs: Callable[[Any], list[int]],
        masked: bool = False,
        what: str = "outputs",
    ) -> None:
        self.func, self.inputs = func, inputs
        first = {id(x): i for i, x in reversed(list(enumerate(inputs))) if _requires_grad(x)}
        if not first:
            raise ValueError("no input requires a gradient; set requires_grad=True on those to check")
        self.places = sorted(first.values())
        if not masked and any(_is_sparse(inputs[i]) for i in self.places):
            raise TypeError("entries that a sparse input does not specify are not checked here, but with masked=True")
        memory = {i: _numbers(inputs[i]).untyped_storage().data_ptr() for i in self.places}
        self.alone = {i: Counter(memory.values())[memory[i]] == 1 for i in self.places}
        names = _names(func, len(inputs))
        self.theta: Tensors = {names[i]: _as_real(_numbers(inputs[i])).clone() for i in self.places}
        # First, since a graph must not see the inputs move; gradients have entries that are 0 but for rounding.
        beside = self._outputs_beside() if what == "outputs" and not self.is_coarse else []
        self.found = every_output(func(*inputs))
        self.chosen = outputs(self.found)
        if not self.chosen:
            raise ValueError("no output depends on an input that requires a gradient")
        self.what = what
        self.weights = random_like(self.outputs, "weights")
        if beside and all(len(each) == len(self.found) for each in beside):
            rows = (row_units(_array(self.found[k]), [_array(each[k]) for each in beside]) for k in self.chosen)
            self.weights = [w / torch.as_tensor(units).to(w.device) for w, units in zip(self.weights, rows)]

    def _outputs_beside(self) -> list[list[Any]]:
        """The outputs one step ahead of the inputs, and one behind; nothing where the function raises."""
        direction, found = self.direction(SCALES[0].units, "rows"), []
        try:
            for step in (SCALES[0].step, -SCALES[0].step):
                with self.at(self.moved(direction, step)) as given:
                    found.append(every_output(self.func(*given)))
        except Exception:  # noqa: BLE001  outside of the domain, perhaps
            return []
        return found

    @property
    def outputs(self) -> list[Any]:
        """Those outputs at the inputs that are added up."""
        return [self.found[k] for k in self.chosen]

    @cached_property
    def parts(self) -> list["WeightedCost"]:
        """The subsets of the outputs that are checked by themselves; all of them at last."""
        count = len(self.chosen)
        sizes = range(1, count + 1) if count <= ALL_PARTS else (1, count - 1, count)
        return [self._part(places) for size in sizes for places in combinations(range(count), size)]

    def _part(self, places: tuple[int, ...]) -> "WeightedCost":
        if len(places) == len(self.chosen):
            return self
        found = copy.copy(self)
        found.__dict__.pop("gradient", None)
        found.chosen, found.weights = ([given[k] for k in places] for given in (self.chosen, self.weights))
        found.what = f"{self.what} {', '.join(map(str, found.chosen))} alone"
        return found

    @property
    def is_coarse(self) -> bool:
        """Whether an input is in less than double precision."""
        return any(torch.finfo(self.inputs[i].dtype).bits < 64 for i in self.places)

    @cached_property
    def gradient(self) -> Tensors:
        """The gradient at the inputs."""
        return self.pull_back(self.outputs, self.inputs)

    @property
    def largest(self) -> float:
        """The largest derivative in any input."""
        return max((float(g.abs().max()) for g in self.gradient.values() if g is not None and g.numel()), default=0.0)

    def call(self, given: Sequence[Any]) -> list[Any]:
        """The outputs that are added up, at other inputs."""
        outputs = every_output(self.func(*given))
        if len(outputs) <= max(self.chosen):
            raise TypeError("func answers fewer tensors beside these inputs")
        return [outputs[k] for k in self.chosen]

    def terms(self, outputs: Sequence[Any]) -> list[float]:
        """Re Σ w·y of each output, in double precision, whatever that is in."""
        return [
            float(torch.vdot(w.reshape(-1), y.detach().reshape(-1).to(w.dtype)).real)
            for w, y in zip(self.weights, outputs)
        ]

    def pull_back(self, outputs: Sequence[Any], given: Sequence[Any], factor: float = 1.0) -> Tensors:
        """The gradient of the outputs by so many times their weights for cotangents; None where there is no path."""
        pairs = [(y, (factor * w).to(y.dtype)) for y, w in zip(outputs, self.weights) if y.requires_grad]
        if not pairs:
            return dict.fromkeys(self.theta)
        leaves = [given[i] for i in self.places]
        tracked, cotangents = zip(*pairs)
        found = torch.autograd.grad(tracked, leaves, cotangents, retain_graph=True, allow_unused=True)
        return {name: None if g is None else _as_real(_like(x, g)) for name, x, g in zip(self.theta, leaves, found)}

    def push_forward(self, given: Sequence[Any], tangents: Mapping[str, Any], factor: float = 1.0) -> list[Slope]:
        """The derivative of each output along tangents, by those that are `factor` long; None is one of zeros."""
        if any(_is_sparse(self.inputs[i]) for i in self.places):
            raise TypeError("forward mode is not checked here in sparse inputs")
        unit = unit_of(float(t.abs().max()) for t in tangents.values() if t is not None and t.numel()) / factor
        duals = {}
        with forward_ad.dual_level():
            for i, tangent in zip(self.places, tangents.values()):
                x = given[i].detach()
                if tangent is not None:
                    tangent = as_complex(tangent) if x.is_complex() else tangent
                    x = forward_ad.make_dual(x, (tangent / unit).to(x.dtype))
                duals[id(self.inputs[i])] = x
            outputs = self.call([duals.get(id(x), y) for x, y in zip(self.inputs, given)])
            found = [forward_ad.unpack_dual(y).tangent for y in outputs]
        terms = [None if t is None else w.conj() * t.detach() for w, t in zip(self.weights, found)]
        return [
            Slope(0.0, [0.0]) if t is None else Slope(unit * float(t.sum().real), [abs(unit) * float(t.abs().sum())])
            for t in terms
        ]

    def check_backward(self, accuracy: float) -> Report:
        """Its gradient by reverse mode."""

        def gradient(theta: Tensors) -> Tensors:
            with self.at(theta) as given:
                return self.pull_back(self.call(given), given)

        report = check_gradient(self._cost, self.theta, gradient=gradient, accuracy=accuracy)
        return report.with_facts(compared("reverse mode", self.what))

    def check_forward(self, accuracy: float) -> Report:
        """Its gradient by forward mode: along one direction, and if need be entry by entry."""
        direction = self.direction(SCALES[0].units, "direction")
        coarsest = max((x.dtype for x in self.theta.values()), key=lambda dtype: torch.finfo(dtype).eps)

        def slope(theta: Tensors, tangents: Tensors) -> float:
            with self.at(theta) as given:
                return sum(each.value for each in self.push_forward(given, tangents))

        def moved(step: Any) -> Tensors:
            return self.moved(direction, step, keep=step.dtype == coarsest)  # in a wider type, all is in that

        def by_entry(theta: Tensors) -> Tensors:
            gradient = {name: torch.zeros_like(x) for name, x in theta.items()}
            for name, entries in gradient.items():
                for entry in range(entries.numel()):
                    units = {each: torch.zeros_like(x) for each, x in theta.items()}
                    units[name].view(-1)[entry] = 1.0
                    entries.view(-1)[entry] = slope(theta, units)
            return gradient

        report = check_forward(
            lambda step: self._cost(moved(step)),
            lambda step: slope(moved(step), direction),
            sum(x.numel() for x in self.theta.values()),
            lambda: check_gradient(self._cost, self.theta, gradient=by_entry, accuracy=accuracy),
            accuracy,
            torch.zeros((), dtype=coarsest),
        )
        return report.with_facts(compared("forward mode", self.what))

    def _cost(self, theta: Tensors) -> float:
        with self.at(theta) as given:
            return sum(self.terms(self.call(given)))

    def direction(self, units: Callable[[Any], Any], purpose: str) -> Tensors:
        """A random direction in the units that fit the sizes of the inputs."""
        return {
            name: torch.as_tensor(
                drawn_weights(f"{purpose} {name}", tuple(x.shape)) * units(x.abs().double().cpu().numpy())
            )
            for name, x in self.theta.items()
        }

    def moved(self, direction: Mapping[str, Any], step: Any, keep: bool = True) -> Tensors:
        """θ + step · direction; whether in the types of θ."""
        moves = ((name, x, (step * direction[name]).to(x.device)) for name, x in self.theta.items())
        return {name: x + (move.to(x.dtype) if keep else move) for name, x, move in moves}

    @contextmanager
    def at(self, theta: Tensors) -> Iterator[list[Any]]:
        """The inputs at a θ."""
        given, kept = list(self.inputs), {i: _numbers(self.inputs[i]).clone() for i in self.places}
        try:
            for i, values in zip(self.places, theta.values()):
                new = self._moved(i, values)
                given = [new if x is self.inputs[i] else x for x in given]
            yield given
        finally:
            for i, values in kept.items():
                _numbers(self.inputs[i]).copy_(values)

    def _moved(self, i: int, values: Any) -> Any:
        """An input with other values: itself, but for one in a wider type or in memory that it shares with another."""
        x = self.inputs[i]
        values = as_complex(values) if x.is_complex() else values
        if values.dtype == x.dtype and self.alone[i]:
            _numbers(x).copy_(values)
            return x
        if _is_sparse(x) or (isinstance(x, torch.nn.Parameter) and values.dtype != x.dtype):
            raise TypeError(f"a {type(x).__name__} is moved in place, and keeps its precision")
        x.data.fill_(torch.nan)  # a function that closes over it cannot do with another in its place
        fresh = torch.empty_strided(x.size(), x.stride(), dtype=values.dtype, device=x.device)
        return fresh.copy_(values).requires_grad_()


def every_output(outputs: Any) -> list[Any]:
    """The tensors among the outputs."""
    return [y for y in (outputs if isinstance(outputs, (tuple, list)) else (outputs,)) if isinstance(y, torch.Tensor)]


def differentiable(outputs: Sequence[Any]) -> list[int]:
    """The places of outputs that have a graph."""
    return [k for k, y in enumerate(outputs) if y.requires_grad]


def random_like(tensors: Sequence[Any], purpose: str) -> list[Any]:
    """Random numbers for each tensor, in double precision, other ones for each purpose; none is 0, 1 or -1."""
    drawn = []
    for k, y in enumerate(tensors):
        real, imaginary = drawn_weights(f"{purpose} {k}", (2, *y.shape))
        drawn.append(torch.tensor(real + 1j * imaginary if y.is_complex() else real).to(y.device))
    return drawn


def _array(x: Any) -> np.ndarray:
    return x.detach().resolve_conj().cpu().numpy()


def _requires_grad(x: Any) -> bool:
    return isinstance(x, torch.Tensor) and x.requires_grad


def _is_sparse(x: Any) -> bool:
    return x.layout != torch.strided


def _numbers(x: Any) -> Any:
    """The memory in which a tensor's numbers are, without a graph."""
    if not _is_sparse(x):
        return x.data
    if x.layout == torch.sparse_coo and not x.is_coalesced():
        raise TypeError("a sparse input that specifies an entry twice cannot be checked here")
    return x.detach()._values() if x.layout == torch.sparse_coo else x.detach().values()


def _like(x: Any, gradient: Any) -> Any:
    """A gradient, of whatever layout, at the numbers of x."""
    dense = gradient if not _is_sparse(gradient) else gradient.to_dense()
    if not _is_sparse(x):
        return torch.empty_like(dense).copy_(dense)  # of zeros, PyTorch may keep no memory
    order = x.detach().to(torch.complex128 if x.is_complex() else torch.float64).clone()
    places = _numbers(order)
    places.copy_(torch.arange(1, places.numel() + 1).view(places.shape))
    order = order.to_dense()
    order = (order.real if order.is_complex() else order).flatten()
    where = torch.argsort(order)[-places.numel() :]  # all others are zero
    return dense.flatten()[where].view(places.shape)


def _as_real(x: Any) -> Any:
    """A tensor without its graph, as real numbers."""
    x = x.detach()
    return torch.view_as_real(x.resolve_conj()) if x.is_complex() else x


def as_complex(x: Any) -> Any:
    """Real numbers with two parts along a last axis, as complex ones."""
    return torch.complex(x[..., 0], x[..., 1])


def _names(func: Any, count: int) -> list[str]:
    """What a function calls its inputs; "input_0" and so on where that cannot be told."""
    owner, skipped = getattr(func, "__self__", None), 0
    if isinstance(owner, type) and issubclass(owner, torch.autograd.Function):
        func, skipped = owner.forward, int(owner.setup_context is torch.autograd.Function.setup_context)  # its ctx
    elif isinstance(func, torch.nn.Module):
        func = func.forward
    try:
        parameters = list(inspect.signature(func).parameters.values())[skipped:]
    except (TypeError, ValueError):
        parameters = []
    names = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return [names[i] if i < len(names) else f"input_{i}" for i in range(count)]
