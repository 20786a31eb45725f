"""Files that are written whole or not at all."""

import os
import secrets
import tempfile
from pathlib import Path


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
