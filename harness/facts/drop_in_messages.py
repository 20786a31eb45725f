"""Messages about drop-ins: what was compared, and why the original checker decided."""

from harness.facts.fact import Fact
from harness.facts.kinds import Kind
from harness.facts.templates import Message


def _compared(fact: Fact) -> str:
    outputs = fact.data["outputs"]
    summed = f", on the {outputs} added up with random weights" if outputs else ""
    confirmed = fact.data.get("confirmed")
    others = f" The derivatives in {', '.join(confirmed)} were confirmed along random lines." if confirmed else ""
    return f"Compared: {fact.where[0]}{summed}.{others}"


MESSAGES: dict[Kind, Message] = {
    Kind.CANNOT_RUN: "This check cannot run here. {error}: {message}.",
    Kind.COMPARED_DERIVATIVE: _compared,
    Kind.INEXACT_LIBRARY_RULE: lambda fact: (
        f"The library's own rule of {fact.where[0]} is off by {fact.data['off']:.1e} here."
        if fact.where
        else f"A derivative is off by less than {fact.data['limit']:.0e} of the largest, by a library's own rules."
    ),
    Kind.MOVES_WITHOUT_GRADIENT: "{where} changes with the inputs and has no gradient.",
    Kind.NEITHER_DECIDED: "No error was found, and {where} can see less than this check, which could not decide "
    "either.",
    Kind.ORIGINAL_DECIDED: "{where} decided, because this check could not.",
    Kind.UNKNOWN_MODE: "There is no mode {where}; the modes are {modes}.",
    Kind.VMAP_DIFFERS: "torch.func.vmap of the function is not what a loop computes, in {where}.",
}
