"""The digits: the course's numbers, files that cannot be used, and the split."""

import bz2
import dataclasses
import io
import json
import os
import pickle
import runpy
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from scipy.io import savemat

from harness.digits import digits_data
from harness.digits.digits_data import HELD_OUT, Digits, load_data, load_digits, stratified_split

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = json.loads((ROOT / "tests" / "golden" / "ex4.json").read_text())["X"]
DIGITS_FILE = ROOT / "data" / "digits.bz2"

X = np.array([[0.0, 0.5, -0.25], [1.0, 0.125, 3.0], [2.0, 7.0, 0.0], [4.0, 1.5, 9.0]])
Y = np.array([0, 9, 3, 1])
HDF5 = b"\x89HDF\r\n\x1a\n"


@pytest.fixture(scope="module")
def digits():
    return load_digits()


# The course's data set


@pytest.mark.parametrize(
    ("actual", "golden"),
    [
        (lambda X: X.min(), "min"),
        (lambda X: X.max(), "max"),
        (lambda X: X.sum(), "sum"),
        (lambda X: np.square(X).sum(), "sum_of_squares"),
        (lambda X: X[0, 67:72], "row 0, columns 67-71"),
        (lambda X: X[4999, 170:175], "row 4999, columns 170-174"),
    ],
)
def test_pixels_are_the_courses(digits, actual, golden):
    np.testing.assert_allclose(actual(digits.X), GOLDEN[golden], rtol=1e-12, atol=1e-15)


def test_digits_are_500_of_each_in_order_and_digit_0_is_the_last_class(digits):
    assert digits.X.shape == (5000, 400)
    assert (digits.X.dtype, digits.y.dtype, digits.classes.dtype) == (np.float64, np.int64, np.int64)
    assert digits.X.flags.c_contiguous
    np.testing.assert_array_equal(digits.y, np.repeat([0, 1, 2, 3, 4, 5, 6, 7, 8, 9], 500))
    np.testing.assert_array_equal(digits.classes, np.repeat([9, 0, 1, 2, 3, 4, 5, 6, 7, 8], 500))
    with pytest.raises(dataclasses.FrozenInstanceError):
        digits.X = X


def test_packing_the_images_again_gives_the_same_bytes():
    pack = runpy.run_path(str(ROOT / "data" / "build_digits.py"))["pack"]
    packed = DIGITS_FILE.read_bytes()
    assert pack(np.frombuffer(bz2.decompress(packed), dtype=np.uint8)) == packed


# Where the file lies


@pytest.fixture
def places(tmp_path, monkeypatch):
    """Where the digits are looked for: first within the package, as in a wheel, then beside it, as in a clone."""
    files = [tmp_path / folder / DIGITS_FILE.name for folder in ("wheel", "clone")]
    for file in files:
        file.parent.mkdir()
    monkeypatch.setattr(digits_data, "_PLACES", files)
    return files


@pytest.mark.parametrize("place", [0, 1], ids=["wheel", "clone"])
def test_digits_load_from_a_wheel_and_from_a_clone(places, digits, place):
    places[place].write_bytes(DIGITS_FILE.read_bytes())
    np.testing.assert_array_equal(load_digits().X, digits.X)


def test_missing_digits(places):
    with pytest.raises(FileNotFoundError, match=r"the digits are in neither .*; install the package again, or run"):
        load_digits()


@pytest.mark.parametrize(
    "damage",
    [lambda good: good[:-1], lambda good: b"", lambda good: good[:999] + bytes([good[999] ^ 1]) + good[1000:]],
    ids=["truncated", "empty", "one bit flipped"],
)
def test_damaged_digits_within_the_package_are_refused_whatever_lies_beside_it(places, damage):
    good = DIGITS_FILE.read_bytes()
    for place, content in zip(places, (damage(good), good)):
        place.write_bytes(content)
    with pytest.raises(ValueError, match=r"is damaged: its SHA-256 is [0-9a-f]{64}, not d1c5d9ca.*; install"):
        load_digits()


# Somebody's own file


def mat(*, compressed=False, **variables):
    buffer = io.BytesIO()
    savemat(buffer, variables, do_compression=compressed)
    return buffer.getvalue()


def npz(**arrays):
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def csv(*rows):
    return "\n".join(rows).encode()


COURSE_LABELS = np.where(Y == 0, 10, Y)
CSV_ROWS = [",".join(map(str, [*x, y])) for x, y in zip(X, Y, strict=True)]
NESTED = {"b": np.array(["c", 1.5], dtype=object), "d": []}

