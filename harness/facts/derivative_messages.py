"""Messages about the derivatives of functions that JAX traces."""

import math

from harness.facts.fact import Fact
from harness.facts.kinds import Kind
from harness.facts.row import Row
from harness.wording import counted, first_few

CHECK = "import jax\nimport jax.numpy as jnp\nimport numpy as np\nfrom harness import check_derivatives\n"
RULE = CHECK + "f = jax.custom_vjp(lambda x: jnp.sin(x))\n"
X = "np.array([0.7, -1.3, 0.2])"


def _with_rule(backward: str, x: str = X) -> str:
    return RULE + f"f.defvjp(lambda x: (jnp.sin(x), x), lambda x, g: ({backward},))\nreport = check_derivatives(f, {x})"


BOUNDS = {
    (): "none",
    ("borrowed",): "they are within the bounds of the increments and need none of their own",
    ("derived",): "derived bounds on rounding errors",
    ("spread",): "the spread of randomly rounded runs, an estimate",
    ("derived", "spread"): "derived bounds where these are narrow, else the spread of randomly rounded runs",
}


def _another_value(fact: Fact) -> str:
    data = fact.data
    compared = "compiled" if data["how"].startswith(("run", "batched")) else "otherwise"
    numbers = f"{fact.where[0]} is {data['value']:.6g} when f is {data['how']}, and {data['otherwise']:.6g} {compared}"
    return f"{numbers}.{_by(fact)}"


def _by(fact: Fact) -> str:
    """The rule that is to blame, where it is known."""
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
        "jax-alone": f"only JAX computes {first_few(fact.where, 3)}",
        "solver": "a solver in it stops at a tolerance",
        "bits": "it reads the bits of a number",
    }[fact.data["because"]]
    return f"{fact.data['source']} was compared in {fact.data['type']} and not evaluated in float64: {because}."


def _one_branch(fact: Fact) -> str:
    sign = {"=": "is", ">=": ">=", "<=": "<="}.get(fact.data["sign"], fact.data["sign"])
    return f"Only entries with {fact.where[0]} {sign} {fact.data['edge']} are wrong, as if one branch were."


def _side_effect(fact: Fact) -> str:
    kept = " A traced array is stored there, which is of no use afterwards." if fact.data["keeps_traced"] else ""
    return f"f modifies {first_few(fact.where, 6)}, which no argument holds: this happens when JAX traces f.{kept}"


def _wrong_rule(fact: Fact) -> str:
    data = fact.data
    how = "checked alone in float64" if data["in_float64"] else "checked alone"
    off = f"off by {data['off']:.1e} of the largest" if math.isfinite(data["off"]) else "infinitely far off"
    what = f"is {off}" if data["off"] else "shows no error"
    if data["order"] == 2:
        what = f"is right at first order, and its own derivative {what}"
    explains = {None: "", True: " Without it, every derivative agrees.", False: " Without it, something still differs."}
    return f"The rule of {data['name']}, {fact.where[0]}, {how}, {what}.{explains[data['explains']]}"


def _zero(fact: Fact) -> str:
    return f"Every derivative is zero{' at this point' if fact.data['is_local'] else ''}."


