"""Messages about which mistake it is: relations between a wrong derivative and the right one."""

from harness.facts.fact import Fact
from harness.facts.kinds import Kind
from harness.facts.row import IMPORTS, SHOWN, Row, checked
from harness.facts.rule_messages import with_rule
from harness.facts.verdict_messages import NETWORK
from harness.wording import first_few


def _place(fact: Fact) -> str:
    """The part that is wrong, and of which output; "or" before a relation that fits as well as the one before it."""
    output = fact.data.get("output")
    place = f"{fact.where[0]} (of {output})" if output else fact.where[0]
    return f"Or, equally, {place}" if fact.data.get("alternative") else place


def _counted(fact: Fact) -> str:
    """In how many of the part's entries, unless it is all of them."""
    if not fact.data.get("right"):
        return ""
    return f" in {fact.data['wrong']} of {fact.data['wrong'] + fact.data['right']} entries"


def times(c: float) -> str:
    """A factor, with enough digits to tell it from 1."""
    return f"{c:.6g} times" if abs(c - 1.0) > 1e-4 else f"1 {'+' if c > 1.0 else '-'} {abs(c - 1.0):.3g} times"


SUMS = {
    "not-divided": "not divided by m",
    "divided-twice": "divided by m twice",
    "divided-by-one-less": "divided by m - 1",
}


def _before(fact: Fact) -> str:
    return " before the regulariser is added" if fact.data.get("before_regulariser") else ""


def _length(fact: Fact) -> str:
    """The array's length that the factor equals, or is one over, as if a sum and a mean were mixed up."""
    length = fact.data.get("length")
    if not length:
        return ""
    of = f"its axis {fact.data['axis']} has length" if "axis" in fact.data else "the number of entries is"
    makes = "a sum instead of a mean" if fact.data["factor"] > 1.0 else "a mean taken twice or instead of a sum"
    return f"; {of} {length}, so this may be {makes}"


def _factor(fact: Fact) -> str:
    sums = [SUMS[name] for name in fact.data.get("sums", ())]
    why = f", as if the sum over the examples were {' or '.join(sums)}" if sums else _length(fact)
    named = fact.data.get("named")
    multiple = f"{named} times" if named else times(fact.data["factor"])
    missing = f" The factor {fact.data['missing']} is missing." if "missing" in fact.data else ""
    return f"{_place(fact)}: {multiple} the right value{why}{_before(fact)}{_counted(fact)}.{missing}"


def _factor_by_slice(fact: Fact) -> str:
    factors, wrong = fact.data["factors"], fact.data["wrong"]
    shown = first_few([f"{times(factors[i])} in slice {i}" for i in wrong], 4)
    others = "" if len(wrong) == len(factors) else "; the others are right"
    return f"{_place(fact)}: each slice along axis {fact.data['axis']} has its own factor, {shown}{others}."


STRENGTHS = {
    "missing": "as if the regulariser were missing",
    "twice": "as if the regulariser were applied twice",
    "not-divided": "as if the regulariser were not divided by m",
    "half": "as if the regulariser kept a factor 1/2",
    "none-belongs": "as if the regulariser were applied where none belongs",
    "penalty": "as the derivative of a penalty c θ² is",
}


def _regulariser(fact: Fact) -> str:
    off = f"{_place(fact)}: off by {fact.data['multiple']:.6g} times θ"
    strength = fact.data.get("strength")
    if strength is None:  # another relation fits as well, so none is taken for the cause
        return f"{off}{_counted(fact)}."
    of = STRENGTHS.get(strength) or f"as if the regulariser were off by {fact.data['ratio']:.6g} times λ/m"
    return f"{off}, {of}{_counted(fact)}."


def _rearranged(fact: Fact) -> str:
    """How the entries were moved. A matrix has only one other order of axes, and of unrolling."""
    move, axes = fact.data["move"], fact.data.get("axes", ())
    if move == "irregular":
        return f"{_place(fact)}: the right numbers in other places."
    if move == "swapped":
        return f"{_place(fact)}: two entries are swapped."
    matrix = len(axes) == 2
    along = f" along axis {', '.join(map(str, axes))}"
    words = {
        "transposed": "transposed" if matrix else f"its axes are in the order {tuple(axes)}",
        "unrolled": "unrolled in another order"
        + (", row by row instead of column by column" if matrix else f", as if its axes were {tuple(axes)}"),
        "reversed": f"in reverse order{along}",
        "shifted": f"shifted by {fact.data.get('by')}{along}",
    }
    return f"{_place(fact)}: right, but {words[move]}."


