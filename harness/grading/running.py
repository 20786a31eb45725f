"""A submission loaded and called in a process of its own, and the arguments that it changes in place."""

import io
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from weakref import WeakSet

import numpy as np

from harness.digits.data import load_digits
from harness.grading.calling.signatures import Function
from harness.grading.reading import DATA, Submission
from harness.isolation import Outcome, Worker
from harness.isolation.values import differ
from harness.wording import counted

MOST_DATA = 30_000_000  # bytes of a data file that is copied for a submission that reads it


SPOILS = ", and so answers something else when it is called again with the same arrays; work on a copy"
SPOILS_NOTHING = ", which its caller may not expect; work on a copy"

_WORKERS: WeakSet[Worker] = WeakSet()


def interrupt_all() -> None:
    """End the processes of all submissions: who waits for an answer is told that they died."""
    for worker in list(_WORKERS):
        worker.interrupt()


class Failed(Exception):
    """Why a call gave no answer, as a sentence about the submission."""

    def __init__(
        self,
        why: str,
        fatal: bool = False,
        missing_name: bool = False,
        does_not_apply: bool = False,
        answered: bool = False,
        loading: bool = False,
    ):
        super().__init__(why)
        self.answered = answered  # something that is no cost and no gradient
        self.does_not_apply = does_not_apply  # it says so itself
        self.fatal = fatal  # whether it is no use to try again
        self.loading = loading  # the file, so that nothing in it can be called
        self.missing_name = missing_name


class Process:
    """A submission in a process of its own, with copies of its files in a folder that goes with it."""

    def __init__(self, submission: Submission, timeout: float, whole: bool = False):
        self.submission = submission
        self._folder = tempfile.TemporaryDirectory(prefix="harness-grade-", ignore_cleanup_errors=True)
        folder = Path(self._folder.name)
        for name, text in submission.whole if whole else submission.texts:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")
        if whole:
            _bring_data(submission.home, folder)
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
        loading = loaded.kind != "answered"
        raise Failed(
            self._sentence(name, outcome, loading),
            loading=loading,
            fatal=outcome.kind in ("timed out", "died", "exited") or loading,
            missing_name=outcome.error in ("NameError", "UnboundLocalError"),
            does_not_apply=outcome.error == "NotApplicable",
        )

    def _sentence(self, name: str, outcome: Outcome, loading: bool) -> str:
        called = next((function.called for function in self.submission.functions if function.name == name), name)
        doing = "running the file" if loading else f"calling {called}"
        place = outcome.place
        at = ""
        if place is not None:
            own = place.file == self.submission.main
            where = self.submission.where(place.line) if own else f"line {place.line}"
            file = self.submission.name if own and not self.submission.path.is_dir() else place.file
            at = f" ({where} of {file}: {place.text})"
        what = {"answered": "", "raised": f"raised {outcome.what}"}.get(outcome.kind, outcome.what)
        return f"{doing}, it {what}{at}"

    def close(self) -> None:
        self.worker.close()
        self._folder.cleanup()


def _bring_data(home: Path, folder: Path) -> None:
    """The data files beside a submission, and the course's, so that code that reads them runs."""
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


@dataclass(frozen=True, eq=False)
class Changes:
    """A call that changed arguments in place.

    Attributes
    ----------
    function : the name of the function that was called
    given : the arguments, as they were
    left : by their place, those that were changed, as the call left them
    """

    function: str
    given: Sequence[Any]
    left: Mapping[int, Any]

    @property
    def afterwards(self) -> list[Any]:
        """The arguments as they are for who calls again with the same objects."""
        return [self.left.get(place, argument) for place, argument in enumerate(self.given)]

    def described(self, function: Function) -> str:
        """Which argument, and by how much: "f changes theta in place (by up to 0.5, in 3 of 43 entries)"."""
        names = [function.parameters[i] if i < len(function.parameters) else f"argument {i + 1}" for i in self.left]
        told = [f"{name} in place ({_how_much(self.given[i], self.left[i])})" for name, i in zip(names, self.left)]
        return f"{function.called} changes {' and '.join(told)}"


def _how_much(before: Any, after: Any) -> str:
    if not isinstance(before, np.ndarray):
        pairs = list(zip(before, after))
        changed = [(i, pair) for i, pair in enumerate(pairs, start=1) if differ(*pair)]
        if len(before) != len(after) or not changed:
            return f"from {counted(len(before), 'item')} to {len(after)}"
        return "; ".join(f"number {i} of {len(before)}: {_how_much(*pair)}" for i, pair in changed)
    after = np.asarray(after)
    if before.shape != after.shape:
        return f"from shape {before.shape} to {after.shape}"
    changed = before != after
    largest = np.abs(after[changed] - before[changed]).max() if changed.any() else 0.0
    return f"by up to {largest:.3g}, in {int(changed.sum())} of {before.size:,} entries"
