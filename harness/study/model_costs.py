"""Costs of models with gradients by hand, as engineers write them: regression, networks, likelihoods, physics.

Each takes a dict of arrays, and returns the cost J and a dict of its derivatives. In the code and in the formulas, r is
a residual, and d (or dn, dK, ...) the derivative of J with respect to what the line before computed.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy import special

Parameters = dict[str, np.ndarray]
Function = Callable[[Parameters], tuple[float, Parameters]]


class Model(NamedTuple):
    """A function, the shapes of its parameters, and the names of those that must be positive."""

    function: Function
    shapes: dict[str, tuple[int, ...]]
    positive: tuple[str, ...] = ()


MODELS: dict[str, Model] = {}


def _model(name: str, *options: Any, positive: tuple[str, ...] = (), **shapes: tuple[int, ...]) -> Callable:
    """Enter a cost under this name; derivatives in numbers become arrays of shape ()."""

    def enter(cost_and_gradient: Callable) -> Callable:
        def function(p: Parameters) -> tuple[float, Parameters]:
            cost, gradient = cost_and_gradient(p, *options)
            return cost, {name: np.asarray(part) for name, part in gradient.items()}

        MODELS[name] = Model(function, shapes, positive)
        return cost_and_gradient

    return enter


EXAMPLES = 12

_rng = np.random.default_rng(2024)
X, Z = _rng.standard_normal((EXAMPLES, 4)), _rng.standard_normal((EXAMPLES, 3))
Y, LABELS, COUNTS = (
    _rng.standard_normal(EXAMPLES),
    _rng.integers(0, 2, EXAMPLES).astype(float),
    _rng.poisson(2.0, EXAMPLES).astype(float),
)
CLASSES = np.eye(3)[_rng.integers(0, 3, EXAMPLES)]
SIGNS = 2.0 * LABELS - 1.0
TIMES = np.linspace(0.1, 3.0, EXAMPLES)
SEQUENCE = _rng.standard_normal((5, 3))


def _focal(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """-(1 - p)² log p with p = σ(±z), the probability of the right label, and p' = ±p(1 - p)."""
    p = special.expit(SIGNS * z)
    return -((1.0 - p) ** 2) * np.log(p), SIGNS * (2.0 * p * (1.0 - p) ** 2 * np.log(p) - (1.0 - p) ** 3)


LOSSES: dict[str, Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]] = {
    "least squares": lambda z: (0.5 * (z - Y) ** 2, z - Y),
    "logistic regression": lambda z: (np.logaddexp(0.0, z) - LABELS * z, special.expit(z) - LABELS),
    "Poisson regression": lambda z: (np.exp(z) - COUNTS * z, np.exp(z) - COUNTS),
    "Student's t regression": lambda z: (2.0 * np.log1p((z - Y) ** 2 / 3.0), 4.0 * (z - Y) / (3.0 + (z - Y) ** 2)),
    "focal loss": _focal,
    "squared hinge": lambda z: (np.maximum(0.0, 1.0 - SIGNS * z) ** 2, -2.0 * SIGNS * np.maximum(0.0, 1.0 - SIGNS * z)),
}
"""ℓ and ℓ' of each example. Student's t has ν = 3; the hinge is squared, so that it has a derivative at its kink."""


def linear_model(p, loss):
    """J = mean of ℓ(z) + c/2 wᵀw with z = Xw + b and c = 0.1, so that dJ/dw = Xᵀd + cw and dJ/db = Σ d."""
    value, slope = loss(X @ p["w"] + p["b"])
    d = slope / len(X)
    return value.mean() + 0.5 * 0.1 * p["w"] @ p["w"], {"w": X.T @ d + 0.1 * p["w"], "b": d.sum()}


for _name, _loss in LOSSES.items():
    _model(_name, _loss, w=(4,), b=())(linear_model)


@_model("softmax regression", W=(3, 4), b=(3,))
def softmax_regression(p):
    """J = -mean of log softmax(Wx + b) at the right class; dJ/dz = (softmax(z) - one hot)/m."""
    z = X @ p["W"].T + p["b"]
    d = (special.softmax(z, axis=1) - CLASSES) / len(X)
    return -(CLASSES * special.log_softmax(z, axis=1)).sum() / len(X), {"W": d.T @ X, "b": d.sum(axis=0)}


