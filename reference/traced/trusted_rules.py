"""Derivative rules that are taken as they are, and not checked: increments by JAX's own rule."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from reference.arithmetics.increments import STEP, Increment, constant, count_directions, full_change
from reference.traced.equations import Equation, host, kind, lifted
from reference.traced.primitive_differences import changing
from reference.traced.primitive_values import compiled, own_types
from reference.traced.program_replay import Applied, bound
from reference.traced.rule_origins import function_of


def by_its_rule(run: Any, equation: Equation, *operands: Increment) -> list[Increment]:
    """Values and increments by JAX's own derivative rule, for a rule that is to be taken as it is.

    A rule that is not linear in its cotangent, such as one that clips it, has no transpose: its increments are NaN.
    """
    values = own_types(equation, [x.value for x in operands])
    count, moving = count_directions(*operands), changing(operands)
    if not count or not moving:
        apply = compiled(equation, "as it is", lambda: bound(equation))
        return [constant(lifted(host(y))) for y in apply(*values)]
    push = compiled(equation, ("pushed", tuple(moving)), lambda: _Pushed(bound(equation), tuple(moving)))
    # over STEP, since the program's own types may hold no number as small as an increment
    tangents = [(full_change(operands[i], count) / STEP).astype(values[i].dtype) for i in moving]
    outputs, changes = push(values, tangents)
    if changes is None:
        run.observed.unresolved = (
            f"the rule of {function_of(equation).name} is not linear in its cotangent, so derivatives through it are "
            "unknown; check the parts before and after it separately"
        )
        # unknown along each direction that moves an operand, and zero along the others
        moves = np.array([any(np.any(t[k]) for t in tangents) for k in range(count)])
        unknown = np.where(moves, np.nan, 0.0)
        changes = [np.broadcast_to(unknown.reshape(count, *(1,) * np.ndim(y)), (count, *np.shape(y))) for y in outputs]
    wide = [lifted(host(y)) if kind(y.dtype) in ("f", "c") else host(y) for y in outputs]
    return [
        Increment(y, np.asarray(c).astype(y.dtype) * STEP) if kind(y.dtype) in ("f", "c") else constant(y)
        for y, c in zip(wide, changes)
    ]


@dataclass(frozen=True)
class _Pushed:
    """An equation's outputs and their JVPs along tangents of some operands; no JVPs where its rule is not linear.

    It equals that of an equation alike.
    """

    bound: Applied
    moving: tuple[int, ...]

    def __call__(self, values: Sequence[Any], tangents: Sequence[Any]) -> tuple[list[Any], list[Any] | None]:
        # a function of the operands that move: JAX would ask tangents of whole numbers to be of a type of their own
        def apply(*moved: Any) -> list[Any]:
            full = dict(enumerate(values)) | dict(zip(self.moving, moved))
            return self.bound(*full.values())

        primals = [values[i] for i in self.moving]
        try:
            return apply(*primals), jax.vmap(lambda *t: jax.jvp(apply, tuple(primals), t)[1])(*tangents)
        except TypeError:  # a custom_vjp has no forward mode: transpose its reverse mode instead
            outputs, pull_back = jax.vjp(apply, *primals)
            zero = [np.zeros(np.shape(y), y.dtype) for y in outputs]
            try:
                transpose = jax.linear_transpose(lambda *w: pull_back(list(w)), *zero)
                return outputs, jax.vmap(lambda *t: list(transpose(t)))(*tangents)
            except Exception:  # noqa: BLE001  each primitive that is not linear refuses in its own way
                return outputs, None
