"""Messages about functions of one's own, what their calls do and what hides a derivative; and about drop-ins."""

from harness.facts.fact import Fact, Severity
from harness.facts.kinds import Kind
from harness.facts.relation_messages import times
from harness.facts.templates import Message, undecided
from harness.wording import counted, distinct_digits, first_few


def _undecided(fact: Fact) -> str:
    """With every place that is named."""
    return undecided(fact, len(fact.where))


def _places(fact: Fact, count: int) -> str:
    """The places that are named, and how many more there are."""
    return first_few(fact.where, len(fact.where), total=count)


def _kinks_together(fact: Fact) -> str:
    """The slope that is reported along a direction, and those that there are; without data, of the entries named."""
    if not fact.data:
        return (
            "Each of these inputs alone lies between its left and right derivatives. Together they are not consistent."
        )
    low, high = (fact.data[end] for end in ("low", "high"))
    is_one = f"{low:.3g}" == f"{high:.3g}"
    slope, low, *ends = distinct_digits(fact.data["slope"], low, *([] if is_one else [high]))
    found = f"those measured are {low} to {ends[0]}" if ends else f"the measured one is {low}"
    places = _places(fact, fact.data["count"])
    return f"Along a direction across kinks in {places}, the reported slope is {slope}, and {found}."


def _visible(fact: Fact) -> str:
    """The smallest error that would show."""
    least = fact.data["visible"]
    return "no error would show" if least is None else f"only errors above {least:.2g} would show"


def _cached(fact: Fact) -> str:
    name = fact.where[0]
    if fact.severity == Severity.DOUBT:
        return (
            f"{name} returns the same gradient at another θ, and the cost bends on the way. Whether the gradient is "
            "cached, noise of the cost hides: subtract its constant part."
        )
    if fact.data["is_same"]:
        return f"{name} returns the same gradient at another θ, where the cost has another slope. It looks cached."
    return (
        f"Away from θ, the gradient of {name} misses the slope of the cost, by more the farther away. "
        "It may keep a part of another call."
    )


def _stale(fact: Fact) -> str:
    causes = {
        "last-cost": "The gradient function gives something else at the same θ after the cost was computed at another",
        "last-call": "After a call at another θ, the gradient is that of the call before",
        "unknown": "The answer changes at the same θ after a call at another θ",
    }
    return f"{fact.where[0]}: {causes[fact.data['of']]}. Compute everything from the θ of the call."


def _domain_edge(fact: Fact) -> str:
    if fact.data["overflows"]:
        return f"{_undecided(fact)}. The cost or its derivative overflows near θ ({_visible(fact)})."
    return (
        f"{_undecided(fact)}. θ is at the edge of the domain: nearby, the cost is not finite or fun raises "
        f"({_visible(fact)})."
    )


def _noisy(fact: Fact) -> str:
    data = fact.data
    if data["is_flat"] and data["visible"] is not None:
        return f"{_undecided(fact)}. The cost rounds to {data['cost']:.6g} near θ ({_visible(fact)})."
    advice = "subtract its constant part" if data["is_large"] else "try another θ, or a cost with less noise"
    hides = f"Rounding of the cost, which is {data['cost']:.6g}," if data["is_large"] else "Noise of the cost"
    return f"{_undecided(fact)}. {hides} or a kink nearby hides the derivative ({_visible(fact)}): {advice}."


def _wrong_entries(fact: Fact) -> str:
    data = fact.data
    if data["known"] == 1:
        relative = f", {times(data['factor'])} the right value" if data["factor"] is not None else ""
        return f"{fact.where[0]}: wrong by {data['largest']:.3g}{relative}."
    count = f"all {data['known']}" if data["wrong"] == data["known"] else f"{data['wrong']} of {data['known']}"
    name, *inside = fact.where
    where = f", all of them in {inside[0]}" if inside else ""
    if data["wrong"] == 1:
        return f"{name}: {count} examined entries is wrong, by {data['largest']:.3g}{where}."
    return f"{name}: {count} examined entries are wrong by up to {data['largest']:.3g}{where}."


def _raised(fact: Fact) -> str:
    kinds = ", ".join(f"{kind} {counted(count, 'time')}" for kind, count in fact.data["raised"].items())
    return f"Near θ, {fact.where[0]} raised {kinds}. Those points are taken to lie outside its domain."


