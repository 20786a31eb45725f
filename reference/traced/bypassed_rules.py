"""Functions called without the rules that they have, for a while: by their primals, or batched by loops.

A rule stands in no program, and JAX runs it whenever it differentiates or batches. So the function is traced anew.
"""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any

import jax

from reference.jax_internals import Lines, source_of_function
from reference.traced.rule_origins import Place

_TRACED_ANEW = jax.make_user_context(None)
"""JAX keeps what it has traced and compiled apart for each value of this context."""


@contextmanager
def without_rules(places: Collection[Place]) -> Iterator[None]:
    """Call the functions with a derivative rule that are written in these places by their primals for a while.

    Functions are traced anew meanwhile, those under `jax.jit` too. Programs that were traced before keep the rules.
    """
    kept: dict[Any, Any] = {kind: kind.__call__ for kind in (jax.custom_jvp, jax.custom_vjp)}
    without = frozenset(place[1:] for place in places)

    def by_primal(call: Callable[..., Any]) -> Callable[..., Any]:
        def called(self: Any, *args: Any, **kwargs: Any) -> Any:
            skips_rule = source_of_function(self.fun)[1:] in without
            return self.fun(*args, **kwargs) if skips_rule else call(self, *args, **kwargs)

        return called

    for kind, call in kept.items():
        kind.__call__ = by_primal(call)
    try:
        with _TRACED_ANEW(without):
            yield
    finally:
        for kind, call in kept.items():
            kind.__call__ = call


BatchedFunction = tuple[Lines, Lines]  # a function of `jax.custom_batching`: where it is written, and where its rule is


@contextmanager
def batched_in_loops(of: Collection[BatchedFunction]) -> Iterator[dict[BatchedFunction, set[BatchedFunction]]]:
    """Batch some functions by loops over single calls for a while, and not by their own rules.

    Yielded are those that were called so far, each with the functions whose rules have called it.
    """
    kind, met, around = jax.custom_batching.custom_vmap, {}, []
    call: Any = kind.__call__

    def called(self: Any, *args: Any, **kwargs: Any) -> Any:
        lines = source_of_function(self.fun), source_of_function(self.vmap_rule)
        met.setdefault(lines, set()).update(around)
        if lines in of:
            return call(jax.custom_batching.sequential_vmap(self.fun), *args, **kwargs)

        def rule(*batched: Any) -> Any:
            around.append(lines)
            try:
                return self.vmap_rule(*batched)
            finally:
                around.pop()

        noting = kind(self.fun)
        noting.def_vmap(rule)
        return call(noting, *args, **kwargs)

    kind.__call__ = called
    try:
        with _TRACED_ANEW(("in loops", frozenset(of))):
            yield met
    finally:
        kind.__call__ = call
