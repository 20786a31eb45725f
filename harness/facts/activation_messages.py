"""Messages about activations: their records, junctions and digits."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from harness.facts.fact import Fact
from harness.facts.kinds import Kind
from harness.facts.row import Row
from harness.wording import distinct_digits, first_few

EXAMPLE = (
    "import math\nimport numpy as np\nfrom harness import ACTIVATIONS, Activation, check_activation\n"
    "tanh = ACTIVATIONS['tanh']\n"
)
TANH = EXAMPLE + "report = check_activation(Activation('mine', tanh.value, lambda z, a: {slope}))"
FORMULA = EXAMPLE + "report = check_activation(Activation('mine', lambda xp, z: {value}, lambda z, a: {slope}))"

OF_VECTORS = "check_jacobian and check_derivatives take functions of whole vectors, such as softmax"

NO_KINK = 1e-6
"""Relative: one-sided derivatives that differ by more are said to differ, though rounding may explain it."""

STRETCHES = 4
"""So many stretches of z are written out in a message."""


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
    if data["jumps"]:
        kind = "A kink" if data["declared"] else "An undeclared kink"
        return f"{kind} at {place}: the slope goes from {data['left']:.6g} to {data['right']:.6g}{_convention(fact)}."
    if abs(data["right"] - data["left"]) > NO_KINK * max(1.0, abs(data["left"])):
        return (
            f"The slope at {place} goes from {data['left']:.6g} to {data['right']:.6g}, which rounding may "
            f"explain{_convention(fact)}."
        )
    apart = f" to within {abs(data['right'] - data['left']):.1g}" if data["left"] != data["right"] else ""
    return f"No kink at {place}: the slope is {data['left']:.6g} on both sides{apart}{_convention(fact)}."


def _convention(fact: Fact) -> str:
    """What is claimed at a junction, beside what JAX computes there."""
    data, number = fact.data, fact.where[0].rpartition(" = ")[2]
    if not data["declared"] and data["jumps"]:
        return f". Declare it with kinks=({number}, ...)"
    claimed = f". The record reports {data['claimed'] + 0.0:.6g} there"  # no negative zero
    if math.isnan(data["jax"]):
        return claimed
    return f"{claimed}, as JAX does" if data["follows_jax"] else f"{claimed}, and JAX computes {data['jax']:.6g}"


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


def not_finite(fact: Fact) -> str:
    part = "JAX's slope of the formula" if fact.where[0] == "jax" else f"The {fact.where[0]}"
    broken = f"{part} is not finite for {_stretches(fact)}."
    if "expected" not in fact.data:
        return broken
    return f"{broken} It could be finite: {fact.data['expected']:.6g} at z = {fact.data['z']:.6g}."


def _minus_zero(fact: Fact) -> str:
    here, there = distinct_digits(fact.data["value"], fact.data["expected"])
    return f"The {fact.where[0]} is {here} at z = -0.0 and {there} at 0.0, which is the same number."


def _at_infinity(fact: Fact) -> str:
    here, limit = distinct_digits(fact.data["value"], fact.data["expected"])
    return f"At z = {fact.data['z']:g} the {fact.where[0]} is {here}, but it tends to {limit}."


def _surrogate(fact: Fact) -> str:
    data = fact.data
    if "value" not in data:
        return f"The slope of {first_few(fact.where, 3)} is a surrogate, so the cost has another derivative."
    return f"The surrogate is no derivative: {fact.where[0]} = {data['value']:.6g}, and f has {data['expected']:.6g}."


def _second_derivative(fact: Fact) -> str:
    if not fact.where:
        return "The second derivative is not known, because the slope cannot take tangents."
    return f"The second derivative is at most {fact.data['largest']:.6g} in size on the grid, at {fact.where[0]}."


ROWS = {
    Kind.AT_INFINITY: Row(
        _at_infinity,
        meaning="A network that overflows evaluates the activation at ±inf, and gets another number than the limit.",
        cause="inf · 0 or inf - inf in the formula, which is NaN.",
        example="from harness import check_activation\nreport = check_activation('silu')",
        advice="Nothing, unless overflow is expected: silu, gelu and mish of PyTorch and JAX do the same.",
    ),
    Kind.FORMULA_NOT_FINITE: Row(
        not_finite,
        meaning="The value or the slope overflows, or divides zero by zero, at these z.",
        cause="exp of a large number on the way to a result that would be finite.",
        example=FORMULA.format(value="xp.log(1.0 + xp.exp(z))", slope="0.5 + 0.5 * np.tanh(0.5 * z)"),
        advice="If it could be finite, write the formula stably, as with log1p, expm1 or logaddexp.",
    ),
    Kind.FORMULA_REFUSED: Row(
        "The formula does not run in {where}: {reason}.",
        meaning="This oracle or number format takes no part in the check; the others do.",
        cause="The formula calls np. or math. functions, branches with `if`, or writes into its argument.",
        example=FORMULA.format(value="np.tanh(z)", slope="1.0 - a * a"),
        advice="Write the formula over xp, as xp.tanh(z), so that every oracle can run it.",
    ),
    Kind.JUNCTION: Row(
        _junction,
        meaning="Two formula pieces meet here. At a kink any slope between the one-sided derivatives is a convention.",
        cause="where, maximum, abs, or a formula written in pieces.",
        example="from harness import check_activation\nreport = check_activation('relu')",
        advice="Declare kinks, and report what JAX computes, if gradients by hand should match automatic ones.",
    ),
    Kind.LEFT_TO_SAMPLING: Row(
        lambda fact: (
            f"The slope is not proved for {first_few(fact.where, STRETCHES)}, where only samples were compared"
            + (f" ({fact.data['reason']})." if "reason" in fact.data else ".")
        ),
        meaning="An error between the samples could go unnoticed there. Elsewhere in [-30, 30] the slope is proved.",
        cause="Rounding near a removable singularity, or a function without a rule.",
        example=FORMULA.format(value="xp.abs(z - 0.3)", slope="np.sign(z - 0.3)"),
        advice="Nothing, or write the formula over xp and declare its kinks.",
    ),
    Kind.LOST_TAIL: Row(
        "The slope has no correct digit from z = {z:.4g} outwards: {value:.2g} instead of {expected:.2g}.",
        meaning="Rounding explains this error, or it is below the floor in the details, 1e-14 of the mean slope for "
        "|z| <= 6. So no verdict follows. A formula that does not cancel keeps these digits.",
        cause="1 - a, where a has rounded to 1.",
        example=EXAMPLE
        + "report = check_activation(Activation('mine', ACTIVATIONS['sigmoid'].value, lambda z, a: a * (1.0 - a)))",
        advice="Compute the small factor directly, such as σ(-z) for 1 - σ(z).",
    ),
    Kind.MINUS_ZERO: Row(
        _minus_zero,
        meaning="-0.0 and 0.0 are equal, so a function of z has one value there.",
        cause="copysign, signbit or a division by z.",
        example=TANH.format(slope="1.0 - a * a + 1e-9 * np.signbit(z)"),
        advice="Add 0.0 to z first: -0.0 + 0.0 is 0.0.",
    ),
    Kind.NAN_SWALLOWED: Row(
        "NaN becomes {value:g}, so a network that has diverged would look sound.",
        meaning="The activation maps NaN to a number.",
        cause="where(z > 0, z, 0) takes its second branch for NaN.",
        example=FORMULA.format(value="xp.where(z > 0.0, z, 0.0)", slope="(z > 0.0) * 1.0"),
        advice="Use maximum(z, 0), which keeps NaN.",
    ),
    Kind.NOT_ELEMENTWISE: Row(
        _not_elementwise,
        meaning="An entry of the result depends on other entries, so the derivative is a Jacobian and no slope.",
        cause="A mean, a sum, a sort, or a fixed index, of z or of the gradient that a backward is given.",
        example=FORMULA.format(value="z - xp.mean(z)", slope="np.ones_like(z)"),
        advice="Compute each entry from the same entry of z alone. A softmax, a GLU, a maxout or a norm has a "
        "Jacobian: use check_jacobian(f, z, jac) or (f, z, vjp=vjp), and check_derivatives(f, z) over jnp.",
    ),
    Kind.NUMBER_FORMAT: Row(
        _number_format,
        meaning="How many decimal digits value and slope keep in this number format, at the worst z that a search "
        "finds. Beside a zero of the slope, the slope's size nearby is the measure.",
        cause="Every record loses some: a formula without cancellation loses one at most.",
        example="from harness import check_activation\nreport = check_activation('tanh')",
        advice="If errors are large where it matters, rewrite the formula; if it overflows there, scale its argument.",
    ),
    Kind.VALUE_DEPENDS_ON_ARRAY: Row(
        lambda fact: (
            f"Under {fact.where[0]} the value is {fact.data['value']!r} instead of {fact.data['expected']!r} at "
            f"z = {fact.data['z']:.6g}. It differs for {_stretches(fact)}."
        ),
        meaning="The formula computes another function for this kind of array, so this oracle checks another function.",
        cause="The formula branches on the type of its argument, or on xp.name.",
        example=FORMULA.format(value="xp.sin(z) if xp.name == 'jax' else xp.tanh(z)", slope="1.0 - a * a"),
        advice="Write one formula over xp.",
    ),
    Kind.PLAIN_DIFFERENCES: Row(
        "{where} uses differences of plain values, because the formula cannot take increments ({reason}).",
        meaning="These differences cancel, so they know fewer digits than differences by increments.",
        cause="The formula calls functions that are not of xp.",
        example=FORMULA.format(value="np.vectorize(math.tanh, otypes=[float])(z)", slope="1.0 - a * a"),
        advice="Write the formula over xp, to have it checked more sharply.",
    ),
    Kind.SAMPLED_ROUNDING: Row(
        "Rounding in {where} was sampled and not bounded ({reason}).",
        meaning="The error bound is an estimate, so it is widened before anybody is accused by it.",
        cause="The formula calls a function that has no rounding rule.",
        example=FORMULA.format(value="np.vectorize(math.tanh, otypes=[float])(z)", slope="1.0 - a * a"),
        advice="Write the formula over xp, to have a derived bound.",
    ),
    Kind.SECOND_DERIVATIVE: Row(
        _second_derivative,
        meaning="f'' on the grid, computed from the reported slope, because order=2 was given.",
        cause="The check was called with order=2.",
        example="from harness import check_activation\nreport = check_activation('tanh', order=2)",
        advice="Read report.details['order 2'].",
    ),
    Kind.SHAPE_NOT_KEPT: Row(
        "The {where} has shape {returned} for z of shape {shape}. It must keep the shape of z.",
        meaning="In a network such a result broadcasts in an unexpected way, or raises. One number works, as a note.",
        cause="ravel, reshape, a list comprehension over rows, or a constant slope that is written as a number.",
        example=FORMULA.format(value="xp.tanh(z).reshape(-1)", slope="(1.0 - a * a).reshape(-1)"),
        advice="Return an array of z's shape, such as np.full_like(z, 2.0) for 2.0.",
    ),
    Kind.SHAPE_REFUSED: Row(
        lambda fact: (
            f"The record cannot take {'one number' if fact.data['shape'] == '()' else 'shape ' + fact.data['shape']} "
            f"({fact.data['reason']})."
        ),
        meaning="Networks call activations with matrices; other shapes are only noted.",
        cause="A loop over entries, or a fixed number of dimensions.",
        example=FORMULA.format(value="xp.tanh(z)", slope="np.array([1.0 - x * x for x in a])"),
        advice="Use functions of xp, which take every shape.",
    ),
    Kind.SURROGATE: Row(
        _surrogate,
        meaning="The slope is no derivative on purpose, so it is reported and not judged.",
        cause="The record has surrogate=True.",
        example=FORMULA.format(value="xp.where(z > 0.0, 1.0, 0.0 * z)", slope="1.0 / (1.0 + z * z), surrogate=True"),
        advice="Nothing, if a surrogate is what you want.",
    ),
    Kind.UNDECLARED_KINK: Row(
        "The {part} jumps at {where}, where the record declares no kink.",
        meaning="Declared kinks are conventions. An undeclared one may be a mistake in a piece, and a value that jumps "
        "has no slope there.",
        cause="kinks=(...) is missing, or two pieces should meet and do not, as those of floor.",
        example=FORMULA.format(value="xp.maximum(z, 0.0)", slope="(z > 0.0) * 1.0"),
        advice="Declare it in kinks=(...), if it belongs there; use surrogate=True for a slope of your own.",
    ),
}
