"""Taylor models: a formula evaluated on whole cells of z, many cells at once, with proof and with rounding.

- `taylor_model`: the enclosure, its sums and products.
- `expansions`: Taylor coefficients of functions, with bounds on the rest.
- `taylor_functions`: compositions, comparisons, choices, derivatives, and all rules together.
"""
