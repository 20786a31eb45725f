"""Anybody's function over flat float64 vectors, whichever way it answers; how noisy it is, `measuring` tells.

It answers (cost, gradient), or its cost alone where the gradient is a function apart or autograd's of PyTorch.
"""

import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np

from harness.checks.functions import torch_state
from harness.checks.functions.parameters import NAMED, Layout
from harness.checks.functions.tree_leaves import to_numpy, unit_roundoff
from harness.wording import first_few, what_it_is
from reference.arithmetics.roundoff import UNIT_ROUNDOFF

NONE = object()
"""In place of a gradient: the answer holds none."""

NO_GRADIENT = (
    "; answer (cost, gradient), or give the function that answers the gradient as gradient= "
    "(of a cost that JAX can trace, jax.value_and_grad makes both)"
)


def gradient_function(gradient: Any, jac: Any) -> Callable[..., Any] | None:
    """The function that answers the gradient, by our name or SciPy's; None where `fun` answers both."""
    if gradient is not None and jac is not None:
        raise TypeError("gradient and jac are two names of one argument; give one of them")
    if gradient is not None and not callable(gradient):
        raise TypeError(f"gradient must be callable as gradient(theta), not {type(gradient).__name__}")
    if jac is not None and jac is not True and not callable(jac):
        raise TypeError(f"jac must be callable as jac(theta), or True where fun answers both, not {jac!r}")
    return gradient if jac is None or jac is True else jac


def with_arguments(reference: Callable[..., Any] | None, args: tuple[Any, ...]) -> Callable[[Any], Any] | None:
    """The reference as a function of θ alone."""
    if reference is not None and not callable(reference):
        raise TypeError(f"reference must be callable as reference(theta) -> cost, not {type(reference).__name__}")
    return reference and (lambda given: reference(given, *args))


def jax_in_float64() -> Any:
    """A context in which JAX, where it was imported, computes in float64."""
    if "jax" not in sys.modules:
        return nullcontext()
    from reference.jax_settings import in_64_bits

    return in_64_bits()


