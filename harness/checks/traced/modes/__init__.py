"""What JAX says: its modes, and the programs that they are."""
