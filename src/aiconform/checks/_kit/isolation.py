"""Ways by which a container could reach an accelerator that it was not granted."""

from __future__ import annotations

from dataclasses import dataclass

from aiconform.catalog.accelerators import AcceleratorKind
from aiconform.checks._kit import devices, pods, script
from aiconform.checks._kit.devices import Probing
from aiconform.checks._kit.script import Report
from aiconform.engine import AcceleratorNode, Context, needs

# mknod of a device number, then open: the kernel's device cgroup decides, not the file's mode
_REACH = """reach() {
  node=/tmp/$1; rm -f "$node"
  mknod "$node" c $((0x${2%%:*})) $((0x${2##*:})) 2>/dev/null || { echo "$1_mknod=refused"; return; }
  echo "$1_mknod=made"
  said=$( (exec 3<"$node") 2>&1 ) && echo "$1_open=opened" || echo "$1_open=$said"
}"""

_MAKES_NODES = ("MKNOD",)
"""Of the container that makes device nodes: not every runtime gives that unless asked (CRI-O does not)."""
_REFUSED = "Operation not permitted"
_SYSFS = "the other's memory cannot be opened for writing through sysfs"
_BY_HAND = "device nodes in a container with a request, in one without, and in the same two asking for each other's"


@dataclass(frozen=True)
class Held:
    """A device that a pod holds: its number (hexadecimal major:minor), UUID and PCI address, if these can be known."""

    holder: Probing
    number: str
    uuid: str
    pci: str

    @property
    def identity(self) -> str:
        """What tells it from other devices."""
        return self.uuid or self.number


def place(ctx: Context) -> AcceleratorNode:
    """The node that is looked at."""
    return devices.chosen(ctx, needs.several, claims=True)


def number(seen: Report) -> str:
    """The number of the one device node that a container saw."""
    return seen.one("device").rpartition(" ")[2]


async def hold(ctx: Context, node: AcceleratorNode) -> Held:
    """Create a pod with one device, and see that it has exactly that one."""
    kind = node.kind
    devices.must_know(ctx, kind, "device_glob", by_hand=_BY_HAND)
    asked = {"uuid": kind.uuid_command, "pci": kind.pci_command}
    look = [*devices.look_in(kind), devices.list_nodes(kind)]
    look += (devices.ask_tool(key, command) for key, command in asked.items() if command)
    holder = await devices.holding_pod(ctx, "holder", node, *look, root=True)
    seen = await devices.report(ctx, holder, expected=f"a pod with one {node.resource} runs on {node.node}")
    found = f"{seen.one('devices')}: {', '.join(seen.all('device'))}"
    ctx.expect("exactly 1 device node", found, ok=devices.count(seen) == 1)
    if named := seen.all("uuid"):  # without any, the way to ask by name is undecided; it is no other's device
        ctx.expect("one UUID", ", ".join(named), ok=len(named) == 1)
    return Held(holder, number(seen), seen.one("uuid"), seen.one("pci"))


async def ask_without_request(ctx: Context, node: AcceleratorNode, held: Held) -> None:
    """Pods without a request see no device: plainly, and by the vendor's variables under every RuntimeClass known.

    The variables are in the pod's specification, where a runtime looks: they ask for all devices, and for one by name.
    """
    if unread := needs.unread_classes(ctx.facts):
        raise ctx.undecided("every RuntimeClass that gives access is tried", "they are not known", unread)
    kind = node.kind
    present = [name for name in kind.runtime_classes or () if name in ctx.facts.runtime_classes]
    names = [kind.all_devices, *([held.uuid] if held.uuid else [])]
    wishes = [dict.fromkeys(kind.visible_devices, what) for what in names] if kind.visible_devices else []
    for runtime_class, env in [("", {}), *((name, asked) for name in ("", *present) for asked in wishes)]:
        plain = await devices.plain_pod(
            ctx, "plain", node, devices.list_nodes(kind), root=True, env=env, runtime_class=runtime_class
        )
        wish = " ".join(f"{key}={value}" for key, value in env.items())
        how = f"RuntimeClass {runtime_class or 'default'}, {wish or 'no environment'}"
        seen = await devices.report(ctx, plain, expected=f"a pod without a request runs ({how})")
        ctx.expect(f"0 device nodes ({how})", seen.one("devices"), ok=devices.count(seen) == 0)
    untold = [
        words
        for words, known in (("RuntimeClasses", kind.runtime_classes), ("variables", kind.visible_devices))
        if known is None
    ]
    if untold:
        what = " and ".join(untold)
        cause = f"which {what} give access to {kind.words} devices is not known; show by hand: {_BY_HAND}"
        raise ctx.undecided("every way to ask the runtime is tried", f"{what} were not", cause)


