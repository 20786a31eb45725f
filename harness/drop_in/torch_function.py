"""A function of tensors as a function of real arrays, with autograd's derivatives."""

# Not installed everywhere, so that its names cannot be resolved.
# pyright: reportMissingImports=false, reportAttributeAccessIssue=false

import copy
import inspect
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch.autograd import forward_ad

from harness.drop_in.reported_function import (
    LINEARITY_FACTORS,
    OUTPUTS,
    Arrays,
    ReportedFunction,
    drawn_weights,
    relative_difference,
)

DOUBLE = {
    torch.float16: torch.float64,
    torch.bfloat16: torch.float64,
    torch.float32: torch.float64,
    torch.complex64: torch.complex128,
}

ROUNDINGS, ROUNDINGS_OF_HALVES = 2.0**10, 2.0**3
"""A derivative in float32 is the one in double precision to the first number of roundings, 1e-4, as functions of some
hundred operations are. A half has few digits to lose: at 2¹⁰ roundings, anything would be the same."""

LINEARITY_FACTORS_OF_COARSE = (-4.0,)
"""Halves reach from 6e-5 to 65504 in full precision, which -2²⁰ and 2⁻¹⁰ times a derivative would leave."""


class TensorFunction(ReportedFunction):
    """A function of tensors, with autograd's derivatives in those that require a gradient.

    A call at other numbers writes them into the caller's own tensors, and writes the old ones back. So a function that
    closes over a tensor sees the change, and strides, views and parameters are what they are. At `x` itself nothing is
    written, and outputs and graph are those of one call.
    """

    is_pure = False
    can_hold_inputs = True

    def __init__(
        self,
        func: Callable[..., Any],
        inputs: Sequence[Any],  # its arguments
        names: Sequence[str],  # of the inputs, for reports
        *,
        masked: bool = False,  # whether only the entries that a sparse input specifies are differentiated
        output_name: str = OUTPUTS,
        primal_size: float = 0.0,
    ) -> None:
        self.func, self.inputs, self.names, self.masked = func, tuple(inputs), names, masked
        self.output_name, self.primal_size = output_name, primal_size
        first = {id(x): i for i, x in reversed(list(enumerate(inputs))) if getattr(x, "requires_grad", False)}
        if not first:
            raise ValueError("no input requires a gradient; set requires_grad=True on those to check")
        # One that is given twice, as in a * b of (x, x), is there once: autograd has one gradient for it.
        self.places = sorted(first.values())
        if not masked and any(_is_sparse(inputs[i]) for i in self.places):
            raise TypeError("entries that a sparse input does not specify are not checked here, but with masked=True")
        # A complex tensor has its two parts along a last axis, a sparse one the entries that it specifies. jax.tree
        # would sort the names of a dict.
        self.theta = OrderedDict((names[i], _as_real(_numbers(inputs[i]))) for i in self.places)
        self.x = [_array(leaf) for leaf in self.theta.values()]
        # Inputs in one memory, as x and x.t(), would move together, where each is to move alone.
        memory = {i: _numbers(inputs[i]).untyped_storage().data_ptr() for i in self.places if inputs[i].numel()}
        self._overlapping = {i for i, start in memory.items() if Counter(memory.values())[start] > 1}
        self.outputs = every_output(func(*inputs))
        # A gradient without a graph is kept: its derivative is then reported as 0, and is mostly something else.
        self.output_numbers = [k for k, y in enumerate(self.outputs) if y.requires_grad or self.is_derivative]
        if not self.output_numbers:
            raise ValueError("no output depends on an input that requires a gradient")

    def of_inputs(self, numbers: Sequence[int]) -> "TensorFunction":
        fewer, named = copy.copy(self), list(self.theta.items())
        fewer.places, fewer.x = [self.places[k] for k in numbers], [self.x[k] for k in numbers]
        fewer.theta = OrderedDict(named[k] for k in numbers)
        return fewer

    def called_anew(self) -> "TensorFunction":
        # A new graph: what the rule has kept of the first call, or changed in it, is not in this one.
        again = copy.copy(self)
        again.outputs = every_output(self.func(*self.inputs))
        return again

    # -- derivatives -------------------------------------------------------------------------------------------------

    def call(self, x: Sequence[Any]) -> Arrays:
        with self._inputs_at(x) as given:
            return [_array(_as_real(y)) for y in self._checked_outputs(given)]

    def pull_back(self, x: Sequence[Any], weights: Sequence[np.ndarray | None]) -> Arrays:
        with self._inputs_at(x) as given:
            outputs, leaves = self._checked_outputs(given), [given[i] for i in self.places]
            # An output is left out where its cotangent is missing, and where autograd has no graph of it.
            pairs = [(y, _like(w, y)) for y, w in zip(outputs, weights) if w is not None and y.requires_grad]
            found = [None] * len(leaves)  # without a path from the outputs
            if pairs:
                tracked, cotangents = zip(*pairs)
                # The graph is kept for the next weights: at x it is that of one call.
                found = torch.autograd.grad(tracked, leaves, cotangents, retain_graph=True, allow_unused=True)
            return [
                np.zeros(known.shape) if g is None else _array(_as_real(_at_numbers(leaf, g)))
                for leaf, g, known in zip(leaves, found, self.x)
            ]

    def push_forward(self, x: Sequence[Any], tangents: Sequence[np.ndarray | None]) -> Arrays:
        if any(_is_sparse(self.inputs[i]) for i in self.places):
            raise TypeError("forward mode is not checked here in sparse inputs")
        with self._inputs_at(x) as given, forward_ad.dual_level():
            duals = {}
            for i, tangent in zip(self.places, tangents):
                leaf = given[i].detach()
                dual = leaf if tangent is None else forward_ad.make_dual(leaf, _like(tangent, leaf))
                duals[id(self.inputs[i])] = dual
            outputs = self._checked_outputs([duals.get(id(x), y) for x, y in zip(self.inputs, given)])
            found = [forward_ad.unpack_dual(y) for y in outputs]
            # An output that depends on no dual number has the tangent None, which is 0.
            return [_array(_as_real(torch.zeros_like(y) if t is None else t)) for y, t in found]

    def _checked_outputs(self, given: Sequence[Any]) -> list[Any]:
        """Of func's outputs for these arguments those whose derivatives are checked; for `inputs` without a call."""
        every = self.outputs if given is self.inputs else every_output(self.func(*given))
        if len(every) <= max(self.output_numbers):
            raise TypeError("func answers fewer tensors beside these inputs")
        return [every[k] for k in self.output_numbers]

    # -- inputs that move --------------------------------------------------------------------------------------------

    def tree(self, leaves: Sequence[Any]) -> Any:
        return OrderedDict(
            (name, torch.as_tensor(leaf).to(x)) for leaf, (name, x) in zip(leaves, self.theta.items(), strict=True)
        )

    @contextmanager
    def _inputs_at(self, x: Sequence[Any]) -> Iterator[Sequence[Any]]:
        """The arguments of func with other numbers in them, for the time of a call; `inputs` itself at `self.x`."""
        if x is self.x:
            yield self.inputs
            return
        kept = {i: _numbers(self.inputs[i]).clone() for i in self.places}
        try:
            # By identity, so that a tensor that is given twice stays one.
            moved = {id(self.inputs[i]): self._move(i, torch.as_tensor(values)) for i, values in zip(self.places, x)}
            yield [moved.get(id(given), given) for given in self.inputs]
        finally:
            for i, values in kept.items():
                _numbers(self.inputs[i]).copy_(values)

    def _move(self, i: int, values: Any) -> Any:
        """An input with other values: the input itself, or a new tensor where another input shares its memory."""
        x = self.inputs[i]
        values = _as_complex(values) if x.is_complex() else values
        if i not in self._overlapping or _is_sparse(x):
            _numbers(x).copy_(values)
            return x
        # A function that closes over x and ignores its argument would not see the new tensor. NaN makes it undecided.
        x.data.fill_(torch.nan)
        fresh = torch.empty_strided(x.size(), x.stride(), dtype=values.dtype, device=x.device)
        return fresh.copy_(values).requires_grad_()

    # -- precision ---------------------------------------------------------------------------------------------------

    @property
    def _eps_of_inputs(self) -> float:
        """The rounding unit of the coarsest input."""
        return max(_eps(x.dtype) for x in self.theta.values())

    @property
    def is_coarse(self) -> bool:
        """Whether an input is in less than double precision."""
        return self._eps_of_inputs > _eps(torch.float64)

    @property
    def may_look(self) -> bool:
        """Whether differences of values show ten digits: dense double precision, and no two inputs in one memory."""
        outputs = self._checked_outputs(self.inputs)
        is_dense = not any(map(_is_sparse, (*(self.inputs[i] for i in self.places), *outputs)))
        is_double = not self.is_coarse and all(_eps(y.dtype) == _eps(torch.float64) for y in outputs)
        return is_dense and is_double and not self._overlapping

    @property
    def linearity_factors(self) -> Sequence[float]:
        return LINEARITY_FACTORS_OF_COARSE if self.is_coarse else LINEARITY_FACTORS

    @property
    def nearness(self) -> float:
        """The share of itself by which a derivative in the inputs' types may differ from that in double precision."""
        is_half = self._eps_of_inputs > _eps(torch.float32)
        return self._eps_of_inputs * (ROUNDINGS_OF_HALVES if is_half else ROUNDINGS)

    def in_double(self, modes: Sequence[str]) -> "TensorFunction | None":
        """The function of inputs in double precision; None if it takes none, or answers something else there."""
        wide = {
            id(x): x.detach().to(DOUBLE.get(x.dtype, x.dtype)).requires_grad_(x.requires_grad)
            for x in self.inputs
            if isinstance(x, torch.Tensor)
        }
        try:
            found = TensorFunction(
                self.func,
                [wide.get(id(x), x) for x in self.inputs],
                self.names,
                masked=self.masked,
                output_name=self.output_name,
                primal_size=self.primal_size,
            )
            pairs = zip(self._answers(modes), found._answers(modes))
            is_same = all(relative_difference(coarse, fine) <= self.nearness for coarse, fine in pairs)
        except Exception:  # noqa: BLE001  a function need not take other types than it is given
            return None
        return found if found.may_look and is_same else None

    def _answers(self, modes: Sequence[str]) -> list[Arrays]:
        """The outputs, and what each mode answers to the same random numbers."""
        answers = [self.call(self.x)]
        weights = [drawn_weights(f"weights {k}", y.shape) for k, y in enumerate(answers[0])]
        tangents = [drawn_weights(f"tangent {k}", leaf.shape) for k, leaf in enumerate(self.x)]
        answers += [self.pull_back(self.x, weights)] if "reverse" in modes else []
        return [*answers, self.push_forward(self.x, tangents)] if "forward" in modes else answers


