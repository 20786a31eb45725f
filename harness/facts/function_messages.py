"""Messages about functions of one's own: what their calls do, what hides a derivative, and how it was differenced."""

from harness.facts.fact import Fact, Severity
from harness.facts.kinds import Kind
from harness.facts.relation_messages import times
from harness.facts.row import IMPORTS, Row, checked
from harness.wording import counted, first_few


def _undecided(fact: Fact) -> str:
    """How many coordinates a reason concerns, and which; or what else cannot be decided."""
    data = fact.data
    if "undecided" not in data:
        return f"{fact.where[0]} cannot be decided"
    count = (
        f"{data['undecided']} of {data['total']} coordinates"
        if "total" in data
        else counted(data["undecided"], "coordinate")
    )
    return f"{count} cannot be decided: {_places(fact, data['undecided'])}"


def _places(fact: Fact, count: int) -> str:
    """The places that are named, and how many more there are."""
    return first_few(fact.where, len(fact.where), total=count)


def _kinks_together(fact: Fact) -> str:
    """The slope that is reported along a direction, and those that there are; without data, of the entries named."""
    if not fact.data:
        return (
            "Each of these inputs alone lies between its left and right derivatives. Together they are not consistent."
        )
    low, high = (f"{fact.data[end]:.3g}" for end in ("low", "high"))
    found = f"the measured one is {low}" if low == high else f"those measured are {low} to {high}"
    places = _places(fact, fact.data["count"])
    return f"Along a direction across kinks in {places}, the reported slope is {fact.data['slope']:.3g}, and {found}."


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


