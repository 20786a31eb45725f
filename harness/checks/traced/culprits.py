"""Whose rule is it? Every custom rule, and then every primitive, checked by itself at the values that it met.

The check of an equation is the check of a function, with the same increments and error bounds. The rule with the
largest error is named with its file and line. Then the function runs with the rule's primal in its place: if every
derivative agrees then, the rule explains all.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax.numpy as jnp
import numpy as np

from harness.checks.traced.derivative_case import INCREMENTS, Case, trace_case
from harness.checks.traced.derivative_comparison import Comparison, compare_derivatives
from harness.checks.traced.derivative_subject import find_mistakes
from harness.checks.traced.equations_met import (
    Operands,
    count_closed_over,
    isolate,
    meet_equations,
    reaching_cotangents,
)
from harness.checks.traced.function_values import find_unsound_modes, find_values_changed_by_modes
from harness.checks.traced.jax_modes import MODES
from harness.checks.traced.traced_programs import equations_in
from harness.facts.fact import Fact, Severity
from harness.facts.kinds import Kind
from reference.arithmetics.increments import Increment
from reference.traced.equations import Equation, Program
from reference.traced.primitives.calls import CALLS, CUSTOM_RULES
from reference.traced.program_replay import replayed
from reference.traced.rule_origins import (
    NOWHERE,
    argument_names,
    carried_by,
    forward_of,
    function_of,
    is_jax,
    is_of_library,
    is_rule_of_jax,
    line_of,
    own_line_of,
    without_rules,
    written,
)

RULES_TRIED, PRIMITIVES_TRIED = 24, 60
"""No more rules and primitives are checked by themselves."""


@dataclass(frozen=True)
class Culprit:
    """An equation whose own derivative is wrong."""

    name: str  # of the function with the rule, or of the primitive
    # the functions that make up the rule, with file and line; or the user's line that calls a primitive, or a rule of
    # JAX's
    where: str
    # the largest error, as a share of the equation's largest derivative; zero where none was seen, and only the primal
    # in the place of the rule shows it
    off: float
    mistakes: tuple[Fact, ...] = ()  # which mistake it is, where that is known
    # whether every derivative agrees with the primal in the place of the rule; None where that was not tried
    explains: bool | None = None
    others: int = 0  # how many other rules have to go, too, for that
    in_float64: bool = False  # whether the error is that of the rule's evaluation in float64
    order: int = 1  # 2 where the rule is right at first order, and its own derivative is wrong
    of_jax: bool = False  # whether the rule comes with JAX

    def facts(self, kind: Kind = Kind.WRONG_RULE, severity: Severity = Severity.NOTE) -> tuple[Fact, ...]:
        """The rule as a fact, followed by its mistakes."""
        data = {name: value for name, value in vars(self).items() if name not in ("where", "mistakes")}
        return (Fact(kind, severity, (self.where,), data), *self.mistakes)


def _name(equation: Equation, off: float, mistakes: Sequence[Fact] = (), *, hands_on_value: bool = False) -> Culprit:
    """A culprit with the lines of its rule: of the forward half where the value that this hands on is wrong."""
    off, line, mistakes = off if np.isfinite(off) else np.inf, line_of(equation), tuple(mistakes)
    called = f"called by {line}" if line != NOWHERE else "of JAX"
    if equation.name not in CUSTOM_RULES:
        places = [*map(str, carried_by(equation)), called]
        return Culprit(equation.name, ", ".join(places).removeprefix("called by "), off, mistakes)
    name, places = written(equation)
    if is_rule_of_jax(equation):
        return Culprit(name or equation.name, called, off, mistakes, of_jax=True)
    forward = forward_of(equation)
    if hands_on_value and places and forward != NOWHERE and not is_jax(forward):
        places = [forward]
    where = ", ".join(dict.fromkeys(map(str, places)))
    if any(map(is_of_library, places)) and (own := own_line_of(equation)) != NOWHERE:
        where = f"{where}, called by {own}"  # a library's wrapper, around a rule that may be the user's
    return Culprit(name or equation.name, where, off, mistakes)


# -- the search -------------------------------------------------------------------------------------------------------


def find_culprits(
    comparison: Comparison,
    met: Operands,
    deadline: float,
    trace_first_order: Callable[[], Case] | None = None,
) -> list[Culprit]:
    """The equations whose derivatives are wrong, the worst first: custom rules, or else JAX's own.

    The program of a second-order check has most rules inlined. Then `trace_first_order` traces the function itself.
    """
    case, custom = comparison.case, [eq for eq in met if eq.name in CUSTOM_RULES][:RULES_TRIED]
    found = _find_wrong(case, met, custom, deadline)
    if found:
        culprit, equation = found[0]
        found[0] = replace(culprit, explains=_explains(comparison, equation)), equation
    elif trace_first_order:
        found = _of_second_order(trace_first_order(), deadline)
    if not found:
        others = [eq for eq in met if not any(inner.name in CUSTOM_RULES for inner in [eq, *_within(eq)])]
        found = _find_wrong(case, met, _distinct(others)[:PRIMITIVES_TRIED], deadline)
        # no rule is to blame for an infinite slope; for NaN in a loop, an operation of the loop is
        found = [(culprit, eq) for culprit, eq in found if np.isfinite(culprit.off)]
    # rules within what runs as a whole, such as a shard_map, meet no operands that are known here
    unmet = [eq for eq in equations_in(case.program) if eq.name in CUSTOM_RULES and eq not in met]
    return [culprit for culprit, _ in found] or _by_primals(comparison, custom + unmet[:RULES_TRIED], deadline)


def find_hidden_culprits(case: Case, met: Operands, deadline: float) -> list[tuple[Culprit, bool]]:
    """The user's own rules that are wrong although the whole does not show it; and whether f depends on what is wrong.

    It does where the rule is wrong along a tangent that reaches it, for a cotangent that does: another error cancels
    this one, or its share is too small to see. It does not where the program masks or stops what is wrong.
    """
    own = {eq: values for eq, values in met.items() if eq.name in CUSTOM_RULES and not is_rule_of_jax(eq)}
    own = {eq: values for eq, values in own.items() if not _is_all_of(case.program, eq)}
    found = _find_wrong(case, own, list(own)[:RULES_TRIED], deadline)
    return [(culprit, any(_is_wrong_in_use(case, eq, values) for values in met[eq])) for culprit, eq in found]


def _of_second_order(first: Case, deadline: float) -> list[tuple[Culprit, Equation]]:
    """The rules of a function whose own derivatives are wrong, and which of them are right at first order."""
    met = meet_equations(first).operands
    custom = [eq for eq in met if eq.name in CUSTOM_RULES][:RULES_TRIED]
    found = _find_wrong(first, met, custom, deadline, order=2)
    wrong = {eq for _, eq in _find_wrong(first, met, [eq for _, eq in found], deadline)}
    return [(culprit if eq in wrong else replace(culprit, order=2), eq) for culprit, eq in found]


def _find_wrong(
    case: Case, met: Operands, equations: Sequence[Equation], deadline: float, order: int = 1
) -> list[tuple[Culprit, Equation]]:
    """The equations that are wrong themselves, each once, the worst first; none is tried after the deadline.

    An equation that is right as soon as what it calls is right is no culprit.
    """
    found = []
    for done, equation in enumerate(equations):
        if time.perf_counter() > deadline:
            break
        case.progress("each rule alone", done, len(equations))
        tried = [
            culprit for values in met[equation] if (culprit := _check_alone(equation, values, order, case.accuracy))
        ]
        if tried:
            found.append((max(tried, key=lambda culprit: culprit.off), equation))
    wrong = [eq for _, eq in found]
    found = [(culprit, eq) for culprit, eq in found if not _is_innocent(case, eq, wrong, deadline, order)]
    found = list({(c.name, c.where): (c, eq) for c, eq in sorted(found, key=lambda pair: pair[0].off)}.values())
    # a wrong rule within makes the one around it wrong: the inner one comes first, and nothing else of JAX's is named
    around = {culprit: sum(_calls(eq, other) for _, other in found) for culprit, eq in found}
    found = [(culprit, eq) for culprit, eq in found if eq.name in CUSTOM_RULES or not around[culprit]]
    return sorted(found, key=lambda pair: (around[pair[0]], -pair[0].off))


def _by_primals(comparison: Comparison, equations: Sequence[Equation], deadline: float) -> list[Culprit]:
    """The rules that have to go for everything to agree, where no rule alone shows an error."""
    rules = list({function_of(eq): eq for eq in equations}.values())
    if not rules or not _explains(comparison, *rules):
        return []
    needed = []
    for rule in rules:
        if time.perf_counter() > deadline:
            break
        others = [other for other in rules if other is not rule]
        if not others or not _explains(comparison, *others):
            needed.append(rule)
    return [replace(_name(rule, 0.0), explains=True, others=len(needed) - 1) for rule in needed]


def _explains(comparison: Comparison, *rules: Equation) -> bool | None:
    """Whether every derivative agrees when the function runs with these rules' primals; None where JAX cannot."""
    case, places = comparison.case, set(map(function_of, rules))

    def is_dropped(equation: Equation) -> bool:
        return function_of(equation) in places or any(_calls(equation, rule) for rule in rules)

    def without(*leaves: Any) -> list[Any]:
        return replayed(case.program, is_dropped, *leaves)

    modes = [answer.name for answer in comparison.answers if answer.name in MODES] or ["reverse"]
    try:
        traced = trace_case(
            without, case.leaves, case.inputs.names, lambda: case.outputs.names, seed=case.seed, accuracy=case.accuracy
        )
        again = compare_derivatives(traced, modes)
    except Exception:  # noqa: BLE001  what JAX cannot differentiate without the rule stays unknown
        return None
    return None if again.missing else not again.disagreeing


