"""Looks at a cluster without changing it, and says what could be examined there and what could not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final

import anyio

from aiconform import __version__, catalog
from aiconform.engine import access, doctor_looks
from aiconform.engine.access import Access
from aiconform.engine.api import Api, Obj
from aiconform.engine.diagnosis import Diagnosis, Finding, MissingRight, Rights
from aiconform.engine.discovery import discover
from aiconform.engine.readiness import Known, readiness, together_s
from aiconform.engine.rights import Right, together
from aiconform.engine.undecidable import NoAnswerError, RefusedError, UndecidableError
from aiconform.errors import UnreachableError

if TYPE_CHECKING:
    from aiconform.catalog import Requirement
    from aiconform.engine.facts import Facts
    from aiconform.engine.model import Check
    from aiconform.engine.plain import PlainLane

NOWHERE: Final = "aiconform-0000000000000000"
"""A namespace that does not exist: rights there are rights in any that a run may make."""
_UNAUTHORIZED: Final = 401
GREETING_S: Final = 20.0


@dataclass(frozen=True)
class Patient:
    """Which cluster, and what is asked of it.

    Attributes:
        server: URL of the API server.
        checks: by requirement.
        image: of the pod that admission is asked about.
        dry_run: whether admission is asked, by requests that store nothing.
        options: what is told of the cluster (:mod:`aiconform.catalog.options`).
    """

    server: str
    release: str
    requirements: tuple[str, ...]
    checks: Mapping[str, Check]
    image: str
    dry_run: bool = True
    options: Mapping[str, str] = field(default_factory=dict)

    def asked(self) -> Sequence[Requirement]:
        """The requirements that are asked."""
        return [catalog.get(self.release, name) for name in self.requirements] or catalog.requirements(self.release)


async def examine(lane: PlainLane, patient: Patient) -> Diagnosis:
    """Look at everything.

    Raises:
        UnreachableError: the API server gives no answer, or does not know us.
    """
    api = Api(lane)
    said = await _greeted(api, patient.server)
    facts, unread = await _facts(lane, patient.options)
    asked = patient.asked()
    checks = {one.id: patient.checks[one.id] for one in asked if one.id in patient.checks}
    groups = facts.groups if facts else await _groups(api)
    needed = {name: access.of_check(check, facts, groups) for name, check in checks.items()}
    found = await _access(api, needed, (*access.of_discovery(groups), *access.of_guards()))
    findings = [doctor_looks.version(str(said.get("gitVersion", "")), patient.release)]
    services = await doctor_looks.looked("API services", lambda: doctor_looks.services(api))
    findings.append(services)
    if patient.dry_run:
        look = partial(doctor_looks.admission, api, NOWHERE, patient.image, groups or ())
        findings.append(await doctor_looks.looked("admission", look))
    findings.append(await doctor_looks.looked("quotas", lambda: doctor_looks.quotas(api)))
    devices = await doctor_looks.devices(api, facts) if facts else []
    findings.insert(1, doctor_looks.clock(lane.seen.skews_s))
    known = Known(facts, found, needed, stuck=_held(services))
    requirements = [readiness(one, checks.get(one.id), known) for one in asked]
    cluster = facts.cluster() if facts else None
    return Diagnosis(
        tool=__version__,
        release=patient.release,
        server=patient.server,
        product=cluster.product if cluster else "",
        version=str(said.get("gitVersion", "")),
        nodes=len(facts.nodes) if facts else 0,
        ready_nodes=sum(node.ready for node in facts.nodes) if facts else 0,
        answer_ms=round(lane.seen.fastest_s * 1000, 1),
        requests=lane.seen.requests,
        took_s=round(lane.now, 1),
        simulated=list(facts.simulated) if facts else [],
        unread=unread,
        gaps=list(facts.gaps) if facts else [],
        findings=findings,
        capabilities=cluster.capabilities if cluster else [],
        devices=devices,
        rights=_rights(found, needed),
        requirements=requirements,
        usual_s=together_s(requirements),
    )


async def role_for(lane: PlainLane, patient: Patient) -> tuple[Right, ...]:
    """The rights that these requirements need on this cluster, those of the engine among them.

    Raises:
        UnreachableError: the API server gives no answer, does not know us, or does not say which groups it serves.
    """
    api = Api(lane)
    await _greeted(api, patient.server)
    facts, _ = await _facts(lane, patient.options)
    if facts is not None and facts.gaps:
        facts = None  # who may not see all of a cluster is given what any may need
    groups = facts.groups if facts else await _groups(api)
    if groups is None:
        raise UnreachableError("it does not say which API groups it serves", details=[f"server {patient.server}"])
    checks = [patient.checks[one.id] for one in patient.asked() if one.id in patient.checks]
    every = (access.of_check(check, facts, groups) for check in checks)
    return together(access.of_engine(), access.of_guards(), access.of_discovery(groups), *every)


async def _groups(api: Api) -> frozenset[str] | None:
    """The group versions that are served; None if that is not told."""
    try:
        told = await api.get("/apis")
    except UndecidableError:
        return None
    versions = [one for group in told.get("groups") or () for one in group.get("versions") or ()]
    return frozenset(str(one.get("groupVersion")) for one in versions)


async def _greeted(api: Api, server: str) -> Obj:
    try:
        with anyio.fail_after(GREETING_S):
            return await api.get("/version")
    except TimeoutError:
        raise UnreachableError(
            f"no answer within {GREETING_S:g} s",
            details=[f"server {server}"],
            hint="try kubectl version with the same context",
        ) from None
    except NoAnswerError as silent:
        raise UnreachableError(
            silent.cause, details=[f"server {server}"], hint="try kubectl version with the same context"
        ) from silent
    except RefusedError as refused:
        hint = "its credentials are not known to this server; try kubectl auth whoami with the same context"
        if refused.status != _UNAUTHORIZED:
            hint = "try kubectl version with the same context"
        raise UnreachableError(refused.cause, details=[f"server {server}"], hint=hint) from refused
    except UndecidableError as problem:
        hint = "is this the address of an API server?"
        raise UnreachableError(problem.cause, details=[f"server {server}"], hint=hint) from problem


async def _facts(lane: PlainLane, options: Mapping[str, str]) -> tuple[Facts | None, str]:
    try:
        return await discover(lane, options), ""
    except UndecidableError as problem:
        return None, problem.cause


async def _access(api: Api, needed: Mapping[str, Sequence[Right]], knowing: Sequence[Right]) -> Access:
    wanted = [right for rights in (access.of_engine(), knowing, *needed.values()) for right in rights]
    try:
        return await access.review(api, wanted, namespace=NOWHERE)
    except UndecidableError as problem:
        return Access(together(wanted), (), problem.cause)


def _rights(found: Access, needed: Mapping[str, Sequence[Right]]) -> Rights:
    prices = access.costs(found.missing, needed)
    missing = [MissingRight(right=str(right), costs=list(names)) for right, names in prices.items()]
    return Rights(asked=len(found.asked), missing=missing, unknown=found.unknown)


def _held(services: Finding) -> str:
    """Why no run may begin: as its own preflight would refuse it."""
    return "no run begins while an API service is not available" if services.state == "bad" else ""
