"""Leaves of a tree of parameters: arrays and numbers of NumPy, JAX and PyTorch, as float64 and back.

A leaf that is no array of real numbers is held fixed if it stands next to parameters, such as a step count, a mask or
the name of an activation. Otherwise it is refused with what to give instead.
"""

import copy
import enum
import functools
import os
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from harness.checks.functions import torch_state

INERT = (
    type(None),
    str,
    bytes,
    bool,
    np.bool_,
    enum.Enum,
    type,
    os.PathLike,
    slice,
    range,
    np.dtype,
    np.random.Generator,
)
"""Types that cannot hold parameters."""

LIBRARIES = frozenset({"builtins", "functools", "numpy", "operator", "jax", "jaxlib", "torch"})
"""Callables whose type is of these libraries hold no parameters; other callables may be layers with parameters."""

INSTEAD = {
    "polars": ".to_numpy(), and build the table inside of fun",
    "scipy": ".data of a sparse matrix, from which fun builds it, or .toarray()",
    "sparse": ".data of a sparse array, from which fun builds it, or .todense()",
    "astropy": ".value, without the unit",
    "pint": ".magnitude, without the unit",
    "tensorflow": ".numpy()",
    "cupy": ".get()",
    "mlx": "np.asarray of it",
}
"""What to give instead of arrays and tables of other libraries."""

OF_JAX = ("jax", "jaxlib")

OF_ROUNDING = 64.0 * 2.0**-53
"""Imaginary parts below this share of the real ones, as a Fourier transform leaves, are taken for zero."""


def to_numpy(array: Any, what: str = "parameters and gradients") -> np.ndarray:
    """A NumPy array of real numbers, in its own precision.

    Raises TypeError if there are other things than real numbers in it. The message calls it `what`.
    """
    if _is_plain(array):
        return array
    if torch_state.is_tensor(array):
        array = _of_tensor(array, what)
    refusal = _refusal(array)
    if refusal:
        raise TypeError(f"{what} must be real numbers, not {refusal}")
    try:
        values = np.asarray(array)
    except Exception as error:  # a list of lists of unlike lengths, a JAX key, a class of the user
        raise TypeError(f"{what} must be real numbers, not {type(array).__name__}") from error
    if _is_bfloat16(values):
        values = values.astype(np.float32)
    if values.dtype.kind in "biu":
        values = values.astype(np.float64)
    if values.dtype.kind == "c":
        imaginary, real = (np.abs(part).max(initial=0.0) for part in (np.imag(values), np.real(values)))
        values = np.real(values) if imaginary <= OF_ROUNDING * real else values
    if values.dtype.kind != "f":
        raise TypeError(f"{what} must be real numbers, not {_of_dtype(values, array)}")
    return values


def _is_plain(array: Any) -> bool:
    """Whether it is a plain NumPy array of floating point numbers, which needs no conversion."""
    return type(array) is np.ndarray and array.dtype.kind == "f"


def _of_tensor(tensor: Any, what: str) -> Any:
    from torch.nn.parameter import is_lazy  # pyright: ignore[reportMissingImports]  whoever has a tensor has it

    if is_lazy(tensor):
        raise TypeError(f"{what} has no shape yet; call the lazy module once before it is checked")
    if str(tensor.layout) != "torch.strided":
        raise TypeError(f"{what} must be dense, not {tensor.layout}; give .to_dense() of the tensor")
    if tensor.is_meta:
        raise TypeError(f"{what} must be real numbers, and a tensor on the meta device holds none")
    tensor = tensor.detach().cpu().resolve_conj().resolve_neg()
    return tensor.float() if _is_bfloat16(tensor) else tensor  # NumPy has no bfloat16


def _refusal(array: Any) -> str:
    """Why this is refused though NumPy may convert it, and what to give instead; empty if it is accepted."""
    kind = type(array)
    if isinstance(array, np.ma.MaskedArray):
        return "a masked array; give .compressed() of it, or .filled(0.0) and the mask apart"
    if isinstance(array, np.ndarray):
        if kind not in (np.ndarray, np.memmap, np.matrix):
            return f"{kind.__name__}; give np.asarray of it"
        return "a structured array; give a dict of its fields" if array.dtype.names else ""
    library = _library_of(array)
    if library in INSTEAD:
        return f"{kind.__name__} of {library}; give {INSTEAD[library]}"
    if isinstance(array, set):
        return "a set; give a dict, list or tuple of arrays"
    return f"a {kind.__name__}" if isinstance(array, Mapping) else ""


def _of_dtype(values: np.ndarray, given: Any) -> str:
    kind = values.dtype.kind
    name = f"{'text' if kind in 'SU' else values.dtype} ({type(given).__name__})"
    if kind == "c":
        return f"{name}; give .real, or real and imaginary parts as two arrays"
    if kind == "O" and isinstance(given, (np.ndarray, list, tuple)):
        return f"{name}; give numbers of one type, such as array.astype(float), or a tree of arrays"
    if kind == "O":
        return f"{type(given).__name__}; give arrays, or a dict, list, tuple, NamedTuple or dataclass of arrays"
    return f"{name}; give numbers"


