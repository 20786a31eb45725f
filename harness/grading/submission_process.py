"""A submission loaded and called in a process of its own, and the arguments that its calls change in place."""

import io
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any
from weakref import WeakSet

import numpy as np

from harness.digits.digits_data import load_digits
from harness.facts.fact import Fact, Severity, doubt, note
from harness.facts.kinds import Kind
from harness.grading.submission_files import DATA, Submission
from harness.grading.submission_functions import Function
from harness.isolation import Outcome, Worker
from harness.isolation.values import differ
from harness.wording import counted

LARGEST_DATA_FILE = 30_000_000
"""Bytes of a data file that is still copied for a submission that reads it: twice the size of the course's."""

_WORKERS: WeakSet[Worker] = WeakSet()


def interrupt_all() -> None:
    """End the processes of all submissions; every call that waits for an answer fails."""
    for worker in list(_WORKERS):
        worker.interrupt()


class CallFailed(Exception):
    """A call gave no answer.

    Attributes
    ----------
    fact : what happened: CALL_FAILED, NOT_AN_ANSWER or GRADIENT_SHAPE
    outcome : as `harness.isolation.Outcome.kind`; "answered" where the value was no cost and no gradient
    error : the name of the exception's type, where one was raised
    is_loading : whether the file itself failed, so that nothing in it can be called
    """

    def __init__(self, fact: Fact, outcome: str = "raised", error: str = "", *, is_loading: bool = False):
        super().__init__(fact, outcome, error)
        self.fact, self.outcome, self.error, self.is_loading = fact, outcome, error, is_loading

    def on(self, exercise: str) -> "CallFailed":
        """The same failure, with the name of the exercise on which the call failed."""
        fact = replace(self.fact, data={**self.fact.data, "exercise": exercise})
        return CallFailed(fact, self.outcome, self.error, is_loading=self.is_loading)

    @property
    def is_fatal(self) -> bool:
        """Whether it is no use to call again."""
        return self.is_loading or self.outcome in ("timed out", "died", "exited")

    @property
    def is_missing_name(self) -> bool:
        """Whether a name is missing, which no other way of calling supplies."""
        return self.error in ("NameError", "UnboundLocalError")

    @property
    def is_not_applicable(self) -> bool:
        """Whether a source declares that the problem is not for it."""
        return self.error == "NotApplicable"


@dataclass(frozen=True, eq=False)
class ChangedArguments:
    """A call that changed arguments in place.

    Attributes
    ----------
    function : the name of the function that was called
    given : the arguments as they were
    left : by position, the arguments that were changed, as the call left them
    """

    function: str
    given: Sequence[Any]
    left: Mapping[int, Any]

    @property
    def afterwards(self) -> list[Any]:
        """The arguments of a caller who calls again with the same objects."""
        return [self.left.get(place, argument) for place, argument in enumerate(self.given)]

    def fact(self, function: Function) -> Fact:
        """Which arguments changed, and by how much, as a note."""
        names = [function.parameters[i] if i < len(function.parameters) else f"argument {i + 1}" for i in self.left]
        changes = [_describe_change(self.given[i], now) for i, now in self.left.items()]
        return note(Kind.ARGUMENT_CHANGED, function.author_name, argument=names, changes=changes, spoils=False)


def as_spoiling(change: Fact) -> Fact:
    """The same change as something wrong: it makes the next answer wrong."""
    return replace(change, severity=Severity.WRONG, data={**change.data, "spoils": True})


def _describe_change(before: Any, after: Any) -> str:
    if not isinstance(before, np.ndarray):
        pairs = list(zip(before, after))
        changed = [(i, pair) for i, pair in enumerate(pairs, start=1) if differ(*pair)]
        if len(before) != len(after) or not changed:
            return f"from {counted(len(before), 'item')} to {len(after)}"
        return "; ".join(f"number {i} of {len(before)}: {_describe_change(*pair)}" for i, pair in changed)
    after = np.asarray(after)
    if before.shape != after.shape:
        return f"from shape {before.shape} to {after.shape}"
    changed = before != after
    largest = np.abs(after[changed] - before[changed]).max() if changed.any() else 0.0
    return f"by up to {largest:.3g}, in {int(changed.sum())} of {before.size:,} entries"


@dataclass(frozen=True, eq=False)
class Returned:
    """What a call returned, and the arguments that it changed, if any."""

    value: Any
    changes: tuple[ChangedArguments, ...] = ()


class SubmissionProcess:
    """A submission in a process of its own, with copies of its files in a folder that goes with it.

    Parameters
    ----------
    timeout : seconds for each call, and for running the file
    whole : whether all of the file is run, with the data beside it, or its definitions alone
    module : what is called in the place of the submission's files, which are then read for signatures only
    """

    def __init__(self, submission: Submission, timeout: float, *, whole: bool = False, module: str = ""):
        self.submission = submission
        self._folder = tempfile.TemporaryDirectory(prefix="harness-grade-", ignore_cleanup_errors=True)
        folder = Path(self._folder.name)
        for name, text in submission.whole if whole else submission.texts:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")
        if whole:
            _copy_data(submission.home, folder)
        prepare = (("os:chdir", (str(folder),)),) if whole else ()  # where its data lies
        self._worker = Worker(module or folder / submission.main, timeout=timeout, prepare=prepare)
        _WORKERS.add(self._worker)

    def call(self, name: str, *arguments: Any) -> Returned:
        """Call a function by its name.

        Raises
        ------
        CallFailed
            It raised, ended the process or did not answer in time; or the file could not be run.
        """
        loaded = self._worker.load()
        is_loading = loaded.kind != "answered"
        outcome = loaded if is_loading else self._worker.call(name, *arguments)
        if outcome.kind != "answered":
            fact = self._failure(name, outcome, is_loading=is_loading)
            raise CallFailed(fact, outcome.kind, outcome.error, is_loading=is_loading)
        changes = (ChangedArguments(name, arguments, outcome.changed),) if outcome.changed else ()
        return Returned(outcome.value, changes)

    def _failure(self, name: str, outcome: Outcome, *, is_loading: bool) -> Fact:
        called = next((function.author_name for function in self.submission.functions if function.name == name), name)
        event = f"raised {outcome.what}" if outcome.kind == "raised" else outcome.what
        where = ()
        if place := outcome.place:
            is_own = place.file == self.submission.main
            line = self.submission.place(place.line) if is_own else f"line {place.line}"
            file = self.submission.name if is_own and not self.submission.path.is_dir() else place.file
            where = (f"{line} of {file}: {place.text}",)
        return doubt(Kind.CALL_FAILED, *where, function="" if is_loading else called, event=event)

    def close(self) -> None:
        """End the process and remove its folder."""
        self._worker.close()
        self._folder.cleanup()


def _copy_data(home: Path, folder: Path) -> None:
    """The data files beside a submission, and the course's, for code that reads them."""
    for file in home.iterdir():
        if file.suffix in DATA and file.is_file() and file.stat().st_size <= LARGEST_DATA_FILE:
            shutil.copy(file, folder / file.name)
    if not (folder / "ex4data1.mat").exists():
        (folder / "ex4data1.mat").write_bytes(_course_data())


@cache
def _course_data() -> bytes:
    from scipy.io import savemat

    digits, file = load_digits(), io.BytesIO()
    savemat(file, {"X": digits.X, "y": (digits.classes[:, np.newaxis] + 1).astype(np.uint8)})
    return file.getvalue()
