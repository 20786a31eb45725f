"""One equation of a program checked by itself, at operands that it met: whether its derivative rule is wrong.

An equation, such as a call of a function with a custom rule, is a function of its operands. So its derivative is
checked as that of any function is: with the same increments and the same error bounds. A rule may be wrong by itself,
and f not depend on what is wrong, as where the rest of f multiplies it by zero. The cotangents that reach the equation
show whether it does.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from harness.checks.random_directions import random_directions
from harness.checks.traced.derivative_case import REFERENCE, Case, trace_case
from harness.checks.traced.derivative_comparison import Comparison, compare_derivatives
from harness.checks.traced.derivative_mistakes import find_mistakes
from harness.checks.traced.function_values import find_unsound_modes, find_values_changed_by_modes
from harness.checks.traced.jax_modes import MODES
from harness.facts.fact import Fact, Severity
from harness.facts.kinds import Kind
from harness.verdict.comparison import Pair
from reference.arithmetics.increments import Increment, is_constant
from reference.jax_settings import compiler_options
from reference.traced.equations import Equation, Program, bind, has_derivatives, is_key, map_programs
from reference.traced.primitives.calls import CUSTOM_RULES
from reference.traced.program_replay import replayed_with_primals
from reference.traced.rule_origins import (
    NOWHERE,
    argument_names,
    carried_by,
    forward_of,
    is_jax,
    is_of_library,
    is_rule_of_jax,
    line_of,
    own_line_of,
    written,
)

SHIFT = 1e-3
"""Cotangents are also computed where the equation returns values that are shifted by this share: at a minimum, the
cotangent 2 (y - target) is zero by chance. A share of 1e-12 would leave it as good as zero; one of 1 could leave f's
domain."""

CANCELS = 1e-6
"""Errors of a rule that cancel to this share of themselves along random directions do so for a reason, and not by
chance."""


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
        """The rule as a fact, followed by its mistakes, which no other fact of another severity parts from it."""
        data = {name: value for name, value in vars(self).items() if name not in ("where", "mistakes")}
        return (Fact(kind, severity, (self.where,), data), *(replace(x, severity=severity) for x in self.mistakes))


def name_culprit(
    equation: Equation, off: float, mistakes: Sequence[Fact] = (), *, hands_on_value: bool = False
) -> Culprit:
    """A culprit with the lines of its rule. `hands_on_value` says that the value is wrong which its `fwd` returns."""
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


# -- the check of an equation -----------------------------------------------------------------------------------------


class LoneEquation(NamedTuple):
    """An equation as a function of those operands that depend on f's arguments."""

    given: list[Any]  # all operands
    moving: list[int]  # the numbers of those that it is a function of
    kept: list[int]  # the outputs that it returns
    apply: Callable[..., list[Any]]  # from the moving operands to the kept outputs


def count_closed_over(equation: Equation) -> int:
    """How many operands of a custom rule are arrays that its function closes over."""
    return equation.params.get("num_consts", 0) if equation.name in CUSTOM_RULES else 0


def isolate(equation: Equation, met: Sequence[Increment]) -> LoneEquation:
    """An equation by itself, at operands that it met, in the types that it takes them in.

    An array that is given twice is one argument, so that both move together, as a matrix that goes to an equation and
    to its solver. What a function closes over does not move.
    """
    given = [x.value if is_key(x.value) else np.asarray(x.value).astype(t) for x, t in zip(met, equation.input_dtypes)]
    moving = [i for i, x in enumerate(given) if not is_constant(met[i]) and has_derivatives(x.dtype) and x.size]
    kept = [i for i, t in enumerate(equation.dtypes) if has_derivatives(t)]
    first = count_closed_over(equation)

    def apply(*changing: Any) -> list[Any]:
        # by slot, so that an operand which is given twice is found twice
        changed = {equation.inputs[i]: x for i, x in zip(moving, changing)}
        outputs = bind(equation, [*given[:first], *map(changed.get, equation.inputs[first:], given[first:])])
        return [outputs[i] for i in kept]

    return LoneEquation(given, moving, kept, apply)


def check_alone(equation: Equation, met: Sequence[Increment], order: int = 1, accuracy: float = 0.0) -> Culprit | None:
    """The culprit where an equation is wrong at operands that it met; None where it is right, or nothing is decided."""
    comparison = _compare_alone(equation, met, order, accuracy)
    return comparison and _convict(equation, comparison)


