"""Ends once the API server answers that it is ready: ``python -m aiconform.local.node.wait_api``.

Runs on the control node; other nodes start their kubelets when the file it leaves is there.
"""

from __future__ import annotations

import http.client
import ssl
import time
from pathlib import Path

from aiconform.local.node.launch import API_READY, INSIDE


def _ready(context: ssl.SSLContext) -> bool:
    connection = http.client.HTTPSConnection("127.0.0.1", 6443, context=context, timeout=2)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def main() -> None:
    """Ask until the answer is yes."""
    context = ssl.create_default_context(cafile=f"{INSIDE}/pki/ca.crt")
    # as the node's kubelet: a distribution may not answer who does not say who asks
    context.load_cert_chain(f"{INSIDE}/pki/kubelet.crt", f"{INSIDE}/pki/kubelet.key")
    while not _ready(context):
        time.sleep(0.1)
    Path(API_READY).touch()


if __name__ == "__main__":
    main()
