"""How pods ask for devices, what is said where none comes, and what is not known of a vendor's devices."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import anyio
import pytest
from tests.support.hardware import Obj, device, device_class, facts, node, resource_slice
from tests.unit.checks.test_pods import CREATING

from aiconform.catalog import accelerators
from aiconform.checks._kit import (
    advertised,
    claims,
    devices,
    metrics_devices,
    metrics_exporters,
    nodepools,
    pods,
    pool_steps,
    script,
)
from aiconform.checks._kit.script import Report
from aiconform.engine import AcceleratorNode, Handle, RefusedError, State, StopProbe, kinds
from aiconform.engine.nodepools import NodePool

BY_DRA = facts(
    node("a"),
    classes=[device_class("gpu.nvidia.com")],
    slices=[
        resource_slice(
            "gpu.nvidia.com",
            *(
                device(
                    f"gpu-{number}",
                    type={"string": "gpu"},
                    driverVersion={"version": "580.65.6"},
                    cudaDriverVersion={"version": "13.0.0"},
                )
                for number in range(2)
            ),
        )
    ],
)
CLAIMED = BY_DRA.claimable[0]
PLUGIN = facts(node("a", {"nvidia.com/gpu": "2"})).accelerators[0]
POD = Handle(kinds.POD, "ours", "probe", "uid")


class Stated:
    """Stands in for a context: what is asked is answered from lists, and what is stated is kept."""

    def __init__(self, found: Any = BY_DRA, **lists: Any) -> None:
        self.facts, self.lists = found, lists
        self.made: list[Obj] = []
        self.stated: list[tuple[str, str, str]] = []
        self.now = 0.0

    def name(self, hint: str) -> str:
        return f"{hint}-1"

    def image(self, role: str) -> str:
        return role

    def option(self, name: str) -> str:
        return str(self.facts.option(name))

    async def create(self, manifest: Obj) -> Handle:
        self.made.append(manifest)
        return Handle(kinds.POD, "ours", manifest["metadata"]["name"], "uid")

    async def list(self, kind: kinds.Kind, *_: Any, **__: Any) -> list[Obj]:
        found = self.lists.get(kind.plural, [])
        if isinstance(found, Exception):
            raise found
        return list(found)

    async def read_named(self, *_: Any) -> Obj:
        return dict(self.lists["node"])

    def expect(self, expected: str, observed: str, *, ok: bool, **_: Any) -> None:
        self.stated.append(("passed" if ok else "failed", expected, observed))
        if not ok:
            raise StopProbe

    def undecided(self, expected: str, observed: str, cause: str) -> StopProbe:
        self.stated.append(("undecided", expected, cause))
        return StopProbe()


def of(function: Any, *arguments: Any, **more: Any) -> Any:
    async def work() -> Any:
        return await function(*arguments, **more)

    return anyio.run(work)


class TestAsking:
    def test_by_resource(self) -> None:
        ctx = Stated()
        wish = of(devices.wish, ctx, "holder", PLUGIN, 2)
        assert (dict(wish.limits), wish.claims, ctx.made) == ({"nvidia.com/gpu": "2"}, (), [])
        assert devices.refusal(PLUGIN) == ("Insufficient", "nvidia.com/gpu")

    def test_by_claim(self) -> None:
        ctx = Stated()
        wish = of(devices.wish, ctx, "holder", CLAIMED, 2)
        (template,) = ctx.made
        request = template["spec"]["spec"]["devices"]["requests"][0]["exactly"]
        assert request == {"deviceClassName": "gpu.nvidia.com", "allocationMode": "ExactCount", "count": 2}
        assert (dict(wish.limits), dict(wish.sources)) == (
            {},
            {"accelerators": {"resourceClaimTemplateName": template["metadata"]["name"]}},
        )
        assert devices.refusal(CLAIMED) == ("cannot allocate all claims",)

    def test_a_pod_with_a_claim_goes_to_its_node_by_label_and_never_by_name(self) -> None:
        ctx = Stated()
        of(devices.holding_pod, ctx, "holder", CLAIMED, "true")
        spec = ctx.made[-1]["spec"]
        assert spec["resourceClaims"] == [{"name": "accelerators", "resourceClaimTemplateName": "holder-1"}]
        assert spec["containers"][0]["resources"]["claims"] == [{"name": "accelerators"}]
        assert spec["nodeSelector"] == {"kubernetes.io/os": "linux", "kubernetes.io/hostname": "a"}
        assert "nodeName" not in spec
        assert {"key": "nvidia.com/gpu", "operator": "Exists"} in spec["tolerations"]

    def test_only_who_makes_device_nodes_asks_for_that_capability(self) -> None:
        ctx = Stated()
        of(devices.holding_pod, ctx, "holder", PLUGIN, "true", root=True)
        of(devices.holding_pod, ctx, "intruder", PLUGIN, "true", root=True, capabilities=("MKNOD",))
        plain, makes = (made["spec"]["containers"][0].get("securityContext") for made in ctx.made)
        assert (plain, makes) == (None, {"capabilities": {"add": ["MKNOD"]}})

    def test_a_plain_pod_claims_nothing(self) -> None:
        ctx = Stated()
        of(devices.plain_pod, ctx, "plain", CLAIMED, "true")
        assert "resourceClaims" not in ctx.made[-1]["spec"]


class TestWhoHolds:
    NO_ROOM = State("blocked", "p does not fit: 0/3 nodes: 3 cannot allocate all claims")

    def claim(self, device_name: str, driver: str = "gpu.nvidia.com", pool: str = "a") -> Obj:
        result = {"driver": driver, "pool": pool, "device": device_name}
        return {
            "metadata": {"namespace": "team", "name": f"train-{device_name}"},
            "status": {"allocation": {"devices": {"results": [result]}}},
        }

    def look(self, state: State, **lists: Any) -> State:
        ctx = Stated(**lists)
        return of(claims.who_holds(ctx, POD, "gpu.nvidia.com", CLAIMED.devices), state)  # type: ignore[arg-type,no-any-return]

    def test_devices_that_others_hold_say_nothing(self) -> None:
        state = self.look(self.NO_ROOM, resourceclaims=[self.claim("gpu-0"), self.claim("gpu-1")])
        assert state.outcome == "blocked"
        assert "2 of 2 devices of gpu.nvidia.com are allocated: a/gpu-0 by team/train-gpu-0" in state.observed

    @pytest.mark.parametrize("other", [{"driver": "compute-domain.nvidia.com"}, {"pool": "b"}])
    def test_a_free_device_that_is_not_allocated_is_a_failure(self, other: dict[str, str]) -> None:
        state = self.look(self.NO_ROOM, resourceclaims=[self.claim("gpu-0"), self.claim("gpu-1", **other)])
        assert state.outcome == "waiting"
        assert "1 of 2 devices" in state.observed

    def test_without_the_right_to_look_nothing_is_decided(self) -> None:
        state = self.look(self.NO_ROOM, resourceclaims=RefusedError("list resourceclaims", 403, "Forbidden", ""))
        assert state.outcome == "blocked"
        assert "cannot be read" in state.observed

    def test_a_driver_that_does_not_prepare_a_device_fails(self) -> None:
        slow = pods.running([CREATING])
        event = {"reason": "FailedPrepareDynamicResources", "note": "no such device"}
        assert self.look(slow, events=[event]).outcome == "wrong"
        assert self.look(slow, events=[{"reason": "FailedCreatePodSandBox", "note": "no network"}]) == slow

    def test_other_refusals_are_left_as_they_are(self) -> None:
        state = State("waiting", "p: CreateContainerError: why")
        assert self.look(state) == state


class TestWhatIsNotKnown:
    @pytest.mark.parametrize(
        ("resource", "fact", "words"),
        [
            ("google.com/tpu", "driver_command", "how a container reads the driver's version"),
            ("aws.amazon.com/neuron", "uuid_command", "how a container reads its device's identity"),
            ("gpu.intel.com/xe", "exporter", "an exporter of metrics"),
            ("amd.com/gpu", "load_program", "a program that keeps a device busy"),
        ],
    )
    def test_is_undecided_with_what_to_show(self, resource: str, fact: str, words: str) -> None:
        ctx, kind = Stated(), accelerators.by_resource(resource)
        assert kind is not None
        with pytest.raises(StopProbe):
            devices.must_know(ctx, kind, fact, by_hand="the figures")  # type: ignore[arg-type]
        ((outcome, _, cause),) = ctx.stated
        assert (outcome, words in cause, cause.endswith("show by hand: the figures")) == ("undecided", True, True)

    def test_what_is_known_is_not_in_the_way(self) -> None:
        ctx, kind = Stated(), accelerators.by_resource("nvidia.com/gpu")
        assert kind is not None
        devices.must_know(ctx, kind, *devices._WORDS, by_hand="")  # type: ignore[arg-type]
        assert ctx.stated == []

    def test_nothing_is_counted_where_nobody_knows_what_to_count(self) -> None:
        kind = accelerators.AcceleratorKind(name="x")
        assert devices.list_nodes(kind) == "true"
        assert devices.every_answer(kind) == ("true",)

    def test_an_exporter_that_names_no_device_is_undecided(self) -> None:
        ctx = Stated(facts(node("a", {"habana.ai/gaudi": "8"})))
        with pytest.raises(StopProbe):
            of(metrics_exporters.find, ctx)
        ((outcome, _, cause),) = ctx.stated
        assert (outcome, "habanalabs_utilization" in cause) == ("undecided", True)


class TestAdvertised:
    NODE: Obj = node("a")

    def by(self, found: AcceleratorNode, labels: Obj, specs: list[Obj]) -> tuple[Any, Stated]:
        seen = node("a", labels=labels)
        seen["status"]["nodeInfo"] = {"containerRuntimeVersion": "containerd://2.2.1"}
        ctx = Stated(node=seen, resourceslices=specs)
        return of(advertised.by, ctx, found), ctx

    SLICE = resource_slice(
        "gpu.nvidia.com",
        device("gpu-0", type={"string": "gpu"}, driverVersion={"version": "580.65.6"}),
        device("mig-0", type={"string": "mig"}, driverVersion={"version": "1.1.1"}),
    )

    def test_attributes_come_before_labels(self) -> None:
        labels = {"nvidia.com/cuda.driver-version.full": "570.1.1", "nvidia.com/cuda.runtime-version.full": "13.0"}
        told, _ = self.by(CLAIMED, labels, [self.SLICE])
        assert told["driver"] == advertised.Version("580.65.6", "DRA attribute driverVersion")
        assert told["runtime"] == advertised.Version("13.0", "label nvidia.com/cuda.runtime-version.full")

    def test_devices_that_disagree_fail(self) -> None:
        other = device("gpu-1", type={"string": "gpu"}, driverVersion={"version": "570.1.1"})
        pair = resource_slice("gpu.nvidia.com", *self.SLICE["spec"]["devices"], other)
        with pytest.raises(StopProbe):
            self.by(CLAIMED, {}, [pair])

    def test_claimed_devices_without_a_slice_fail(self) -> None:
        with pytest.raises(StopProbe):
            self.by(CLAIMED, {}, [])

    def test_a_version_that_is_none_fails(self) -> None:
        with pytest.raises(StopProbe):
            self.by(CLAIMED, {"nvidia.com/cuda.runtime-version.full": "unknown"}, [self.SLICE])

    def test_what_nobody_advertises_is_undecided_after_the_rest_was_compared(self) -> None:
        told, ctx = self.by(CLAIMED, {}, [self.SLICE])
        seen = script.parse(["driver_exit=0", "driver=580.65.06", "runtime_exit=0", "runtime=13.0"])
        with pytest.raises(StopProbe):
            advertised.same(ctx, CLAIMED, told, seen)  # type: ignore[arg-type]
        assert ctx.stated[-2][:2] == ("passed", "driver 580.65.6 as DRA attribute driverVersion of a advertises")
        assert ctx.stated[-1][0] == "undecided"
        assert "a does not advertise its runtime" in ctx.stated[-1][2]

    def test_another_version_than_is_advertised_fails_first(self) -> None:
        told, ctx = self.by(CLAIMED, {}, [self.SLICE])
        with pytest.raises(StopProbe):
            advertised.same(ctx, CLAIMED, told, script.parse(["driver_exit=0", "driver=570.1.1"]))  # type: ignore[arg-type]
        assert ctx.stated[-1][0] == "failed"


class TestTheHostOfAnEngine:
    """DCGM's engine may run elsewhere: then it names itself, or its pod, and not the node."""

    @pytest.mark.parametrize(
        ("host", "outcome", "words"),
        [
            ("a", "passed", "Hostname, modelName agree"),
            ("nvidia-dcgm.gpu-operator.svc", "passed", "is no node's name, so not compared"),
            ("b", "failed", "Hostname: b, but the container finds a"),
        ],
    )
    def test_only_another_node_is_a_lie(self, host: str, outcome: str, words: str) -> None:
        ctx = Stated(facts(node("a", {"nvidia.com/gpu": "1"}), node("b")))
        (held,) = ctx.facts.accelerators
        door = metrics_exporters.Door(held, "x/y", "/", frozenset(), {})
        told = metrics_exporters.Device("GPU-A", {"modelName": "T4", "Hostname": host}, {})
        page = metrics_exporters.Page("text", {"GPU-A": told}, 0)
        found = {"GPU-A": metrics_devices.Found("GPU-A", "T4", "0:1", "580.1")}
        mine = metrics_devices.Held(held, devices.Probing(POD, script.Script("", "")), found)
        try:
            metrics_devices.same(ctx, door, page, mine)  # type: ignore[arg-type]
        except StopProbe:
            assert outcome == "failed"
        assert (ctx.stated[-1][0], words in ctx.stated[-1][2]) == (outcome, True), ctx.stated[-1]


