"""A class as it hands in: editions of the course, styles of its members, other courses' networks, and no homework.

Each submission is a file, or a folder of files, by name: `RIGHT` ones, `WRONG` ones with the part that is wrong, and
`UNGRADED` ones. `write_class` puts all of them into a folder.
"""

# ruff: noqa: E501, ISC004  the lines are the homework of others

import json
from pathlib import Path
from textwrap import dedent, indent
from typing import Any

from tests.grading.submissions import BY_ROWS, EACH_DIGIT, RETURN, course, edited, notebook

Files = dict[str, str]

IMPORTS = """\
import os
import numpy as np
from matplotlib import pyplot as plt
from scipy import optimize
from scipy.io import loadmat
"""

SIGMOID = """\
def sigmoid(z):
    return 1.0 / (1.0 + np.exp(-z))


def sigmoidGradient(z):
    return sigmoid(z) * (1 - sigmoid(z))


"""


def plain(cost: str) -> str:
    """A file of one's own with that function."""
    return IMPORTS + SIGMOID + cost


SEVEN = "def nnCostFunction(nn_params, input_layer_size, hidden_layer_size, num_labels, X, y, LAM):\n"
FROM_0 = "np.eye(num_labels)[np.ravel(y)]"


def edition(
    *edits: tuple[str, str], head: str = SEVEN, targets: str = "", lam: str = "lambda_", rows: bool = True
) -> str:
    """The course's function in one of its editions, by rows or by columns, with parts of its text replaced."""
    names = (("sigmoid_gradient", "sigmoidGradient"), ("lambda_", "LAM"))
    body = course(*([BY_ROWS] if rows else []), (EACH_DIGIT, targets or EACH_DIGIT), *names).partition("LAM):\n")[2]
    return edited(head + body, *edits).replace("LAM", lam)


# -- the common edition: a notebook, its utils.py, and submission.py one folder up, which nobody hands in --------------

UTILS = """\
import sys
import numpy as np
from matplotlib import pyplot
sys.path.append('..')
from submission import SubmissionBase
def displayData(X, example_width=None, figsize=(10, 10)):
    fig, axes = pyplot.subplots(10, 10, figsize=figsize)
def sigmoid(z):
    \"\"\"Computes the sigmoid of z.\"\"\"
    return 1.0 / (1.0 + np.exp(-z))
def computeNumericalGradient(J, theta, e=1e-4):
    return np.array([(J(theta + d)[0] - J(theta - d)[0]) / (2 * e) for d in e * np.eye(len(theta))])
class Grader(SubmissionBase):
    X = np.reshape(3 * np.sin(np.arange(1, 31)), (3, 10), order='F')
    def __init__(self):
        super().__init__('neural-network-learning', ['Feedforward', 'Regularized Cost'])
    def __iter__(self):
        yield 1, self.functions[1](1, 2)
"""

NOTEBOOK_CELLS = (
    "%matplotlib inline\n" + IMPORTS + "import utils\ngrader = utils.Grader()\n",
    "data = loadmat(os.path.join('Data', 'ex4data1.mat'))\nX, y = data['X'], data['y'].ravel()\ny[y == 10] = 0\n"
    "m = y.size\nutils.displayData(X[:100])\n",
    "input_layer_size = 400\nhidden_layer_size = 25\nnum_labels = 10\n"
    "weights = loadmat(os.path.join('Data', 'ex4weights.mat'))\n"
    "nn_params = np.concatenate([weights['Theta1'].ravel(), weights['Theta2'].ravel()])\n",
    "def sigmoidGradient(z):\n    g = utils.sigmoid(z) * (1 - utils.sigmoid(z))\n    return g\n",
)
WITH_UTILS = edition(("sigmoid(a2", "utils.sigmoid(a2"), ("sigmoid(z2)]", "utils.sigmoid(z2)]"), targets=FROM_0)
AFTERWARDS = (
    "lambda_ = 3\nJ, _ = nnCostFunction(nn_params, 400, 25, 10, X, y, lambda_)\nprint('Cost: %f' % J)\n"
    "grader[1] = nnCostFunction\ngrader.grade()\n"
)


def common(cost: str = WITH_UTILS, *after: str) -> Files:
    cost = cost.replace("X, y, lambda_):", "X, y, lambda_=0.0):")
    return {"exercise4.ipynb": notebook(*NOTEBOOK_CELLS, cost, *after, AFTERWARDS), "utils.py": UTILS}


# -- a folder of small files with helpers from an exercise that is not there ------------------------------------------

EX2_MISSING = "import numpy as np\nfrom ex2.sigmoid import sigmoid\nfrom sigmoidGradient import sigmoidGradient\n"
SMALL_FILES = {
    "nnCostFunction.py": EX2_MISSING.replace("ex2.", "") + edition(rows=False),
    "sigmoid.py": "import numpy as np\ndef sigmoid(z):\n    return 1 / (1 + np.exp(-z))\n",
    "sigmoidGradient.py": "from sigmoid import sigmoid\ndef sigmoidGradient(z):\n    g = sigmoid(z)\n    return g * (1 - g)\n",
    "debugInitializeWeights.py": "import numpy as np\ndef debugInitializeWeights(fan_out, fan_in):\n"
    "    return np.sin(np.arange(fan_out * (fan_in + 1))).reshape(fan_out, -1) / 10\n",
    "ex4.py": "import numpy as np\nfrom scipy.io import loadmat\nfrom nnCostFunction import nnCostFunction\n"
    "print('Loading Data ...')\ndata = loadmat('ex4data1.mat')\ninput('Program paused. Press Enter')\n"
    "nnCostFunction(np.zeros(10285), 400, 25, 10, data['X'], data['y'], 1)\n",
}

# -- styles ------------------------------------------------------------------------------------------------------------


