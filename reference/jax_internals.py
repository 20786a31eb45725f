"""All that this project uses of JAX's internals: what `jax` and `jax.extend` do not document.

A release of JAX that changes its internals breaks this module, and no other. Each function takes JAX's own objects (an
equation of a jaxpr, a traced function) and returns plain values.
"""

import functools
import inspect
import itertools
import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jax._src import core, dtypes
from jax._src.lax import lax

JAX_FOLDER = Path(jax.__file__).parent

# -- arrays -----------------------------------------------------------------------------------------------------------


@contextmanager
def without_remembered_arrays() -> Iterator[None]:
    """Have JAX convert every NumPy array anew for a while.

    JAX remembers by identity what it made of an array, and returns that whatever its number of bits is by now.
    """
    # a view is another object with the same numbers, which JAX has not met
    convert = dtypes.canonicalize_value
    dtypes.canonicalize_value = lambda x: convert(x.view() if type(x) is np.ndarray else x)
    try:
        yield
    finally:
        dtypes.canonicalize_value = convert


def weak(array: Any) -> Any:
    """The array with a weak type, as Python's own numbers have: it takes the type of the arrays that it meets."""
    return lax._convert_element_type(array, weak_type=True)


def has_weak_type(variable: Any) -> bool:
    """Whether a variable of a jaxpr has a weak type."""
    return bool(getattr(variable.aval, "weak_type", False))


# -- equations --------------------------------------------------------------------------------------------------------


def literal_value(literal: Any) -> Any:
    """The number that a literal of a jaxpr stands for; an array of its type, unless it is a random key."""
    is_key = jax.numpy.issubdtype(literal.aval.dtype, jax.dtypes.extended)
    # some releases keep Python's own number, which NumPy would take for float64
    return literal.val if is_key else np.asarray(literal.val, literal.aval.dtype)


def dtype_of(variable: Any) -> Any:
    """The type of a variable of a jaxpr; None for one that is no array."""
    return getattr(variable.aval, "dtype", None)


def shape_of(variable: Any) -> tuple[int, ...]:
    """The shape of a variable of a jaxpr."""
    return tuple(getattr(variable.aval, "shape", ()))


def counts_of_scan(params: Any) -> tuple[int, int]:
    """How many operands of a scan its body closes over, and how many it carries."""
    if "ft_in" in params:  # from JAX 0.12 on
        constants, carry, _ = params["ft_in"].unpack()
        return len(list(constants)), len(list(carry))
    return params["num_consts"], params["num_carry"]


def parameters_of(eqn: Any) -> dict[str, Any]:
    """The parameters of an equation. A primitive that expands into others, from JAX 0.12 on, has their program, too."""
    primitive = eqn.params.get("_prim")
    if not hasattr(primitive, "expand"):
        return eqn.params

    def value(*flat: Any) -> list[Any]:
        return jax.tree.leaves(primitive.expand(*jax.tree.unflatten(primitive.in_tree, flat)))

    return {**eqn.params, "call_jaxpr": jax.make_jaxpr(value)(*primitive.in_avals_flat)}


def implementation_of(eqn: Any) -> Any | None:
    """The jaxpr of a primitive that a library wrote as a function of JAX's operations; None for any other."""
    function = eqn.primitive.impl
    if not inspect.isfunction(function) or source_of_function(function)[1].startswith(str(JAX_FOLDER)):
        return None
    with jax.enable_x64(True), suppress(Exception):  # of what computes in NumPy, or calls back
        return jax.make_jaxpr(functools.partial(function, **eqn.params))(*(variable.aval for variable in eqn.invars))
    return None


