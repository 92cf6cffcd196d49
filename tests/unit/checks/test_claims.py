"""Which version of the API for claims is judged, and what is not tried where only a beta is served."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from aiconform.checks import dra_support
from aiconform.checks._kit import claims
from aiconform.engine import Context

DRIVER = SimpleNamespace(name="gpu.example.com", devices=1)


def facts(*versions: str, dra: tuple[Any, ...] = (DRIVER,)) -> Any:
    groups = frozenset(f"resource.k8s.io/{version}" for version in versions)
    return SimpleNamespace(groups=groups, dra=dra, gaps=(), unknown=())


@pytest.mark.parametrize(
    ("versions", "newest"),
    [(("v1", "v1beta1"), "v1"), (("v1beta1", "v1beta2"), "v1beta2"), (("v1beta1",), "v1beta1"), (("v1alpha3",), "")],
)
def test_the_newest_version_is_judged(versions: tuple[str, ...], newest: str) -> None:
    assert claims.version(facts(*versions)) == (f"resource.k8s.io/{newest}" if newest else "")


def test_no_version_at_all_is_not_run() -> None:
    unmet = claims.served(facts("v1alpha3"))
    assert unmet is not None
    assert (unmet.outcome, unmet.reason) == ("not run", "the API server does not serve resource.k8s.io/v1")


def test_a_beta_alone_is_looked_at_and_nothing_is_claimed_by_it() -> None:
    assert claims.served(facts("v1beta1")) is None
    unmet = claims.claimable(facts("v1beta1"))
    assert unmet is not None
    assert unmet.outcome == "undecided"
    assert "v1beta1 is served, a beta" in unmet.reason
    assert claims.claimable(facts("v1")) is None
    assert claims.claimable(facts("v1", dra=())) is not None


@pytest.mark.parametrize("lacking", ["", "delete"])
def test_the_kinds_of_a_beta_are_held_against_the_same_verbs(lacking: str) -> None:
    seen: list[Any] = []

    async def get(path: str) -> Any:
        assert path == "/apis/resource.k8s.io/v1beta1"
        verbs = [verb for verb in claims.VERBS if verb != lacking]
        return {"resources": [{"name": kind.lower(), "kind": kind, "verbs": verbs} for kind in claims.KINDS]}

    def expect(expected: str, _observed: str, *, ok: bool, cause: str) -> None:
        seen.append((expected, ok, cause))

    ctx = cast("Context", SimpleNamespace(facts=facts("v1beta1"), get=get, expect=expect))
    asyncio.run(cast("Any", dra_support.kinds_served).function(ctx))
    [(expected, ok, cause)] = seen
    assert "of resource.k8s.io/v1beta1" in expected
    assert ok is not bool(lacking)
    assert bool(cause) is bool(lacking)
