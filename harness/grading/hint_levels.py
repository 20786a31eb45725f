"""How much a student is told: an option of the command line, apart from what takes long to import."""

from enum import StrEnum


class Hints(StrEnum):
    """How much a student's page tells: which part is wrong, in which layers as well, or the bug by its name."""

    PART = "part"
    LAYER = "layer"
    BUG = "bug"
