"""Sandboxed pods: which RuntimeClass promises one, and what a pod in it and a plain one beside it can tell."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from aiconform.catalog import sandboxes
from aiconform.checks._kit import pods, script
from aiconform.checks._kit.script import Report, Script
from aiconform.engine import Context, Facts, Handle, Unmet, kinds, needs

Obj = dict[str, Any]

CONTAINER = "probe"
START_S = 150

MEMORY = ("/dev/mem", "/dev/kmem")
FILES = (
    "/etc/kubernetes",
    "/var/lib/kubelet",
    "/var/lib/containerd",
    "/var/log/pods",
    "/run/containerd/containerd.sock",
    "/run/crio/crio.sock",
)
"""What is the node's own, and no container's unless it is shown it."""

DAEMONS = re.compile(
    r"kubelet|k3s|k0s|rke2|containerd.*|crio|conmon.*|dockerd|kube-proxy|systemd.*|runsc.*|virtiofsd|qemu.*"
)
LINKS = re.compile(
    r"docker\d|br-.+|cni\d|cbr\d|virbr\d.*|flannel.*|cali.+|cilium.*|lxc.+|veth.+|eni.+|azv.+|gke.+|kube-.+|nodes\d|node\d+"
)
"""Names of a node's bridges, and of its ends of cables to pods."""

LOOK = (
    'echo "release=$(uname -r)"',
    'echo "version=$(cat /proc/version)"',
    'boot=$(cat /proc/sys/kernel/random/boot_id 2>/dev/null) && echo "boot=$boot"',
    'for p in /proc/[0-9]*; do read -r c 2>/dev/null < $p/comm && echo "process=$c"; done',
    'read_one() { dd if="$1" bs=1 count=1 2>/dev/null | wc -c | tr -d " "; }',
    *(f'echo "memory={device} $(read_one {device})"' for device in MEMORY),
    'mknod /tmp/mem c 1 1 2>/dev/null; echo "memory=made by itself $(read_one /tmp/mem)"',
    'echo "control=/dev/zero $(read_one /dev/zero)"',
    f'for f in {" ".join(FILES)}; do [ -e "$f" ] && echo "file=$f"; done',
    '[ -e /etc/hosts ] && echo "own=/etc/hosts"',
    r"sed -n 's/^ *\([^ :]*\):.*/link=\1/p' /proc/net/dev",
)
"""Shell: what a container can tell of its kernel, and what it finds of the node's."""


@dataclass(frozen=True)
class Sandbox:
    """A RuntimeClass that promises a sandbox, and by which mechanism."""

    runtime_class: str
    handler: str
    mechanism: str

    def __str__(self) -> str:
        """For the page."""
        return f"RuntimeClass {self.runtime_class} (handler {self.handler}, {self.mechanism})"


@dataclass(frozen=True)
class Looking:
    """A pod that looks around, and the script it runs."""

    handle: Handle
    script: Script


def promised(facts: Facts) -> list[Sandbox]:
    """All that promise a sandbox; first those that do so by their handler, which is what starts the pods."""
    found = [Sandbox(name, handler, sandboxes.mechanism(name, handler)) for name, handler in facts.handlers]
    known = [one for one in found if one.mechanism]
    return sorted(known, key=lambda one: (not sandboxes.by_handler(one.handler), one.runtime_class))


def offered(facts: Facts) -> Unmet | None:
    """Some RuntimeClass promises a sandbox of a mechanism that is known."""
    if promised(facts):
        return None
    if unread := needs.unread_classes(facts):
        return Unmet("undecided", f"cannot tell whether there is a sandboxed runtime: {unread}")
    strange = [f"RuntimeClass {name} (handler {handler})" for name, handler in facts.handlers if not _plain(handler)]
    strange += sorted(group for group in facts.groups if group.partition("/")[0] == sandboxes.API_GROUP)
    if strange:
        return Unmet(
            "undecided",
            f"no mechanism that is known, but {', '.join(strange)}: show by hand that a pod so started has another "
            "kernel than the node, and finds no process, memory, file or bridge of it",
        )
    known = ", ".join(dict.fromkeys(sandboxes.MECHANISMS.values()))
    return Unmet("not run", f"no RuntimeClass promises a sandbox; known are {known}")


