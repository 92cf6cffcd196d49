"""What checks need of a cluster, and the words for what is missing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from aiconform.engine import kinds
from aiconform.engine.facts import Facts, hidden
from aiconform.engine.model import Need, Unmet
from aiconform.engine.offers import AcceleratorNode
from aiconform.engine.slices import DraDriver

Choose = Callable[[AcceleratorNode], bool]


def api(group_version: str) -> Need:
    """The API serves this group and version."""

    def need(facts: Facts) -> Unmet | None:
        if group_version in facts.groups:
            return None
        return Unmet("not run", f"the API server does not serve {group_version}")

    return need


def accelerator(
    which: str, choose: Choose = lambda _: True, *, by_hand: str, otherwise: str = "not run", claims: bool = False
) -> Need:
    """Some usable node offers an accelerator that ``choose`` takes.

    Args:
        which: says so in words.
        choose: takes an accelerator.
        by_hand: what a person has to show where the accelerators are not recognised.
        otherwise: the outcome where there is none.
        claims: whether the check can also ask for accelerators by DRA.
    """

    def need(facts: Facts) -> Unmet | None:
        if any(choose(found) for found in (facts.chosen if claims else facts.accelerators)):
            return None
        parts = facts.parts if otherwise == "not run" else ()  # parts of physical devices are no virtual ones
        if gap := unrecognised(facts, f"needs {which}", by_hand, parts):
            return gap
        offered = "; ".join(found.words for found in facts.chosen)
        seen = f"the nodes offer {offered}" if offered else "no node offers an accelerator that is known"
        left = f"; left alone for their taints: {', '.join(facts.fenced)}" if facts.fenced else ""
        if not claims and any(choose(found) for found in facts.claimable):
            left += "; this check does not ask by claims: try --allocation device-plugin"
        elif facts.allocation != "auto":
            left += f"; asked for by --allocation {facts.allocation} alone"
        return Unmet("n/a" if otherwise == "n/a" else "not run", f"needs {which}; {seen}{left}")

    return need


def unrecognised(facts: Facts, wanted: str, by_hand: str, parts: Sequence[str] = ()) -> Unmet | None:
    """Undecided where there is hardware that we cannot judge: unknown to the vendor tables, or not to be asked for."""
    reasons = [f"in no vendor table: {', '.join(facts.unknown)}"] if facts.unknown else []
    reasons += [f"not examined: {', '.join(parts)}"] if parts else []
    reasons += [f"not asked for: {', '.join(facts.refused)}"] if facts.refused else []
    unread = hidden(facts.gaps, kinds.DEVICE_CLASS.plural, kinds.RESOURCE_SLICE.plural)
    reasons += [f"what DRA offers cannot be read: {', '.join(unread)}"] if unread else []
    if not reasons:
        return None
    return Unmet("undecided", f"{wanted}; {'; '.join(reasons)}; show by hand: {by_hand}")


def unread_classes(facts: Facts) -> str:
    """Why it is not known which RuntimeClasses there are; empty where it is."""
    return "; ".join(gap for gap in facts.gaps if gap.startswith(kinds.RUNTIME_CLASS.plural))


def holds(choose: Choose, *, claims: bool = False) -> Callable[[Facts], frozenset[str]]:
    """Names of the accelerators that ``choose`` takes, for :attr:`Check.holds <aiconform.engine.model.Check>`."""

    def held(facts: Facts) -> frozenset[str]:
        return frozenset(found.lock for found in (facts.chosen if claims else facts.accelerators) if choose(found))

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
    """The DRA driver that is claimed from: of the vendor tables' drivers a real one first, then that with most devices.

    Drivers of other things (channels between nodes, network devices) are in no table and so never chosen.
    """
    return max(facts.dra, key=lambda driver: (not driver.simulated, driver.devices), default=None)


def dra(facts: Facts) -> Unmet | None:
    """Some DRA driver that is known offers devices that pods can reach."""
    if facts.dra:
        return None
    if facts.gaps:
        return Unmet("undecided", f"cannot tell whether a DRA driver offers devices: {'; '.join(facts.gaps)}")
    strange = [found for found in facts.unknown if "DRA driver" in found]
    if strange:
        by_hand = "a claim that is allocated, what its container has of the device, and the claim freed afterwards"
        return Unmet("undecided", f"in no vendor table: {', '.join(strange)}; show by hand: {by_hand}")
    return Unmet("not run", "no DRA driver offers a device on a usable node; the API alone shows no allocation")


def holds_dra(facts: Facts) -> frozenset[str]:
    """The devices of the driver that :func:`dra_driver` chooses."""
    driver = dra_driver(facts)
    return frozenset({driver.name} if driver else ())
