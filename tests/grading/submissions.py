"""A class's submissions, as texts made from a few templates: right in many conventions, wrong in many ways, broken."""

import ast
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from harness.facts import homework_messages, relation_messages, verdict_messages
from harness.facts.fact import Fact, doubt
from harness.facts.kinds import Kind
from harness.grading.convention_search import find_interface
from harness.grading.grade import ANSWERED, Grade, Rubric
from harness.grading.submission_code import FAILURES, runnable
from harness.grading.submission_files import Submission, find_submissions, read_submission
from harness.grading.submission_grading import TIMEOUT, GradingPlan, grade_all, judge
from harness.grading.submission_process import CallFailed, Returned
from harness.isolation.values import copies, differ

COURSE = """\
import numpy as np


def sigmoid(z):
    return 1.0 / (1.0 + np.exp(-z))


def sigmoid_gradient(z):
    g = sigmoid(z)
    return g * (1 - g)


def nn_cost_function(nn_params, input_layer_size, hidden_layer_size, num_labels, X, y, lambda_):
    split = hidden_layer_size * (input_layer_size + 1)
    Theta1 = nn_params[:split].reshape((hidden_layer_size, input_layer_size + 1), order="F")
    Theta2 = nn_params[split:].reshape((num_labels, hidden_layer_size + 1), order="F")
    m = X.shape[0]
    Y = np.eye(num_labels)[np.ravel(y) - 1]
    a1 = np.column_stack([np.ones(m), X])
    z2 = a1 @ Theta1.T
    a2 = np.column_stack([np.ones(m), sigmoid(z2)])
    h = sigmoid(a2 @ Theta2.T)
    J = -np.sum(Y * np.log(h) + (1 - Y) * np.log(1 - h)) / m
    J += lambda_ / (2 * m) * (np.sum(Theta1[:, 1:] ** 2) + np.sum(Theta2[:, 1:] ** 2))
    d3 = h - Y
    d2 = (d3 @ Theta2)[:, 1:] * sigmoid_gradient(z2)
    Theta1_grad = d2.T @ a1 / m
    Theta2_grad = d3.T @ a2 / m
    Theta1_grad[:, 1:] += lambda_ / m * Theta1[:, 1:]
    Theta2_grad[:, 1:] += lambda_ / m * Theta2[:, 1:]
    grad = np.concatenate([Theta1_grad.ravel(order="F"), Theta2_grad.ravel(order="F")])
    return J, grad
"""

LOOP = """\
from numpy import *
def sigmoid(z): return 1/(1+exp(-z))
def backprop(params, n_in, n_hid, K, X, y, lam):
    T1 = params[:n_hid*(n_in+1)].reshape((n_in+1, n_hid)).T
    T2 = params[n_hid*(n_in+1):].reshape((n_hid+1, K)).T
    m = len(X); J = 0
    D1 = zeros(T1.shape); D2 = zeros(T2.shape)
    for t in range(m):
        a1 = hstack([1, X[t]])
        a2 = hstack([1, sigmoid(T1.dot(a1))])
        a3 = sigmoid(T2.dot(a2))
        yt = zeros(K); yt[int(y[t]) - 1] = 1
        J += sum(-yt*log(a3) - (1-yt)*log(1-a3))
        d3 = a3 - yt
        d2 = T2.T.dot(d3)[1:] * a2[1:] * (1 - a2[1:])
        D1 += outer(d2, a1); D2 += outer(d3, a2)
    J = J/m + lam/(2*m)*(sum(T1[:,1:]**2) + sum(T2[:,1:]**2))
    D1 /= m; D2 /= m
    D1[:,1:] += lam/m*T1[:,1:]; D2[:,1:] += lam/m*T2[:,1:]
    return J, hstack([D1.T.flatten(), D2.T.flatten()])
"""

BY_MATRICES = """\
import numpy as np
g = lambda z: 1 / (1 + np.exp(-z))
def cost(Theta1, Theta2, X, y, lam):
    m, K = len(X), len(Theta2)
    Y = (y.reshape(-1, 1) == np.arange(1, K + 1)).astype(int)
    a1 = np.hstack([np.ones((m, 1)), X]); a2 = np.hstack([np.ones((m, 1)), g(a1 @ Theta1.T)]); a3 = g(a2 @ Theta2.T)
    J = (-Y * np.log(a3) - (1 - Y) * np.log(1 - a3)).sum() / m
    J = J + lam / 2 / m * ((Theta1[:, 1:] ** 2).sum() + (Theta2[:, 1:] ** 2).sum())
    d3 = a3 - Y; d2 = ((d3 @ Theta2) * a2 * (1 - a2))[:, 1:]
    R1, R2 = Theta1.copy(), Theta2.copy(); R1[:, 0] = R2[:, 0] = 0
    return J, d2.T @ a1 / m + lam / m * R1, d3.T @ a2 / m + lam / m * R2
"""

