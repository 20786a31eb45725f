"""How much a student is told."""

from enum import StrEnum


class Hints(StrEnum):
    """How much a student's page tells: which part is wrong, in which layers as well, or the bug by its name."""

    PART = "part"
    LAYER = "layer"
    BUG = "bug"
