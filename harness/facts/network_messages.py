"""Messages about networks: gradient sources, bugs of the zoo that explain an answer, and what cannot be decided."""

from harness.facts.fact import Fact
from harness.facts.kinds import Kind
from harness.facts.row import Row
from harness.wording import first_few

EXAMPLE = (
    "from harness import FAULTS, Network, Problem, cross_check\nimport numpy as np\nnetwork = Network([2, 3, 2])\n"
    "problem = Problem(network, np.array([[0.5, -0.25], [0.25, 0.75]]), np.array([0, 1]), l2=1.0)\n"
    "theta = network.init(0)\n"
)
ANSWER = (
    EXAMPLE + "def mine(problem, theta):\n    cost, gradient = FAULTS['wrong-sign'].sources['loop'](problem, theta)\n"
    "    return {answer}\n\n"
    "report = cross_check(problem, theta, {{'mine': mine, 'jax': 'jax', 'finite-difference': 'finite-difference'}})"
)
"""A source of one's own beside two that are right. It is given what the right loops return."""

BUG = EXAMPLE + "report = cross_check(problem, theta, FAULTS['{bug}'].sources)"

PLACES = 3
"""So many coordinates are written out in a message."""

DESCRIBED = 3
"""Of several candidates so many are described; more are only named."""

CAUSES = {
    Kind.UNITS_AT_KINK: "units sit at a kink, where slopes are a convention",
    Kind.UNITS_AT_JUNCTION: "units sit where smooth pieces meet, and JAX may have another slope there",
    Kind.UNBOUNDED: "numbers are too large for any error bound",
    Kind.UNDECIDED: "rounding may be as large as the derivative",
}


def _undecided(fact: Fact) -> str:
    """How many coordinates cannot be decided, and why."""
    data = fact.data
    whose = f" of {first_few(data['sources'], PLACES)}" if data.get("sources") else ""
    why = ", and ".join(CAUSES[Kind(kind)] for kind in (fact.kind, *data["also"]))
    places = first_few(fact.where, PLACES, total=data["undecided"])
    count = f"{data['undecided']} of {data['total']} coordinates{whose}"
    return f"{count} cannot be decided: {places}. The cause: {why}."


def _units_at_junction(fact: Fact) -> str:
    if "undecided" in fact.data:
        return _undecided(fact)
    return (
        f"At {first_few(fact.where, PLACES)}, pieces of a formula meet, or its slope has a wide error bound. "
        "One-sided derivatives are used there."
    )


def _explained(fact: Fact) -> str:
    """Cost, gradient, or both."""
    count = fact.data.get("coordinates")  # homework names the gradient: its author counts no coordinates
    everything = f"all {count:,} coordinates" if count else "the gradient"
    if not fact.data["gradient"]:
        return "the cost"
    return f"the cost and {everything}" if fact.data["cost"] else everything


def _bug(fact: Fact) -> str:
    explain = "explains" if len(fact.where) == 1 else "together explain"
    return f"{' and '.join(fact.where)} {explain} {_explained(fact)}: {fact.data['does'][0]}."


def _bugs_alike(fact: Fact) -> str:
    names = list(fact.where)
    if len(names) <= DESCRIBED:
        names = [f"{name} ({does})" for name, does in zip(names, fact.data["does"])]
    return f"Each of {', '.join(names)} explains {_explained(fact)}. {_distinguished(fact)}"


def _distinguished(fact: Fact) -> str:
    if "distinguished_by" not in fact.data:
        return "No problem that was tried distinguishes all of them."
    ((change, value),) = fact.data["distinguished_by"].items()
    problem = {
        "l2": f"The same problem with λ = {value}",
        "examples": f"The same problem with its first {value} examples",
        "random_problem": f"random_problem({tuple(value) if change == 'random_problem' else value}, extremes=False)",
    }
    return f"{problem[change]} distinguishes them."


def _no_bug(fact: Fact) -> str:
    data = fact.data
    alone = "alone or with another" if data["pairs_tried"] else "alone (the problem is too large to try pairs)"
    if not fact.where:
        return f"No bug of the zoo, {alone}, explains the gradient."
    return (
        f"No bug of the zoo, {alone}, explains the whole gradient. The nearest, {fact.where[0]}, leaves "
        f"{data['left']:,} of {data['coordinates']:,} coordinates unexplained; right code, {data['unexplained']:,}."
    )


HIDDEN = {
    "no-regulariser": "Bugs in the regulariser, because λ = 0.",
    "zero-weights": "Bugs in what is multiplied by a weight (δ of lower layers, the regulariser), because all weights "
    "are zero.",
    "single-example": "A wrong or missing mean over the examples, because there is only one.",
}
"""What a special problem hides, by the reason."""

UNEXPLAINED = {"cost": "No bug of the zoo explains the cost.", "gradient": "The gradient is wrong, too."}


def _source_failed(fact: Fact) -> str:
    return f"{fact.where[0]} failed: {fact.data['error'] + ': ' if 'error' in fact.data else ''}{fact.data['reason']}"