PORT = """\
import numpy as np
from scipy.io import loadmat
data = loadmat('data/ex4data1.mat')
def sigmoid(z):
    return 1 / (1 + np.exp(-z))
def sigmoid_gradient(z):
    return np.multiply(sigmoid(z), (1 - sigmoid(z)))
def backprop(params, input_size, hidden_size, num_labels, X, y, learning_rate):
    m = X.shape[0]
    X, y = np.matrix(X), np.matrix(y)
    theta1 = np.matrix(np.reshape(params[:hidden_size * (input_size + 1)], (hidden_size, (input_size + 1))))
    theta2 = np.matrix(np.reshape(params[hidden_size * (input_size + 1):], (num_labels, (hidden_size + 1))))
    a1 = np.insert(X, 0, values=np.ones(m), axis=1)
    z2 = a1 * theta1.T
    a2 = np.insert(sigmoid(z2), 0, values=np.ones(m), axis=1)
    h = sigmoid(a2 * theta2.T)
    J = np.sum(np.multiply(-y, np.log(h)) - np.multiply((1 - y), np.log(1 - h))) / m
    J += (float(learning_rate) / (2 * m)) * (np.sum(np.power(theta1[:,1:], 2)) + np.sum(np.power(theta2[:,1:], 2)))
    delta1, delta2 = np.zeros(theta1.shape), np.zeros(theta2.shape)
    for t in range(m):
        d3t = h[t,:] - y[t,:]
        d2t = np.multiply((theta2.T * d3t.T).T[:,1:], sigmoid_gradient(z2[t,:]))
        delta1 = delta1 + d2t.T * a1[t,:] / m
        delta2 = delta2 + d3t.T * a2[t,:] / m
    delta1[:,1:] = delta1[:,1:] + (theta1[:,1:] * learning_rate) / m
    delta2[:,1:] = delta2[:,1:] + (theta2[:,1:] * learning_rate) / m
    return J, np.concatenate((np.ravel(delta1), np.ravel(delta2)))
fmin = minimize(fun=backprop, x0=data, jac=True)
"""

COLUMNS = """\
import numpy as np
def sig(z): return np.where(z > 0, 1/(1+np.exp(-z)), np.exp(z)/(1+np.exp(z)))
def nn(theta, sizes, X, Y, lam):
    n, h, K = sizes
    W1 = theta[:h*(n+1)].reshape(h, n+1); W2 = theta[h*(n+1):].reshape(K, h+1)
    m = X.shape[1]
    A0 = np.vstack([np.ones(m), X]); A1 = np.vstack([np.ones(m), sig(W1@A0)]); A2 = sig(W2@A1)
    J = -(Y*np.log(A2)+(1-Y)*np.log1p(-A2)).sum()/m + lam/(2*m)*((W1[:,1:]**2).sum()+(W2[:,1:]**2).sum())
    d2 = A2-Y; d1 = (W2.T@d2*A1*(1-A1))[1:]
    g1 = d1@A0.T/m; g2 = d2@A1.T/m
    g1[:,1:] += lam*W1[:,1:]/m; g2[:,1:] += lam*W2[:,1:]/m
    return J.item(), np.r_[g1.ravel(), g2.ravel()].tolist()
"""


OF_A_CLASS = """\
import numpy as np
class NeuralNetwork:
    def __init__(self, layers, reg_lambda=0.0):
        self.layers, self.lam = layers, reg_lambda
    @staticmethod
    def g(z): return 1 / (1 + np.exp(-z))
    def matrices(self, theta):
        n, h, K = self.layers
        return theta[:h*(n+1)].reshape(h, n+1), theta[h*(n+1):].reshape(K, h+1)
    def cost_function(self, theta, X, y):
        T1, T2 = self.matrices(theta); m = len(X); Y = np.eye(self.layers[2])[np.ravel(y) - 1]
        A1 = np.c_[np.ones(m), X]; A2 = np.c_[np.ones(m), self.g(A1 @ T1.T)]; H = self.g(A2 @ T2.T)
        J = -(Y*np.log(H) + (1-Y)*np.log(1-H)).sum()/m + self.lam/(2*m)*((T1[:,1:]**2).sum() + (T2[:,1:]**2).sum())
        D3 = H - Y; D2 = D3 @ T2[:,1:] * A2[:,1:] * (1 - A2[:,1:])
        G1, G2 = D2.T @ A1 / m, D3.T @ A2 / m
        G1[:,1:] += self.lam/m*T1[:,1:]; G2[:,1:] += self.lam/m*T2[:,1:]
        return J, np.concatenate([G1.ravel(), G2.ravel()])
"""


RETURN = "    return J, grad\n"
EACH_DIGIT = "np.eye(num_labels)[np.ravel(y) - 1]"


