"""How an object says that it is ours, so that a clean-up from any machine removes it and nothing that only looks so.

Four marks, all of which must agree: the run's label, ``managed-by``, the form of the name, and an annotation that is
derived from run, kind, namespace and name: it does not fit where labels and annotations were copied to another object.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any

from aiconform.engine.kinds import of

if TYPE_CHECKING:
    from collections.abc import Mapping

Obj = dict[str, Any]

RUN_LABEL = "aiconform.dev/run"
CHECK_LABEL = "aiconform.dev/check"
OBJECT_LABEL = "aiconform.dev/object"
MANAGED_BY = "app.kubernetes.io/managed-by"
TOOL = "aiconform"
NONCE = "aiconform.dev/nonce"
"""Annotation: see :func:`nonce`."""
WHAT = "aiconform.dev/what"
"""Annotation of a namespace: a sentence for whoever finds it."""
ENDS_WITHIN = "aiconform.dev/ends-within-s"
"""Annotation of a namespace: seconds after its creation by which its run has ended, whatever happens."""

_RUN = re.compile(r"[0-9a-f]{16}")
_MADE_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?-[0-9a-f]{10}")
"""What :meth:`Asking.name <aiconform.engine.asking.Asking.name>` gives."""


def namespaces(run: str) -> dict[str, str]:
    """The namespaces of a run by Pod Security Standard. The first is the root that owns everything else."""
    return {"restricted": f"aiconform-{run}", "baseline": f"aiconform-{run}-baseline"}


def is_run(text: str) -> bool:
    """Whether a text can be the id of a run."""
    return _RUN.fullmatch(text) is not None


def nonce(run: str, manifest: Mapping[str, Any]) -> str:
    """The value that only an object of this run, kind, namespace and name carries."""
    meta = manifest["metadata"]
    named = (manifest["apiVersion"], manifest["kind"], meta.get("namespace", ""), meta["name"])
    return hashlib.sha256("/".join((run, *named)).encode()).hexdigest()[:16]


def marked(manifest: Obj, run: str, labels: Mapping[str, str] | None = None) -> Obj:
    """A manifest with the marks of a run; its namespace must be filled in already."""
    meta = dict(manifest["metadata"])
    meta["labels"] = {**meta.get("labels", {}), MANAGED_BY: TOOL, RUN_LABEL: run, **(labels or {})}
    made = {**manifest, "metadata": meta}
    meta["annotations"] = {**meta.get("annotations", {}), NONCE: nonce(run, made)}
    return made


def same(found: Obj, manifest: Obj) -> bool:
    """Whether an object that is there is the one of this manifest, and not another's of the same name."""
    there, wanted = found.get("metadata") or {}, manifest["metadata"]
    return all(
        (there.get(field) or {}).get(key) == wanted[field][key]
        for field, key in (("labels", RUN_LABEL), ("labels", MANAGED_BY), ("annotations", NONCE))
    )


def run_of(found: Obj) -> str:
    """The run that a namespace or an object of the whole cluster is of; empty unless every mark says so."""
    meta = found.get("metadata") or {}
    labels, annotations = meta.get("labels") or {}, meta.get("annotations") or {}
    run = str(labels.get(RUN_LABEL, ""))
    if not is_run(run) or labels.get(MANAGED_BY) != TOOL or annotations.get(NONCE) != nonce(run, found):
        return ""
    return run if _placed(found, run) else ""


def _placed(found: Obj, run: str) -> bool:
    """Whether the name is of our form, and the object belongs to the run's root namespace or is that."""
    meta, names = found["metadata"], namespaces(run)
    root = names["restricted"]
    if found["kind"] == "Namespace" and meta["name"] == root:
        return WHAT in (meta.get("annotations") or {})
    owners = meta.get("ownerReferences") or []
    if not any(owner.get("kind") == "Namespace" and owner.get("name") == root for owner in owners):
        return False
    if found["kind"] == "Namespace":
        return meta["name"] in names.values()
    return not of(found).namespaced and _MADE_NAME.fullmatch(meta["name"]) is not None
