"""The functions of a submission, the roles of their parameters, and constants of the file as parameters."""

import ast

import pytest

from harness.grading.class_methods import class_functions_in
from harness.grading.parameter_roles import COURSE, IDLE, Default, readings
from harness.grading.submission_functions import function_of, functions_in, with_settings

ROLES = {
    "nn_params input_layer_size hidden_layer_size num_labels X y lambda_": COURSE,
    "nn_params inputLayerSize hiddenLayerSize numLabels X y Lambda": COURSE,
    "a b c d e f g": COURSE,
    "params input_size hidden_size num_labels X y learning_rate": COURSE,
    "X y theta lam K n_hidden n_in": ("X", "y", "theta", "l2", "K", "n_hidden", "n_in"),
    "theta layers X y reg": ("theta", "sizes", "X", "y", "l2"),
    "Theta1 Theta2 X y lmbda": ("theta1", "theta2", "X", "y", "l2"),
    "theta X y lam": ("theta", "X", "y", "l2"),
    "problem theta": ("problem", "theta"),
    "X y theta1 theta2 penalty": ("X", "y", "theta1", "theta2", "l2"),  # sizes come together, or not at all
    "W1 b1 W2 b2 W3 b3 X y lam": None,
    "parameters cache X y K lam learning_rate": None,
    "z": None,
    "a b c d e f g h": None,
    "X theta": None,
}


@pytest.mark.parametrize("names", ROLES)
def test_parameters_are_known_by_their_names_and_else_by_their_order(names):
    assert next(readings(function_of("f", dict.fromkeys(names.split()))), None) == ROLES[names]


def test_a_function_with_a_list_for_a_default_can_be_looked_up():
    (function,) = functions_in(ast.parse("def cost(theta, X, y, sizes=[25]): pass"))
    assert function in {function}


def test_a_parameter_with_a_default_that_says_nothing_keeps_it():
    signature = dict.fromkeys(("nn_params", "a", "b", "c", "X", "y")) | {"lam": "1.0", "verbose": "False"}
    function = function_of("f", signature)
    assert next(readings(function), None) == COURSE


@pytest.mark.parametrize(
    ("default", "roles"), [("'quiet'", ("theta", "X", "y", Default("quiet"), "l2")), ("quiet()", ("theta", "X", "y"))]
)
def test_a_default_between_is_passed_if_its_value_is_known(default, roles):
    (function,) = functions_in(ast.parse(f"def f(theta, X, y, mode={default}, lam=1.0): pass"))
    assert next(readings(function), None) == roles


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ("theta, X, y, c=0.0", [("theta", "X", "y", "l2"), ("theta", "X", "y")]),
        ("theta, X, y, c=None", [("theta", "X", "y", "l2"), ("theta", "X", "y")]),
        ("theta, X, y, c='text'", [("theta", "X", "y")]),
        ("theta, X, y, lam=0.0, c=0.0", [("theta", "X", "y", "l2")]),
        ("theta, X, y, lam, grad=False", [("theta", "X", "y", "l2"), ("theta", "X", "y", "l2", Default(True))]),
        ("theta, X, y, alpha=0.1", [("theta", "X", "y", "l2"), ("theta", "X", "y")]),
        ("theta, X, y, alpha=0.1, lam=1", [("theta", "X", "y", Default(0.1), "l2")]),
        ("theta, X, y, lr", [("theta", "X", "y", "l2"), ("theta", "X", "y", IDLE)]),
        ("theta, X, y, c", [("theta", "X", "y", "l2"), ("theta", "X", "y", IDLE)]),
        ("theta, X, y, lam, lr, n_epochs", [("theta", "X", "y", "l2", IDLE, IDLE)]),
        ("theta, X, y, lam, dropout_rate", []),
        ("theta, X, y, m, n, lam", [("theta", "X", "y", "m", "n_in", "l2")]),
        ("weights, biases, x, y", [("weights", "biases", "X", "y")]),
    ],
)
def test_a_number_may_be_lambda_or_idle_and_a_flag_is_tried_both_ways(parameters, expected):
    (function,) = functions_in(ast.parse(f"def f({parameters}): pass"))
    assert list(readings(function)) == expected