def edited(text, *edits):
    """A text with parts of it replaced; each has to be there."""
    for old, new in edits:
        assert old in text, old
        text = text.replace(old, new)
    return text


def course(*edits):
    """The course's function with parts of its text replaced."""
    return edited(COURSE, *edits)


def at_start(statement):
    """The course's function with a statement before all others."""
    return course(("    m = X", f"    {statement}\n    m = X"))


def keeping(value, key):
    """The course's function, which computes a value in its text once for each key."""
    return course(("def sigmoid(z)", "KEPT = {}\ndef sigmoid(z)"), (value, f"KEPT.setdefault({key}, {value})"))


def returning(answer):
    """The course's function with another answer."""
    return course((RETURN, f"    return {answer}\n"))


def notebook(*cells):
    """A notebook with these code cells, and a heading."""
    code = [{"cell_type": "code", "source": cell.splitlines(keepends=True), "outputs": []} for cell in cells]
    heading = {"cell_type": "markdown", "source": ["# My homework"]}
    return json.dumps({"cells": [heading, *code], "nbformat": 4, "nbformat_minor": 5, "metadata": {}})


THAT_HOLDS = """\
import numpy as np
class Net:
    def __init__(self, sizes, reg=0.0):
        self.reg = reg
        self.Theta1, self.Theta2 = (np.zeros((b, a + 1)) for a, b in zip(sizes, sizes[1:]))
    def forward(self, X):
        self.A1 = np.c_[np.ones(len(X)), X]
        self.A2 = np.c_[np.ones(len(X)), 1 / (1 + np.exp(-self.A1 @ self.Theta1.T))]
        return 1 / (1 + np.exp(-self.A2 @ self.Theta2.T))
    def cost(self, X, Y):
        h, W1, W2 = self.forward(X), self.Theta1[:, 1:], self.Theta2[:, 1:]
        J = -np.sum(Y * np.log(h) + (1 - Y) * np.log(1 - h)) / len(X)
        return J + self.reg / (2 * len(X)) * (np.sum(W1**2) + np.sum(W2**2))
    def backward(self, X, Y):
        d3 = self.forward(X) - Y
        d2 = (d3 @ self.Theta2 * self.A2 * (1 - self.A2))[:, 1:]
        R1, R2 = np.array(self.Theta1), np.array(self.Theta2)
        R1[:, 0] = R2[:, 0] = 0
        return (d2.T @ self.A1 + self.reg * R1) / len(X), (d3.T @ self.A2 + self.reg * R2) / len(X)
"""

BY_ROWS = ('order="F"', 'order="C"')
FROM_0 = ("np.ravel(y) - 1", "np.ravel(y)")
PENALTY = "    J += lambda_ / (2 * m) * (np.sum(Theta1[:, 1:] ** 2) + np.sum(Theta2[:, 1:] ** 2))\n"
CALL = "nn_cost_function(nn_params, input_layer_size, hidden_layer_size, num_labels, X, y, lambda_)"

RIGHT = {  # in any convention: the text, and what is reported of it
    "course.py": (COURSE, []),
    "loop.py": (LOOP, []),
    "by_rows.py": (course(BY_ROWS), ["θ and gradient by rows"]),
    "from_0.py": (course(FROM_0), ["labels from 0"]),
    "by_rows_from_0.py": (course(BY_ROWS, FROM_0), ["labels from 0", "θ and gradient by rows"]),
    "one_hot.py": (course((EACH_DIGIT, "y")), ["one-hot targets"]),
    "column_only.py": (
        course((EACH_DIGIT, "(y == np.arange(1, num_labels + 1)).astype(float)")),
        [],
    ),
    "modulo.py": (course(("np.ravel(y) - 1", "np.ravel(y) % num_labels")), ["labels from 0"]),
    "ones_in_x.py": (course(("np.column_stack([np.ones(m), X])", "X")), ["X with a column of ones"]),
    "matrices.py": (BY_MATRICES, ["gradient as matrices"]),
    "gradient_first.py": (returning("grad, J"), ["gradient before cost"]),
    "theta_column.py": (
        course(("nn_params[:split]", "nn_params[:split, 0]"), ("nn_params[split:]", "nn_params[split:, 0]")),
        ["θ as a column"],
    ),
    "other_order.py": (
        course((CALL, "nn_cost_function(X, y, nn_params, lambda_, num_labels, hidden_layer_size, input_layer_size)")),
        [],
    ),
    "star_args.py": (
        course(
            (CALL, "nn_cost_function(nn_params, *args)"),
            ("    split =", "    input_layer_size, hidden_layer_size, num_labels, X, y, lambda_ = args\n    split ="),
        ),
        [],
    ),
    "with_default.py": (course(("y, lambda_):", "y, lambda_=1.0, verbose=False):")), []),
    "two_functions.py": (
        returning("J")
        + course(("nn_cost_function", "nn_gradient"), (RETURN, "    return grad\n")).partition("return g * (1 - g)")[2],
        ["cost and gradient in two functions"],
    ),
    "prints.py": (at_start("print('shapes', X.shape)") + "\nprint('hello' * 10000)\n", []),
    "trains_at_import.py": (COURSE + "\nwhile True:\n    sigmoid(np.zeros(3))\n", []),
    "reads_data.py": (
        "from scipy.io import loadmat\n" + COURSE + "\ndata = loadmat('ex4data1.mat')\nX = data['X']\n",
        [],
    ),
    "needs_nothing_missing.py": ("import displayData\n" + COURSE, []),
    "of_the_harness.py": (  # not harness.py, which would import itself
        "from harness.sources.loop import cost_and_gradient as f\ndef work(problem, theta): return f(problem, theta)\n",
        [],
    ),
    "port.py": (PORT, ["one-hot targets", "θ and gradient by rows"]),
    "columns.py": (COLUMNS, ["one-hot targets", "θ and gradient by rows", "examples in columns"]),
    "notebook.ipynb": (
        notebook("%matplotlib inline\nimport numpy as np", COURSE, "!ls\nloadmat('x.mat')", "this is no code"),
        [],
    ),
    "own_sizes.py": (
        course(
            ("(hidden_layer_size, input_layer_size + 1)", "(25, 401)"),
            ("(num_labels, hidden_layer_size + 1)", "(10, 26)"),
        ),
        [],
    ),
    "own_examples.py": (course((" / m", " / 5000"), ("(2 * m)", "(2 * 5000)")), []),
}

