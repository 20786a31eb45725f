"""What the drop-ins' tests share."""

import pytest

from harness.drop_in import fallback


@pytest.fixture(autouse=True)
def nothing_logged_yet(monkeypatch):
    """What is logged once is logged anew in each test."""
    monkeypatch.setattr(fallback, "_logged", set())
