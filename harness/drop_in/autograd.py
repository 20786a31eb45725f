"""`autograd.test_util.check_grads`, with steps that fit the function in place of a fixed one."""

# Not installed everywhere, so that its names cannot be resolved.
# pyright: reportMissingImports=false, reportAttributeAccessIssue=false, reportArgumentType=false
# pyright: reportIncompatibleMethodOverride=false

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from typing import Any

import jax
import numpy as np
from autograd.core import make_jvp, make_vjp
from autograd.misc import flatten
from autograd.test_util import check_grads as original
from autograd.tracer import Node, trace

from harness.drop_in.fallback import ACCURACY, LIBRARY_ACCURACY, NothingToCheck, Result, fail, is_installed, settle
from harness.drop_in.line_looks import OutputSum, look
from harness.drop_in.reported_function import OUTPUTS, Arrays, ReportedFunction, drawn_weights, parts_of, whole_of
from harness.drop_in.whole_checks import check_unconfirmed

NAME = "autograd.test_util.check_grads"

MODES = {"fwd": "forward", "rev": "reverse"}


def check_grads(
    f: Callable[..., Any], argnum: int | Sequence[int] = 0, modes: Sequence[str] = ("fwd", "rev"), order: int = 2
) -> Callable[..., None]:
    """A function of f's arguments that checks autograd's derivatives of f there, of every order up to `order`.

    Parameters
    ----------
    f, argnum, modes, order
        As the original takes them.

    Raises
    ------
    AssertionError
        When a derivative is wrong; the message is the report.
    """
    # An assertion, as in the original.
    assert all(mode in MODES for mode in modes), f"modes must be some of fwd and rev, not {modes}"
    wanted = [MODES[mode] for mode in modes]

    def check(*args: Any, **kwargs: Any) -> None:
        __tracebackhide__ = True  # pytest shows the caller's line
        of_chosen, chosen = _of_chosen(f, argnum, args, kwargs)
        f(*args, **kwargs)  # which may warn, as it does when the original calls it
        ask = partial(original(f, argnum, list(modes), order), *args, **kwargs)
        return settle(
            NAME, ask, lambda: _check_orders(of_chosen, chosen, wanted, order), refuse=partial(fail, AssertionError)
        )

    return check