RIGHT |= {  # called by name, as a method, or with a dictionary
    "of_a_class.py": (OF_A_CLASS, ["θ and gradient by rows"]),
    "by_name_alone.py": (course(("y, lambda_):", "y, *, lambda_=3.0):")), []),
    "class_that_holds.py": (
        THAT_HOLDS,
        ["one-hot targets", "gradient as matrices", "cost and gradient in two functions"],
    ),
    "default_between.py": (course(("X, y, lambda_):", "X, y, verbose=False, lambda_=1.0):")), []),
    "dictionaries.py": (
        BY_MATRICES.replace("Theta1, Theta2, X", "Thetas, X")
        .replace("    m, K", "    Theta1, Theta2 = Thetas['Theta1'], Thetas['Theta2']\n    m, K")
        .replace("return J, ", "return J, {'Theta1': ")
        .replace(", d3.T", ", 'Theta2': d3.T")
        + "}\n",
        ["θ as a dictionary of matrices", "gradient as matrices"],
    ),
}

EPSILON = "a small number added inside the logarithms"
RIGHT |= {  # what is answered beside, and what keeps a logarithm finite
    "single.py": (
        at_start("X, Theta1 = X.astype(np.float32), Theta1.astype(np.float32)"),
        ["single precision (float32)"],
    ),
    "single_out.py": (returning("np.float32(J), grad.astype('f4')"), ["single precision (float32)"]),
    "epsilon.py": (course(("np.log(h)", "np.log(h + 1e-8)"), ("np.log(1 - h)", "np.log(1 - h + 1e-8)")), [EPSILON]),
    "epsilon_in_one.py": (course(("np.log(h)", "np.log(h + 1e-5)")), [EPSILON]),
    "epsilon_by_rows.py": (
        course(BY_ROWS, ("np.log(1 - h)", "np.log(1 - h + 1e-7)")),
        ["θ and gradient by rows", EPSILON],
    ),
    "clipped.py": (course(("    J = -", "    h = np.clip(h, 1e-12, 1 - 1e-12)\n    J = -")), []),
    "plain_beside.py": (
        returning("J - 1, d2.T @ a1 / m, d3.T @ a2 / m, J, Theta1_grad, Theta2_grad"),
        ["more answered than a cost and a gradient", "gradient as matrices"],
    ),
    "costs_first.py": (returning("J / 2, J, grad, -grad"), ["more answered than a cost and a gradient"]),
    "value_and_grad.py": (returning("(J, {'h': h}), grad"), ["more answered than a cost and a gradient"]),
    "cache_beside.py": (returning("J, grad, {'h': h, 'a2': a2}"), ["more answered than a cost and a gradient"]),
    "dictionary_of_more.py": (
        returning("{'h': h, 'grads': (Theta1_grad, Theta2_grad), 'cost': J}"),
        ["more answered than a cost and a gradient", "gradient as matrices"],
    ),
}