FLATTENED = (
    IMPORTS
    + """\
import itertools
from scipy.special import expit
datafile = 'data/ex4data1.mat'
mat = loadmat(datafile)
X, y = mat['X'], mat['y']
X = np.insert(X, 0, 1, axis=1)
input_layer_size = 400
hidden_layer_size = 25
output_layer_size = 10
n_training_samples = X.shape[0]

def reshapeParams(flat):
    theta1 = flat[:(input_layer_size + 1) * hidden_layer_size].reshape((hidden_layer_size, input_layer_size + 1))
    theta2 = flat[(input_layer_size + 1) * hidden_layer_size:].reshape((output_layer_size, hidden_layer_size + 1))
    return [theta1, theta2]

def propagateForward(myX_flattened, Thetas):
    A1 = myX_flattened.reshape((n_training_samples, input_layer_size + 1))
    A2 = np.insert(expit(A1.dot(Thetas[0].T)), 0, 1, axis=1)
    return A1, A2, expit(A2.dot(Thetas[1].T))

def computeCost(mythetas_flattened, myX_flattened, myy, mylambda=0.):
    mythetas = reshapeParams(mythetas_flattened)
    hs = propagateForward(myX_flattened, mythetas)[2]
    total = 0.
    for i in range(n_training_samples):
        t = np.zeros(10)
        t[int(np.ravel(myy)[i]) - 1] = 1
        total += float(-t.dot(np.log(hs[i])) - (1 - t).dot(np.log(1 - hs[i])))
    reg = sum(float(np.sum(T[:, 1:] * T[:, 1:])) for T in mythetas)
    return total / n_training_samples + mylambda / (2. * n_training_samples) * reg

def backPropagate(mythetas_flattened, myX_flattened, myy, mylambda=0.):
    T1, T2 = reshapeParams(mythetas_flattened)
    m = n_training_samples
    A1, A2, A3 = propagateForward(myX_flattened, (T1, T2))
    d3 = A3 - np.eye(10)[np.ravel(myy).astype(int) - 1]
    d2 = d3.dot(T2[:, 1:]) * A2[:, 1:] * (1 - A2[:, 1:])
    D1, D2 = d2.T.dot(A1) / m, d3.T.dot(A2) / m
    D1[:, 1:] += mylambda / m * T1[:, 1:]
    D2[:, 1:] += mylambda / m * T2[:, 1:]
    return np.concatenate((D1.ravel(), D2.ravel()))

flattenedD1D2 = backPropagate(np.random.rand(10285), X.flatten(), y, mylambda=0.)
"""
)
"""Sizes and the number of examples are globals, and X is flattened."""

LAST_IS_ZERO = "((np.arange(num_labels) + 1) % 10 == np.ravel(y)[:, None]).astype(int)"

CACHE = """\
import numpy as np
import copy
def sigmoid(z): return 1 / (1 + np.exp(-z))
def layer_sizes(X, Y): return X.shape[0], 4, Y.shape[0]
def initialize_parameters(n_x, n_h, n_y):
    return {"W1": np.random.randn(n_h, n_x) * 0.01, "b1": np.zeros((n_h, 1)),
            "W2": np.random.randn(n_y, n_h) * 0.01, "b2": np.zeros((n_y, 1))}
def forward_propagation(X, parameters):
    Z1 = parameters["W1"] @ X + parameters["b1"]
    A1 = ACTIVATION(Z1)
    Z2 = parameters["W2"] @ A1 + parameters["b2"]
    A2 = sigmoid(Z2)
    assert A2.shape == (parameters["W2"].shape[0], X.shape[1])
    cache = {"Z1": Z1, "A1": A1, "Z2": Z2, "A2": A2}
    return A2, cache
def compute_cost(A2, Y):
    m = Y.shape[1]
    logprobs = np.multiply(np.log(A2), Y) + np.multiply(np.log(1 - A2), 1 - Y)
    return float(np.squeeze(-np.sum(logprobs) / m))
def backward_propagation(parameters, cache, X, Y):
    m = X.shape[1]
    A1, A2 = cache["A1"], cache["A2"]
    dZ2 = A2 - Y
    dW2 = dZ2 @ A1.T / m
    db2 = np.sum(dZ2, axis=1, keepdims=True) / m
    dZ1 = parameters["W2"].T @ dZ2 * SLOPE
    dW1 = dZ1 @ X.T / m
    db1 = np.sum(dZ1, axis=1, keepdims=True) / m
    return {"dW1": dW1, "db1": db1, "dW2": dW2, "db2": db2}
def update_parameters(parameters, grads, learning_rate=1.2):
    return {k: parameters[k] - learning_rate * grads["d" + k] for k in parameters}
def nn_model(X, Y, n_h, num_iterations=10000, print_cost=False):
    n_x, _, n_y = layer_sizes(X, Y)
    parameters = initialize_parameters(n_x, n_h, n_y)
    for i in range(num_iterations):
        A2, cache = forward_propagation(X, parameters)
        cost = compute_cost(A2, Y)
        parameters = update_parameters(parameters, backward_propagation(parameters, cache, X, Y))
    return parameters
"""
TANH = CACHE.replace("ACTIVATION", "np.tanh").replace("SLOPE", "(1 - np.power(A1, 2))")
SIGMOIDAL = CACHE.replace("ACTIVATION", "sigmoid").replace("SLOPE", "A1 * (1 - A1)")
PLANAR = "from planar_utils import plot_decision_boundary, load_planar_dataset\nfrom testCases_v2 import *\n"

TWO_LAYER_NET = """\
from __future__ import print_function
from builtins import range, object
import numpy as np
class TwoLayerNet(object):
    def __init__(self, input_size, hidden_size, output_size, std=1e-4):
        self.params = {}
        self.params['W1'] = std * np.random.randn(input_size, hidden_size)
        self.params['b1'] = np.zeros(hidden_size)
        self.params['W2'] = std * np.random.randn(hidden_size, output_size)
        self.params['b2'] = np.zeros(output_size)
    def loss(self, X, y=None, reg=0.0):
        W1, b1 = self.params['W1'], self.params['b1']
        W2, b2 = self.params['W2'], self.params['b2']
        N, D = X.shape
        hidden = np.maximum(0, X.dot(W1) + b1)
        scores = hidden.dot(W2) + b2
        if y is None:
            return scores
        shifted = np.exp(scores - scores.max(axis=1, keepdims=True))
        probs = shifted / shifted.sum(axis=1, keepdims=True)
        loss = -np.log(probs[np.arange(N), y]).mean()
        loss += reg * (np.sum(W1 * W1) + np.sum(W2 * W2))
        dscores = probs.copy()
        dscores[range(N), y] -= 1
        dscores /= N
        grads = {}
        grads['W2'] = hidden.T.dot(dscores) + 2 * reg * W2
        grads['b2'] = dscores.sum(axis=0)
        dhidden = dscores.dot(W2.T)
        dhidden[hidden <= 0] = 0
        grads['W1'] = X.T.dot(dhidden) + 2 * reg * W1
        grads['b1'] = dhidden.sum(axis=0)
        return loss, grads
    def train(self, X, y, X_val, y_val, learning_rate=1e-3, reg=5e-6, num_iters=100, batch_size=200, verbose=False):
        for it in range(num_iters):
            loss, grads = self.loss(X, y=y, reg=reg)
            for name in self.params:
                self.params[name] -= learning_rate * grads[name]
        return {'loss': loss}
    def predict(self, X):
        return np.argmax(self.loss(X), axis=1)
"""


