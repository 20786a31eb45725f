"""The file of a sweep: SQLite, one row a seed, stamped with what makes its rows comparable.

Each row carries a checksum, and so does the stamp. A damaged row is never read as another one.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, get_type_hints

from harness.files import exclusive_lock
from harness.provenance import differences
from harness.seals import checksum, require_version
from harness.sweep.rows import VERDICTS, SweepRow

FILE_SCHEMA = "harness.sweep-file/2"  # Version 2: checksums. SQLite keeps the number as its `user_version`.

APPLICATION_ID = 0x67726164  # "grad": marks a SQLite file as a sweep's
LARGEST_SEED = 2**63 - 1  # of SQLite's integers
BLOCK = 10_000  # seeds looked up at a time, so that memory stays flat

SQL_TYPES = {int: "INTEGER PRIMARY KEY", str: "TEXT NOT NULL", float: "REAL NOT NULL", float | None: "REAL"}
"""The type of a column, by that of the field of `SweepRow`; the one whole number is the seed."""

COLUMNS = ", ".join(f"{name} {SQL_TYPES[kind]}" for name, kind in get_type_hints(SweepRow).items())

TABLES = (
    "CREATE TABLE stamp (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    f"CREATE TABLE rows ({COLUMNS}, checksum TEXT NOT NULL, CHECK (verdict IN {VERDICTS}))",
)


class Store:
    """A sweep's file that is open."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path, self.connection = path, connection

    def stamp(self) -> dict[str, str]:
        """Settings and version, as text.

        Raises a ValueError when they are damaged.
        """
        found = dict(self.query("SELECT name, value FROM stamp"))
        if found.pop("checksum", "") != _checksum_of_stamp(found):
            raise self.damaged("its settings have another checksum; choose another file")
        return found

    def missing(self, seeds: range, size: int) -> Iterator[list[int]]:
        """The seeds that have no row yet, in their order, in lists of `size`."""
        for start in range(seeds.start, seeds.stop, BLOCK):
            block = range(start, min(start + BLOCK, seeds.stop))
            between = "SELECT seed FROM rows WHERE seed BETWEEN ? AND ?"
            there = {seed for (seed,) in self.query(between, block[0], block[-1])}
            left = [seed for seed in block if seed not in there]
            yield from (left[i : i + size] for i in range(0, len(left), size))

    def count(self, seeds: range) -> int:
        """How many of the seeds have a row."""
        return self.query("SELECT count(*) FROM rows WHERE seed BETWEEN ? AND ?", seeds.start, seeds.stop - 1)[0][0]

    def row(self, seed: int) -> SweepRow | None:
        return next(self.rows("WHERE seed = ?", seed), None) if seed <= LARGEST_SEED else None

    def rows(self, which: str = "", *values: Any) -> Iterator[SweepRow]:
        """The rows in the order of their seeds.

        Raises a ValueError when one of them is damaged.
        """
        for row, is_intact in self._records(which, *values):
            if not is_intact:
                raise self.damaged(
                    f"of its rows, at least that of seed {row.seed} is; the command that made the file makes damaged "
                    "rows again"
                )
            yield row

    def drop_damaged(self) -> list[int]:
        """Remove the rows that are damaged, and return their seeds."""
        seeds = [row.seed for row, is_intact in self._records() if not is_intact]
        with errors_in_words(self.path), self.connection:
            self.connection.executemany("DELETE FROM rows WHERE seed = ?", [(seed,) for seed in seeds])
        return seeds

    def _records(self, which: str = "", *values: Any) -> Iterator[tuple[SweepRow, bool]]:
        """The rows, and whether each is as it was written."""
        with errors_in_words(self.path):
            for *fields, written in self.connection.execute(f"SELECT * FROM rows {which} ORDER BY seed", values):
                row = SweepRow(*fields)
                yield row, written == _checksum_of_row(row)

    def add(self, rows: Iterable[SweepRow]) -> None:
        """All of the rows, or none of them."""
        marks = ", ".join("?" * (len(SweepRow._fields) + 1))
        with errors_in_words(self.path), self.connection:
            self.connection.executemany(
                f"INSERT INTO rows VALUES ({marks})", ((*row, _checksum_of_row(row)) for row in rows)
            )

    def query(self, statement: str, *values: Any) -> list[Any]:
        with errors_in_words(self.path):
            return self.connection.execute(statement, values).fetchall()

    def damaged(self, what: str) -> ValueError:
        return ValueError(f"{self.path} is damaged: {what}")


