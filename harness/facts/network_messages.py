"""Messages about networks: gradient sources, bugs of the zoo that explain an answer, and what cannot be decided."""

from harness.facts.fact import Fact
from harness.facts.kinds import Kind
from harness.facts.templates import SHOWN, Message, undecided
from harness.wording import first_few

DESCRIBED = 3  # of several candidates so many are described; more are only named

CAUSES = {
    Kind.UNITS_AT_KINK: "units sit at a kink, where slopes are a convention",
    Kind.UNITS_AT_JUNCTION: "units sit where smooth pieces meet, and JAX may have another slope there",
    Kind.UNBOUNDED: "numbers are too large for any error bound",
    Kind.UNDECIDED: "rounding may be as large as the derivative",
}


def _undecided(fact: Fact) -> str:
    """How many coordinates cannot be decided, and why."""
    why = ", and ".join(CAUSES[Kind(kind)] for kind in (fact.kind, *fact.data["also"]))
    return f"{undecided(fact)}. The cause: {why}."


def _units_at_junction(fact: Fact) -> str:
    if "undecided" in fact.data:
        return _undecided(fact)
    return (
        f"At {first_few(fact.where, SHOWN)}, pieces of a formula meet, or its slope has a wide error bound. "
        "One-sided derivatives are used there."
    )


def _explained(fact: Fact) -> str:
    """Cost, gradient, or both."""
    count = fact.data.get("coordinates")  # homework names the gradient: its author counts no coordinates
    gradient = f"this gradient in all {count:,} coordinates" if count else "this gradient"
    if not fact.data["gradient"]:
        return "this cost"
    return f"this cost, and {gradient}" if fact.data["cost"] else gradient


def _bug(fact: Fact) -> str:
    bugs = f"The bug {fact.where[0]} gives" if len(fact.where) == 1 else f"The bugs {' and '.join(fact.where)} give"
    return f"{bugs} {_explained(fact)}: {fact.data['does'][0]}."


def _bugs_alike(fact: Fact) -> str:
    names = list(fact.where)
    if len(names) <= DESCRIBED:
        names = [f"{name} ({does})" for name, does in zip(names, fact.data["does"])]
    return f"Each of the bugs {', '.join(names)} gives {_explained(fact)}. {_distinguished(fact)}"


def _distinguished(fact: Fact) -> str:
    if "distinguished_by" not in fact.data:
        return "No problem that was tried distinguishes all of them."
    ((change, value),) = fact.data["distinguished_by"].items()
    problem = {
        "l2": f"The same problem with λ = {value}",
        "examples": f"The same problem with its first {value} examples",
        "random_problem": f"random_problem({tuple(value) if change == 'random_problem' else value}, extremes=False)",
    }
    return f"{problem[change]} distinguishes them."


def _no_bug(fact: Fact) -> str:
    data = fact.data
    alone = "alone or with another" if data["pairs_tried"] else "alone (the problem is too large to try pairs)"
    if not fact.where:
        return f"No bug of the zoo, {alone}, explains the gradient."
    return (
        f"No bug of the zoo, {alone}, explains the whole gradient. The nearest, {fact.where[0]}, leaves "
        f"{data['left']:,} of {data['coordinates']:,} coordinates unexplained, and right code "
        f"leaves {data['unexplained']:,}."
    )


HIDDEN = {
    "no-regulariser": "Bugs in the regulariser, because λ = 0.",
    "zero-weights": "Bugs in what is multiplied by a weight (δ of lower layers, the regulariser), because all weights "
    "are zero.",
    "single-example": "A wrong or missing mean over the examples, because there is only one.",
}
"""What a special problem hides, by the reason."""

UNEXPLAINED = {
    "cost": "No bug of the zoo explains the cost.",
    "gradient": "The gradient is wrong, too.",
    "regulariser": "No bug of the zoo explains what λ adds to the cost.",
}


def _source_failed(fact: Fact) -> str:
    return f"{fact.where[0]} failed: {fact.data['error'] + ': ' if 'error' in fact.data else ''}{fact.data['reason']}"


MESSAGES: dict[Kind, Message] = {
    Kind.ALL_LAYERS_WRONG: "All layers are wrong, from the output on.",
    Kind.BUG: _bug,
    Kind.BUGS_ALIKE: _bugs_alike,
    Kind.COST_IN_ARRAY: "The cost of {where} is an array of shape {shape} and not a number.",
    Kind.ERROR_STARTS_BELOW: "{where}: right, so the error starts below.",
    Kind.HIDDEN_BUGS: lambda fact: HIDDEN[fact.data["because"]],
    Kind.INCONCLUSIVE_NETWORK: lambda fact: (
        f"More than {fact.data['percent']}% of the networks "
        + (f"that {fact.data['source']} takes " if fact.data["source"] else "")
        + f"are inconclusive. The first is {fact.where[0]}, for these reasons:"
    ),
    Kind.NO_BUG_EXPLAINS: _no_bug,
    Kind.NOT_APPLICABLE: "{where} does not take this problem: {reason}",
    Kind.NOT_SAVED: "The case was not saved: {reason}",
    Kind.PART_UNEXPLAINED: lambda fact: UNEXPLAINED[fact.where[0]],
    Kind.PART_RIGHT: "The {where} is right.",
    Kind.SHRUNK: "The notes below describe the network before it was made smaller.",
    Kind.SLOPE_BY_HAND: "Backprop without a bug computes just this from the activations' slopes by hand.",
    Kind.SOURCE_FAILED: _source_failed,
    Kind.UNBOUNDED: _undecided,
    Kind.UNITS_AT_JUNCTION: _units_at_junction,
    Kind.UNITS_AT_KINK: _undecided,
    Kind.BELOW_ROUNDING: lambda fact: (
        f"Errors below {fact.data['visible']:.1e} in {first_few(fact.where, SHOWN, total=fact.data.get('places', 0))}: "
        "the derivatives are no larger."
    ),
    # -- sweeps and many networks --------------------------------------------------------------------------------------
    Kind.CHECK_FAILED: "The check stopped: {error}.",
    Kind.SOURCE_NEVER_TOOK_PART: "{where} took part in none of the networks.",
}
