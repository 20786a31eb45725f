"""The course's digits, a reader for other files of digits, and the split that holds a fifth of them out.

The course's images are MNIST digits, resized from 28 x 28 to 20 x 20 pixels. They are kept as MNIST's bytes and resized
on loading, which gives the course's ``ex4data1.mat`` to rounding error. Source: MNIST; see ``data/README.md``.
"""

import bz2
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from harness.array_files import npz_arrays
from harness.digits.mat_files import read_mat
from harness.files import MAX_SIZE, read_file, too_large
from reference.network import real_array

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

# With the hash, a damaged file or one of other digits is found before training.
_SHA256 = "d1c5d9caa3254344b45d9fbab03bafe9f46995abe62c48f1d6e093d1c2a3442d"
_PLACES = [folder / "data" / "digits.bz2" for folder in Path(__file__).resolve().parents[1:3]]  # in a wheel; a clone


@dataclass(frozen=True, eq=False)
class Digits:
    """Images of handwritten digits with their labels.

    Attributes
    ----------
    X : (m, n) float64 array
        One image per row, its pixels unrolled column by column.
    y : (m,) int64 array
        The digits 0..9.
    """

    X: FloatArray
    y: IntArray

    @property
    def classes(self) -> IntArray:
        """(m,) output units 0..9 in the course's order: unit k stands for digit (k + 1) % 10, so digit 0 comes last."""
        return (self.y - 1) % 10

    def at(self, rows: IntArray | slice) -> "Digits":
        """The images of some rows."""
        return Digits(self.X[rows], self.y[rows])


def load_digits() -> Digits:
    """Load the course's data set: 500 images of each digit, in the order 0, 1, ..., 9.

    Returns
    -------
    Digits
        X (5000, 400), y and classes (5000,), as in its ``ex4data1.mat`` to rounding error; new arrays in every call.

    Raises
    ------
    FileNotFoundError, ValueError
        The file of digits is missing, or its SHA-256 checksum is wrong.
    """
    images = np.frombuffer(bz2.decompress(_packed_images()), dtype=np.uint8).reshape(-1, 28, 28)
    W = _resize_weights(28, 20)
    # MATLAB unrolls images column by column. Resizing commutes with the transpose, as W is the same along both axes.
    columns_first = images.transpose(0, 2, 1) / 255
    return Digits(X=(W @ columns_first @ W.T).reshape(-1, 400), y=np.repeat(np.arange(10), 500))


def _packed_images() -> bytes:
    found = next(filter(Path.is_file, _PLACES), None)
    if found is None:
        raise FileNotFoundError(
            f"the digits are in neither {_PLACES[0]} nor {_PLACES[1]}; "
            "install the package again, or run data/build_digits.py in the repository"
        )
    packed = found.read_bytes()
    if (actual := hashlib.sha256(packed).hexdigest()) != _SHA256:
        raise ValueError(
            f"{found} is damaged: its SHA-256 is {actual}, not {_SHA256}; "
            "install the package again, or restore the file from the repository"
        )
    return packed


def _resize_weights(n_in: int, n_out: int) -> FloatArray:
    """Return the (n_out, n_in) matrix W that shrinks a column of n_in pixels as MATLAB's `imresize` did in 2011.

    With s = n_in / n_out, output pixel i sits at u = (i + 1/2) s - 1/2 among the input pixels j, and

        w_ij = h((u_i - j) / s) / Σ_j' h((u_i - j') / s),

    where h is Keys' cubic and dividing by s widens it against aliasing. The sum includes taps beyond the edge, whose
    weights go to the edge pixel only afterwards (later versions reflect them, which changes 602 of the images).
    """
    stretch = n_in / n_out
    centres = (np.arange(n_out) + 0.5) * stretch - 0.5
    taps = np.arange(-n_in, 2 * n_in)  # farther than h reaches
    weights = _cubic((centres[:, None] - taps) / stretch)
    weights /= weights.sum(axis=1, keepdims=True)
    edge_clamp = taps.clip(0, n_in - 1)[:, None] == np.arange(n_in)
    return weights @ edge_clamp


def _cubic(x: NDArray[np.floating]) -> FloatArray:
    """Cubic convolution kernel with a = -1/2: R. G. Keys, IEEE Trans. ASSP 29 (1981) 1153-1160."""
    x = abs(x)
    inner = (1.5 * x - 2.5) * x**2 + 1
    outer = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return np.where(x <= 1, inner, np.where(x <= 2, outer, 0.0))


