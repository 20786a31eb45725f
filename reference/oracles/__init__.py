"""Gradients that need no calculus by hand: each returns (cost, gradient), and most know their own error.

Each has a use that the others cannot serve:

- `jax_gradient`: any size, any formula that JAX can trace; `jax_padded` does not compile for each shape. Its error is
  that of rounding, which `harness.bounds` derives.
- `finite_difference`: the cost's values alone, so that no rule of differentiation takes part. Its error is the gap
  between the slopes on both sides of each point.
- `complex_step`: float64 to the last digits without JAX, in the time of one cost for each parameter. Its truncation is
  below rounding for analytic formulas, and it refuses others.
- `ball_arithmetic`: the exact gradient, enclosed with proof, where rounding hides it from all others.

Built on `reference`, its arithmetics and its traced programs. `harness.sources` names them; nothing here depends on a
gradient written by hand.
"""
