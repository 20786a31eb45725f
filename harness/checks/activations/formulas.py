"""A record's formulas, run as they are written: those of JAX in float64, those over plain arrays in any arithmetic."""

import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache, partial, wraps
from typing import Any

import numpy as np

from harness.bounds.activation_bound import FORMULA_ERRORS
from harness.checks.activations.array_proxies import through_objects
from reference.activations import ACTIVATIONS, Activation
from reference.arithmetics.companion import Companion, first_line
from reference.measured import NotApplicable

PLAIN = "it asks for plain arrays of float, as dtype=float, math and much of SciPy do"

INSTEAD = {
    "__array__() was called on traced": "np. and scipy functions cannot take what JAX traces: write xp.tanh(z) for "
    "np.tanh(z), and for functions of scipy.special a formula over xp",
    "boolean conversion of traced array": "a Python `if` cannot choose for each entry: write xp.where(z > 0, ..., ...)",
    "JAX arrays are immutable": "JAX has no assignment in place: write xp.where(condition, new, a) for "
    "a[condition] = new",
    "truth value of an array": "a Python `if` cannot choose for each entry: write xp.where(z > 0, ..., ...)",
    "can be converted to Python scalars": "functions of math take one number: write xp.exp(z) for math.exp(z)",
    "Array boolean indices must be concrete": "a mask has no fixed size for JAX: write xp.where(condition, new, a)",
    "must be Tensor": "what is not of xp cannot take these numbers: write xp.exp(z) for torch.exp(z)",
    "setting an array element with a sequence": PLAIN,
    "not supported between instances of 'flint": PLAIN,
    "not accepted as an argument": "what is not of xp cannot take these numbers: write xp.exp(z) for torch.exp(z)",
}
"""What a formula that an arithmetic refuses should say instead, by words of the refusal."""


def instead(reason: BaseException) -> str:
    """Why a formula cannot run, and which line to write instead where that is known."""
    line = first_line(reason)
    return next((advice for words, advice in INSTEAD.items() if words in str(reason)), line)


def in_float64(f: Activation) -> Activation:
    """The record with value and slope in NumPy's float64, also where their formulas are functions of JAX.

    Called on plain arrays outside of JAX's own float64 mode, those would answer in float32.
    """
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            answers = f(np.zeros(2)), f.slope(np.zeros(2), np.zeros(2))
    except FORMULA_ERRORS:
        return f
    if not any(type(answer).__module__.partition(".")[0] in ("jax", "jaxlib") for answer in answers):
        return f
    from reference.jax_settings import fixed_settings

    @wraps(f.value)  # its signature tells what the parameters are by default
    def value(xp, z, **parameters):
        if xp.name == "jax":
            return f.value(xp, z, **parameters)
        if type(z) is not np.ndarray or z.dtype.kind != "f":
            raise NotApplicable("functions of JAX take plain arrays only: write the formula over xp, as xp.tanh(z)")
        with fixed_settings():
            return np.asarray(f.value(xp, z, **parameters))

    def slope(z, a):
        with fixed_settings():
            return np.asarray(f.slope(z, a))

    return replace(f, value=value, slope=slope)


def real_answer(f: Activation, part: str, compute: Callable[[], Any], z: np.ndarray) -> np.ndarray:
    """What the value or the slope of a record answers for z, or a `ValueError` of one sentence on what is wrong."""
    try:
        answer = compute()
    except FORMULA_ERRORS as reason:
        raise ValueError(
            f"the {part} of activation {f.name!r} cannot be computed in NumPy for z of shape {z.shape} "
            f"({instead(reason)})"
        ) from reason
    if type(answer).__module__.partition(".")[0] == "torch":
        raise ValueError(
            f"the {part} of activation {f.name!r} came back as a {type(answer).__name__} of torch: write xp.exp(z) for "
            "torch.exp(z), and np.exp(z) in the slope"
        )
    one_for_all = part == "slope" and np.shape(answer) == ()  # broadcasts wherever it is used, and is noted
    if str(getattr(answer, "dtype", "")) in ("float32", "float16", "bfloat16"):
        raise ValueError(
            f"the {part} of activation {f.name!r} came back as {answer.dtype} for z of float64: compute it in float64, "
            "without a cast and without constants of another type"
        )
    if (getattr(answer, "shape", None) == z.shape or one_for_all) and np.asarray(answer).dtype.kind in "iuf":
        return np.broadcast_to(np.asarray(answer, dtype=np.float64), z.shape)
    described = f"{answer.dtype} of shape {answer.shape}" if hasattr(answer, "dtype") else f"a {type(answer).__name__}"
    raise ValueError(
        f"the {part} of activation {f.name!r} must keep the shape of z, and be elementwise and real: for z of shape "
        f"{z.shape} it answered {described}; compute each entry from the same entry of z alone"
    )


def _in_numbers(f: Activation) -> Activation:
    """The record with numbers for a slope of truth values, such as z > 0, of which NumPy takes no differences."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        try:
            truths = str(getattr(f.slope(np.zeros(2), np.zeros(2)), "dtype", "")) == "bool"
        except FORMULA_ERRORS:
            return f
    return replace(f, slope=lambda z, a: np.where(f.slope(z, a), np.ones_like(z), 0.0)) if truths else f


@lru_cache(maxsize=64)
def as_written(f: Activation) -> Activation:
    """The record with formulas that run in NumPy's float64 and in every arithmetic, however they are written."""
    f = _in_numbers(in_float64(f))
    if ACTIVATIONS.get(f.name) is f:
        return f

    @wraps(f.value)  # its signature tells what the parameters are by default
    def value(xp, z, **parameters):
        return _in_its_arithmetic(partial(f.value, xp, **parameters), z)

    def slope(z, a):
        return _in_its_arithmetic(f.slope, z, a)

    return replace(f, value=value, slope=slope)


def _in_its_arithmetic(formula: Callable[..., Any], *arrays: Any) -> Any:
    """The formula as it stands; else on objects that hold the arrays, if these are not NumPy's own."""
    try:
        return formula(*arrays)
    except FORMULA_ERRORS as reason:
        if not any(isinstance(x, Companion) or (isinstance(x, np.ndarray) and x.dtype.kind in "cO") for x in arrays):
            raise
        try:
            return through_objects(formula, *arrays)
        except FORMULA_ERRORS:
            raise reason from None
