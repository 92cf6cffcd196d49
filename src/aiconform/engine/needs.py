"""What checks need of a cluster, and the words for what is missing."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from aiconform.engine.facts import AcceleratorNode, DraDriver, Facts
from aiconform.engine.model import Need, Unmet

Choose = Callable[[AcceleratorNode], bool]


def api(group_version: str) -> Need:
    """The API serves this group and version."""

    def need(facts: Facts) -> Unmet | None:
        if group_version in facts.groups:
            return None
        return Unmet("not run", f"the API server does not serve {group_version}")

    return need


def accelerator(which: str, choose: Choose = lambda _: True, *, otherwise: str = "not run") -> Need:
    """Some usable node offers an accelerator that ``choose`` takes; ``which`` says so in words."""

    def need(facts: Facts) -> Unmet | None:
        if any(choose(found) for found in facts.accelerators):
            return None
        offered = "; ".join(f"{a.allocatable} {a.resource} on {a.node}" for a in facts.accelerators)
        seen = f"the nodes offer {offered}" if offered else "no node offers an accelerator that is known"
        left = f"; left alone for their taints: {', '.join(facts.fenced)}" if facts.fenced else ""
        return Unmet("n/a" if otherwise == "n/a" else "not run", f"needs {which}; {seen}{left}")

    return need


def holds(choose: Choose) -> Callable[[Facts], frozenset[str]]:
    """Names of the accelerators that ``choose`` takes, for :attr:`Check.holds <aiconform.engine.model.Check>`."""

    def held(facts: Facts) -> frozenset[str]:
        return frozenset(found.lock for found in facts.accelerators if choose(found))

    return held


def exclusive(found: AcceleratorNode) -> bool:
    """Every device is offered once."""
    return not found.shared


def several(found: AcceleratorNode) -> bool:
    """Two or more exclusive devices on one node."""
    return exclusive(found) and found.allocatable >= 2


def shared(found: AcceleratorNode) -> bool:
    """Devices are offered several times, and are not virtual ones."""
    return found.shared and not found.virtual


def virtual(found: AcceleratorNode) -> bool:
    """Devices are virtual."""
    return bool(found.virtual)


def first(found: Iterable[AcceleratorNode], choose: Choose) -> AcceleratorNode:
    """The node a check uses: the first that suits, by name. Its needs have made sure that there is one."""
    return next(node for node in found if choose(node))


def dra_driver(facts: Facts) -> DraDriver | None:
    """The DRA driver a check uses: the one with most devices, first by name."""
    return max(facts.dra, key=lambda driver: driver.devices, default=None)


def dra(facts: Facts) -> Unmet | None:
    """Some DRA driver offers devices that pods can reach."""
    if facts.dra:
        return None
    if facts.gaps:
        return Unmet("undecided", f"cannot tell whether a DRA driver offers devices: {'; '.join(facts.gaps)}")
    return Unmet("not run", "no DRA driver offers a device on a usable node; the API alone shows no allocation")


def holds_dra(facts: Facts) -> frozenset[str]:
    """The devices of the driver that :func:`dra_driver` chooses."""
    driver = dra_driver(facts)
    return frozenset({driver.name} if driver else ())
