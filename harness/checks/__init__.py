"""What can be checked, a room for each subject: networks, anybody's functions, activations.

Each asks its sources, compares the answers, and has `harness.verdict` judge them. The rooms do not import each other,
and import sources, bounds and verdict; training, the digits, the study and the commands are built on them.
"""
