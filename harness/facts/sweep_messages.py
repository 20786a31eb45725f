"""Messages about sweeps and many networks: checks that came to no verdict."""

from harness.facts.kinds import Kind
from harness.facts.row import Row

ROWS = {
    Kind.CHECK_FAILED: Row(
        "The check stopped: {error}.",
        meaning="A source raised, or answered what is no cost and gradient, so that there is no verdict on this row.",
        cause="A source of one's own fails for some shapes, activations or outputs.",
        example="# harness sweep with a source that raises KeyError where m = 3.",
        advice="Run `harness replay FILE --seed N` to see it alone.",
    ),
    Kind.PROCESS_ENDED: Row(
        "The process that made the check {why}.",
        meaning="The check was made in a process of its own, which did not survive it or did not answer in time.",
        cause="A source loops for ever, exits, or crashes the interpreter.",
        example="# harness sweep with a source that calls os._exit(0).",
        advice="Run `harness replay FILE --seed N`, or allow more time with --timeout.",
    ),
    Kind.SOURCE_NEVER_TOOK_PART: Row(
        "{where} could take none of the networks.",
        meaning="A source that was named was never compared, so nothing is known about it.",
        cause="It supports only some outputs, activations or sizes.",
        example='from harness import check_networks\nreport = check_networks(2, sources=["loop", "complex-step"], '
        'activations=["relu"])',
        advice="Draw networks that it can take, or leave it out.",
    ),
}
