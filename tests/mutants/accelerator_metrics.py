"""Broken metrics of accelerators: exporters that err, and a Prometheus that does not get what they serve."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote

from tests.mutants.breaking import deleted, patched
from tests.mutants.contract import Kill, Mutant

from aiconform.errors import LocalClusterError
from aiconform.local import Cluster
from aiconform.local.addons import prometheus
from aiconform.local.addons.accelerator_exporter import NAME, NAMESPACE
from aiconform.local.addons.exporter import image

_IN = ("-n", NAMESPACE)
_DAEMON_SET = (*_IN, f"daemonset/{NAME}")
_MONITOR = (*_IN, f"servicemonitor/{NAME}")

_MEMORY = "DCGM_FI_DEV_FB_USED"
_GOOD = f'count(time() - timestamp({_MEMORY}{{modelName!=""}}) < 4) >= 3'
"""Prometheus has fresh values of the default profile's three devices."""

_OLD = f"min(time() - timestamp({_MEMORY})) > 5"
_DROP = {"action": "labeldrop", "regex": "modelName"}

_ALL_BUT_ONE = "e.devices = lambda real=e.devices: real()[:1]"
_NO_MEMORY = 'e.FIELDS = tuple(field for field in e.FIELDS if "_FB_" not in field.name)'
_FIRST_ID_FOR_ALL = """
real = e.labels
def labels(index, device):
    found = real(index, device)
    return (found[0], real(0, e.devices()[0])[1], *found[2:])
e.labels = labels
"""
_FOREIGN_ID = """
real = e.labels
def labels(index, device):
    found = real(index, device)
    return (found[0], found[1][:-4] + "0000", *found[2:])
e.labels = labels
"""
_SWAPPED_IDS = """
real = e.labels
def labels(index, device):
    return (str(index), real(index, e.devices()[-1 - index])[1], *real(index, device)[2:])
e.labels = labels
"""
_SWAPPED_VALUES = """
real = e.read
def read(field, device):
    index = [e.pynvml.nvmlDeviceGetUUID(one) for one in e.devices()].index(e.pynvml.nvmlDeviceGetUUID(device))
    return real(field, e.devices()[-1 - index])
e.read = read
"""
_NOT_TEXT = """
import prometheus_client.exposition as exposition
real = exposition.choose_encoder
def choose(accept):
    encode, kind = real(accept)
    return lambda registry: encode(registry).replace(b'"', b"", 1), kind
exposition.choose_encoder = choose
"""
_FROZEN = """
real, page = e.Devices.collect, []
def collect(self):
    page.extend([] if page else real(self))
    return list(page)
e.Devices.collect = collect
"""
_BUSIEST_FOR_ALL = """
real = e.read
def read(field, device):
    return max(real(field, one) for one in e.devices()) if "UTIL" in field.name else real(field, device)
e.read = read
"""
_HIGHEST_EVER = """
real, highest = e.read, {}
def read(field, device):
    key = field.name, e.pynvml.nvmlDeviceGetUUID(device)
    highest[key] = max(real(field, device), highest.get(key, 0))
    return highest[key]
e.read = read
"""


@contextmanager
def _exporter(cluster: Cluster, change: str) -> Iterator[None]:
    """The exporter with a part of its program replaced; ``e`` is its module."""
    found = json.loads(cluster.kubectl("get", *_DAEMON_SET, "-o", "json"))
    [container] = found["spec"]["template"]["spec"]["containers"]
    begin = f"import sys; sys.path.insert(0, {image.DIRECTORY!r}); import {image.PROGRAM} as e"
    program = "\n".join([begin, change, "e.main()"])
    broken = {**container, "command": ["/usr/local/bin/python3", "-c", program]}
    with patched(cluster, {"spec": {"template": {"spec": {"containers": [broken]}}}}, *_DAEMON_SET):
        _rolled_out(cluster)
        yield
    _rolled_out(cluster)


def _rolled_out(cluster: Cluster) -> None:
    cluster.kubectl(*_IN, "rollout", "status", f"daemonset/{NAME}", "--timeout=120s")


@contextmanager
def _monitored(cluster: Cluster, taken_up: str, **change: object) -> Iterator[None]:
    """The exporter's ServiceMonitor with other settings of its endpoint, once Prometheus answers a query by that."""
    endpoint = {"port": "metrics", "path": "/metrics", "interval": "1s", "honorLabels": True, **change}
    with patched(cluster, {"spec": {"endpoints": [endpoint]}}, *_MONITOR):
        _wait(cluster, taken_up)
        yield
    _wait(cluster, _GOOD)


@contextmanager
def _unmonitored(cluster: Cluster) -> Iterator[None]:
    with deleted(cluster, *_MONITOR):
        _wait(cluster, _OLD)
        yield
    _wait(cluster, _GOOD)


def _wait(cluster: Cluster, promql: str) -> None:
    """Until a query has an answer: Prometheus takes a change up some seconds after it was made."""
    service = f"/api/v1/namespaces/{prometheus.NAMESPACE}/services/{prometheus.SERVICE}:web"
    deadline = time.monotonic() + 120
    while not cluster.api.get(f"{service}/proxy/api/v1/query?query={quote(promql)}")["data"]["result"]:
        if time.monotonic() > deadline:
            raise LocalClusterError(f"Prometheus does not answer {promql}")
        time.sleep(0.5)


def _mutant(what: str, change: str, **kills: Kill) -> Mutant:
    return Mutant("accelerator_metrics", what, lambda cluster: _exporter(cluster, change), kills)


MUTANTS = (
    _mutant("the exporter leaves out a device", _ALL_BUT_ONE, each_device=Kill("failed", "1 device(s) in")),
    _mutant("the exporter does not tell memory", _NO_MEMORY, each_device=Kill("failed", "without both")),
    _mutant("two devices have one id", _FIRST_ID_FOR_ALL, each_device=Kill("failed", "1 device(s) in")),
    _mutant("the exporter's page is no valid text", _NOT_TEXT, each_device=Kill("failed", "is valid")),
    _mutant("the exporter makes up the devices' ids", _FOREIGN_ID, same_devices=Kill("failed", "UUID of gpu-0")),
    _mutant("two devices have each other's id", _SWAPPED_IDS, same_devices=Kill("failed", "but the container finds")),
    Mutant(
        "accelerator_metrics",
        "the exporter's ServiceMonitor is gone",
        _unmonitored,
        {"collected": Kill("failed", "no new values")},
    ),
    Mutant(
        "accelerator_metrics",
        "a rule of the ServiceMonitor drops the product's label",
        lambda cluster: _monitored(cluster, f'{_MEMORY}{{modelName=""}}', metricRelabelings=[_DROP]),
        {"collected": Kill("failed", "modelName")},
    ),
    _mutant("the exporter serves its first page for ever", _FROZEN, load_rises=Kill("failed", "0 %, +0 MiB")),
    _mutant("two devices have each other's values", _SWAPPED_VALUES, load_rises=Kill("failed", "0 %, +0 MiB")),
    Mutant(
        "accelerator_metrics",
        "Prometheus looks every ten minutes only",
        lambda cluster: _monitored(cluster, _OLD, interval="10m"),
        {"collected": Kill("failed", "no new values")},
    ),
    _mutant("every device is as busy as the busiest", _BUSIEST_FOR_ALL, others_stay=Kill("failed", "rose too")),
    _mutant("the exporter tells the highest value so far", _HIGHEST_EVER, load_ends=Kill("failed", "falls")),
)