def unit_roundoff(array: Any) -> float:
    """The unit roundoff of the precision in which an array or number is stored, or of the lower one of its products."""
    if type(array) in (float, np.float64):
        return 2.0**-53
    own = 2.0**-8 if _is_bfloat16(array) else float(np.finfo(to_numpy(array).dtype).eps) / 2.0
    return max(own, torch_state.product_unit(array)) if torch_state.is_tensor(array) else own


def _is_bfloat16(array: Any) -> bool:
    if isinstance(array, np.ndarray) and array.dtype.kind in "fiub":
        return False  # str(dtype) is slow, and this is called for every array
    return str(getattr(array, "dtype", "")).endswith("bfloat16")


def holds_integers(leaf: Any) -> bool:
    """Whether it holds integers, which are either parameters written without a point or counts."""
    if isinstance(leaf, (list, tuple)):
        leaf = np.asarray(leaf)
    if isinstance(leaf, (np.ndarray, np.generic)):
        return leaf.dtype.kind in "iu"
    return isinstance(leaf, int) and not isinstance(leaf, bool)


def why_held(leaf: Any, some_require_grad: bool = False) -> str:
    """Why a leaf next to parameters is held fixed; empty for real numbers, and for integers of NumPy."""
    if isinstance(leaf, INERT):
        return f"is {leaf!r}" if isinstance(leaf, (str, bool, type(None))) else f"is of type {type(leaf).__name__}"
    if torch_state.is_tensor(leaf) and leaf.is_floating_point():
        frozen = not leaf.requires_grad and (some_require_grad or torch_state.is_parameter(leaf))
        return "does not require a gradient" if frozen else ""
    if some_require_grad and holds_integers(leaf):
        return "holds integers"
    dtype = str(getattr(leaf, "dtype", ""))
    is_integer = "int" in dtype and not isinstance(leaf, (np.ndarray, np.generic))  # JAX's and PyTorch's stay integers
    if "bool" in dtype or dtype.startswith("key<") or is_integer:
        return f"is of type {dtype}"
    is_function = isinstance(leaf, functools.partial) or _library_of(leaf) in LIBRARIES
    return "is a function" if callable(leaf) and is_function else ""


def _library_of(value: Any) -> str:
    """The package that the type of a value comes from."""
    return type(value).__module__.partition(".")[0]


def like(model: Any, values: np.ndarray, dtype: Any = None) -> Any:
    """`values` as an array of the type of `model`, in its precision or a given one.

    It is a new one, except for a `torch.nn.Parameter`.
    """
    if _is_plain(model):
        return values.astype(dtype or model.dtype, order=_order(model))
    library, is_tensor = _library_of(model), torch_state.is_tensor(model)
    if (library in OF_JAX or is_tensor) and any(kind in str(model.dtype) for kind in ("int", "bool")):
        raise TypeError(f"theta must be floating point, for small steps are lost in {model.dtype}; convert it first")
    if is_tensor:
        return torch_state.tensor_like(model.double() if dtype else model, values)
    if library in OF_JAX:
        import jax.numpy as jnp

        return jnp.asarray(values, dtype=dtype or model.dtype)
    made = values.astype(dtype or to_numpy(model).dtype, order=_order(model))
    if library == "xarray":
        return model.copy(data=made)
    if library == "pandas":  # which keeps its labels
        axes = {"columns": model.columns} if made.ndim > 1 else {}
        return type(model)(made, index=model.index, **axes)
    return made.view(np.matrix) if isinstance(model, np.matrix) else _as_number(model, made)


def _order(model: Any) -> Literal["C", "F"]:
    return "F" if isinstance(model, np.ndarray) and np.isfortran(model) else "C"


def _as_number(model: Any, values: np.ndarray) -> Any:
    """The values, as a number where `model` is one."""
    return values if np.ndim(model) or isinstance(model, np.ndarray) else values[()]


def with_integers(model: Any, values: np.ndarray) -> Any:
    """The same, but integers as they are in `model`."""
    if not holds_integers(model):
        return like(model, values)
    return np.array(model) if isinstance(model, list) else copy.deepcopy(model)


def like_in_float64(model: Any, values: np.ndarray) -> Any:
    """`values` as an array of the type of `model`, in float64."""
    if torch_state.is_parameter(model):
        raise TypeError("a torch.nn.Parameter keeps its precision")
    return like(model, values, np.dtype(np.float64))


def like_in_extended(model: Any, values: np.ndarray) -> Any:
    """`values` in NumPy's longest type, as an array or a number as `model` is; no other library has that type."""
    if not isinstance(model, (np.ndarray, np.generic, float, int, list, tuple)):
        raise TypeError(f"{type(model).__name__} has no extended precision")
    made = np.zeros_like(values, dtype=np.longdouble)  # whose padding is zero: a cache may be keyed by all bytes
    made[...] = values
    return _as_number(model, made)
