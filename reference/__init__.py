"""What the gradient should be: the mathematics, stated once, and gradients that need no calculus by hand.

Nothing here imports `harness`, and nothing here contains a backpropagation written by hand.
"""

from reference.activations import ACTIVATIONS, Activation, register
from reference.network import Network
from reference.problem import Problem

__all__ = ["ACTIVATIONS", "Activation", "Network", "Problem", "register"]
