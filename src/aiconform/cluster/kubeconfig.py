"""Reads kubeconfigs as kubectl does (client-go's clientcmd): several files, one context, paths made absolute.

Ours, and not a library's, because none at hand does what a kubeconfig of today asks. lightkube 1.0 reads one file,
knows no ``proxy-url``, ``tls-server-name`` or ``as``, gives plugins no ``KUBERNETES_EXEC_INFO`` and takes no
certificate from them, and writes client keys to temporary files; so do the official client and kr8s, which never
removes them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import yaml  # type: ignore[import-untyped]
from pydantic import ValidationError

from aiconform.cluster.kubeconfig_format import (
    Cluster,
    Context,
    KubeconfigFile,
    NamedCluster,
    NamedContext,
    NamedUser,
    User,
)
from aiconform.errors import UnreachableError

DEFAULT_FILE = "~/.kube/config"
SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where a pod finds its ServiceAccount's token and the cluster's CA."""
LOOK = "look at it with kubectl config view"

Entry = TypeVar("Entry")


@dataclass(frozen=True)
class Chosen:
    """A cluster and who we are on it; all paths are absolute.

    Attributes:
        source: the files it was read from, or what else it comes from, for messages.
        context: name; empty inside a cluster.
    """

    source: str
    context: str
    cluster: Cluster
    user: User


@dataclass
class Merged:
    """The files together: of every name the first that gives it counts, whole."""

    clusters: dict[str, Cluster] = field(default_factory=dict)
    users: dict[str, User] = field(default_factory=dict)
    contexts: dict[str, Context] = field(default_factory=dict)
    current: str = ""

    def add(self, file: KubeconfigFile, home: Path) -> None:
        """Take over what was not named before; relative paths stand against ``home``."""
        for cluster in file.clusters:
            self.clusters.setdefault(cluster.name, _cluster_at(cluster.cluster, home))
        for user in file.users:
            self.users.setdefault(user.name, _user_at(user.user, home))
        for context in file.contexts:
            self.contexts.setdefault(context.name, context.context)
        self.current = self.current or file.current_context


def choose(kubeconfig: Path | None = None, context: str | None = None) -> Chosen:
    """What kubectl would take: the file named, else those in $KUBECONFIG, else ~/.kube/config, else the pod's own.

    Raises:
        UnreachableError: there is no such file or context, or it cannot be read. No request is made.
    """
    paths = _paths(kubeconfig)
    there = [path for path in paths if _may_be_there(path)]
    if not there:
        inside = None if kubeconfig or context else in_cluster()
        if inside is not None:
            return inside
        raise UnreachableError(
            f"no kubeconfig at {_listed(paths)}",
            hint="name one with --kubeconfig, or bring up a cluster of our own with --local",
        )
    merged = Merged()
    for path in there:
        merged.add(read(path), Path(os.path.abspath(path)).parent)  # noqa: PTH100 - a link's own place counts
    return _chosen(merged, context, _listed(there))


def read(path: Path) -> KubeconfigFile:
    """One file.

    Raises:
        UnreachableError: it cannot be read, or is no kubeconfig. Nothing of what is in it is repeated.
    """
    try:
        data = path.read_bytes()
    except OSError as problem:
        raise UnreachableError(
            f"cannot read {path}: {problem.strerror}", hint="name another with --kubeconfig"
        ) from None
    try:
        # the parser's own words would show the line, and that may be a key
        file = KubeconfigFile.model_validate(_without_nothings(yaml.safe_load(data) if data.strip() else {}))
    except (yaml.YAMLError, ValueError, RecursionError) as problem:
        raise UnreachableError(f"{path} is not a usable kubeconfig: {_where(problem)}", hint=LOOK) from None
    for entries in (file.clusters, file.users, file.contexts):
        if twice := _twice(entries):
            raise UnreachableError(f"{path} is not a usable kubeconfig: {twice!r} stands there twice", hint=LOOK)
    return file


