"""Messages about activations: their records, junctions and digits, and which mistake makes a wrong slope."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from harness.facts.fact import Fact
from harness.facts.kinds import Kind
from harness.facts.templates import Message, in_words
from harness.wording import distinct_digits, first_few

OF_VECTORS = "check_jacobian and check_derivatives take functions of whole vectors, such as softmax"

NO_KINK = 1e-6  # relative: one-sided derivatives that differ by more are said to differ, though rounding may explain it

STRETCHES = 4  # so many stretches of z are written out in a message


def _stretches(fact: Fact) -> str:
    """The stretches of z behind the name of the part."""
    return first_few(fact.where[1:], STRETCHES)


def _junction(fact: Fact) -> str:
    data, place = fact.data, fact.where[0]
    if data["value_jumps"]:
        return f"The value itself jumps at {place}, where no slope exists{_convention(fact)}."
    if math.isnan(data["left"]) or math.isnan(data["right"]):
        return f"The one-sided derivatives at the kink {place} are not known well enough{_convention(fact)}."
    if math.isinf(data["left"]) and data["left"] == data["right"]:
        return f"The slope is infinite at {place}{_convention(fact)}."
    left, right = distinct_digits(data["left"], data["right"])
    if data["jumps"]:
        kind = "A kink" if data["declared"] else "An undeclared kink"
        return f"{kind} at {place}: the slope goes from {left} to {right}{_convention(fact)}."
    if abs(data["right"] - data["left"]) > NO_KINK * max(1.0, abs(data["left"])):
        return f"The slope at {place} goes from {left} to {right}, which rounding may explain{_convention(fact)}."
    apart = f" to within {abs(data['right'] - data['left']):.1g}" if data["left"] != data["right"] else ""
    return f"No kink at {place}: the slope is {data['left']:.6g} on both sides{apart}{_convention(fact)}."


def _convention(fact: Fact) -> str:
    """What is claimed at a junction, beside what JAX computes there."""
    data = fact.data
    if not data["declared"] and data["jumps"]:
        return f". Declare it with kinks=({data['z']!r}, ...)"
    claimed, of_jax = data["claimed"] + 0.0, data["jax"]  # no negative zero
    if math.isnan(of_jax) or data["follows_jax"]:
        return f". The record reports {claimed:.6g} there{', as JAX does' if data['follows_jax'] else ''}"
    return ". The record reports {} there, and JAX computes {}".format(*distinct_digits(claimed, of_jax))


def _number_format(fact: Fact) -> str:
    parts = {name: found for name, found in fact.data.items() if isinstance(found, Mapping)}
    dtypes = {name: found.get("dtype", "float32") for name, found in parts.items()}
    clauses = [f"the {name} comes out as {dtype}" for name, dtype in dtypes.items() if dtype != "float32"]
    if len(parts) > 1 and len({_digits(found) for found in parts.values()}) == 1:
        said = {" and ".join(parts): _digits(next(iter(parts.values())), of_several=True)}
    else:
        said = {f"the {part}": _digits(found) for part, found in parts.items()}
    clauses += [f"{which} {digits}" for which, digits in said.items() if digits]
    for part, found in parts.items():
        if found.get("overflows"):
            clauses.append(f"the {part} overflows for {first_few(found['overflows'], STRETCHES)}")
    return f"{fact.where[0]}: {'; '.join(clauses) or 'nothing is known'}."


class _Stretch(NamedTuple):
    """A stretch of z, and the digits that are left in all of it."""

    low: float
    high: float
    digits: int


def _digits(found: Mapping[str, Any], *, of_several: bool = False) -> str:
    """The digits that are left at least, the stretch about zero first; empty where nothing is known."""
    rows = found["errors"]
    if not rows:
        return ""
    if not any(row["largest"] for row in rows):
        return "are exact" if of_several else "is exact"
    below = _stretches_outwards([row for row in reversed(rows) if row["to"] <= 0.0])
    above = _stretches_outwards([row for row in rows if row["from"] >= 0.0])
    if below and above and below[0].digits == above[0].digits:
        below[0] = below[0]._replace(high=above.pop(0).high)
    first, *others = sorted([*below, *above], key=lambda stretch: min(abs(stretch.low), abs(stretch.high)))
    kept = f"{'keep' if of_several else 'keeps'} at least {first.digits} of {found['of']} digits"
    about_zero = f"{kept} for {first.low:g} <= z <= {first.high:g}"
    return ", ".join([about_zero, *(f"{each.digits} for {each.low:g} <= z <= {each.high:g}" for each in others)])


def _stretches_outwards(rows: Sequence[Mapping[str, Any]]) -> list[_Stretch]:
    """Stretches of one side with fewer and fewer digits, from zero outwards.

    Where digits come back further out, as 15, 9, 12, the message promises the fewest so far: 15, then 9.
    """
    joined: list[_Stretch] = []
    for row in rows:
        stretch = _Stretch(row["from"], row["to"], row["digits"])
        if joined and joined[-1].digits <= stretch.digits:
            low, high, digits = joined.pop()
            stretch = _Stretch(min(low, stretch.low), max(high, stretch.high), digits)
        joined.append(stretch)
    return joined


def _not_elementwise(fact: Fact) -> str:
    """How it shows that an entry depends on others."""
    data, what = fact.data, f"The {fact.where[0]} is not elementwise"
    if "how" not in data:
        return f"{what}, so it has no slope to compare."
    if data["how"] == "alone":
        return f"{what}: it cannot take one entry of z alone ({data['reason']})."
    if data["how"] == "upstream":
        return f"{what}: at z = {data['z']:.6g} it depends on other entries of the gradient that it is given."
    matrix = f"an array and a matrix of {data['side']} by {data['side']}"
    inputs = matrix if data["how"] == "shape" else "two arrays"
    return f"{what}: {inputs} with the same entry z = {data['z']:.6g} have different results there. {OF_VECTORS}."


def _not_finite(fact: Fact) -> str:
    part = "JAX's slope of the formula" if fact.where[0] == "jax" else f"The {fact.where[0]}"
    broken = f"{part} is not finite for {_stretches(fact)}."
    if "expected" not in fact.data:
        return broken
    return f"{broken} It could be finite: {fact.data['expected']:.6g} at z = {fact.data['z']:.6g}."


def _surrogate(fact: Fact) -> str:
    if "value" not in fact.data:
        return f"The slope of {first_few(fact.where, 3)} is a surrogate, so the cost has another derivative."
    return in_words("The surrogate is no derivative: {where[0]} = {value}, and f has {expected}.", fact)


def _second_derivative(fact: Fact) -> str:
    if not fact.where:
        return "The second derivative is not known, because the slope cannot take tangents."
    return f"The second derivative is at most {fact.data['largest']:.6g} in size on the grid, at {fact.where[0]}."


VERBS = {True: "lacks the", False: "has the surplus"}


def _product_rule(fact: Fact) -> str:
    data, rule = fact.data, "of the product rule for z·g(z)"
    if "factor" not in data:
        return f"The {fact.where[0]} lacks the term {data['term']} {rule}."
    return f"The {fact.where[0]}'s term {data['term']} {rule} {VERBS[data['missing']]} factor {data['factor']}."


def _other_function(fact: Fact) -> str:
    if "activation" in fact.data:
        return in_words("Where the {where[0]} is wrong, it is the slope of {activation}.", fact)
    return f"{fact.data['returned']} itself is returned in place of the {fact.where[0]}."


def _lacks(what: str) -> Callable[[Fact], str]:
    """A message on a factor or a term that is missing or too much."""
    key = what.split()[0]
    return lambda fact: f"The {fact.where[0]} {VERBS[fact.data['missing']]} {what.format(fact.data[key])}."


MESSAGES: dict[Kind, Message] = {
    Kind.AT_INFINITY: "At z = {z:g} the {where} is {value}, but it tends to {expected}.",
    Kind.FORMULA_NOT_FINITE: _not_finite,
    Kind.FORMULA_REFUSED: "The formula does not run in {where}: {reason}.",
    Kind.JUNCTION: _junction,
    Kind.LEFT_TO_SAMPLING: lambda fact: (
        f"The slope is not proved for {first_few(fact.where, STRETCHES)}, where only samples were compared"
        + (f" ({fact.data['reason']})." if "reason" in fact.data else ".")
    ),
    Kind.LOST_TAIL: "The slope has no correct digit from z = {z:.4g} outwards: {value} instead of {expected}.",
    Kind.MINUS_ZERO: "The {where} is {value} at z = -0.0 and {expected} at 0.0, which is the same number.",
    Kind.NAN_SWALLOWED: "NaN becomes {value:g}, so a network that has diverged would look sound.",
    Kind.NOT_ELEMENTWISE: _not_elementwise,
    Kind.NUMBER_FORMAT: _number_format,
    Kind.VALUE_DEPENDS_ON_ARRAY: lambda fact: (
        in_words("Under {where[0]} the value is {value} instead of {expected} at z = {z:.6g}. ", fact)
        + f"It differs for {_stretches(fact)}."
    ),
    Kind.PLAIN_DIFFERENCES: "{where} uses differences of plain values, because the formula cannot take increments "
    "({reason}).",
    Kind.SAMPLED_ROUNDING: "Rounding in {where} was sampled and not bounded ({reason}).",
    Kind.SECOND_DERIVATIVE: _second_derivative,
    Kind.SHAPE_NOT_KEPT: "The {where} has shape {returned} for z of shape {shape}. It must keep the shape of z.",
    Kind.SHAPE_REFUSED: lambda fact: (
        f"The record cannot take {'one number' if fact.data['shape'] == '()' else 'shape ' + fact.data['shape']} "
        f"({fact.data['reason']})."
    ),
    Kind.SURROGATE: _surrogate,
    Kind.UNDECLARED_KINK: "The {part} jumps at {where}, where the record declares no kink.",
    Kind.CHAIN_RULE: _lacks("factor {} of the chain rule"),
    Kind.CONSTANT_SLOPE: "The {where} is the constant {constant}, where the derivative varies.",
    Kind.DROPPED_BRANCH: _not_finite,
    Kind.OTHER_ARGUMENT: "Where the {where} is wrong, it is computed from {used} instead of {expected}.",
    Kind.SLOPE_OF_ANOTHER: _other_function,
    Kind.OUTSIDE_ONE_SIDED: "At a junction, {where} must report the one-sided derivative, or at a kink a number "
    "between both.",
    Kind.PRODUCT_RULE: _product_rule,
    Kind.TERM: _lacks("term {}"),
}
