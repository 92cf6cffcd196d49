"""What discovery makes of vendors' nodes and slices, and which way is chosen to ask for accelerators."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
from tests.support.hardware import Obj, device, device_class, facts, node, resource_slice

from aiconform.engine import needs
from aiconform.engine.model import Unmet

GPU, EXAMPLE = "gpu.nvidia.com", "gpu.example.com"
NVIDIA_LABELS = {
    "nvidia.com/gpu.product": "NVIDIA-A100-SXM4-40GB",
    "nvidia.com/gpu.count": "2",
    "nvidia.com/gpu.replicas": "1",
    "nvidia.com/cuda.driver-version.full": "580.65.06",
}
PLUGIN = node("a", {"nvidia.com/gpu": "2"}, NVIDIA_LABELS)
CLASSES = [device_class(GPU), device_class("mig.nvidia.com", GPU)]


def gpu(name: str, kind: str = "gpu", **more: Any) -> Obj:
    return device(name, more.get("taints"), type={"string": kind}, productName={"string": "NVIDIA A100-SXM4-40GB"})


def two(**where: Any) -> Obj:
    return resource_slice(GPU, gpu("gpu-0"), gpu("gpu-1"), **where)


def unmet(found: Unmet | None) -> Unmet:
    assert found is not None
    return found


class TestVendors:
    """Nodes and slices with what each vendor's documentation shows."""

    @pytest.mark.parametrize(
        ("allocatable", "labels", "words", "product", "physical", "replicas"),
        [
            ({"nvidia.com/gpu": "2"}, NVIDIA_LABELS, "2 nvidia.com/gpu on a", "NVIDIA-A100-SXM4-40GB", 2, 1),
            (
                {"nvidia.com/gpu.shared": "8"},
                {**NVIDIA_LABELS, "nvidia.com/gpu.replicas": "4"},
                "8 nvidia.com/gpu.shared on a",
                "NVIDIA-A100-SXM4-40GB",
                2,
                4,
            ),
            (
                {"amd.com/gpu": "8"},
                {
                    "amd.com/gpu.product-name": "AMD_Instinct_MI300X_OAM",
                    "amd.com/gpu.family": "AI",
                    "amd.com/gpu.vram": "192G",
                },
                "8 amd.com/gpu on a",
                "AMD_Instinct_MI300X_OAM",
                8,
                1,
            ),
            (
                {"nvidia.com/gpu": "8"},
                {
                    "cloud.google.com/gke-max-shared-clients-per-gpu": "4",
                    "cloud.google.com/gke-gpu-sharing-strategy": "time-sharing",
                },
                "8 nvidia.com/gpu on a",
                "",
                2,
                4,
            ),
            ({"habana.ai/gaudi": "8"}, {}, "8 habana.ai/gaudi on a", "", 8, 1),
            (
                {"gpu.intel.com/i915": "20", "gpu.intel.com/i915_monitoring": "1"},
                {"gpu.intel.com/product": "Max_1550", "gpu.intel.com/device.count": "2"},
                "20 gpu.intel.com/i915 on a",
                "Max_1550",
                2,
                10,
            ),
            ({"aws.amazon.com/neuron": "16"}, {}, "16 aws.amazon.com/neuron on a", "", 16, 1),
            (
                {"google.com/tpu": "4"},
                {"cloud.google.com/gke-tpu-accelerator": "tpu-v6e-slice", "cloud.google.com/gke-tpu-topology": "2x2"},
                "4 google.com/tpu on a",
                "tpu-v6e-slice",
                4,
                1,
            ),
        ],
    )
    def test_by_device_plugin(
        self, allocatable: Obj, labels: Obj, words: str, product: str, physical: int, replicas: int
    ) -> None:
        found = facts(node("a", allocatable, labels))
        (only,) = found.accelerators
        assert (only.words, only.product, only.physical, only.replicas) == (words, product, physical, replicas)
        assert (found.unknown, found.simulated) == ((), ())

    @pytest.mark.parametrize(
        ("driver", "attributes", "product"),
        [
            (GPU, {"type": {"string": "gpu"}, "productName": {"string": "NVIDIA H100"}}, "NVIDIA H100"),
            (
                "gpu.amd.com",
                {"type": {"string": "amdgpu"}, "productName": {"string": "AMD Instinct MI300X"}},
                "AMD Instinct MI300X",
            ),
            ("gaudi.intel.com", {"model": {"string": "Gaudi2"}, "healthy": {"bool": True}}, "Gaudi2"),
            ("gpu.intel.com", {"type": {"string": "gpu"}, "model": {"string": "Max 1100"}}, "Max 1100"),
            (
                "neuron.aws.com",
                {"resourceType": {"string": "neuron_device"}, "instanceType": {"string": "trn2.48xlarge"}},
                "trn2.48xlarge",
            ),
            ("tpu.google.com", {"tpuGen": {"string": "v6e"}, "index": {"int": 0}}, "v6e"),
        ],
    )
    def test_by_dra(self, driver: str, attributes: dict[str, Obj], product: str) -> None:
        found = facts(
            node("a"),
            classes=[device_class(driver)],
            slices=[resource_slice(driver, device("d0", **attributes), device("d1", **attributes))],
        )
        (only,) = found.claimable
        assert (only.words, only.product, only.device_class) == (f"2 {driver} by DRA on a", product, driver)
        assert only.devices == ("a/d0", "a/d1")
        assert only.lock == driver
        assert found.accelerators == ()

    def test_parts_are_told_and_are_no_whole_devices(self) -> None:
        found = facts(
            node("a", {"nvidia.com/mig-1g.5gb": "7"}, NVIDIA_LABELS),
            node("b", {"amd.com/cpx_nps4": "64"}),
            node("c", {"aws.amazon.com/neuroncore": "32"}),
        )
        assert found.accelerators == ()
        assert [part.partition(" (")[0] for part in found.parts] == [
            "7 nvidia.com/mig-1g.5gb on a",
            "64 amd.com/cpx_nps4 on b",
            "32 aws.amazon.com/neuroncore on c",
        ]
        sharing = needs.accelerator("shares", needs.shared, by_hand="each part's parent")
        assert unmet(sharing(found)).outcome == "undecided"
        assert "show by hand: each part's parent" in unmet(sharing(found)).reason
        virtual = needs.accelerator("virtual ones", needs.virtual, by_hand="", otherwise="n/a")
        assert unmet(virtual(found)).outcome == "n/a"

    def test_the_example_driver_serves_dra_support_alone(self) -> None:
        found = facts(
            PLUGIN,
            classes=[device_class(EXAMPLE)],
            slices=[resource_slice(EXAMPLE, *(device(f"gpu-{number}") for number in range(8)))],
        )
        assert [driver.name for driver in found.dra] == [EXAMPLE]
        assert (found.claimable, [item.words for item in found.accelerators]) == ((), ["2 nvidia.com/gpu on a"])
        assert found.ways == ("NVIDIA GPU by device plugin (nvidia.com/gpu)",)
        assert found.simulated == ("dra-example-driver's devices are not real",)


