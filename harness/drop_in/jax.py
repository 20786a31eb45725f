"""`jax.test_util.check_grads`, by exact increments in place of differences with a fixed step."""

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, partial
from typing import Any

import jax
import numpy as np
from jax.test_util import check_grads as original

from harness.checks.traced.derivative_check import check_derivatives
from harness.checks.traced.function_arguments import NoNumber, differentiable
from harness.drop_in.fallback import (
    ACCURATE,
    LIBRARY,
    Fallback,
    NothingToCheck,
    Outcome,
    Result,
    doubts_of,
    fail,
    is_right,
    stated_accuracy,
)
from harness.drop_in.line_looks import Looks, look
from harness.drop_in.reported_function import OUTPUTS, Arrays, Function
from harness.facts.fact import Fact, doubt
from harness.facts.kinds import Kind
from harness.verdict.report import Report
from reference.jax_settings import settings

NAME = "jax.test_util.check_grads"

MODES = {"fwd": "forward", "rev": "reverse", "lin": "forward"}
"""The original's modes, and what they are called here; a linearisation is a forward derivative."""

TOLERANCES = {"float64": 1e-5, "complex128": 1e-5, "complex64": 1e-3, "float32": 2e-3, "float16": 1e-2, "bfloat16": 0.1}
"""The original's defaults, for atol and for rtol; a wider one is the accuracy that the caller asks for."""

WIDE = {"float32": np.float64, "float64": np.float64, "complex64": np.complex128, "complex128": np.complex128}
"""The types of arguments that are looked at, and those in which rules are compared with values."""

AS_IN_DOUBLE = 2.0**-13
"""In single precision every entry has to be as in double precision to this share of itself. One that has lost more
digits is left to the whole check."""


def check_grads(
    f: Callable[..., Any],
    args: Sequence[Any],
    order: int,
    modes: str | Sequence[str] = ("fwd", "rev"),
    atol: Any = None,
    rtol: Any = None,
    eps: float | None = None,
) -> None:
    """Check JAX's derivatives of f at ``f(*args)``, of every order up to `order`, in some modes.

    Parameters
    ----------
    f, args, order, modes
        As the original takes them.
    atol, rtol
        Where wider than the original's defaults, the accuracy of the derivatives; else for the original alone.
    eps
        Not used here, but handed on where the original has to decide.

    Raises
    ------
    AssertionError
        When a derivative is wrong; the message is the report.
    """
    __tracebackhide__ = True  # pytest shows the caller's line
    args = tuple(args)
    accuracy = stated_accuracy(NAME, {"atol": atol, "rtol": rtol, "eps": eps}, _default_tolerances(args))
    fallback = Fallback(NAME, partial(original, f, args, order, modes, atol, rtol, eps), partial(fail, AssertionError))
    chosen = tuple(dict.fromkeys(MODES[mode] for mode in MODES if mode in modes))
    names = [modes] if isinstance(modes, str) else modes
    unknown = [] if isinstance(modes, str) and chosen else [name for name in names if name not in MODES]

    def find() -> Iterator[Result]:
        if unknown:
            yield Result(
                Outcome.OPEN, [doubt(Kind.UNKNOWN_MODE, repr(each), modes=", ".join(MODES)) for each in unknown]
            )
        if chosen and order > 0:
            yield from map(_result, _reports(f, args, order, chosen, accuracy))
        elif not unknown:
            raise NothingToCheck

    return fallback.settle(find)


def _result(report: Report) -> Result:
    # What a mode cannot do, and what a stop_gradient keeps from it, the original differentiates: it has to look.
    doubts = [*report.left_out.values(), *filter(_stops, report.notes)]
    if report.verdict == "disagree":
        inexact = _inexact_rules_of_jax(report)
        return Result(Outcome.OPEN, [*doubts, *inexact], report) if inexact else Result(Outcome.WRONG, report=report)
    if not _is_right(report):
        doubts += doubts_of(report)
    return Result(Outcome.OPEN if doubts else Outcome.RIGHT, doubts, report)


