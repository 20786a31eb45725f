"""From answers to words: who differs from whom, what is decided, who is the odd one out, and the report on it.

Nothing here knows what is checked: a network, a function or an activation is a `subject.Subject` to this room. It
imports `reference`, `harness.facts` and `harness.bounds`; the checks are built on it.
"""