class TestUnknownHardware:
    WANTED = staticmethod(
        needs.accelerator("a node with an accelerator", by_hand="what its containers find", claims=True)
    )

    @pytest.mark.parametrize(
        "strange",
        [facts(node("a", {"acme.example/npu": "4"})), facts(node("a"), slices=[resource_slice("npu.x", device("d"))])],
    )
    def test_is_undecided_and_says_what_to_show(self, strange: Any) -> None:
        gap = unmet(self.WANTED(strange))
        assert gap.outcome == "undecided"
        assert "in no vendor table" in gap.reason
        assert gap.reason.endswith("show by hand: what its containers find")

    def test_of_a_dra_driver_leaves_its_claims_undecided(self) -> None:
        found = facts(node("a"), classes=[device_class("npu.x")], slices=[resource_slice("npu.x", device("d"))])
        assert unmet(needs.dra(found)).outcome == "undecided"
        assert "devices of DRA driver npu.x" in unmet(needs.dra(found)).reason

    @pytest.mark.parametrize(
        "allocatable",
        [{}, {"acme.example/npu": "0"}, {"hugepages-2Mi": "4"}, {"rdma/hca": "1k"}, {"example.com/slots": "?"}],
    )
    def test_nothing_and_known_others_are_not_run(self, allocatable: Obj) -> None:
        gap = unmet(self.WANTED(facts(node("a", allocatable), slices=[resource_slice("dra.net", device("eth0"))])))
        assert gap.outcome == "not run"

    def test_beside_known_hardware_it_is_told(self) -> None:
        found = facts(PLUGIN, node("b", {"acme.example/npu": "4"}))
        assert self.WANTED(found) is None
        assert found.cluster().left_alone == ["4 acme.example/npu on b: in no vendor table"]


