"""Which random networks a test draws, as its marker ``networks`` and the option ``--gradient-networks-like`` say."""

from collections.abc import Iterable, Mapping
from typing import Any

import pytest

DRAWN_BY = ("layers", "sizes", "activations", "outputs", "l2")
"""What can be asked of networks: the arguments of the marker, and the names in the option."""

OPTION, MARKER = "--gradient-networks-like", "@pytest.mark.networks"


def parse_option(text: str) -> dict[str, Any]:
    """What an option such as ``layers=2 activations=sigmoid,tanh`` asks for, as the marker's arguments.

    Raises ValueError when it has an unknown name, or no number where one is expected.
    """
    readers = {"layers": int, "l2": float, "sizes": lambda value: tuple(map(int, value.split(",")))}
    asked = {}
    for part in text.split():
        name, _, value = part.partition("=")
        try:
            asked[name] = readers.get(name, lambda value: value.split(","))(value)
        except ValueError:
            raise ValueError(f"{OPTION}: {part!r} has no number where one is expected") from None
    if fault := _fault_of(asked, OPTION):
        raise ValueError(fault)
    return asked


def networks_of_a_test(test: str, option: str, markers: Iterable[pytest.Mark]) -> dict[str, Any]:
    """What the option and a test's markers ask for. A marker prevails over the option, and a closer marker over others.

    A marker that has an argument without a name, or an unknown one, fails the collection of the test, in a sentence.
    """
    asked = parse_option(option)
    for marker in reversed(list(markers)):  # the closest one comes first
        if marker.args:
            pytest.fail(f"In {test}: {MARKER} takes {', '.join(DRAWN_BY)} by name, not {marker.args}", pytrace=False)
        if fault := _fault_of(marker.kwargs, MARKER):
            pytest.fail(f"In {test}: {fault}", pytrace=False)
        asked |= marker.kwargs
    return asked


def _fault_of(asked: Mapping[str, Any], where: str) -> str:
    """What is asked for and is unknown, in a sentence, or nothing."""
    unknown = asked.keys() - DRAWN_BY
    return f"{where} takes {', '.join(DRAWN_BY)}, not {', '.join(map(repr, sorted(unknown)))}" if unknown else ""