def _compare_alone(equation: Equation, met: Sequence[Increment], order: int, accuracy: float) -> Comparison | None:
    """The check of one equation at operands that it met; None where it cannot run alone.

    It is differentiated in what depends on f's arguments: no rule needs to be right for what is constant.
    """
    alone = isolate(equation, met)
    # precomputed state would stay as it is, so that the rule which takes it would look wrong
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


def _convict(equation: Equation, comparison: Comparison) -> Culprit | None:
    """The culprit that the check of an equation shows; None where the equation is right."""
    if comparison.disagreeing:
        return _convict_of_difference(equation, comparison)
    if equation.name not in CUSTOM_RULES or is_rule_of_jax(equation):
        return None
    # right derivatives, and yet no linear map, or another value as soon as it is differentiated
    broken, values = find_unsound_modes(comparison), find_values_changed_by_modes(comparison)
    hidden = [replace(fact, severity=Severity.NOTE) for fact in [*broken, *values][:1]]
    return name_culprit(equation, 0.0, hidden, hands_on_value=not broken) if hidden else None


def convict_of_mode(equation: Equation, comparison: Comparison) -> Culprit | None:
    """The culprit where the check of a function that is one equation shows that a mode is wrong in some input."""
    off = [{pair.first, pair.second} for pair in comparison.pairs if pair.disagrees]
    is_of_mode = off and REFERENCE not in set.union(*off) and off[0] & set(MODES)
    return _convict_of_difference(equation, comparison) if is_of_mode else None


def _convict_of_difference(equation: Equation, comparison: Comparison) -> Culprit:
    """The culprit whose derivatives differ from the increments, by how much, and which mistake it is."""
    pair, look = comparison.disagreeing[0], comparison.look
    wrong = next(answer for answer in comparison.answers if answer.name in (pair.first, pair.second))
    # increments, or differences where these judge
    right = next(answer for answer in comparison.answers if pair.other(answer.name) == wrong.name)
    sizes = np.abs(np.concatenate([right.gradient, wrong.gradient]))
    size = sizes[np.isfinite(sizes)].max(initial=np.finfo(float).tiny)
    off = float(np.max(pair.difference[pair.at_odds]) / size)
    is_directional = pair in comparison.directional.pairs
    masks = comparison.directional.replaced if is_directional else look.replaced
    in_float64 = bool((masks.get(wrong.name, np.zeros(1, bool)) & pair.at_odds).any())
    # along a direction there is one number for all inputs: no factor or transpose shows in it
    mistakes = () if is_directional else find_mistakes(look.coordinates, wrong, right, pair.at_odds)
    return replace(name_culprit(equation, off, mistakes), in_float64=in_float64)


# -- whether f depends on what is wrong -------------------------------------------------------------------------------


def is_wrong_in_use(case: Case, equation: Equation, met: Sequence[Increment]) -> bool | None:
    """Whether a rule is wrong where f uses it: along a tangent that reaches it, for a cotangent that does.

    ``where(mask, g(x), 0)`` uses no derivative of g where the mask is false. None where JAX cannot pull a cotangent
    back through the rest of the program, such as a loop.
    """
    alone = isolate(equation, met)
    try:
        cotangents = reaching_cotangents(case, equation)
    except Exception:  # noqa: BLE001  each primitive refuses in its own way
        return None
    largest = max(float(np.abs(c).max(initial=0.0)) for c in cotangents)
    size = max((float(np.abs(met[i].change).max()) for i in alone.moving), default=0.0)
    if not (largest and size):
        return False
    tangents = [(met[i].change[0] / size).astype(alone.given[i].dtype) for i in alone.moving]
    single = _compare_alone(equation, met, 1, case.accuracy)
    found = []
    if single and single.point.combinations.each:
        given, returned = single.case.inputs.vector(tangents), single.case.outputs.vector(cotangents)
        found = [_is_wrong_along(pair, given, returned) for pair in single.pairs if pair.disagrees]
    if False in found and True not in found:
        return False
    # Of many derivatives, the one number t -> Σ cotangent · equation(operands + t tangent) is checked. Of few, it may
    # acquit: in the other directions a solver with a loose tolerance leaves more than the bounds of entries allow.
    comparison = _compare(
        _along(alone, tangents, [c / largest for c in cotangents]), [np.zeros((), np.real(tangents[0]).dtype)],
        ["t"], ["output"], accuracy=case.accuracy,
    )  # fmt: skip
    if found:
        return comparison is None or bool(comparison.disagreeing) or comparison.is_open
    return comparison is not None and _convict(equation, comparison) is not None


