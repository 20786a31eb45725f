"""Messages that every kind of check shares: what differs, what cannot be decided, and why there is no verdict."""

import math

from harness.facts.fact import Fact, Severity
from harness.facts.kinds import Kind
from harness.facts.templates import Message, in_words, places_of, undecided
from harness.wording import counted, distinct_digits, first_few

BLOCKS_SHOWN = 4
UNDERFLOW = 1e-290  # a bound below this only allows for underflow, so a ratio to it says nothing


def _difference(fact: Fact) -> str:
    """The two values, how far beyond the bound they differ, and where else."""
    data = fact.data
    differs = in_words("{source}: {where[0]} = {value}, but {against} has {expected}", fact)
    if math.isfinite(data["ratio"]) and data["bound"] >= UNDERFLOW:
        beyond = f"{data['ratio']:.2g} times the error bound {data['bound']:.1e}"
    else:
        beyond = "rounding cannot explain this"
    if data["coordinates"] == 1:
        return f"{differs} ({beyond})."
    blocks = fact.where[1:]
    is_long = len(blocks) > BLOCKS_SHOWN
    place = f"{len(blocks)} blocks from {blocks[0]} to {blocks[-1]}" if is_long else ", ".join(blocks)
    count = f"{'At least ' if data['perhaps_more'] else ''}{data['coordinates']} coordinates"
    return f"{differs} ({beyond}). {count} differ, in {place}."


def _argument_changed(fact: Fact) -> str:
    """Which arguments change and by how much, where that is known."""
    data, names = fact.data, fact.data["argument"]
    if isinstance(names, str):
        return f"{fact.where[0]} changes its argument {names} in place."
    changed = " and ".join(f"{name} in place ({change})" for name, change in zip(names, data["changes"]))
    effect = "the next call with the same arrays returns something else" if data["spoils"] else "callers may need it"
    return f"{fact.where[0]} changes {changed}. Work on a copy: {effect}."


def _kink(fact: Fact) -> str:
    """Where the kink is, its slopes, and how many coordinates it hides; or that a convention is accepted."""
    if not fact.where:
        accepted = "JAX's value is accepted where it lies between the left and right derivatives"
        return f"f is not differentiable here (a kink). {accepted}."
    (first, *others), slopes, ends = fact.where, "", (fact.data["left"], fact.data["right"])
    if None not in ends:
        of = f"in {first}, " if others else ""
        slopes = " ({}left derivative {}, right derivative {})".format(of, *distinct_digits(*ends))
    if fact.severity == Severity.NOTE:
        return f"As far as differences show, {first} is at a kink{slopes}."
    where = f"As far as differences show, θ is at a kink{slopes}, where no single value is the derivative"
    return f"{undecided(fact)}. {where}."


def _undecided(fact: Fact) -> str:
    if "total" not in fact.data:
        return "Too few coordinates could be decided."
    return (
        f"{undecided(fact)}. "
        "The error bounds are too wide there: no derivative exists, a kink is near, or rounding errors are large."
    )


def _nothing_to_compare(fact: Fact) -> str:
    names = first_few(fact.where, 4) or "anything"
    missing = fact.data["left_out"]
    others = f"{first_few(missing, 4)} could not answer" if missing else "there is no other source"
    return f"There is nothing to compare {names} with: {others}."


def _one_family(fact: Fact) -> str:
    missing = fact.data["left_out"]
    others = f", and {first_few(missing, 4)} could not answer" if missing else ""
    return f"{first_few(fact.where, 4)} share an author or a mechanism{others}. They cannot confirm each other."


def _few_undecided(fact: Fact) -> str:
    why = f" ({', '.join(fact.data['why'])})" if fact.data["why"] else ""
    return f"{counted(fact.data['undecided'], 'coordinate')} could not be decided: {places_of(fact)}{why}."


def _accuracy(fact: Fact) -> str:
    data = fact.data
    needed = "" if data["is_needed"] else "; no error exceeds its error bound, so accuracy= is not needed here"
    return (
        f"Beside the error bounds, errors of {data['source']} below {data['accuracy']:.2g} of the largest derivative "
        f"in {'a random sum of all rows, where their errors add up,' if data.get('is_summed') else 'their block'} are "
        f"accepted. The largest is {data['largest']:.2g}, in {fact.where[0]}{needed}."
    )


def _not_repeatable(fact: Fact) -> str:
    """What changes from call to call, and what that suggests, where it was found out."""
    name, data = fact.where[0], fact.data
    changes = {
        "gradient": "The cost is the same, and the gradient is not",
        "gradient-grows": "The gradient grows with every call: set .grad to zero before each backward pass",
        "cost-grows": f"The cost changes by {data.get('by', 0.0):.3g} with every call: keep nothing between calls",
        "random": f"The costs are {' and '.join(distinct_digits(*data.get('costs', (0.0, 1.0))))}: "
        "draw random numbers from the same seed in every call",
        "state": "It uses random numbers or state outside of its arguments",
    }
    what = changes.get(data.get("change", ""), "Draw random numbers from a fixed seed, and keep nothing between calls")
    how, argument = data.get("how", "called"), data.get("argument", "θ")
    return f"{name} returns something else when it is {how} again with the same {argument}. {what}."


MESSAGES: dict[Kind, Message] = {
    Kind.ACCURACY: _accuracy,
    Kind.SETTINGS_CHANGED: "{where} changes {settings}. This is put back after the check.",
    Kind.COST_DIFFERS: _difference,
    Kind.DERIVATIVE_DIFFERS: _difference,
    Kind.DIRECTION_DIFFERS: _difference,
    Kind.COST_OF_ANOTHER: "The costs differ, so one of them is not the function that the gradient should belong to.",
    Kind.COST_DIGITS_LOST: lambda fact: (
        f"The cost{f' of {fact.where[0]}' if fact.where else ''} is nearly right. Digits may be lost: look for "
        "cancellation, such as log(1 - σ(z)), or low precision."
    ),
    Kind.COST_NOT_FINITE: "The cost of {where} is not finite. Look for an overflow, a division by zero or the "
    "logarithm of zero.",
    Kind.COSTS_UNDECIDED: "The costs cannot be compared: their error bounds are too wide.",
    Kind.ARGUMENT_CHANGED: _argument_changed,
    Kind.KINK: _kink,
    Kind.NOT_REPEATABLE: _not_repeatable,
    Kind.FEW_UNDECIDED: _few_undecided,
    Kind.NO_DIRECTION_DECIDED: "No end-to-end direction could be decided.",
    Kind.NOTHING_TO_COMPARE: _nothing_to_compare,
    Kind.NOTHING_TO_DECIDE: "No derivative could be judged by itself: there is none, or no finite value, or only "
    "directions were compared.",
    Kind.NOT_LISTED: "{count:,} more {what} are not listed.",
    Kind.ONE_FAMILY: _one_family,
    Kind.UNDECIDED: _undecided,
}
