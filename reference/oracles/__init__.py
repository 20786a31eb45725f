"""Gradients that need no calculus by hand: each returns (cost, gradient), and most know their own error.

JAX, finite differences, complex steps and certified balls, built on `reference` and its arithmetics. `harness.sources`
names them; nothing here depends on a gradient written by hand.
"""
