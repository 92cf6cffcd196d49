"""Finds and removes what earlier runs left, from any machine. What is ours, :mod:`aiconform.engine.ownership` says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from aiconform.engine import kinds
from aiconform.engine.api import Api, Handle, Obj
from aiconform.engine.blockers import inventory
from aiconform.engine.cleanup import GONE_WITHIN_S, remove
from aiconform.engine.ownership import ENDS_WITHIN, RUN_LABEL, namespaces, run_of
from aiconform.engine.undecidable import RefusedError, UndecidableError

if TYPE_CHECKING:
    from aiconform.engine.events import Emit
    from aiconform.engine.journal import Entry
    from aiconform.engine.kinds import Kind
    from aiconform.engine.unrecorded import UnrecordedLane
    from aiconform.evidence.records import CleanupData

_LONGEST_RUN_S = 6 * 3600.0
"""How long a run may take whose namespace does not say it."""
_TOLD = (
    kinds.POD,
    kinds.JOB,
    kinds.DEPLOYMENT,
    kinds.SERVICE,
    kinds.RESOURCE_CLAIM,
    kinds.RAY_CLUSTER,
    kinds.VOLCANO_JOB,
    kinds.GATEWAY,
)
"""Kinds whose number is told before they are removed with their namespace."""


@dataclass
class Left:
    """What is there of one run.

    Attributes:
        handles: namespaces and objects of the whole cluster, in the order in which they are made.
        age_s: seconds since the first of them was made, by the API server's clock.
        ends_within_s: by which age the run has ended by itself.
        contents: kinds of what is in the namespaces, with numbers; None where that cannot be read.
    """

    run: str
    handles: list[Handle] = field(default_factory=list)
    age_s: float = 0.0
    ends_within_s: float = _LONGEST_RUN_S
    contents: Counter[str] | None = None

    @property
    def may_be_alive(self) -> bool:
        """Whether the run could still be going on somewhere."""
        return self.age_s < self.ends_within_s


@dataclass(frozen=True)
class Found:
    """What a search came to.

    Attributes:
        runs: what is there of each, the oldest first.
        unseen: objects of the whole cluster, or kinds of them, that could not be looked for, with why.
    """

    runs: list[Left]
    unseen: list[str]


async def find(lane: UnrecordedLane, run: str = "", entries: Sequence[Entry] | None = None) -> Found:
    """What is there of earlier runs, or of one alone.

    Args:
        lane: to ask on.
        run: of this run alone; then nothing is listed but objects of the whole cluster.
        entries: all that the run made, as its journal says; None where there is no journal.

    Raises:
        UndecidableError: namespaces cannot be listed, or, for one run, not be read; or no answer comes.
    """
    api = Api(lane)
    objects = await _named(api, run) if run else await _listed(api, kinds.NAMESPACE)
    unseen: list[str] = []
    for kind in kinds.MADE_CLUSTER_WIDE:
        objects += await _of_the_cluster(api, kind, run, entries, unseen)
    found: dict[str, Left] = {}
    for obj in objects:
        of = run_of(obj)
        if of and run in ("", of):
            _add(found.setdefault(of, Left(of)), obj, lane.server_time or datetime.now(UTC))
    for left in found.values():
        left.contents = await _counted(api, left.handles)
    return Found(sorted(found.values(), key=lambda left: (-left.age_s, left.run)), unseen)


async def remove_left(lane: UnrecordedLane, left: Left, emit: Emit, *, within_s: float = GONE_WITHIN_S) -> CleanupData:
    """Remove what is there of a run, and wait until it is gone; says what is left and what holds it."""
    return await remove(lane, list(reversed(left.handles)), emit, within_s=within_s)


def _add(left: Left, obj: Obj, now: datetime) -> None:
    meta = obj["metadata"]
    handle = Handle(kinds.of(obj), "", meta["name"], meta["uid"])
    root = handle.kind == kinds.NAMESPACE and handle.name == namespaces(left.run)["restricted"]
    left.handles.insert(0 if root else len(left.handles), handle)
    made = datetime.fromisoformat(meta["creationTimestamp"])
    left.age_s = max(left.age_s, (now - made).total_seconds())
    told = str((meta.get("annotations") or {}).get(ENDS_WITHIN, ""))
    if root and told.isdigit():
        left.ends_within_s = min(float(told), 24 * 3600.0)


async def _named(api: Api, run: str) -> list[Obj]:
    """The namespaces of a run, by name: for that nobody needs the right to list."""
    found = []
    for name in namespaces(run).values():
        try:
            found.append(await api.read(kinds.NAMESPACE, name))
        except RefusedError as refused:
            if refused.status != 404:
                raise
    return found


async def _listed(api: Api, kind: Kind) -> list[Obj]:
    objects, _ = await api.list(kind, labels={RUN_LABEL: ""})
    return objects


async def _of_the_cluster(
    api: Api, kind: Kind, run: str, entries: Sequence[Entry] | None, unseen: list[str]
) -> list[Obj]:
    """Objects of a kind that is not in namespaces; where they cannot be listed, those that the journal names."""
    try:
        objects, _ = await api.list(kind, labels={RUN_LABEL: run})
    except RefusedError as refused:
        if refused.status == 404:  # the kind is not served
            return []
        if entries is not None:
            mine = [entry for entry in entries if (entry.api_version, entry.kind) == (kind.api_version, kind.kind)]
            return [obj for entry in mine if (obj := await _entered(api, kind, entry, unseen)) is not None]
        if refused.status != 403:  # who makes such objects may list them, and another's go with their namespace
            unseen.append(f"{kind.plural}, if there are any ({refused.cause})")
        return []
    return objects


async def _entered(api: Api, kind: Kind, entry: Entry, unseen: list[str]) -> Obj | None:
    try:
        return await api.read(kind, entry.name, uid=entry.uid)
    except RefusedError as refused:
        if refused.status != 404:
            unseen.append(f"{kind.kind.lower()}/{entry.name}, if it is there ({refused.cause})")
        return None


async def _counted(api: Api, handles: Iterable[Handle]) -> Counter[str] | None:
    total: Counter[str] = Counter()
    try:
        for handle in handles:
            if handle.kind == kinds.NAMESPACE:
                seen = await inventory(api, handle.name, _TOLD)
                if seen.unseen:
                    return None
                total.update(kind for kind, _ in seen.objects)
    except UndecidableError:
        return None
    return total
