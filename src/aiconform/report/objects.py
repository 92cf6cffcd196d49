"""What a requirement's probes created on the cluster, read from their own requests."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiconform.errors import BundleError

if TYPE_CHECKING:
    from aiconform.report.exchanges import Exchange

MAX_BODY = 200_000


@dataclass(frozen=True)
class Created:
    """An object that was created: the anchor of the request that did it, and when."""

    kind: str
    name: str
    anchor: str
    at_us: int


def created(
    exchanges: Iterable[Exchange],
    blob: Callable[[str], bytes],
    anchors: Mapping[tuple[str, int], tuple[str, str]],
) -> tuple[Created, ...]:
    """The objects of requests that were answered 201, in the order of time.

    Args:
        exchanges: of one requirement.
        blob: gives the bytes of a digest.
        anchors: where the transcript shows an exchange, by lane and number.
    """
    found = []
    for exchange in exchanges:
        if exchange.request.method == "POST" and exchange.status == 201 and exchange.request.body:
            sent = _object(blob, exchange.request.body)
            name = str((sent.get("metadata") or {}).get("name", ""))
            where, _ = anchors.get((exchange.lane, exchange.n), ("", ""))
            if name:
                found.append(Created(str(sent.get("kind", "")), name, where, exchange.started_us))
    return tuple(sorted(found, key=lambda one: one.at_us))


def _object(blob: Callable[[str], bytes], digest: str) -> dict[str, Any]:
    try:
        data = blob(digest)
        sent = json.loads(data) if len(data) <= MAX_BODY else None
    except (BundleError, ValueError, RecursionError):
        return {}
    return sent if isinstance(sent, dict) and isinstance(sent.get("metadata"), dict) else {}
