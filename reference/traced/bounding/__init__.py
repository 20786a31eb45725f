"""A traced program run with a bound on its rounding errors, of values and of what small steps change of them.

`parts` says how a bound travels with a value, `elementwise`, `pairs` and `arrays` hold a rule for each primitive, and
`running` runs a program with them.
"""
