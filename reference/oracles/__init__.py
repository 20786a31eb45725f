"""Gradients that need no calculus by hand: each answers (cost, gradient), and most know their own error.

JAX, finite differences, complex steps and certified balls, built on `reference` and its arithmetics. `harness.sources`
gives them their names; nothing here knows of a gradient written by hand.
"""
