"""Kubernetes requests over a lane, with every answer held against what was asked.

An answer counts only if it is JSON of the kind, name, namespace and run that was asked for, and not older than what
was seen before. Everything else raises :mod:`~aiconform.engine.undecidable`, and so can never become a pass.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiconform.engine import answers
from aiconform.engine.kinds import Kind
from aiconform.engine.kinds import of as kind_of
from aiconform.engine.lane import IMPORT, JSON, TABLE, TEXT, Answer, Ask, Lane
from aiconform.engine.ownership import RUN_LABEL, same
from aiconform.engine.undecidable import RefusedError, UnusableError

if TYPE_CHECKING:
    from collections.abc import Mapping

Obj = dict[str, Any]
Objects = list[Obj]

PAGE = 500
"""Objects of a list that come in one answer."""

_RETRIES = 4
_FIRST_WAIT_S = 0.2
_RETRY_STATUS = (429, 500, 502, 503, 504)
_LONGEST_WAIT_S = 30.0
"""However long an answer tells us to wait, we ask again after this."""
_EXPIRED = 410


@dataclass(frozen=True)
class Handle:
    """An object that we created."""

    kind: Kind
    namespace: str
    name: str
    uid: str

    def __str__(self) -> str:
        """As kubectl names it: ``pod/probe-1234``."""
        return f"{self.kind.kind.lower()}/{self.name}"


def owner(handle: Handle) -> Obj:
    """The owner reference by which an object goes when the object of this handle goes."""
    return {
        "apiVersion": handle.kind.api_version,
        "kind": handle.kind.kind,
        "name": handle.name,
        "uid": handle.uid,
        "controller": False,
    }


class Api:
    """Requests of one lane. Remembers the resourceVersion of every object it saw, to refuse stale answers.

    ``versions`` shares that memory between lanes that run one after another.
    """

    def __init__(self, lane: Lane, versions: dict[str, int] | None = None) -> None:
        self.lane = lane
        self._versions = {} if versions is None else versions
        self.asked: list[int] = []  # numbers of the request records so far, for what an observation rests on
        self.skews_s: list[tuple[float, float]] = []  # what each answer told of the server's clock

    async def get(self, path: str, *, query: tuple[tuple[str, str], ...] = (), accept: str = JSON) -> Obj:
        """The JSON object at a path, tried again on answers that say 'try again'.

        Raises:
            UndecidableError: on anything but a JSON object with status 200.
        """
        answer = await self._settled(Ask("GET", path, query, accept))
        return answers.json_object(answer, f"GET {path}")

    async def text(self, path: str, *, query: tuple[tuple[str, str], ...] = (), accept: str = TEXT) -> str:
        """The text at a path, such as metrics through the API server's proxy.

        Raises:
            UndecidableError: on anything but text in UTF-8 with status 200.
        """
        found, _ = await self.page(path, query=query, accept=accept)
        return found

    async def page(self, path: str, *, query: tuple[tuple[str, str], ...] = (), accept: str) -> tuple[str, str]:
        """The text at a path, and the content type that it says it has.

        Raises:
            UndecidableError: on anything but text in UTF-8 with status 200.
        """
        answer = await self._settled(Ask("GET", path, query, accept))
        if answer.status != 200:
            raise answers.refusal(answer, f"GET {path}")
        try:
            return answer.body.decode(), answer.content_type
        except UnicodeDecodeError as problem:
            raise UnusableError(f"GET {path}: the answer is no text") from problem

    async def imported(self, name: str) -> bytes | None:
        """A file that the user gave, as it was; None if there is none of this name.

        Raises:
            UndecidableError: the answer is neither the file nor that there is none.
        """
        answer = await self._exchange(Ask(IMPORT, import_path(name), (), TEXT))
        if answer.status == 404 and not answer.body:
            return None
        if answer.status != 200 or not answer.body:
            raise answers.refusal(answer, f"the imported file {name}")
        return answer.body

    async def read(self, kind: Kind, name: str, namespace: str = "", *, uid: str = "") -> Obj:
        """One object by name, and by uid where given."""
        path = kind.path(namespace, name)
        return self.verified(await self.get(path), kind, namespace, name=name, uid=uid)

    async def list(
        self,
        kind: Kind,
        namespace: str = "",
        *,
        labels: Mapping[str, str] | None = None,
        fields: str = "",
        selector: str = "",
    ) -> tuple[list[Obj], str]:
        """The objects of a kind, and the list's resourceVersion.

        ``labels`` are asked for and then looked for in every answer; ``selector`` is a label selector that is only
        asked for, for what ``labels`` cannot say.
        """
        query = (("labelSelector", selector),) if selector else selectors(labels, fields)
        for _ in range(_RETRIES):
            try:
                items, version = await self._pages(kind, namespace, query)
            except RefusedError as refused:
                if refused.status != _EXPIRED:
                    raise
                continue
            objects = [{"apiVersion": kind.api_version, "kind": kind.kind, **item} for item in items]
            return [self.verified(item, kind, namespace, labels=labels) for item in objects], version
        raise UnusableError(f"the list of {kind.plural} changes faster than it can be read")

    async def _pages(self, kind: Kind, namespace: str, query: tuple[tuple[str, str], ...]) -> tuple[Objects, str]:
        """All pages of a list, which are of one moment, and its resourceVersion."""
        items, version, token = await self.page_of_list(kind, namespace, query)
        while token:
            more, version, token = await self.page_of_list(kind, namespace, query, token=token)
            items += more
        return items, version

    async def page_of_list(
        self, kind: Kind, namespace: str, query: tuple[tuple[str, str], ...], *, token: str = "", size: int = PAGE
    ) -> tuple[Objects, str, str]:
        """One page of a list: its items as they came, the list's resourceVersion, and the token of the next page.

        Raises:
            RefusedError: 410 where the list went stale meanwhile; then it is begun anew.
        """
        path = kind.path(namespace)
        following = (("continue", token),) if token else ()
        body = await self.get(path, query=(*query, ("limit", str(size)), *following))
        if body.get("kind") != f"{kind.kind}List" or body.get("apiVersion") != kind.api_version:
            raise UnusableError(f"GET {path} answered {body.get('kind')} instead of {kind.kind}List")
        meta, items = body.get("metadata") or {}, body.get("items")
        if not isinstance(items, list) or not meta.get("resourceVersion"):
            raise UnusableError(f"GET {path} answered a list without items or resourceVersion")
        return items, str(meta["resourceVersion"]), str(meta.get("continue") or "")

    async def ask(self, path: str, body: Obj, *, query: tuple[tuple[str, str], ...] = ()) -> Obj:
        """The answer to a question that is put by POST and stores nothing: an access review, or a dry run.

        Raises:
            UndecidableError: on anything but a JSON object with status 201.
        """
        answer = await self._settled(Ask("POST", path, query, JSON, dump(body)))
        return answers.json_object(answer, f"POST {path}", 201)

    async def table(
        self,
        kind: Kind,
        namespace: str = "",
        *,
        labels: Mapping[str, str] | None = None,
        fields: str = "",
        first: int = PAGE,
    ) -> Obj:
        """The server-printed table of a collection: what kubectl would show; of a long one the ``first`` rows."""
        query = (*selectors(labels, fields), ("limit", str(first)))
        body = await self.get(kind.path(namespace), query=query, accept=TABLE)
        if body.get("kind") != "Table":
            raise UnusableError(f"GET {kind.path(namespace)} answered {body.get('kind')} instead of a Table")
        return body

    async def create(self, manifest: Obj) -> Obj:
        """Create an object that carries our marks; where no clear answer came, read back whether it is there and ours.

        It is asked for again only where the server says that it did nothing, or where it is not there.

        Raises:
            RefusedError: the API refused it, or somebody else's object has the name.
        """
        kind, meta = kind_of(manifest), manifest["metadata"]
        what = f"create {kind.kind} {meta['name']}"
        ask = Ask("POST", kind.path(meta.get("namespace", "")), (), JSON, dump(manifest))
        unusable: UnusableError | None = None
        for attempt in range(_RETRIES + 1):
            answer = await self._exchange(ask)
            try:
                if answer.status == 201:
                    return self._held_against(answers.json_object(answer, what, 201), manifest)
            except UnusableError as problem:
                unusable = problem
            if not (answers.unclear(answer) or answer.status in (409, 429)):
                break
            if answer.status != 429 and (found := await self._there(kind, meta)) is not None:
                if not same(found, manifest):
                    raise RefusedError(what, 409, "AlreadyExists", "somebody else's object has this name")
                return self._held_against(found, manifest)
            if not answers.worth_another_try(answer) or attempt == _RETRIES:
                break
            await self._wait(answer, attempt)
        raise unusable if unusable is not None and answer.status == 201 else answers.refusal(answer, what)

    def _held_against(self, created: Obj, manifest: Obj) -> Obj:
        meta = manifest["metadata"]
        run = {RUN_LABEL: meta["labels"][RUN_LABEL]}
        return self.verified(created, kind_of(manifest), meta.get("namespace", ""), name=meta["name"], labels=run)

    async def _there(self, kind: Kind, meta: Obj) -> Obj | None:
        """The object of this name; None if there is none."""
        try:
            return await self.read(kind, meta["name"], meta.get("namespace", ""))
        except RefusedError as missing:
            if missing.status == 404:
                return None
            raise

    async def patch(self, handle: Handle, change: Obj) -> Obj:
        """Change exactly this object by JSON merge patch (RFC 7396): its uid in the patch is a precondition.

        Raises:
            RefusedError: the API refused it.
            UnusableError: the answer is of another object, or of this one unchanged.
        """
        body = {**change, "metadata": {**change.get("metadata", {}), "uid": handle.uid}}
        path = handle.kind.path(handle.namespace, handle.name)
        answer = await self._settled(Ask("PATCH", path, (), JSON, dump(body)))
        changed = answers.json_object(answer, f"patch {handle}")
        before = self._versions.get(handle.uid)
        self.verified(changed, handle.kind, handle.namespace, name=handle.name, uid=handle.uid)
        if self._versions[handle.uid] == before and not answers.holds(changed, change):
            raise UnusableError(f"patch {handle}: the answer shows it as it was before")
        return changed

    async def delete(self, handle: Handle, *, grace_s: int | None = None) -> None:
        """Delete exactly this object: by uid precondition. One that is gone already is fine.

        Raises:
            RefusedError: the API refused it.
        """
        options: Obj = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": {"uid": handle.uid},
            "propagationPolicy": "Background",
        }
        if grace_s is not None:
            options["gracePeriodSeconds"] = grace_s
        path = handle.kind.path(handle.namespace, handle.name)
        for attempt in range(_RETRIES + 1):
            answer = await self._settled(Ask("DELETE", path, (), JSON, dump(options)))
            accepted = answer.status in (200, 202)
            if answer.status == 404 or (accepted and answers.is_json_object(answer)):
                return
            if not (accepted or answer.status == 409) or attempt == _RETRIES:
                break
            # somebody else's answer, another object of the name, one that goes already, a conflict: only looking tells
            found = await self._there(handle.kind, {"name": handle.name, "namespace": handle.namespace})
            if found is None or found["metadata"]["uid"] != handle.uid or "deletionTimestamp" in found["metadata"]:
                return
            await self._wait(answer, attempt)
        raise answers.refusal(answer, f"delete {handle}")

    def verified(
        self,
        obj: Obj,
        kind: Kind,
        namespace: str,
        *,
        name: str = "",
        uid: str = "",
        labels: Mapping[str, str] | None = None,
    ) -> Obj:
        """The object, once it is held against what was asked.

        Raises:
            UnusableError: it is another one, of another run, or older than what was seen.
        """
        raw = obj.get("metadata")
        meta: Obj = raw if isinstance(raw, dict) else {}
        problem = ""
        if (obj.get("apiVersion"), obj.get("kind")) != (kind.api_version, kind.kind):
            problem = f"is {obj.get('kind')} of {obj.get('apiVersion')}"
        elif namespace and kind.namespaced and meta.get("namespace") != namespace:
            problem = f"is of namespace {meta.get('namespace')}"
        elif name and meta.get("name") != name:
            problem = f"is named {meta.get('name')}"
        elif not meta.get("uid") or (uid and meta["uid"] != uid):
            problem = "has another uid"
        elif any((meta.get("labels") or {}).get(key) != value for key, value in (labels or {}).items() if value):
            problem = "does not carry the labels asked for"
        if problem:
            raise UnusableError(f"asked for {kind.kind} {name or 'list'}: the answer {problem}")
        self._fresh(meta)
        return obj

    def _fresh(self, meta: Obj) -> None:
        version = str(meta.get("resourceVersion", ""))
        if not version.isdigit():
            raise UnusableError(f"{meta.get('name')} has no usable resourceVersion")
        if int(version) < self._versions.get(meta["uid"], 0):
            raise UnusableError(f"the answer shows {meta.get('name')} older than it was seen before")
        self._versions[meta["uid"]] = int(version)

    async def _exchange(self, ask: Ask) -> Answer:
        answer = await self.lane.exchange(ask)
        self.asked.append(answer.n)
        self.skews_s += [answer.skew_s] if answer.skew_s else []
        return answer

    async def _settled(self, ask: Ask) -> Answer:
        """Exchange, and again while the answer says that trying again may help (GET, and DELETE by uid)."""
        answer = await self._exchange(ask)
        for attempt in range(_RETRIES):
            if answer.status != 0 and answer.status not in _RETRY_STATUS:
                break
            await self._wait(answer, attempt)
            answer = await self._exchange(ask)
        return answer

    async def _wait(self, answer: Answer, attempt: int) -> None:
        """Let the time pass that the answer asks for, else a little more at each attempt."""
        wait = min(answer.retry_after_s or _FIRST_WAIT_S * 2**attempt, _LONGEST_WAIT_S)
        await self.lane.pause(wait, limit=float("inf"), waiting_for="the API server")


def import_path(name: str) -> str:
    """What an imported file is asked for by."""
    return f"/imports/{name}"


def selectors(labels: Mapping[str, str] | None, fields: str) -> tuple[tuple[str, str], ...]:
    """Query parameters of a list or watch. A label with an empty value asks only that the label exists."""
    query: list[tuple[str, str]] = []
    if labels:
        query.append(("labelSelector", ",".join(f"{k}={v}" if v else k for k, v in sorted(labels.items()))))
    if fields:
        query.append(("fieldSelector", fields))
    return tuple(query)


def dump(manifest: Obj) -> bytes:
    """A request body: compact JSON, keys in the order written."""
    return json.dumps(manifest, separators=(",", ":"), ensure_ascii=False).encode()