def bind(eqn: Any, params: Any, values: Sequence[Any]) -> list[Any]:
    """What JAX computes for an equation of a jaxpr with these parameters, from these values."""
    primitive = eqn.primitive
    # custom rules take functions beside values, which `params` hold as jaxprs
    prepared = primitive.get_bind_params(params)
    functions, params = prepared if isinstance(prepared, tuple) else ((), prepared)  # a pair before JAX 0.10
    # while JAX itself computes, from 0.12 on, there is no current trace
    evaluated = core.eval_context() if core.trace_ctx.trace is None else nullcontext()
    with evaluated, eqn.ctx.manager:
        answer = primitive.bind(*functions, *values, **params)
    return list(answer) if primitive.multiple_results else [answer]


# -- functions with a derivative rule ---------------------------------------------------------------------------------


class Lines(NamedTuple):
    """The name of a function, and the file and the line where its source begins; empty where that is unknown."""

    name: str = ""
    file: str = ""
    line: int = 0


RULE_MAKERS = ("custom_jvp.defjvps.<locals>.jvp", "custom_gradient.<locals>.fwd")
"""Functions of JAX that make a rule out of functions which they close over, and which users wrote."""

MOST_WRAPPERS = 8  # JAX wraps a rule in no more functions of its own than this


def source_of(holder: Any) -> Lines:
    """Where a function is written that JAX traced, from the `debug_info` "name at file:line" of its jaxpr or rule."""
    info = getattr(getattr(holder, "jaxpr", holder), "debug_info", None)
    name, _, where = str(getattr(info, "func_src_info", "") or "").partition(" at ")
    file, _, line = where.rpartition(":")
    return Lines(name, file, int(line) if line.isdigit() else 0)


def source_of_function(function: Any) -> Lines:
    """Where a Python function is written, past decorators and partial applications, as JAX records it."""
    while isinstance(function, functools.partial):
        function = function.func
    function = inspect.unwrap(function)
    code = getattr(function, "__code__", None)
    name = getattr(function, "__name__", type(function).__name__)  # of a callable object that of its class
    return Lines(name) if code is None else Lines(name, code.co_filename, code.co_firstlineno)


def argument_names(holder: Any) -> list[str]:
    """The names of the arguments of a traced function, leaf by leaf; empty where JAX does not keep them."""
    info = getattr(getattr(holder, "jaxpr", holder), "debug_info", None)
    return list(getattr(info, "arg_names", None) or ())


def functions_handed_to_jax(params: Any) -> list[Callable[..., Any]]:
    """The user's functions out of which JAX made the rule of a call, in their order."""
    for value in _unwrapped([params.get(key) for key in ("jvp_jaxpr_fun", "fwd_jaxpr_thunk")]):
        if getattr(value, "__qualname__", "") in RULE_MAKERS:
            return [f for part in _closed_over(value) for f in _flat(part) if inspect.isfunction(f)]
    return []


def functions_carried(params: Any) -> list[Lines]:
    """Where the functions that are not JAX's are written which an equation of a jaxpr carries, traced or wrapped."""
    values = _unwrapped(_flat(list(params.values())), is_end=_source_beyond_jax)
    return list(dict.fromkeys(filter(None, map(_source_beyond_jax, values))))


def _source_beyond_jax(value: Any) -> Lines | None:
    """Where a traced or wrapped function is written, unless that is unknown or in JAX."""
    lines = source_of(value)
    if not lines.line and (inspect.isfunction(value) or hasattr(value, "__wrapped__")):
        lines = source_of_function(value)
    return lines if lines.line and not lines.file.startswith(str(JAX_FOLDER)) else None


def _unwrapped(values: Sequence[Any], is_end: Callable[[Any], Any] = lambda _: False) -> Iterator[Any]:
    """The values, then all that these wrap, and so on; a value that is an end is not looked into."""
    for _ in range(MOST_WRAPPERS):
        yield from values
        values = [part for value in values if not is_end(value) for part in _flat(_wrapped(value))]


def functions_behind(rule: Any) -> list[Callable[..., Any]]:
    """The functions that a rule closes over, or that an object in its closure holds, the nearest first."""
    level, found = [rule], []
    for _ in range(MOST_WRAPPERS):
        level = [part for value in level for part in _flat(_wrapped(value))]
        level += [each for value in level for each in getattr(value, "__dict__", {}).values()]
        level = list({id(f): f for f in level if inspect.isfunction(f) or hasattr(f, "transforms")}.values())
        level = [f for f in level if not any(f is other for other in found)]
        found += level
    return [f for f in found if inspect.isfunction(f)]


