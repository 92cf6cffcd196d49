"""Requests through a Gateway to two backends that name themselves, and what is expected of the answers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aiconform.checks._kit import gateway, pods, shares, workloads
from aiconform.checks._kit.gateway import Rule
from aiconform.checks._kit.gateway_status import Gateway
from aiconform.checks._kit.workloads import Answers, Batch, Client
from aiconform.engine import Context, Handle, Series, State

UNSETTLED_S = 50
"""A batch that does not settle and then gets no answers takes so much longer at most."""
IN_A_ROW = 10
"""So many answers in a row must be as wanted before any is counted: a Gateway may have several proxies."""
SIGMAS = 4
"""How far a share may be off; a Gateway that splits at random is farther in 1 of 16 000 runs."""
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
        wanted: dict[str, object] = {"within_s": self.gateway.settle_s, "times": IN_A_ROW}
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
        seen = await workloads.answers(
            ctx, client, within_s=(self.gateway.settle_s + UNSETTLED_S) * len(client.batches)
        )
        for sent in client.batches:
            got = seen[sent.name]
            count = sent.count if got.settled_s is not None else got.count
            if not count == got.count == sum(got.status.values()) == len(got.order) == len(got.at_s):
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
        expected, why = f"backend {found.app} is ready", workloads.why_no_pods(ctx, found)
        await ctx.until(workloads.pods_of(ctx, found), ready, expected=expected, within_s=120, explain=why)
    champion, challenger = (found.app for found in made)
    route, host = await gateway.route(ctx, "route", front, Rule({champion: 1}))
    return Scene(front, champion, challenger, route, host)


def ready(objects: list[gateway.Obj]) -> State:
    """A condition: there are pods, and each of them is ready."""
    if not objects:
        return workloads.NO_POD
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


def all_by(
    ctx: Context,
    seen: Answers,
    backend: str,
    *,
    what: str,
    figures: Mapping[str, str] | None = None,
    series: Sequence[Series] = (),
) -> None:
    """Expect that every request was answered 200 by one backend."""
    count = seen.count
    ctx.expect(
        f"{what}: {count} of {count} answers are 200 from {backend}",
        told(seen),
        ok=seen.settled_s is not None and seen.status == {200: count} and seen.served == {backend: count},
        figures=figures,
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
        series=shares.so_far(ctx, seen, minor, percent=percent),
    )


def told(seen: Answers) -> str:
    """What came back, in words."""
    statuses = ", ".join(f"{number} x {status or 'no answer'}" for status, number in sorted(seen.status.items()))
    served = ", ".join(f"{number} from {name or 'no backend'}" for name, number in sorted(seen.served.items()))
    words = [statuses, served]
    if seen.first_status == 0:
        words.append(seen.first_body)
    if seen.settled_s is None:
        words.append(f"not as wanted {IN_A_ROW} times in a row in the time given")
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
