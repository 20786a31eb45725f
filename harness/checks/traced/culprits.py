"""Whose rule is it? Every custom rule, and then every primitive, checked alone at the values that it met.

The check of an equation is the check of a function: the same increments, the same error bars. The rule that is off the
farthest is named with its file and line, and run by its primal once more: if nothing is at odds then, it explains all.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np

from harness.checks.random_directions import random_directions
from harness.checks.traced.culprit_names import Culprit, named
from harness.checks.traced.derivative_case import Check
from harness.checks.traced.derivative_subject import INCREMENTS, MODES
from harness.checks.traced.traced_programs import equations_in
from harness.checks.traced.true_slopes import Truth
from reference.arithmetics.increments import Increment, is_constant
from reference.traced.interpreter import Run
from reference.traced.program import (
    CALLS,
    CUSTOM_RULES,
    NOWHERE,
    Equation,
    Place,
    Program,
    Traced,
    bind,
    function_of,
    is_key,
    kind,
    primal_of,
    programs_in,
)
from reference.traced.rules import argument_names, frames_of, is_rule_of_jax, whose, without_rules
from reference.traced.solving.replaying import replayed

KEPT = 3
"""An equation in a loop is met many times; the first of its values and the last ones are tried."""

RULES_TRIED, PRIMITIVES_TRIED = 24, 60


NO_DERIVATIVE = {
    "stop_gradient", "argmax", "argmin", "argsort", "round", "rint", "floor", "ceil", "trunc", "sign", "astype",
}  # fmt: skip
"""Functions whose results do not change with what they are given, or jump."""


PLUMBING = {
    "ad", "ad_checkpoint", "api", "array_methods", "batching", "core", "linear_util", "partial_eval", "pjit",
    "source_info_util", "traceback_util", "tree", "tree_util",
}  # fmt: skip
"""Modules of JAX that stand between the function that is called and the one who calls."""


def called_from(equations: Sequence[Equation]) -> Iterator[Place]:
    """The functions of JAX that lines of the user's own call, for an equation and those around it, the innermost first.

    What JAX traces apart, as under `jax.checkpoint`, has no line of the user's: that is the line of what is around it.
    """
    called = ""
    for equation in equations:
        called = called or str(equation.raw.params.get("name", equation.name))
        for frame in frames_of(equation):
            whose_it_is = whose(frame.file_name)
            if whose_it_is != "jax":
                if whose_it_is == "own":
                    yield Place(called, frame.file_name, frame.line_num)
                called = ""
                break
            called = called if Path(frame.file_name).stem in PLUMBING else frame.function_name


class Met(Run):
    """A run that keeps what every equation was given, and which of it depends on f's arguments.

    Attributes
    ----------
    equations : dict
        The operands of every equation, each time that it was met.
    constant : list of Place
        The lines of the user's own that take a derivative away, by functions of `NO_DERIVATIVE`.
    """

    def __init__(self, check: Check) -> None:
        super().__init__(trusted=check.truth.trusted)
        self.equations: dict[Equation, list[list[Increment]]] = {}
        self.constant: list[Place] = []
        self._within: list[Equation] = []
        with np.errstate(all="ignore"):
            check.truth.changes(random_directions(1, check.inputs.size, check.seed), self)
        self.equations = {eq: values for eq, values in self.equations.items() if not self.trusted(eq)}

    @property
    def has_rules(self) -> bool:
        """Whether a custom rule that is not JAX's was met, and is not trusted."""
        return any(eq.name in CUSTOM_RULES and not is_rule_of_jax(eq) for eq in self.equations)

    def equation(self, equation: Equation, operands: Sequence[Any]) -> Sequence[Any]:
        if equation.name not in CALLS:
            values = self.equations.setdefault(equation, [])
            if len(values) == KEPT:
                values.pop(1)
            values.append(list(operands))
        self._within.append(equation)
        outputs = super().equation(equation, operands)
        is_within = equation.name in CALLS and equation.params.get("name") not in NO_DERIVATIVE
        taken_away = not (self.looks_through or is_within or all(map(is_constant, operands)))
        if taken_away and (equation.name in NO_DERIVATIVE or all(map(is_constant, outputs))):
            place = equation.once("who takes it away", self._who_takes_it_away)
            if place != NOWHERE and place not in self.constant:
                self.constant.append(place)
        self._within.pop()
        return outputs

    def _who_takes_it_away(self) -> Place:
        """The line of the user's own that calls a function without a derivative, for the equation that runs now."""
        return next((place for place in called_from(self._within[::-1]) if place.name in NO_DERIVATIVE), NOWHERE)


