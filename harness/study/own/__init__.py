"""Functions as engineers write them, right and wrong, shown to this harness and to its peers: `harness study --own`.

It stands on the study's checkers and on the check of functions; the command and the tests import it.
"""
