"""Messages that every kind of check shares: what differs, what cannot be decided, and why there is no verdict."""

import math

from harness.facts.fact import Fact, Severity
from harness.facts.kinds import Kind
from harness.facts.row import IMPORTS, Row, checked
from harness.wording import counted, distinct_digits, first_few

NETWORK = """import numpy as np
from harness import SOURCES, Network, Problem, cross_check
network = Network((2, 3, 2))
problem = Problem(network, np.array([[0.5, -0.25], [0.25, 0.75], [-1.0, 0.5]]), np.array([0, 1, 1]), l2=0.5)
theta = network.init(0)
others = {name: SOURCES[name] for name in ("loop", "finite-difference")}
"""
"""A network at θ, and two sources that are right."""

CANCELLING = """import numpy as np
from harness import Network, Problem, cross_check
network = Network((2, 1))
problem = Problem(network, np.array([[1e17, 0.7e17]]), np.zeros((1, 1)))
report = cross_check(problem, network.pack([np.array([[0.0, 0.7, -1.0]])]))"""
"""z = 0.7 · 1e17 - 0.7e17, of which rounding leaves nothing."""

BLOCKS_SHOWN = 4
UNDERFLOW = 1e-290
"""A bound below this only allows for underflow, so a ratio to it says nothing."""


def _difference(fact: Fact) -> str:
    """The two values, how far beyond the bound they differ, and where else."""
    data = fact.data
    differs = f"{data['source']}: {fact.where[0]} = {data['value']!r}, but {data['against']} has {data['expected']!r}"
    if math.isfinite(data["ratio"]) and data["bound"] >= UNDERFLOW:
        beyond = f"{data['ratio']:.2g} times the error bound {data['bound']:.1e}"
    else:
        beyond = "rounding cannot explain this"
    if data["coordinates"] == 1:
        return f"{differs} ({beyond})."
    blocks = fact.where[1:]
    is_long = len(blocks) > BLOCKS_SHOWN
    place = f"{len(blocks)} blocks from {blocks[0]} to {blocks[-1]}" if is_long else ", ".join(blocks)
    count = f"{'At least ' if data['perhaps_more'] else ''}{data['coordinates']} coordinates"
    return f"{differs} ({beyond}). {count} differ, in {place}."


def _argument_changed(fact: Fact) -> str:
    """Which arguments change and by how much, where that is known."""
    data, names = fact.data, fact.data["argument"]
    if isinstance(names, str):
        return f"{fact.where[0]} changes its argument {names} in place."
    changed = " and ".join(f"{name} in place ({change})" for name, change in zip(names, data["changes"]))
    effect = "the next call with the same arrays returns something else" if data["spoils"] else "callers may need it"
    return f"{fact.where[0]} changes {changed}. Work on a copy: {effect}."


def _places(fact: Fact) -> str:
    """The first undecided coordinates, and how many others there are: `where` may name only some of them."""
    return first_few(fact.where, 3, total=fact.data["undecided"])


def _kink(fact: Fact) -> str:
    """Where the kink is, its slopes, and how many coordinates it hides; or that a convention is accepted."""
    if not fact.where:
        accepted = "JAX's value is accepted where it lies between the left and right derivatives"
        return f"f is not differentiable here (a kink). {accepted}."
    left, right = fact.data["left"], fact.data["right"]
    slopes = f" (left derivative {left:.6g}, right derivative {right:.6g})" if left is not None else ""
    if fact.severity == Severity.NOTE:
        return f"As far as differences show, {fact.where[0]} is at a kink{slopes}."
    if "undecided" not in fact.data:
        what = f"{fact.where[0]} cannot be decided"
    else:
        of = f" of {fact.data['total']}" if "total" in fact.data else ""
        what = f"{fact.data['undecided']}{of} coordinates cannot be decided: {_places(fact)}"
    return f"{what}. As far as differences show, θ is at a kink{slopes}, where no single value is the derivative."


def _undecided(fact: Fact) -> str:
    data = fact.data
    if "total" not in data:
        return "Too few coordinates could be decided."
    whose = f" of {first_few(data['sources'], 4)}" if data["sources"] else ""
    return (
        f"{data['undecided']} of {data['total']} coordinates{whose} cannot be decided: {_places(fact)}. "
        "The error bounds are too wide there: no derivative exists, a kink is near, or rounding errors are large."
    )