async def siblings(ctx: Context, node: AcceleratorNode) -> None:
    """Of two containers in one pod, the one that asks sees a device and the other does not."""
    look = script.script(ctx, devices.list_nodes(node.kind))
    wish = await devices.wish(ctx, "siblings", node)
    manifest = pods.pod(
        ctx,
        "siblings",
        pods.Container("with", look, limits=wish.limits, claims=wish.claims),
        pods.Container("without", look),
        node=node.label["kubernetes.io/hostname"],
        root=True,
        claims=wish.sources,
    )
    pod = await ctx.create(manifest)
    why = devices.explain(ctx, Probing(pod, look, node))
    await ctx.until(pod, pods.running, expected="a pod of two containers runs", within_s=90, explain=why)
    counts = {name: devices.count(await script.report(ctx, pod, name, look)) for name in ("with", "without")}
    seen = ", ".join(f"{name} {number}" for name, number in counts.items())
    ctx.expect("with the request 1, without 0", seen, ok=counts == {"with": 1, "without": 0})
    await ctx.delete(pod)
    await ctx.until_gone(pod, within_s=60)


async def intrude(ctx: Context, node: AcceleratorNode, held: Held) -> None:
    """A second pod with a device of its own tries to reach the one that is held."""
    tries = attempts(node.kind, held.number, held.uuid, held.pci)
    intruder = await devices.holding_pod(ctx, "intruder", node, *tries, root=True, capabilities=_MAKES_NODES)
    ctx.memo["intruder"] = intruder
    seen = await devices.report(ctx, intruder, expected=f"a second pod with one {node.resource} runs on {node.node}")
    if seen.one("own") == held.number and not node.sharing_told:
        cause = f"nothing on the node says whether {node.kind.words} devices are offered several times"
        raise ctx.undecided("the second pod has another device", f"both have {held.number}", cause)
    judge_attempts(ctx, seen, held.number, held.uuid)
    if not held.pci:
        raise ctx.undecided(_SYSFS, "not tried", "the container does not know its device's PCI address")
    ctx.expect(_SYSFS, seen.one("sysfs") or "no answer", ok=seen.one("sysfs") not in ("", "opened"))
    if node.kind.visible_devices is None or (node.kind.visible_devices and not held.uuid):
        cause = f"of {node.kind.words} devices no identity or no variable is known; show by hand: {_BY_HAND}"
        raise ctx.undecided("the other's device is asked for by name", "not tried", cause)


def attempts(kind: AcceleratorKind, number: str, uuid: str, pci: str) -> tuple[str, ...]:
    """Shell: try to reach the device with this number (hexadecimal major:minor), UUID and PCI address.

    The same attempts at the container's own device are the control that they can work at all.
    """
    address = pci.lower()[-12:]
    bar = f"/sys/bus/pci/devices/{address}/resource0"
    elsewhere = " ".join(f"/proc/[0-9]*/root{glob}" for glob in str(kind.device_glob).split())
    named = (
        f"export {' '.join(f'{name}={uuid}' for name in kind.visible_devices)}" if kind.visible_devices else "true",
        devices.ask_tool("by_name", kind.uuid_command),
    )
    return (
        *devices.look_in(kind),
        devices.list_nodes(kind),
        *([devices.ask_tool("uuid", kind.uuid_command)] if uuid else []),
        _REACH,
        f'own=$(stat -c %t:%T $(ls -d {kind.device_glob} | head -n 1)); echo "own=$own"',
        f'reach own "$own"; reach other {number}',
        *(named if uuid else ()),
        f'for d in {elsewhere}; do [ -c "$d" ] && echo "proc=$(stat -c %t:%T "$d")"; done',
        f"bar={bar}",
        '[ -e $bar ] || echo "sysfs=absent"',
        '[ -e $bar ] && { said=$( (exec 3<>$bar) 2>&1 ) && echo "sysfs=opened" || echo "sysfs=$said"; }',
    )


def judge_attempts(ctx: Context, seen: Report, number: str, uuid: str) -> None:
    """State what came of each attempt; the container's own device shows that the attempt can work."""
    own, other = (
        f"mknod {seen.one(f'{name}_mknod')}, open: {_short(seen.one(f'{name}_open'))}" for name in ("own", "other")
    )
    if seen.one("own_mknod") != "made" or not seen.says("own_open") or _REFUSED in seen.one("own_open"):
        raise ctx.undecided(
            "its own device can be reached by mknod", own, "the control attempt failed, so a refusal shows nothing"
        )
    ctx.expect(
        "the other's device cannot be opened by mknod, its own can",
        f"own: {own}; other's: {other}",
        ok=seen.one("own") != number and seen.one("other_mknod") in ("refused", "made") and _refused(seen),
        figures={"own device": own, "other's device": other},
    )
    if uuid:
        mine = seen.one("uuid")
        ctx.expect(
            "the vendor's tool does not show the other's UUID when the environment names it",
            ", ".join(seen.all("by_name")) or f"nothing, exit {seen.one('by_name_exit')}",
            ok=bool(mine) and mine != uuid and seen.says("by_name_exit") and uuid not in seen.all("by_name"),
        )
    ctx.expect(
        "no process directory leads to the other's device",
        f"device numbers found: {', '.join(sorted(set(seen.all('proc'))))}",
        ok=seen.one("own") in seen.all("proc") and number not in seen.all("proc"),
    )


def _refused(seen: Report) -> bool:
    return seen.one("other_mknod") == "refused" or _REFUSED in seen.one("other_open")


def _short(said: str) -> str:
    """What the shell said, without the path it said it of."""
    return said.rsplit(": ", 1)[-1] or "no answer"