def find_culprits(
    check: Check, met: dict[Equation, list[list[Increment]]], of_first_order: Callable[[], Check] | None = None
) -> list[Culprit]:
    """The equations whose derivatives are off, the worst first: custom rules, or else JAX's own.

    Of a check of second order, whose program has most rules inlined, `of_first_order` makes that of the function.
    """
    custom = [eq for eq in met if eq.name in CUSTOM_RULES]
    others = [eq for eq in met if eq.name not in CUSTOM_RULES]
    found = _off(check, met, custom[:RULES_TRIED])
    if found:
        culprit, equation = found[0]
        found[0] = replace(culprit, explains=_explains(check, equation)), equation
    elif of_first_order:
        found = _of_second_order(of_first_order(), check.deadline)
    if not found:
        found = _off(check, met, _different([eq for eq in others if not _holds_rule(eq)])[:PRIMITIVES_TRIED])
        # of an infinite slope no rule is to blame, and of NaN in a loop an operation of the loop is
        found = [(culprit, eq) for culprit, eq in found if np.isfinite(culprit.off)]
    return [culprit for culprit, _ in found] or _by_primal(check, custom[:RULES_TRIED])


def _of_second_order(first: Check, deadline: float) -> list[tuple[Culprit, Equation]]:
    """The custom rules of a function whose own derivatives are off, and which of them are right at first order."""
    first.deadline, met = deadline, Met(first).equations
    custom = [eq for eq in met if eq.name in CUSTOM_RULES][:RULES_TRIED]
    found = _off(first, met, custom, order=2)
    wrong = {eq for _, eq in _off(first, met, [eq for _, eq in found])}
    return [(culprit if eq in wrong else replace(culprit, order=2), eq) for culprit, eq in found]


def _by_primal(check: Check, equations: Sequence[Equation]) -> list[Culprit]:
    """The first rule whose primal in its place leaves nothing at odds, where each by itself is off by too little."""
    for equation in {function_of(eq): eq for eq in equations}.values():
        if time.perf_counter() > check.deadline:
            break
        if _explains(check, equation):
            return [replace(named(equation, 0.0, ""), explains=True)]
    return []


def _holds_rule(equation: Equation) -> bool:
    """Whether a custom rule is within, so that the equation checked alone tells of that."""
    inner = [eq for program in programs_in(equation) for eq in program.equations]
    return any(eq.name in CUSTOM_RULES or _holds_rule(eq) for eq in inner)


OPPOSITE_OF = {"reverse": "cotangents", "forward": "tangents"}


def beside_the_numbers(check: Check) -> list[str]:
    """What is wrong with JAX's modes, although they answer the derivatives where they were asked for them."""
    return [*_not_linear(check), *_not_mapped(check), *_other_values(check)]


def _not_linear(check: Check) -> list[str]:
    return [
        f"{mode} mode is not linear: of opposite {OPPOSITE_OF[mode]} it does not answer the opposite"
        for mode in check.not_linear
        if not (check.truth.taken_as_they_are or check.by_solvers)  # no derivative on purpose, or good to a tolerance
    ]


def _not_mapped(check: Check) -> list[str]:
    modes = dict.fromkeys(check.not_mapped)
    return [f"{mode} mode answers otherwise where it is not mapped by jax.vmap than where it is" for mode in modes]


