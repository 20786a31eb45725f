"""Primitives that multiply and add up: dot products, convolutions, windows, Fourier transforms."""

import math
import string
from collections.abc import Callable
from functools import cache
from itertools import product
from typing import Any

import jax
import numpy as np

from reference.arithmetics.increments import Increment, bilinear, constant, is_constant, linear
from reference.traced.primitives.moving import MOVES
from reference.traced.program import kind, unit_roundoff

LEAD, LETTERS = "Z", string.ascii_lowercase + string.ascii_uppercase.replace("Z", "")

ONE_THREAD, ONE_THREAD_OF_VECTOR = 2**18, 9216
"""Products of numbers up to which a BLAS multiplies matrices, or a matrix and a vector, in one thread (OpenBLAS)."""

FEWEST_ROWS = 16
"""Fewer rows at once cost more than the threads do."""


def products(x: str, y: str, out: str, a: Any, b: Any) -> Any:
    """``np.einsum(f"{x},{y}->{out}", a, b)``, where no letter of one array alone is summed over.

    Long and thin matrices, as they are where there are many directions, are multiplied in pieces: threads that wait for
    each other take twenty times as long.
    """
    if a.size < b.size:  # rows, which are split, belong to the larger
        return products(y, x, out, b, a)
    (a_axes, a_shape), (b_axes, b_shape), shape, axes = _as_matrices(x, y, out, a.shape, b.shape)
    found = _in_pieces(a.transpose(a_axes).reshape(a_shape), b.transpose(b_axes).reshape(b_shape))
    return found.reshape(shape).transpose(axes)


@cache
def _as_matrices(x: str, y: str, out: str, a: tuple[int, ...], b: tuple[int, ...]) -> tuple[Any, ...]:
    """How arrays become stacks of matrices, axes and shape of each; and the shape and axes of what their product is."""
    sizes = dict(zip(x + y, (*a, *b)))
    batch, summed = [c for c in x if c in y and c in out], [c for c in x if c in y and c not in out]
    x_free, y_free = [c for c in x if c not in y], [c for c in y if c not in x]

    def arranged(names: str, *groups: list[str]) -> tuple[list[int], list[int]]:
        shape = [math.prod(sizes[c] for c in group) for group in groups]
        return [names.index(c) for group in groups for c in group], shape

    order = [*batch, *x_free, *y_free]
    result = [sizes[c] for c in order], [order.index(c) for c in out]
    return arranged(x, batch, x_free, summed), arranged(y, batch, summed, y_free), *result


