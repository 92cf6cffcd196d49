"""One run on a local cluster, as a user would start it: for the tools beside this file."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from aiconform.errors import AiconformError
from aiconform.evidence.documents import Verdicts
from aiconform.evidence.reader import open_bundle
from aiconform.local import Cluster
from aiconform.local.images.table import IMAGES


def run(cluster: Cluster, requirements: Iterable[str], *, limit_s: float) -> Verdicts:
    """Run requirements by the cluster's kubeconfig, so that no add-on is installed anew, which would repair it.

    Raises:
        AiconformError: nothing was sealed; the details are the last that was said.
    """
    with tempfile.TemporaryDirectory() as scratch:
        output = Path(scratch) / "run"
        where = ["--kubeconfig", str(cluster.kubeconfig), "--image", f"probe={IMAGES['busybox'].reference}"]
        command = [sys.executable, "-m", "aiconform", "run", *requirements, *where, "--output", str(output)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=limit_s)
        if not (output / "bundle" / "manifest.json").is_file():
            raise AiconformError("the run sealed nothing", details=done.stderr.splitlines()[-10:])
        return open_bundle(output / "bundle").verdicts
