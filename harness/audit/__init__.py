"""The audit: how many digits the derivative rules keep that JAX, PyTorch and SciPy ship.

`truths` states each function once, in balls of arbitrary precision; `rules` says what the libraries call it, and where
to look; `measuring` counts ulps; `auditing` runs all of it and ranks. The commands import this room.
"""
