"""Costs of models with gradients by hand, as engineers write them: regression, networks, likelihoods, physics.

Each takes a dict of arrays, and returns the cost J and a dict of its derivatives. In the code and in the formulas, r is
a residual, and d (or dn, dK, ...) the derivative of J with respect to what the line before computed.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
from scipy import special

Parameters = dict[str, np.ndarray]
Function = Callable[[Parameters], tuple[float, Parameters]]


class Model(NamedTuple):
    """A function, the shapes of its parameters, and the names of those that must be positive."""

    function: Function
    shapes: dict[str, tuple[int, ...]]
    positive: tuple[str, ...] = ()


EXAMPLES = 12

_rng = np.random.default_rng(2024)
X, Z = _rng.standard_normal((EXAMPLES, 4)), _rng.standard_normal((EXAMPLES, 3))
Y, LABELS, COUNTS = (
    _rng.standard_normal(EXAMPLES),
    _rng.integers(0, 2, EXAMPLES).astype(float),
    _rng.poisson(2.0, EXAMPLES).astype(float),
)
CLASSES = np.eye(3)[_rng.integers(0, 3, EXAMPLES)]
TIMES = np.linspace(0.1, 3.0, EXAMPLES)
SEQUENCE = _rng.standard_normal((5, 3))


def _with_bias(p):
    """z = Xw + b."""
    return X @ p["w"] + p["b"]


def _pulled_back(d):
    """From dJ/dz to dJ/dw = Xᵀd and dJ/db = Σ d."""
    return {"w": X.T @ d, "b": np.asarray(d.sum())}


def linear_model(loss: Callable, penalty: float, p: Parameters):
    """J = mean of ℓ(z) + c/2 wᵀw with z = Xw + b, where `loss` returns ℓ and ℓ' for each example."""
    value, slope = loss(_with_bias(p))
    gradient = _pulled_back(slope / len(X))
    gradient["w"] = gradient["w"] + penalty * p["w"]
    return value.mean() + 0.5 * penalty * p["w"] @ p["w"], gradient


def _squares(z):
    """ℓ = (z - y)²/2."""
    return 0.5 * (z - Y) ** 2, z - Y


def _logistic(z):
    """ℓ = log(1 + exp(z)) - yz, with ℓ' = σ(z) - y, for y of 0 or 1."""
    return np.logaddexp(0.0, z) - LABELS * z, special.expit(z) - LABELS


def _poisson(z):
    """ℓ = exp(z) - yz: the negative log likelihood of y counts at the rate exp(z), up to log y!."""
    return np.exp(z) - COUNTS * z, np.exp(z) - COUNTS


def _student(z):
    """ℓ = (ν + 1)/2 log(1 + r²/ν) for ν = 3, with ℓ' = (ν + 1) r/(ν + r²)."""
    r = z - Y
    return 2.0 * np.log1p(r**2 / 3.0), 4.0 * r / (3.0 + r**2)


def _focal(z):
    """ℓ = -(1 - p)² log p with p = σ(±z), the probability of the right label, and p' = ±p(1 - p)."""
    sign = 2.0 * LABELS - 1.0
    p = special.expit(sign * z)
    return -((1.0 - p) ** 2) * np.log(p), sign * (2.0 * p * (1.0 - p) ** 2 * np.log(p) - (1.0 - p) ** 3)


def _squared_hinge(z):
    """ℓ = max(0, 1 - ±z)², which has a derivative at its kink."""
    margin = np.maximum(0.0, 1.0 - (2.0 * LABELS - 1.0) * z)
    return margin**2, -2.0 * (2.0 * LABELS - 1.0) * margin


def softmax_regression(p):
    """J = -mean of log softmax(Wx + b) at the right class; dJ/dz = (softmax(z) - one hot)/m."""
    z = X @ p["W"].T + p["b"]
    d = (special.softmax(z, axis=1) - CLASSES) / len(X)
    return -(CLASSES * special.log_softmax(z, axis=1)).sum() / len(X), {"W": d.T @ X, "b": d.sum(axis=0)}


def network(relu: bool, p: Parameters):
    """Softmax regression on tanh or relu of W1 x + b1, by backpropagation."""
    z = X @ p["W1"].T + p["b1"]
    a = np.maximum(z, 0.0) if relu else np.tanh(z)
    out = a @ p["W2"].T + p["b2"]
    d = (special.softmax(out, axis=1) - CLASSES) / len(X)
    back = (d @ p["W2"]) * ((z > 0.0) if relu else 1.0 - a**2)
    gradient = {"W1": back.T @ X, "b1": back.sum(axis=0), "W2": d.T @ a, "b2": d.sum(axis=0)}
    return -(CLASSES * special.log_softmax(out, axis=1)).sum() / len(X), gradient


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


