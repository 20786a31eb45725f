"""Plain values and NumPy arrays as bytes, and back without trusting whoever wrote them.

A message is a header of JSON, which describes the structure, and the arrays' bytes one after the other, in the order
in which the header names them. Nothing is unpickled, no name is looked up, and only what was received is allocated.
"""

import io
import json
import math
import re
import struct
from typing import Any

import numpy as np

PREFIX = struct.Struct(">QQ")  # how many bytes of header and of arrays follow
MOST_HEADER, MOST_ARRAYS = 2**24, 2**30
"""Bytes of a message: room for hundreds of thousands of numbers in lists, and for far larger arrays than a gradient."""

_DTYPE = re.compile(r"[<>|=]?[biufc][0-9]{1,2}")


class Foreign:
    """What stays in the other process: it is neither a plain value nor an array of numbers.

    It arrives as an object of a class with the same name that the type has there, and with no content.
    """


def encode(value: Any) -> bytes:
    """A message with a value: None, bool, int, float, str, list, tuple, dict, arrays of numbers, and `Foreign`.

    The arrays of JAX and PyTorch become NumPy arrays. Masked arrays do not, for what is under the mask is no number.
    Raises ValueError for more than `MOST_HEADER` or `MOST_ARRAYS` bytes; RecursionError for a list that contains
    itself.
    """
    arrays: list[np.ndarray] = []
    header = json.dumps(_described(value, arrays)).encode()
    sizes = len(header), sum(array.nbytes for array in arrays)
    _check_sizes(*sizes)
    return PREFIX.pack(*sizes) + header + b"".join(array.tobytes() for array in arrays)


def _check_sizes(header: int, arrays: int) -> None:
    if header > MOST_HEADER or arrays > MOST_ARRAYS:
        raise ValueError(
            f"gave an answer that is too large: {header:,} bytes of plain values and {arrays:,} bytes of arrays; at "
            f"most {MOST_HEADER:,} and {MOST_ARRAYS:,} are taken"
        )


def _described(value: Any, arrays: list[np.ndarray]) -> Any:
    match value:
        case None | bool() | str():
            return value
        case np.generic() | np.ndarray():
            return _described_array(value, arrays)
        case int():
            # a larger one fits into no float, and json.loads refuses more than 4,300 digits
            return int(value) if abs(value) < 2**1024 else {"foreign": "int"}
        case float():
            return float(value)
        case list() | tuple():
            return {"list" if isinstance(value, list) else "tuple": [_described(item, arrays) for item in value]}
        case dict():
            return {"dict": [[_described(key, arrays), _described(item, arrays)] for key, item in value.items()]}
    # a tensor of PyTorch that tracks gradients, or lies on another device, is no array yet
    if hasattr(value, "detach"):
        value = value.detach().cpu()
    if hasattr(value, "__array__") and hasattr(value, "shape"):
        return _described_array(np.asarray(value), arrays)
    return {"foreign": type(value).__name__}


def _described_array(value: np.generic | np.ndarray, arrays: list[np.ndarray]) -> dict[str, Any]:
    if value.dtype.kind not in "biufc" or isinstance(value, np.ma.MaskedArray):
        return {"foreign": type(value).__name__}
    arrays.append(np.asarray(value))
    return {"array" if isinstance(value, np.ndarray) else "scalar": [value.dtype.str, *value.shape]}


def lengths(prefix: bytes) -> tuple[int, int]:
    """How many bytes of header and of arrays follow a prefix.

    Raises ValueError for more than `MOST_HEADER` or `MOST_ARRAYS`.
    """
    header, arrays = PREFIX.unpack(prefix)
    _check_sizes(header, arrays)
    return header, arrays


def decode(header: bytes, arrays: bytes) -> Any:
    """The value of a message that anybody may have written.

    Raises ValueError for whatever `encode` does not write.
    """
    file = io.BytesIO(arrays)
    try:
        value = _built(json.loads(header), file)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ValueError(f"gave an answer that cannot be read ({type(error).__name__})") from None
    if file.read(1):
        raise ValueError("gave an answer that cannot be read (there are more bytes than arrays)")
    return value


def _built(described: Any, arrays: io.BytesIO) -> Any:
    if not isinstance(described, dict):
        if isinstance(described, list):
            raise TypeError
        return described
    ((kind, content),) = described.items()
    match kind:
        case "list":
            return [_built(item, arrays) for item in content]
        case "tuple":
            return tuple(_built(item, arrays) for item in content)
        case "dict":
            return {_built(key, arrays): _built(item, arrays) for key, item in content}
        case "foreign":
            return type(str(content)[:80], (Foreign,), {})()
        case "array":
            return _built_array(content, arrays)
        case "scalar":
            return _built_array(content, arrays)[()]
    raise KeyError(kind)


def _built_array(content: Any, arrays: io.BytesIO) -> np.ndarray:
    """The next array, whose bytes are only read if they are there."""
    dtype, *shape = content
    if not _DTYPE.fullmatch(dtype) or len(shape) > 32 or any(type(n) is not int or n < 0 for n in shape):
        raise ValueError
    # Python's integers, which do not overflow as those of NumPy do for a shape of (2**40, 2**40)
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if size > MOST_ARRAYS or len(data := arrays.read(size)) < size:
        raise ValueError
    return np.ndarray(shape, dtype, data).copy()  # aligned, and writable


def copies(value: Any) -> Any:
    """Arrays, and those in lists and tuples, copied; None for anything else, which `differ` does not compare."""
    match value:
        case np.ndarray():
            return value.copy()
        case list() | tuple():
            return [copies(item) for item in value]
    return None


def differ(kept: Any, value: Any) -> bool:
    """Whether arrays have changed since `copies` were taken: in an entry, in shape, in type, or in number."""
    match kept:
        case np.ndarray():
            alike = isinstance(value, np.ndarray) and (kept.dtype, kept.shape) == (value.dtype, value.shape)
            return not alike or not np.array_equal(kept, value, equal_nan=kept.dtype.kind in "fc")
        case list():
            return len(kept) != len(value) or any(map(differ, kept, value))
    return False
