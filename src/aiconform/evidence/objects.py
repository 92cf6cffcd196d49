"""What a Kubernetes object loses before anybody sees it, and the order its lists are brought into."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from aiconform.evidence.credentials import REDACTED
from aiconform.evidence.shapes import is_secret_name

Obj = dict[str, Any]

LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"
_HOST_LABEL: Final = "kubernetes.io/hostname"
_HOST_TYPES: Final = frozenset({"Hostname", "InternalDNS", "ExternalDNS"})
_SERIALS: Final = frozenset({"serial", "serialNumber", "systemUUID", "machineID", "continue"})
"""``continue`` stands for the rest of a list, and spells out where that begins: the name of a node, say."""


def tidy(obj: Obj, learn_host: Callable[[str], None]) -> Obj:
    """Drop, empty and order what is in one JSON object of an answer; for every object, the innermost first.

    Dropped: ``managedFields`` and the last-applied annotation. Emptied: the data of Secrets, the value of variables
    named like a secret, and where the cloud keeps a node (``providerID``). Ordered: the objects of a list and the rows
    of a table of objects, by namespace and name; the API server keeps them so, aggregated servers do not.

    Args:
        obj: the object; it is changed.
        learn_host: is told every name of a node or host.

    Returns:
        The same object.
    """
    if isinstance(obj.get("managedFields"), list):
        del obj["managedFields"]
    if LAST_APPLIED in obj:
        del obj[LAST_APPLIED]
    for key in (_HOST_LABEL, "nodeName"):
        if isinstance(obj.get(key), str):
            learn_host(obj[key])
    if isinstance(obj.get("value"), str) and isinstance(obj.get("name"), str) and is_secret_name(obj["name"]):
        obj["value"] = REDACTED
    kind = obj.get("kind")
    if isinstance(kind, str):
        _by_kind(kind, obj, learn_host)
    return obj


def is_serial_field(name: str) -> bool:
    """Whether the field of this name holds the serial number of a device or machine."""
    return name in _SERIALS


def _by_kind(kind: str, obj: Obj, learn_host: Callable[[str], None]) -> None:
    if kind == "Secret":
        _empty(obj)
    elif kind == "Node":
        _node(obj, learn_host)
    elif kind == "Table":
        _table(obj, learn_host)
    elif kind.endswith("List"):
        for item in _dicts(obj.get("items")):
            if kind == "SecretList":
                _empty(item)
            elif kind == "NodeList":
                _node(item, learn_host)
        _sort(obj, "items", lambda item: item)


def _empty(secret: Obj) -> None:
    for key in ("data", "stringData"):
        if key in secret:
            secret[key] = REDACTED
    metadata = secret.get("metadata")
    if isinstance(metadata, dict) and "annotations" in metadata:
        metadata["annotations"] = REDACTED


def _node(node: Obj, learn_host: Callable[[str], None]) -> None:
    name = _at(node, "metadata", "name")
    if isinstance(name, str):
        learn_host(name)
    for address in _dicts(_at(node, "status", "addresses")):
        if address.get("type") in _HOST_TYPES and isinstance(address.get("address"), str):
            learn_host(address["address"])
    spec = node.get("spec")
    if isinstance(spec, dict) and "providerID" in spec:
        spec["providerID"] = REDACTED


def _table(table: Obj, learn_host: Callable[[str], None]) -> None:
    columns = [column.get("name") for column in _dicts(table.get("columnDefinitions"))]
    if columns[:4] == ["Name", "Status", "Roles", "Age"]:  # of nodes
        for row in _dicts(table.get("rows")):
            cells = row.get("cells")
            if isinstance(cells, list) and cells and isinstance(cells[0], str):
                learn_host(cells[0])
    _sort(table, "rows", lambda row: row.get("object"))


def _sort(obj: Obj, key: str, of: Callable[[Obj], Any]) -> None:
    members = obj.get(key)
    if isinstance(members, list) and len(_dicts(members)) == len(members):
        members.sort(key=lambda member: _place(of(member)))


def _place(obj: Any) -> tuple[str, str]:
    return str(_at(obj, "metadata", "namespace") or ""), str(_at(obj, "metadata", "name") or "")


def _dicts(value: Any) -> list[Obj]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _at(obj: Any, *path: str) -> Any:
    for key in path:
        obj = obj.get(key) if isinstance(obj, dict) else None
    return obj
