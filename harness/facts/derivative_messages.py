"""Messages about functions that JAX traces: what cannot be decided, what is worth knowing, and whose rule is wrong."""

import math

from harness.facts.fact import Fact, Severity
from harness.facts.kinds import Kind
from harness.facts.templates import Message, undecided
from harness.wording import counted, distinct_digits, first_few

BOUNDS = {
    (): "none",
    ("borrowed",): "taken from the increments",
    ("derived",): "derived bounds on rounding errors",
    ("spread",): "the spread of randomly rounded runs, an estimate",
    ("derived", "spread"): "derived bounds where these are narrow, else the spread of randomly rounded runs",
}


def _digits_lost(fact: Fact) -> str:
    data = fact.data
    how = {"rounding": "lost to rounding", "formula": "by its formula, in float64 as well"}[data["by"]]
    others = f" ({counted(data['places'], 'coordinate')})" if data["places"] > 1 else ""
    return (
        f"{data['source']} has no correct digit in {fact.where[0]}{others}, {how}: {data['reported']:.3g} where "
        f"{data['true']:.3g} is right. The error of {data['ulps']:.2g} ulps is within its bound {data['bound']:.2g}."
    )


def _own_precision_only(fact: Fact) -> str:
    because = {
        "jax-alone": f"only JAX can run {first_few(fact.where, 3)}",
        "solver": "a solver in it stops at a tolerance",
        "bits": "it reads the bits of a number",
    }[fact.data["because"]]
    return f"{fact.data['source']} was compared in {fact.data['type']} and not evaluated in float64: {because}."


def _another_value(fact: Fact) -> str:
    data = fact.data
    compared = "compiled" if data["how"].startswith(("run", "batched")) else "otherwise"
    value, otherwise = distinct_digits(data["value"], data["otherwise"])
    return f"{fact.where[0]} is {value} when f is {data['how']}, and {otherwise} {compared}.{_by(fact)}"


def _by(fact: Fact) -> str:
    """Which rule computes something else, where that is known."""
    return f" The rule of {fact.data['rule']} does it: {fact.data['place']}." if "rule" in fact.data else ""


def _compared_in_float64(fact: Fact) -> str:
    data = fact.data
    which = "" if data["places"] == data["of"] else f" in {data['places']} of these coordinates"
    return (
        f"The value compared{which} is the rule evaluated in float64, since {data['type']} rounding may explain JAX's "
        f"own, such as {data['reported']:.4g} for {fact.where[0]}."
    )


def _conjugate(fact: Fact) -> str:
    what = {"answer": "the conjugate of the right value", "cotangent": "right up to conjugates"}[fact.data["of"]]
    return f"{first_few(fact.where, 3)}: {what}. A conjugation is missing, or there is one too many."


def _one_branch(fact: Fact) -> str:
    condition = f"{fact.where[0]} {'is' if fact.data['sign'] == '=' else fact.data['sign']} {fact.data['edge']}"
    return f"Only entries where {condition} are wrong, so the branch for these seems to be."


def _wrong_rule(fact: Fact) -> str:
    data = fact.data
    if not data["off"] and data["explains"]:  # it was not checked alone, or showed no error there
        others = f" and {counted(data['others'], 'other')}" if data["others"] else ""
        return f"Without the rule of {data['name']}, {fact.where[0]}{others}, every derivative agrees."
    how = "checked alone in float64" if data["in_float64"] else "checked alone"
    off = f"off by {data['off']:.1e} of the largest derivative" if math.isfinite(data["off"]) else "infinitely far off"
    what = f"is {off}" if data["off"] else "shows no error"
    if data["order"] == 2:
        what = f"is right at first order, and its own derivative {what}"
    explains = {None: "", True: " Without it, every derivative agrees.", False: " Without it, something still differs."}
    return f"The rule of {data['name']}, {fact.where[0]}, {how}, {what}.{explains[data['explains']]}"