def _is_innocent(case: Case, equation: Equation, wrong: Sequence[Equation], deadline: float, order: int) -> bool:
    """Whether a custom rule is right as soon as the wrong rules of other functions are not used.

    The function is traced anew. A rule stands in no program: JAX runs it whenever it differentiates.
    """
    function = function_of(equation)
    others = {function_of(eq) for eq in wrong if eq.name in CUSTOM_RULES} - {function}
    if not others or equation.name not in CUSTOM_RULES or time.perf_counter() > deadline:
        return False
    with without_rules(others):
        names = case.inputs.names, lambda: case.outputs.names
        traced = trace_case(
            lambda *leaves: case.function(*leaves), case.leaves, *names, trusted=case.trusted, seed=case.seed,
            accuracy=case.accuracy,
        )  # fmt: skip
        met = meet_equations(traced).operands
        same = [(eq, values) for eq, tried in met.items() if function_of(eq) == function for values in tried]
        return bool(same) and not any(_check_alone(eq, values, order, case.accuracy) for eq, values in same)


# -- one equation -----------------------------------------------------------------------------------------------------


def _check_alone(equation: Equation, met: Sequence[Increment], order: int = 1, accuracy: float = 0.0) -> Culprit | None:
    """The check of one equation at values that it met; None where it is right, or nothing can be decided.

    It is differentiated in what depends on f's arguments: no rule needs to be right for what is constant. An array that
    is given twice moves together, such as a matrix that goes to an equation and to its solver. A rule that takes
    precomputed state cannot be checked so, since its state would stay.
    """
    comparison = _compare_alone(equation, met, order, accuracy)
    return comparison and _convict(equation, comparison)


