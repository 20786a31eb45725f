"""PyTorch's modules and parameters, which are set in place for a call and restored after it.

Training changes a module in place, so functions of a module often use the module that they captured and ignore their
argument. Therefore the values of θ are written into the module's own parameters. After the call its parameters, buffers
and gradients are restored.
"""

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from harness.facts.fact import Fact, note
from harness.facts.kinds import Kind


def is_module(node: Any) -> bool:
    """Whether it is a torch.nn.Module."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(node, torch.nn.Module)


def is_tensor(leaf: Any) -> bool:
    """Whether it is a tensor of PyTorch."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(leaf, torch.Tensor)


def is_parameter(leaf: Any) -> bool:
    """Whether it is a torch.nn.Parameter, which is set in place."""
    return is_tensor(leaf) and isinstance(leaf, sys.modules["torch"].nn.Parameter)


def parameters_of(module: Any) -> dict[str, Any]:
    """The parameters by name; a parameter that is used in several places is listed once."""
    return dict(module.named_parameters())


def accessor(name: str) -> str:
    """How "layers.0.weight" is written in Python: ".layers[0].weight"."""
    return "".join(f"[{part}]" if part.isdecimal() else f".{part}" for part in name.split("."))


def product_unit(tensor: Any) -> float:
    """The unit roundoff to which a GPU may round the inputs of matrix products and convolutions; else 0."""
    torch = sys.modules["torch"]
    if tensor.device.type != "cuda" or tensor.dtype != torch.float32:
        return 0.0
    return 2.0**-11 if torch.backends.cuda.matmul.allow_tf32 or torch.backends.cudnn.allow_tf32 else 0.0


def devices_of(leaves: Sequence[Any]) -> list[Fact]:
    """Where tensors live, if not all are on the CPU."""
    tensors = [leaf for leaf in leaves if is_tensor(leaf)]
    devices = list(dict.fromkeys(str(tensor.device) for tensor in tensors if tensor.device.type != "cpu"))
    coarse = [note(Kind.PRODUCT_BITS, bits=11)] if any(map(product_unit, tensors)) else []
    return [note(Kind.ON_DEVICE, *devices, library="PyTorch"), *coarse] if devices else []


def tensor_like(model: Any, values: np.ndarray) -> Any:
    """A tensor of the values, like the one given in type, device and `requires_grad`; a parameter is set itself."""
    torch = sys.modules["torch"]
    made = torch.as_tensor(values.copy(), dtype=model.dtype, device=model.device)
    if is_parameter(model):
        with torch.no_grad():
            model.copy_(made)
        return model
    return made.requires_grad_(model.requires_grad)


class Kept:
    """What modules and parameters, those of the modules too, hold between calls; it is restored after each call."""

    def __init__(self, modules: Sequence[Any], parameters: Sequence[Any]):
        self._parameters = [(each, each.detach().clone(), each.grad) for each in parameters]
        parts = {id(part): part for module in modules for part in module.modules()}
        buffers = [(part, *item) for part in parts.values() for item in part.named_buffers(recurse=False)]
        self._buffers = [(part, name, buffer, buffer.detach().clone()) for part, name, buffer in buffers]
        self._training = [(part, part.training) for part in parts.values()]

    def forget_gradients(self) -> None:
        """Clear gradients, so that `backward` adds to nothing."""
        for parameter, _, _ in self._parameters:
            parameter.grad = None

    def put_back(self) -> None:
        """Restore parameters, gradients, buffers and training modes."""
        if not self._parameters:
            return
        with sys.modules["torch"].no_grad():
            for parameter, values, grad in self._parameters:
                parameter.copy_(values)
                parameter.grad = grad
            for part, name, buffer, values in self._buffers:
                buffer.copy_(values)
                setattr(part, name, buffer)
            for part, training in self._training:
                part.training = training


def has_graph(cost: Any) -> bool:
    """Whether autograd can differentiate this."""
    return is_tensor(cost) and cost.requires_grad


def gradient_by_autograd(cost: Any, leaves: Sequence[Any]) -> list[Any]:
    """The gradient of a cost in tensors that require one, None where no path leads to a tensor.

    If the function has called `backward` itself, the gradients are those in `.grad`.
    """
    if any(leaf.grad is not None for leaf in leaves):
        return [leaf.grad for leaf in leaves]
    return list(sys.modules["torch"].autograd.grad(cost.sum(), leaves, allow_unused=True))