def _checksum_of_row(row: Sequence[Any]) -> str:
    return checksum(json.dumps(row, default=repr).encode())  # damage makes bytes of text


def _checksum_of_stamp(stamp: dict[str, str]) -> str:
    return checksum(json.dumps(stamp, sort_keys=True).encode())


@contextmanager
def errors_in_words(path: Path) -> Iterator[None]:
    """SQLite's errors as an OSError or ValueError that says what became of the file."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise OSError(
            f"cannot use {path} ({error}); what it holds stays readable, and the same command goes on"
        ) from None
    except sqlite3.DatabaseError as error:
        raise ValueError(f"{path} is damaged, or no SQLite file ({error}); choose another file") from None


@contextmanager
def open_to_write(path: str | Path, stamp: dict[str, str]) -> Iterator[Store]:
    """The file for rows of this stamp, made if need be; nobody else writes to it meanwhile.

    Raises a ValueError when it is no sweep's file, is damaged, or has rows of other settings or of another version, and
    an OSError when it cannot be written to, or somebody else is writing to it.
    """
    path = Path(path)
    if path.exists() and not path.is_file():
        raise OSError(f"cannot write {path} (it is no file); choose another place")
    with exclusive_lock(path), _connected(path, "rwc") as store:
        # The query comes first: with it SQLite takes back what a crash left half written, and the file is empty again.
        if not store.query("SELECT 1 FROM sqlite_master") and path.stat().st_size == 0:
            _make_tables(store, stamp)
        _require_intact(store)
        if apart := differences(stamp, store.stamp()):
            raise ValueError(
                f"{path} has rows of another sweep, and they must not be mixed ({'; '.join(apart)}); "
                "choose another file, or the same settings and code"
            )
        yield store


def _make_tables(store: Store, stamp: dict[str, str]) -> None:
    number = FILE_SCHEMA.rpartition("/")[2]
    pragmas = (f"PRAGMA application_id = {APPLICATION_ID}", f"PRAGMA user_version = {number}")
    with errors_in_words(store.path), store.connection:
        store.connection.execute("BEGIN")
        for statement in (*TABLES, *pragmas):
            store.connection.execute(statement)
        items = stamp | {"checksum": _checksum_of_stamp(stamp)}
        store.connection.executemany("INSERT INTO stamp VALUES (?, ?)", items.items())


@contextmanager
def open_to_read(path: str | Path) -> Iterator[Store]:
    """A sweep's file, also while it is written to.

    Raises a ValueError when it is no sweep's file, or is damaged, and an OSError when it is missing or cannot be read.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}; `harness sweep --out {path}` makes one")
    with _connected(path, "rw") as store:
        _require_intact(store)
        yield store


@contextmanager
def _connected(path: Path, mode: str) -> Iterator[Store]:
    with errors_in_words(path):
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode={mode}", uri=True, timeout=10.0)
    connection.text_factory = lambda raw: raw.decode(errors="replace")  # damaged text has another checksum
    with closing(connection):
        yield Store(path, connection)


def _require_intact(store: Store) -> None:
    """Raise a ValueError unless the file is a sweep's, of this version, and whole. The rows are not read."""
    (identity,), (number,) = store.query("PRAGMA application_id")[0], store.query("PRAGMA user_version")[0]
    if identity != APPLICATION_ID:
        raise ValueError(f"{store.path} is a SQLite file, but not of a sweep; choose another file")
    kind = FILE_SCHEMA.rpartition("/")[0]
    require_version(store.path, f"{kind}/{number}", FILE_SCHEMA)
    store.query("PRAGMA ignore_check_constraints = ON")  # the checksum finds such rows, and names them
    (state,) = store.query("PRAGMA integrity_check(1)")[0]
    store.query("PRAGMA ignore_check_constraints = OFF")
    if state != "ok":
        raise store.damaged(f"{' '.join(state.split())}; choose another file")
    if {sql for (sql,) in store.query("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL")} != set(TABLES):
        raise store.damaged("it has other tables than a sweep; choose another file")
