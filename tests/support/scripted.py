"""A context for unit tests of what stands beside the checks: objects and answers in memory, no lanes and no time.

What is watched is looked at once; what is polled, a few times. Statements are kept, and what did not pass ends the
probe as in the real one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiconform.engine import Condition, Explain, Facts, Handle, RefusedError, State, StopProbe, Target
from aiconform.engine.kinds import Kind, of

Obj = dict[str, Any]


def facts(*groups: str, **more: Any) -> Facts:
    """What discovery found: these groups and versions."""
    return Facts("", "", "", frozenset(groups), (), (), (), (), (), (), (), **more)


def not_found(name: str) -> RefusedError:
    """What the API says of an object that it does not know."""
    return RefusedError(f"GET {name}", 404, "NotFound", f'"{name}" not found')


class Scripted:
    """Stands in for :class:`aiconform.engine.Context`.

    Attributes:
        objects: what is there, by kind.
        answers: what is answered at a path that is no object's: a value, or a function of path and query.
        logs: what a container's log says, given the object; the line that ends it is added.
        on_create: called with what is created; may change it, add others, or refuse it by raising.
        told: outcome and text of every statement.
        figures: of the statements that passed; the first of a name.
        gone: names of what was deleted.
    """

    looks = 3

    def __init__(self, *groups: str, **found: Any) -> None:
        self.facts = facts(*groups, **found)
        self.memo: dict[str, Any] = {}
        self.namespace = "ours"
        self.now = 0.0
        self.objects: dict[str, list[Obj]] = {}
        self.answers: Callable[[str, Mapping[str, str]], Any] = lambda path, _query: _no_answer(path)
        self.logs: Callable[[Obj], str] = lambda _pod: ""
        self.on_create: Callable[[Obj], None] = lambda _made: None
        self.made: list[Obj] = []
        self.told: list[tuple[str, str]] = []
        self.figures: dict[str, str] = {}
        self.gone: list[str] = []
        self._names = 0

    def has(self, kind: Kind, *objects: Obj) -> None:
        """Put objects there."""
        for obj in objects:
            meta = {"namespace": "ours", "uid": f"uid-of-{obj['metadata']['name']}", "generation": 1, **obj["metadata"]}
            whole = {"apiVersion": kind.api_version, "kind": kind.kind, **obj, "metadata": meta}
            self.objects.setdefault(_key(kind), []).append(whole)

    # -- what a probe uses --------------------------------------------------------------------------------------

    def name(self, hint: str) -> str:
        self._names += 1
        return f"{hint}-{self._names}"

    def image(self, role: str) -> str:
        return f"{role}:1.2.3"

    def option(self, name: str) -> str:
        return self.facts.option(name)

    async def create(self, manifest: Obj) -> Handle:
        kind = of(manifest)
        name = manifest["metadata"]["name"]
        self.on_create(manifest)
        self.made.append(manifest)
        self.has(kind, manifest)
        return Handle(kind, "ours" if kind.namespaced else "", name, f"uid-of-{name}")

    async def delete(self, handle: Handle) -> None:
        self.gone.append(handle.name)
        kept = [one for one in self.objects.get(_key(handle.kind), []) if one["metadata"]["uid"] != handle.uid]
        self.objects[_key(handle.kind)] = kept

    async def patch(self, handle: Handle, change: Obj) -> Obj:
        found = await self.read(handle)
        found.update({key: value for key, value in change.items() if key != "metadata"})
        return found

    async def read(self, handle: Handle) -> Obj:
        return await self.read_named(handle.kind, handle.name, handle.namespace)

    async def read_named(self, kind: Kind, name: str, namespace: str = "") -> Obj:
        for obj in self._of(kind, namespace):
            if obj["metadata"]["name"] == name:
                return obj
        raise not_found(name)

    async def list(self, kind: Kind, namespace: str = "", **asked: Any) -> list[Obj]:
        found = self.objects.get(_key(kind), [])
        if isinstance(found, Exception):
            raise found
        return [obj for obj in self._of(kind, namespace) if _carries(obj, asked.get("labels") or {})]

    async def get(self, path: str, *, query: Mapping[str, str] | None = None) -> Any:
        answer = self.answers(path, query or {})
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def text(self, path: str, *, query: Mapping[str, str] | None = None, accept: str = "") -> str:
        return str(await self.get(path, query=query))

    async def show(self, handles: object) -> None:
        """Nothing is shown."""

    async def seen(
        self, target: Any, condition: Condition, *, expected: str, within_s: float
    ) -> tuple[State, list[Obj]]:
        objects = self._watched(target)
        return condition(objects), objects

    def conclude(self, state: State, *, expected: str, took_s: float, within_s: float) -> None:
        self._judged(state, expected)

    async def log(self, pod: Handle, container: str, *, end: str, within_s: float = 90) -> str:
        return f"{self.logs(await self.read(pod))}\n{end}"

    async def until(
        self, target: Any, condition: Condition, *, expected: str, within_s: float, explain: Explain | None = None
    ) -> list[Obj]:
        objects = self._watched(target)
        state = condition(objects)
        self._judged(await explain(state) if explain and state.outcome != "met" else state, expected)
        return objects

    async def refused(self, manifest: Obj) -> RefusedError:
        try:
            await self.create(manifest)
        except RefusedError as refusal:
            return refusal
        self.told.append(("failed", "was accepted"))
        raise StopProbe

    async def until_gone(self, handle: Handle, *, within_s: float) -> None:
        still = any(obj["metadata"]["uid"] == handle.uid for obj in self._of(handle.kind, handle.namespace))
        self.told.append(("failed" if still else "passed", f"{handle} is {'there' if still else 'gone'}"))
        if still:
            raise StopProbe

    async def poll(
        self, sample: Callable[[], Awaitable[State]], *, expected: str, within_s: float, every_s: float = 1.0
    ) -> State:
        for _ in range(self.looks):
            state = await sample()
            self.now += min(every_s, within_s)
            if state.outcome in ("met", "wrong"):
                break
        return self._judged(state, expected)

    async def hold(
        self, sample: Callable[[], Awaitable[State]], *, expected: str, during_s: float, every_s: float = 1.0
    ) -> State:
        for _ in range(self.looks):
            state = await sample()
            self.now += min(every_s, during_s)
            if state.outcome != "met":
                break
        return self._judged(state, expected)

    def expect(
        self,
        expected: str,
        observed: str,
        *,
        ok: bool,
        cause: str = "",
        figures: Mapping[str, str] | None = None,
        **_: object,
    ) -> None:
        self.told.append(("passed" if ok else "failed", f"{expected}: {observed}: {cause}"))
        if ok:
            self.figures = {**(figures or {}), **self.figures}
        else:
            raise StopProbe

    def undecided(self, expected: str, observed: str, cause: str) -> StopProbe:
        self.told.append(("undecided", f"{expected}: {observed}: {cause}"))
        return StopProbe()

    # -- inside -------------------------------------------------------------------------------------------------

    def _judged(self, state: State, expected: str) -> State:
        outcome = {"met": "passed", "blocked": "undecided", "nothing": "undecided"}.get(state.outcome, "failed")
        self.told.append((outcome, f"{expected}: {state.observed}"))
        if outcome != "passed":
            raise StopProbe
        self.figures = {**dict(state.figures), **self.figures}
        return state

    def _of(self, kind: Kind, namespace: str) -> list[Obj]:
        found = self.objects.get(_key(kind), [])
        return [obj for obj in found if not namespace or obj["metadata"]["namespace"] == namespace]

    def _watched(self, target: Any) -> list[Obj]:
        if isinstance(target, Target):
            name = target.fields.removeprefix("metadata.name=")
            found = self._of(target.kind, target.namespace)
            return [o for o in found if _carries(o, target.labels) and (not name or o["metadata"]["name"] == name)]
        handles = [target] if isinstance(target, Handle) else target
        uids = {handle.uid for handle in handles}
        return [obj for obj in self._of(handles[0].kind, "") if obj["metadata"]["uid"] in uids]


def _key(kind: Kind) -> str:
    return f"{kind.plural}.{kind.api_version}"


def _carries(obj: Obj, labels: Mapping[str, str]) -> bool:
    mine = obj["metadata"].get("labels") or {}
    return all(mine.get(key) == value for key, value in labels.items())


def _no_answer(path: str) -> Exception:
    return not_found(path)
