"""The kind of mistake that leaves an error of some shape."""

from dataclasses import replace

import numpy as np
import pytest

from harness.facts.kinds import Kind
from harness.verdict import relations
from harness.verdict.relations import Part, diagnose

E = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
CUBE = np.random.default_rng(0).normal(size=(2, 3, 2))
SQUARE = np.array([[5.0, 2.0, 3.0], [-4.0, 6.0, 1.0], [0.5, 9.0, 7.0]])
SIGNS = np.array([[1, -1, 1], [1, 1, -1]])


def part_of(value, expected, theta=None, penalty=None, name="theta", **keywords) -> Part:
    value, expected = np.asarray(value, dtype=float), np.asarray(expected, dtype=float)
    theta = np.cos(np.arange(value.size)).reshape(value.shape) if theta is None else np.asarray(theta, dtype=float)
    penalty = np.zeros_like(value) if penalty is None else np.asarray(penalty, dtype=float)
    wrong = ~(np.abs(value - expected) <= keywords.get("error", 0.0))
    return Part(name, value, expected, theta, penalty, wrong, **keywords)


def found(*arguments, **keywords):
    """The kind and the data of the only fact of a diagnosis, or nothing."""
    facts = diagnose([part_of(*arguments, **keywords)])
    return (facts[0].kind, dict(facts[0].data)) if facts else None


@pytest.mark.parametrize(
    ("value", "expected", "kind", "data"),
    [
        (E + 0.25, E, Kind.CONSTANT_ERROR, {"error": 0.25}),
        (E[:, ::-1], E, Kind.REARRANGED, {"move": "reversed", "axes": [1]}),
        (np.roll(E, 1, axis=1), E, Kind.REARRANGED, {"move": "shifted", "axes": [1], "by": 1}),
        (np.roll(E, -1, axis=1), E, Kind.REARRANGED, {"move": "shifted", "axes": [1], "by": -1}),
        (np.roll(E, 1, axis=0), E, Kind.REARRANGED, {"move": "reversed", "axes": [0]}),
        (SQUARE.T, SQUARE, Kind.REARRANGED, {"move": "transposed", "axes": [1, 0]}),
        (E.ravel(order="F").reshape(2, 3), E, Kind.REARRANGED, {"move": "unrolled", "axes": [1, 0]}),
        (E.ravel()[[3, 5, 1, 0, 2, 4]].reshape(2, 3), E, Kind.REARRANGED, {"move": "irregular"}),
        (E[0, [1, 0, 2]], E[0], Kind.REARRANGED, {"move": "swapped"}),
        (np.where(E == 3, np.nan, E), E, Kind.NOT_FINITE, {}),
        (-E, E, Kind.SIGN, {"before_regulariser": False}),
        (3.0 * E, E, Kind.FACTOR, {"factor": 3.0}),
        (E * (1.0 + 1e-9), E, Kind.FACTOR, {"factor": 1.0 + 1e-9}),
        (E * (1.0 - 2e-8), E, Kind.FACTOR, {"factor": 1.0 - 2e-8}),  # though float32 is as far off
        (E + np.eye(2, 3) * [[0, 0, 0], [0, 2e-9, 0]], E, Kind.SINGLE_ENTRY, {"error": 2e-9, "factor": 1.0 + 4e-10}),
        (E * 0, E, Kind.ZERO, {}),
        (np.tril(SQUARE), SQUARE, Kind.ZERO, {}),
        (np.clip(SQUARE, -2.5, 2.5), SQUARE, Kind.CLIPPED, {"limit": 2.5}),
        (E + 1e-8 * E * SIGNS, E, Kind.FLOAT32_DIGITS, {"relative_error": 1e-8}),
        (0.5 * (SQUARE + SQUARE.T), SQUARE, Kind.SYMMETRISED, {"combination": "mean"}),
        (SQUARE + SQUARE.T, SQUARE, Kind.SYMMETRISED, {"combination": "sum"}),
        (np.stack([SQUARE + SQUARE.T] * 2), np.stack([SQUARE] * 2), Kind.SYMMETRISED, {"combination": "sum"}),
    ],
)
def test_a_relation_without_error_bounds(value, expected, kind, data):
    told, numbers = found(value, expected) or (None, {})
    assert told == kind
    assert numbers == numbers | {name: pytest.approx(number) for name, number in data.items()}


ANYTHING = np.random.default_rng(0).normal(size=(2, 3))


@pytest.mark.parametrize("value", [E, ANYTHING, 1e-9 * ANYTHING], ids=["right", "anything", "nearly zero"])
def test_no_relation_is_made_up(value):
    assert found(value, E) is None


THETA = np.array([[1.0, -2.0, 0.5]])