class TestUsableByDra:
    def usable(self, *slices: Obj, nodes: tuple[Obj, ...] = (node("a"), node("b"))) -> dict[str, int]:
        found = facts(*nodes, classes=CLASSES, slices=list(slices))
        assert sum(item.allocatable for item in found.claimable) == sum(driver.devices for driver in found.dra)
        return {item.node: item.allocatable for item in found.claimable}

    def test_only_the_newest_generation_counts(self) -> None:
        old = resource_slice(GPU, gpu("gpu-0"), gpu("gpu-1"), gpu("gpu-2"), generation=1)
        assert self.usable(old, resource_slice(GPU, gpu("gpu-0"), generation=2)) == {"a": 1}

    def test_a_pool_that_is_not_complete_counts_for_nothing(self) -> None:
        assert self.usable(two(count=2)) == {}
        assert self.usable(two(count=2), resource_slice(GPU, gpu("gpu-2"), count=2)) == {"a": 3}

    @pytest.mark.parametrize(("effect", "left"), [("NoSchedule", 1), ("NoExecute", 1), ("None", 2)])
    def test_tainted_devices_do_not_count(self, effect: str, left: int) -> None:
        tainted = gpu("gpu-1", taints=[{"key": "x", "effect": effect}])
        assert self.usable(resource_slice(GPU, gpu("gpu-0"), tainted)) == {"a": left}

    def test_parts_and_other_functions_do_not_count(self) -> None:
        assert self.usable(resource_slice(GPU, gpu("gpu-0"), gpu("mig-0", "mig"), gpu("vfio-0", "vfio"))) == {"a": 1}

    @pytest.mark.parametrize(
        "closed",
        [
            {"unschedulable": True},
            {"taints": [{"key": "dedicated", "effect": "NoSchedule"}]},
        ],
    )
    def test_a_node_that_takes_no_pods_of_ours_does_not_count(self, closed: Obj) -> None:
        assert self.usable(two(), nodes=(node("a", **closed), node("b"))) == {}

    def test_a_node_that_is_not_ready_or_not_there_does_not_count(self) -> None:
        broken = node("a")
        broken["status"]["conditions"][0]["status"] = "Unknown"
        assert self.usable(two(), nodes=(broken, node("b"))) == {}
        assert self.usable(two(nodeName="gone")) == {}

    def test_taints_named_like_the_resource_are_tolerated(self) -> None:
        tainted = node("a", taints=[{"key": "nvidia.com/gpu", "effect": "NoSchedule"}])
        assert self.usable(two(), nodes=(tainted,)) == {"a": 2}

    def test_a_broad_pool_is_looked_for_where_a_device_plugin_shows_that_it_has_devices(self) -> None:
        nodes = (node("a"), node("b", {"nvidia.com/gpu": "2"}))
        assert self.usable(two(allNodes=True), nodes=nodes) == {"b": 2}
        assert self.usable(two(allNodes=True)) == {"a": 2}

    @pytest.mark.parametrize(
        ("rule", "where"),
        [
            ({"key": "zone", "operator": "In", "values": ["2"]}, {"b": 2}),
            ({"key": "zone", "operator": "NotIn", "values": ["2"]}, {"a": 2}),
            ({"key": "zone", "operator": "Exists"}, {"a": 2}),
            ({"key": "zone", "operator": "DoesNotExist"}, {}),
            ({"key": "zone", "operator": "Gt", "values": ["1"]}, {"b": 2}),
            ({"key": "zone", "operator": "Lt", "values": ["1"]}, {}),
            ({"key": "zone", "operator": "Sideways", "values": ["1"]}, {}),
        ],
    )
    def test_a_node_selector_is_obeyed(self, rule: Obj, where: dict[str, int]) -> None:
        nodes = (node("a", labels={"zone": "1"}), node("b", labels={"zone": "2"}))
        selector = {"nodeSelectorTerms": [{"matchExpressions": [rule]}]}
        assert self.usable(two(nodeSelector=selector), nodes=nodes) == where

    def test_a_selector_by_name_and_one_without_requirements(self) -> None:
        named = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["b"]}]}
        assert self.usable(two(nodeSelector={"nodeSelectorTerms": [named]})) == {"b": 2}
        assert self.usable(two(nodeSelector={"nodeSelectorTerms": [{}]})) == {}

    def test_devices_may_say_each_for_itself_where_they_are(self) -> None:
        first, second, third = gpu("gpu-0"), gpu("gpu-1"), gpu("gpu-2")
        first["nodeName"], second["nodeName"], third["allNodes"] = "a", "b", True
        assert self.usable(resource_slice(GPU, first, second, third, perDeviceNodeSelection=True)) == {"a": 2, "b": 1}

    def test_a_driver_without_a_class_for_whole_devices_cannot_be_used(self) -> None:
        found = facts(node("a"), classes=[CLASSES[1]], slices=[two()])
        assert (found.dra, found.claimable) == ((), ())
        other = facts(node("a"), classes=[device_class("our-gpus", GPU), CLASSES[1]], slices=[two()])
        assert [item.device_class for item in other.claimable] == ["our-gpus"]

    def test_devices_that_several_claims_may_have_are_not_taken_for_exclusive(self) -> None:
        shared = gpu("gpu-1") | {"allowMultipleAllocations": True}
        found = facts(node("a"), classes=CLASSES, slices=[resource_slice(GPU, gpu("gpu-0"), shared)])
        assert [item.devices for item in found.claimable] == [("a/gpu-0",)]