def attention(p):
    """J = Σ out²/2 with out = av, a = softmax(qkᵀ/√3); with da = dJ/da, a softmax has dJ/ds = a(da - Σ da·a)."""
    q, k, v = SEQUENCE @ p["Q"], SEQUENCE @ p["K"], SEQUENCE @ p["V"]
    a = special.softmax(q @ k.T / np.sqrt(3.0), axis=1)
    out = a @ v
    da = out @ v.T
    ds = a * (da - (da * a).sum(axis=1, keepdims=True)) / np.sqrt(3.0)
    gradient = {"Q": SEQUENCE.T @ ds @ k, "K": SEQUENCE.T @ ds.T @ q, "V": SEQUENCE.T @ a.T @ out}
    return 0.5 * (out**2).sum(), gradient


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


def convolution(p):
    """J = rᵀr/2, r = signal * kernel + b - 0.3; the kernel's derivative is a correlation with the signal."""
    signal = Y
    r = np.convolve(signal, p["kernel"], "valid") + p["b"] - 0.3
    return 0.5 * r @ r, {"kernel": np.convolve(signal[::-1], r, "valid"), "b": np.asarray(r.sum())}


def factorisation(p):
    """J = ‖ABᵀ - X‖²/2."""
    r = p["A"] @ p["B"].T - X[:4]
    return 0.5 * (r**2).sum(), {"A": r @ p["B"], "B": r.T @ p["A"]}


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
    return 0.5 * Y @ a - 0.5 * np.linalg.slogdet(inverse)[1], {name: np.asarray(g) for name, g in gradient.items()}


def gaussian(p):
    """J = Σ r²/2 + m log_scale with r = (y - mean) exp(-log_scale)."""
    r = (Y - p["mean"]) * np.exp(-p["log_scale"])
    return 0.5 * r @ r + EXAMPLES * p["log_scale"], {
        "mean": np.asarray(-r.sum() * np.exp(-p["log_scale"])),
        "log_scale": np.asarray(EXAMPLES - r @ r),
    }


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


def dirichlet(p):
    """J = -Σ log density of a Dirichlet distribution with parameters a; (log Γ)' is the digamma function."""
    shares = special.softmax(Z, axis=1)
    a = p["a"]
    cost = EXAMPLES * (special.gammaln(a).sum() - special.gammaln(a.sum())) - ((a - 1.0) * np.log(shares)).sum()
    return cost, {"a": EXAMPLES * (special.digamma(a) - special.digamma(a.sum())) - np.log(shares).sum(axis=0)}


def log_determinant(p):
    """J = log det(A)/2 + tr A with A = LLᵀ + I, so that dJ/dL = A⁻¹L + 2L."""
    A = p["L"] @ p["L"].T + np.eye(3)
    return 0.5 * np.linalg.slogdet(A)[1] + np.trace(A), {"L": np.linalg.solve(A, p["L"]) + 2.0 * p["L"]}


def rayleigh(p):
    """J = vᵀAv/vᵀv, with the gradient 2(Av - Jv)/vᵀv."""
    A, v = X.T @ X, p["v"]
    quotient = v @ A @ v / (v @ v)
    return quotient, {"v": 2.0 * (A @ v - quotient * v) / (v @ v)}


def rosenbrock(p):
    """J = Σ 100 (t_{i+1} - t_i²)² + (1 - t_i)²."""
    t = p["t"]
    gradient = np.zeros_like(t)
    gradient[:-1] = -400.0 * t[:-1] * (t[1:] - t[:-1] ** 2) - 2.0 * (1.0 - t[:-1])
    gradient[1:] += 200.0 * (t[1:] - t[:-1] ** 2)
    return np.sum(100.0 * (t[1:] - t[:-1] ** 2) ** 2 + (1.0 - t[:-1]) ** 2), {"t": gradient}


def particles(energy: Callable, p: Parameters):
    """J = Σ of the energies of all pairs of particles, by their distance; `energy` returns value and slope of each.

    A 1 is added to the diagonal of the squared distances, and taken out of the values: a particle has no distance to
    itself to divide by.
    """
    apart = p["x"][:, None] - p["x"]
    distance = np.sqrt((apart**2).sum(axis=2) + np.eye(len(apart)))
    value, slope = energy(distance)
    value, slope = (np.where(np.eye(len(apart), dtype=bool), 0.0, part) for part in (value, slope))
    return 0.5 * value.sum(), {"x": ((slope / distance)[..., None] * apart).sum(axis=1)}


def _springs(d):
    """(d - 1)²/2."""
    return 0.5 * (d - 1.0) ** 2, d - 1.0


def _morse(d):
    """(1 - exp(-(d - 1)))²."""
    e = np.exp(-(d - 1.0))
    return (1.0 - e) ** 2, 2.0 * e * (1.0 - e)


def _coulomb(d):
    """1/d."""
    return 1.0 / d, -1.0 / d**2


