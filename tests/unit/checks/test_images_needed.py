"""The table of who needs which image, held against what recorded runs made pods of."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aiconform.checks._kit.images import EITHER, NEEDED, needed_by
from aiconform.engine.images import ROLES
from aiconform.evidence.reader import open_bundle

GOLDEN = Path(__file__).parents[2] / "golden"


def _images(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from [item] if key == "image" and isinstance(item, str) else _images(item)
    elif isinstance(value, list):
        for item in value:
            yield from _images(item)


def _used(path: Path) -> dict[str, set[str]]:
    """Roles by requirement, from the bodies of what was created."""
    bundle = open_bundle(path)
    roles = {reference: role for role, reference in bundle.plan.images.items()}
    used: dict[str, set[str]] = {}
    for lane, records in bundle.lanes.items():
        for record in records:
            if record.type == "request" and record.data["method"] == "POST" and record.data["body"]:
                made = json.loads(bundle.blob(record.data["body"]))
                found = {roles.get(image, image) for image in _images(made)}
                if found and not made["metadata"]["name"].startswith("guard-"):  # a guard has no pods
                    used.setdefault(lane.partition("/")[0], set()).update(found)
    return used


@pytest.mark.parametrize("name", ["default.tar.gz", "vgpu.tar.gz"])
def test_recorded_runs_used_what_the_table_says(name: str) -> None:
    used = _used(GOLDEN / name)
    assert used
    for requirement, roles in used.items():
        told = set(NEEDED.get(requirement, ROLES))
        assert roles <= told if requirement in EITHER else roles == told, requirement


def test_what_is_not_in_the_table_may_need_all() -> None:
    assert needed_by("of_tomorrow", ROLES) == tuple(ROLES)
    assert needed_by("ai_inference", ROLES) == ("python",)