NETWORK = """\
import random
import numpy as np
class Network(object):
    def __init__(self, sizes):
        self.num_layers = len(sizes)
        self.sizes = sizes
        self.biases = [np.random.randn(y, 1) for y in sizes[1:]]
        self.weights = [np.random.randn(y, x) for x, y in zip(sizes[:-1], sizes[1:])]
    def feedforward(self, a):
        for b, w in zip(self.biases, self.weights):
            a = sigmoid(np.dot(w, a) + b)
        return a
    def SGD(self, training_data, epochs, mini_batch_size, eta, test_data=None):
        for j in range(epochs):
            random.shuffle(training_data)
            self.update_mini_batch(training_data[:mini_batch_size], eta)
    def update_mini_batch(self, mini_batch, eta):
        for x, y in mini_batch:
            nabla_b, nabla_w = self.backprop(x, y)
            self.weights = [w - eta / len(mini_batch) * nw for w, nw in zip(self.weights, nabla_w)]
            self.biases = [b - eta / len(mini_batch) * nb for b, nb in zip(self.biases, nabla_b)]
    def backprop(self, x, y):
        nabla_b = [np.zeros(b.shape) for b in self.biases]
        nabla_w = [np.zeros(w.shape) for w in self.weights]
        activation = x
        activations, zs = [x], []
        for b, w in zip(self.biases, self.weights):
            z = np.dot(w, activation) + b
            zs.append(z)
            activation = sigmoid(z)
            activations.append(activation)
        delta = self.cost_derivative(activations[-1], y) * sigmoid_prime(zs[-1])
        nabla_b[-1] = delta
        nabla_w[-1] = np.dot(delta, activations[-2].transpose())
        for l in range(2, self.num_layers):
            delta = np.dot(self.weights[-l + 1].transpose(), delta) * sigmoid_prime(zs[-l])
            nabla_b[-l] = delta
            nabla_w[-l] = np.dot(delta, activations[-l - 1].transpose())
        return (nabla_b, nabla_w)
    def cost_derivative(self, output_activations, y):
        return output_activations - y
def sigmoid(z): return 1.0 / (1.0 + np.exp(-z))
def sigmoid_prime(z): return sigmoid(z) * (1 - sigmoid(z))
"""
CROSS_ENTROPY_NETWORK = NETWORK.replace(" * sigmoid_prime(zs[-1])", "")

TOTAL_COST = """\
    def total_cost(self, data, lmbda):
        cost = 0.0
        for x, y in data:
            a = self.feedforward(x)
            cost += np.sum(-y * np.log(a) - (1 - y) * np.log(1 - a)) / len(data)
        return cost + 0.5 * lmbda / len(data) * sum(np.linalg.norm(w) ** 2 for w in self.weights)
"""
SECOND_NETWORK = CROSS_ENTROPY_NETWORK.replace("    def cost_derivative", f"{TOTAL_COST}    def cost_derivative")

TRAINER = """\
import numpy as np
def sigmoid(z): return 1 / (1 + np.exp(-z))
class NeuralNet:
    def __init__(self, n_input, n_hidden, n_output, lam=0.0):
        self.lam = lam
        self.Theta1 = np.random.rand(n_hidden, n_input + 1)
        self.Theta2 = np.random.rand(n_output, n_hidden + 1)
    def train(self, X, y, alpha=0.1, iterations=50):
        for _ in range(iterations):
            J, g1, g2 = self.computeCost(X, y)
            self.Theta1 -= alpha * g1
            self.Theta2 -= alpha * g2
        return J
    def computeCost(self, X, y):
        m = X.shape[0]
        Y = np.eye(self.Theta2.shape[0])[np.ravel(y)]
        A1 = np.hstack((np.ones((m, 1)), X))
        A2 = np.hstack((np.ones((m, 1)), sigmoid(A1 @ self.Theta1.T)))
        H = sigmoid(A2 @ self.Theta2.T)
        W1, W2 = self.Theta1[:, 1:], self.Theta2[:, 1:]
        J = -np.sum(Y * np.log(H) + (1 - Y) * np.log(1 - H)) / m + self.lam / 2 / m * (np.sum(W1**2) + np.sum(W2**2))
        D3 = H - Y
        D2 = D3 @ W2 * A2[:, 1:] * (1 - A2[:, 1:])
        G1, G2 = D2.T @ A1 / m, D3.T @ A2 / m
        G1[:, 1:] += self.lam / m * W1
        G2[:, 1:] += self.lam / m * W2
        return J, G1, G2
"""

MICROGRAD = """\
import math
import random
class Value:
    def __init__(self, data, _children=(), _op=''):
        self.data, self.grad = data, 0
        self._backward = lambda: None
        self._prev, self._op = set(_children), _op
    def __add__(self, other):
        other = other if isinstance(other, Value) else Value(other)
        out = Value(self.data + other.data, (self, other), '+')
        def _backward():
            self.grad += out.grad
            other.grad += out.grad
        out._backward = _backward
        return out
    def __mul__(self, other):
        other = other if isinstance(other, Value) else Value(other)
        out = Value(self.data * other.data, (self, other), '*')
        def _backward():
            self.grad += other.data * out.grad
            other.grad += self.data * out.grad
        out._backward = _backward
        return out
    def __pow__(self, n):
        out = Value(self.data ** n, (self,), '**')
        def _backward():
            self.grad += n * self.data ** (n - 1) * out.grad
        out._backward = _backward
        return out
    def tanh(self):
        t = math.tanh(self.data)
        out = Value(t, (self,), 'tanh')
        def _backward():
            self.grad += (1 - t ** 2) * out.grad
        out._backward = _backward
        return out
    def backward(self):
        topo, visited = [], set()
        def build(v):
            if v not in visited:
                visited.add(v)
                for child in v._prev:
                    build(child)
                topo.append(v)
        build(self)
        self.grad = 1
        for v in reversed(topo):
            v._backward()
    def __neg__(self): return self * -1
    def __sub__(self, other): return self + (-other)
    def __radd__(self, other): return self + other
    def __rmul__(self, other): return self * other
class Neuron:
    def __init__(self, nin):
        self.w = [Value(random.uniform(-1, 1)) for _ in range(nin)]
        self.b = Value(random.uniform(-1, 1))
    def __call__(self, x):
        return sum((wi * xi for wi, xi in zip(self.w, x)), self.b).tanh()
    def parameters(self): return self.w + [self.b]
class Layer:
    def __init__(self, nin, nout): self.neurons = [Neuron(nin) for _ in range(nout)]
    def __call__(self, x):
        outs = [n(x) for n in self.neurons]
        return outs[0] if len(outs) == 1 else outs
    def parameters(self): return [p for n in self.neurons for p in n.parameters()]
class MLP:
    def __init__(self, nin, nouts):
        sz = [nin] + nouts
        self.layers = [Layer(sz[i], sz[i + 1]) for i in range(len(nouts))]
    def __call__(self, x):
        for layer in self.layers:
            x = layer(x)
        return x
    def parameters(self): return [p for layer in self.layers for p in layer.parameters()]
n = MLP(3, [4, 4, 1])
xs = [[2.0, 3.0, -1.0], [3.0, -1.0, 0.5]]
for k in range(20):
    loss = sum((n(x) - Value(1.0)) ** 2 for x in xs)
    loss.backward()
    for p in n.parameters():
        p.data += -0.1 * p.grad
"""


