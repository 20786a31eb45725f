"""Whose rule is it? Every custom rule, and then every primitive, checked by itself at the operands that it met.

The rule with the largest error is named with its file and line. Then f runs with the rule's primal in its place: if
every derivative agrees then, the rule explains all.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from harness.checks.traced.derivative_case import Case, trace_case
from harness.checks.traced.derivative_comparison import Comparison, compare_derivatives
from harness.checks.traced.equations_met import Met, Operands, find_nan_origin, meet_equations
from harness.checks.traced.function_values import find_unsound_modes, find_values_changed_by_modes
from harness.checks.traced.jax_modes import MODES
from harness.checks.traced.lone_equations import Culprit, check_alone, convict_of_mode, is_wrong_in_use, name_culprit
from harness.checks.traced.precomputed_state import rules_given_state_within
from harness.facts.fact import Fact, Severity
from harness.facts.kinds import Kind
from reference.traced.equations import Equation, Program, equations_in
from reference.traced.primitives.calls import CALLS, CUSTOM_RULES
from reference.traced.program_replay import replayed, without_rules
from reference.traced.rule_origins import carries_rule, function_of, is_rule_of_library

MOST_NAMED = 4  # rules that a printed report names, of many that are wrong; `details["culprits"]` has all of them

RULES_TRIED, PRIMITIVES_TRIED = 24, 60
"""No more rules and primitives are checked by themselves: each is traced and compiled as a function of its own."""


class Blame(NamedTuple):
    """Which rules are wrong, and what that means for the verdict."""

    facts: tuple[Fact, ...] = ()  # wrong by themselves: they decide the verdict where all derivatives agree
    culprits: tuple[Fact, ...] = ()  # part of the explanation of each difference that was found
    origins: tuple[Fact, ...] = ()  # the operations that make NaN of finite numbers
    details: dict[str, Any] = {}  # noqa: RUF012  never written to
    explains_lost_digits: bool = False  # whether a rule that is wrong alone may be what loses digits of the whole


def find_blame(comparison: Comparison, met: Met, deadline: float, trace: Callable[..., Case]) -> Blame:
    """Whose rule it is where something is wrong; else which rules are wrong although the whole does not show it."""
    case, unsound = comparison.case, []
    if not comparison.disagreeing:
        if case.order == 1 and met.has_rules:  # JAX's own rules are linear, and keep the value
            unsound = find_unsound_modes(comparison) + find_values_changed_by_modes(comparison)
        if not unsound:
            return _blame_hidden(comparison, find_hidden_culprits(case, met.operands, deadline))
    culprits = find_culprits(comparison, met.operands, deadline, trace)
    by = {"rule": culprits[0].name, "place": culprits[0].where} if culprits else {}
    # they are part of every explanation, the first with its mistakes; all of them are data
    named = [fact for i, c in enumerate(culprits[:MOST_NAMED]) for fact in (c.facts() if i == 0 else c.facts()[:1])]
    return Blame(
        tuple(replace(fact, data={**fact.data, **by}) for fact in unsound),
        tuple(named),
        # 0 · inf is NaN although every rule is right: then the operation that made the infinity explains it
        () if culprits else _nan_origin(comparison),
        {"culprits": [vars(culprit) for culprit in culprits]},
    )


def _blame_hidden(comparison: Comparison, hidden: Sequence[tuple[Culprit, bool | None]]) -> Blame:
    """The blame for rules that are wrong although the whole agrees, each with whether f uses what is wrong."""
    # where a solver's tolerance had to be allowed for in the whole, it may be what a rule alone is off by
    in_use = Severity.DOUBT if comparison.is_within_tolerance else Severity.WRONG
    by_use = {True: in_use, None: Severity.DOUBT, False: Severity.NOTE}
    severities = [by_use[is_in_use] for _, is_in_use in hidden]
    facts = tuple(fact for (c, _), s in zip(hidden, severities) for fact in c.facts(Kind.HIDDEN_RULE, s))
    details = {"culprits": [vars(culprit) for culprit, is_in_use in hidden if is_in_use is not False]}
    return Blame(facts, details=details if details["culprits"] else {}, explains_lost_digits=bool(hidden))


def _nan_origin(comparison: Comparison) -> tuple[Fact, ...]:
    """Where NaN begins in the modes that disagree and report it."""
    names = {name for pair in comparison.pairs if pair.disagrees for name in (pair.first, pair.second)}
    names &= {answer.name for answer in comparison.answers if not np.isfinite(answer.gradient).all()}
    modes = [mode for mode in comparison.look.plan.modes if mode.name in names]
    return find_nan_origin(comparison.case.program, modes)


def find_culprits(
    comparison: Comparison, met: Operands, deadline: float, trace_first_order: Callable[[], Case]
) -> list[Culprit]:
    """The equations whose derivatives are wrong, the worst first: custom rules, or else JAX's own.

    The program of a second-order check is JAX's gradient, in which most rules are inlined. Then `trace_first_order`
    traces the function itself.
    """
    case = comparison.case
    rules = _untrusted_rules(case)
    met = _meet_all(case, met, rules)
    custom = _rules_of(met)
    whole = next((eq for eq in custom if case.is_large and _is_all_of(case.program, eq)), None)
    # a rule of very many inputs that is all of f has been checked already: again would cost as much
    culprit = whole and case.order == 1 and convict_of_mode(whole, comparison)
    if whole and culprit:
        found = _explained(comparison, [(culprit, whole)])
    else:
        found = _find_wrong_rules(comparison, met, custom, deadline)
    if not found and case.order == 2:
        found = _of_second_order(trace_first_order(), deadline)
    if not found:
        found = _find_wrong_primitives(case, met, deadline)
    # rules within what runs as a whole, such as a shard_map, meet no operands that are known here
    unmet = [eq for eq in rules if eq.name in CUSTOM_RULES and eq not in met]
    return [culprit for culprit, _ in found] or _by_primals(comparison, custom + unmet[:RULES_TRIED], deadline)


def find_hidden_culprits(case: Case, met: Operands, deadline: float) -> list[tuple[Culprit, bool | None]]:
    """The user's own rules that are wrong although the whole does not show it; and whether f depends on that, if known.

    It does where the rule is wrong along a tangent that reaches it, for a cotangent that does: another error cancels
    this one, or its share is too small to see. It does not where the program masks or stops what is wrong. A library's
    rules are taken as parts of it: to try a solver's alone would cost several times the check of the whole.
    """
    given_state = rules_given_state_within(case.program)  # with its state held, a right rule would look wrong alone
    custom = [eq for eq in _untrusted_rules(case) if eq.name in CUSTOM_RULES and not is_rule_of_library(eq)]
    rules = [eq for eq in custom if eq not in given_state]
    met = _meet_all(case, met, rules)
    # if f is nothing but this rule, the whole has been checked, and so has the rule
    own = {eq: values for eq, values in met.items() if eq in rules and not _is_all_of(case.program, eq)}
    found = _find_wrong(case, own, list(own)[:RULES_TRIED], deadline)
    return [(culprit, _is_in_use(case, eq, own)) for culprit, eq in found]


def _untrusted_rules(case: Case) -> list[Equation]:
    return [eq for eq in equations_in(case.program) if carries_rule(eq) and not case.trusted(eq)]


def _meet_all(case: Case, met: Operands, rules: Sequence[Equation]) -> Operands:
    """What was met; where that lacks some rules, since a library's rule around them ran as a whole, theirs as well."""
    return met if all(rule in met for rule in rules) else meet_equations(case, goes_within=True).operands


