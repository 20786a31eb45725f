"""θ as .npz and .mat files, and matrices from .mat files, versions 5 to 7, that anybody wrote.

SciPy's reader ends the interpreter on some files that are damaged on purpose, and allocates as much memory as they ask
for. This reader takes full real matrices only, up to a given size, and raises ValueError for everything else. Format:
The MathWorks, "MAT-File Format" (R2024a).
"""

import io
import math
import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.files import too_large
from reference.network import Network

WRITTEN_HEADER = b"MATLAB 5.0 MAT-file, written by autodiff-cross-check"
"""In the place of the usual header, which holds the date: the same θ gives the same bytes."""

HEADER_TEXT, HEADER = 116, 128  # bytes of text in the header of version 5 and later, and of the whole header

TAG = 8  # bytes that state the type and the size of an element

MOST_VARIABLES = 10_000  # more variables than that are no file of matrices, and would take long to list

HDF5 = b"\x89HDF\r\n\x1a\n"

# codes for elements, for how numbers are stored, and for classes of arrays
_MATRIX, _COMPRESSED = 14, 15
_STORED = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_NUMBERS = range(6, 16)  # the classes double, single, int8, ..., uint64
_OTHERS = {1: "a cell array", 2: "a struct", 3: "an object", 4: "text", 5: "a sparse matrix", 17: "an object"}
_IS_COMPLEX = 0x08


def npz_bytes(network: Network, theta: np.ndarray) -> bytes:
    """θ with the network's sizes, hidden activations and output, for `numpy.load`."""
    file = io.BytesIO()
    hidden = np.array([f.name for f in network.hidden], dtype=str)
    np.savez(file, theta=theta, sizes=network.sizes, hidden=hidden, output=network.output.name)
    return file.getvalue()


def mat_bytes(network: Network, theta: np.ndarray) -> bytes:
    """Theta1, Theta2, ... for Octave and MATLAB, as in the course's ``ex4weights.mat``.

    Row k of the last Theta, counted from 1, stands for the course's label k (10 is the digit 0), as in
    `Digits.classes`, so that the course's ``predict.m`` needs no change.
    """
    from scipy.io import savemat

    file = io.BytesIO()
    Thetas = {f"Theta{layer}": Theta for layer, Theta in enumerate(network.unpack(theta), start=1)}
    savemat(file, Thetas, do_compression=True)  # which adds a checksum
    return WRITTEN_HEADER.ljust(HEADER_TEXT) + file.getvalue()[HEADER_TEXT:]


class Variable(NamedTuple):
    """A variable of a file: how it is stored, and the bytes from its values on."""

    kind: str  # "real numbers", or what it is instead
    shape: tuple[int, ...]
    stored: np.dtype | None
    content: bytes | memoryview

    def array(self, name: str, at_most: int) -> NDArray:
        """The values, in the type in which they are stored.

        Raises ValueError where they are no real numbers, take more than `at_most` bytes as float64, or are fewer than
        the shape needs.
        """
        if self.stored is None:
            raise ValueError(f"{name} is {self.kind}, not a full matrix of real numbers")
        count = math.prod(self.shape)
        if 8 * count > at_most:
            raise ValueError(too_large(f"{name} of shape {self.shape}", 8 * count, at_most))
        if count * self.stored.itemsize > len(self.content):
            raise ValueError(f"{name} of shape {self.shape} is cut off")
        return np.frombuffer(self.content, self.stored, count).reshape(self.shape, order="F")


def read_mat(raw: bytes, at_most: int) -> dict[str, Variable]:
    """The variables of a file by name, of which compressed ones may take `at_most` bytes together.

    Raises ValueError where it is no .mat file, is damaged, or holds too much.
    """
    if HDF5 in raw[:520]:  # MATLAB writes the signature after a header of 512 bytes, Octave at once
        raise ValueError("it is an HDF5 file (as MATLAB's -v7.3 writes), and version 7 at most can be read")
    variables = {}
    try:
        for number, (name, variable) in enumerate(_version_5(raw, at_most)):
            variables[name] = variable
            if number == MOST_VARIABLES:
                raise ValueError(f"it holds more than {MOST_VARIABLES:,} variables")
    except (struct.error, zlib.error, IndexError) as error:
        raise ValueError(f"it is cut off or damaged: {error}") from None
    return variables


def _version_5(raw: bytes, at_most: int) -> Iterator[tuple[str, Variable]]:
    order = {b"IM": "<", b"MI": ">"}.get(raw[126:128])
    if order is None:
        raise ValueError("it is no .mat file of version 5 to 7")
    at, left = HEADER, at_most
    while at < len(raw):
        code, content, at = _element(memoryview(raw), at, order)
        if code == _COMPRESSED:
            inflated = _inflated(content, order, left)
            left -= len(inflated)
            code, content, _ = _element(memoryview(inflated), 0, order)
        if code != _MATRIX:
            raise ValueError(f"an element of type {code} stands where a matrix should")
        yield _matrix(content, order)


def _inflated(content: memoryview, order: str, at_most: int) -> bytes:
    """The content of a compressed element, which is one matrix. Its tag states how large it is; no more is inflated.

    A few bytes of zeros can inflate to gigabytes, so the size is compared with the limit before.
    """
    inflating = zlib.decompressobj()
    tag = inflating.decompress(content, TAG)
    _, size = struct.unpack(f"{order}II", tag)
    if size + TAG > at_most:
        raise ValueError(too_large("what it holds", size + TAG, at_most))
    inflated = tag + inflating.decompress(inflating.unconsumed_tail, size + TAG)  # it may be padded
    if not inflating.eof:  # its checksum comes at the end
        raise ValueError("a compressed variable is cut off, or larger than it states")
    return inflated


def _element(raw: memoryview, at: int, order: str) -> tuple[int, memoryview, int]:
    """The type of the element at an offset, its content, and the offset of the next one."""
    code, size = struct.unpack_from(f"{order}II", raw, at)
    if code > 0xFFFF:  # four bytes at most share the tag's eight
        code, size = code & 0xFFFF, code >> 16
        start, after = at + 4, at + 8
    else:
        start = at + 8
        after = start + size + (-size % 8 if code != _COMPRESSED else 0)
    if start + size > min(after, len(raw)):
        raise ValueError("an element is cut off")
    return code, raw[start : start + size], after


def _matrix(raw: memoryview, order: str) -> tuple[str, Variable]:
    _, flags, at = _element(raw, 0, order)
    (bits,) = struct.unpack_from(f"{order}I", flags)
    kind, shape = bits & 0xFF, ()
    if kind != 17:  # an object of a user's class has no shape here
        _, sizes, at = _element(raw, at, order)
        shape = struct.unpack_from(f"{order}{len(sizes) // 4}i", sizes)
    _, letters, at = _element(raw, at, order)
    name = bytes(letters).decode("latin-1")
    if kind not in _NUMBERS or bits >> 8 & _IS_COMPLEX:
        what = "a complex matrix" if kind in _NUMBERS else _OTHERS.get(kind, f"of the unknown class {kind}")
        return name, Variable(what, shape, None, b"")
    if not 2 <= len(shape) <= 32 or min(shape) < 0:
        raise ValueError(f"{name} has the impossible shape {shape}")
    code, content, _ = _element(raw, at, order)
    if code not in _STORED:
        raise ValueError(f"{name} holds an element of unknown type {code}")
    return name, Variable("real numbers", shape, np.dtype(order + _STORED[code]), content)
