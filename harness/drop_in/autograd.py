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
    Line,
    Slope,
    apply_to_multiples,
    check_forward,
    drawn_like,
    line_through,
    look,
    slope_of,
    tree_leaves,
    tree_map,
    unit_of,
    weighted,
)
from harness.facts.fact import Fact, wrong
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
    here = f(x)
    line, purpose = line_through(f, x, here), f"order {order}"
    # derivatives have entries that are 0 but for rounding, so that their rows are left as they are
    weights = line.weights(purpose) if line and what == OUTPUTS else drawn_like(here, purpose)
    yield from _Along(f, x, here, weights, what).doubtful(modes, line)
    if order > 1 and "rev" in modes:
        both = lambda both: make_vjp(f, both[0])[0](both[1])  # noqa: E731
        yield from _doubtful(both, (x, weights), modes, order - 1, f"reverse mode's derivatives of the {what}")
    if order > 1 and "fwd" in modes:
        both = lambda both: make_jvp(f, both[0])(both[1])[1]  # noqa: E731
        tangent = drawn_like(x, f"tangent {order}")
        yield from _doubtful(both, (x, tangent), modes, order - 1, f"forward mode's derivatives of the {what}")


@dataclass(frozen=True)
class _Along:
    """The checks of a function f at x, where it answers `here`, added up with weights; `what` that is, for a report."""

    f: Callable[[Any], Any]
    x: Any
    here: Any
    weights: Any
    what: str

    def cost(self, x: Any) -> float:
        """The weighted outputs."""
        return weighted(self.weights, self.f(x))

    def doubtful(self, modes: Sequence[str], line: Line | None) -> Iterator[Check]:
        """The checks of these modes, if no look accepts all of them."""
        gradient, is_linear = self._pull_back() if "rev" in modes else (None, True)

        def slopes(direction: Any) -> list[Slope]:
            forward = self._forward_slopes(direction) if "fwd" in modes else []
            reverse = [] if gradient is None else [slope_of(gradient, direction)]
            return reverse + forward if len(forward) == ("fwd" in modes) else []

        if is_linear and math.isfinite(look(self.f, self.x, self.here, self.weights, slopes, first=line)):
            return
        if gradient is not None:
            largest = max(float(np.max(np.abs(g), initial=0.0)) for (g,) in tree_leaves(gradient))
            faults = [] if is_linear else [wrong(Kind.NOT_LINEAR, mode="reverse")]
            yield partial(self._check_reverse, faults), largest
        if "fwd" in modes:
            yield self._check_forward, 0.0

    def _pull_back(self) -> tuple[Any, bool]:
        """The gradient by reverse mode, and whether that is linear."""
        pull_back = make_vjp(self.f, self.x)[0]
        return apply_to_multiples(lambda k: pull_back(tree_map(lambda w: k * w, self.weights)))

    def _check_reverse(self, faults: Sequence[Fact], accuracy: float) -> Report:
        reported = lambda x: make_vjp(self.f, x)[0](self.weights)  # noqa: E731
        report = check_gradient(self.cost, self.x, gradient=reported, accuracy=accuracy)
        return disagreeing(report, faults).with_facts(compared("reverse mode", self.what))

    def _push_forward(self, at: Any, tangent: Any, factor: float = 1.0) -> float:
        """The derivative of the cost along so many times a tangent, by forward mode."""
        unit = unit_of(float(np.max(np.abs(v), initial=0.0)) for (v,) in tree_leaves(tangent)) / factor
        scaled = tree_map(lambda v: v / unit, tangent)
        return weighted(self.weights, make_jvp(self.f, at)(scaled)[1]) * unit * factor

    def _forward_slopes(self, direction: Any) -> list[Slope]:
        """The slope by forward mode; nothing where that is not linear."""
        found, is_linear = apply_to_multiples(lambda k: np.array(self._push_forward(self.x, direction, k)))
        return [Slope(float(found), [abs(float(found))])] if is_linear else []

    def _check_forward(self, accuracy: float) -> Report:
        flat, rebuild = flatten(self.x)
        direction = drawn_weights("direction", flat.shape) * np.maximum(np.abs(flat), 1.0)

        def by_entry(at: Any) -> Any:
            return rebuild(np.array([self._push_forward(at, rebuild(unit)) for unit in np.eye(flat.size)]))

        report = check_forward(
            lambda step: self.cost(rebuild(flat + step * direction)),
            lambda step: self._push_forward(rebuild(flat + step * direction), rebuild(direction)),
            flat.size,
            lambda: check_gradient(self.cost, self.x, gradient=by_entry, accuracy=accuracy),
            accuracy,
        )
        return report.with_facts(compared("forward mode", self.what))