@_model("ReLU network", True, W1=(5, 4), b1=(5,), W2=(3, 5), b2=(3,))
@_model("tanh network", False, W1=(5, 4), b1=(5,), W2=(3, 5), b2=(3,))
def network(p, relu):
    """Softmax regression on tanh or relu of W1 x + b1, by backpropagation."""
    z = X @ p["W1"].T + p["b1"]
    a = np.maximum(z, 0.0) if relu else np.tanh(z)
    out = a @ p["W2"].T + p["b2"]
    d = (special.softmax(out, axis=1) - CLASSES) / len(X)
    back = (d @ p["W2"]) * ((z > 0.0) if relu else 1.0 - a**2)
    gradient = {"W1": back.T @ X, "b1": back.sum(axis=0), "W2": d.T @ a, "b2": d.sum(axis=0)}
    return -(CLASSES * special.log_softmax(out, axis=1)).sum() / len(X), gradient


@_model("layer norm", W=(3, 4), gain=(3,), shift=(3,))
def layer_norm(p):
    """J = Σ r²/2 with r = n·gain + shift - target and n = (h - mean)/√(variance + ε), h = Wx.

    With dn = dJ/dn, dJ/dh = (dn - mean(dn) - n mean(dn·n))/√(variance + ε): mean and variance depend on h, too.
    """
    h = X @ p["W"].T
    centred = h - h.mean(axis=1, keepdims=True)
    scale = np.sqrt((centred**2).mean(axis=1, keepdims=True) + 1e-5)
    n = centred / scale
    r = n * p["gain"] + p["shift"] - Z[:, :1]
    dn = r * p["gain"]
    dh = (dn - dn.mean(axis=1, keepdims=True) - n * (dn * n).mean(axis=1, keepdims=True)) / scale
    return 0.5 * (r**2).sum(), {"W": dh.T @ X, "gain": (r * n).sum(axis=0), "shift": r.sum(axis=0)}


@_model("attention", Q=(3, 3), K=(3, 3), V=(3, 3))
def attention(p):
    """J = Σ out²/2 with out = av, a = softmax(qkᵀ/√3); with da = dJ/da, a softmax has dJ/ds = a(da - Σ da·a)."""
    q, k, v = SEQUENCE @ p["Q"], SEQUENCE @ p["K"], SEQUENCE @ p["V"]
    a = special.softmax(q @ k.T / np.sqrt(3.0), axis=1)
    out = a @ v
    da = out @ v.T
    ds = a * (da - (da * a).sum(axis=1, keepdims=True)) / np.sqrt(3.0)
    gradient = {"Q": SEQUENCE.T @ ds @ k, "K": SEQUENCE.T @ ds.T @ q, "V": SEQUENCE.T @ a.T @ out}
    return 0.5 * (out**2).sum(), gradient


@_model("recurrent network", W=(3, 3), U=(3, 3), b=(3,))
def recurrent(p):
    """J = Σ h²/2 over the states h' = tanh(Wh + Ux + b), by backpropagation through time."""
    states = [np.zeros(3)]
    for x in SEQUENCE:
        states.append(np.tanh(p["W"] @ states[-1] + p["U"] @ x + p["b"]))
    gradient, back = {name: np.zeros_like(values) for name, values in p.items()}, np.zeros(3)
    for x, before, h in zip(SEQUENCE[::-1], states[-2::-1], states[:0:-1]):
        d = (back + h) * (1.0 - h**2)
        gradient["W"] += np.outer(d, before)
        gradient["U"] += np.outer(d, x)
        gradient["b"] += d
        back = p["W"].T @ d
    return 0.5 * float(np.sum(np.square(states))), gradient


@_model("convolution", kernel=(4,), b=())
def convolution(p):
    """J = rᵀr/2, r = signal * kernel + b - 0.3; the kernel's derivative is a correlation with the signal."""
    signal = Y
    r = np.convolve(signal, p["kernel"], "valid") + p["b"] - 0.3
    return 0.5 * r @ r, {"kernel": np.convolve(signal[::-1], r, "valid"), "b": r.sum()}


@_model("factorisation", A=(4, 2), B=(4, 2))
def factorisation(p):
    """J = ‖ABᵀ - X‖²/2."""
    r = p["A"] @ p["B"].T - X[:4]
    return 0.5 * (r**2).sum(), {"A": r @ p["B"], "B": r.T @ p["A"]}


