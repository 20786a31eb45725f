"""The colours of the verdicts, on every page and in notebooks."""

COLOURS = {"agree": "#1a7f37", "disagree": "#cf222e", "inconclusive": "#9a6700"}
