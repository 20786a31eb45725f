"""Primitives that multiply and add up: dot products, convolutions, and Fourier transforms.

A map f that is linear in each of two operands changes by f(x, dy) + f(dx, y). It inherits f(|x|, E_y) + f(E_x, |y| +
E_y), and rounds γ_n of the sum f(|x|, |y|) of the products' sizes, where n products are added up.
"""

import math
import string
from collections.abc import Callable
from functools import cache
from typing import Any

import jax
import numpy as np

from reference.arithmetics.increments import Increment, bilinear, constant, linear
from reference.arithmetics.roundoff import gamma
from reference.traced.bounded_run import parts
from reference.traced.equations import has_derivatives, product_units, unit_roundoff
from reference.traced.primitive import Compilation, Primitive, Rounding, Rule
from reference.traced.primitives.matrix_factorizations import largest_along
from reference.traced.primitives.reductions import windows

LEAD, LETTERS = "Z", string.ascii_lowercase + string.ascii_uppercase.replace("Z", "")
"""The letter of the axis of directions in an einsum, and those of all others."""

ONE_THREAD, ONE_THREAD_OF_VECTOR = 2**18, 9216
"""Products of numbers up to which a BLAS multiplies matrices, or a matrix and a vector, in one thread (OpenBLAS)."""

FEWEST_ROWS = 16  # fewer rows at once cost more than the threads do

ROUNDED_OPERANDS = 2.1
"""Roundings of both operands, and the product of these: (1 + u)² - 1 is at most 2.1 u, where u is at most 0.1."""

FIRST_SPACE_LETTER = 20  # letters of the axes of space in a convolution start here, after those of its other axes

# -- products of matrices ---------------------------------------------------------------------------------------------


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
    """How arrays become stacks of matrices: axes and shape of each, and the shape and axes of their product."""
    # each letter is of one kind: in both arrays and the result, in both and summed over, or in one array alone
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
    # an einsum whose letters come from JAX's lists of contracted and of batch axes
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


# -- convolution ------------------------------------------------------------------------------------------------------


def _arranged(lead: int, array: Any, spec: tuple[int, ...]) -> Any:
    return np.transpose(array, (*range(lead), *(lead + axis for axis in spec)))


def _conv(run: Any, equation: Any, x: Increment, y: Increment) -> Increment:
    params = equation.params
    numbers, groups, batch_groups = (
        params[key] for key in ("dimension_numbers", "feature_group_count", "batch_group_count")
    )
    # padding and gaps between entries, (lhs_dilation, rhs_dilation), are those of windows that slide over the array
    sliding = {"window_strides": params["window_strides"], "padding": params["padding"]}
    sliding |= {"base_dilation": params["lhs_dilation"], "window_dilation": params["rhs_dilation"]}

    def convolve(x_lead: int, y_lead: int, a: Any, b: Any) -> Any:
        a, b = _arranged(x_lead, a, numbers.lhs_spec), _arranged(y_lead, b, numbers.rhs_spec)
        a, b = _grouped(x_lead, y_lead, a, b, groups, batch_groups)
        kernel, lead = b.shape[y_lead + 3 :], max(x_lead, y_lead)
        names = LETTERS[FIRST_SPACE_LETTER : FIRST_SPACE_LETTER + len(kernel)]
        letters = f"{LEAD * x_lead}gnc{names}", f"{LEAD * y_lead}goc", f"{LEAD * lead}ngo{names}"
        total: Any = 0.0
        # one product of matrices for each place in the kernel, of which there are few
        for place, entries in windows(x_lead + 3, sliding | {"window_dimensions": kernel}, a, 0.0):
            total = total + products(*letters, entries, b[(..., *place)])
        groups_and_features = total.shape[lead + 1] * total.shape[lead + 2]
        out = total.reshape(*total.shape[: lead + 1], groups_and_features, *total.shape[lead + 3 :])
        return np.transpose(out, (*range(lead), *(lead + int(axis) for axis in np.argsort(numbers.out_spec))))

    return bilinear(convolve, x, y)