@pytest.mark.parametrize(
    ("value", "penalty", "m", "kind", "data"),
    [
        (2.0 * E[:1], None, 2, Kind.FACTOR, {"sums": ["not-divided", "divided-by-one-less"]}),
        (E[:1] + 0.3 * THETA, None, None, Kind.REGULARISER, {"multiple": 0.3, "strength": "penalty"}),
        (E[:1] + 0.3 * THETA, None, 10, Kind.REGULARISER, {"multiple": 0.3, "strength": "none-belongs"}),
        (E[:1] + 0.3 * THETA, 0.1 * THETA, 10, Kind.REGULARISER, {"strength": "off", "ratio": 3.0}),
        (E[:1] - 0.1 * THETA, 0.1 * THETA, 10, Kind.REGULARISER, {"strength": "missing", "ratio": -1.0}),
        (2.0 * E[:1] - 0.1 * THETA, 0.1 * THETA, 10, Kind.FACTOR, {"factor": 2.0, "before_regulariser": True}),
        (0.2 * THETA - E[:1], 0.1 * THETA, 10, Kind.SIGN, {"before_regulariser": True}),
    ],
)
def test_relations_to_the_regulariser_and_to_means(value, penalty, m, kind, data):
    told, numbers = found(value, E[:1], THETA, penalty, examples=m) or (None, {})
    assert told == kind
    assert numbers == numbers | {n: pytest.approx(x) if isinstance(x, float) else x for n, x in data.items()}


BOUNDED = {
    relations.find_sign: (-E, {}),
    relations.find_factor: (3.0 * E, {"factor": 3.0, "length": 3, "axis": 1}),
    relations.find_regulariser: (E + 0.3 * np.cos(np.arange(6)).reshape(2, 3), {"multiple": 0.3}),
    relations.find_constant: (E + 0.25, {"error": 0.25}),
    relations.find_rearranged: (E[:, ::-1], {"move": "reversed", "axes": [1]}),
    relations.find_squared: (E**2, {}),
    relations.find_clipped: (np.minimum(E, 2.5), {"limit": 2.5}),
    relations.find_factor_by_slice: (E * [[2.0], [3.0]], {"axis": 0, "factors": [2.0, 3.0]}),
}


@pytest.mark.parametrize("relation", BOUNDED, ids=lambda relation: relation.__name__)
def test_with_error_bounds_a_relation_holds_within_them_wherever_the_right_value_is_known(relation):
    value, data = BOUNDED[relation]
    shaky = part_of(value, E + 1e-6 * SIGNS, error=np.full(E.shape, 1e-5))
    told = relation(shaky).data
    numbers = {name: each if isinstance(each, str) else pytest.approx(each, rel=1e-3) for name, each in data.items()}
    assert told == told | numbers
    unknown = np.where(E == 1.0, np.nan, shaky.expected)
    partly = replace(shaky, expected=unknown, wrong=shaky.wrong & np.isfinite(unknown))
    assert relation(partly)
    if relation is not relations.find_clipped:  # which is exact
        assert relation(replace(shaky, error=np.full(E.shape, 10.0))) is None, "it could not have failed"
    off = value + np.eye(2, 3) * [[1e-3], [0.0]]
    assert relation(part_of(off, E, error=np.full(E.shape, 1e-5))) is None


def test_a_sign_is_lost_where_all_that_is_wrong_is_positive():
    expected = E * SIGNS
    fact = relations.find_sign_lost(part_of(E, expected, error=np.full(E.shape, 1e-6)))
    assert fact is not None
    assert fact.kind == Kind.SIGN_LOST
    assert relations.find_sign_lost(part_of(-E, expected, error=np.full(E.shape, 1e-6))) is None


def test_axes_of_a_larger_array_may_change_places():
    fact = relations.find_rearranged(part_of(CUBE.transpose(2, 1, 0), CUBE, error=np.full(CUBE.shape, 1e-9)))
    assert fact is not None
    assert (fact.kind, dict(fact.data)) == (Kind.REARRANGED, {"move": "transposed", "axes": [2, 1, 0]})


@pytest.mark.parametrize(("wrong", "where"), [("Ab", "A, b"), ("b", "b"), ("Abdef", "A, b, d and 2 more")], ids=str)
def test_only_what_is_wrong_is_named(wrong, where):
    parts = [part_of((2.0 if name in wrong else 1.0) * E, E, name=name) for name in "Abcdef"]
    (fact,) = diagnose(parts)
    assert (fact.kind, fact.where) == (Kind.FACTOR, (where,))


def test_parts_with_the_same_relation_are_named_together():
    parts = [part_of(E if name == "b" else E[::-1], E, name=name) for name in "Abc"]
    assert [fact.where for fact in diagnose(parts)] == [("A", "c")]


@pytest.mark.parametrize("unit", [1e-9, 1e-3, 1e3, 1e9])
def test_float32_is_recognised_in_any_unit(unit):
    kinds = {share: found(unit * E * (1.0 + share * SIGNS), unit * E) for share in (1e-11, 1e-8, 1e-5)}
    assert (kinds[1e-8] or (None,))[0] == Kind.FLOAT32_DIGITS
    assert kinds[1e-11] is kinds[1e-5] is None


def test_counts_and_the_output_are_part_of_a_fact():
    (fact,) = diagnose([part_of(2.0 * E, E, entries=(6, 4))], output="loss")
    assert {name: fact.data[name] for name in ("wrong", "right", "output")} == {
        "wrong": 6,
        "right": 4,
        "output": "loss",
    }
