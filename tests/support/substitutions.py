"""Ways to change the answers of a recorded run, for replays that must not pass."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aiconform.engine.replay import Substitution
from aiconform.evidence.records import RequestData, ResponseData

Edit = Callable[[Any], None]


@dataclass
class InJson(Substitution):
    """Edits JSON answers and watch events of one lane whose path ends as given; the edit changes objects in place.

    For lists and watches the edit is applied to each object. ``done`` counts what was really changed.
    """

    lane: str
    path: str
    edit: Edit
    done: int = field(default=0, init=False)

    def response(
        self, lane: str, request: RequestData, response: ResponseData, body: bytes
    ) -> tuple[ResponseData, bytes]:
        if self._mine(lane, request) and body:
            return response, self._edited(body)
        return response, body

    def piece(self, lane: str, request: RequestData, body: bytes) -> bytes:
        return self._edited(body) if self._mine(lane, request) and body.startswith(b"{") else body

    def _mine(self, lane: str, request: RequestData) -> bool:
        return lane == self.lane and self.path in request.path and "Table" not in request.accept

    def _edited(self, body: bytes) -> bytes:
        answer = json.loads(body)
        objects = answer["items"] if "items" in answer else [answer.get("object", answer)]
        before = json.dumps(objects)
        for obj in objects:
            if obj.get("kind") != "Status":
                self.edit(obj)
        self.done += json.dumps(objects) != before
        return json.dumps(answer).encode()


@dataclass
class InLogs(Substitution):
    """Replaces what matches a pattern in the logs of one lane; of the container or pods named, if any are."""

    lane: str
    old: str
    new: str
    container: str = ""
    pod: str = ""
    done: int = field(default=0, init=False)

    def piece(self, lane: str, request: RequestData, body: bytes) -> bytes:
        mine = lane == self.lane and request.path.endswith("/log") and self.pod in request.path
        if mine and self.container:
            mine = ("container", self.container) in [tuple(pair) for pair in request.query]
        changed = re.sub(self.old.encode(), self.new.encode(), body) if mine else body
        self.done += changed != body
        return changed


@dataclass
class InText(Substitution):
    """Replaces what matches a pattern in the answers of one lane whose path has ``path`` in it: metrics by a proxy."""

    lane: str
    path: str
    old: str
    new: str
    done: int = field(default=0, init=False)

    def response(
        self, lane: str, request: RequestData, response: ResponseData, body: bytes
    ) -> tuple[ResponseData, bytes]:
        if lane != self.lane or self.path not in request.path:
            return response, body
        changed = re.sub(self.old.encode(), self.new.encode(), body)
        self.done += changed != body
        return response, changed


@dataclass
class Both(Substitution):
    """Two substitutions at once."""

    first: InJson | InLogs | InText
    second: InJson | InLogs | InText

    @property
    def lane(self) -> str:
        return self.first.lane

    @property
    def done(self) -> int:
        return min(self.first.done, self.second.done)

    def response(
        self, lane: str, request: RequestData, response: ResponseData, body: bytes
    ) -> tuple[ResponseData, bytes]:
        return self.second.response(lane, request, *self.first.response(lane, request, response, body))

    def piece(self, lane: str, request: RequestData, body: bytes) -> bytes:
        return self.second.piece(lane, request, self.first.piece(lane, request, body))


@dataclass
class OneAnswer(Substitution):
    """Replaces one answer, by lane and number of its request record, with something wrong."""

    lane: str
    number: int
    wrong: Callable[[ResponseData, bytes], tuple[ResponseData, bytes]]
    numbers: dict[str, int] = field(default_factory=dict, init=False)
    done: int = field(default=0, init=False)

    def response(
        self, lane: str, request: RequestData, response: ResponseData, body: bytes
    ) -> tuple[ResponseData, bytes]:
        if lane == self.lane and request.audit_id.endswith(f".{self.number}"):
            self.done += 1
            return self.wrong(response, body)
        return response, body
