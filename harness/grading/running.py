"""A submission loaded and called in a process of its own."""

import io
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Any
from weakref import WeakSet

import numpy as np

from harness.digits.data import load_digits
from harness.grading.in_place import Changes
from harness.grading.reading import Submission
from harness.isolation import Outcome, Worker

DATA = (".mat", ".npz", ".npy", ".csv", ".txt")
MOST_DATA = 30_000_000  # bytes of a data file that is copied for a submission that reads it


_WORKERS: WeakSet[Worker] = WeakSet()


def interrupt_all() -> None:
    """End the processes of all submissions: who waits for an answer is told that they died."""
    for worker in list(_WORKERS):
        worker.interrupt()


class Failed(Exception):
    """Why a call gave no answer, as a sentence about the submission."""

    def __init__(self, why: str, fatal: bool = False, missing_name: bool = False, does_not_apply: bool = False):
        super().__init__(why)
        self.does_not_apply = does_not_apply  # it says so itself
        self.fatal = fatal  # whether it is no use to try again
        self.missing_name = missing_name


class Process:
    """A submission in a process of its own, with copies of its files in a folder that goes with it."""

    def __init__(self, submission: Submission, timeout: float, whole: bool = False):
        self.submission = submission
        self._folder = tempfile.TemporaryDirectory(prefix="harness-grade-", ignore_cleanup_errors=True)
        folder = Path(self._folder.name)
        for name, text in submission.whole if whole else submission.texts:
            (folder / name).write_text(text, encoding="utf-8")
        if whole:
            _bring_data(submission.path, folder)
        prepare = (("os:chdir", (str(folder),)),) if whole else ()
        self.changes: list[Changes] = []  # of arguments, by all calls since it was emptied
        self.worker = Worker(folder / submission.main, timeout=timeout, prepare=prepare)
        _WORKERS.add(self.worker)

    def call(self, name: str, *arguments: Any) -> Any:
        """What a function answers.

        Raises
        ------
        Failed
        """
        loaded = self.worker.load()
        outcome = loaded if loaded.kind != "answered" else self.worker.call(name, *arguments)
        if outcome.kind == "answered":
            if outcome.changed:
                self.changes.append(Changes(name, arguments, outcome.changed))
            return outcome.value
        raise Failed(
            self._sentence(name, outcome, loading=loaded.kind != "answered"),
            fatal=outcome.kind in ("timed out", "died", "exited") or loaded.kind != "answered",
            missing_name=outcome.error in ("NameError", "UnboundLocalError"),
            does_not_apply=outcome.error == "NotApplicable",
        )

    def _sentence(self, name: str, outcome: Outcome, loading: bool) -> str:
        doing = "running the file" if loading else f"calling {name}"
        place = outcome.place
        at = ""
        if place is not None:
            own = self.submission.where(place.line) if place.file == self.submission.main else f"line {place.line}"
            at = f" ({own} of {place.file if not self.submission.cells else self.submission.name}: {place.text})"
        what = {"answered": "", "raised": f"raised {outcome.what}"}.get(outcome.kind, outcome.what)
        return f"{doing}, it {what}{at}"

    def close(self) -> None:
        self.worker.close()
        self._folder.cleanup()


def _bring_data(path: Path, folder: Path) -> None:
    """The data files beside a submission, and the course's, so that code that reads them runs."""
    home = path if path.is_dir() else path.parent
    for file in home.iterdir():
        if file.suffix in DATA and file.is_file() and file.stat().st_size <= MOST_DATA:
            shutil.copy(file, folder / file.name)
    if not (folder / "ex4data1.mat").exists():
        (folder / "ex4data1.mat").write_bytes(_course_data())


@cache
def _course_data() -> bytes:
    from scipy.io import savemat

    digits, file = load_digits(), io.BytesIO()
    savemat(file, {"X": digits.X, "y": (digits.classes[:, np.newaxis] + 1).astype(np.uint8)})
    return file.getvalue()
