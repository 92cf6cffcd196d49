"""Simulated NVIDIA accelerators: what a real driver would put on a node, with no device behind it.

How the parts meet, from the kernel up::

    /dev/nvidiaN      character devices of a free major in the node's private /dev; no driver answers (ENXIO), so the
                      device cgroup's EPERM is the only thing that tells who may use them
    driver/*.c        libnvidia-ml (NVML), libcuda and nvidia-smi: a device exists for a caller who may open its node
    board file        the node's devices as text, where GSP firmware would be; load is told by locks on it
    driver_root.py    these files as a driver container lays them out, shown to the node at /run/nvidia/driver
    pci.py            the node's PCI list, for node-feature-discovery and gpu-feature-discovery
    toolkit.py        settings of NVIDIA's own container runtime and CDI hooks
    node.py           all of that as data for the boot of a node; the only thing the rest of the tool asks for

Above that everything is upstream's: device plugin, gpu-feature-discovery, container toolkit, DRA example driver
(:mod:`aiconform.local.addons`). To imitate another product, add a row to ``devices.MODELS``.
"""
