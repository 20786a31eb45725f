"""The helpers beside a cost function: right ones in any form, wrong ones, and others of the same name."""

import pytest

from harness.facts.kinds import Kind
from harness.grading.convention_search import find_interface
from harness.grading.helper_checks import check_helpers
from tests.grading.submissions import COURSE, Here, written

START, FORWARD = "rand_initialize_weights", "    h = sigmoid(np.c_[np.ones(len(X)), sigmoid(X1 @ T1.T)] @ T2.T)\n"
PREDICT = f"def predict(T1, T2, X):\n    X1 = np.c_[np.ones(len(X)), X]\n{FORWARD}    return "
WITH_ONES = f"def predict(T1, T2, X):\n    X1, X = X, X[:, 1:]\n{FORWARD}    return np.argmax(h, 1) + 1\n"
FLAT = PREDICT.replace("predict(T1, T2, X):", "predict(theta, X):\n    T1, T2 = np.split(theta, [20])").replace(
    "    X1", "    T1, T2 = T1.reshape(4, 5).T, T2.reshape(6, 10).T\n    X1"
)
RANDOM = "def init_weights(L_in, L_out):\n    return np.random.{}\n"
SIGMOID = "def sigmoid(z):\n    return 1 / (1 + np.exp(-z)){}\n"

HELPERS = {  # the helper, what defines it after the course's functions, its outcome, and a convention or a fault
    "classes": ("predict", f"{PREDICT}np.argmax(h, 1) + 1\n", "right", ""),
    "classes from 0": ("predict", f"{PREDICT}np.argmax(h, 1)\n", "right", "predictions from 0"),
    "digits": ("predict", f"{PREDICT}[int(k) % 10 for k in np.argmax(h, 1) + 1]\n", "right", ""),
    "with ones": ("predict", WITH_ONES, "right", ""),
    "of one vector": ("predict", f"{FLAT}np.argmax(h, 1)[:, None] + 1\n", "right", ""),
    "a forward pass": ("predict", f"{PREDICT}h\n", "absent", ""),
    "an accuracy": ("predict", "def predict(T1, T2, X, y): return 0.5\n", "absent", ""),
    "other shapes": ("predict", "def predict(T1, T2, x): return T1 @ np.r_[1, x]\n", "absent", ""),
    "other axis": ("predict", f"{PREDICT}np.argmax(h, 0) + 1\n", "wrong", "prediction-shape"),
    "other end": ("predict", f"{PREDICT}np.argmin(h, 1) + 1\n", "wrong", "prediction-value"),
    "unfinished": ("predict", "def predict(T1, T2, X): pass\n", "wrong", "nothing"),
    "not implemented": ("predict", f"{PREDICT}1 / 0\n", "wrong", Kind.CALL_FAILED),
    "no slope": ("sigmoid_gradient", "def sigmoid_prime(z): pass\n", "wrong", "nothing"),
    "no start": (START, "def init_weights(L_in, L_out): pass\n", "wrong", "nothing"),
    "no name": ("predict", f"{PREDICT}nothing\n", "wrong", Kind.CALL_FAILED),
    "normal": (START, RANDOM.format("randn(L_out, 1 + L_in)"), "right", ""),
    "without biases": (START, RANDOM.format("randn(L_in, L_out) * 0.1"), "right", "weights without biases"),
    "of one sign": (START, RANDOM.format("rand(L_out, 1 + L_in)"), "wrong", "start-range"),
    "alike": (START, RANDOM.format("rand(1) * np.ones((L_out, 1 + L_in))"), "wrong", "start-repeats"),
    "of no size": (START, RANDOM.format("randn(L_out, 1 - L_in)"), "wrong", Kind.CALL_FAILED),
    "of a list": (START, "def init_weights(sizes, eps): return [np.random.randn(n) for n in sizes]\n", "absent", ""),
    "parameters": (START, "def init_weights(a, b): return {'W1': np.zeros((b, a))}\n", "absent", ""),
    "of matrices": ("sigmoid", SIGMOID.format("[:, :]"), "right", "the sigmoid for matrices alone"),
    "of numbers": ("sigmoid", "from math import exp\ndef sigmoid(z): return 1 / (1 + exp(-z))\n", "right", ""),
    "in float32": ("sigmoid", SIGMOID.format(" + np.zeros(z.shape, 'f')").replace("-z", "-np.float32(z)"), "right", ""),
    "transposed": ("sigmoid", "def sigmoid(z): return (1 / (1 + np.exp(-z))).T\n", "wrong", "shape"),
    "complex": ("sigmoid", "def sigmoid(z): return 1 / (1 + np.exp(-z + 0j))\n", "wrong", "shape"),
    "one of two": ("sigmoid_gradient", "def sigmoid_prime(z): return 1 + sigmoid(z)\n", "wrong", "value"),
}


@pytest.mark.parametrize("case", HELPERS)
def test_a_helper_is_judged_by_what_it_answers(case, tmp_path):
    name, text, outcome, why = HELPERS[case]
    interface = find_interface(Here(written(tmp_path, "a.py", COURSE)))  # pyright: ignore[reportArgumentType]
    process = Here(written(tmp_path, "b.py", COURSE + text))
    found = check_helpers(process, interface)[name]  # pyright: ignore[reportArgumentType]
    assert found.outcome == outcome
    fault = found.fact and found.fact.data.get("fault", found.fact.kind)
    assert why in (fault or "".join(found.conventions))
