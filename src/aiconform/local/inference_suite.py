"""Runs upstream's conformance suite of the inference extension in a local cluster, and keeps its report.

``python -m aiconform.local.inference_suite --name NAME --output report.yaml``, for a cluster with the add-on ``istio``.
The suite is a pod, because Gateways of a local cluster have addresses that only pods reach.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from aiconform.errors import AiconformError, LocalClusterError
from aiconform.local.addons import imports, istio
from aiconform.local.cluster import Cluster, find
from aiconform.local.images.istio import RELEASE
from aiconform.local.images.table import IMAGES, ensure_images
from aiconform.local.programs import build
from aiconform.progress import Lines, Progress

Obj = dict[str, Any]

NAMESPACE = "inference-suite"
LIMIT_S = 40 * 60
"""Upstream's own advice."""

_POD = "suite"
_BACKENDS = "inference-conformance-app-backend"
"""Where the suite puts its servers and pickers."""
_PICKERS = ("primary", "secondary", "dp", "appprotocol-http", "appprotocol-h2c")
_IMAGES = ("inference-epp", "inference-echo", "inference-suite")
_REPORT = "/dev/termination-log"
"""What is written there is in the pod's status when it ends: a report is one or two of the four kilobytes that fit."""


def run(cluster: Cluster, log: Path, progress: Progress, test: str = "", limit_s: float = LIMIT_S) -> bytes:
    """Run the suite against the class of the add-on ``istio``.

    Args:
        cluster: has the add-on.
        log: gets what the suite says.
        progress: told what is built and how long it takes.
        test: the one test to run; all of them if empty.
        limit_s: after so many seconds it is given up.

    Returns:
        The report, as the suite wrote it; failed tests are in it.

    Raises:
        LocalClusterError: it did not end in time, or wrote none.
    """
    imports.bring(cluster, ensure_images(_IMAGES, build.Binaries({}), progress).values(), progress)
    _remove(cluster)
    try:
        _apply(cluster, _around())
        _apply(cluster, [_pod(test, limit_s)])
        return _ended(cluster, log, progress, limit_s)
    finally:
        _remove(cluster)


def _around() -> Iterator[Obj]:
    """What the suite needs beside itself: rights, and that Istio takes the pickers' self-made certificates."""
    for name in (NAMESPACE, _BACKENDS):
        yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    yield {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": _POD, "namespace": NAMESPACE}}
    yield {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": NAMESPACE},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "name": _POD, "namespace": NAMESPACE}],
    }
    for name in _PICKERS:
        yield trust(f"{name}-endpoint-picker-svc", _BACKENDS)


def trust(service: str, namespace: str) -> Obj:
    """Istio's rule that a Service's certificate is taken unseen: pickers make their own when they start."""
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "DestinationRule",
        "metadata": {"name": service, "namespace": namespace},
        "spec": {"host": service, "trafficPolicy": {"tls": {"mode": "SIMPLE", "insecureSkipVerify": True}}},
    }


def _pod(test: str, limit_s: float) -> Obj:
    arguments = {
        "gateway-class": istio.CLASS,
        "report-output": _REPORT,
        "organization": "istio",
        "project": "istio",
        "version": RELEASE,
        "url": "https://istio.io",
        "contact": "local",
        **({"run-test": test} if test else {}),
    }
    container = {
        "name": _POD,
        "image": IMAGES["inference-suite"].reference,
        "args": ["-test.v", f"-test.timeout={limit_s:.0f}s", *(f"-{key}={value}" for key, value in arguments.items())],
        "terminationMessagePath": _REPORT,
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": _POD, "namespace": NAMESPACE},
        "spec": {"serviceAccountName": _POD, "restartPolicy": "Never", "containers": [container]},
    }


def _ended(cluster: Cluster, log: Path, progress: Progress, limit_s: float) -> bytes:
    begun = time.monotonic()
    while (took := time.monotonic() - begun) < limit_s + 60:
        state = cluster.api.get(f"/api/v1/namespaces/{NAMESPACE}/pods/{_POD}")["status"]
        states = [one["state"] for one in state.get("containerStatuses", [])]
        ended = [one["terminated"] for one in states if "terminated" in one]
        if ended or state["phase"] == "Running":
            log.write_text(cluster.kubectl("logs", f"--namespace={NAMESPACE}", _POD))
        if ended and "ConformanceReport" in ended[0].get("message", ""):
            return str(ended[0]["message"]).encode()
        if ended:
            last = log.read_text().splitlines()[-5:]
            raise LocalClusterError(f"the suite wrote no report, exit code {ended[0]['exitCode']}", details=last)
        progress.update("the inference extension's conformance suite", waiting=f"{took:.0f} s")
        time.sleep(5)
    raise LocalClusterError(f"the suite did not end within {limit_s:.0f} s", details=[f"log: {log}"])


def _apply(cluster: Cluster, objects: Sequence[Obj] | Iterator[Obj]) -> None:
    items = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
    cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=json.dumps(items))


def _remove(cluster: Cluster) -> None:
    cluster.kubectl("delete", "clusterrolebinding", NAMESPACE, "--ignore-not-found")
    infra = "inference-conformance-infra"
    cluster.kubectl("delete", "namespace", NAMESPACE, _BACKENDS, infra, "--ignore-not-found", "--timeout=180s")


def main(arguments: Sequence[str]) -> int:
    """Run it, and write the report and the log beside it."""
    parser = argparse.ArgumentParser(prog="inference_suite", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--name", default="default", help="which local cluster")
    parser.add_argument("--output", type=Path, default=Path("report.yaml"))
    parser.add_argument("--test", default="", help="only this test, by its short name")
    given = parser.parse_args(arguments)
    try:
        report = run(find(given.name), given.output.with_suffix(".log"), Lines(), given.test)
    except AiconformError as error:
        sys.stderr.write(error.render() + "\n")
        return error.exit_code
    given.output.write_bytes(report)
    sys.stderr.write(f"report  {given.output}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
