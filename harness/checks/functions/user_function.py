"""A user's function over flat float64 vectors, whichever of several conventions it follows.

It returns (cost, gradient), or the cost alone where the gradient is another function's or PyTorch autograd's.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np

from harness.checks.functions import torch_state
from harness.checks.functions.parameters import TreeLayout
from harness.checks.functions.tree_leaves import like, to_numpy, unit_roundoff, with_integers
from harness.facts.fact import Fact, note
from harness.facts.kinds import Kind
from harness.wording import what_it_is
from reference.user_input import flag, given

MISSING = object()  # stands for the gradient of an answer that holds none

NO_GRADIENT = (
    "; answer (cost, gradient), or give the function that answers the gradient as gradient= "
    "(of a cost that JAX can trace, jax.value_and_grad makes both)"
)


def gradient_function(gradient: Any, jac: Any) -> Callable[..., Any] | None:
    """The function that returns the gradient, by our name or SciPy's; None where `fun` returns both.

    Raises TypeError if both are given, or if one is no function.
    """
    if gradient is not None and jac is not None:
        raise TypeError("gradient and jac are two names of one argument; give one of them")
    if gradient is not None and not callable(gradient):
        raise TypeError(f"gradient must be callable as gradient(theta), not {type(gradient).__name__}")
    if jac is not None and jac is not True and not callable(jac):
        raise TypeError(f"jac must be callable as jac(theta), or True where fun answers both, not {given(jac)}")
    return gradient if jac is None or jac is True else jac


def with_arguments(reference: Callable[..., Any] | None, args: tuple[Any, ...]) -> Callable[[Any], Any] | None:
    """The reference as a function of θ alone."""
    if reference is not None and not callable(reference):
        raise TypeError(f"reference must be callable as reference(theta) -> cost, not {type(reference).__name__}")
    return reference and (lambda given: reference(given, *args))


def jax_in_float64() -> Any:
    """A context in which JAX, if it was imported, computes in float64."""
    if "jax" not in sys.modules:
        return nullcontext()
    from reference.jax_settings import in_64_bits

    return in_64_bits()


class UserFunction:
    """A user's function over flat float64 vectors.

    The arguments are those of `check_gradient`. `layout` is how θ lies in a flat vector, and `theta` that vector, (n,).
    """

    def __init__(
        self,
        fun: Callable[..., Any],
        theta: Any,
        gradient: Callable[..., Any] | None = None,
        args: tuple[Any, ...] = (),
        has_aux: bool = False,
    ):
        if not callable(fun):
            raise TypeError(f"fun must be callable as fun(theta) -> (cost, gradient), not {type(fun).__name__}")
        self._fun, self._gradient, self._args, self._has_aux = fun, gradient, args, flag("has_aux", has_aux)
        self._without_path: dict[str, None] = {}
        self.layout = TreeLayout(theta)
        self._kept = self.layout.keep()
        self.theta = self.layout.flatten(theta, "theta")
        # [0.3, 2] may be two parameters, or one and a step count: a gradient has no derivative of a count
        if self.layout.may_hold_counts:
            self.layout = TreeLayout(theta, self._gradient_of_integers())
            self.theta = self.layout.flatten(theta, "theta")
        if not np.isfinite(self.theta).all():
            i = int(np.flatnonzero(~np.isfinite(self.theta))[0])
            raise ValueError(f"theta must be finite, but {self.layout.label(i)} is {self.theta[i]}")
        self._units = [self.layout.unit_roundoff]

    @property
    def has_gradient_function(self) -> bool:
        """Whether the gradient is a function of its own."""
        return self._gradient is not None

    @property
    def unit(self) -> float:
        """The unit roundoff of the least precise of θ, cost and gradient, as far as they have been seen."""
        return self._units[-1]

    def see(self, unit: float) -> None:
        """Note the precision of a number."""
        if unit > self.unit:
            self._units.append(unit)

    def notes(self) -> tuple[Fact, ...]:
        """Facts about θ: what is held fixed, what stands in it twice, and what has no path from the cost."""
        unused = [note(Kind.NO_PATH, *self._without_path)] if self._without_path else []
        return (*self.layout.notes(), *unused)

    def answer(self, flat: np.ndarray) -> tuple[float, np.ndarray, bool]:
        """Cost, gradient, and whether a call changed its argument."""
        (cost, gradient), changed = self._call(self._fun, self.layout.cut(flat), self._read_both)
        if gradient is None:
            gradient, changed_too = self._call(self._gradient, self.layout.cut(flat), self._read_gradient)
            changed = changed or changed_too
        return cost, gradient, changed

    def cost(self, flat: np.ndarray, make: Callable[[Any, Any], Any] = like) -> float:
        """The cost alone, without a gradient where the function can do without."""
        return self._call(self._fun, self.layout.cut(flat, make), self._read_cost, watched=False)[0]

    def cost_made(self, make: Callable[[Any, Any], Any], flat: np.ndarray) -> float:
        """The cost alone, of a θ that `make` gives another precision."""
        with self.in_another_precision():
            return self.cost(flat, make)

    def gradient(self, flat: np.ndarray, make: Callable[[Any, Any], Any] = like) -> np.ndarray:
        """The gradient alone, without the cost where it has a function of its own."""
        arrays = self.layout.cut(flat, make)
        if self._gradient is None:
            return self._call(self._fun, arrays, self._read_both, watched=False)[0][1]
        return self._call(self._gradient, arrays, self._read_gradient, watched=False)[0]

    @contextmanager
    def in_another_precision(self) -> Iterator[None]:
        """A context for a θ of another precision than the user's, which is not noted; some functions raise on that."""
        known = len(self._units)
        try:
            with jax_in_float64():
                yield
        finally:
            del self._units[known:]

    def _call(self, function: Any, arrays: list[Any], read: Callable, watched: bool = True) -> tuple[Any, bool]:
        """``read(answer, arrays)`` for the answer at a θ of these arrays, and whether the call changed θ."""
        # a fresh θ for every call, so that a function that changes its argument spoils no other call
        given = self.layout.join(arrays)
        before = self.layout.line_up(arrays) if watched else None
        self._kept.forget_gradients()
        try:
            answered = function(given, *self._args)
            changed = before is not None and self._is_changed(given, before)
            return read(answered, arrays), changed
        finally:
            self._kept.put_back()

    def _is_changed(self, given: Any, before: np.ndarray) -> bool:
        try:
            return not np.array_equal(before, self.layout.flatten(given, "theta"))
        except (ValueError, TypeError):
            return True  # an array was replaced by one of another shape, or is gone

    # -- reading what a function returned ------------------------------------------------------------------------------

    def _read_cost(self, answered: Any, _: Sequence[Any]) -> float:
        return self._number(self._split(answered)[0])

    def _read_both(self, answered: Any, arrays: Sequence[Any]) -> tuple[float, np.ndarray | None]:
        """Cost and flat gradient; no gradient where that has a function of its own."""
        cost, gradient = self._split(answered)
        if self._gradient is not None:
            return self._number(cost), None
        # (cost, gradient), or a cost of PyTorch with its graph
        raw = self._by_autograd(cost, arrays) if gradient is MISSING else self.layout.raw_gradient(gradient)
        return self._number(cost), self._lined_up(raw)

    def _read_gradient(self, answered: Any, _: Sequence[Any]) -> np.ndarray:
        return self._lined_up(self.layout.raw_gradient(self._without_aux(answered)))

    def _lined_up(self, raw: Sequence[Any]) -> np.ndarray:
        self._without_path |= {name: None for name, array in zip(self.layout.shapes, raw) if array is None}
        for array in raw:
            if array is not None:
                self.see(unit_roundoff(array))
        return self.layout.line_up(raw)

    def _number(self, cost: Any) -> float:
        if isinstance(cost, (tuple, list)):
            raise TypeError(
                f"fun must answer one number as its cost, not {what_it_is(cost)}; "
                "if it answers ((cost, aux), gradient), give has_aux=True"
            )
        value = to_numpy(cost, "the cost that fun returns")
        if value.size != 1:
            raise ValueError(f"fun must answer one number as its cost, but answered shape {value.shape}")
        self.see(unit_roundoff(cost))
        return float(value.reshape(()))

    def _split(self, answered: Any) -> tuple[Any, Any]:
        """Cost and gradient as they were returned; MISSING for a gradient that the answer does not hold."""
        what = what_it_is(answered)
        if not isinstance(answered, (tuple, list)):
            if answered is None or isinstance(answered, (str, dict)):
                raise TypeError(f"fun must answer a tuple (cost, gradient), not {what}{NO_GRADIENT}")
            return answered, MISSING
        if self._gradient is not None:
            if self._has_aux and len(answered) > 1:
                return answered[0], MISSING
            raise TypeError(
                f"fun must answer its cost alone, for its gradient is given apart, not {what}; leave gradient= out "
                "if fun answers both, or give has_aux=True if it answers its cost and something else"
            )
        if not self._has_aux:
            if len(answered) == 2:
                return answered[0], answered[1]
            more = "; with has_aux=True, more may follow them" if len(answered) > 2 else NO_GRADIENT
            raise TypeError(f"fun must answer a tuple (cost, gradient), not {what}{more}")
        if len(answered) == 2 and isinstance(answered[0], (tuple, list)) and answered[0]:  # ((cost, aux), gradient)
            return answered[0][0], answered[1]
        if len(answered) == 2 and torch_state.has_graph(answered[0]):  # (cost, aux), for autograd
            return answered[0], MISSING
        if len(answered) > 2:  # (cost, gradient, aux)
            return answered[0], answered[1]
        raise TypeError(
            f"with has_aux=True, fun must answer ((cost, aux), gradient) or (cost, gradient, aux), not {what}; "
            "leave has_aux out if fun answers (cost, gradient)"
        )

    def _without_aux(self, answered: Any) -> Any:
        """The gradient of an answer (gradient, aux); the whole answer, if only that is laid out like θ."""
        if self._has_aux and isinstance(answered, (tuple, list)) and len(answered) > 1:
            try:
                self.layout.raw_gradient(answered[0])
            except (ValueError, TypeError):
                return answered
            return answered[0]
        return answered

    def _by_autograd(self, cost: Any, arrays: Sequence[Any]) -> list[Any]:
        """PyTorch's gradient of a cost that was returned alone."""
        tracked = all(torch_state.has_graph(array) for array in arrays)
        if tracked and (torch_state.has_graph(cost) or any(array.grad is not None for array in arrays)):
            found = torch_state.gradient_by_autograd(cost, arrays)
            if any(gradient is not None for gradient in found):
                return found
        if torch_state.is_tensor(cost) and not tracked:
            raise ValueError(
                "fun answered a tensor and no gradient, and theta does not require one: "
                "give theta with requires_grad=True"
            )
        if tracked:
            raise ValueError(
                "fun answered no gradient, and autograd finds no path from its cost to theta: let fun compute with "
                "the theta that it is given, without .detach(), .data, .item() and torch.no_grad()"
            )
        raise TypeError(f"fun must answer a tuple (cost, gradient), not {what_it_is(cost)} alone{NO_GRADIENT}")

    def _gradient_of_integers(self) -> Any:
        """The gradient as it is at θ with its integers: those that have no gradient are counts, and no parameters."""

        def read(answered: Any, _: Any) -> Any:
            return self._split(answered)[1] if self._gradient is None else self._without_aux(answered)

        arrays = self.layout.cut(self.theta, with_integers)
        return self._call(self._gradient or self._fun, arrays, read, watched=False)[0]
