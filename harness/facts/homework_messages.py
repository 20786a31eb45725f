"""Messages about homework: submissions that are read, called, judged and graded."""

from collections.abc import Mapping
from typing import Any

from harness.facts.fact import Fact, Severity
from harness.facts.kinds import Kind
from harness.facts.row import Row, in_words
from harness.wording import counted, first_few

OFFER = "Offer a function of (nn_params, X, y, lambda) or of (W1, b1, W2, b2, X, y, lambda)."

COURSE_SIGNATURE = "(nn_params, input_layer_size, hidden_layer_size, num_labels, X, y, lambda)"

FUNCTIONS_SHOWN = 8

WRONG_SLOPE = "finds {value:.4g} for the slope of {expression} in {name} at {at}, where {expected:.4g} is right"

HELPER_FAULTS: Mapping[str, str] = {
    "shape": "returns an array of {type} and shape {shape}, where real numbers of shape {expected} are right",
    "value": "returns {value:.4g} at z = {z:g} in {of}, where {expected:.4g} is right",
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
    "missing": "the regulariser is missing",
}
"""What may be wrong with the share of the regulariser in a cost."""


def _call_failed(fact: Fact) -> str:
    data = fact.data
    given = f" with {', '.join(data['given'])}" if data.get("given") else ""
    action = f"Calling {data['function']}{given}" if data["function"] else "Running the file"
    where = f" ({fact.where[0]})" if fact.where else ""
    exercise = f" on {data['exercise']}" if data.get("exercise") else ""
    times = f" {data['times']} times" if data.get("times", 1) > 1 else ""
    return f"{action}{exercise}, it {data['event']}{where}{times}."


def _not_handed_in(fact: Fact) -> str:
    data = fact.data
    where = f" ({fact.where[0]})" if fact.where else ""
    source = f", from {data['source']}," if data["source"] else ""
    return f"{data['missing']}{source} is used and was not handed in{where}. Hand in the file that has it."


def _not_an_answer(fact: Fact) -> str:
    ending = ", and something else before" if fact.data["more_expected"] else ", which is no cost and no gradient"
    return f"{fact.where[0]} returns {fact.data['answer']}{ending}."


def _gradient_shape(fact: Fact) -> str:
    data = fact.data
    return f"{fact.where[0]} returns a gradient of {data['answer']}. θ has {data['expected']} entries."


def _no_function(fact: Fact) -> str:
    data = fact.data
    defined = first_few(data["defined"], FUNCTIONS_SHOWN) or "none"
    if data["unlike"]:
        return f"{data['unlike']} does not look like a function of θ, X and y. {OFFER}"
    if data["named"]:
        return f"There is no function {data['named']}. The file defines {defined}{data['similar'] or '.'}"
    return f"The file defines no function of θ, X and y of one hidden layer: it defines {defined}. {OFFER}"


def _part_missing(fact: Fact) -> str:
    rest = " What was returned is right." if fact.severity == Severity.DOUBT else ""
    return f"No {' and no '.join(fact.where)} was returned.{rest}"


def _cost_pattern(fact: Fact) -> str:
    data: Mapping[str, Any] = fact.data
    if data.get("decimals"):
        return f"The cost is wrong: it is rounded to {counted(data['decimals'], 'decimal')}."
    parts = [MEANS.get(data["mean"], ""), SHARES.get(data["share"], "")]
    return f"The cost is wrong: {' and '.join(filter(None, parts))}."


def _wrong_somewhere(fact: Fact) -> str:
    data, are = fact.data, "are" if fact.where[1:] else "is"
    return (
        f"The {' and the '.join(fact.where)} {are} wrong on {data['wrong']} of {counted(data['total'], 'problem')}, "
        f"and right on the others. The first that shows it: {data['first']}."
    )