def every_output(outputs: Any) -> list[Any]:
    """The tensors among the outputs."""
    return [y for y in (outputs if isinstance(outputs, (tuple, list)) else (outputs,)) if isinstance(y, torch.Tensor)]


def _eps(dtype: Any) -> float:
    return torch.finfo(dtype).eps


def _is_sparse(x: Any) -> bool:
    return x.layout != torch.strided


def _numbers(x: Any) -> Any:
    """The memory in which a tensor's numbers are, without a graph."""
    if not _is_sparse(x):
        return x.data
    if x.layout == torch.sparse_coo and not x.is_coalesced():
        raise TypeError("a sparse input that specifies an entry twice cannot be checked here")
    return x.detach()._values() if x.layout == torch.sparse_coo else x.detach().values()


def _at_numbers(x: Any, gradient: Any) -> Any:
    """A gradient, of whatever layout, at the entries that x specifies, in the order in which x keeps them."""
    dense = gradient.to_dense()
    return _numbers(dense.sparse_mask(x.detach())) if _is_sparse(x) else dense


def _array(x: Any) -> np.ndarray:
    """A real tensor as an array in float64, which nothing else changes."""
    return x.detach().to_dense().resolve_neg().to("cpu", torch.float64).numpy().copy()


def _as_real(x: Any) -> Any:
    """A copy of a tensor without its graph, as real numbers."""
    x = x.detach().clone()  # derivatives that are 0 come as tensors without memory, and copies have some
    return torch.view_as_real(x.resolve_conj()) if x.is_complex() else x


def _as_complex(x: Any) -> Any:
    """Real numbers with two parts along a last axis, as complex ones."""
    return torch.complex(x[..., 0], x[..., 1])


def random_like(y: Any, purpose: str) -> Any:
    """Random numbers for a tensor, others for each purpose; none is 0, 1 or -1."""
    return _like(drawn_weights(purpose, _as_real(y).shape), y)


def _like(weights: np.ndarray, y: Any) -> Any:
    """Real numbers as a tensor like another."""
    given = torch.tensor(weights).to(y.device)  # a copy, which a rule may change
    return (_as_complex(given) if y.is_complex() else given).to(y.dtype)


def input_names(func: Any, count: int) -> list[str]:
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
