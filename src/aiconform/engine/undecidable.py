"""What makes a probe undecided: no answer, a refusal nobody expected, or an answer that is not what was asked.

::

    UndecidableError      the cause, in words for the page
    ├── NoAnswerError     no answer came (refused, reset, timeout, TLS)
    ├── RefusedError      the API answered with an error Status
    └── UnusableError     the answer is not usable as evidence: HTML, cut, of another kind, name, run or age
"""

from __future__ import annotations


class UndecidableError(Exception):
    """Something kept a probe from observing; becomes ``undecided`` with this cause."""

    def __init__(self, cause: str) -> None:
        super().__init__(cause)
        self.cause = cause


class NoAnswerError(UndecidableError):
    """No answer came."""


class RefusedError(UndecidableError):
    """The API answered with an error.

    Attributes:
        status: HTTP status.
        reason: the Status object's reason, such as ``NotFound``; empty where the body is no Status.
        message: the Status object's message.
    """

    def __init__(self, what: str, status: int, reason: str, message: str) -> None:
        super().__init__(f"{what}: {status} {reason or 'error'}" + (f": {message}" if message else ""))
        self.status = status
        self.reason = reason
        self.message = message


class UnusableError(UndecidableError):
    """The answer is no evidence for what was asked."""
