"""Messages about drop-ins: what was compared, and why the original checker decided."""

from harness.facts.fact import Fact
from harness.facts.kinds import Kind
from harness.facts.row import Row

GRADCHECK = "import torch\nfrom harness.drop_in.torch import gradcheck\n"
CHECK_GRADS = "import jax\nimport jax.numpy as jnp\nfrom harness.drop_in.jax import check_grads\n"
POINT = "(torch.tensor([[0.7, -1.3]], dtype=torch.float64, requires_grad=True),)"


def _compared(fact: Fact) -> str:
    outputs = fact.data["outputs"]
    summed = f", on the {outputs} added up with random weights" if outputs else ""
    confirmed = fact.data.get("confirmed")
    others = f" The derivatives in {', '.join(confirmed)} were confirmed along random lines." if confirmed else ""
    return f"Compared: {fact.where[0]}{summed}.{others}"


ROWS = {
    Kind.CANNOT_RUN: Row(
        "This check cannot run here. {error}: {message}.",
        meaning="The function raised, or it takes or answers something that this check cannot handle.",
        cause="The function cannot be traced, or an input has a layout that is not supported.",
        example=CHECK_GRADS + "check_grads(lambda x: float(x) * x, (2.0,), 1)",
        advice="Nothing, if the original's tolerances are enough. Else mend what the error names. JAX's drop-in needs "
        "a function that can be traced, and PyTorch's checks sparse inputs with masked=True.",
    ),
    Kind.COMPARED_DERIVATIVE: Row(
        _compared,
        meaning="The derivative of one number was compared, which stands for the whole Jacobian.",
        cause="The function has several outputs, or a Hessian is checked by its products.",
        example="import numpy as np\nfrom harness import check_jacobian\n"
        "report = check_jacobian(np.sin, np.array([0.3, 0.7]), lambda t: np.diag(np.cos(t)))",
        advice="Read the coordinate as one of the input: a wrong entry of any output shows in it.",
    ),
    Kind.INEXACT_LIBRARY_RULE: Row(
        lambda fact: (
            f"The library's own rule of {fact.where[0]} is off by {fact.data['off']:.1e} here."
            if fact.where
            else f"A derivative is off by less than {fact.data['limit']:.0e} of the largest, by a library's own rules."
        ),
        meaning="The library approximates this derivative; the error is not the caller's.",
        cause="A series or a fit of limited precision.",
        example=CHECK_GRADS + "with jax.enable_x64(True):\n    check_grads(jax.scipy.special.log_ndtr, (-21.0,), 1)",
        advice="Nothing, if so many digits are enough.",
    ),
    Kind.MOVES_WITHOUT_GRADIENT: Row(
        "{where} changes with the inputs and has no gradient.",
        meaning="The output is marked as non-differentiable, or detached. No checker compares its derivative.",
        cause="`ctx.mark_non_differentiable` or `.detach()` for an output that is a smooth function of the inputs.",
        example=GRADCHECK + "class Both(torch.autograd.Function):\n"
        "    @staticmethod\n    def forward(ctx, x):\n        ctx.save_for_backward(x)\n        square = x**2\n"
        "        ctx.mark_non_differentiable(square)\n        return x.sin(), square\n\n"
        "    @staticmethod\n    def backward(ctx, g, _):\n        return g * ctx.saved_tensors[0].cos()\n\n"
        f"gradcheck(Both.apply, {POINT})",
        advice="Nothing, if nobody differentiates this output. Else remove the mark.",
    ),
    Kind.NEITHER_DECIDED: Row(
        "No error was found, and {where} can see less than this check, which could not decide either.",
        meaning="Noise or a low precision hides small errors. In the original's differences, whose steps are smaller, "
        "it hides more.",
        cause="Inputs in float32, float16 or bfloat16, or a large constant part of the value.",
        example=GRADCHECK + f"gradcheck(lambda x: 3e9 + x.sin(), {POINT})",
        advice="Check with inputs in float64, without the constant part.",
    ),
    Kind.ORIGINAL_DECIDED: Row(
        "{where} decided, because this check could not.",
        meaning="The original checker ran with the caller's arguments, and its result stands.",
        cause="The function jumps at the point or cannot be traced, or noise hides the derivative.",
        example=CHECK_GRADS + "check_grads(jnp.floor, (1.0,), 1)",
        advice="Read the reasons that follow. Move the point off the jump, or accept the original's verdict.",
    ),
    Kind.UNKNOWN_MODE: Row(
        "There is no mode {where}; the modes are {modes}.",
        meaning="The mode was ignored, as the original ignores it.",
        cause='A mode is spelled differently: the names are "fwd", "rev" and "lin".',
        example=CHECK_GRADS + "check_grads(jnp.sin, (2.0,), 1, modes=['reverse'])",
        advice="Correct the name.",
    ),
    Kind.VMAP_DIFFERS: Row(
        "torch.func.vmap of the function is not what a loop computes, in {where}.",
        meaning="For a batch of examples, the function answers something else than for each of them.",
        cause="A Function's own `vmap` ignores `in_dims`, or reduces over the axis of the batch.",
        example=GRADCHECK + "class Sums(torch.autograd.Function):\n"
        "    @staticmethod\n    def forward(x):\n        return x.sum(-1)\n\n"
        "    @staticmethod\n    def setup_context(ctx, inputs, output):\n        ctx.size = inputs[0].shape[-1]\n\n"
        "    @staticmethod\n    def backward(ctx, g):\n        return g[..., None].expand(*g.shape, ctx.size)\n\n"
        "    @staticmethod\n    def vmap(info, in_dims, x):\n        return x.sum(), None\n\n"
        f"gradcheck(Sums.apply, {POINT})",
        advice="Move the batch axis to the front, and map over it.",
    ),
}
