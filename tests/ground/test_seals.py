"""The seal of files with results: any damage is refused, and so is another version."""

import random

import pytest

from harness.seals import checksum, require_version, sealed, unsealed

CONTENT = {"theta": [0.1, -2.5e-300, float("inf")], "names": ["λ", "loop"], "nested": {"b": None, "a": True}}


def test_what_is_sealed_comes_back_and_damage_does_not():
    raw, rng, refused = sealed("harness.thing/2", CONTENT), random.Random(1), 0
    assert unsealed("file", raw, "harness.thing/2") == CONTENT
    for _ in range(500):
        damaged = bytearray(raw)
        damaged[rng.randrange(len(raw))] ^= 1 << rng.randrange(8)
        try:
            assert unsealed("file", bytes(damaged), "harness.thing/2") == CONTENT
        except ValueError:
            refused += 1
    assert refused > 450


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ("harness.thing/3", "newer release"),
        ("harness.thing/1", "older release"),
        ("harness.king/2", "is expected"),
        ("harness.thing/²", "is expected"),
        ("harness.thing/", "is expected"),
        ("", "is expected"),
    ],
)
def test_another_version_is_refused(found, message):
    with pytest.raises(ValueError, match=message):
        require_version("file", found, "harness.thing/2")


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"3", b"null", b'{"schema": {}}', b"\xff", b"[" * 10**5])
def test_what_is_no_document_is_refused(raw):
    with pytest.raises(ValueError, match=r"^file .*harness\.thing/2"):
        unsealed("file", raw, "harness.thing/2")


def test_parts_are_told_apart():
    assert checksum(b"ab", b"c") != checksum(b"a", b"bc")
