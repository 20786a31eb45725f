"""The cross-check of gradient sources on a network: one problem, many random ones, the smallest that fails, cases.

Training, the digits, the study and the doors import it; it imports no other kind of check.
"""
