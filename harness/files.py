"""Files that are read up to a size, and written whole or not at all."""

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

MAX_SIZE = 2**30  # bytes that a file, or an array from one, may take unless more are allowed

_PIECE = 2**20  # bytes that are read at once
_PART = ".harness-part"


def too_large(what: str, size: int, at_most: int) -> str:
    """The sentence that refuses something of a size in bytes."""
    return f"{what} takes {_in_words(size)}, more than {_in_words(at_most)}; --max-size allows more"


def _in_words(size: int) -> str:
    return f"{size:,} bytes" if size < 10**6 else f"{size / 1e6:,.1f} MB"


def read_at_most(path: Path, max_size: int) -> bytes:
    """The content of a file.

    Raises
    ------
    OSError, ValueError
        When it cannot be read, or is larger; then it is not read on.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        pieces = []
        while size <= max_size and (piece := file.read(_PIECE)):
            pieces.append(piece)
            size = max(size, _PIECE * (len(pieces) - 1) + len(piece))  # it may grow, and some files tell no size
    if size > max_size:
        raise ValueError(too_large(str(path), size, max_size))
    return b"".join(pieces)


def write_whole(path: str | Path, content: bytes) -> None:
    """Write a file; a failure leaves what was there before, and nothing else.

    A link is followed. Devices and FIFOs, and what the shell has opened for stdout or stderr, are written to.

    Raises
    ------
    OSError
        When the folder does not exist or cannot be written to, a FIFO has no reader, or the path is something else
        than a file; the message names it.
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
    """Raise the OSError of `write_whole`, as far as it can be told without writing."""
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
    """Of a device, a FIFO or the shell's own file a descriptor to write to; None for what is replaced."""
    try:
        found = Path(path).stat()
    except FileNotFoundError:
        return None
    for stream, fd in ((sys.stdout, 1), (sys.stderr, 2)):
        with suppress(OSError):
            if os.path.samestat(found, os.fstat(fd)):
                stream.flush()
                return os.dup(fd)  # it knows how far the shell's file has been written
    if stat.S_ISCHR(found.st_mode) or stat.S_ISFIFO(found.st_mode):
        # without O_NONBLOCK, a FIFO that nobody reads would be waited for
        return os.open(path, os.O_WRONLY | getattr(os, "O_NONBLOCK", 0))
    if not stat.S_ISREG(found.st_mode):
        raise OSError("it is a folder" if stat.S_ISDIR(found.st_mode) else "it is no file")
    if not os.access(path, os.W_OK):
        raise PermissionError("it is read-only")
    return None


def _replace(path: Path, content: bytes) -> None:
    _remove_stale_parts(path.parent)
    part = path.with_name(f"{_PART}-{os.getpid()}-{secrets.token_hex(4)}")  # in the same folder, to be renamed
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
    """Remove what a process that was killed while it wrote has left."""
    for part in folder.glob(f"{_PART}-*-*"):
        with suppress(OSError, ValueError):
            if not _is_running(int(part.name.split("-")[-2])):
                part.unlink()


def _is_running(pid: int) -> bool:
    if os.name != "posix":
        return True  # there, no process can be asked without ending it
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def prepare_directory(path: str | Path) -> Path:
    """The folder, made if need be; an OSError says so if it cannot be made or no file can be written to it."""
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            return Path(path)
    except OSError as error:
        raise type(error)(f"cannot write to the folder {path} ({error.strerror or error}); choose another") from None


@contextmanager
def folder_to_fill(path: str | Path) -> Iterator[Path]:
    """The folder, made if need be; what was made for nothing, since nothing was written to it, is gone afterwards.

    Raises
    ------
    OSError
        When it cannot be made, or no file can be written to it.
    """
    made = [folder for folder in (Path(path), *Path(path).parents) if not folder.exists()]
    try:
        yield prepare_directory(path)
    finally:
        with suppress(OSError):  # there is something in it, or it is gone already
            for folder in made:
                folder.rmdir()


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
    """Whether a file begins as SQLite's do; False for one that cannot be read."""
    try:
        if not path.is_file():  # a FIFO would be waited for
            return False
        with path.open("rb") as file:
            return file.read(16) == b"SQLite format 3\0"
    except OSError:
        return False
