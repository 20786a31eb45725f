"""Arguments that a function changes in place, in words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.grading.reading import Function
from harness.isolation.values import differ
from harness.wording import counted

SPOILS = ", and so answers something else when it is called again with the same arrays; work on a copy"
SPOILS_NOTHING = ", which its caller may not expect; work on a copy"


@dataclass(frozen=True, eq=False)
class Changes:
    """A call that changed arguments in place.

    Attributes
    ----------
    function : the name of the function that was called
    given : the arguments, as they were
    left : by their place, those that were changed, as the call left them
    """

    function: str
    given: Sequence[Any]
    left: Mapping[int, Any]

    @property
    def afterwards(self) -> list[Any]:
        """The arguments as they are for who calls again with the same objects."""
        return [self.left.get(place, argument) for place, argument in enumerate(self.given)]

    def described(self, function: Function) -> str:
        """Which argument, and by how much: "f changes theta in place (by up to 0.5, in 3 of 43 entries)"."""
        names = [function.parameters[i] if i < len(function.parameters) else f"argument {i + 1}" for i in self.left]
        told = [f"{name} in place ({_how_much(self.given[i], self.left[i])})" for name, i in zip(names, self.left)]
        return f"{self.function} changes {' and '.join(told)}"


def _how_much(before: Any, after: Any) -> str:
    if not isinstance(before, np.ndarray):
        pairs = list(zip(before, after))
        changed = [(i, pair) for i, pair in enumerate(pairs, start=1) if differ(*pair)]
        if len(before) != len(after) or not changed:
            return f"from {counted(len(before), 'item')} to {len(after)}"
        return "; ".join(f"number {i} of {len(before)}: {_how_much(*pair)}" for i, pair in changed)
    after = np.asarray(after)
    if before.shape != after.shape:
        return f"from shape {before.shape} to {after.shape}"
    changed = before != after
    largest = np.abs(after[changed] - before[changed]).max() if changed.any() else 0.0
    return f"by up to {largest:.3g}, in {int(changed.sum())} of {before.size:,} entries"
