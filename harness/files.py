"""Files: read up to a size limit, written whole or not at all, locked against other commands."""

import errno
import os
import secrets
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from weakref import WeakSet

from harness.seals import checksum
from harness.wording import counted

try:
    import fcntl
except ImportError:  # Windows has no such locks
    fcntl = None

MAX_SIZE = 2**30  # bytes that a file, or an array in a file, may take unless --max-size allows more

_PIECE = 2**20  # bytes to read at once
_PART = ".harness-part"
_LOCK = ".harness-lock"
_SCRATCH = "harness-scratch"

NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)  # what a file system answers that has no locks


def too_large(what: str, size: int, at_most: int) -> str:
    """The message that refuses something because of its size in bytes."""
    takes, allowed = _in_words(size), _in_words(at_most)
    if takes == allowed:
        takes, allowed = counted(size, "byte"), counted(at_most, "byte")
    return f"{what} takes {takes}, more than {allowed}; --max-size allows more"


def _in_words(size: int) -> str:
    return counted(size, "byte") if size < 10**6 else f"{size / 1e6:,.1f} MB"


def read_file(path: str | Path, expected: str, max_size: int = MAX_SIZE) -> bytes:
    """The content of an ordinary file. From a FIFO or a device, reading might never end.

    Raises OSError or ValueError when it cannot be read, or is larger than `max_size`. The message names the path and
    what is `expected` there.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path} is not an existing file; expected {expected}")
    with Path(path).open("rb") as file:
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

    Links are followed. Devices, FIFOs and the files of stdout and stderr are written to and not replaced. Raises
    OSError when the folder is missing or cannot be written to, a FIFO has no reader, or the path is not a file. The
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


def _cannot_write(path: str | Path, error: OSError) -> OSError:
    return type(error)(f"cannot write {path} ({error.strerror or error}); choose another place")


def _is_replaced(path: str | Path) -> bool:
    """Whether a path is, or will be, an ordinary file; False for devices and FIFOs, and an OSError for the rest."""
    try:
        mode = Path(path).stat().st_mode
    except FileNotFoundError:
        return True
    if stat.S_ISCHR(mode) or stat.S_ISFIFO(mode):
        return False
    if not stat.S_ISREG(mode):
        raise OSError("it is a folder" if stat.S_ISDIR(mode) else "it is no file")
    if not os.access(path, os.W_OK):
        raise PermissionError("it is read-only")
    return True


def _descriptor_of_what_stays(path: str | Path) -> int | None:
    """A descriptor of a device, a FIFO or the file of stdout or stderr; None for a file that is replaced."""
    for stream, fd in ((sys.stdout, 1), (sys.stderr, 2)):
        with suppress(OSError):
            if os.path.samestat(Path(path).stat(), os.fstat(fd)):
                stream.flush()
                return os.dup(fd)  # this descriptor has the position up to which the file is written
    if _is_replaced(path):
        return None
    # without O_NONBLOCK, a FIFO without a reader would block
    return os.open(path, os.O_WRONLY | getattr(os, "O_NONBLOCK", 0))


def _replace(path: Path, content: bytes) -> None:
    _remove_stale(path.parent, _PART)
    # In the same folder, since only within a file system is a file replaced in one step.
    part = path.with_name(f"{_PART}-{os.getpid()}-{secrets.token_hex(4)}")
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


def _remove_stale(folder: Path, kind: str) -> None:
    """Remove what processes left that were killed: parts of files that they wrote, and folders that they worked in."""
    for path in folder.glob(f"{kind}-*-*"):
        with suppress(OSError, ValueError):
            if not _is_running(int(path.name.split("-")[-2])):
                shutil.rmtree(path) if path.is_dir() else path.unlink()


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


_scratch_folders: WeakSet[tempfile.TemporaryDirectory[str]] = WeakSet()


def scratch_folder() -> tempfile.TemporaryDirectory[str]:
    """A temporary folder. If this process is killed, a later one removes it."""
    _remove_stale_folders(os.getpid())
    folder = tempfile.TemporaryDirectory(prefix=f"{_SCRATCH}-{os.getpid()}-", ignore_cleanup_errors=True)
    _scratch_folders.add(folder)
    return folder


def remove_scratch_folders() -> None:
    """Remove all folders that `scratch_folder` made, before an end that Python's own clearing up is no part of."""
    for folder in list(_scratch_folders):
        folder.cleanup()


@cache
def _remove_stale_folders(_: int) -> None:
    """Once in a process, because there may be very many temporary files."""
    _remove_stale(Path(tempfile.gettempdir()), _SCRATCH)


@contextmanager
def folder_to_fill(path: str | Path) -> Iterator[Path]:
    """The folder, made if need be, and locked against other commands. New folders that stay empty are removed.

    Raises OSError when it cannot be made or written to, or another command holds its lock.
    """
    made = [folder for folder in (Path(path), *Path(path).parents) if not folder.exists()]
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _cannot_write(path, error) from None
    try:
        with exclusive_lock(path):
            yield Path(path)
    finally:
        with suppress(OSError):  # a folder is not empty, or is gone already
            for folder in made:
                folder.rmdir()


@contextmanager
def file_to_fill(path: str | Path) -> Iterator[None]:
    """Refuse a place that cannot be written to, and keep other commands away from it. Nothing is written.

    Raises OSError as `write_whole`, or when another command holds its lock.
    """
    try:
        fd = _descriptor_of_what_stays(path)  # kept, because the reader of a FIFO ends when it is closed
    except OSError as error:
        raise _cannot_write(path, error) from None
    if fd is None:
        with exclusive_lock(path):
            yield
        return
    try:
        yield
    finally:
        os.close(fd)


@contextmanager
def exclusive_lock(path: str | Path) -> Iterator[None]:
    """Lock a file or folder against other commands.

    What is locked is an empty file in the folder, or beside the file, which may be replaced. It is removed afterwards,
    and so is a new file that stayed empty, as on a full disk. If the process is killed, the system releases the lock,
    and the next lock removes the empty file. Raises OSError when another command holds the lock, the file system has no
    locks, or the place cannot be written to.
    """
    place = Path(os.path.realpath(path))
    lock = place / _LOCK if place.is_dir() else place.with_name(f"{_LOCK}-{checksum(place.name.encode())}")
    handle, is_new = _locked(lock, path), not place.exists()
    try:
        yield
    finally:
        if is_new and place.is_file() and not place.stat().st_size:
            place.unlink()
        lock.unlink(missing_ok=True)
        os.close(handle)


def _locked(lock: Path, path: str | Path) -> int:
    """A descriptor of the lock's file, which holds the lock."""
    while True:
        try:
            handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise _cannot_write(path, error) from None
        try:
            if fcntl is not None:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Its last holder may have removed the file between `open` and `flock`. A lock on a file that is gone keeps
            # nobody out, so the next turn makes a new one.
            with suppress(FileNotFoundError):
                if os.path.samestat(lock.stat(), os.fstat(handle)):
                    return handle
        except BlockingIOError:
            os.close(handle)
            raise OSError(f"another command is writing to {path}; wait for it, or choose another place") from None
        except OSError as error:
            os.close(handle)
            lock.unlink(missing_ok=True)
            if error.errno not in NO_LOCKS:
                raise _cannot_write(path, error) from None
            raise OSError(
                f"{path} cannot be locked, because its file system has no locks ({error.strerror}); choose a place on "
                "another one"
            ) from None
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