APART = """\
import numpy as np
def s(z): return 1 / (1 + np.exp(-z))
def nn_cost(theta, n, h, K, X, y, lam):
    UNROLL
    m = len(X); Y = np.eye(K)[np.ravel(y)]
    A = s(X @ W1.T + b1); P = s(A @ W2.T + b2)
    J = -np.sum(Y*np.log(P) + (1-Y)*np.log(1-P))/m + lam/2/m*(np.sum(W1*W1) + np.sum(W2*W2))
    D = (P - Y)/m; E = D @ W2 * A * (1 - A)
    g1, c1, g2, c2 = E.T @ X + lam/m*W1, E.sum(0), D.T @ A + lam/m*W2, D.sum(0)
    return J, ROLL
"""

TURN = "weights and biases apart (W1, b1, W2, b2)"
BY_INPUTS = "weights as (inputs, outputs)"


def apart(names="W1 b1 W2 b2", turned="", parameters="", answer="", order=""):
    """Weights and biases unrolled in some order, `turned` as (inputs, outputs); or as other parameters and answers."""
    shapes = {"W1": "(h, n)", "W2": "(K, h)", "b1": "(h,)", "b2": "(K,)"}
    if turned:
        shapes |= {"W1": "(n, h)", "W2": "(h, K)"}
    gradients = {"W1": "g1", "W2": "g2", "b1": "c1", "b2": "c2"}
    lines, start = [], ""
    for name in names.split():
        rolled = f"theta[{start or 0}:][:np.prod({shapes[name]})].reshape({shapes[name]}{order})"
        lines.append(f"{name} = {rolled}{turned * name.startswith('W')}; ")
        start += f"{' + ' * bool(start)}int(np.prod({shapes[name]}))"
    gone = [f"({gradients[name]}{turned * name.startswith('W')}).ravel({order[2:]})" for name in names.split()]
    unroll = "".join(lines) if not parameters else parameters.partition(": ")[2]
    text = APART.replace("UNROLL", unroll or "pass").replace("ROLL", answer or f"np.concatenate([{', '.join(gone)}])")
    return text.replace("theta, n, h, K, X, y, lam", parameters.partition(":")[0] or "theta, n, h, K, X, y, lam")


FROM_0_BY_ROWS = ["labels from 0", "θ and gradient by rows"]
FROM_W = "W1, b1, W2, b2, X, y, lam: K = len(b2)"
OF_P = "W1, b1, W2, b2 = p['W1'], p['b1'], p['W2'], p['b2']; K = len(b2)"
PURE = """\
import math
def sig(z): return 1 / (1 + math.exp(-z))
def backprop(Theta1, Theta2, X, y, lam):
    m, K, J = len(X), len(Theta2), 0.0
    G1 = [[0.0] * len(r) for r in Theta1]; G2 = [[0.0] * len(r) for r in Theta2]
    for x, label in zip(X, y):
        a1 = [1.0] + x
        a2 = [1.0] + [sig(sum(w * v for w, v in zip(r, a1))) for r in Theta1]
        a3 = [sig(sum(w * v for w, v in zip(r, a2))) for r in Theta2]
        t = [1.0 if k == label else 0.0 for k in range(K)]
        J -= sum(u * math.log(p) + (1 - u) * math.log(1 - p) for u, p in zip(t, a3)) / m
        d3 = [p - u for p, u in zip(a3, t)]
        for k in range(K):
            for j in range(len(a2)): G2[k][j] += d3[k] * a2[j] / m
        for j in range(len(G1)):
            d2 = sum(d3[k] * Theta2[k][j + 1] for k in range(K)) * a2[j + 1] * (1 - a2[j + 1])
            for i in range(len(a1)): G1[j][i] += d2 * a1[i] / m
    for T, G in ((Theta1, G1), (Theta2, G2)):
        for r, g in zip(T, G):
            for i in range(1, len(r)):
                g[i] += lam / m * r[i]; J += lam / (2 * m) * r[i] ** 2
    return J, (G1, G2)
"""
RIGHT |= {  # with weights and biases apart, and without NumPy
    "in_turn.py": (apart(), [*FROM_0_BY_ROWS, TURN]),
    "weights_first.py": (apart("W1 W2 b1 b2"), [*FROM_0_BY_ROWS, "weights and biases apart (W1, W2, b1, b2)"]),
    "biases_first.py": (apart("b1 W1 b2 W2"), [*FROM_0_BY_ROWS, "weights and biases apart (b1, W1, b2, W2)"]),
    "by_inputs.py": (apart(turned=".T"), ["labels from 0", TURN]),
    "by_columns.py": (apart(order=", order='F'"), ["labels from 0", TURN]),
    "blocks.py": (apart(parameters=FROM_W, answer="g1, c1, g2, c2"), ["labels from 0", TURN]),
    "blocks_by_name.py": (
        apart(parameters="p, X, y, lam: " + OF_P, answer="{'dW2': g2, 'db2': c2, 'dW1': g1, 'db1': c1}"),
        ["labels from 0", "θ as a dictionary of matrices", TURN],
    ),
    "blocks_by_inputs.py": (
        apart(parameters=FROM_W + "; W1, W2 = W1.T, W2.T", answer="[g1.T, c1, g2.T, c2]"),
        ["labels from 0", TURN, BY_INPUTS],
    ),
    "biases_as_columns.py": (
        apart(
            parameters="p, X, Y, lam: " + OF_P + "; X, y, b1, b2 = X.T, Y.argmax(0), b1[:, 0], b2[:, 0]",
            answer="{'W1': g1, 'b1': c1[:, None], 'W2': g2, 'b2': c2[:, None]}",
        ),
        ["one-hot targets", "examples in columns", "θ as a dictionary of matrices", TURN],
    ),
    "pure.py": (PURE, ["labels from 0", "plain lists for arrays", "gradient as matrices"]),
}

