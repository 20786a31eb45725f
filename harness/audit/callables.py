"""The libraries' functions that need more than one argument, or an option, as functions of one number."""

# pyright: reportMissingImports=false
# PyTorch is not installed everywhere.

from typing import Any


def jax_power(x: Any) -> Any:
    return x**2.5


def jax_gelu(x: Any) -> Any:
    import jax

    return jax.nn.gelu(x, approximate=False)


def jax_logaddexp(x: Any) -> Any:
    import jax.numpy as jnp

    return jnp.logaddexp(x, 1.0)


def jax_logaddexp_of_inf(x: Any) -> Any:
    import jax.numpy as jnp

    return jnp.logaddexp(jnp.inf, x)


def jax_hypot(x: Any) -> Any:
    import jax.numpy as jnp

    return jnp.hypot(x, x)


def jax_xlogx(x: Any) -> Any:
    import jax

    return jax.scipy.special.xlogy(x, x)


def torch_gelu_tanh(x: Any) -> Any:
    import torch

    return torch.nn.functional.gelu(x, approximate="tanh")


def torch_logaddexp(x: Any) -> Any:
    import torch

    return torch.logaddexp(x, torch.ones_like(x))


def torch_logaddexp_of_inf(x: Any) -> Any:
    import torch

    return torch.logaddexp(torch.full_like(x, torch.inf), x)


def torch_hypot(x: Any) -> Any:
    import torch

    return torch.hypot(x, x)


def torch_xlogx(x: Any) -> Any:
    import torch

    return torch.xlogy(x, x)


def torch_bce_with_logits(x: Any) -> Any:
    import torch

    return torch.nn.functional.binary_cross_entropy_with_logits(x, torch.ones_like(x), reduction="none")


def torch_bce(x: Any) -> Any:
    import torch

    return torch.nn.functional.binary_cross_entropy(x, torch.ones_like(x), reduction="none")


def trigamma(x: Any) -> Any:
    from scipy.special import polygamma

    return polygamma(1, x)


def i1_slope(x: Any) -> Any:
    from scipy.special import ivp

    return ivp(1, x)


def j1_slope(x: Any) -> Any:
    from scipy.special import jvp

    return jvp(1, x)
