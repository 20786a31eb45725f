"""Parts of messages: lists, counts, numbers, types."""

import ast
import inspect
import textwrap
import unicodedata
from collections.abc import Callable, Sequence
from typing import Any


def first_few(items: Sequence[Any], shown: int, name: Callable[[Any], str] = str, total: int = 0) -> str:
    """The items as "a, b, c", or as "a, b and 7 more" if there are more than `shown`, here or in `total`.

    A single further item is named, which is as short as "and 1 more".
    """
    if len(items) == shown + 1 >= total:
        shown += 1
    rest = max(total, len(items)) - shown
    return ", ".join(map(name, items[:shown])) + (f" and {rest:,} more" if rest > 0 else "")


def distinct_digits(*numbers: float) -> tuple[str, ...]:
    """Numbers with two digits more than tell them apart, at least six."""

    def written(digits: int) -> tuple[str, ...]:
        return tuple(f"{x:.{digits}g}" for x in numbers)

    different = len(set(written(17)))
    # 0.2500003 and 0.2499999 are 0.3 and 0.2 in one digit, and 0.25 both in six
    alike = [digits for digits in range(1, 18) if len(set(written(digits))) < different]
    return written(min(max(6, max(alike, default=0) + 3), 17))


def counted(number: int, what: str) -> str:
    """A number of things: "1 network", "2,000 networks"."""
    return f"{number:,} {what}{'s' * (number != 1)}"


ISOLATES = "\N{FIRST STRONG ISOLATE}\N{POP DIRECTIONAL ISOLATE}"
"""Between these two, a text that runs from right to left does not turn what stands around it."""


def isolated(name: str) -> str:
    """A name as it stands in a line of text that runs from left to right."""
    runs_left = any(unicodedata.bidirectional(letter) in ("R", "AL") for letter in name)
    return ISOLATES[0] + name + ISOLATES[1] if runs_left else name


LONGEST_WORD = 200  # characters; longer words, such as the path of a file, are cut in the middle


def shortened(text: str) -> str:
    """The text, with words longer than `LONGEST_WORD` cut in the middle."""
    half = LONGEST_WORD // 2
    words = text.split(" ")
    return " ".join(word if len(word) <= LONGEST_WORD else f"{word[:half]}...{word[-half:]}" for word in words)


def what_it_is(answer: object) -> str:
    """The type of an answer, with its length if it is a tuple or list."""
    kind = type(answer).__name__
    return f"a {kind} of {len(answer)}" if isinstance(answer, (tuple, list)) else kind


def docstring(function: Callable[..., Any]) -> str:
    """The docstring of a function. It is read from the source if Python has dropped it, as with ``-OO``."""
    if function.__doc__ is not None:
        return inspect.getdoc(function) or ""
    try:
        (definition,) = ast.parse(textwrap.dedent(inspect.getsource(function))).body
        return ast.get_docstring(definition) or ""  # pyright: ignore[reportArgumentType]  it is a function
    except (OSError, ValueError, TypeError):  # the source is not available
        return ""
