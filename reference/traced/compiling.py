"""How XLA is to compile a program that runs a few times: quickly, and a single long formula without fusing it."""

from collections.abc import Iterator, Sequence
from typing import Any

import jax.extend as jex

from reference.jax_settings import QUICKLY, compiler_options

UNFUSED = {"xla_disable_hlo_passes": "fusion", "xla_cpu_use_fusion_emitters": True}
"""Over `QUICKLY`: operation by operation, which the emitters do the fastest."""

MOST_WRITTEN_OUT = 2.0**64
"""XLA's fusion takes a time that grows without bound with this: of ten steps of Runge and Kutta, a minute."""

NOT_FUSED = (
    "dot_general", "conv_general_dilated", "sort", "gather", "cumsum", "reduce_sum", "reduce_max", "cholesky",
    "triangular_solve", "lu",
)  # fmt: skip
"""Primitives that XLA does not write out where their results are used."""

APART = ("while", "scan", "cond", "custom_linear_solve")
"""Primitives whose programs XLA compiles for themselves. Those of all others it writes in the place of the call."""


def options_for(closed: Any, quickly: bool = True) -> dict[str, Any]:
    """XLA's options for JAX's own program."""
    is_long = compiler_options().keys() >= QUICKLY.keys() and written_out(closed.jaxpr) > MOST_WRITTEN_OUT
    return compiler_options(quickly) | (UNFUSED if is_long else {})


def written_out(jaxpr: Any) -> float:
    """How many operations the longest formula has, where each is written out wherever it is used."""
    return max(_written_out(jaxpr, [0.0] * len(jaxpr.invars)))


def _written_out(jaxpr: Any, arguments: Sequence[float]) -> list[float]:
    """The same of each result, from that of the arguments; and last, the most of all that is in it."""
    sizes, most = dict(zip(jaxpr.invars, arguments)), 0.0

    def size(atom: Any) -> float:
        return 0.0 if isinstance(atom, jex.core.Literal) else sizes.get(atom, 0.0)

    for eqn in jaxpr.eqns:
        operands, within = list(map(size, eqn.invars)), list(_jaxprs_in(eqn))
        own = [1.0 + sum(operands)] * len(eqn.outvars)
        most = max([most, *own])
        if eqn.primitive.name in (*APART, *NOT_FUSED) or (within and len(within[0].invars) != len(operands)):
            own = [1.0] * len(own)
            most = max([most, *map(written_out, within)])
        elif within:
            *own, inside = _written_out(within[0], operands)
            most = max(most, inside)
        sizes.update(zip(eqn.outvars, own))
    return [*map(size, jaxpr.outvars), most]


def _jaxprs_in(eqn: Any) -> Iterator[Any]:
    for value in eqn.params.values():
        for one in value if isinstance(value, tuple) else (value,):
            if isinstance(one, (jex.core.ClosedJaxpr, jex.core.Jaxpr)):
                yield getattr(one, "jaxpr", one)