def _is_in_use(case: Case, equation: Equation, met: Operands) -> bool | None:
    """Whether f depends on what is wrong in an equation, at any operands that it met; None where that is unknown."""
    found = [is_wrong_in_use(case, equation, values) for values in met[equation]]
    return any(found) or (None if None in found else False)


def _find_wrong_rules(
    comparison: Comparison, met: Operands, custom: Sequence[Equation], deadline: float
) -> list[tuple[Culprit, Equation]]:
    """The custom rules that are wrong; a library's only where no rule of the user's explains every difference.

    To try a library's rules costs several times the check of the whole.
    """
    own = [eq for eq in custom if not is_rule_of_library(eq)]
    found: list[tuple[Culprit, Equation]] = []
    for rules in (own, [eq for eq in custom if eq not in own]):
        if rules and not (found and found[0][0].explains):
            found = _find_wrong(comparison.case, met, rules, deadline, known=found)
            if len(found) > 1:
                # a solver's rule that returns zero for its counts and residuals is off alone, and explains nothing
                in_use = [pair for pair in found if _is_in_use(comparison.case, pair[1], met) is not False]
                found = in_use or found
            found = _explained(comparison, found)
    return found


def _explained(comparison: Comparison, found: Sequence[tuple[Culprit, Equation]]) -> list[tuple[Culprit, Equation]]:
    """The same, the first with whether it explains every difference."""
    return [(replace(c, explains=_explains(comparison, eq)), eq) for c, eq in found[:1]] + list(found[1:])


