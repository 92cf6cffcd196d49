"""What a Kubernetes answer loses before anybody sees it, and the order its lists are brought into."""

from __future__ import annotations

from typing import Any, Final

from aiconform.evidence.credentials import REDACTED, is_secret_name

LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"
_HOST_ADDRESSES = frozenset({"Hostname", "InternalDNS", "ExternalDNS"})
_SERIAL_KEYS = frozenset({"serial", "serialNumber", "systemUUID", "machineID"})

Json = Any


def tidy(value: Json) -> Json:
    """The answer without what it must not carry, with its unordered lists in order.

    Dropped: ``managedFields`` and the last-applied annotation of every object. Emptied: Secrets, and variables and
    fields that are named like secrets. Lists of objects are sorted by namespace and name (the API server keeps them
    sorted, aggregated servers do not), and so are the rows of a table of objects.
    """
    if isinstance(value, list):
        return [tidy(item) for item in value]
    if not isinstance(value, dict):
        return value
    found = {key: tidy(item) for key, item in value.items()}
    kind = found.get("kind")
    if kind == "Secret":
        _empty(found)
    metadata = found.get("metadata")
    if isinstance(metadata, dict):
        _strip(metadata)
    if isinstance(kind, str):
        _order(found, kind)
    name = found.get("name")
    if isinstance(name, str) and isinstance(found.get("value"), str) and is_secret_name(name):
        found["value"] = REDACTED
    return found


def node_names(value: Json) -> list[tuple[str, tuple[str, ...]]]:
    """Name and further host names of each node in an answer or watch event."""
    if not isinstance(value, dict):
        return []
    kind = value.get("kind")
    if kind == "NodeList" and isinstance(value.get("items"), list):
        return [_node(item) for item in value["items"] if isinstance(item, dict)]
    if kind == "Node":
        return [_node(value)]
    if isinstance(value.get("object"), dict):
        return node_names(value["object"])
    return []


def is_serial_key(key: str) -> bool:
    """Whether the field of this name holds the serial number of a device or machine."""
    return key in _SERIAL_KEYS


def _node(node: dict[str, Json]) -> tuple[str, tuple[str, ...]]:
    metadata, status = node.get("metadata"), node.get("status")
    name = metadata.get("name") if isinstance(metadata, dict) else ""
    labels = metadata.get("labels") if isinstance(metadata, dict) else None
    addresses = status.get("addresses") if isinstance(status, dict) else None
    found = [
        address.get("address")
        for address in (addresses if isinstance(addresses, list) else [])
        if isinstance(address, dict) and address.get("type") in _HOST_ADDRESSES
    ]
    if isinstance(labels, dict):
        found.append(labels.get("kubernetes.io/hostname"))
    aliases = tuple(alias for alias in found if isinstance(alias, str) and alias != name)
    return (name if isinstance(name, str) else ""), aliases


def _empty(secret: dict[str, Json]) -> None:
    for key in ("data", "stringData"):
        if key in secret:
            secret[key] = REDACTED
    metadata = secret.get("metadata")
    if isinstance(metadata, dict) and "annotations" in metadata:
        metadata["annotations"] = REDACTED


def _strip(metadata: dict[str, Json]) -> None:
    metadata.pop("managedFields", None)
    annotations = metadata.get("annotations")
    if isinstance(annotations, dict) and annotations.pop(LAST_APPLIED, None) is not None and not annotations:
        del metadata["annotations"]


def _order(found: dict[str, Json], kind: str) -> None:
    items, rows = found.get("items"), found.get("rows")
    if kind.endswith("List") and isinstance(items, list):
        if kind == "SecretList":
            for item in items:
                if isinstance(item, dict):
                    _empty(item)
        items.sort(key=_key)
    elif kind == "Table" and isinstance(rows, list):
        rows.sort(key=lambda row: _key(row.get("object")) if isinstance(row, dict) else ("", ""))


def _key(item: Json) -> tuple[str, str]:
    metadata = item.get("metadata") if isinstance(item, dict) else None
    if not isinstance(metadata, dict):
        return ("", "")
    return (str(metadata.get("namespace") or ""), str(metadata.get("name") or ""))
