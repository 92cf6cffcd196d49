"""Rights: which verb on which resource a check or the engine needs, as data, and the least role that gives them.

Written as kubectl would say them, in the module that needs them::

    rights=("create delete list watch pods", "get pods/log", "list prometheuses.monitoring.coreos.com")

A resource is ``plural[/subresource][.group]``, then ``=name`` where one object by name is enough, then ``@namespace``
where a right in one namespace is enough. What stands behind ``?`` is needed in some turns only, as where something is
looked up that went wrong. What is needed on some clusters only is a :class:`Choice`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from aiconform.engine.facts import Facts

Obj = dict[str, Any]

DISCOVERY: Final = ("list nodes", "get namespaces=kube-system")
"""Without these there are no facts, and so no run."""
OPTIONAL: Final = (
    "list daemonsets.apps deployments.apps",
    "list runtimeclasses.node.k8s.io",
    "list deviceclasses.resource.k8s.io resourceslices.resource.k8s.io",
    "list nodepools.karpenter.sh",
    "list gatewayclasses.gateway.networking.k8s.io",
    "list prometheuses.monitoring.coreos.com",
    "list services",
    "list clusterpolicies.nvidia.com",
    "get configmaps=cluster-autoscaler-status@kube-system",
)
"""What discovery can do without, and then knows less of the cluster."""
GUARDS: Final = (
    "?create delete list watch resourcequotas",
    "?create limitranges networkpolicies.networking.k8s.io",
    "?create delete list watch jobs.batch",
)
"""What bounds a run on a cluster: without these it goes on unbounded, and says so."""
NAMING: Final = ("?get namespaces", "?list apiservices.apiregistration.k8s.io")
"""What tells, before a run, whether what it makes could be removed, and after it why an object will not go."""
WRITING: Final = ("create delete list watch namespaces", "list watch serviceaccounts")
"""What a run needs to make its namespace and to remove it."""


@dataclass(frozen=True, order=True)
class Right:
    """One verb on one resource.

    Attributes:
        group: API group; empty for the core group.
        resource: plural, with a subresource behind a slash.
        name: the one object it is needed on; empty for all.
        namespace: the one namespace it is needed in; empty for all, since a run's own has no name before it is made.
        sometimes: needed on some clusters or in some turns only.
    """

    group: str
    resource: str
    verb: str
    name: str = ""
    namespace: str = ""
    sometimes: bool = field(default=False, compare=False)

    def __str__(self) -> str:
        """As it is written in tables: ``create httproutes.gateway.networking.k8s.io``."""
        group = f".{self.group}" if self.group else ""
        name = f"={self.name}" if self.name else ""
        where = f"@{self.namespace}" if self.namespace else ""
        return f"{self.verb} {self.resource}{group}{name}{where}"


@cache
def parse(*lines: str) -> tuple[Right, ...]:
    """The rights that these lines say, sorted, each once.

    Raises:
        ValueError: a line has no verb or no resource, or says ``*``.
    """
    return tuple(sorted({right for line in lines for right in _line(line)}))


@dataclass(frozen=True)
class Choice:
    """Rights of a check that depend on what a cluster has, or on what was told of it.

    Attributes:
        every: all that may be needed, for a cluster of which nothing is known yet.
        on: those that are needed on a cluster.
    """

    every: tuple[str, ...]
    on: Callable[[Facts], Iterable[str]]


def chosen(rights: Iterable[str | Choice], facts: Facts | None) -> tuple[Right, ...]:
    """The rights of a check on this cluster; without facts those of all choices, as needed sometimes."""
    lines: list[str] = []
    for one in rights:
        if isinstance(one, str):
            lines.append(one)
        elif facts is not None:
            lines += one.on(facts)
        else:
            lines += [f"?{line.removeprefix('?')}" for line in one.every]
    return together(parse(*lines))


_VERBS: Final = frozenset({"create", "delete", "get", "list", "patch", "watch"})


def _line(line: str) -> Iterable[Right]:
    words = line.removeprefix("?").split()
    verbs = [word for word in words if word in _VERBS]
    resources = words[len(verbs) :]
    if not verbs or not resources or words[: len(verbs)] != verbs or "*" in line:
        raise ValueError(f"{line!r} is not VERB... RESOURCE...")
    for text in resources:
        what, _, namespace = text.partition("@")
        path, _, name = what.partition("=")
        resource, _, group = path.partition(".")
        for verb in verbs:
            yield Right(group, resource, verb, name, namespace, sometimes=line.startswith("?"))


def served(rights: Iterable[Right], group_versions: Iterable[str]) -> tuple[Right, ...]:
    """Those on groups that the API server has: a right on what is not there is never used."""
    groups = {""} | {version.partition("/")[0] for version in group_versions}
    return tuple(right for right in rights if right.group in groups)


def together(*parts: Iterable[Right]) -> tuple[Right, ...]:
    """All of them, each once; what is always needed somewhere is not needed sometimes."""
    found: dict[Right, Right] = {}
    for part in parts:
        for right in part:
            if right not in found or found[right].sometimes:
                found[right] = right
    return tuple(sorted(found.values()))


def least(rights: Iterable[Right]) -> tuple[Right, ...]:
    """Without those that another gives too: a right on all objects holds on each."""
    every = together(rights)
    broad = {(right.group, right.resource, right.verb) for right in every if not right.name}
    return tuple(right for right in every if not right.name or (right.group, right.resource, right.verb) not in broad)


def grouped(rights: Iterable[Right]) -> list[str]:
    """For people: the verbs on each thing in one line, ``create, delete httproutes.gateway.networking.k8s.io``."""
    found: dict[str, list[str]] = {}
    for right in sorted(rights):
        found.setdefault(str(right).partition(" ")[2], []).append(right.verb)
    return [f"{', '.join(verbs)} {what}" for what, verbs in found.items()]


def rules(rights: Sequence[Right]) -> list[Obj]:
    """The rules of a role that gives these rights and nothing else, as RBAC writes them: few, sorted, no ``*``."""
    by_resource: dict[tuple[str, str, str], set[str]] = {}
    for right in least(rights):
        by_resource.setdefault((right.group, right.resource, right.name), set()).add(right.verb)
    alike: dict[tuple[str, tuple[str, ...], str], list[str]] = {}
    for (group, resource, name), given in sorted(by_resource.items()):
        alike.setdefault((group, tuple(sorted(given)), name), []).append(resource)
    found: list[Obj] = []
    for (group, verbs, name), resources in sorted(alike.items()):
        rule: Obj = {"apiGroups": [group], "resources": resources, "verbs": list(verbs)}
        if name:
            rule["resourceNames"] = [name]
        found.append(rule)
    return found


def granting(rule: Obj) -> Callable[[Right], bool]:
    """Whether a rule, of a role or of a SelfSubjectRulesReview, gives a right."""
    groups, verbs = set(rule.get("apiGroups") or ()), set(rule.get("verbs") or ())
    resources, names = set(rule.get("resources") or ()), set(rule.get("resourceNames") or ())

    def gives(right: Right) -> bool:
        sub = right.resource.partition("/")[2]
        resource = {right.resource, "*"} | ({f"*/{sub}"} if sub else set())
        return bool(
            groups & {right.group, "*"}
            and verbs & {right.verb, "*"}
            and resources & resource
            and (not names or right.name in names)
        )

    return gives


def role(name: str, rights: Sequence[Right], *, release: str) -> list[Obj]:
    """The least ClusterRole for these rights, and a binding to put a subject into."""
    meta = {"name": name, "labels": {"app.kubernetes.io/managed-by": "aiconform"}}
    said = f"what aiconform needs for release {release} on this cluster, and nothing else"
    return [
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRole",
            "metadata": {**meta, "annotations": {"aiconform.dev/what": said}},
            "rules": rules(rights),
        },
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": meta,
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
            "subjects": [{"kind": "User", "name": "aiconform", "apiGroup": "rbac.authorization.k8s.io"}],
        },
    ]