TWO_FUNCTIONS = """\
import numpy as np
INPUT, HIDDEN = 6, 4
LABELS = 10
LAMBDA = 1

def sig(z): return 1 / (1 + np.exp(-z))

def unrolled(theta):
    k = HIDDEN * (INPUT + 1)
    return theta[:k].reshape(HIDDEN, -1), theta[k:].reshape(LABELS, -1)

def predict(T1, T2, X):
    a = np.column_stack([np.ones(len(X)), X])
    b = np.column_stack([np.ones(len(X)), sig(a @ T1.T)])
    return a, b, sig(b @ T2.T)

def cost(theta, X, y):
    T1, T2 = unrolled(theta)
    h, Y, m = predict(T1, T2, X)[2], np.eye(LABELS)[y], len(X)
    J = -np.sum(Y * np.log(h) + (1 - Y) * np.log(1 - h)) / m
    return J + LAMBDA / (2 * m) * (np.sum(T1[:, 1:] ** 2) + np.sum(T2[:, 1:] ** 2))

def gradient(theta, X, y):
    T1, T2 = unrolled(theta)
    a, b, h = predict(T1, T2, X)
    d, m = h - np.eye(LABELS)[y], len(X)
    e = (d @ T2 * b * (1 - b))[:, 1:]
    R1, R2 = T1.copy(), T2.copy()
    R1[:, 0] = R2[:, 0] = 0
    return np.r_[(e.T @ a / m + LAMBDA / m * R1).ravel(), (d.T @ b / m + LAMBDA / m * R2).ravel()]
"""
"""Sizes and λ are constants, and cost and gradient are apart."""

TAKES_NO_L2 = TWO_FUNCTIONS.replace("LAMBDA = 1\n", "class Settings:\n    weight = 2.5\n").replace(
    "LAMBDA", "Settings.weight"
)

OF_CONSTANTS = [*FROM_0_BY_ROWS, *(f"{name} as a constant of the file" for name in ("INPUT", "HIDDEN", "LABELS"))]
IN_TWO, OWN_L2 = "cost and gradient in two functions", "λ = {} in the code, which takes no other"
WITHOUT_L2 = apart(parameters=FROM_W.replace(", lam", ""), answer="g1, c1, g2, c2")
RIGHT |= {  # sizes and λ in constants
    "of_constants.py": (TWO_FUNCTIONS, [*OF_CONSTANTS, "LAMBDA as a constant of the file", IN_TWO]),
    "takes_no_lambda.py": (TAKES_NO_L2, [*OF_CONSTANTS, IN_TWO, OWN_L2.format(2.5)]),
    "large_lambda.py": (WITHOUT_L2.replace("lam", "2.5"), ["labels from 0", TURN, OWN_L2.format(2.5)]),
    "small_lambda.py": (WITHOUT_L2.replace("lam", "0.25"), ["labels from 0", TURN, OWN_L2.format(0.25)]),
}