@_model("Gaussian process", log_length=(), log_size=())
def gaussian_process(p):
    """J = (yᵀK⁻¹y + log det K)/2 with K = size² exp(-t²/2 length²) + 0.2 I; dJ/dK = (K⁻¹ - aaᵀ)/2, a = K⁻¹y."""
    apart = (TIMES[:, None] - TIMES) ** 2
    part = np.exp(-0.5 * apart * np.exp(-2.0 * p["log_length"])) * np.exp(2.0 * p["log_size"])
    inverse = np.linalg.inv(part + 0.2 * np.eye(EXAMPLES))
    a = inverse @ Y
    dK = inverse - np.outer(a, a)
    gradient = {
        "log_length": 0.5 * np.sum(dK * part * apart) * np.exp(-2.0 * p["log_length"]),
        "log_size": np.sum(dK * part),
    }
    return 0.5 * Y @ a - 0.5 * np.linalg.slogdet(inverse)[1], gradient


@_model("Gaussian likelihood", mean=(), log_scale=())
def gaussian(p):
    """J = Σ r²/2 + m log_scale with r = (y - mean) exp(-log_scale)."""
    r = (Y - p["mean"]) * np.exp(-p["log_scale"])
    gradient = {"mean": -r.sum() * np.exp(-p["log_scale"]), "log_scale": EXAMPLES - r @ r}
    return 0.5 * r @ r + EXAMPLES * p["log_scale"], gradient


@_model("mixture of Gaussians", logits=(3,), means=(3,))
def mixture(p):
    """J = -Σ log Σ_k π_k exp(-(y - μ_k)²/2) with π = softmax(logits); `share` is each component's posterior."""
    z = p["logits"] - 0.5 * (Y[:, None] - p["means"]) ** 2
    share = special.softmax(z, axis=1)
    prior = special.softmax(p["logits"])
    cost = -special.logsumexp(z, axis=1).sum() + EXAMPLES * special.logsumexp(p["logits"])
    gradient = {
        "logits": EXAMPLES * prior - share.sum(axis=0),
        "means": -(share * (Y[:, None] - p["means"])).sum(axis=0),
    }
    return cost, gradient


@_model("Dirichlet likelihood", a=(3,), positive=("a",))
def dirichlet(p):
    """J = -Σ log density of a Dirichlet distribution with parameters a; (log Γ)' is the digamma function."""
    shares = special.softmax(Z, axis=1)
    a = p["a"]
    cost = EXAMPLES * (special.gammaln(a).sum() - special.gammaln(a.sum())) - ((a - 1.0) * np.log(shares)).sum()
    return cost, {"a": EXAMPLES * (special.digamma(a) - special.digamma(a.sum())) - np.log(shares).sum(axis=0)}


@_model("log determinant", L=(3, 3))
def log_determinant(p):
    """J = log det(A)/2 + tr A with A = LLᵀ + I, so that dJ/dL = A⁻¹L + 2L."""
    A = p["L"] @ p["L"].T + np.eye(3)
    return 0.5 * np.linalg.slogdet(A)[1] + np.trace(A), {"L": np.linalg.solve(A, p["L"]) + 2.0 * p["L"]}


@_model("Rayleigh quotient", v=(4,))
def rayleigh(p):
    """J = vᵀAv/vᵀv, with the gradient 2(Av - Jv)/vᵀv."""
    A, v = X.T @ X, p["v"]
    quotient = v @ A @ v / (v @ v)
    return quotient, {"v": 2.0 * (A @ v - quotient * v) / (v @ v)}


@_model("Rosenbrock", t=(5,))
def rosenbrock(p):
    """J = Σ 100 (t_{i+1} - t_i²)² + (1 - t_i)²."""
    t = p["t"]
    gradient = np.zeros_like(t)
    gradient[:-1] = -400.0 * t[:-1] * (t[1:] - t[:-1] ** 2) - 2.0 * (1.0 - t[:-1])
    gradient[1:] += 200.0 * (t[1:] - t[:-1] ** 2)
    return np.sum(100.0 * (t[1:] - t[:-1] ** 2) ** 2 + (1.0 - t[:-1]) ** 2), {"t": gradient}


