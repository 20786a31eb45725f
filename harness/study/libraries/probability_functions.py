"""Right functions of NumPyro, distrax, flowjax, blackjax and celerite2: densities, samples, flows and kernels."""

# pyright: reportMissingImports=false

import blackjax
import celerite2.jax as celerite
import distrax
import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from celerite2.jax import terms
from flowjax import bijections, distributions, flows
from numpyro.infer.util import log_density

from harness.study.libraries import Host
from harness.study.traced_functions import Function

V = np.array([0.3, -0.8, 1.4])
P = np.array([0.2, 0.5, 0.3])
A, B = np.float64(1.7), np.float64(0.6)
X = np.linspace(-1.0, 1.2, 6).reshape(3, 2)
ROOT = np.array([[1.2, 0.0, 0.0], [0.3, 0.8, 0.0], [-0.2, 0.4, 1.5]])
KEY = jax.random.key(0)
TIMES = np.sort(np.random.default_rng(0).uniform(0.0, 5.0, 12))


def _density(make):
    return lambda x, *parameters: make(*parameters).log_prob(x)


def _sample(make):
    return lambda *parameters: make(*parameters).sample(KEY, (3,))


def _distrax_sample(make):
    return lambda *parameters: make(*parameters).sample(seed=KEY, sample_shape=(3,))


def _model(x, y):
    w = numpyro.sample("w", dist.Normal(0.0, 1.0).expand([2]).to_event(1))
    scale = numpyro.sample("scale", dist.HalfNormal(1.0))
    numpyro.sample("y", dist.Normal(x @ w, scale), obs=y)


def _model_density(w, scale):
    return log_density(_model, (X, jnp.ones(3)), {}, {"w": w, "scale": scale})[0]


def _leapfrog(q):
    density = lambda x: -0.5 * jnp.sum(x**2) - 0.1 * jnp.sum(x**4)  # noqa: E731
    step = blackjax.mcmc.integrators.velocity_verlet(density, lambda p: 0.5 * jnp.sum(p**2))
    state = blackjax.mcmc.integrators.IntegratorState(q, jnp.sin(q), *jax.value_and_grad(density)(q))
    for _ in range(3):
        state = step(state, 0.1)
    return state.position


def _kernel(term):
    def likelihood(parameters, y):
        process = celerite.GaussianProcess(term(parameters))
        process.compute(TIMES, diag=jnp.full(12, 0.1), check_sorted=False)
        return process.log_likelihood(y)

    return likelihood, (V[:1] + 1.0, np.sin(TIMES))


def _flow(make):
    flow = make(jax.random.key(1))
    return lambda flow, x: flow.log_prob(x), (flow, X[:2])


def _bijection(make):
    return lambda x, *parameters: make(*parameters).transform_and_log_det(x)


BASE = distributions.Normal(jnp.zeros(2))

