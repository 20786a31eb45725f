"""Formulas over torch: they run in torch, whose autograd is one more source, and a `torch.autograd.Function` is a pair.

No other arithmetic takes tensors. So such a record is compared with autograd and with differences of its values.
"""

import contextlib
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from functools import wraps
from typing import Any

import numpy as np

from harness.bounds.activation_bound import FORMULA_ERRORS
from reference.activations import Activation
from reference.arithmetics.companion import NoRule
from reference.measured import MeasuredSlope, NotApplicable
from reference.namespaces import Namespace

REFUSED = "functions of torch take tensors only"


@dataclass(frozen=True, eq=False)
class OverTorch(Activation):
    """A record whose formula runs in torch."""

    tensors: Callable[[Any], Any] | None = field(default=None, kw_only=True)
    """The formula, from tensor to tensor, as autograd differentiates it; None where it does not run in torch."""
    backward: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = field(default=None, kw_only=True)
    """That of a `torch.autograd.Function`, which cannot declare kinks, from z and the upstream gradient."""


def runs_in_torch(f: Activation) -> bool:
    """Whether torch's autograd takes a formula."""
    return isinstance(f, OverTorch) and f.tensors is not None


def slope_by_autograd(f: Activation, z: np.ndarray) -> MeasuredSlope:
    """f(z) and f'(z) by torch's autograd."""
    if not isinstance(f, OverTorch) or f.tensors is None:
        raise NotApplicable("the formula does not call torch")
    return MeasuredSlope(f(z.copy()), _gradient(f.tensors, z, np.ones_like(z)), np.zeros_like(z))


def is_function_pair(given: Any) -> bool:
    """Whether it is a `torch.autograd.Function`, whose backward is the claim beside its forward."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(given, type) and issubclass(given, torch.autograd.Function)


def record_of_pair(function: Any) -> Activation:
    """The record of a `torch.autograd.Function` of one tensor: forward is the formula, backward the claimed slope."""
    return OverTorch(
        function.__name__,
        value=lambda xp, z: _on_arrays(function.apply, z),
        slope=lambda z, a: _gradient(function.apply, z, np.ones_like(z)),
        tensors=_forward_of(function),
        backward=lambda z, upstream: _gradient(function.apply, z, upstream),
    )


def in_torch(f: Activation) -> Activation:
    """The record with formulas that call torch; the record itself where they do not."""
    torch = sys.modules.get("torch")
    if torch is None or isinstance(f, OverTorch) or _is_of(np.ndarray, lambda: f(np.zeros(2))):
        return f
    # a formula of xp that NumPy refuses may be one of torch, which takes tensors only
    zeros, xp = torch.zeros(2, dtype=torch.float64), Namespace("torch", torch)
    if not _is_of(torch.Tensor, lambda: f.value(xp, zeros)):
        return f

    @wraps(f.value)
    def value(_: Any, z: Any, **parameters: Any) -> Any:
        if isinstance(z, torch.Tensor):
            return f.value(xp, z, **parameters)
        return _on_arrays(lambda z: f.value(xp, z, **parameters), z)

    # the formula calls torch, and the slope by hand may do so, too
    takes_arrays = _is_of(np.ndarray, lambda: f.slope(np.zeros(2), np.zeros(2)))
    slope = f.slope if takes_arrays else lambda z, a: _on_arrays(f.slope, z, a)
    further = {each.name: getattr(f, each.name) for each in fields(Activation) if each.name not in ("value", "slope")}
    return OverTorch(value=value, slope=slope, tensors=lambda z: f.value(xp, z), **further)


def _on_arrays(function: Callable[..., Any], *arrays: Any) -> np.ndarray:
    """A function of tensors at arrays of floats."""
    import torch  # pyright: ignore[reportMissingImports]

    if any(type(x) is not np.ndarray for x in arrays):
        raise NoRule(REFUSED)
    with torch.no_grad():
        return function(*map(torch.tensor, arrays)).numpy()


def _gradient(function: Callable[[Any], Any], z: np.ndarray, upstream: np.ndarray) -> np.ndarray:
    """Autograd's gradient of Σ upstream · function(z): at each z, upstream times the slope."""
    import torch  # pyright: ignore[reportMissingImports]

    if type(z) is not np.ndarray:
        raise NoRule(REFUSED)
    at = torch.tensor(z, requires_grad=True)
    return torch.autograd.grad(function(at), at, torch.tensor(upstream))[0].numpy()


class _Context:
    """What `forward` needs of its ctx; what it keeps there is forgotten."""

    needs_input_grad = (True,)

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_, **__: None


def _forward_of(function: Any) -> Callable[[Any], Any]:
    """The forward of a pair by itself, which autograd differentiates operation by operation."""
    import torch  # pyright: ignore[reportMissingImports]

    # a Function with a `setup_context` has a forward without ctx
    takes_context = function.setup_context is torch.autograd.Function.setup_context
    return (lambda z: function.forward(_Context(), z)) if takes_context else function.forward


def _is_of(kind: type, call: Callable[[], Any]) -> bool:
    """Whether a call returns an object of that type."""
    with contextlib.suppress(*FORMULA_ERRORS), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return isinstance(call(), kind)
    return False
