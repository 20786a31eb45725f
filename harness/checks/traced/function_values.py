"""A function has one value, however JAX runs it: traced again, compiled, eagerly, and batched by `jax.vmap`."""

from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from harness.checks.traced.derivative_case import make_mode
from harness.checks.traced.derivative_comparison import Comparison
from harness.checks.traced.traced_programs import alike, has_rules
from harness.facts.fact import Fact, Severity, note, wrong
from harness.facts.kinds import Kind
from reference.arithmetics.companion import first_line
from reference.traced.eagerly import eagerly, values_of
from reference.traced.program import Traced

EAGERLY, BATCHED = "run eagerly", "batched by jax.vmap"


@np.errstate(all="ignore")
def find_changes(comparison: Comparison) -> list[Fact]:
    """Whether the function, or a derivative rule, changes each time that it is traced or called, by its values."""
    case, point = comparison.case, comparison.point
    again = Traced(lambda *x: case.function(*x), *case.leaves).program
    is_alike = alike(case.traced.program, again)
    if not is_alike:
        # two runs of one program differ where it calls back into Python; two traces differ where Python made them
        here, once_more, found = (case.at_point(program).value() for program in (case.program, case.program, again))
        if not np.array_equal(here, found, equal_nan=True):
            is_called = not np.array_equal(here, once_more, equal_nan=True)
            return [wrong(Kind.FUNCTION_NOT_REPEATABLE, when="called" if is_called else "traced")]
    if is_alike and not has_rules(again):
        return []  # the rules of JAX are those of the program
    another = make_mode(case, point, "reverse")
    modes = [
        mode for mode in comparison.look.plan.modes if mode.name == "reverse" and "reverse" not in comparison.missing
    ]
    weights = point.combinations.weights
    if any(not m.is_same_program(another) and not m.computes_the_same(another, weights) for m in modes):
        return [wrong(Kind.RULE_NOT_REPEATABLE)]
    return []


@np.errstate(all="ignore")
def find_other_values(comparison: Comparison) -> list[Fact]:
    """Outputs whose value depends on how the function is run: wrong where it contradicts the interpreter, too."""
    case, point, facts = comparison.case, comparison.point, []
    for how, found in _other_ways(comparison):
        if isinstance(found, str):
            facts.append(note(Kind.NOT_BATCHABLE, message=found))
            continue
        values, compiled = case.outputs.vector(found), point.computed
        is_close = np.abs(values - compiled) <= 2.0 * point.error
        apart = ~(is_close | (values == compiled) | np.isnan(compiled))
        if not apart.any():
            continue
        is_known = np.isfinite(point.expected) & np.isfinite(point.error)
        contradicts = apart & is_known & ~(np.abs(values - point.expected) <= point.error)
        at = int(np.argmax(contradicts if contradicts.any() else apart))
        numbers = {"value": float(values[at]), "otherwise": float(compiled[at])}
        severity = Severity.WRONG if contradicts.any() else Severity.NOTE
        facts.append(Fact(Kind.ANOTHER_VALUE, severity, (case.outputs.label(at),), {"how": how, **numbers}))
    return facts


def _other_ways(comparison: Comparison) -> Iterator[tuple[str, Any]]:
    """The function's values when it is not compiled as a whole; or JAX's reason why it cannot be batched.

    Derivatives are compiled and batched where a mode computes several at once.
    """
    case = comparison.case
    yield EAGERLY, eagerly(case.function, *map(jax.device_put, case.leaves))
    try:
        stacks = [np.stack([x, x]) for x in case.leaves]
        yield BATCHED, [y[1] for y in values_of(case.traced.mapped(2).program, *stacks)]
    except Exception as reason:  # noqa: BLE001  a primitive without a rule for batches, or one of the user's own
        yield BATCHED, first_line(reason)