def _of_second_order(first: Case, deadline: float) -> list[tuple[Culprit, Equation]]:
    """The rules of a function whose own derivatives are wrong, and which of them are right at first order."""
    met = meet_equations(first, goes_within=True).operands
    custom = _rules_of(met)
    found = _find_wrong(first, met, custom, deadline, order=2)
    wrong = {eq for _, eq in _find_wrong(first, met, [eq for _, eq in found], deadline)}
    return [(culprit if eq in wrong else replace(culprit, order=2), eq) for culprit, eq in found]


def _find_wrong_primitives(case: Case, met: Operands, deadline: float) -> list[tuple[Culprit, Equation]]:
    """The primitives of JAX whose own rules are wrong, the worst first."""
    plain = [eq for eq in met if not any(inner.name in CUSTOM_RULES for inner in [eq, *_within(eq)])]
    # one of each primitive, shapes, types and parameters
    distinct = {(eq.name, eq.shapes, eq.dtypes, str(eq.raw.params)): eq for eq in reversed(plain)}
    found = _find_wrong(case, met, list(distinct.values())[::-1][:PRIMITIVES_TRIED], deadline)
    # √x at 0 has an infinite slope, and JAX's rule for it is right; `find_nan_origin` says where NaN begins
    return [(culprit, eq) for culprit, eq in found if np.isfinite(culprit.off)]


def _find_wrong(
    case: Case,
    met: Operands,
    equations: Sequence[Equation],
    deadline: float,
    order: int = 1,
    known: Sequence[tuple[Culprit, Equation]] = (),
) -> list[tuple[Culprit, Equation]]:
    """The equations that are wrong themselves, each once, the worst first; none is tried after the deadline.

    An equation that is right as soon as what it calls is right is no culprit. `known` are others that are wrong.
    """
    found = list(known)
    for done, equation in enumerate(equations):
        if time.perf_counter() > deadline:
            break
        case.progress("each rule alone", done, len(equations))
        # an equation in a loop has met several operands: it is as wrong as at the worst of them
        tried = [
            culprit for values in met[equation] if (culprit := check_alone(equation, values, order, case.accuracy))
        ]
        if tried:
            found.append((max(tried, key=lambda culprit: culprit.off), equation))
    wrong = [eq for _, eq in found]
    return _inner_first([(culprit, eq) for culprit, eq in found if not _is_innocent(case, eq, wrong, deadline, order)])


def _inner_first(found: Sequence[tuple[Culprit, Equation]]) -> list[tuple[Culprit, Equation]]:
    """Each rule once, at its worst: those within others first, then the user's before a library's, and the worst.

    A wrong rule within a scan makes the scan's own derivative wrong, so that a primitive of JAX's around a wrong one is
    no culprit. A custom rule around one may be wrong by itself, too, and is named after it. A library's rule may be off
    alone by far more, in what it returns beside a solution, and f not depend on that.
    """
    by_size = sorted(found, key=lambda pair: pair[0].off)
    once = list({(culprit.name, culprit.where): (culprit, eq) for culprit, eq in by_size}.values())
    around = {culprit: sum(_calls(eq, other) for _, other in once) for culprit, eq in once}
    kept = [(culprit, eq) for culprit, eq in once if eq.name in CUSTOM_RULES or not around[culprit]]
    return sorted(kept, key=lambda pair: (around[pair[0]], is_rule_of_library(pair[1]), -pair[0].off))


def _by_primals(comparison: Comparison, equations: Sequence[Equation], deadline: float) -> list[Culprit]:
    """The rules that have to go for everything to agree, where no rule alone shows an error.

    A rule may be off by too little to be seen alone, such as 3e-5 in float32, and by more in the whole, which amplifies
    it. A rule is needed if all others going does not help.
    """
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
    return [replace(name_culprit(rule, 0.0), explains=True, others=len(needed) - 1) for rule in needed]


