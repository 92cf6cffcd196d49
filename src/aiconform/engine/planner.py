"""The plan: everything that is decided before the first request, with the digests of the code that will judge."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from aiconform import __version__, catalog
from aiconform.catalog import accelerators
from aiconform.catalog.options import checked
from aiconform.errors import InternalError
from aiconform.evidence.documents import Plan, PlannedCheck, PlannedProbe

if TYPE_CHECKING:
    from aiconform.catalog import Requirement
    from aiconform.engine.model import Check

NO_CHECK = "this version of aiconform has no check for it yet"


def plan(
    *,
    run: str,
    release: str,
    requirements: tuple[str, ...],
    checks: Mapping[str, Check],
    created: datetime,
    command: list[str],
    server_ca_sha256: str,
    unusual: tuple[str, ...] = (),
    images: Mapping[str, str],
    options: Mapping[str, str],
    report_sha256: str = "",
) -> Plan:
    """Plan the requirements named, or all of the release.

    ``report_sha256`` is the digest of what will render the page, of which the engine knows nothing.

    Raises:
        UsageError: the release or a requirement is not in the catalog, or an option is not known or not usable.
    """
    wanted = [catalog.get(release, name) for name in requirements] or list(catalog.requirements(release))
    return Plan(
        run=run,
        tool=__version__,
        release=release,
        catalog_sha256=catalog.digest(),
        judge_sha256=judge_digest(),
        report_sha256=report_sha256,
        created=created.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        command=command,
        server_ca_sha256=server_ca_sha256,
        unusual=list(unusual),
        images=dict(sorted(images.items())),
        options=checked(options),
        checks=[planned_check(requirement, checks.get(requirement.id)) for requirement in wanted],
    )


def judge_digest() -> str:
    """Digest of the engine's code, which observes and judges, and of the tables that it goes by."""
    code = _digest([*_sources("aiconform.engine"), _file("aiconform.catalog.sandboxes")])
    return hashlib.sha256(f"{code} {accelerators.digest()}".encode()).hexdigest()


def check_digest(check: Check) -> str:
    """Digest of a check's module and of what stands beside all checks."""
    module = next((probe.function.__module__ for probe in check.probes), "")
    path = _file(module)
    return _digest([path, *_sources("aiconform.checks._kit")])


def planned_check(requirement: Requirement, check: Check | None) -> PlannedCheck:
    """One requirement as planned; without a check it says why it is not run."""
    return PlannedCheck(
        requirement=requirement.id,
        title=requirement.title,
        category=requirement.category,
        level=requirement.level,
        kar=requirement.kar,
        asks=requirement.asks,
        limits=list(check.limits) if check else [],
        headline=check.headline if check else "",
        not_run="" if check else NO_CHECK,
        code_sha256=check_digest(check) if check else "",
        probes=[
            PlannedProbe(
                id=probe.id,
                kind=probe.kind,
                title=probe.title,
                fails_if=probe.fails_if,
                control=probe.control,
                after=probe.after,
                timeout_s=probe.timeout_s,
            )
            for probe in (check.probes if check else [])
        ],
    )


def _sources(package: str) -> list[Path]:
    return sorted(_file(package).parent.rglob("*.py"))


def _file(module: str) -> Path:
    spec = importlib.util.find_spec(module) if module else None
    if spec is None or not spec.origin:
        raise InternalError(f"module {module!r} has no source to take a digest of")
    return Path(spec.origin)


def _digest(paths: Iterable[Path]) -> str:
    total = hashlib.sha256()
    for path in paths:
        total.update(f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return total.hexdigest()
