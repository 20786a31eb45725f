"""What a verdict means to other programs: the exit code of a command, and the warning of a test."""

from collections.abc import Iterable

EXIT_CODES = {"agree": 0, "disagree": 1, "inconclusive": 3}  # the exit code of each verdict

BAD_INPUT = 2  # bad usage, bad input, or a source or program that fails

INTERRUPTED, TERMINATED = 130, 143  # Ctrl-C and SIGTERM: 128 and the signal's number, as shells have it

MEANINGS = (
    "Exit codes: 0 the sources agree, or done; 1 they disagree; 2 bad input, bad usage, or a source or program that "
    "fails; 3 inconclusive; 130 interrupted; 143 terminated. A closed gate exits with its verdict's code."
)
"""The exit codes in the words of ``harness --help``."""

WORST_FIRST = ("disagree", "inconclusive", "agree")


def worst_verdict(verdicts: Iterable[str]) -> str:
    """The verdict on several checks together: that of the worst."""
    return min(verdicts, key=WORST_FIRST.index)


class InconclusiveGradient(UserWarning):
    """A check could not decide. The test passes, or the replaced checker's own verdict stands."""
