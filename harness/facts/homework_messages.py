"""Messages about homework: submissions that are read, called, judged and graded."""

from collections.abc import Mapping
from typing import Any

from harness.facts.fact import Fact, Severity
from harness.facts.kinds import Kind
from harness.facts.templates import Message, in_words
from harness.wording import counted, first_few

OFFER = "Offer a function of (nn_params, X, y, lambda) or of (W1, b1, W2, b2, X, y, lambda)."

COURSE_SIGNATURE = "(nn_params, input_layer_size, hidden_layer_size, num_labels, X, y, lambda)"

FUNCTIONS_SHOWN = 8

WRONG_SLOPE = "finds {value} for the slope of {expression} in {name} at {at}, where {expected} is right"

HELPER_FAULTS: Mapping[str, str] = {
    "nothing": "returns None",
    "shape": "returns an array of {type} and shape {shape}, where real numbers of shape {expected} are right",
    "value": "returns {value} at z = {z:g} in {of}, where {expected} is right",
    "slope-handed-z": "returns {value} at z = {z:g}, where {expected} is right. It is the slope at a = σ(z), and it "
    "gets z, which makes the gradient wrong",
    "start-shape": "returns shape {shape} for {inputs} inputs and {outputs} outputs, where {expected} is right",
    "start-repeats": "returns weights that are not all different, so hidden units stay alike",
    "start-range": "returns weights that are not small numbers of both signs",
    "prediction-shape": "returns shape {shape} for {expected} examples",
    "prediction-value": "puts {wrong} of {total} examples into another class",
    "slope": WRONG_SLOPE,
    "slope-deeper": f"{WRONG_SLOPE}: it must go back from the last operation, and use the gradient of each result",
    "slope-twice": f"{WRONG_SLOPE}: it must add up the parts of a value that is used twice",
    "not-comparable": "returns something that cannot be compared ({reason})",
}
"""By the fault of a helper: what it does, after its name."""

MEANS: Mapping[str, str] = {
    "last-example-missing": "the last example adds nothing to it",
    "first-example-missing": "the first example adds nothing to it",
    "last-example-twice": "the last example is counted twice",
    "last-class-missing": "the last class adds nothing to it",
    "first-class-missing": "the first class adds nothing to it",
    "divided-twice": "the sum over the examples is divided by m twice",
    "second-term-sign": "the term (1 - y) log(1 - h) has the wrong sign",
    "first-term-sign": "the term y log h has the wrong sign",
}
"""What may be wrong with the mean over the examples in a cost."""

SHARES: Mapping[str, str] = {
    "times-m-squared": "the regulariser is m² times too large, as with λ / 2 * m in place of λ / (2 * m)",
    "divided-twice": "the regulariser is divided by m twice",
    "over-one-less": "the regulariser is divided by m - 1 in place of m",
}
"""What may be wrong with the share of the regulariser in a cost."""


def _call_failed(fact: Fact) -> str:
    data = fact.data
    given = f" with {', '.join(data['given'])}" if data.get("given") else ""
    where = f" ({fact.where[0]})" if fact.where else ""
    exercise = f" on {data['exercise']}" if data.get("exercise") else ""
    called = f", called{given}{exercise}," if data["function"] and (given or exercise) else ""
    times = f" {data['times']} times" if data.get("times", 1) > 1 else ""
    return f"{data['function'] or 'The file'}{called} {data['event']}{where}{times}."


def _convention_unknown(fact: Fact) -> str:
    if "float16" in fact.data.get("precisions", ()):
        return "The code names float16, which keeps three digits, and nothing was judged. Compute in float64."
    explains = "No convention that was tried explains the cost, so nothing was judged."
    return f"{explains} Offer a function of {COURSE_SIGNATURE}, as in the course."


def _not_handed_in(fact: Fact) -> str:
    data = fact.data
    where = f" ({fact.where[0]})" if fact.where else ""
    missing = f"{data['missing']}, from {data['source']}," if data["source"] else data["missing"]
    return f"{missing} is used, and is neither handed in nor installed{where}. Hand it in, or ask for the library."


def _not_an_answer(fact: Fact) -> str:
    forms = {
        "": "{where[0]} returns {answer}, which is no cost and no gradient.",
        "gradient": "{where[0]} returns a number and no gradient: the rest is {answer}.",
        "more": "{where[0]} returns {answer}, and something else before.",
    }
    return in_words(forms[fact.data["missing"]], fact)


