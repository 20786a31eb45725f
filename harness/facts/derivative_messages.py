"""Messages about the derivatives of functions that JAX traces: what cannot be decided, and what is worth knowing."""

from harness.facts.fact import Fact
from harness.facts.kinds import Kind
from harness.facts.row import Row
from harness.facts.rule_messages import CHECK, X, with_rule
from harness.wording import counted, first_few

BOUNDS = {
    (): "none",
    ("borrowed",): "none of their own, since the derivatives lie within those of the increments",
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


ROWS: dict[Kind, Row] = {
    Kind.ASSERTION_IN_JAX: Row(
        "An assertion within JAX fails in this mode.",
        meaning="JAX's own code fails while it differentiates the rule, so that the mode is left out.",
        cause="A JVP rule that is not linear in its tangent, such as one that squares it.",
        example=CHECK + "f = jax.custom_jvp(lambda x: jnp.sum(x**2))\n"
        "f.defjvp(lambda x, t: (f(*x), jnp.sum(2.0 * x[0] * t[0] * t[0])))\n"
        f"report = check_derivatives(f, {X})",
        advice="Look at what the rule does with its tangent: it may only be multiplied.",
    ),
    Kind.BLACK_BOX: Row(
        "Primitives without an exact rule were differenced as black boxes: {where}.",
        meaning="Their changes are finite differences, which are less exact than increments.",
        cause="A primitive of another library, a callback, or a special function.",
        example=CHECK + "report = check_derivatives(lambda x: jax.lax.igamma(2.0, x), 1.3)",
        advice="Nothing. Where the verdict is inconclusive, check what comes before and after such a primitive apart.",
    ),
    Kind.CALLBACK: Row(
        "f prints or calls back into Python. This check calls f many times.",
        meaning="The effect happens each time that f runs here.",
        cause="jax.debug.print, jax.debug.callback or an ordered io_callback.",
        example=CHECK + "def f(x):\n    jax.debug.callback(lambda _: None, x)\n    return jnp.sin(x)\n"
        "report = check_derivatives(f, 0.3)",
        advice="Leave the effect out while checking, if it does harm.",
    ),
    Kind.COMPLEX_CONVENTION: Row(
        "Complex arguments: Re g and -Im g of JAX's gradient g are the slopes in the real and the imaginary part.",
        meaning="JAX's gradient of a real function is the conjugate of the direction of steepest ascent.",
        cause="An argument is complex.",
        example=CHECK + "report = check_derivatives(lambda z: jnp.sum(jnp.abs(z) ** 2), np.array([1.0 + 2.0j]))",
        advice="Conjugate the gradient before a step of gradient descent.",
    ),
    Kind.DERIVATIVE_ENDS: Row(
        "No derivative goes through {where}: the result counts as constant.",
        meaning="What comes before this line gets no gradient by this way.",
        cause="stop_gradient, argmax, round, floor, sign or a cast to integers.",
        example=CHECK + "report = check_derivatives(lambda x: jnp.round(x) * x, np.array([0.3, 1.2]))",
        advice="Nothing, if that is meant.",
    ),
    Kind.NO_CORRECT_DIGIT: Row(
        _digits_lost,
        meaning="No digit is right, though the error is within its bound. It is a doubt where the formula loses the "
        "digits of a derivative that counts beside the function's terms, and a note elsewhere.",
        cause="Nearly equal numbers are subtracted, or a tail is rounded to zero, as 1 - tanh(x)² is at x = 30.",
        example=CHECK + "report = check_derivatives(jax.nn.sigmoid, np.array([40.0]))",
        advice="Write the rule so that nothing cancels, if such digits matter.",
    ),
    Kind.ERROR_BOUNDS: Row(
        lambda fact: (
            f"Error bounds of {', '.join(fact.where)}, in {fact.data['precision']}: "
            f"{BOUNDS[tuple(fact.data['bounds'])]}."
        ),
        meaning="How far rounding may have moved the derivatives of these sources.",
        cause="Every check has error bounds.",
        example=CHECK + "report = check_derivatives(jnp.sin, 0.3)",
        advice="Nothing. An estimate may be too small once in many thousand checks; a derived bound never is.",
    ),
    Kind.FIRST_ORDER_UNCHECKED: Row(
        "order=2 compares the derivatives of JAX's gradient, and not the gradient: order=1 does that.",
        meaning="A gradient that is wrong may have right derivatives of its own.",
        cause="The check was called with order=2.",
        example=CHECK + "report = check_derivatives(jnp.sin, 0.3, order=2)",
        advice="Check with order=1 as well.",
    ),
    Kind.FLOAT64_EVALUATION: Row(
        "{type} is too imprecise in places to compare {where}, so the rule was evaluated in float64 there. A right "
        "rule may be off by {share:.1e} of its block's largest derivative, and by the rounding of its constants.",
        meaning="The formula of the rule is compared, without the rounding of its type.",
        cause="The function computes in float32 or less.",
        example=CHECK
        + "x = jnp.asarray([0.3, 1.2], 'bfloat16')\nreport = check_derivatives(lambda x: jnp.sin(x) * x, x)",
        advice="Nothing.",
    ),
    Kind.FREE_PHASES: Row(
        "Only combinations of the outputs were compared that the free phases of complex vectors do not change.",
        meaning="Complex singular vectors and eigenvectors have a phase that nothing defines, and so no derivative.",
        cause="The function returns such vectors.",
        example=CHECK + "A = np.array([[1.0 + 2.0j, 0.5], [0.3j, -1.2]])\n"
        "report = check_derivatives(lambda a: jnp.linalg.svd(a, full_matrices=False), A)",
        advice="Nothing. Do not use derivatives that depend on the phases.",
    ),
    Kind.INCREMENTS_CONTRADICTED: Row(
        "The exact increments disagreed with both JAX and finite differences in some entries. Finite differences were "
        "used there, and no mode is called wrong by the increments alone.",
        meaning="The increments are not the slopes by which f's values climb.",
        cause="A solver that bisects climbs by steps, each of slope 0. Or the interpreter of this check has a "
        "primitive wrong, such as a black box with state beside it.",
        example=CHECK + "@jax.custom_vjp\ndef root(p):  # of y³ + y = p, by bisection\n"
        "    def halved(_, ab):\n        m = ab.mean()\n"
        "        return jnp.where(m**3 + m < p, ab.at[0].set(m), ab.at[1].set(m))\n"
        "    return jax.lax.fori_loop(0, 40, halved, jnp.array([-10.0, 10.0])).mean()\n"
        "root.defvjp(lambda p: (root(p), root(p)), lambda y, g: (g / (3 * y**2 + 1),))\n"
        "report = check_derivatives(root, 0.3)",
        advice="Nothing where a solver bisects, else report it. The verdict does not depend on the increments alone.",
    ),
    Kind.IN_32_BITS: Row(
        "f was checked in 32 bits, as JAX is set. It does not run in 64: {message}.",
        meaning="A float64 or Python number was given, and f mixes it with arrays that were made in 32 bits.",
        cause="A constant array of the module, made before 64 bits were switched on.",
        example=CHECK + "start = jnp.ones(3)  # made in 32 bits\n"
        "def f(x):\n    return jax.lax.scan(lambda c, a: (c * a, c), start, jnp.arange(2.0) * x)\n"
        "report = check_derivatives(f, 0.3)",
        advice="Make constants within f, or give float32 arguments.",
    ),
    Kind.MODE_MISSING: Row(
        lambda fact: (
            f"{first_few(fact.where, 3)} has no rule for forward mode."
            if fact.where
            else f"This mode cannot be computed here: {fact.data['message']}"
        ),
        meaning="The mode could not be checked.",
        cause="A custom_vjp, or a torch.autograd.Function without jvp, has no forward mode, and a while_loop no "
        "reverse mode.",
        example=with_rule("g * jnp.cos(x)"),
        advice="Nothing, if you do not use that mode.",
    ),
    Kind.NAN_GIVEN: Row(
        "NaN was given for {where}.",
        meaning="Whatever depends on this number is NaN, and has no derivative.",
        cause="The point of the check is not finite.",
        example=CHECK + "report = check_derivatives(lambda x: x * x, np.array([1.0, np.nan]))",
        advice="Check at a finite point.",
    ),
    Kind.NOTHING_CHECKED: Row(
        lambda fact: (
            f"JAX has no derivative in {' or '.join(fact.where)} mode here, so nothing was checked."
            if fact.where
            else "No derivative of JAX could be compared, so nothing was checked."
        ),
        meaning="No source reported a derivative.",
        cause="The check was limited to reverse mode through a while_loop, or to forward mode through a custom_vjp.",
        example=CHECK + "def f(x):\n    return jax.lax.while_loop(lambda y: y < 9.0, lambda y: 2.0 * y, x)\n"
        'report = check_derivatives(f, 1.3, modes=["reverse"])',
        advice="Check the other mode.",
    ),
    Kind.NOT_BATCHABLE: Row(
        "f cannot be batched by jax.vmap: {message}",
        meaning="The function works for one example at a time.",
        cause="A custom_vmap rule that raises, or a primitive without a batching rule.",
        example=CHECK + "f = jax.custom_batching.custom_vmap(jnp.sin)\n@f.def_vmap\ndef rule(size, are_batched, x):\n"
        "    raise NotImplementedError('one at a time')\nreport = check_derivatives(f, 0.3)",
        advice="Nothing, if you do not batch it.",
    ),
    Kind.NOT_DIFFERENTIATED: Row(
        "No derivative is taken of {where}.",
        meaning="These outputs are no floating or complex arrays.",
        cause="The function also returns indices, counts or flags.",
        example=CHECK + "report = check_derivatives(lambda x: (jnp.sum(x), jnp.argmax(x)), np.arange(3.0))",
        advice="Nothing.",
    ),
    Kind.NO_SLOPE: Row(
        "There is no derivative to compare: {reason}.",
        meaning="The function jumps, or has a cusp or a vertical tangent at this point, as √x has at 0. Or a rule "
        "hides its slopes.",
        cause="sign, floor or round at one of their jumps, equal eigenvalues, a branch that changes here, or a root.",
        example=CHECK + "report = check_derivatives(jnp.floor, np.array([1.0, 0.5]))",
        advice="Check at another point, or guard the argument there.",
    ),
    Kind.OWN_PRECISION_ONLY: Row(
        _own_precision_only,
        meaning="Errors below the rounding of the type are not seen.",
        cause="A callback, a sampler, a solver with a tolerance, or code that reads bits.",
        example=CHECK + "bits = lambda x: jax.lax.bitcast_convert_type(x, jnp.int32)\n"
        "report = check_derivatives(lambda x: x * (bits(x) % 7), np.array([0.3], 'float32'))",
        advice="Check in float64 to see smaller errors.",
    ),
    Kind.PRODUCT_BITS: Row(
        "Matrix products use {bits} bits of each number, which the error bounds allow for.",
        meaning="The device multiplies coarser numbers than the type of the arrays.",
        cause="TF32 on a GPU, bfloat16 on a TPU, or a precision that was chosen for a product.",
        example=CHECK + "report = check_derivatives(lambda x: jax.lax.dot(x, x, "
        'precision=jax.lax.DotAlgorithmPreset.F16_F16_F16), np.ones((2, 2), "float32"))',
        advice="To see smaller errors, use jax.default_matmul_precision('highest'), or allow_tf32 = False in PyTorch.",
    ),
    Kind.SOLVER_HIDES_DIGITS: Row(
        lambda fact: (
            f"{fact.data['undecided']} of {fact.data['total']} coordinates cannot be decided: "
            f"{first_few(fact.where, 3, total=fact.data['undecided'])}. "
            "A solver in f stops at a tolerance that hides their digits."
        ),
        meaning="The solution's own error is as large as the error that is looked for.",
        cause="A loose tolerance of an iterative solver.",
        example=CHECK + "def newton(f, y):\n    is_far = lambda y: jnp.abs(f(y)) > 1e-3\n"
        "    return jax.lax.while_loop(is_far, lambda y: y - f(y) / jax.grad(f)(y), y)\n"
        "def cube_root(a):\n"
        "    return jax.lax.custom_root(lambda y: y**3 - a, 1.0, newton, lambda slope, y: y / slope(1.0))\n"
        "report = check_derivatives(cube_root, 1.7)",
        advice="Check with a smaller tolerance.",
    ),
    Kind.SOLVER_TOLERANCE: Row(
        "A solver stops at its tolerance: a finer one moves JAX's derivatives by up to {moved:.1e} of the largest one. "
        "The error bounds allow for {factor:.0f} times that.",
        meaning="Derivatives of a solution are as exact as the solution.",
        cause="An iterative solver, such as conjugate gradients, Newton's method or an ODE solver.",
        example=CHECK + "A = np.eye(8) + np.diag(np.linspace(0.0, 9.0, 8)) + 0.2\n"
        "solve = lambda b: jax.scipy.sparse.linalg.cg(lambda x: A @ x, b, tol=1e-3)[0]\n"
        "report = check_derivatives(lambda b: jnp.sum(solve(b) ** 2), np.linspace(-1.0, 2.0, 8))",
        advice="Nothing, or a smaller tolerance to see smaller errors.",
    ),
    Kind.MANY_INPUTS: Row(
        lambda fact: (
            f"{fact.data['examined']} of {fact.data['total']:,} inputs were examined one by one. "
            + (
                "The others were compared with a reverse pass in float64, without your rules."
                if fact.data["by_reverse_pass"]
                else "Random directions alone cover the others: they show an error of "
                f"{fact.data['visible']:.1e} or more in one of them."
            )
        ),
        meaning="There are too many inputs to examine each by increments, which cost a run of the program for a few.",
        cause="A function of more than a thousand inputs. Without a reverse pass in float64 (a loop of unknown length, "
        "a callback), single entries are not compared.",
        example=CHECK + "report = check_derivatives(lambda x: jnp.sum(jnp.sin(x)), np.linspace(-1.0, 1.0, 1200))",
        advice="Nothing, or check the parts with a rule of their own alone, at smaller sizes.",
    ),
    Kind.WITHIN_TOLERANCE: Row(
        "JAX's derivatives differ from the slopes of the values by no more than a solver may leave that "
        "stops at {tolerance:.1e}. accuracy={accuracy:.0e} accepts such errors.",
        meaning="The rule is right up to the solver's tolerance. Smaller mistakes of it would not show.",
        cause="An implicit or adjoint derivative of a solution that an iterative solver approximates.",
        example=CHECK + "@jax.custom_vjp\ndef root(a):\n    is_far = lambda y: jnp.abs(y * y - a) > 1e-6\n"
        "    return jax.lax.while_loop(is_far, lambda y: 0.5 * (y + a / y), a + 1.0)\n"
        "root.defvjp(lambda a: (root(a), root(a)), lambda y, g: ((1.0 + 5e-7) * g / (2.0 * y),))\n"
        "report = check_derivatives(root, 2.7)",
        advice="Give accuracy=, or a smaller tolerance. For a rule that is no derivative on purpose, trust= its name.",
    ),
    Kind.TRUSTED_RULE: Row(
        "Taken as they are, and not checked: {where}.",
        meaning="These derivatives are a matter of definition.",
        cause="A rule that was named by trust=, or a sampler whose derivative is a convention.",
        example=CHECK + "@jax.custom_vjp\ndef straight_through(x):\n    return jnp.round(x)\n"
        "straight_through.defvjp(lambda x: (jnp.round(x), None), lambda _, g: (g,))\n"
        "report = check_derivatives(straight_through, np.array([0.7, -1.3]), trust=['straight_through'])",
        advice="Nothing.",
    ),
    Kind.TWICE_WOULD_PASS: Row(
        "The error bounds exceed the derivatives in most of {where} (up to {bound:.1e}): even a factor of 2 would go "
        "unnoticed.",
        meaning="The function amplifies its rounding errors so much that nothing about these derivatives is decided.",
        cause="Huge terms that cancel, or an ill-conditioned recurrence.",
        example=CHECK + "def f(x):\n    return jnp.sum(1e20 * (jnp.sin(x) ** 2 + jnp.cos(x) ** 2) - 1e20 + x)\n"
        "report = check_derivatives(f, np.array([0.7, 1.3]))",
        advice="Check at another point, in float64, or without the terms that cancel.",
    ),
    Kind.UNUSED_ARGUMENT: Row(
        "f does not use {where}.",
        meaning="The derivatives with respect to these arguments are zero by construction.",
        cause="A loss that was detached from its parameters, or a typing error.",
        example=CHECK + "report = check_derivatives(lambda x, y: y * y, 1.0, 2.0)",
        advice="Look at whether that is meant.",
    ),
    Kind.VALUES_DIFFER: Row(
        "JAX computes another value for {where} than this check's own interpreter.",
        meaning="The two do not run the same function, so their derivatives cannot be compared.",
        cause="A primitive that the interpreter reads differently, or a value that rounding decides.",
        example=CHECK
        + "report = check_derivatives(lambda x: jnp.where(1.0 + 1e-9 * x == 1.0, x, 2.0 * x), np.float32(0.7))",
        advice="Check at another point, or in float64. If it persists, report it.",
    ),
    Kind.VALUE_NOT_FINITE: Row(
        "f is not finite at this point: {where}.",
        meaning="There is no derivative where the value is infinite or NaN.",
        cause="An argument outside of the domain, or an overflow.",
        example=CHECK + "report = check_derivatives(jnp.log, np.array([1.0, -1.0]))",
        advice="Check at another point.",
    ),
    Kind.ZERO_DERIVATIVE: Row(
        lambda fact: f"Every derivative is zero{' at this point' if fact.data['is_local'] else ''}.",
        meaning="To first order, nothing that f returns changes with its arguments here.",
        cause="A detached loss, a minimum, or a point where everything saturates.",
        example=CHECK + "report = check_derivatives(lambda x: jnp.sum(0.0 * x), np.ones(2))",
        advice="Check at another point, or look for stop_gradient.",
    ),
}
