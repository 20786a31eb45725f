"""A submission loaded and called in a process of its own, and the arguments that its calls change in place."""

import io
import os
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any
from weakref import WeakSet

import numpy as np

from harness.digits.digits_data import load_digits
from harness.facts.fact import Fact, doubt, note, wrong
from harness.facts.kinds import Kind
from harness.files import scratch_folder
from harness.grading.parameter_roles import Function
from harness.grading.submission_code import tried_imports
from harness.grading.submission_files import DATA, Submission
from harness.grading.submission_loader import DATA_FOLDER
from harness.isolation import Outcome, Sandbox, Worker
from harness.isolation.values import differ
from harness.wording import counted
from reference.network import Network

LOADER = "harness.grading.submission_loader"  # the module in the child that loads and calls the submission's files

NOT_HANDED_IN = "NotHandedIn"  # the loader's exception that names something which is not there

LOADING = 30.0
"""Seconds of CPU time for running a file: its imports may take long, and are nobody's fault.

TensorFlow or PyTorch take several seconds from a cold disk. A file that trains when it is imported takes minutes.
"""

COURSE_SIZES = (400, 25, 10)

course_digits = cache(load_digits)

LARGEST_DATA_FILE = 30_000_000
"""Bytes of a data file that is still copied into a sandbox: twice the size of the course's."""

_WORKERS: WeakSet[Worker] = WeakSet()


def interrupt_all() -> None:
    """End the processes of all submissions; every call that waits for an answer fails."""
    for worker in list(_WORKERS):
        worker.interrupt()


@dataclass(eq=False)
class CallFailed(Exception):
    """A call gave no answer."""

    fact: Fact
    # as `harness.isolation.Outcome.kind`; "answered" where the value was no cost and no gradient
    outcome: str = "raised"
    error: str = ""  # the name of the exception's type, where one was raised
    lines: tuple[int, ...] = ()  # where it happened, if that is known: of each call that led there, the outermost first
    is_loading: bool = False  # whether the file itself failed, so that nothing in it can be called

    def with_data(self, **data: Any) -> "CallFailed":
        """The same failure with more said of it, and no traceback, whose frames keep 16 MB of digits each."""
        return replace(self, fact=replace(self.fact, data={**self.fact.data, **data}))

    @property
    def is_fatal(self) -> bool:
        """Whether it is no use to call again."""
        return self.is_loading or self.outcome in ("timed out", "died", "exited")

    @property
    def is_missing_name(self) -> bool:
        """Whether a name is missing, which no other way of calling supplies."""
        return self.error in ("NameError", "UnboundLocalError", NOT_HANDED_IN)

    @property
    def is_futile(self) -> bool:
        """Whether no other way of calling the function helps.

        A recursion without an end is one of the code, whatever the arguments: no homework recurses over its data.
        """
        return self.is_fatal or self.is_missing_name or self.error == "RecursionError"

    @property
    def is_not_applicable(self) -> bool:
        """Whether a source declares that the problem is not for it."""
        return self.error == "NotApplicable"


@dataclass(frozen=True, eq=False)
class Returned:
    """What a call returned; the arguments as they were; and those changed in place, by position, as it left them."""

    value: Any
    given: Sequence[Any] = ()
    left: Mapping[int, Any] = field(default_factory=dict)

    def change(self, function: Function, *, spoils: bool) -> Fact:
        """Which arguments of a function changed, and by how much: wrong, if that makes the next answer wrong."""
        names = [function.parameters[i] if i < len(function.parameters) else f"argument {i + 1}" for i in self.left]
        changes = [_describe_change(self.given[i], now) for i, now in self.left.items()]
        fact = wrong if spoils else note
        return fact(Kind.ARGUMENT_CHANGED, function.author_name, argument=names, changes=changes, spoils=spoils)


def _describe_change(before: Any, after: Any) -> str:
    """How an array, or the first array of a list that differs, was changed: "by up to 0.5, in 3 of 85 entries"."""
    if not isinstance(before, np.ndarray):
        changed = [pair for pair in zip(before, after) if differ(*pair)]
        return _describe_change(*changed[0]) if changed else f"from {counted(len(before), 'item')} to {len(after)}"
    if before.shape != np.shape(after):
        return f"from shape {before.shape} to {np.shape(after)}"
    changed = before != after
    largest = np.abs(after - before)[changed].max() if changed.any() else 0.0
    return f"by up to {largest:.3g}, in {int(changed.sum())} of {before.size:,} entries"


