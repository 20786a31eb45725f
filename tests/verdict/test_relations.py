"""The kind of bug that leaves an error of some shape, in words."""

import numpy as np
import pytest

from harness.verdict.relations import Part, diagnose


def _part(value, expected, theta=None, penalty=None, name="theta") -> Part:
    value, expected = np.asarray(value, dtype=float), np.asarray(expected, dtype=float)
    theta = np.cos(np.arange(value.size)).reshape(value.shape) if theta is None else np.asarray(theta, dtype=float)
    penalty = np.zeros_like(value) if penalty is None else np.asarray(penalty, dtype=float)
    return Part(name, value, expected, theta, penalty, value != expected)


E = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (E + 0.25, "off by the same 0.25 everywhere"),
        (E[:, ::-1], "columns in reverse order"),
        (np.roll(E, 1, axis=1), "columns shifted by one"),
        (np.roll(E, 1, axis=0), "rows shifted by one"),
        (E.ravel()[[3, 5, 1, 0, 2, 4]].reshape(2, 3), "the right numbers in other places"),
        (np.where(E == 3, np.nan, E), "not finite in theta"),
        (3.0 * E, "3 times the right value"),
        (E * (1.0 + 1e-9), "1 + 1e-09 times the right value"),
        (E * (1.0 - 2e-8), "1 - 2e-08 times the right value"),  # though float32 is as far off
        (E + np.array([[0.0, 2e-9, 0.0], [0.0] * 3]), "is off by 2e-09, 1 + 1e-09 times the right value"),
        (E * 0, "zero where it should not be"),
        (E + 1e-8 * E * [[1, -1, 1], [1, 1, -1]], "as many digits as float32 keeps"),
    ],
)
def test_relations_on_one_array(value, told):
    assert told in diagnose([_part(value, E)])


def test_nothing_is_said_of_a_right_gradient():
    assert diagnose([_part(E, E)]) == ""


def test_a_factor_that_two_bugs_leave_names_both():
    told = diagnose([_part(2.0 * E, E)], m=2)
    assert told == (
        "theta: 2 times the right value, as if the sum over the examples were not divided by m or divided by m - 1"
    )


def test_a_function_without_a_regulariser_is_not_said_to_have_one():
    theta = np.array([[1.0, -2.0, 0.5]])
    assert "off by 0.3 times θ, as a regulariser is" in diagnose([_part(E[:1] + 0.3 * theta, E[:1], theta)])


def test_no_relation_is_made_up():
    rng = np.random.default_rng(0)
    assert diagnose([_part(rng.normal(size=(2, 3)), E)]) == ""


def test_a_regulariser_of_the_wrong_strength_is_measured():
    theta = np.array([[1.0, -2.0, 0.5]])
    told = diagnose([_part(E[:1] + 0.3 * theta, E[:1], theta, 0.1 * theta)], m=10)
    assert "off by 0.3 times θ" in told
    assert "off by 3 times λ/m" in told


def test_a_square_block_that_was_symmetrised():
    square = np.array([[5.0, 2.0, 3.0], [-4.0, 6.0, 1.0], [0.5, 9.0, 7.0]])
    for made, words in ((0.5 * (square + square.T), "mean"), (square + square.T, "sum")):
        assert diagnose([_part(made, square)]) == f"theta: the {words} of the right one and its transpose"
        assert words in diagnose([_part(np.stack([made, made]), np.stack([square, square]))])
    assert diagnose([_part(np.tril(square), square)]).startswith("theta: zero where")


def test_only_the_block_that_is_wrong_is_named():
    told = diagnose([_part(E, E, name="A"), _part(2 * E, E, name="b"), _part(E, E, name="c")])
    assert told.startswith("b: 2 times")


def test_the_gradient_is_meant_where_all_of_it_is_wrong():
    wrong = [_part(2 * E, E, name="A"), _part(2 * E[0], E[0], name="b")]
    right = _part(E, E, name="c")
    assert diagnose(wrong).startswith("the gradient: 2 times")
    assert diagnose([*wrong, right]).startswith("A, b: 2 times")
    assert diagnose([right, *wrong, *(_part(2 * E, E, name=name) for name in "def")]).startswith("A, b, d and 2 more: ")


@pytest.mark.parametrize("unit", [1e-9, 1e-3, 1e3, 1e9])
def test_float32_is_recognised_in_any_unit(unit):
    signs = np.array([[1, -1, 1], [1, 1, -1]])
    told = {share: diagnose([_part(unit * E * (1.0 + share * signs), unit * E)]) for share in (1e-11, 1e-8, 1e-5)}
    assert "as many digits as float32 keeps" in told[1e-8]
    assert told[1e-11] == told[1e-5] == ""


def test_more_digits_than_float32_keeps_are_not_said_to_be_float32s():
    signs = np.array([[1, -1, 1], [1, 1, -1]])
    told = diagnose([_part(E * (1.0 + 2e-10 * signs), E)])
    assert "right to 2e-10 of the largest entry" in told
    assert "float32" not in told