REMEMBERS = """\
import numpy as np
class Net:
    def __init__(self, n_in, n_hidden, n_out, lam=0.0):
        self.W1 = np.random.randn(n_in, n_hidden); self.b1 = np.zeros(n_hidden)
        self.W2 = np.random.randn(n_hidden, n_out); self.b2 = np.zeros(n_out)
        self.lam = lam
    def forward(self, X):
        self.X = X
        self.a1 = 1/(1+np.exp(-(X @ self.W1 + self.b1)))
        self.a2 = 1/(1+np.exp(-(self.a1 @ self.W2 + self.b2)))
        return self.a2
    def loss(self, y_hat, y):
        m = len(y); Y = np.eye(y_hat.shape[1])[y]
        return -np.sum(Y*np.log(y_hat)+(1-Y)*np.log(1-y_hat))/m + self.lam/(2*m)*(np.sum(self.W1**2)+np.sum(self.W2**2))
    def backward(self, y):
        m = len(y); Y = np.eye(self.a2.shape[1])[y]
        d2 = (self.a2 - Y)/m
        d1 = d2 @ self.W2.T * self.a1*(1-self.a1)
        self.dW2 = self.a1.T @ d2 + self.lam/m*self.W2; self.db2 = d2.sum(0)
        self.dW1 = self.X.T @ d1 + self.lam/m*self.W1; self.db1 = d1.sum(0)
    def step(self, lr):
        self.W1 -= lr*self.dW1
    def fit(self, X, y, epochs=10, lr=0.1):
        for _ in range(epochs):
            self.forward(X); self.backward(y); self.step(lr)
"""

WITHOUT_L2 = (
    REMEMBERS.replace(" + self.lam/(2*m)*(np.sum(self.W1**2)+np.sum(self.W2**2))", "")
    .replace(" + self.lam/m*self.W2", "")
    .replace(" + self.lam/m*self.W1", "")
)
LEARNS = WITHOUT_L2.replace("lam=0.0):", "lr=0.5):").replace("self.lam = lam", "self.lr = lr")
LEARNS_BY_ALPHA = WITHOUT_L2.replace("lam=0.0):", "momentum=0.9, alpha=0.1):").replace(
    "self.lam = lam", "self.rate = alpha"
)
LEARNS_REQUIRED = WITHOUT_L2.replace("lam=0.0):", "eta, momentum):").replace("self.lam = lam", "self.rate = eta")
L2_AND_RATE = REMEMBERS.replace("lam=0.0):", "lr, lam):").replace("self.lam = lam", "self.lam, self.lr = lam, lr")
C_IN_COST_ALONE = (
    REMEMBERS.replace("lam=0.0):", "C=0.0):")
    .replace("self.lam = lam", "self.lam = C")
    .replace(" + self.lam/m*self.W2", "")
    .replace(" + self.lam/m*self.W1", "")
)

IN_LISTS = """\
import numpy as np
class Network:
    def __init__(self, sizes, lam=0.0):
        self.sizes, self.lam = sizes, lam
        self.weights = [np.random.randn(a, b) for a, b in zip(sizes[:-1], sizes[1:])]
        self.biases = [np.zeros((1, b)) for b in sizes[1:]]
    def forward(self, X):
        self.a = [X]
        for W, b in zip(self.weights, self.biases):
            self.a.append(1 / (1 + np.exp(-(self.a[-1] @ W + b))))
        return self.a[-1]
    def cost(self, X, Y):
        h, m = self.forward(X), len(X)
        penalty = self.lam / (2 * m) * sum(np.sum(W**2) for W in self.weights)
        return -np.sum(Y * np.log(h) + (1 - Y) * np.log(1 - h)) / m + penalty
    def backward(self, X, Y):
        delta, m = self.forward(X) - Y, len(X)
        self.dW, self.db = [None] * 2, [None] * 2
        for l in (1, 0):
            self.dW[l] = self.a[l].T @ delta / m + self.lam / m * self.weights[l]
            self.db[l] = delta.sum(axis=0, keepdims=True) / m
            delta = delta @ self.weights[l].T * self.a[l] * (1 - self.a[l])
"""
IN_LISTS_OF_VECTORS = IN_LISTS.replace("(1, b)", "b").replace(", keepdims=True", "")

DROPS = (  # units at random: a rate of 1 would leave none
    REMEMBERS.replace("lam=0.0):", "lam, dropout_rate):")
    .replace("        self.lam = lam\n", "        self.lam = lam; self.kept = 1.0 - dropout_rate\n")
    .replace("self.b1)))\n", "self.b1))) * (np.random.rand() < self.kept)\n")
)

FORWARD_FIRST = plain(
    """\
def forward(X, Theta1, Theta2):
    a1 = np.insert(X, 0, 1, axis=1)
    z2 = a1 @ Theta1.T
    a2 = np.insert(sigmoid(z2), 0, 1, axis=1)
    h = sigmoid(a2 @ Theta2.T)
    return a1, z2, a2, h
def compute_cost(h, y, Theta1, Theta2, lambd):
    m = len(y)
    Y = (np.arange(1, h.shape[1] + 1) == y.reshape(-1, 1)) * 1.0
    J = -(Y * np.log(h) + (1 - Y) * np.log(1 - h)).sum() / m
    return J + lambd / (2 * m) * ((Theta1[:, 1:] ** 2).sum() + (Theta2[:, 1:] ** 2).sum())
def backprop(a1, z2, a2, h, y, Theta1, Theta2, lambd):
    m = len(y)
    Y = (np.arange(1, h.shape[1] + 1) == y.reshape(-1, 1)) * 1.0
    d3 = h - Y
    d2 = (d3 @ Theta2)[:, 1:] * sigmoidGradient(z2)
    g1, g2 = d2.T @ a1 / m, d3.T @ a2 / m
    g1[:, 1:] += lambd / m * Theta1[:, 1:]
    g2[:, 1:] += lambd / m * Theta2[:, 1:]
    return g1, g2
"""
)

