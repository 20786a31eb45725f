"""The lesson: why gradients are checked, on one page that computes before the reader's eyes.

Each module makes the numbers of one or two parts of the page; `lesson` puts them together.
"""
