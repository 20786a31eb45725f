"""Arrays of NumPy's files, .npy and .npz, read without pickled objects and within a limit of memory."""

import io
import math
import zipfile
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy

from harness.files import read_file, too_large

ZIP = (b"PK\x03\x04", b"PK\x05\x06")


def read_arrays(path: Path, max_size: int) -> dict[str, np.ndarray]:
    """The arrays of an .npz file by name, or that of an .npy file under the name "".

    Raises FileNotFoundError where there is no such file; ValueError where it is damaged, holds pickled objects, or
    takes more than `max_size` bytes.
    """
    raw = read_file(path, "a .npy or .npz file", max_size)
    try:
        return npz_arrays(raw, max_size) if raw.startswith(ZIP) else {"": _npy_array(raw, max_size)}
    except Exception as error:  # inside NumPy's parser a damaged file can raise nearly anything
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{path} is damaged or malformed ({reason}); expected numbers saved by numpy.save") from error


def npz_arrays(raw: bytes, max_size: int) -> dict[str, np.ndarray]:
    """The arrays of an .npz file's content.

    Raises ValueError where it is no zip archive, or an array would take more than `max_size` bytes in float64.
    """
    if not raw.startswith(ZIP):  # NumPy would take it for a pickle, and say how to load it
        raise ValueError("it is not a zip archive, as every .npz file is")
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        for name in archive.namelist():
            with archive.open(name) as array:
                _check_header(name.removesuffix(".npy"), array, max_size)
    with np.load(io.BytesIO(raw), allow_pickle=False) as arrays:
        return dict(arrays)


def _npy_array(raw: bytes, max_size: int) -> np.ndarray:
    _check_header("the array", io.BytesIO(raw), max_size)
    return np.load(io.BytesIO(raw), allow_pickle=False)


def _check_header(name: str, array: IO[bytes], max_size: int) -> None:
    """Refuse an array whose header asks for too much memory, before anything is allocated."""
    read = {(1, 0): npy.read_array_header_1_0}.get(npy.read_magic(array), npy.read_array_header_2_0)
    shape, _, dtype = read(array)
    size = math.prod(shape) * max(dtype.itemsize, 8)
    if size > max_size:
        raise ValueError(too_large(f"{name} of shape {shape}", size, max_size))
