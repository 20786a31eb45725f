"""A gradient to be checked: the user's function, what it returned at θ, and what was measured near θ."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.bounds.tolerances import GRADIENT_ROUNDINGS
from harness.checks.functions.cost_noise import CostNear, measure_cost
from harness.checks.functions.cost_probe import Budget
from harness.checks.functions.gradient_rounding import Gradient, digits_lost, gradient_near, measure_rounding
from harness.checks.functions.parameters import TreeLayout
from harness.checks.functions.repeated_calls import FUN, FirstAnswer, Moved, call_elsewhere, moves_of_halves
from harness.checks.functions.user_function import UserFunction
from harness.facts.fact import Fact
from harness.progress import Progress
from harness.verdict.comparison import Answer
from harness.wording import what_it_is
from reference.arithmetics.roundoff import UNIT_ROUNDOFF

REFERENCE = "jax"


@dataclass(frozen=True, eq=False)
class GradientCase:
    """What is checked."""

    user: UserFunction
    gradient: Gradient  # the user's at any point, NaN outside the domain
    near: CostNear  # the cost as the user computes it
    fine: CostNear  # as it is differenced: in float64 where the function can do that
    unit: float  # u of the least precise of θ, cost and gradient
    reported: Answer  # what the user's function returned at θ, with error bounds for rounding
    scatter: np.ndarray  # (n,), how far the reported gradient jumps when θ moves by a rounding
    elsewhere: tuple[Moved, ...]  # what the function returned at other points

    @property
    def layout(self) -> TreeLayout:
        """How θ lies in a flat vector."""
        return self.user.layout


def measure(
    user: UserFunction,
    first: FirstAnswer,
    notes: tuple[Fact, ...],
    budget: Budget,
    progress: Progress,
    accuracy: float,
) -> GradientCase:
    """Measure the noise of the cost and the rounding of the gradient, and call the function elsewhere in between."""
    near, fine = measure_cost(user, first.cost, budget, progress)
    unit, gradient = max(user.unit, near.probes.unit), gradient_near(user)
    rounding = measure_rounding(near, user.layout, gradient, first.gradient, unit, first.cost, own=True)
    error = np.maximum(rounding.error, digits_lost(user, first.gradient)) if fine.is_extended else rounding.error
    moves = moves_of_halves(near, user.layout)
    facts, elsewhere = call_elsewhere(user, first, moves, max(GRADIENT_ROUNDINGS * unit, accuracy))
    numbers = first.cost, fine.noise_at_theta.near, first.gradient, error
    rules, precision = (*first.facts, *facts), precision_of(rounding.unit)
    reported = Answer(FUN, FUN, *numbers, precision, broken_rules=rules, notes=notes, accuracy=accuracy)
    return GradientCase(user, gradient, near, fine, unit, reported, rounding.jumps, elsewhere)


def precision_of(unit: float) -> str:
    """The name of a precision: "float64", or "float32" for all that is less precise."""
    return "float64" if unit <= UNIT_ROUNDOFF["float64"] else "float32"


def ask_reference(case: GradientCase, reference: Callable) -> Answer:
    """JAX's cost and gradient of a reference, with error bounds for rounding."""
    import jax
    import jax.numpy as jnp

    from reference.jax_settings import fixed_settings

    user = case.user
    if user.layout.modules:
        raise TypeError("a reference is traced by JAX, so theta must be a tree of arrays, and no module of PyTorch")
    with fixed_settings():
        program = jax.jit(
            jax.value_and_grad(
                lambda flat: _one_number(reference(user.layout.rebuild(flat, lambda _, values: jnp.asarray(values))))
            )
        )
        cost, gradient = program(jnp.asarray(user.theta))

        def source(flat: np.ndarray) -> np.ndarray:
            return np.asarray(program(jnp.asarray(flat))[1])

        cost, gradient = float(cost), np.asarray(gradient)
        rounding = measure_rounding(case.near, user.layout, source, gradient, case.unit, cost, own=False)
    cost_error = case.fine.noise_at_theta.near + GRADIENT_ROUNDINGS * case.unit * abs(cost)
    return Answer(REFERENCE, REFERENCE, cost, cost_error, gradient, rounding.error)


def _one_number(cost: Any) -> Any:
    """The cost that a reference answers, as a number of JAX."""
    import jax
    import jax.numpy as jnp

    refusal = TypeError(f"reference must answer one real number as its cost, not {what_it_is(cost)}")
    try:
        if not jax.tree_util.treedef_is_leaf(jax.tree.structure(cost)):  # a deep tree spoils JAX's count of its depth
            raise refusal
        number = jnp.asarray(cost)
    except Exception:  # noqa: BLE001  JAX refuses what is no number in many ways
        raise refusal from None
    if number.shape != () or not jnp.isrealobj(number):
        raise refusal
    return number if jnp.issubdtype(number.dtype, jnp.floating) else number.astype(float)
