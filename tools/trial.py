"""One run on a local cluster, as a user would start it: for the tools beside this file."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from aiconform import catalog
from aiconform.errors import AiconformError
from aiconform.evidence.documents import Verdicts
from aiconform.evidence.reader import open_bundle
from aiconform.local import Cluster
from aiconform.local.images.table import IMAGES


def run(
    cluster: Cluster, requirements: Iterable[str], *, limit_s: float, options: Mapping[str, str] | None = None
) -> Verdicts:
    """Run requirements by the cluster's kubeconfig, so that no add-on is installed anew, which would repair it.

    Raises:
        AiconformError: nothing was sealed; the details are the last that was said.
    """
    with tempfile.TemporaryDirectory() as scratch:
        output = Path(scratch) / "run"
        where = ["--kubeconfig", str(cluster.kubeconfig), "--image", f"probe={IMAGES['busybox'].reference}"]
        asked = list(requirements)
        release = ["--release", _release(asked)]
        told = [part for name, value in (options or {}).items() for part in (f"--{name}", value)]
        chosen = [*asked, *release, *where, *told]
        command = [sys.executable, "-m", "aiconform", "run", *chosen, "--output", str(output)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=limit_s)
        if not (output / "bundle" / "manifest.json").is_file():
            raise AiconformError("the run sealed nothing", details=done.stderr.splitlines()[-10:])
        return open_bundle(output / "bundle").verdicts


def _release(requirements: Iterable[str]) -> str:
    """The first release from 1.35 on that asks all of these."""
    wanted = set(requirements)
    later = catalog.releases()[catalog.releases().index("1.35") :]
    return next(one for one in later if wanted <= {item.id for item in catalog.requirements(one)})