def _stops(fact: Fact) -> bool:
    """Whether a fact is about a stop_gradient of the function."""
    return fact.kind == Kind.DERIVATIVE_ENDS and "stop_gradient" in fact.data["functions"]


def _default_tolerances(args: Any) -> dict[str, float]:
    """The original's default tolerances for the coarsest of the arguments."""
    types = [jax.numpy.result_type(leaf) for leaf in jax.tree.leaves(args)]
    coarsest = max((TOLERANCES.get(np.dtype(kind).name, 0.0) for kind in types), default=0.0)
    return {"atol": coarsest, "rtol": coarsest}


def _inexact_rules_of_jax(report: Report) -> tuple[Fact, ...]:
    """What explains a disagreement where it is JAX's own rules that are a little off; nothing in any other case."""
    culprits = report.details.get("culprits", [])
    if not all(culprit["of_jax"] and culprit["off"] < LIBRARY for culprit in culprits):
        return ()
    return tuple(doubt(Kind.INEXACT_LIBRARY_RULE, culprit["name"], off=culprit["off"]) for culprit in culprits)


def _is_right(report: Report) -> bool:
    """Whether all that has a derivative agrees; NaN with NaN for its derivative passes the original, too."""
    return is_right(report) or report.details.get("where_defined") in ("agree", "nowhere")


def _reports(
    f: Callable[..., Any], args: tuple, order: int, modes: tuple[str, ...], accuracy: float
) -> Iterator[Report]:
    """Reports on the derivatives that no look confirms: of f, and of each order's as a function of the arguments."""
    derivative_of = _pulled_back if "reverse" in modes else _pushed_forward
    below, is_gradient = f, False
    for _ in range(order):
        if not _is_confirmed(f, args, modes, is_derivative=below is not f):
            whole = partial(check_derivatives, modes=modes, accuracy=accuracy)
            try:
                report = whole(below, *args, order=2) if is_gradient else whole(f, *args)
            except NoNumber as reason:
                raise NothingToCheck from reason
            yield report
            if not _is_right(report):
                return
            if "reverse" in report.left_out:
                derivative_of = _pushed_forward
        below, f, is_gradient = f, derivative_of(f), derivative_of is _pulled_back


def _pulled_back(f: Callable[..., Any]) -> Callable[..., Any]:
    """The gradient of a random combination of f's outputs, as a function of the same arguments."""

    def gradient(*args: Any) -> Any:
        output, pull_back = jax.vjp(f, *args)
        return pull_back(_random_like(output))

    return gradient


def _pushed_forward(f: Callable[..., Any]) -> Callable[..., Any]:
    """f's derivative along a random tangent, as a function of the same arguments."""
    return lambda *args: jax.jvp(f, args, _random_like(args))[1]


def _random_like(tree: Any) -> Any:
    """Random tangents, the same each time; those of integers are zero."""
    rng = np.random.default_rng(0)

    def drawn(leaf: Any) -> Any:
        dtype, numbers = jax.numpy.result_type(leaf), rng.normal(size=(2, *np.shape(leaf)))
        if not jax.numpy.issubdtype(dtype, jax.numpy.inexact):
            return np.zeros(np.shape(leaf), jax.dtypes.float0)
        complex_ = jax.numpy.issubdtype(dtype, jax.numpy.complexfloating)
        return jax.numpy.asarray(numbers[0] + 1j * numbers[1] if complex_ else numbers[0], dtype)

    return jax.tree.map(drawn, tree)


# -- looks -------------------------------------------------------------------------------------------------------------


