"""What JAX's own tests differentiate is right, but for the few rules that are not; HARNESS_PROFILE=deep tries all."""

import pytest
from functions_of_jax import ALL, DEEP, sampled

from harness import check_derivatives

NOT_RIGHT = {"spence": "disagree"}  # JAX's reverse mode answers NaN
FEW = [
    "sin, bfloat16", "exp, float16", "log, complex128", "maximum at its edge", "conv, float32", "cumprod, complex128",
    "sort with ties", "segment_sum", "casts", "triangular solve, every switch", "qr, complex128", "while",
    "custom_linear_solve", "custom_root",
]  # fmt: skip
NAMES = list(ALL) if DEEP else FEW


@pytest.mark.more
@pytest.mark.parametrize("name", NAMES)
def test_what_jaxs_own_tests_differentiate_is_right(name):
    f, *args = ALL[name]
    assert check_derivatives(f, *args).verdict == NOT_RIGHT.get(name, "agree")


@pytest.mark.parametrize("name", sampled(["tanh, float32", "conv, float32", "sinc at 0", "maximum at its edge"]))
def test_the_second_order_is_right(name):
    f, *args = ALL[name]
    report = check_derivatives(f, *args, order=2)
    assert report.verdict != "disagree", report
    assert report.verdict == "agree" or name == "sinc at 0"  # whose second derivative nobody can tell that near
