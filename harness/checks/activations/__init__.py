"""The check of one activation by itself: is the slope by hand the derivative of the formula?

How a verdict comes about:

1. The record's formulas are made to run as they are written: over a namespace, plain NumPy, JAX or PyTorch.
   (`formulas`, `array_proxies`)
2. Value and slope are read on a grid of z, with all places on it at which the formula or the slope changes to another
   piece. (`z_grid`, `junctions`)
3. Oracles compute the slope from the formula: JAX, complex steps, differences, balls. (`slope_oracles`)
4. The slopes are compared within derived error bounds. At a kink any slope between the one-sided ones is a convention.
   (`slope_answers`)
5. A proof covers the z between the points of the grid. Where the slope looks wrong to it, z goes on the grid, and steps
   2 to 4 are done again. (`proof`, `proof_cells`)
6. What is wrong with the record as code is reported: side effects, shapes, NaN. (`record_faults`)
7. A curvature, derivatives in parameters and a surrogate's slope are checked in the same way. (`other_claims`)
8. A wrong slope is compared with what likely bugs would make it. Notes say how many digits the record keeps in each
   number format. (`likely_bugs`; `number_formats`)

`activation_check` does this in order; `activation_figure` draws it.

The doors import this room; it imports no other kind of check.
"""
