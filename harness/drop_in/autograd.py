"""`autograd.test_util.check_grads`, with steps that fit the function in place of a fixed one."""

# Not installed everywhere, so that its names cannot be resolved.
# pyright: reportMissingImports=false, reportAttributeAccessIssue=false, reportArgumentType=false
# pyright: reportIncompatibleMethodOverride=false

import math
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import autograd.numpy as anp
import numpy as np
from autograd import builtins
from autograd.core import make_jvp, make_vjp
from autograd.misc import flatten
from autograd.test_util import check_grads as original
from autograd.tracer import Node, trace

from harness.checks.functions.gradient_check import check_gradient
from harness.drop_in.fallback import (
    ACCURATE,
    SLIGHT,
    TOLERATED,
    Fallback,
    NothingToCheck,
    Result,
    check_within,
    compared,
    disagreeing,
    drawn_weights,
    is_installed,
    refusal,
)
from harness.drop_in.line_checks import (
    MULTIPLES,
    Slope,
    check_forward,
    look,
    row_units,
    slope_of,
    tree_leaves,
    tree_map,
    unit_of,
    values_beside,
)
from harness.facts.fact import wrong
from harness.facts.kinds import Kind
from harness.verdict.report import Report

NAME = "autograd.test_util.check_grads"


def check_grads(
    f: Callable[..., Any], argnum: int | Sequence[int] = 0, modes: Sequence[str] = ("fwd", "rev"), order: int = 2
) -> Callable[..., None]:
    """A function of f's arguments that checks autograd's derivatives of f there, of every order up to `order`.

    Raises
    ------
    AssertionError
        When a derivative is wrong; the message is the report.
    """
    assert all(mode in ("fwd", "rev") for mode in modes), f"modes must be some of fwd and rev, not {modes}"

    def check(*args: Any, **kwargs: Any) -> None:
        __tracebackhide__ = True  # pytest shows the caller's line
        fallback = Fallback(NAME, partial(original(f, argnum, list(modes), order), *args, **kwargs), _refuse)
        places = [argnum] if isinstance(argnum, int) else argnum
        is_one = isinstance(argnum, int)

        def of_chosen(chosen: Any) -> Any:
            given = list(args)
            for place, value in zip(places, [chosen] if is_one else chosen):
                given[place] = value
            return f(*given, **kwargs)

        chosen = args[places[0]] if is_one else tuple(args[place] for place in places)
        output = f(*args, **kwargs)  # which may warn, as it does when the original calls it

        def find() -> Iterator[Result]:
            if not flatten(chosen)[0].size:
                raise NothingToCheck
            f_of_arrays, x = _of_real_arrays(of_chosen, chosen, output)
            checks = list(_doubtful(f_of_arrays, x, modes, order))
            of_library = bool(checks) and _is_of_library(of_chosen, chosen)
            for each, size in checks:
                yield check_within(each, SLIGHT if of_library else ACCURATE, size, rules_of_library=of_library)

        return fallback.settle(find)

    return check


def _refuse(report: Report) -> None:
    __tracebackhide__ = True  # pytest shows the caller's line
    raise refusal(AssertionError, report)


def _of_real_arrays(f: Callable[[Any], Any], chosen: Any, output: Any) -> tuple[Callable[[Any], Any], Any]:
    """The function and its arguments with an array for each number, of two parts where it is complex, in any tree."""
    complex_out = np.iscomplexobj(flatten(output)[0])

    def of_parts(parts: tuple) -> Any:
        output = f(_joined(parts, chosen))
        return anp.array([anp.real(output), anp.imag(output)]) if complex_out else output

    return of_parts, _parted(chosen)


def _is_of_real_arrays(tree: Any) -> bool:
    if isinstance(tree, (dict, list, tuple)):
        return all(map(_is_of_real_arrays, tree.values() if isinstance(tree, dict) else tree))
    return isinstance(tree, np.ndarray) and not np.iscomplexobj(tree)


def _parted(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: _parted(value) for key, value in tree.items()}
    if isinstance(tree, (list, tuple)):
        return type(tree)(_parted(value) for value in tree)
    return np.array([tree.real, tree.imag]) if np.iscomplexobj(tree) else np.asarray(tree)


def _joined(parts: Any, like: Any) -> Any:
    """What was parted, with other numbers; lists and all are in autograd's boxes, as it has them, where numbers are."""
    if _is_of_real_arrays(like):
        return parts
    if isinstance(like, dict):  # of which autograd has no forward mode
        return {key: _joined(parts[key], value) for key, value in like.items()}
    if isinstance(like, (list, tuple)):
        joined = [_joined(parts[i], value) for i, value in enumerate(like)]
        return builtins.list(joined) if isinstance(like, list) else builtins.tuple(joined)
    parts = parts[0] + 1j * parts[1] if np.iscomplexobj(like) else parts
    return type(like)(parts) if isinstance(parts, np.ndarray) and not isinstance(like, np.ndarray) else parts


class _Primitives(Node):
    """Of which primitives a value was made."""

    __slots__ = ("of",)

    def __init__(self, value: Any, fun: Any, args: Any, kwargs: Any, parent_argnums: Any, parents: Any) -> None:
        self.of = frozenset({fun}).union(*(parent.of for parent in parents))

    def initialize_root(self) -> None:
        self.of = frozenset()


