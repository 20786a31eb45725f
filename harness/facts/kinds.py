"""The kinds of facts: stable names that programs may rely on.

A kind is named for what was found, in the field's words. Its words stand in the table of messages
(`harness.facts.message_table`), in the module of its room.
"""

from enum import StrEnum


class Kind(StrEnum):
    """What a fact is about."""

    PLAIN = "plain"

    # -- every verdict: harness/facts/verdict_messages.py --------------------------------------------------------------
    COST_DIFFERS = "cost-differs"
    DERIVATIVE_DIFFERS = "derivative-differs"
    DIRECTION_DIFFERS = "direction-differs"
    ANOTHER_FUNCTION = "another-function"
    COST_DIGITS_LOST = "cost-digits-lost"
    COST_NOT_FINITE = "cost-not-finite"
    DERIVATIVE_NOT_FINITE = "derivative-not-finite"
    COSTS_UNDECIDED = "costs-undecided"
    FEW_UNDECIDED = "few-undecided"
    NO_DIRECTION_DECIDED = "no-direction-decided"
    NOTHING_TO_COMPARE = "nothing-to-compare"
    NOTHING_TO_DECIDE = "nothing-to-decide"
    ONE_FAMILY = "one-family"
    UNDECIDED = "undecided"

    # -- which mistake is it: harness/facts/relation_messages.py -------------------------------------------------------
    CONSTANT_ERROR = "constant-error"
    FACTOR = "factor"
    FLOAT32_DIGITS = "float32-digits"
    NOT_FINITE = "not-finite"
    OTHER_PLACES = "other-places"
    REARRANGED = "rearranged"
    REGULARISER = "regulariser"
    SIGN = "sign"
    SINGLE_ENTRY = "single-entry"
    SWAPPED_ENTRIES = "swapped-entries"
    SYMMETRISED = "symmetrised"
    ZERO = "zero"

    # -- networks, sources and the bug zoo: harness/facts/network_messages.py ------------------------------------------
    NOT_REPEATABLE = "not-repeatable"

    # -- functions of one's own: harness/facts/function_messages.py ----------------------------------------------------
    KINK_AT_THETA = "kink-at-theta"

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
    ARGUMENT_CHANGED = "argument-changed"
    CALL_FAILED = "call-failed"
    CELL_LEFT_OUT = "cell-left-out"
    CONVENTION_IS_BUG = "convention-is-bug"
    CONVENTION_REFUSED = "convention-refused"
    CONVENTION_UNKNOWN = "convention-unknown"
    COST_CONSTANT = "cost-constant"
    COST_PATTERN = "cost-pattern"
    COURSE_SIZE_ONLY = "course-size-only"
    FEW_ANSWERS = "few-answers"
    GRADIENT_SHAPE = "gradient-shape"
    GRADING_FAILED = "grading-failed"
    HELPER_WRONG = "helper-wrong"
    NO_HOMEWORK_FUNCTION = "no-homework-function"
    NOT_AN_ANSWER = "not-an-answer"
    NOT_APPLICABLE = "not-applicable"
    NOT_READABLE = "not-readable"
    PART_MISSING = "part-missing"
    UNSTABLE_ANSWER = "unstable-answer"
    WHOLE_FILE_RUN = "whole-file-run"

    # -- sweeps and many networks: harness/facts/sweep_messages.py -----------------------------------------------------
    CHECK_FAILED = "check-failed"
    PROCESS_ENDED = "process-ended"
    SOURCE_NEVER_TOOK_PART = "source-never-took-part"