WRONG = {  # the text, and the bug of the zoo that it is
    "sign.py": (course(("d3 = h - Y", "d3 = Y - h")), "wrong-sign"),
    "no_slope.py": (course((" * sigmoid_gradient(z2)", "")), "slope-missing"),
    "lambda_over_m.py": (course(("+= lambda_ / m *", "+= lambda_ *")), "lambda-not-over-m"),
    "no_lambda.py": (course(("+= lambda_ / m *", "+= 0 *")), "regulariser-missing"),
    "bias_regularised.py": (
        course(
            ("grad[:, 1:] += lambda_ / m * Theta1[:, 1:]", "grad += lambda_ / m * Theta1"),
            ("grad[:, 1:] += lambda_ / m * Theta2[:, 1:]", "grad += lambda_ / m * Theta2"),
        ),
        "bias-regularised",
    ),
    "no_penalty.py": (course((PENALTY, "")), "cost-without-regulariser"),
    "half_cost.py": (course(("np.log(1 - h)) / m", "np.log(1 - h)) / (2 * m)")), "cost-halved"),
    "epsilon_and_no_slope.py": (
        course(("np.log(h)", "np.log(h + 1e-8)"), (" * sigmoid_gradient(z2)", "")),
        "slope-missing",
    ),
    "gradient_by_rows.py": (course(('ravel(order="F")', "ravel()")), "c-order-unrolling"),
    "gradient_by_columns.py": (course(BY_ROWS, ('ravel(order="C")', 'ravel(order="F")')), "c-order-unrolling"),
    "last_class.py": (at_start("y = np.where(y == num_labels, 1, y)"), "last-class-as-first"),
    "loop_overwrites.py": (
        LOOP.replace("D1 += outer(d2, a1); D2 += outer(d3, a2)", "D1 = outer(d2, a1); D2 = outer(d3, a2)"),
        "only-last-example-over-m",
    ),
    "two_at_once.py": (course(("d3 = h - Y", "d3 = Y - h"), ("+= lambda_ / m *", "+= lambda_ *")), "wrong-sign"),
    "two_bugs_by_rows.py": (course(BY_ROWS, ("sigmoid_gradient(z2)", "sigmoid(z2)")), "slope-halved"),
    "wrong_from_0.py": (course(FROM_0, (" * sigmoid_gradient(z2)", "")), "slope-missing"),
    "notebook_wrong.ipynb": (notebook("import numpy as np", course(("d3 = h - Y", "d3 = Y - h"))), "wrong-sign"),
}

WRONG |= {"of_a_class_wrong.py": (OF_A_CLASS.replace(" * A2[:,1:] * (1 - A2[:,1:])", ""), "slope-missing")}
WRONG |= {
    "apart_wrong.py": (apart().replace(" * A * (1 - A)", ""), "slope-missing"),
    # of which nothing is right, in a convention that few use
    "apart_sigmoid_twice.py": (
        apart().replace("P = s(A @ W2.T + b2)", "P = s(s(A @ W2.T + b2))"),
        "output-sigmoid-twice",
    ),
    "apart_wrong_cost.py": (apart().replace("np.log(1-P))/m", "np.log(1-P))/m/2"), "cost"),
    "pure_wrong.py": (PURE.replace(" * a2[j + 1] * (1 - a2[j + 1])", ""), "slope-missing"),
}
SQUARES = "np.sum(Theta1[:, 1:] ** 2) + np.sum(Theta2[:, 1:] ** 2)"
ONES_BESIDE_X, ONES_BESIDE_A = "np.column_stack([np.ones(m), X])", "np.column_stack([np.ones(m), sigmoid(z2)])"
OUTPUT = "h = sigmoid(a2 @ Theta2.T)"
SOFTMAX = "e = np.exp(a2 @ Theta2.T); h = e / e.sum(axis=1, keepdims=True)"
ONES_LAST = (
    (ONES_BESIDE_X, "np.column_stack([X, np.ones(m)])"),
    (ONES_BESIDE_A, "np.column_stack([sigmoid(z2), np.ones(m)])"),
)
WRONG |= {
    "softmax.py": (course((OUTPUT, SOFTMAX), (" + (1 - Y) * np.log(1 - h)", "")), "softmax-for-sigmoid"),
    "sigmoid_twice.py": (course((OUTPUT, "h = sigmoid(sigmoid(a2 @ Theta2.T))")), "output-sigmoid-twice"),
    "split_without_biases.py": (
        course(("nn_params[split:]", "nn_params[split - hidden_layer_size:][:num_labels * (hidden_layer_size + 1)]")),
        "layers-split-without-biases",
    ),
    "zeros_for_ones.py": (course((ONES_BESIDE_X, "np.column_stack([np.zeros(m), X])")), "zeros-beside-x"),
    "ones_last.py": (
        course(*ONES_LAST, ("@ Theta2)[:, 1:]", "@ Theta2)[:, :-1]")),
        "ones-last and bias-column-not-dropped",
    ),
    "absolute.py": (
        course(
            (SQUARES, "np.abs(Theta1[:, 1:]).sum() + np.abs(Theta2[:, 1:]).sum()"),
            ("lambda_ / m * Theta1[:, 1:]", "lambda_ / 2 / m * np.sign(Theta1[:, 1:])"),
            ("lambda_ / m * Theta2[:, 1:]", "lambda_ / 2 / m * np.sign(Theta2[:, 1:])"),
        ),
        "cost-regulariser-of-absolute-weights and regulariser-of-absolute-weights",
    ),
}

JAX_COST = """
import jax
import jax.numpy as jnp
def cost(params, X, y, lam):
    T1, T2 = params
    m = X.shape[0]
    A = jnp.c_[jnp.ones(m), jax.nn.sigmoid(jnp.c_[jnp.ones(m), X] @ T1.T)]
    Y, Z = jax.nn.one_hot(y - 1, T2.shape[0]), A @ T2.T
    J = -jnp.sum(Y * jax.nn.log_sigmoid(Z) + (1 - Y) * jax.nn.log_sigmoid(-Z)) / m
    return J + lam / (2 * m) * (jnp.sum(T1[:, 1:]**2) + jnp.sum(T2[:, 1:]**2))
gradient = jax.jit(jax.grad(cost))
"""

