"""What all tests of the engine have in common."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """All that is tried again is tried again at once: how long it pauses is not what is tested."""
    monkeypatch.setattr("aiconform.engine.api._FIRST_WAIT_S", 0.01)
    monkeypatch.setattr("aiconform.engine.cleanup._AGAIN_AFTER_S", (0.01, 0.02, 0.03, 0.04))
