"""Rights as data: what the tables say, and the least role that gives it."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support import hardware
from tests.support.asking import CHECKS, asked, broad, unasked, unsaid

from aiconform import catalog
from aiconform.engine.access import of_check
from aiconform.engine.facts import Facts
from aiconform.engine.rights import (
    DISCOVERY,
    GUARDS,
    NAMING,
    OPTIONAL,
    WRITING,
    Choice,
    Right,
    chosen,
    granting,
    least,
    parse,
    role,
    rules,
    served,
    together,
)
from aiconform.evidence.reader import open_bundle

GOLDEN = sorted((Path(__file__).parents[2] / "golden").glob("*.tar.gz"))
NAMESPACES = "aiconform-"


def test_a_line_says_verbs_and_resources() -> None:
    assert [str(right) for right in parse("list watch pods jobs.batch")] == [
        "list pods",
        "watch pods",
        "list jobs.batch",
        "watch jobs.batch",
    ]
    (right,) = parse("get configmaps=status@kube-system")
    assert right == Right("", "configmaps", "get", "status", "kube-system")
    (metric,) = parse("get pods/queue.custom.metrics.k8s.io")
    assert (metric.group, metric.resource) == ("custom.metrics.k8s.io", "pods/queue")


@pytest.mark.parametrize("line", ["", "pods", "get", "get *", "* pods", "pods get", "bind roles", "list pods.*"])
def test_a_line_that_says_no_right_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match="is not VERB"):
        parse(line)


def test_what_is_always_needed_somewhere_is_not_needed_sometimes() -> None:
    (right,) = together(parse("?list events"), parse("list events"), parse("?list events"))
    assert not right.sometimes


def test_a_right_on_all_objects_holds_on_each() -> None:
    both = parse("get namespaces=kube-system", "get namespaces", "get customresourcedefinitions.x=one")
    assert [str(right) for right in least(both)] == ["get namespaces", "get customresourcedefinitions.x=one"]


def facts(*groups: str, **options: str) -> Facts:
    told = {name.replace("_", "-"): value for name, value in options.items()}
    return Facts("", "", "", frozenset(groups), (), (), (), (), (), (), (), options=told)


def test_what_depends_on_a_cluster_is_needed_where_it_is_so_and_sometimes_where_nothing_is_known() -> None:
    queue = Choice(("list queues.x", "?list events"), lambda facts: ("list queues.x",) if facts.groups else ())
    assert chosen(("get pods", queue), facts()) == parse("get pods")
    assert [(str(right), right.sometimes) for right in chosen(("get pods", queue), facts("x/v1"))] == [
        ("get pods", False),
        ("list queues.x", False),
    ]
    assert {str(right): right.sometimes for right in chosen(("get pods", queue), None)} == {
        "get pods": False,
        "list events": True,
        "list queues.x": True,
    }


KINDS = (
    "ray.io/v1",
    "batch/v1",
    "batch.volcano.sh/v1alpha1",
    "scheduling.volcano.sh/v1beta1",
    "kueue.x-k8s.io/v1beta2",
)
MONITORED = ("monitoring.coreos.com/v1",)


@pytest.mark.parametrize(
    ("name", "groups", "told", "groups_of_rights"),
    [
        ("robust_controller", KINDS, {}, {"ray.io"}),
        ("robust_controller", KINDS, {"operator": "kueue"}, {"batch", "kueue.x-k8s.io"}),
        ("robust_controller", KINDS, {"operator": "volcano"}, {"batch.volcano.sh"}),
        ("robust_controller", KINDS[1:3], {}, {"batch.volcano.sh"}),
        ("gang_scheduling", KINDS, {}, {"batch", "batch.volcano.sh", "kueue.x-k8s.io", "scheduling.volcano.sh"}),
        ("gang_scheduling", KINDS, {"gang_scheduler": "kueue"}, {"batch", "kueue.x-k8s.io"}),
        ("gang_scheduling", KINDS, {"gang_scheduler": "volcano"}, {"batch.volcano.sh", "scheduling.volcano.sh"}),
    ],
)
def test_only_the_system_that_is_tried_needs_rights(
    name: str, groups: tuple[str, ...], told: dict[str, str], groups_of_rights: set[str]
) -> None:
    everywhere = {"", "apps", "admissionregistration.k8s.io", "apiextensions.k8s.io"}
    assert {
        right.group for right in chosen(CHECKS[name].rights, facts(*groups, **told))
    } - everywhere == groups_of_rights


@pytest.mark.parametrize(
    ("name", "claims"),
    [
        ("gpu_sharing", False),
        ("virtualized_accelerator", False),
        ("pod_autoscaling", False),
        ("driver_runtime_management", True),
        ("secure_accelerator_access", True),
    ],
)
def test_who_asks_by_extended_resource_alone_needs_no_right_on_claims_wherever_devices_are_claimable(
    name: str, *, claims: bool
) -> None:
    claimable = hardware.facts(
        hardware.node("a"),
        classes=[hardware.device_class("gpu.nvidia.com")],
        slices=[hardware.resource_slice("gpu.nvidia.com", hardware.device("gpu-0", type={"string": "gpu"}))],
    )
    assert claimable.claimable
    needed = {right.group for right in chosen(CHECKS[name].rights, claimable)}
    assert ("resource.k8s.io" in needed) is claims


@pytest.mark.parametrize(
    ("groups", "told", "made", "perhaps"),
    [
        (MONITORED, {}, {"servicemonitors"}, {"podmonitors"}),
        (MONITORED, {"scrape_by": "podmonitor"}, {"podmonitors"}, set()),
        (MONITORED, {"scrape_by": "servicemonitor"}, {"servicemonitors"}, set()),
        (MONITORED, {"scrape_by": "annotations"}, set(), set()),
        (MONITORED, {"prometheus": "monitoring/main"}, {"servicemonitors"}, set()),
        ((), {}, set(), set()),
    ],
)
def test_a_service_is_made_known_in_one_way(
    groups: tuple[str, ...], told: dict[str, str], made: set[str], perhaps: set[str]
) -> None:
    found = of_check(CHECKS["ai_service_metrics"], facts(*groups, **told))
    monitors = [right for right in found if right.verb == "create" and right.resource.endswith("monitors")]
    assert {right.resource for right in monitors if not right.sometimes} == made
    assert {right.resource for right in monitors if right.sometimes} == perhaps


def test_a_group_that_is_not_served_needs_no_right() -> None:
    asked = parse("list pods", "create jobs.batch", "create rayclusters.ray.io")
    assert [right.group for right in served(asked, ["batch/v1"])] == ["", "batch"]


@pytest.mark.parametrize(
    ("rule", "given"),
    [
        ({"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}, True),
        ({"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}, True),
        ({"apiGroups": ["apps"], "resources": ["pods"], "verbs": ["list"]}, False),
        ({"apiGroups": [""], "resources": ["pods/log"], "verbs": ["list"]}, False),
        ({"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}, False),
        ({"apiGroups": [""], "resources": ["pods"], "verbs": ["list"], "resourceNames": ["one"]}, False),
        ({"verbs": ["*"], "nonResourceURLs": ["*"]}, False),
    ],
)
def test_what_a_rule_gives(rule: dict, given: bool) -> None:
    (right,) = parse("list pods")
    assert granting(rule)(right) is given


def test_a_rule_may_give_a_subresource_of_everything_or_one_object() -> None:
    (log,) = parse("get pods/log")
    assert granting({"apiGroups": [""], "resources": ["*/log"], "verbs": ["get"]})(log)
    assert not granting({"apiGroups": [""], "resources": ["*/proxy"], "verbs": ["get"]})(log)
    (named,) = parse("get namespaces=kube-system")
    one = {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get"], "resourceNames": ["kube-system"]}
    assert granting(one)(named)


@pytest.mark.parametrize("release", catalog.releases())
def test_the_role_gives_what_is_needed_and_nothing_that_is_dangerous(release: str) -> None:
    checks = [CHECKS[one.id] for one in catalog.requirements(release) if one.id in CHECKS]
    needed = together(
        parse(*DISCOVERY, *WRITING, *OPTIONAL, *GUARDS, *NAMING), *(chosen(check.rights, None) for check in checks)
    )
    cluster_role, binding = role("aiconform", needed, release=release)
    assert binding["roleRef"]["name"] == cluster_role["metadata"]["name"]
    for right in needed:
        assert any(granting(rule)(right) for rule in cluster_role["rules"]), str(right)
    for rule in cluster_role["rules"]:
        words = {*rule["verbs"], *rule["resources"], *rule["apiGroups"]}
        assert not words & {"*", "secrets", "bind", "escalate", "impersonate", "pods/exec", "pods/attach"}, rule
        assert "rbac.authorization.k8s.io" not in words
        assert "deletecollection" not in words


def test_a_role_is_short_and_always_the_same() -> None:
    rights = parse("get list pods", "list get services", "list watch nodes", "get namespaces=kube-system")
    assert rules(rights) == rules(tuple(reversed(rights)))
    assert rules(rights) == [
        {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get"], "resourceNames": ["kube-system"]},
        {"apiGroups": [""], "resources": ["pods", "services"], "verbs": ["get", "list"]},
        {"apiGroups": [""], "resources": ["nodes"], "verbs": ["list", "watch"]},
    ]


@pytest.mark.parametrize("name", sorted(CHECKS))
def test_every_check_says_what_it_needs(name: str) -> None:
    assert chosen(CHECKS[name].rights, None)


# -- the tables against what the recorded runs asked --------------------------------------------------------------


BUNDLES = {path.name: open_bundle(path) for path in GOLDEN}
RECORDED = [
    (file, check.requirement)
    for file, bundle in BUNDLES.items()
    for check in bundle.verdicts.checks
    if check.outcome == "passed"
]


@pytest.mark.parametrize(("file", "name"), RECORDED)
def test_no_check_asks_what_its_table_does_not_say(file: str, name: str) -> None:
    assert unsaid(BUNDLES[file], name) == []


@pytest.mark.parametrize(("file", "name"), RECORDED)
def test_no_table_says_what_its_check_does_not_ask(file: str, name: str) -> None:
    assert unasked(BUNDLES[file], name) == []


def test_the_engine_asks_what_its_tables_say() -> None:
    said = {broad(right) for right in parse(*DISCOVERY, *WRITING, *OPTIONAL, *GUARDS, *NAMING)}
    for bundle in BUNDLES.values():
        assert sorted(map(str, asked(bundle, "engine") - said)) == []
