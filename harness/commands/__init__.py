"""The commands of `harness.cli`, one function each: it asks the library, prints, and exits with the verdict's code."""
