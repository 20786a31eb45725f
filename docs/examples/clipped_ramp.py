"""An activation with kinks: the clipped ramp, 0 below 0, z up to 1, and 1 above.

At a kink the slope is a convention, and the record has to keep one: the branch that `value` takes there fixes what
automatic differentiation reports, so `slope` claims the same. Here z = 0 and z = 1 both belong to the ramp, slope 1.

    harness check --activation clipped_ramp:clipped_ramp
    pytest --pyargs harness.suite --activation clipped_ramp:clipped_ramp
"""

import numpy as np

from harness import Activation

clipped_ramp = Activation(
    "clipped_ramp",
    value=lambda xp, z: xp.where(z < 0.0, 0.0, xp.where(z > 1.0, 1.0, z)),
    slope=lambda z, a: np.where(z < 0.0, 0.0, np.where(z > 1.0, 0.0, 1.0)),
    kinks=(0.0, 1.0),
    source="the hard sigmoid, without its scale",
)
