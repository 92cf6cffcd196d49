"""Requests through a Gateway to two backends that name themselves, and what is expected of the answers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aiconform.checks._kit import gateway, pods, workloads
from aiconform.checks._kit.gateway import Gateway, Rule
from aiconform.checks._kit.workloads import Answers, Batch, Client
from aiconform.engine import Context, Handle, Series, State

SETTLE_S = 60
IN_A_ROW = 10
"""So many answers in a row must be as wanted before any is counted: a Gateway may have several proxies."""
SIGMAS = 4
"""How far a share may be off; a Gateway that splits at random is farther in 1 of 16 000 runs."""
EVERY = 10
"""The plot has a point for each so many requests."""
ERRORS = (500, 502, 503, 504)


@dataclass(frozen=True)
class Scene:
    """A programmed Gateway, two backends by the names they give, and a route to the first of them with its host."""

    gateway: Gateway
    champion: str
    challenger: str
    route: Handle
    host: str

    def batch(
        self,
        name: str,
        host: str,
        *,
        path: str = "/predict",
        count: int = 20,
        headers: Mapping[str, str] | None = None,
        settle: str | Sequence[int] | None = None,
        every_ms: int = 0,
    ) -> Batch:
        """Requests at the Gateway's address.

        Args:
            name: of the batch.
            host: that is asked for.
            path: likewise.
            count: how many are counted.
            headers: sent beside the host.
            settle: what to see first, or nothing: 200 from a backend (from any, if empty), or one of these statuses.
            every_ms: milliseconds from one request to the next.
        """
        wanted: dict[str, object] = {"within_s": SETTLE_S, "times": IN_A_ROW}
        if isinstance(settle, str):
            wanted |= {"status": 200, "by": [settle] if settle else [self.champion, self.challenger]}
        elif settle is not None:
            wanted["status"] = list(settle)
        return Batch(
            name,
            self.gateway.url(path),
            count,
            headers={"Host": host, **(headers or {})},
            settle=wanted if settle is not None else {},
            every_ms=every_ms,
        )

    async def ask(self, ctx: Context, *batches: Batch) -> dict[str, Answers]:
        """Send batches from a pod, one after another.

        Raises:
            StopProbe: the pod did not run, or its report is not whole.
        """
        return await self.read(ctx, await self.send(ctx, *batches))

    async def send(self, ctx: Context, *batches: Batch) -> Client:
        """Begin to send batches from a pod."""
        return await workloads.client(ctx, "client", batches)

    async def read(self, ctx: Context, client: Client) -> dict[str, Answers]:
        """What came of the batches of a client, once it is done."""
        seen = await workloads.answers(ctx, client)
        for sent in client.batches:
            got = seen[sent.name]
            if not sent.count == got.count == sum(got.status.values()) == len(got.order) == len(got.at_s):
                raise ctx.undecided(
                    f"{sent.count} answers to {sent.name}", told(got), "the client's report is not whole"
                )
        return seen


async def scene(ctx: Context, front: Gateway) -> Scene:
    """Start two backends, and make a route to the first.

    Raises:
        StopProbe: a backend does not get ready, or the route is not resolved.
    """
    made = [await workloads.serve(ctx, hint) for hint in ("champion", "challenger")]
    for found in made:
        await ctx.until(workloads.pods_of(ctx, found), ready, expected=f"backend {found.app} is ready", within_s=120)
    champion, challenger = (found.app for found in made)
    route, host = await gateway.route(ctx, "route", front, Rule({champion: 1}))
    return Scene(front, champion, challenger, route, host)


def ready(objects: list[gateway.Obj]) -> State:
    """A condition: there are pods, and each of them is ready."""
    if not objects:
        return State("waiting", "no pod yet")
    state = pods.running(objects)
    if state.outcome != "met":
        return state
    said = [item for found in objects for item in found["status"].get("conditions") or [] if item["type"] == "Ready"]
    if len(said) == len(objects) and all(item["status"] == "True" for item in said):
        return State("met", f"{state.observed} and are ready")
    return State("waiting", f"{state.observed}, not ready yet")


def reached(ctx: Context, front: Gateway, seen: Answers) -> None:
    """Make sure that requests reached something at all.

    Raises:
        StopProbe: no answer came. Refused connections are for :func:`all_by` to judge; where nothing is heard, the way
            from pods to the address may be blocked or its name not known yet, which leaves it undecided.
    """
    if not any(seen.status) and "ConnectionRefused" not in seen.first_body:
        raise ctx.undecided(
            f"an answer at {front.address} port {front.port}",
            told(seen),
            f"a pod in the cluster hears nothing from the Gateway's address: {seen.first_body}",
        )


def all_by(ctx: Context, seen: Answers, backend: str, *, what: str, series: Sequence[Series] = ()) -> None:
    """Expect that every request was answered 200 by one backend."""
    count = seen.count
    ctx.expect(
        f"{what}: {count} of {count} answers are 200 from {backend}",
        told(seen),
        ok=seen.settled_s is not None and seen.status == {200: count} and seen.served == {backend: count},
        series=series,
    )


def not_found(ctx: Context, seen: Answers, *, what: str) -> None:
    """Expect that the Gateway itself answered 404 to every request."""
    _none_by(ctx, seen, (404,), what)


def broken(ctx: Context, seen: Answers, *, what: str) -> None:
    """Expect that the Gateway itself answered every request with a server's error."""
    _none_by(ctx, seen, ERRORS, what)


