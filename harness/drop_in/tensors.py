"""A function of tensors as a real cost of real numbers: what `gradcheck` is asked about, as `check_gradient` asks it.

Outputs are added up with random weights, so that one cost carries all of them: a wrong entry of the Jacobian is wrong
in its gradient, but for weights that have probability zero.
"""

# Not installed everywhere, so that its names cannot be resolved.
# pyright: reportMissingImports=false, reportAttributeAccessIssue=false

import inspect
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch.autograd import forward_ad

from harness.drop_in.settling import generator

FORWARD_ENTRIES = 300  # inputs up to which forward mode, which takes one pass for each, is checked


class Weighted:
    """A function's outputs, added up with random weights.

    Parameters
    ----------
    func : callable
    inputs : sequence
        Those that require a gradient are moved in place for a call, and put back after it, so that a function that
        closes over them sees it, and strides, views and parameters are what they are.
    outputs : callable
        Which of the function's outputs, by place, have a derivative to be checked.

    Attributes
    ----------
    theta : dict of real tensors by the name of the input, a complex one with its two parts along a last axis
    """

    def __init__(self, func: Callable[..., Any], inputs: Sequence[Any], outputs: Callable[[Any], list[int]]) -> None:
        self.func, self.inputs = func, inputs
        first = {id(x): i for i, x in reversed(list(enumerate(inputs))) if _requires_grad(x)}
        if not first:
            raise ValueError("no input requires a gradient; set requires_grad=True on those to check")
        self.places = sorted(first.values())
        if any(inputs[i].layout != torch.strided for i in self.places):
            raise TypeError("sparse inputs cannot be checked here")
        names = _names(func, len(inputs))
        shared = Counter(inputs[i].untyped_storage().data_ptr() for i in self.places)
        self.alone = {i: shared[inputs[i].untyped_storage().data_ptr()] == 1 for i in self.places}
        self.theta = {names[i]: _as_real(inputs[i]).clone() for i in self.places}
        found = every_output(func(*inputs))
        self.chosen = outputs(found)
        if not self.chosen:
            raise ValueError("no output depends on an input that requires a gradient")
        self.weights = random_like([found[k] for k in self.chosen], "weights")

    def cost(self, theta: dict[str, Any]) -> float:
        """Re Σ w·output."""
        with self._at(theta) as given:
            return float(self._sum(given).detach())

    def pulled_back(self, theta: dict[str, Any]) -> dict[str, Any]:
        """Its gradient by reverse mode; None where there is no path."""
        with self._at(theta) as given:
            cost = self._sum(given)
            leaves = [given[i] for i in self.places]
            found = torch.autograd.grad(cost, leaves, allow_unused=True) if cost.requires_grad else [None] * len(leaves)
            return {name: None if g is None else _as_real(g) for name, g in zip(theta, found)}

    def pushed_forward(self, theta: dict[str, Any]) -> dict[str, Any]:
        """Its gradient by forward mode, one pass for each entry."""
        if sum(x.numel() for x in theta.values()) > FORWARD_ENTRIES:
            raise NotImplementedError(f"forward mode is checked for up to {FORWARD_ENTRIES} inputs")
        gradients = {name: torch.zeros_like(x) for name, x in theta.items()}
        with self._at(theta) as given:
            for i, gradient in zip(self.places, gradients.values()):
                for entry in range(gradient.numel()):
                    unit = torch.zeros_like(gradient)
                    unit.view(-1)[entry] = 1.0
                    gradient.view(-1)[entry] = self._slope(given, i, unit)
        return gradients

    def _slope(self, given: Sequence[Any], which: int, unit: Any) -> Any:
        """The derivative of the cost along one input's direction."""
        tangent = torch.view_as_complex(unit) if given[which].is_complex() else unit
        with forward_ad.dual_level():
            dual = forward_ad.make_dual(given[which].detach(), tangent)
            moved = {id(self.inputs[i]): given[i].detach() for i in self.places} | {id(self.inputs[which]): dual}
            slope = forward_ad.unpack_dual(self._sum([moved.get(id(x), y) for x, y in zip(self.inputs, given)])).tangent
        return 0.0 if slope is None else slope

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
        given, kept = list(self.inputs), {i: self.inputs[i].detach().clone() for i in self.places}
        try:
            for i, values in zip(self.places, theta.values()):
                new = self._moved(i, values)
                given = [new if x is self.inputs[i] else x for x in given]
            yield given
        finally:
            for i, values in kept.items():
                self.inputs[i].data.copy_(values)

    def _moved(self, i: int, values: Any) -> Any:
        """An input with other values: itself, but for one in a wider type or in memory that it shares with another."""
        x = self.inputs[i]
        values = torch.view_as_complex(values.contiguous()) if x.is_complex() else values
        if values.dtype == x.dtype and self.alone[i]:
            x.data.copy_(values)
            return x
        if isinstance(x, torch.nn.Parameter) and values.dtype != x.dtype:
            raise TypeError("a torch.nn.Parameter keeps its precision")
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
    """Random numbers for each tensor, in double precision, other ones for each purpose."""
    rng = generator(purpose)
    drawn = []
    for y in tensors:
        real, imaginary = rng.normal(size=(2, *y.shape))
        drawn.append(torch.as_tensor(real + 1j * imaginary if y.is_complex() else real).to(y.device))
    return drawn


def _requires_grad(x: Any) -> bool:
    return isinstance(x, torch.Tensor) and x.requires_grad


def _as_real(x: Any) -> Any:
    """A tensor without its graph, dense, as real numbers."""
    x = x.detach()
    x = x if x.layout == torch.strided else x.to_dense()
    return torch.view_as_real(x.resolve_conj()) if x.is_complex() else x


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
