"""The derivative rules that programs carry: where somebody wrote and calls them, and how to do without them."""

import functools
import inspect
import itertools
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import jax

from reference.traced.program import NOWHERE, Equation, Place, function_of, place_of, rule_of

JAX = Path(jax.__file__).parent

MADE_BY_JAX = ("custom_jvp.defjvps.<locals>.jvp", "custom_gradient.<locals>.fwd")
"""Functions of JAX that make a rule out of functions that they close over, which are somebody's own."""

DEPTH = 8
"""So many wrappers of JAX's stand around a rule at most."""


def is_jax(place: Place) -> bool:
    return Path(place.file).is_relative_to(JAX)


def is_rule_of_jax(equation: Equation) -> bool:
    """Whether a custom rule comes with JAX, and is not somebody's own."""
    return not _written_by_hand(equation)[1]


def written(equation: Equation) -> tuple[str, list[Place]]:
    """What the author calls a function with a rule, and where the functions that make up the rule are written.

    Of JAX's own the name by which it is imported, and no place.
    """
    function, places = _written_by_hand(equation)
    return (function.name, places) if places else (_imported(function_of(equation)), [])


def _written_by_hand(equation: Equation) -> tuple[Place, list[Place]]:
    function, rule = function_of(equation), rule_of(equation)
    if not is_jax(rule):
        return function, [rule]
    handed = [place for place in map(_place_of, _handed_to_jax(equation)) if not is_jax(place)]
    if is_jax(function):  # as that of custom_gradient, of which somebody's own function is all there is
        return (handed[0] if handed else function), handed
    return function, handed or [function]


def forward_of(equation: Equation) -> Place:
    """The forward half of a rule for reverse mode, which hands on the value; nowhere for any other rule."""
    return place_of(getattr(equation.raw.params.get("fwd_jaxpr_thunk"), "debug_info", None))


def argument_names(equation: Equation) -> list[str]:
    """What the author calls the arguments of a function with a rule, leaf by leaf; their numbers where nobody knows."""
    closed_over = equation.params.get("num_consts", 0)
    count = len(equation.inputs) - closed_over
    call = equation.raw.params.get("call_jaxpr")
    for holder in (equation.raw.params.get("fwd_jaxpr_thunk"), getattr(call, "jaxpr", call)):
        names = getattr(getattr(holder, "debug_info", None), "arg_names", None) or ()
        names = [name for name in names[-count:] if name] if count else []
        if len(names) == count:
            return names
    return [str(i) for i in range(count)]


def _handed_to_jax(equation: Equation) -> list[Callable[..., Any]]:
    """The functions out of which JAX makes a rule, in their order."""
    level: list[Any] = [equation.raw.params.get(key) for key in ("jvp_jaxpr_fun", "fwd_jaxpr_thunk")]
    for _ in range(DEPTH):
        for value in level:
            if getattr(value, "__qualname__", "") in MADE_BY_JAX:
                return [f for part in _closed_over(value) for f in _flat(part) if inspect.isfunction(f)]
        level = [part for value in level for part in _flat(_within(value))]
    return []


def _within(value: Any) -> Any:
    """What a function calls: all that it closes over, or that JAX has wrapped."""
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


def _place_of(function: Any) -> Place:
    """Where a function is written, as JAX tells it: past decorators and partial applications."""
    while isinstance(function, functools.partial):
        function = function.func
    function = inspect.unwrap(function)
    code = getattr(function, "__code__", None)
    return NOWHERE if code is None else Place(function.__name__, code.co_filename, code.co_firstlineno)


def _imported(function: Place) -> str:
    """The shortest name by which a function of JAX is imported, as ``jax.nn.relu``; its own where there is none."""
    name = function.name.lstrip("_")
    for module in sorted((key for key in sys.modules if key.startswith("jax") and "._" not in key), key=len):
        found = getattr(sys.modules[module], name, None)
        if callable(found) and _place_of(found).file == function.file:
            return f"{module}.{name}"
    return function.name


def line_of(equation: Equation) -> Place:
    """The line of the user's code that an equation comes from; nowhere where JAX traced it apart, or the check did."""
    frame = next((frame for frame in frames_of(equation) if whose(frame.file_name) != "jax"), None)
    if frame is None or whose(frame.file_name) == "harness":
        return NOWHERE
    return Place(frame.function_name, frame.file_name, frame.line_num)


def own_line_of(equation: Equation) -> Place:
    """The innermost line of the user's own that leads to an equation, by way of whatever library."""
    frame = next((frame for frame in frames_of(equation) if whose(frame.file_name) == "own"), None)
    return NOWHERE if frame is None else Place(frame.function_name, frame.file_name, frame.line_num)


def is_of_library(place: Place) -> bool:
    return "site-packages" in Path(place.file).parts


def frames_of(equation: Equation) -> Sequence[Any]:
    """The calls that lead to an equation, the innermost first, as far as to where JAX traces.

    Beyond that old releases of JAX keep the calls of whoever had a function traced first.
    """
    frames = getattr(equation.raw.source_info.traceback, "frames", ())
    return list(itertools.takewhile(lambda frame: frame.function_name != "trace_to_jaxpr_dynamic", frames))


def whose(file_name: str) -> str:
    """Whose code a file holds: "jax", "harness", of another "library", or the user's "own"."""
    path = Path(file_name)
    if file_name.startswith(str(Path(jax.__file__).parent)):
        return "jax"
    if path.is_relative_to(Path(__file__).parents[2] / "harness"):
        return "harness"
    return "library" if "site-packages" in path.parts else "own"


ANEW = jax.make_user_context(None)
"""Of each value of this, JAX remembers by itself what it has compiled."""


@contextmanager
def without_rules(of: Collection[Place]) -> Iterator[None]:
    """The functions written in these places by their primals for a while, whoever calls them.

    Functions are traced anew, those under `jax.jit` too; programs that were traced before keep the rules.
    """
    kept: dict[Any, Any] = {kind: kind.__call__ for kind in (jax.custom_jvp, jax.custom_vjp)}
    lines = frozenset(place[1:] for place in of)

    def by_primal(call: Callable[..., Any]) -> Callable[..., Any]:
        def called(self: Any, *args: Any, **kwargs: Any) -> Any:
            function = self.fun if _place_of(self.fun)[1:] in lines else functools.partial(call, self)
            return function(*args, **kwargs)

        return called

    for kind, call in kept.items():
        kind.__call__ = by_primal(call)
    try:
        with ANEW(lines):
            yield
    finally:
        for kind, call in kept.items():
            kind.__call__ = call
