"""Pseudonyms: what is replaced, what stays, and that everything can be turned back."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiconform.evidence.pseudonyms import Pseudonyms
from aiconform.evidence.words import is_telling

UUID = "18db0e85-99e9-c746-8531-ffeb86328b39"


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("10.0.0.7", "ip-1"),
        ("to 10.0.0.7.", "to ip-1."),
        ("10.0.0.7:443", "ip-1:443"),
        ("10.0.0.0/24", "ip-1/24"),
        ("https://10.0.0.7/x", "https://ip-1/x"),
        ("10.0.0.1-10.0.0.9", "ip-1-ip-2"),
        ("host_10.0.0.7_x", "host_ip-1_x"),
        ("dial...10.0.0.7", "dial...ip-1"),
        ("10.0.0.7.nip.io", "ip-1.nip.io"),
        ("app.10.0.0.7.nip.io", "app.ip-1.nip.io"),
        ("a%2F10.0.0.7", "a%2Fip-1"),
        ("line\\n10.0.0.7", "line\\nip-1"),
        ("\\u003cGPU-" + UUID, "\\u003cGPU-A"),
        ("\x1b[31m10.0.0.7\x1b[0m", "\x1b[31mip-1\x1b[0m"),
        ("10-244-0-5.default.pod.cluster.local", "ip-1.default.pod.cluster.local"),
        ("[2001:db8::1]:443", "[ip-1]:443"),
        ("2001:db8::1: connection refused", "ip-1: connection refused"),
        ("2001:db8:0:0:0:0:0:1", "ip-1"),
        ("fe80::1%eth0", "ip-1%eth0"),
        ("fd00::/108", "ip-1/108"),
        ("::ffff:10.0.0.3", "ip-1"),
        ("addr=2001:db8::1.", "addr=ip-1."),
        (f"GPU 0: Tesla T4 (UUID: GPU-{UUID})", "GPU 0: Tesla T4 (UUID: GPU-A)"),
        (f"GPU-{UUID},gpu-{UUID},MIG-{UUID}", "GPU-A,gpu-A,MIG-A"),
        (f"MIG-GPU-{UUID}/1/0", "MIG-A/1/0"),
        ("Serial Number                         : 1320620001234", "Serial Number                         : serial-1"),
        ("<serial>1320620001234</serial>", "<serial>serial-1</serial>"),
        ("ip-10-0-1-2.ec2.internal", "node-1"),
        ("etcd-ip-10-0-1-2", "etcd-node-1"),
    ],
)  # fmt: skip
def test_hides(text: str, hidden: str) -> None:
    table = Pseudonyms()
    assert table.hide(text) == hidden
    assert table.restore(hidden) == text


@pytest.mark.parametrize(
    "text",
    [
        "127.0.0.1 localhost 127.0.0.53",
        "0.0.0.0:8080",
        "255.255.255.0",
        "::1 and ::",
        "driver 580.126.20, CUDA 13.0, Kubernetes 1.35.3",
        "1.2.3.4-build",
        "1.2.3.4-rc1",
        "v1.2.3.4",
        "version 1.2.3.4",
        "Version: 10.2.1.3",
        "k0s 1.35.3.1+k0s.0",
        "1.2.3.4.5",
        "999.1.1.1",
        "010.0.0.1",
        "12:34:56",
        "2026-11-24T01:02:03.123456Z",
        "0000:01:00.0",
        "aa:bb:cc:dd:ee:ff",
        "std::string foo::bar",
        "node:cpu:sum",
        "uid 18db0e85-99e9-c746-8531-ffeb86328b39",
        "sha256:" + "0123456789abcdef" * 4,
        "1 of 2 nodes, 2 of 2 devices, 33 %",
        "gpu-0 GPU-0 nvidia.com/gpu",
        "serial: none",
    ],
)
def test_leaves(text: str) -> None:
    assert Pseudonyms().hide(text) == text


def test_the_same_stays_the_same_and_others_differ() -> None:
    table = Pseudonyms()
    assert table.hide("10.0.0.1 10.0.0.2 10.0.0.1") == "ip-1 ip-2 ip-1"
    assert table.hide("10.0.0.2") == "ip-2"


def test_letters_go_on_after_z() -> None:
    table = Pseudonyms()
    names = [table.hide(f"GPU-00000000-0000-0000-0000-{number:012d}") for number in range(28)]
    assert names[0] == "GPU-A"
    assert names[25:] == ["GPU-Z", "GPU-AA", "GPU-AB"]


def test_a_word_of_the_cluster_keeps_the_form_of_a_pseudonym_that_is_free() -> None:
    table = Pseudonyms()
    assert table.hide("pod ip-1 on node-1") == "pod ip-1 on node-1"
    assert table.hide("10.0.0.1") == "ip-2"
    assert table.restore("ip-1 ip-2 node-1") == "ip-1 10.0.0.1 node-1"


def test_a_word_of_the_cluster_gets_another_form_when_its_own_is_taken() -> None:
    table = Pseudonyms()
    assert table.hide("10.0.0.1") == "ip-1"
    assert table.hide("a pod named ip-1") == "a pod named ip-2"
    assert table.restore("ip-1 ip-2") == "10.0.0.1 ip-1"


def test_what_was_never_given_is_not_turned_back() -> None:
    assert Pseudonyms().restore("ip-1 GPU-A node-3") == "ip-1 GPU-A node-3"


@pytest.mark.parametrize(
    "name", ["gpu-0", "worker-1", "control", "control-plane", "gpu-worker-01", "kind-control-plane"]
)
def test_plain_names_stay(name: str) -> None:
    assert not is_telling(name)


@pytest.mark.parametrize(
    "name",
    [
        "ip-10-0-1-2",
        "ip-10-0-1-2.eu-central-1.compute.internal",
        "gke-prod-default-pool-1a2b3c4d-x1yz",
        "aks-nodepool1-12345678-vmss000000",
        "gpu-0.example.com",
        "node-10-0-0-7",
        "i-0123456789abcdef0",
        "customer-facing-production-17",
    ],
)
def test_telling_names_are_replaced_wherever_they_stand(name: str) -> None:
    table = Pseudonyms()
    table.learn_host(name)
    hidden = table.hide(f"{name}, etcd-{name}, '{name}', /nodes/{name}/proxy")
    assert hidden == "node-1, etcd-node-1, 'node-1', /nodes/node-1/proxy"
    assert table.restore("/api/v1/nodes/node-1") == f"/api/v1/nodes/{name}"


def test_names_are_plain_up_to_24_characters() -> None:
    assert not is_telling("control-plane-of-our-lab")
    assert is_telling("control-plane-of-our-labs")


def test_a_host_name_within_a_longer_word_is_another_word() -> None:
    table = Pseudonyms()
    table.learn_host("gpu-0.example.com")
    assert table.hide("xgpu-0.example.com gpu-0.example.common") == "xgpu-0.example.com gpu-0.example.common"


def test_the_longer_of_two_host_names_wins() -> None:
    table = Pseudonyms()
    for name in ("gpu-0.example", "gpu-0.example.com"):
        table.learn_host(name)
    assert table.hide("gpu-0.example.com gpu-0.example") == "node-1 node-2"


def test_five_thousand_hosts_are_found_fast_enough() -> None:
    table = Pseudonyms()
    names = [f"ip-10-{number // 250}-{number % 250}-7.ec2.internal" for number in range(5000)]
    for name in names:
        table.learn_host(name)
    hidden = table.hide(" ".join(names))
    assert len(set(hidden.split())) == 5000
    assert table.restore(hidden) == " ".join(names)


def test_host_names_that_contain_one_another_do_not_overflow() -> None:
    table = Pseudonyms()
    names = ["n" + ".a" * number for number in range(1, 120)]
    for name in names:
        table.learn_host(name)
    assert table.restore(table.hide(names[-1])) == names[-1]


OCTET = st.integers(0, 255).map(str)
V4 = st.tuples(OCTET, OCTET, OCTET, OCTET).map(".".join)
V6 = st.ip_addresses(v=6).map(str)
HEX = "0123456789abcdef"


def _uuid(prefix: str) -> st.SearchStrategy[str]:
    return st.text(HEX, min_size=32, max_size=32).map(
        lambda hexes: f"{prefix}-{hexes[:8]}-{hexes[8:12]}-{hexes[12:16]}-{hexes[16:20]}-{hexes[20:]}"
    )


NAMES = st.one_of(
    V4,
    V6,
    _uuid("GPU"),
    _uuid("gpu"),
    _uuid("MIG"),
    V4.map(lambda address: "ip-" + address.replace(".", "-")),
    st.builds("{}-{}".format, st.sampled_from(["ip", "node", "serial"]), st.integers(0, 40)),
    st.builds("{}-{}".format, st.sampled_from(["GPU", "MIG", "gpu"]), st.text("ABC", min_size=1, max_size=3)),
    st.integers(10**7, 10**12).map(lambda number: f"serial: {number}"),
)
GLUE = st.one_of(
    st.sampled_from([" ", "/", "-", ".", ":", ",", "_", "[", "]", "%2F", "\\n", "\x1b[1m", '"', "\n", "::", "..", "="]),
    st.text(max_size=3),
)
TEXTS = st.lists(st.one_of(NAMES, GLUE), max_size=12).map("".join)


@settings(deadline=None)
@given(st.lists(TEXTS, max_size=5))
def test_whatever_is_hidden_can_be_turned_back(texts: list[str]) -> None:
    table = Pseudonyms()
    hidden = [table.hide(text) for text in texts]
    assert [table.restore(text) for text in hidden] == texts


@settings(deadline=None)
@given(st.lists(TEXTS, min_size=1, max_size=4))
def test_hiding_again_in_another_run_changes_nothing(texts: list[str]) -> None:
    first = Pseudonyms()
    hidden = " | ".join(first.hide(text) for text in texts)
    assert Pseudonyms().hide(hidden) == hidden


@settings(deadline=None)
@given(V4, st.sampled_from(["{}", "x {} y", "[{}]", "({})", "{}:80", "{}/16", "tcp://{}:1", "a,{}", '"{}"', "={};"]))
def test_no_address_that_tells_something_survives(address: str, frame: str) -> None:
    hidden = Pseudonyms().hide(frame.format(address))
    harmless = address.startswith(("127.", "255.")) or address == "0.0.0.0"
    assert (address in hidden) == harmless
