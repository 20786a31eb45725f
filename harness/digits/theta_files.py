"""θ as the contents of files: for NumPy, and for Octave and MATLAB."""

import io

import numpy as np

from reference.network import Network

HEADER = b"MATLAB 5.0 MAT-file, written by autodiff-cross-check"
"""Instead of the usual one, which tells the date: the same θ makes the same bytes."""


def npz(network: Network, theta: np.ndarray) -> bytes:
    """θ with the network's sizes, hidden activations and output, for `numpy.load`."""
    file = io.BytesIO()
    hidden = np.array([f.name for f in network.hidden], dtype=str)
    np.savez(file, theta=theta, sizes=network.sizes, hidden=hidden, output=network.output.name)
    return file.getvalue()


def mat(network: Network, theta: np.ndarray) -> bytes:
    """Theta1, Theta2, ... for Octave and MATLAB, as in the course's ``ex4weights.mat``.

    Row k of the last Theta, counted from 1, stands for the course's label k (10 is the digit 0), as in
    `Digits.classes`, so that the course's ``predict.m`` needs no change.
    """
    from scipy.io import savemat

    file = io.BytesIO()
    savemat(file, {f"Theta{layer}": Theta for layer, Theta in enumerate(network.unpack(theta), start=1)})
    return HEADER.ljust(116) + file.getvalue()[116:]
