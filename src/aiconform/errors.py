"""Errors that a person is meant to read.

::

    AiconformError            what went wrong, what it costs, and the next step (70)
    ├── UsageError            the command line or a file named on it is wrong (2)
    ├── UnreachableError      the cluster cannot be reached, or preflight refused (4)
    ├── LocalClusterError     the local cluster cannot be built, started or removed (4)
    ├── BundleError           a bundle is cut, edited, hostile or of another format (1)
    └── InternalError         our own bug (70)
"""

from __future__ import annotations


class AiconformError(Exception):
    """A failure told to a person: one line of what, optional details, and a hint with the next step.

    Args:
        message: what happened, lower case, no full stop: ``cannot list resourceclaims: 403 Forbidden``.
        details: further lines, for example which requirement it costs (``needed by dra_support``).
        hint: the next step for the reader, as a sentence or a command.
    """

    exit_code = 70

    def __init__(self, message: str, *, details: tuple[str, ...] | list[str] = (), hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.details = tuple(details)
        self.hint = hint
        for line in self.details:  # where a traceback is shown, by -v or by a test, they are part of it
            self.add_note(line)

    def render(self) -> str:
        """The text shown on standard error: ``error:``, indented details, a blank line, ``hint:``."""
        lines = [f"error: {self.message}", *(f"  {line}" for line in self.details)]
        if self.hint:
            lines += ["", f"hint: {self.hint}"]
        return "\n".join(lines)


class UsageError(AiconformError):
    """The command line, or a file named on it, is wrong."""

    exit_code = 2


class UnreachableError(AiconformError):
    """The cluster cannot be reached, or a preflight refused to start."""

    exit_code = 4


class LocalClusterError(AiconformError):
    """The local cluster cannot be built, started or removed."""

    exit_code = 4


class BundleError(AiconformError):
    """A bundle is cut, edited, hostile, or of a format this version does not know."""

    exit_code = 1


class InternalError(AiconformError):
    """A bug of aiconform's own."""

    exit_code = 70