@np.errstate(all="ignore")
def _other_values(check: Check) -> list[str]:
    """Where a mode hands on another value than the function's."""
    told, f, (_, expected, error) = [], check.function, check.values
    ways = {"reverse": lambda *x: jax.vjp(f, *x)[0], "forward": lambda *x: jax.jvp(f, x, x)[0]}
    for mode in (mode.name for mode in check.asked if mode.name not in check.left_out):
        try:
            program = Traced(ways[mode], *check.leaves).program
        except Exception:  # noqa: BLE001  what cannot be traced does not answer a derivative either
            continue
        truth = Truth(program, check.leaves, check.inputs, check.outputs)
        values = truth.value()
        if not (np.abs(values - expected) > 2.0 * error).any():
            continue
        off = np.abs(values - expected) - 2.0 * (error + truth.value_spread(check.seed))
        i = int(np.argmax(off))
        if off[i] > 0.0:
            name = check.outputs.label(i)
            told.append(f"{name} is {values[i]:.6g} while {mode} mode goes on, and {expected[i]:.6g} otherwise")
    return told


def rules_alone(check: Check, met: dict[Equation, list[list[Increment]]]) -> list[str]:
    """Custom rules of the user's own that are off although nothing shows of it in the whole, as notes."""
    met = {eq: values for eq, values in met.items() if eq.name in CUSTOM_RULES and not is_rule_of_jax(eq)}
    met = {eq: values for eq, values in met.items() if not _is_all_of(check.truth.program, eq)}
    return [f"{culprit}; the whole does not show it" for culprit, _ in _off(check, met, list(met)[:RULES_TRIED])]


def _is_all_of(program: Program, equation: Equation) -> bool:
    """Whether a program does nothing but run this equation on its arguments: then the check of one is the other's."""
    if len(program.equations) != 1 or program.constants:
        return False
    (only,) = program.equations
    if only.inputs != program.arguments or only.outputs != program.results:
        return False
    return only is equation or (only.name in CALLS and _is_all_of(primal_of(only), equation))


def _different(equations: Sequence[Equation]) -> list[Equation]:
    """One equation of each primitive, shapes and types."""
    kinds = {(eq.name, eq.shapes, eq.dtypes, str(eq.raw.params)): eq for eq in reversed(equations)}
    return list(kinds.values())[::-1]


def _off(
    check: Check, met: dict[Equation, list[list[Increment]]], equations: Sequence[Equation], order: int = 1
) -> list[tuple[Culprit, Equation]]:
    """The equations that are off themselves, each once, the farthest first; what is left at the deadline is not tried.

    Not those that are right as soon as what they call is.
    """
    found = []
    for done, equation in enumerate(equations):
        if time.perf_counter() > check.deadline:
            break
        check.truth.progress("each rule alone", done, len(equations))
        tried = [alone for values in met[equation] if (alone := _alone(equation, values, order))]
        if tried:
            found.append((max(tried, key=lambda culprit: culprit.off), equation))
    found = [(culprit, eq) for culprit, eq in found if not _is_innocent(check, eq, [e for _, e in found], order)]
    found = list({(c.name, c.where): (c, eq) for c, eq in sorted(found, key=lambda pair: pair[0].off)}.values())
    return sorted(found, key=lambda pair: (sum(_calls(pair[1], other) for _, other in found), -pair[0].off))


def _is_innocent(check: Check, equation: Equation, wrong: Sequence[Equation], order: int) -> bool:
    """Whether a custom rule is right as soon as those of the other functions that are off are not taken.

    The function is traced anew, for what a rule calls stands in no program: it is run whenever JAX differentiates.
    """
    function = function_of(equation)
    others = {function_of(eq) for eq in wrong if eq.name in CUSTOM_RULES} - {function}
    if not others or equation.name not in CUSTOM_RULES or time.perf_counter() > check.deadline:
        return False
    with without_rules(others):
        f, names = (lambda *leaves: check.function(*leaves)), (check.inputs.names, lambda: check.outputs.names)
        met = Met(Check(f, check.leaves, *names, check.truth.trusted, seed=check.seed)).equations
        same = [(eq, values) for eq, tried in met.items() if function_of(eq) == function for values in tried]
        return bool(same) and not any(_alone(eq, values, order) for eq, values in same)


def _calls(outer: Equation, inner: Equation) -> bool:
    """Whether a function with a rule calls another: a wrong rule within makes the one around it wrong."""
    if outer is inner or outer.name not in CUSTOM_RULES or inner.name not in CUSTOM_RULES:
        return False
    return any(
        eq.name in CUSTOM_RULES and function_of(eq) == function_of(inner) for eq in equations_in(primal_of(outer))
    )


