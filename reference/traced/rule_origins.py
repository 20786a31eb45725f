"""Where the functions and derivative rules of a program are written, and who wrote them: JAX, a library, or the user.

A report names the line of the user's code, not the one in JAX's wrapper of it.
"""

import json
import sysconfig
from collections.abc import Callable, Sequence
from functools import cache
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit
from urllib.request import url2pathname

from reference import jax_internals
from reference.traced.equations import Equation

HARNESS_FOLDER = Path(__file__).parents[2] / "harness"

LIBRARY_FOLDER = "site-packages"

STANDARD_LIBRARY = Path(sysconfig.get_path("stdlib"))


class Place(NamedTuple):
    """A function, and where it is written."""

    name: str
    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.name} ({self.file}:{self.line})" if self.file else self.name


NOWHERE = Place("", "", 0)


def place_of(function: Callable[..., Any]) -> Place:
    return Place(*jax_internals.source_of_function(function))


def function_of(equation: Equation) -> Place:
    """The function with a rule of its own that a call runs."""
    params = equation.raw.params
    return Place(*jax_internals.source_of(params.get("call_jaxpr", params.get("fun_jaxpr"))))


def name_of(equation: Equation) -> str:
    """The name that `trust=` knows an equation by: of its function with a rule of its own, or of its primitive."""
    return function_of(equation).name if equation.primitive.has_own_rule else equation.name


def rule_of(equation: Equation) -> Place:
    """The derivative rule that a call carries."""
    return Place(*jax_internals.source_of(_rule_parameter(equation)))


def _rule_parameter(equation: Equation) -> Any:
    return equation.raw.params.get(equation.primitive.rule_parameter)


def forward_of(equation: Equation) -> Place:
    """The forward half of a rule for reverse mode, which returns the value; nowhere for any other rule."""
    return Place(*jax_internals.source_of(equation.raw.params.get("fwd_jaxpr_thunk")))


def is_jax(place: Place) -> bool:
    return Path(place.file).is_relative_to(jax_internals.JAX_FOLDER)


def is_of_library(place: Place) -> bool:
    """Whether a function is one of an installed library, of JAX, or of Python's own."""
    return owner_of_file(place.file) in ("jax", "library", "python")


def is_rule_of_jax(equation: Equation) -> bool:
    """Whether a custom rule comes with JAX, and is not written by a user."""
    return not _written_by_hand(equation)[1]


def is_rule_of_library(equation: Equation) -> bool:
    """Whether all of a custom rule comes with an installed library, JAX or another, and none of it from the user."""
    return all(map(is_of_library, _written_by_hand(equation)[1]))


def written(equation: Equation) -> tuple[str, list[Place]]:
    """The author's name of a function with a rule, and where the functions that make up the rule are written.

    Of JAX's own functions the name by which it is imported, and no place.
    """
    function, places = _written_by_hand(equation)
    return (function.name, places) if places else (jax_internals.public_name(*function_of(equation)[:2]), [])


def _written_by_hand(equation: Equation) -> tuple[Place, list[Place]]:
    function, rule = function_of(equation), rule_of(equation)
    if is_of_library(rule) and not is_jax(rule):
        # Equinox' filter_custom_vjp wraps the user's rule in one of its own
        behind = map(place_of, jax_internals.functions_behind(_rule_parameter(equation)))
        return function, [place for place in behind if owner_of_file(place.file) == "own"] or [rule]
    if not is_jax(rule):
        return function, [rule]
    # JAX makes a rule of what `defjvps` and `custom_gradient` are given: then those are the author's
    handed = map(place_of, jax_internals.functions_handed_to_jax(equation.raw.params))
    own = [place for place in handed if not is_jax(place)]
    if is_jax(function):  # as that of custom_gradient, which wraps the user's only function
        return (own[0] if own else function), own
    return function, own or [function]


CARRIES_FUNCTIONS = {"custom_linear_solve", "custom_vmap_call", "linear_call"}
"""Primitives with functions of the user's that stand for derivatives or batches."""


def carries_rule(equation: Equation) -> bool:
    """Whether an equation has a derivative rule that is not its primitive's."""
    return equation.primitive.has_own_rule or equation.name in CARRIES_FUNCTIONS


def carried_by(equation: Equation) -> list[Place]:
    """The functions that are part of such a primitive, without JAX's own."""
    if equation.name not in CARRIES_FUNCTIONS:
        return []
    return [Place(*lines) for lines in jax_internals.functions_carried(equation.raw.params)]


def argument_names(equation: Equation) -> list[str]:
    """The author's names of the arguments of a function with a rule, leaf by leaf; their numbers where unknown."""
    count = len(equation.inputs) - equation.params.get("num_consts", 0)
    for key in ("fwd_jaxpr_thunk", "call_jaxpr"):
        names = jax_internals.argument_names(equation.raw.params.get(key))
        names = [name for name in names[-count:] if name] if count else []
        if len(names) == count:
            return names
    return [str(i) for i in range(count)]


def line_of(equation: Equation) -> Place:
    """The line of the user's code that an equation comes from; nowhere where JAX traced it apart, or the check did."""
    frame = next((frame for frame in frames_of(equation) if owner_of_file(frame.file_name) != "jax"), None)
    return NOWHERE if frame is None or owner_of_file(frame.file_name) == "harness" else _place_of_frame(frame)


def own_line_of(equation: Equation) -> Place:
    """The innermost line of the user's own code that leads to an equation, through whatever library."""
    frame = next((frame for frame in frames_of(equation) if owner_of_file(frame.file_name) == "own"), None)
    return NOWHERE if frame is None else _place_of_frame(frame)


def _place_of_frame(frame: Any) -> Place:
    return Place(frame.function_name, frame.file_name, frame.line_num)


def frames_of(equation: Equation) -> Sequence[Any]:
    """The calls that lead to an equation, the innermost first, as far as to where JAX traces."""
    return jax_internals.call_frames(equation.raw)


def owner_of_file(file_name: str) -> str:
    """Whose code a file holds: "jax", "harness", of another "library", of "python" itself, or the user's "own"."""
    path = Path(file_name)
    if path.is_relative_to(jax_internals.JAX_FOLDER):
        return "jax"
    if path.is_relative_to(HARNESS_FOLDER):
        return "harness"
    if LIBRARY_FOLDER in path.parts:
        return "own" if _is_installed_from_here(path) else "library"
    return "python" if path.is_relative_to(STANDARD_LIBRARY) else "own"


def _is_installed_from_here(path: Path) -> bool:
    """Whether a package was installed from a file or folder of this machine, as its authors do who test it so."""
    return path.parts[path.parts.index(LIBRARY_FOLDER) + 1] in _packages_from_here()


@cache
def _packages_from_here() -> frozenset[str]:
    """The packages and modules of distributions whose `direct_url.json` (PEP 610) names a file or folder that exists.

    Those of conda name a folder of the machine that built them.
    """

    def is_from_here(found: Distribution) -> bool:
        url = urlsplit(json.loads(found.read_text("direct_url.json") or "{}").get("url", ""))
        return url.scheme == "file" and Path(url2pathname(url.path)).exists()

    return frozenset(file.parts[0] for found in distributions() if is_from_here(found) for file in found.files or ())


def maps_by_rules(equation: Equation) -> bool:
    """Whether an equation comes from a call of a function with a rule of its own for `jax.vmap`, as this is traced."""
    files = (frame.file_name for frame in frames_of(equation))
    return any(owner_of_file(file) == "jax" and Path(file).stem == "custom_batching" for file in files)