OUTPUTS_FIRST = """\
import numpy as np
def sigmoid(x): return 1 / (1 + np.exp(-x))
def forward(X, W1, b1, W2, b2):
    A1 = sigmoid(X @ W1.T + b1); A2 = sigmoid(A1 @ W2.T + b2)
    return A1, A2
def backprop(X, Y, A1, A2, W1, b1, W2, b2, reg):
    m = len(Y); dZ2 = A2 - Y; dZ1 = dZ2 @ W2 * A1 * (1 - A1)
    return dZ1.T @ X / m + reg / m * W1, dZ1.sum(0) / m, dZ2.T @ A1 / m + reg / m * W2, dZ2.sum(0) / m
def cost(A2, Y, W1, b1, W2, b2, reg):
    m = len(Y); R = 0.5 * reg / m * ((W1**2).sum() + (W2**2).sum())
    return -(Y * np.log(A2) + (1 - Y) * np.log(1 - A2)).sum() / m + R
"""
"""A2 takes the place where others have X."""

SQUARED = """\
import numpy as np
def sigmoid(x): return 1 / (1 + np.exp(-x))
def cost_grad(W1, b1, W2, b2, X, y, lam):
    m = X.shape[0]; A1 = sigmoid(X @ W1 + b1); A2 = sigmoid(A1 @ W2 + b2)
    Y = np.zeros_like(A2); Y[np.arange(m), y] = 1
    J = np.sum((A2 - Y)**2) / (2*m) + lam / (2 * m) * (np.sum(W1**2) + np.sum(W2**2))
    dZ2 = (A2 - Y) * A2 * (1 - A2) / m; dZ1 = dZ2 @ W2.T * A1 * (1 - A1)
    return J, X.T @ dZ1 + lam / m * W1, dZ1.sum(0), A1.T @ dZ2 + lam / m * W2, dZ2.sum(0)
"""
"""Another course's cost, with λ."""

CACHED = """\
import numpy as np
def sigmoid(x): return 1 / (1 + np.exp(-x))
def compute_cost(AL, Y, W1, W2, lambd):
    m = Y.shape[1]
    return (-np.sum(Y * np.log(AL) + (1 - Y) * np.log(1 - AL)) + lambd / 2 * (np.sum(W1**2) + np.sum(W2**2))) / m
def forward_propagation(X, parameters):
    W1, b1, W2, b2 = [parameters[k] for k in ("W1", "b1", "W2", "b2")]
    Z1 = W1 @ X + b1; A1 = sigmoid(Z1); A2 = sigmoid(W2 @ A1 + b2)
    return A2, {"Z1": Z1, "A1": A1, "A2": A2}
def backward_propagation(parameters, cache, X, Y, lambd):
    m = X.shape[1]; W1, W2 = parameters["W1"], parameters["W2"]; A1, A2 = cache["A1"], cache["A2"]
    dZ2 = A2 - Y; dZ1 = W2.T @ dZ2 * A1 * (1 - A1)
    dW2 = dZ2 @ A1.T / m + lambd / m * W2; db2 = np.sum(dZ2, axis=1, keepdims=True) / m
    dW1 = dZ1 @ X.T / m + lambd / m * W1; db1 = np.sum(dZ1, axis=1, keepdims=True) / m
    return {"dW1": dW1, "db1": db1, "dW2": dW2, "db2": db2}
"""
"""The cost takes matrices by themselves that the forward pass takes in a dictionary."""

BESIDE_X = "np.column_stack([np.ones(m), X])"
GLOBALS = plain(
    """\
data = loadmat('../data/ex4data1.mat')
X = data['X']
y = data['y']
m = X.shape[0]
lmbda = float(input('lambda? '))
n, s, K = X.shape[1], 25, len(np.unique(y))
"""
    + edition(
        *(("    m = X.shape[0]\n", ""), ("input_layer_size", "n"), ("hidden_layer_size", "s"), ("num_labels", "K")),
        head="def J_and_grad(nn_params):\n",
        targets="(y.reshape(-1, 1) == np.arange(1, K + 1)) * 1",
        lam="lmbda",
    )
    + """\
plt.imshow(X[0].reshape(20, 20)); plt.show()
res = optimize.minimize(J_and_grad, np.random.rand(10285), jac=True)
print(res.fun)
"""
)

MADE_BEFORE = edited(
    GLOBALS,
    ("def J_and_grad", f"X1 = {BESIDE_X}\nY_train = np.eye(K)[y.ravel() - 1]\ndef J_and_grad"),
    (f"    a1 = {BESIDE_X}\n", "    a1 = X1\n"),
    ("    Y = (y.reshape(-1, 1) == np.arange(1, K + 1)) * 1\n", "    Y = Y_train\n"),
)
"""A function of θ alone; what it reads was computed from the data."""

DUMMIES = edition((BESIDE_X, "X"), targets="pd.get_dummies(y.ravel()).values")
PENALTIES = [
    *((f"    Theta{layer}_grad[:, 1:] += LAM / m * Theta{layer}[:, 1:]\n", "") for layer in (1, 2)),
    ("    J += LAM / (2 * m) * (np.sum(Theta1[:, 1:] ** 2) + np.sum(Theta2[:, 1:] ** 2))\n", ""),
]
UNREGULARISED = plain(edition(*PENALTIES)).replace("nnCostFunction", "back_prop")
SIX = "def cost(nn_params, input_layer_size, hidden_layer_size, num_labels, X, y, la=0.):\n"
OF_10 = edition(
    ("hidden_layer_size", "25"),
    ("input_layer_size", "400"),
    ("num_labels", "10"),
    head="def f(nn_params, X, y, LAM):\n",
)


def own(*edits: tuple[str, str], **options: Any) -> str:
    """A file of one's own with the course's function in one of its editions."""
    return plain(edition(*edits, **options))


