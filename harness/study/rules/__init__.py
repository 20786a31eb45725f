"""Functions that JAX traces, their derivative rules right and wrong: `harness study --functions`.

It stands on the study's checkers and on the check of traced functions; the command and the tests import it.
"""
