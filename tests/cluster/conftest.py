"""One local cluster for all tests that need one; it ends with the test process, whatever ends that."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from aiconform.local import Cluster, down, up


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here runs only as root."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent) and os.geteuid() != 0:
            item.add_marker(pytest.mark.skip(reason="a local cluster needs root"))


@pytest.fixture(scope="session")
def local_cluster() -> Iterator[Cluster]:
    """A cluster of the default profile with its add-ons; tests leave it as they found it."""
    name = f"test-{os.getpid()}"
    yield up(name, owner_pid=os.getpid())
    down(name)


@pytest.fixture(scope="module")
def own_cluster() -> Iterator[Cluster]:
    """One of the same profile for the tests of a module alone."""
    name = f"own-{os.getpid()}"
    yield up(name, owner_pid=os.getpid())
    down(name)