def _alone(equation: Equation, met: Sequence[Increment], order: int = 1) -> Culprit | None:
    """The check of one equation, at values that it met; None where it is right, or cannot be told.

    It is differentiated in what depends on f's arguments: no rule needs to be right for what is constant. What is given
    twice moves together, such as a matrix to an equation and to its solver.
    """
    values = [x.value for x in met]
    given = [x if is_key(x) else np.asarray(x).astype(t) for x, t in zip(values, equation.input_dtypes)]
    closed_over = equation.params.get("num_consts", 0) if equation.name in CUSTOM_RULES else 0
    moving = [i for i, x in enumerate(given) if not is_constant(met[i]) and kind(x.dtype) in ("f", "c") and x.size]
    kept = [i for i, t in enumerate(equation.dtypes) if t is not None and kind(t) in ("f", "c")]
    if not moving or not kept or equation.name == "stop_gradient":
        return None

    def apply(*changing: Any) -> list[Any]:
        changed = {equation.inputs[i]: x for i, x in zip(moving, changing)}
        operands = [*given[:closed_over], *map(changed.get, equation.inputs[closed_over:], given[closed_over:])]
        outputs = bind(equation, operands)
        return [outputs[i] for i in kept]

    has_names = equation.name in CUSTOM_RULES and not is_rule_of_jax(equation)
    called = argument_names(equation) if has_names else list(map(str, range(len(given))))
    names = [f"its argument {called[i - closed_over]}" for i in moving]
    try:
        outputs = [f"its output {i}" for i in kept]
        check = Check(apply, [given[i] for i in moving], names, lambda: outputs, order=order)
        check.ask(("reverse",))
        if "reverse" in check.left_out:
            check.ask(("forward",))
    except Exception:  # noqa: BLE001  an equation that cannot run alone tells nothing
        return None
    return _culprit(equation, check)


def _culprit(equation: Equation, check: Check) -> Culprit | None:
    against = [pair for pair in (*check.pairs, *check.ends) if pair.disagrees]
    if not against:
        if equation.name not in CUSTOM_RULES or is_rule_of_jax(equation):
            return None
        answers, values = [*_not_linear(check), *_not_mapped(check)], _other_values(check)
        hidden = [*answers, *values]
        return named(equation, 0.0, hidden[0], hands_on_the_value=not answers) if hidden else None
    pair = against[0]
    wrong = next(answer for answer in check.answers if answer.name in (pair.first, pair.second))
    right = next(answer for answer in check.answers if answer.name == INCREMENTS)
    with np.errstate(all="ignore"):
        sizes = np.abs(np.concatenate([right.gradient, wrong.gradient]))
        size = sizes[np.isfinite(sizes)].max(initial=np.finfo(float).tiny)
        off = float(np.max(pair.difference[pair.at_odds]) / size)
    by_meaning = check.subject.by_meaning if pair in check.pairs else check.ends_by_meaning
    in_float64 = bool((by_meaning.pop(wrong.name, np.zeros(1, bool)) & pair.at_odds).any())
    shape = check.subject.explain(wrong, right, pair.at_odds) if pair in check.pairs else ""
    return replace(named(equation, off, shape), in_float64=in_float64)


def _explains(check: Check, equation: Equation) -> bool | None:
    """Whether nothing is at odds any more when the function runs by its primal."""
    place = function_of(equation)

    def without(*leaves: Any) -> list[Any]:
        return replayed(check.truth.program, lambda eq: function_of(eq) == place or _calls(eq, equation), *leaves)

    try:
        again = Check(without, check.leaves, check.inputs.names, lambda: check.outputs.names, seed=check.seed)
        again.ask([answer.name for answer in check.answers if answer.name in MODES] or ["reverse"])
    except Exception:  # noqa: BLE001  what JAX cannot differentiate without the rule stays untold
        return None
    return None if again.left_out else not any(pair.disagrees for pair in (*again.pairs, *again.ends))
