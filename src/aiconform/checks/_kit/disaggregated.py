"""Inference served by separate pods for prefill and decode: by which labels such pods are known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiconform.engine import Context, kinds

Obj = dict[str, Any]

PREFILL, DECODE = "prefill", "decode"


@dataclass(frozen=True)
class Framework:
    """A solution that serves so: the label of a pod's role, and one that its pods share (empty: a namespace)."""

    name: str
    role: str
    group: str


FRAMEWORKS = (
    Framework("llm-d", "llm-d.ai/role", ""),
    Framework("Dynamo", "nvidia.com/dynamo-sub-component-type", "nvidia.com/dynamo-graph-deployment-name"),
    Framework("AIBrix", "role-name", "roleset-name"),
)

HOW = (
    "send one request with an id of your own (x-request-id) through the gateway, and show that id in the log of a "
    "prefill pod and of a decode pod, with the transfer of the cache between them; then scale decode to 0 and show "
    "that requests fail, or fall back, as the solution says. Prompts of others may be in these logs, so we do not "
    "read them"
)


async def pods(ctx: Context, framework: Framework) -> list[Obj]:
    """The pods of a framework that have one of the two roles, wherever they are."""
    has = f",{framework.group}" if framework.group else ""
    return await ctx.list(kinds.POD, selector=f"{framework.role} in ({PREFILL},{DECODE}){has}")


def apart(found: list[Obj], framework: Framework) -> dict[str, dict[str, list[str]]]:
    """Ready pods by role, for each group that has both; a group is of one namespace."""
    groups: dict[str, dict[str, list[str]]] = {}
    for pod in found:
        labels: Mapping[str, str] = pod["metadata"].get("labels") or {}
        role = labels.get(framework.role, "")
        if role in (PREFILL, DECODE) and _ready(pod):
            namespace = str(pod["metadata"].get("namespace", ""))
            name = f"{namespace}/{labels.get(framework.group, '')}" if framework.group else namespace
            groups.setdefault(name, {}).setdefault(role, []).append(str(pod["metadata"]["name"]))
    return {name: roles for name, roles in groups.items() if len(roles) == 2}


def _ready(pod: Obj) -> bool:
    conditions = pod.get("status", {}).get("conditions") or []
    return any(one.get("type") == "Ready" and one.get("status") == "True" for one in conditions)
