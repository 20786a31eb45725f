"""What is wrong with a function although its derivatives agree: values that change, and modes that are no linear maps.

A function has one value, however JAX runs it: traced again, compiled, eagerly, batched by `jax.vmap`, and while a mode
differentiates it. A `fwd` that returns another value than its function makes a training see another loss than the
validation does.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from harness.bounds.program_bound import largest_in_block
from harness.bounds.tolerances import TOLERANCES_LEFT
from harness.checks.traced.derivative_case import Case
from harness.checks.traced.derivative_comparison import Comparison
from harness.checks.traced.measured_point import make_mode
from harness.checks.traced.program_at_point import ProgramAtPoint
from harness.checks.traced.traced_programs import alike, calls_back, has_own_rules
from harness.facts.fact import Fact, Severity, note, wrong
from harness.facts.kinds import Kind
from reference.arithmetics.companion import first_line
from reference.traced.equations import Program, equations_in
from reference.traced.program_replay import batched_in_loops
from reference.traced.rule_origins import Place, maps_by_rules
from reference.traced.solver_tolerances import TIGHTER, largest_tolerance, tightened
from reference.traced.traced_function import Traced, eagerly, mapped, values_of

EAGERLY, BATCHED = "run eagerly", "batched by jax.vmap"


def find_changes_between_calls(comparison: Comparison) -> list[Fact]:
    """Whether the function, or a derivative rule, changes each time that it is traced or called, by its values."""
    case, point = comparison.case, comparison.point
    again = Traced(lambda *x: case.function(*x), *case.leaves).program  # a new function, which JAX has not yet traced
    is_alike = alike(case.traced.program, again)
    if not is_alike or calls_back(again):
        # two runs of one program differ where it calls back into Python; two traces differ where Python made them
        here, found = point.expected, case.at_point(case.program if is_alike else again).value()
        if not np.array_equal(here, found, equal_nan=True):
            is_called = is_alike or not np.array_equal(here, case.at_point().value(), equal_nan=True)
            how = "called" if is_called else "traced"
            return [wrong(Kind.NOT_REPEATABLE, "f", how=how, argument="arguments", change="state")]
    if is_alike and not has_own_rules(again):
        return []  # the rules of JAX and of libraries are those of the program
    # a rule of the user's may draw a number, or count its calls, each time that JAX traces it
    reverse = [m for m in comparison.look.plan.modes if m.name == "reverse" and "reverse" not in comparison.missing]
    if any(not m.computes_the_same(make_mode(point, "reverse"), point.combinations.weights) for m in reverse):
        return [wrong(Kind.NOT_REPEATABLE, "A derivative rule", how="traced", argument="arguments")]
    return []


def find_values_by_way_of_running(comparison: Comparison) -> list[Fact]:
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
        # of two values one is rounded worse, as log(exp(x)) is until XLA makes x of it: the interpreter decides
        is_known = np.isfinite(point.expected) & np.isfinite(point.error)
        contradicts = apart & is_known & ~(np.abs(values - point.expected) <= point.error)
        at = int(np.argmax(contradicts if contradicts.any() else apart))
        numbers = {"value": float(values[at]), "otherwise": float(compiled[at])}
        severity = Severity.WRONG if contradicts.any() else Severity.NOTE
        batched = lambda *leaves: [y[1] for y in jax.vmap(case.function)(*(jnp.stack([x, x]) for x in leaves))]  # noqa: E731
        rules = _wrong_batching_rules(comparison, batched) if how == BATCHED else []
        for by in [{name: fact.data[name] for name in ("rule", "place")} for fact in rules] or [{}]:
            data = {"how": how, **numbers, **by}
            facts.append(Fact(Kind.VALUE_DEPENDS_ON_RUN, severity, (case.outputs.label(at),), data))
    return facts + _wrong_batching_rules(comparison, case.function)


def _other_ways(comparison: Comparison) -> Iterator[tuple[str, Any]]:
    """The function's values when it is not compiled as a whole; or JAX's reason why it cannot be batched.

    Derivatives are compiled and batched where a mode computes several at once.
    """
    case = comparison.case
    yield EAGERLY, eagerly(case.function, *map(jax.device_put, case.leaves))
    try:
        stacks = [np.broadcast_to(x, (2, *np.shape(x))) for x in case.leaves]
        yield BATCHED, [y[1] for y in values_of(mapped(case.program.raw, 2).program, *stacks)]
    except Exception as reason:  # noqa: BLE001  a primitive without a rule for batches, or one of the user's own
        yield BATCHED, first_line(reason)


def find_unsound_modes(comparison: Comparison) -> list[Fact]:
    """Modes that are not linear, or report something else without `jax.vmap`, although their derivatives agree."""
    # a trusted rule need not be a derivative, and what a solver computes up to a tolerance is not linear beyond that
    is_up_to_tolerance = comparison.by_solvers or comparison.is_within_tolerance
    if comparison.obstacles.taken_as_they_are or comparison.case.trusted_rules or is_up_to_tolerance:
        return []
    reports = comparison.reports
    return [
        *(wrong(Kind.NOT_LINEAR, mode=r.name) for r in reports if not r.is_linear),
        *(wrong(Kind.CHANGED_BY_VMAP, mode=r.name) for r in reports if not r.is_same_batched),
    ]


def find_values_changed_by_modes(comparison: Comparison) -> list[Fact]:
    """Outputs that have another value while a mode differentiates the function."""
    case, found = comparison.case, []
    ways = {"reverse": lambda *x: jax.vjp(case.function, *x)[0], "forward": lambda *x: jax.jvp(case.function, x, x)[0]}
    for mode in (mode.name for mode in comparison.look.plan.modes if mode.name not in comparison.missing):
        with suppress(Exception):  # what cannot be traced reports no derivative either
            program = Traced(ways[mode], *case.leaves).program
            found += _another_value(comparison, program, f"differentiated in {mode} mode")
    return found


def _wrong_batching_rules(comparison: Comparison, function: Callable[..., Any]) -> list[Fact]:
    """Functions that have a rule for `jax.vmap` by which the value is another one than by a loop of single calls.

    The rule is a part of the program as JAX traces it, so that no other check sees it. One that calls a wrong rule is
    right as soon as that one is not used.
    """
    case = comparison.case
    if not any(map(maps_by_rules, equations_in(case.program))):
        return []

    def trace() -> Program:
        return Traced(lambda *x: function(*x), *case.leaves).program

    def by_loops(of: Collection[Any]) -> list[Fact] | None:
        with suppress(Exception), batched_in_loops(of):  # a function may use the axis that it is batched along
            return _another_value(comparison, trace(), "run with a loop in the place of jax.vmap", by_rules)
        return None

    def is_innocent(rule: Any) -> bool:
        inner = [other for other in met if other != rule and found[other] and rule in met[other]]
        return bool(inner) and _values_in(by_loops(inner)) == _values_in(by_loops([*inner, rule]))

    with batched_in_loops([]) as met:
        by_rules = trace()
    together = by_loops(met)
    if together == []:
        return []
    # each by itself; where it takes several, or each calls the other, they are all named
    found = {lines: by_loops([lines]) for lines in met}
    suspects = {lines: (alone if any(found.values()) else together) or [] for lines, alone in found.items()}
    return [
        replace(fact, data={**fact.data, "rule": lines[0][0], "place": str(Place(*lines[1]))})
        for lines in [lines for lines in suspects if not is_innocent(lines)] or suspects
        for fact in suspects[lines]
    ]


def _values_in(facts: Sequence[Fact] | None) -> list[tuple[Any, str]]:
    """Where values are others, and which, to as many digits as runs by other formulas share."""
    return [(fact.where, f"{fact.data['value']:.9g}") for fact in facts or []]


def _at_point(case: Case, program: Program) -> ProgramAtPoint:
    """A program of the function's values at its point, with all rules as they are."""
    return replace(case.at_point(program), trusted=lambda _: False, may_jump=False)