def _block_of_another(fact: Fact) -> str:
    one, other = fact.where
    return f"{one} and {other} are swapped." if fact.data["swapped"] else f"{one}: holds the gradient of {other}."


def _compared(fact: Fact) -> str:
    outputs = fact.data["outputs"]
    summed = f", on the {outputs} added up with random weights" if outputs else ""
    confirmed = fact.data.get("confirmed")
    others = f" The derivatives in {', '.join(confirmed)} were confirmed along random lines." if confirmed else ""
    return f"Compared: {fact.where[0]}{summed}.{others}"


MESSAGES: dict[Kind, Message] = {
    # -- rules that a function breaks ----------------------------------------------------------------------------------
    Kind.CACHED_GRADIENT: _cached,
    Kind.STALE_GRADIENT: _stale,
    # -- what hides a derivative ---------------------------------------------------------------------------------------
    Kind.COST_JUMPS: lambda fact: (
        f"{_undecided(fact)}. The cost climbs by jumps, as if it were rounded or a solver stopped at a tolerance "
        f"({_visible(fact)}; for a solver, pass accuracy=)."
    ),
    Kind.DOMAIN_EDGE: _domain_edge,
    Kind.GRADIENT_ROUNDING: lambda fact: (
        f"{_undecided(fact)}. Rounding may move the gradient itself by {fact.data['visible']:.2g}, so smaller "
        "errors do not show."
    ),
    Kind.KINKS_TOGETHER: _kinks_together,
    Kind.NOISY_COST: _noisy,
    Kind.ROUGH_COST: lambda fact: f"{_undecided(fact)}. The cost bends or jumps too close to θ ({_visible(fact)}).",
    # -- how a gradient was examined -----------------------------------------------------------------------------------
    Kind.FLOAT32_COST: "{where} computes its cost in float32 or less, whose differences show little. Let it compute in "
    "float64.",
    Kind.FLOAT32_GRADIENT: "The gradient of {where} holds float32 numbers, and is compared as one computed in float32.",
    Kind.DECAY_ORDER: lambda fact: (
        f"The Taylor remainder decays with order {fact.data['orders'][0]:.1f} to {fact.data['orders'][1]:.1f}. "
        "A right gradient has 2, a wrong one or a kink 1."
    ),
    Kind.GROUPED: "Differenced one by one: {alone:coordinate}. Others were differenced in {groups:group}.",
    Kind.RAISED_NEARBY: _raised,
    Kind.UNEXAMINED: lambda fact: (
        f"The budget of {fact.data['budget']} was spent before all coordinates were examined. "
        f"Left: {_places(fact, fact.data['left'])}."
    ),
    # -- θ -------------------------------------------------------------------------------------------------------------
    Kind.HELD_FIXED: "Held fixed and not checked: {where}.",
    Kind.NO_PATH: "Autograd finds no path from the cost to {where}. The gradient there is taken to be 0.",
    Kind.ON_DEVICE: "{library} computed on {where}.",
    Kind.SHARED_ARRAY: lambda fact: (
        f"{fact.where[0]} and {fact.where[1]} are one array. Each is varied as if it stood alone."
    ),
    # -- where a gradient is wrong -------------------------------------------------------------------------------------
    Kind.BLOCK_OF_ANOTHER: _block_of_another,
    Kind.DIGITS_LOST: "The gradient loses digits in {where}: it scatters when θ moves by a few roundings.",
    Kind.FLAT_COST: "{where}: the cost does not change with these parameters near θ, so the right gradient is 0.",
    Kind.SMALL_ERROR: (
        "The largest error is {share:.2g} of the largest derivative. If the function stops a solver at a tolerance, "
        "that may explain them: then check again with accuracy={accuracy:.0e}."
    ),
    Kind.NOT_SYMMETRIC: (
        "{where} is not symmetric: v·H w and w·H v differ by {off:.1g} of their size. Then it is wrong by less than "
        "shows beside `gradient`, or that is the gradient of no cost."
    ),
    Kind.WRONG_AT_POINT: "Next to this θ the gradient of {where} is right. Only its value at this very θ is wrong.",
    Kind.WRONG_ENTRIES: _wrong_entries,
    # -- drop-ins: what was compared, and why the original checker decided ---------------------------------------------
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