def _is_confirmed(f: Callable[..., Any], args: tuple, modes: Sequence[str], *, is_derivative: bool) -> bool:
    """Whether a look finds JAX's derivatives of f right in these modes. It calls none of them wrong.

    A look calls the function and its derivatives operation by operation, as the original does: JAX compiles each
    operation once for all functions that have it. Rules are compared with values in float64, and then what they answer
    in float32, if f has such arguments.
    """
    try:
        leaves, tree = jax.tree.flatten(args)
        places = [i for i, leaf in enumerate(leaves) if differentiable(leaf)]
        types = [jax.numpy.result_type(leaves[i]).name for i in places]
        if not set(types) <= WIDE.keys():
            return False

        def of_chosen(*chosen: Any) -> list[Any]:
            every = dict(enumerate(leaves)) | dict(zip(places, chosen))
            return list(filter(differentiable, jax.tree.leaves(f(*jax.tree.unflatten(tree, every.values())))))

        given = [jax.numpy.asarray(leaves[i]) for i in places]  # with the caller's number of bits
        with settings(True):
            wide = _OfArrays(of_chosen, [np.asarray(leaves[i], WIDE[name]) for i, name in zip(places, types)])
            wide.what = "derivatives" if is_derivative else OUTPUTS
            looks = look(wide, modes)
            is_right = not looks.doubts and wide.has_values()
        is_double = all(np.dtype(name) == WIDE[name] for name in types)
        return is_right and (is_double or _is_as_in_double(_OfArrays(of_chosen, given), looks))
    except Exception:  # noqa: BLE001  the whole check finds out why
        return False


def _is_as_in_double(function: "_OfArrays", looks: Looks) -> bool:
    """Whether every entry that a function answers in its own precision is what looks have seen in double precision."""
    found: list[np.ndarray] = []
    if looks.gradient:
        found += function.pull_back(function.x, looks.whole.weights)
    if looks.direction:
        found += function.push_forward(function.x, looks.direction)
    return all(
        np.all(np.abs(a - b) <= AS_IN_DOUBLE * np.abs(b)) for a, b in zip(found, (*looks.gradient, *looks.ahead))
    )


class _OfArrays(Function):
    """A function of arrays, as JAX differentiates it."""

    def __init__(self, f: Callable[..., Sequence[Any]], given: Sequence[Any]) -> None:
        self.f, self.given, self.x = f, given, list(map(_parts, given))
        self.types = [jax.numpy.result_type(leaf) for leaf in given]

    @cached_property
    def _here(self) -> Arrays:
        return list(map(_parts, self.f(*self.given)))

    @cached_property
    def _vjp(self) -> Any:
        return jax.vjp(self.f, *self.given)

    def has_values(self) -> bool:
        """Whether reverse mode answers the same values; another one may be that of another function."""
        return all(np.allclose(_parts(y), known, rtol=ACCURATE, atol=0.0) for y, known in zip(self._vjp[0], self._here))

    def call(self, x: Sequence[Any]) -> Arrays:
        return self._here if x is self.x else list(map(_parts, self.f(*map(_whole, x, self.given))))

    def pull_back(self, x: Sequence[Any], weights: Sequence[Any]) -> Arrays:
        outputs, pull = self._vjp
        return [
            _parts(np.conj(g)) for g in pull([np.conj(_whole(w, y)).astype(y.dtype) for w, y in zip(weights, outputs)])
        ]

    def push_forward(self, x: Sequence[Any], tangents: Sequence[Any]) -> Arrays:
        given = tuple(_whole(v, leaf).astype(dtype) for v, leaf, dtype in zip(tangents, self.given, self.types))
        return list(map(_parts, jax.jvp(self.f, tuple(self.given), given)[1]))


def _parts(x: Any) -> np.ndarray:
    x = np.asarray(x)
    return np.stack([x.real, x.imag]) if np.iscomplexobj(x) else x


def _whole(parts: np.ndarray, like: Any) -> np.ndarray:
    return np.asarray(parts[0] + 1j * parts[1] if np.iscomplexobj(like) else parts)
