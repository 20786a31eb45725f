"""Anybody's parameters as one flat float64 vector, and back: NumPy, JAX or torch arrays, numbers, or a dict of them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from harness.verdict.comparison import Block


def largest(values: np.ndarray) -> float:
    """The largest size among those that are finite."""
    return float(np.abs(values[np.isfinite(values)]).max(initial=0.0))


def to_numpy(array: Any) -> np.ndarray:
    """A NumPy array from NumPy, JAX or torch arrays, numbers and lists of numbers, in the precision that it has."""
    if hasattr(array, "detach"):  # a torch tensor, which may track gradients or live on another device
        array = array.detach().cpu()
        array = array.float() if _is_bfloat16(array) else array  # which NumPy has no type for
    if isinstance(array, Mapping) or (isinstance(array, (list, tuple)) and _holds_arrays(array)):
        kind = type(array).__name__
        raise TypeError(f"parameters and gradients must not be nested: give a flat dict of arrays, not {kind}s of them")
    try:
        values = np.asarray(array)
    except ValueError:  # a list of lists of unlike lengths
        kind = type(array).__name__
        raise TypeError(f"parameters and gradients must be an array or a flat dict of arrays, not {kind}") from None
    if _is_bfloat16(values):
        values = values.astype(np.float32)
    if values.dtype.kind in "biu":
        values = values.astype(np.float64)
    if values.dtype.kind != "f":
        raise TypeError(f"parameters and gradients must be real numbers, not {values.dtype} ({type(array).__name__})")
    return values


def _holds_arrays(values: Sequence[Any]) -> bool:
    """Whether a list holds more than numbers: arrays that NumPy would stack, or dicts."""
    return any(
        isinstance(value, Mapping)
        or getattr(value, "ndim", 0) > 0
        or (isinstance(value, (list, tuple)) and _holds_arrays(value))
        for value in values
    )


def unit_roundoff(array: Any) -> float:
    """u of the precision in which an array or number is kept."""
    return 2.0**-8 if _is_bfloat16(array) else float(np.finfo(to_numpy(array).dtype).eps) / 2.0


def _is_bfloat16(array: Any) -> bool:
    if isinstance(array, np.ndarray) and array.dtype.kind in "fiub":
        return False  # spelling out a type takes longer than most of what is done here
    return str(getattr(array, "dtype", "")).endswith("bfloat16")


def _like(model: Any, values: np.ndarray) -> Any:
    """`values` as the kind of array that `model` is."""
    kind = type(model).__module__.partition(".")[0]
    if kind in ("torch", "jax", "jaxlib") and any(word in str(model.dtype) for word in ("int", "bool")):
        raise TypeError(f"theta must be floating point, for small steps are lost in {model.dtype}; convert it first")
    if kind == "torch":
        import torch  # pyright: ignore[reportMissingImports]  whoever has a tensor has it

        return torch.as_tensor(values.copy(), dtype=model.dtype, device=model.device)
    if kind in ("jax", "jaxlib"):
        import jax.numpy as jnp

        return jnp.asarray(values, dtype=model.dtype)
    dtype = to_numpy(model).dtype
    return values.astype(dtype) if np.ndim(model) or isinstance(model, np.ndarray) else dtype.type(values)


class Layout:
    """How a user's θ lies in a flat vector.

    Attributes
    ----------
    size : the number of parameters
    blocks : the indices of each array, under its name
    unit_roundoff : u of the least precise array
    """

    def __init__(self, theta: Any):
        self._is_mapping = isinstance(theta, Mapping)
        self._leaves = dict(theta) if self._is_mapping else {"theta": theta}
        if len({str(name) for name in self._leaves}) < len(self._leaves):
            raise ValueError(f"the keys of theta must differ as text, but are {list(self._leaves)}; rename one")
        arrays = {name: to_numpy(leaf) for name, leaf in self._leaves.items()}
        self.shapes = {str(name): array.shape for name, array in arrays.items()}
        self.size = sum(array.size for array in arrays.values())
        if self.size == 0:
            raise ValueError("theta holds no parameters; give an array, or a dict of arrays, with one at least")
        ends = np.cumsum([array.size for array in arrays.values()])
        self.blocks = [
            Block(str(name), np.arange(end - array.size, end)) for (name, array), end in zip(arrays.items(), ends)
        ]
        self.unit_roundoff = max(unit_roundoff(leaf) for leaf in self._leaves.values())

    def flatten(self, values: Any, what: str) -> np.ndarray:
        """The flat float64 vector of something laid out like θ."""
        if isinstance(values, Mapping) != self._is_mapping or (self._is_mapping and set(values) != set(self._leaves)):
            expected = f"a dict with the keys {sorted(self._leaves, key=str)}" if self._is_mapping else "one array"
            given = f"the keys {sorted(values, key=str)}" if isinstance(values, Mapping) else type(values).__name__
            raise ValueError(f"{what} must be {expected}, as theta is, not {given}")
        leaves = values if self._is_mapping else {"theta": values}
        arrays = [to_numpy(leaves[name]) for name in self._leaves]
        for array, (name, shape) in zip(arrays, self.shapes.items()):
            if array.shape != shape:
                raise ValueError(f"{what} must have the shape {shape} of {name}, but has shape {array.shape}")
        return np.concatenate([array.ravel().astype(np.float64) for array in arrays])

    def rebuild(self, flat: np.ndarray) -> Any:
        """A fresh θ of the user's kind from a flat vector."""
        return self._laid_out(flat, _like)

    def rebuild_with(self, convert: Callable[[Any], Any], flat: Any) -> Any:
        """The same from and of another kind of array, such as a JAX tracer."""
        return self._laid_out(flat, lambda _, values: convert(values))

    def _laid_out(self, flat: Any, like: Callable[[Any, Any], Any]) -> Any:
        parts = zip(self._leaves.items(), self.blocks, self.shapes.values())
        leaves = {name: like(leaf, flat[block.indices].reshape(shape)) for (name, leaf), block, shape in parts}
        return leaves if self._is_mapping else leaves["theta"]

    def largest_in_block(self, flat: np.ndarray) -> np.ndarray:
        """For each coordinate the largest finite size in its array."""
        sizes = np.zeros(self.size)
        for _, indices in self.blocks:
            sizes[indices] = largest(flat[indices])
        return sizes

    def label(self, i: int) -> str:
        """The name of coordinate i, as it is indexed: "theta[3]" or "W1[0, 2]"."""
        for name, indices in self.blocks:
            if indices.size and i <= indices[-1]:
                index = np.unravel_index(i - indices[0], self.shapes[name])
                return f"{name}[{', '.join(map(str, index))}]" if index else name
        raise IndexError(f"θ has coordinates 0 to {self.size - 1}, but {i} was asked for")
