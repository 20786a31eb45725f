"""A training's checkpoint: a file with all that decides how it goes on, written whole every few line searches."""

import hashlib
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from harness.files import write_whole
from harness.provenance import code_and_libraries, differences
from harness.training.fmincg import STATE, State
from reference.problem import Problem

EVERY = 5  # line searches: a second or two on the digits, and a hundredth of the time they take


class Checkpoint:
    """The file of one training.

    Parameters
    ----------
    path : path
    every : int
        How many line searches it takes to write it anew.

    Attributes
    ----------
    trace : list of tuples of float
        What the caller notes down of each line search, kept with the state.
    """

    def __init__(self, path: str | Path, every: int = EVERY) -> None:
        self.path, self.every = Path(path), every
        self.trace: list[tuple[float, ...]] = []

    def save(self, state: State, stamp: dict[str, str]) -> None:
        """Replace the file; an OSError if that is impossible, and then the old one is still there."""
        file = io.BytesIO()
        arrays: dict[str, Any] = {"stamp": json.dumps(stamp), "trace": np.array(self.trace, dtype=np.float64), **state}
        np.savez(file, **arrays)
        write_whole(self.path, file.getvalue())

    def load(self, stamp: dict[str, str]) -> State:
        """The state that was saved, and its `trace`, if it was saved by the same training.

        Raises
        ------
        ValueError
            When the file is damaged, no checkpoint, or of another training.
        OSError
            When it cannot be read.
        """
        content = self.path.read_bytes()
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as saved:
                was, trace = json.loads(str(saved["stamp"])), saved["trace"]
                state = {name: saved[name] for name in STATE}
        except (ValueError, KeyError, EOFError, zipfile.BadZipFile):  # NumPy would advise to unpickle it
            what = f"{self.path} is damaged, or no checkpoint of harness train; choose another file"
            raise ValueError(what) from None
        if apart := differences(stamp, was):
            raise ValueError(f"{self.path} is of another training ({'; '.join(apart)}); choose another file")
        self.trace[:] = [tuple(row) for row in trace.tolist()]
        return state


def stamp_of(problem: Problem, theta: np.ndarray, source: str) -> dict[str, str]:
    """What decides a training: the problem, where it starts, the source of its gradient, and the code."""
    network = problem.network
    what: dict[str, Any] = {
        "sizes": list(network.sizes),
        "hidden": [f.name for f in network.hidden],
        "output": network.output.name,
        "l2": problem.l2,
        "source": source,
        "data": _digest(problem.X, problem.Y),
        "initial theta": _digest(theta),
    }
    return {name: json.dumps(value) for name, value in what.items()} | code_and_libraries()


def _digest(*arrays: np.ndarray) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]
