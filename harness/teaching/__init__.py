"""The lesson: why gradients are checked, on one page that computes before the reader's eyes.

Each module makes one part of the page, or its numbers; `lesson` puts them together.
"""