GOOD = {
    "column of labels, as the course's.mat": mat(X=X, y=COURSE_LABELS[:, None].astype(np.uint8), note="ignored"),
    "row of labels.mat": mat(X=X, y=COURSE_LABELS[None, :].astype(float)),
    "compressed.mat": mat(compressed=True, X=X, y=COURSE_LABELS, a=NESTED),
    "nested.mat": mat(a=NESTED, X=X, y=COURSE_LABELS, z=sparse.eye_array(3)),
    "vector.npz": npz(X=X, y=Y),
    "column, single precision.npz": npz(X=X.astype(np.float32), y=Y[:, None].astype(np.int8)),
    "column-major.npz": npz(X=np.asfortranarray(X), y=Y.astype(float)),
    "plain.csv": csv(*CSV_ROWS),
    "UPPER CASE.CSV": csv(*CSV_ROWS),
    "byte-order mark, blank lines and comments.csv": b"\xef\xbb\xbf" + csv("# x0, x1, x2, y", *CSV_ROWS, "", "# end"),
    "lines ended as on Windows.csv": "\r\n".join(CSV_ROWS).encode(),
}


@pytest.mark.parametrize("name", GOOD)
def test_good_files(tmp_path, name):
    (tmp_path / name).write_bytes(GOOD[name])
    data = load_data(str(tmp_path / name))
    np.testing.assert_array_equal(data.X, X)
    np.testing.assert_array_equal(data.y, Y)
    np.testing.assert_array_equal(data.classes, [9, 8, 2, 0])
    assert (data.X.dtype, data.y.dtype) == (np.float64, np.int64)
    assert data.X.flags.c_contiguous


class WritesAFile:
    """Unpickling it leaves a file behind: evidence that somebody loaded the pickle."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return (open, (self.path, "w"))


def with_entry(value):
    spoilt = X.copy()
    spoilt[2, 1] = value
    return spoilt


BAD = [
    ("empty.mat", b"", r"empty.mat is damaged or malformed \(.+\); expected X"),
    ("matlab.mat", b"MATLAB 7.3 MAT-file".ljust(512) + HDF5, r"it is an HDF5 file \(as MATLAB's -v7.3 writes\)"),
    ("octave.mat", HDF5 + bytes(100), r"it is an HDF5 file .*; expected .*saved by MATLAB's save -v7"),
    ("weights.mat", mat(Theta1=X, Theta2=X), "it holds Theta1, Theta2 but not X and y"),
    ("no y.mat", mat(X=X), "it holds X but not y"),
    ("zero.mat", mat(X=X, y=Y), r"y\[0\] is 0, not a label 1..10\); expected .*\(10 is digit 0\)"),
    ("empty.npz", b"", "it is not a zip archive, as every .npz file is"),
    ("pickle.npz", pickle.dumps({"X": X, "y": Y}), "it is not a zip archive"),
    ("truncated.npz", npz(X=X, y=Y)[:-30], "File is not a zip file"),
    ("damaged.npz", npz(X=X, y=Y).replace(X.tobytes(), with_entry(5.0).tobytes()), "Bad CRC-32 for file 'X.npy'"),
    ("objects.npz", npz(X=X.astype(object), y=Y), "Object arrays cannot be loaded when allow_pickle=False"),
    ("fields.npz", npz(X=np.zeros(4, [(f"pixel {i}", "f8") for i in range(999)]), y=Y), "Header info length"),
    ("nothing.npz", npz(), "it holds no variables but not X and y"),
    ("lower case.npz", npz(x=X, y=Y), "it holds x, y but not X"),
    ("complex.npz", npz(X=X + 1j, y=Y), "X must be an array of real numbers .*, not an array of complex128"),
    ("vector.npz", npz(X=Y, y=Y), r"X must be of shape \(m, n\), but has shape \(4,\)"),
    ("nan.npz", npz(X=with_entry(np.nan), y=Y), r"X\[2, 1\] is nan\); expected numeric arrays"),
    ("one-hot.npz", npz(X=X, y=np.eye(10)[Y]), r"y has shape \(4, 10\)"),
    ("empty.csv", b"", r"\(it is empty\); expected rows of comma-separated numbers"),
    ("header.csv", csv("x0,x1,x2,y", *CSV_ROWS), "could not convert string 'x0'.*no header"),
    ("ragged.csv", csv(*CSV_ROWS, "1,2"), "the number of columns changed from 4 to 2"),
    ("gap.csv", csv(*CSV_ROWS, "1,,2,3"), "could not convert string ''"),
    ("utf-16.csv", csv(*CSV_ROWS).decode().encode("utf-16"), "'utf-8' codec can't decode"),
    ("ten.csv", csv("0.5,10"), r"y\[0\] is 10, not a label 0..9\); expected .*the last number a digit 0..9"),
    ("digits.txt", csv(*CSV_ROWS), r"has the suffix '.txt'; expected a .mat, .npz or .csv file"),
    ("digits", csv(*CSV_ROWS), "has the suffix ''; expected a .mat, .npz or .csv file"),
]


@pytest.mark.parametrize(("name", "content", "sentence"), BAD, ids=[name for name, *_ in BAD])
def test_bad_files_give_one_clear_sentence(tmp_path, name, content, sentence):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=sentence) as error:
        load_data(tmp_path / name)
    assert str(tmp_path / name) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "make", "message"),
    [
        ("absent.mat", None, "is not an existing file; expected X"),
        ("absent/digits.npz", None, "is not an existing file"),
        ("folder.npz", Path.mkdir, "is not an existing file"),
        ("pipe.csv", os.mkfifo, "is not an existing file"),  # which must not be waited for
    ],
)
def test_what_is_no_file_is_refused(tmp_path, name, make, message):
    if make:
        make(tmp_path / name)
    with pytest.raises(FileNotFoundError, match=f"{name} {message}"):
        load_data(tmp_path / name)


def test_pickles_are_never_loaded(tmp_path):
    array = np.array([WritesAFile(tmp_path / "evidence")], dtype=object)
    (tmp_path / "x.npz").write_bytes(npz(X=array, y=Y))
    with pytest.raises(ValueError, match="Object arrays cannot be loaded"):
        load_data(tmp_path / "x.npz")
    assert not (tmp_path / "evidence").exists()


def zeros(*shape):
    """A small .npz of a large array."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, size in (("X", shape), ("y", shape[:1])):
            with archive.open(f"{name}.npy", "w") as entry:
                np.lib.format.write_array_header_1_0(entry, {"descr": "|u1", "fortran_order": False, "shape": size})
                entry.write(bytes(1000))  # the rest is missing, and would be noticed later
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        (
            "zeros.npz",
            zeros(10**6, 400),
            r"zeros.npz .*X of shape \(1000000, 400\) takes 3,200.0 MB, more than 1,073.7 MB",
        ),
        ("huge.npz", zeros(2**62, 2**62), "more than 1,073.7 MB; --max-size allows more"),
        ("table.csv", b",\n" * 2**26, "its table takes 1,073,741,832 bytes, more than 1,073,741,824 bytes"),
    ],
)
def test_what_takes_too_much_memory_is_refused_before_it_is_read(tmp_path, name, content, what):
    (tmp_path / name).write_bytes(content)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=what):
            load_data(tmp_path / name)
        assert tracemalloc.get_traced_memory()[1] < 2 * len(content) + 2**22
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("suffix", [".mat", ".npz", ".csv"])
def test_a_file_that_is_too_large_is_not_read(tmp_path, suffix):
    path = tmp_path / f"sparse{suffix}"
    with path.open("wb") as file:
        file.truncate(3 * 2**30)  # of which nothing is stored
    with pytest.raises(ValueError, match=r"takes 3,221.2 MB, more than 1,073.7 MB; --max-size allows more"):
        load_data(path)
    with pytest.raises(ValueError, match="more than 10 bytes"):
        load_data(path, max_size=10)


