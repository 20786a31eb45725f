"""Messages about a wrong slope of an activation: which mistake makes it."""

from collections.abc import Callable

from harness.facts.activation_messages import EXAMPLE, FORMULA, TANH, not_finite
from harness.facts.fact import Fact
from harness.facts.kinds import Kind
from harness.facts.row import Row


def _product_rule(fact: Fact) -> str:
    data, rule = fact.data, "of the product rule for z·g(z)"
    if "factor" not in data:
        return f"The {fact.where[0]} lacks the term {data['term']} {rule}."
    verb = "lacks the factor" if data["missing"] else "has the surplus factor"
    return f"The {fact.where[0]}'s term {data['term']} {rule} {verb} {data['factor']}."


def _other_function(fact: Fact) -> str:
    if "activation" in fact.data:
        return f"This is the slope of {fact.data['activation']}."
    return f"{fact.data['returned']} itself is returned in place of the {fact.where[0]}."


def _lacks(what: str) -> Callable[[Fact], str]:
    """A message on a factor or a term that is missing or too much."""
    key = what.split()[0]
    return lambda fact: (
        f"The {fact.where[0]} lacks the {what.format(fact.data[key])}."
        if fact.data["missing"]
        else f"The {fact.where[0]} has the surplus {what.format(fact.data[key])}."
    )


ROWS = {
    Kind.CHAIN_RULE: Row(
        _lacks("factor {} of the chain rule"),
        meaning="The reported slope, multiplied or divided by one function, is the derivative.",
        cause="The inner derivative was forgotten, or applied twice.",
        example=FORMULA.format(value="xp.tanh(z * z)", slope="1.0 - a * a"),
        advice="Differentiate the inner function, too, and multiply by its derivative once.",
    ),
    Kind.CONSTANT_SLOPE: Row(
        "The {where} is the constant {constant}, where the derivative varies.",
        meaning="Wherever the slope is wrong, it is one number.",
        cause="A branch for large |z| starts too early, or the wrong branch is taken.",
        example=TANH.format(slope="np.where((z > 1.0) * (z < 2.0), 0.5, 1.0 - a * a)"),
        advice="Compare the condition of this branch with the formula's.",
    ),
    Kind.DROPPED_BRANCH: Row(
        not_finite,
        meaning="jax.grad of the formula is NaN or infinite where the derivative is a number. Others decide there.",
        cause="Reverse mode differentiates both branches of where(z > 0, z, exp(z) - 1): infinity times zero is NaN.",
        example=FORMULA.format(value="xp.where(z > 0.0, z, xp.exp(z) - 1.0)", slope="np.where(z > 0.0, 1.0, a + 1.0)"),
        advice="Guard the argument as well: where(z > 0, z, exp(where(z > 0, 0, z)) - 1).",
    ),
    Kind.OTHER_ARGUMENT: Row(
        "The {where} is computed from {used}, where {expected} belongs.",
        meaning="The reported slope is the right formula at another argument.",
        cause="z and a = f(z) were mixed up, or two branches are swapped.",
        example=EXAMPLE + "report = check_activation(Activation('mine', tanh.value, lambda z, a: 1.0 - z * z))",
        advice="Check which of z and a the formula is written for, and the sign in its conditions.",
    ),
    Kind.SLOPE_OF_ANOTHER: Row(
        _other_function,
        meaning="The reported slope is right for another function.",
        cause="The slope was copied from another activation, or the value was returned.",
        example=EXAMPLE + "report = check_activation(Activation('mine', ACTIVATIONS['silu'].value, "
        "ACTIVATIONS['gelu'].slope))",
        advice="Replace it by this function's own derivative.",
    ),
    Kind.OUTSIDE_ONE_SIDED: Row(
        "At a junction, {where} must report the one-sided derivative, or at a kink a number between both.",
        meaning="The slope at a single point is neither of the one-sided derivatives nor between them.",
        cause="A special case for one z has a wrong value.",
        example=EXAMPLE + "slope = lambda z, a: np.where(z == 0.0, 9.0, (z > 0.0) * 1.0)\n"
        "report = check_activation(Activation('mine', ACTIVATIONS['relu'].value, slope, kinks=(0.0,)))",
        advice="Return one of the one-sided derivatives there.",
    ),
    Kind.PRODUCT_RULE: Row(
        _product_rule,
        meaning="f(z) = z·g(z) has the slope g(z) + z·g'(z), and one of both terms is missing or wrong.",
        cause="The product rule was applied to one factor only.",
        example=EXAMPLE + "report = check_activation(Activation('mine', ACTIVATIONS['silu'].value, "
        "lambda z, a: 0.5 + 0.5 * np.tanh(0.5 * z)))",
        advice="Write both terms, g'(z) with all factors of its chain rule.",
    ),
    Kind.TERM: Row(
        _lacks("term {}"),
        meaning="The error is a multiple of one known function.",
        cause="A term was forgotten or added.",
        example=TANH.format(slope="1.0 - a * a + 1e-3 * np.sin(z)"),
        advice="Compare the slope with the derivative term by term.",
    ),
}
