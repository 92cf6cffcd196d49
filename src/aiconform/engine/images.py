"""The images that a run's pods use, by role: their references, taken apart, mirrored, and held against what ran.

References are read as container runtimes read them (distribution's ``reference`` grammar): ``ubuntu:22.04`` is
``docker.io/library/ubuntu:22.04``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from aiconform.errors import UsageError

NOT_PINNED = "no digest: whoever serves the tag decides what runs; pin it with --image {role}={name}@sha256:..."
_UNKNOWN_DIGEST = (
    "the digest is not known to aiconform: it was never read from a registry by this project; "
    "pin it yourself, see docs/workload-images.md"
)


@dataclass(frozen=True)
class Role:
    """What an image is for.

    Attributes:
        reference: the public image that is used unless another is named.
        asks: what any image in its place has to have.
        unpinned: why the reference has no digest; empty where it has one.
    """

    name: str
    reference: str
    asks: str
    unpinned: str = ""


ROLES: Mapping[str, Role] = {
    role.name: role
    for role in (
        Role(
            "probe",
            "docker.io/library/ubuntu:22.04",
            "a shell with ls, cat, sleep and stat, a C library that a driver's tools can use, and no vendor's tools",
            _UNKNOWN_DIGEST,
        ),
        Role(
            "python",
            "docker.io/library/python:3.11-slim",
            "Python 3.11 or later as python3, and nothing else",
            _UNKNOWN_DIGEST,
        ),
        Role(
            "ray",
            "docker.io/rayproject/ray:2.54.0",
            "Ray; the tag begins with its version, which the operator is told",
            _UNKNOWN_DIGEST,
        ),
    )
}
"""By name, in the order shown."""

DEFAULT_IMAGES: Mapping[str, str] = {role.name: role.reference for role in ROLES.values()}

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_HOST = r"(?:localhost|[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+|[A-Za-z0-9-]+(?=:[0-9])|\[[0-9A-Fa-f:]+\])(?::[0-9]+)?"
_REFERENCE = re.compile(
    rf"(?:(?P<registry>{_HOST})/)?(?P<path>{_COMPONENT}(?:/{_COMPONENT})*)"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)
_PREFIX = re.compile(rf"(?P<registry>{_HOST})(?P<path>(?:/{_COMPONENT})*)/?")


@dataclass(frozen=True)
class Reference:
    """A reference, whole: ``docker.io``, ``library/ubuntu``, ``22.04``, and a digest if it has one."""

    registry: str
    path: str
    tag: str = ""
    digest: str = ""

    @property
    def name(self) -> str:
        """Without tag and digest."""
        return f"{self.registry}/{self.path}"

    def __str__(self) -> str:
        """As it stands in a pod."""
        return self.name + (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")


def parse(text: str) -> Reference:
    """Take a reference apart.

    Raises:
        UsageError: it is none.
    """
    found = _REFERENCE.fullmatch(text)
    if found is None:
        raise UsageError(
            f"{text!r} is no reference of an image",
            hint="for example registry.example:5000/path/name:tag@sha256:..., in small letters",
        )
    registry, path = found["registry"] or "docker.io", found["path"]
    if registry == "docker.io" and "/" not in path:
        path = f"library/{path}"
    digest = found["digest"] or ""
    tag = found["tag"] or ("" if digest else "latest")
    return Reference(registry, path, tag, digest)


def mirrored(reference: str, prefix: str) -> str:
    """The same image at a mirror: the registry is replaced by the prefix, the path is kept.

    Raises:
        UsageError: the prefix is no registry, or the reference is none.
    """
    found = _PREFIX.fullmatch(prefix)
    if found is None:
        raise UsageError(
            f"--image-prefix {prefix}: no registry", hint="for example registry.example:5000/mirror, without https://"
        )
    image = parse(reference)
    path = f"{found['path'].lstrip('/')}/{image.path}".lstrip("/")
    return str(replace(image, registry=found["registry"], path=path))


def chosen(given: Mapping[str, str], prefix: str = "") -> dict[str, str]:
    """The reference of every role: as given, else the public one, at the mirror if there is a prefix.

    Raises:
        UsageError: a role or a reference is none.
    """
    unknown = next((name for name in given if name not in ROLES), "")
    if unknown:
        raise UsageError(f"--image {unknown}=...: no such role", hint=f"roles: {', '.join(ROLES)}")
    public = {name: mirrored(text, prefix) if prefix else text for name, text in DEFAULT_IMAGES.items()}
    for text in given.values():
        parse(text)
    return {**public, **given}


def why_unpinned(role: str, reference: str) -> str:
    """Why nobody can say beforehand what will run; empty where the reference has a digest."""
    image = parse(reference)
    if image.digest:
        return ""
    if reference == ROLES[role].reference:
        return ROLES[role].unpinned
    return NOT_PINNED.format(role=role, name=image.name)
