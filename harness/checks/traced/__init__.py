"""Any function that JAX traces, checked: JAX's derivatives beside the program run primitive by primitive."""
