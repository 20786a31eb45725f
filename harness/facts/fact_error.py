"""An error for callers that cannot go on, whose message is a fact put into words."""

from harness.facts import message_table
from harness.facts.fact import Fact


class FactError(ValueError):
    """An error about a fact, for callers that cannot go on.

    Attributes
    ----------
    fact : Fact
        What is wrong. Programs read its kind and data.
    before : str
        What the message begins with, such as the name of the file.
    """

    def __init__(self, fact: Fact, before: str = ""):
        super().__init__(fact, before)  # both, so that it can be pickled
        self.fact, self.before = fact, before

    def __str__(self) -> str:
        return f"{self.before}{message_table.say(self.fact)}"