def _wrapped(value: Any) -> Any:
    """What a function closes over, or what a wrapped function of JAX's holds."""
    if inspect.isfunction(value):
        return _closed_over(value)
    return [value.f, *map(list, value.transforms)] if hasattr(value, "transforms") else []


def _closed_over(function: Any) -> list[Any]:
    found = []
    for cell in function.__closure__ or ():
        with suppress(ValueError):  # a name that is not bound yet
            found.append(cell.cell_contents)
    return found


def _flat(value: Any) -> list[Any]:
    return [part for item in value for part in _flat(item)] if isinstance(value, (tuple, list)) else [value]


def public_name(name: str, file: str) -> str:
    """The shortest name by which a function of JAX is imported, as ``jax.nn.relu``; its own where there is none."""
    public = name.lstrip("_")
    for module in sorted((key for key in sys.modules if key.startswith("jax") and "._" not in key), key=len):
        found = getattr(sys.modules[module], public, None)
        if callable(found) and source_of_function(found)[1] == file:
            return f"{module}.{public}"
    return name


def call_frames(eqn: Any) -> list[Any]:
    """The Python frames that led to an equation, innermost first, up to where JAX began to trace.

    Old releases of JAX keep further frames: those of whoever traced the function first.
    """
    frames = getattr(eqn.source_info.traceback, "frames", ())
    return list(itertools.takewhile(lambda frame: frame.function_name != "trace_to_jaxpr_dynamic", frames))


# -- eager evaluation -------------------------------------------------------------------------------------------------

RunPrimitive = Callable[[Any, Sequence[Any], Any], "list[Any] | None"]
"""``run(primitive, arguments, params)``: the results, or None where JAX is to run the primitive."""


class EagerTrace(core.EvalTrace):
    """JAX's evaluation of functions that are not traced, with another way to run single primitives."""

    def __init__(self, run: RunPrimitive) -> None:
        super().__init__()
        self.run = run

    def process_primitive(self, primitive: Any, args: Sequence[Any], params: Any, /) -> Any:
        found = self.run(primitive, args, params)
        if found is None:
            return super().process_primitive(primitive, args, params)
        return found if primitive.multiple_results else found[0]

    def process_custom_jvp_call(self, *what: Any, **how: Any) -> Any:
        with core.set_current_trace(self):
            return super().process_custom_jvp_call(*what, **how)

    def process_custom_vjp_call(self, *what: Any, **how: Any) -> Any:
        with core.set_current_trace(self):
            return super().process_custom_vjp_call(*what, **how)


def evaluate_with(run: RunPrimitive, function: Callable[..., Any], *arrays: Any) -> Any:
    """What a function returns when `run` computes its primitives, one by one."""
    with core.set_current_trace(EagerTrace(run)):
        return function(*arrays)


CALLBACKS = logging.getLogger("jax._src.callback")

CALLBACK_FAILED = "Callback error", "CustomCall failed"
"""Parts of JAX's message that a callback to the host has raised an error."""


class CallbackRaised(Exception):
    """A callback to the host has raised an error."""


@contextmanager
def raising_callbacks() -> Iterator[None]:
    """Raise `CallbackRaised` for the error of a callback to the host, whose traceback JAX does not log meanwhile."""
    was_disabled, CALLBACKS.disabled = CALLBACKS.disabled, True
    try:
        yield
    except Exception as reason:
        if any(words in str(reason) for words in CALLBACK_FAILED):
            raise CallbackRaised from None
        raise
    finally:
        CALLBACKS.disabled = was_disabled


def abstract_type(array: Any) -> Any:
    """JAX's abstract type of an array, which can be compared and hashed."""
    return core.typeof(array)
