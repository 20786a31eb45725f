"""How a submission may be called, and what may come back."""

import ast

import numpy as np
import pytest
from harness.grading.calling.answers import NotAnAnswer, parse
from harness.grading.calling.conventions import COURSE, Convention, Default, all_conventions, arguments, roles_of
from harness.grading.calling.signatures import Function, functions_in
from harness.grading.problems import small_problems

ASKED = small_problems()[0]
GRADIENT = np.arange(43.0)
MATRICES = ASKED.problem.network.unpack(GRADIENT)

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
    "z": None,
    "a b c d e f g h": None,
    "X theta": None,
}


@pytest.mark.parametrize("names", ROLES)
def test_parameters_are_known_by_their_names_and_else_by_their_order(names):
    parameters = tuple(names.split())
    assert roles_of(Function("f", parameters, len(parameters))) == ROLES[names]


def test_a_parameter_with_a_default_that_says_nothing_keeps_it():
    function = Function("f", ("nn_params", "a", "b", "c", "X", "y", "lam", "verbose"), 6, defaults=(1.0, False))
    assert roles_of(function) == COURSE


@pytest.mark.parametrize(
    ("default", "roles"), [("'quiet'", ("theta", "X", "y", Default("quiet"), "l2")), ("quiet()", ("theta", "X", "y"))]
)
def test_a_default_between_is_given_as_it_is_if_it_is_known(default, roles):
    (function,) = functions_in(ast.parse(f"def f(theta, X, y, mode={default}, lam=1.0): pass"))
    assert roles_of(function) == roles
    if default == "'quiet'":
        assert arguments(roles, Convention(), ASKED.problem, ASKED.theta)[3:] == ("quiet", 1.5)


CALLABLE = {  # a definition, and how it is called by position
    "def f(a, *, lam=1): pass": ["def f_by_position(a, lam=1): return f(a, lam=lam)"],
    "class N:\n def __init__(self, n, h=2): pass\n def cost(self, theta): pass\n def _own(self): pass": [
        "def cost_of_N(theta, n, h=2): return N(n, h).cost(theta)"
    ],
    "class N:\n @staticmethod\n def cost(theta, X): pass": ["def cost_of_N(theta, X): return N.cost(theta, X)"],
    "class N:\n @classmethod\n def cost(cls, theta): pass": ["def cost_of_N(theta): return N.cost(theta)"],
    "class N:\n @property\n def cost(self): pass": [],
    "class N:\n def __init__(self, n): self.T1, self.T2 = 1, 2\n def cost(self, X): pass": [
        "def cost_of_N(X, n, T1, T2): made = N(n); made.T1 = T1; made.T2 = T2; return made.cost(X)"
    ],
    "class N:\n def __init__(self): self.params = {}\n def cost(self, X, y=None): pass": [
        "def cost_of_N(X, params, y=None): made = N(); made.params = params; return made.cost(X, y)"
    ],
    "class N:\n def __init__(self, W1, W2): self.W1, self.W2 = W1, W2\n def cost(self, X): pass": [
        "def cost_of_N(X, W1, W2): return N(W1, W2).cost(X)"
    ],
    "def f(a, b=2): pass": [""],
    "f = lambda a, b=2: a": [""],
    "def f(a, b): pass\ng = jax.jit(jax.grad(f))": ["", ""],
    "g = wrapped(f)": [],
}


@pytest.mark.parametrize("definition", CALLABLE)
def test_methods_and_what_takes_names_alone_get_a_function_to_stand_in(definition):
    assert [function.stand_in for function in functions_in(ast.parse(definition))] == CALLABLE[definition]


def test_a_derivative_takes_what_its_function_takes_and_a_method_is_called_as_its_author_does():
    (_, derivative) = functions_in(ast.parse("def f(a, b=2): pass\ng = grad(f)"))
    assert str(derivative) == "g(a, b)"
    (method,) = functions_in(ast.parse("class N:\n def cost(self, theta): pass"))
    assert (str(method), method.name) == ("N.cost(theta)", "cost_of_N")


def test_theta_and_gradient_are_unrolled_alike():
    for convention in all_conventions():
        if convention.theta != "flat":
            continue
        theta, *_ = arguments(COURSE, convention, ASKED.problem, ASKED.theta)
        parsed = parse((1.0, theta), convention, ASKED.problem)
        np.testing.assert_array_equal(parsed.gradient, ASKED.theta)


def test_labels_and_examples_come_as_the_convention_says():
    m = ASKED.problem.m
    shapes = {
        Convention(): ((m, 4), (m,)),
        Convention(column=True): ((m, 4), (m, 1)),
        Convention(labels="one-hot targets"): ((m, 4), (m, 3)),
        Convention(ones=True): ((m, 5), (m,)),
        Convention(transposed=True, labels="one-hot targets"): ((4, m), (3, m)),
    }
    for convention, (of_X, of_y) in shapes.items():
        _, _, _, _, X, y, _ = arguments(COURSE, convention, ASKED.problem, ASKED.theta)
        assert (X.shape, y.shape) == (of_X, of_y)
    first = {
        labels: arguments(COURSE, Convention(labels), ASKED.problem, ASKED.theta)[5]
        for labels in ("labels from 1", "labels from 0")
    }
    np.testing.assert_array_equal(first["labels from 1"], first["labels from 0"] + 1)


ANSWERS = {
    "a pair": ((0.5, GRADIENT), ()),
    "a list": ([0.5, GRADIENT], ()),
    "a dictionary": ({"J": 0.5, "grad": GRADIENT}, ()),
    "a column": ((0.5, GRADIENT[:, np.newaxis]), ("gradient as an array of 2 axes",)),
    "matrices in a list": ((0.5, MATRICES), ("gradient as matrices",)),
    "matrices beside": ((0.5, *MATRICES), ("gradient as matrices",)),
    "gradient first": ((GRADIENT, 0.5), ("gradient before cost",)),
    "cost in an array": ((np.array([[0.5]]), GRADIENT), ("cost as an array of shape (1, 1)",)),
    "numbers in a list": ((0.5, GRADIENT.tolist()), ()),
    "integers": ((np.float32(0.5), GRADIENT.astype(int)), ()),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_cost_and_gradient_are_found_in_an_answer(name):
    value, came = ANSWERS[name]
    parsed = parse(value, Convention(), ASKED.problem)
    assert (parsed.cost, parsed.came) == (0.5, came)
    np.testing.assert_array_equal(parsed.gradient, GRADIENT)


def test_a_cost_or_a_gradient_may_come_alone():
    assert parse(0.5, Convention(), ASKED.problem).gradient is None
    assert parse((0.5, None), Convention(), ASKED.problem).cost == 0.5
    assert parse(GRADIENT, Convention(), ASKED.problem).cost is None
    assert parse(GRADIENT.astype(np.float32), Convention(), ASKED.problem).precision == "float32"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, r"answers nothing \(None\)"),
        ("0.5", "answers a str, which is no cost"),
        ((0.5, GRADIENT[:-1]), r"a gradient of shape \(42,\); expected are 43 entries"),
        ((0.5, [MATRICES[0]] * 2), "answers a gradient of a list of an array of shape"),
        ((0.5, GRADIENT.astype(complex)), "an array of shape .43,. and type complex128, which is no cost"),
        ([], r"answers a gradient of shape \(0,\)"),
    ],
)
def test_what_is_no_answer_is_described(value, message):
    with pytest.raises(NotAnAnswer, match=message):
        parse(value, Convention(), ASKED.problem)
