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
    ALL_LAYERS_WRONG = "all-layers-wrong"
    ARGUMENT_CHANGED = "argument-changed"
    BUG = "bug"
    BUGS_ALIKE = "bugs-alike"
    COST_IN_ARRAY = "cost-in-array"
    COST_RIGHT = "cost-right"
    COST_UNEXPLAINED = "cost-unexplained"
    ERROR_STARTS_BELOW = "error-starts-below"
    GRADIENT_RIGHT = "gradient-right"
    GRADIENT_WRONG_TOO = "gradient-wrong-too"
    INCONCLUSIVE_NETWORK = "inconclusive-network"
    NO_BUG_EXPLAINS = "no-bug-explains"
    NO_REGULARISER = "no-regulariser"
    NOT_APPLICABLE = "not-applicable"
    NOT_REPEATABLE = "not-repeatable"
    NOT_SAVED = "not-saved"
    NOT_SHRUNK = "not-shrunk"
    SETTINGS_CHANGED = "settings-changed"
    SHRUNK = "shrunk"
    SINGLE_EXAMPLE = "single-example"
    SLOPE_BY_HAND = "slope-by-hand"
    SOURCE_FAILED = "source-failed"
    UNBOUNDED = "unbounded"
    UNITS_AT_JUNCTION = "units-at-junction"
    UNITS_AT_KINK = "units-at-kink"
    ZERO_WEIGHTS = "zero-weights"

    # -- functions of one's own: harness/facts/function_messages.py ----------------------------------------------------
    KINK_AT_THETA = "kink-at-theta"

    # -- activations: harness/facts/activation_messages.py, slope_messages.py ------------------------------------------
    AT_INFINITY = "at-infinity"
    CHAIN_RULE = "chain-rule"
    CLAIM_AGREES = "claim-agrees"
    CONSTANT_SLOPE = "constant-slope"
    DROPPED_BRANCH = "dropped-branch"
    FORMULA_NOT_FINITE = "formula-not-finite"
    FORMULA_REFUSED = "formula-refused"
    JUNCTION = "junction"
    LEFT_TO_SAMPLING = "left-to-sampling"
    LOST_TAIL = "lost-tail"
    MINUS_ZERO = "minus-zero"
    MORE_JUNCTIONS = "more-junctions"
    NAN_SWALLOWED = "nan-swallowed"
    NOT_ELEMENTWISE = "not-elementwise"
    NUMBER_FORMAT = "number-format"
    ONE_SLOPE_FOR_ALL = "one-slope-for-all"
    OTHER_ARGUMENT = "other-argument"
    OTHER_FUNCTION = "other-function"
    OTHER_VALUE = "other-value"
    OUTSIDE_ONE_SIDED = "outside-one-sided"
    PLAIN_DIFFERENCES = "plain-differences"
    PRODUCT_RULE = "product-rule"
    SAMPLED_ROUNDING = "sampled-rounding"
    SECOND_DERIVATIVE = "second-derivative"
    SHAPE_NOT_KEPT = "shape-not-kept"
    SHAPE_REFUSED = "shape-refused"
    SURROGATE = "surrogate"
    TERM = "term"
    UNDECLARED_JUMP = "undeclared-jump"
    UNDECLARED_KINK = "undeclared-kink"

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
