"""Messages about derivative rules that are wrong: which mistake it is, and whose rule."""

import math

from harness.facts.fact import Fact, Severity
from harness.facts.kinds import Kind
from harness.facts.row import Row
from harness.wording import counted, first_few

CHECK = "import jax\nimport jax.numpy as jnp\nimport numpy as np\nfrom harness import check_derivatives\n"
RULE = CHECK + "f = jax.custom_vjp(lambda x: jnp.sin(x))\n"
X = "np.array([0.7, -1.3, 0.2])"


def with_rule(backward: str, x: str = X) -> str:
    return RULE + f"f.defvjp(lambda x: (jnp.sin(x), x), lambda x, g: ({backward},))\nreport = check_derivatives(f, {x})"


def _another_value(fact: Fact) -> str:
    data = fact.data
    compared = "compiled" if data["how"].startswith(("run", "batched")) else "otherwise"
    numbers = f"{fact.where[0]} is {data['value']:.6g} when f is {data['how']}, and {data['otherwise']:.6g} {compared}"
    return f"{numbers}.{_by(fact)}"


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


ROWS: dict[Kind, Row] = {
    Kind.VALUE_DEPENDS_ON_RUN: Row(
        _another_value,
        meaning="The function's value depends on how JAX runs it: eagerly, compiled, batched or differentiated.",
        cause="A rule for vmap or for differentiation computes something else, or Python branches on being traced.",
        example=CHECK + "f = jax.custom_vjp(lambda x: jnp.sin(x))\n"
        "f.defvjp(lambda x: (jnp.sin(x) + 1.0, x), lambda x, g: (g * jnp.cos(x),))\n"
        f"report = check_derivatives(f, {X})",
        advice="Make the forward half of the rule return what the function returns.",
    ),
    Kind.CHANGED_BY_VMAP: Row(
        lambda fact: f"{fact.data['mode']} mode reports something else without jax.vmap than with it.{_by(fact)}",
        meaning="The derivative of one example differs from that of the same example in a batch.",
        cause="A function that the rule calls has its own rule for jax.vmap (custom_vmap), and one of them is wrong.",
        example=CHECK + "slope = jax.custom_batching.custom_vmap(lambda x, g: 1.001 * g * jnp.cos(x))\n"
        "slope.def_vmap(lambda size, are_batched, x, g: (g * jnp.cos(x), True))\n"
        "f = jax.custom_vjp(lambda x: jnp.sin(x))\n"
        "f.defvjp(lambda x: (jnp.sin(x), x), lambda x, g: (slope(x, g),))\n"
        f"report = check_derivatives(f, {X})",
        advice="Compare the two formulas of the custom_vmap function.",
    ),
    Kind.COMPARED_IN_FLOAT64: Row(
        _compared_in_float64,
        meaning="In a coarse type, rounding may explain any number. The same rule in float64 shows its formula.",
        cause="The rule's formula is wrong by more than rounding of its constants explains.",
        example=CHECK + "f = jax.custom_vjp(lambda x: x**2)\n"
        "f.defvjp(lambda x: (x**2, x), lambda x, g: (2.1 * x * g,))\n"
        "report = check_derivatives(f, jnp.asarray([0.7, -1.3], 'bfloat16'))",
        advice="Compare the two numbers of the finding: they are the formula's, without the type's rounding.",
    ),
    Kind.CONJUGATE: Row(
        _conjugate,
        meaning="The right derivative and the reported one differ by complex conjugates alone.",
        cause="Another convention for gradients of complex arguments than JAX's, in the rule or in a reference.",
        example=CHECK + "f = jax.custom_vjp(lambda z: jnp.abs(z) ** 2)\n"
        "f.defvjp(lambda z: (f(z), z), lambda z, g: (2.0 * g * z,))  # JAX's convention: 2.0 * g * jnp.conj(z)\n"
        "report = check_derivatives(f, np.array([1.0 + 2.0j, 0.5 - 1.0j]))",
        advice="Follow JAX's convention: the VJP is the cotangent times the Jacobian, without any conjugate.",
    ),
    Kind.COTANGENT_POWER: Row(
        lambda fact: (
            "The rule multiplies by its cotangent twice."
            if fact.data["power"]
            else "The rule ignores its cotangent: it returns the same whatever it is given."
        ),
        meaning="A backward pass returns the derivative times the cotangent, once. The rule is right for 1 alone.",
        cause="`return (jnp.cos(x),)` stands where `return (g * jnp.cos(x),)` belongs, or a helper multiplies as well.",
        example=with_rule("jnp.cos(x)"),
        advice="Multiply by the cotangent once.",
    ),
    Kind.HIDDEN_RULE: Row(
        lambda fact: (
            f"{_wrong_rule(fact)} The derivatives of the whole function hide it: another error cancels it, or "
            "its share is too small to show."
            if fact.severity != Severity.NOTE
            else f"{_wrong_rule(fact)} The function does not use what is wrong: the program masks or stops it, or "
            "moves that argument only where the rule is right, if at all."
        ),
        meaning="A custom rule is wrong by itself, at arguments that the function gives it, and the whole agrees.",
        cause="Two rules with opposite errors. Or the program removes what is wrong by jnp.where or stop_gradient, or "
        "hands a rule for symmetric matrices no others: that is a note.",
        example=CHECK + "twice, thrice = jax.custom_vjp(lambda x: 2.0 * x), jax.custom_vjp(lambda x: 3.0 * x)\n"
        "twice.defvjp(lambda x: (2.0 * x, None), lambda _, g: (g,))\n"
        "thrice.defvjp(lambda x: (3.0 * x, None), lambda _, g: (6.0 * g,))\n"
        "report = check_derivatives(lambda x: twice(thrice(x)), np.array([0.7, -1.3]))",
        advice="Correct the rule: other functions will show it.",
    ),
    Kind.LOST_DTYPE: Row(
        "Right to the digits of {type}: a cast on the way loses the others.",
        meaning="Every wrong entry is the right one, rounded to a narrower type.",
        cause="A cast in the rule, a constant array of a narrow type, or a residual that is saved in it.",
        example=with_rule('(g * jnp.cos(x)).astype("float32").astype(g.dtype)', "np.linspace(0.1, 1.0, 5)"),
        advice="Look for astype and for arrays that are made with a dtype.",
    ),
    Kind.RIGHT_IN_FLOAT64: Row(
        "The same rule is right in float64: {type} underflows, overflows or cancels on the way.",
        meaning="The formula is the derivative, and the number that callers get in this type is wrong all the same.",
        cause="A guard such as jnp.where(s > 0, e / s, 0), whose s underflows although the result does not.",
        example=CHECK + "f = jax.custom_vjp(lambda x: jax.nn.logsumexp(x))\n"
        "def backward(x, g):\n    e = jnp.exp(x)\n    return (g * jnp.nan_to_num(e / e.sum()),)\n"
        "f.defvjp(lambda x: (f(x), x), backward)\n"
        "report = check_derivatives(f, jnp.array([-110.0, -112.0], 'float32'))",
        advice="Scale before you divide, as jax.nn.softmax does by subtracting the largest argument.",
    ),
    Kind.NAN_ORIGIN: Row(
        lambda fact: (
            f"NaN or infinity begins with {', at '.join([fact.data['operation'], *fact.where])}."
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
    Kind.NOT_LINEAR: Row(
        lambda fact: (
            f"The {'VJP' if fact.data['mode'] == 'reverse' else 'JVP'} is not linear: {fact.data['mode']} mode "
            f"does not keep sums and multiples of vectors.{_by(fact)}"
        ),
        meaning="A derivative is a linear map. This one is right for some vectors only.",
        cause="The rule takes an absolute value, a maximum or a clip of its cotangent or tangent, drops small ones, or "
        "forgets it.",
        example=with_rule("jnp.maximum(g, 0.0) * jnp.cos(x)"),
        advice="Clip gradients outside of the rule, or trust the rule by name if that is meant.",
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
    Kind.WRONG_RULE: Row(
        _wrong_rule,
        meaning="The derivative of this function or primitive is wrong at the values that it met: by itself, or since "
        "all agrees without it.",
        cause="A mistake in a custom_vjp or custom_jvp rule; another line of the report says which, if known.",
        example=with_rule("2.0 * g * jnp.cos(x)"),
        advice="The line that is named is where the rule begins. Compare it term by term with the function.",
    ),
}