def _grouped(x_lead: int, y_lead: int, a: Any, b: Any, groups: int, batch_groups: int) -> tuple[Any, Any]:
    """(lead, group, n, c, ...) and (lead, group, o, c, ...): every group is a convolution of its own."""
    # images n and features c of the array, features o and c of the kernel: groups split n, or c, and always o
    n, c = a.shape[x_lead : x_lead + 2]
    front, rest = a.shape[:x_lead], a.shape[x_lead + 2 :]
    if batch_groups > 1:
        a = a.reshape(*front, batch_groups, n // batch_groups, c, *rest)
    else:
        a = np.moveaxis(a.reshape(*front, n, groups, c // groups, *rest), x_lead + 1, x_lead)
    count = max(groups, batch_groups)
    out = b.shape[y_lead]
    return a, b.reshape(*b.shape[:y_lead], count, out // count, *b.shape[y_lead + 1 :])


# -- Fourier transforms -----------------------------------------------------------------------------------------------


def _fft(run: Any, equation: Any, x: Increment) -> Increment:
    lengths = equation.params["fft_lengths"]
    name = str(getattr(equation.params["fft_type"], "name", equation.params["fft_type"]))
    transform = {"FFT": np.fft.fftn, "IFFT": np.fft.ifftn, "RFFT": np.fft.rfftn, "IRFFT": np.fft.irfftn}[name]
    axes = tuple(range(-len(lengths), 0))  # the last ones, so that an axis of directions stays out of it
    return linear(lambda lead, array: transform(array, s=tuple(lengths), axes=axes), x)


def _error_of_fft(array: Any, params: Any) -> Any:
    """A transform rounds beside its largest entry (Higham, theorem 24.2)."""
    return largest_along(*range(-len(params["fft_lengths"]), 0))(array, params)


# -- bounds -----------------------------------------------------------------------------------------------------------


def _terms_of_dot(equation: Any, x: tuple[int, ...], y: tuple[int, ...]) -> int:
    """How many products of entries of arrays of these shapes an entry of the result adds up."""
    (summed, _), _ = equation.params["dimension_numbers"]
    return int(np.prod([x[i] for i in summed], dtype=int))


def _terms_of_conv(equation: Any, x: tuple[int, ...], y: tuple[int, ...]) -> int:
    """The same for a convolution: the entries of the kernel for one output feature."""
    return int(np.prod(y, dtype=int)) // max(1, y[equation.params["dimension_numbers"].rhs_spec[0]])


def _bound_of(rule: Rule, terms_of: Callable[..., int]) -> Rule:
    """The bound of products added up, linear in each of both operands."""

    def bound(run: Any, equation: Any, x: Increment, y: Increment) -> Increment:
        p, q = parts(x), parts(y)
        terms = terms_of(equation, np.shape(x.value), np.shape(y.value))
        rounded, summed = (min(unit, run.coarsest) for unit in product_units(equation))
        factor = gamma(terms, max(run.unit(equation.dtypes[0]), summed)) + ROUNDED_OPERANDS * rounded
        # one evaluation of f on sizes gives both the sum of the sizes and how the errors add up
        # of f(|x|, |y| + E_y) in the direction (E_x, E_y): f(|x|, E_y) + f(E_x, |y| + E_y) is its change
        of_x, of_y = Increment(np.abs(p.value), p.error[None]), Increment(np.abs(q.value) + q.error, q.error[None])
        sizes = rule(run, equation, of_x, of_y)
        error = sizes.change[0] + factor * sizes.value
        return run.rounded(equation, rule(run, equation, constant(x.value), constant(y.value)).value, error, 0.0)

    return bound


# -- how coarsely accelerators compute products -----------------------------------------------------------------------

TYPES = {"F8": 2.0**-4, "BF16": 2.0**-8, "F16": 2.0**-11, "TF32": 2.0**-11, "F32": 2.0**-24, "F64": 2.0**-53}
"""u of the types in the names of JAX's algorithms for products."""


NUMBERS_FOR_ONE = {"X3": 2, "X6": 3, "X9": 3}
"""How many numbers of the type stand for an operand, in the algorithms that add up 3, 6 or 9 products."""


OF_FLOAT32 = {
    "tpu": {"DEFAULT": TYPES["BF16"], "HIGH": TYPES["BF16"] ** 2},
    "gpu": {"DEFAULT": TYPES["TF32"], "HIGH": TYPES["TF32"]},
}
"""u of what a product rounds operands in float32 to, by platform and precision."""


def _product_units(equation: Any) -> tuple[float, float]:
    return units_of(equation.params.get("precision"), equation.input_dtypes[0], equation.platform)


@cache
def units_of(precision: Any, dtype: Any, platform: str) -> tuple[float, float]:
    """u of the types that a product rounds its operands to and adds up in; zero where these are its own.

    From its `precision`, the operands' type, and the platform: see jax.lax.Precision and jax.lax.DotAlgorithmPreset.
    Where a platform does better than it has to, as CPUs mostly do, this is more than what is lost.
    """
    own = unit_roundoff(dtype) if has_derivatives(dtype) else 1.0
    if isinstance(precision, jax.lax.DotAlgorithm):
        operands, sums = _units_of_algorithm(precision)
    elif isinstance(precision, jax.lax.DotAlgorithmPreset) and precision.name != "DEFAULT":
        operands, sums = _units_of_preset(precision.name)
    else:
        operands, sums = _unit_of_float32(precision, platform) if own == TYPES["F32"] else 0.0, 0.0
    return operands * (operands > own), sums * (sums > own)


def _units_of_algorithm(algorithm: Any) -> tuple[float, float]:
    # 2 or 3 numbers of a type stand for an operand, each for the rounding error of the ones before it: u² or u³
    operands = max(map(unit_roundoff, (algorithm.lhs_precision_type, algorithm.rhs_precision_type)))
    return operands**algorithm.lhs_component_count, unit_roundoff(algorithm.accumulation_type)


def _units_of_preset(name: str) -> tuple[float, float]:
    """Of a name such as BF16_BF16_F32_X3: the types of both operands and of the sum, and how many products."""
    types = [part for part in name.split("_") if part in TYPES]
    count = NUMBERS_FOR_ONE.get(name.rpartition("_")[2], 1)
    return TYPES[types[0]] ** count, TYPES[types[-1]]


def _unit_of_float32(precision: Any, platform: str) -> float:
    """The coarser of both operands' precisions, as the platform computes these; 0.0 for a platform that rounds none."""
    pair = precision if isinstance(precision, tuple) else (precision, precision)
    known = OF_FLOAT32.get("gpu" if platform in ("cuda", "rocm") else platform, {})
    return max(known.get(getattr(each, "name", "DEFAULT"), 0.0) for each in pair)


PRODUCT = Rounding(sums=True, sizes_add_up=True)

PRIMITIVES: tuple[Primitive, ...] = (
    Primitive(
        "dot_general", _dot_general, _bound_of(_dot_general, _terms_of_dot), PRODUCT,
        compilation=Compilation.KEPT, product_units=_product_units,
    ),
    Primitive(
        "conv_general_dilated", _conv, _bound_of(_conv, _terms_of_conv), PRODUCT,
        compilation=Compilation.KEPT, product_units=_product_units,
    ),
    Primitive(
        "fft", _fft, rounding=Rounding(sums=True, operand_errors=(_error_of_fft,), result_errors=(_error_of_fft,))
    ),
)  # fmt: skip
