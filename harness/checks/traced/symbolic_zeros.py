"""Rules that see which tangents and cotangents are zero, and may take another way then.

A rule with ``symbolic_zeros=True`` is given a `SymbolicZero` for each argument that is not differentiated, and for each
output that is not used. Where all of f's arguments and outputs are differentiated together, none is zero, and what the
rule does for a zero never runs. ``jax.grad(f, argnums=1)`` runs it. So f is checked in each argument alone, and for
each output alone, too.
"""

from collections.abc import Iterator

import jax.numpy as jnp

from harness.checks.traced.derivative_case import Case, trace_case
from reference.traced.equations import equations_in
from reference.traced.primitives.calls import CUSTOM_RULES
from reference.traced.rule_origins import is_rule_of_library

MOST_PARTS = 8  # arguments and outputs that are looked at by themselves


def takes_symbolic_zeros(case: Case) -> bool:
    """Whether a rule of the user's own sees which tangents or cotangents are zero."""
    rules = [eq for eq in equations_in(case.program) if eq.name in CUSTOM_RULES and eq.params.get("symbolic_zeros")]
    return any(not is_rule_of_library(eq) and not case.trusted(eq) for eq in rules)


def parts_alone(case: Case) -> Iterator[tuple[str, Case]]:
    """The function of each argument alone, and each output alone, with the name of it; none where there is one."""
    names, outputs = case.inputs.names, case.outputs.names
    how = {"trusted": case.trusted, "seed": case.seed, "progress": case.progress, "accuracy": case.accuracy}
    if len(names) > 1:
        for i, name in enumerate(names[:MOST_PARTS]):
            # as JAX's arrays, for a rule under jax.vmap takes no others that it closes over
            before, after = (list(map(jnp.asarray, leaves)) for leaves in (case.leaves[:i], case.leaves[i + 1 :]))
            of_one = lambda leaf, before=before, after=after: case.function(*before, leaf, *after)  # noqa: E731
            yield name, trace_case(of_one, [case.leaves[i]], [name], lambda: outputs, **how)
    if len(outputs) > 1:
        for k, name in enumerate(outputs[:MOST_PARTS]):
            one_output = lambda *leaves, k=k: [case.function(*leaves)[k]]  # noqa: E731
            yield name, trace_case(one_output, case.leaves, names, lambda name=name: [name], **how)