def _of_chosen(
    f: Callable[..., Any], argnum: int | Sequence[int], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> tuple[Callable[[Any], Any], Any]:
    """f as a function of the differentiated argument alone, or of a tuple of several; and that argument."""
    if isinstance(argnum, int):
        of_several, (one,) = _of_chosen(f, [argnum], args, kwargs)
        return lambda chosen: of_several((chosen,)), one

    def of_chosen(chosen: Sequence[Any]) -> Any:
        given = list(args)
        for place, value in zip(argnum, chosen):
            given[place] = value
        return f(*given, **kwargs)

    return of_chosen, tuple(args[place] for place in argnum)


def _check_orders(f: Callable[[Any], Any], x: Any, modes: Sequence[str], order: int) -> Iterator[Result]:
    """The results on the derivatives of f at x, and then on those of the derivatives, up to an order."""
    if not flatten(x)[0].size:
        raise NothingToCheck
    functions = [_AutogradFunction(f, x)]
    for _ in range(order):
        looks = [look(each, modes) for each in functions]
        # Which rules take part is found by tracing f, and only needed where a look leaves doubt.
        of_library = any(found.unconfirmed for found in looks) and _is_of_library(f, x)
        accuracy = LIBRARY_ACCURACY if of_library else ACCURACY
        for each, found in zip(functions, looks):
            yield from check_unconfirmed(each, found, accuracy, rules_of_library=of_library)
        functions = [derivative for each in functions for derivative in each.derivatives(modes)]


class _Primitives(Node):
    """A node of autograd's trace that collects the primitives that a value was computed with."""

    __slots__ = ("of",)

    def __init__(self, value: Any, fun: Any, args: Any, kwargs: Any, parent_argnums: Any, parents: Any) -> None:
        self.of = frozenset({fun}).union(*(parent.of for parent in parents))

    def initialize_root(self) -> None:
        self.of = frozenset()


def _is_of_library(f: Callable[[Any], Any], x: Any) -> bool:
    """Whether every primitive that f(x) is computed with is a name in a module of an installed library.

    A primitive is a function object. A caller's own, with its `defvjp`, stands in no installed module.
    """
    _, node = trace(_Primitives.new_root(), f, x)  # None where f(x) does not depend on x
    installed = {
        id(value) for name, module in [*sys.modules.items()] if is_installed(name) for value in vars(module).values()
    }
    return node is None or installed.issuperset(map(id, node.of))


def _parts(tree: Any) -> Arrays:
    """The leaves of a tree as real arrays; a derivative that is 0 everywhere comes as a number of Python's."""
    return list(map(parts_of, jax.tree.leaves(tree)))


def _whole(leaves: Sequence[np.ndarray | None], like: Any) -> Any:
    """The tree like another that `_parts` took apart, of numbers where that has numbers."""
    kinds, structure = jax.tree.flatten(like)
    found = [whole_of(parts, leaf) for parts, leaf in zip(leaves, kinds)]
    numbers = [x if isinstance(leaf, np.ndarray) else type(leaf)(x) for x, leaf in zip(found, kinds)]
    return jax.tree.unflatten(structure, numbers)


class _AutogradFunction(ReportedFunction):
    """A function f of a tree of arrays and numbers, real or complex, as autograd differentiates it."""

    def __init__(self, f: Callable[[Any], Any], given: Any, output_name: str = OUTPUTS, primal_size: float = 0.0):
        self.f, self.given, self.output_name, self.primal_size = f, given, output_name, primal_size
        self.theta = jax.tree.map(parts_of, given)
        self.x = [np.asarray(leaf, dtype=float) for leaf in jax.tree.leaves(self.theta)]
        self._here = f(given)

    def call(self, x: Sequence[Any]) -> Arrays:
        return _parts(self._here if x is self.x else self.f(_whole(x, self.given)))

    @cached_property
    def _pull(self) -> Callable[[Any], Any]:
        return make_vjp(self.f, self.given)[0]

    def pull_back(self, x: Sequence[Any], weights: Sequence[np.ndarray | None]) -> Arrays:
        pull = self._pull if x is self.x else make_vjp(self.f, _whole(x, self.given))[0]
        # As in JAX, the gradient of Re(w̄·y) in the two parts of x is the conjugate of what w̄ is pulled back to.
        cotangents = jax.tree.map(np.conj, _whole(weights, self._here))
        return _parts(jax.tree.map(np.conj, pull(cotangents)))

    def push_forward(self, x: Sequence[Any], tangents: Sequence[np.ndarray | None]) -> Arrays:
        return _parts(make_jvp(self.f, _whole(x, self.given))(_whole(tangents, self.given))[1])

    def derivatives(self, modes: Sequence[str]) -> Iterator["_AutogradFunction"]:
        """The derivatives in these modes as functions of x and of what they are applied to."""
        here = self.call(self.x)
        weights = [drawn_weights(f"cotangent of {self.output_name} {k}", y.shape) for k, y in enumerate(here)]
        tangents = [drawn_weights(f"tangent of {self.output_name} {k}", leaf.shape) for k, leaf in enumerate(self.x)]
        primal_size = max(self.primal_size, OutputSum(weights, self.output_name).size(here))
        if "reverse" in modes:
            pull = lambda both: make_vjp(self.f, both[0])[0](both[1])  # noqa: E731
            given = (self.given, _whole(weights, self._here))
            yield _AutogradFunction(pull, given, f"reverse mode's derivatives of the {self.output_name}", primal_size)
        if "forward" in modes:
            push = lambda both: make_jvp(self.f, both[0])(both[1])[1]  # noqa: E731
            given = (self.given, _whole(tangents, self.given))
            yield _AutogradFunction(push, given, f"forward mode's derivatives of the {self.output_name}", primal_size)
