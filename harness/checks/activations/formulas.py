"""A record's formulas, run as they are written: JAX functions in float64, plain NumPy ones in any arithmetic.

A formula is meant to be written over a namespace, as ``xp.where(z > 0, z, 0)``, and runs in every arithmetic then.
People write ``jnp.where(...)``, ``a[z < 0] = 0`` or ``[max(x, 0) for x in z]`` as well. `as_written` makes such
formulas run: those of torch and JAX in their own float64, others entry by entry on every path through them
(`array_proxies`).

A formula over torch runs in torch, whose autograd is one more source, and a `torch.autograd.Function` is a pair of
formula and slope. No other arithmetic takes tensors. So such a record is compared with autograd and with differences of
its values.
"""

import contextlib
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache, wraps
from typing import Any

import numpy as np

from harness.bounds.activation_bound import FORMULA_ERRORS
from harness.checks.activations.array_proxies import run_on_entries
from harness.facts.activation_messages import OF_VECTORS
from harness.named_objects import import_attribute
from reference.activations import ACTIVATIONS, Activation, get_activation
from reference.arithmetics.companion import Companion, NoRule, first_line
from reference.measured import MeasuredSlope, NotApplicable
from reference.namespaces import Namespace
from reference.user_input import is_real

PLAIN = "it needs plain arrays of float, as dtype=float, math and much of SciPy do"
BY_WHERE = "a Python `if` cannot choose for each entry: write xp.where(z > 0, ..., ...)"
OVER_XP = "only functions of xp take these numbers: write xp.exp(z) for torch.exp(z)"

ADVICE = {
    "__array__() was called on traced": "np. and scipy functions cannot take what JAX traces: write xp.tanh(z) for "
    "np.tanh(z), and for functions of scipy.special a formula over xp",
    "boolean conversion of traced array": BY_WHERE,
    "JAX arrays are immutable": "JAX has no assignment in place: write xp.where(condition, new, a) for "
    "a[condition] = new",
    "truth value of an array": BY_WHERE,
    "can be converted to Python scalars": "functions of math take one number: write xp.exp(z) for math.exp(z)",
    "Array boolean indices must be concrete": "a mask has no fixed size for JAX: write xp.where(condition, new, a)",
    "must be Tensor": OVER_XP,
    "setting an array element with a sequence": PLAIN,
    "not supported between instances of 'flint": PLAIN,
    "not accepted as an argument": OVER_XP,
}
"""What to write instead, by words of the exception that NumPy, JAX, PyTorch or flint raises."""

LEAST = 1e-6  # |value| that tells its type: a difference of numbers around 1 has few bits below 1e-8
FEWEST_NUMBERS, SHARE = 32, 0.2
"""Numbers of float32 that a value has at one z of the grid alone, and their share, before they tell its type. Right
records have one at most, but for those that round to multiples of a height."""
ODD = 0.1
"""The share of numbers of float32 whose last bit is 1: half of them, and 0.2 where 1 was added to small ones. Of the
multiples of one height that fit float32, it is 0.04."""


def find_activation(name: Any) -> Activation:
    """A record, a registered one by its name, one that ``module:attribute`` names, or a `torch.autograd.Function`.

    Raises ValueError when there is none, or it is something else.
    """
    if is_function_pair(name):
        return record_of_pair(name)
    if not isinstance(name, str) or ":" not in name:
        return get_activation(name)
    found = import_attribute(name)
    if is_function_pair(found):
        return record_of_pair(found)
    if not isinstance(found, Activation):
        raise ValueError(f"{name} is of type {type(found).__name__}, but an Activation is needed")
    return found


def advise(reason: BaseException) -> str:
    """Why a formula cannot run: what to write instead where that is known, else the exception's first line."""
    return next((advice for words, advice in ADVICE.items() if words in str(reason)), first_line(reason))


@lru_cache(maxsize=64)
def as_written(f: Activation) -> Activation:
    """The record with formulas that run in NumPy's float64 and in every arithmetic, however they are written."""
    f = _with_float_slope(_in_float64(in_torch(f)))
    if ACTIVATIONS.get(f.name) is f:
        return f

    @wraps(f.value)  # its signature holds the defaults of the parameters
    def value(xp, z, /, **parameters):
        return _run(lambda z, *p: f.value(xp, z, **dict(zip(parameters, p))), z, *parameters.values())

    @wraps(f.slope)
    def slope(z, a, /, **parameters):
        return _run(lambda z, a, *p: f.slope(z, a, **dict(zip(parameters, p))), z, a, *parameters.values())

    return replace(f, value=value, slope=slope)


