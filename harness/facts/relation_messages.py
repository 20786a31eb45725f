"""Messages about which mistake it is: relations between a wrong derivative and the right one."""

from harness.facts.fact import Fact
from harness.facts.kinds import Kind
from harness.facts.templates import Message, places_of
from harness.wording import first_few


def _place(fact: Fact) -> str:
    """The parts that are wrong, and of which output; "or" before a relation that fits as well as the one before it."""
    output = fact.data.get("output")
    place = f"{places_of(fact)} (of {output})" if output else places_of(fact)
    return f"Or, equally, {place}" if fact.data.get("alternative") else place


def _counted(fact: Fact) -> str:
    """In how many of the part's entries, unless it is all of them."""
    if not fact.data.get("right"):
        return ""
    return f" in {fact.data['wrong']} of {fact.data['wrong'] + fact.data['right']} entries"


NEARLY = 1e-4  # a factor that differs by less from 1 or -1 is told as such

LEFT_BY_FLOAT32 = 1e-8
"""The least error, as a share of the largest entry, that float32 is taken to leave: its unit roundoff is 6e-8."""


def times(c: float) -> str:
    """A factor, with enough digits to tell it from 1."""
    return f"{c:.6g} times" if abs(c - 1.0) > NEARLY else f"1 {'+' if c > 1.0 else '-'} {abs(c - 1.0):.3g} times"


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
    return f"{off}{_counted(fact)}, {of}."


def _rearranged(fact: Fact) -> str:
    """How the entries were moved. A matrix has only one other order of axes, and of unrolling."""
    move, axes = fact.data["move"], fact.data.get("axes", ())
    if move == "irregular":
        return f"{_place(fact)}: the right numbers in other places."
    if move == "swapped":
        return f"{_place(fact)}: two entries are swapped{' in each' * (len(fact.where) > 1)}."
    matrix = len(axes) == 2
    along = f" along axis {', '.join(map(str, axes))}"
    words = {
        "transposed": "transposed" if matrix else f"its axes are in the order {tuple(axes)}",
        "unrolled": "unrolled in another order"
        + (", column by column instead of row by row" if matrix else f", as if its axes were {tuple(axes)}"),
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
    what = f"is off by {data['error']:.3g}{relative}"
    if data["factor"] is not None and abs(data["factor"] + 1.0) <= NEARLY:
        what = "has the wrong sign"
    if data.get("is_number"):
        return f"{part} {what}."
    return f"A single entry{inside}{which} {what}. No other entry{inside} was found wrong."


def _not_finite(fact: Fact) -> str:
    source = fact.data.get("source")
    what = f"{source} reports derivatives that are not finite: " if source else "Not finite in "
    return f"{what}{places_of(fact)}."


def _float32_digits(fact: Fact) -> str:
    off = fact.data["relative_error"]
    kept = "float32 keeps that many digits, and so does" if off > LEFT_BY_FLOAT32 else "That many digits are left of"
    return f"{_place(fact)}: the wrong entries are right to {off:.0e} of their largest. {kept} a finite difference."


MESSAGES: dict[Kind, Message] = {
    Kind.CLIPPED: lambda fact: f"{_place(fact)}: clipped at {fact.data['limit']:.6g}.",
    Kind.CONSTANT_ERROR: lambda fact: f"{_place(fact)}: off by the same {fact.data['error']:.6g}{_counted(fact)}.",
    Kind.FACTOR: _factor,
    Kind.FACTOR_BY_SLICE: _factor_by_slice,
    Kind.FLOAT32_DIGITS: _float32_digits,
    Kind.NOT_FINITE: _not_finite,
    Kind.REARRANGED: _rearranged,
    Kind.REGULARISER: _regulariser,
    Kind.SIGN: lambda fact: f"{_place(fact)}: the sign is wrong{_before(fact)}{_counted(fact)}.",
    Kind.SIGN_LOST: lambda fact: f"{_place(fact)}: the size is right, and the sign is lost.",
    Kind.SINGLE_ENTRY: _single_entry,
    Kind.SQUARED: lambda fact: f"{_place(fact)}: the squares of the right values.",
    Kind.WHOLE_NUMBERS: lambda fact: (
        f"{_place(fact)} returns the same whole numbers at another θ, where the cost has another slope. They are "
        "rounded or cached."
        if fact.data.get("is_same")
        else f"{_place(fact)}: whole numbers in the place of the derivatives. Compute it in floating point."
    ),
    Kind.SYMMETRISED: lambda fact: (
        f"{_place(fact)}: the {fact.data['combination']} of the right one and its transpose."
    ),
    Kind.ZERO: lambda fact: f"{_place(fact)}: zero where it should not be{_counted(fact)}.",
}