def _is_wrong_along(pair: Pair, tangent: np.ndarray, cotangent: np.ndarray) -> bool | None:
    """Whether the errors E = J_1 - J_2 of the wrong entries leave more of cᵀ E t than their bounds and `CANCELS` allow.

    None where an entry of E is unknown that might cancel the others.

    A rule for symmetric matrices may return the mean of a gradient and its transpose: E t = 0 for a symmetric t. One of
    potentials that are known up to a constant may choose it anew: cᵀ E = 0 for a c that does not depend on it.
    """
    shape = cotangent.size, tangent.size
    at_odds, allowed = pair.at_odds.reshape(shape), pair.allowed.reshape(shape)
    error = np.subtract(*pair.gradients).reshape(shape)
    is_known, in_sum = np.isfinite(error) & np.isfinite(allowed), np.outer(cotangent, tangent) != 0.0
    if (at_odds & ~is_known & in_sum).any():
        return True
    if (~is_known & in_sum).any():
        return None
    error, allowed = (np.where(at_odds & is_known, x, 0.0) for x in (error, allowed))
    left = abs(cotangent @ error @ tangent)
    explained = np.abs(cotangent) @ (allowed + CANCELS * np.abs(error)) @ np.abs(tangent)
    return bool(left > explained)


def _along(alone: LoneEquation, tangents: Sequence[Any], cotangents: Sequence[Any]) -> Callable[[Any], list[Any]]:
    """The equation's outputs along tangents of its operands, combined by cotangents: a function of one number."""

    def along(t: Any) -> list[Any]:
        outputs = alone.apply(*(alone.given[i] + t.astype(v.dtype) * v for i, v in zip(alone.moving, tangents)))
        used = [(y, c) for y, c in zip(outputs, cotangents) if c.any()]  # an unused one may be infinite
        return [sum(jnp.sum(jnp.real(y * share.astype(y.dtype))) for y, share in used)]

    return along


def reaching_cotangents(case: Case, equation: Equation) -> list[np.ndarray]:
    """The cotangents of an equation's floating outputs, for random cotangents of f's.

    They are pulled back through the rest of the program by JAX, without any custom rule. An entry is zero only by the
    program's structure: where it is masked, multiplied by zero, or behind a stop_gradient.
    """
    (weights,) = zip(*case.outputs.arrays(random_directions(1, case.outputs.size, case.seed), conjugate=True))
    rng = np.random.default_rng(case.seed)
    shapes = [(s, t) for s, t in zip(equation.shapes, equation.dtypes) if has_derivatives(t)]
    shifts = [(SHIFT * rng.choice([-1.0, 1.0], s)).astype(t) for s, t in shapes]

    def pull_back(leaves: Sequence[Any], shifts: Sequence[Any]) -> Sequence[Any]:
        # f as a function of changes that are added to what the equation returns: its derivative at 0 is the cotangent
        def results(*changes: Any) -> list[Any]:
            return replayed_with_primals(_shifted(case.program, equation, shifts, changes))(*leaves)

        return jax.vjp(results, *(jnp.zeros_like(x) for x in shifts))[1](list(weights))

    pull = jax.jit(pull_back, compiler_options=compiler_options())
    found = [list(map(np.asarray, pull(case.leaves, [share * x for x in shifts]))) for share in (0, 1)]
    here, beside = ([np.where(np.isfinite(c), c, 0.0) for c in each] for each in found)
    return [np.where(a == 0.0, b, a) for a, b in zip(here, beside)]


def _shifted(program: Program, equation: Equation, shifts: Sequence[Any], changes: Sequence[Any]) -> Program:
    """The program with shifts and changes added to what one equation returns, wherever that stands.

    The equation gets a replay of its own, the function that JAX traces in its place; all others stay as they are.
    """

    def replay(eq: Equation, operands: list[Any], run: Callable[..., list[Any]], inlined: Any) -> list[Any]:
        added, found = zip(shifts, changes), run(eq.primal, *operands)
        return [_add(y, *next(added)) if has_derivatives(t) else y for y, t in zip(found, eq.dtypes)]

    def changed(value: Program) -> Program:
        equations = [
            replace(eq, primitive=replace(eq.primitive, replay=replay))
            if eq is equation
            else replace(eq, params={key: map_programs(param, changed) for key, param in eq.params.items()})
            for eq in value.equations
        ]
        return replace(value, equations=tuple(equations))

    return changed(program)


def _add(y: Any, shift: Any, change: Any) -> Any:
    """y + change, shifted by a share of |y| or of 1; no derivative goes through the shift."""
    return y + shift * jax.lax.stop_gradient(jnp.maximum(1.0, jnp.abs(y)).astype(y.dtype)) + change
