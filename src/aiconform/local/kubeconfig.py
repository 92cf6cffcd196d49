"""Kubeconfig files for the components of a local cluster and for its administrator."""

from __future__ import annotations

import base64

from aiconform.local.pki import Pair

_TEMPLATE = """\
apiVersion: v1
kind: Config
current-context: {context}
clusters:
- name: {context}
  cluster:
    server: {server}
    certificate-authority-data: {authority}
contexts:
- name: {context}
  context:
    cluster: {context}
    user: {context}
users:
- name: {context}
  user:
    client-certificate-data: {certificate}
    client-key-data: {key}
"""


def render(context: str, server: str, authority: bytes, identity: Pair) -> str:
    """A kubeconfig that holds everything itself.

    Args:
        context: name of the cluster, user and context in it.
        server: URL of the API server.
        authority: PEM certificate that signed the server's.
        identity: who the user is.
    """
    return _TEMPLATE.format(
        context=context,
        server=server,
        authority=_base64(authority),
        certificate=_base64(identity.certificate),
        key=_base64(identity.key),
    )


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