def shared(ctx: Context, seen: Answers, major: str, minor: str, *, percent: int) -> None:
    """Expect that every request was answered 200, and ``percent`` of them by ``minor``, the rest by ``major``."""
    count, share, took = seen.count, percent / 100, seen.served.get(minor, 0)
    far = SIGMAS * math.sqrt(count * share * (1 - share))
    whole = seen.settled_s is not None and seen.status == {200: count} and set(seen.served) == {major, minor}
    ctx.expect(
        f"{count} answers, all 200: {count * share:g} +/- {far:.0f} ({percent} %, {SIGMAS} sigma) from {minor}, "
        f"the others from {major}",
        told(seen),
        ok=whole and abs(took - count * share) <= far,
        figures={
            "asked": f"{100 - percent}/{percent}",
            "measured": f"{100 - 100 * took / count:.1f}/{100 * took / count:.1f}",
        },
        series=_shares(ctx, seen, minor, percent=percent),
    )


def told(seen: Answers) -> str:
    """What came back, in words."""
    statuses = ", ".join(f"{number} x {status or 'no answer'}" for status, number in sorted(seen.status.items()))
    served = ", ".join(f"{number} from {name or 'no backend'}" for name, number in sorted(seen.served.items()))
    words = [statuses, served]
    if seen.first_status == 0:
        words.append(seen.first_body)
    if seen.settled_s is None:
        words.append(f"not as wanted {IN_A_ROW} times in a row within {SETTLE_S} s")
    elif seen.settled_s:
        words.append(f"first {IN_A_ROW} like these after {seen.settled_s:g} s")
    return "; ".join(words)


def _none_by(ctx: Context, seen: Answers, statuses: Sequence[int], what: str) -> None:
    count = seen.count
    right = sum(seen.status.get(status, 0) for status in statuses)
    ctx.expect(
        f"{what}: {count} of {count} answers are {' or '.join(map(str, statuses))}, from no backend",
        told(seen),
        ok=seen.settled_s is not None and seen.served == {"": count} and right == count,
    )


def _shares(ctx: Context, seen: Answers, backend: str, *, percent: int) -> tuple[Series, ...]:
    """The share of a backend in all requests so far, beside the share that was asked for."""
    points = []
    for number in range(EVERY, len(seen.order) + 1, EVERY):
        share = 100 * sum(by == backend for by in seen.order[:number]) / number
        points.append((_moment(ctx, seen, number - 1), round(share, 2)))
    wanted = tuple((at, float(percent)) for at, _ in points)
    return (Series("share of the challenger, so far", "%", tuple(points)), Series("target", "%", wanted))


def passage(ctx: Context, during: Answers, after: Answers, backend: str, *, changed: float) -> tuple[Series, ...]:
    """The share of a backend in each few requests while weights changed from 20 to 100, and since.

    Args:
        ctx: the probe's context; the report was just read.
        during: requests sent while they were changed.
        after: those sent right after; the report ends with them.
        backend: whose share.
        changed: when the change was made, on the run's clock.
    """
    end = ctx.now - (after.at_s[-1] if after.at_s else 0.0) - (after.settled_s or 0.0)
    points = []
    for number in range(EVERY, len(during.order) + 1, EVERY):
        share = 100 * sum(by == backend for by in during.order[number - EVERY : number]) / EVERY
        points.append((max(0.0, round(end - during.at_s[-1] + during.at_s[number - 1], 3)), round(share, 2)))
    first, last = (points[0][0], points[-1][0]) if points else (changed, changed)
    wanted = ((min(first, changed), 20.0), (changed, 100.0), (max(last, changed), 100.0))
    return (Series(f"share of the challenger, of each {EVERY}", "%", tuple(points)), Series("target", "%", wanted))


def _moment(ctx: Context, seen: Answers, index: int) -> float:
    """When a request was answered, on the run's clock: the client's own clock tells how long before its report."""
    return max(0.0, round(ctx.now - seen.at_s[-1] + seen.at_s[index], 3))
