"""One activation, checked by itself: is the slope claimed by hand the derivative of the formula?

`checking` asks and judges, with `slopes` from every oracle, `bounds` on rounding, `judging`, `kinks` and
`judging_kinks`, `facts` and likely `mistakes`; `report` and `figure` show what was found.
"""

from harness.checks.activations.checking import (
    check_activation,
    find_activation,
    grid,
    mixed_with_others,
    register_checked,
    usable_sources,
)
from harness.checks.activations.report import ActivationReport

__all__ = [
    "ActivationReport",
    "check_activation",
    "find_activation",
    "grid",
    "mixed_with_others",
    "register_checked",
    "usable_sources",
]
