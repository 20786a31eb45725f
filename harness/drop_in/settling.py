"""What the drop-ins share: how a report settles a call of the original."""

import logging
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from harness.exit_codes import InconclusiveGradient
from harness.facts import message_table
from harness.facts.fact import plain
from harness.verdict.report import Report

logger = logging.getLogger("harness.drop_in")

_told: set[tuple[str, str]] = set()


def generator(purpose: str) -> np.random.Generator:
    """Random numbers, the same each time, but others for each purpose, and others than a caller has from a small seed.

    Weights that are a caller's own inputs, or the cotangents of a second derivative, hide what cancels in such a sum.
    """
    return np.random.default_rng([*b"harness", *purpose.encode()])


def without_meaning(original: str, **arguments: Any) -> None:
    """Log, once for each name, that these arguments of an original were given and change nothing here."""
    for name, value in arguments.items():
        if value is not None and (original, name) not in _told:
            _told.add((original, name))
            logger.warning(
                "%s: %s=%r has no meaning here, where bounds are derived or measured; it is used only where those "
                "cannot decide",
                original,
                name,
                value,
            )


def undecided(original: str, reason: str, fall_back: Callable[[], Any], stacklevel: int = 3) -> Any:
    """Warn of what was not decided, and answer or raise what the original does."""
    warnings.warn(f"{original} has decided, since the harness cannot: {reason}", InconclusiveGradient, stacklevel)
    return fall_back()


def noted(report: Report, note: str) -> Report:
    """A report that says what was compared, where that is not what the caller gave."""
    return report.with_facts(plain(note))


def reasons(report: Report) -> str:
    """Why a report is inconclusive, in one line."""
    return "; ".join(map(message_table.say, report.reasons)) or "too few coordinates could be decided"
