"""Which random networks a test draws, as its marker ``networks`` and the option ``--gradient-networks-like`` say."""

from collections.abc import Iterable, Mapping
from typing import Any

import pytest

DRAWN_BY = ("layers", "sizes", "activations", "outputs", "l2")
"""What can be asked of networks: the arguments of the marker, and the names in the option."""

OPTION, MARKER = "--gradient-networks-like", "@pytest.mark.networks"


def parse_option(text: str) -> dict[str, Any]:
    """What an option such as ``layers=2 activations=sigmoid,tanh`` asks for, as the marker's arguments.

    Raises
    ------
    ValueError
        When it has an unknown name, or no number where one is expected.
    """
    readers = {"layers": int, "l2": float, "sizes": lambda value: tuple(map(int, value.split(",")))}
    asked = {}
    for part in text.split():
        name, _, value = part.partition("=")
        try:
            asked[name] = readers.get(name, lambda value: value.split(","))(value)
        except ValueError:
            raise ValueError(f"{OPTION}: {part!r} has no number where one is expected") from None
    _require_known(asked, OPTION)
    return asked


def networks_of_a_test(option: str, markers: Iterable[pytest.Mark]) -> dict[str, Any]:
    """What the option and a test's markers ask for. A marker prevails over the option, and a closer marker over others.

    Raises
    ------
    pytest.UsageError
        When a marker has an argument without a name, or an unknown one.
    """
    asked = parse_option(option)
    for marker in reversed(list(markers)):  # the closest one comes first
        try:
            if marker.args:
                raise ValueError(f"{MARKER} takes {', '.join(DRAWN_BY)} by name, not {marker.args}")
            _require_known(marker.kwargs, MARKER)
        except ValueError as error:
            raise pytest.UsageError(str(error)) from None
        asked |= marker.kwargs
    return asked


def _require_known(asked: Mapping[str, Any], where: str) -> None:
    if unknown := asked.keys() - DRAWN_BY:
        raise ValueError(f"{where} takes {', '.join(DRAWN_BY)}, not {', '.join(map(repr, sorted(unknown)))}")
