"""Ways by which a container could reach an accelerator that it was not granted."""

from __future__ import annotations

from aiconform.catalog.accelerators import AcceleratorKind
from aiconform.checks._kit import devices
from aiconform.checks._kit.script import Report
from aiconform.engine import Context

# mknod of a device number, then open: the kernel's device cgroup decides, not the file's mode
_REACH = """reach() {
  node=/tmp/$1; rm -f "$node"
  mknod "$node" c $((0x${2%%:*})) $((0x${2##*:})) 2>/dev/null || { echo "$1_mknod=refused"; return; }
  echo "$1_mknod=made"
  said=$( (exec 3<"$node") 2>&1 ) && echo "$1_open=opened" || echo "$1_open=$said"
}"""

_REFUSED = "Operation not permitted"


def attempts(kind: AcceleratorKind, number: str, uuid: str, pci: str) -> tuple[str, ...]:
    """Shell: try to reach the device with this number (hexadecimal major:minor), UUID and PCI address.

    The same attempts at the container's own device are the control that they can work at all.
    """
    address = pci.lower()[-12:]
    bar = f"/sys/bus/pci/devices/{address}/resource0"
    return (
        devices.list_nodes(kind),
        devices.ask_tool("uuid", kind.uuid_command),
        _REACH,
        f'own=$(stat -c %t:%T $(ls -d {kind.device_glob} | head -n 1)); echo "own=$own"',
        f'reach own "$own"; reach other {number}',
        f"export {' '.join(f'{name}={uuid}' for name in kind.visible_devices)}",
        devices.ask_tool("by_name", kind.uuid_command),
        f'for d in /proc/[0-9]*/root{kind.device_glob}; do [ -c "$d" ] && echo "proc=$(stat -c %t:%T "$d")"; done',
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
    mine = seen.one("uuid")
    ctx.expect(
        "naming the other's UUID in the environment does not show it",
        ", ".join(seen.all("by_name")) or f"nothing, exit {seen.one('by_name_exit')}",
        ok=bool(mine) and mine != uuid and seen.says("by_name_exit") and uuid not in seen.all("by_name"),
    )
    ctx.expect(
        "no process directory leads to the other's device",
        f"device numbers found: {', '.join(sorted(set(seen.all('proc'))))}",
        ok=seen.one("own") in seen.all("proc") and number not in seen.all("proc"),
    )
    ctx.expect(
        "the other's memory cannot be mapped through sysfs",
        seen.one("sysfs") or "no answer",
        ok=seen.one("sysfs") not in ("", "opened"),
    )


def _refused(seen: Report) -> bool:
    return seen.one("other_mknod") == "refused" or _REFUSED in seen.one("other_open")


def _short(said: str) -> str:
    """What the shell said, without the path it said it of."""
    return said.rsplit(": ", 1)[-1] or "no answer"