def outcome(path):
    try:
        return load_data(path)
    except ValueError as error:
        return str(error)


@given(st.sampled_from([".npz", ".csv"]), st.sampled_from([b"", b"PK\x03\x04", b"1,2\n"]), st.binary())
def test_whatever_the_bytes_the_outcome_is_digits_or_a_sentence(tmp_path_factory, suffix, start, rest):
    path = tmp_path_factory.getbasetemp() / f"noise{suffix}"
    path.write_bytes(start + rest)
    result = outcome(path)
    assert isinstance(result, Digits) or result.startswith(f"{path} is damaged or malformed (")


# The split

CLASSES = st.lists(st.integers(0, 5), min_size=1, max_size=60).map(np.array)
SEEDS = st.integers(0, 2**32)


def has_a_pair(classes):
    return np.unique(classes, return_counts=True)[1].max() > 1


@given(CLASSES.filter(has_a_pair), SEEDS)
def test_a_split_is_a_stratified_partition_in_order_that_the_seed_decides(classes, seed):
    train, test = stratified_split(classes, seed)
    np.testing.assert_array_equal(np.sort(np.concatenate([train, test])), np.arange(len(classes)))
    assert (np.diff(train) > 0).all()
    assert (np.diff(test) > 0).all()
    for c, size in zip(*np.unique(classes, return_counts=True), strict=True):
        kept_aside = np.count_nonzero(classes[test] == c)
        assert abs(kept_aside - HELD_OUT * size) < 1
        assert kept_aside < size
        assert kept_aside > 0 or size == 1
    for once, again in zip((train, test), stratified_split(classes, seed), strict=True):
        np.testing.assert_array_equal(once, again)


def test_a_fifth_of_each_digit_is_kept_aside(digits):
    train, test = stratified_split(digits.classes)
    np.testing.assert_array_equal(np.bincount(digits.y[test]), np.full(10, 100))
    assert len(train) == 4000
    assert not np.array_equal(test, stratified_split(digits.classes, seed=1)[1])


@pytest.mark.parametrize("count", [3, 0])
def test_without_two_of_a_class_nothing_can_be_kept_aside(count):
    with pytest.raises(ValueError, match=f"no class has two of the {count} examples"):
        stratified_split(np.arange(count))
