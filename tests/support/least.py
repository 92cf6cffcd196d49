"""A user of a local cluster who has exactly the role that ``aiconform doctor --rbac`` prints, and what he then used."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import anyio
import yaml

from aiconform.checks import all_checks
from aiconform.cluster.connection import connect
from aiconform.cluster.http import ClusterHttp
from aiconform.engine import doctor
from aiconform.engine.diagnosis import Diagnosis
from aiconform.engine.doctor import Patient
from aiconform.engine.plain import PlainLane
from aiconform.engine.rights import Right, parse, rules
from aiconform.local import Cluster, audit
from aiconform.local.audit import Used

Obj = dict[str, Any]
Found = TypeVar("Found")

NAMESPACE = "least-rights"
ACCOUNT = "runner"
USER = f"system:serviceaccount:{NAMESPACE}:{ACCOUNT}"
ROLE = "aiconform"
SPREAD_S = 5.0
"""How long the API server may take until it goes by a role as it is now."""


def now() -> str:
    """This moment as the audit log writes times."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


@dataclass(frozen=True)
class Asked:
    """What he wants to run, and what he tells of the cluster."""

    requirements: tuple[str, ...]
    release: str = "1.35"
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def arguments(self) -> list[str]:
        """The same on a command line."""
        told = [part for name, value in self.options.items() for part in (f"--{name}", value)]
        return [*self.requirements, "--release", self.release, *told]


@dataclass(frozen=True)
class Least:
    """The user, with his kubeconfig and his role."""

    cluster: Cluster
    kubeconfig: Path
    role: Obj
    asked: Asked
    seldom: frozenset[tuple[str, str, str]]
    """Group, resource and verb of the rights that are needed in some turns only."""

    @property
    def granted(self) -> tuple[Right, ...]:
        """Every right that his role gives."""
        return tuple(
            Right(group, resource, verb, name)
            for rule in self.role["rules"]
            for group in rule["apiGroups"]
            for resource in rule["resources"]
            for verb in rule["verbs"]
            for name in rule.get("resourceNames") or [""]
        )

    def used(self, since: str = "") -> Used:
        """What the audit log tells of him."""
        return audit.used(self.cluster, USER, since=since)

    def doctor(self, *more: str) -> subprocess.CompletedProcess[str]:
        """The doctor as he meets it."""
        where = ["--kubeconfig", str(self.kubeconfig)]
        command = [sys.executable, "-m", "aiconform", "doctor", *self.asked.arguments, *where]
        return subprocess.run([*command, *more], capture_output=True, text=True, check=False, timeout=120)

    def run(self, output: Path, *more: str, limit_s: float = 1800) -> subprocess.CompletedProcess[str]:
        """Run the requirements as him."""
        where = ["--kubeconfig", str(self.kubeconfig), "--output", str(output), *more]
        command = [sys.executable, "-m", "aiconform", "run", *self.asked.arguments, *where]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=limit_s)

    def examined(self) -> Diagnosis:
        """What the doctor says to him; asked as fast as it goes, for there may be many such questions."""
        return _looked(self.kubeconfig, self.asked, doctor.examine)

    @contextmanager
    def without(self, dropped: Right) -> Iterator[None]:
        """His role, less one right."""
        left = [right for right in self.granted if right != dropped]
        self._give(rules(left))
        try:
            yield
        finally:
            self._give(self.role["rules"])

    def _give(self, given: list[Obj]) -> None:
        self.cluster.kubectl("replace", "-f", "-", stdin=json.dumps({**self.role, "rules": given}))

    def named(self, dropped: Right) -> bool:
        """Whether the doctor names a right that was just taken away."""
        begun = time.monotonic()
        while time.monotonic() < begun + SPREAD_S:
            missing = {one.right for one in self.examined().rights.missing}
            if any(_same(found, dropped) for text in missing for found in parse(text)):
                return True
        return False


def _looked(kubeconfig: Path, asked: Asked, look: Callable[[PlainLane, Patient], Awaitable[Found]]) -> Found:
    connection = connect(kubeconfig)
    patient = Patient(
        connection.server, asked.release, asked.requirements, all_checks(), "example.com/none", options=asked.options
    )

    async def work() -> Any:
        async with ClusterHttp(connection) as http:
            return await look(PlainLane(http, "0" * 16, per_second=0), patient)

    found: Found = anyio.run(work)
    return found


def _same(found: Right, dropped: Right) -> bool:
    """Whether it is this right, or the same on one object or in one namespace."""
    return (found.group, found.resource, found.verb) == (dropped.group, dropped.resource, dropped.verb) and (
        not dropped.name or found.name == dropped.name
    )


@contextmanager
def least(cluster: Cluster, directory: Path, asked: Asked) -> Iterator[Least]:
    """Make the user with the role for these requirements; he goes at the end."""
    command = [sys.executable, "-m", "aiconform", "doctor", "--rbac"]
    printed = subprocess.run(
        [*command, *asked.arguments, "--kubeconfig", str(cluster.kubeconfig)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    role, binding = yaml.safe_load_all(printed)
    binding["subjects"] = [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": NAMESPACE}]
    rights = _looked(cluster.kubeconfig, asked, doctor.role_for)
    seldom = frozenset((right.group, right.resource, right.verb) for right in rights if right.sometimes)
    cluster.kubectl("create", "namespace", NAMESPACE)
    try:
        cluster.kubectl("create", "serviceaccount", ACCOUNT, "-n", NAMESPACE)
        cluster.kubectl("create", "-f", "-", stdin=yaml.safe_dump_all([role, binding]))
        yield Least(cluster, _kubeconfig(cluster, directory), role, asked, seldom)
    finally:
        cluster.kubectl("delete", "clusterrolebinding,clusterrole", ROLE, "--ignore-not-found")
        cluster.kubectl("delete", "namespace", NAMESPACE)


def _kubeconfig(cluster: Cluster, directory: Path) -> Path:
    token = cluster.kubectl("create", "token", ACCOUNT, "-n", NAMESPACE, "--duration", "2h").strip()
    whole = yaml.safe_load(cluster.kubeconfig.read_text())
    whole["users"] = [{"name": one["name"], "user": {"token": token}} for one in whole["users"]]
    path = directory / "least.kubeconfig"
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(whole))
    return path


def unused(user: Least, found: Used) -> tuple[list[Right], list[Right]]:
    """The rights that were given and not used: for no reason, and because what they are for did not happen.

    A wait lists, and watches only where what it waits for is not there yet: both are one right here.
    """
    asked = {(right.group, right.resource, right.verb) for right in found.rights}
    named = {(right.group, right.resource, right.verb, right.name) for right in found.rights}
    idle: list[Right] = []
    for right in user.granted:
        key = (right.group, right.resource, right.verb)
        listed = (right.group, right.resource, "list") in asked
        was = (*key, right.name) in named if right.name else key in asked
        if not was and not (right.verb == "watch" and listed):
            idle.append(right)
    return [right for right in idle if (right.group, right.resource, right.verb) not in user.seldom], [
        right for right in idle if (right.group, right.resource, right.verb) in user.seldom
    ]