def _plain(handler: str) -> bool:
    return handler in sandboxes.PLAIN


async def sandboxed_pod(ctx: Context, hint: str) -> Looking:
    """Create a pod in the sandbox, wherever the scheduler and the RuntimeClass say."""
    return await _pod(ctx, hint, runtime_class=promised(ctx.facts)[0].runtime_class)


async def plain_pod(ctx: Context, hint: str, node: Obj) -> Looking:
    """Create the same pod without a RuntimeClass, on this node; it tolerates what the sandbox's pods do there."""
    found = await ctx.read_named(kinds.RUNTIME_CLASS, promised(ctx.facts)[0].runtime_class)
    extra = (found.get("scheduling") or {}).get("tolerations") or []
    return await _pod(ctx, hint, node=node["metadata"]["labels"]["kubernetes.io/hostname"], tolerations=extra)


async def _pod(
    ctx: Context, hint: str, *, runtime_class: str = "", node: str = "", tolerations: list[Obj] | None = None
) -> Looking:
    run = script.script(ctx, *LOOK)
    container = pods.Container(CONTAINER, run)
    manifest = pods.pod(ctx, hint, container, runtime_class=runtime_class, node=node, root=True)
    manifest["spec"]["tolerations"] += tolerations or []
    return Looking(await ctx.create(manifest), run)


async def started(ctx: Context, looking: Looking, *, expected: str) -> Obj:
    """Wait until a pod runs; returns it."""
    [found] = await ctx.until(looking.handle, pods.running, expected=expected, within_s=START_S)
    return found


async def told(ctx: Context, looking: Looking) -> Report:
    """The whole report of a pod."""
    return await script.report(ctx, looking.handle, CONTAINER, looking.script)


def on_the_nodes_kernel(ctx: Context, node: Obj, seen: Report) -> None:
    """The control: a plain pod tells the kernel that the kubelet tells of its node.

    Raises:
        StopProbe: it does not, so that nothing can be compared (undecided).
    """
    info = node["status"]["nodeInfo"]
    expected = f"the plain pod is on the node's kernel {info['kernelVersion']}"
    if seen.one("release") != info["kernelVersion"] or seen.one("boot") != info["bootID"]:
        raise ctx.undecided(
            expected,
            f"{kernel(seen)}; the node's boot {info['bootID']}",
            "pods without a RuntimeClass are not on the node's kernel, or cannot tell: nothing to compare with",
        )
    ctx.expect(expected, kernel(seen), ok=True)


def on_another_kernel(ctx: Context, seen: Report, plain: Report) -> None:
    """The sandboxed pod tells another kernel than the plain one on the same node.

    The id of the boot decides where both tell one: the release is easily dressed up. Where the sandbox tells none,
    release and version must both differ.
    """
    ours, theirs = seen.one("boot"), plain.one("boot")
    dressed = all(seen.one(key) and seen.one(key) != plain.one(key) for key in ("release", "version"))
    ctx.expect(
        f"the pod under {promised(ctx.facts)[0]} is on another kernel than the node's",
        kernel(seen),
        ok=ours != theirs if ours else dressed,
        cause="" if seen.says("release") else "it did not tell its kernel",
        figures={"in the sandbox": kernel(seen), "beside it": kernel(plain)},
    )


def kernel(seen: Report) -> str:
    """What a pod tells of its kernel, in words."""
    return f"{seen.one('release') or 'no release'}, boot {seen.one('boot') or 'not told'}, {seen.one('version')}"


def count(values: tuple[str, ...]) -> dict[str, int]:
    """Bytes read by what they were read from; what did not tell a number is not among them."""
    pairs = [value.rpartition(" ") for value in values]
    return {name: int(number) for name, _, number in pairs if number.isdigit()}
