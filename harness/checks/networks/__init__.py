"""The cross-check of gradient sources on a network: one problem, many random ones, the smallest that fails, cases."""
