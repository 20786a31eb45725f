"""A quick sweep, and what its file holds."""

from harness.sweep.rows import Settings
from harness.sweep.store import open_to_read

LIGHT = Settings(sources=("vectorized", "finite-difference"))  # without JAX, whose start takes longer than all the rest


def table(path):
    """All rows, times aside."""
    with open_to_read(path) as store:
        return [row[:6] for row in store.rows()]
