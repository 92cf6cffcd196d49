"""Installs the accelerator add-ons of a profile into a local cluster and waits until they are advertised."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from aiconform.errors import LocalClusterError
from aiconform.local.addons import dra, nvidia
from aiconform.local.addons.advertised import missing
from aiconform.local.addons.charts import Chart, render
from aiconform.local.api import ApiError
from aiconform.local.cluster import Cluster
from aiconform.local.profiles import Profile
from aiconform.progress import Progress

LIMIT_S = 120.0


def charts(profile: Profile) -> tuple[Chart, ...]:
    """The charts that a profile's accelerators need."""
    accelerators = [spec.accelerators for spec in profile.nodes if spec.accelerators is not None]
    if not accelerators:
        return ()
    plugin = nvidia.device_plugin(accelerators)
    return (plugin, dra.EXAMPLE_DRIVER) if any(item.dra for item in accelerators) else (plugin,)


def manifests(wanted: Iterable[Chart], *, helm: Path, module_dir: Callable[[Chart], Path]) -> str:
    """All objects of the charts, namespaces first, as one YAML stream; rendered once, then from the cache.

    Args:
        wanted: the charts.
        helm: helm's program.
        module_dir: finds the source of the module that ships a chart.

    Raises:
        LocalClusterError: a chart cannot be fetched or rendered.
    """
    parts = [nvidia.RUNTIME_CLASS]
    for chart in wanted:
        parts.append(json.dumps(_namespace(chart.namespace)))
        parts.append(render(chart, helm=helm, module=module_dir(chart)))
    return "\n---\n".join(parts)


def _namespace(name: str) -> dict[str, object]:
    labels = {"app.kubernetes.io/managed-by": "aiconform", "aiconform.dev/simulated-accelerator": "true"}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def install(cluster: Cluster, profile: Profile, progress: Progress, objects: str) -> None:
    """Apply the objects and wait until every accelerator of the profile is advertised.

    Raises:
        LocalClusterError: an object is refused, or something is not advertised in time; the details say what.
    """
    begun = time.monotonic()
    progress.update("installing accelerator add-ons")
    cluster.kubectl("apply", "--server-side", "--force-conflicts", "--filename=-", stdin=objects)
    api = cluster.api
    still = ["everything"]
    while still:
        if time.monotonic() - begun > LIMIT_S:
            raise LocalClusterError(
                f"accelerators are not advertised within {LIMIT_S:.0f} s",
                details=[f"missing: {what}" for what in still],
                hint="aiconform local kubectl -- get pods --all-namespaces",
            )
        try:
            nodes = api.get("/api/v1/nodes")["items"]
            slices = api.get("/apis/resource.k8s.io/v1/resourceslices")["items"]
        except ApiError as error:
            progress.update("installing accelerator add-ons", waiting=str(error))
        else:
            still = missing(profile.nodes, nodes, slices)
            progress.update("installing accelerator add-ons", waiting=", ".join(still))
        time.sleep(0.1 if still else 0)
    progress.finished("accelerators advertised", f"{time.monotonic() - begun:.1f} s after the API server")
