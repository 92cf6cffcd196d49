from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest

from aiconform.errors import LocalClusterError
from aiconform.local import nodes
from aiconform.local.pool import cloud as clouds
from aiconform.local.pool.wire import Message, encode
from aiconform.local.state import ClusterState, NodeState


@pytest.fixture
def done(monkeypatch) -> list[str]:
    """What is done to nodes; starting one waits for nothing."""
    seen: list[str] = []
    monkeypatch.setattr(nodes, "add", lambda _cluster, spec: seen.append(f"add {spec.name} {spec.provider_id}"))
    monkeypatch.setattr(nodes, "remove", lambda _cluster, name: seen.append(f"remove {name}"))
    return seen


def a_cloud(monkeypatch, *late: str, retired: tuple[str, ...] = ()) -> clouds.Cloud:
    encoded = b"k8s\0" + encode({1: b"type", 2: b"a node"})
    monkeypatch.setattr(clouds, "Api", lambda _: SimpleNamespace(encoded=lambda _path, _thing: encoded))
    places = tuple(NodeState(name, index, late=True, pool="grpc") for index, name in enumerate(late, 1))
    state = ClusterState("try", "default", 1, "boot", 1.0, (NodeState("control", 0), *places), retired=retired)
    home = SimpleNamespace(read=lambda: state)
    return clouds.Cloud(SimpleNamespace(kubeconfig="", home=home))  # type: ignore[arg-type]


def ask(cloud: clouds.Cloud, method: str, data: bytes = b"") -> Message:
    return Message(cloud.methods[method](Message(data)))


def settle() -> None:
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and thread.daemon:
            thread.join(1)


def test_one_group_with_its_bounds(monkeypatch, done) -> None:
    (group,) = ask(a_cloud(monkeypatch), "NodeGroups").messages(1)
    assert (group.text(1), group.number(2), group.number(3)) == ("accelerated", 1, 3)


@pytest.mark.parametrize(("provider", "group"), [("aiconform-pool://x", "accelerated"), ("aiconform://a/x", "")])
def test_a_node_is_of_the_group_by_its_provider_id(monkeypatch, done, provider, group) -> None:
    answer = ask(a_cloud(monkeypatch), "NodeGroupForNode", encode({1: encode({1: provider, 2: "x"})}))
    assert answer.messages(1)[0].text(1) == group


def test_growing_gives_new_names_and_goes_on_after_old_ones(monkeypatch, done) -> None:
    cloud = a_cloud(monkeypatch, "accelerated-2", retired=("accelerated-1", "other"))
    ask(cloud, "NodeGroupIncreaseSize", encode({1: 2, 2: "accelerated"}))
    settle()
    assert sorted(done) == [f"add accelerated-{n} aiconform-pool://accelerated-{n}" for n in (3, 4)]
    assert ask(cloud, "NodeGroupTargetSize").number(1) == 3
    told = {one.text(1): Message(one.raw(2)).number(1) for one in ask(cloud, "NodeGroupNodes").messages(1)}
    assert told == {f"aiconform-pool://accelerated-{n}": clouds.RUNNING for n in (2, 3, 4)}


def test_a_node_that_does_not_come_is_not_counted(monkeypatch, done) -> None:
    def fails(_cluster: object, spec: object) -> None:
        raise LocalClusterError("no room")

    monkeypatch.setattr(nodes, "add", fails)
    cloud = a_cloud(monkeypatch)
    ask(cloud, "NodeGroupIncreaseSize", encode({1: 1}))
    settle()
    assert ask(cloud, "NodeGroupTargetSize").number(1) == 0


def test_shrinking_removes_the_node_named_and_no_other(monkeypatch, done) -> None:
    cloud = a_cloud(monkeypatch, "accelerated-1", "accelerated-2")
    named = [encode({1: f"aiconform-pool://{name}"}) for name in ("accelerated-2", "control")]
    ask(cloud, "NodeGroupDeleteNodes", encode({1: named, 2: "accelerated"}))
    assert done == ["remove accelerated-2"]
    assert ask(cloud, "NodeGroupTargetSize").number(1) == 1


def test_a_template_is_the_node_without_its_envelope(monkeypatch, done) -> None:
    assert ask(a_cloud(monkeypatch), "NodeGroupTemplateNodeInfo").raw(2) == b"a node"
    spec = clouds.template()
    assert spec["status"]["allocatable"]["nvidia.com/gpu"] == "1"
    assert spec["metadata"]["labels"][clouds.GPU_LABEL] == "true"


def test_what_is_optional_is_not_answered(monkeypatch, done) -> None:
    assert {"PricingNodePrice", "PricingPodPrice", "NodeGroupGetOptions"}.isdisjoint(a_cloud(monkeypatch).methods)


def test_it_is_served(monkeypatch, done) -> None:
    grpc = clouds.library()
    server, port = clouds.serve(a_cloud(monkeypatch, "accelerated-1").methods)
    service = "/clusterautoscaler.cloudprovider.v1.externalgrpc.CloudProvider"
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        assert Message(channel.unary_unary(f"{service}/NodeGroupTargetSize")(b"", timeout=10)).number(1) == 1
        with pytest.raises(grpc.RpcError) as caught:
            channel.unary_unary(f"{service}/PricingNodePrice")(b"", timeout=10)
        assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED
    server.stop(0)