def _another_value(comparison: Comparison, program: Program, how: str, than: Program | None = None) -> list[Fact]:
    """The output, if any, of which another trace of the function computes another value, by far more than rounding."""
    case, point = comparison.case, comparison.point
    expected, than = (_at_point(case, than).value(), than) if than else (point.expected, case.program)
    another, largest = _at_point(case, program), largest_in_block(expected, case.outputs.blocks)
    off = np.abs(another.value() - expected)
    is_other = off > point.error + case.accuracy * largest
    if is_other.any():  # it may compute the value by another formula
        is_other &= off > another.error_of_values()[0]
    tolerance = max(map(largest_tolerance, [than, program]))
    if is_other.any() and tolerance:
        # a rule may solve all members until the last one is near enough: with finer tolerances, that is less apart
        finer, another_finer = (_at_point(case, tightened(each)).value() for each in (than, program))
        is_other &= np.abs(another_finer - finer) > TOLERANCES_LEFT * TIGHTER * tolerance * largest
    if not is_other.any():
        return []
    i = int(np.argmax(np.where(is_other, off, 0.0)))
    numbers = {"value": float(another.value()[i]), "otherwise": float(expected[i])}
    return [wrong(Kind.VALUE_DEPENDS_ON_RUN, case.outputs.label(i), how=how, **numbers)]
