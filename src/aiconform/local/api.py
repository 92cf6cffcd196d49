"""A few plain requests to the local cluster's own API server, as its administrator: to boot it and tell its state.

Whoever tests a cluster uses :mod:`aiconform.cluster`; this never sees a user's cluster.
"""

from __future__ import annotations

import base64
import http.client
import json
import re
import ssl
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

JsonObject = dict[str, Any]

_COLLECTIONS = {
    "ServiceAccount": "api/v1/namespaces/{namespace}/serviceaccounts",
    "ConfigMap": "api/v1/namespaces/{namespace}/configmaps",
    "Service": "api/v1/namespaces/{namespace}/services",
    "Node": "api/v1/nodes",
    "Deployment": "apis/apps/v1/namespaces/{namespace}/deployments",
    "ClusterRole": "apis/rbac.authorization.k8s.io/v1/clusterroles",
    "ClusterRoleBinding": "apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
}


class ApiError(Exception):
    """The API server could not be asked, or answered with an error."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Api:
    """Requests over one kept connection.

    Args:
        kubeconfig: the administrator's, as written by :func:`aiconform.local.kubeconfig.render`.
        timeout_s: of each request.
    """

    def __init__(self, kubeconfig: Path, timeout_s: float = 5.0) -> None:
        self._connection: http.client.HTTPSConnection | None = None  # first: it is dropped even where the rest fails
        fields = dict(re.findall(r"(server|[a-z-]+-data): (\S+)", kubeconfig.read_text()))
        authority = base64.b64decode(fields["certificate-authority-data"]).decode()
        self._context = ssl.create_default_context(cadata=authority)
        with tempfile.NamedTemporaryFile() as file:  # the ssl module reads a client's key from a file only
            file.write(base64.b64decode(fields["client-certificate-data"]))
            file.write(base64.b64decode(fields["client-key-data"]))
            file.flush()
            self._context.load_cert_chain(file.name)
        self._address = fields["server"].removeprefix("https://")
        self._timeout_s = timeout_s

    def close(self) -> None:
        """Drop the kept connection; the next request makes a new one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def __del__(self) -> None:
        self.close()

    def get(self, path: str) -> JsonObject:
        """The object or list at a path.

        Raises:
            ApiError: no answer, or a status of 400 or more (status 0: no answer).
        """
        return self._ask("GET", path)

    def text(self, path: str) -> str:
        """The plain text at a path, for example ``/readyz``."""
        return self._send("GET", path, None, "").decode()

    def patch(self, path: str, change: Mapping[str, Any]) -> JsonObject:
        """Change an object by a JSON merge patch (RFC 7396)."""
        return self._ask("PATCH", path, change, "application/merge-patch+json")

    def encoded(self, path: str, thing: Mapping[str, Any]) -> bytes:
        """An object as Protocol Buffers, which the API server makes of it in a dry run of its creation."""
        accept = "application/vnd.kubernetes.protobuf"
        return self._send("POST", f"{path}?dryRun=All", thing, "application/json", accept)

    def delete(self, path: str, *, at_once: bool = False) -> None:
        """Delete an object; one that is gone already is fine. ``at_once``: without a grace period."""
        options = {"gracePeriodSeconds": 0} if at_once else {}
        try:
            self._ask("DELETE", path, options, "application/json")
        except ApiError as error:
            if error.status != 404:
                raise

    def changes(self, path: str, version: str, limit_s: float = 60.0) -> Iterator[JsonObject]:
        """Events of a watch on a list's path, over a connection of its own, until the server or the time ends it.

        Args:
            path: of the list.
            version: resourceVersion from which on.
            limit_s: how long to watch.

        Raises:
            ApiError: the watch was refused, or the connection broke.
        """
        connection = http.client.HTTPSConnection(self._address, context=self._context, timeout=limit_s + 5)
        try:
            connection.request("GET", f"{path}?watch=1&resourceVersion={version}&timeoutSeconds={limit_s:.0f}")
            response = connection.getresponse()
            if response.status != 200:
                raise ApiError(response.status, f"watch {path}: {response.status}")
            while line := response.readline():
                yield json.loads(line)
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise ApiError(0, f"watch {path}: {error!r}") from error
        finally:
            connection.close()

    def apply(self, thing: Mapping[str, Any]) -> JsonObject:
        """Create or update an object by server-side apply."""
        metadata = thing["metadata"]
        collection = _COLLECTIONS[thing["kind"]].format(namespace=metadata.get("namespace"))
        path = f"/{collection}/{metadata['name']}?fieldManager=aiconform&force=true"
        return self._ask("PATCH", path, thing, "application/apply-patch+yaml")

    def refusal(self, path: str, thing: Mapping[str, Any]) -> str:
        """Why an object would not be created in this collection; empty if it would be. Nothing is stored."""
        try:
            self._ask("POST", f"{path}?dryRun=All", thing, "application/json")
        except ApiError as error:
            return str(error)
        return ""

    def _ask(self, verb: str, path: str, body: Mapping[str, Any] | None = None, kind: str = "") -> JsonObject:
        answer = json.loads(self._send(verb, path, body, kind))
        if not isinstance(answer, dict):
            raise ApiError(0, f"{verb} {path}: not a JSON object")
        return answer

    def _send(self, verb: str, path: str, body: Mapping[str, Any] | None, kind: str, accept: str = "") -> bytes:
        if self._connection is None:
            self._connection = http.client.HTTPSConnection(
                self._address, context=self._context, timeout=self._timeout_s
            )
        headers = {"Content-Type": kind} if body is not None else {}
        if accept:
            headers["Accept"] = accept
        try:
            self._connection.request(verb, path, json.dumps(body) if body is not None else None, headers)
            response = self._connection.getresponse()
            data = response.read()
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise ApiError(0, f"{verb} {path}: {error!r}") from error
        if response.status >= 400:
            raise ApiError(response.status, f"{verb} {path}: {response.status} {data.decode(errors='replace')[:300]}")
        return data
