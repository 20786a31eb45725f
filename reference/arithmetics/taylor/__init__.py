"""Taylor models: a formula evaluated on whole cells of z, many cells at once, with proof and with rounding.

- `taylor_model`: the enclosure, its sums and products.
- `expansions`, `sigmoids`: Taylor coefficients of functions, with bounds on the rest.
- `branches`: comparisons, choices, and functions with kinks.
- `taylor_functions`: compositions, derivatives, and all rules together.
"""
