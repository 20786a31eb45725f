from harness.cross_checking import cross_check  # noqa
