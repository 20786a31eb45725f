"""The gradient checkers that people already call, with their own arguments, and this harness behind them.

    from harness.drop_in.jax import check_grads             # instead of: from jax.test_util import check_grads
    from harness.drop_in.torch import gradcheck             # instead of: from torch.autograd import gradcheck
    from harness.drop_in.scipy import check_grad            # instead of: from scipy.optimize import check_grad
    from harness.drop_in.autograd import check_grads        # instead of: from autograd.test_util import check_grads

Each answers and raises as the original does. First comes a cheap look along random lines (`line_looks`), which may only
accept, and then the whole check of what that leaves in doubt (`whole_checks`; JAX's own is `check_derivatives`).

Where neither decides, the original runs with the caller's arguments and its result stands. The warning
`InconclusiveGradient` says what was not decided. `fallback` holds this policy, one for all. A tolerance wider than the
original's default is the accuracy that is asked for. Steps and other tolerances are used by the original alone, since
error bounds are derived or measured here; that they were given is logged once.

This room imports all kinds of check. Only `harness study --operators` imports it.
"""

from harness.exit_codes import InconclusiveGradient

__all__ = ["InconclusiveGradient"]