class UsersFunction:
    """The user's function, over flat float64 vectors.

    Parameters
    ----------
    fun : callable
        ``fun(theta, *args)`` -> (cost, gradient); its cost alone, where there is a `gradient` or PyTorch keeps a graph.
    theta : array, number or tree
    gradient : callable or None
        ``gradient(theta, *args)`` -> gradient. Then the cost of a point never costs a gradient.
    args : tuple
        More arguments of both.
    has_aux : bool
        Whether more is answered: ((cost, aux), gradient) as by JAX, or (cost, gradient, aux); (cost, aux) and
        (gradient, aux) where they are apart.

    Attributes
    ----------
    layout : how θ lies in a flat vector
    unit : u of the least precise of θ, cost and gradient, as far as they have been seen
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
        self.fun, self._apart, self._args, self._has_aux = fun, gradient, args, has_aux
        self._unused: dict[str, None] = {}
        self.layout = Layout(theta)
        self._kept = self.layout.keep()
        self.theta = self.layout.flatten(theta, "theta")
        if self.layout.may_hold_counts:
            self.layout = Layout(theta, self._counts_told_from_parameters())
            self.theta = self.layout.flatten(theta, "theta")
        if not np.isfinite(self.theta).all():
            i = int(np.flatnonzero(~np.isfinite(self.theta))[0])
            raise ValueError(f"theta must be finite, but {self.layout.label(i)} is {self.theta[i]}")
        self.unit = self.layout.unit_roundoff

    @property
    def is_apart(self) -> bool:
        """Whether the gradient is a function of its own."""
        return self._apart is not None

    @property
    def precision(self) -> str:
        return "float64" if self.unit <= UNIT_ROUNDOFF["float64"] else "float32"

    @property
    def notes(self) -> tuple[str, ...]:
        """What is worth knowing of θ beside its gradient."""
        unused = f"autograd finds no path from the cost to {first_few(list(self._unused), NAMED)}"
        return (*self.layout.notes(), *([f"{unused}: the gradient there counts as 0"] if self._unused else []))

    def answer(self, flat: np.ndarray) -> tuple[float, np.ndarray, bool]:
        """Cost, gradient, and whether a call changed its argument."""
        (cost, gradient), changed = self._ask(self.fun, self.layout.cut(flat), self._cost_and_gradient)
        if gradient is None:
            gradient, changed_too = self._ask(self._apart, self.layout.cut(flat), self._gradient_apart)
            changed = changed or changed_too
        return cost, gradient, changed

    def cost(self, flat: np.ndarray) -> float:
        """The cost alone, without a gradient where the function can do without."""
        return self._ask(self.fun, self.layout.cut(flat), self._cost_alone, watched=False)[0]

    def cost_in_float64(self, flat: np.ndarray) -> float:
        """The cost alone, of a θ in float64 whatever the user's is; some functions raise on that."""
        unit = self.unit
        try:
            with jax_in_float64():
                return self._ask(self.fun, self.layout.cut_in_float64(flat), self._cost_alone, watched=False)[0]
        finally:
            self.unit = unit

    def gradient(self, flat: np.ndarray) -> np.ndarray:
        """The gradient alone, without the cost where it is a function apart."""
        if self._apart is None:
            return self.answer(flat)[1]
        return self._ask(self._apart, self.layout.cut(flat), self._gradient_apart, watched=False)[0]

    def _ask(self, function: Any, arrays: list[Any], read: Callable, watched: bool = True) -> tuple[Any, bool]:
        """What `read` makes of the answer at a θ of these arrays, and of the arrays; whether the call changed θ."""
        given = self.layout.join(arrays)
        before = self.layout.line_up(arrays) if watched else None
        self._kept.forget_gradients()
        try:
            answered = function(given, *self._args)
            changed = before is not None and self._is_changed(given, before)
            return read(answered, arrays), changed
        except SystemExit as ended:
            raise ValueError(f"fun called sys.exit({ended.code!r}) instead of answering") from ended
        finally:
            self._kept.put_back()

    def _is_changed(self, given: Any, before: np.ndarray) -> bool:
        try:
            return not np.array_equal(before, self.layout.flatten(given, "theta"))
        except (ValueError, TypeError):
            return True  # an array was replaced by one of another shape, or is gone

    def _cost_alone(self, answered: Any, _: Sequence[Any]) -> float:
        return self._number(self._split(answered)[0])

    def _cost_and_gradient(self, answered: Any, arrays: Sequence[Any]) -> tuple[float, np.ndarray | None]:
        """Cost and flat gradient; no gradient where that is a function apart."""
        cost, gradient = self._split(answered)
        if self._apart is not None:
            return self._number(cost), None
        raw = self._by_autograd(cost, arrays) if gradient is NONE else self.layout.raw_gradient(gradient)
        return self._number(cost), self._lined_up(raw)

    def _gradient_apart(self, answered: Any, _: Sequence[Any]) -> np.ndarray:
        return self._lined_up(self.layout.raw_gradient(self._without_aux(answered)))

    def _lined_up(self, raw: Sequence[Any]) -> np.ndarray:
        self._unused |= {name: None for name, array in zip(self.layout.shapes, raw) if array is None}
        self.unit = max([self.unit, *(unit_roundoff(array) for array in raw if array is not None)])
        return self.layout.line_up(raw)

    def _number(self, cost: Any) -> float:
        if isinstance(cost, (tuple, list)):
            raise TypeError(
                f"fun must answer one number as its cost, not {what_it_is(cost)}; "
                "if it answers ((cost, aux), gradient), give has_aux=True"
            )
        value = to_numpy(cost, "the cost that fun answers")
        if value.size != 1:
            raise ValueError(f"fun must answer one number as its cost, but answered shape {value.shape}")
        self.unit = max(self.unit, unit_roundoff(cost))
        return float(value.reshape(()))

    def _split(self, answered: Any) -> tuple[Any, Any]:
        """Cost and gradient as they were answered; NONE for a gradient that the answer does not hold."""
        what = what_it_is(answered)
        if not isinstance(answered, (tuple, list)):
            if answered is None or isinstance(answered, (str, dict)):
                raise TypeError(f"fun must answer a tuple (cost, gradient), not {what}{NO_GRADIENT}")
            return answered, NONE
        if self._apart is not None:
            if self._has_aux and len(answered) > 1:
                return answered[0], NONE
            raise TypeError(
                f"fun must answer its cost alone, for its gradient is given apart, not {what}; leave gradient= out "
                "if fun answers both, or give has_aux=True if it answers its cost and something else"
            )
        if not self._has_aux:
            if len(answered) == 2:
                return answered[0], answered[1]
            more = "; with has_aux=True, more may follow them" if len(answered) > 2 else NO_GRADIENT
            raise TypeError(f"fun must answer a tuple (cost, gradient), not {what}{more}")
        if len(answered) == 2 and isinstance(answered[0], (tuple, list)) and answered[0]:
            return answered[0][0], answered[1]
        if len(answered) == 2 and torch_state.has_graph(answered[0]):
            return answered[0], NONE
        if len(answered) > 2:
            return answered[0], answered[1]
        raise TypeError(
            f"with has_aux=True, fun must answer ((cost, aux), gradient) or (cost, gradient, aux), not {what}; "
            "leave has_aux out if fun answers (cost, gradient)"
        )

    def _without_aux(self, answered: Any) -> Any:
        """The gradient of an answer (gradient, aux); all of it, if only that is laid out like θ."""
        if self._has_aux and isinstance(answered, (tuple, list)) and len(answered) > 1:
            try:
                self.layout.raw_gradient(answered[0])
            except (ValueError, TypeError):
                return answered
            return answered[0]
        return answered

    def _by_autograd(self, cost: Any, arrays: Sequence[Any]) -> list[Any]:
        """PyTorch's gradient of a cost that was answered alone."""
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

    def _counts_told_from_parameters(self) -> Any:
        """The gradient at θ as it is: integers that have none are counts, and no parameters."""

        def gradient_of(answered: Any, _: Any) -> Any:
            return self._split(answered)[1] if self._apart is None else self._without_aux(answered)

        return self._ask(self._apart or self.fun, self.layout.cut(self.theta, keep_integers=True), gradient_of, False)[
            0
        ]
