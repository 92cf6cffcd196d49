"""API services that do not answer: until they do, nobody knows that a namespace is empty, and so none goes away.

A run looks before it makes its namespace, the doctor tells of them, a clean-up names them as what holds it up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aiconform.engine import kinds

if TYPE_CHECKING:
    from aiconform.engine.api import Api

HINT: Final = "kubectl get apiservices shows them; one whose server is gone for good is removed with kubectl delete"
NOT_KNOWN: Final = "whether all API services are available is not known"


@dataclass(frozen=True)
class Silent:
    """An API service that is not available, with the reason and the message that it is told with."""

    name: str
    reason: str
    message: str

    def __str__(self) -> str:
        """``v1beta1.metrics.k8s.io: no endpoints``."""
        return f"{self.name}: {self.message or self.reason or 'nothing is told'}"


@dataclass(frozen=True)
class Services:
    """All API services of a cluster.

    Attributes:
        number: how many there are.
        silent: those that are not available.
    """

    number: int
    silent: tuple[Silent, ...]

    @property
    def said(self) -> str:
        """In words."""
        if not self.silent:
            return f"{self.number} of {self.number} are available"
        return f"{len(self.silent)} of {self.number} not available: while that is so, no namespace can be removed"


async def look(api: Api) -> Services:
    """Whether every API that another server answers is available.

    Raises:
        UndecidableError: they cannot be listed.
    """
    items, _ = await api.list(kinds.API_SERVICE)
    silent: list[Silent] = []
    for item in items:
        told = {one.get("type"): one for one in (item.get("status") or {}).get("conditions") or ()}
        available = told.get("Available") or {}
        # none that is told is as good as False: the API server passes requests on only where it is True
        if available.get("status") != "True":
            name, reason, message = item["metadata"]["name"], available.get("reason"), available.get("message")
            silent.append(Silent(str(name), str(reason or ""), str(message or "")))
    return Services(len(items), tuple(silent))
