"""θ as files for NumPy, Octave and MATLAB."""

import io

import numpy as np
import pytest
from scipy.io import loadmat

from harness import Network
from harness.digits.theta_files import HEADER, mat, npz

NETWORK = Network((2, 3, 2))
THETA = NETWORK.init(0)


@pytest.mark.parametrize("written", [mat, npz])
def test_the_same_theta_makes_the_same_bytes_whenever_it_is(written, monkeypatch):
    at = {"now": written(NETWORK, THETA)}
    monkeypatch.setattr("time.asctime", lambda *_: "Thu Jan  1 00:00:00 1970")
    monkeypatch.setattr("time.time", lambda: 1e9)
    assert written(NETWORK, THETA) == at["now"]


def test_octave_reads_the_matrices_behind_a_header_that_tells_no_date():
    content = mat(NETWORK, THETA)
    assert content[:116] == HEADER.ljust(116)
    read = loadmat(io.BytesIO(content))
    for number, Theta in enumerate(NETWORK.unpack(THETA), start=1):
        np.testing.assert_array_equal(read[f"Theta{number}"], Theta)
