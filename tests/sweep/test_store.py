"""The file of a sweep: whatever is done to its bytes, no row is read as another one."""

import random
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

import pytest
from stored import LIGHT

from harness.facts.fact import wrong
from harness.facts.kinds import Kind
from harness.sweep.resumable_sweep import sweep
from harness.sweep.rows import SweepRow, _as_json
from harness.sweep.store import open_to_read, open_to_write
from harness.sweep.summary import summarise
from harness.sweep.worker_pools import Pool

FACTS = _as_json([wrong(Kind.CHECK_FAILED, error="lost")])
ROWS = [
    SweepRow(
        seed,
        f"network {seed}",
        "disagree" if seed % 7 == 3 else "agree",
        seed / 64,
        "loop" * (seed % 7 == 3),
        FACTS,
        times='{"vectorized": null}',
    )
    for seed in range(40)
]


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "rows.sqlite"
    with open_to_write(path, LIGHT.in_full()) as store:
        store.add(ROWS)
    return path


def read(path):
    with open_to_read(path) as store:
        return summarise(store), list(store.rows()), store.stamp()


def execute(path, statement):
    """Change a file as any program that knows SQLite may."""
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA ignore_check_constraints = ON")
    connection.execute(statement)
    connection.commit()
    connection.close()


def test_a_flipped_bit_or_a_cut_is_refused_or_changes_nothing(file, tmp_path):
    whole, content, rng = read(file), file.read_bytes(), random.Random(3)
    damaged, refused = tmp_path / "damaged.sqlite", 0
    used = [place for place, byte in enumerate(content) if byte]  # most of a page is empty
    for flip in range(150):
        spoilt = bytearray(content)
        if flip % 5:
            spoilt[rng.choice(used)] ^= 1 << rng.randrange(8)
        else:
            del spoilt[rng.randrange(len(content)) :]
        damaged.write_bytes(spoilt)
        try:
            found = read(damaged)
        except (ValueError, OSError) as error:
            refused += str(damaged) in str(error)
        else:
            assert found == whole
    assert refused > 100


CHANGES = {
    "verdict": ("UPDATE rows SET verdict = 'dis`gree' WHERE seed = 3", "that of seed 3"),
    "agreement": ("UPDATE rows SET verdict = 'agree' WHERE seed = 3", "that of seed 3"),
    "bytes": ("UPDATE rows SET shape = x'00ff' WHERE seed = 3", "that of seed 3"),
    "worst": ("UPDATE rows SET worst = 0.5 WHERE seed = 5", "that of seed 5"),
    "seed": ("UPDATE rows SET seed = 50 WHERE seed = 5", "that of seed 50"),
    "settings": ("UPDATE stamp SET value = '[]' WHERE name = 'sources'", "its settings"),
    "newer": ("PRAGMA user_version = 3", "newer release"),
    "older": ("PRAGMA user_version = 0", "older release"),
    "tables": ("ALTER TABLE rows RENAME COLUMN worst TO best", "other tables"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_was_changed_is_named(name, file):
    statement, message = CHANGES[name]
    execute(file, statement)
    with pytest.raises(ValueError, match=message):
        read(file)


def test_damaged_rows_are_made_again(file, monkeypatch):
    made, reported = [], []

    def make(sweep, settings, seeds, limit):
        made.extend(seeds)
        return [ROWS[seed] for seed in seeds]

    monkeypatch.setattr("harness.sweep.resumable_sweep.make_rows", make)
    execute(file, "UPDATE rows SET verdict = 'agree' WHERE seed IN (3, 10)")
    execute(file, "UPDATE rows SET seed = 100 WHERE seed = 7")
    with ThreadPoolExecutor(1) as executor:
        pool = nullcontext(Pool(executor, 1, "x"))
        assert sweep(file, LIGHT, range(40), pool, report_damage=reported.append) == 3
    assert (made, reported) == ([3, 7, 10], [[3, 10, 100]])
    assert read(file)[1] == ROWS


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([], (0, "inconclusive", 0, 0, 0.0, [])),  # no rows are no agreement
        ([SweepRow(0, "", "error")], (1, "error", 0, 0, 0.0, [])),  # nor does it take any time, or say who took part
        (ROWS, (40, "disagree", 0, 39, 0.0, ["finite-difference"])),
    ],
    ids=["no rows", "no time", "all"],
)
def test_the_summary_of_a_file_has_its_verdict_and_its_first_and_last_seed(rows, expected, tmp_path):
    with open_to_write(tmp_path / "rows.sqlite", LIGHT.in_full()) as store:
        store.add(rows)
        found = summarise(store)
    assert (found.rows, found.verdict, found.first, found.last, found.pace, found.never) == expected
