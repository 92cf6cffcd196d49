"""Upstream's manifests as objects: read, kustomized, and put into the order in which a cluster takes them."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml  # type: ignore[import-untyped]

from aiconform.errors import LocalClusterError
from aiconform.local import cache

if TYPE_CHECKING:
    from aiconform.local.addons.addon import Manifest

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_LARGE = 20_000
"""Texts longer than this are parsed once: definitions of a few megabytes take seconds."""

_BUILT_IN = frozenset(
    {"", "apps", "autoscaling", "batch", "policy"}
    | {
        f"{name}.k8s.io"
        for name in (
            *("admissionregistration", "apiextensions", "apiregistration", "authentication", "authorization"),
            *("certificates", "coordination", "discovery", "events", "flowcontrol.apiserver", "networking", "node"),
            *("rbac.authorization", "resource", "scheduling", "storage"),
        )
    }
)
_FIRST = ("Namespace", "CustomResourceDefinition")
_LAST = ("APIService", "ValidatingWebhookConfiguration", "MutatingWebhookConfiguration")
"""Kinds that send requests elsewhere: made when what answers is on its way."""

_ORDER = (
    *("PriorityClass", "ServiceAccount", "Secret", "ConfigMap", "ClusterRole", "ClusterRoleBinding"),
    *("Role", "RoleBinding", "Service"),
)


def parse(text: str) -> list[Manifest]:
    """The objects of a YAML stream, items of lists one by one.

    Raises:
        LocalClusterError: it is no YAML.
    """
    if len(text) < _LARGE:
        return _parse(text)
    key = hashlib.sha256(text.encode()).hexdigest()[:16]
    place = cache.make(
        cache.directory() / "objects" / f"{key}.json", lambda target: _write(target, json.dumps(_parse(text)))
    )
    found: list[Manifest] = json.loads(place.read_text())
    return found


def _parse(text: str) -> list[Manifest]:
    try:
        documents = [item for item in yaml.load_all(text, Loader=_LOADER) if item]
    except yaml.YAMLError as error:
        raise LocalClusterError("cannot read a manifest", details=str(error).splitlines()) from error
    found: list[Manifest] = []
    for item in documents:
        found += item["items"] if item.get("kind") == "List" else [item]
    return found


def kustomize(directory: Path, kubectl: Path) -> list[Manifest]:
    """The objects of a kustomization directory of a Go module; built once, then from the cache.

    Args:
        directory: its path names the module's version, so its content never changes.
        kubectl: our own.

    Raises:
        LocalClusterError: kubectl refused.
    """
    key = hashlib.sha256(str(directory).encode()).hexdigest()[:16]

    def build(target: Path) -> None:
        done = subprocess.run([str(kubectl), "kustomize", str(directory)], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise LocalClusterError(f"cannot kustomize {directory}", details=done.stderr.splitlines()[-5:])
        _write(target, done.stdout)

    return parse(cache.make(cache.directory() / "kustomized" / f"{key}.yaml", build).read_text())


def in_order(objects: Iterable[Manifest]) -> list[list[Manifest]]:
    """What to apply one after the other: namespaces and definitions, what runs, what calls it, custom objects."""
    groups: list[list[Manifest]] = [[], [], [], []]
    for thing in objects:
        groups[_group(thing)].append(thing)
    missing = _namespaces(groups)
    groups[0] = sorted([*missing, *groups[0]], key=lambda thing: _FIRST.index(thing["kind"]))
    groups[1].sort(key=lambda thing: _ORDER.index(thing["kind"]) if thing["kind"] in _ORDER else len(_ORDER))
    return [group for group in groups if group]


def definitions(objects: Iterable[Manifest]) -> list[str]:
    """Names of the definitions among them."""
    return [thing["metadata"]["name"] for thing in objects if thing["kind"] == "CustomResourceDefinition"]


def _group(thing: Manifest) -> int:
    if thing["kind"] in _FIRST:
        return 0
    if thing["kind"] in _LAST:
        return 2
    return 1 if str(thing["apiVersion"]).rpartition("/")[0] in _BUILT_IN else 3


def _namespaces(groups: Sequence[Sequence[Manifest]]) -> list[dict[str, Any]]:
    """Namespaces that objects are in and nobody makes: charts leave that to helm."""
    used = {str(thing["metadata"].get("namespace", "")) for group in groups for thing in group}
    made = {thing["metadata"]["name"] for thing in groups[0] if thing["kind"] == "Namespace"}
    own = sorted(name for name in used - made if name and name != "default" and not name.startswith("kube-"))
    return [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in own]


def _write(target: Path, text: str) -> None:
    target.write_text(text)