def _in_float64(f: Activation) -> Activation:
    """The record with value and slope in NumPy's float64, also where their formulas are functions of JAX.

    Outside of JAX's own float64 mode, these would compute in float32.
    """
    try:
        sample = _run_on_zeros(f)
    except FORMULA_ERRORS:  # what does not run at all is reported by `compute_part`
        return f
    # jnp.tanh of a NumPy array is an array of JAX
    if not any(type(part).__module__.partition(".")[0] in ("jax", "jaxlib") for part in sample):
        return f
    from reference.jax_settings import fixed_settings

    @wraps(f.value)
    def value(xp, z, /, **parameters):
        if xp.name == "jax":
            return f.value(xp, z, **parameters)
        if type(z) is not np.ndarray or z.dtype.kind != "f":
            raise NotApplicable("functions of JAX take plain arrays only: write the formula over xp, as xp.tanh(z)")
        with fixed_settings():
            return np.asarray(f.value(xp, z, **parameters))

    @wraps(f.slope)
    def slope(z, a, /, **parameters):
        with fixed_settings():
            return np.asarray(f.slope(z, a, **parameters))

    return replace(f, value=value, slope=slope)


def _with_float_slope(f: Activation) -> Activation:
    """The record with floats for a slope of truth values, such as z > 0, which NumPy cannot subtract."""
    try:
        _, slope = _run_on_zeros(f)
    except FORMULA_ERRORS:
        return f
    if str(getattr(slope, "dtype", "")) != "bool":
        return f

    @wraps(f.slope)
    def as_floats(z, a, /, **parameters):
        return np.where(f.slope(z, a, **parameters), np.ones_like(z), 0.0)

    return replace(f, slope=as_floats)


def _run_on_zeros(f: Activation) -> tuple[Any, Any]:
    """Value and slope at [0, 0], for their types: two entries, because one may pass for a number."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return f(np.zeros(2)), f.slope(np.zeros(2), np.zeros(2))


def _run(formula: Callable[..., Any], *arrays: Any) -> Any:
    """The formula on the arrays themselves; where it refuses numbers that are not NumPy's own, on proxies of them."""
    try:
        return formula(*arrays)
    except FORMULA_ERRORS as reason:
        # NumPy's own floats need no proxy: there the formula itself is at fault
        if not any(isinstance(x, Companion) or (isinstance(x, np.ndarray) and x.dtype.kind in "cO") for x in arrays):
            raise
        try:
            return run_on_entries(formula, *arrays)
        except FORMULA_ERRORS:
            raise reason from None  # the error of the formula as it was written says more


def _takes_matrices(f: Activation, part: str) -> bool:
    """Whether a part that refuses one long row of z takes a matrix with an even number of columns."""
    with contextlib.suppress(*FORMULA_ERRORS), np.errstate(all="ignore"):
        a = f(np.ones((4, 8)))
        return part == "value" or f.slope(np.ones((4, 8)), a) is not None
    return False


def _has_float32_numbers(x: np.ndarray, z: np.ndarray) -> bool:
    """Whether numbers of float64 that vary with z are of float32, all or some; heights of steps tell nothing."""
    _, first, counts = np.unique(x, return_index=True, return_counts=True)
    once = first[counts == 1]
    with np.errstate(over="ignore"):
        narrow, narrow_z = x[once].astype(np.float32), z[once].astype(np.float32)
    # at a z that fits float32, so may a right value
    telling = (np.abs(x[once]) >= LEAST) & np.isfinite(narrow) & (narrow_z != z[once])
    found = narrow[telling & (narrow == x[once])]
    are_enough = found.size >= max(FEWEST_NUMBERS, SHARE * telling.sum())
    return bool(are_enough and np.mean(found.view(np.int32) & 1) > ODD)


def compute_part(f: Activation, part: str, compute: Callable[[], Any], z: np.ndarray) -> np.ndarray:
    """The value or the slope of a record at each z, as float64 of z's shape.

    Raises ValueError when it cannot be computed, or is not elementwise, real and of float64.
    """
    name = f"the {part} of activation {f.name!r}"
    try:
        computed = compute()
    except FORMULA_ERRORS as reason:
        refusal = f"{name} cannot be computed in NumPy for z of shape {z.shape} ({advise(reason)})"
        raise ValueError(f"{refusal}. {OF_VECTORS}" if _takes_matrices(f, part) else refusal) from reason
    kind = type(computed).__name__
    # asarray would make float64 of it, and hide that a network computes with seven digits
    dtype = str(getattr(computed, "dtype", ""))
    if part == "value" and dtype == "float64" and computed.shape == z.shape and _has_float32_numbers(computed, z):
        dtype = "float32, cast to float64"
    if dtype.startswith(("float32", "float16", "bfloat16")):
        raise ValueError(
            f"{name} came back as {dtype}, for z of float64: compute it in float64, without a cast and without "
            "constants of another type"
        )
    shape = () if is_real(computed) else getattr(computed, "shape", None)
    broadcasts = part == "slope" and shape == ()  # which is noted, and breaks nothing
    is_array = (shape == z.shape or broadcasts) and not isinstance(computed, np.ma.MaskedArray)
    if is_array and np.asarray(computed).dtype.kind in "iuf":
        return np.broadcast_to(np.asarray(computed, dtype=np.float64), z.shape)
    returned = f"{computed.dtype} of shape {computed.shape}" if hasattr(computed, "dtype") else f"a {kind}"
    raise ValueError(
        f"{name} must keep the shape of z, and be elementwise and real: for z of shape {z.shape} it returned "
        f"{returned}; compute each entry from the same entry of z alone. {OF_VECTORS}"
    )


# -- formulas over torch -----------------------------------------------------------------------------------------------

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