ROWS: dict[Kind, Row] = {
    Kind.ANOTHER_VALUE: Row(
        _another_value,
        meaning="The function's value depends on how JAX runs it: eagerly, compiled, batched or differentiated.",
        cause="A rule for vmap or for differentiation computes something else, or Python branches on being traced.",
        example=CHECK + "f = jax.custom_vjp(lambda x: jnp.sin(x))\n"
        "f.defvjp(lambda x: (jnp.sin(x) + 1.0, x), lambda x, g: (g * jnp.cos(x),))\n"
        f"report = check_derivatives(f, {X})",
        advice="Make the forward half of the rule return what the function returns.",
    ),
    Kind.ARGUMENT_CHANGED: Row(
        "f modifies its argument {where} in place.",
        meaning="A caller's array is another one after the call.",
        cause="An operation with =, such as n += 1, on a NumPy array that is not differentiated.",
        example=CHECK + "def f(x, n):\n    n += 1\n    return x * n\n"
        "report = check_derivatives(f, np.ones(2), np.array([1, 2]))",
        advice="Copy the array first, or write n = n + 1.",
    ),
    Kind.ASSERTION_IN_JAX: Row(
        "An assertion within JAX fails in this mode.",
        meaning="JAX cannot transpose the rule, so that the mode is left out.",
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
    Kind.CHANGED_BY_VMAP: Row(
        lambda fact: f"{fact.data['mode']} mode reports something else without jax.vmap than with it.{_by(fact)}",
        meaning="The derivative of one example differs from that of the same example in a batch.",
        cause="A function that the rule calls has its own rule for jax.vmap (custom_vmap), and one of them is wrong.",
        example="# A custom_vjp whose backward pass calls a custom_vmap function with another formula for batches.",
        advice="Compare the two formulas of the custom_vmap function.",
    ),
    Kind.COMPARED_IN_FLOAT64: Row(
        _compared_in_float64,
        meaning="In a coarse type, rounding may explain any number. The same rule in float64 shows its formula.",
        cause="The rule's formula is wrong by more than rounding of its constants explains.",
        example="# A rule for x**2 with 2.1 for 2, checked in bfloat16.",
        advice="Compare the two numbers of the finding: they are the formula's, without the type's rounding.",
    ),
    Kind.COMPLEX_CONVENTION: Row(
        "Complex arguments: Re g and -Im g of JAX's gradient g are the slopes in the real and the imaginary part.",
        meaning="JAX's gradient of a real function is the conjugate of the direction of steepest ascent.",
        cause="An argument is complex.",
        example=CHECK + "report = check_derivatives(lambda z: jnp.sum(jnp.abs(z) ** 2), np.array([1.0 + 2.0j]))",
        advice="Conjugate the gradient before a step of gradient descent.",
    ),
    Kind.CONJUGATE: Row(
        _conjugate,
        meaning="The right derivative and the reported one differ by complex conjugates alone.",
        cause="Another convention for gradients of complex arguments than JAX's, in the rule or in a reference.",
        example="# A custom_vjp of |z|² whose rule returns 2 g z, where JAX's convention asks for 2 g conj(z).",
        advice="Follow JAX's convention: the VJP is the cotangent times the Jacobian, without any conjugate.",
    ),
    Kind.COTANGENT_DROPPED: Row(
        "The rule ignores its cotangent: it returns the same whatever it is given.",
        meaning="The backward pass returns the derivative itself, and not its product with the cotangent.",
        cause="`return (jnp.cos(x),)` stands where `return (g * jnp.cos(x),)` belongs.",
        example=_with_rule("jnp.cos(x)"),
        advice="Multiply by the cotangent.",
    ),
    Kind.COTANGENT_TWICE: Row(
        "The rule multiplies by its cotangent twice.",
        meaning="The result is right for a cotangent of 1 alone.",
        cause="The cotangent is multiplied in a helper and again in the rule.",
        example=_with_rule("g * g * jnp.cos(x)"),
        advice="Multiply by the cotangent once.",
    ),
    Kind.DERIVATIVE_ENDS: Row(
        "No derivative goes through {where}: the result counts as constant.",
        meaning="What comes before this line gets no gradient by this way.",
        cause="stop_gradient, argmax, round, floor, sign or a cast to integers.",
        example=CHECK + "report = check_derivatives(lambda x: jnp.round(x) * x, np.array([0.3, 1.2]))",
        advice="Nothing, if that is meant.",
    ),
    Kind.DEVICES: Row(
        lambda fact: (
            f"JAX computed on {first_few(fact.where, 4)} ({', '.join(fact.data['device_kinds'])}), and the "
            "increments on the CPU."
        ),
        meaning="The derivatives are those of the device, with its rounding.",
        cause="Arguments live on an accelerator, or it is the default device.",
        example="# Arguments that jax.device_put has moved to a GPU.",
        advice="Nothing.",
    ),
    Kind.DIGITS_LOST: Row(
        _digits_lost,
        meaning="The error is small beside the function's terms, so that it changes no verdict. No digit is right.",
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
        "{where} was too imprecise in {type} to compare in places, so the rule was evaluated in float64 there. A right "
        "rule may be off by {share:.1e} of the largest of its block, and by the rounding of its constants.",
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
        example="# The singular value decomposition of a complex matrix.",
        advice="Nothing. Do not use derivatives that depend on the phases.",
    ),
    Kind.FUNCTION_NOT_REPEATABLE: Row(
        "f changes each time that it is {when}: it uses randomness or state outside of its arguments.",
        meaning="There is no one function to differentiate, so that nobody is called wrong.",
        cause="NumPy's random numbers, a counter, a cache, or a callback with state.",
        example=CHECK + "def f(x):\n    return x * np.random.default_rng().normal()\n"
        "report = check_derivatives(f, np.ones(2))",
        advice="Pass random keys and state as arguments.",
    ),
    Kind.HIDDEN_RULE: Row(
        lambda fact: f"{_wrong_rule(fact)} The whole function does not show it.",
        meaning="A custom rule is wrong by itself, and another one cancels its error, or nothing depends on it here.",
        cause="Two rules with opposite errors, or an argument of the rule that is constant in this function.",
        example="# Two custom rules, one off by a factor 2 and one by 1/2, that are applied one after the other.",
        advice="Correct the rule: other functions will show it.",
    ),
    Kind.INCREMENTS_CONTRADICTED: Row(
        "The exact increments disagreed with both JAX and finite differences in some entries. Finite differences were "
        "used there.",
        meaning="The interpreter of this check goes wrong on something in the function.",
        cause="A primitive whose exact rule does not fit, such as a black box with state beside it.",
        example="# A solver that is given a matrix and its factorisation, and differentiates by the matrix alone.",
        advice="Report it. The verdict does not depend on the increments there.",
    ),
    Kind.IN_32_BITS: Row(
        "f was checked in 32 bits, as JAX is set, since it does not run in 64: {message}.",
        meaning="A float64 or Python number was given, and f mixes it with arrays that were made in 32 bits.",
        cause="A constant array of the module, made before 64 bits were switched on.",
        example="# A scan whose carry starts as jnp.ones(3), made in 32 bits, and meets a float64 argument.",
        advice="Make constants within f, or give float32 arguments.",
    ),
    Kind.KINK: Row(
        "f is not differentiable here (a kink). JAX's value is accepted where it lies between the left and right "
        "derivatives.",
        meaning="The slopes on both sides of the point differ, and every value between is a convention.",
        cause="relu, abs, max or where at equal numbers.",
        example=CHECK + "report = check_derivatives(jnp.abs, np.zeros(2))",
        advice="Nothing, or check at another point to have the derivative itself compared.",
    ),
    Kind.LOST_DTYPE: Row(
        "Right to the digits of {type}: a cast on the way loses the others.",
        meaning="Every wrong entry is the right one, rounded to a narrower type.",
        cause="A cast in the rule, a constant array of a narrow type, or a residual that is saved in it.",
        example=_with_rule('(g * jnp.cos(x)).astype("float32").astype(g.dtype)', "np.linspace(0.1, 1.0, 5)"),
        advice="Look for astype and for arrays that are made with a dtype.",
    ),
    Kind.MACHINE_CODE: Row(
        "The program of {where} mode has the right derivative when NumPy runs it. XLA's machine code does not.",
        meaning="The compiler computes a number twice, each time with other roundings, and compares the two.",
        cause="A rule that looks for the entry that equals the maximum, fused with what computes it.",
        example="# The derivative of max(x / 3 + c) in float32 where entries are equal up to a rounding.",
        advice="Look at whether your program compiles it in the same way.",
    ),
    Kind.MODE_MISSING: Row(
        "JAX lacks this mode here: {message}",
        meaning="The mode could not be checked. The others were.",
        cause="A custom_vjp has no forward mode, and a while_loop no reverse mode.",
        example=_with_rule("g * jnp.cos(x)"),
        advice="Nothing, if you do not use that mode.",
    ),
    Kind.NAN_GIVEN: Row(
        "NaN was given for {where}.",
        meaning="Whatever depends on this number is NaN, and has no derivative.",
        cause="The point of the check is not finite.",
        example=CHECK + "report = check_derivatives(lambda x: x * x, np.array([1.0, np.nan]))",
        advice="Check at a finite point.",
    ),
    Kind.NAN_ORIGIN: Row(
        lambda fact: (
            f"NaN or infinity begins with {fact.data['operation']}, at {fact.where[0]}."
            + (
                " jnp.where needs a finite slope in the branch that it does not choose, too."
                if fact.data["in_where"]
                else ""
            )
        ),
        meaning="This operation makes a number that is not finite out of finite ones.",
        cause="The branch that jnp.where does not choose has an infinite slope, and zero times infinity is NaN.",
        example=CHECK + "report = check_derivatives(lambda x: jnp.where(x > 0.0, x * jnp.log(x), 0.0), "
        "np.array([-1.0, 2.0]))",
        advice="Choose the argument first, as in log(where(x > 0, x, 1)), and then the value.",
    ),
    Kind.NOTHING_CHECKED: Row(
        lambda fact: f"JAX has no derivative in {' or '.join(fact.where)} mode here, so nothing was checked.",
        meaning="No source reported a derivative.",
        cause="Reverse mode through a while_loop, or forward mode through a custom_vjp, was asked for alone.",
        example=CHECK + "def f(x):\n    return jax.lax.while_loop(lambda y: y < 9.0, lambda y: 2.0 * y, x)\n"
        'report = check_derivatives(f, 1.3, modes=["reverse"])',
        advice="Check the other mode.",
    ),
    Kind.NOT_BATCHABLE: Row(
        "f cannot be batched by jax.vmap: {message}",
        meaning="The function works for one example at a time.",
        cause="A custom_vmap rule that raises, or a primitive without a batching rule.",
        example="# A custom_vmap whose rule for batches raises NotImplementedError.",
        advice="Nothing, if you do not batch it.",
    ),
    Kind.NOT_DIFFERENTIATED: Row(
        "No derivative is taken of {where}.",
        meaning="These outputs are no floating or complex arrays.",
        cause="The function also returns indices, counts or flags.",
        example=CHECK + "report = check_derivatives(lambda x: (jnp.sum(x), jnp.argmax(x)), np.arange(3.0))",
        advice="Nothing.",
    ),
    Kind.NOT_LINEAR: Row(
        lambda fact: (
            f"The {'VJP' if fact.data['mode'] == 'reverse' else 'JVP'} is not linear: {fact.data['mode']} mode "
            f"of -v is not minus that of v, or a large v is cut off.{_by(fact)}"
        ),
        meaning="A derivative is a linear map. This one is right for some vectors only.",
        cause="The rule takes an absolute value, a maximum or a clip of its cotangent or tangent.",
        example=_with_rule("jnp.maximum(g, 0.0) * jnp.cos(x)"),
        advice="Clip gradients outside of the rule, or trust the rule by name if that is meant.",
    ),
    Kind.NO_SLOPE: Row(
        "There is no derivative to compare: {reason}.",
        meaning="The function jumps or has no slope at this point.",
        cause="sign, floor or round at one of their jumps, equal eigenvalues, or a branch that changes here.",
        example=CHECK + "report = check_derivatives(jnp.floor, np.array([1.0, 0.5]))",
        advice="Check at another point.",
    ),
    Kind.ONE_BRANCH: Row(
        _one_branch,
        meaning="A number parts all wrong entries from all right ones.",
        cause="One branch of a piecewise function has a wrong derivative.",
        example=CHECK + "f = jax.custom_vjp(lambda x: jnp.abs(x))\n"
        "f.defvjp(lambda x: (jnp.abs(x), x), lambda x, g: (g,))\n"
        "report = check_derivatives(f, np.array([0.7, -1.3, 0.2, -0.4, 1.9, -2.2]))",
        advice="Look at the branch for these entries.",
    ),
    Kind.ONLY_TOGETHER: Row(
        "Each of these inputs alone lies between its left and right derivatives. Together they are not consistent.",
        meaning="No average of the gradients around the point has this sum.",
        cause="A rule for max or median that gives the whole cotangent to every entry that is equal.",
        example=CHECK + "f = jax.custom_vjp(lambda x: jnp.max(x))\n"
        "f.defvjp(lambda x: (jnp.max(x), x), lambda x, g: (g * (x == jnp.max(x)),))\n"
        "report = check_derivatives(f, np.array([1.0, 1.0, 0.0]))",
        advice="Share the cotangent among equal entries, or give it to one of them.",
    ),
    Kind.OWN_PRECISION_ONLY: Row(
        _own_precision_only,
        meaning="Errors below the rounding of the type are not seen.",
        cause="A callback, a sampler, a solver with a tolerance, or code that reads bits.",
        example="# A pure_callback in float32.",
        advice="Check in float64 to see smaller errors.",
    ),
    Kind.PRODUCT_BITS: Row(
        "Matrix products use {bits} bits of each number, which the error bounds allow for.",
        meaning="The device multiplies coarser numbers than the type of the arrays.",
        cause="TF32 on a GPU, bfloat16 on a TPU, or a precision that was chosen for a product.",
        example=CHECK + "report = check_derivatives(lambda x: jax.lax.dot(x, x, "
        'precision=jax.lax.DotAlgorithmPreset.F16_F16_F16), np.ones((2, 2), "float32"))',
        advice="jax.default_matmul_precision('highest') shows smaller errors.",
    ),
    Kind.RULE_NOT_REPEATABLE: Row(
        "A derivative rule reports something else each time that it is traced.",
        meaning="The derivative depends on state outside of the arguments.",
        cause="NumPy's random numbers or a counter in a backward pass.",
        example="# A custom_vjp whose backward pass draws from np.random.",
        advice="Pass random keys and state as arguments, or save them as residuals.",
    ),
    Kind.SIDE_EFFECT: Row(
        _side_effect,
        meaning="JAX runs Python when it traces f, and not each time that f runs.",
        cause="A counter, a cache or a list of results outside of f.",
        example=CHECK
        + "seen = []\ndef f(x):\n    seen.append(1)\n    return jnp.sin(x)\nreport = check_derivatives(f, 0.3)",
        advice="Return what is to be kept.",
    ),
    Kind.SLOPE_WITHOUT_LIMIT: Row(
        "There is no derivative: slopes grow without limit as steps shrink.",
        meaning="The function has a vertical tangent or a cusp at this point, as √x has at 0.",
        cause="A root, an arcsine or x log x at the end of its domain.",
        example=CHECK + "report = check_derivatives(jnp.cbrt, 0.0)",
        advice="Check at another point, or guard the argument there.",
    ),
    Kind.SOLVER_HIDES_DIGITS: Row(
        lambda fact: (
            f"{fact.data['undecided']} of {fact.data['total']} coordinates cannot be decided: "
            f"{first_few(fact.where, 3)}. A solver in f stops at a tolerance that hides their digits."
        ),
        meaning="The solution's own error is as large as the error that is looked for.",
        cause="A loose tolerance of an iterative solver.",
        example="# A custom_root by Newton's method with a tolerance of 1e-3.",
        advice="Check with a smaller tolerance.",
    ),
    Kind.SOLVER_TOLERANCE: Row(
        "A solver stops at its tolerance: a finer one moves JAX's derivatives by up to {moved:.1e} of the largest. The "
        "error bounds hold {factor:.0f} times that.",
        meaning="Derivatives of a solution are as exact as the solution.",
        cause="An iterative solver, such as conjugate gradients, Newton's method or an ODE solver.",
        example="# jax.scipy.sparse.linalg.cg with tol=1e-4.",
        advice="Nothing, or a smaller tolerance to see smaller errors.",
    ),
    Kind.TRANSPOSE_MISSING: Row(
        lambda fact: (
            "The rule returns J g instead of Jᵀ g: a transpose is missing"
            + (", and a conjugation is missing or one too many." if fact.data["conjugated"] else ".")
        ),
        meaning="A VJP multiplies the cotangent by the transposed Jacobian.",
        cause="`A @ g` stands where `A.T @ g` belongs.",
        example=CHECK + "A = np.arange(9.0).reshape(3, 3)\nf = jax.custom_vjp(lambda x: A @ x)\n"
        f"f.defvjp(lambda x: (A @ x, x), lambda x, g: (A @ g,))\nreport = check_derivatives(f, {X})",
        advice="Transpose.",
    ),
    Kind.TRUSTED_RULE: Row(
        "Taken as they are, and not checked: {where}.",
        meaning="These derivatives are a matter of definition.",
        cause="A rule that was named by trust=, or a sampler whose derivative is a convention.",
        example="# A straight-through rounding with trust=['straight_through'].",
        advice="Nothing.",
    ),
    Kind.TWICE_WOULD_PASS: Row(
        "The error bounds exceed the derivatives in most of {where} (up to {bound:.1e}): even a factor of 2 would go "
        "unnoticed.",
        meaning="The function amplifies its rounding errors so much that nothing about its derivative can be decided.",
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
        "JAX computes another value than the interpreter for {where}.",
        meaning="The two do not run the same function, so that their derivatives cannot be compared.",
        cause="A primitive that the interpreter reads differently, or a value that rounding decides.",
        example="# A function of a number's bits in a type that the interpreter widens.",
        advice="Check at another point. If it persists, report it.",
    ),
    Kind.VALUE_NOT_FINITE: Row(
        "f is not finite at this point: {where}.",
        meaning="There is no derivative where the value is infinite or NaN.",
        cause="An argument outside of the domain, or an overflow.",
        example=CHECK + "report = check_derivatives(jnp.log, np.array([1.0, -1.0]))",
        advice="Check at another point.",
    ),
    Kind.WRONG_RULE: Row(
        _wrong_rule,
        meaning="The derivative of this function or primitive is wrong by itself, at the values that it met.",
        cause="A mistake in a custom_vjp or custom_jvp rule; the next line says which, where that is known.",
        example=_with_rule("2.0 * g * jnp.cos(x)"),
        advice="Correct the rule at the line that is named.",
    ),
    Kind.ZERO_DERIVATIVE: Row(
        _zero,
        meaning="Nothing that f returns depends on its arguments here.",
        cause="A detached loss, or a point where everything saturates.",
        example=CHECK + "report = check_derivatives(lambda x: jnp.sum(0.0 * x), np.ones(2))",
        advice="Check at another point, or look for stop_gradient.",
    ),
}
