"""Which rights the requests of a recorded run rest on, and which its checks say that they need."""

from __future__ import annotations

from collections.abc import Iterator

import anyio

from aiconform.checks import all_checks
from aiconform.engine.access import of_check
from aiconform.engine.arriving import look
from aiconform.engine.facts import Facts
from aiconform.engine.rights import GUARDS, Right, parse
from aiconform.engine.stage import ReplayStage
from aiconform.evidence.reader import Bundle

CHECKS = all_checks()


def used(bundle: Bundle, lane: str) -> Iterator[Right]:
    """The rights that the requests of a lane rest on."""
    for record in bundle.lanes[lane]:
        if record.type == "request":
            right = right_of(record.data["method"], record.data["path"], dict(record.data["query"]))
            if right is not None:
                yield right


def right_of(method: str, path: str, query: dict[str, str]) -> Right | None:
    """The right that a request needs; None for what everybody may ask (discovery, reviews)."""
    parts = path.strip("/").split("/")
    core = parts[0] == "api"
    group, rest = ("", parts[2:]) if core else (parts[1] if len(parts) > 1 else "", parts[3:])
    if parts[0] not in ("api", "apis") or not rest or group == "authorization.k8s.io":
        return None
    if rest[0] == "namespaces" and len(rest) > 2:
        rest = rest[2:]
    resource = rest[0] + (f"/{rest[2]}" if len(rest) > 2 else "")
    verb = {"POST": "create", "PATCH": "patch", "DELETE": "delete"}.get(method)
    if verb is None:
        verb = "get" if len(rest) > 1 else "watch" if query.get("watch") else "list"
    return Right(group, resource, verb)


def broad(right: Right) -> Right:
    """The same right on any object: recorded names may be pseudonyms."""
    return Right(right.group, right.resource, right.verb, sometimes=right.sometimes)


def lanes_of(bundle: Bundle) -> Iterator[tuple[str, str]]:
    """Each lane, with the requirement whose it is; ``engine`` where it is nobody's."""
    for lane in bundle.lanes:
        first, _, rest = lane.partition("/")
        yield lane, rest if first == "cleanup" and rest else "engine" if first not in CHECKS else first


def asked(bundle: Bundle, name: str) -> set[Right]:
    return {right for lane, owner in lanes_of(bundle) if owner == name for right in used(bundle, lane)}


def needed(bundle: Bundle, name: str) -> list[Right]:
    """What the check needs on the cluster as it was found before it was examined."""
    mine = f"discovery/{name}"
    lane = mine if mine in bundle.lanes else "discovery"
    facts = anyio.run(look, ReplayStage(bundle), lane, bundle.plan.options)
    assert isinstance(facts, Facts)
    return [broad(right) for right in of_check(CHECKS[name], facts)]


def unsaid(bundle: Bundle, name: str) -> list[str]:
    """What a check asked and does not say. Its guard is the engine's, and made in the check's own lanes."""
    return sorted(map(str, asked(bundle, name) - {*needed(bundle, name), *map(broad, parse(*GUARDS))}))


def unasked(bundle: Bundle, name: str) -> list[str]:
    """What a check says that it always needs and did not ask.

    A wait lists, and watches only if what it waits for is not there yet: both are one right here.
    """
    found = asked(bundle, name)
    found |= {Right(right.group, right.resource, "watch") for right in found if right.verb == "list"}
    return sorted(map(str, {right for right in needed(bundle, name) if not right.sometimes} - found))