def _no_function(fact: Fact) -> str:
    data = fact.data
    defined = first_few(data["defined"], FUNCTIONS_SHOWN) or "no function"
    if data["unlike"]:
        return f"{data['unlike']} does not look like a function of θ, X and y. {OFFER}"
    if data["named"]:
        return f"There is no function {data['named']}. The file defines {defined}{data['similar'] or '.'}"
    missing = f"no function of θ, X and y of one hidden layer: it defines {defined}" if data["defined"] else defined
    return f"The file defines {missing}. {OFFER}"


def _part_missing(fact: Fact) -> str:
    rest = " What was returned is right." if fact.severity == Severity.DOUBT else ""
    return f"No {' and no '.join(fact.where)} was returned.{rest}"


def _taken(name: str, times: float) -> str:
    """How a regulariser takes the squares of weights, which stand in it once, or of biases, which do not."""
    return f"lacks the {name}" if not times else f"includes the {name}" + (f" {times:g} times" if times != 1.0 else "")


def _cost_pattern(fact: Fact) -> str:
    data: Mapping[str, Any] = fact.data
    if data.get("decimals"):
        return f"The cost is wrong: it is rounded to {counted(data['decimals'], 'decimal')}."
    squares = [_taken(name, times) for name, times in data.get("squares", {}).items()]
    sums = f"the regulariser {' and '.join(squares)}" if squares else ""
    parts = [MEANS.get(data["mean"], ""), SHARES.get(data["share"], ""), sums]
    return f"The cost is wrong: {' and '.join(filter(None, parts))}."


def _wrong_somewhere(fact: Fact) -> str:
    data, are = fact.data, "are" if fact.where[1:] else "is"
    return (
        f"The {' and the '.join(fact.where)} {are} wrong on {data['wrong']} of {counted(data['total'], 'problem')}, "
        f"and right on the others. The first that shows it: {data['first']}."
    )


MESSAGES: dict[Kind, Message] = {
    Kind.CALL_FAILED: _call_failed,
    Kind.CELL_LEFT_OUT: "Cell {cell} was left out: {reason}.",
    Kind.CONVENTION_REFUSED: "The rubric counts this convention as a bug: {where}.",
    Kind.CONVENTION_UNKNOWN: _convention_unknown,
    Kind.COST_CONSTANT: "The cost is {cost:g} whatever θ, X and y are. It is not computed yet.",
    Kind.COST_PATTERN: _cost_pattern,
    Kind.CLASSES_FROM_Y: "Where a class is not in y, the answer is wrong. This costs no points.",
    Kind.COURSE_SIZE_ONLY: "The function was called at {where} only: at other sizes it does not run, or is wrong.",
    Kind.FEW_ANSWERS: "Too few problems were answered with something that can be compared ({answered} of {total}).",
    Kind.GRADIENT_SHAPE: "{where[0]} returns {answer}, which is no gradient: θ has {expected} entries.",
    Kind.GRADING_FAILED: "Grading this submission failed: {reason}.",
    Kind.HELPER_WRONG: lambda fact: f"{fact.where[0]} {in_words(HELPER_FAULTS[fact.data['fault']], fact)}.",
    Kind.NO_HOMEWORK_FUNCTION: _no_function,
    Kind.LAYERS_WRONG: "The gradient is wrong in {where}.",
    Kind.LIBRARY_GRADIENT: "{where} uses {library}, which computes gradients.",
    Kind.LINKED_FILE: "{where} is a link to {target}.",
    Kind.NOT_HANDED_IN: _not_handed_in,
    Kind.OTHER_EXERCISE: "This is the homework of another exercise: {where} belongs to {exercise}. It was not graded.",
    Kind.NOT_AN_ANSWER: _not_an_answer,
    Kind.PROBLEMS_SKIPPED: "The source raised NotApplicable for {count:problem}.",
    Kind.NOT_READABLE: "{where} cannot be read: {reason}.",
    Kind.PART_MISSING: _part_missing,
    Kind.SAME_CODE: "The same code is in {where}: {functions}.",
    Kind.WHOLE_FILE_RUN: "More of the file was run: what sets names that its functions read.",
    Kind.WRONG_SOMEWHERE: _wrong_somewhere,
}