FUNCTIONS: dict[str, tuple[Function, tuple]] = {
    "NumPyro normal": (_density(dist.Normal), (V, A, B)),
    "NumPyro Student t": (_density(dist.StudentT), (V, A, B, A)),
    "NumPyro gamma": (_density(dist.Gamma), (np.abs(V), A, B)),
    "NumPyro beta": (_density(dist.Beta), (P, A, B)),
    "NumPyro Dirichlet": (_density(dist.Dirichlet), (P, np.abs(V) + 0.5)),
    "NumPyro von Mises": (_density(dist.VonMises), (V, B, A)),
    "NumPyro multivariate normal": (_density(lambda m, root: dist.MultivariateNormal(m, scale_tril=root)),
        (V, 0.5 * V, ROOT)),
    "NumPyro truncated normal": (_density(lambda m, s: dist.TruncatedNormal(m, s, low=-1.0, high=2.0)), (V, A, B)),
    "NumPyro mixture": (_density(lambda w, m: dist.MixtureSameFamily(dist.Categorical(logits=w), dist.Normal(m, 1.0))),
        (V, P, V)),
    # a check of the support makes it -inf wherever an entry moves alone
    "NumPyro LKJ": (_density(lambda c: dist.LKJCholesky(3, c, validate_args=False)),
        (np.linalg.cholesky(np.eye(3) * 0.7 + 0.3), A)),
    "NumPyro negative binomial": (lambda m, c: dist.NegativeBinomial2(m, c).log_prob(jnp.array([2.0, 0.0, 5.0])),
        (A, B)),
    "NumPyro Poisson": (lambda r: dist.Poisson(r).log_prob(jnp.array([2.0, 0.0, 5.0])), (A,)),
    "NumPyro AR(1)": (_density(lambda s: dist.GaussianRandomWalk(s, num_steps=3)), (V, A)),
    "NumPyro gamma sample": (_sample(dist.Gamma), (A, B)),
    "NumPyro Dirichlet sample": (_sample(dist.Dirichlet), (np.abs(V) + 0.5,)),
    "NumPyro Student t sample": (_sample(lambda d: dist.StudentT(d, 0.0, 1.0)), (A,)),
    "NumPyro multivariate normal sample": (_sample(lambda m, root: dist.MultivariateNormal(m, scale_tril=root)),
        (V, ROOT)),
    "NumPyro stick breaking": (lambda x: dist.transforms.StickBreakingTransform()(x), (V,)),
    "NumPyro correlation Cholesky": (lambda x: dist.transforms.CorrCholeskyTransform()(x), (V,)),
    "NumPyro KL of gammas": (lambda a, b: dist.kl_divergence(dist.Gamma(a, b), dist.Gamma(1.2, 0.8)), (A, B)),
    "NumPyro model": (_model_density, (X[0], A)),
    "distrax normal": (_density(distrax.Normal), (V, A, B)),
    "distrax beta": (_density(distrax.Beta), (P, A, B)),
    "distrax von Mises": (_density(distrax.VonMises), (V, B, A)),
    "distrax von Mises sample": (_distrax_sample(distrax.VonMises), (B, A)),
    "distrax gamma sample": (_distrax_sample(distrax.Gamma), (A, B)),
    "distrax beta sample": (_distrax_sample(distrax.Beta), (A, B)),
    "distrax logistic": (_density(distrax.Logistic), (V, A, B)),
    "distrax Gumbel entropy": (lambda m, s: distrax.Gumbel(m, s).entropy(), (A, B)),
    "distrax categorical": (lambda w: distrax.Categorical(logits=w).log_prob(jnp.array([0, 2])), (V,)),
    "distrax KL of betas": (lambda a, b: distrax.Beta(a, b).kl_divergence(distrax.Beta(1.3, 0.9)), (A, B)),
    "distrax spline": (lambda x, p: distrax.RationalQuadraticSpline(p, -2.0, 2.0).forward_and_log_det(x),
        (V, np.tile(np.linspace(-1.0, 1.0, 13), (3, 1)))),
    "distrax HMM": (lambda w: distrax.HMM(distrax.Categorical(logits=w), distrax.Categorical(logits=jnp.outer(w, w)),
        distrax.Normal(w, jnp.ones(3))).forward(jnp.array([0.1, 0.7, -0.4]))[-1], (V,)),
    "flowjax spline": (_bijection(lambda w: bijections.RationalQuadraticSpline(knots=4, interval=3)),
        (np.float64(0.4), V)),
    "flowjax masked autoregressive": _flow(lambda key: flows.masked_autoregressive_flow(key, base_dist=BASE,
        flow_layers=1, nn_width=4, nn_depth=1)),
    "flowjax coupling": _flow(lambda key: flows.coupling_flow(key, base_dist=BASE, flow_layers=1, nn_width=4,
        nn_depth=1)),
    "flowjax planar": _flow(lambda key: flows.planar_flow(key, base_dist=BASE, flow_layers=1)),
    "flowjax block neural": _flow(lambda key: flows.block_neural_autoregressive_flow(key, base_dist=BASE,
        flow_layers=1)),
    "blackjax leapfrog": (_leapfrog, (V,)),
    "celerite2 real term": _kernel(lambda a: terms.RealTerm(a=a[0], c=0.7)),
    "celerite2 oscillator": _kernel(lambda a: terms.SHOTerm(S0=a[0], w0=2.0, Q=1.5)),
}  # fmt: skip


MEANS = V[::-1].copy()

HOSTS: dict[str, tuple[Host, tuple]] = {
    "in a density of NumPyro": (lambda rule: lambda x, m: dist.Normal(rule(m), 1.3).log_prob(x).sum(), (V, MEANS)),
    "in a density of distrax": (lambda rule: lambda x, m: distrax.Logistic(rule(m), 1.3).log_prob(x).sum(), (V, MEANS)),
}
