"""The audit: how many digits the derivative rules keep that JAX, optax, PyTorch and SciPy ship.

The commands alone import this room.
"""