CALLABLE = {  # a definition, and how it is called by position
    "def f(a, *, lam=1): pass": ["def f_by_position(a, lam=1): return f(a, lam=lam)"],
    "class N:\n def __init__(self, n, h=2): pass\n def cost(self, theta): pass\n def __own(self): pass": [
        "def cost_of_N(theta, n, h=2): made = N(n, h); return made.cost(theta)"
    ],
    "class N:\n @staticmethod\n def cost(theta, X): pass": ["def cost_of_N(theta, X): return N.cost(theta, X)"],
    "class N:\n @classmethod\n def cost(cls, theta): pass": ["def cost_of_N(theta): return N.cost(theta)"],
    "class N:\n def __init__(self, X): pass\n def __call__(self, theta): pass": [
        "def __call___of_N(theta, X): made = N(X); return made.__call__(theta)"
    ],
    "class N:\n def __init__(self, lam, learning_rate, epochs): pass\n def cost(self, theta): pass": [
        (
            "def cost_of_N(theta, lam, learning_rate, epochs): made = N(lam, learning_rate, epochs); "
            "return made.cost(theta)"
        )
    ],
    "class N:\n def fit(self, X, y): self.X, self.y, self.K, self.loss = X, y, 3, self.cost(1)\n"
    " def h(self, theta): return self.X @ theta\n def cost(self, theta): return self.h(theta) - self.y": [
        "def fit_of_N(X, y): made = N(); return made.fit(X, y)",
        "def h_of_N(theta, X): made = N(); made.X = X; return made.h(theta)",
        "def cost_of_N(theta, X, y): made = N(); made.X = X; made.y = y; return made.cost(theta)",
    ],
    "class N:\n @property\n def cost(self): pass": [],
    "class N:\n def __init__(self, n): self.T1, self.T2 = 1, 2\n def cost(self, X): pass": [
        "def cost_of_N(X, n, T1, T2): made = N(n); made.T1 = T1; made.T2 = T2; return made.cost(X)"
    ],
    "class N:\n def __init__(self): self.params = {}\n def cost(self, X, y=None): pass": [
        "def cost_of_N(X, params, y=None): made = N(); made.params = params; return made.cost(X, y)"
    ],
    "class N:\n def __init__(self, W1, W2): self.W1, self.W2 = W1, W2\n def cost(self, X): pass": [
        "def cost_of_N(X, W1, W2): made = N(W1, W2); return made.cost(X)"
    ],
    "@dataclass\nclass N:\n W1: float\n W2: float = 0\n def cost(self, X): pass": [
        "def cost_of_N(X, W1, W2=0): made = N(W1, W2); return made.cost(X)"
    ],
    "def f(a, args): X, y = args": ["def f_by_position(a, X, y): return f(a, (X, y))"],
    "def f(a, *args): X, y = args": ["def f_by_position(a, X, y): return f(a, *(X, y))"],
    "def f(a, *, args): X, y = args": ["def f_by_position(a, X, y): return f(a, args=(X, y))"],
    "def f(a, o): return o['lambda'] * o['X']": [
        "def f_by_position(a, lambda_, X): return f(a, {'lambda': lambda_, 'X': X})"
    ],
    "def f(a, args):\n X, y = args[:2]\n n, lam = args[2:]": [
        "def f_by_position(a, X, y, n, lam): return f(a, (X, y, n, lam))"
    ],
    "def f(a, **kw): return kw['X'] * kw.get('lam', 0)": [
        "def f_by_position(a, X, lam): return f(a, **{'X': X, 'lam': lam})"
    ],
    "def f(a, cfg): return cfg.lam * cfg.n_in": [
        "def f_by_position(a, lam, n_in): return f(a, __import__('types').SimpleNamespace(lam=lam, n_in=n_in))"
    ],
    "class S(NamedTuple):\n n_in: int\n lam: float = 1\ndef f(a, *, s: S, X): pass": [
        "def f_by_position(a, n_in, X, lam=1): return f(a, s=S(n_in, lam), X=X)"
    ],
    "class P(NamedTuple):\n W1: float\n W2: float\ndef f(a, p: P, X): pass": [""],
    "def f(thetas, p, X): T1, T2 = thetas; W1 = p['W1']; m, n = X.shape; return X.T": [""],
    "def f(h, X, y): return h.shape, X": [""],
    "def f(a, b=2): pass": [""],
    "def f(X, lam=1):\n def g(theta): pass\n return g": ["def f_by_position(theta, X, lam=1): return f(X, lam)(theta)"],
    "def f(X):\n return lambda theta: X @ theta": ["def f_by_position(theta, X): return f(X)(theta)"],
    "def f(X):\n def J(theta): pass\n def g(theta): pass\n return J, g": [
        "def J_of_f_by_position(theta, X): return f(X)[0](theta)",
        "def g_of_f_by_position(theta, X): return f(X)[1](theta)",
    ],
    "f = lambda a, b=2: a": [""],
    "def f(a, b): pass\ng = jax.jit(jax.grad(f))": ["", ""],
    "g = wrapped(f)": [],
    "def f(X, theta): return a, h\ndef J(h, y, lam=1): pass": [
        "",
        "",
        "def J_after_f(X, theta, y, lam=1): a, h = f(X, theta); return J(h, y, lam)",
    ],
    "def f(X, p): return A2, {'A1': 1}\ndef J(h, y, W1, W2, lam): pass": [
        "",
        "",
        "def J_after_f(X, p, y, lam): h, cache = f(X, p); W1 = p['W1']; W2 = p['W2']; return J(h, y, W1, W2, lam)",
    ],
    "def f(X, T1, T2): return a, g(z)\ndef J(y_hat, y): pass": [  # what has no name is what has no match
        "",
        "",
        "def J_after_f(X, T1, T2, y): a, y_hat = f(X, T1, T2); return J(y_hat, y)",
    ],
    "def f(X, theta): return {'A': 1}\ndef J(theta, cache, X, y): pass": [
        "",
        "",
        "def J_after_f(X, theta, y): cache = f(X, theta); return J(theta, cache, X, y)",
    ],
    "def f(X, theta): return a, b\ndef J(c, d, y): pass": ["", ""],
    "class N:\n def __init__(self): self.w1 = self.w2 = 0\n def forward(self, X): return h\n"
    " def loss(self, h, y): return J\n def backward(self, y): self.dw1, self.w1, self.dw2, self.w2 = 1, 2, 3, 4": [
        "def forward_of_N(X, w1, w2): made = N(); made.w1 = w1; made.w2 = w2; return made.forward(X)",
        (
            "def loss_of_N(X, y, w1, w2): made = N(); made.w1 = w1; made.w2 = w2; answer = made.forward(X); "
            "return made.loss(answer, y)"
        ),
        (
            "def backward_of_N(X, y, w1, w2): made = N(); made.w1 = w1; made.w2 = w2; answer = made.forward(X); "
            "made.backward(y); return made.dw1, made.dw2"
        ),
    ],
    "def f(X, y, theta): return h\ndef J(h, y): pass": ["", ""],
}