def _nothing_to_compare(fact: Fact) -> str:
    names = first_few(fact.where, 4) or "anything"
    missing = fact.data["left_out"]
    others = f"{first_few(missing, 4)} could not answer" if missing else "there is no other source"
    return f"There is nothing to compare {names} with: {others}."


def _one_family(fact: Fact) -> str:
    missing = fact.data["left_out"]
    others = f", and {first_few(missing, 4)} could not answer" if missing else ""
    return f"{first_few(fact.where, 4)} share an author or a mechanism{others}. They cannot confirm each other."


def _few_undecided(fact: Fact) -> str:
    why = f" ({', '.join(fact.data['why'])})" if fact.data["why"] else ""
    return f"{counted(fact.data['undecided'], 'coordinate')} could not be decided: {_places(fact)}{why}."


def _accuracy(fact: Fact) -> str:
    data = fact.data
    needed = "" if data["is_needed"] else "; no error exceeds its error bound, so accuracy= is not needed here"
    return (
        f"Errors of {data['source']} below {data['accuracy']:.2g} of the largest derivative in "
        f"{'a random sum of all rows, where their errors add up,' if data.get('is_summed') else 'their block'} are "
        f"accepted. The largest is {data['largest']:.2g}, in {fact.where[0]}{needed}."
    )


def _not_repeatable(fact: Fact) -> str:
    """What changes from call to call, and what that suggests, where it was found out."""
    name, data = fact.where[0], fact.data
    changes = {
        "gradient": "The cost is the same, and the gradient is not",
        "gradient-grows": "The gradient grows with every call: set .grad to zero before each backward pass",
        "cost-grows": f"The cost changes by {data.get('by', 0.0):.3g} with every call: keep nothing between calls",
        "random": f"The costs are {' and '.join(distinct_digits(*data.get('costs', (0.0, 1.0))))}: "
        "draw random numbers from the same seed in every call",
        "state": "It uses random numbers or state outside of its arguments",
    }
    what = changes.get(data.get("change", ""), "Draw random numbers from a fixed seed, and keep nothing between calls")
    how, argument = data.get("how", "called"), data.get("argument", "θ")
    return f"{name} returns something else when it is {how} again with the same {argument}. {what}."


