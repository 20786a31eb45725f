"""Facts about a check, as values with names, and the one table that puts them into words.

Checks, drop-ins, gradings and sweeps produce a `fact.Fact` for whatever they find. Only what prints, draws or writes
calls `message_table.say`. So rewording a message never changes a decision.
"""
