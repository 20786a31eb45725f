"""Files: read up to a size limit, written whole or not at all, locked against other commands."""

import os
import secrets
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows has no such locks
    fcntl = None

MAX_SIZE = 2**30  # bytes that a file, or an array in a file, may take unless --max-size allows more

_PIECE = 2**20  # bytes to read at once
_PART = ".harness-part"


def too_large(what: str, size: int, at_most: int) -> str:
    """The message that refuses something because of its size in bytes."""
    return f"{what} takes {_in_words(size)}, more than {_in_words(at_most)}; --max-size allows more"


def _in_words(size: int) -> str:
    return f"{size:,} bytes" if size < 10**6 else f"{size / 1e6:,.1f} MB"


def read_at_most(path: Path, max_size: int) -> bytes:
    """The content of a file.

    Raises
    ------
    OSError, ValueError
        When it cannot be read, or is larger. Then the rest is not read.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        pieces = []
        while size <= max_size and (piece := file.read(_PIECE)):
            pieces.append(piece)
            size = max(size, _PIECE * (len(pieces) - 1) + len(piece))  # the file may grow, and some files state no size
    if size > max_size:
        raise ValueError(too_large(str(path), size, max_size))
    return b"".join(pieces)


def write_whole(path: str | Path, content: bytes) -> None:
    """Write a file whole. A failure leaves the old file, and nothing else.

    Links are followed. Devices, FIFOs and the files of stdout and stderr are written to and not replaced.

    Raises
    ------
    OSError
        When the folder is missing or cannot be written to, a FIFO has no reader, or the path is not a file. The
        message names the path.
    """
    try:
        fd = _descriptor_of_what_stays(path)
        if fd is None:
            _replace(Path(path).resolve(), content)
        else:
            os.set_blocking(fd, True)
            with os.fdopen(fd, "wb") as file:
                file.write(content)
    except OSError as error:
        raise _cannot_write(path, error) from None


def require_place(path: str | Path) -> None:
    """Raise the OSError of `write_whole`, as far as that is known without writing."""
    try:
        mode = stat.S_IFREG
        with suppress(FileNotFoundError):
            mode = Path(path).stat().st_mode
            if stat.S_ISREG(mode) and not os.access(path, os.W_OK):
                raise PermissionError("it is read-only")
        if stat.S_ISREG(mode):
            with tempfile.TemporaryFile(dir=Path(path).resolve().parent):
                pass
    except OSError as error:
        raise _cannot_write(path, error) from None


def _cannot_write(path: str | Path, error: OSError) -> OSError:
    return type(error)(f"cannot write {path} ({error.strerror or error}); choose another place")


def _descriptor_of_what_stays(path: str | Path) -> int | None:
    """A descriptor of a device, a FIFO or the file of stdout or stderr; None for a file that is replaced."""
    try:
        found = Path(path).stat()
    except FileNotFoundError:
        return None
    for stream, fd in ((sys.stdout, 1), (sys.stderr, 2)):
        with suppress(OSError):
            if os.path.samestat(found, os.fstat(fd)):
                stream.flush()
                return os.dup(fd)  # this descriptor has the position up to which the file is written
    if stat.S_ISCHR(found.st_mode) or stat.S_ISFIFO(found.st_mode):
        # without O_NONBLOCK, a FIFO without a reader would block
        return os.open(path, os.O_WRONLY | getattr(os, "O_NONBLOCK", 0))
    if not stat.S_ISREG(found.st_mode):
        raise OSError("it is a folder" if stat.S_ISDIR(found.st_mode) else "it is no file")
    if not os.access(path, os.W_OK):
        raise PermissionError("it is read-only")
    return None


def _replace(path: Path, content: bytes) -> None:
    _remove_stale_parts(path.parent)
    part = path.with_name(f"{_PART}-{os.getpid()}-{secrets.token_hex(4)}")  # the same folder, to be renamed
    try:
        with part.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileNotFoundError):
            part.chmod(stat.S_IMODE(path.stat().st_mode))
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _remove_stale_parts(folder: Path) -> None:
    """Remove the parts left by processes that were killed while they wrote."""
    for part in folder.glob(f"{_PART}-*-*"):
        with suppress(OSError, ValueError):
            if not _is_running(int(part.name.split("-")[-2])):
                part.unlink()


def _is_running(pid: int) -> bool:
    if os.name != "posix":
        return True  # elsewhere, os.kill would end the process
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def prepare_directory(path: str | Path) -> Path:
    """The folder, made if need be. An OSError tells that it cannot be made or written to."""
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            return Path(path)
    except OSError as error:
        raise type(error)(f"cannot write to the folder {path} ({error.strerror or error}); choose another") from None


@contextmanager
def folder_to_fill(path: str | Path) -> Iterator[Path]:
    """The folder, made if need be. New folders that are still empty afterwards are removed.

    Raises
    ------
    OSError
        When it cannot be made or written to.
    """
    made = [folder for folder in (Path(path), *Path(path).parents) if not folder.exists()]
    try:
        yield prepare_directory(path)
    finally:
        with suppress(OSError):  # a folder is not empty, or is gone already
            for folder in made:
                folder.rmdir()


@contextmanager
def exclusive_lock(path: str | Path) -> Iterator[None]:
    """Lock a file or folder against other commands. A missing file is made, empty.

    If the process is killed, the system releases the lock.

    Raises
    ------
    OSError
        When another command holds the lock, or the path cannot be written to.
    """
    path = Path(path)
    flags = os.O_RDONLY if path.is_dir() else os.O_RDWR | os.O_CREAT
    try:
        handle = os.open(path, flags, 0o666)
    except OSError as error:
        raise _cannot_write(path, error) from None
    try:
        if fcntl is not None:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise OSError(f"another command is writing to {path}; wait for it, or choose another place") from None
    finally:
        os.close(handle)


def is_sqlite(path: Path) -> bool:
    """Whether a file begins as SQLite's files do; False if it cannot be read."""
    try:
        if not path.is_file():  # a FIFO would block
            return False
        with path.open("rb") as file:
            return file.read(16) == b"SQLite format 3\0"
    except OSError:
        return False
