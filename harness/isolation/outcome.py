"""The outcome of a call in another process."""

import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

Kind = Literal["answered", "raised", "exited", "died", "timed out"]


class Place(NamedTuple):
    """A line of the file that was run, or of one beside it."""

    file: str
    line: int
    function: str
    text: str

    def __str__(self) -> str:
        within = "" if self.function in ("", "<module>") else f", in {self.function}"
        return f"{self.file}, line {self.line}{within}" + (f": {self.text}" if self.text else "")


@dataclass(frozen=True)
class Outcome:
    """The outcome of a call.

    Attributes
    ----------
    kind : str
        "answered"; "raised" an exception; "exited", by `sys.exit` or `os._exit`; "died" of a signal, such as that of a
        segmentation fault, or gave an answer that cannot be read; "timed out".
    value : object
        The answer, where there is one.
    changed : mapping of int
        The arguments, by their place, that the call changed in place, as it left them; lists and tuples of arrays, too.
    what : str
        A few words on it, such as "ZeroDivisionError: division by zero".
    error : str
        The name of the exception's type, such as "ZeroDivisionError".
    place : Place or None
        The line of the user's own file where it happened, if that is known.
    stdout, stderr : str
        What was printed meanwhile; the first 64 KiB of each.
    seconds : float
        How long it took, as seen from here.
    """

    kind: Kind
    value: Any = None
    changed: Mapping[int, Any] = field(default_factory=dict)
    what: str = ""
    error: str = ""
    place: Place | None = None
    stdout: str = ""
    stderr: str = ""
    seconds: float = 0.0

    @property
    def why(self) -> str:
        """What happened, as words that follow a name: "raised ZeroDivisionError: division by zero (...)"."""
        where = f" ({self.place})" if self.place else ""
        words = {"answered": "answered", "raised": f"raised {self.what}"}
        return words.get(self.kind, self.what) + where


def how_it_ended(code: int) -> Outcome:
    """The outcome where a process ended with a code, as `subprocess` has it, instead of answering."""
    if code >= 0:
        return Outcome("exited", what=f"ended its process with exit code {code} instead of answering")
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"number {-code}"
    return Outcome("died", what=f"was ended by the signal {name}")
