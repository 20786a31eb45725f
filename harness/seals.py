"""The seal of files with results: a schema with a version, and a checksum of the content.

A file that is damaged, changed, or of another version is refused. It is never read as something else.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

DIGEST = 16  # hexadecimal digits of a checksum: 64 bits, so that chance makes no two alike


def checksum(*parts: bytes) -> str:
    """The start of the SHA-256 hash of the parts, each after its length."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(b"%d " % len(part))
        digest.update(part)
    return digest.hexdigest()[:DIGEST]


def sealed(schema: str, content: dict[str, Any]) -> bytes:
    """The content as JSON with a schema, such as "harness.case/2", and a checksum."""
    return json.dumps({"schema": schema, **content, "checksum": _checksum_of(schema, content)}).encode()


def unsealed(path: str | Path, raw: bytes | str, schema: str) -> dict[str, Any]:
    """The content of what `sealed` has made with this schema.

    Raises ValueError when it is something else, is damaged or changed, or has another version.
    """
    try:
        content = json.loads(raw)
        found, written = str(content.pop("schema")), content.pop("checksum", None)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        what = "it states no schema" if isinstance(error, (KeyError, TypeError, AttributeError)) else str(error)
        raise ValueError(f"{path} is no file of schema {schema} ({what}); choose another file") from None
    require_version(path, found, schema)
    if written != _checksum_of(schema, content):
        raise ValueError(f"{path} is damaged, or was changed: its content has another checksum; choose another file")
    return content


def require_version(path: str | Path, found: str, schema: str) -> None:
    """Raise a ValueError unless the schema that a file states is the expected one, in the same version."""
    kind, _, number = schema.rpartition("/")
    its_kind, _, its_number = found.rpartition("/")
    if its_kind != kind or not (its_number.isascii() and its_number.isdecimal()):
        raise ValueError(f"{path} has the schema {found!r}, and {schema} is expected; choose another file")
    if int(its_number) > int(number):
        raise ValueError(f"{path} has the schema {found}, which a newer release has written; install that release")
    if its_number != number:
        raise ValueError(f"{path} has the schema {found}, which an older release has written; make the file again")


def _checksum_of(schema: str, content: dict[str, Any]) -> str:
    return checksum(schema.encode(), json.dumps(content, sort_keys=True).encode())