def _compare_alone(equation: Equation, met: Sequence[Increment], order: int, accuracy: float) -> Comparison | None:
    """The check of one equation at values that it met; None where it cannot run alone."""
    alone = isolate(equation, met)
    if not alone.moving or not alone.kept or equation.precomputed or equation.name == "stop_gradient":
        return None
    has_names = equation.name in CUSTOM_RULES and not is_rule_of_jax(equation)
    called = argument_names(equation) if has_names else list(map(str, range(len(alone.given))))
    names = [f"its argument {called[i - count_closed_over(equation)]}" for i in alone.moving]
    outputs = [f"its output {i}" for i in alone.kept]
    leaves = [alone.given[i] for i in alone.moving]
    return _compare(alone.apply, leaves, names, outputs, order=order, accuracy=accuracy)


def _compare(
    function: Callable[..., Any], leaves: Sequence[Any], names: Sequence[str], outputs: Sequence[str], **how: Any
) -> Comparison | None:
    """The check of a part of the program, in a mode that JAX has for it; None where the part cannot run alone."""
    try:
        case = trace_case(function, leaves, names, lambda: outputs, **how)
        comparison = compare_derivatives(case, ("reverse",))
        return compare_derivatives(case, ("forward",)) if comparison.missing else comparison
    except Exception:  # noqa: BLE001  an equation that cannot run alone shows nothing
        return None


