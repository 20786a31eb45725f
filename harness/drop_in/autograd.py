"""`autograd.test_util.check_grads`, with steps that fit the function in place of a fixed one."""

# Not installed everywhere, so that its names cannot be resolved.
# pyright: reportMissingImports=false, reportAttributeAccessIssue=false, reportArgumentType=false
# pyright: reportIncompatibleMethodOverride=false

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from typing import Any

import autograd.numpy as anp
import jax
import numpy as np
from autograd import builtins
from autograd.core import make_jvp, make_vjp
from autograd.misc import flatten
from autograd.test_util import check_grads as original
from autograd.tracer import Node, trace

from harness.drop_in.fallback import ACCURACY, LIBRARY_ACCURACY, NothingToCheck, Result, fail, is_installed, settle
from harness.drop_in.line_looks import OutputSum, look
from harness.drop_in.reported_function import OUTPUTS, Arrays, ReportedFunction, drawn_weights
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
    functions = [_AutogradFunction(*_of_real_arrays(f, x))]
    for _ in range(order):
        looks = [look(each, modes) for each in functions]
        # Which rules take part is found by tracing f, and only needed where a look leaves doubt.
        of_library = any(found.unconfirmed for found in looks) and _is_of_library(f, x)
        accuracy = LIBRARY_ACCURACY if of_library else ACCURACY
        for each, found in zip(functions, looks):
            yield from check_unconfirmed(each, found, accuracy, rules_of_library=of_library)
        functions = [derivative for each in functions for derivative in each.derivatives(modes)]


def _of_real_arrays(f: Callable[[Any], Any], chosen: Any) -> tuple[Callable[[Any], Any], Any]:
    """The function and its arguments with real arrays in place of numbers and of complex arrays.

    autograd differentiates f of (2.0, [3j]) too. The function that is checked takes (array(2.), [array([0., 3.])]).
    """
    return lambda parts: _parted_output(f(_joined(parts, chosen))), jax.tree.map(_parted, chosen)


def _parted_output(output: Any) -> Any:
    """An output of autograd, a container of boxes perhaps, with complex arrays in two parts."""
    if builtins.isinstance(output, (list, tuple)):
        return builtins.tuple([_parted_output(each) for each in output])
    return anp.array([anp.real(output), anp.imag(output)]) if anp.iscomplexobj(output) else output


def _is_of_real_arrays(tree: Any) -> bool:
    return all(isinstance(leaf, np.ndarray) and not np.iscomplexobj(leaf) for leaf in jax.tree.leaves(tree))


def _parted(x: Any) -> np.ndarray:
    return np.array([x.real, x.imag]) if np.iscomplexobj(x) else np.asarray(x)


def _joined(parts: Any, like: Any) -> Any:
    """The tree that `_parted` took apart, with other numbers in it.

    Containers are made by autograd's own builtins, and are boxes, as autograd has them, where their entries are.
    """
    if _is_of_real_arrays(like):
        return parts
    if isinstance(like, dict):  # autograd's own dict has no forward mode
        return {key: _joined(parts[key], value) for key, value in like.items()}
    if isinstance(like, (list, tuple)):
        joined = [_joined(parts[i], value) for i, value in enumerate(like)]
        return builtins.list(joined) if isinstance(like, list) else builtins.tuple(joined)
    parts = parts[0] + 1j * parts[1] if np.iscomplexobj(like) else parts
    return type(like)(parts) if isinstance(parts, np.ndarray) and not isinstance(like, np.ndarray) else parts


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


def _arrays(tree: Any) -> Arrays:
    """The leaves of a tree; a derivative that is 0 everywhere comes as a number of Python's."""
    return [np.asarray(leaf) for leaf in jax.tree.leaves(tree)]


class _AutogradFunction(ReportedFunction):
    """A function f of a tree x of real arrays, as autograd differentiates it."""

    def __init__(self, f: Callable[[Any], Any], x: Any, output_name: str = OUTPUTS, primal_size: float = 0.0) -> None:
        self.f, self.theta, self.output_name, self.primal_size = f, x, output_name, primal_size
        self.x = [np.asarray(leaf, dtype=float) for leaf in jax.tree.leaves(x)]
        self._here = f(x)

    def call(self, x: Sequence[Any]) -> Arrays:
        return _arrays(self._here if x is self.x else self.f(self.tree(x)))

    @cached_property
    def _pull(self) -> Callable[[Any], Any]:
        return make_vjp(self.f, self.theta)[0]

    def pull_back(self, x: Sequence[Any], weights: Sequence[np.ndarray | None]) -> Arrays:
        pull = self._pull if x is self.x else make_vjp(self.f, self.tree(x))[0]
        return _arrays(pull(self.like_output(weights)))

    def push_forward(self, x: Sequence[Any], tangents: Sequence[np.ndarray | None]) -> Arrays:
        return _arrays(make_jvp(self.f, self.tree(x))(self.tree(tangents))[1])

    def like_output(self, leaves: Sequence[Any]) -> Any:
        """A tree like what f answers."""
        return jax.tree.unflatten(jax.tree.structure(self._here), leaves)

    def derivatives(self, modes: Sequence[str]) -> Iterator["_AutogradFunction"]:
        """The derivatives in these modes as functions of x and of what they are applied to."""
        here = self.call(self.x)
        weights = [drawn_weights(f"cotangent of {self.output_name} {k}", np.shape(y)) for k, y in enumerate(here)]
        tangents = [drawn_weights(f"tangent of {self.output_name} {k}", leaf.shape) for k, leaf in enumerate(self.x)]
        primal_size = max(self.primal_size, OutputSum(weights, self.output_name).size(here))
        if "reverse" in modes:
            pull = lambda both: make_vjp(self.f, both[0])[0](both[1])  # noqa: E731
            given = (self.theta, self.like_output(weights))
            yield _AutogradFunction(pull, given, f"reverse mode's derivatives of the {self.output_name}", primal_size)
        if "forward" in modes:
            push = lambda both: make_jvp(self.f, both[0])(both[1])[1]  # noqa: E731
            given = (self.theta, self.tree(tangents))
            yield _AutogradFunction(push, given, f"forward mode's derivatives of the {self.output_name}", primal_size)
