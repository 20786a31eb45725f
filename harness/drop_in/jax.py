"""`jax.test_util.check_grads`, by exact increments in place of differences with a fixed step."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import jax
import numpy as np
from jax.test_util import check_grads as original

from harness.checks.traced.derivative_check import check_derivatives
from harness.checks.traced.function_arguments import NoNumber
from harness.drop_in.fallback import (
    LIBRARY,
    Fallback,
    NothingToCheck,
    Outcome,
    Result,
    doubts_of,
    is_right,
    refusal,
    stated_accuracy,
)
from harness.drop_in.jax_looks import is_confirmed
from harness.facts.fact import Fact, doubt
from harness.facts.kinds import Kind
from harness.verdict.report import Report

NAME = "jax.test_util.check_grads"

MODES = {"fwd": "forward", "rev": "reverse", "lin": "forward"}
"""The original's modes, and what they are called here; a linearisation is a forward derivative."""

TOLERANCES = {"float64": 1e-5, "complex128": 1e-5, "complex64": 1e-3, "float32": 2e-3, "float16": 1e-2, "bfloat16": 0.1}
"""The original's defaults, for atol and for rtol; a wider one is the accuracy that the caller asks for."""


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
    fallback = Fallback(NAME, partial(original, f, args, order, modes, atol, rtol, eps), _refuse)
    chosen = tuple(dict.fromkeys(MODES[mode] for mode in MODES if mode in modes))
    unknown = [] if isinstance(modes, str) and chosen else [name for name in _listed(modes) if name not in MODES]

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


def _listed(modes: str | Sequence[str]) -> Sequence[str]:
    return [modes] if isinstance(modes, str) else modes


def _refuse(report: Report) -> None:
    __tracebackhide__ = True  # pytest shows the caller's line
    raise refusal(AssertionError, report)


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
        if not is_confirmed(f, args, modes):
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