def _morse(d: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    e = np.exp(-(d - 1.0))
    return (1.0 - e) ** 2, 2.0 * e * (1.0 - e)


@_model("charges", lambda d: (1.0 / d, -1.0 / d**2), x=(4, 2))
@_model("Morse potential", _morse, x=(4, 2))
@_model("springs", lambda d: (0.5 * (d - 1.0) ** 2, d - 1.0), x=(4, 2))
def particles(p, energy):
    """J = Σ of the energies of all pairs of particles, by their distance; `energy` returns value and slope of each.

    A 1 is added to the diagonal of the squared distances, and taken out of the values: a particle has no distance to
    itself to divide by.
    """
    apart = p["x"][:, None] - p["x"]
    distance = np.sqrt((apart**2).sum(axis=2) + np.eye(len(apart)))
    value, slope = (np.where(np.eye(len(apart), dtype=bool), 0.0, part) for part in energy(distance))
    return 0.5 * value.sum(), {"x": ((slope / distance)[..., None] * apart).sum(axis=1)}


@_model("exponential decay", size=(), rate=(), floor=())
def decay_fit(p):
    """J = Σ r²/2 with r = size exp(-rate t) + floor - y."""
    e = np.exp(-p["rate"] * TIMES)
    r = p["size"] * e + p["floor"] - np.abs(Y)
    gradient = {"size": r @ e, "rate": -p["size"] * (r @ (TIMES * e)), "floor": r.sum()}
    return 0.5 * r @ r, gradient


@_model("enzyme kinetics", top=(), K=(), positive=("K",))
def enzyme_fit(p):
    """J = Σ r²/2 with r = top t/(K + t) - y, after Michaelis and Menten."""
    below = p["K"] + TIMES
    r = p["top"] * TIMES / below - np.abs(Y)
    gradient = {"top": r @ (TIMES / below), "K": -p["top"] * (r @ (TIMES / below**2))}
    return 0.5 * r @ r, gradient


@_model("damped oscillator", k=(), c=())
def oscillator(p):
    """J = (x² + v²)/2 after 20 of Euler's steps x' = x + hv, v' = v - h(kx + cv), with the adjoint of the loop."""
    h, x, v = 0.1, 1.0, 0.0
    path = []
    for _ in range(20):
        path.append((x, v))
        x, v = x + h * v, v - h * (p["k"] * x + p["c"] * v)
    dx, dv, dk, dc = x, v, 0.0, 0.0
    for x0, v0 in reversed(path):
        dk, dc = dk - h * x0 * dv, dc - h * v0 * dv
        dx, dv = dx - h * p["k"] * dv, dv + h * dx - h * p["c"] * dv
    return 0.5 * (x**2 + v**2), {"k": dk, "c": dc}


@_model("smoothed path", path=(8,))
def smooth_path(p):
    """J = Σ r²/2 + Σ √(s² + 0.01) with r = path - y and the steps s: a smoothed total variation."""
    steps = np.diff(p["path"])
    size = np.sqrt(steps**2 + 0.01)
    back = np.concatenate([[0.0], steps / size]) - np.concatenate([steps / size, [0.0]])
    r = p["path"] - Y[: len(p["path"])]
    return 0.5 * r @ r + size.sum(), {"path": r + back}


@_model("contrastive loss", A=(3, 4), B=(3, 4))
def contrast(p):
    """J = Σ_i (log Σ_j exp(z_ij) - z_ii) with z = ABᵀ: each row of A has to find its own row of B."""
    z = p["A"] @ p["B"].T
    d = special.softmax(z, axis=1) - np.eye(3)
    return np.sum(special.logsumexp(z, axis=1) - np.diag(z)), {"A": d @ p["B"], "B": d.T @ p["A"]}


@_model("portfolio", u=(4,))
def portfolio(p):
    """J = wᵀSw/2 - 0.3 μᵀw with w = softmax(u), S = XᵀX/m and μ the mean of X."""
    w = special.softmax(p["u"])
    S = X.T @ X / EXAMPLES
    dw = S @ w - 0.3 * X.mean(axis=0)
    return 0.5 * w @ S @ w - 0.3 * X.mean(axis=0) @ w, {"u": w * (dw - w @ dw)}
