"""Calls of programs, and functions with a derivative rule of their own.

Such a rule is not trusted: the function's primal runs. Where the primal iterates until it converges, its steps say
nothing of the derivative of what it converges to, and the call is differenced as a whole.
A solver that starts at the solution takes no step, and no argument has moved its result.
"""

from functools import partial
from typing import Any

import jax
import numpy as np

from reference.arithmetics.increments import Increment, constant, count_directions
from reference.traced.bounded_run import Unbounded
from reference.traced.equations import Equation, bind, is_floating, is_key, is_refused_by_draws, iterates, reads_bits
from reference.traced.primitive import EXACT, Primitive
from reference.traced.primitive_differences import differenced
from reference.traced.primitive_values import values_of
from reference.traced.program_replay import Applied, Inlined, float64_version, replayed_with_primals, widened
from reference.traced.rule_origins import function_of
from reference.traced.trusted_rules import by_its_rule


def _call(run: Any, equation: Equation, *operands: Increment) -> list[Increment]:
    return run(equation.primal, *operands)


def differences_whole(equation: Equation) -> bool:
    """Whether a call with its own rule is differenced as a whole: a loop, or bits, whose steps have no derivative."""
    return equation.primitive.has_own_rule and (iterates(equation.primal) or reads_bits(equation.primal))


def _custom_call(run: Any, equation: Equation, *operands: Increment) -> list[Increment]:
    program = equation.primal
    # a loop that draws and refuses; what is taken as a whole; a value alone; what simply runs
    if count_directions(*operands) and is_refused_by_draws(program):
        return _sampled(run, equation, *operands)
    if count_directions(*operands) and differences_whole(equation):
        return differenced(run, equation, *operands)
    # compiled, since NumPy's loops are slow
    if run.rounding is None and iterates(program) and float64_version(equation):
        return [constant(y) for y in values_of(equation, [x.value for x in operands])]
    return run(program, *operands)


def _sampled(run: Any, equation: Equation, *operands: Increment) -> list[Increment]:
    """Samples that are accepted or refused, whose derivative is implicit: their values along a path do not show it."""
    name, count = function_of(equation).name, count_directions(*operands)
    run.observed.unresolved = (
        f"{name} draws samples and refuses some, so that their derivative is implicit and their values do not show it; "
        f'trust=["{name}"] takes it as it is'
    )
    values = values_of(equation, [x.value for x in operands])
    floating = [not is_key(y) and is_floating(y) for y in values]
    return [
        Increment(y, np.full((count, *np.shape(y)), np.nan)) if floats else constant(y)
        for y, floats in zip(values, floating)
    ]


def _bound_of_custom_call(run: Any, equation: Equation, *operands: Increment) -> list[Increment]:
    if iterates(equation.primal):
        raise Unbounded(f"{equation.name} is taken as a whole")
    return run(equation.primal, *operands)


def _replay_call(equation: Equation, operands: list[Any], run: Any, inlined: Inlined) -> list[Any]:
    is_kept = equation.primitive.has_own_rule and not inlined(equation)
    return bind(equation, operands) if is_kept else run(equation.primal, *operands)


def _widen_custom_call(equation: Equation) -> Applied | None:
    return None if reads_bits(equation.primal) else replayed_with_primals(widened(equation.primal))


def _as_jax_has_it(run: Any, equation: Equation, *operands: Increment) -> list[Increment]:
    """Samples that are accepted or refused have an implicit derivative, which their values along a path do not show."""
    run.observed.taken_as_they_are.add(equation.name)
    return by_its_rule(run, equation, *operands)


def _widen_shard_map(equation: Equation) -> Applied | None:
    """The program within a shard_map, in float64 on the same shards."""
    (program,) = equation.programs
    return None if reads_bits(program) else _sharded(equation, replayed_with_primals(widened(program)))


def _replay_shard_map(equation: Equation, operands: list[Any], run: Any, inlined: Inlined) -> list[Any]:
    return _sharded(equation, partial(run, *equation.programs))(*operands)


def _sharded(equation: Equation, apply: Applied) -> Applied:
    """A shard_map that applies something else to the same shards."""
    how = equation.params
    axes = how.get("newly_manual_axes", how.get("manual_axes"))  # as JAX calls them now, and before
    kept = {key: how[key] for key in ("mesh", "in_specs", "check_vma")}

    def sharded(*operands: Any) -> list[Any]:
        return jax.shard_map(apply, axis_names=axes, out_specs=list(how["out_specs"]), **kept)(*operands)

    return sharded


CALLS = ("jit", "closed_call", "core_call", "call", "remat2", "composite", "eval_jaxpr", "custom_vmap_call")
"""Primitives that do nothing but run a program, by all releases of JAX; the last has a rule of its own for batches."""

CUSTOM_RULES = {"custom_jvp_call": "jvp_jaxpr_fun", "custom_vjp_call": "bwd", "call_hi_primitive": "_prim"}
"""Calls with a derivative rule of their own, and the parameter that holds the rule."""

PRIMITIVES: tuple[Primitive, ...] = (
    *(Primitive(n, _call, _call, EXACT, is_call=True, takes_keys=True, replay=_replay_call) for n in CALLS),
    *(
        Primitive(
            name, _custom_call, _bound_of_custom_call, EXACT, rule_parameter=parameter, takes_keys=True,
            replay=_replay_call, widen=_widen_custom_call,
        )
        for name, parameter in CUSTOM_RULES.items()
    ),
    Primitive("linear_call", _call, _call, EXACT, takes_keys=True),  # with a transpose of its own, which is on trial
    Primitive("random_gamma", _as_jax_has_it, rounding=EXACT, takes_keys=True),
    Primitive("shard_map", widen=_widen_shard_map, replay=_replay_shard_map),
)  # fmt: skip