TAKEN = "    input_layer_size, hidden_layer_size, num_labels"
EXTRA = own(
    ("    m = X.shape[0]\n", ""),
    head="def costFunction(nn_params, X, y, m, n, LAM, hidden_layer_size=25, num_labels=10):\n    input_layer_size = n\n",
    lam="lmbda",
)
WITHOUT_MEAN = (("d2.T @ a1 / m", "d2.T @ a1"), ("d3.T @ a2 / m", "d3.T @ a2"))

CLOSURE = "def make_cost(input_layer_size, hidden_layer_size, num_labels, X, y, lambda_):\n" + indent(
    edition(head="def cost(nn_params):\n") + "return cost\n", "    "
)

OF_ANY_DEPTH = plain(
    """\
def cost_and_grads(thetas, X, y, lam):
    m = X.shape[0]
    Y = np.eye(thetas[-1].shape[0])[y.ravel().astype(int) - 1]
    acts = [np.c_[np.ones(m), X]]
    for i, th in enumerate(thetas):
        a = sigmoid(acts[-1] @ th.T)
        acts.append(np.c_[np.ones(m), a] if i < len(thetas) - 1 else a)
    J = -np.sum(Y * np.log(acts[-1]) + (1 - Y) * np.log(1 - acts[-1])) / m
    J += lam / (2 * m) * sum(np.sum(t[:, 1:] ** 2) for t in thetas)
    delta = acts[-1] - Y
    grads = [None] * len(thetas)
    for i in reversed(range(len(thetas))):
        grads[i] = delta.T @ acts[i] / m
        grads[i][:, 1:] += lam / m * thetas[i][:, 1:]
        if i:
            delta = (delta @ thetas[i] * acts[i] * (1 - acts[i]))[:, 1:]
    return J, grads
"""
)


# -- other exercises ---------------------------------------------------------------------------------------------------

LOGISTIC = """\
def costFunction(theta, X, y):
    m = len(y)
    h = sigmoid(X @ theta)
    return -(y @ np.log(h) + (1 - y) @ np.log(1 - h)) / m, X.T @ (h - y) / m
"""
ONE_VS_ALL = """\
def lrCostFunction(theta, X, y, lambda_):
    m = y.size
    h = sigmoid(np.dot(X, theta))
    t = np.r_[0, theta[1:]]
    J = np.sum(-y * np.log(h) - (1 - y) * np.log(1 - h)) / m + lambda_ / (2 * m) * np.sum(t ** 2)
    return J, np.dot(X.T, h - y) / m + lambda_ / m * t
def oneVsAll(X, y, num_labels, lambda_):
    X = np.c_[np.ones(len(X)), X]
    starts = [np.zeros(X.shape[1])] * num_labels
    return [optimize.minimize(lrCostFunction, t, (X, y == c, lambda_), jac=True).x for c, t in enumerate(starts)]
def predictOneVsAll(all_theta, X):
    return np.argmax(sigmoid(np.c_[np.ones(len(X)), X] @ all_theta.T), axis=1)
"""
LINEAR = """\
import numpy as np
def linearRegCostFunction(X, y, theta, lambda_=0.0):
    e, t = X @ theta - y, np.r_[0, theta[1:]]
    return (e @ e + lambda_ * t @ t) / 2 / y.size, (X.T @ e + lambda_ * t) / y.size
"""
SOFTMAX_REGRESSION = """\
import numpy as np
def softmax_loss_vectorized(W, X, y, reg):
    s = np.exp(X.dot(W))
    p = s / s.sum(1, keepdims=True)
    loss = -np.log(p[range(len(X)), y]).mean() + reg * np.sum(W * W)
    p[range(len(X)), y] -= 1
    return loss, X.T.dot(p) / len(X) + 2 * reg * W
"""
ONE_UNIT = """\
import numpy as np
def sigmoid(z): return 1 / (1 + np.exp(-z))
def propagate(w, b, X, Y):
    m = X.shape[1]
    A = sigmoid(np.dot(w.T, X) + b)
    cost = -np.sum(Y * np.log(A) + (1 - Y) * np.log(1 - A)) / m
    return {'dw': X @ (A - Y).T / m, 'db': np.sum(A - Y) / m}, cost
"""
RECOMMENDER = """\
import numpy as np
def cofiCostFunc(params, Y, R, num_users, num_movies, num_features, lambda_=0.0):
    X = params[:num_movies * num_features].reshape(num_movies, num_features)
    Theta = params[num_movies * num_features:].reshape(num_users, num_features)
    E = (X @ Theta.T - Y) * R
    J = (E ** 2).sum() / 2 + lambda_ / 2 * ((X ** 2).sum() + (Theta ** 2).sum())
    return J, np.r_[(E @ Theta + lambda_ * X).ravel(), (E.T @ X + lambda_ * Theta).ravel()]
"""
OTHERS = {"ex2/costFunction.py": IMPORTS + SIGMOID + LOGISTIC, "ex3/lr.py": IMPORTS + SIGMOID + ONE_VS_ALL}


PYTHON_2 = own().replace("    m = X", "    try: m = len(y)\n    except TypeError, e: pass\n    m = X")

