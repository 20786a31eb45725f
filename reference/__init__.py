"""What the gradient should be: the mathematics, stated once, and gradients that need no calculus by hand.

Nothing here imports `harness`, and no slope claimed by hand takes part: where `ball_arithmetic` applies the chain rule
to large networks, the slopes come from power series of the formulas.
"""

from reference.activations import ACTIVATIONS, Activation, register
from reference.network import Network
from reference.problem import Problem

__all__ = ["ACTIVATIONS", "Activation", "Network", "Problem", "register"]
