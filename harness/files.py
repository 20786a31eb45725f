"""Files that are written whole or not at all."""

import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows has no such locks
    fcntl = None


def write_whole(path: str | Path, content: bytes) -> None:
    """Write a file; a failure leaves what was there before, and nothing else.

    Raises
    ------
    OSError
        When the folder does not exist or cannot be written to; the message names the file.
    """
    path = Path(path)
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}")  # in the same folder, so that it can be renamed
    try:
        with part.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        raise type(error)(f"cannot write {path} ({error.strerror or error}); choose another place") from None
    finally:
        part.unlink(missing_ok=True)


def prepare_directory(path: str | Path) -> Path:
    """The folder, made if need be; an OSError says so if it cannot be made or no file can be written to it."""
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            return Path(path)
    except OSError as error:
        raise type(error)(f"cannot write to the folder {path} ({error.strerror or error}); choose another") from None


@contextmanager
def held_alone(path: str | Path) -> Iterator[None]:
    """A file or folder that no other command writes to meanwhile; a file is made, empty, if it is missing.

    The system releases what a process held that was killed.

    Raises
    ------
    OSError
        When another command holds it, or it cannot be written to.
    """
    path = Path(path)
    flags = os.O_RDONLY if path.is_dir() else os.O_RDWR | os.O_CREAT
    try:
        handle = os.open(path, flags, 0o666)
    except OSError as error:
        raise type(error)(f"cannot write {path} ({error.strerror or error}); choose another place") from None
    try:
        if fcntl is not None:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise OSError(f"another command is writing to {path}; wait for it, or choose another place") from None
    finally:
        os.close(handle)


def is_sqlite(path: Path) -> bool:
    """Whether a file begins as SQLite's do; False for one that cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(16) == b"SQLite format 3\0"
    except OSError:
        return False
