"""Reports of the conformance suite of the Gateway API's inference extension, read strictly."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml  # type: ignore[import-untyped]

PROFILE = "Gateway"
_API = re.compile(r"gateway\.networking\.k8s\.io/v1[a-z0-9]*")
_CORE_TESTS = {(1, 0): 9, (1, 2): 11, (1, 5): 13, (1, 6): 14}
"""Core tests of the suite from that release on. A report does not name tests that a flag of the suite exempted, nor the
release of the suite: a suite older than the definitions has fewer tests."""
_COMMON = frozenset({"gateway", "controller", "inference", "ingress", "api", "the", "k8s", "kubernetes"})


@dataclass(frozen=True)
class SuiteReport:
    """What a report says.

    Attributes:
        suite: release of the inference extension's definitions that the suite found installed.
        gateway_api: release of the Gateway API that it ran against.
        implementation: organization, project and version, as it names them.
        result: ``success``, ``partial`` or ``failure`` of the profile's core tests.
        passed, failed, skipped: numbers of core tests.
        date: as it gives it.
        failed_tests: their names.
    """

    suite: str
    gateway_api: str
    organization: str
    project: str
    version: str
    result: str
    passed: int
    failed: int
    skipped: int
    date: str
    failed_tests: tuple[str, ...] = ()

    def __str__(self) -> str:
        """For the page."""
        names = f" ({', '.join(self.failed_tests)})" if self.failed_tests else ""
        return (
            f"suite {self.suite or 'of no release'}, profile {PROFILE}, {self.organization}/{self.project} "
            f"{self.version}: {self.result}, {self.passed} passed, {self.failed} failed{names}, "
            f"{self.skipped} skipped, {self.date}"
        )

    @property
    def whole(self) -> bool:
        """Whether every core test ran and passed, of as many as a suite of that release has."""
        return self.result == "success" and self.passed >= self.core_tests and (self.failed, self.skipped) == (0, 0)

    @property
    def core_tests(self) -> int:
        """How many core tests a suite of that release has at least."""
        found = re.match(r"v(\d+)\.(\d+)\.", self.suite)
        release = (int(found[1]), int(found[2])) if found else (1, 0)
        return max(
            (tests for first, tests in _CORE_TESTS.items() if first <= release), default=min(_CORE_TESTS.values())
        )

    @property
    def bad(self) -> bool:
        """Whether a core test failed."""
        return self.result == "failure" or self.failed > 0

    def is_of(self, controller: str) -> bool:
        """Whether the implementation's name is in the name of a GatewayClass' controller."""
        first = next((part for part in re.split(r"[^a-z0-9]+", self.project.lower()) if part), "")
        names = {self.organization.lower(), self.project.lower(), first} - _COMMON
        return any(len(name) > 2 and name in controller.lower() for name in names)


class _Strict(yaml.SafeLoader):  # type: ignore[misc]
    """Refuses a key that is there twice: which of both would count?"""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002 - as it is called
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        twice = sorted({str(key) for key in keys if keys.count(key) > 1})
        if twice:
            raise ValueError(f"{', '.join(twice)} is there twice")
        found: dict[Any, Any] = super().construct_mapping(node, deep)
        return found


def parse(data: bytes) -> SuiteReport:
    """A report from its bytes.

    Raises:
        ValueError: it is none, or not of the profile that is asked for; says why.
    """
    try:
        found = yaml.load(data.decode(), Loader=_Strict)  # noqa: S506 - a safe loader
    except (yaml.YAMLError, RecursionError) as problem:
        raise ValueError(f"no YAML: {str(problem).splitlines()[0]}") from problem
    if not isinstance(found, dict) or found.get("kind") != "ConformanceReport":
        raise ValueError("no ConformanceReport")
    if not _API.fullmatch(_text(found, "apiVersion")):
        raise ValueError(f"apiVersion is {_text(found, 'apiVersion')!r}")
    profiles = found.get("profiles")
    listed = profiles if isinstance(profiles, list) else []
    mine = [one for one in listed if isinstance(one, dict) and one.get("name") == PROFILE]
    if len(mine) != 1:
        raise ValueError(f"{len(mine)} profiles {PROFILE}")
    core, by = _mapping(mine[0], "core"), _mapping(found, "implementation")
    numbers = _mapping(core, "statistics")
    return SuiteReport(
        suite=_text(found, "GatewayAPIInferenceExtensionVersion", needed=False),
        gateway_api=_text(found, "gatewayAPIVersion"),
        organization=_text(by, "organization"),
        project=_text(by, "project"),
        version=_text(by, "version"),
        result=_text(core, "result"),
        passed=_number(numbers, "Passed"),
        failed=_number(numbers, "Failed"),
        skipped=_number(numbers, "Skipped"),
        date=_text(found, "date"),
        failed_tests=_names(core, "failedTests"),
    )


def _mapping(found: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = found.get(key)
    if isinstance(value, dict):
        return value
    raise ValueError(f"no {key}")


def _text(found: Mapping[str, Any], key: str, *, needed: bool = True) -> str:
    value = found.get(key)
    if value is None and not needed:
        return ""
    if isinstance(value, bool | dict | list) or value is None or not str(value).strip():
        raise ValueError(f"no {key}")
    return str(value).strip()


def _names(found: Mapping[str, Any], key: str) -> tuple[str, ...]:
    value = found.get(key) or []
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise ValueError(f"{key} is no list of names")
    return tuple(value)


def _number(found: Mapping[str, Any], key: str) -> int:
    value = found.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"{key} is no number of tests")
    return value
