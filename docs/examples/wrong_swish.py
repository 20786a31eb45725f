"""A wrong activation: swish, f(z) = z σ(z), with the product rule left half done.

f'(z) is σ(z) + z σ'(z), and the second term is missing. Networks with this slope train, only not as well; the check
names the stretch of z where the slope is wrong, the worst point, and the term:

    harness check --activation wrong_swish:wrong_swish --figure wrong_swish.png
"""

import numpy as np

from harness import Activation

wrong_swish = Activation(
    "wrong_swish",
    value=lambda xp, z: z * (0.5 + 0.5 * xp.tanh(0.5 * z)),
    slope=lambda z, a: 0.5 + 0.5 * np.tanh(0.5 * z),
    source="Ramachandran, Zoph and Le, Searching for activation functions, 2017",
)
