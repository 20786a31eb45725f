"""The libraries' functions that need more than one argument, or an option, as functions of one number."""

# pyright: reportMissingImports=false
# PyTorch and optax are not installed everywhere.

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


def optax_bce_with_logits(x: Any) -> Any:
    import optax

    return optax.losses.sigmoid_binary_cross_entropy(x, 1.0)


def optax_cross_entropy(x: Any) -> Any:
    import jax.numpy as jnp
    import optax

    return optax.losses.softmax_cross_entropy(jnp.stack([x, 0.0 * x]), jnp.array([1.0, 0.0]))


def optax_focal(x: Any) -> Any:
    import optax

    return optax.losses.sigmoid_focal_loss(x, 1.0)


def optax_log_cosh(x: Any) -> Any:
    import optax

    return optax.losses.log_cosh(x)


def optax_huber(x: Any) -> Any:
    import optax

    return optax.losses.huber_loss(x)


def optax_kl_divergence(x: Any) -> Any:
    import jax.numpy as jnp
    import optax

    return optax.losses.kl_divergence(jnp.stack([0.0 * x]), jnp.stack([x]))


def optax_cosine(x: Any) -> Any:
    import jax.numpy as jnp
    import optax

    return optax.losses.cosine_similarity(jnp.stack([x, 1.0 + 0.0 * x]), jnp.array([1.0, 1.0]))


def torch_cross_entropy(x: Any) -> Any:
    import torch

    logits = torch.stack([x, torch.zeros_like(x)], -1)
    return torch.nn.functional.cross_entropy(logits, torch.zeros(len(x), dtype=torch.long), reduction="none")


def torch_huber(x: Any) -> Any:
    import torch

    return torch.nn.functional.huber_loss(x, torch.zeros_like(x), reduction="none")


def torch_kl_divergence(x: Any) -> Any:
    import torch

    return torch.nn.functional.kl_div(torch.zeros_like(x), x, reduction="none")


def torch_cosine(x: Any) -> Any:
    import torch

    ones = torch.ones_like(x)
    return torch.nn.functional.cosine_similarity(torch.stack([x, ones], -1), torch.stack([ones, ones], -1))


def torch_soft_margin(x: Any) -> Any:
    import torch

    return torch.nn.functional.soft_margin_loss(x, torch.ones_like(x), reduction="none")


def torch_poisson(x: Any) -> Any:
    import torch

    return torch.nn.functional.poisson_nll_loss(x, torch.ones_like(x), reduction="none")


def torch_gaussian(x: Any) -> Any:
    import torch

    return torch.nn.functional.gaussian_nll_loss(torch.ones_like(x), torch.zeros_like(x), x, reduction="none")


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