ROWS = {
    Kind.ACCURACY: Row(
        _accuracy,
        meaning="The caller states how accurate the gradient is, and smaller errors change no verdict.",
        cause="accuracy= is given, for a gradient that is right to a solver's tolerance.",
        example=IMPORTS
        + "report = check_gradient(lambda t: (np.sin(t).sum(), np.cos(t) + 1e-8), [0.3, 1], accuracy=1e-6)",
        advice="Nothing, if the largest error is that of the solver's tolerance.",
    ),
    Kind.SETTINGS_CHANGED: Row(
        "{where} changes {settings}. This is put back after the check.",
        meaning="A call changes a setting of the whole process, which other code relies on.",
        cause="np.seterr, np.random.seed or os.chdir in the function.",
        example=IMPORTS + "def fun(t):\n    np.random.seed(0)\n    return t @ t, 2 * t\n"
        "report = check_gradient(fun, np.array([1.0, 2.0]))",
        advice="Use a local generator or a context manager, such as np.random.default_rng and np.errstate.",
    ),
    Kind.COST_DIFFERS: Row(
        _difference,
        meaning="Two sources compute different costs for the same θ, by more than their error bounds together.",
        cause="A term of the cost is missing, counted twice, or divided by another number.",
        example=NETWORK + "def mine(problem, theta):\n    cost, gradient = SOURCES['loop'](problem, theta)\n"
        "    return 2 * cost, gradient\n"
        "report = cross_check(problem, theta, others | {'mine': mine})",
        advice="Compare both costs term by term. Costs come first: the gradient of another cost is another gradient.",
    ),
    Kind.DERIVATIVE_DIFFERS: Row(
        _difference,
        meaning="Two sources report different derivatives, by more than their error bounds together allow.",
        cause="A factor, a sign, a transpose or a term of the hand-written derivative is wrong.",
        example=checked("t @ t, t", "np.array([1.0, 2.0])"),
        advice="Read the line below, which says what kind of mistake fits, and look at the coordinate that it names.",
    ),
    Kind.DIRECTION_DIFFERS: Row(
        _difference,
        meaning="Along a random direction, the derivative differs from a difference of the whole computation.",
        cause="The error is in coordinates that were not compared one by one, or all sources share it.",
        example="import jax\nimport jax.numpy as jnp\nimport numpy as np\nfrom harness import check_derivatives\n"
        "f = jax.custom_jvp(lambda x: jnp.sum(jnp.sin(x)))\n"
        "f.defjvp(lambda x, t: (f(*x), 1.1 * jnp.sum(jnp.cos(x[0]) * t[0])))\n"
        "report = check_derivatives(f, np.linspace(0.1, 1.0, 1200), modes=['forward'])",
        advice="Check the parameters in smaller groups, or fewer inputs, so that each is compared by itself.",
    ),
    Kind.COST_OF_ANOTHER: Row(
        "The costs differ, so one of them is not the function that the gradient should belong to.",
        meaning="The named source computes another cost than the one beside it, and nothing explains it. Either may be "
        "wrong.",
        cause="Sources share a mistake: labels are mapped to other units, an array is broadcast, or a term is missing.",
        example=NETWORK + "loop = SOURCES['loop']\n"
        "wrong = lambda: lambda problem, theta: (loop(problem, theta)[0] + 0.1, loop(problem, theta)[1])\n"
        "report = cross_check(problem, theta, {'a': wrong(), 'b': wrong(), 'c': wrong(), 'loop': loop})",
        advice="Mend the cost first, and check again.",
    ),
    Kind.COST_DIGITS_LOST: Row(
        lambda fact: (
            f"The cost{f' of {fact.where[0]}' if fact.where else ''} is nearly right, as one with lost digits is. Look "
            "for cancellation, such as log(1 - σ(z)), or low precision."
        ),
        meaning="The costs differ by less than a millionth of their size and by more than rounding explains. Or, as a "
        "note, by what computing log(1 - p) from p explains, where p is nearly 1.",
        cause="Two nearly equal numbers are subtracted, or a part is computed in float32.",
        example="import numpy as np\nfrom harness import SOURCES, Network, Problem, cross_check\n"
        "problem, theta = Problem(Network([1, 1]), [[1.0]], [[0.0]]), np.array([0.0, 20.0])\n"
        "def mine(problem, theta):\n"
        "    return -np.log(1 - 1 / (1 + np.exp(-theta.sum()))), SOURCES['loop'](problem, theta)[1]\n"
        "report = cross_check(problem, theta, {'mine': mine, 'loop': 'loop', 'jax': 'jax'})",
        advice="Write the term so that nothing cancels: log1p, expm1, logaddexp, or a softplus of -z.",
    ),
    Kind.COST_NOT_FINITE: Row(
        "The cost of {where} is not finite. Look for an overflow, a division by zero or the logarithm of zero.",
        meaning="A cost that is NaN or infinite has no derivative to compare.",
        cause="exp of a large number, log of a probability that has rounded to 0 or 1.",
        example=checked("float('nan'), t", "np.ones(2)"),
        advice="Compute the logarithm of the probability directly (log-softmax, logaddexp), or check at another θ.",
    ),
    Kind.COSTS_UNDECIDED: Row(
        "The costs cannot be compared: their error bounds are too wide.",
        meaning="Rounding may move the costs by as much as they would have to differ to mean anything.",
        cause="Large terms cancel in the cost, or numbers are huge.",
        example=CANCELLING,
        advice="Scale the inputs, or check at another θ.",
    ),
    Kind.ARGUMENT_CHANGED: Row(
        _argument_changed,
        meaning="The caller's array holds other numbers after the call.",
        cause="An in-place operation such as -= on the argument or on a view of it.",
        example=IMPORTS + "def fun(t):\n    t *= 2\n    return 0.25 * t @ t, t.copy()\n"
        "report = check_gradient(fun, np.array([1.0, 2.0]))",
        advice="Copy the argument first, or write t = t * 2.",
    ),
    Kind.KINK: Row(
        _kink,
        meaning="The left and right derivatives differ, and every value between them is a convention.",
        cause="A ReLU, an absolute value, a maximum or a where at the point at which its pieces meet.",
        example=checked("np.abs(t).sum(), np.sign(t)", "np.array([0.0, 1.0])"),
        advice="Check at another point, such as one with small random numbers added.",
    ),
    Kind.NOT_REPEATABLE: Row(
        _not_repeatable,
        meaning="The answer at one θ depends on when it is computed, so there is no derivative to check.",
        cause="Dropout or another random number without a fixed seed, a counter, or gradients that accumulate.",
        example=IMPORTS + "rng = np.random.default_rng(0)\n"
        "report = check_gradient(lambda t: (t @ t + rng.random(), 2 * t), np.array([1.0, 2.0]))",
        advice="Fix the seed in every call, and keep nothing from one call to the next.",
    ),
    Kind.FEW_UNDECIDED: Row(
        _few_undecided,
        meaning="The verdict rests on all other coordinates. The kinds of facts that hide these are in parentheses.",
        cause="A unit sits on a kink, or a derivative is as small as its rounding error.",
        example=checked("np.abs(t).sum(), np.sign(t)", "np.append(0.0, np.linspace(1.0, 2.0, 99))"),
        advice="Nothing, or check at another θ to have them decided, too.",
    ),
    Kind.NO_DIRECTION_DECIDED: Row(
        "No end-to-end direction could be decided.",
        meaning="The whole computation was never compared along a direction, since each of them meets a kink or noise.",
        cause="Kinks lie close to θ in every direction.",
        example="import numpy as np\nfrom harness import Activation, Network, Problem, cross_check\n"
        "at = lambda z, there, elsewhere: np.where(z == 0.0, there, elsewhere / np.where(z == 0.0, 1.0, z))\n"
        "value = lambda xp, z: xp.where(z == 0.0, 1.0, xp.sin(z) / xp.where(z == 0.0, 1.0, z))\n"
        "network = Network((2, 3, 2), Activation('sinc', value, lambda z, a: at(z, 0.0, np.cos(z) - a)))\n"
        "problem = Problem(network, np.array([[0.5, -0.25], [0.25, 0.75]]), np.array([0, 1]))\n"
        "theta = network.pack([np.zeros((3, 3)), np.ones((2, 4))])\n"
        "report = cross_check(problem, theta, ['loop', 'jax', 'finite-difference'])",
        advice="Check at another θ.",
    ),
    Kind.NOTHING_TO_COMPARE: Row(
        _nothing_to_compare,
        meaning="A verdict needs two independent answers.",
        cause="Only one source was named, or the others cannot run this problem.",
        example=NETWORK + 'report = cross_check(problem, theta, ["loop"])',
        advice='Add another source, such as "finite-difference" or "jax".',
    ),
    Kind.NOTHING_TO_DECIDE: Row(
        "No derivative could be judged by itself: there is none, or no finite value, or only directions were compared.",
        meaning="No coordinate has a derivative that could be judged.",
        cause="The function is not finite at the point, or has a kink in every coordinate. Or it has many inputs and "
        "no reverse mode: forward mode is compared along random directions.",
        example="import jax\nimport jax.numpy as jnp\nimport numpy as np\nfrom harness import check_derivatives\n"
        "def f(x):\n    return jax.lax.while_loop(lambda y: jnp.sum(y) < 1e4, lambda y: 2.0 * y, x)\n"
        "report = check_derivatives(f, np.linspace(0.1, 1.0, 1200))",
        advice="Check at another point, or the parts of the function with fewer inputs.",
    ),
    Kind.NOT_LISTED: Row(
        "{count:,} more {what} are not listed.",
        meaning="Only the first few are reported one by one. report.details has the junctions of an activation.",
        cause="A periodic formula has many junctions, and a mistake that reaches all parameters many wrong blocks.",
        example=IMPORTS + "bad = lambda p: {k: v + (ord(k) - 96) * np.sin(9 * v) for k, v in p.items()}\n"
        "report = check_gradient(lambda p: (sum(0.5 * v @ v for v in p.values()), bad(p)), "
        "{k: np.linspace(0.2, 1, 3) for k in 'abcde'})",
        advice="Mend what is explained first.",
    ),
    Kind.ONE_FAMILY: Row(
        _one_family,
        meaning="Sources of one author or mechanism make the same mistakes, so that their agreement shows nothing.",
        cause="Only hand-written sources were named.",
        example=NETWORK + 'report = cross_check(problem, theta, ["loop", "vectorized"])',
        advice='Add a source of another family, such as "finite-difference" or "jax".',
    ),
    Kind.UNDECIDED: Row(
        _undecided,
        meaning="The error bounds there are too wide to tell a right derivative from a wrong one.",
        cause="A kink is within reach of rounding, numbers are huge, or large terms cancel.",
        example=CANCELLING,
        advice="Check at another θ, or with smaller numbers.",
    ),
}
