"""How XLA is to compile a program that runs a few times: quickly, and a single long formula without fusing it."""

from typing import Any

import jax.extend as jex

from reference.switches import QUICKLY, compiler_options

UNFUSED = {"xla_disable_hlo_passes": "fusion", "xla_cpu_use_fusion_emitters": True}
"""Over `QUICKLY`: operation by operation, which the emitters do the fastest."""

MOST_WRITTEN_OUT = 2.0**64
"""XLA's fusion takes a time that grows without bound with this: of ten steps of Runge and Kutta, a minute."""

NOT_FUSED = (
    "dot_general", "conv_general_dilated", "while", "scan", "cond", "sort", "gather", "cumsum", "reduce_sum",
    "reduce_max", "cholesky", "triangular_solve", "lu", "custom_linear_solve", "custom_jvp_call", "custom_vjp_call",
    "jit", "pjit",
)  # fmt: skip
"""Primitives that XLA does not write out where their results are used."""


def options_for(closed: Any, quickly: bool = True) -> dict[str, Any]:
    """XLA's options for JAX's own program."""
    is_long = compiler_options().keys() >= QUICKLY.keys() and written_out(closed.jaxpr) > MOST_WRITTEN_OUT
    return compiler_options(quickly) | (UNFUSED if is_long else {})


def written_out(jaxpr: Any) -> float:
    """How many operations the longest formula has, where each is written out wherever it is used."""
    sizes: dict[Any, float] = {}
    for eqn in jaxpr.eqns:
        own = 1.0 + sum(sizes.get(v, 0.0) for v in eqn.invars if not isinstance(v, jex.core.Literal))
        sizes |= dict.fromkeys(eqn.outvars, 1.0 if eqn.primitive.name in NOT_FUSED else own)
    return max(sizes.values(), default=0.0)
