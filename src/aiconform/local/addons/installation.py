"""Installs an add-on into a running local cluster and waits until it can be used."""

from __future__ import annotations

import contextlib
import json
import re
import time
from collections.abc import Callable, Sequence

from aiconform.errors import AiconformError, LocalClusterError
from aiconform.local import cache
from aiconform.local.addons import causes, imports, manifests, materials, records
from aiconform.local.addons.addon import Addon, Manifest, Materials
from aiconform.local.api import Api, ApiError
from aiconform.local.cluster import Cluster
from aiconform.local.images import table
from aiconform.progress import Progress

_APPLY_LIMIT_S = 90.0
_PAUSE_S = 0.2
_HOPELESS = re.compile(r"is invalid:|strict decoding error|error parsing|unable to decode")
_HOPELESS_AFTER = 3
_IMAGE_PATIENCE_S = 15.0

_LASTING: list[contextlib.ExitStack] = []
"""Companions that were started; never left, for they end with their cluster, which may outlive this process."""


def install_one(cluster: Cluster, addon: Addon, progress: Progress, stopped: Callable[[], bool] = bool) -> None:
    """Build what an add-on needs, bring its images to the nodes, apply its objects, wait until it is ready.

    What it requires is ready already. Installing again applies new objects over the old ones.

    Args:
        cluster: where to.
        addon: which one.
        progress: told what is being waited for.
        stopped: asked again and again; true: give up, somebody takes the cluster down.

    Raises:
        LocalClusterError: it did not become ready; the details are the add-on's own reasons and last events.
    """
    made = prepare(addon, progress)
    with cache.lock(f"addon-{cluster.name}-{addon.name}", lambda: _tell(progress, addon, "another aiconform")):
        records.write(cluster.home, addon.name, records.Record(addon.version, records.INSTALLING))
        try:
            _Installation(cluster, addon, progress, stopped).run(*made)
        except AiconformError as error:
            failed = records.Record(addon.version, records.FAILED, error.message)
            records.write(cluster.home, addon.name, failed)
            raise
        records.write(cluster.home, addon.name, records.Record(addon.version, records.READY))


def works(cluster: Cluster, addon: Addon) -> bool:
    """Whether an add-on of this version is installed and can be used now."""
    found = records.read(cluster.home).get(addon.name)
    if found is None or (found.version, found.condition) != (addon.version, records.READY):
        return False
    try:
        return not addon.missing(cluster.api)
    except ApiError:
        return False


def prepare(addon: Addon, progress: Progress) -> tuple[Materials, list[table.ImageFile]]:
    """Build an add-on's programs and images, if they are not in the cache."""
    gathered = materials.gather(addon, progress)
    return gathered, list(table.ensure_images(addon.images, gathered.programs, progress).values())


class _Installation:
    """One attempt."""

    def __init__(self, cluster: Cluster, addon: Addon, progress: Progress, stopped: Callable[[], bool]) -> None:
        self._cluster = cluster
        self._addon = addon
        self._progress = progress
        self._stopped = stopped
        self._api = Api(cluster.kubeconfig)  # its own connection: installations run side by side

    def run(self, made: Materials, archives: Sequence[table.ImageFile]) -> None:
        imports.bring(self._cluster, archives, self._progress)
        begun = time.monotonic()
        with contextlib.ExitStack() as companions:
            if self._addon.companion is not None:
                companions.enter_context(self._addon.companion(self._cluster))
            for group in manifests.in_order(self._addon.objects(made)):
                self._apply(group)
                self._wait_established(manifests.definitions(group))
            self._wait_ready()
            _LASTING.append(companions.pop_all())
        seconds = time.monotonic() - begun
        self._progress.finished(f"{self._addon.name} ready", f"{self._addon.version}, {seconds:.1f} s")

    def _apply(self, objects: Sequence[Manifest]) -> None:
        """Apply until it is taken: a webhook of the same add-on may be on its way up."""
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
        deadline = time.monotonic() + _APPLY_LIMIT_S
        refused = 0
        while refusal := self._refusal(text):
            refused += any(_HOPELESS.search(line) for line in refusal)
            if time.monotonic() > deadline or refused >= _HOPELESS_AFTER:
                raise self._failure("cannot be applied", refusal)
            _tell(self._progress, self._addon, refusal[-1])
            time.sleep(_PAUSE_S * 5)

    def _refusal(self, text: str) -> list[str]:
        """Apply once; why objects were refused, empty when all were taken."""
        self._check_stopped()
        try:
            self._cluster.kubectl("apply", "--server-side", "--force-conflicts", "--filename=-", stdin=text)
        except LocalClusterError as error:
            return list(error.details) or [error.message]
        return []

    def _wait_established(self, names: Sequence[str]) -> None:
        def missing() -> list[str]:
            found = self._api.get("/apis/apiextensions.k8s.io/v1/customresourcedefinitions")["items"]
            ready = {item["metadata"]["name"] for item in found if _established(item)}
            return [f"definition {name}" for name in names if name not in ready]

        if names:
            self._wait(missing, 30.0)

    def _wait_ready(self) -> None:
        def missing() -> list[str]:
            return self._addon.missing(self._api)

        self._wait(missing, self._addon.limit_s)

    def _wait(self, missing: Callable[[], list[str]], limit_s: float) -> None:
        begun = time.monotonic()
        lost_since: float | None = None
        while still := self._asked(missing):
            self._check_stopped()
            _tell(self._progress, self._addon, ", ".join(still))
            now = time.monotonic()
            lost_since = (lost_since or now) if self._lost() else None
            if now - begun > limit_s or (lost_since is not None and now - lost_since > _IMAGE_PATIENCE_S):
                raise self._failure(f"is not ready after {now - begun:.0f} s", [f"missing: {each}" for each in still])
            time.sleep(_PAUSE_S)

    def _asked(self, missing: Callable[[], list[str]]) -> list[str]:
        try:
            return missing()
        except ApiError as error:
            return [str(error)]

    def _lost(self) -> bool:
        """Whether a pod of it waits for an image that will never come."""
        try:
            pods = [
                pod
                for namespace in self._addon.namespaces
                for pod in self._api.get(f"/api/v1/namespaces/{namespace}/pods")["items"]
            ]
        except ApiError:
            return False
        return any(causes.never_pulled(pod) for pod in pods)

    def _check_stopped(self) -> None:
        if self._stopped():
            raise LocalClusterError(f"{self._addon.name}: given up, the run is over")
        if not self._cluster.home.ready_file.exists():
            raise LocalClusterError(f"{self._addon.name}: local cluster {self._cluster.name!r} ended meanwhile")

    def _failure(self, what: str, details: Sequence[str]) -> LocalClusterError:
        return LocalClusterError(
            f"{self._addon.name} {what}",
            details=[*details, *causes.causes(self._api, self._addon.namespaces), *self._said()],
            hint=f"aiconform local kubectl --name {self._cluster.name} -- get pods,events --all-namespaces",
        )

    def _said(self) -> list[str]:
        """The last words of the add-on's helper on the machine."""
        name = self._addon.companion_log
        return causes.last_words(self._cluster.home.logs / f"{name}.log") if name else []


def _established(definition: dict[str, object]) -> bool:
    status = definition.get("status")
    conditions = status.get("conditions") or [] if isinstance(status, dict) else []
    return any(item["type"] == "Established" and item["status"] == "True" for item in conditions)


def _tell(progress: Progress, addon: Addon, waiting: str) -> None:
    progress.update(f"installing {addon.name}", waiting=waiting)