@pytest.mark.parametrize("definition", CALLABLE)
def test_methods_and_keyword_only_parameters_get_a_stand_in(definition):
    tree = ast.parse(definition)
    found = [*functions_in(tree), *class_functions_in(tree)]
    assert [function.stand_in.partition("\n")[0] for function in found] == CALLABLE[definition]


def test_a_derivative_takes_the_parameters_of_its_function_and_a_method_keeps_its_name():
    (_, derivative) = functions_in(ast.parse("def f(a, b=2): pass\ng = grad(f)"))
    assert str(derivative) == "g(a, b)"
    (method,) = class_functions_in(ast.parse("class N:\n def cost(self, theta): pass"))
    assert (str(method), method.name) == ("N.cost(theta)", "cost_of_N")


NOT_SET = {
    "the function has its own": "LAMBDA = 1\ndef cost(theta, X, y, lam): return LAMBDA",
    "a name of its own hides it": "LAMBDA = 1\ndef cost(theta, X, y):\n    LAMBDA = 2\n    return LAMBDA",
    "two are read": "LAMBDA = 1\nREG = 2\ndef cost(theta, X, y): return LAMBDA + REG",
    "it is not read": "LAMBDA = 1\ndef cost(theta, X, y): return 0",
    "sizes are given": "HIDDEN = 5\ndef cost(theta, layers, X, y): return HIDDEN",
    "it is no function of theta": "LAMBDA = 1\ndef g(z): return LAMBDA",
}


@pytest.mark.parametrize("text", NOT_SET.values(), ids=NOT_SET)
def test_a_name_that_is_no_setting_becomes_no_parameter(text):
    tree = ast.parse(text)
    functions = list(functions_in(tree))
    assert with_settings(tree, functions) == functions


def test_a_stand_in_keeps_defaults_and_needs_the_rest():
    tree = ast.parse("LAMBDA = 1\ndef helper(): return LAMBDA\ndef cost(theta, X, y, verbose=False): return helper()")
    function = with_settings(tree, list(functions_in(tree)))[1]
    assert (function.author_name, function.required, function.constants) == ("cost", 4, ("LAMBDA",))
    assert function.stand_in == (
        "def cost_by_constants(theta, X, y, l2, verbose=False): "
        "cost.__globals__.update(LAMBDA=l2); return cost(theta, X, y, verbose)"
    )