def decay_fit(p):
    """J = Σ r²/2 with r = size exp(-rate t) + floor - y."""
    e = np.exp(-p["rate"] * TIMES)
    r = p["size"] * e + p["floor"] - np.abs(Y)
    gradient = {"size": r @ e, "rate": -p["size"] * (r @ (TIMES * e)), "floor": r.sum()}
    return 0.5 * r @ r, {name: np.asarray(g) for name, g in gradient.items()}


def enzyme_fit(p):
    """J = Σ r²/2 with r = top t/(K + t) - y, after Michaelis and Menten."""
    below = p["K"] + TIMES
    r = p["top"] * TIMES / below - np.abs(Y)
    gradient = {"top": r @ (TIMES / below), "K": -p["top"] * (r @ (TIMES / below**2))}
    return 0.5 * r @ r, {name: np.asarray(g) for name, g in gradient.items()}


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
    return 0.5 * (x**2 + v**2), {"k": np.asarray(dk), "c": np.asarray(dc)}


def smooth_path(p):
    """J = Σ r²/2 + Σ √(s² + 0.01) with r = path - y and the steps s: a smoothed total variation."""
    steps = np.diff(p["path"])
    size = np.sqrt(steps**2 + 0.01)
    back = np.concatenate([[0.0], steps / size]) - np.concatenate([steps / size, [0.0]])
    r = p["path"] - Y[: len(p["path"])]
    return 0.5 * r @ r + size.sum(), {"path": r + back}


def contrast(p):
    """J = Σ_i (log Σ_j exp(z_ij) - z_ii) with z = ABᵀ: each row of A has to find its own row of B."""
    z = p["A"] @ p["B"].T
    d = special.softmax(z, axis=1) - np.eye(3)
    return np.sum(special.logsumexp(z, axis=1) - np.diag(z)), {"A": d @ p["B"], "B": d.T @ p["A"]}


def portfolio(p):
    """J = wᵀSw/2 - 0.3 μᵀw with w = softmax(u), S = XᵀX/m and μ the mean of X."""
    w = special.softmax(p["u"])
    S = X.T @ X / EXAMPLES
    dw = S @ w - 0.3 * X.mean(axis=0)
    return 0.5 * w @ S @ w - 0.3 * X.mean(axis=0) @ w, {"u": w * (dw - w @ dw)}


LINEAR = {"w": (4,), "b": ()}
LOSSES = {
    "least squares": _squares,
    "logistic regression": _logistic,
    "Poisson regression": _poisson,
    "Student's t regression": _student,
    "focal loss": _focal,
    "squared hinge": _squared_hinge,
}
LAYERS = {"W1": (5, 4), "b1": (5,), "W2": (3, 5), "b2": (3,)}

MODELS: dict[str, Model] = {
    **{name: Model(partial(linear_model, loss, 0.1), LINEAR) for name, loss in LOSSES.items()},
    "softmax regression": Model(softmax_regression, {"W": (3, 4), "b": (3,)}),
    "tanh network": Model(partial(network, False), LAYERS),
    "ReLU network": Model(partial(network, True), LAYERS),
    "layer norm": Model(layer_norm, {"W": (3, 4), "gain": (3,), "shift": (3,)}),
    "attention": Model(attention, {"Q": (3, 3), "K": (3, 3), "V": (3, 3)}),
    "recurrent network": Model(recurrent, {"W": (3, 3), "U": (3, 3), "b": (3,)}),
    "convolution": Model(convolution, {"kernel": (4,), "b": ()}),
    "factorisation": Model(factorisation, {"A": (4, 2), "B": (4, 2)}),
    "Gaussian process": Model(gaussian_process, {"log_length": (), "log_size": ()}),
    "Gaussian likelihood": Model(gaussian, {"mean": (), "log_scale": ()}),
    "mixture of Gaussians": Model(mixture, {"logits": (3,), "means": (3,)}),
    "Dirichlet likelihood": Model(dirichlet, {"a": (3,)}, positive=("a",)),
    "log determinant": Model(log_determinant, {"L": (3, 3)}),
    "Rayleigh quotient": Model(rayleigh, {"v": (4,)}),
    "Rosenbrock": Model(rosenbrock, {"t": (5,)}),
    "springs": Model(partial(particles, _springs), {"x": (4, 2)}),
    "Morse potential": Model(partial(particles, _morse), {"x": (4, 2)}),
    "charges": Model(partial(particles, _coulomb), {"x": (4, 2)}),
    "exponential decay": Model(decay_fit, {"size": (), "rate": (), "floor": ()}),
    "enzyme kinetics": Model(enzyme_fit, {"top": (), "K": ()}, positive=("K",)),
    "damped oscillator": Model(oscillator, {"k": (), "c": ()}),
    "smoothed path": Model(smooth_path, {"path": (8,)}),
    "contrastive loss": Model(contrast, {"A": (3, 4), "B": (3, 4)}),
    "portfolio": Model(portfolio, {"u": (4,)}),
}
