"""Training behind the gate: `fmincg` runs only where the gradient sources agree.

This room imports the network check; the digits, the lesson and the commands are built on it.
"""