def _is_of_library(f: Callable[[Any], Any], x: Any) -> bool:
    """Whether every rule that f needs is one of an installed library."""
    _, node = trace(_Primitives.new_root(), f, x)
    installed = {
        id(value) for name, module in [*sys.modules.items()] if is_installed(name) for value in vars(module).values()
    }
    return node is None or installed.issuperset(map(id, node.of))


OUTPUTS = "outputs"

Check = tuple[Callable[[float], Report], float]
"""A check at an accuracy, and the largest derivative that it compares, where it has several blocks."""


def _doubtful(
    f: Callable[[Any], Any], x: Any, modes: Sequence[str], order: int, what: str = OUTPUTS
) -> Iterator[Check]:
    """The checks that no look spares, of f and of its derivatives as functions of x and of what they are applied to."""
    output = f(x)
    beside = values_beside(f, x) if what == OUTPUTS else []  # derivatives have entries that are 0 but for rounding
    weights = tree_map(
        lambda y, *moved: np.asarray(drawn_weights(f"order {order}", np.shape(y)) / row_units(y, moved)),
        output,
        *beside,
    )
    along = _Along(f, x, weights, what)
    if "rev" in modes:
        yield from along.reverse(output)
        if order > 1:
            both = lambda both: make_vjp(f, both[0])[0](both[1])  # noqa: E731
            yield from _doubtful(both, (x, weights), modes, order - 1, f"reverse mode's derivatives of the {what}")
    if "fwd" in modes:
        yield from along.forward(output)
        if order > 1:
            tangent = tree_map(lambda x: np.asarray(drawn_weights(f"tangent {order}", np.shape(x))), x)
            both = lambda both: make_jvp(f, both[0])(both[1])[1]  # noqa: E731
            yield from _doubtful(both, (x, tangent), modes, order - 1, f"forward mode's derivatives of the {what}")


@dataclass(frozen=True)
class _Along:
    """The checks of a function f at x, whose outputs are added up with weights; `what` it answers is for a report."""

    f: Callable[[Any], Any]
    x: Any
    weights: Any
    what: str

    def cost(self, x: Any) -> float:
        """The weighted outputs."""
        return self._weighted(self.f(x))

    def _weighted(self, output: Any) -> float:
        return float(sum(np.sum(w * y) for w, y in tree_leaves(self.weights, output)))

    def _is_confirmed(self, output: Any, slope: Callable[[Any], Slope | None]) -> bool:
        size = float(sum(np.sum(np.abs(w * y)) for w, y in tree_leaves(self.weights, output)))
        return math.isfinite(look(self.cost, self.x, size, slope))

    def reverse(self, output: Any) -> Iterator[Check]:
        """The check of reverse mode, with its answers to `MULTIPLES` of the weights, if a look does not accept it."""
        pull_back = make_vjp(self.f, self.x)[0]
        gradient = pull_back(self.weights)
        multiples = [pull_back(tree_map(lambda w, k=k: k * w, self.weights)) for k in MULTIPLES]
        off = max(  # one that overflows shows nothing
            float(np.max(np.abs(found / k - g), initial=0.0, where=np.isfinite(found)))
            for k, multiple in zip(MULTIPLES, multiples)
            for g, found in tree_leaves(gradient, multiple)
        )
        largest = max(float(np.max(np.abs(g), initial=0.0)) for (g,) in tree_leaves(gradient))
        faults = [wrong(Kind.NOT_LINEAR, mode="reverse")] if off > TOLERATED * largest else []

        def check(accuracy: float) -> Report:
            reported = lambda x: make_vjp(self.f, x)[0](self.weights)  # noqa: E731
            report = check_gradient(self.cost, self.x, gradient=reported, accuracy=accuracy)
            return disagreeing(report, faults).with_facts(compared("reverse mode", self.what))

        if faults or not self._is_confirmed(output, lambda v: slope_of(gradient, v)):
            yield check, largest

    def forward(self, output: Any) -> Iterator[Check]:
        """The check of forward mode, if a look does not accept it."""

        def slope(at: Any, tangent: Any, factor: float = 1.0) -> float:
            unit = unit_of(float(np.max(np.abs(v), initial=0.0)) for (v,) in tree_leaves(tangent)) / factor
            return self._weighted(make_jvp(self.f, at)(tree_map(lambda v: v / unit, tangent))[1]) * unit

        def reported(direction: Any) -> Slope | None:
            found, *multiples = (slope(self.x, direction, factor) for factor in (1.0, *MULTIPLES))
            is_linear = all(abs(each - found) <= TOLERATED * abs(found) for each in multiples if math.isfinite(each))
            return Slope(found, [abs(found)]) if is_linear else None

        if not self._is_confirmed(output, reported):
            fact = compared("forward mode", self.what)
            yield lambda accuracy: self._check_forward(slope, accuracy).with_facts(fact), 0.0

    def _check_forward(self, slope: Callable[[Any, Any], float], accuracy: float) -> Report:
        flat, rebuild = flatten(self.x)
        direction = drawn_weights("direction", flat.shape) * np.maximum(np.abs(flat), 1.0)

        def by_entry(at: Any) -> Any:
            return rebuild(np.array([slope(at, rebuild(unit)) for unit in np.eye(flat.size)]))

        return check_forward(
            lambda step: self.cost(rebuild(flat + step * direction)),
            lambda step: slope(rebuild(flat + step * direction), rebuild(direction)),
            flat.size,
            lambda: check_gradient(self.cost, self.x, gradient=by_entry, accuracy=accuracy),
            accuracy,
        )
