"""Messages as format strings over a fact."""

import string
from collections.abc import Callable
from typing import Any

from harness.facts.fact import Fact
from harness.wording import counted, distinct_digits, first_few

SHOWN = 3  # So many items of a list are written out in a message. Of the others it says how many there are.

Message = str | Callable[[Fact], str]
"""At most two sentences: a format string as `in_words` fills it in, or a function of the fact."""


def undecided(fact: Fact, shown: int = SHOWN) -> str:
    """How many coordinates cannot be decided, of which sources, and the first of them; or what else cannot be."""
    data = fact.data
    if "undecided" not in data:
        return f"{fact.where[0]} cannot be decided"
    of = f"{data['undecided']} of {data['total']} coordinates" if "total" in data else ""
    whose = f" of {first_few(data['sources'], 4)}" if data.get("sources") else ""
    return f"{of or counted(data['undecided'], 'coordinate')}{whose} cannot be decided: {places_of(fact, shown)}"


def places_of(fact: Fact, shown: int = SHOWN) -> str:
    """The first places of a fact, and how many more there are: `where` may name only some of them.

    "places" counts them all; where a fact lacks it, each undecided coordinate is a place.
    """
    return first_few(fact.where, shown, total=fact.data.get("places", fact.data.get("undecided", 0)))


class _Words(string.Formatter):
    """Format fields as a message shows them."""

    def format_field(self, value: Any, format_spec: str) -> str:
        # A noun, as in {count:network}, has two letters at least, which tells it from the "d" or "g" of Python.
        if format_spec.replace(" ", "").replace("-", "").isalpha() and len(format_spec) > 1:
            return counted(value, format_spec)
        if format_spec:
            return super().format_field(value, format_spec)
        if isinstance(value, (tuple, list)):
            return first_few(value, SHOWN)
        return f"{value:.3g}" if isinstance(value, float) else str(value)


def in_words(template: str, fact: Fact) -> str:
    """A format string over the fact's data and ``{where}``, filled in.

    A list shows its first items, a float three digits, and ``{count:network}`` reads "1 network" or "2 networks".
    ``{value}`` and ``{expected}`` show the digits that tell them apart.
    """
    pair = {name: fact.data[name] for name in ("value", "expected") if isinstance(fact.data.get(name), float)}
    apart = dict(zip(pair, distinct_digits(*pair.values()))) if len(pair) == 2 else {}
    return _Words().vformat(template, (), {**fact.data, **apart, "where": fact.where})
