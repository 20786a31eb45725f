"""Settings of the whole process that foreign code changes, put back after it; and which source raised an exception."""

import inspect
import os
import pickle
import random
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import wraps
from typing import Any, NamedTuple, ParamSpec, TypeVar

import numpy as np

from harness.named_objects import raised_at
from harness.sources.source_table import Source, SourceFailed
from reference.user_input import error_in_words


class _Setting(NamedTuple):
    what: str
    get: Callable[[], Any]
    put_back: Callable[[Any], object]


def _numpy_random_state() -> bytes:
    # it holds an array, and == of two arrays is no truth value: bytes compare as one
    return pickle.dumps(np.random.get_state())  # noqa: NPY002  it is the caller's


def _put_back_numpy_random_state(state: bytes) -> None:
    np.random.set_state(pickle.loads(state))  # noqa: NPY002  it is the caller's


def _put_back_filters(filters: list[Any]) -> None:
    warnings.simplefilter("default")  # this also invalidates Python's memory of warnings that were shown
    warnings.filters[:] = filters  # pyright: ignore[reportIndexIssue]


def _put_back_environment(environment: dict[str, str]) -> None:
    os.environ.clear()
    os.environ.update(environment)


def _streams() -> list[tuple[Any, bool]]:
    """stdout and stderr, each with whether it can be written to."""
    return [(stream, stream is not None and not stream.closed) for stream in (sys.stdout, sys.stderr)]


def _put_back_streams(streams: list[tuple[Any, bool]]) -> None:
    """Put stdout and stderr back. One that was closed is opened anew, because Python leaves its descriptor open."""
    sys.stdout, sys.stderr = (
        _opened_anew(stream) if was_open and stream.closed else stream for stream, was_open in streams
    )


def _opened_anew(stream: Any) -> Any:
    with suppress(OSError, ValueError, AttributeError):  # it was no file
        fd = 2 if stream is sys.__stderr__ else 1
        return open(fd, "w", encoding=stream.encoding, errors=stream.errors, closefd=False)
    return stream


def _current_folder() -> str | None:
    with suppress(OSError):  # it has been removed
        return os.getcwd()  # noqa: PTH109  a string is compared faster
    return None


def _jax_settings() -> dict[str, Any]:
    jax: Any = sys.modules.get("jax")
    return dict(jax.config.values) if hasattr(jax, "config") else {}


def _put_back_jax_settings(values: dict[str, Any]) -> None:
    for name, value in _jax_settings().items():
        # a name that is not in `values` came with an import of JAX meanwhile
        if name in values and value != values[name]:
            sys.modules["jax"].config.update(name, values[name])


_SETTINGS = (
    _Setting("NumPy's error settings (np.seterr)", np.geterr, lambda settings: np.seterr(**settings)),
    _Setting("NumPy's random numbers (np.random.seed)", _numpy_random_state, _put_back_numpy_random_state),
    _Setting("Python's random numbers (random.seed)", random.getstate, random.setstate),
    _Setting("the filters of warnings", lambda: list(warnings.filters), _put_back_filters),
    _Setting("the environment", lambda: dict(os.environ), _put_back_environment),
    _Setting("stdout or stderr", _streams, _put_back_streams),
    _Setting("the current folder", _current_folder, lambda folder: os.chdir(folder) if folder else None),
    _Setting("Python's recursion limit", sys.getrecursionlimit, sys.setrecursionlimit),
    _Setting("JAX's settings", _jax_settings, _put_back_jax_settings),
)


class KeptSettings:
    """A ``with`` around code of a user: it puts back what was changed within, and lists it.

    A call of ``sys.exit()`` becomes a ValueError, because the exit code 0 would mean that all is right.
    """

    def __init__(self):
        self.changed: list[str] = []  # what was put back, such as "the current folder"

    def __enter__(self) -> "KeptSettings":
        self._before = [setting.get() for setting in _SETTINGS]
        return self

    def so_far(self) -> list[str]:
        """What has changed up to now; nothing is put back."""
        return [setting.what for setting, _ in self._changes()]

    def __exit__(self, _: object, error: BaseException | None, *rest: object) -> None:
        for setting, before in self._changes():
            setting.put_back(before)
            self.changed.append(setting.what)
        if isinstance(error, SystemExit):
            raise ValueError(f"sys.exit({error.code!r}) was called instead of an answer{raised_at(error)}") from error

    def _changes(self) -> Iterator[tuple[_Setting, Any]]:
        for setting, before in zip(_SETTINGS, self._before):
            # settings of JAX that were empty before it was imported have not changed
            if setting.get() != before and (before or setting.what != "JAX's settings"):
                yield setting, before


@contextmanager
def blamed(source: Source) -> Iterator[None]:
    """A ``with`` around a source's call: an exception goes on with a note that names the source and the line.

    Raises SourceFailed in place of what would end the program, such as ``sys.exit()``, whose exit code 0 would mean
    that sources agree.
    """
    try:
        yield
    except SystemExit as ended:
        what = f"source {source.name!r} called sys.exit({ended.code!r}) instead of answering{raised_at(ended)}"
        raise SourceFailed(what) from ended
    except (KeyboardInterrupt, SourceFailed):
        raise
    except Exception as error:
        error.add_note(f"raised by source {source.name!r}{raised_at(error)}")
        raise
    except BaseException as error:  # nothing but the end of the program may pass
        what = f"source {source.name!r} raised {error_in_words(error)}{raised_at(error)}"
        raise SourceFailed(what) from error


P = ParamSpec("P")
T = TypeVar("T")


def settings_kept(check: Callable[P, T]) -> Callable[P, T]:
    """A check after which all settings are as they were before it, whatever the checked code and its imports change.

    The arguments are bound first, so that a wrong call is reported as the caller's and not as the check's.
    """
    takes = inspect.signature(check)

    @wraps(check)
    def kept(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            takes.bind(*args, **kwargs)
        except TypeError as reason:
            raise TypeError(f"{check.__name__}() {reason}") from None
        with KeptSettings():
            return check(*args, **kwargs)

    return kept
