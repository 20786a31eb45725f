"""How far rounding can move a right gradient, and every number that was chosen and not derived (`tolerances`).

This room imports `reference` and `harness.facts`; verdicts and checks compare differences with what it answers.
"""
