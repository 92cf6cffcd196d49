"""What is in the accelerator exporter's image."""

from __future__ import annotations

from pathlib import Path

from aiconform.local.images import oci, python_image
from aiconform.local.images.oci import Entry
from aiconform.local.programs import pypi
from aiconform.progress import Progress

VERSION = "0.1.0"
REFERENCE = f"aiconform.local/accelerator-exporter:{VERSION}"
"""Named as ours: it is not NVIDIA's DCGM Exporter."""

DIRECTORY = "/opt/accelerator-exporter"
PROGRAM = "accelerator_exporter"


def tree(progress: Progress) -> list[Entry]:
    """Python, the two packages, and the program.

    Raises:
        LocalClusterError: a package cannot be downloaded.
    """
    packages = pypi.packages("accelerator-exporter", progress, without=("bin", "example.py"))
    program = Path(__file__).with_name(f"{PROGRAM}.py")
    return [
        *python_image.interpreter(progress),
        *oci.entries(packages, python_image.PACKAGES),
        Entry(f"{DIRECTORY}/{PROGRAM}.py", text=program.read_text(), mode=0o644),
    ]
