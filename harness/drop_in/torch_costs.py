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
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from itertools import combinations
from typing import Any

import torch
from torch.autograd import forward_ad

from harness.checks.functions.gradient_check import check_gradient
from harness.drop_in.fallback import compared, drawn_weights, generator
from harness.drop_in.line_checks import check_forward, unit_of
from harness.verdict.report import Report

ALL_PARTS = 4
"""Of so many outputs, every subset is a part; of more, each output, all but each, and all."""


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
        self.found = every_output(func(*inputs))
        self.chosen = outputs(self.found)
        if not self.chosen:
            raise ValueError("no output depends on an input that requires a gradient")
        self.weights = random_like([self.found[k] for k in self.chosen], "weights")
        self.summed = what

    def parts(self) -> list[tuple[int, ...]]:
        """The subsets of the outputs that are checked by themselves, by their places among the chosen; all at last."""
        count = len(self.chosen)
        sizes = range(1, count + 1) if count <= ALL_PARTS else (1, count - 1, count)
        return [part for size in sizes for part in combinations(range(count), size)]

    @property
    def every(self) -> tuple[int, ...]:
        """The places of all outputs among the chosen."""
        return tuple(range(len(self.chosen)))

    def part(self, places: tuple[int, ...]) -> "WeightedCost":
        """The cost of a part of the outputs."""
        if len(places) == len(self.chosen):
            return self
        found = copy.copy(self)
        for derived in ("gradients", "flat_weights"):
            found.__dict__.pop(derived, None)
        found.chosen, found.weights = ([given[k] for k in places] for given in (self.chosen, self.weights))
        found.summed = f"{self.summed} {', '.join(map(str, found.chosen))} alone"
        return found

    @cached_property
    def theta(self) -> dict[str, Any]:
        """The inputs as real tensors by their names.

        A complex one has its two parts along a last axis, a sparse one the entries that it specifies.
        """
        names = _names(self.func, len(self.inputs))
        return {names[i]: _as_real(_numbers(self.inputs[i])).clone() for i in self.places}

    @property
    def is_coarse(self) -> bool:
        """Whether an input is in less than double precision."""
        return any(torch.finfo(self.inputs[i].dtype).bits < 64 for i in self.places)

    def cost(self, theta: dict[str, Any]) -> float:
        """Re Σ w·output."""
        with self._at(theta) as given:
            return float(self._sum(given).detach())

    @cached_property
    def gradients(self) -> dict[tuple[int, ...], list[Any]]:
        """The gradients of each part at the inputs."""
        return {part: self.pull_back(self.found, part) for part in self.parts()}

    @cached_property
    def flat_weights(self) -> list[Any]:
        """The weights of each output as a vector."""
        return [w.reshape(-1) for w in self.weights]

    def largest(self, part: tuple[int, ...]) -> float:
        """The largest derivative of a part of the outputs, in any input."""
        found = self.gradients[part]
        return max((float(g.abs().max()) for g in found if g is not None and g.numel()), default=0.0)

    def pull_back(self, outputs: Sequence[Any], part: Sequence[int], factor: float = 1.0) -> list[Any]:
        """The gradients of a part of the outputs, with their weights for cotangents; None where there is no path."""
        tracked = [k for k in part if outputs[self.chosen[k]].requires_grad]
        leaves = [self.inputs[i] for i in self.places]
        if not tracked:
            return [None] * len(leaves)
        chosen = [outputs[self.chosen[k]] for k in tracked]
        weights = [self.weights[k] if factor == 1.0 else factor * self.weights[k] for k in tracked]
        weights = [w.to(y.dtype) for w, y in zip(weights, chosen)]
        found = torch.autograd.grad(chosen, leaves, weights, retain_graph=True, allow_unused=True)
        return [g if g is None or g.layout == torch.strided else g.to_dense() for g in found]

    def check_backward(self, accuracy: float) -> Report:
        """Its gradient by reverse mode."""
        report = check_gradient(self.cost, self.theta, gradient=self._pulled_back, accuracy=accuracy)
        return report.with_facts(compared("reverse mode", self.summed))

    def _pulled_back(self, theta: dict[str, Any]) -> dict[str, Any]:
        """None where there is no path."""
        with self._at(theta) as given:
            cost = self._sum(given)
            leaves = [given[i] for i in self.places]
            found = torch.autograd.grad(cost, leaves, allow_unused=True) if cost.requires_grad else [None] * len(leaves)
            return {name: None if g is None else _as_real(_like(x, g)) for name, x, g in zip(theta, leaves, found)}

    def check_forward(self, accuracy: float) -> Report:
        """Its gradient by forward mode: along one direction, and if need be entry by entry."""
        if any(_is_sparse(self.inputs[i]) for i in self.places):
            raise TypeError("forward mode is not checked here in sparse inputs")
        rng, every = generator("direction"), self.theta.values()
        sizes = [x.abs().clamp(min=1.0).double().cpu() for x in every]
        direction = [torch.as_tensor(rng.normal(size=x.shape)) * x for x in sizes]
        coarsest = max((x.dtype for x in every), key=lambda dtype: torch.finfo(dtype).eps)

        def moved(step: Any) -> dict[str, Any]:
            moves = [(step * v).to(x.device) for x, v in zip(every, direction)]
            wide = step.dtype != coarsest  # then all is
            return {
                name: x + (move if wide else move.to(x.dtype)) for (name, x), move in zip(self.theta.items(), moves)
            }

        def slope(step: Any) -> float:
            theta = moved(step)
            return self._slope(theta, {name: v.to(x) for (name, x), v in zip(theta.items(), direction)})

        size, zero = sum(x.numel() for x in every), torch.zeros((), dtype=coarsest)

        def by_entry() -> Report:
            return check_gradient(self.cost, self.theta, gradient=self._pushed_forward, accuracy=accuracy)

        report = check_forward(lambda step: self.cost(moved(step)), slope, size, by_entry, accuracy, zero)
        return report.with_facts(compared("forward mode", self.summed))

    def _pushed_forward(self, theta: dict[str, Any]) -> dict[str, Any]:
        """Its gradient by forward mode, one pass for each entry."""
        gradients = {name: torch.zeros_like(x) for name, x in theta.items()}
        for name, gradient in gradients.items():
            for entry in range(gradient.numel()):
                units = {each: torch.zeros_like(x) for each, x in theta.items()}
                units[name].view(-1)[entry] = 1.0
                gradient.view(-1)[entry] = self._slope(theta, units)
        return gradients

    def _slope(self, theta: dict[str, Any], tangents: dict[str, Any]) -> float:
        """The derivative of the cost along a direction."""
        unit = unit_of(float(t.abs().max()) for t in tangents.values() if t.numel())
        with self._at(theta) as given, forward_ad.dual_level():
            duals = {}
            for i, tangent in zip(self.places, (t / unit for t in tangents.values())):
                x = given[i].detach()
                duals[id(self.inputs[i])] = forward_ad.make_dual(x, as_complex(tangent) if x.is_complex() else tangent)
            slope = forward_ad.unpack_dual(self._sum([duals.get(id(x), y) for x, y in zip(self.inputs, given)])).tangent
            return 0.0 if slope is None else unit * float(slope.detach())

    def _sum(self, given: Sequence[Any]) -> Any:
        outputs = every_output(self.func(*given))
        if len(outputs) <= max(self.chosen):
            raise TypeError("func answers fewer tensors beside these inputs")
        chosen = (outputs[k] for k in self.chosen)
        return sum(  # in double precision, whatever the outputs are
            (w.conj() * y).real.sum() if w.is_complex() else (w * y).sum() for w, y in zip(self.weights, chosen)
        )

    @contextmanager
    def _at(self, theta: dict[str, Any]) -> Iterator[list[Any]]:
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
