"""Detection power: how many known bugs this harness and its peers catch, and how often they call correct code wrong.

The commands alone import this room; it imports everything below.
"""
