"""The mathematics of networks, stated once, and gradients that need no calculus by hand.

Nothing here imports `harness`, and no slope claimed by hand takes part: where `ball_arithmetic` applies the chain rule
to large networks, the slopes come from power series of the formulas. Names are imported at their first use, so that a
command line can report a missing NumPy.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reference.activations import ACTIVATIONS, Activation, register
    from reference.network import Network
    from reference.problem import Problem

__all__ = ["ACTIVATIONS", "Activation", "Network", "Problem", "register"]

_HOMES = {"Network": "reference.network", "Problem": "reference.problem"}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'reference' has no attribute {name!r}")
    return getattr(import_module(_HOMES.get(name, "reference.activations")), name)
