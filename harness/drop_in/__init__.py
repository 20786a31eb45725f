"""The gradient checkers that people already call, with their own arguments, and this harness behind them.

    from harness.drop_in.jax import check_grads             # instead of: from jax.test_util import check_grads
    from harness.drop_in.torch import gradcheck             # instead of: from torch.autograd import gradcheck
    from harness.drop_in.scipy import check_grad            # instead of: from scipy.optimize import check_grad
    from harness.drop_in.autograd import check_grads        # instead of: from autograd.test_util import check_grads

Each answers and raises as the original does. Where the harness cannot decide, the original runs with the caller's
arguments and its result stands; the warning `InconclusiveGradient` says what was not decided. Steps and tolerances are
not used otherwise, since error bounds are derived or measured; that they were given is logged once. `fallback` holds
the policy, one for all.

This room imports all kinds of check, and nobody imports it.
"""

from harness.exit_codes import InconclusiveGradient

__all__ = ["InconclusiveGradient"]
