"""The check of one activation by itself: is the slope by hand the derivative of the formula?

The doors import it; it imports no other kind of check.
"""