ROWS: dict[Kind, Row] = {
    # -- rules that a function breaks ----------------------------------------------------------------------------------
    Kind.CACHED_GRADIENT: Row(
        _cached,
        meaning="Away from θ, the gradient misses the slope of the cost in proportion to the distance.",
        cause="The gradient of another call is kept, in whole or in part, or a wrong term happens to vanish at θ.",
        example=IMPORTS + "kept = []\n"
        "def fun(t):\n    kept.append(np.cos(t))\n    return np.sin(t).sum(), kept[0]\n"
        "report = check_gradient(fun, np.array([0.3, -0.7, 1.1]))",
        advice="Compute the gradient anew in every call, from the θ of that call.",
    ),
    Kind.STALE_GRADIENT: Row(
        _stale,
        meaning="What the function returns at θ depends on the calls before, not on θ alone.",
        cause="Cost and gradient share an array or an object that the cost fills, or a buffer is returned too early.",
        example=IMPORTS + "last = [np.zeros(3)]\n"
        "def cost(t):\n    last[0] = np.cos(t)\n    return np.sin(t).sum()\n"
        "report = check_gradient(cost, np.array([0.3, -0.7, 1.1]), gradient=lambda t: last[0])",
        advice="Compute everything from the θ of the call, or key what is kept by θ.",
    ),
    # -- what hides a derivative ---------------------------------------------------------------------------------------
    Kind.COST_JUMPS: Row(
        lambda fact: (
            f"{_undecided(fact)}. The cost climbs by jumps, as if it were rounded or a solver stopped at a tolerance "
            f"({_visible(fact)}; for a solver, pass accuracy=)."
        ),
        meaning="The cost is piecewise constant or piecewise smooth with many small jumps. Its slope between jumps "
        "says nothing.",
        cause="The cost is rounded on the way, or a part of it is computed in low precision. Or a solver stops at a "
        "tolerance, after fewer or more steps.",
        example=checked("round(float(np.sin(t).sum()), 3), np.cos(t)", "np.array([0.3, -0.7])"),
        advice="Compute the cost in float64, do not round it, and tighten the tolerance of solvers. Or state what a "
        "solver leaves, as accuracy=1e-3: larger errors are then seen.",
    ),
    Kind.DOMAIN_EDGE: Row(
        _domain_edge,
        meaning="Points next to θ lie outside the domain, or overflow, so that no central difference exists.",
        cause="θ is on or next to a bound, such as 0 for a logarithm. Or the cost is nearly too large for its type.",
        example=checked("np.sum(t * np.log(t)), np.log(t) + 1", "np.array([1e-12, 0.5])"),
        advice="Check at a θ farther inside.",
    ),
    Kind.GRADIENT_ROUNDING: Row(
        lambda fact: (
            f"{_undecided(fact)}. Rounding may move the gradient itself by {fact.data['visible']:.2g}, so smaller "
            "errors do not show."
        ),
        meaning="The gradient is computed in a precision that is too low to tell a right one from a wrong one.",
        cause="θ is float16 or bfloat16, or the gradient is ill-conditioned.",
        example=IMPORTS + "t = np.array([2.04, -2.56, 0.42, -0.57], np.float16)\n"
        "report = check_gradient(lambda t: (np.sum(t**4), 4 * t**3), t)",
        advice="Check the function at a float64 θ.",
    ),
    Kind.KINKS_TOGETHER: Row(
        _kinks_together,
        meaning="Each derivative is a convention at its kink, and together they are the slope of no side.",
        cause="Every one of several largest entries is given the whole gradient, as by g * (t == t.max()).",
        example=checked("t.max(), 1.0 * (t == t.max())", "np.array([2.0, 2.0, 1.0])"),
        advice="Give the gradient to one of the entries, or a share to each.",
    ),
    Kind.NOISY_COST: Row(
        _noisy,
        meaning="Changes of the cost over a step are as small as its noise, so differences cannot tell its slope.",
        cause="A large constant is part of the cost. It rounds to a constant, as 1 - tanh(25) does. It comes from an "
        "iterative solver or a simulation.",
        example=checked("1e13 + np.sin(t).sum(), np.cos(t)", "np.array([0.3, -0.7, 1.1])"),
        advice="Subtract what is constant, tighten the tolerance of solvers, and fix the seed of simulations.",
    ),
    Kind.ROUGH_COST: Row(
        lambda fact: f"{_undecided(fact)}. The cost bends or jumps too close to θ ({_visible(fact)}).",
        meaning="At no step do differences of the cost settle before noise hides them.",
        cause="A jump, a pole, or an oscillation that is faster than any step.",
        example=checked("np.floor(t).sum(), np.zeros(2)", "np.array([1.0, 1.7])"),
        advice="Check at another θ, or with smaller numbers.",
    ),
    # -- how a gradient was examined -----------------------------------------------------------------------------------
    Kind.FLOAT32_COST: Row(
        "{where} computes its cost in float32 or less, whose differences show little. Let it compute in float64.",
        meaning="Noise of float32 hides errors below a thousandth or so of the derivative; that of float16 hides more.",
        cause="θ is float32 or less, and the function cannot run with a θ in float64, or casts it.",
        example=IMPORTS + "def fun(t):\n    t = t.astype(np.float32)\n"
        "    return np.float32(1e3) + np.sin(t).sum(), np.cos(t)\n"
        "report = check_gradient(fun, np.array([0.3, -0.7], np.float32))",
        advice="Check a float64 version of the function, such as module.double().",
    ),
    Kind.FLOAT32_GRADIENT: Row(
        "The gradient of {where} holds float32 numbers. Errors below a few of their roundings do not show.",
        meaning="All numbers are numbers of float32, though θ is float64.",
        cause="A part of the gradient is computed in float32, as JAX does without enable_x64.",
        example=checked("np.sin(t).sum(), np.cos(t).astype(np.float32)", "np.array([0.3, -0.7])"),
        advice="Nothing, if float32 is meant. Else look where the precision is lost.",
    ),
    Kind.DECAY_ORDER: Row(
        lambda fact: (
            f"The Taylor remainder decays with order {fact.data['orders'][0]:.1f} to {fact.data['orders'][1]:.1f}. "
            "A right gradient has 2, a wrong one or a kink 1."
        ),
        meaning="How the remainder f(θ + hv) - f(θ) - h g·v shrinks with h, where it is larger than noise.",
        cause='You chose method="taylor".',
        example=IMPORTS + 'report = check_gradient(lambda t: (np.sin(t).sum(), np.cos(t)), 0.3, method="taylor")',
        advice="Look at the picture, `report.plot()`.",
    ),
    Kind.GROUPED: Row(
        "Differenced one by one: {alone:coordinate}. Others were differenced in {groups:group}.",
        meaning="Many coordinates were examined along a random direction, together with others.",
        cause="There are more parameters than are differenced one by one.",
        example=checked("np.sin(t).sum(), np.cos(t)", "np.linspace(0, 1, 1500)"),
        advice="Nothing. The report says how small an error would show.",
    ),
    Kind.RAISED_NEARBY: Row(
        _raised,
        meaning="The function works at θ and raises at some points nearby.",
        cause="θ is near the edge of the domain, such as 0 for math.log.",
        example=IMPORTS + "import math\n"
        "report = check_gradient(lambda t: (sum(map(math.log, t)), 1 / t), np.array([1e-3, 0.5]))",
        advice="Nothing, if the function ends there. Else look at what it raises.",
    ),
    Kind.UNEXAMINED: Row(
        lambda fact: (
            f"The budget of {fact.data['budget']} was spent before all coordinates were examined. "
            f"Left: {_places(fact, fact.data['left'])}."
        ),
        meaning="Nothing is known about these coordinates.",
        cause="The budget is small beside the number of parameters.",
        example=IMPORTS
        + "report = check_gradient(lambda t: (np.sin(t).sum(), np.cos(t)), np.linspace(0, 1, 300), budget=4)",
        advice="Give a larger budget.",
    ),
    # -- θ -------------------------------------------------------------------------------------------------------------
    Kind.HELD_FIXED: Row(
        "Held fixed and not checked: {where}.",
        meaning="These parts of θ, or of the arguments of f, are no parameters: no derivative in them is expected.",
        cause="They are integers, masks, or tensors that do not require a gradient.",
        example=IMPORTS + "report = check_gradient(lambda p: (p['w'] @ p['w'], {'w': 2 * p['w'], 'step': None}), "
        "{'w': np.ones(2), 'step': np.array([3, 4]) > 3})",
        advice="Nothing, or make them floating point numbers that require a gradient.",
    ),
    Kind.NO_PATH: Row(
        "Autograd finds no path from the cost to {where}. The gradient there is taken to be 0.",
        meaning="The cost does not depend on these tensors, as far as PyTorch knows.",
        cause="A tensor is detached, or a parameter is not used.",
        example="import torch\nfrom harness import check_gradient\n"
        "net = torch.nn.ModuleList([torch.nn.Linear(3, 1), torch.nn.Linear(3, 1)]).double()\n"
        "report = check_gradient(lambda net: net[0](torch.ones(2, 3).double()).tanh().sum(), net)",
        advice="Look whether the parameter should be used.",
    ),
    Kind.ON_DEVICE: Row(
        "{library} computed on {where}.",
        meaning="Numbers come from another device than the first CPU, with the rounding of that device.",
        cause="Arguments live on an accelerator, or it is the default device.",
        example="# A tensor with device='cuda'.",
        advice="Nothing.",
    ),
    Kind.SHARED_ARRAY: Row(
        lambda fact: f"{fact.where[0]} and {fact.where[1]} are one array. Each is varied as if it stood alone.",
        meaning="The same array stands in two places of θ.",
        cause="Weights are tied.",
        example=IMPORTS + "w = np.array([0.3, 0.7])\n"
        "report = check_gradient(lambda p: (p['a'] @ p['b'], {'a': p['b'], 'b': p['a']}), {'a': w, 'b': w})",
        advice="Give tied weights once.",
    ),
    # -- where a gradient is wrong -------------------------------------------------------------------------------------
    Kind.BLOCK_OF_ANOTHER: Row(
        _block_of_another,
        meaning="An array of the gradient holds the derivatives of another array of the same size.",
        cause="Two arrays are returned in the wrong order, or one under the other's name.",
        example=IMPORTS + "report = check_gradient(\n"
        "    lambda p: (np.sum(p['a']**2 + p['b']**4), {'a': 4 * p['b']**3, 'b': 2 * p['a']}),\n"
        "    {'a': np.array([0.3, 0.7]), 'b': np.array([1.1, -0.4])},\n)",
        advice="Compare the order in which θ is unpacked with that in which the gradient is packed.",
    ),
    Kind.DIGITS_LOST: Row(
        "The gradient loses digits in {where}: it scatters when θ moves by a rounding.",
        meaning="Neighbouring numbers have gradients that differ far more than the formula does.",
        cause="Nearly equal numbers are subtracted.",
        example=IMPORTS + "zero = lambda t: (1e3 * t + 1) ** 2 - 1e6 * t * t - 2e3 * t - 1\n"
        "report = check_gradient(lambda t: (np.sin(t).sum(), np.cos(t) + zero(t)), np.linspace(0.3, 1.1, 4))",
        advice="Rewrite the formula so that nothing cancels, or use a series where it does.",
    ),
    Kind.FLAT_COST: Row(
        "{where}: the cost does not change with these parameters near θ, so the right gradient is 0.",
        meaning="Every difference of the cost in these parameters is exactly zero, and the reported gradient is not.",
        cause="The cost does not use them. Or it is rounded, and the gradient is a straight-through estimate.",
        example=checked("np.sum(np.round(t) ** 2), 2 * t", "np.array([0.3, -0.7, 1.1])"),
        advice="Check the cost without its rounding.",
    ),
    Kind.SMALL_ERROR: Row(
        "The errors are at most {share:.1g} of the largest derivative. If the function stops a solver at a tolerance, "
        "that may explain them: then check again with accuracy={accuracy:.0e}.",
        meaning="All wrong entries are nearly right, and no entry of their arrays is right to many more digits.",
        cause="A solver stops at a tolerance or after some steps, or the gradient is itself an approximation.",
        example=checked("np.sin(t).sum(), np.cos(t) + 1e-9 * np.array([1, 2, -1])", "np.array([0.3, -0.7, 1.1])"),
        advice="Tighten the tolerance: a solver's errors shrink with it, a mistake stays. Or state what it leaves, as "
        "accuracy=1e-6. Without a solver, look for a small term that is wrong.",
    ),
    Kind.NOT_SYMMETRIC: Row(
        "{where} is not symmetric: v·H w and w·H v differ by {off:.1g} of their size. Then it is wrong by less than "
        "shows beside `gradient`, or that is the gradient of no cost.",
        meaning="Second derivatives can be taken in either order, so that v·H w is w·H v. Here they differ.",
        cause="`gradient` and Hessian have the same mistake, such as A x and A for the cost ½ xᵀA x. Or `hessp` is not "
        "linear in v.",
        example="import numpy as np\nfrom harness import check_hessian\nA = np.array([[1.0, 2.0], [0.0, 3.0]])\n"
        "report = check_hessian(lambda x: A @ x, np.array([0.3, 0.7]), lambda x: A)",
        advice="Check `gradient` against its cost by check_gradient. For what has no cost, use check_jacobian.",
    ),
    Kind.WRONG_AT_POINT: Row(
        "Next to this θ the gradient of {where} is right. Only its value at this very θ is wrong.",
        meaning="The reported gradient jumps to another value at this point and back.",
        cause="A special case in the code, such as where(t == 0, ...), returns another value.",
        example=IMPORTS + "report = check_gradient(\n"
        "    lambda t: (np.logaddexp(0, t).sum(), np.where(t == 0, 1, 1 / (1 + np.exp(-t)))), np.array([0.0, 1.0])\n)",
        advice="Look for the branch that handles this value.",
    ),
    Kind.WRONG_ENTRIES: Row(
        _wrong_entries,
        meaning="No simple relation between the reported and the right derivatives was found.",
        cause="A term is missing or wrong that depends on the data.",
        example=checked("np.sin(t).sum(), np.cos(t) + 1e-3 * np.sin(3 * t)", "np.linspace(0.1, 2.0, 7)"),
        advice="Compare the gradient term by term with the cost, beginning with the entry that is named.",
    ),
}
