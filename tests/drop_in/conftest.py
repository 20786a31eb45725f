"""What the drop-ins' tests share."""

import pytest

from harness.drop_in import settling


@pytest.fixture(autouse=True)
def nothing_told_yet(monkeypatch):
    """What is logged once is logged anew in each test."""
    monkeypatch.setattr(settling, "_told", set())
