"""Any function that JAX traces, run primitive by primitive in arithmetic that owes nothing to XLA or to its rules.

`program` touches JAX's internals; `interpreter` runs what it reads; the other modules hold the table from a
primitive to what it computes, by kind.
"""
