"""What an answer of the API server says, and what it leaves open."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiconform.engine.undecidable import NoAnswerError, RefusedError, UndecidableError, UnusableError
from aiconform.evidence.strictjson import StrictJSONError, loads

if TYPE_CHECKING:
    from aiconform.engine.lane import Answer

Obj = dict[str, Any]


def json_object(answer: Answer, what: str, status: int = 200) -> Obj:
    """The JSON object in an answer.

    Args:
        answer: to what was asked.
        what: was asked, for the words of an error.
        status: that it must have.

    Raises:
        UndecidableError: it has another status, or is no JSON object.
    """
    if answer.status != status:
        raise refusal(answer, what)
    try:
        body = loads(answer.body)
    except StrictJSONError as problem:
        raise UnusableError(f"{what}: the answer is no JSON: {problem}") from problem
    if not isinstance(body, dict):
        raise UnusableError(f"{what}: the answer is no JSON object")
    return body


def is_json_object(answer: Answer) -> bool:
    """Whether an answer can be the API server's own: something on the way may say yes to anything, in HTML."""
    return _told(answer) is not None


def _told(answer: Answer) -> Obj | None:
    try:
        body = loads(answer.body)
    except StrictJSONError:
        return None
    return body if isinstance(body, dict) else None


def holds(obj: Obj, change: Obj) -> bool:
    """Whether an object is as a JSON merge patch (RFC 7396) wants it."""
    return all(key not in obj if value is None else _holds(obj.get(key), value) for key, value in change.items())


def _holds(found: object, wanted: object) -> bool:
    if isinstance(wanted, dict):
        return isinstance(found, dict) and holds(found, wanted)
    return found == wanted


def unclear(answer: Answer) -> bool:
    """Whether an answer to a creation leaves open if it was done: none, the server's error, or not its own words."""
    return answer.status < 400 or answer.status >= 500


def worth_another_try(answer: Answer) -> bool:
    """Whether a creation that was not done may be done if asked for again; a webhook that fails fails again."""
    return b"webhook" not in answer.body


def refusal(answer: Answer, what: str) -> UndecidableError:
    """What a request came to that was not done, to be raised."""
    if answer.status == 0:
        return NoAnswerError(f"{what}: no answer: {answer.error}")
    body = _told(answer)
    if body is not None and body.get("kind") == "Status":
        # the API server says of credentials that it refuses no more than that; what was tried is our own to say
        message = answer.error or str(body.get("message", ""))
        return RefusedError(what, answer.status, str(body.get("reason", "")), message)
    return RefusedError(what, answer.status, "", "the answer is no Kubernetes Status")