RIGHT: dict[str, str | Files] = {
    "common": common(),
    "both-kinds": {"ex4.py": own(rows=False), "ex4.ipynb": notebook(own(targets=FROM_0))},
    "py-is-empty": {"ex4.py": "# see the notebook\n", "ex4.ipynb": notebook(own())},
    "two notebooks": {
        "Part 1.ipynb": notebook("import numpy as np\nprint('hello')\n"),
        "Part 2 (final).ipynb": notebook(own()),
    },
    "notebook and checkpoints": {
        "ex4.ipynb": notebook(own()),
        ".ipynb_checkpoints/ex4-checkpoint.ipynb": notebook("x ="),
    },
    "small-files": SMALL_FILES,
    "small-files-tabs": SMALL_FILES | {"checkNNGradients.py": "def f():\n\tif 1:\n        return 2\n\treturn 3\n"},
    "with-a-parent": {"ex2/sigmoid.py": SMALL_FILES["sigmoid.py"], "ex2/__init__.py": ""}
    | {
        f"ex4/{name}": text.replace("from sigmoid import", "from ex2.sigmoid import")
        for name, text in SMALL_FILES.items()
        if name != "sigmoid.py"
    },
    "own.py": own(),
    "la.py": own(head=SIX, lam="la"),
    "flattened.py": FLATTENED,
    "two-files": {"back_prop.py": UNREGULARISED, "back_prop_reg.py": own().replace("nnCost", "back_prop_reg")},
    "last-is-zero.py": own(targets=LAST_IS_ZERO),
    "zero-is-ten.py": own(targets="np.eye(num_labels)[np.ravel(y) % 10]"),
    "ten-comes-first.py": own(targets="(np.r_[10, 1:num_labels] == np.ravel(y)[:, None]).astype(int)"),
    "extra.py": EXTRA,
    "hard-coded.py": plain(OF_10),
    "hard-coded-ones.py": plain(OF_10.replace("np.column_stack([np.ones(m), X])", "X")),
    "hard-coded-columns.py": plain(OF_10.replace("    m = X.shape[0]", "    X = X.T; m = X.shape[0]")),
    "globals.py": GLOBALS,
    "cache.py": SIGMOIDAL,
    "cache-tanh.py": TANH,
    "two-layer-net.py": TWO_LAYER_NET,
    "two-layer-net-half.py": TWO_LAYER_NET.replace("loss += reg", "loss += 0.5 * reg").replace("2 * reg", "reg"),
    "network.py": NETWORK,
    "network-cross-entropy.py": CROSS_ENTROPY_NETWORK,
    "trainer.py": TRAINER,
    "micrograd.py": MICROGRAD,
    "network-2.py": SECOND_NETWORK,
    "made-before.py": MADE_BEFORE,
    "labels-before-y.py": own(("num_labels", "labels")),
    "named-tuple.py": plain(
        "def cost(params, X, y, lam):\n    Theta1, Theta2 = params.Theta1, params.Theta2\n    num_labels = len(Theta2)\n"
        f"    m = X{edition(lam='lam').partition('    m = X')[2]}"
    ),
    "is_package": {
        "__init__.py": "",
        "nnCostFunction.py": "import numpy as np\nfrom .sigmoid import sigmoid\nfrom is_package.sigmoidGradient import *\n"
        + edition(),
        "sigmoid.py": SMALL_FILES["sigmoid.py"],
        "sigmoidGradient.py": "from .sigmoid import sigmoid\ndef sigmoidGradient(z): return sigmoid(z) * (1 - sigmoid(z))\n",
    },
    "forward-first.py": FORWARD_FIRST,
    "outputs-first.py": OUTPUTS_FIRST,
    "cached.py": CACHED,
    "squared.py": SQUARED,
    "squared-whole.py": SQUARED.replace("(2*m)", "m").replace("(A2 - Y) * A2", "2 * (A2 - Y) * A2"),
    "remembers.py": REMEMBERS,
    "learns.py": LEARNS,
    "learns-by-alpha.py": LEARNS_BY_ALPHA,
    "learns-required.py": LEARNS_REQUIRED,
    "l2-and-rate.py": L2_AND_RATE,
    "in-lists.py": IN_LISTS,
    "in-lists-of-vectors.py": IN_LISTS_OF_VECTORS,
    "private-cost.py": TRAINER.replace("def train", "def fit").replace("computeCost", "_cost_and_gradients"),
    "weights-at-import.py": plain(
        "data = loadmat('ex4weights.mat')\nTheta1, Theta2 = data['Theta1'], data['Theta2']\nassert Theta1.shape == (25, 401)\n"
        + edition(("    m = X", "    assert START.size == 10285\n    m = X"))
        + "START = np.r_[Theta1.ravel(), Theta2.ravel()]\n"
    ),
    "exceptions-of-python-2.py": PYTHON_2,
    "plots-everything.py": "import seaborn as sns\nsns.set()\nsns.set_style('darkgrid')\n"
    + own()
    + "fig, ax = plt.subplots()\nsns.heatmap(np.eye(3))\nplt.show()\ninput('press enter')\n",
    "imports-the-course.py": "from displayData import displayData\nfrom checkNNGradients import *\nimport submit\n"
    + own(),
    "wrapped-for-minimize.py": own() + "cost = lambda p, X, y: nnCostFunction(p, 400, 25, 10, X, y, 1)\n",
    "umlaut-übung.py": own() + "# Lösung von Übung 4\n",
    "args-as-a-tuple.py": own(head=f"def nnCost(nn_params, args):\n{TAKEN}, X, y, lambda_ = args\n"),
    "args-by-place.py": own(
        head=f"def nnCost(p, args):\n    X, y = args[0], args[1]\n    lambda_ = args[2]\n{TAKEN} = args[3], args[4], args[5]\n    nn_params = p\n"
    ),
    "args-by-name.py": own(
        head=f"def cost(nn_params, data):\n    X, y, lambda_ = data['X'], data['y'], data['lambda']\n{TAKEN} = data['sizes']\n"
    ),
    "everything-in-an-object.py": own(
        head=f"def nnCost(p, X, y):\n    nn_params, lambda_ = p.theta, p.lam\n{TAKEN} = p.sizes\n"
    ),
    "layer-info.py": own(head=f"def nnCost(nn_params, layer_info, X, y, lambda_):\n{TAKEN} = layer_info\n"),
    "closure.py": plain(CLOSURE),
    "answer-with-names.py": "from types import SimpleNamespace\n"
    + own((RETURN, "    return SimpleNamespace(J=J, grad=grad)\n")),
    "answer-in-a-dataclass.py": "from dataclasses import dataclass\n"
    + plain(
        "@dataclass\nclass Gradient:\n    Theta1: np.ndarray\n    Theta2: np.ndarray\n"
        + edition((RETURN, "    return J, Gradient(Theta1_grad, Theta2_grad)\n"))
    ),
    "for-numpy-1.py": own(
        ("    a1 =", "    sizes = np.array([[1, 2], [3]]).shape\n    y = np.mat(y).A.astype(np.int)\n    a1 =")
    ),
    "answer-in-dictionaries.py": own(
        (RETURN, "    return {'cost': J, 'grads': {'Theta1': Theta1_grad, 'Theta2': Theta2_grad}}\n")
    ),
    "of-any-depth.py": OF_ANY_DEPTH,
    "mode-by-name.py": own(
        (RETURN, f"    if mode == 'cost':\n        return J\n{RETURN}"),
        head=SEVEN.replace("LAM)", "LAM, mode='both')"),
    ),
    "whole-course": OTHERS | {"ex4/nnCostFunction.py": own()},
}

SLOPE = " * sigmoidGradient(z2)"


def _changed(name: str, *edits: tuple[str, str]) -> str | Files:
    """A right submission with a mistake."""
    files = RIGHT[name]
    before = json.dumps(files) if isinstance(files, dict) else files
    after = before
    for old, new in edits:
        old, new = (json.dumps(text)[1:-1] if isinstance(files, dict) else text for text in (old, new))
        deeper = [json.dumps(text)[1:-1] for text in (old, new)]  # a notebook is a text within a text
        old, new = (old, new) if old in after else deeper
        assert old in after, (name, old)
        after = after.replace(old, new)
    assert after != before, name
    return json.loads(after) if isinstance(files, dict) else after


