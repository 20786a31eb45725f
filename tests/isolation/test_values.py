"""Values as bytes: what is written comes back, and what nobody wrote is refused."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from harness.isolation import Foreign
from harness.isolation.values import MOST_ARRAYS, PREFIX, decode, encode, lengths

NUMBERS = st.one_of(
    arrays.floating_dtypes(), arrays.integer_dtypes(), arrays.boolean_dtypes(), arrays.complex_number_dtypes()
)
PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | arrays.arrays(NUMBERS, arrays.array_shapes(min_side=0)),
    lambda inside: st.lists(inside) | st.tuples(inside, inside) | st.dictionaries(st.text() | st.integers(), inside),
    max_leaves=8,
)


def again(value):
    message = encode(value)
    header, rest = lengths(message[: PREFIX.size])
    body = message[PREFIX.size :]
    assert len(body) == header + rest
    return decode(body[:header], body[header:])


def assert_same(one, other):
    assert type(one) is type(other)
    if isinstance(one, (list, tuple)):
        assert len(one) == len(other)
        for pair in zip(one, other):
            assert_same(*pair)
    elif isinstance(one, dict):
        assert_same(list(one.items()), list(other.items()))
    elif isinstance(one, (np.ndarray, np.generic)):
        assert (one.dtype, one.shape) == (other.dtype, other.shape)
        assert one.tobytes() == other.tobytes()
    elif isinstance(one, float):
        assert np.array(one).tobytes() == np.array(other).tobytes() or (math.isnan(one) and math.isnan(other))
    else:
        assert one == other


@given(PLAIN)
def test_what_is_written_comes_back(value):
    assert_same(again(value), value)


@pytest.mark.parametrize(
    "value",
    [np.float32(0.1), np.bool_(True), np.array(3), np.ones((2, 3)).T, np.ones(9)[::2], np.zeros((0, 3)), -0.0],
    ids=repr,
)
def test_scalars_and_views_keep_type_and_shape(value):
    assert_same(again(value), value.copy() if isinstance(value, np.ndarray) else value)


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (object(), "object"),
        (print, "builtin_function_or_method"),
        (b"bytes", "bytes"),
        (np.array([object()]), "ndarray"),
        (np.array(["a"]), "ndarray"),
        (np.ma.masked_array([1.0, 2.0], [True, False]), "MaskedArray"),
        (10**400, "int"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_no_value_stays_and_its_type_is_told(value, name):
    (arrived, one) = again((value, 1))
    assert isinstance(arrived, Foreign)
    assert (type(arrived).__name__, one) == (name, 1)


def test_arrays_of_other_libraries_are_arrays():
    import jax.numpy as jnp

    assert_same(again(jnp.ones(3, dtype="float32")), np.ones(3, dtype=np.float32))


def test_an_answer_can_be_written_to():
    array = again(np.arange(3.0))
    array[0] = 5.0
    assert array[0] == 5.0


@pytest.mark.parametrize(
    ("header", "content"),
    [
        (b"", b""),
        (b"\xff", b""),
        (b"[1]", b""),
        (b"{}", b""),
        (b'{"what": 1}', b""),
        (b'{"list": 3}', b""),
        (b'{"list": [], "tuple": []}', b""),
        (b'{"dict": [1]}', b""),
        (b'{"dict": [[{"list": []}, 1]]}', b""),
        (b'{"array": ["<f8", 2]}', b"short"),
        (b'{"array": ["<f8", 99999999999999999999, 99999999999999999999]}', b"12345678"),
        (b'{"array": ["<f8", -1]}', b""),
        (b'{"array": ["<f8", 1.0]}', b"12345678"),
        (b'{"array": ["<f8", true]}', b"12345678"),
        (b'{"array": ["O", 1]}', b"12345678"),
        (b'{"array": ["<M8", 1]}', b"12345678"),
        (b'{"array": ["<f3", 1]}', b"123"),
        (b'{"array": [8, 1]}', b"12345678"),
        (b'{"array": []}', b""),
        (json.dumps({"array": ["<f8", *[0] * 65]}).encode(), b""),
        (b'{"foreign": "\\u0000"}', b""),
        (b"1", b"more"),
        (b"[" * 100_000, b""),
        (b'{"list":[' * 50_000, b""),
    ],
    ids=lambda value: repr(value[:40]),
)
def test_what_nobody_wrote_is_refused(header, content):
    with pytest.raises(ValueError, match=r"^gave an answer that cannot be read"):
        decode(header, content)


@given(st.binary(max_size=60), st.binary(max_size=20))
def test_noise_is_refused_or_a_value(header, content):
    try:
        decode(header, content)
    except ValueError as error:
        assert str(error).startswith("gave an answer that cannot be read")  # noqa: PT017


def test_what_is_too_large_is_refused_before_it_is_received():
    with pytest.raises(ValueError, match="too large"):
        lengths(PREFIX.pack(2, MOST_ARRAYS + 1))
    with pytest.raises(ValueError, match="too large"):
        lengths(PREFIX.pack(2**63, 0))
    with pytest.raises(ValueError, match="too large"):
        encode(np.broadcast_to(0.0, MOST_ARRAYS // 8 + 1))