MESSAGES: dict[Kind, Message] = {
    Kind.ASSERTION_IN_JAX: "An assertion within JAX fails in this mode.",
    Kind.BLACK_BOX: "No exact rule is known for {where}: differences of the values take its place.",
    Kind.CALLBACK: "f prints or calls back into Python. This check calls f many times.",
    Kind.COMPLEX_CONVENTION: "Complex arguments: Re g and -Im g of JAX's gradient g are the slopes in the real and the "
    "imaginary part.",
    Kind.DERIVATIVE_ENDS: "No derivative goes through {where}: the result counts as constant.",
    Kind.NO_CORRECT_DIGIT: _digits_lost,
    Kind.ERROR_BOUNDS: lambda fact: (
        f"Error bounds of {', '.join(fact.where)}, in {fact.data['precision']}: {BOUNDS[tuple(fact.data['bounds'])]}."
    ),
    Kind.FIRST_ORDER_UNCHECKED: "order=2 compares the derivatives of JAX's gradient, and not the gradient: order=1 "
    "does that.",
    Kind.FLOAT64_EVALUATION: (
        "{type} is too imprecise in places to compare {where}, so the rule was evaluated in float64 there. A right "
        "rule may be off by {share:.1e} of its block's largest derivative, and by the rounding of its constants."
    ),
    Kind.FREE_PHASES: "Only combinations of the outputs were compared that the free phases of complex vectors do not "
    "change.",
    Kind.INCREMENTS_CONTRADICTED: (
        "The exact increments are not the slopes by which f's values climb in some entries. So only finite differences "
        "may call a mode wrong."
    ),
    Kind.IN_32_BITS: "f was checked in 32 bits, as JAX is set. It does not run in 64: {message}.",
    Kind.MODE_MISSING: lambda fact: (
        f"{first_few(fact.where, 3)} has no rule for forward mode."
        if fact.where
        else f"This mode cannot be computed here: {fact.data['message']}"
    ),
    Kind.MOVES_IN_STEPS: lambda fact: (
        f"{undecided(fact)}. f moves in steps there, so the slope within a step may be meant, or that over many steps."
    ),
    Kind.NAN_GIVEN: "NaN was given for {where}.",
    Kind.NOTHING_CHECKED: lambda fact: (
        f"JAX has no derivative in {' or '.join(fact.where)} mode here, so nothing was checked."
        if fact.where
        else "No derivative of JAX could be compared, so nothing was checked."
    ),
    Kind.NOT_BATCHABLE: "f cannot be batched by jax.vmap: {message}",
    Kind.NOT_DIFFERENTIATED: "No derivative is taken of {where}.",
    Kind.NO_SLOPE: "There is no derivative to compare: {reason}.",
    Kind.OWN_PRECISION_ONLY: _own_precision_only,
    Kind.PRODUCT_BITS: "Matrix products use {bits} bits of each number, which the error bounds allow for.",
    Kind.SOLVER_HIDES_DIGITS: lambda fact: (
        f"{undecided(fact)}. A solver in f stops at a tolerance that hides their digits."
    ),
    Kind.SOLVER_TOLERANCE: (
        "A solver stops at its tolerance: a finer one moves JAX's derivatives by up to {moved:.1e} of the largest one. "
        "The error bounds allow for {factor:.0f} times that."
    ),
    Kind.MANY_INPUTS: lambda fact: (
        f"{fact.data['examined']} of {fact.data['total']:,} inputs were examined one by one. "
        + (
            "The others were compared with a reverse pass in float64, without your rules."
            if fact.data["by_reverse_pass"]
            else "Random directions alone cover the others: they show an error of "
            f"{fact.data['visible']:.1e} or more in one of them."
        )
    ),
    Kind.WITHIN_TOLERANCE: lambda fact: (
        "JAX's derivatives differ from the slopes of the values by no more than a solver may leave that stops at "
        f"{fact.data['tolerance']:.1e}. "
        + (
            f"With finer tolerances, they differ by no more than {fact.data['finer']:.1e} may leave."
            if fact.data["finer"]
            else f"accuracy={fact.data['accuracy']:.0e} accepts such errors."
        )
    ),
    Kind.TRUSTED_RULE: "Taken as they are, and not checked: {where}.",
    Kind.TWICE_WOULD_PASS: (
        "The error bounds exceed the derivatives in most of {where} (up to {bound:.1e}): even a factor of 2 would go "
        "unnoticed."
    ),
    Kind.UNUSED_ARGUMENT: "f does not use {where}.",
    Kind.VALUES_DIFFER: "JAX computes another value for {where} than this check's own interpreter.",
    Kind.VALUE_NOT_FINITE: "f is not finite at this point: {where}.",
    Kind.ZERO_DERIVATIVE: lambda fact: f"Every derivative is zero{' at this point' if fact.data['is_local'] else ''}.",
    Kind.VALUE_DEPENDS_ON_RUN: _another_value,
    Kind.CHANGED_BY_VMAP: lambda fact: (
        f"{fact.data['mode']} mode reports something else without jax.vmap than with it.{_by(fact)}"
    ),
    Kind.COMPARED_IN_FLOAT64: _compared_in_float64,
    Kind.CONJUGATE: _conjugate,
    Kind.COTANGENT_POWER: lambda fact: (
        "The rule multiplies by its cotangent twice."
        if fact.data["power"]
        else "The rule ignores its cotangent: it returns the same whatever it is given."
    ),
    Kind.HIDDEN_RULE: lambda fact: (
        f"{_wrong_rule(fact)} The derivatives of the whole function hide it: another error cancels it, or its share is "
        f"too small to show{', or the function does not use what is wrong' * (fact.severity == Severity.DOUBT)}."
        if fact.severity != Severity.NOTE
        else f"{_wrong_rule(fact)} The function does not use what is wrong: the program masks or stops it, or "
        "moves that argument only where the rule is right, if at all."
    ),
    Kind.LOST_DTYPE: "Right to the digits of {type}: a cast on the way loses the others.",
    Kind.SYMBOLIC_ZEROS: (
        "All together agrees, and {where} alone does not: a rule with symbolic_zeros=True may take another way there."
    ),
    Kind.RIGHT_IN_FLOAT64: (
        "The same rule is right in float64: {type} underflows, overflows or cancels on the way, or a cast loses digits."
    ),
    Kind.NAN_ORIGIN: lambda fact: (
        f"NaN or infinity begins with {', at '.join([fact.data['operation'], *fact.where])}."
        + (
            " jnp.where needs a finite slope in the branch that it does not choose, too."
            if fact.data["in_where"]
            else ""
        )
    ),
    Kind.NOT_LINEAR: lambda fact: (
        f"{fact.where[0] if fact.where else 'The VJP' if fact.data['mode'] == 'reverse' else 'The JVP'} is not linear: "
        f"it does not keep sums and multiples of vectors.{_by(fact)}"
    ),
    Kind.ONE_BRANCH: _one_branch,
    Kind.TRANSPOSE_MISSING: lambda fact: (
        "The rule returns J g instead of Jᵀ g: a transpose is missing"
        + (", and a conjugation is missing or one too many." if fact.data["conjugated"] else ".")
    ),
    Kind.WRONG_RULE: _wrong_rule,
}
