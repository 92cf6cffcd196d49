from __future__ import annotations

from typing import Any

from aiconform.engine import nodepools

LABEL = "karpenter.sh/nodepool"


def node(name: str, label: tuple[str, str], gpus: str = "1", **spec: Any) -> dict[str, Any]:
    labels = dict([label]) | {"aiconform.dev/simulated-accelerator": "true"}
    return {
        "metadata": {"name": name, "labels": labels},
        "spec": spec,
        "status": {"allocatable": {"cpu": "2", "nvidia.com/gpu": gpus}},
    }


def karpenter(name: str = "gpus", **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": spec}


def status(*groups: dict[str, Any]) -> dict[str, Any]:
    import yaml

    return {"data": {"status": yaml.safe_dump({"autoscalerStatus": "Running", "nodeGroups": list(groups)})}}


def group(name: str, minimum: int, maximum: int) -> dict[str, Any]:
    return {"name": name, "health": {"minSize": minimum, "maxSize": maximum, "cloudProviderTarget": minimum}}


def test_a_node_pool_of_karpenter_is_read_with_its_nodes() -> None:
    taints = [{"key": "gpus-only", "effect": "NoSchedule"}]
    pool = karpenter(limits={"nvidia.com/gpu": "3"}, template={"spec": {"taints": taints}})
    (found,) = nodepools.gather([node("a", (LABEL, "gpus")), node("b", (LABEL, "other"))], [pool], None)
    assert (found.autoscaler, found.name, found.label) == ("Karpenter", "gpus", (LABEL, "gpus"))
    assert (found.nodes, found.resource, found.per_node) == (("a",), "nvidia.com/gpu", 1)
    assert (found.minimum, found.maximum, found.bounds) == (0, 3, "0 to 3 nodes")
    assert found.taints == ("gpus-only",)
    assert found.stuck == ""
    assert "simulated" in found.simulated


def test_a_pool_at_its_maximum_or_of_fixed_size_is_stuck() -> None:
    nodes = [node("a", (LABEL, "gpus"))]
    for spec, why in (
        ({"limits": {"nvidia.com/gpu": "1"}}, "1 is its maximum"),
        ({"limits": {"nodes": "1"}}, "1 is its maximum"),
        ({"limits": {"nvidia.com/gpu": "0"}}, "both 0"),
        ({"replicas": 1}, "fixed"),
    ):
        (found,) = nodepools.gather(nodes, [karpenter(**spec)], None)
        assert why in found.stuck


def test_without_limits_there_is_room() -> None:
    (found,) = nodepools.gather([node("a", (LABEL, "gpus"))], [karpenter()], None)
    assert (found.maximum, found.stuck) == (None, "")


def test_an_empty_pool_counts_where_its_limits_name_an_accelerator() -> None:
    assert nodepools.gather([], [karpenter()], None) == ()
    (found,) = nodepools.gather([], [karpenter(limits={"nvidia.com/gpu": "2"})], None)
    assert (found.nodes, found.per_node, found.stuck) == ((), 0, "")


def test_nodes_that_differ_are_no_pool_to_look_at() -> None:
    nodes = [node("a", (LABEL, "gpus")), node("b", (LABEL, "gpus"), gpus="8")]
    (found,) = nodepools.gather(nodes, [karpenter()], None)
    assert "same number" in found.stuck


def test_groups_of_cluster_autoscaler_are_matched_by_their_nodes_labels() -> None:
    taints = [
        {"key": "nvidia.com/gpu", "effect": "NoSchedule"},
        {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"},
    ]
    nodes = [node("a", ("cloud.google.com/gke-nodepool", "gpus"), taints=taints)]
    told = status(group("https://x/instanceGroups/gke-c-gpus-1234-grp", 1, 2), group("https://x/gke-c-cpus-grp", 0, 9))
    (found,) = nodepools.gather(nodes, [], told)
    assert (found.autoscaler, found.minimum, found.maximum) == ("Cluster Autoscaler", 1, 2)
    assert found.taints == ("nvidia.com/gpu",)
    assert found.stuck == ""


def test_a_group_is_told_from_others_whose_names_begin_alike() -> None:
    label = "kubernetes.azure.com/agentpool"
    nodes = [node("a", (label, "gpu")), node("b", (label, "gpu2")), node("c", (label, "gpu2-spot"))]
    told = status(group("aks-gpu-1-vmss", 1, 1), group("aks-gpu2-2-vmss", 0, 5), group("aks-gpu2-spot-3-vmss", 0, 7))
    found = {pool.name: (pool.minimum, pool.maximum) for pool in nodepools.gather(nodes, [], told)}
    assert found == {"gpu": (1, 1), "gpu2": (0, 5), "gpu2-spot": (0, 7)}


def test_a_group_in_several_zones_is_one_pool() -> None:
    nodes = [node("a", ("kops.k8s.io/instancegroup", "gpus"))]
    (found,) = nodepools.gather(nodes, [], status(group("gpus.a.example.com", 1, 2), group("gpus.b.example.com", 0, 2)))
    assert (found.minimum, found.maximum) == (1, 4)


def test_a_group_of_fixed_size_is_stuck() -> None:
    nodes = [node("a", ("eks.amazonaws.com/nodegroup", "gpus"))]
    (found,) = nodepools.gather(nodes, [], status(group("eks-gpus-12", 1, 1)))
    assert found.stuck == "its minimum and its maximum are both 1"


def test_what_is_no_status_is_no_pool() -> None:
    nodes = [node("a", ("eks.amazonaws.com/nodegroup", "gpus"))]
    for text in ("", "Cluster-autoscaler status at 2020: ok", "- 1", "a: [", "nodeGroups: 3"):
        assert nodepools.gather(nodes, [], {"data": {"status": text}}) == ()
    assert nodepools.gather(nodes, [], None) == ()


def test_the_pool_to_look_at_comes_first() -> None:
    nodes = [node("a", (LABEL, "fixed")), node("b", (LABEL, "open"))]
    pools = [karpenter("fixed", replicas=1), karpenter("empty", limits={"nvidia.com/gpu": "1"}), karpenter("open")]
    assert [pool.name for pool in nodepools.gather(nodes, pools, None)] == ["open", "empty", "fixed"]


class TestToldByALabel:
    told = "pool=mine"

    def test_its_nodes_tell_what_it_offers(self) -> None:
        nodes = [node("a", ("pool", "mine")), node("b", ("pool", "mine")), node("c", ("pool", "other"))]
        (found,) = nodepools.gather(nodes, [], None, self.told)
        assert (found.autoscaler, found.name, found.nodes) == (nodepools.UNNAMED, "mine", ("a", "b"))
        assert (found.per_node, found.stuck, found.bounds) == (1, "", "not known")

    def test_one_that_an_autoscaler_tells_of_is_taken_as_it_tells_it(self) -> None:
        nodes = [node("a", (LABEL, "gpus"))]
        (found,) = nodepools.gather(nodes, [karpenter()], None, f"{LABEL}=gpus")
        assert found.autoscaler == nodepools.KARPENTER

    def test_no_other_pool_is_looked_at(self) -> None:
        nodes = [node("a", (LABEL, "gpus"))]
        (found,) = nodepools.gather(nodes, [karpenter()], None, self.told)
        assert (found.nodes, found.stuck[:32]) == ((), "no node carries that label now, ")

    def test_nodes_without_accelerators_cannot_be_asked_for_more(self) -> None:
        plain = node("a", ("pool", "mine"))
        plain["status"]["allocatable"] = {"cpu": "8"}
        (found,) = nodepools.gather([plain], [], None, self.told)
        assert "offers an accelerator that is known" in found.stuck