class TestTheWay:
    SLICES: ClassVar = [two()]

    def test_auto_prefers_dra(self) -> None:
        found = facts(PLUGIN, classes=CLASSES, slices=self.SLICES)
        assert (found.accelerators, [item.words for item in found.claimable]) == ((), ["2 gpu.nvidia.com by DRA on a"])
        assert found.cluster().asked_for == "NVIDIA GPU by DRA (gpu.nvidia.com); allocation auto"
        assert found.cluster().left_alone == ["2 nvidia.com/gpu on a: NVIDIA GPU devices are asked for by DRA"]

    def test_each_vendor_has_a_way_of_its_own(self) -> None:
        found = facts(PLUGIN, node("b", {"amd.com/gpu": "1"}), classes=CLASSES, slices=self.SLICES)
        assert [item.words for item in found.chosen] == ["1 amd.com/gpu on b", "2 gpu.nvidia.com by DRA on a"]

    def test_the_device_plugin_can_be_asked_for(self) -> None:
        found = facts(PLUGIN, classes=CLASSES, slices=self.SLICES, allocation="device-plugin")
        assert ([item.words for item in found.chosen], found.claimable) == (["2 nvidia.com/gpu on a"], ())
        assert found.unused == ("2 gpu.nvidia.com by DRA on a: --allocation device-plugin",)

    def test_dra_can_be_asked_for(self) -> None:
        found = facts(PLUGIN, allocation="dra")
        assert found.chosen == ()
        gap = unmet(needs.accelerator("an accelerator", by_hand="", claims=True)(found))
        assert gap.outcome == "not run"
        assert "--allocation dra alone" in gap.reason

    @pytest.mark.parametrize("allocation", ["auto", "device-plugin"])
    def test_a_device_plugin_is_refused_where_a_class_answers_for_its_resource(self, allocation: Any) -> None:
        classes = [device_class(GPU, extended="nvidia.com/gpu")]
        found = facts(PLUGIN, classes=classes, allocation=allocation)
        assert found.chosen == ()
        assert found.refused == ("2 nvidia.com/gpu on a: DeviceClass gpu.nvidia.com makes DRA answer for it",)
        gap = unmet(needs.accelerator("an accelerator", by_hand="it")(found))
        assert gap.outcome == "undecided"
        assert "makes DRA answer for it" in gap.reason

    @pytest.mark.parametrize("why_not", ["403 Forbidden", "500 InternalError"])
    def test_where_classes_cannot_be_listed_no_device_plugin_is_used(self, why_not: str) -> None:
        found = facts(PLUGIN, gaps=(f"deviceclasses: {why_not}",))
        assert found.chosen == ()
        assert f"whether DRA would answer is not known: deviceclasses: {why_not}" in found.refused[0]
        old = facts(PLUGIN, gaps=("deviceclasses: 404 NotFound",))
        assert [item.words for item in old.chosen] == ["2 nvidia.com/gpu on a"]

    @pytest.mark.parametrize("why_not", ["403 Forbidden", "500 InternalError"])
    def test_slices_that_cannot_be_read_are_no_absence(self, why_not: str) -> None:
        found = facts(node("a"), gaps=(f"resourceslices: {why_not}",))
        gap = unmet(needs.accelerator("an accelerator", by_hand="it", claims=True)(found))
        said = f"what DRA offers cannot be read: resourceslices: {why_not}"
        assert (gap.outcome, said in gap.reason) == ("undecided", True)

    def test_a_check_that_cannot_claim_says_so(self) -> None:
        found = facts(PLUGIN, classes=CLASSES, slices=self.SLICES)
        gap = unmet(needs.accelerator("two", needs.several, by_hand="")(found))
        assert gap.outcome == "not run"
        assert "does not ask by claims: try --allocation device-plugin" in gap.reason
        assert needs.accelerator("two", needs.several, by_hand="", claims=True)(found) is None

    def test_nodes_that_are_closed_to_us_are_told(self) -> None:
        fenced = node("b", {"nvidia.com/gpu": "1"}, taints=[{"key": "team", "effect": "NoSchedule"}])
        cordoned = node("c", {"nvidia.com/gpu": "1"}, unschedulable=True)
        left = facts(PLUGIN, fenced, cordoned).cluster().left_alone
        assert left == ["1 nvidia.com/gpu on b: taint team", "1 nvidia.com/gpu on c: cordoned"]


class TestTheDriverThatIsClaimedFrom:
    def test_channels_between_nodes_are_no_accelerators(self) -> None:
        domain = "compute-domain.nvidia.com"
        channels = resource_slice(domain, *(device(f"channel-{number}") for number in range(2048)))
        found = facts(node("a"), classes=[*CLASSES, device_class(domain)], slices=[channels, two()])
        driver = needs.dra_driver(found)
        assert driver is not None
        assert (driver.name, driver.device_class, driver.devices) == (GPU, GPU, 2)
        assert found.unknown == ()

    def test_real_devices_come_before_simulated_ones(self) -> None:
        many = resource_slice(EXAMPLE, *(device(f"gpu-{number}") for number in range(8)))
        found = facts(node("a"), classes=[*CLASSES, device_class(EXAMPLE)], slices=[many, two()])
        driver = needs.dra_driver(found)
        assert driver is not None
        assert driver.name == GPU


def test_round_numbers_are_read_as_kubernetes_writes_them() -> None:
    assert facts(node("a", {"acme.example/npu": "2k"})).unknown == ("2000 acme.example/npu on a",)
