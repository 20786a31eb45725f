"""The check of anybody's own function (cost, gradient), of which nothing is known but its values.

The doors import it; it imports no other kind of check.
"""
