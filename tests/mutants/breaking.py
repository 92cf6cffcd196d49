"""Ways to break a running local cluster, each of which repairs it at the end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aiconform.local import Cluster


@contextmanager
def scaled_to_zero(cluster: Cluster, namespace: str, deployment: str) -> Iterator[None]:
    """A Deployment without pods, and with as many as it had again."""
    replicas = cluster.kubectl("-n", namespace, "get", "deployment", deployment, "-o", "jsonpath={.spec.replicas}")
    scale = ("-n", namespace, "scale", f"deployment/{deployment}")
    cluster.kubectl(*scale, "--replicas=0")
    cluster.kubectl("-n", namespace, "wait", f"deployment/{deployment}", "--for=jsonpath={.spec.replicas}=0")
    try:
        yield
    finally:
        cluster.kubectl(*scale, f"--replicas={replicas}")
        cluster.kubectl("-n", namespace, "rollout", "status", f"deployment/{deployment}", "--timeout=120s")


@contextmanager
def labelled(cluster: Cluster, node: str, key: str, value: str) -> Iterator[None]:
    """A forged label on a node, and the true one again."""
    true = json.loads(cluster.kubectl("get", "node", node, "-o", "json"))["metadata"]["labels"].get(key)
    cluster.kubectl("label", "node", node, f"{key}={value}", "--overwrite")
    try:
        yield
    finally:
        cluster.kubectl("label", "node", node, f"{key}={true}" if true is not None else f"{key}-", "--overwrite")


@contextmanager
def patched(cluster: Cluster, change: dict[str, Any], *what: str) -> Iterator[None]:
    """An object changed by a JSON merge patch, and put back: ``patched(c, {...}, "-n", "a", "configmap/x")``."""
    before = json.loads(cluster.kubectl("get", *what, "-o", "json"))
    cluster.kubectl("patch", *what, "--type=merge", f"--patch={json.dumps(change)}")
    try:
        yield
    finally:
        back = _inverse(change, before)
        cluster.kubectl("patch", *what, "--type=merge", f"--patch={json.dumps(back)}")


@contextmanager
def deleted(cluster: Cluster, *what: str) -> Iterator[None]:
    """An object that is gone, and made again as it was."""
    before = json.loads(cluster.kubectl("get", *what, "-o", "json"))
    cluster.kubectl("delete", *what, "--wait=true")
    for field in ("uid", "resourceVersion", "creationTimestamp", "generation", "managedFields"):
        before["metadata"].pop(field, None)
    before.pop("status", None)
    try:
        yield
    finally:
        cluster.kubectl("apply", "--server-side", "--force-conflicts", "--filename=-", stdin=json.dumps(before))


@contextmanager
def applied(cluster: Cluster, *manifests: dict[str, Any]) -> Iterator[None]:
    """Objects that a good cluster does not have, removed again at the end."""
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(manifests)})
    cluster.kubectl("apply", "--server-side", "--force-conflicts", "--filename=-", stdin=text)
    try:
        yield
    finally:
        cluster.kubectl("delete", "--ignore-not-found", "--wait=true", "--filename=-", stdin=text)


def _inverse(change: Any, before: Any) -> Any:
    """The merge patch that undoes another: values as they were, null where there was nothing."""
    if not isinstance(change, dict):
        return before
    was = before if isinstance(before, dict) else {}
    return {key: _inverse(value, was.get(key)) for key, value in change.items()}
