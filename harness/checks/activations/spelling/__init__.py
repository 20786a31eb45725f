"""Formulas as people write them: run in every arithmetic as they stand, or one line on what to write instead."""