def load_data(path: str | Path, max_size: int = MAX_SIZE) -> Digits:
    """Read digits from a file in one of three formats, by its suffix.

    ``.mat`` holds X (m, n) and y with labels 1..10, where 10 stands for digit 0, as in the course's ``ex4data1.mat``.
    ``.npz`` holds X (m, n) and y with digits 0..9. ``.csv`` holds an example a row, its last column the digit 0..9;
    blank lines and comments (#) are skipped. Pixels are taken as they are. Pickled objects are never loaded. Neither
    the file nor one of its arrays in float64 may take more than `max_size` bytes.

    Raises FileNotFoundError where there is no file to read; ValueError where the suffix is another, the file is damaged
    or too large, or its numbers are not as above and finite.
    """
    path = Path(path)
    if path.suffix.lower() not in _FORMATS:
        raise ValueError(f"{path} has the suffix {path.suffix!r}; expected a .mat, .npz or .csv file")
    read, labels, expected = _FORMATS[path.suffix.lower()]
    raw = read_file(path, expected, max_size)
    try:
        X, y = read(raw, max_size)
        X = real_array("X", X, (2,), "of shape (m, n)")
        if not X.size:
            raise ValueError(f"X has shape {X.shape}, and needs a row and a column at least")
        return Digits(X, _labels(y, len(X), labels) % 10)
    except Exception as error:  # inside SciPy's and NumPy's parsers a damaged file can raise nearly anything
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{path} is damaged or malformed ({reason}); expected {expected}") from error


def _X_and_y(arrays: Mapping[str, Any]) -> tuple[Any, Any]:
    if missing := [name for name in ("X", "y") if name not in arrays]:
        present = ", ".join(name for name in arrays if not name.startswith("__")) or "no variables"
        raise ValueError(f"it holds {present} but not {' and '.join(missing)}")
    return arrays["X"], arrays["y"]


def _read_csv(raw: bytes, max_size: int) -> tuple[ArrayLike, ArrayLike]:
    size = 8 * (raw.count(b",") + raw.count(b"\n") + 1)
    if size > max_size:
        raise ValueError(too_large("its table", size, max_size))
    rows = [row for line in raw.decode("utf-8-sig").splitlines() if (row := line.partition("#")[0].strip())]
    if not rows:
        raise ValueError("it is empty")
    table = np.loadtxt(rows, delimiter=",", ndmin=2)
    return table[:, :-1], table[:, -1]


_FORMATS: dict[str, tuple[Callable[[bytes, int], Sequence[ArrayLike]], range, str]] = {
    ".mat": (
        lambda raw, most: [each.array(name, most) for name, each in zip("Xy", _X_and_y(read_mat(raw, most)))],
        range(1, 11),
        "X (m, n) and y of labels 1..10 (10 is digit 0), saved by MATLAB's save -v7",
    ),
    ".npz": (
        lambda *file: _X_and_y(npz_arrays(*file)),
        range(10),
        "numeric arrays X (m, n) and y of digits 0..9, saved by numpy.savez",
    ),
    ".csv": (_read_csv, range(10), "rows of comma-separated numbers, no header, the last number a digit 0..9"),
}


def _labels(y: ArrayLike, m: int, allowed: range) -> IntArray:
    y = real_array("y", y, (1, 2), "a label for each row of X", may_be_infinite=True)
    if y.shape not in {(m,), (m, 1), (1, m)}:
        raise ValueError(f"y has shape {y.shape}, not one label for each of the {m} rows of X")
    y = y.ravel()
    if (wrong := ~np.isin(y, allowed)).any():
        i = wrong.argmax()
        raise ValueError(f"y[{i}] is {y[i]:g}, not a label {allowed[0]}..{allowed[-1]}")
    return y.astype(np.int64)


HELD_OUT = 0.2  # of each class


def stratified_split(classes: IntArray, seed: int = 0) -> tuple[IntArray, IntArray]:
    """Numbers of examples to train with, and those of a fifth of every class to test with, chosen at random and sorted.

    Of two or more examples of a class at least one is in either part. A single one is kept for training. Raises
    ValueError where no class has two examples.
    """
    rng = np.random.default_rng(seed)
    test = np.zeros(len(classes), dtype=bool)
    for c in np.unique(classes):
        members = np.flatnonzero(classes == c)
        count = min(max(1, round(HELD_OUT * len(members))), len(members) - 1)  # 0 of a single member
        test[rng.choice(members, size=count, replace=False)] = True
    if not test.any():
        raise ValueError(f"no class has two of the {len(classes)} examples; give more, to keep some of a class aside")
    return np.flatnonzero(~test), np.flatnonzero(test)


def split_digits(digits: Digits, seed: int = 0) -> tuple[Digits, Digits]:
    """Digits to learn from, and a fifth of each kind that is held out."""
    learnt, held_out = map(digits.at, stratified_split(digits.classes, seed))
    return learnt, held_out
