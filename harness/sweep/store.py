"""The file of a sweep: SQLite, one row a seed, stamped with what makes its rows comparable."""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_type_hints

from harness.files import exclusive_lock
from harness.provenance import differences
from harness.sweep.rows import Row

APPLICATION_ID = 0x67726164  # "grad": marks a SQLite file as a sweep's
LARGEST_SEED = 2**63 - 1  # of SQLite's integers
BLOCK = 10_000  # seeds looked up at a time, so that memory stays flat

SQL_TYPES = {int: "INTEGER PRIMARY KEY", str: "TEXT NOT NULL", float: "REAL NOT NULL", float | None: "REAL"}
"""The type of a column, by that of the field of `Row`; the one whole number is the seed."""

COLUMNS = ", ".join(f"{name} {SQL_TYPES[kind]}" for name, kind in get_type_hints(Row).items())

SCHEMA = f"""
BEGIN;
CREATE TABLE stamp (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE rows ({COLUMNS});
CREATE INDEX rows_by_verdict ON rows (verdict);
PRAGMA application_id = {APPLICATION_ID};
"""


class Store:
    """A sweep's file that is open."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path, self.connection = path, connection

    def stamp(self) -> dict[str, str]:
        return dict(self.ask("SELECT name, value FROM stamp"))

    def missing(self, seeds: range, size: int) -> Iterator[list[int]]:
        """The seeds that have no row yet, in their order, so many at a time."""
        for start in range(seeds.start, seeds.stop, BLOCK):
            block = range(start, min(start + BLOCK, seeds.stop))
            between = "SELECT seed FROM rows WHERE seed BETWEEN ? AND ?"
            there = {seed for (seed,) in self.ask(between, block[0], block[-1])}
            left = [seed for seed in block if seed not in there]
            yield from (left[i : i + size] for i in range(0, len(left), size))

    def count(self, seeds: range) -> int:
        """How many of the seeds have a row."""
        return self.ask("SELECT count(*) FROM rows WHERE seed BETWEEN ? AND ?", seeds.start, seeds.stop - 1)[0][0]

    def row(self, seed: int) -> Row | None:
        found = self.ask("SELECT * FROM rows WHERE seed = ?", seed)
        return Row(*found[0]) if found else None

    def add(self, rows: Iterable[Row]) -> None:
        """All of the rows, or none of them."""
        marks = ", ".join("?" * len(Row._fields))
        with said_clearly(self.path), self.connection:
            self.connection.executemany(f"INSERT INTO rows VALUES ({marks})", rows)

    def ask(self, query: str, *values: Any) -> list[Any]:
        with said_clearly(self.path):
            return self.connection.execute(query, values).fetchall()


@contextmanager
def said_clearly(path: Path) -> Iterator[None]:
    """SQLite's errors as an OSError or ValueError that says what became of the file."""
    try:
        yield
    except sqlite3.IntegrityError:
        raise
    except sqlite3.OperationalError as error:
        raise OSError(
            f"cannot use {path} ({error}); what it holds stays readable, and the same command goes on"
        ) from None
    except sqlite3.DatabaseError as error:
        raise ValueError(f"{path} is damaged, or no SQLite file ({error}); choose another file") from None


@contextmanager
def open_to_write(path: str | Path, stamp: dict[str, str]) -> Iterator[Store]:
    """The file for rows of this stamp, made if need be; nobody else writes to it meanwhile.

    Raises
    ------
    ValueError
        When it is no sweep's file, is damaged, or has rows of other settings or of another version.
    OSError
        When it cannot be written to, or somebody else is writing to it.
    """
    path = Path(path)
    with exclusive_lock(path), _connected(path, "rwc") as store:
        if not store.ask("SELECT 1 FROM sqlite_master") and path.stat().st_size == 0:  # the first takes back what
            with said_clearly(path), store.connection:
                store.connection.executescript(SCHEMA)
                store.connection.executemany("INSERT INTO stamp VALUES (?, ?)", stamp.items())
        _check_is_a_sweep(store)
        if apart := differences(stamp, store.stamp()):
            raise ValueError(
                f"{path} has rows of another sweep, and they must not be mixed ({'; '.join(apart)}); "
                "choose another file, or the same settings and code"
            )
        yield store


@contextmanager
def open_to_read(path: str | Path) -> Iterator[Store]:
    """A sweep's file, also while it is written to.

    Raises
    ------
    ValueError
        When it is no sweep's file, or is damaged.
    OSError
        When it is missing or cannot be read.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}; `harness sweep --out {path}` makes one")
    with _connected(path, "rw") as store:
        _check_is_a_sweep(store)
        yield store


@contextmanager
def _connected(path: Path, mode: str) -> Iterator[Store]:
    with said_clearly(path):
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode={mode}", uri=True, timeout=10.0)
    try:
        yield Store(path, connection)
    finally:
        connection.close()


def _check_is_a_sweep(store: Store) -> None:
    (identity,) = store.ask("PRAGMA application_id")[0]
    if identity != APPLICATION_ID:
        raise ValueError(f"{store.path} is a SQLite file, but not of a sweep; choose another file")
    (state,) = store.ask("PRAGMA quick_check(1)")[0]
    if state != "ok":
        raise ValueError(f"{store.path} is damaged ({' '.join(state.split())}); choose another file")
