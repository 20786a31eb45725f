"""Taylor models: what a formula does on whole cells of z, many cells at once, with proof and with rounding.

`models` is the arithmetic, `expansions` and `sigmoids` say how elementary functions expand, `functions` composes them,
`branches` compares and chooses, and `rules` puts all of it together and differentiates.
"""