BROKEN = {  # the text, and the kind of what is found
    "syntax.py": ("def f(:\n    pass\n", "not-readable"),
    "broken.ipynb": ("{not json", "not-readable"),
    "empty.py": ("", "no-homework-function"),
    "no_function.py": ("x = 1\ndef sigmoid(z):\n    return z\n", "no-homework-function"),
    "unknown_parameters.py": ("def nn_cost(a, b):\n    return 1, 2\n", "no-homework-function"),
    "missing_helper.py": (course(("def sigmoid(z)", "def sigmoyd(z)")), "call-failed"),
    "missing_module.py": ("from utils import sigmoid as s\n" + course(("h = sigmoid(", "h = s(")), "not-handed-in"),
    "hangs.py": (at_start("while True: pass"), "call-failed"),
    "exits.py": (at_start("import sys; sys.exit(0)"), "call-failed"),
    "really_exits.py": (at_start("import os; os._exit(3)"), "call-failed"),
    "crashes.py": (at_start("import ctypes; ctypes.string_at(0)"), "call-failed"),
    "divides.py": (at_start("1 / 0"), "call-failed"),
    "one_number.py": (
        course(
            ("    return 1.0 / (1.0 + np", "    return 1.0 / (1.0 + math"),
            ("import numpy", "import math\nimport numpy"),
        ),
        "call-failed",
    ),
    "asks_inside.py": (at_start("input('m? ')"), "call-failed"),
    "hungry.py": (at_start("np.ones((10**6, 10**6))"), "call-failed"),
    "wrong_shape.py": (returning("grad[:-1]"), "gradient-shape"),
    "none.py": (course((RETURN, "")), "not-an-answer"),
    "text.py": (returning("'J', 'grad'"), "not-an-answer"),
}

# -- how a test grades one ---------------------------------------------------------------------------------------------

NEEDS_A_PROCESS = {"own_sizes.py", "trains_at_import.py"}


class Here:
    """A submission's functions called in this process, which is faster than in one of their own."""

    def __init__(self, submission: Submission):
        self.submission = submission
        self.restart()

    def restart(self):
        self.names: dict[str, Any] = {}
        for file in self.submission.files:
            self.names[FAILURES] = []
            exec(compile(runnable(ast.parse(file.text)), file.name, "exec"), self.names)

    def call(self, function, *arguments):
        name = function.name
        before = copies(arguments)
        try:
            with np.errstate(all="ignore"):
                value = self.names[name](*arguments)
        except Exception as error:  # noqa: BLE001  whatever a student's function raises
            fact = doubt(Kind.CALL_FAILED, function=name, event=f"raised {type(error).__name__}: {error}")
            raise CallFailed(fact, error=type(error).__name__) from None
        left = {i: now for i, now in enumerate(arguments) if differ(before[i], now)}
        given = [now if kept is None else kept for kept, now in zip(before, arguments)]
        return Returned(value, given, left)


def written(folder: Path, name: str, text: str) -> Submission:
    """The submission in a file of that name and text."""
    (folder / name).write_text(text, encoding="utf-8")
    submission = read_submission(folder / name)
    assert submission is not None
    return submission


def graded_here(folder: Path, name: str, text: str, rubric: Rubric | None = None) -> Grade:
    """Its grade, found in this process."""
    process: Any = Here(written(folder, name, text))
    return judge(process, find_interface(process), rubric or Rubric())


def grade_folder(
    folder: Path, timeout: float = TIMEOUT, graded: Callable[[int], Any] = lambda done: None
) -> list[Grade]:
    """A grade for every submission in a folder, by name."""
    grades = {}
    for number, found in grade_all(find_submissions(folder), GradingPlan(timeout=timeout)):
        grades[number] = found
        graded(len(grades))
    return [grades[number] for number in sorted(grades)]


def in_short(grade: Grade) -> str:
    """The verdict, the parts cost, gradient and regulariser as letters, the points, and kinds of what is wrong."""
    letters = "".join(grade.outcomes[name].replace("absent", "-")[0] for name in ANSWERED)
    return " ".join([grade.verdict, letters, f"{grade.points:g}", *kinds(grade.diagnosis)])


def kinds(facts: Iterable[Fact]) -> list[str]:
    """The kinds of facts that homework itself finds: not those of the bug zoo."""
    own = homework_messages.MESSAGES | relation_messages.MESSAGES | verdict_messages.MESSAGES
    return [fact.kind for fact in facts if fact.kind in own]
