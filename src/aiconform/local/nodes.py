"""Nodes that come and go while a local cluster runs: real ones, of the same parts as those it was started with."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import time
from collections.abc import Callable

from aiconform.errors import LocalClusterError, UsageError
from aiconform.local import blueprint, boot, companions, inotify, inspection, seed
from aiconform.local.addons.nvidia import RESOURCE
from aiconform.local.api import Api, ApiError, JsonObject
from aiconform.local.cluster import Cluster
from aiconform.local.controlplane import ClusterKeys
from aiconform.local.pki import Authority, Pair
from aiconform.local.profiles import NodeSpec
from aiconform.local.registration import Registration
from aiconform.local.state import NAME, ClusterState, Home, NodeState, write_atomically
from aiconform.local.supervisor import CHANGED

LIMIT_S = 90.0
START_LIMIT_S = 30.0
PLACES = range(1, 250)
"""Places in the node network; the number is part of the node's and its pods' addresses."""


def add(cluster: Cluster, spec: NodeSpec) -> NodeState:
    """Add a node and wait until it is Ready and its accelerators are advertised.

    Raises:
        LocalClusterError: it does not come up; nothing is left of it.
        UsageError: the name cannot be used, or was used before.
    """
    place = begin(cluster, spec)
    registering = Registration(cluster, [place])
    api = Api(cluster.kubeconfig)
    try:
        _wait(registering.finished, LIMIT_S, f"node {spec.name} is not Ready")
        _wait(lambda: _advertised(api, spec), LIMIT_S, f"node {spec.name} does not advertise its accelerators")
    except LocalClusterError:
        remove(cluster, spec.name)
        raise
    return place


def begin(cluster: Cluster, spec: NodeSpec) -> NodeState:
    """Add a node and return once its processes run.

    Raises:
        LocalClusterError: it cannot be started; nothing is left of it.
        UsageError: the name cannot be used, or was used before.
    """
    home = cluster.home
    known = _blueprint(home)
    with home.changing():
        state = _description(home)
        place = NodeState(spec.name, _free_place(state), late=True, pool=spec.pool)
        _check_name(state, spec.name)
        inotify.check_further_node()
        _furnish(home, state, place, spec, blueprint.complete(home, known))
        home.write(dataclasses.replace(state, nodes=(*state.nodes, place), last_index=place.index))
        tell(home)
    try:
        _wait(lambda: place.name in inspection.pids_of(home), START_LIMIT_S, f"node {place.name} does not start")
    except LocalClusterError:
        retire(home, place.name)
        raise
    return place


def remove(cluster: Cluster, name: str) -> None:
    """Remove a node that was added: its processes and files, its pods and its Node object.

    Raises:
        LocalClusterError: it does not end.
        UsageError: there is none, or it belongs to the profile.
    """
    retire(cluster.home, name)
    api = Api(cluster.kubeconfig)
    try:
        api.delete(f"/api/v1/nodes/{name}")  # first, or its daemon sets make their pods anew
        forget_pods(api, name)
    except ApiError as error:
        raise LocalClusterError(f"cannot remove the objects of node {name}", details=[str(error)]) from error


def forget_pods(api: Api, node: str) -> None:
    """Delete the pods of a node that is gone; nobody else would for a minute.

    Raises:
        ApiError: the API server does not answer.
    """
    for pod in api.get(f"/api/v1/pods?fieldSelector=spec.nodeName%3D{node}")["items"]:
        meta = pod["metadata"]
        api.delete(f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}", at_once=True)


def retire(home: Home, name: str) -> None:
    """End a node's processes and remove its files; its objects stay. The name is not given again.

    Raises:
        LocalClusterError: it does not end.
        UsageError: there is none, or it belongs to the profile.
    """
    with home.changing():
        state = _description(home)
        if not state.node(name).late:
            raise UsageError(f"node {name} belongs to the profile of local cluster {home.name}")
        rest = tuple(node for node in state.nodes if node.name != name)
        home.write(dataclasses.replace(state, nodes=rest, retired=(*state.retired, name)))
        tell(home)

    def gone() -> bool:
        return name not in inspection.pids_of(home) and not home.node(name).exists()

    _wait(gone, START_LIMIT_S, f"node {name} does not end")


def accompany(cluster: Cluster, name: str, *module: str) -> None:
    """Keep a helper running on the machine as long as the cluster runs; one of that name is replaced.

    Args:
        cluster: the cluster.
        name: of the helper, also of its log file.
        module: Python module of ours, and its arguments.
    """
    home = cluster.home
    _blueprint(home)
    with home.changing():
        companions.write(home, {**companions.wanted(home), name: module})
        tell(home)


def dismiss(cluster: Cluster, name: str) -> None:
    """End a helper that :func:`accompany` started."""
    home = cluster.home
    _blueprint(home)
    with home.changing():
        companions.write(home, {other: module for other, module in companions.wanted(home).items() if other != name})
        tell(home)


def tell(home: Home) -> None:
    """Tell the supervisor that the description changed.

    Raises:
        LocalClusterError: the cluster is not running.
    """
    if not home.ready_file.exists():  # before that the supervisor does not listen, and would end
        raise _not_running(home)
    try:
        os.kill(json.loads((home.directory / "supervisor.json").read_text())["supervisor"], CHANGED)
    except (FileNotFoundError, ValueError, ProcessLookupError) as error:
        raise _not_running(home) from error


def _description(home: Home) -> ClusterState:
    state = home.read()
    if state is None:
        raise _not_running(home)
    return state


def _blueprint(home: Home) -> blueprint.Blueprint:
    known = blueprint.recall(home)
    if known is None:  # its supervisor would take our signal for an order to end
        raise LocalClusterError(
            f"local cluster {home.name!r} was started by a version that cannot add nodes", hint="start it anew"
        )
    return known


def _not_running(home: Home) -> LocalClusterError:
    return LocalClusterError(f"no local cluster {home.name!r} is running", hint="see `aiconform local status`")


def _check_name(state: ClusterState, name: str) -> None:
    if len(name) > 63 or not NAME.fullmatch(name[:30].rstrip("-")) or not NAME.fullmatch(name[-1:]):
        raise UsageError(f"{name!r} cannot name a node", hint="use lower-case letters, digits and dashes")
    if name in state.retired or name in {node.name for node in state.nodes}:
        raise UsageError(
            f"the node name {name!r} was used before in local cluster {state.name}",
            hint="names are given once: pods of a node that is gone linger under its name",
        )


def _free_place(state: ClusterState) -> int:
    """The next place after the one given last; addresses of a node that just went are not given again soon."""
    used = {node.index for node in state.nodes}
    start = max(state.last_index, len(state.nodes) - 1)
    for step in range(1, len(PLACES) + 1):
        index = PLACES[(start + step - PLACES[0]) % len(PLACES)]
        if index not in used:
            return index
    raise LocalClusterError(f"local cluster {state.name} has no room for another node")


def _furnish(home: Home, state: ClusterState, place: NodeState, spec: NodeSpec, known: blueprint.Blueprint) -> None:
    """Write everything that the node starts from."""
    keys = ClusterKeys(state.nodes[0], Authority.of(Pair.read(home.pki, "ca")))
    launch = boot.launch_of(home, place, spec, keys, known.parts(home.name))
    seed.plant(home.directory / blueprint.IMAGES, home.node(place.name) / "containerd")
    write_atomically(home.node(place.name) / "launch.json", launch.to_json())


def _advertised(api: Api, spec: NodeSpec) -> bool:
    if spec.accelerators is None:
        return True
    wanted = spec.accelerators.count * spec.accelerators.time_slices
    node: JsonObject = {}
    with contextlib.suppress(ApiError):
        node = api.get(f"/api/v1/nodes/{spec.name}")
    return bool(node.get("status", {}).get("allocatable", {}).get(RESOURCE) == str(wanted))


def _wait(happened: Callable[[], bool], limit_s: float, otherwise: str) -> None:
    deadline = time.monotonic() + limit_s
    while not happened():
        if time.monotonic() > deadline:
            raise LocalClusterError(f"{otherwise} within {limit_s:.0f} s")
        time.sleep(0.03)