SIGN = ("d3 = h - Y", "d3 = Y - h")
MISTAKES = {  # a right one; the parts cost, gradient and regulariser (r right, w wrong, - absent); the bug; the edits
    "common-no-slope": ("common", "rwr", "slope-missing", (SLOPE, "")),
    "flattened-wrong.py": ("flattened.py", "rwr", "bias-column-not-dropped", ("(T2[:, 1:])", "(T2[:, :-1])")),
    "two-files-wrong": ("two-files", "rrw", "lambda-not-over-m", ("lambda_ / m", "lambda_")),
    "last-is-zero-wrong.py": ("last-is-zero.py", "rwr", "wrong-sign", SIGN),
    "extra-no-mean.py": ("extra.py", "rwr", "mean-missing", *WITHOUT_MEAN),
    "globals-wrong.py": ("globals.py", "rrw", "output-layer-unregularised", ("Theta2_grad[:, 1:] +=", "unused =")),
    "cache-wrong.py": ("cache.py", "rw-", "slope-missing", ("A1 * (1 - A1)", "1")),
    "cache-tanh-wrong.py": ("cache-tanh.py", "rw-", "", ("(1 - np.power(A1, 2))", "(1 - A1)")),
    "two-layer-net-wrong.py": ("two-layer-net.py", "rwr", "", ("dhidden[hidden <= 0] = 0", "pass")),
    "two-layer-net-reg.py": ("two-layer-net.py", "rrw", "", ("2 * reg * W", "reg * W")),
    "network-wrong.py": ("network.py", "-w-", "", (", delta) * sigmoid_prime(zs[-l])", ", delta)")),
    "trainer-wrong.py": ("trainer.py", "rwr", "slope-halved", (" * A2[:, 1:] * (1 - A2[:, 1:])", " * A2[:, 1:]")),
    "in-lists-wrong.py": ("in-lists.py", "rwr", "slope-halved", ("* self.a[l] * (1 - self.a[l])", "* self.a[l]")),
    "remembers-wrong.py": ("remembers.py", "rwr", "slope-halved", ("* self.a1*(1-self.a1)", "* self.a1")),
    "network-2-wrong.py": (
        "network-2.py",
        "rw-",
        "squared-error-delta",
        ("[-1], y)", "[-1], y) * sigmoid_prime(zs[-1])"),
    ),
    "made-before-wrong.py": ("made-before.py", "rwr", "mean-missing", *WITHOUT_MEAN),
    "micrograd-wrong.py": ("micrograd.py", "-w-", "", ("(1 - t ** 2) * out.grad", "(1 - t) * out.grad")),
    "forward-first-wrong.py": ("forward-first.py", "rwr", "wrong-sign", SIGN),
    "tanh-with-the-sigmoid-s-slope.py": ("own.py", "wwr", "tanh-for-hidden-units", ("sigmoid(z2)]", "np.tanh(z2)]")),
}
WRONG: dict[str, tuple[str | Files, str, str]] = {
    name: (_changed(of, *edits), parts, bug) for name, (of, parts, bug, *edits) in MISTAKES.items()
}
WRONG["c-in-cost-alone.py"] = C_IN_COST_ALONE, "rrw", "regulariser-missing"
BACKPROP = edition(PENALTIES[-1], *WITHOUT_MEAN).replace("nnCostFunction", "backprop")
WRONG["cost-apart-is-right"] = ({"ex4.py": own((RETURN, "    return J\n")) + BACKPROP}, "rwr", "mean-missing")


UNGRADED: dict[str, tuple[str | Files, str]] = {  # what is handed in, and the kind of the reason
    "ex2-missing": (SMALL_FILES | {"nnCostFunction.py": EX2_MISSING + edition(rows=False)}, "not-handed-in"),
    "star-import-missing.py": ("import numpy as np\nfrom helpers import *\n" + edition(), "not-handed-in"),
    "dummies.py": ("import pandas as pd\n" + plain(DUMMIES), "not-handed-in"),
    "python-2.py": (PYTHON_2 + "print `m`,\nx = `m`\n", "not-readable"),
    "mixed-tabs.py": (own(("    d3 =", "\td3 =")), "not-readable"),
    "planar.py": (PLANAR + TANH, "other-exercise"),
    "logistic-regression.py": (
        IMPORTS + SIGMOID + "def costFunctionReg(theta, X, y, lmbda):\n    h, m = sigmoid(X @ theta), len(y)\n"
        "    J = -(y @ np.log(h) + (1 - y) @ np.log(1 - h)) / m + lmbda / (2 * m) * theta[1:] @ theta[1:]\n"
        "    return J, X.T @ (h - y) / m\ndata = np.loadtxt('ex2data2.txt', delimiter=',')\n",
        "other-exercise",
    ),
    "handed-out-empty.ipynb": (
        notebook("import numpy as np\n", SEVEN.replace("LAM", "lambda_") + "    # your code\n"),
        "cell-left-out",
    ),
    "empty.ipynb": (notebook(), "no-homework-function"),
    "drops-units.py": (DROPS, "convention-unknown"),
    "logistic.py": (IMPORTS + SIGMOID + LOGISTIC, "other-exercise"),
    "one-vs-all.ipynb": (notebook(IMPORTS + SIGMOID + ONE_VS_ALL), "other-exercise"),
    "linear.py": (LINEAR, "other-exercise"),
    "softmax-regression.py": (SOFTMAX_REGRESSION, "other-exercise"),
    "one-unit.py": (ONE_UNIT, "other-exercise"),
    "recommender.py": (RECOMMENDER, "other-exercise"),
    "whole-course-fails": (OTHERS | {"ex4/nnCostFunction.py": own(("    d3 =", "    1 / 0\n    d3 ="))}, "call-failed"),
}


def write_class(folder: Path, submissions: dict[str, str | Files]) -> Path:
    """Every submission as its file or folder."""
    for name, files in submissions.items():
        for path, text in {name: files}.items() if isinstance(files, str) else files.items():
            file = folder / path if isinstance(files, str) else folder / name / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(dedent(text) if text.startswith("\n") else text, encoding="utf-8")
    return folder


ALL: dict[str, str | Files] = RIGHT | {name: row[0] for name, row in (WRONG | UNGRADED).items()}
