"""Serving certificates of add-ons that the API server calls: an authority for each, made anew at each installation."""

from __future__ import annotations

import base64
from dataclasses import dataclass

from aiconform.local.addons.addon import Manifest
from aiconform.local.pki import Authority


@dataclass(frozen=True)
class Serving:
    """A Service's certificate.

    Attributes:
        secret: the Secret with certificate and key.
        ca_bundle: the authority's certificate, as APIServices and webhook configurations take it.
    """

    secret: Manifest
    ca_bundle: str


def certificate(service: str, namespace: str, *, secret: str) -> Serving:
    """A certificate for a Service, in a Secret of type ``kubernetes.io/tls``.

    Args:
        service: name of the Service.
        namespace: of the Service and of the Secret.
        secret: name of the Secret.
    """
    authority = Authority(f"{service}-ca")
    name = f"{service}.{namespace}.svc"
    pair = authority.issue(name, names=[name, f"{name}.cluster.local"])
    data = {"tls.crt": pair.certificate, "tls.key": pair.key, "ca.crt": authority.pair.certificate}
    return Serving(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "kubernetes.io/tls",
            "metadata": {"name": secret, "namespace": namespace},
            "data": {key: _base64(value) for key, value in data.items()},
        },
        _base64(authority.pair.certificate),
    )


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()
