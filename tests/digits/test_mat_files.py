"""MATLAB's files: files of SciPy are read, damage neither crashes nor takes all memory, and θ is written."""

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import sparse
from scipy.io import savemat

from harness import Network
from harness.digits.mat_files import mat_bytes, npz_bytes, read_mat

MANY = 2**30
TYPES = ["f8", "f4", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"]


def mat(compressed=False, **variables):
    file = io.BytesIO()
    savemat(file, variables, do_compression=compressed)
    return file.getvalue()


def read(raw, name="X", at_most=MANY):
    return read_mat(raw, at_most)[name].array(name, at_most)


def element(code, content, order="<"):
    return struct.pack(f"{order}II", code, len(content)) + content + bytes(-len(content) % 8)


def matrix(order="<", kind=6, flags=0, shape=(1, 2), stored=9, content=None, name=b"X"):
    if content is None:
        content = np.arange(float(np.prod(shape))).astype(f"{order}f8").tobytes()
    inside = element(6, struct.pack(f"{order}II", kind | flags << 8, 0), order)
    inside += element(5, struct.pack(f"{order}{len(shape)}i", *shape), order) + element(1, name, order)
    return element(14, inside + element(stored, content, order), order)


def file_of(*elements, order="<"):
    header = b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack(f"{order}H", 0x0100) + {"<": b"IM", ">": b"MI"}[order]
    return header + b"".join(elements)


def compressed(content):
    packed = zlib.compress(content)
    return struct.pack("<II", 15, len(packed)) + packed


@given(
    arrays.arrays(st.sampled_from(TYPES), arrays.array_shapes(min_dims=2, max_dims=4, min_side=0, max_side=4)),
    st.booleans(),
)
def test_what_scipy_writes_is_read(array, is_compressed):
    np.testing.assert_array_equal(read(mat(compressed=is_compressed, a="text", X=array, z=array)), array)


@pytest.mark.parametrize("order", ["<", ">"])
def test_both_orders_of_bytes_are_read_and_numbers_that_were_stored_small(order):
    np.testing.assert_array_equal(read(file_of(matrix(order), order=order)), [[0.0, 1.0]])
    stored_small = matrix(order, shape=(1, 3), stored=2, content=b"\x01\x02\xff")
    np.testing.assert_array_equal(read(file_of(stored_small, order=order)), [[1, 2, 255]])


FOREIGN_CODES = [0, 8, 10, 11, 16, 17, 18, 19, 77, 255, 32768]


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "compressed"])
@pytest.mark.parametrize("code", FOREIGN_CODES)
def test_numbers_of_an_unknown_type_are_refused(code, packed):
    content = matrix(stored=code)
    with pytest.raises(ValueError, match=f"X holds an element of unknown type {code}$"):
        read(file_of(compressed(content) if packed else content))


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        (b"", "it is no .mat file"),
        (b"x" * 500, "it is no .mat file"),
        (file_of(element(9, bytes(8))), "an element of type 9 stands where a matrix should"),
        (file_of(compressed(element(9, bytes(8)))), "an element of type 9 stands where a matrix should"),
        (file_of(compressed(compressed(matrix()))), "an element of type 15 stands where a matrix should"),
        (file_of(element(14, b"")), "cut off"),
        (file_of(matrix())[:-8], "an element is cut off"),
        (file_of(compressed(matrix()))[:-8], "cut off"),
        (file_of(struct.pack("<II", 15, 3) + b"abc"), "damaged"),
        (file_of(struct.pack("<II", 14, 2**32 - 1)), "an element is cut off"),
        (file_of(matrix(shape=(1, -2), content=b"")), "impossible shape"),
        (file_of(matrix(shape=(3,))), "impossible shape"),
        (file_of(matrix(shape=(1, 3), content=bytes(16))), "is cut off"),
        (file_of(matrix(shape=(2**31 - 1, 2**31 - 1), content=bytes(16))), "more than 1,073.7 MB; --max-size"),
        (file_of(matrix(flags=8)), "X is a complex matrix, not a full matrix of real numbers"),
        (file_of(matrix(kind=1)), "X is a cell array"),
        (file_of(matrix(kind=99)), "X is of the unknown class 99"),
        (file_of(*[matrix(name=f"v{i}".encode()) for i in range(10_001)]), "more than 10,000 variables"),
        (mat(X=sparse.eye_array(3)), "X is a sparse matrix"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",  # a file's bytes have the second in which it was made
)
def test_what_is_no_matrix_is_refused_in_one_sentence(raw, sentence):
    with pytest.raises(ValueError, match=sentence) as refused:
        read(raw)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("variables", [1, 20])
def test_a_bomb_is_not_inflated(variables):
    bomb = compressed(matrix(shape=(1, 10**6), content=bytes(8 * 10**6)))
    assert len(bomb) < 20_000
    with pytest.raises(ValueError, match=r"takes 1.* bytes, more than 1.*; --max-size allows more|takes .* MB, more"):
        read(file_of(*[bomb] * variables), at_most=10**6 if variables == 1 else 10**7)


def test_a_bomb_that_states_another_size_is_not_inflated():
    content = bytearray(matrix(shape=(1, 10**6), content=bytes(8 * 10**6)))
    content[4:8] = struct.pack("<I", 100)
    with pytest.raises(ValueError, match="larger than it states"):
        read(file_of(compressed(bytes(content))), at_most=10**6)


def test_a_flipped_bit_in_a_compressed_variable_is_found_or_harmless():
    X, found = np.arange(300.0).reshape(30, 10), 0
    raw = mat(compressed=True, X=X)
    for bit in range(8 * 140, 8 * len(raw), 13):
        flipped = bytearray(raw)
        flipped[bit // 8] ^= 1 << bit % 8
        try:
            assert np.array_equal(read(bytes(flipped)), X)
        except (ValueError, KeyError):
            found += 1
    assert found > 100


@given(st.data())
def test_damage_anywhere_is_refused_or_harmless(data):
    raw = bytearray(file_of(matrix(), compressed(matrix(name=b"y"))))
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    damaged = bytes(raw[: data.draw(st.integers(8, len(raw)))])
    try:
        arrays = [variable.array(name, MANY) for name, variable in read_mat(damaged, MANY).items()]
        told = f"{sum(array.nbytes for array in arrays)} bytes"
    except ValueError as refused:
        told = str(refused)
    assert told
    assert "\n" not in told


# θ


NETWORK = Network((2, 3, 2))
THETA = NETWORK.init(0)


@pytest.mark.parametrize("write", [mat_bytes, npz_bytes])
def test_the_same_theta_gives_the_same_bytes_at_any_time(write, monkeypatch):
    now = write(NETWORK, THETA)
    monkeypatch.setattr("time.asctime", lambda *_: "Thu Jan  1 00:00:00 1970")
    monkeypatch.setattr("time.time", lambda: 1e9)
    assert write(NETWORK, THETA) == now
