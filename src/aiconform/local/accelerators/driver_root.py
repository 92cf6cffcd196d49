"""The files of a simulated NVIDIA driver on one node, laid out as the GPU Operator's driver container does.

In the node the directory is mounted at :data:`DRIVER_ROOT`. The container toolkit, the device plugin and
gpu-feature-discovery find the driver there, as they do on a real node.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from aiconform.local.accelerators.devices import DRIVER_VERSION, Device, board_file
from aiconform.local.accelerators.driver import CUDA_LIBRARY, LIBRARY, TOOL

DRIVER_ROOT = "/run/nvidia/driver"
"""Where a node shows its driver."""

LIBRARIES = "usr/lib/x86_64-linux-gnu"

BOARD_FILE = f"lib/firmware/nvidia/{DRIVER_VERSION}/gsp_simulated_devices.bin"
"""The device description. It takes the place of GSP firmware, because the container toolkit mounts that, read-only,
into every container with a device; load on devices is told by locks on it (``driver/load.h``)."""


def write_driver_root(root: Path, built: Path, devices: tuple[Device, ...]) -> None:
    """Lay out a driver root.

    Args:
        root: the directory to fill; replaced if it exists.
        built: where :func:`~aiconform.local.accelerators.driver.build_driver` left its files.
        devices: the node's devices.
    """
    shutil.rmtree(root, ignore_errors=True)
    libraries, programs, board = root / LIBRARIES, root / "usr/bin", root / BOARD_FILE
    for directory in (libraries, programs, board.parent):
        directory.mkdir(parents=True)
    for name in (LIBRARY, CUDA_LIBRARY):
        shutil.copy2(built / name, libraries / name)
        (libraries / f"{name.partition('.so')[0]}.so.1").symlink_to(name)
    (libraries / "libcuda.so").symlink_to("libcuda.so.1")
    shutil.copy2(built / TOOL, programs / TOOL)
    board.write_text(board_file(devices))
    board.chmod(0o444)
    # The toolkit looks for device nodes below the driver root; on a real node that is the driver container's own /dev.
    (root / "dev").symlink_to("/dev")