def _in_pieces(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The matrix products (..., m, k) by (..., k, n), of as many rows at once as one thread multiplies."""
    size, width = b.shape[-2:]
    rows = (ONE_THREAD if width > 1 else ONE_THREAD_OF_VECTOR) // max(1, size * width)
    if a.shape[-2] <= rows or rows < FEWEST_ROWS:
        return a @ b
    pieces = [a[..., i : i + rows, :] @ b for i in range(0, a.shape[-2], rows)]
    return np.concatenate(pieces, axis=-2)


def _dot_general(run: Any, equation: Any, x: Increment, y: Increment) -> Increment:
    numbers = equation.params["dimension_numbers"]
    x_names, y_names, out = _letters(numbers, np.ndim(x.value), np.ndim(y.value))

    def dot(x_lead: int, y_lead: int, a: Any, b: Any) -> Any:
        names = LEAD * x_lead + x_names, LEAD * y_lead + y_names
        return products(*names, LEAD * max(x_lead, y_lead) + out, np.asarray(a), np.asarray(b))

    return bilinear(dot, x, y)


@cache
def _letters(numbers: Any, x_rank: int, y_rank: int) -> tuple[str, str, str]:
    """Letters for the axes of both operands of a dot_general, and of its result."""
    (x_sum, y_sum), (x_batch, y_batch) = numbers
    x_names, y_names = list(LETTERS[:x_rank]), list(LETTERS[x_rank : x_rank + y_rank])
    for i, j in zip((*x_sum, *x_batch), (*y_sum, *y_batch)):
        y_names[j] = x_names[i]
    x_free = [x_names[i] for i in range(x_rank) if i not in x_sum and i not in x_batch]
    y_free = [y_names[j] for j in range(y_rank) if j not in y_sum and j not in y_batch]
    return "".join(x_names), "".join(y_names), "".join([*(x_names[i] for i in x_batch), *x_free, *y_free])


def terms(equation: Any, x: tuple[int, ...], y: tuple[int, ...]) -> int:
    """How many products of entries of arrays of these shapes an entry of the result adds up."""
    numbers = equation.params["dimension_numbers"]
    if equation.name == "dot_general":
        return int(np.prod([x[i] for i in numbers[0][0]], dtype=int))
    return int(np.prod(y, dtype=int)) // max(1, y[numbers.rhs_spec[0]])


# -- convolution ------------------------------------------------------------------------------------------------------


def _arranged(lead: int, array: Any, spec: tuple[int, ...]) -> Any:
    return np.transpose(array, (*range(lead), *(lead + axis for axis in spec)))


def _dilated(lead: int, array: Any, dilation: Any, padding: Any) -> Any:
    config = [(0, 0, 0)] * 2 + [(low, high, step - 1) for (low, high), step in zip(padding, dilation)]
    return MOVES["pad"](lead, {"padding_config": config}, array, np.zeros(array.shape[:lead], array.dtype))


def _conv(run: Any, equation: Any, x: Increment, y: Increment) -> Increment:
    params = equation.params
    numbers, strides = params["dimension_numbers"], params["window_strides"]
    groups, batch_groups = params["feature_group_count"], params["batch_group_count"]
    kernel_padding = [(0, 0)] * len(strides)

    def convolve(x_lead: int, y_lead: int, a: Any, b: Any) -> Any:
        a = _dilated(x_lead, _arranged(x_lead, a, numbers.lhs_spec), params["lhs_dilation"], params["padding"])
        b = _dilated(y_lead, _arranged(y_lead, b, numbers.rhs_spec), params["rhs_dilation"], kernel_padding)
        a, b = _grouped(x_lead, y_lead, a, b, groups, batch_groups)
        out = _slide(x_lead, y_lead, a, b, strides)
        return np.transpose(out, _output_axes(max(x_lead, y_lead), numbers.out_spec))

    return bilinear(convolve, x, y)


def _output_axes(lead: int, spec: tuple[int, ...]) -> tuple[int, ...]:
    back = np.argsort(spec)
    return (*range(lead), *(lead + int(axis) for axis in back))


def _grouped(x_lead: int, y_lead: int, a: Any, b: Any, groups: int, batch_groups: int) -> tuple[Any, Any]:
    """(lead, group, n, c, ...) and (lead, group, o, c, ...): every group is a convolution of its own."""
    n, c = a.shape[x_lead : x_lead + 2]
    front, rest = a.shape[:x_lead], a.shape[x_lead + 2 :]
    if batch_groups > 1:
        a = a.reshape(*front, batch_groups, n // batch_groups, c, *rest)
    else:
        a = np.moveaxis(a.reshape(*front, n, groups, c // groups, *rest), x_lead + 1, x_lead)
    count = max(groups, batch_groups)
    out = b.shape[y_lead]
    return a, b.reshape(*b.shape[:y_lead], count, out // count, *b.shape[y_lead + 1 :])


def _slide(x_lead: int, y_lead: int, a: Any, b: Any, strides: Any) -> Any:
    """(lead, n, o, ...): the kernel at each of its positions times the entries below it."""
    space, kernel = a.shape[x_lead + 3 :], b.shape[y_lead + 3 :]
    sizes = [max((s - k) // step + 1, 0) for s, k, step in zip(space, kernel, strides)]
    names = "".join(LETTERS[20 : 20 + len(sizes)])
    letters = f"{LEAD * x_lead}gnc{names}", f"{LEAD * y_lead}goc", f"{LEAD * max(x_lead, y_lead)}ngo{names}"
    total: Any = 0.0
    for place in product(*map(range, kernel)):
        window = tuple(slice(at, at + step * size, step) for at, step, size in zip(place, strides, sizes))
        total = total + products(*letters, a[(..., *window)], b[(..., *place)])
    front = total.shape[: total.ndim - len(sizes) - 2]
    return total.reshape(*front, -1, *sizes)


# -- windows ----------------------------------------------------------------------------------------------------------


def _windows(lead: int, params: Any, array: Any, fill: float) -> Any:
    """(window position, lead, ...): what each position of the window sees."""
    dimensions, strides = params["window_dimensions"], params["window_strides"]
    rank = len(dimensions)
    base, spread = params.get("base_dilation") or (1,) * rank, params.get("window_dilation") or (1,) * rank
    config = [(low, high, step - 1) for (low, high), step in zip(params["padding"], base)]
    array = MOVES["pad"](lead, {"padding_config": config}, array, np.full(array.shape[:lead], fill, array.dtype))
    extents = [(size - 1) * step + 1 for size, step in zip(dimensions, spread)]
    counts = [max((s - e) // step + 1, 0) for s, e, step in zip(array.shape[lead:], extents, strides)]
    seen = []
    for place in product(*map(range, dimensions)):
        starts = [at * step for at, step in zip(place, spread)]
        index = [slice(at, at + step * count, step) for at, step, count in zip(starts, strides, counts)]
        seen.append(array[(slice(None),) * lead + tuple(index)])
    return np.stack(seen)


def _window_sum(run: Any, equation: Any, x: Increment) -> Increment:
    return linear(lambda lead, array: _windows(lead, equation.params, array, 0.0).sum(axis=0), x)


def _window_extreme(larger: bool) -> Callable[..., Increment]:
    fold, nothing = (np.max, -np.inf) if larger else (np.min, np.inf)

    def rule(run: Any, equation: Any, x: Increment) -> Increment:
        value = np.asarray(x.value, float)
        seen = _windows(0, equation.params, value, nothing)
        best = fold(seen, axis=0)
        if is_constant(x):
            return constant(best)
        chosen = seen == best
        run.ties |= bool((chosen.sum(axis=0) > 1).any())
        changes = _windows(1, equation.params, x.change, 0.0)
        return Increment(best, fold(np.where(chosen[:, None], changes, nothing), axis=0))

    return rule


# -- Fourier transforms -----------------------------------------------------------------------------------------------


def _fft(run: Any, equation: Any, x: Increment) -> Increment:
    lengths = equation.params["fft_lengths"]
    name = str(getattr(equation.params["fft_type"], "name", equation.params["fft_type"]))
    transform = {"FFT": np.fft.fftn, "IFFT": np.fft.ifftn, "RFFT": np.fft.rfftn, "IRFFT": np.fft.irfftn}[name]
    axes = tuple(range(-len(lengths), 0))
    return linear(lambda lead, array: transform(array, s=tuple(lengths), axes=axes), x)


RULES: dict[str, Callable[..., Any]] = {
    "dot_general": _dot_general,
    "conv_general_dilated": _conv,
    "reduce_window_sum": _window_sum,
    "reduce_window_max": _window_extreme(larger=True),
    "reduce_window_min": _window_extreme(larger=False),
    "fft": _fft,
}


# -- how coarsely products are computed -------------------------------------------------------------------------------

PRODUCTS = ("dot_general", "conv_general_dilated")
"""Primitives that accelerators compute from rounded operands, unless their `precision` forbids it."""

TYPES = {"F8": 2.0**-4, "BF16": 2.0**-8, "F16": 2.0**-11, "TF32": 2.0**-11, "F32": 2.0**-24, "F64": 2.0**-53}
"""u of the types in the names of JAX's algorithms for products."""

PARTS = {"X3": 2, "X6": 3, "X9": 3}
"""How many numbers of the type stand for an operand, in the algorithms that add up so many products."""

OF_FLOAT32 = {
    "tpu": {"DEFAULT": TYPES["BF16"], "HIGH": TYPES["BF16"] ** 2},
    "gpu": {"DEFAULT": TYPES["TF32"], "HIGH": TYPES["TF32"]},
}
"""u of what a product rounds operands in float32 to, by platform and precision."""


def product_units(equation: Any) -> tuple[float, float]:
    """u of the types that a product rounds its operands to and adds up in; zero where that is their own."""
    if equation.name not in PRODUCTS:
        return 0.0, 0.0
    return units_of(equation.params.get("precision"), equation.input_dtypes[0], equation.platform)


@cache
def units_of(precision: Any, dtype: Any, platform: str) -> tuple[float, float]:
    """The same, from a product's `precision`, its operands' type, and the platform.

    See jax.lax.Precision and jax.lax.DotAlgorithmPreset. Where a platform does better than it has to, as CPUs mostly
    do, this is more than what is lost.
    """
    own = unit_roundoff(dtype) if kind(dtype) in ("f", "c") else 1.0
    if isinstance(precision, jax.lax.DotAlgorithm):
        operands = max(map(unit_roundoff, (precision.lhs_precision_type, precision.rhs_precision_type)))
        count, sums = precision.lhs_component_count, unit_roundoff(precision.accumulation_type)
    elif isinstance(precision, jax.lax.DotAlgorithmPreset) and precision.name != "DEFAULT":
        names = [part for part in precision.name.split("_") if part in TYPES]
        operands, sums = TYPES[names[0]], TYPES[names[-1]]
        count = PARTS.get(precision.name.rpartition("_")[2], 1)
    else:
        pair = precision if isinstance(precision, tuple) else (precision, precision)
        known = OF_FLOAT32.get("gpu" if platform in ("cuda", "rocm") else platform, {})
        operands = (
            max(known.get(getattr(each, "name", "DEFAULT"), 0.0) for each in pair) if own == TYPES["F32"] else 0.0
        )
        count, sums = 1, 0.0
    units = (operands**count, sums)
    return units[0] * (units[0] > own), units[1] * (units[1] > own)
