"""What users give: names and numbers, checked, and written so that they stay on one line of a message."""

import math
import operator
import os
import sys
from collections.abc import Iterable, Mapping, Set
from difflib import get_close_matches
from numbers import Real
from pathlib import Path
from typing import Any

# beside Unicode's control characters: separators of lines and paragraphs, and marks that turn the direction of writing
_TURNING = {"\u2028", "\u2029", *map(chr, (*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x061C, 0x200E, 0x200F))}


def printable(text: str, keep: str = "") -> str:
    r"""`text` with control characters and lone surrogates written as escapes, such as \n and \x1b.

    A newline in a name could begin a line that looks like a verdict, and an escape sequence could hide one. Characters
    in `keep` stay.
    """
    if text.isprintable():
        return text
    return "".join(c if c in keep or not _is_escaped(c) else c.encode("unicode_escape").decode() for c in text)


def given(value: Any, longest: int = 80) -> str:
    """A value that a user gave, in one line of an error message: its `repr`, or type and shape for an array."""
    try:
        if hasattr(value, "dtype") and hasattr(value, "shape") and value.shape != ():
            return f"an array of {value.dtype} of shape {value.shape}"
        text = " ".join(repr(value).split())
    except Exception:  # noqa: BLE001  a user's class may raise anything, and a long integer has no decimal string
        text = f"a value of type {type(value).__name__}"
    return text if len(text) <= longest else f"{text[:longest]}..."


def seed_of_generator(value: Any) -> Any:
    """`value`, if `numpy.random.default_rng` takes it: None, a whole number, some of them, or a generator.

    NumPy itself ends the interpreter on a list that contains itself. Raises TypeError or ValueError for anything else.
    """
    import numpy as np

    if value is None or isinstance(value, (np.random.Generator, np.random.BitGenerator, np.random.SeedSequence)):
        return value
    some = value if type(value) in (tuple, list) else [value]
    for number in np.ravel(value) if isinstance(value, np.ndarray) else some:
        whole_number("seed", number)
    return value


def message_of(error: BaseException) -> str:
    """What an exception of a user says; nothing if its own code fails at that."""
    try:
        return str(error.msg if isinstance(error, SyntaxError) else error)
    except Exception:  # noqa: BLE001  it is somebody else's exception
        return ""


def error_in_words(error: BaseException) -> str:
    """An exception's type and message on one line, such as "ZeroDivisionError: division by zero"."""
    message = " ".join(message_of(error).split())
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def _is_escaped(c: str) -> bool:
    """Whether a character moves the cursor, turns the direction of writing, or cannot be encoded."""
    return ord(c) < 0x20 or 0x7F <= ord(c) < 0xA0 or 0xD800 <= ord(c) < 0xE000 or c in _TURNING


def real_number(what: str, value: Any, largest: float = sys.float_info.max) -> float:
    """`value` as a float between zero and `largest`, whatever type of real numbers it has.

    Raises TypeError for a value that is no real number; ValueError for NaN, infinity, and numbers below zero or above
    `largest`. Both messages name `what`.
    """
    if not is_real(value):
        raise TypeError(f"{what} must be a number, zero or more, not {given(value)}")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not 0.0 <= number <= largest:
        most = f" and at most {largest:.3g}" if largest < sys.float_info.max else ""
        raise ValueError(f"{what} must be a finite number, zero or more{most}, not {given(value)}")
    return number


def is_real(value: Any) -> bool:
    """Whether it is a real number. Truth values are none, and neither are times, which NumPy counts as integers."""
    try:
        return isinstance(value, Real) and not _is_truth_value(value) and float(value) is not None
    except OverflowError:  # an integer larger than any float
        return True
    except Exception:  # noqa: BLE001  a class of the user may raise anything
        return False


def whole_number(what: str, value: Any, at_least: int = 0) -> int:
    """`value` as an int, whatever integer type it has.

    Raises TypeError for a value that is no integer, such as 2.0 or True; ValueError for less than `at_least`. Both
    messages name `what`, what was expected and what was given.
    """
    try:
        if _is_truth_value(value):
            raise TypeError
        number = operator.index(value)
    except Exception:  # noqa: BLE001  a class of the user may raise anything
        raise TypeError(f"{what} must be an integer, {at_least} or more, not {given(value)}") from None
    if number < at_least:
        raise ValueError(f"{what} must be {at_least} or more, not {given(number)}")
    return number


def of_type(what: str, value: Any, kind: Any, expected: str) -> Any:
    """`value`, if it is of a type or of one of several; else a TypeError that names what is expected."""
    if not isinstance(value, kind):
        raise TypeError(f"{what} must be {expected}, not {given(value)}")
    return value


def listed(what: str, value: Any, expected: str) -> list[Any]:
    """The items of a sequence that a user gave.

    Raises TypeError for a text, a mapping, or a set, whose order changes from run to run, and for what has no items.
    The message names `what`.
    """
    try:
        if isinstance(value, (str, bytes, Mapping, Set)):
            raise TypeError
        return list(value)
    except Exception:  # noqa: BLE001  a class of the user may raise anything
        raise TypeError(f"{what} must be {expected}, not {given(value)}") from None


def file_path(value: Any) -> Path:
    """What a user gave as the name of a file, or a TypeError or ValueError that says what was given."""
    if not isinstance(value, (str, os.PathLike)):
        raise TypeError(f"path must name a file, not {given(value)}")
    if "\0" in str(value):
        raise ValueError(f"path must name a file, and no file's name has a null character, as {given(value)} has")
    return Path(value)


def flag(what: str, value: Any) -> bool:
    """`value`, if it is True or False, or 1 or 0. A text such as "no" would count as true."""
    if not (_is_truth_value(value) or (isinstance(value, int) and value in (0, 1))):
        raise TypeError(f"{what} must be True or False, not {given(value)}")
    return bool(value)


def _is_truth_value(value: Any) -> bool:
    """Whether it is True or False, of Python, NumPy, JAX or PyTorch."""
    is_one = getattr(value, "shape", ()) == ()
    return isinstance(value, bool) or (is_one and str(getattr(value, "dtype", "")) in ("bool", "torch.bool"))


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """The question "; did you mean 'relu'?" if a known name is close, else nothing."""
    close = get_close_matches(name, list(known), n=1, cutoff=0.6) if isinstance(name, str) else []
    return f"; did you mean {close[0]!r}?" if close else ""
