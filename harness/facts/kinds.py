"""The kinds of facts: stable names that programs may rely on.

A kind is named for what was found, in the field's words. Its words stand in the table of messages
(`harness.facts.message_table`), in the module of its room.
"""

from enum import StrEnum


class Kind(StrEnum):
    """What a fact is about."""

    PLAIN = "plain"

    # -- every verdict: harness/facts/verdict_messages.py --------------------------------------------------------------
    CHANGES_SETTINGS = "changes-settings"
    COST_DIFFERS = "cost-differs"
    DERIVATIVE_DIFFERS = "derivative-differs"
    DIRECTION_DIFFERS = "direction-differs"
    ANOTHER_FUNCTION = "another-function"
    COST_DIGITS_LOST = "cost-digits-lost"
    COST_NOT_FINITE = "cost-not-finite"
    DERIVATIVE_NOT_FINITE = "derivative-not-finite"
    COSTS_UNDECIDED = "costs-undecided"
    FEW_UNDECIDED = "few-undecided"
    MUTATES_ARGUMENT = "mutates-argument"
    NO_DIRECTION_DECIDED = "no-direction-decided"
    NOTHING_TO_COMPARE = "nothing-to-compare"
    NOTHING_TO_DECIDE = "nothing-to-decide"
    NOT_REPEATABLE = "not-repeatable"
    ONE_FAMILY = "one-family"
    UNDECIDED = "undecided"

    # -- which mistake is it: harness/facts/relation_messages.py -------------------------------------------------------
    CLIPPED = "clipped"
    CONSTANT_ERROR = "constant-error"
    FACTOR = "factor"
    FACTOR_BY_SLICE = "factor-by-slice"
    FLOAT32_DIGITS = "float32-digits"
    NOT_FINITE = "not-finite"
    OTHER_PLACES = "other-places"
    REARRANGED = "rearranged"
    REGULARISER = "regulariser"
    SIGN = "sign"
    SIGN_LOST = "sign-lost"
    SINGLE_ENTRY = "single-entry"
    SQUARED = "squared"
    SWAPPED_ENTRIES = "swapped-entries"
    SYMMETRISED = "symmetrised"
    ZERO = "zero"

    # -- networks, sources and the bug zoo: harness/facts/network_messages.py ------------------------------------------

    # -- functions of one's own: harness/facts/function_messages.py ----------------------------------------------------
    BLOCK_OF_ANOTHER = "block-of-another"
    CACHED_GRADIENT = "cached-gradient"
    COST_JUMPS = "cost-jumps"
    DIGITS_LOST = "digits-lost"
    DOMAIN_EDGE = "domain-edge"
    FLAT_COST = "flat-cost"
    FLOAT32_COST = "float32-cost"
    FLOAT32_GRADIENT = "float32-gradient"
    GRADIENT_ROUNDING = "gradient-rounding"
    GROUPED = "grouped"
    HELD_FIXED = "held-fixed"
    KINK_AT_THETA = "kink-at-theta"
    MORE_BLOCKS = "more-blocks"
    NO_DIFFERENCES = "no-differences"
    NO_PATH = "no-path"
    NOISY_COST = "noisy-cost"
    ON_DEVICE = "on-device"
    RAISED_NEARBY = "raised-nearby"
    ROUGH_COST = "rough-cost"
    SHARED_ARRAY = "shared-array"
    SMALL_ERROR = "small-error"
    STALE_GRADIENT = "stale-gradient"
    UNEXAMINED = "unexamined"
    WRONG_AT_POINT = "wrong-at-point"
    WRONG_ENTRIES = "wrong-entries"

    # -- activations: harness/facts/activation_messages.py -------------------------------------------------------------
    JUNCTION = "junction"

    # -- functions that JAX traces: harness/facts/derivative_messages.py -----------------------------------------------
    KINK = "kink"

    # -- drop-ins: harness/facts/drop_in_messages.py -------------------------------------------------------------------
    CANNOT_RUN = "cannot-run"
    COMPARED_DERIVATIVE = "compared-derivative"
    INEXACT_LIBRARY_RULE = "inexact-library-rule"
    JACOBIAN_ROW = "jacobian-row"
    NEARLY_RIGHT = "nearly-right"
    ORIGINAL_DECIDED = "original-decided"
    UNDECIDED_COORDINATES = "undecided-coordinates"
    UNKNOWN_MODE = "unknown-mode"

    # -- homework: harness/facts/homework_messages.py ------------------------------------------------------------------
    NOT_READABLE = "not-readable"

    # -- sweeps and many networks: harness/facts/sweep_messages.py -----------------------------------------------------
    CHECK_FAILED = "check-failed"
    PROCESS_ENDED = "process-ended"
    SOURCE_NEVER_TOOK_PART = "source-never-took-part"