def test_properties_that_a_container_cannot_tell_are_not_compared() -> None:
    amd = facts(node("a", {"amd.com/gpu": "2"})).accelerators[0]
    asked = metrics_devices._asked(amd)
    assert set(asked) == {"uuid", "product", "pci", "driver"}
    tpu = facts(node("a", {"google.com/tpu": "2"})).accelerators[0]
    assert metrics_devices._asked(tpu) == {}
    report = Report({"uuid": ("X1",)}, "")
    kind = accelerators.AcceleratorKind(name="x", uuid_command="id")
    bare = AcceleratorNode("a", "x.io/x", 1, kind, "", 1, 1, "", "", "", ())
    found = metrics_devices._found(Stated(), bare, report, 1)  # type: ignore[arg-type]
    assert found == {"X1": metrics_devices.Found("X1", "", "", "")}


class TestPoolsOfClaimedDevices:
    POOL = NodePool(
        "Karpenter", "gpus", ("pool", "gpus"), ("a",), "gpu.nvidia.com", 2, 0, 3, ("team",), "", "", "gpu.nvidia.com"
    )
    SLICE = resource_slice(
        "gpu.nvidia.com",
        device("gpu-0", type={"string": "gpu"}),
        device("gpu-1", [{"key": "broken", "effect": "NoExecute"}], type={"string": "gpu"}),
        device("mig-0", type={"string": "mig"}),
    )

    def test_a_pod_claims_what_it_needs_and_asks_for_the_rest_as_it_is(self) -> None:
        ctx = Stated()
        of(nodepools.pod, ctx, "impossible", self.POOL, {"gpu.nvidia.com": "2", nodepools.UNKNOWN: "1"})
        template, pod = ctx.made
        assert template["spec"]["spec"]["devices"]["requests"][0]["exactly"]["count"] == 2
        resources = pod["spec"]["containers"][0]["resources"]
        assert (resources["claims"], resources["limits"][nodepools.UNKNOWN]) == ([{"name": "accelerators"}], "1")
        assert "gpu.nvidia.com" not in resources["limits"]
        assert pod["spec"]["nodeSelector"] == {"kubernetes.io/os": "linux", "pool": "gpus"}
        assert {"key": "team", "operator": "Exists"} in pod["spec"]["tolerations"]
        assert "/dev/nvidia[0-9]*" in pod["spec"]["containers"][0]["command"][2]

    def test_a_node_offers_what_its_slices_show(self) -> None:
        watched, ctx = nodepools.Watched(self.POOL, 2), Stated(resourceslices=[self.SLICE])
        assert watched.offered(node("a", {"nvidia.com/gpu": "8"})) == 0
        of(watched.look, ctx)
        assert [watched.offered(node(name)) for name in ("a", "b")] == [1, 0]
        sample = pool_steps._claimable(ctx, watched, "a")  # type: ignore[arg-type]
        assert of(sample) == State("waiting", "1 devices of gpu.nvidia.com on a")
        watched.per_node = 1
        assert of(sample).outcome == "met"

    def test_a_pool_of_a_device_plugin_asks_nothing_of_dra(self) -> None:
        plugin = replace(self.POOL, resource="nvidia.com/gpu", device_class="")
        watched, ctx = nodepools.Watched(plugin, 2), Stated(resourceslices=AssertionError("asked"))
        of(watched.look, ctx)
        assert watched.offered(node("a", {"nvidia.com/gpu": "8"})) == 8
