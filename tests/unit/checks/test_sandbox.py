"""What promises a sandbox, and what of a pod's report tells one kernel from another."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from aiconform.catalog import sandboxes
from aiconform.checks._kit import sandbox, script
from aiconform.checks._kit.script import Report

HOST = ("6.1.0-10-amd64", "Linux version 6.1.0-10-amd64 (gcc)", "11111111-2222-3333-4444-555555555555")
GUEST = ("4.19.0-gvisor", "Linux version 4.19.0-gvisor", "99999999-2222-3333-4444-555555555555")


def facts(*handlers: tuple[str, str], gaps: tuple[str, ...] = (), groups: tuple[str, ...] = ()) -> Any:
    return SimpleNamespace(handlers=handlers, gaps=gaps, groups=frozenset(groups))


def report(release: str, version: str, boot: str) -> Report:
    lines = [f"release={release}", f"version={version}"] + ([f"boot={boot}"] if boot else [])
    return script.parse(lines)


class Stating:
    """As much of a context as states a comparison."""

    facts = facts(("gvisor", "runsc"))

    def __init__(self) -> None:
        self.said: list[tuple[bool | None, str]] = []

    def expect(self, _expected: str, observed: str, *, ok: bool, **_rest: object) -> None:
        self.said.append((ok, observed))

    def undecided(self, _expected: str, observed: str, _cause: str) -> Exception:
        self.said.append((None, observed))
        return RuntimeError("undecided")


@pytest.mark.parametrize(
    ("name", "handler", "mechanism"),
    [
        ("gvisor", "runsc", "gVisor"),
        ("secure", "runsc-kvm", "gVisor"),
        ("secure", "kata-qemu", "Kata Containers"),
        ("gvisor", "runc", "gVisor"),
        ("micro", "crun-krun", "libkrun"),
        ("nvidia", "nvidia", ""),
        ("wasm", "spin", ""),
    ],
)
def test_a_mechanism_is_known_by_handler_or_name(name: str, handler: str, mechanism: str) -> None:
    assert sandboxes.mechanism(name, handler) == mechanism


def test_what_promises_by_its_handler_is_looked_at_before_what_has_only_the_name() -> None:
    found = sandbox.promised(facts(("a-gvisor", "runc"), ("nvidia", "nvidia"), ("z", "kata")))
    assert [one.runtime_class for one in found] == ["z", "a-gvisor"]


def test_a_name_alone_is_a_promise_that_is_held_against_the_cluster() -> None:
    assert sandbox.offered(facts(("gvisor", "runc"))) is None


@pytest.mark.parametrize(
    ("found", "outcome", "words"),
    [
        (facts(), "not run", "no RuntimeClass promises a sandbox"),
        (facts(("nvidia", "nvidia")), "not run", "gVisor, Kata Containers"),
        (facts(("wasm", "spin")), "undecided", "RuntimeClass wasm (handler spin)"),
        (facts(groups=("agents.x-k8s.io/v1alpha1",)), "undecided", "agents.x-k8s.io/v1alpha1"),
        (facts(gaps=("runtimeclasses: 403 Forbidden",)), "undecided", "403 Forbidden"),
    ],
)
def test_without_a_known_sandbox_nothing_is_judged(found: Any, outcome: str, words: str) -> None:
    unmet = sandbox.offered(found)
    assert unmet is not None
    assert (unmet.outcome, words in unmet.reason) == (outcome, True), unmet


@pytest.mark.parametrize(
    ("seen", "ok"),
    [
        (GUEST, True),
        ((HOST[0], HOST[1], GUEST[2]), True),  # a guest that runs the same kernel, booted for itself
        (HOST, False),
        ((GUEST[0], GUEST[1], HOST[2]), False),  # a release that is dressed up
        ((GUEST[0], GUEST[1], ""), True),
        ((GUEST[0], HOST[1], ""), False),
        ((HOST[0], HOST[1], ""), False),
        (("", "", ""), False),
    ],
)
def test_a_kernel_is_another_one_by_its_boot_or_by_release_and_version(seen: Any, ok: bool) -> None:
    stated: Any = Stating()
    sandbox.on_another_kernel(stated, report(*seen), report(*HOST))
    assert [said for said, _ in stated.said] == [ok]


@pytest.mark.parametrize(
    ("plain", "decided"), [(HOST, True), (GUEST, False), ((HOST[0], HOST[1], ""), False), (("", "", ""), False)]
)
def test_a_plain_pod_that_is_not_on_the_nodes_kernel_is_no_control(plain: Any, decided: bool) -> None:
    stated: Any = Stating()
    node = {"status": {"nodeInfo": {"kernelVersion": HOST[0], "bootID": HOST[2]}}}
    if decided:
        sandbox.on_the_nodes_kernel(stated, node, report(*plain))
    else:
        with pytest.raises(RuntimeError):
            sandbox.on_the_nodes_kernel(stated, node, report(*plain))
    assert [said for said, _ in stated.said] == [True if decided else None]


@pytest.mark.parametrize("name", ["kubelet", "containerd-shim", "crio", "systemd-journal", "runsc-gofer", "k0s"])
def test_daemons_of_a_node(name: str) -> None:
    assert sandbox.DAEMONS.fullmatch(name)


@pytest.mark.parametrize("name", ["docker0", "br-12ab", "cni0", "cali12ab", "veth1", "nodes0", "node2", "kube-ipvs0"])
def test_links_of_a_node(name: str) -> None:
    assert sandbox.LINKS.fullmatch(name)


@pytest.mark.parametrize("name", ["sh", "sleep", "eth0", "lo", "net1"])
def test_what_is_a_pods_own_is_no_nodes(name: str) -> None:
    assert not sandbox.DAEMONS.fullmatch(name)
    assert not sandbox.LINKS.fullmatch(name)


def test_bytes_are_counted_only_where_a_number_was_told() -> None:
    assert sandbox.count(("/dev/mem 0", "made by itself 1", "/dev/kmem")) == {"/dev/mem": 0, "made by itself": 1}
