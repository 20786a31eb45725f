"""A training's checkpoint: a file with everything that decides how it continues, replaced every few line searches.

A file that is damaged, or belongs to another training, is refused. A training is known by its stamp: the problem, θ at
the start, the source of the gradient, and the code with its libraries.
"""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np

from harness.array_files import npz_arrays
from harness.files import MAX_SIZE, read_file, write_whole
from harness.provenance import code_and_libraries, differences
from harness.seals import checksum, sealed, unsealed
from harness.training.fmincg import STATE, State
from reference.problem import Problem

EVERY = 5  # line searches between two writes: a second or two on the digits, of which writing takes a hundredth

SCHEMA = "harness.checkpoint/2"  # version 2: a checksum


class Checkpoint:
    """The file of one training, written after `every` so many line searches."""

    def __init__(self, path: str | Path, every: int = EVERY) -> None:
        self.path, self.every = Path(path), every
        self.trace: list[tuple[float, ...]] = []  # a row for each line search; the caller appends to it

    def save(self, state: State, stamp: dict[str, str]) -> None:
        """Replace the file.

        Raises OSError where it cannot be written. The old file is then still there.
        """
        file = io.BytesIO()
        arrays: dict[str, Any] = {"trace": np.array(self.trace, dtype=np.float64), **state}
        seal = sealed(SCHEMA, {"stamp": stamp, "arrays": _digests(arrays)})
        np.savez(file, seal=seal, **arrays)
        write_whole(self.path, file.getvalue())

    def load(self, stamp: dict[str, str]) -> State:
        """The state that the same training saved; its `trace` is filled from the file.

        Raises ValueError where the file is damaged, no checkpoint, or of another training; OSError where it cannot be
        read.
        """
        content = read_file(self.path, "a checkpoint of harness train")
        try:
            saved = npz_arrays(content, MAX_SIZE)
            arrays, seal = {name: saved[name] for name in ("trace", *STATE)}, saved["seal"].item()
        except Exception:  # noqa: BLE001  a damaged archive raises nearly anything, and NumPy would advise to unpickle
            what = f"{self.path} is damaged, or no checkpoint of harness train; choose another file"
            raise ValueError(what) from None
        was = unsealed(self.path, seal, SCHEMA)
        if was["arrays"] != _digests(arrays):
            raise ValueError(f"{self.path} is damaged: its arrays have other checksums; choose another file")
        if apart := differences(stamp, was["stamp"]):
            raise ValueError(f"{self.path} is of another training ({'; '.join(apart)}); choose another file")
        self.trace[:] = [tuple(row) for row in arrays.pop("trace").tolist()]
        return arrays


def _digests(arrays: State) -> dict[str, str]:
    """The checksum of each array, with its type and shape."""
    return {name: checksum(f"{array.dtype} {array.shape}".encode(), array.tobytes()) for name, array in arrays.items()}


def stamp_of(problem: Problem, theta: np.ndarray, source: str) -> dict[str, str]:
    """What decides a training, each as JSON: the problem, where it starts, the source of its gradient, and the code."""
    network = problem.network
    what: dict[str, Any] = {
        "sizes": list(network.sizes),
        "hidden": [f.name for f in network.hidden],
        "output": network.output.name,
        "l2": problem.l2,
        "source": source,
        "data": checksum(problem.X.tobytes(), problem.Y.tobytes()),
        "initial theta": checksum(theta.tobytes()),
    }
    return {name: json.dumps(value) for name, value in what.items()} | code_and_libraries()
