"""Any function that JAX traces, run primitive by primitive in arithmetic that owes nothing to XLA or to its rules.

`traced_function` reads what JAX traced, and `interpreter` runs it by the rules in `primitives`, of what each primitive
computes. `random_rounding` and `decisions` are what random roundings do to that, and `bounded_run` is what they can do
at most.
"""
