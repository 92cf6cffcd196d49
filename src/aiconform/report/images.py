"""Which images a run's pods ran, by the nodes' own word in the recorded pods."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from aiconform.errors import BundleError
from aiconform.report.source import Source

_RUN_LABEL = "aiconform.dev/run"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_STATUSES = ("initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses")


@dataclass(frozen=True)
class Ran:
    """One image of the plan and what nodes say they ran for it.

    Attributes:
        role: as in the plan.
        reference: as in the plan.
        ids: the nodes' ``imageID``, each once, as they give them.
    """

    role: str
    reference: str
    ids: tuple[str, ...]

    @property
    def verdict(self) -> str:
        """What that says, in words that claim no more than it shows."""
        pinned = _digest(self.reference)
        found = {_digest(text) for text in self.ids}
        if not found:
            return "no recorded pod shows it"
        if len(found) > 1:
            return "nodes name different digests: of different platforms, or different images under one tag"
        if not pinned:
            return "not pinned; this is what ran"
        if found == {pinned}:
            return "as pinned"
        return "another digest than the pinned one: that of the platform's own image, or another image"


def ran(bundle: Source) -> list[Ran]:
    """What the recorded pods of a run show; a pure function of its bundle."""
    by_reference: dict[str, dict[str, None]] = {}
    for pod in _pods(bundle):
        for status in (entry for name in _STATUSES for entry in pod["status"].get(name) or []):
            asked = _asked(pod, str(status.get("name", "")))
            if asked and status.get("imageID"):
                by_reference.setdefault(asked, {})[str(status["imageID"])] = None
    return [
        Ran(role, reference, tuple(sorted(by_reference.get(reference, {}))))
        for role, reference in sorted(bundle.plan.images.items())
    ]


def _asked(pod: dict[str, Any], container: str) -> str:
    """The reference that a container was asked to run: the status names what the runtime calls it."""
    spec = pod.get("spec") or {}
    all_of = [*(spec.get("containers") or []), *(spec.get("initContainers") or [])]
    return next((str(found.get("image", "")) for found in all_of if found.get("name") == container), "")


def _pods(bundle: Source) -> Iterator[dict[str, Any]]:
    """Every recorded state of a pod that belongs to the run."""
    seen: set[str] = set()
    for records in bundle.lanes.values():
        for record in records:
            digest = record.data.get("body") if record.type in ("response", "chunk") else None
            if digest and digest not in seen:
                seen.add(digest)
                with suppress(BundleError):  # a blob that is missing is told where it is shown
                    yield from (pod for pod in _in_body(bundle.blob(digest)) if _is_ours(pod, bundle.plan.run))


def _in_body(data: bytes) -> Iterator[dict[str, Any]]:
    if b'"imageID"' not in data:
        return
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return
    if not isinstance(value, dict):
        return
    inner = value.get("object", value)
    items = inner.get("items") if isinstance(inner, dict) else None
    for found in items if isinstance(items, list) else [inner]:
        if isinstance(found, dict) and isinstance(found.get("status"), dict):
            yield found


def _is_ours(pod: dict[str, Any], run: str) -> bool:
    meta = pod.get("metadata") or {}
    return bool((meta.get("labels") or {}).get(_RUN_LABEL) == run or run in str(meta.get("namespace", "")))


def _digest(text: str) -> str:
    found = _DIGEST.search(text)
    return found.group() if found else ""