def _is_wrong_in_use(case: Case, equation: Equation, met: Sequence[Increment]) -> bool:
    """Whether a rule is wrong where a tangent reached it and a cotangent reaches it, or along both together."""
    alone = isolate(equation, met)
    try:
        cotangents = reaching_cotangents(case, equation)
    except Exception:  # noqa: BLE001  what JAX cannot pull back through the rest of the program stays unknown
        return False
    largest = max(float(np.abs(c).max(initial=0.0)) for c in cotangents)
    size = max((float(np.abs(met[i].change).max()) for i in alone.moving), default=0.0)
    if not (largest and size):
        return False
    tangents = [(met[i].change[0] / size).astype(alone.given[i].dtype) for i in alone.moving]
    single = _compare_alone(equation, met, 1, case.accuracy)
    if single and single.point.combinations.each and any(pair.disagrees for pair in single.pairs):
        # each derivative was compared by itself: a wrong one counts where neither its tangent nor its cotangent is zero
        given, returned = single.case.inputs.vector(tangents), single.case.outputs.vector(cotangents)
        wrong = np.any([pair.at_odds for pair in single.pairs], axis=0).reshape(len(returned), len(given))
        return bool((wrong & (returned != 0.0)[:, None] & (given != 0.0)).any())

    def along(t: Any) -> list[Any]:
        outputs = alone.apply(*(alone.given[i] + t.astype(v.dtype) * v for i, v in zip(alone.moving, tangents)))
        used = [(y, c / largest) for y, c in zip(outputs, cotangents) if c.any()]  # an unused one may be infinite
        return [sum(jnp.sum(jnp.real(y * share.astype(y.dtype))) for y, share in used)]

    leaves = [np.zeros((), np.real(tangents[0]).dtype)]
    comparison = _compare(along, leaves, ["t"], ["output"], accuracy=case.accuracy)
    return comparison is not None and _convict(equation, comparison) is not None


def _convict(equation: Equation, comparison: Comparison) -> Culprit | None:
    """The culprit that the check of an equation shows; None where the equation is right."""
    if not comparison.disagreeing:
        if equation.name not in CUSTOM_RULES or is_rule_of_jax(equation):
            return None
        broken, values = find_unsound_modes(comparison), find_values_changed_by_modes(comparison)
        hidden = [replace(fact, severity=Severity.NOTE) for fact in [*broken, *values][:1]]
        return _name(equation, 0.0, hidden, hands_on_value=not broken) if hidden else None
    pair, look = comparison.disagreeing[0], comparison.look
    wrong = next(answer for answer in comparison.answers if answer.name in (pair.first, pair.second))
    right = next(answer for answer in comparison.answers if answer.name == INCREMENTS)
    with np.errstate(all="ignore"):
        sizes = np.abs(np.concatenate([right.gradient, wrong.gradient]))
        size = sizes[np.isfinite(sizes)].max(initial=np.finfo(float).tiny)
        off = float(np.max(pair.difference[pair.at_odds]) / size)
    is_directional = pair in comparison.directional.pairs
    of_inputs = {name: replaced.where for name, replaced in look.replaced.items()}
    masks = comparison.directional.replaced if is_directional else of_inputs
    in_float64 = bool((masks.get(wrong.name, np.zeros(1, bool)) & pair.at_odds).any())
    mistakes = () if is_directional else find_mistakes(look.coordinates, wrong, right, pair.at_odds)
    return replace(_name(equation, off, mistakes), in_float64=in_float64)


# -- equations and the calls between them -----------------------------------------------------------------------------


def _within(equation: Equation) -> list[Equation]:
    return [eq for program in equation.programs for eq in equations_in(program)]


def _is_all_of(program: Program, equation: Equation) -> bool:
    """Whether a program does nothing but run this equation on its arguments: then the check of one is the other's."""
    if len(program.equations) != 1 or program.constants:
        return False
    (only,) = program.equations
    if only.inputs != program.arguments or only.outputs != program.results:
        return False
    return only is equation or (only.name in CALLS and _is_all_of(only.primal, equation))


def _distinct(equations: Sequence[Equation]) -> list[Equation]:
    """One equation of each primitive, shapes, types and parameters."""
    kinds = {(eq.name, eq.shapes, eq.dtypes, str(eq.raw.params)): eq for eq in reversed(equations)}
    return list(kinds.values())[::-1]


def _calls(outer: Equation, inner: Equation) -> bool:
    """Whether an equation runs another one, or a function with a rule calls the other's function."""
    if inner.name not in CUSTOM_RULES:
        return inner in _within(outer)
    functions = [function_of(eq) for eq in _within(outer) if eq.name in CUSTOM_RULES]
    return outer is not inner and function_of(inner) in functions
