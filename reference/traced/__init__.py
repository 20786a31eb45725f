"""Any function that JAX traces, run primitive by primitive in arithmetic that owes nothing to XLA or to its rules.

`program` reads what JAX traced; `interpreter` runs it by the rules in `primitives`, of what each primitive computes;
`rounding` and `deciding` are what random roundings do to that, and `bounding` is what they can do at most.
"""