def _explains(comparison: Comparison, *rules: Equation) -> bool | None:
    """Whether every derivative agrees when the function runs with these rules' primals; None where that is unknown.

    The increments of a primal that climbs by jumps are the slopes of its steps, and so is JAX's derivative of it: that
    both agree explains nothing. Nor is it known where JAX cannot differentiate the primal.

    In a replay the rules around these go as well, since they would still run them. Where there are some, the function
    is traced anew without these alone: a rule around a wrong one may be wrong, too.
    """
    case, functions = comparison.case, set(map(function_of, rules))
    # of second order, the program is JAX's gradient, and the function that was given is not it
    custom = [eq for eq in equations_in(case.program) if eq.name in CUSTOM_RULES] if case.order == 1 else []
    if comparison.is_contradicted:
        return None

    def is_dropped(equation: Equation) -> bool:  # a rule around one of these would still run it
        return function_of(equation) in functions or any(_calls(equation, rule) for rule in rules)

    modes = [answer.name for answer in comparison.answers if answer.name in MODES] or ["reverse"]
    try:
        without = _traced_again(case, lambda *leaves: replayed(case.program, is_dropped, *leaves))
        again = compare_derivatives(without, modes)
        has_rules_around = any(_calls(eq, rule) for eq in custom for rule in rules)
        if has_rules_around and not (again.missing or again.disagreeing):
            with without_rules(functions):
                anew = _traced_again(case, lambda *leaves: case.function(*leaves), trusted=case.trusted)
                again = compare_derivatives(anew, modes)
    except Exception:  # noqa: BLE001  what JAX cannot differentiate without the rule stays unknown
        return None
    return None if again.missing else not again.disagreeing


def _traced_again(case: Case, function: Callable[..., Any], **how: Any) -> Case:
    names = case.inputs.names, lambda: case.outputs.names
    return trace_case(function, case.leaves, *names, seed=case.seed, accuracy=case.accuracy, **how)


def _is_innocent(case: Case, equation: Equation, wrong: Sequence[Equation], deadline: float, order: int) -> bool:
    """Whether a custom rule is right as soon as the wrong rules of other functions are not used.

    The outer rule of g(x) = h(2x) may call h's, and be wrong for no fault of its own. The function is traced anew
    without those.
    """
    function = function_of(equation)
    others = {function_of(eq) for eq in wrong if eq.name in CUSTOM_RULES} - {function}
    if not others or equation.name not in CUSTOM_RULES or time.perf_counter() > deadline:
        return False
    with without_rules(others):
        traced = _traced_again(case, lambda *leaves: case.function(*leaves), trusted=case.trusted)
        met = meet_equations(traced, goes_within=True).operands
        same = [(eq, values) for eq, tried in met.items() if function_of(eq) == function for values in tried]
        return bool(same) and not any(check_alone(eq, values, order, case.accuracy) for eq, values in same)


# -- equations and the calls between them -----------------------------------------------------------------------------


def _rules_of(met: Operands) -> list[Equation]:
    """The custom rules to try, those of the user first: a library that calls these has many of its own."""
    return sorted((eq for eq in met if eq.name in CUSTOM_RULES), key=is_rule_of_library)[:RULES_TRIED]


def _within(equation: Equation) -> list[Equation]:
    return [eq for program in equation.programs for eq in equations_in(program)]


def _is_all_of(program: Program, equation: Equation) -> bool:
    """Whether a program does nothing but run this equation on its arguments: then the check of one is the other's."""
    if len(program.equations) != 1:
        return False
    (only,) = program.equations
    moving = tuple(atom for atom in only.inputs if atom in program.arguments)  # others are what it closes over
    if moving != program.arguments or only.outputs != program.results:
        return False
    return only is equation or (only.name in CALLS and _is_all_of(only.primal, equation))


def _calls(outer: Equation, inner: Equation) -> bool:
    """Whether an equation runs another one, or a function with a rule calls the other's function."""
    if inner.name not in CUSTOM_RULES:
        return inner in _within(outer)
    functions = [function_of(eq) for eq in _within(outer) if eq.name in CUSTOM_RULES]
    return outer is not inner and function_of(inner) in functions
