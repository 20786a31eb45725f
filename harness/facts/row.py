"""A row of the table of messages: all the words about one kind of fact."""

import string
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from harness.facts.fact import Fact
from harness.wording import counted, first_few

SHOWN = 3
"""So many items of a list are written out in a message. Of the others it says how many there are."""


@dataclass(frozen=True)
class Row:
    """The words about one kind of fact.

    Attributes
    ----------
    message : str or callable
        At most two sentences. A string is a format string over the fact's data and ``{where}``: a list shows its first
        items, a float three digits, and ``{count:network}`` reads "1 network" or "2 networks". A callable takes the
        fact.
    meaning, cause, advice : str
        What it means, a common cause, and what to do about it.
    example : str
        A Python program whose `report`, warning, log entry or error holds the kind; a command line after "$ "; or
        prose after "# ", where it takes files, another process or a device.
    """

    message: str | Callable[[Fact], str]
    meaning: str
    cause: str
    example: str
    advice: str


IMPORTS = "import numpy as np\nfrom harness import check_gradient\n"
"""How an example begins."""


def checked(answer: str, theta: str = "np.array([1.0, -2.0, 0.5])") -> str:
    """An example: `check_gradient` of the function of t that returns this cost and gradient."""
    return f"{IMPORTS}report = check_gradient(lambda t: ({answer}), {theta})"


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
    """A format string filled in from a fact."""
    return _Words().vformat(template, (), {**fact.data, "where": fact.where})
