"""Self-contained HTML pages: one look for the lesson and for reports.

This room imports nothing of the harness.
"""