ROWS: dict[Kind, Row] = {
    Kind.CALL_FAILED: Row(
        _call_failed,
        meaning="The submission's code raised an exception, ended its process or did not answer in time.",
        cause="A name that is defined nowhere, shapes that do not fit, an endless loop, or too much memory.",
        example="# def cost(theta, X, y, lam): return 1 / 0",
        advice="Call the function on a small problem yourself and mend the line that is named.",
    ),
    Kind.CELL_LEFT_OUT: Row(
        "Cell {cell} was left out: {reason}.",
        meaning="A code cell of the notebook could not be parsed, so the rest was graded without it.",
        cause="The cell holds prose, half a statement, or Python 2.",
        example="# A notebook with a code cell that holds `this is no code`.",
        advice="Correct the cell or make it a text cell.",
    ),
    Kind.CONVENTION_REFUSED: Row(
        "The rubric counts this convention as a bug: {where}.",
        meaning="The answers are right in a convention that the rubric refuses.",
        cause='The rubric has a line such as "labels from 0" = "bug".',
        example='# A rubric with "labels from 0" = "bug", and a submission whose labels start at 0.',
        advice="Follow the convention that the exercise asks for, or accept the other in the rubric.",
    ),
    Kind.CONVENTION_UNKNOWN: Row(
        "No convention that was tried explains the cost, so nothing was judged. "
        f"Offer a function of {COURSE_SIGNATURE}, as in the course.",
        meaning="Nothing in the answers is right or known in any way of calling the function.",
        cause="Parameters are laid out in an order that is not tried, or everything is wrong at once.",
        example="# A θ that is unrolled as b2, W2, W1, b1.",
        advice="Offer the course's signature, or judge this submission by hand.",
    ),
    Kind.COST_CONSTANT: Row(
        "The cost is {cost:g} whatever θ, X and y are. It is not computed yet.",
        meaning="The function returns the number that the exercise was handed out with, and no gradient but zeros.",
        cause="The line `J = 0` of the exercise was never replaced.",
        example="# def nn_cost_function(...): J = 0; grad = np.zeros(nn_params.shape); return J, grad",
        advice="Compute the cost from the forward pass.",
    ),
    Kind.COST_PATTERN: Row(
        _cost_pattern,
        meaning="No bug of the zoo gives this cost, but a simple change of the right formula does.",
        cause="A loop that ends one example early, a sign, or an operator that binds otherwise than it looks.",
        example="# J += lam / 2 * m * np.sum(Theta1[:, 1:] ** 2)",
        advice="Compare this term with the formula of the course.",
    ),
    Kind.CLASSES_FROM_Y: Row(
        "Where a class is not in y, the answer is wrong. This costs no points.",
        meaning="The code is right for any y that has all classes, and takes the classes from y.",
        cause="np.unique(y), or an encoder that is fitted to y, counts the classes.",
        example="# Y = OneHotEncoder().fit_transform(y.reshape(-1, 1)).toarray()",
        advice="Take the number of classes from the arguments: np.eye(num_labels)[y - 1].",
    ),
    Kind.COURSE_SIZE_ONLY: Row(
        "The function was called at {where} only: at other sizes it does not run, or is wrong.",
        meaning="The code works for the course's network and data, and for no other.",
        cause="Sizes such as 25, 401 or 5000 stand in the code.",
        example="# Theta1 = nn_params[:25 * 401].reshape(25, 401)",
        advice="Take the sizes from the arguments.",
    ),
    Kind.FEW_ANSWERS: Row(
        "Too few problems were answered with something that can be compared ({answered} of {total}).",
        meaning="The verdict would rest on less than a fifth of the problems.",
        cause="The function raises on most problems, or declares that they are not for it.",
        example="# A source that raises NotApplicable for all problems but those of a thousand examples.",
        advice="Draw problems that the function is written for (--sizes, --output, --activation).",
    ),
    Kind.GRADIENT_SHAPE: Row(
        _gradient_shape,
        meaning="The gradient must have one entry for each entry of θ.",
        cause="A layer or the biases are missing in what is returned.",
        example="# return J, grad[:-1]",
        advice="Return the gradients of all matrices, unrolled as θ is.",
    ),
    Kind.GRADING_FAILED: Row(
        "Grading this submission failed: {reason}.",
        meaning="An error in the grader itself; the other submissions got their grades.",
        cause="The machine ran out of processes or memory.",
        example="# A machine that can start no more processes.",
        advice="Grade this submission again, by itself. Report the error if it stays.",
    ),
    Kind.HELPER_WRONG: Row(
        lambda fact: f"{fact.where[0]} {in_words(HELPER_FAULTS[fact.data['fault']], fact)}.",
        meaning="A helper beside the cost function does not compute what its name says.",
        cause="It is unfinished, or handles only one of numbers, vectors and matrices.",
        example="# def sigmoid_gradient(z): return sigmoid(z)",
        advice="Try the helper on a few numbers whose result you know.",
    ),
    Kind.NO_HOMEWORK_FUNCTION: Row(
        _no_function,
        meaning="Functions are found by the names of their parameters, and by their order.",
        cause="The file is another exercise, or its function takes none of θ, X and y.",
        example="# A file that defines sigmoid alone.",
        advice="Name the parameters as in the course, or name the function with --function.",
    ),
    Kind.LAYERS_WRONG: Row(
        "The gradient is wrong in {where}.",
        meaning="These blocks of the gradient differ from the right ones; the others are right.",
        cause="A mistake in an output layer shows in that layer and in all before it.",
        example="# A page of `harness grade --hints layer` about a gradient that is wrong.",
        advice="Start at the last of these layers, and follow the error backwards.",
    ),
    Kind.LIBRARY_GRADIENT: Row(
        "{where} uses {library}, which computes gradients.",
        meaning="The code imports a library that differentiates, and names what does so.",
        cause="The gradient is a library's, or a check of one's own compares with it.",
        example="# gradient = jax.grad(cost)",
        advice="Look whether the homework's gradient comes from there.",
    ),
    Kind.LINKED_FILE: Row(
        "{where} is a link to {target}.",
        meaning="A file of the submission is a symbolic link, so that the code of another place was graded.",
        cause="An archive was unpacked with its links, or the link leads to a neighbour's file.",
        example="# ln -s ../smith/ex4.py ex4.py",
        advice="Ask for the file itself.",
    ),
    Kind.NOT_HANDED_IN: Row(
        _not_handed_in,
        meaning="The code needs a module, a function or a data file that is not in the submission or on this machine.",
        cause="The helper of an earlier exercise, the course's own utilities, or a library such as pandas.",
        example="# from ex2.sigmoid import sigmoid, with no folder ex2",
        advice="Students: hand in that file as well. Teachers: name the folder that holds it, by --with DIR for code "
        "or --data DIR for data, or install the library.",
    ),
    Kind.OTHER_EXERCISE: Row(
        "This is the homework of another exercise: {where} belongs to {exercise}. It was not graded.",
        meaning="Nothing is right for this exercise. The code names data or helpers of another one, or its functions "
        "take a θ with one entry for each input.",
        cause="The wrong file was handed in.",
        example="# from planar_utils import load_planar_dataset",
        advice="Students: hand in the file of this exercise. Teachers: ask for it.",
    ),
    Kind.NOT_AN_ANSWER: Row(
        _not_an_answer,
        meaning="A cost is one real number, and a gradient is an array of real numbers.",
        cause="The return statement is missing, or it returns text or an object.",
        example="# def nn_cost_function(...): ...; print(J)",
        advice="End the function with `return J, grad`.",
    ),
    Kind.PROBLEMS_SKIPPED: Row(
        "The source raised NotApplicable for {count:problem}.",
        meaning="The source declared that these problems are not for it, so they were left out.",
        cause="It is written for some sizes, outputs or activations only.",
        example="# raise NotApplicable('it has one hidden layer')",
        advice="Draw problems that it is written for (--sizes, --output, --activation).",
    ),
    Kind.NOT_READABLE: Row(
        "{where} cannot be read: {reason}.",
        meaning="The file is not Python 3 or no notebook, so none of it was run.",
        cause="A syntax error, unusual Python 2, a damaged file, or a folder in the place of a file.",
        example="# A file that holds `def cost(theta, X, y, lam:`.",
        advice="Run the file with Python 3 and mend the line that is named.",
    ),
    Kind.PART_MISSING: Row(
        _part_missing,
        meaning="Only a cost or only a gradient could be had from the submission.",
        cause="The exercise is half done, or the other half is in a function that was not found.",
        example="# def nn_cost_function(...): ...; return J",
        advice="Return both, or offer a second function for the other.",
    ),
    Kind.SAME_CODE: Row(
        "The same code is in {where}: {functions}.",
        meaning="These functions or classes have the same syntax trees, whatever their comments and blanks are.",
        cause="A copy, work in pairs, a published solution, or what was handed out.",
        example="# Two files that differ in comments alone.",
        advice="Compare the files. Names that were changed hide a copy from this remark.",
    ),
    Kind.WHOLE_FILE_RUN: Row(
        "More of the file was run: what sets names that its functions read.",
        meaning="By default only imports, functions and constants of a file are run.",
        cause="A function reads data that the file loads when it is run.",
        example="# DATA = loadmat('ex4data1.mat'), which the cost function reads.",
        advice="Pass the data as an argument.",
    ),
    Kind.WRONG_SOMEWHERE: Row(
        _wrong_somewhere,
        meaning="Problems differ in sizes, number of examples, λ and data, and one of these is handled wrongly.",
        cause="A special case for one example or a large λ, or a loop that ends at a fixed number.",
        example="# def cost(theta, X, y, lam): lam = min(lam, 5); ...",
        advice="Call the function on the problem that is named, and on one beside it where it is right.",
    ),
}
