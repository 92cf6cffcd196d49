"""What is known of sandboxed runtimes: by which RuntimeClasses they are offered (KAR-0020).

A mechanism that is not in this table is not judged: the requirement is undecided then and asks for manual proof.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

MECHANISMS: Final[Mapping[str, str]] = {
    "runsc": "gVisor",
    "gvisor": "gVisor",
    "kata": "Kata Containers",
    "quark": "Quark",
    "krun": "libkrun",
    "firecracker": "Firecracker",
    "sandboxed": "a sandboxed runtime",
}
"""Words in the handler or the name of a RuntimeClass, and the mechanism that they stand for."""

PLAIN: Final = frozenset({"runc", "crun", "youki", "nvidia", "nvidia-cdi", "nvidia-legacy", "habana", "amd"})
"""Handlers that start containers on the node's own kernel, and say so."""

API_GROUP: Final = "agents.x-k8s.io"
"""API of sandboxes for agents; what isolates them is left to whoever implements it."""


def by_handler(handler: str) -> str:
    """The mechanism that a handler's name stands for; empty if none is known."""
    return next((name for word, name in MECHANISMS.items() if word in handler.lower()), "")


def mechanism(runtime_class: str, handler: str) -> str:
    """The mechanism that a RuntimeClass promises by its handler or, failing that, by its own name; empty if none."""
    return by_handler(handler) or by_handler(runtime_class)