ROWS = {
    Kind.ALL_LAYERS_WRONG: Row(
        "All layers are wrong, from the output on.",
        meaning="The error is in the output layer already, or in several places.",
        cause="The error of the output layer, the mean over the examples or the cost itself is wrong.",
        example=ANSWER.format(answer="cost, np.sin(np.arange(17.0))"),
        advice="Check the output layer's gradient first.",
    ),
    Kind.BUG: Row(
        _bug,
        meaning="With this bug, backprop gives just this cost, gradient or both on this problem, up to rounding.",
        cause="The code has this bug, or one with the same effect.",
        example=BUG.format(bug="wrong-sign"),
        advice="Look for it, mend it, and check again.",
    ),
    Kind.BUGS_ALIKE: Row(
        _bugs_alike,
        meaning="On this problem several bugs have the same effect, so it cannot say which is there.",
        cause="The problem is small, or special, such as λ = 0.",
        example=BUG.format(bug="mean-missing").replace("l2=1.0", "l2=0.0"),
        advice="Check on the problem that the message names, or on another one if it names none.",
    ),
    Kind.COST_IN_ARRAY: Row(
        "The cost of {where} is an array of shape {shape} and not a number.",
        meaning="The check takes its only entry. Optimisers may not.",
        cause="A matrix product such as y.T @ log(h) keeps its dimensions.",
        example=EXAMPLE + "right = FAULTS['wrong-sign'].sources['loop']\n"
        "mine = lambda problem, theta: (np.array([[right(problem, theta)[0]]]), right(problem, theta)[1])\n"
        "report = cross_check(problem, theta, {'mine': mine, 'jax': 'jax'})",
        advice="Return float(cost), or use np.sum.",
    ),
    Kind.ERROR_STARTS_BELOW: Row(
        "{where}: right, so the error starts below.",
        meaning="Layers nearer to the output are right, so the error arises on the way down from them.",
        cause="The slope of a hidden layer, or the step that carries the error down, is wrong.",
        example=ANSWER.format(answer="cost, np.append(np.sin(np.arange(9.0)), gradient[9:])"),
        advice="Look at the step from the last right layer to the first wrong one.",
    ),
    Kind.HIDDEN_BUGS: Row(
        lambda fact: HIDDEN[fact.data["because"]],
        meaning="On this problem right and wrong code give the same gradient, since a factor of 0 or 1 hides the bug.",
        cause="λ = 0, weights of zero, or a single example.",
        example=EXAMPLE + "report = cross_check(problem, 0.0 * theta)",
        advice="Check with λ > 0, at a random θ, and with two examples or more.",
    ),
    Kind.INCONCLUSIVE_NETWORK: Row(
        lambda fact: (
            f"More than {fact.data['percent']}% of the networks "
            + (f"that {fact.data['source']} takes " if fact.data["source"] else "")
            + f"are inconclusive. The first is {fact.where[0]}, for these reasons:"
        ),
        meaning="A summary agrees only if nearly all networks do, for each source. No error was found.",
        cause="Kinks, saturation, or an activation whose formula overflows or loses digits for large arguments.",
        example="import numpy as np\nfrom harness import Activation, check_networks\n"
        "softplus = Activation('mine', lambda xp, z: xp.log(1 + xp.exp(z)), lambda z, a: 1 / (1 + np.exp(-z)))\n"
        "report = check_networks(4, activations=[softplus])",
        advice="Write the activation's formula so that it does not overflow, or check with extremes=False.",
    ),
    Kind.NO_BUG_EXPLAINS: Row(
        _no_bug,
        meaning="The bug zoo, alone or in pairs, has nothing that gives this gradient.",
        cause="A mistake of its own, or more than two at once.",
        example=ANSWER.format(answer="cost, gradient + np.linspace(1.0, 2.0, gradient.size) ** 3"),
        advice="Start with the layer nearest to the output that is wrong.",
    ),
    Kind.NOT_APPLICABLE: Row(
        "{where} does not take this problem: {reason}",
        meaning="The source said itself that the problem is not for it.",
        cause="It raised NotApplicable, as the complex step does for relu, which is not analytic.",
        example=EXAMPLE + "problem = Problem(Network([2, 3, 2], 'relu'), problem.X, problem.Y)\n"
        "report = cross_check(problem, theta, ['loop', 'jax', 'complex-step'])",
        advice="Check on problems that the source takes.",
    ),
    Kind.NOT_SAVED: Row(
        "The case was not saved: {reason}",
        meaning="The verdict stands, but no file shows it.",
        cause="A source that is a lambda, or fails on small networks, or a folder that cannot be written.",
        example="# A test of pytest that calls the fixture cross_check with a wrong source that is a lambda.",
        advice="Define the source as a function of a module, mend what it raises, or name another file.",
    ),
    Kind.PART_UNEXPLAINED: Row(
        lambda fact: UNEXPLAINED[fact.where[0]],
        meaning="The cost, or the gradient beside a wrong cost, is wrong in a way that the bug zoo does not know.",
        cause="A mistake of its own, several at once, or one that precedes both, such as in the forward pass.",
        example=ANSWER.format(answer="cost + 0.1, gradient"),
        advice="Mend the cost first: compute that of one example by hand.",
    ),
    Kind.PART_RIGHT: Row(
        "The {where} is right.",
        meaning="One part of what was checked is right, beside another that is wrong or was checked as well.",
        cause="A bug in backpropagation alone leaves the cost right; a record may have a curvature or parameters.",
        example=ANSWER.format(answer="cost, -2 * gradient"),
        advice="Leave that part as it is.",
    ),
    Kind.SHRUNK: Row(
        "The notes below describe the network before it was made smaller.",
        meaning="A small network shows less of what is wrong, so the diagnosis of the larger one is kept.",
        cause="A failing network was shrunk.",
        example="$ harness bugs bias-regularised --case case.json",
        advice="Read both diagnoses.",
    ),
    Kind.SLOPE_BY_HAND: Row(
        "Backprop without a bug computes just this from the activations' slopes by hand.",
        meaning="The code is right, and a slope that it uses is not the derivative.",
        cause="An activation's slope is wrong.",
        example=EXAMPLE + "from harness import ACTIVATIONS, Activation\n"
        "f = Activation('hasty', ACTIVATIONS['sigmoid'].value, lambda z, a: a)\n"
        "problem = Problem(Network([2, 3, 2], f), problem.X, problem.Y, l2=1.0)\nreport = cross_check(problem, theta)",
        advice="Check the activation by itself: check_activation.",
    ),
    Kind.SOURCE_FAILED: Row(
        _source_failed,
        meaning="The source raised an exception, and is left out.",
        cause="A shape that does not fit, or a time limit.",
        example="# harness check --sources mine:gradient,loop,jax, where gradient of mine.py raises an exception.",
        advice="Call the source on this problem yourself, and mend what it raises.",
    ),
    Kind.UNBOUNDED: Row(
        _undecided,
        meaning="The error bound is infinite, so no difference means anything.",
        cause="Numbers near 1e160 and larger, whose products overflow.",
        example=EXAMPLE
        + "problem = Problem(Network([2, 3, 2], 'relu', 'linear'), 1e160 * problem.X, np.zeros((2, 2)))\n"
        "report = cross_check(problem, theta)",
        advice="Check with smaller numbers.",
    ),
    Kind.UNITS_AT_JUNCTION: Row(
        _units_at_junction,
        meaning="The slope there is known to few digits: differences see two pieces, or its two formulas contradict.",
        cause="Zero inputs, zero weights or biases at a junction, or an activation with a wrong slope.",
        example=EXAMPLE + "problem = Problem(Network([2, 3, 2], 'elu'), problem.X, problem.Y, l2=1.0)\n"
        "theta = problem.network.pack([np.zeros((3, 3)), np.ones((2, 4))])\nreport = cross_check(problem, theta)",
        advice="Check at another θ, if JAX's convention at the junction is not the question.",
    ),
    Kind.UNITS_AT_KINK: Row(
        _undecided,
        meaning="A pre-activation lies exactly at a kink, where any slope between both one-sided derivatives is right.",
        cause="ReLU units with zero inputs, zero weights or zero biases.",
        example=EXAMPLE + "problem = Problem(Network([2, 3, 2], 'relu'), problem.X, problem.Y, l2=1.0)\n"
        "theta = problem.network.pack([np.zeros((3, 3)), np.ones((2, 4))])\nreport = cross_check(problem, theta)",
        advice="Check at another θ.",
    ),
    Kind.BELOW_ROUNDING: Row(
        lambda fact: (
            f"Errors below {fact.data['visible']:.1e} in {', '.join(fact.where)}: the derivatives are no larger."
        ),
        meaning="These derivatives are smaller than what a correct gradient may be off by, so zeros in their place "
        "would not show.",
        cause="The network is saturated: its predictions or activations have rounded to 0 or 1. Or a parameter moves "
        "the cost far less than others of its array do.",
        example=EXAMPLE + "sure = Network([2, 2], output='softmax')\n"
        "report = cross_check(Problem(sure, problem.X, np.array([0, 0])), np.array([50.0, 0.0, 1.0, 0.0, 1.0, 0.0]))",
        advice="Check at a smaller θ, or in other units.",
    ),
    # -- sweeps and many networks --------------------------------------------------------------------------------------
    Kind.CHECK_FAILED: Row(
        "The check stopped: {error}.",
        meaning="A source raised or answered nonsense, or its process ended or ran out of time: there is no verdict.",
        cause="A source of one's own fails for some shapes, loops for ever, exits, or crashes the interpreter.",
        example="# harness sweep with a source that raises KeyError where m = 3.",
        advice="Run `harness replay FILE --seed N` to see it alone, or allow more time with --timeout.",
    ),
    Kind.SOURCE_NEVER_TOOK_PART: Row(
        "{where} took part in none of the networks.",
        meaning="A source that was named was never compared, so nothing is known about it.",
        cause="It supports only some outputs, activations or sizes, or it failed each time.",
        example='from harness import check_networks\nreport = check_networks(2, sources=["loop", "complex-step"], '
        'activations=["relu"])',
        advice="Draw networks that it can take, or leave it out.",
    ),
}