def in_cluster() -> Chosen | None:
    """The API server of the cluster that we run in, as its ServiceAccount; None outside of one."""
    host, port = os.environ.get("KUBERNETES_SERVICE_HOST"), os.environ.get("KUBERNETES_SERVICE_PORT")
    token = SERVICE_ACCOUNT / "token"
    if not host or not port or not _may_be_there(token):
        return None
    server = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
    ca = SERVICE_ACCOUNT / "ca.crt"
    named = {"server": server, "certificate-authority": str(ca) if _may_be_there(ca) else ""}
    user = User.model_validate({"tokenFile": str(token)})
    return Chosen("the ServiceAccount of this pod", "", Cluster.model_validate(named), user)


def _paths(kubeconfig: Path | None) -> list[Path]:
    if kubeconfig is not None:
        return [_at_home(kubeconfig)]
    named = [name for name in os.environ.get("KUBECONFIG", "").split(os.pathsep) if name]
    return [_at_home(Path(name)) for name in dict.fromkeys(named or [DEFAULT_FILE])]


def _at_home(path: Path) -> Path:
    """A path with ``~`` as the home that it stands for; as it is where nobody has that home."""
    try:
        return path.expanduser()
    except RuntimeError:
        return path


def _may_be_there(path: Path) -> bool:
    """Whether there is such a file; one that we may not look for counts as there, so that reading it says why."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True


def _chosen(merged: Merged, context: str | None, source: str) -> Chosen:
    name = context or merged.current
    if not name:
        known = f"; there are: {', '.join(sorted(merged.contexts))}" if merged.contexts else ""
        raise UnreachableError(f"{source} names no current context", hint=f"name one with --context{known}")
    found = merged.contexts.get(name)
    if found is None:
        known = ", ".join(sorted(merged.contexts))
        raise UnreachableError(
            f"{source}: context {name!r} not found", hint=f"contexts there: {known}" if known else LOOK
        )
    cluster, user = merged.clusters.get(found.cluster), merged.users.get(found.user)
    if cluster is None or not cluster.server:
        what = f"names cluster {found.cluster!r}, which is not there" if cluster is None else "has no server"
        raise UnreachableError(f"{source}: context {name!r} {what}", hint=LOOK)
    if user is None and found.user:
        raise UnreachableError(f"{source}: context {name!r} names user {found.user!r}, who is not there", hint=LOOK)
    return Chosen(source, name, cluster, user or User())


def _cluster_at(cluster: Cluster, home: Path) -> Cluster:
    return cluster.model_copy(update={"ca_file": _at(cluster.ca_file, home)})


def _user_at(user: User, home: Path) -> User:
    names = ("certificate_file", "key_file", "token_file")
    update: dict[str, Any] = {name: _at(getattr(user, name), home) for name in names}
    if user.plugin is not None and os.sep in user.plugin.command:  # else it is looked for in $PATH
        update["plugin"] = user.plugin.model_copy(update={"command": _at(user.plugin.command, home)})
    return user.model_copy(update=update)


def _at(name: str, home: Path) -> str:
    return str(home / name) if name else ""


def _without_nothings(value: Any) -> Any:
    """A value without the fields that hold null, which stand for fields that are not there (``args: null``)."""
    if isinstance(value, dict):
        return {key: _without_nothings(item) for key, item in value.items() if item is not None}
    return [_without_nothings(item) for item in value] if isinstance(value, list) else value


def _where(problem: Exception) -> str:
    """Where a file is wrong, in words that repeat nothing of it."""
    if isinstance(problem, ValidationError):
        first = problem.errors(include_input=False, include_context=False, include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        return f"{place}: {first['msg'][:1].lower()}{first['msg'][1:]}" if place else "it is no object"
    mark = getattr(problem, "problem_mark", None)
    return f"no YAML, line {mark.line + 1}" if mark is not None else "no YAML"


def _twice(entries: Iterable[NamedCluster | NamedUser | NamedContext]) -> str:
    seen: set[str] = set()
    for entry in entries:
        if entry.name in seen:
            return entry.name
        seen.add(entry.name)
    return ""


def _listed(paths: Iterable[Path]) -> str:
    return ", ".join(_names(paths))


def _names(paths: Iterable[Path]) -> Iterator[str]:
    return (str(path) for path in paths)
