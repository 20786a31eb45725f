"""Gradients that need no calculus by hand: each returns (cost, gradient), and most know their own error.

Each has a use that the others cannot serve:

- `jax_gradient`: any size, any formula that JAX can trace; `jax_padded` does not compile for each shape
- `finite_difference`: the cost's values alone, so that no rule of differentiation takes part
- `complex_step`: float64 to the last digits without JAX and without a proof, in the time of a few costs
- `ball_arithmetic`: the exact gradient, enclosed, where rounding hides it from all others

Built on `reference` and its arithmetics. `harness.sources` names them; nothing here depends on a gradient written by
hand.
"""
