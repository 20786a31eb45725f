"""What a function's failures tell of the conventions that were not tried: those in which it must fail as well.

The course's function takes θ as a vector and fails for nearly all of the 828 conventions. Most of these differ from
others in what cannot matter to it, such as the order of the numbers in that vector.
"""

from collections import Counter, defaultdict
from dataclasses import replace
from functools import cache

from harness.grading.call_conventions import COURSE_BLOCKS, Convention
from harness.grading.submission_process import CallFailed

MOST_FATAL = 2
"""So many times a function may end its process, take too long or take all memory, before it is given up.

Each time costs seconds, up to the limit on CPU time. One alone may be the fault of a strange argument.
"""

OF_TYPES = ("AttributeError", "TypeError")
"""Exceptions that say what kind of object an argument is, mostly whatever its shape."""


class RuledOut:
    """The conventions in which a function must fail, since it failed in others like them."""

    def __init__(self):
        self._shapes: set[Convention] = set()
        self._arrangements: dict[tuple[Convention, str, int, str], set[str]] = defaultdict(set)
        self._types: set[Convention] = set()
        self._exhausted: Counter[str] = Counter()

    def __contains__(self, convention: Convention) -> bool:
        is_alike = _of_shapes(convention) in self._shapes or _of_types(convention) in self._types
        return is_alike or self._exhausted[convention.theta] >= MOST_FATAL

    def add(self, convention: Convention, failure: CallFailed) -> None:
        """Note that the function failed in a convention."""
        self._shapes.add(_of_shapes(convention))
        # what takes all memory mostly does so for every θ of its form, as ``np.eye(10**9)`` of a matrix for a size
        self._exhausted[convention.theta] += failure.error == "MemoryError"
        if failure.error in OF_TYPES:
            of_types = _of_types(convention)
            # equal for failures at one line, in the same words
            signature = failure.error, failure.line, str(failure.fact.data.get("event"))
            arrangements = self._arrangements[of_types, *signature]
            arrangements.add(convention.blocks.arrangement)
            # a list has no .reshape, be it of two matrices or of four arrays; the same failure in two arrangements
            # tells this from a dictionary that lacks the key "b1" only where it holds two matrices
            if len(arrangements) > 1:
                self._types.add(of_types)


@cache
def _of_types(convention: Convention) -> Convention:
    """The convention without what changes the values and shapes in θ, and leaves the types of all arguments."""
    return replace(convention, order="F", l2_as="λ", blocks=COURSE_BLOCKS)


@cache
def _of_shapes(convention: Convention) -> Convention:
    """The convention without what changes the values of θ and λ alone, on which no exception depends.

    They are ordinary numbers in any order. A vector has n entries in any arrangement.
    """
    return replace(
        _of_types(convention), blocks=COURSE_BLOCKS if convention.theta in ("flat", "column") else convention.blocks
    )
