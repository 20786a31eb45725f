"""A smooth activation: squareplus, f(z) = (z + √(z² + b))/2, a softplus without exponentials.

The record is all that is needed. In this folder:

    harness check --activation squareplus:squareplus
    pytest --pyargs harness.suite --activation squareplus:squareplus
"""

import numpy as np

from harness import Activation


def make_squareplus(b: float = 4.0, name: str = "squareplus") -> Activation:
    """f(z) = (z + √(z² + b))/2 and f'(z) = (1 + z/√(z² + b))/2; b > 0 sets how round the corner is."""
    return Activation(
        name,
        value=lambda xp, z: 0.5 * (z + xp.sqrt(z * z + b)),
        slope=lambda z, a: 0.5 * (1.0 + z / np.sqrt(z * z + b)),
        source="Barron, Squareplus: a softplus-like algebraic rectifier, 2021",
    )


squareplus = make_squareplus()
