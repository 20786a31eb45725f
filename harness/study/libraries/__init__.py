"""Right functions of libraries that are built on JAX, and places in them for a rule of one's own."""

from collections.abc import Callable

from harness.study.traced_functions import Function

Host = Callable[[Function], Function]  # from a function of arrays, entry by entry, to one of the library that calls it
