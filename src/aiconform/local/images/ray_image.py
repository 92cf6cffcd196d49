"""Ray from PyPI on the running Python, without what clusters here never use: Java, reinforcement learning, tests."""

from __future__ import annotations

import shutil
from pathlib import Path

from aiconform.errors import LocalClusterError
from aiconform.local.images import oci
from aiconform.local.images.oci import Config, Entry
from aiconform.local.images.python_image import HOME, PACKAGES, interpreter, shared_libraries
from aiconform.local.programs import pypi
from aiconform.progress import Progress

VERSION = "2.54.0"
"""As pinned in ``wheels/ray.txt``."""

REFERENCE = f"docker.io/rayproject/ray:{VERSION}"

CONFIG = Config(
    command=("/bin/bash",),
    user="1000:100",
    environment={
        "PATH": f"{HOME}/bin:/usr/bin:/bin",
        "HOME": "/home/ray",
        "LANG": "C.UTF-8",
        "PYTHONPATH": PACKAGES,
        "RAY_USAGE_STATS_ENABLED": "0",
    },
    directory="/home/ray",
)
"""The user is the public image's."""

_LEFT_OUT = (
    *("bin", "ray/jars", "ray/rllib", "ray/llm", "ray/cpp", "ray/dashboard/client/build/static/**/*.map"),
    *("**/tests", "**/*.pyi", "**/*.a", "**/*.h", "**/*.pxd", "**/*.pyx"),
)
_RAY = f"#!{HOME}/bin/python3\nfrom ray.scripts.scripts import main\n\nmain()\n"


def tree(progress: Progress) -> list[Entry]:
    """Python, Ray with what ``ray[default]`` requires, and bash, by which its operator starts it.

    All is compiled beforehand: Ray starts a dozen processes, each of which would compile it again.

    Raises:
        LocalClusterError: Ray cannot be had for this machine, or there is no bash.
    """
    packages = pypi.packages("ray", progress, without=_LEFT_OUT, at=PACKAGES)
    bash = shutil.which("bash")
    if bash is None:
        raise LocalClusterError("bash is missing, which the image of Ray needs", hint="apt-get install bash")
    programs = [path for path in packages.rglob("*") if path.name in ("raylet", "gcs_server") or path.suffix == ".so"]
    accounts = "root:x:0:0:root:/root:/bin/bash\nray:x:1000:100:ray:/home/ray:/bin/bash\n"
    return [
        *interpreter(progress),
        *shared_libraries([Path(bash), *(path for path in programs if path.is_file())]),
        *oci.entries(packages, PACKAGES),
        Entry("/bin/bash", source=Path(bash)),
        Entry(f"{HOME}/bin/ray", text=_RAY),
        Entry("/etc/passwd", text=accounts, mode=0o644),
        Entry("/home/ray", directory=True, mode=0o1777),
    ]