class SubmissionProcess:
    """A submission in a process of its own, with copies of its files in a folder that goes with it."""

    def __init__(
        self,
        submission: Submission,
        timeout: float,  # seconds of CPU time for each call
        *,
        data: Path | None = None,  # a folder with data files that submissions read
        with_needed: bool = False,  # whether files also run what sets names that functions read, with the data there
        module: str = "",  # called in the place of the submission's files, which are then read for signatures only
        sandbox: bool = False,  # whether it runs in a sandbox, in which the folder with its neighbours is hidden
    ):
        self.submission, self._module, self._package = submission, module, ""
        self._failed: dict[str, Outcome] = {}
        self._loaded: set[str] = set()
        self._folder = scratch_folder()
        if module:
            self._worker = Worker(module, timeout=timeout)
        else:
            folder = Path(self._folder.name).resolve()
            self._write_files(folder)
            if with_needed:
                _put_data((submission.path, data), folder / DATA_FOLDER, copied=sandbox)
            optional = tuple({name for file in submission.files for name in tried_imports(file.tree)})
            prepare = (
                ("os:chdir", (str(folder / DATA_FOLDER),)),  # ``loadmat("ex4data1.mat")`` looks in the working folder
                (f"{LOADER}:prepare", (str(folder), optional, with_needed, self._package)),
            )
            walls = Sandbox((str(folder),), (str(submission.path.parent.resolve()),)) if sandbox else None
            self._worker = Worker(LOADER, timeout=timeout, prepare=prepare, home=folder, sandbox=walls)
        _WORKERS.add(self._worker)

    def _write_files(self, folder: Path) -> None:
        """Copies of the submission's files, under the names by which they import each other."""
        for file in self.submission.files:
            if not file.error:
                (folder / file.name).parent.mkdir(parents=True, exist_ok=True)
                (folder / file.name).write_text(file.text, encoding="utf-8", errors="surrogateescape")
        (folder / DATA_FOLDER).mkdir(exist_ok=True)
        # the folder is a package: its modules import each other by its name, as ``from smith.sigmoid import sigmoid``
        if (folder / "__init__.py").exists():
            name = self.submission.name
            self._package = name if name.isidentifier() else "submission"
            (folder / self._package).symlink_to(folder)

    def call(self, function: Function, *arguments: Any) -> Returned:
        """Call a function; or `CallFailed`: it raised, ended the process, was too slow, or its file cannot be run."""
        if self._module:
            outcome, own_arguments = self._worker.call(function.name, *arguments), 0
        else:
            self._load(function)
            outcome = self._worker.call("call", function.file, function.name, *arguments)
            own_arguments = 2  # of the loader: file and name
        if outcome.kind in ("died", "timed out") or not self._worker.is_running:
            self._loaded.clear()  # the next call starts another process
        if outcome.kind != "answered":
            raise self._failure(function, outcome)
        left = {place - own_arguments: now for place, now in outcome.changed.items()}
        return Returned(outcome.value, arguments if left else (), left)

    def _load(self, function: Function) -> None:
        """Run the file of a function, unless that was done; what failed is not tried again."""
        if function.file in self._loaded:
            return
        if function.file not in self._failed:
            outcome = self._worker.call("load", function.file, timeout=max(LOADING, self._worker.timeout))
            if outcome.kind == "answered":
                self._loaded.add(function.file)
                return
            self._loaded.clear()
            self._failed[function.file] = outcome
        raise self._failure(function, self._failed[function.file], is_loading=True)

    def _failure(self, function: Function, outcome: Outcome, *, is_loading: bool = False) -> CallFailed:
        """What came of a call: what is missing, or else the event and its line."""
        where, name = (), function.author_name
        if place := outcome.place:
            file = self.submission.file(place.file.removeprefix(f"{self._package}/"))
            where = (f"{file.place(place.line)} of {file.shown}: {place.text}",)
        if outcome.error == NOT_HANDED_IN:
            missing, _, source = outcome.what.partition(": ")[2].partition(", from ")
            fact = doubt(Kind.NOT_HANDED_IN, *where, missing=missing, source=source)
        else:
            event = f"raised {outcome.what}" if outcome.kind == "raised" else outcome.what
            fact = doubt(Kind.CALL_FAILED, *where, function="" if is_loading else name, event=event)
        return CallFailed(fact, outcome.kind, outcome.error, place.lines if place else (), is_loading)

    def restart(self) -> None:
        """End the process: the next call starts another one, in which nothing is left of earlier calls."""
        self._worker.close()
        self._loaded.clear()

    def close(self) -> None:
        """End the process and remove its folder."""
        self._worker.close()
        self._folder.cleanup()


def _put_data(places: Sequence[Path | None], folder: Path, *, copied: bool) -> None:
    """Links to, or copies of, the data files of a submission, its neighbours and its teacher, and the course's."""
    for place in filter(None, places):
        for file in place.rglob("*") if place.is_dir() else place.parent.iterdir():
            if file.suffix in DATA and file.is_file() and not (copied and file.stat().st_size > LARGEST_DATA_FILE):
                with suppress(FileExistsError):
                    (shutil.copy if copied else os.symlink)(file.resolve(), folder / file.name)
    for name, content in _course_data().items():
        if not (folder / name).exists():
            (folder / name).write_bytes(content)


@cache
def _course_data() -> Mapping[str, bytes]:
    """The course's data under its names: the digits, and weights of the sizes of its own."""
    from scipy.io import savemat

    digits, network = course_digits(), Network(COURSE_SIZES)
    weights = dict(zip(("Theta1", "Theta2"), network.unpack(network.init(0))))
    contents = {"data1": {"X": digits.X, "y": (digits.classes[:, np.newaxis] + 1).astype(np.uint8)}, "weights": weights}
    written = {}
    for name, content in contents.items():
        savemat(file := io.BytesIO(), content)
        written |= {f"ex{number}{name}.mat": file.getvalue() for number in (3, 4)}
    return written