def _single_entry(fact: Fact) -> str:
    """The entry's own name and the part that it is in, if other parts are wrong as well; or the part's name alone."""
    data, place = fact.data, fact.where[0]
    has_name = "among" in data
    part, which = (data["among"], f", {place},") if has_name else (place, "")
    inside = f" of {part}" if part else ""
    relative = f", {times(data['factor'])} the right value" if data["factor"] is not None else ""
    return (
        f"A single entry{inside}{which} is off by {data['error']:.3g}{relative}. "
        f"No other entry{inside} was found wrong."
    )


def _not_finite(fact: Fact) -> str:
    source = fact.data.get("source")
    what = f"{source} reports derivatives that are not finite: " if source else "Not finite in "
    return f"{what}{first_few(fact.where, SHOWN)}."


def _float32_digits(fact: Fact) -> str:
    off = fact.data["relative_error"]
    kept = "float32 keeps that many digits, and so does" if off > 1e-9 else "That many digits are left of"
    return f"{_place(fact)}: right to {off:.0e} of its largest entry. {kept} a finite difference."


ROWS = {
    Kind.CLIPPED: Row(
        lambda fact: f"{_place(fact)}: clipped at {fact.data['limit']:.6g}.",
        meaning="Entries beyond a limit are cut off at ± this limit, and all others are right.",
        cause="Gradient clipping was left on, or is part of the function that is checked.",
        example=checked("0.5 * t @ t, np.clip(t, -1, 1)", "np.array([0.5, -2.0, 3.0, 4.0])"),
        advice="Check the gradient before it is clipped.",
    ),
    Kind.CONSTANT_ERROR: Row(
        lambda fact: f"{_place(fact)}: off by the same {fact.data['error']:.6g}{_counted(fact)}.",
        meaning="Every wrong entry has the same absolute error.",
        cause="A constant was added to the gradient, or a term of the cost that is linear in θ was left out.",
        example=checked("0.5 * t @ t, t + 0.25"),
        advice="Look for a term that does not depend on the data.",
    ),
    Kind.FACTOR: Row(
        _factor,
        meaning="The reported derivative is the right one times a number.",
        cause="A mean is missing or taken twice, the 2 of a square is dropped, or a chain rule step is left out.",
        example=checked("t @ t, t"),
        advice="Look where this factor could come from: 1/m, 2, the learning rate, the number of outputs.",
    ),
    Kind.FACTOR_BY_SLICE: Row(
        _factor_by_slice,
        meaning="Each row, column or other slice of an array is the right derivative times a number of its own.",
        cause="A weight, a length or a learning rate is applied along the wrong axis, or twice.",
        example=IMPORTS + "c = np.array([[1.0], [2.0], [3.0]])\n"
        "report = check_gradient(lambda t: (0.5 * (t * t).sum(), c * t), np.arange(1.0, 7.0).reshape(3, 2))",
        advice="Look for an array with these numbers that is broadcast.",
    ),
    Kind.FLOAT32_DIGITS: Row(
        _float32_digits,
        meaning="Most entries are wrong, by errors as small as those of float32 numbers or of finite differences.",
        cause="A part of the computation runs in float32, or the gradient is itself a finite difference.",
        example=NETWORK + "def mine(problem, theta):\n    cost, gradient = SOURCES['loop'](problem, theta)\n"
        "    return cost, gradient.astype(np.float32).astype(float)\n"
        "report = cross_check(problem, theta, others | {'mine': mine})",
        advice="Compute in float64, or say which precision you mean.",
    ),
    Kind.NOT_FINITE: Row(
        _not_finite,
        meaning="Entries are NaN or infinite where the derivative is a number.",
        cause="Zero times infinity, a division by zero, or an overflow.",
        example=checked("0.5 * t @ t, t * np.nan", "np.array([1.0, -2.0])"),
        advice="Find the first operation whose result is not finite.",
    ),
    Kind.REARRANGED: Row(
        _rearranged,
        meaning="The entries are those of the right gradient in other places, most often moved in a regular way.",
        cause="A transpose is missing, two indices are exchanged, or an array is unrolled in another order.",
        example=checked("np.sin(t).sum(), np.cos(t).T", "np.linspace(0.1, 2, 9).reshape(3, 3)"),
        advice="Compare the shapes, the order of axes, and how θ is unrolled with how the gradient is.",
    ),
    Kind.REGULARISER: Row(
        _regulariser,
        meaning="The error is proportional to θ, as the gradient of a quadratic penalty is.",
        cause="The regulariser is missing, counted twice, or not divided by m.",
        example=checked("np.sin(t).sum() + 0.5 * t @ t, np.cos(t)"),
        advice="Compare the regulariser's share of the cost with its share of the gradient.",
    ),
    Kind.SIGN: Row(
        lambda fact: f"{_place(fact)}: the sign is wrong{_before(fact)}{_counted(fact)}.",
        meaning="The reported derivative is minus the right one.",
        cause="target - prediction stands where prediction - target belongs, or ascent for descent.",
        example=checked("0.5 * t @ t, -t"),
        advice="Look for a difference whose two sides are swapped.",
    ),
    Kind.SIGN_LOST: Row(
        lambda fact: f"{_place(fact)}: the size is right, and the sign is lost.",
        meaning="The reported derivative is the absolute value of the right one.",
        cause="An absolute value, a square root of a square or a norm stands in the backward pass.",
        example=checked("0.5 * t @ t, abs(t)", "np.array([1.0, -2.0, -0.5])"),
        advice="Look for abs, sqrt or norm in the code of the gradient.",
    ),
    Kind.SINGLE_ENTRY: Row(
        _single_entry,
        meaning="No other entry was found wrong, so the code may treat one index differently.",
        cause="A loop ends one too early, an index is off by one, or an entry is overwritten.",
        example=checked("0.5 * t @ t, t + [0, 0, 1e-3]"),
        advice="Look for code that treats this index by itself.",
    ),
    Kind.SQUARED: Row(
        lambda fact: f"{_place(fact)}: the squares of the right values.",
        meaning="Each reported derivative is the square of the right one.",
        cause="A factor is applied to itself, as with g * g where g * 1 belongs.",
        example=checked("0.5 * t @ t, t * t", "np.array([0.5, -2.0, 3.0])"),
        advice="Look for a product in which both sides are the same array.",
    ),
    Kind.WHOLE_NUMBERS: Row(
        lambda fact: (
            f"{_place(fact)} returns the same whole numbers at another θ, where the cost has another slope. They are "
            "rounded or cached."
            if fact.data.get("is_same")
            else f"{_place(fact)}: whole numbers in the place of the derivatives. Compute it in floating point."
        ),
        meaning="The right derivatives were cut off or rounded to whole numbers.",
        cause="The gradient is written into an array of integers, as np.zeros_like of integers is, or divided by `//`.",
        example=checked("t @ t, (2 * t).astype(int)", "np.array([1.3, -2.7, 3.1])"),
        advice="Give the array a floating point type.",
    ),
    Kind.SYMMETRISED: Row(
        lambda fact: f"{_place(fact)}: the {fact.data['combination']} of the right one and its transpose.",
        meaning="The derivative in a matrix was made symmetric.",
        cause="A formula for symmetric matrices is used for one that is not.",
        example=with_rule("0.5 * (g * jnp.cos(x) + (g * jnp.cos(x)).T)", "np.arange(9.0).reshape(3, 3)"),
        advice="Say in which convention a symmetric matrix is differentiated, or take the symmetrisation out.",
    ),
    Kind.ZERO: Row(
        lambda fact: f"{_place(fact)}: zero where it should not be{_counted(fact)}.",
        meaning="The derivative is reported as exactly zero and is not.",
        cause="A term was forgotten, a graph was detached, or an array was never filled.",
        example=checked("0.5 * t @ t, t * 0"),
        advice="Look where this part of the gradient is formed, and whether that line runs.",
    ),
}
